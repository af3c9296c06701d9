//! The driver for PostgreSQL: a pool of connections, each operation in a transaction of its own, and one connection on
//! which the server tells what other programs have changed.

pub(crate) mod backup;
pub(crate) mod connect;
mod digest;
mod error;
mod facts;
mod feed;
mod journal;
mod listen;
mod migrations;
mod misfit;
mod records;
mod refused;
pub(crate) mod session;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use deadpool_postgres::Pool;
use portreeve_gate::{Aggregates, ApplyPolicy, Authorized, Judged, Read, Window};
use portreeve_model::{Clock, Collection, Columns, Entropy, FieldId, RecordSink, Value};
use portreeve_policy::{FoundSchema, Record, Snapshot};
use tokio::sync::broadcast;

use crate::feed::Ring;
use crate::introspect;
use crate::sql::aggregate;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::select::{self, Asked, ReadStatement};
use crate::work::{Statements, Transaction, policy, sessions, system};
use crate::{Notice, OpenError, ReadOutcome, Stale, StoreError, StoreOptions, StoredPolicy};
use connect::Address;
use facts::FactsThread;
use feed::Following;
use listen::Listening;
use records::Request;
use session::{Session, Writing};

/// A server and a database in it.
pub(crate) struct Database {
    address: Address,
    pool: Pool,
    read_statements: RwLock<HashMap<(u64, Asked), Arc<ReadStatement>>>,
    statements: Arc<Statements>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    read_only: bool,
    listening: Listening,
    facts: OnceLock<FactsThread>,
    ring: Arc<Ring>,
    following: Following,
}

/// How many read statements are kept; emptied when full.
const STATEMENTS: usize = 1_024;

/// So often a whole operation is tried when others stand in its way.
const ATTEMPTS: usize = 4;

/// Does work in a transaction of its own, and once more where somebody else's was in the way. A macro, since the work
/// borrows from its surroundings as well as the transaction.
macro_rules! in_transaction {
    ($database:ident, $writing:ident => $work:expr) => {{
        let mut attempt = 0;
        loop {
            attempt += 1;
            let transaction = $database.begin().await?;
            let $writing = &transaction;
            let done = $work.await;
            if let Some(result) = $crate::postgres::Database::end(transaction, done, attempt).await
            {
                break result;
            }
        }
    }};
}
pub(crate) use in_transaction;

/// Asks something outside of any transaction, and once more where the server's plan was made from other tables.
macro_rules! ask {
    ($database:ident, $session:ident => $question:expr) => {{
        let asked = $database.session().await?;
        let $session = &asked;
        match $question.await {
            Err($crate::StoreError::Again) => {
                asked.forget_statements();
                $question.await.map_err($crate::postgres::settled)
            }
            answer => answer,
        }
    }};
}
pub(crate) use ask;

async fn found(session: &Session) -> Result<FoundSchema, StoreError> {
    let row = session
        .client()
        .query_one(introspect::POSTGRES_SCHEMA, &[])
        .await
        .map_err(error::failure)?;
    let answer: &str = row.try_get(0).map_err(error::failure)?;
    introspect::postgres(answer).map_err(|error| StoreError::Internal(error.into()))
}

impl Database {
    pub async fn open(
        url: &str,
        options: &StoreOptions,
        read_only: bool,
    ) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let pool = address.pool(options.connections)?;
        address.greet(&pool).await?;
        let session = Session::of(&pool)
            .await
            .map_err(|error| address.unopened(error))?;
        migrations::check_server(&session, &address).await?;
        let now = (!read_only).then(|| options.clock.now());
        migrations::run(&session, &address, now).await?;
        drop(session);
        let listening = if read_only {
            Listening::off()
        } else {
            Listening::start(address.clone())
        };
        Ok(Self {
            address,
            pool,
            read_statements: RwLock::default(),
            statements: Arc::default(),
            clock: Arc::clone(&options.clock),
            entropy: Arc::clone(&options.entropy),
            read_only,
            listening,
            facts: OnceLock::new(),
            ring: Arc::new(Ring::new(options.feed)),
            following: Following::new(),
        })
    }

    /// The tables that others have in this database.
    pub async fn tables(&self) -> Result<FoundSchema, StoreError> {
        found(&Session::of(&self.pool).await?).await
    }

    /// The tables of a database that nothing of ours has to be in yet.
    pub async fn tables_of(url: &str) -> Result<FoundSchema, OpenError> {
        let address = Address::parse(url)?;
        let pool = address.pool(1)?;
        address.greet(&pool).await?;
        let looked = async { found(&Session::of(&pool).await?).await };
        looked.await.map_err(|error| address.unopened(error))
    }

    fn read_statement(
        &self,
        key: (u64, Asked),
        build: impl FnOnce() -> ReadStatement,
    ) -> Arc<ReadStatement> {
        let known = self.read_statements.read();
        if let Some(known) = known.unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let statement = Arc::new(build());
        let known = self.read_statements.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STATEMENTS {
            known.clear();
        }
        known.insert(key, Arc::clone(&statement));
        statement
    }

    pub async fn read<S: RecordSink + 'static>(
        &self,
        read: &Authorized<Read>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let operation = read.operation();
        let (plan, window) = (operation.plan(), operation.window());
        let (catalog, asked) = (read.snapshot().catalog(), Asked::of(window));
        let statement = self.read_statement((plan.id(), asked), || {
            select::read(Dialect::Postgres, catalog, plan, asked)
        });
        let binding = Binding {
            caller: operation.values(),
            ..Binding::new(read.context())
        };
        self.run(&statement, plan.columns(), binding, window, sink)
            .await
    }

    pub async fn aggregate<S: RecordSink + 'static>(
        &self,
        asked: &Authorized<Aggregates>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let operation = asked.operation();
        let (plan, window) = (operation.plan(), operation.window());
        let catalog = asked.snapshot().catalog();
        let statement = self.read_statement((plan.id(), Asked::of(window)), || {
            aggregate::aggregate(Dialect::Postgres, catalog, plan)
        });
        let binding = Binding {
            caller: operation.values(),
            ..Binding::new(asked.context())
        };
        let read = self.run(&statement, plan.columns(), binding, window, sink);
        read.await.map_err(|error| match error {
            // Nothing is stored here: the value that does not fit is one that was worked out.
            StoreError::Check => StoreError::OutOfRange,
            other => other,
        })
    }

    async fn run<S: RecordSink>(
        &self,
        statement: &ReadStatement,
        columns: &Columns,
        binding: Binding<'_>,
        window: &Window,
        mut sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let request = match window {
            Window::Key(key) => Request {
                binding: Binding {
                    key: Some(key),
                    ..binding
                },
                limit: None,
            },
            Window::Page { limit, offset } => Request {
                // One more than wanted tells whether there are more.
                binding: Binding {
                    limit: i64::from(*limit) + 1,
                    offset: i64::try_from(*offset).unwrap_or(i64::MAX),
                    ..binding
                },
                limit: Some(*limit as usize),
            },
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let session = Session::of(&self.pool).await?;
            match records::run(&session, statement, columns, &request, &mut sink).await {
                Ok(outcome) => return Ok((sink, outcome)),
                // A plan of before a change of tables, or a server that has gone in between: once more from the start.
                Err(error @ (StoreError::Again | StoreError::Unavailable))
                    if attempt < ATTEMPTS =>
                {
                    sink.reset();
                    match error {
                        StoreError::Again => session.forget_statements(),
                        _ => session.give_up(),
                    }
                }
                Err(error) => return Err(settled(error)),
            }
        }
    }

    fn writing(&self, session: Session) -> Writing {
        Writing::new(
            session,
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            Arc::clone(&self.statements),
            self.ring.limits(),
        )
    }

    pub async fn begin(&self) -> Result<Writing, StoreError> {
        if self.read_only {
            return Err(StoreError::ReadOnly);
        }
        Ok(self.writing(Session::of(&self.pool).await?))
    }

    // Ends a transaction as its work has ended: `None` where all of it is to be done once more.
    pub async fn end<T>(
        writing: Writing,
        done: Result<T, StoreError>,
        attempt: usize,
    ) -> Option<Result<T, StoreError>> {
        let error = match done {
            Ok(value) => match writing.commit().await {
                Ok(()) => return Some(Ok(value)),
                Err(error) => error,
            },
            Err(error) => {
                writing.roll_back(matches!(error, StoreError::Again)).await;
                error
            }
        };
        match error {
            // Nothing has been done before the commit, so all of it can be done once more.
            StoreError::Again | StoreError::Unavailable if attempt < ATTEMPTS => None,
            error => Some(Err(settled(error))),
        }
    }

    pub async fn apply_policy(
        &self,
        apply: Authorized<Judged<ApplyPolicy>>,
    ) -> Result<(u64, Stale), StoreError> {
        let operation = apply.operation().operation();
        // Data that falls away or is called otherwise is not in the feed record by record.
        let lost = !operation.drops.is_empty() || !operation.renames.is_empty();
        let work = async |writing: &Writing| {
            writing.alone().await?;
            // A change of tables is no change of their records.
            writing
                .change_tables("SET LOCAL portreeve.silent = 'on'")
                .await?;
            let done = policy::apply(writing, &apply).await?;
            if lost {
                feed::note_loss(writing).await?;
            }
            Ok(done)
        };
        let (version, stale) = in_transaction!(self, writing => work(writing))?;
        self.following.know(&operation.compiled);
        // Statements were made from another catalog.
        self.statements.clear();
        if !stale.epochs.is_empty() {
            self.revoke();
        }
        Ok((version, stale))
    }

    /// What is changed from now on is told by the collections of this policy.
    pub fn know(&self, snapshot: &Snapshot) {
        self.following.know(snapshot);
    }

    pub async fn session(&self) -> Result<Session, StoreError> {
        Session::of(&self.pool).await
    }

    /// Waits on the calling thread: for explanations, which ask while they think.
    pub fn find(
        &self,
        collection: &Arc<Collection>,
        field: FieldId,
        wanted: &Value,
    ) -> Result<Vec<Record>, StoreError> {
        self.facts
            .get_or_init(|| FactsThread::start(self.address.clone()))
            .find(collection, field, wanted)
    }

    pub async fn load_policy(&self) -> Result<StoredPolicy, StoreError> {
        let session = self.session().await?;
        session::snapshot(&session).await?;
        let loaded = policy::load(&session).await;
        session
            .client()
            .batch_execute("COMMIT")
            .await
            .map_err(error::failure)?;
        loaded
    }

    pub async fn expire_sessions(&self, now: i64, unused: i64) -> Result<usize, StoreError> {
        in_transaction!(self, writing => sessions::expire(writing, now, unused))
    }

    pub async fn has_administrator(&self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        ask!(self, session => system::has_administrator(session, snapshot, self.clock.now()))
    }

    pub async fn digest(&self, with_audit: bool) -> Result<[u8; 32], StoreError> {
        ask!(self, session => digest::digest(session, with_audit))
    }

    /// The change feed.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    pub async fn feed_secret(&self) -> Result<Vec<u8>, StoreError> {
        feed::secret(&self.session().await?).await
    }

    /// Tables of others are not what they were.
    pub fn tables_changed(&self, snapshot: &Snapshot) {
        self.following.know_anew(snapshot);
    }

    /// Has what is changed from now on put into the feed.
    pub async fn listen(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::ReadOnly);
        }
        self.following.know(snapshot);
        let begin = async { in_transaction!(self, writing => feed::begin(writing)) };
        let told = self.listening.changes();
        let version = snapshot.version();
        self.following
            .start(&self.pool, &self.ring, told, version, begin)
            .await
    }

    /// Has what was remembered about sessions and accounts asked anew.
    pub fn revoke(&self) {
        self.listening.revoke();
    }

    pub fn revocations(&self) -> u64 {
        self.listening.revocations()
    }

    pub fn informed(&self) -> Option<u64> {
        self.listening.connection()
    }

    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.listening.notices()
    }
}

// What is left of an error that another attempt was for.
pub(crate) fn settled(error: StoreError) -> StoreError {
    match error {
        StoreError::Again => StoreError::Busy,
        other => other,
    }
}
