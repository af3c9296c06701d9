//! The product: its release binary, filled with the same records as the floor.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::data::{ACCESS, PASSWORD, write_lines};
use super::load::{ask, get, post};
use crate::process::{Running, finish};

/// No start takes longer.
const LONGEST_START: Duration = Duration::from_secs(30);

/// The binary, and a data folder to start copies of.
pub struct Product {
    binary: PathBuf,
    folder: PathBuf,
    access: PathBuf,
    /// How many records a second were loaded.
    pub loaded: f64,
}

/// Where the product keeps its data.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In a PostgreSQL database, by its URL.
    Database(&'a str),
}

/// A server that answers.
pub struct Server {
    running: Running,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start to the first answer, in seconds.
    pub ready: f64,
}

/// Somebody who has signed in.
pub struct Session {
    /// The account's id.
    pub user: String,
    /// What requests show.
    pub token: String,
}

impl Product {
    /// The binary beside this program, where it has been built.
    pub fn binary() -> Option<PathBuf> {
        let own = std::env::current_exe().ok()?;
        let binary = own
            .with_file_name("portreeve")
            .with_extension(std::env::consts::EXE_EXTENSION);
        binary.is_file().then_some(binary)
    }

    /// Makes a data folder with the records in it.
    pub fn prepare(binary: PathBuf, scratch: &Path, rows: usize) -> Result<Self> {
        let product = Self {
            folder: scratch.join("product"),
            access: scratch.join("access.yaml"),
            binary,
            loaded: 0.0,
        };
        std::fs::write(&product.access, ACCESS)?;
        let lines = scratch.join("records.ndjson");
        write_lines(&lines, rows)?;
        let place = Place::Folder(&product.folder);
        finish(
            product
                .command_at("init", place)
                .args(["--synchronous", "normal"]),
        )?;
        product.apply(place, &product.access)?;
        let start = Instant::now();
        product.load(place, &lines)?;
        let loaded = rows as f64 / start.elapsed().as_secs_f64();
        Ok(Self { loaded, ..product })
    }

    /// Puts an access document in force.
    pub fn apply(&self, place: Place<'_>, access: &Path) -> Result<()> {
        finish(self.command_at("apply", place).arg(access))
    }

    /// Loads lines.
    pub fn load(&self, place: Place<'_>, lines: &Path) -> Result<()> {
        finish(
            self.command_at("load", place)
                .arg(lines)
                .args(["--synchronous", "normal"]),
        )
    }

    fn command_at(&self, task: &str, place: Place<'_>) -> Command {
        let mut command = self.command(task);
        match place {
            Place::Folder(folder) => command.arg("--data").arg(folder),
            Place::Database(url) => command.arg("--database").arg(url),
        };
        command
    }

    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(&self.binary);
        // Nothing of the surroundings counts.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PORTREEVE_") {
                command.env_remove(name);
            }
        }
        command.arg(task);
        command
    }

    /// Starts on a fresh copy of the folder.
    pub fn start(&self, copy: &Path, synchronous: &str) -> Result<Server> {
        copy_folder(&self.folder, copy)?;
        self.serve(Place::Folder(copy), synchronous)
    }

    /// Starts on a folder with nothing but the access document.
    pub fn start_empty(&self, folder: &Path) -> Result<Server> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        self.apply(Place::Folder(folder), &self.access)?;
        self.serve(Place::Folder(folder), "full")
    }

    /// Starts on what is there.
    pub fn serve(&self, place: Place<'_>, synchronous: &str) -> Result<Server> {
        let address = free_address()?;
        // Everybody signs in from one address here, and faster than anybody does.
        let config = self.access.with_file_name("benches.toml");
        let off = "[throttle]\nper_address = 0\nper_name_and_address = 0\nper_name = 0\n";
        std::fs::write(&config, off)?;
        let start = Instant::now();
        let running = Running::start(
            self.command_at("serve", place)
                .arg("--config")
                .arg(&config)
                .args(["--synchronous", &synchronous.to_lowercase()])
                .args(["--listen", &address.to_string()]),
        )?;
        wait(address, start)?;
        Ok(Server {
            running,
            address,
            ready: start.elapsed().as_secs_f64(),
        })
    }

    /// How large the binary is, in bytes.
    pub fn size(&self) -> Result<f64> {
        Ok(std::fs::metadata(&self.binary)?.len() as f64)
    }
}

impl Server {
    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Signs somebody in.
    pub fn sign_in(&self, login: &str) -> Result<Session> {
        let (status, body) = ask(self.address, &sign_in_request(login))?;
        ensure!(status == 200, "{login} cannot sign in: {status} {body}");
        let body: Value = serde_json::from_str(&body)?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no token");
        Ok(Session {
            user: text(&body["user"]["id"])?,
            token: text(&body["token"])?,
        })
    }
}

/// The request that signs somebody in.
pub fn sign_in_request(login: &str) -> Vec<u8> {
    let body = json!({ "login": login, "password": PASSWORD }).to_string();
    post("/v1/auth/sign-in", None, &body)
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?)
}

/// Waits until a server answers that it is well.
pub fn wait(address: SocketAddr, start: Instant) -> Result<()> {
    let request = get("/healthz", "");
    // Without a token: an empty one is none.
    let request = String::from_utf8_lossy(&request).replace("authorization: Bearer \r\n", "");
    while start.elapsed() < LONGEST_START {
        if std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).is_ok()
            && let Ok((200, _)) = ask(address, request.as_bytes())
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    bail!("the server at {address} has not answered within {LONGEST_START:?}")
}

/// Copies a data folder that nobody has open.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        ensure!(
            entry.file_type()?.is_file(),
            "{} is no file",
            entry.path().display()
        );
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
