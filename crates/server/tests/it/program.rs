//! Runs the program in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Long enough for a machine that does much else; nothing waits this long when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

pub const ACCESS: &str = r#"
collections:
  grades:
    key: { id: integer }
    fields:
      student: { to: users, required: true }
      score: { type: integer, required: true }
      note: text
roles:
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [student, score] }
tests:
  - name: students see their own
    as: { user: anna, roles: [student] }
    given: { grades: [{ id: 1, student: anna, score: 1 }, { id: 2, student: bo, score: 2 }] }
    expect: [{ read: grades/1, is: allow }, { read: grades/2, is: hidden }]
"#;

pub const LINES: &str = r#"{"user": {"username": "anna", "password": "anna-learns-1", "roles": ["student"]}}
{"user": {"username": "bo", "roles": ["student"]}}
{"record": {"collection": "grades", "values": {"id": 1, "student": {"user": "anna"}, "score": 90}}}
{"record": {"collection": "grades", "values": {"id": 2, "student": {"user": "bo"}, "score": 70}}}
"#;

/// A folder that goes with its test, and the program in it.
pub struct Place {
    pub folder: PathBuf,
}

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What a process of the program came to.
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        ran
    }

    /// It did what it should.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self
    }

    /// It failed with one line on stderr that says all this.
    #[track_caller]
    pub fn failed(self, said: &[&str]) -> Self {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        assert!(self.err.starts_with("portreeve: "), "{}", self.err);
        for said in said {
            assert!(self.err.contains(said), "'{said}' is missing: {}", self.err);
        }
        self
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "portreeve-cli-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// With a data folder, the access file in force, and accounts and records.
    pub fn filled() -> Self {
        let place = Self::new();
        place.write("access.yaml", ACCESS);
        place.write("lines.ndjson", LINES);
        place.run(&["apply", "access.yaml"]).good();
        place.run(&["load", "lines.ndjson"]).good();
        place
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portreeve"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PORTREEVE_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// The same with something on standard input.
    pub fn pipe(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that has failed already reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// Starts a server on a port of its own and waits until it listens.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        self.started(self.command(&all))
    }

    /// The same with a command that serves, as it is.
    pub fn started(&self, mut command: Command) -> Server {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        let mut server = Server {
            child,
            out,
            err,
            said: vec![],
            logged: vec![],
            address: String::new(),
        };
        server.address = server.wait_for("listening on http://");
        server
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A running server; it goes with its test.
pub struct Server {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    /// What it has printed so far.
    pub said: Vec<String>,
    // What was waited for in its log, and what came before.
    logged: Vec<String>,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Waits for a line that begins like this and gives the rest of it.
    #[track_caller]
    fn wait_for(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.out.recv_timeout(left) else {
                let err: Vec<String> = self.err.try_iter().collect();
                panic!("'{beginning}' was never printed: {:?} {err:?}", self.said);
            };
            let rest = line.strip_prefix(beginning).map(str::to_owned);
            self.said.push(line);
            if let Some(rest) = rest {
                return rest;
            }
        }
    }

    /// Waits for a line of the log that says this.
    #[track_caller]
    pub fn wait_for_log(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.err.recv_timeout(left) else {
                panic!("'{part}' was never logged: {:?}", self.logged);
            };
            self.logged.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Tells it to stop, waits until it has, and gives all it has logged.
    pub fn stop_and_tell(mut self) -> String {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap();
        self.logged.extend(self.err.iter());
        std::mem::take(&mut self.logged).join("\n")
    }

    /// What it printed after this beginning, before it listened.
    #[track_caller]
    pub fn said(&self, beginning: &str) -> String {
        let found = self
            .said
            .iter()
            .find_map(|line| line.strip_prefix(beginning));
        found
            .unwrap_or_else(|| panic!("'{beginning}' is not in {:?}", self.said))
            .to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop as a service manager does, and waits until it has.
    pub fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::yield_now();
        }
    }

    /// Kills it with SIGKILL: it has no say in what it leaves behind.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// One request. Gives the status and the body as JSON.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Json>,
    ) -> (u16, Json) {
        ask(&self.address, method, path, token, body).unwrap()
    }

    /// Signs in and gives the token.
    #[track_caller]
    pub fn sign_in(&self, username: &str, password: &str) -> String {
        let body = serde_json::json!({ "login": username, "password": password });
        let (status, answer) = self.ask("POST", "/v1/auth/sign-in", None, Some(body));
        assert!(status < 300, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }
}

/// One request to whoever listens there, who may be gone before there is an answer, or before all of it is sent.
pub fn ask(
    address: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Json>,
) -> std::io::Result<(u16, Json)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !body.is_empty() {
        head.push_str("content-type: application/json\r\n");
    }
    if let Some(token) = token {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    if length.is_some_and(|length: usize| body.len() < length) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{answer:?}"));
    Ok((status, serde_json::from_str(body).unwrap_or(Json::Null)))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data folder of a place, where none is named.
pub fn data(place: &Place) -> PathBuf {
    place.folder.join("portreeve-data")
}

/// Whether a file is there.
pub fn exists(path: &Path) -> bool {
    path.exists()
}
