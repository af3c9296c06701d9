//! Runs read statements and pushes what they give into a sink.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portreeve_model::{Cell, Cells, Columns, RecordSink, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::failure;
use super::reader::Reader;
use super::values::{bind, text, value};
use crate::held::{self, Held, HeldCell, Related, Shown};
use crate::sql::binding::Binding;
use crate::sql::fragment::Fragment;
use crate::sql::select::{Node, Place, ReadStatement};
use crate::{ReadOutcome, StoreError};

/// Most records have no more columns than this, and need no allocation on their way into the sink.
const FEW: usize = 16;

/// What a read is bound to.
pub(crate) struct Request<'a> {
    pub binding: Binding<'a>,
    /// How many records the sink gets at most; `None` for a read by key.
    pub limit: Option<usize>,
}

// A cell, borrowed from the driver. The row itself cannot be handed out, since it is tied to its thread.
#[derive(Clone, Copy)]
enum Scalar<'a> {
    Null,
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

struct Borrowed<'a>(&'a [Scalar<'a>]);

impl Cells for Borrowed<'_> {
    fn cell(&self, place: usize) -> Cell<'_> {
        match self.0[place] {
            Scalar::Null => Cell::Null,
            Scalar::Integer(number) => Cell::Integer(number),
            Scalar::Float(float) => Cell::Float(float),
            Scalar::Text(text) => Cell::Text(text),
        }
    }
}

/// Runs a read.
pub(crate) fn run<S: RecordSink>(
    reader: &Reader,
    statement: &ReadStatement,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    // Records and their number, and relations beside their records, are read from one state of the database.
    let several = statement.rows.is_some() && statement.total.is_some()
        || statement
            .rows
            .as_ref()
            .is_some_and(|node| !node.expansions.is_empty());
    if !several {
        return run_parts(reader, statement, columns, request, sink);
    }
    let connection = reader.connection();
    connection.execute_batch("BEGIN").map_err(failure)?;
    let result = run_parts(reader, statement, columns, request, sink);
    let ended = connection.execute_batch("COMMIT").map_err(failure);
    let outcome = result?;
    ended?;
    Ok(outcome)
}

fn run_parts<S: RecordSink>(
    reader: &Reader,
    statement: &ReadStatement,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    let connection = reader.connection();
    let mut outcome = match &statement.rows {
        None => ReadOutcome::default(),
        Some(node) if node.expansions.is_empty() => {
            either_way(reader, statement, node, |node| {
                // What another way began with is begun again.
                sink.reset();
                push(connection, node, columns, request, sink)
            })?
        }
        Some(node) => {
            let (mut held, mut outcome) = either_way(reader, statement, node, |node| {
                fetch(connection, node, &request.binding, request.limit)
            })?;
            expand(connection, node, &request.binding, &mut held)?;
            for record in &held {
                sink.record(columns, &Shown::of(record));
            }
            outcome.count = held.len();
            outcome
        }
    };
    if let Some(total) = &statement.total {
        outcome.total = Some(count(connection, total, request)?);
    }
    Ok(outcome)
}

fn count(
    connection: &Connection,
    fragment: &Fragment,
    request: &Request<'_>,
) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached(&fragment.sql).map_err(failure)?;
    bind(&mut statement, &fragment.slots, &request.binding)?;
    let mut rows = statement.raw_query();
    match rows.next().map_err(failure)? {
        Some(row) => row.get(0).map_err(failure),
        None => Ok(0),
    }
}

// Records without relations: straight from the driver's buffers into the sink.
fn push<S: RecordSink>(
    connection: &Connection,
    node: &Node,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    let mut statement = connection
        .prepare_cached(&node.fragment.sql)
        .map_err(failure)?;
    bind(&mut statement, &node.fragment.slots, &request.binding)?;
    let mut rows = statement.raw_query();
    let mut outcome = ReadOutcome::default();
    let limit = request.limit.unwrap_or(usize::MAX);
    while let Some(row) = rows.next().map_err(failure)? {
        if outcome.count == limit {
            outcome.more = true;
            break;
        }
        let mut few = [Scalar::Null; FEW];
        let mut many: Vec<Scalar<'_>>;
        let cells = if node.places.len() <= FEW {
            &mut few[..node.places.len()]
        } else {
            many = vec![Scalar::Null; node.places.len()];
            &mut many[..]
        };
        for (cell, place) in cells.iter_mut().zip(&node.places) {
            if let Place::Column(place) = place {
                *cell = scalar(row.get_ref(*place).map_err(failure)?)?;
            }
        }
        sink.record(columns, &Borrowed(cells));
        outcome.count += 1;
        if outcome.count == limit {
            outcome.last = Some(last(row, node)?);
        }
    }
    if !outcome.more {
        outcome.last = None;
    }
    Ok(outcome)
}

fn last(row: &Row<'_>, node: &Node) -> Result<Vec<Value>, StoreError> {
    node.last
        .iter()
        .map(|(place, ty)| value(row.get_ref(*place).map_err(failure)?, *ty))
        .collect()
}

fn scalar(column: ValueRef<'_>) -> Result<Scalar<'_>, StoreError> {
    Ok(match column {
        ValueRef::Null => Scalar::Null,
        ValueRef::Integer(number) => Scalar::Integer(number),
        ValueRef::Real(float) => Scalar::Float(float),
        ValueRef::Text(bytes) => Scalar::Text(text(bytes)?),
        ValueRef::Blob(_) => return Err(StoreError::Corrupt("a column holds bytes".into())),
    })
}

// All that match are found, or rows are gone through until enough match: each is given up in turn for the other, and
// twice as much each time, so that the shorter one is never far. The one that was shorter begins the next time.
fn either_way<T>(
    reader: &Reader,
    statement: &ReadStatement,
    node: &Node,
    mut run: impl FnMut(&Node) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let Some(walk) = &statement.walk else {
        return run(node);
    };
    let favoured = walk.favoured.load(Ordering::Relaxed);
    let mut walking = favoured;
    let mut tries = reader.budget().tries().into_iter();
    let done = loop {
        let Some(strides) = tries.next() else {
            walking = false;
            break run(node);
        };
        let way = if walking { &walk.node } else { node };
        match reader.budget().within(strides, || run(way)) {
            Err(StoreError::TooSlow) => walking = !walking,
            done => break done,
        }
    };
    if walking != favoured && done.is_ok() {
        walk.favoured.store(walking, Ordering::Relaxed);
    }
    done
}

fn fetch(
    connection: &Connection,
    node: &Node,
    binding: &Binding<'_>,
    limit: Option<usize>,
) -> Result<(Vec<Held>, ReadOutcome), StoreError> {
    let mut outcome = ReadOutcome::default();
    let mut statement = connection
        .prepare_cached(&node.fragment.sql)
        .map_err(failure)?;
    bind(&mut statement, &node.fragment.slots, binding)?;
    let mut rows = statement.raw_query();
    let mut held = vec![];
    let limit = limit.unwrap_or(usize::MAX);
    while let Some(row) = rows.next().map_err(failure)? {
        if held.len() == limit {
            outcome.more = true;
            break;
        }
        let column = |place: usize| row.get_ref(place).map_err(failure);
        let mut cells = vec![];
        for place in &node.places {
            cells.push(match place {
                Place::Column(place) => match scalar(column(*place)?)? {
                    Scalar::Null => HeldCell::Null,
                    Scalar::Integer(number) => HeldCell::Integer(number),
                    Scalar::Float(float) => HeldCell::Float(float),
                    Scalar::Text(text) => HeldCell::Text(Arc::from(text)),
                },
                Place::Expansion(_) => HeldCell::Null,
            });
        }
        let mut from = vec![];
        for expansion in &node.expansions {
            let (place, ty) = expansion.from;
            from.push(value(column(place)?, ty)?);
        }
        let (place, ty) = node.parent;
        let parent = value(column(place)?, ty)?;
        held.push(Held {
            cells,
            from,
            parent,
        });
        if held.len() == limit {
            outcome.last = Some(last(row, node)?);
        }
    }
    if !outcome.more {
        outcome.last = None;
    }
    Ok((held, outcome))
}

// One keyed statement per relation and level, whatever the number of records.
fn expand(
    connection: &Connection,
    node: &Node,
    binding: &Binding<'_>,
    records: &mut [Held],
) -> Result<(), StoreError> {
    for (number, expansion) in node.expansions.iter().enumerate() {
        let mut related = Related::new();
        for keys in held::wanted(records, number).chunks(held::PARENTS) {
            let binding = Binding { keys, ..*binding };
            let node = &expansion.node;
            let (mut found, _) = fetch(connection, node, &binding, None)?;
            expand(connection, node, &binding, &mut found)?;
            held::by_parent(&mut related, found);
        }
        held::attach(node, number, expansion, &related, records);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
