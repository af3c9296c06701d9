//! The binary: command line, configuration, wiring, listeners. Everything it does it asks of `portreeve-service`; it
//! is the only place that reads the clock, draws entropy and prints.
//!
//! To add a command: a variant in `cli`, a file in `commands`. To add a setting: a field in its section's file under
//! `config`, and, where it should have one, a flag in `cli`.

mod cli;
mod commands;
mod config;
mod environment;
mod fail;
mod listen;
mod output;
mod password;
mod sealing;
mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cli::Cli;

// Measured: list requests allocate from many threads at once, where the system's allocator waits for itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = output::Output { json: cli.json };
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| fail::Failure::error("no_runtime", format!("cannot start: {error}")))
        .and_then(|runtime| {
            let ran = runtime.block_on(commands::run(cli, output));
            // Waits for what holds the data folder, so that it is closed in order; a read that somebody has given up on
            // must not keep the process for long.
            runtime.shutdown_timeout(Duration::from_secs(2));
            ran
        });
    match ran {
        Ok(code) => code,
        Err(failure) => failure.print(output),
    }
}
