//! How the feed gets to know what was changed: while somebody listens, the writing connection has temporary triggers on
//! the tables of collections. They see what every statement does, cascades of foreign keys included, belong to that
//! connection alone and leave no trace in the file.
//!
//! A trigger hands the values to a function, which keeps them in memory, and notes their place in a temporary table.
//! That table is undone with the transaction, with a savepoint and with a statement that fails, so what stands in it
//! before the commit is what is committed, whatever was tried on the way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_model::{Catalog, Clock, Collection, CollectionId, Value};
use portreeve_policy::Record;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use super::{failure, values};
use crate::StoreError;
use crate::feed::{Change, FeedLimits, Ring, Together, is_captured};
use crate::sql::dialect::Dialect;

/// So many values are handed over at once; the library takes 1,000 arguments.
const ARGUMENTS: usize = 900;

const TABLE: &str = "portreeve_changed";
const FUNCTION: &str = "portreeve_capture";
const TRIGGER: &str = "portreeve_feed_";

const SETUP: &str = "CREATE TEMP TABLE IF NOT EXISTS portreeve_changed (seq INTEGER PRIMARY KEY, place INTEGER NOT NULL)";

/// What happened to a row, and which of its values come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert = 0,
    Delete = 1,
    /// The values before, then the values after.
    Update = 2,
    /// More values of the same row.
    More = 3,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Insert, Self::Delete, Self::Update, Self::More];
}

struct Row {
    version: u64,
    task: u64,
    collection: CollectionId,
    kind: Kind,
    values: Vec<Value>,
}

#[derive(Default)]
struct Taken {
    // The catalogs triggers were made from, with their policy versions: the one in force, and in the transaction that
    // puts another one in force, that one too.
    catalogs: Vec<(u64, Arc<Catalog>)>,
    rows: Vec<Row>,
    // Grows with each task, so that what belongs together is known.
    task: u64,
    bytes: usize,
    // There was more than the feed keeps, or something that cannot be told.
    lost: bool,
}

/// The capture of one writing connection.
pub(crate) struct Capture {
    taken: Arc<Mutex<Taken>>,
    ring: Arc<Ring>,
}

impl Capture {
    /// Prepares a connection. It captures nothing until [`Capture::listen`].
    pub fn on(connection: &Connection, ring: Arc<Ring>) -> rusqlite::Result<Self> {
        let taken: Arc<Mutex<Taken>> = Arc::default();
        let (taking, limits) = (Arc::clone(&taken), ring.limits());
        connection.create_scalar_function(
            FUNCTION,
            -1,
            FunctionFlags::SQLITE_UTF8,
            move |call| Ok(lock(&taking).take(call, limits)),
        )?;
        Ok(Self { taken, ring })
    }

    /// Makes the triggers for all collections of a catalog that are in the feed, in the open transaction.
    pub fn listen(
        &self,
        connection: &Connection,
        version: u64,
        catalog: &Arc<Catalog>,
    ) -> Result<(), StoreError> {
        connection.execute_batch(SETUP).map_err(failure)?;
        self.pause(connection)?;
        {
            let mut taken = lock(&self.taken);
            taken.catalogs.retain(|(known, _)| *known != version);
            taken.catalogs.push((version, Arc::clone(catalog)));
        }
        for collection in catalog.iter().filter(|collection| is_captured(collection)) {
            let sql = triggers(version, collection);
            connection.execute_batch(&sql).map_err(failure)?;
        }
        Ok(())
    }

    /// Takes the triggers away, in the open transaction.
    pub fn pause(&self, connection: &Connection) -> Result<(), StoreError> {
        let names: Vec<String> = {
            let sql = "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger'";
            let mut statement = connection.prepare(sql).map_err(failure)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failure)?;
            rows.collect::<rusqlite::Result<_>>().map_err(failure)?
        };
        for name in names.iter().filter(|name| name.starts_with(TRIGGER)) {
            let sql = format!("DROP TRIGGER temp.\"{name}\"");
            connection.execute_batch(&sql).map_err(failure)?;
        }
        Ok(())
    }

    /// Begins anew: a transaction begins.
    pub fn begin(&self) {
        if let Some(captured) = self.ring.captured() {
            let mut taken = lock(&self.taken);
            taken.clear();
            // What was meant to be put in force and was not, or was in force before.
            taken.catalogs.retain(|(version, _)| *version == captured);
        }
    }

    /// Another task begins.
    pub fn next_task(&self) {
        if self.ring.captured().is_some() {
            lock(&self.taken).task += 1;
        }
    }

    /// What is about to be committed.
    pub fn collect(
        &self,
        connection: &Connection,
        clock: &dyn Clock,
    ) -> rusqlite::Result<Collected> {
        let mut taken = lock(&self.taken);
        if taken.rows.is_empty() && !taken.lost {
            return Ok(Collected::default());
        }
        let (lost, at) = (taken.lost, clock.now());
        let mut rows: Vec<Option<Row>> = taken.rows.drain(..).map(Some).collect();
        let mut changes = Together::default();
        if !lost {
            let sql = "SELECT place FROM temp.portreeve_changed ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let mut places = statement.query([])?;
            while let Some(place) = places.next()? {
                let place = usize::try_from(place.get::<_, i64>(0)?).unwrap_or(usize::MAX);
                let row = rows.get_mut(place).and_then(Option::take);
                if let Some(change) = row.and_then(|row| taken.change(row, at)) {
                    changes.add(change);
                }
            }
        }
        taken.clear();
        connection
            .prepare_cached("DELETE FROM temp.portreeve_changed")?
            .raw_execute()?;
        Ok(Collected {
            changes: changes.take(),
            lost,
        })
    }

    /// Makes known what has been committed.
    pub fn publish(&self, collected: Collected) {
        if collected.lost {
            self.ring.cut();
        } else {
            self.ring.publish(collected.changes);
        }
    }

    /// Whether changes are captured for nobody.
    pub fn is_idle(&self) -> bool {
        self.ring.captured().is_some() && self.ring.is_unheard()
    }

    /// Stops capturing, outside a transaction, until somebody listens again.
    pub fn rest(&self, connection: &Connection) {
        match self.pause(connection) {
            Ok(()) => self.ring.stop(),
            // It goes on costing a little, and is tried again.
            Err(error) => tracing::warn!(%error, "changes are still captured for nobody"),
        }
    }

    /// Where changes are put.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }
}

/// What a transaction has changed.
#[derive(Default)]
pub(crate) struct Collected {
    changes: Vec<Change>,
    lost: bool,
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken {
    fn clear(&mut self) {
        self.rows.clear();
        (self.bytes, self.lost) = (0, false);
    }

    // The place of the row; a number that is none where it is not kept. Never an error: a write does not fail because
    // somebody wants to know of it.
    fn take(&mut self, call: &Context<'_>, limits: FeedLimits) -> i64 {
        if !self.lost && (self.rows.len() > limits.changes || self.try_take(call).is_none()) {
            self.lost = true;
        }
        if self.lost || self.bytes > limits.bytes {
            self.lost = true;
            self.rows = vec![];
            return -1;
        }
        i64::try_from(self.rows.len() - 1).unwrap_or(-1)
    }

    fn try_take(&mut self, call: &Context<'_>) -> Option<()> {
        let number = |place| usize::try_from(call.get::<i64>(place).ok()?).ok();
        let version = u64::try_from(number(0)?).ok()?;
        let collection = CollectionId(u32::try_from(number(1)?).ok()?);
        let kind = Kind::ALL.into_iter().nth(number(2)?)?;
        if kind != Kind::More {
            self.rows.push(Row {
                version,
                task: self.task,
                collection,
                kind,
                values: vec![],
            });
        }
        let declared = Arc::clone(self.collection(version, collection)?);
        let row = self.rows.last_mut()?;
        row.values.reserve(call.len() - 3);
        for argument in 3..call.len() {
            let field = row.values.len() % declared.fields.len();
            let raw = call.get_raw(argument);
            if let ValueRef::Text(text) = raw {
                self.bytes += text.len();
            }
            self.bytes += size_of::<Value>();
            let value = values::value(raw, declared.fields[field].ty).ok()?;
            row.values.push(value);
        }
        Some(())
    }

    fn collection(&self, version: u64, id: CollectionId) -> Option<&Arc<Collection>> {
        let mut catalogs = self.catalogs.iter();
        let (_, catalog) = catalogs.find(|(known, _)| *known == version)?;
        Some(catalog.get(id))
    }

    fn change(&self, row: Row, at: i64) -> Option<Change> {
        let collection = Arc::clone(self.collection(row.version, row.collection)?);
        let mut values = row.values;
        let (before, after) = match row.kind {
            Kind::Insert => (None, Some(values)),
            Kind::Delete => (Some(values), None),
            Kind::Update | Kind::More => {
                let after = values.split_off(values.len() / 2);
                if values == after {
                    return None;
                }
                (Some(values), Some(after))
            }
        };
        Some(Change {
            position: 0,
            collection,
            at,
            transaction: row.task,
            before: before.map(Record),
            after: after.map(Record),
            version: row.version,
        })
    }
}

fn triggers(version: u64, collection: &Collection) -> String {
    [
        ("INSERT", Kind::Insert, &["NEW"][..]),
        ("DELETE", Kind::Delete, &["OLD"]),
        ("UPDATE", Kind::Update, &["OLD", "NEW"]),
    ]
    .into_iter()
    .map(|(event, kind, sides)| trigger(version, collection, event, kind, sides))
    .collect()
}

fn trigger(
    version: u64,
    collection: &Collection,
    event: &str,
    kind: Kind,
    sides: &[&str],
) -> String {
    let id = collection.id.0;
    let call = |kind: Kind, values: &[String]| {
        format!(
            "{FUNCTION}({version}, {id}, {}, {})",
            kind as u8,
            values.join(", ")
        )
    };
    let (values, from) = values(collection, sides);
    let mut parts = values.chunks(ARGUMENTS);
    let first = parts.next().unwrap_or_default();
    let mut body = format!(
        "INSERT INTO {TABLE} (place) SELECT {}{from};",
        call(kind, first)
    );
    for part in parts {
        body.push_str(&format!(" SELECT {}{from};", call(Kind::More, part)));
    }
    format!(
        "CREATE TEMP TRIGGER \"{TRIGGER}{id}_{event}\" AFTER {event} ON main.{} BEGIN {body} END;\n",
        Dialect::Sqlite.table(collection)
    )
}

// The values of all fields on these sides, and where they are from. Columns of other people's tables are read as a list
// reads them, out of what looks like a table of one row for each side.
fn values(collection: &Collection, sides: &[&str]) -> (Vec<String>, String) {
    let dialect = Dialect::Sqlite;
    if collection.existing.is_none() {
        let of = |side: &&str| {
            let fields = collection.fields.iter();
            fields
                .map(|field| format!("{side}.{}", dialect.column(field)))
                .collect::<Vec<_>>()
        };
        return (sides.iter().flat_map(of).collect(), String::new());
    }
    let (mut values, mut tables) = (vec![], vec![]);
    for (alias, side) in sides.iter().enumerate() {
        let columns = collection
            .field_ids()
            .filter(|field| collection.is_column(*field));
        let columns: Vec<String> = columns
            .map(|field| dialect.column(collection.field(field)))
            .map(|column| format!("{side}.{column} AS {column}"))
            .collect();
        tables.push(format!("(SELECT {}) t{alias}", columns.join(", ")));
        values.extend(
            collection
                .field_ids()
                .map(|field| dialect.field(collection, field, Some(alias))),
        );
    }
    (values, format!(" FROM {}", tables.join(", ")))
}
