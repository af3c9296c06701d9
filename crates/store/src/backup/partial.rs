//! A file that is not there until it is whole: it grows under another name beside its place, and goes if nothing comes
//! of it.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::BackupError;

/// A file that grows.
pub(crate) struct Partial {
    file: PathBuf,
    path: PathBuf,
    replace: bool,
    // Held open for as long as it grows: its lock tells others that somebody is at work.
    lock: File,
    kept: bool,
}

impl Partial {
    /// Begins one, or says why its place is not free. It must not lie in the folder that it is a copy of.
    pub fn begin(folder: Option<&Path>, file: &Path, replace: bool) -> Result<Self, BackupError> {
        let parent = parent(file);
        let there = fs::canonicalize(parent).map_err(BackupError::of_system(parent))?;
        let folder = folder.and_then(|folder| fs::canonicalize(folder).ok());
        if folder.is_some_and(|folder| folder == there) {
            return Err(BackupError::Inside(file.to_owned()));
        }
        if file.file_name().is_none() || file.is_dir() {
            let source = std::io::Error::from(ErrorKind::IsADirectory);
            return Err(BackupError::of_system(file)(source));
        }
        if !replace && file.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(file.to_owned()));
        }
        let path = beside(file, ".partial");
        // Left by one that was killed, or being written.
        match File::open(&path) {
            Ok(left) => match left.try_lock() {
                Ok(()) => remove(&path),
                Err(TryLockError::WouldBlock) => {
                    return Err(BackupError::BeingWritten(file.to_owned()));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(BackupError::of_system(&path)(error));
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::of_system(&path)(error)),
        }
        let lock = create(&path).map_err(BackupError::of_system(&path))?;
        if lock.try_lock().is_err() {
            return Err(BackupError::BeingWritten(file.to_owned()));
        }
        Ok(Self {
            file: file.to_owned(),
            path,
            replace,
            lock,
            kept: false,
        })
    }

    /// Where it grows.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// To write into it.
    pub fn file(&self) -> &File {
        &self.lock
    }

    /// Waits until it is on the disk.
    pub fn sync(&self) -> Result<(), BackupError> {
        self.lock
            .sync_all()
            .map_err(BackupError::of_system(&self.path))
    }

    /// Gives it its name.
    pub fn keep(mut self) -> Result<(), BackupError> {
        if self.replace {
            fs::rename(&self.path, &self.file).map_err(BackupError::of_system(&self.file))?;
        } else {
            // Unlike renaming, linking never takes the place of a file that has come meanwhile.
            match fs::hard_link(&self.path, &self.file) {
                Ok(()) => remove(&self.path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(BackupError::Exists(self.file.clone()));
                }
                // Not every file system has links.
                Err(_) if self.file.symlink_metadata().is_ok() => {
                    return Err(BackupError::Exists(self.file.clone()));
                }
                Err(_) => fs::rename(&self.path, &self.file)
                    .map_err(BackupError::of_system(&self.file))?,
            }
        }
        self.kept = true;
        sync_folder(parent(&self.file))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// Makes a file that only its owner may read: password hashes are in there.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a database's file and what SQLite may have laid beside it.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        // Most of them are not there.
        let _ = fs::remove_file(beside(path, suffix));
    }
}

/// The same name with something behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder of a file.
pub(crate) fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::of_system(folder))
}
