//! Opening a data folder: the store, the policy in it, the gate in front of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portreeve_gate::Gate;
use portreeve_model::{Clock, Entropy};
use portreeve_policy::Snapshot;
use portreeve_store::{Store, StoreOptions, Synchronous};

use crate::callers::Callers;
use crate::passwords::Passwords;
use crate::setup::Setup;
use crate::{Portreeve, ServiceError};

/// How a data folder is opened.
pub struct Options {
    /// The folder.
    pub folder: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Development mode: what everybody holds may cover rights and schema, and setup is not demanded.
    pub development: bool,
    /// For reading only, beside a process that has the folder open.
    pub read_only: bool,
    /// Threads for reads that are too long for the caller's own.
    pub readers: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives unpredictable bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl Options {
    /// The usual options: every commit durable, closed, two reader threads.
    pub fn new(
        folder: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            folder: folder.into(),
            synchronous: Synchronous::Full,
            development: false,
            read_only: false,
            readers: 2,
            clock,
            entropy,
        }
    }
}

impl Portreeve {
    /// Opens a data folder, making it where it is missing, and puts the policy stored in it in force.
    pub async fn open(options: Options) -> Result<Arc<Self>, ServiceError> {
        let store = if options.read_only {
            Store::open_read_only(&options.folder)?
        } else {
            Store::open(StoreOptions {
                folder: options.folder,
                synchronous: options.synchronous,
                readers: options.readers,
                clock: Arc::clone(&options.clock),
                entropy: Arc::clone(&options.entropy),
            })?
        };
        let stored = store.system().load_policy().await?;
        let snapshot =
            Snapshot::compile(&stored.document, stored.version).map_err(ServiceError::BadPolicy)?;
        let administered = store.system().has_administrator(&snapshot).await?;
        Ok(Arc::new(Self {
            clock: options.clock,
            entropy: options.entropy,
            store,
            gate: Gate::new(snapshot, options.development),
            callers: Callers::default(),
            passwords: Passwords::default(),
            setup: Setup::default(),
            administered: AtomicBool::new(administered),
            administration: tokio::sync::Mutex::new(()),
        }))
    }

    /// Whether an active administrator exists.
    pub fn has_administrator(&self) -> bool {
        self.administered.load(Ordering::Acquire)
    }

    // After anything that may have made one, or (never, by the law) taken the last one away.
    pub(crate) async fn look_for_administrator(&self) -> Result<(), ServiceError> {
        let administered = self
            .store
            .system()
            .has_administrator(&self.gate.snapshot())
            .await?;
        self.administered.store(administered, Ordering::Release);
        Ok(())
    }
}
