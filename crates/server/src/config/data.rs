//! `[data]`: where records are kept, and how safely.

use std::num::NonZeroU32;
use std::path::PathBuf;

use portreeve_service::{Location, MAX_SELECTED, Synchronous};
use serde::Deserialize;

use super::secret;
use crate::fail::Failure;

/// Where records are kept.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder.
    pub folder: PathBuf,
    /// A database that is there already instead of the folder: a PostgreSQL URL, or an SQLite file.
    pub database: Option<String>,
    /// A file with its URL in the first line.
    pub database_file: Option<PathBuf>,
    /// How many connections to it at most.
    pub connections: usize,
    /// What a commit waits for.
    pub synchronous: Durability,
    /// Threads for reads that are too long for the thread of their request.
    pub readers: usize,
    /// How many records a change by filter may be about.
    pub change_limit: NonZeroU32,
    /// Lines of JSON to load once.
    pub load: Option<PathBuf>,
}

// Never the database's URL, which may hold a password.
impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Data({})", self.folder.display())
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The disk.
    #[default]
    Full,
    /// The operating system.
    Normal,
}

impl From<Synchronous> for Durability {
    fn from(synchronous: Synchronous) -> Self {
        match synchronous {
            Synchronous::Full => Self::Full,
            Synchronous::Normal => Self::Normal,
        }
    }
}

impl Data {
    /// Takes the database's URL out of its file.
    pub fn resolve(&mut self, development: bool) -> Result<(), Failure> {
        let Some(file) = &self.database_file else {
            return Ok(());
        };
        if self.database.is_some() {
            let line = "data.database is given twice, as itself and in data.database_file";
            return Err(Failure::error("bad_config", line));
        }
        let url = secret::first_line("data.database_file", file, development)?;
        self.database = Some(url.trim().to_owned());
        Ok(())
    }

    /// The place, in the service's word.
    pub fn location(&self) -> Location {
        match &self.database {
            Some(database) => location(database),
            None => Location::Folder(self.folder.clone()),
        }
    }

    /// What a commit waits for, in the service's word.
    pub fn synchronous(&self) -> Synchronous {
        match self.synchronous {
            Durability::Full => Synchronous::Full,
            Durability::Normal => Synchronous::Normal,
        }
    }
}

// `postgres://…`, `sqlite:PATH`, or a path alone. What begins like another URL is left to the one that refuses it, without
// showing it: there may be a password in it.
fn location(database: &str) -> Location {
    if let Some(path) = database.strip_prefix("sqlite:") {
        return Location::File(path.strip_prefix("//").unwrap_or(path).into());
    }
    if database.contains("://") {
        Location::Postgres(database.to_owned())
    } else {
        Location::File(database.into())
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("portreeve-data"),
            database: None,
            database_file: None,
            connections: 10,
            synchronous: Durability::Full,
            readers: 2,
            change_limit: NonZeroU32::new(MAX_SELECTED).unwrap_or(NonZeroU32::MIN),
            load: None,
        }
    }
}
