//! Opening a data folder: the store, the policy in it, the gate in front of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use portreeve_gate::{Gate, MAX_SELECTED};
use portreeve_model::{Clock, Entropy};
use portreeve_policy::Snapshot;
use portreeve_policy::cells::TableDefinition;
use portreeve_store::{FeedLimits, Location, Notice, Store, StoreOptions, Synchronous};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::decisions::Decisions;
use crate::existing::{self, Existing};
use crate::keys::Keys;
use crate::mail::MailOptions;
use crate::passwords::Passwords;
use crate::positions::Positions;
use crate::rates::Rates;
use crate::registry::Registry;
use crate::setup::Setup;
use crate::subscribe::Subscriptions;
use crate::uses::Uses;
use crate::{DenialOptions, Faces, Portreeve, ServiceError, SubscriptionLimits, ThrottleSettings};

/// How a data folder is opened.
pub struct Options {
    /// Where the data is.
    pub location: Location,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Development mode: what everybody holds may cover rights and schema, and setup is not demanded.
    pub development: bool,
    /// For reading only, beside a process that has the folder open.
    pub read_only: bool,
    /// Whether it goes on for long: then what other programs change in the same database is followed. A command that does
    /// one thing and ends has no use for it.
    pub follows: bool,
    /// Threads for reads that are too long for the caller's own.
    pub readers: usize,
    /// PostgreSQL: how many connections at most.
    pub connections: usize,
    /// How many records of a selection one request may change.
    pub change_limit: u32,
    /// How much of the change feed is kept.
    pub feed: FeedLimits,
    /// How many subscriptions there may be.
    pub subscriptions: SubscriptionLimits,
    /// Which denials are kept.
    pub denials: DenialOptions,
    /// How mail is sent.
    pub mail: MailOptions,
    /// What differs from face to face.
    pub faces: Faces,
    /// How often one may try to sign in.
    pub throttle: ThrottleSettings,
    /// Whether the audit trail tells who signs in, and who may not.
    pub audit_sign_ins: bool,
    /// The action tables of the faces that have one.
    pub tables: Vec<TableDefinition>,
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
        Self::at(Location::Folder(folder.into()), clock, entropy)
    }

    /// The same for any place.
    pub fn at(location: Location, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            location,
            synchronous: Synchronous::Full,
            development: false,
            read_only: false,
            follows: true,
            readers: 2,
            connections: 10,
            change_limit: MAX_SELECTED,
            feed: FeedLimits::default(),
            subscriptions: SubscriptionLimits::default(),
            denials: DenialOptions::default(),
            mail: MailOptions::default(),
            faces: Faces::default(),
            throttle: ThrottleSettings::default(),
            audit_sign_ins: false,
            tables: vec![],
            clock,
            entropy,
        }
    }
}

/// Does here what other programs on the same database have done there.
async fn follow(portreeve: Weak<Portreeve>, mut notices: broadcast::Receiver<Notice>) {
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return,
        };
        let Some(portreeve) = portreeve.upgrade() else {
            return;
        };
        let notice = notice.unwrap_or_else(|| {
            // It holds for whichever connection there is that something was missed.
            Notice::Reconnected(portreeve.store.informed().unwrap_or_default())
        });
        match notice {
            Notice::Epoch { user, epoch } => portreeve.gate.advance_epoch(&user, epoch),
            Notice::Sessions => portreeve.callers.clear(),
            Notice::Policy(version) => {
                if version > portreeve.gate.snapshot().version() {
                    tokio::spawn(catch_up(Arc::clone(&portreeve)));
                }
            }
            Notice::Reconnected(connection) => {
                portreeve.gate.forget_epochs();
                portreeve.callers.begin_under(connection);
                tokio::spawn(catch_up(Arc::clone(&portreeve)));
            }
        }
        portreeve.subscriptions.rights_changed();
    }
}

// On its own: what is heard meanwhile of accounts and sessions does not wait for it.
async fn catch_up(portreeve: Arc<Portreeve>) {
    if let Err(error) = portreeve.catch_up().await {
        // Writes are refused under an older policy whatever is done here; the next notice tries again.
        tracing::error!(%error, "a change made elsewhere could not be taken over");
    }
    portreeve.subscriptions.rights_changed();
}

impl Portreeve {
    /// Opens a data folder, making it where it is missing, and puts the policy stored in it in force.
    pub async fn open(options: Options) -> Result<Arc<Self>, ServiceError> {
        let keys = Keys::new(&options.faces, options.development)?;
        let registry = Registry::new(&options.tables)?;
        let store_options = StoreOptions {
            location: options.location,
            synchronous: options.synchronous,
            readers: options.readers,
            connections: options.connections,
            feed: options.feed,
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
        };
        let store = if options.read_only {
            Store::open_read_only(store_options).await?
        } else {
            Store::open(store_options).await?
        };
        // From here on: what another program changes while this one begins must not be missed.
        let notices = store.notices();
        let stored = store.system().load_policy().await?;
        let existing = Existing::find(&store).await?;
        let (document, notes) = existing
            .complete(&stored.document, &stored.document)
            .map_err(ServiceError::BadPolicy)?;
        existing::tell(&notes);
        let snapshot =
            Snapshot::compile(&document, stored.version).map_err(ServiceError::BadPolicy)?;
        let administered = store.system().has_administrator(&snapshot).await?;
        let positions = Positions::new(store.feed_secret().await?, &*options.entropy);
        let opened = Arc::new(Self {
            positions,
            subscriptions: Arc::new(Subscriptions::new(options.subscriptions)),
            clock: options.clock,
            entropy: options.entropy,
            store,
            gate: Arc::new(
                Gate::new(snapshot, options.development).selecting_at_most(options.change_limit),
            ),
            existing,
            callers: Arc::default(),
            keys,
            rates: Rates::new(options.throttle),
            uses: Uses::default(),
            faces: options.faces,
            audit_sign_ins: options.audit_sign_ins,
            passwords: Passwords::default(),
            setup: Setup::default(),
            decisions: Decisions::new(options.denials),
            mail: options.mail,
            mail_asked: tokio::sync::Notify::new(),
            registry,
            administered: AtomicBool::new(administered),
            administration: tokio::sync::Mutex::new(()),
        });
        // Where it is connected already, nobody is told of that any more, and nobody is remembered yet.
        opened
            .callers
            .begin_under(opened.store.informed().unwrap_or_default());
        if let Some(notices) = notices.filter(|_| options.follows) {
            tokio::spawn(follow(Arc::downgrade(&opened), notices));
        }
        if options.follows && !options.read_only && opened.store.tables().await?.is_some() {
            tokio::spawn(existing::watch(Arc::downgrade(&opened)));
        }
        Ok(opened)
    }

    /// Whether an active administrator exists.
    pub fn has_administrator(&self) -> bool {
        self.administered.load(Ordering::Acquire)
    }

    // After anything that may have made one, or (never, by the law) taken the last one away.
    // Reads the stored policy where another program has put a newer one in force.
    async fn catch_up(&self) -> Result<(), ServiceError> {
        let turn = self.administration.lock().await;
        let stored = self.store.system().load_policy().await?;
        if stored.version > self.gate.snapshot().version() {
            let (document, _) = self
                .existing
                .complete(&stored.document, &stored.document)
                .map_err(ServiceError::BadPolicy)?;
            let snapshot =
                Snapshot::compile(&document, stored.version).map_err(ServiceError::BadPolicy)?;
            self.put_in_force(snapshot).await?;
        }
        drop(turn);
        self.look_for_administrator().await
    }

    // After a change that has been made. That looking fails says nothing against it, and whoever made it must not hear
    // that nothing was done; a server that has lost its database looks again when it has found it.
    pub(crate) async fn note_administrator(&self) {
        if let Err(error) = self.look_for_administrator().await {
            tracing::warn!(%error, "could not look whether there is an administrator");
        }
    }

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
