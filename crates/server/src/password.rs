//! Passwords from a pipe or a terminal, never from the command line.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use crate::fail::Failure;

/// Reads a password: the first line of standard input, or asked for twice on a terminal.
pub fn read(from_stdin: bool) -> Result<String, Failure> {
    if from_stdin {
        return line();
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::error(
            "no_terminal",
            "there is no terminal to ask for the password; pipe it in and say --password-stdin",
        ));
    }
    let echo = Echo::off();
    let first = ask("password: ")?;
    let second = ask("once more: ")?;
    drop(echo);
    if first == second {
        Ok(first)
    } else {
        Err(Failure::error(
            "mismatch",
            "the two are not the same; nothing was changed",
        ))
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let read = line();
    eprintln!();
    read
}

fn line() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    read.map_err(|error| {
        Failure::error("no_password", format!("cannot read the password: {error}"))
    })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(Failure::error(
            "no_password",
            "there was no password on standard input",
        ));
    }
    Ok(text.to_owned())
}

// The terminal shows what is typed again when this goes, whatever happens in between.
struct Echo;

impl Echo {
    fn off() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        stty("echo");
    }
}

// Where there is no `stty` the password is seen while it is typed, which is better than not being able to set one.
fn stty(argument: &str) {
    let _ = Command::new("stty")
        .arg(argument)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .status();
}
