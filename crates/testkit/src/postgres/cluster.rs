//! The files of a throw-away server: where they are, whose they are, and what is set in them.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Settings;
use super::certificates;
use super::programs::Programs;

const PREFIX: &str = "portreeve-postgres-";
/// Held locked by whoever runs the server, so that others see whether it still does.
const ALIVE: &str = "alive";
/// Long enough for a machine that does much else; nothing waits this long when all is well.
const DEADLINE: Duration = Duration::from_secs(90);
/// What a run over many databases may fill, in kilobytes.
const ROOM: u64 = 2 * 1024 * 1024;

/// How the server compares text unless it is told otherwise. A language's order comes first: with that of bytes, a
/// missing COLLATE would never be noticed. Which of them there are is up to the machine.
const LOCALES: &[&[&str]] = &[
    &[
        "--locale-provider=icu",
        "--icu-locale=en-US",
        "--locale=C.UTF-8",
    ],
    &["--locale-provider=icu", "--icu-locale=en-US", "--locale=C"],
    &["--locale=en_US.UTF-8"],
    &["--locale=C.UTF-8"],
    &["--locale=C"],
];

/// A folder with a cluster in it.
pub struct Cluster {
    programs: Programs,
    /// Holds `data`, `log` and what belongs to whoever runs it.
    pub folder: PathBuf,
    account: Option<Account>,
    /// Of the superuser `postgres`, at the database of that name.
    pub url: String,
}

/// Whom the server runs as where we are root, which it refuses.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Makes one. The lock is to be kept for as long as it is used.
    pub fn create(programs: &Programs, settings: Settings) -> Result<(Self, File), String> {
        let parent = place(settings);
        sweep(&parent);
        let folder = parent.join(format!("{PREFIX}{}", drawn()));
        let alive = take(&folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let account = account(&folder)?;
        let port = free_port()?;
        let password = drawn();
        let cluster = Self {
            programs: programs.clone(),
            url: format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"),
            folder,
            account,
        };
        match cluster.fill(&password, port, settings) {
            Ok(()) => Ok((cluster, alive)),
            Err(problem) => {
                cluster.remove();
                Err(problem)
            }
        }
    }

    fn fill(&self, password: &str, port: u16, settings: Settings) -> Result<(), String> {
        let secret = self.folder.join("password");
        self.put(&secret, password)?;
        self.init(&secret)?;
        let durability = if settings.durable { "on" } else { "off" };
        // No parallel plans: where /dev/shm is small, as in containers, they fail.
        let more = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 200\n\
             fsync = {durability}\nfull_page_writes = {durability}\nmax_parallel_workers_per_gather = 0\n\
             logging_collector = off\nlc_messages = 'C'\n"
        );
        let file = self.data().join("postgresql.auto.conf");
        let told = fs::read_to_string(&file).unwrap_or_default() + &more;
        if settings.encrypted {
            self.encrypt()?;
            self.put(&file, &format!("{told}ssl = on\n"))
        } else {
            self.put(&file, &told)
        }
    }

    fn encrypt(&self) -> Result<(), String> {
        let made = certificates::make()?;
        self.put(&self.data().join("authority.crt"), &made.authority)?;
        self.put(&self.data().join("server.crt"), &made.server)?;
        self.put(&self.data().join("server.key"), &made.key)?;
        self.put(
            &self.data().join("pg_hba.conf"),
            "hostssl all all 127.0.0.1/32 scram-sha-256\n",
        )
    }

    /// The certificate of whom the server's own is by. In a folder that only the server may enter, as the rest.
    pub fn authority(&self) -> PathBuf {
        self.data().join("authority.crt")
    }

    // Writes a file that the server reads and nobody else.
    fn put(&self, file: &Path, text: &str) -> Result<(), String> {
        let written = fs::write(file, text)
            .and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(0o600)))
            .and_then(|()| self.give(file));
        written.map_err(|error| format!("{}: {error}", file.display()))
    }

    fn init(&self, secret: &Path) -> Result<(), String> {
        let mut problems = String::new();
        for locale in LOCALES {
            let mut initdb = self.command("initdb");
            initdb
                .args(["--username=postgres", "--auth=scram-sha-256", "--no-sync"])
                .args(["--encoding=UTF8", "--pgdata"])
                .arg(self.data())
                .arg("--pwfile")
                .arg(secret)
                .args(*locale)
                .stdin(Stdio::null());
            match initdb.output() {
                Ok(Output { status, .. }) if status.success() => return Ok(()),
                Ok(output) => problems = String::from_utf8_lossy(&output.stderr).into_owned(),
                Err(error) => problems = error.to_string(),
            }
            let _ = fs::remove_dir_all(self.data());
        }
        Err(format!("initdb makes no cluster: {}", problems.trim()))
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of the server's programs, as the account that owns the folder.
    pub fn command(&self, name: &str) -> Command {
        self.as_owner(self.programs.command(name))
    }

    /// Any program as the account that owns the folder.
    pub fn as_owner(&self, mut command: Command) -> Command {
        command.current_dir(&self.folder);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Lets the account that runs the server have a file of ours.
    pub fn give(&self, path: &Path) -> std::io::Result<()> {
        match self.account {
            Some(account) => std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }

    /// Waits until the server takes connections; `gone` tells that it never will. A server that has stopped may have left
    /// a file that says it is ready, so whoever knows the process names it.
    pub fn wait(&self, process: Option<u32>, mut gone: impl FnMut() -> bool) -> Result<(), String> {
        let file = self.data().join("postmaster.pid");
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines();
            let first = lines.next().and_then(|line| line.trim().parse().ok());
            let ours = process.is_none_or(|process| first == Some(process));
            if ours && lines.any(|line| line.trim() == "ready") {
                return Ok(());
            }
            if gone() || begin.elapsed() > DEADLINE {
                return Err(format!("PostgreSQL does not start: {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The last of what the server has said.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// Takes the files away.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether somebody runs a server in this folder.
pub fn is_alive(folder: &Path) -> bool {
    match File::open(folder.join(ALIVE)) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// A word that nobody else has.
pub fn drawn() -> String {
    format!("{:016x}", number())
}

// The standard library's own seeds: the word is only to differ, and the password keeps other users of this machine from a
// server that holds nothing.
fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

// In memory if possible, those that are to be durable too: a start after a kill has thousands of files to sync.
fn place(settings: Settings) -> PathBuf {
    let memory = Path::new("/dev/shm");
    if !settings.on_disk && room(memory).is_some_and(|kilobytes| kilobytes >= ROOM) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn room(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

// Named only once it is locked: in between it would look like one that was left behind.
fn take(folder: &Path) -> std::io::Result<File> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let early = folder.join("taking");
    let file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(&early)?;
    file.lock()?;
    fs::rename(early, folder.join(ALIVE))?;
    Ok(file)
}

// Takes away what runs that were killed have left.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let folder = entry.path();
        if ours && folder.join(ALIVE).exists() && !is_alive(&folder) {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

// Whoever made a folder owns it: that tells who we are.
fn account(folder: &Path) -> Result<Option<Account>, String> {
    let owner = fs::metadata(folder)
        .map_err(|error| error.to_string())?
        .uid();
    if owner != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let account = ["postgres", "nobody"]
        .iter()
        .find_map(|name| entry(&users, name))
        .ok_or("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")?;
    std::os::unix::fs::chown(folder, Some(account.uid), Some(account.gid))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Some(account))
}

fn entry(users: &str, name: &str) -> Option<Account> {
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut parts = line.split(':').skip(2);
    let uid = parts.next()?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    (uid != 0).then_some(Account { uid, gid })
}

// Below those that systems give to connections, which come and go by the thousand while the server is made or restarted.
fn free_port() -> Result<u16, String> {
    (0..100)
        .filter_map(|_| u16::try_from(20_000 + number() % 12_000).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| "no port is free".to_owned())
}
