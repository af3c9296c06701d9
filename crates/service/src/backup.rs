//! Backups of a data folder, beside whoever has it open: they need no policy, so that one can be taken of a folder whose
//! policy this program cannot read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use portreeve_model::{Clock, Entropy};
use portreeve_store::{
    Backup, BackupError, BackupOptions, Location, Progress, RestoreOptions, Restored, Store, Watch,
};

/// Hears how far it is, and can stop it.
pub struct Watching<F> {
    /// Set by whoever wants it to stop; everything begun is then taken back.
    pub stop: Arc<AtomicBool>,
    /// Hears how far it is.
    pub tell: F,
}

/// Where a backup goes.
pub struct BackupTo {
    /// Where the data is.
    pub location: Location,
    /// The file.
    pub file: PathBuf,
    /// Whether a file that is there is replaced.
    pub replace: bool,
    /// The version of the program that makes it.
    pub program: &'static str,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// From where a data folder is restored.
pub struct RestoreFrom {
    /// The backup.
    pub file: PathBuf,
    /// Where the data is.
    pub location: Location,
    /// Whether a database that is there is moved aside.
    pub replace: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives unpredictable bytes.
    pub entropy: Arc<dyn Entropy>,
}

/// Copies all that is in a data folder into one file, as of one moment, and checks the copy.
pub async fn backup(
    to: BackupTo,
    watching: Watching<impl FnMut(Progress) + Send + 'static>,
) -> Result<Backup, BackupError> {
    apart(watching, move |watch| {
        let options = BackupOptions {
            file: &to.file,
            replace: to.replace,
            program: to.program,
            clock: &*to.clock,
        };
        Store::backup(&to.location, &options, watch)
    })
    .await
}

/// Says whether a backup is what it was when it was made.
pub async fn check_backup(
    file: PathBuf,
    watching: Watching<impl FnMut(Progress) + Send + 'static>,
) -> Result<Backup, BackupError> {
    apart(watching, move |watch| Store::check_backup(&file, watch)).await
}

/// Makes a data folder from a backup. Sessions in it are ended.
pub async fn restore(
    from: RestoreFrom,
    watching: Watching<impl FnMut(Progress) + Send + 'static>,
) -> Result<Restored, BackupError> {
    apart(watching, move |watch| {
        let options = RestoreOptions {
            file: &from.file,
            location: &from.location,
            replace: from.replace,
            clock: from.clock,
            entropy: from.entropy,
        };
        Store::restore(&options, watch)
    })
    .await
}

// It takes as long as there is data, so it has a thread of its own.
async fn apart<T: Send + 'static>(
    mut watching: Watching<impl FnMut(Progress) + Send + 'static>,
    run: impl FnOnce(&mut Watch<'_>) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let running = tokio::task::spawn_blocking(move || {
        run(&mut Watch {
            stop: Arc::clone(&watching.stop),
            tell: &mut watching.tell,
        })
    });
    match running.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(BackupError::Stopped),
    }
}
