//! Where a world is stored: a folder, or a database, of its own.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use portreeve_store::Location;

use crate::postgres::{Postgres, TestDatabase};

/// A folder of its own that goes away again; in memory where the machine has such a place.
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that does not exist yet.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Self(base.join(format!("portreeve-testkit-{}-{number}", std::process::id())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind does no harm, and a test must not fail for it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The embedded database.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl On {
    /// Its column in the matrix of suites and stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A place for data that goes away again.
pub(super) enum Home {
    Folder(Folder),
    Database(Option<TestDatabase>),
}

thread_local! {
    // Making and dropping a database waits for checkpoints, and a property asks for hundreds: the next world of a test
    // gets the last one's, emptied. They are dropped with the test's thread.
    static SPARE: RefCell<Vec<TestDatabase>> = const { RefCell::new(vec![]) };
}

/// Leaves a database as it is when it is new.
const EMPTY: &str = "DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$; CREATE SCHEMA public";

impl Home {
    pub fn new(on: On) -> Self {
        match on {
            On::Sqlite => Self::Folder(Folder::new()),
            On::Postgres => {
                let spare = SPARE.with_borrow_mut(Vec::pop);
                let database = spare.inspect(|database| {
                    database.sql(EMPTY);
                });
                Self::Database(database.or_else(|| Some(Postgres::get().database())))
            }
        }
    }

    pub fn location(&self) -> Location {
        match self {
            Self::Folder(folder) => Location::Folder(folder.path().to_owned()),
            Self::Database(database) => {
                let database = database.as_ref().expect("there until it is dropped");
                Location::Postgres(database.url())
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Self::Database(database) = self
            && let Some(database) = database.take()
        {
            // Where the thread has ended there is no place for it, and it goes.
            let _ = SPARE.try_with(|spare| spare.borrow_mut().push(database));
        }
    }
}
