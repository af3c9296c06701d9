//! Benchmarks: decisions and requests, measured in one run beside floors that are written by hand for nothing else.
//!
//! Ratios carry over from machine to machine, absolute numbers do not: whatever is compared runs in interleaved rounds.

mod decision;
mod floors;
mod http;
mod memory;
mod process;
mod report;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::decision::Effort;
use crate::report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "portreeve-benches [all | decision [small|large] | http | storm] [--quick] [--normal]

  all       everything (the default)
  decision  decisions in memory, with 2,000 and with 1,000,000 permissions
  http      requests, against servers written by hand; the product's binary is measured where it is built beside this
            program. PostgreSQL is the machine's own, in a throw-away cluster, or the one TEST_POSTGRES_URL names
  storm     four times as many sign-ins as are possible, and what others notice of it; `cargo xtask load`
  load ADDRESS PATH TOKEN
            nothing but load, for five seconds: to look at a server with a profiler
  --normal  SQLite's synchronous=NORMAL on both sides; the default, as the product's, is FULL
  --quick   fewer rounds: to see that it works, not to compare
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let (quick, normal) = (flag("--quick"), flag("--normal"));
    let words: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|arg| !["--quick", "--normal"].contains(arg))
        .collect();
    let both = vec![world::SMALL, world::LARGE];
    let (sizes, http) = match words[..] {
        [] | ["all"] => (both, true),
        ["decision"] => (both, false),
        ["decision", "small"] => (vec![world::SMALL], false),
        ["decision", "large"] => (vec![world::LARGE], false),
        ["http"] => (vec![], true),
        ["storm"] => return http::storm::run(),
        ["load", address, path, token] => return http::load_only(address, path, token),
        [memory::CHILD, users] => return memory::child(users),
        [http::floor::CHILD, path, synchronous] => return http::floor::child(path, synchronous),
        [http::hand::CHILD, kind, place, user] => return http::hand::child(kind, place, user),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            return Ok(());
        }
        _ => bail!("cannot make out {words:?}\n\n{USAGE}"),
    };
    let synchronous = if normal { "NORMAL" } else { "FULL" };
    let start = Instant::now();
    let machine = report::machine();
    println!("{machine}");
    let mut report = Report::default();
    for size in sizes {
        decision::run(size, Effort::new(quick), &mut report)?;
    }
    if http {
        http::run(http::Effort::new(quick), synchronous, &mut report)?;
    }
    report.print();
    println!(
        "{machine}; synchronous={synchronous}; {} in all",
        report::seconds(start.elapsed())
    );
    Ok(())
}
