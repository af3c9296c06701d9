//! Reads all of a backup and compares it with its seal. The file is somebody else's until that is done: nothing in it
//! is believed, and nothing is written to it or beside it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::contents;
use super::seal::{Found, Seal};
use super::{failed, heed};
use crate::backup::partial::beside;
use crate::backup::{Backup, BackupError, Stage, Watch};
use crate::sqlite::{migrations, open};

/// Checks a backup.
pub(crate) fn check(file: &Path, watch: &mut Watch<'_>) -> Result<Backup, BackupError> {
    // Whoever copied a database by hand has copied half of it.
    let log = beside(file, "-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        return Err(BackupError::Unsealed(file.to_owned()));
    }
    run(file, watch)
}

/// The same, whatever lies beside it.
pub(super) fn run(file: &Path, watch: &mut Watch<'_>) -> Result<Backup, BackupError> {
    let bytes = header(file)?;
    let damaged = |what: &str| BackupError::Damaged {
        file: file.to_owned(),
        what: what.to_owned(),
    };
    let failed = failed(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(&failed)?;
    open::settings(&connection).map_err(&failed)?;
    // A file that is cut off while it is mapped ends the program.
    connection
        .execute_batch("PRAGMA mmap_size = 0")
        .map_err(&failed)?;
    heed(&mut connection, watch).map_err(&failed)?;
    watch.tell(Stage::Checking, 0, 0)?;
    let sound: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(&failed)?;
    if sound != "ok" {
        return Err(damaged(
            sound
                .lines()
                .last()
                .unwrap_or("its pages do not hang together"),
        ));
    }
    let seal = match Seal::find(&connection).map_err(&failed)? {
        Found::None => return Err(BackupError::Unsealed(file.to_owned())),
        Found::Newer(program) => {
            return Err(BackupError::Newer {
                file: file.to_owned(),
                program,
            });
        }
        Found::Broken => return Err(damaged("its seal is broken")),
        Found::Seal(seal) => seal,
    };
    migrations::check_known(&connection, file).map_err(|error| match error {
        crate::OpenError::Newer { .. } => BackupError::Newer {
            file: file.to_owned(),
            program: seal.program.clone(),
        },
        other => BackupError::Open(other),
    })?;
    let total = seal.contents.tables.iter().map(|table| table.rows).sum();
    let found = contents::read(&connection, Stage::Checking, total, watch, &failed)?;
    if found != seal.contents {
        let changed = found
            .tables
            .iter()
            .find(|table| !seal.contents.tables.contains(table));
        return Err(match changed {
            Some(table) => damaged(&format!("'{}' is not what it was", table.name)),
            None => damaged("its tables are not what they were"),
        });
    }
    let version = contents::policy_version(&connection).map_err(&failed)?;
    if version != seal.policy_version {
        return Err(damaged("its policy is not the one it says"));
    }
    if points_nowhere(&connection).map_err(&failed)? {
        return Err(damaged("it has records that point at no record"));
    }
    if let Some(name) = acts_on_ours(&connection).map_err(&failed)? {
        return Err(damaged(&format!(
            "'{name}' acts on tables of the program's own, which no version of it has made"
        )));
    }
    Ok(Backup {
        file: file.to_owned(),
        bytes,
        taken: seal.taken,
        program: seal.program,
        policy_version: seal.policy_version,
        tables: seal.contents.tables,
        digest: seal.digest,
    })
}

// What can be told without a database: that it is one of ours, closed, and all there. Gives its size.
fn header(path: &Path) -> Result<u64, BackupError> {
    let unusable = |error: std::io::Error| BackupError::of_system(path)(error);
    let mut file = File::open(path).map_err(unusable)?;
    let about = file.metadata().map_err(unusable)?;
    if !about.is_file() {
        return Err(unusable(ErrorKind::IsADirectory.into()));
    }
    let mut header = vec![];
    Read::by_ref(&mut file)
        .take(100)
        .read_to_end(&mut header)
        .map_err(unusable)?;
    if header.len() < 100 || !open::is_our_header(&header) {
        return Err(BackupError::Foreign(path.to_owned()));
    }
    // 2 is the log's mode: a database that somebody has open, or had when it was copied.
    if header[18] != 1 || header[19] != 1 {
        return Err(BackupError::Unsealed(path.to_owned()));
    }
    let page = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        size => size,
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    let bytes = about.len();
    if bytes != page * u64::from(pages) {
        return Err(BackupError::Damaged {
            file: path.to_owned(),
            what: format!(
                "it has {bytes} bytes and should have {}",
                page * u64::from(pages)
            ),
        });
    }
    Ok(bytes)
}

fn points_nowhere(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_foreign_key_check)",
        [],
        |row| row.get(0),
    )
}

// A trigger or view on our own tables would run with whatever is done to them while it is put back.
fn acts_on_ours(connection: &Connection) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension;
    connection
        .query_row(
            "SELECT name FROM sqlite_schema WHERE (type = 'trigger' AND tbl_name LIKE 'portreeve\\_%' ESCAPE '\\')
             OR (type = 'view' AND name LIKE 'portreeve\\_%' ESCAPE '\\') LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
}
