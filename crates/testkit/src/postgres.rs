//! A real PostgreSQL for tests: found, or started for them and gone after them.
//!
//! `TEST_POSTGRES_URL` names a server to use, whose account may create databases. Without it the machine's own programs
//! make a throw-away cluster that all test processes of one target folder share; [`Postgres::private`] makes one that a
//! test may restart and kill. Nothing here links a driver: only the store does, so databases are made with `psql`.
//!
//! ```no_run
//! let database = portreeve_testkit::postgres::Postgres::get().database();
//! database.sql("CREATE TABLE there_before (id int)");
//! let url = database.url(); // for whatever is tested
//! ```

mod certificates;
mod cluster;
mod private;
mod programs;
mod psql;
mod shared;
mod url;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use private::Private;
use programs::Programs;
use psql::{Broken, Session};

/// What to do when there is no server.
const HOW_TO_GET_ONE: &str = "Install one (Debian, Ubuntu: `cargo xtask test` does it as root, or `apt-get install postgresql`; macOS: \
`brew install postgresql`), so that `initdb` is on PATH or in /usr/lib/postgresql/*/bin, or set TEST_POSTGRES_URL to a server whose \
account may create databases.";

/// What a server of a test's own is made like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Commits are handed over for good before they are acknowledged. Off, since no test but those that kill the server needs
    /// it.
    pub durable: bool,
    /// Its files are on a disk, so that commits take as long as they do for others. In memory, where that is large enough,
    /// they survive every death but the machine's as well.
    pub on_disk: bool,
    /// Only encrypted connections are taken; [`Postgres::authority`] is whom its certificate is by.
    pub encrypted: bool,
}

/// A server.
#[derive(Clone)]
pub struct Postgres {
    server: Arc<Server>,
}

struct Server {
    programs: Programs,
    /// Of the account that makes databases, at the database it connects to for that.
    url: String,
    kind: Kind,
    session: Mutex<Option<Session>>,
}

enum Kind {
    /// Somebody else's, from the environment.
    Given,
    /// That of the target folder; the file is written to when it is used, so that it is not taken for idle.
    Shared {
        used: PathBuf,
    },
    Private(Box<Mutex<Private>>),
}

impl Postgres {
    /// The server to use. Fails the test when there is none.
    ///
    /// # Panics
    /// Without a server, saying how to get one.
    pub fn get() -> Self {
        match Self::look() {
            Ok(found) => found,
            Err(problem) => panic!("{problem}"),
        }
    }

    /// The server to use, or none after a line on stderr that says what was left out. Where tests must be complete
    /// (`REQUIRE_POSTGRES=1`, or `CI` is set), none is a failure.
    ///
    /// # Panics
    /// Without a server where one is required, saying how to get one.
    pub fn find() -> Option<Self> {
        Self::or_skip(Self::look())
    }

    /// A server of the test's own, which it may stop, restart and kill, or none in the same way. It takes a second or two
    /// to make.
    ///
    /// # Panics
    /// Without the programs where a server is required, saying how to get them.
    pub fn private(settings: Settings) -> Option<Self> {
        Self::or_skip(Programs::find().ok_or_else(none).and_then(|programs| {
            let private = Private::start(&programs, settings)?;
            let url = private.url();
            let kind = Kind::Private(Box::new(Mutex::new(private)));
            Ok(Self::of(programs, url, kind))
        }))
    }

    fn or_skip(looked: Result<Self, String>) -> Option<Self> {
        match looked {
            Ok(found) => Some(found),
            Err(problem) => {
                assert!(!required(), "{problem}");
                eprintln!("SKIPPED on PostgreSQL: {problem}");
                None
            }
        }
    }

    fn of(programs: Programs, url: String, kind: Kind) -> Self {
        Self {
            server: Arc::new(Server {
                programs,
                url,
                kind,
                session: Mutex::new(None),
            }),
        }
    }

    // Once for the process: a server that could not be started is not tried again by every test.
    fn look() -> Result<Self, String> {
        static FOUND: OnceLock<Result<Postgres, String>> = OnceLock::new();
        FOUND
            .get_or_init(|| {
                if let Some(url) = setting("TEST_POSTGRES_URL") {
                    let programs = Programs::client().ok_or("TEST_POSTGRES_URL is set, but there is no `psql` to make databases with. Install PostgreSQL's client.")?;
                    return Ok(Self::of(programs, url, Kind::Given));
                }
                let programs = Programs::find().ok_or_else(none)?;
                let shared = shared::server(&programs)?;
                Ok(Self::of(programs, shared.url, Kind::Shared { used: shared.used }))
            })
            .clone()
    }

    /// A fresh, empty database in UTF-8.
    ///
    /// # Panics
    /// When the server makes none.
    pub fn database(&self) -> TestDatabase {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Servers that are not ours keep databases of runs that were killed: names never come twice.
        let name = format!(
            "portreeve_test_{}_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed),
            cluster::drawn()
        );
        if let Kind::Shared { used } = &self.server.kind {
            shared::note_use(used);
        }
        if let Err(problem) = self.server.create(&name) {
            panic!("no database: {problem}");
        }
        TestDatabase {
            url: url::with_database(&self.server.url, &name),
            server: Arc::clone(&self.server),
            name,
        }
    }

    /// The certificate of the authority that an encrypted server's own is by, as a file. The server is `localhost` and
    /// `127.0.0.1`.
    ///
    /// # Panics
    /// When it is not [`private`](Self::private).
    pub fn authority(&self) -> PathBuf {
        let mut file = PathBuf::new();
        self.control(|private| {
            file = private.authority();
            Ok(())
        });
        file
    }

    /// Stops the server in order and starts it again, at the same address.
    ///
    /// # Panics
    /// When it is not [`private`](Self::private), or does not start.
    pub fn restart(&self) {
        self.control(|private| {
            private.stop()?;
            private.run()
        });
    }

    /// Cuts every connection and stops the server without a checkpoint; the next start recovers from the log.
    ///
    /// # Panics
    /// When it is not [`private`](Self::private).
    pub fn stop_immediate(&self) {
        self.control(Private::stop_immediate);
    }

    /// Kills the server's first process with SIGKILL, as the system does when memory ends.
    ///
    /// # Panics
    /// When it is not [`private`](Self::private).
    pub fn kill(&self) {
        self.control(Private::kill);
    }

    /// Starts the server after it was stopped or killed, at the same address.
    ///
    /// # Panics
    /// When it is not [`private`](Self::private), or does not start.
    pub fn start(&self) {
        self.control(Private::run);
    }

    fn control(&self, order: impl FnOnce(&mut Private) -> Result<(), String>) {
        let Kind::Private(private) = &self.server.kind else {
            panic!("other tests use this server too: take Postgres::private()");
        };
        let mut private = private.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(problem) = order(&mut private) {
            panic!("{problem}");
        }
    }
}

impl Server {
    // Makes or takes away a database.
    fn administer(&self, statement: &str) -> Result<(), String> {
        let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let was_there = kept.is_some();
        let mut session = match kept.take() {
            Some(session) => session,
            None => Session::open(&self.programs, &self.url)?,
        };
        match session.run(statement) {
            Ok(()) => {
                *kept = Some(session);
                Ok(())
            }
            Err(Broken::Refused(words)) => {
                *kept = Some(session);
                Err(words)
            }
            Err(Broken::Lost) => {
                drop((kept, session));
                if was_there {
                    // The server has been restarted in between.
                    self.administer(statement)
                } else {
                    // Says why.
                    psql::run(&self.programs, &self.url, statement).map(drop)
                }
            }
        }
    }

    fn create(&self, name: &str) -> Result<(), String> {
        // template0 is what nobody is connected to and nobody has put anything into.
        let plain = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        if matches!(self.kind, Kind::Given) {
            return self.administer(&plain);
        }
        // Twice as fast where nothing is written to a disk. Servers before 15 have no other way and no word for it.
        self.administer(&format!("{plain} STRATEGY file_copy"))
            .or_else(|_| self.administer(&plain))
    }
}

/// A database that goes with its test.
pub struct TestDatabase {
    server: Arc<Server>,
    url: String,
    /// Its name on the server.
    pub name: String,
}

impl TestDatabase {
    /// Where it is, with account and password, in the form that `--database` takes.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Runs statements beside whatever is tested: what was there before it, or what it left. Gives a line a record, `|`
    /// between columns.
    ///
    /// # Panics
    /// With the server's words, when one of them fails.
    pub fn sql(&self, statements: &str) -> String {
        match psql::run(&self.server.programs, &self.url, statements) {
            Ok(answer) => answer,
            Err(problem) => panic!("{problem}"),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A server of one test's own goes as a whole.
        if matches!(self.server.kind, Kind::Private(_)) {
            return;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(problem) = self.server.administer(&drop) {
            eprintln!("{} is left behind: {problem}", self.name);
        }
    }
}

fn none() -> String {
    format!("There is no PostgreSQL on this machine. {HOW_TO_GET_ONE}")
}

fn required() -> bool {
    ["REQUIRE_POSTGRES", "CI"]
        .iter()
        .filter_map(|name| setting(name))
        .any(|value| !matches!(value.as_str(), "0" | "false"))
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
