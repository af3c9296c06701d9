//! Why a backup could not be made, read or put back. The text names the place and what to do.

use std::path::{Path, PathBuf};

use crate::OpenError;

/// Why a backup could not be made, read or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{} exists already. Choose another name, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// The file would lie among the files it is a copy of.
    #[error(
        "{} lies in the data folder itself, among the files it would be a copy of. Choose another folder, best on another disk",
        .0.display()
    )]
    Inside(PathBuf),
    /// Another process is writing it.
    #[error("another backup is being written to {}. Wait for it, or choose another name", .0.display())]
    BeingWritten(PathBuf),
    /// A file or folder cannot be made, read or written.
    #[error("cannot use {}: {source}. Check that its folder exists, is writable and has room", .path.display())]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No space is left.
    #[error("there is no space left for {}; nothing of it was kept. Make room, or choose another disk", .0.display())]
    Full(PathBuf),
    /// The file is something else.
    #[error("{} is not a Portreeve backup. Name a file that `portreeve backup` has made", .0.display())]
    Foreign(PathBuf),
    /// The file is a database of ours and no backup.
    #[error(
        "{} is a Portreeve database and not a backup: nothing in it says what belongs into it. Make one from its folder with `portreeve backup FILE --data DIR`",
        .0.display()
    )]
    Unsealed(PathBuf),
    /// A newer version has made it.
    #[error("{} was made by a newer version, {program}. Use that version to restore it", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Which version.
        program: String,
    },
    /// The backup is not what it was when it was made.
    #[error("{} is damaged: {what}. Use another backup", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What shows it.
        what: String,
    },
    /// What was copied is damaged itself.
    #[error(
        "the database in {} is damaged: {what}. No backup was made of it; stop the server, keep a copy of the whole folder, and restore an earlier backup",
        .folder.display()
    )]
    SourceDamaged {
        /// The data folder.
        folder: PathBuf,
        /// What shows it.
        what: String,
    },
    /// There is a database already.
    #[error(
        "{} holds a database already. Restore into another folder with --data, or move this one aside with --force",
        .0.display()
    )]
    Occupied(PathBuf),
    /// The data folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There are tables of ours in the database already.
    #[error(
        "{0} holds Portreeve's tables already. Restore into an empty database: make one with `createdb`, and name it with --database"
    )]
    OccupiedDatabase(String),
    /// The backup is one of the other kind of database.
    #[error("{} is a backup of {of}, which goes back into one. To get from one kind of database to the other use `portreeve export --to DIR`, `portreeve apply` and `portreeve load`", .file.display())]
    OtherKind {
        /// The file.
        file: PathBuf,
        /// What it is a backup of.
        of: &'static str,
    },
    /// The file holds tables of others too.
    #[error(
        "a database file that was there before is copied with SQLite's own tool, also while it is in use: `sqlite3 FILE \".backup COPY\"`; the copy is used with --database like the file itself"
    )]
    NotOurs,
    /// It was told to stop.
    #[error("stopped; nothing was kept")]
    Stopped,
    /// The database failed.
    #[error("cannot go on with {}: {source}. Nothing of it was kept", .path.display())]
    Failed {
        /// The file that was worked on.
        path: PathBuf,
        /// What the driver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BackupError {
    /// The stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "backup_exists",
            Self::Inside(_) => "backup_inside",
            Self::BeingWritten(_) => "backup_being_written",
            Self::Unusable { .. } => "backup_unusable",
            Self::Full(_) => "disk_full",
            Self::Foreign(_) | Self::Unsealed(_) => "no_backup",
            Self::Newer { .. } => "backup_newer",
            Self::Damaged { .. } => "backup_damaged",
            Self::SourceDamaged { .. } => "data_damaged",
            Self::Occupied(_) => "data_folder_occupied",
            Self::Open(OpenError::InUse { .. }) => "locked",
            Self::Open(_) => "data_folder",
            Self::OccupiedDatabase(_) => "data_folder_occupied",
            Self::OtherKind { .. } => "backup_of_other_kind",
            Self::NotOurs => "other_tools",
            Self::Stopped => "stopped",
            Self::Failed { .. } => "backup_failed",
        }
    }

    // What an error of the system means for this file.
    pub(crate) fn of_system(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Unusable { path, source },
        }
    }
}
