//! How the feed gets to know what was changed: triggers write it into a table in the same transaction, whoever changes
//! it, and every node that has somebody listening follows that table in the order of its numbers. Tables that were there
//! before have no triggers; what is changed through us is written there by whoever changes it (`journal.rs`).
//!
//! Numbers are given before commits, so a later one may be seen first. What is behind a missing number waits until
//! whoever might still commit it has ended: those who hold a lock on the table, since its every writer does.
//!
//! What one transaction does is told at the number of its last row, all of it: a state in between is nobody's.

mod held;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::TryStreamExt;
use portreeve_model::{Catalog, Collection, FieldType, Value};
use portreeve_policy::{Record, Snapshot};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;

use held::{Ended, Held, Noted, What};

use super::error::failure;
use super::session::{LOCK, Session, Writing};
use crate::StoreError;
use crate::feed::{Change, Ring, is_captured};
use crate::sql::dialect::Dialect;
use crate::work::{Connection, Transaction, policy};

/// Positions leave room between two numbers: for all changes of a transaction before its last one, and where the ring says
/// that something was missed.
const ROOM: u32 = 20;

/// So many changes of one transaction find room.
const TOGETHER: usize = 1 << (ROOM - 1);

/// So many changes are read at once.
const BATCH: i64 = 500;

/// While a number is missing, it is looked for so often.
const MISSING: Duration = Duration::from_millis(20);
/// Without a notification it is looked so often.
const QUIET: Duration = Duration::from_secs(5);
/// So often it is said that somebody listens.
const REFRESH: Duration = Duration::from_secs(30);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);

const ROWS: &str = "SELECT seq, (extract(epoch FROM at) * 1000000)::int8, version, \"schema\", \"table\", \
    before IS NOT NULL, after IS NOT NULL, \
    ARRAY(SELECT key FROM json_each(before)), ARRAY(SELECT value::text FROM json_each(before)), \
    ARRAY(SELECT key FROM json_each(after)), ARRAY(SELECT value::text FROM json_each(after)), transaction \
    FROM portreeve.changes WHERE seq > $1 ORDER BY seq LIMIT $2";

const FINAL: &str = "SELECT transaction, max(seq) FROM portreeve.changes \
    WHERE seq > $1 AND transaction = ANY ($2) GROUP BY transaction";

const WRITERS: &str = "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' \
    AND relation = 'portreeve.changes'::regclass AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid() \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

// Who writes to a table with a trigger of ours, and may have begun before anything was written down. Our own writers have
// not: they share a lock that begins are alone with.
const STRANGERS: &str = "SELECT virtualtransaction FROM pg_locks \
    WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    GROUP BY virtualtransaction \
    HAVING bool_or(locktype = 'relation' AND mode = 'RowExclusiveLock' \
        AND relation IN (SELECT tgrelid FROM pg_trigger WHERE tgfoid = 'portreeve.capture'::regproc)) \
    AND NOT bool_or(locktype = 'advisory' AND (classid::int8 << 32) + objid::int8 = $1)";

/// Following the table of changes, while somebody listens.
pub(crate) struct Following {
    turn: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    catalogs: Arc<Catalogs>,
}

impl Following {
    pub fn new() -> Self {
        Self {
            turn: tokio::sync::Mutex::new(None),
            catalogs: Arc::default(),
        }
    }

    /// Says which catalog a policy version has, unless that is known.
    pub fn know(&self, snapshot: &Snapshot) {
        let known = self.catalogs.get(snapshot.version());
        if known.is_none_or(|tables| !tables.all) {
            self.know_anew(snapshot);
        }
    }

    /// The same where tables of others are not what they were.
    pub fn know_anew(&self, snapshot: &Snapshot) {
        let tables = Tables::of(snapshot.catalog(), true);
        self.catalogs.put(snapshot.version(), tables);
    }

    /// Follows from now on, unless it does already. `begin` has changes written down, and tells where that is.
    pub async fn start(
        &self,
        pool: &Pool,
        ring: &Arc<Ring>,
        told: watch::Receiver<u64>,
        version: u64,
        begin: impl Future<Output = Result<Begun, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut turn = self.turn.lock().await;
        if ring.captured().is_some() && turn.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        let begun = begin.await?;
        let mut follower = Follower {
            pool: pool.clone(),
            ring: Arc::clone(ring),
            catalogs: Arc::clone(&self.catalogs),
            last: 0,
            waiting: None,
            anew: false,
            strangers: HashSet::new(),
            held: Held::default(),
        };
        // What is still there of before is for those who come back.
        let kept = i64::try_from(ring.limits().changes).unwrap_or(i64::MAX);
        let from = begun.last.saturating_sub(kept).max(begun.tidied);
        let last = begun.last;
        follower.go_on_from(from, begun);
        ring.restart(version, position(from));
        while follower.step().await? && follower.last < last {}
        *turn = Some(tokio::spawn(async move { follower.follow(told).await }));
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(task) = self.turn.get_mut().take() {
            task.abort();
        }
    }
}

/// Where following begins.
pub(crate) struct Begun {
    // The last number that has been given out.
    last: i64,
    // Up to this one nothing is kept.
    tidied: i64,
    // Who may still commit something below the last number.
    writers: HashSet<String>,
    // Whether nobody has listened before, so that there may be changes that nobody has written down.
    anew: bool,
}

/// Has changes written down. Nobody of ours is in the middle of writing.
pub(crate) async fn begin(writing: &Writing) -> Result<Begun, StoreError> {
    writing.alone().await?;
    begin_on(writing.session()?).await
}

// The same in a transaction that has the turn alone.
async fn begin_on(session: &Session) -> Result<Begun, StoreError> {
    let client = session.client();
    let heard = "SELECT heard_until > clock_timestamp() FROM portreeve.feed";
    let row = client.query_one(heard, &[]).await.map_err(failure)?;
    let heard: bool = row.try_get(0).map_err(failure)?;
    if !heard {
        // Between these and what comes there is something that nobody has written down. It has a number of its own, by
        // which every node knows that it has missed something.
        let forget = "WITH cut AS (UPDATE portreeve.feed SET tidied = nextval('portreeve.changes_seq_seq') RETURNING tidied) \
            DELETE FROM portreeve.changes c USING cut WHERE c.seq <= cut.tidied";
        client.execute(forget, &[]).await.map_err(failure)?;
    }
    client.execute(HEARD, &[]).await.map_err(failure)?;
    let last = "SELECT coalesce(pg_sequence_last_value('portreeve.changes_seq_seq'), 0), tidied FROM portreeve.feed";
    let row = client.query_one(last, &[]).await.map_err(failure)?;
    Ok(Begun {
        last: row.try_get(0).map_err(failure)?,
        tidied: row.try_get(1).map_err(failure)?,
        // Asked for after the number was: who is not among them has ended.
        writers: writers(session).await?,
        anew: !heard,
    })
}

const HEARD: &str =
    "UPDATE portreeve.feed SET heard_until = clock_timestamp() + interval '10 minutes'";

/// Notes that something changes which is not told record by record.
pub(crate) async fn note_loss(writing: &Writing) -> Result<(), StoreError> {
    let sql = "INSERT INTO portreeve_changes (version) SELECT version FROM portreeve_policy
               WHERE EXISTS (SELECT FROM portreeve_feed WHERE heard_until > clock_timestamp())";
    writing.execute(sql, &[]).await?;
    let tell = "SELECT pg_notify('portreeve', 'changes')";
    writing.ask(tell, &[]).await.map(drop)
}

fn position(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0) << ROOM
}

// The catalogs of the last policies.
#[derive(Default)]
struct Catalogs(Mutex<HashMap<u64, Arc<Tables>>>);

struct Tables {
    // By schema and table.
    named: HashMap<(String, String), Arc<Collection>>,
    // Those that were there before are among them.
    all: bool,
}

impl Tables {
    fn of(catalog: &Catalog, all: bool) -> Self {
        let collections = catalog.iter().filter(|collection| is_captured(collection));
        let named = collections.map(|collection| {
            let schema = Dialect::schema(collection).to_owned();
            let table = Dialect::Postgres.bare_table(collection).to_owned();
            ((schema, table), Arc::clone(collection))
        });
        Self {
            named: named.collect(),
            all,
        }
    }
}

/// More than one or two are in use only while policies change.
const CATALOGS: usize = 16;

impl Catalogs {
    fn put(&self, version: u64, tables: Tables) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CATALOGS && !known.contains_key(&version) {
            known.clear();
        }
        known.insert(version, Arc::new(tables));
    }

    fn get(&self, version: u64) -> Option<Arc<Tables>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&version).cloned()
    }
}

struct Follower {
    pool: Pool,
    ring: Arc<Ring>,
    catalogs: Arc<Catalogs>,
    // The last number that is in the ring or held, or known to be in nobody's.
    last: i64,
    // Who may still commit a missing number up to this one.
    waiting: Option<(i64, HashSet<String>)>,
    // Whether it has begun just now, and nobody has listened before.
    anew: bool,
    // Who may still commit what was changed before that.
    strangers: HashSet<String>,
    held: Held,
}

impl Follower {
    // Forgets what it knows, and begins behind a number.
    fn go_on_from(&mut self, last: i64, begun: Begun) {
        self.last = last;
        self.waiting = Some((begun.last, begun.writers));
        self.anew = begun.anew;
        self.strangers.clear();
        self.held = Held::default();
    }

    async fn follow(&mut self, mut told: watch::Receiver<u64>) {
        let mut failed = false;
        let mut refreshed = tokio::time::Instant::now();
        loop {
            let pause = match self.step().await {
                Ok(more) => {
                    failed = false;
                    match (more, &self.waiting) {
                        (true, _) => continue,
                        (false, Some(_)) => MISSING,
                        (false, None) if !self.strangers.is_empty() => PAUSE,
                        (false, None) => QUIET,
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(%error, "changes cannot be read; trying again");
                    }
                    PAUSE
                }
            };
            if refreshed.elapsed() >= REFRESH {
                refreshed = tokio::time::Instant::now();
                if self.ring.stop_if_abandoned() {
                    return;
                }
                if let Err(error) = self.refresh().await {
                    tracing::warn!(%error, "it could not be said that somebody listens; trying again");
                }
            }
            // The sender goes with the database, and so does this task.
            let _ = tokio::time::timeout(pause, told.changed()).await;
        }
    }

    // Reads what is there; tells whether there may be more at once.
    async fn step(&mut self) -> Result<bool, StoreError> {
        let session = Session::of(&self.pool).await?;
        if let Some((_, waiting)) = &mut self.waiting
            && !waiting.is_empty()
        {
            let writers = writers(&session).await?;
            waiting.retain(|writer| writers.contains(writer));
        }
        if self.anew {
            // Asked for after the commit, from which on everybody writes down what he changes.
            self.strangers = strangers(&session).await?;
            self.anew = false;
        } else if !self.strangers.is_empty() {
            let strangers = strangers(&session).await?;
            self.strangers.retain(|one| strangers.contains(one));
            if self.strangers.is_empty() {
                // What they have done before anybody listened is committed, and in no feed.
                self.ring.cut();
            }
        }
        let (rows, full) = self.read(&session).await?;
        // Asked for after the rows were read, so that none of them was taken away unseen.
        let tidied = tidied(&session).await?;
        if tidied > self.last {
            // It was too slow for the others, who have tidied up already, or nobody has listened for a while.
            (self.last, self.waiting) = (tidied, None);
            self.held = Held::default();
            self.ring.cut();
            return Ok(true);
        }
        let newest = rows.last().map(|noted| noted.number);
        let last_rows = last_rows(&session, &rows, full).await?;
        let mut done = vec![];
        let mut missing = false;
        for noted in rows {
            let (number, transaction) = (noted.number, noted.transaction);
            if number > self.last + 1 {
                let ended = self
                    .waiting
                    .as_ref()
                    .is_some_and(|(below, writers)| number <= *below && writers.is_empty());
                if !ended {
                    missing = true;
                    break;
                }
            }
            self.last = number;
            let last = last_rows.get(&transaction).copied().unwrap_or(number);
            self.held.add(self.ring.limits(), last, noted);
            match self.held.end(transaction, number) {
                None => {}
                Some(Ended::Whole(changes)) => done.extend(changes),
                Some(Ended::Lost) => {
                    self.ring.publish(std::mem::take(&mut done));
                    self.ring.cut();
                }
            }
        }
        self.ring.publish(done);
        if !missing {
            self.waiting = None;
            return Ok(full);
        }
        let waits = self
            .waiting
            .as_ref()
            .is_some_and(|(below, writers)| !writers.is_empty() && *below > self.last);
        if !waits {
            // Asked for after the rows were read: who is not among them has ended, and the next look sees all he did.
            let writers = writers(&session).await?;
            self.waiting = newest.map(|newest| (newest, writers));
            return Ok(true);
        }
        Ok(false)
    }

    // The next rows, and whether there may be more: no more of them than are kept at all.
    async fn read(&self, session: &Session) -> Result<(Vec<Noted>, bool), StoreError> {
        let statement = session.prepare(ROWS).await?;
        let parameters: [&(dyn ToSql + Sync); 2] = [&self.last, &BATCH];
        let (mut rows, mut bytes) = (vec![], 0);
        {
            let asked = session.client().query_raw(&statement, parameters).await;
            let mut stream = pin!(asked.map_err(failure)?);
            while bytes <= self.ring.limits().bytes
                && let Some(row) = stream.try_next().await.map_err(failure)?
            {
                bytes += row.raw_size_bytes();
                rows.push(row);
            }
        }
        let many = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= BATCH;
        let full = many || bytes > self.ring.limits().bytes;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            read.push(self.noted(session, &row).await?);
        }
        Ok((read, full))
    }

    async fn noted(
        &self,
        session: &Session,
        row: &tokio_postgres::Row,
    ) -> Result<Noted, StoreError> {
        let number: i64 = row.try_get(0).map_err(failure)?;
        let transaction: i64 = row.try_get(11).map_err(failure)?;
        Ok(Noted {
            number,
            transaction,
            what: self.what(session, row, transaction).await?,
        })
    }

    async fn what(
        &self,
        session: &Session,
        row: &tokio_postgres::Row,
        transaction: i64,
    ) -> Result<What, StoreError> {
        let name = |place: usize| -> Result<Option<String>, StoreError> {
            row.try_get(place).map_err(failure)
        };
        let (Some(schema), Some(table)) = (name(3)?, name(4)?) else {
            return Ok(What::Loss);
        };
        let version: i64 = row.try_get(2).map_err(failure)?;
        let version = u64::try_from(version).unwrap_or(0);
        let Some(tables) = self.tables(session, version).await? else {
            return Ok(What::Loss);
        };
        let Some(collection) = tables.named.get(&(schema, table)) else {
            // One that was there before, perhaps, under a policy that this node has not put in force yet.
            let unknown = if tables.all {
                What::Nothing
            } else {
                What::Loss
            };
            return Ok(unknown);
        };
        let record = |there: usize, names: usize| -> Result<Option<Side>, StoreError> {
            if !row.try_get::<_, bool>(there).map_err(failure)? {
                return Ok(None);
            }
            let names: Vec<String> = row.try_get(names).map_err(failure)?;
            let place = if there == 5 { 8 } else { 10 };
            let values: Vec<String> = row.try_get(place).map_err(failure)?;
            Ok(Some(names.into_iter().zip(values).collect()))
        };
        let (before, after) = (record(5, 7)?, record(6, 9)?);
        let [before, after] = if collection.existing.is_some() {
            let read = |side: Option<Side>| match side {
                Some(side) => read_noted(collection, side).map(Some),
                None => Some(None),
            };
            // Whoever wrote it has seen another table than this node has.
            let (Some(before), Some(after)) = (read(before), read(after)) else {
                return Ok(What::Loss);
            };
            [before, after]
        } else {
            [before, after].map(|side| side.map(|side| read_captured(collection, side)))
        };
        if before == after {
            return Ok(What::Nothing);
        }
        Ok(What::Change(Change {
            position: 0,
            collection: Arc::clone(collection),
            at: row.try_get(1).map_err(failure)?,
            transaction: u64::try_from(transaction).unwrap_or(0),
            before,
            after,
            version,
        }))
    }

    // Of a policy that another node has put in force, it is read; one that is in force no more is lost.
    async fn tables(
        &self,
        session: &Session,
        version: u64,
    ) -> Result<Option<Arc<Tables>>, StoreError> {
        if let Some(known) = self.catalogs.get(version) {
            return Ok(Some(known));
        }
        let stored = policy::load(session).await?;
        if stored.version == version
            && let Ok(snapshot) = Snapshot::compile(&stored.document, version)
        {
            let tables = Tables::of(snapshot.catalog(), false);
            self.catalogs.put(version, tables);
        }
        Ok(self.catalogs.get(version))
    }

    // Says that somebody listens, and tidies up.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let session = Session::of(&self.pool).await?;
        let still = format!("{HEARD} WHERE heard_until > clock_timestamp()");
        let still = session
            .client()
            .execute(&still, &[])
            .await
            .map_err(failure)?;
        if still == 0 {
            // Nobody has said so for too long, and what was changed since is not written down.
            match begin_again(&session).await {
                Ok(begun) => self.go_on_from(begun.last.min(begun.tidied), begun),
                Err(error) => {
                    session.give_up();
                    return Err(error);
                }
            }
            self.ring.cut();
            return Ok(());
        }
        let kept = i64::try_from(self.ring.limits().changes).unwrap_or(i64::MAX);
        let tidy = "WITH aged AS (SELECT max(seq) AS seq FROM portreeve.changes \
              WHERE at < clock_timestamp() - interval '10 minutes' AND seq <= $2), \
            marked AS (UPDATE portreeve.feed SET tidied = greatest(tidied, $1, coalesce(aged.seq, 0)) FROM aged \
              RETURNING tidied) \
            DELETE FROM portreeve.changes c USING marked WHERE c.seq <= marked.tidied";
        let old = self.last.saturating_sub(kept.saturating_mul(2));
        session
            .client()
            .execute(tidy, &[&old, &self.last])
            .await
            .map_err(failure)?;
        Ok(())
    }
}

/// What all nodes make the ids of events with.
pub(crate) async fn secret(session: &Session) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT secret FROM portreeve.feed";
    let row = session
        .client()
        .query_one(sql, &[])
        .await
        .map_err(failure)?;
    row.try_get(0).map_err(failure)
}

async fn tidied(session: &Session) -> Result<i64, StoreError> {
    let sql = "SELECT tidied FROM portreeve.feed";
    let row = session
        .client()
        .query_one(sql, &[])
        .await
        .map_err(failure)?;
    row.try_get(0).map_err(failure)
}

// In a transaction of its own, which is left open where it fails.
async fn begin_again(session: &Session) -> Result<Begun, StoreError> {
    let client = session.client();
    let alone = format!(
        "BEGIN; SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '1min'; \
         SELECT pg_advisory_xact_lock({LOCK})"
    );
    client.batch_execute(&alone).await.map_err(failure)?;
    let begun = begin_on(session).await?;
    client.batch_execute("COMMIT").await.map_err(failure)?;
    Ok(begun)
}

// The last row of each transaction of these. What has committed is there as a whole, perhaps further on.
async fn last_rows(
    session: &Session,
    rows: &[Noted],
    full: bool,
) -> Result<HashMap<i64, i64>, StoreError> {
    let rows_of = rows.iter().map(|noted| (noted.transaction, noted.number));
    let mut last: HashMap<i64, i64> = rows_of.collect();
    if let (Some(newest), true) = (rows.last(), full) {
        let transactions: Vec<i64> = last.keys().copied().collect();
        let statement = session.prepare(FINAL).await?;
        let later = session
            .client()
            .query(&statement, &[&newest.number, &transactions])
            .await
            .map_err(failure)?;
        for row in later {
            let transaction = row.try_get(0).map_err(failure)?;
            last.insert(transaction, row.try_get(1).map_err(failure)?);
        }
    }
    Ok(last)
}

async fn writers(session: &Session) -> Result<HashSet<String>, StoreError> {
    let rows = session.client().query(WRITERS, &[]).await;
    names(&rows.map_err(failure)?)
}

async fn strangers(session: &Session) -> Result<HashSet<String>, StoreError> {
    let rows = session.client().query(STRANGERS, &[&LOCK]).await;
    names(&rows.map_err(failure)?)
}

// Transactions, as the server calls those that run.
fn names(rows: &[tokio_postgres::Row]) -> Result<HashSet<String>, StoreError> {
    rows.iter()
        .map(|row| row.try_get(0).map_err(failure))
        .collect()
}

// A record before or after, by the names of columns: JSON texts.
type Side = HashMap<String, String>;

// A row of a table of our own, as a trigger has seen it. What is no value of ours (not a number, without an end) is none.
fn read_captured(collection: &Collection, mut side: Side) -> Record {
    let fields = collection.fields.iter();
    let value = fields.map(|field| {
        let text = side.remove(Dialect::column_name(field));
        let value = text.and_then(|text| value(field.ty, text));
        value.unwrap_or(Value::Null)
    });
    Record(value.collect())
}

// A record of a table that was there before, as `text_of` has written it; none where the table is another one by now.
fn read_noted(collection: &Collection, mut side: Side) -> Option<Record> {
    let mut record = Record(vec![Value::Null; collection.fields.len()]);
    for id in collection
        .field_ids()
        .filter(|id| collection.is_column(*id))
    {
        let field = collection.field(id);
        let text = side.remove(Dialect::column_name(field))?;
        record.0[id.index()] = value(field.ty, text)?;
    }
    record.compose_key(collection);
    side.is_empty().then_some(record)
}

// As the list would read it.
fn value(ty: FieldType, json: String) -> Option<Value> {
    if json == "null" {
        return Some(Value::Null);
    }
    if matches!(ty, FieldType::Json | FieldType::Overflow) {
        return Some(Value::Text(json));
    }
    let text = match json.starts_with('"') {
        true => serde_json::from_str(&json).ok()?,
        false => json,
    };
    match ty {
        FieldType::Text => Some(Value::Text(text)),
        _ => Value::from_text(ty, &text).ok(),
    }
}

/// A record of a table that was there before, for [`read_noted`].
pub(super) fn text_of(collection: &Collection, record: &Record) -> String {
    let mut out = String::from("{");
    for id in collection
        .field_ids()
        .filter(|id| collection.is_column(*id))
    {
        let (field, value) = (collection.field(id), record.get(id));
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(Dialect::column_name(field)).to_string());
        out.push(':');
        match (field.ty, value) {
            (FieldType::Json, Value::Text(json)) => out.push_str(json),
            (ty, value) => out.push_str(&value.to_json(ty).to_string()),
        }
    }
    out.push('}');
    out
}
