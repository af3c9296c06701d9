//! `cargo xtask <task>`: everything a developer runs that is more than one plain cargo command.
//!
//! To add a task: one module with a `run` function, one line in [`TASKS`], one arm in [`run`]. xtask depends on no crate
//! of ours and on two small ones of others, so that it is built before anything that can be broken.

mod bench;
mod check_deps;
mod school;
#[cfg(test)]
mod security_cases;
mod serve;
mod stages;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// Every task, with what `--help` says about it.
const TASKS: &[(&str, &str)] = &[
    (
        "serve [--port N]",
        "build the release binary and start it on the school example",
    ),
    ("test", "run every test; times and statistics at the end"),
    (
        "check-deps",
        "hold the crates against the table in ARCHITECTURE.md",
    ),
    (
        "school DIR",
        "write the school example's records into a folder",
    ),
    ("bench [ARGS]", "run the benchmarks, built for release"),
    (
        "load",
        "sign in four times as often as is possible; what others notice of it",
    ),
];

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
    let Some((task, rest)) = args.split_first() else {
        print!("{}", usage());
        return Ok(());
    };
    if rest.iter().any(|arg| arg == "--help") && task != "bench" {
        print!("{}", usage());
        return Ok(());
    }
    match task.as_str() {
        "serve" => serve::run(rest),
        "test" => no_arguments(task, rest).and_then(|()| test::run()),
        "check-deps" => no_arguments(task, rest).and_then(|()| check_deps::run()),
        "bench" => bench::run(rest),
        "load" => no_arguments(task, rest).and_then(|()| bench::load()),
        "school" => match rest {
            [folder] => school::generate(std::path::Path::new(folder)),
            _ => bail!("`school` wants a folder to write into"),
        },
        "help" | "--help" | "-h" => {
            print!("{}", usage());
            Ok(())
        }
        other => bail!("there is no task `{other}`\n\n{}", usage()),
    }
}

fn no_arguments(task: &str, rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(extra) => bail!("`{task}` takes no arguments, and `{extra}` was given"),
    }
}

fn usage() -> String {
    let mut text = String::from("cargo xtask <task>\n\n");
    for (task, what) in TASKS {
        text.push_str(&format!("  {task:<18} {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn an_unknown_task_is_an_error_that_lists_the_tasks() {
        let error = run(&args(&["tset"])).unwrap_err().to_string();
        assert!(error.contains("there is no task `tset`"), "{error}");
        assert!(error.contains("check-deps"), "{error}");
    }

    #[test]
    fn a_stray_argument_is_an_error_and_not_ignored() {
        let error = run(&args(&["check-deps", "--fast"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`--fast`"), "{error}");
    }
}
