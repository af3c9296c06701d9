//! What names a record of a table.

use portreeve_model::FieldType;

use super::names::Names;
use super::{DraftColumn, FoundTable, Note, note};

/// The key a collection gets, by places of the draft's columns.
pub(super) enum Key {
    /// This column.
    Column(usize),
    /// A field of this name, made of these columns.
    Columns(String, Vec<usize>),
    /// A field of this name that is always null.
    Missing(String),
}

/// What a key that is no column is called.
const MADE: &str = "_key";

pub(super) fn key(
    table: &FoundTable,
    columns: &[DraftColumn<'_>],
    used: &mut Names,
    notes: &mut Vec<Note>,
) -> Key {
    // Where a column is, if its values can stand in a key.
    let place = |name: &String| {
        columns
            .iter()
            .position(|column| column.column.name == *name)
            .filter(|place| names_records(columns[*place].ty))
    };
    let parts: Option<Vec<usize>> = table.primary_key.iter().map(place).collect();
    match parts.as_deref() {
        Some([at]) => return Key::Column(*at),
        Some(parts @ [_, ..]) => return Key::Columns(used.free(MADE), parts.to_vec()),
        Some([]) | None => {}
    }
    let only = table
        .unique
        .iter()
        .filter_map(|unique| match unique.as_slice() {
            [one] => place(one),
            _ => None,
        })
        .filter(|at| !columns[*at].column.nullable)
        .min();
    if let Some(at) = only {
        return Key::Column(at);
    }
    let message = if table.view {
        "is a view, so its records can only be listed"
    } else if parts.is_none() {
        "has a primary key of a type that names no records, so they can only be listed"
    } else {
        "has no primary key and no column that is unique and never null, so its records can only be listed"
    };
    notes.push(note(table, message.into()));
    Key::Missing(used.free(MADE))
}

// Floats are equal or not by a hair, and documents have many texts.
fn names_records(ty: FieldType) -> bool {
    !matches!(ty, FieldType::Float | FieldType::Json)
}
