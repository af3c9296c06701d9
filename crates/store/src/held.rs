//! Records that are kept until their relations have been read too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portreeve_model::{Cell, Cells, Value};

use crate::sql::select::{Expansion, Node, Place};

/// So many parents are asked about at once.
pub(crate) const PARENTS: usize = 500;

/// A record read to be held, with its relations; several parents may have the same one.
pub(crate) struct Held {
    pub cells: Vec<HeldCell>,
    /// For each expansion the value its related records are found by.
    pub from: Vec<Value>,
    /// In a node below the first: whose it is.
    pub parent: Value,
}

/// A cell of a held record.
pub(crate) enum HeldCell {
    Null,
    Integer(i64),
    Float(f64),
    Text(Arc<str>),
    One(Arc<Held>),
    Many(Vec<Arc<Held>>),
}

/// A held record as a sink takes it. The texts are shared, whoever has the record.
pub(crate) struct Shown(Vec<ShownCell>);

enum ShownCell {
    Null,
    Integer(i64),
    Float(f64),
    Text(Arc<str>),
    One(Box<dyn Cells>),
    Many(Vec<Box<dyn Cells>>),
}

impl Shown {
    pub fn of(record: &Held) -> Self {
        let boxed = |record: &Arc<Held>| -> Box<dyn Cells> { Box::new(Self::of(record)) };
        let cells = record.cells.iter().map(|cell| match cell {
            HeldCell::Null => ShownCell::Null,
            HeldCell::Integer(number) => ShownCell::Integer(*number),
            HeldCell::Float(float) => ShownCell::Float(*float),
            HeldCell::Text(text) => ShownCell::Text(Arc::clone(text)),
            HeldCell::One(record) => ShownCell::One(boxed(record)),
            HeldCell::Many(records) => ShownCell::Many(records.iter().map(boxed).collect()),
        });
        Self(cells.collect())
    }
}

impl Cells for Shown {
    fn cell(&self, place: usize) -> Cell<'_> {
        match &self.0[place] {
            ShownCell::Null => Cell::Null,
            ShownCell::Integer(number) => Cell::Integer(*number),
            ShownCell::Float(float) => Cell::Float(*float),
            ShownCell::Text(text) => Cell::Text(text),
            ShownCell::One(record) => Cell::One(&**record),
            ShownCell::Many(records) => Cell::Many(records),
        }
    }
}

/// Related records by the value they are found by.
pub(crate) type Related = HashMap<Value, Vec<Arc<Held>>>;

/// The values that records are related by, each once.
pub(crate) fn wanted(held: &[Held], expansion: usize) -> Vec<Value> {
    let mut seen = HashSet::new();
    held.iter()
        .map(|record| &record.from[expansion])
        .filter(|value| !value.is_null() && seen.insert(*value))
        .cloned()
        .collect()
}

/// Puts related records together by whose they are.
pub(crate) fn by_parent(related: &mut Related, found: Vec<Held>) {
    for record in found {
        related
            .entry(record.parent.clone())
            .or_default()
            .push(Arc::new(record));
    }
}

/// Puts related records into the records they belong to.
pub(crate) fn attach(
    node: &Node,
    number: usize,
    expansion: &Expansion,
    related: &Related,
    held: &mut [Held],
) {
    let place = node
        .places
        .iter()
        .position(|place| *place == Place::Expansion(number));
    let Some(place) = place else { return };
    for record in held {
        let found = related
            .get(&record.from[number])
            .map_or(&[][..], Vec::as_slice);
        record.cells[place] = if expansion.many {
            HeldCell::Many(found.to_vec())
        } else {
            found
                .first()
                .map_or(HeldCell::Null, |found| HeldCell::One(Arc::clone(found)))
        };
    }
}
