//! A connection to PostgreSQL as the work written for both databases sees it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use deadpool_postgres::{Object, Pool};
use futures_util::future::join;
use portreeve_model::{
    Catalog, Clock, Collection, CollectionId, Entropy, FieldId, FieldType, KeySource, Value,
};
use portreeve_policy::Snapshot;
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use super::connect::unavailable;
use super::error::{constraint, failure};
use super::journal::Journal;
use super::misfit::checked;
use super::values::{Raw, slot_type};
use crate::StoreError;
use crate::feed::FeedLimits;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::work::{Connection, Parameter, Row, Statements, Transaction};

/// The advisory lock that stands for the policy and everybody's epochs: "portreev". Writes share it; who changes one
/// of them has it alone.
pub(crate) const LOCK: i64 = 0x706f_7274_7265_6576;

/// So many statements are kept prepared on a connection.
const PREPARED: usize = 1_024;

/// A connection outside of any transaction of ours.
pub(crate) struct Session {
    client: Object,
}

impl Session {
    pub async fn of(pool: &Pool) -> Result<Self, StoreError> {
        let client = pool.get().await.map_err(unavailable)?;
        // Statements pile up where policies change often.
        if client.statement_cache.size() > PREPARED {
            client.statement_cache.clear();
        }
        Ok(Self { client })
    }

    pub fn client(&self) -> &Object {
        &self.client
    }

    pub async fn prepare(&self, sql: &str) -> Result<Statement, StoreError> {
        self.client.prepare_cached(sql).await.map_err(failure)
    }

    /// A generated statement. The types of its parameters are said, since it may have some that its text does not use.
    pub async fn prepare_fragment(&self, fragment: &Fragment) -> Result<Statement, StoreError> {
        let types: Vec<Type> = fragment.slots.iter().map(slot_type).collect();
        self.client
            .prepare_typed_cached(&fragment.sql, &types)
            .await
            .map_err(failure)
    }

    /// The server's plans were made from tables that have changed since.
    pub fn forget_statements(&self) {
        self.client.statement_cache.clear();
    }

    /// Gives the connection up, with whatever is under way on it.
    pub fn give_up(self) {
        drop(Object::take(self.client));
    }

    async fn ask_raw(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let statement = self.prepare(&Dialect::Postgres.system(sql)).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|parameter| parameter as &(dyn ToSql + Sync))
            .collect();
        self.client
            .query(&statement, &parameters)
            .await
            .map_err(failure)
    }
}

/// The values of a row whose columns are of these types.
pub(super) fn decoded(
    row: &tokio_postgres::Row,
    types: &[FieldType],
) -> Result<Vec<Value>, StoreError> {
    let types = types.iter().enumerate();
    types
        .map(|(place, ty)| {
            row.try_get::<_, Raw<'_>>(place)
                .map_err(failure)?
                .value(Some(*ty))
        })
        .collect()
}

fn untyped(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    (0..row.len())
        .map(|place| {
            row.try_get::<_, Raw<'_>>(place)
                .map_err(failure)?
                .value(None)
        })
        .collect::<Result<_, _>>()
        .map(Row)
}

impl Connection for Session {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn rows(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        types: &[FieldType],
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let statement = self.prepare_fragment(fragment).await?;
        let bound: Vec<_> = fragment.slots.iter().map(|slot| binding.of(slot)).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = bound
            .iter()
            .map(|bound| bound as &(dyn ToSql + Sync))
            .collect();
        let rows = self
            .client
            .query(&statement, &parameters)
            .await
            .map_err(failure)?;
        rows.iter().map(|row| decoded(row, types)).collect()
    }

    async fn ask(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        let rows = self.ask_raw(sql, parameters).await?;
        rows.iter().map(untyped).collect()
    }

    async fn ask_named(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(Vec<Arc<str>>, Vec<Row>), StoreError> {
        let rows = self.ask_raw(sql, parameters).await?;
        let names = rows.first().map_or(vec![], |row| {
            let columns = row.columns().iter();
            columns.map(|column| Arc::from(column.name())).collect()
        });
        Ok((names, rows.iter().map(untyped).collect::<Result<_, _>>()?))
    }

    async fn epoch(&self, user: &str) -> Result<u64, StoreError> {
        let sql = "SELECT epoch FROM portreeve_epochs WHERE \"user\" = ?1";
        let rows = self.ask(sql, &[user.into()]).await?;
        rows.first().map_or(Ok(0), |row| row.unsigned(0))
    }
}

/// A transaction. Dropped before its end it takes the connection with it, and the server undoes it.
pub(crate) struct Writing {
    session: Option<Session>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    statements: Arc<Statements>,
    begun: AtomicU8,
    marks: AtomicU32,
    // How many of them the server knows.
    marked: AtomicU32,
    // Whether the savepoint of the last write is still there.
    saved: AtomicBool,
    journal: Journal,
}

const NOT_BEGUN: u8 = 0;
const SHARED: u8 = 1;
const ALONE: u8 = 2;

impl Writing {
    pub fn new(
        session: Session,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        statements: Arc<Statements>,
        feed: FeedLimits,
    ) -> Self {
        Self {
            session: Some(session),
            clock,
            entropy,
            statements,
            begun: AtomicU8::new(NOT_BEGUN),
            marks: AtomicU32::new(0),
            marked: AtomicU32::new(0),
            saved: AtomicBool::new(false),
            journal: Journal::new(feed),
        }
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn session(&self) -> Result<&Session, StoreError> {
        self.session.as_ref().ok_or(StoreError::Closed)
    }

    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        let client = self.session()?.client();
        client.batch_execute(sql).await.map_err(failure)
    }

    // The savepoints of marks that the server does not know yet.
    fn pending_marks(&self) -> String {
        let marks = self.marks.load(Ordering::Relaxed);
        let marked = self.marked.swap(marks, Ordering::Relaxed);
        (marked..marks)
            .map(|number| format!("SAVEPOINT mark_{number}; "))
            .collect()
    }

    // For whatever changes something.
    async fn marked(&self) -> Result<&Session, StoreError> {
        let session = self.begun().await?;
        let marks = self.pending_marks();
        if !marks.is_empty() {
            self.batch(&marks).await?;
        }
        Ok(session)
    }

    async fn begun(&self) -> Result<&Session, StoreError> {
        if self.begun.load(Ordering::Relaxed) == NOT_BEGUN {
            self.batch("BEGIN").await?;
            self.begun.store(SHARED, Ordering::Relaxed);
        }
        self.session()
    }

    /// Makes it last. Where the connection breaks in this moment, nobody can say whether it has.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.begun.load(Ordering::Relaxed) == NOT_BEGUN {
            self.session = None;
            return Ok(());
        }
        self.note().await?;
        match self.batch("COMMIT").await {
            Ok(()) => {
                self.session = None;
                Ok(())
            }
            Err(StoreError::Unavailable | StoreError::Closed) => Err(StoreError::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Undoes it; tells whether the statements of the connection should be forgotten too.
    pub async fn roll_back(mut self, forget: bool) {
        if self.batch("ROLLBACK").await.is_ok()
            && let Some(session) = self.session.take()
            && forget
        {
            session.forget_statements();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.give_up();
        }
    }
}

impl Connection for Writing {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn rows(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        types: &[FieldType],
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        self.begun().await?.rows(fragment, binding, types).await
    }

    async fn ask(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        self.begun().await?.ask(sql, parameters).await
    }

    async fn ask_named(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(Vec<Arc<str>>, Vec<Row>), StoreError> {
        self.begun().await?.ask_named(sql, parameters).await
    }

    async fn epoch(&self, user: &str) -> Result<u64, StoreError> {
        self.begun().await?.epoch(user).await
    }
}

impl Writing {
    async fn written(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<(u64, Option<tokio_postgres::Row>), StoreError> {
        let session = self.begun().await?;
        let client = session.client();
        let statement = session.prepare_fragment(fragment).await?;
        let bound: Vec<_> = fragment.slots.iter().map(|slot| binding.of(slot)).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = bound
            .iter()
            .map(|bound| bound as &(dyn ToSql + Sync))
            .collect();
        // A statement that fails would take the transaction along. Both are sent at once and answered in turn.
        let mut save = self.pending_marks();
        save.push_str(if self.saved.swap(true, Ordering::Relaxed) {
            "RELEASE SAVEPOINT written; SAVEPOINT written"
        } else {
            "SAVEPOINT written"
        });
        let run = async {
            if statement.columns().is_empty() {
                let count = client.execute(&statement, &parameters).await?;
                Ok::<_, tokio_postgres::Error>((count, None))
            } else {
                let rows = client.query(&statement, &parameters).await?;
                Ok((rows.len() as u64, rows.into_iter().next()))
            }
        };
        let (saved, written) = join(client.batch_execute(&save), run).await;
        saved.map_err(failure)?;
        match written {
            Ok(written) => Ok(written),
            Err(error) => {
                let checked = checked(&error, collection);
                let error = constraint(error, collection, sent);
                if !matches!(error, StoreError::Unavailable) {
                    self.batch("ROLLBACK TO SAVEPOINT written").await?;
                }
                if let StoreError::Check = error
                    && collection.existing.is_some()
                    && let Some(field) = self.misfit(collection, binding, sent, checked).await?
                {
                    return Err(StoreError::Misfit { field });
                }
                Err(error)
            }
        }
    }
}

impl Transaction for Writing {
    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    fn statements(&self) -> &Statements {
        &self.statements
    }

    fn under(&self, snapshot: &Arc<Snapshot>) {
        self.journal.under(snapshot);
    }

    async fn versions(&self, user: Option<&str>) -> Result<(u64, u64), StoreError> {
        let session = self.session()?;
        let sql =
            "SELECT version, coalesce((SELECT epoch FROM portreeve.epochs WHERE \"user\" = $1), 0),
                   (SELECT heard_until > clock_timestamp() FROM portreeve.feed)
                   FROM portreeve.policy";
        let statement = session.prepare(sql).await?;
        let user_parameter = Parameter::from(user);
        let ask = async {
            let parameters: [&(dyn ToSql + Sync); 1] = [&user_parameter];
            session.client().query_one(&statement, &parameters).await
        };
        // The locks come first: a statement sees what is committed when it begins, and it must not begin before.
        let row = if self.begun.load(Ordering::Relaxed) == NOT_BEGUN {
            let lock = format!("BEGIN; SELECT pg_advisory_xact_lock_shared({LOCK})");
            let (locked, row) = join(session.client().batch_execute(&lock), ask).await;
            locked.map_err(failure)?;
            self.begun.store(SHARED, Ordering::Relaxed);
            row
        } else {
            ask.await
        };
        let row = row.map_err(failure)?;
        let number = |place: usize| -> Result<u64, StoreError> {
            let number: i64 = row.try_get(place).map_err(failure)?;
            u64::try_from(number).map_err(|_| StoreError::Corrupt("a version is negative".into()))
        };
        self.journal.hear(row.try_get(2).map_err(failure)?);
        Ok((number(0)?, number(1)?))
    }

    // Whoever changes the policy or a user's epoch waits for the writes under way, and new ones wait for him.
    async fn alone(&self) -> Result<(), StoreError> {
        if self.begun.swap(ALONE, Ordering::Relaxed) == ALONE {
            return Ok(());
        }
        self.batch(&format!(
            "BEGIN; SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '30s'; \
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await
    }

    async fn hold(
        &self,
        catalog: &Catalog,
        written: &[CollectionId],
        looked_into: &[CollectionId],
    ) -> Result<(), StoreError> {
        // Into tables of others their owners write as they like, whatever we do.
        let ours = |id: &&CollectionId| catalog.get(**id).existing.is_none();
        let looked_into: BTreeSet<&CollectionId> = looked_into.iter().filter(ours).collect();
        if looked_into.is_empty() {
            return Ok(());
        }
        let written: BTreeSet<&CollectionId> = written.iter().filter(ours).collect();
        // Who only looks shares with others who look and waits for those who write, and the other way round. All in one
        // order, so that two never wait for each other.
        let mut locks: Vec<String> = looked_into
            .union(&written)
            .map(|id| {
                let mode = match (written.contains(id), looked_into.contains(id)) {
                    (true, true) => "SHARE ROW EXCLUSIVE",
                    (true, false) => "ROW EXCLUSIVE",
                    (false, _) => "SHARE",
                };
                let table = Dialect::Postgres.table(catalog.get(**id));
                format!("LOCK TABLE {table} IN {mode} MODE")
            })
            .collect();
        locks.sort_unstable();
        self.begun().await?;
        self.batch(&locks.join("; ")).await
    }

    async fn run(&self, fragment: &Fragment, binding: &Binding<'_>) -> Result<(), StoreError> {
        self.marked()
            .await?
            .rows(fragment, binding, &[])
            .await
            .map(drop)
    }

    async fn write(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<u64, StoreError> {
        let before = self.before(collection, binding).await?;
        let (count, row) = self.written(fragment, binding, collection, sent).await?;
        if let (1.., Some(key)) = (count, binding.key) {
            self.after(collection, key, before, row.as_ref())?;
        }
        Ok(count)
    }

    async fn insert(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<Option<Value>, StoreError> {
        let (_, row) = self.written(fragment, binding, collection, sent).await?;
        // What counts up: a key, or the number of accounts.
        let counted = if collection.system {
            collection.find_field("number")
        } else {
            (collection.key_source == KeySource::Sequence && collection.existing.is_none())
                .then_some(collection.key)
        };
        let given = counted.and_then(|counted| {
            let mut assigned = binding.assigned.iter();
            let (_, value) = assigned.find(|(field, _)| *field == counted)?;
            Some((counted, value.as_integer()?))
        });
        if let Some((counted, given)) = given {
            // The next number comes after it, as on SQLite.
            let sql = "SELECT setval(s.seq, $3) FROM (SELECT pg_get_serial_sequence($1, $2)::regclass AS seq) s
                       WHERE $3::int8 > 0 AND $3 >= coalesce(pg_sequence_last_value(s.seq), 0)";
            let session = self.session()?;
            let statement = session.prepare(sql).await?;
            let table = Dialect::Postgres.table(collection);
            let counted = &*collection.field(counted).name;
            session
                .client()
                .query(&statement, &[&table, &counted, &given])
                .await
                .map_err(failure)?;
        }
        let ty = collection.key_field().ty;
        let made = row.map(|row| {
            row.try_get::<_, Raw<'_>>(0)
                .map_err(failure)?
                .value(Some(ty))
        });
        let made = made.transpose()?;
        let assigned = binding.assigned.iter();
        let sent = assigned.filter(|(field, _)| *field == collection.key);
        if let Some(key) = made.as_ref().or(sent.map(|(_, key)| key).next()) {
            self.made(collection, key.clone());
        }
        Ok(made)
    }

    async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        let session = self.marked().await?;
        let statement = session.prepare(&Dialect::Postgres.system(sql)).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|parameter| parameter as &(dyn ToSql + Sync))
            .collect();
        session
            .client()
            .execute(&statement, &parameters)
            .await
            .map_err(failure)
    }

    async fn change_tables(&self, sql: &str) -> Result<(), StoreError> {
        self.marked().await?;
        self.batch(sql).await
    }

    // The savepoint goes out together with the first thing that is written after it.
    async fn mark(&self) -> Result<(), StoreError> {
        self.marks.fetch_add(1, Ordering::Relaxed);
        self.journal.mark();
        // Savepoints stand on each other: releasing one below this would take this along.
        self.saved.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn undo(&self) -> Result<(), StoreError> {
        self.journal.undo();
        let marks = self.marks.load(Ordering::Relaxed);
        if self.marked.load(Ordering::Relaxed) < marks {
            // Nothing has been written since.
            return Ok(());
        }
        self.saved.store(false, Ordering::Relaxed);
        let number = marks.saturating_sub(1);
        self.batch(&format!("ROLLBACK TO SAVEPOINT mark_{number}"))
            .await
    }

    // The server may keep it until the commit: a later one of the same name comes before it.
    async fn release(&self) -> Result<(), StoreError> {
        self.journal.release();
        self.saved.store(false, Ordering::Relaxed);
        let left = self.marks.fetch_sub(1, Ordering::Relaxed) - 1;
        self.marked.fetch_min(left, Ordering::Relaxed);
        Ok(())
    }
}

/// Two statements from one state of the database and the end of that, for reads.
pub(crate) async fn snapshot(session: &Session) -> Result<(), StoreError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    session.client().batch_execute(begin).await.map_err(failure)
}
