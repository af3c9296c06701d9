//! Puts a backup back: a copy is made ready beside the database's place and takes it at once. What was there before is
//! moved aside with everything that belongs to it, and while that is under way a mark keeps everybody out.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use portreeve_model::{new_uuid, timestamp_text};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::seal;
use super::{check, failed};
use crate::backup::partial::{beside, create, remove, sync_folder};
use crate::backup::{Backup, BackupError, RestoreOptions, Restored, Stage, Watch};
use crate::sqlite::{migrations, open};

/// So many bytes are copied at once.
const CHUNK: usize = 1 << 20;

/// By so much versions and epochs go forward: whatever was counted after the backup was taken, and is remembered
/// somewhere outside, must not come to mean something else.
const STRIDE: i64 = 1_000;

/// What belongs to a database beside its file.
const PARTS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Puts a backup back.
pub(crate) fn restore(
    folder: &Path,
    options: &RestoreOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Restored, BackupError> {
    // Before anything is touched.
    let before = digest(options.file)?;
    let backup = check::check(options.file, watch)?;
    let folder = Folder::take(folder)?;
    let occupied = folder.is_occupied();
    if occupied && !options.replace {
        return Err(BackupError::Occupied(folder.path.clone()));
    }
    let ready = Ready::begin(&folder.database)?;
    if copy(options.file, &ready.path, backup.bytes, watch)? != before {
        return Err(BackupError::Damaged {
            file: options.file.to_owned(),
            what: "it was changed while it was read".into(),
        });
    }
    let sessions_ended = settle(&ready.path, &backup, options)?;
    File::open(&ready.path)
        .and_then(|file| file.sync_all())
        .map_err(BackupError::of_system(&ready.path))?;
    watch.tell(Stage::Checking, backup.rows(), backup.rows())?;
    let aside = if occupied {
        Some(folder.move_aside(options)?)
    } else {
        None
    };
    fs::rename(&ready.path, &folder.database).map_err(BackupError::of_system(&folder.database))?;
    sync_folder(&folder.path)?;
    let place = folder.path.display().to_string();
    folder.keep()?;
    Ok(Restored {
        backup,
        place,
        sessions_ended,
        aside,
    })
}

// A data folder that nobody else has.
struct Folder {
    path: PathBuf,
    database: PathBuf,
    _lock: File,
    // Made for this, and to go again if nothing comes of it.
    made: bool,
}

impl Folder {
    fn take(path: &Path) -> Result<Self, BackupError> {
        let made = !path.exists();
        let (database, lock) = open::take_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
            database,
            _lock: lock,
            made,
        })
    }

    fn mark(&self) -> PathBuf {
        self.path.join(open::RESTORING)
    }

    fn is_occupied(&self) -> bool {
        PARTS
            .iter()
            .map(|part| beside(&self.database, part))
            .chain([self.mark()])
            .any(|path| path.symlink_metadata().is_ok())
    }

    // From here to `keep` the mark keeps everybody out, since the parts cannot all be moved at once.
    fn move_aside(&self, options: &RestoreOptions<'_>) -> Result<PathBuf, BackupError> {
        let mark = self.mark();
        let begun = fs::read_to_string(&mark).ok();
        let aside = match begun.filter(|name| is_aside(name)) {
            // An earlier one was interrupted, and what it moved is there: the rest belongs to it. Unless it had come
            // to its end, and what is here now is what it put back.
            Some(name) if !self.path.join(&name).join(open::FILE).exists() => name,
            Some(name) if !self.database.exists() => name,
            _ => {
                let now = timestamp_text(options.clock.now()).replace(':', "-");
                format!("{ASIDE}{now}")
            }
        };
        let folder = self.path.join(&aside);
        let made = make_private(&folder);
        made.map_err(BackupError::of_system(&folder))?;
        let _ = fs::remove_file(&mark);
        let written = create(&mark).and_then(|mut file| {
            file.write_all(aside.as_bytes())
                .and_then(|()| file.sync_all())
        });
        written.map_err(BackupError::of_system(&mark))?;
        sync_folder(&self.path)?;
        for part in PARTS {
            let from = beside(&self.database, part);
            if from.symlink_metadata().is_ok() {
                let to = beside(&folder.join(open::FILE), part);
                fs::rename(&from, &to).map_err(BackupError::of_system(&from))?;
            }
        }
        sync_folder(&folder)?;
        sync_folder(&self.path)?;
        Ok(folder)
    }

    fn keep(mut self) -> Result<(), BackupError> {
        self.made = false;
        let mark = self.mark();
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BackupError::of_system(&mark)(error));
            }
            _ => {}
        }
        sync_folder(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(self.path.join(open::LOCK));
            // Only where nothing else has come into it.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

const ASIDE: &str = "replaced-";

// What a mark names is used as a path.
fn is_aside(name: &str) -> bool {
    name.strip_prefix(ASIDE).is_some_and(|rest| {
        rest.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    })
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

// The copy that becomes the database; it goes if nothing comes of it.
struct Ready {
    path: PathBuf,
}

impl Ready {
    fn begin(database: &Path) -> Result<Self, BackupError> {
        let path = beside(database, ".restoring");
        // Left by one that was killed: the folder is ours alone.
        remove(&path);
        create(&path).map_err(BackupError::of_system(&path))?;
        Ok(Self { path })
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // Renamed where something came of it.
        remove(&self.path);
    }
}

fn digest(file: &Path) -> Result<[u8; 32], BackupError> {
    let mut from = File::open(file).map_err(BackupError::of_system(file))?;
    if !from.metadata().is_ok_and(|about| about.is_file()) {
        let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(BackupError::of_system(file)(error));
    }
    chunks(&mut from, file, |_| Ok(()))
}

// What is copied is what was checked: its digest tells.
fn copy(
    file: &Path,
    to: &Path,
    total: u64,
    watch: &mut Watch<'_>,
) -> Result<[u8; 32], BackupError> {
    let mut from = File::open(file).map_err(BackupError::of_system(file))?;
    let mut target = File::options()
        .write(true)
        .open(to)
        .map_err(BackupError::of_system(to))?;
    let mut done = 0;
    chunks(&mut from, file, |bytes| {
        target
            .write_all(bytes)
            .map_err(BackupError::of_system(to))?;
        done += bytes.len() as u64;
        watch.tell(Stage::Copying, done, total)
    })
}

fn chunks(
    from: &mut File,
    file: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<[u8; 32], BackupError> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from
            .read(&mut chunk)
            .map_err(BackupError::of_system(file))?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&chunk[..read]);
        each(&chunk[..read])?;
    }
}

// Makes a copy the present: up to date, without its seal, with nobody signed in. Gives the number of sessions that have
// ended: one that had been ended after the backup was taken, or an account's that has been disabled since, must not come
// back to life.
fn settle(path: &Path, backup: &Backup, options: &RestoreOptions<'_>) -> Result<u64, BackupError> {
    let failed = failed(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    open::settings(&connection).map_err(&failed)?;
    let now = options.clock.now();
    migrations::run(&connection, path, now)?;
    let run = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute_batch(&format!("DROP TABLE {}", seal::TABLE))?;
        let sessions = connection.execute("DELETE FROM portreeve_sessions", [])?;
        connection.execute("DELETE FROM portreeve_share_tokens", [])?;
        // Mails that waited have been sent since, and codes used.
        connection.execute("DELETE FROM portreeve_codes", [])?;
        connection.execute("DELETE FROM portreeve_mails", [])?;
        connection.execute(
            "UPDATE portreeve_policy SET version = version + ?1 WHERE version > 0",
            [STRIDE],
        )?;
        connection.execute(
            "INSERT INTO portreeve_epochs (user, epoch) SELECT id, 0 FROM portreeve_users WHERE true
             ON CONFLICT (user) DO NOTHING",
            [],
        )?;
        connection.execute("UPDATE portreeve_epochs SET epoch = epoch + ?1", [STRIDE])?;
        let detail = json!({
            "id": new_uuid(&*options.clock, &*options.entropy).to_string(),
            "taken": timestamp_text(backup.taken),
            "program": backup.program,
            "digest": backup.digest,
            "sessions_ended": sessions,
        });
        connection.execute(
            "INSERT INTO portreeve_audit (at, actor, action, target, \"after\") VALUES (?1, 'operator', 'store.restore', ?2, ?3)",
            (now, timestamp_text(backup.taken), detail.to_string()),
        )?;
        connection.execute(
            "INSERT INTO portreeve_audit_unsealed (line) VALUES (last_insert_rowid())",
            [],
        )?;
        connection.execute_batch("COMMIT")?;
        Ok(sessions as u64)
    };
    let sessions = run().map_err(&failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    Ok(sessions)
}
