//! Backups: whole copies of a store as of one moment, which say themselves what belongs into them, and stores made from
//! them again. Neither needs an open [`crate::Store`]: a backup is taken beside whoever has it open, and is put back where
//! nobody has.

mod error;
pub(crate) mod partial;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portreeve_model::{Clock, Entropy};

use crate::{Location, Store, postgres, sqlite};

pub use error::BackupError;

/// What a backup holds, as it says itself and as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// As of when, microseconds since 1970.
    pub taken: i64,
    /// The version of the program that made it.
    pub program: String,
    /// The version of the policy in it.
    pub policy_version: u64,
    /// Every table.
    pub tables: Vec<BackupTable>,
    /// SHA-256 over all of this and every row, in hexadecimal.
    pub digest: String,
}

/// A table in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupTable {
    /// Its name in the database.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over its rows, in hexadecimal.
    pub digest: String,
}

impl Backup {
    /// How many rows there are in all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// How a backup is made.
pub struct BackupOptions<'a> {
    /// Where to.
    pub file: &'a Path,
    /// Whether a file that is there is replaced.
    pub replace: bool,
    /// The version of the program that makes it.
    pub program: &'a str,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

/// How a backup is put back.
pub struct RestoreOptions<'a> {
    /// From where.
    pub file: &'a Path,
    /// Where to.
    pub location: &'a Location,
    /// Whether a database that is there is moved aside.
    pub replace: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives unpredictable bytes.
    pub entropy: Arc<dyn Entropy>,
}

/// What putting a backup back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What was put back.
    pub backup: Backup,
    /// Where it is now.
    pub place: String,
    /// How many sessions that were in it have ended.
    pub sessions_ended: u64,
    /// Where the database is that was there before.
    pub aside: Option<PathBuf>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// With what.
    pub stage: Stage,
    /// So much is done.
    pub done: u64,
    /// Of so much; 0 where that is not known.
    pub total: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows are read where they are.
    Reading,
    /// Bytes are copied.
    Copying,
    /// Rows of the copy are read.
    Checking,
}

/// Hears how far it is, and can stop it.
pub struct Watch<'a> {
    /// Set by whoever wants it to stop; everything begun is then taken back.
    pub stop: Arc<AtomicBool>,
    /// Hears how far it is.
    pub tell: &'a mut dyn FnMut(Progress),
}

impl Watch<'_> {
    pub(crate) fn tell(&mut self, stage: Stage, done: u64, total: u64) -> Result<(), BackupError> {
        (self.tell)(Progress { stage, done, total });
        if self.stop.load(Ordering::Relaxed) {
            return Err(BackupError::Stopped);
        }
        Ok(())
    }
}

impl Store {
    /// Copies the store at this place into one file, as of one moment, whether somebody has it open or not. Nobody who
    /// writes waits for it. The file appears under its name when it is whole and has been checked. It takes as long as
    /// there is data: call it where it holds up nobody.
    pub fn backup(
        location: &Location,
        options: &BackupOptions<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Backup, BackupError> {
        match location {
            Location::Folder(folder) => sqlite::backup::make(folder, options, watch),
            Location::File(_) => Err(BackupError::NotOurs),
            Location::Postgres(url) => postgres::backup::make(url, options, watch),
        }
    }

    /// Reads all of a backup and says whether it is what it was when it was made.
    pub fn check_backup(file: &Path, watch: &mut Watch<'_>) -> Result<Backup, BackupError> {
        if postgres::backup::is_archive(file) {
            postgres::backup::check(file, watch)
        } else {
            sqlite::backup::check(file, watch)
        }
    }

    /// Makes the database of a folder from a backup: all of it or nothing. Sessions in it are ended.
    pub fn restore(
        options: &RestoreOptions<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Restored, BackupError> {
        match options.location {
            Location::Folder(_) if postgres::backup::is_archive(options.file) => {
                Err(BackupError::OtherKind {
                    file: options.file.to_owned(),
                    of: "a PostgreSQL database",
                })
            }
            Location::Folder(folder) => sqlite::backup::restore(folder, options, watch),
            Location::File(_) => Err(BackupError::NotOurs),
            Location::Postgres(url) => postgres::backup::restore(url, options, watch),
        }
    }
}
