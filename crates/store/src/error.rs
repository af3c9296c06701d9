//! What can go wrong, without status codes. Messages never hold values of records.

use portreeve_model::FieldId;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two records would share a value. The fields are named only where all of them were sent.
    #[error("another record has this value already")]
    Unique {
        /// The fields concerned; empty where naming them would tell about fields that were not sent.
        fields: Vec<FieldId>,
    },
    /// The record is still pointed at, or points at nothing.
    #[error("another record depends on this one, or the one it points at is not there")]
    ForeignKey,
    /// A field that must have a value has none.
    #[error("a required field has no value")]
    NotNull {
        /// The field.
        field: FieldId,
    },
    /// A value that was sent is none that its column takes.
    #[error("a value does not fit its field")]
    Misfit {
        /// The field.
        field: FieldId,
    },
    /// The record, or a value that was not sent, does not fit.
    #[error("a value does not fit its field")]
    Check,
    /// The database server cannot be reached, or is not ready.
    #[error("the database cannot be reached")]
    Unavailable,
    /// The connection broke in the moment of the commit: it may have been done.
    #[error("the connection to the database broke; whether it was done is not known")]
    Unknown,
    /// It has to be done once more from the beginning: somebody else's work stood in the way.
    #[error("the database is busy")]
    Again,
    /// A table or column that was there before is not there any more, or not as it was.
    #[error("a table has changed")]
    SchemaChanged,
    /// Too much is waiting already.
    #[error("the database is busy")]
    Busy,
    /// No space is left.
    #[error("the disk is full")]
    Full,
    /// The read took longer than it may.
    #[error("the read took too long")]
    TooSlow,
    /// A sum is too large or too small for its type.
    #[error("a sum is out of range")]
    OutOfRange,
    /// This store was opened for reading only.
    #[error("the data folder was opened for reading only")]
    ReadOnly,
    /// The policy or the caller's rights have changed since the operation was authorized: admit and authorize anew.
    #[error("rights have changed since this was authorized")]
    VersionChanged,
    /// The account is not there (any more).
    #[error("there is no such account")]
    Gone,
    /// There is an administrator already.
    #[error("there is an administrator already")]
    AdministratorExists,
    /// No administrator would be left.
    #[error("no active administrator would be left")]
    LastAdministrator,
    /// What is stored makes it go beyond the caller's own rights.
    #[error("this goes beyond the caller's own rights")]
    Beyond,
    /// Accounts are bound to what would fall away.
    #[error("it is held")]
    Held {
        /// What: `role 'student'`.
        what: String,
        /// The names of those accounts.
        holders: Vec<String>,
    },
    /// An account would be called like an address that is not its own.
    #[error("a username must not contain '@', unless it is the account's own e-mail address")]
    NameIsAddress,
    /// The tables cannot be changed like this; the text names the collection, the field and the way out.
    #[error("{0}")]
    Schema(String),
    /// The database file is damaged, or holds what this program did not write.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The store has been closed, or its writer has ended.
    #[error("the store is closed")]
    Closed,
    /// Anything else. The source is for the log, never for a caller.
    #[error("the database failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a data folder could not be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or file cannot be made, read or written.
    #[error(
        "cannot use {path}: {source}. Check that the folder exists on a writable disk and belongs to the user that runs this program"
    )]
    Unusable {
        /// The folder or file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The database file is not one of ours.
    #[error(
        "{path} is not a Portreeve database. Choose another data folder with --data, or move the file away"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// Another process has the folder.
    #[error(
        "{path} is in use by process {pid}. Stop that process, or choose another data folder with --data"
    )]
    InUse {
        /// The folder.
        path: String,
        /// The other process, as it has written it down; `unknown` where it has not.
        pid: String,
    },
    /// A newer version of the program has written the database.
    #[error(
        "{path} was written by a newer version (its tables are at {found}, this program knows {known}). Install that version again"
    )]
    Newer {
        /// The file.
        path: String,
        /// The number of its last migration.
        found: i64,
        /// The number this program knows.
        known: i64,
    },
    /// A migration that has run is not the one this program has.
    #[error(
        "{path}: migration {number} was changed after it had run. Install the version that wrote this database"
    )]
    Changed {
        /// The file.
        path: String,
        /// The migration.
        number: i64,
    },
    /// The address of a database server cannot be read.
    #[error("the database URL cannot be used: {problem}")]
    Address {
        /// What is wrong with it; never the URL itself, which may hold a password.
        problem: String,
    },
    /// The server is not one we can work with.
    #[error("{address}: {problem}")]
    Unfit {
        /// The server, without its password.
        address: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The database was being replaced by a backup, and has not been.
    #[error(
        "{path}: a restore has not come to its end. Run `portreeve restore FILE --force` again; what was there before is in its folder {aside}"
    )]
    HalfRestored {
        /// The folder.
        path: String,
        /// The folder in it with what was there before.
        aside: String,
    },
    /// There is nothing to read yet.
    #[error("{path} does not exist. Start the server once, or run `portreeve init`")]
    Missing {
        /// The file.
        path: String,
    },
    /// An existing database that nobody has put in our care yet.
    #[error(
        "{path} holds no accounts and rights yet. Start the server on it once, or run `portreeve init`"
    )]
    Untouched {
        /// The file.
        path: String,
    },
    /// There is no such database.
    #[error(
        "there is no database {path}. --database names one that is there; leave it out to keep data in a folder of its own"
    )]
    NoDatabase {
        /// The file.
        path: String,
    },
    /// The file is something else.
    #[error("{path} is no SQLite database")]
    NotADatabase {
        /// The file.
        path: String,
    },
    /// The database failed while it was opened.
    #[error("cannot open {path}: {source}")]
    Failed {
        /// The file.
        path: String,
        /// What the driver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
