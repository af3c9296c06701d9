//! Backups of the embedded database: a plain database file again, with a seal in it that says what belongs into it.

mod check;
mod contents;
mod restore;
mod seal;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::backup::{Backup as Copy, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{migrations, open};
use crate::OpenError;
use crate::backup::partial::Partial;
use crate::backup::{Backup, BackupError, BackupOptions, Stage, Watch};
use seal::Seal;

pub(crate) use check::check;
pub(crate) use restore::restore;

/// So many pages are copied between two looks at whether to stop.
const PAGES: i32 = 512;

/// So many instructions of SQLite's machine pass between two looks at whether to stop.
const STRIDE: i32 = 100_000;

/// Copies the database of a folder into a file.
pub(crate) fn make(
    folder: &Path,
    options: &BackupOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Backup, BackupError> {
    made(folder, options, watch).map_err(|error| match error {
        // What is wrong with an exact copy is wrong with what it was copied from.
        BackupError::Damaged { what, .. } => BackupError::SourceDamaged {
            folder: folder.to_owned(),
            what,
        },
        other => other,
    })
}

fn made(
    folder: &Path,
    options: &BackupOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Backup, BackupError> {
    let path = folder.join(open::FILE);
    open::check_restored(folder)?;
    if !open::is_ours(&path)? {
        return Err(OpenError::Missing {
            path: path.display().to_string(),
        }
        .into());
    }
    let partial = Partial::begin(Some(folder), options.file, options.replace)?;
    let mut source = open::read_connection(&path).map_err(failed(&path))?;
    migrations::check_known(&source, &path)?;
    heed(&mut source, watch).map_err(failed(&path))?;
    // This is the moment: what was committed before is in the copy, and nothing of what comes after. In the log's mode
    // a reader holds up nobody who writes.
    source
        .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
        .map_err(failed(&path))?;
    let taken = options.clock.now();
    copy(&source, partial.path(), watch)?;
    let contents = contents::read(&source, Stage::Reading, 0, watch, failed(&path))?;
    let policy_version = contents::policy_version(&source).map_err(failed(&path))?;
    drop(source);
    let seal = Seal::new(taken, options.program, policy_version, contents);
    seal.write(partial.path()).map_err(failed(partial.path()))?;
    partial.sync()?;
    // The copy as whoever restores it will read it.
    let checked = check::run(partial.path(), watch)?;
    partial.keep()?;
    Ok(Backup {
        file: options.file.to_owned(),
        ..checked
    })
}

// Page by page, all of the moment at which the source's transaction began.
fn copy(source: &Connection, to: &Path, watch: &mut Watch<'_>) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(failed(to))?;
    // Nothing of it counts until it is whole: it is written to the disk once, at the end.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(failed(to))?;
    let copying = Copy::new(source, &mut target).map_err(failed(to))?;
    loop {
        let step = copying.step(PAGES).map_err(failed(to))?;
        let progress = copying.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or(0);
        let total = pages(progress.pagecount);
        watch.tell(
            Stage::Copying,
            total.saturating_sub(pages(progress.remaining)),
            total,
        )?;
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            // Nobody else knows the file, and readers wait for nobody.
            _ => {
                return Err(BackupError::BeingWritten(to.to_owned()));
            }
        }
    }
    drop(copying);
    target.close().map_err(|(_, error)| failed(to)(error))
}

/// Lets whoever watches stop what a connection does.
fn heed(connection: &mut Connection, watch: &Watch<'_>) -> rusqlite::Result<()> {
    let stop = Arc::clone(&watch.stop);
    connection.progress_handler(STRIDE, Some(move || stop.load(Ordering::Relaxed)))
}

/// What an error of the driver means for this file.
fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => BackupError::Stopped,
        Some(ErrorCode::DiskFull) => BackupError::Full(path.clone()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => BackupError::Damaged {
            file: path.clone(),
            what: error.to_string(),
        },
        _ => BackupError::Failed {
            path: path.clone(),
            source: error.into(),
        },
    }
}
