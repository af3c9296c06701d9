//! Foreign keys as relations, in both directions.

use std::collections::BTreeMap;

use portreeve_model::OnDelete;

use super::keys::Key;
use super::names::{Names, identifier};
use super::{Draft, DraftColumn, FoundReference, NameMode, Note, note};
use crate::{Place, ReferenceDefinition, RelationDefinition, RelationVia};

/// A single column that points is a relation to one record.
pub(super) fn to_one(drafts: &mut [Draft<'_>], notes: &mut Vec<Note>) {
    for place in 0..drafts.len() {
        let table = drafts[place].table;
        for reference in &table.references {
            let [column] = reference.columns.as_slice() else {
                let message = format!(
                    "the foreign key ({}) to '{}' has several columns and is no relation; the database keeps to it all the same",
                    reference.columns.join(", "),
                    reference.table
                );
                notes.push(note(table, message));
                continue;
            };
            let at = position(&drafts[place].columns, column);
            // A column that is left out has been told of, and so has a table the document excludes.
            let (Some(at), Some(target)) = (at, target(drafts, reference)) else {
                continue;
            };
            match pointed(&drafts[place], at, &drafts[target], reference) {
                Ok(to) => {
                    let column = &mut drafts[place].columns[at];
                    column.to.get_or_insert(to);
                }
                Err(why) => {
                    let message = format!("column '{column}' is no relation: {why}");
                    notes.push(note(table, message));
                }
            }
        }
    }
}

fn position(columns: &[DraftColumn<'_>], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.column.name == name)
}

fn target(drafts: &[Draft<'_>], reference: &FoundReference) -> Option<usize> {
    drafts.iter().position(|draft| {
        draft.table.name == reference.table && draft.table.schema == reference.schema
    })
}

fn pointed(
    from: &Draft<'_>,
    at: usize,
    target: &Draft<'_>,
    reference: &FoundReference,
) -> Result<ReferenceDefinition, String> {
    let shown = target.table.shown();
    let named = match (
        reference.targets.as_slice(),
        target.table.primary_key.as_slice(),
    ) {
        ([named], _) | ([], [named]) => named,
        _ => return Err(format!("no single column of '{shown}' is pointed at")),
    };
    let Some(by) = position(&target.columns, named) else {
        return Err(format!("'{shown}.{named}' is left out"));
    };
    if !target
        .table
        .uniques()
        .any(|unique| *unique == [named.clone()])
    {
        return Err(format!("'{shown}.{named}' is not unique"));
    }
    let column = &from.columns[at];
    if column.ty != target.columns[by].ty {
        return Err(format!(
            "it is {} and '{shown}.{named}' is {}",
            column.ty, target.columns[by].ty
        ));
    }
    let key = matches!(target.key, Key::Column(key) if key == by);
    Ok(ReferenceDefinition {
        collection: target.name.clone(),
        by_number: false,
        by_field: (!key).then(|| target.columns[by].name.clone()),
        on_delete: match reference.on_delete.to_ascii_uppercase().as_str() {
            "CASCADE" => OnDelete::Cascade,
            "SET NULL" if column.column.nullable => OnDelete::SetNull,
            _ => OnDelete::Restrict,
        },
    })
}

/// Every relation to one record leads back to many, and a table that is nothing but two of them leads across.
pub(super) fn to_many(drafts: &mut [Draft<'_>], mode: NameMode) {
    let mut used: Vec<Names> = drafts
        .iter()
        .map(|draft| {
            let mut names = Names::default();
            for column in &draft.columns {
                names.take(&column.name);
            }
            if let Key::Columns(name, _) | Key::Missing(name) = &draft.key {
                names.take(name);
            }
            names
        })
        .collect();
    let places: BTreeMap<_, usize> = drafts
        .iter()
        .enumerate()
        .map(|(place, draft)| (draft.name.clone(), place))
        .collect();
    let mut added: Vec<(usize, RelationDefinition)> = vec![];
    let mut add =
        |on: usize, wanted: &str, otherwise: String, alone: bool, from: &Draft<'_>, via| {
            let name = if alone && used[on].take(wanted) {
                wanted.to_owned()
            } else {
                used[on].free(&identifier(&otherwise, mode))
            };
            added.push((on, relation(name, from, via)));
        };
    for draft in drafts.iter() {
        let name = draft.name.name();
        for column in &draft.columns {
            let Some(to) = &column.to else { continue };
            let Some(on) = places.get(&to.collection) else {
                continue;
            };
            let alone = draft
                .columns
                .iter()
                .filter(|other| {
                    let target = other.to.as_ref().map(|to| &to.collection);
                    target == Some(&to.collection)
                })
                .count()
                == 1;
            let via = RelationVia::Field(column.name.clone());
            let otherwise = format!("{name}_by_{}", column.name);
            add(*on, name, otherwise, alone, draft, via);
        }
    }
    for draft in drafts.iter() {
        let Some([one, two]) = junction(draft) else {
            continue;
        };
        for (near, far) in [(one, two), (two, one)] {
            let target = |column: &DraftColumn<'_>| {
                column
                    .to
                    .as_ref()
                    .and_then(|to| places.get(&to.collection).copied())
            };
            let (Some(on), Some(to)) = (target(near), target(far)) else {
                continue;
            };
            let via = RelationVia::Through {
                junction: draft.name.clone(),
                from: near.name.clone(),
                to: far.name.clone(),
            };
            let wanted = drafts[to].name.name();
            let otherwise = format!("{wanted}_through_{}", draft.name.name());
            add(on, wanted, otherwise, on != to, &drafts[to], via);
        }
    }
    for (on, relation) in added {
        drafts[on].relations.push(relation);
    }
}

fn relation(name: String, target: &Draft<'_>, via: RelationVia) -> RelationDefinition {
    RelationDefinition {
        name,
        target: target.name.clone(),
        via,
        place: Place {
            file: target.table.shown().into(),
            ..Place::default()
        },
    }
}

// The two columns of a table that is nothing but them: its key, and each a relation.
fn junction<'d, 'f>(draft: &'d Draft<'f>) -> Option<[&'d DraftColumn<'f>; 2]> {
    let Key::Columns(_, parts) = &draft.key else {
        return None;
    };
    let [one, two] = parts.as_slice() else {
        return None;
    };
    let columns = [&draft.columns[*one], &draft.columns[*two]];
    let nothing_else = draft.table.columns.len() == 2;
    (nothing_else && columns.iter().all(|column| column.to.is_some())).then_some(columns)
}
