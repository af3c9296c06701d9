//! How a store is opened.

use std::path::PathBuf;
use std::sync::Arc;

use portreeve_model::{Clock, Entropy};

use crate::FeedLimits;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where the data is.
    pub location: Location,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// How many threads run the reads that are too long for the caller's own.
    pub readers: usize,
    /// PostgreSQL: how many connections at most.
    pub connections: usize,
    /// How much of the change feed is kept.
    pub feed: FeedLimits,
    /// Tells the time for keys and administrative records.
    pub clock: Arc<dyn Clock>,
    /// Gives the random part of keys.
    pub entropy: Arc<dyn Entropy>,
}

impl StoreOptions {
    /// The usual options for a folder: every commit durable, two reader threads.
    pub fn new(
        folder: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self::at(Location::Folder(folder.into()), clock, entropy)
    }

    /// The same for any place.
    pub fn at(location: Location, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            location,
            synchronous: Synchronous::Full,
            readers: 2,
            connections: 10,
            feed: FeedLimits::default(),
            clock,
            entropy,
        }
    }
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An embedded database in this folder; the folder is made, with its parents, where it is missing.
    Folder(PathBuf),
    /// A database file that is there already and may hold tables of others; the product's own come beside them.
    File(PathBuf),
    /// A PostgreSQL database, by its URL.
    Postgres(String),
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The disk: what was answered survives a power failure.
    #[default]
    Full,
    /// The operating system: what was answered survives a crash of the program; a power failure may take back the
    /// last moments, never tear the database.
    Normal,
}
