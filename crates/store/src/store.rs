//! The handle everything else holds.

use std::sync::{Arc, Mutex, PoisonError};

use portreeve_gate::{
    Aggregates, ApplyPolicy, Author, Authorized, Bind, Change, Create, Delete, Explain, Judged,
    ListUsers, Mass, Read, Reassign, Rebind, Unbind, Update,
};
use portreeve_model::{Catalog, CollectionId, FieldId, RecordSink, Value};
use portreeve_policy::{Facts, FoundSchema, Record};

use crate::work::{access, change, system, writes};
use crate::{
    AccountSummary, ChangeResult, Location, OpenError, ReadOutcome, StoreError, StoreOptions,
    System, WriteOutcome,
};
use crate::{postgres, sqlite};

/// An open database. Cheap to clone; the last clone to go ends the writer and releases the folder.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Arc<Backend>,
}

/// The two databases there are.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, and it is behind an Arc"
)]
pub(crate) enum Backend {
    Sqlite(sqlite::Database),
    Postgres(postgres::Database),
}

/// Calls the same method of whichever database it is. SQLite's answer at once is an answer like another.
macro_rules! on {
    ($store:expr, $database:ident => $sqlite:expr, $postgres:expr) => {
        match &*$store.database {
            $crate::store::Backend::Sqlite($database) => $sqlite,
            $crate::store::Backend::Postgres($database) => $postgres,
        }
    };
    ($store:expr, $database:ident => $call:expr) => {
        $crate::store::on!($store, $database => $call, $call)
    };
}
pub(crate) use on;

/// Asks a named statement, an async function over `Connection`, of whichever database it is.
macro_rules! asked {
    ($store:expr, $connection:ident => $question:expr) => {
        $crate::store::on!($store, database =>
            database.look_up(async |$connection| $question.await),
            $crate::postgres::ask!(database, $connection => $question))
    };
}
pub(crate) use asked;

/// Has a named change, an async function over `Transaction` that gives its answer and what it makes stale, made in a
/// transaction of whichever database it is. What it uses is moved into it.
macro_rules! done {
    ($store:expr, $turn:ident, $transaction:ident => $change:expr) => {
        $crate::store::on!($store, database =>
            database
                .carry_out($crate::sqlite::writer::Turn::$turn, move |$transaction| {
                    $crate::work::ready($change)
                })
                .await,
            {
                let made = $crate::postgres::in_transaction!(database, $transaction => $change);
                if made.as_ref().is_ok_and(|(_, stale)| !stale.is_nothing()) {
                    database.revoke();
                }
                made
            })
    };
}
pub(crate) use done;

/// The same for a change that makes nothing stale and gives its answer alone.
macro_rules! written {
    ($store:expr, $turn:ident, $transaction:ident => $change:expr) => {
        $crate::store::on!($store, database =>
            database
                .writer()?
                .write($crate::sqlite::writer::Turn::$turn, move |$transaction| {
                    $crate::work::ready($change)
                })
                .await,
            $crate::postgres::in_transaction!(database, $transaction => $change))
    };
}
pub(crate) use written;

/// What a committed change makes stale: the service has to tell its gate and whoever listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "whoever was admitted before would stay admitted"]
pub struct Stale {
    /// Users whose rights, status or credentials have changed, with the epoch each has now.
    pub epochs: Vec<(Arc<str>, u64)>,
    /// Whether sessions have ended.
    pub sessions: bool,
    /// The policy's version, where that has changed.
    pub policy: Option<u64>,
}

impl Stale {
    /// Sessions have ended, and nothing else.
    pub fn sessions() -> Self {
        Self {
            sessions: true,
            ..Self::default()
        }
    }

    /// Somebody's rights, status or credentials have changed, and sessions have ended or not.
    pub(crate) fn of(user: &str, epoch: u64, sessions: bool) -> Self {
        Self {
            epochs: vec![(user.into(), epoch)],
            sessions,
            ..Self::default()
        }
    }

    /// Whether everything remembered still holds.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What another program has changed in the same database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The policy has this version now.
    Policy(u64),
    /// A user's bindings, status, password or keys have changed.
    Epoch {
        /// The user.
        user: Arc<str>,
        /// His epoch now.
        epoch: u64,
    },
    /// Sessions have ended.
    Sessions,
    /// Anything may have changed: nobody was listening until the connection with this number, see [`Store::informed`].
    Reconnected(u64),
}

impl Store {
    /// Whether writes take effect in the order in which they were begun, as those of one writer do.
    pub fn writes_in_order(&self) -> bool {
        on!(self, _database => true, false)
    }

    /// Opens the database, making it (in a folder) and the product's own tables where they are missing.
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let database = match &options.location {
            Location::Folder(folder) => Backend::Sqlite(sqlite::Database::open(folder, &options)?),
            Location::File(path) => Backend::Sqlite(sqlite::Database::open_file(path, &options)?),
            Location::Postgres(url) => {
                Backend::Postgres(postgres::Database::open(url, &options, false).await?)
            }
        };
        Ok(Self {
            database: Arc::new(database),
        })
    }

    /// Opens the database for reading beside whoever has it open: the command line beside a running server.
    pub async fn open_read_only(options: StoreOptions) -> Result<Self, OpenError> {
        let database = match &options.location {
            Location::Folder(folder) => Backend::Sqlite(sqlite::Database::open_read_only(folder)?),
            Location::File(path) => Backend::Sqlite(sqlite::Database::open_file_read_only(path)?),
            Location::Postgres(url) => {
                Backend::Postgres(postgres::Database::open(url, &options, true).await?)
            }
        };
        Ok(Self {
            database: Arc::new(database),
        })
    }

    /// The tables that others have in this database; `None` where it is ours alone.
    pub async fn tables(&self) -> Result<Option<FoundSchema>, StoreError> {
        on!(self, database => database.tables(), database.tables().await.map(Some))
    }

    /// The tables of a database that nothing of ours has to be in yet, and that is left as it is.
    pub async fn tables_of(location: &Location) -> Result<Option<FoundSchema>, OpenError> {
        match location {
            Location::Folder(_) => Ok(None),
            Location::File(path) => sqlite::Database::tables_of(path).map(Some),
            Location::Postgres(url) => postgres::Database::tables_of(url).await.map(Some),
        }
    }

    /// What other programs change in the same database, from now on; none where there are no others.
    pub fn notices(&self) -> Option<tokio::sync::broadcast::Receiver<Notice>> {
        on!(self, database => {
            let _ = database;
            None
        }, Some(database.notices()))
    }

    /// The number of the connection on which what other programs change is made known here as it happens; none while
    /// nobody tells us. What was remembered under another number has to be asked anew.
    pub fn informed(&self) -> Option<u64> {
        on!(self, database => {
            let _ = database;
            Some(0)
        }, database.informed())
    }

    /// What runs before or beside a caller.
    pub fn system(&self) -> System<'_> {
        System { store: self }
    }

    /// Reads records into `sink`, which comes back with what is to be said about them. Short reads run right here, on
    /// the calling thread; one that turns out long is started over on a thread of its own.
    pub async fn read<S: RecordSink + 'static>(
        &self,
        read: &Authorized<Read>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        on!(self, database => database.read(read, sink).await)
    }

    /// Reads aggregates into `sink`, a record for each group; otherwise as [`Store::read`].
    pub async fn aggregate<S: RecordSink + 'static>(
        &self,
        aggregates: &Authorized<Aggregates>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        on!(self, database => database.aggregate(aggregates, sink).await)
    }

    /// Creates a record.
    pub async fn create(&self, create: Authorized<Create>) -> Result<WriteOutcome, StoreError> {
        written!(self, Shared, writing => writes::create(writing, &create))
    }

    /// Changes a record.
    pub async fn update(&self, update: Authorized<Update>) -> Result<WriteOutcome, StoreError> {
        written!(self, Shared, writing => writes::update(writing, &update))
    }

    /// Deletes a record.
    pub async fn delete(&self, delete: Authorized<Delete>) -> Result<WriteOutcome, StoreError> {
        written!(self, Shared, writing => writes::delete(writing, &delete))
    }

    /// Changes several records, all or none.
    pub async fn change(&self, change: Authorized<Change>) -> Result<ChangeResult, StoreError> {
        written!(self, Shared, writing => change::change(writing, &change))
    }

    /// Changes all records of a selection, or none.
    pub async fn mass(&self, mass: Authorized<Mass>) -> Result<ChangeResult, StoreError> {
        written!(self, Shared, writing => change::mass(writing, &mass))
    }

    /// Puts a policy in force: tables, roles, profiles, version and audit in one transaction. Returns the new version
    /// and what it makes stale. Publish the compiled snapshot to the gate before acknowledging it.
    pub async fn apply_policy(
        &self,
        apply: Authorized<Judged<ApplyPolicy>>,
    ) -> Result<(u64, Stale), StoreError> {
        on!(self, database => database.apply_policy(apply).await)
    }

    /// Changes roles, profiles or registration. Publish the compiled snapshot to the gate before acknowledging it.
    pub async fn author(
        &self,
        author: Authorized<Judged<Author>>,
    ) -> Result<((), Stale), StoreError> {
        let compiled = Arc::clone(&author.operation().operation().compiled);
        let made = done!(self, Alone, writing => access::author(writing, &author))?;
        on!(self, database => database.know(&compiled));
        Ok(made)
    }

    /// Binds an account to a role or profile. Gives the binding's id.
    pub async fn bind(
        &self,
        bind: Authorized<Judged<Bind>>,
    ) -> Result<(String, Stale), StoreError> {
        done!(self, Alone, writing => access::bind(writing, &bind))
    }

    /// Gives a binding other times.
    pub async fn rebind(
        &self,
        rebind: Authorized<Judged<Rebind>>,
    ) -> Result<((), Stale), StoreError> {
        done!(self, Alone, writing => access::rebind(writing, &rebind))
    }

    /// Ends a binding.
    pub async fn unbind(
        &self,
        unbind: Authorized<Judged<Unbind>>,
    ) -> Result<((), Stale), StoreError> {
        done!(self, Alone, writing => access::unbind(writing, &unbind))
    }

    /// Changes what an account is bound to, as one.
    pub async fn reassign(
        &self,
        reassign: Authorized<Judged<Reassign>>,
    ) -> Result<((), Stale), StoreError> {
        done!(self, Alone, writing => access::reassign(writing, &reassign))
    }

    /// Accounts in order of number, after the given number.
    pub async fn list_users(
        &self,
        _list: &Authorized<ListUsers>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        asked!(self, connection => system::list_users(connection, limit, after))
    }

    /// Related records for an explanation: sees everything, as a rule's own predicates do.
    pub fn facts(&self, explain: &Authorized<Explain>) -> StoreFacts {
        self.facts_for(explain.snapshot().catalog())
    }

    pub(crate) fn facts_for(&self, catalog: &Arc<Catalog>) -> StoreFacts {
        StoreFacts {
            store: self.clone(),
            catalog: Arc::clone(catalog),
            failed: Mutex::default(),
        }
    }
}

/// Records as the policy's evaluation in memory reads them.
pub struct StoreFacts {
    store: Store,
    catalog: Arc<Catalog>,
    // The first question that got no answer.
    failed: Mutex<Option<StoreError>>,
}

impl StoreFacts {
    /// The record of that key, with all its fields.
    pub async fn record(
        &self,
        collection: CollectionId,
        key: &Value,
    ) -> Result<Option<Record>, StoreError> {
        let found = self.records(collection, std::slice::from_ref(key)).await?;
        Ok(found.into_iter().next())
    }

    /// The records of those keys that there are, with all their fields.
    pub async fn records(
        &self,
        collection: CollectionId,
        keys: &[Value],
    ) -> Result<Vec<Record>, StoreError> {
        let declared = self.catalog.get(collection);
        asked!(self.store, connection => system::find_keys(connection, declared, keys))
    }

    /// Says that every question was answered. What was judged by them otherwise counts for nothing: a record that could
    /// not be read looks like one that is not there, which a rule may allow by.
    pub fn answered(&self) -> Result<(), StoreError> {
        let failed = self.failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }

    pub(crate) fn find_all(
        &self,
        collection: CollectionId,
        field: FieldId,
        value: &Value,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        let declared = self.catalog.get(collection);
        let found = on!(self.store, database => database.find(declared, field, value))?;
        Ok(found.into_iter().map(Arc::new).collect())
    }
}

impl Facts for StoreFacts {
    // The interface has no room for failure: [`StoreFacts::answered`] tells of it.
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        match self.find_all(collection, field, value) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "related records could not be read");
                let failed = self.failed.lock();
                failed
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                vec![]
            }
        }
    }
}
