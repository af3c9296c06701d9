//! The commands, one file each.

mod apply;
mod audit;
mod backup;
mod binding;
mod can;
mod config;
mod doctor;
mod explain;
mod export;
mod init;
mod load;
mod mail;
mod plan;
mod restore;
mod rights;
mod role;
mod serve;
mod session;
mod share;
mod template;
mod test;
mod user;
mod who_can;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::fail::Failure;
use crate::output::Output;
use crate::sealing;

/// Runs what the command line says.
pub async fn run(cli: Cli, output: Output) -> Result<ExitCode, Failure> {
    // The server has a log; a command tells what it has to say itself.
    if !matches!(cli.command, Command::Serve(_)) {
        crate::wiring::log(&std::env::var("PORTREEVE_LOG").unwrap_or_else(|_| "error".into()))?;
    }
    let ran = dispatch(cli.command, output).await;
    sealing::seal().await;
    ran
}

async fn dispatch(command: Command, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(flags) => serve::run(flags, output).await,
        Command::Init(data) => init::run(&data, output).await,
        Command::User { command } => user::run(command, output).await,
        Command::Role { command } => role::run(role::Kind::Role, command, output).await,
        Command::Profile { command } => role::run(role::Kind::Profile, command, output).await,
        Command::Binding { command } => binding::run(command, output).await,
        Command::Session { command } => session::run(command, output).await,
        Command::Template { command } => template::run(command, output).await,
        Command::Mail { command } => mail::run(command, output).await,
        Command::Doctor { data } => doctor::run(&data, output).await,
        Command::Share { command } => share::run(command, output).await,
        Command::Can(can) => can::run(can, output).await,
        Command::WhoCan(asked) => who_can::run(asked, output).await,
        Command::Rights { user, data } => rights::run(&user, &data, output).await,
        Command::Test { file, data } => test::run(&file, &data, output).await,
        Command::Plan { file, data } => plan::run(&file, &data, output).await,
        Command::Apply {
            file,
            confirm_drops,
            data,
        } => apply::run(&file, confirm_drops, &data, output).await,
        Command::Load { file, skip, data } => load::run(&file, skip, &data, output).await,
        Command::Export {
            records,
            with_bindings,
            to,
            with_passwords,
            data,
        } => {
            let what = export::What {
                records,
                bindings: with_bindings,
                passwords: with_passwords,
            };
            export::run(what, to.as_deref(), &data, output).await
        }
        Command::Backup {
            file,
            force,
            check,
            data,
        } => backup::run(file, force, check, &data, output).await,
        Command::Restore { file, force, data } => restore::run(file, force, &data, output).await,
        Command::Explain { id, data } => explain::run(&id, &data, output).await,
        Command::Audit { command } => audit::run(command, output).await,
        Command::Config { command } => config::run(command, output),
    }
}
