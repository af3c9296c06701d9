//! Tables that were there before, as collections: a pure function of what was found in the database and of what the
//! document says about it.

mod found;
mod keys;
mod names;
mod relations;
mod section;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeSet;
use std::fmt;

use portreeve_model::{CollectionName, ColumnLimit, ExistingColumn, FieldType, KeySource};

pub use found::*;
pub use section::*;

use crate::{
    CollectionDefinition, ExistingDefinition, ExistingKeyDefinition, FieldDefinition, Place,
    Problem,
};
use keys::Key;
use names::Names;

/// What came of the tables that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// The collections, in order of schema and table.
    pub collections: Vec<CollectionDefinition>,
    /// What somebody who knows the tables would otherwise wonder about.
    pub notes: Vec<Note>,
}

/// Something about a table that its collection does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The table, as the database has it.
    pub table: String,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.message)
    }
}

/// A table on its way to a collection.
struct Draft<'f> {
    table: &'f FoundTable,
    name: CollectionName,
    columns: Vec<DraftColumn<'f>>,
    key: Key,
    relations: Vec<crate::RelationDefinition>,
}

struct DraftColumn<'f> {
    column: &'f FoundColumn,
    name: String,
    ty: FieldType,
    limit: Option<ColumnLimit>,
    to: Option<crate::ReferenceDefinition>,
}

/// Describes the tables that were found as collections. `taken` are the collections the document declares itself, whose
/// tables are no others'.
pub fn describe_existing(
    found: &FoundSchema,
    section: &ExistingSection,
    taken: &BTreeSet<CollectionName>,
) -> Result<Described, Vec<Problem>> {
    let others: Vec<&FoundTable> = found
        .tables
        .iter()
        .filter(|table| !table.own_name().is_some_and(|own| taken.contains(&own)))
        .collect();
    let tables = section.select(&others)?;
    let mut notes = vec![];
    let names = collection_names(&tables, section.names, taken, &mut notes);
    let mut drafts: Vec<Draft<'_>> = tables
        .into_iter()
        .zip(names)
        .map(|(table, name)| draft(found.database, section.names, table, name, &mut notes))
        .collect();
    relations::to_one(&mut drafts, &mut notes);
    relations::to_many(&mut drafts, section.names);
    let collections = drafts.into_iter().map(definition).collect();
    Ok(Described { collections, notes })
}

fn note(table: &FoundTable, message: String) -> Note {
    Note {
        table: table.shown(),
        message,
    }
}

// Names that need no change come first, so that what is odd makes room for what is not.
fn collection_names(
    tables: &[&FoundTable],
    mode: NameMode,
    taken: &BTreeSet<CollectionName>,
    notes: &mut Vec<Note>,
) -> Vec<CollectionName> {
    let wanted: Vec<(String, String)> = tables
        .iter()
        .map(|table| {
            let namespace = match table.schema.as_deref() {
                None | Some("public") => portreeve_model::MAIN_NAMESPACE.to_owned(),
                Some(schema) => names::identifier(schema, mode),
            };
            (namespace, names::identifier(&table.name, mode))
        })
        .collect();
    let mut used: BTreeSet<CollectionName> = taken.clone();
    used.extend(
        crate::SYSTEM_COLLECTIONS
            .iter()
            .map(|(name, _)| CollectionName::main(name)),
    );
    let mut given: Vec<Option<CollectionName>> = vec![None; tables.len()];
    let unchanged = |place: &usize| wanted[*place].1 == tables[*place].name;
    let order = (0..tables.len())
        .filter(unchanged)
        .chain((0..tables.len()).filter(|place| !unchanged(place)));
    for place in order {
        let (namespace, name) = &wanted[place];
        let parse = |name: &str| CollectionName::parse(&format!("{namespace}/{name}")).ok();
        let free = names::numbered(name, |name| {
            parse(name).is_some_and(|name| {
                !used.contains(&name) && !name.name().starts_with(crate::SYSTEM_PREFIX)
            })
        });
        let Some(free) = parse(&free) else { continue };
        if free.name() != names::expected(&tables[place].name, mode) {
            let message = format!("is the collection '{free}'");
            notes.push(note(tables[place], message));
        }
        used.insert(free.clone());
        given[place] = Some(free);
    }
    given
        .into_iter()
        .enumerate()
        .map(|(place, name)| {
            name.unwrap_or_else(|| CollectionName::main(&format!("table_{place}")))
        })
        .collect()
}

fn draft<'f>(
    database: FoundDatabase,
    mode: NameMode,
    table: &'f FoundTable,
    name: CollectionName,
    notes: &mut Vec<Note>,
) -> Draft<'f> {
    let mut usable = vec![];
    for column in &table.columns {
        match types::field_type(database, column) {
            Some(ty) => usable.push((column, ty)),
            None => {
                let declared = match column.declared.as_str() {
                    "" => "no declared type",
                    declared => declared,
                };
                notes.push(note(
                    table,
                    format!(
                        "column '{}' ({declared}) is left out: its values have no type here",
                        column.name
                    ),
                ));
            }
        }
    }
    let mut used = Names::default();
    let given = used.give(usable.iter().map(|(column, _)| &*column.name), mode);
    let columns: Vec<DraftColumn<'f>> = usable
        .into_iter()
        .zip(given)
        .map(|((column, ty), name)| {
            if name != names::expected(&column.name, mode) {
                let message = format!("column '{}' is the field '{name}'", column.name);
                notes.push(note(table, message));
            }
            DraftColumn {
                column,
                name,
                ty,
                limit: types::limit(database, column, ty),
                to: None,
            }
        })
        .collect();
    let key = keys::key(table, &columns, &mut used, notes);
    Draft {
        table,
        name,
        columns,
        key,
        relations: vec![],
    }
}

fn existing_column(draft: &DraftColumn<'_>) -> ExistingColumn {
    let column = draft.column;
    ExistingColumn {
        column: column.name.clone(),
        declared: column.declared.clone(),
        generated: column.generated,
        filled: column.filled,
        limit: draft.limit.clone(),
    }
}

fn definition(draft: Draft<'_>) -> CollectionDefinition {
    let place = Place {
        file: draft.table.shown().into(),
        ..Place::default()
    };
    let mut columns = draft.columns;
    let (key_name, key_type, key_source, key) = match draft.key {
        Key::Column(at) => {
            let column = columns.remove(at);
            let source = if column.column.filled {
                KeySource::Sequence
            } else {
                KeySource::Given
            };
            let key = ExistingKeyDefinition::Column(existing_column(&column), column.to);
            (column.name, column.ty, source, key)
        }
        Key::Columns(name, at) => {
            let names = at.iter().map(|at| columns[*at].name.clone()).collect();
            let key = ExistingKeyDefinition::Fields(names);
            (name, FieldType::Text, KeySource::Given, key)
        }
        Key::Missing(name) => (
            name,
            FieldType::Text,
            KeySource::Given,
            ExistingKeyDefinition::Missing,
        ),
    };
    let named = |column: &str| {
        columns
            .iter()
            .find(|known| known.column.name == column)
            .map(|known| known.name.clone())
    };
    let indexes = draft
        .table
        .indexes
        .iter()
        .filter_map(|index| index.iter().map(|column| named(column)).collect())
        .collect();
    let unique = |column: &FoundColumn| {
        draft
            .table
            .uniques()
            .any(|unique| *unique == [column.name.clone()])
    };
    let fields = columns
        .iter()
        .map(|column| FieldDefinition {
            name: column.name.clone(),
            ty: Some(column.ty),
            to: column.to.clone(),
            required: !column.column.nullable,
            unique: unique(column.column),
            default: None,
            self_writable: false,
            kept: None,
            existing: Some(existing_column(column)),
            place: place.clone(),
        })
        .collect();
    CollectionDefinition {
        name: draft.name,
        key: key_name,
        key_type,
        key_source,
        fields,
        relations: draft.relations,
        indexes,
        existing: Some(ExistingDefinition {
            schema: draft.table.schema.clone(),
            table: draft.table.name.clone(),
            key,
        }),
        place,
    }
}
