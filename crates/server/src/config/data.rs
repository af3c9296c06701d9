//! `[data]`: where records are kept, and how safely.

use std::path::PathBuf;

use portreeve_service::{Location, Synchronous};
use serde::Deserialize;

/// Where records are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder.
    pub folder: PathBuf,
    /// A PostgreSQL database, by its URL, instead of the folder.
    pub database: Option<String>,
    /// How many connections to it at most.
    pub connections: usize,
    /// What a commit waits for.
    pub synchronous: Durability,
    /// Threads for reads that are too long for the thread of their request.
    pub readers: usize,
    /// Lines of JSON to load once.
    pub load: Option<PathBuf>,
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
    /// The place, in the service's word.
    pub fn location(&self) -> Location {
        match &self.database {
            Some(url) => Location::Postgres(url.clone()),
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

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("portreeve-data"),
            database: None,
            connections: 10,
            synchronous: Durability::Full,
            readers: 2,
            load: None,
        }
    }
}
