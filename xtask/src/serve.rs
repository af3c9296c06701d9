//! `cargo xtask serve`: the shortest way from a clone to a running server with something in it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{school, workspace};

/// The server's own default, said here so that what we print is what it listens on.
const DEFAULT_PORT: u16 = 7600;

/// Builds, generates the school example, starts.
pub fn run(args: &[String]) -> Result<()> {
    let port = port(args)?;
    let target = workspace::target_dir()?;

    workspace::run(
        "the release build",
        workspace::cargo().args(["build", "--release", "-p", "portreeve"]),
    )?;

    // Below the target folder: `cargo clean` takes it away, and nothing of it can be committed by accident.
    let folder = target.join("portreeve-serve").join("school");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    school::generate(&folder).context("cannot generate the school example")?;

    let binary = target
        .join("release")
        .join("portreeve")
        .with_extension(std::env::consts::EXE_EXTENSION);
    let listen = format!("127.0.0.1:{port}");
    println!(
        "starting on http://{listen} with the data in {}",
        folder.display()
    );
    workspace::run(
        "portreeve",
        Command::new(binary)
            .arg("serve")
            .arg("--dev")
            .arg("--data")
            .arg(&folder)
            .arg("--listen")
            .arg(&listen),
    )
}

fn port(args: &[String]) -> Result<u16> {
    match args {
        [] => Ok(DEFAULT_PORT),
        [flag, value] if flag == "--port" => value
            .parse()
            .with_context(|| format!("`--port` wants a number up to 65535, not `{value}`")),
        [flag] if flag == "--port" => bail!("`--port` wants a number after it"),
        [other, ..] => bail!("`serve` knows only `--port N`, not `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<u16> {
        let args: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        port(&args)
    }

    #[test]
    fn the_port_is_the_servers_default_unless_given() {
        assert_eq!(of(&[]).unwrap(), DEFAULT_PORT);
        assert_eq!(of(&["--port", "8080"]).unwrap(), 8080);
    }

    #[test]
    fn a_bad_port_is_an_error() {
        for words in [
            &["--port"][..],
            &["--port", "70000"],
            &["--prot", "80"],
            &["--port", "80", "x"],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}
