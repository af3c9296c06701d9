//! Statements through `psql`: this crate links no driver.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::programs::Programs;
use super::url;

/// Runs statements and gives what they answer: a line a record, `|` between columns. The first that fails ends it.
pub fn run(programs: &Programs, url: &str, statements: &str) -> Result<String, String> {
    let mut psql = command(programs, url);
    psql.args(["-v", "ON_ERROR_STOP=1"]).stderr(Stdio::piped());
    let ran = psql.spawn().and_then(|mut child| {
        let mut to = child.stdin.take();
        // Statements may be long and answers too: written beside, so that neither waits for the other.
        std::thread::scope(|scope| {
            scope.spawn(move || to.as_mut().map(|to| to.write_all(statements.as_bytes())));
            child.wait_with_output()
        })
    });
    let output = ran.map_err(|error| format!("psql does not run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// A `psql` that stays. Starting one and signing in takes longer than making a database.
pub struct Session {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// Why a statement was not done.
pub enum Broken {
    /// The server's words.
    Refused(String),
    /// There is no connection any more, or there never was.
    Lost,
}

impl Session {
    pub fn open(programs: &Programs, url: &str) -> Result<Self, String> {
        let mut psql = command(programs, url);
        psql.stderr(Stdio::null());
        let mut child = psql
            .spawn()
            .map_err(|error| format!("psql does not run: {error}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(to), Some(from)) => Ok(Self {
                child,
                to,
                from: BufReader::new(from),
            }),
            _ => Err("psql has no pipes".into()),
        }
    }

    /// Runs one statement that answers nothing.
    pub fn run(&mut self, statement: &str) -> Result<(), Broken> {
        let sent = writeln!(self.to, "{statement};\n\\echo :ERROR :LAST_ERROR_MESSAGE");
        let mut line = String::new();
        let answered = sent.and_then(|()| self.from.read_line(&mut line));
        match line.trim_end().split_once(' ') {
            _ if answered.is_err() => Err(Broken::Lost),
            Some(("true", message)) => Err(Broken::Refused(message.to_owned())),
            None if line.trim_end() != "false" => Err(Broken::Lost),
            _ => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(programs: &Programs, url: &str) -> Command {
    let (url, password) = url::without_password(url);
    let mut psql = programs.command("psql");
    psql.args(["-X", "-q", "-At", "-f", "-", "-d"]).arg(url);
    psql.env("PGCLIENTENCODING", "UTF8");
    if let Some(password) = password {
        psql.env("PGPASSWORD", password);
    }
    psql.stdin(Stdio::piped()).stdout(Stdio::piped());
    psql
}
