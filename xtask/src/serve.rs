//! `cargo xtask serve`: the shortest way from a clone to a running server with something in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{school, workspace};

/// The server's own default, said here so that what we print is what it listens on.
const DEFAULT_PORT: u16 = 7600;

/// Builds, generates the school example, starts, and prints what to try.
pub fn run(args: &[String]) -> Result<()> {
    let port = port(args)?;
    let target = workspace::target_dir()?;

    workspace::run(
        "the release build",
        workspace::cargo().args(["build", "--release", "-p", "portreeve"]),
    )?;

    // Below the target folder: `cargo clean` takes it away, and nothing of it can be committed by accident. Made anew
    // each time, so that what is printed below is what is answered.
    let folder = target.join("portreeve-serve");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    school::generate(&folder).context("cannot generate the school example")?;

    let binary = target
        .join("release")
        .join("portreeve")
        .with_extension(std::env::consts::EXE_EXTENSION);
    let data = folder.join("data");
    let mut server = Command::new(&binary)
        .args(["serve", "--dev", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--data")
        .arg(&data)
        .arg("--access")
        .arg(workspace::root().join("examples/school/access.yaml"))
        .arg("--load")
        .arg(folder.join("school.ndjson"))
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let output = server.stdout.take().context("the server has no output")?;
    let mut password = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("the server's output cannot be read")?;
        println!("{line}");
        if let Some((_, word)) = line.split_once("password: ") {
            password = word.trim().to_owned();
        }
        if let Some(address) = line.strip_prefix("listening on ") {
            println!(
                "{}",
                things_to_try(address, &password, &data.display().to_string())
            );
        }
    }
    let status = server.wait().context("the server cannot be waited for")?;
    if status.success() {
        Ok(())
    } else {
        bail!("the server ended with {status}")
    }
}

// Each block is one paste into a shell.
fn things_to_try(address: &str, password: &str, data: &str) -> String {
    format!(
        r#"
Sign in as anna, a student:

  ANNA=$(curl -s {address}/v1/auth/sign-in -H 'content-type: application/json' \
    -d '{{"login":"anna","password":"anna-learns-1"}}' | sed 's/.*"token":"\([^"]*\)".*/\1/')

She sees her own grades and nobody else's:

  curl -s "{address}/v1/records/grades?limit=3&total=true" -H "authorization: Bearer $ANNA"

She may not change one (403), and bo's is not there for her (404):

  curl -s -X PATCH {address}/v1/records/grades/1 -H "authorization: Bearer $ANNA" \
    -H 'content-type: application/json' -d '{{"score":100}}'
  curl -s {address}/v1/records/grades/2 -H "authorization: Bearer $ANNA"

Why not? The administrator may ask:

  ADMIN=$(curl -s {address}/v1/auth/sign-in -H 'content-type: application/json' \
    -d '{{"login":"admin","password":"{password}"}}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -s {address}/v1/explain -H "authorization: Bearer $ADMIN" -H 'content-type: application/json' \
    -d '{{"subject":"anna","action":"data.update","collection":"grades","key":"1","send":{{"score":100}}}}'

The same from the command line, beside the running server:

  portreeve can anna data.update grades/1 --explain --data {data}

Stop with ctrl-c.
"#
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
