//! Runs read statements and pushes what they give into a sink.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::StreamExt;
use portreeve_model::{Cell, Cells, Columns, FieldType, RecordSink, Value};
use tokio_postgres::Row;

use super::error::failure;
use super::session::{Session, snapshot};
use super::values::{Raw, Scalar};
use crate::held::{self, Held, HeldCell, Related, Shown};
use crate::sql::binding::{Binding, Bound};
use crate::sql::fragment::Fragment;
use crate::sql::select::{Node, Place, ReadStatement};
use crate::{ReadOutcome, StoreError};

/// What a read is bound to.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub binding: Binding<'a>,
    /// How many records the sink gets at most; `None` for a read by key.
    pub limit: Option<usize>,
}

struct Borrowed<'a>(Vec<Scalar<'a>>);

impl Cells for Borrowed<'_> {
    fn cell(&self, place: usize) -> Cell<'_> {
        match &self.0[place] {
            Scalar::Null => Cell::Null,
            Scalar::Integer(number) => Cell::Integer(*number),
            Scalar::Float(float) => Cell::Float(*float),
            Scalar::Text(text) => Cell::Text(text),
            Scalar::Owned(text) => Cell::Text(text),
        }
    }
}

/// Runs a read.
pub(crate) async fn run<S: RecordSink>(
    session: &Session,
    statement: &ReadStatement,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    // Records and their number, and relations beside their records, are read from one state of the database.
    let expanded = statement
        .rows
        .as_ref()
        .is_some_and(|node| !node.expansions.is_empty());
    if !expanded && (statement.rows.is_none() || statement.total.is_none()) {
        return parts(session, statement, columns, request, sink).await;
    }
    snapshot(session).await?;
    let result = parts(session, statement, columns, request, sink).await;
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = session.client().batch_execute(end).await.map_err(failure);
    let outcome = result?;
    ended?;
    Ok(outcome)
}

async fn parts<S: RecordSink>(
    session: &Session,
    statement: &ReadStatement,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    let mut outcome = match &statement.rows {
        None => ReadOutcome::default(),
        Some(node) if node.expansions.is_empty() => {
            push(session, node, columns, request, sink).await?
        }
        Some(node) => {
            let mut outcome = ReadOutcome::default();
            let mut held =
                fetch(session, node, &request.binding, request.limit, &mut outcome).await?;
            expand(session, node, request.binding, &mut held).await?;
            for record in &held {
                sink.record(columns, &Shown::of(record));
            }
            outcome.count = held.len();
            outcome
        }
    };
    if let Some(total) = &statement.total {
        let rows = stream(session, total, &request.binding).await?;
        let mut rows = pin!(rows);
        if let Some(row) = rows.next().await {
            let row = row.map_err(failure)?;
            let total = raw(&row, 0)?.value(Some(FieldType::Integer))?;
            outcome.total = total.as_integer();
        }
    }
    Ok(outcome)
}

async fn stream(
    session: &Session,
    fragment: &Fragment,
    binding: &Binding<'_>,
) -> Result<tokio_postgres::RowStream, StoreError> {
    let statement = session.prepare_fragment(fragment).await?;
    let bound: Vec<Bound<'_>> = fragment.slots.iter().map(|slot| binding.of(slot)).collect();
    session
        .client()
        .query_raw(&statement, bound.iter())
        .await
        .map_err(failure)
}

fn raw(row: &Row, place: usize) -> Result<Raw<'_>, StoreError> {
    row.try_get(place).map_err(failure)
}

// Records without relations: straight from the driver's buffers into the sink.
async fn push<S: RecordSink>(
    session: &Session,
    node: &Node,
    columns: &Columns,
    request: &Request<'_>,
    sink: &mut S,
) -> Result<ReadOutcome, StoreError> {
    let rows = stream(session, &node.fragment, &request.binding).await?;
    let mut rows = pin!(rows);
    let mut outcome = ReadOutcome::default();
    let limit = request.limit.unwrap_or(usize::MAX);
    while let Some(row) = rows.next().await {
        let row = row.map_err(failure)?;
        if outcome.count == limit {
            outcome.more = true;
            break;
        }
        let mut cells = Vec::with_capacity(node.places.len());
        for (place, ty) in node.places.iter().zip(&node.types) {
            cells.push(match place {
                Place::Column(place) => raw(&row, *place)?.scalar(*ty)?,
                Place::Expansion(_) => Scalar::Null,
            });
        }
        sink.record(columns, &Borrowed(cells));
        outcome.count += 1;
        if outcome.count == limit {
            outcome.last = Some(last(&row, node)?);
        }
    }
    if !outcome.more {
        outcome.last = None;
    }
    Ok(outcome)
}

fn last(row: &Row, node: &Node) -> Result<Vec<Value>, StoreError> {
    node.last
        .iter()
        .map(|(place, ty)| raw(row, *place)?.value(Some(*ty)))
        .collect()
}

async fn fetch(
    session: &Session,
    node: &Node,
    binding: &Binding<'_>,
    limit: Option<usize>,
    outcome: &mut ReadOutcome,
) -> Result<Vec<Held>, StoreError> {
    let rows = stream(session, &node.fragment, binding).await?;
    let mut rows = pin!(rows);
    let mut held = vec![];
    let limit = limit.unwrap_or(usize::MAX);
    while let Some(row) = rows.next().await {
        let row = row.map_err(failure)?;
        if held.len() == limit {
            outcome.more = true;
            break;
        }
        let mut cells = vec![];
        for (place, ty) in node.places.iter().zip(&node.types) {
            cells.push(match place {
                Place::Column(place) => match raw(&row, *place)?.scalar(*ty)? {
                    Scalar::Null => HeldCell::Null,
                    Scalar::Integer(number) => HeldCell::Integer(number),
                    Scalar::Float(float) => HeldCell::Float(float),
                    Scalar::Text(text) => HeldCell::Text(Arc::from(text)),
                    Scalar::Owned(text) => HeldCell::Text(Arc::from(text)),
                },
                Place::Expansion(_) => HeldCell::Null,
            });
        }
        let mut from = vec![];
        for expansion in &node.expansions {
            let (place, ty) = expansion.from;
            from.push(raw(&row, place)?.value(Some(ty))?);
        }
        let (place, ty) = node.parent;
        let parent = raw(&row, place)?.value(Some(ty))?;
        held.push(Held {
            cells,
            from,
            parent,
        });
        if held.len() == limit {
            outcome.last = Some(last(&row, node)?);
        }
    }
    if !outcome.more {
        outcome.last = None;
    }
    Ok(held)
}

// One keyed statement per relation and level, whatever the number of records.
fn expand<'a>(
    session: &'a Session,
    node: &'a Node,
    binding: Binding<'a>,
    records: &'a mut [Held],
) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
    Box::pin(async move {
        for (number, expansion) in node.expansions.iter().enumerate() {
            let mut related = Related::new();
            for keys in held::wanted(records, number).chunks(held::PARENTS) {
                let binding = Binding { keys, ..binding };
                let node = &expansion.node;
                let mut found =
                    fetch(session, node, &binding, None, &mut ReadOutcome::default()).await?;
                expand(session, node, binding, &mut found).await?;
                held::by_parent(&mut related, found);
            }
            held::attach(node, number, expansion, &related, records);
        }
        Ok(())
    })
}
