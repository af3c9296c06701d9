//! What a face says a role shall be.

use std::collections::BTreeMap;

use portreeve_model::CollectionName;

use super::coverage::Names;
use super::write::CellProblem;
use super::{ActionTable, At, Cell, Cells, On, Span};
use crate::Permission;

/// One box as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// An action of the face, or a name with `*`.
    pub action: String,
    /// On which collection, where the face has boxes for each.
    pub collection: Option<CollectionName>,
    /// What shall stand there.
    pub says: Says,
}

/// What shall stand in a box.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    /// Not allowed.
    No,
    /// Allowed; where it is with limits, it stays so.
    Yes,
    /// These statements and no others. A `source` among them is what the face wrote of them; its hash is made here.
    Statements(Vec<Permission>),
}

/// What is meant of boxes that are not mentioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// Not allowed.
    #[default]
    Off,
    /// As they are.
    Kept,
}

impl Said {
    /// Allowed or not.
    pub fn of(action: &str, collection: Option<CollectionName>, yes: bool) -> Self {
        Self {
            action: action.into(),
            collection,
            says: if yes { Says::Yes } else { Says::No },
        }
    }
}

/// What is said of each box that is shown, and the names that mean nothing and shall be kept.
pub(super) fn resolve<'s>(
    said: &'s [Said],
    rest: Rest,
    shown: &Cells,
    table: &ActionTable,
    names: Names<'_>,
) -> Result<(BTreeMap<Cell, &'s Says>, Vec<&'s str>), CellProblem> {
    let mut known: BTreeMap<(&str, Option<At>), &Says> = BTreeMap::new();
    let mut inert = vec![];
    for entry in said {
        let at = match &entry.collection {
            None => None,
            Some(name) => {
                let found = names.catalog.find(name);
                let at = found.map(|found| At::Collection(found.id));
                let at = at.filter(|at| shown.standing.keys().any(|cell| cell.at == *at));
                Some(at.ok_or_else(|| CellProblem::UnknownCollection(name.to_string()))?)
            }
        };
        if !table.knows(&entry.action) {
            if entry.says == Says::Yes {
                inert.push(entry.action.as_str());
            }
            // It shadows what a star says of its group all the same.
            known.insert((&entry.action, at), &entry.says);
            continue;
        }
        if let Some(action) = table.find(&entry.action) {
            let each = table.on(action) == On::Records && table.span() == Span::Each;
            if each != at.is_some() {
                return Err(CellProblem::Misplaced(entry.action.clone()));
            }
        }
        if known.insert((&entry.action, at), &entry.says).is_some() {
            return Err(CellProblem::Twice(entry.action.clone()));
        }
    }
    let mut resolved = BTreeMap::new();
    for cell in shown.standing.keys() {
        let name = table.name(cell.action);
        let each = table.on(cell.action) == On::Records && table.span() == Span::Each;
        let at = Some(cell.at).filter(|_| each);
        let says = match known.get(&(name, at)) {
            Some(says) => Some(*says),
            None => starred(&known, table, name, at),
        };
        match says {
            Some(says) => {
                resolved.insert(*cell, says);
            }
            None if rest == Rest::Off => {
                resolved.insert(*cell, &Says::No);
            }
            None => {}
        }
    }
    Ok((resolved, inert))
}

// A name that is not said itself: what its group's star says; where the group is named at all, nothing else. Otherwise
// what the star of all says.
fn starred<'s>(
    known: &BTreeMap<(&str, Option<At>), &'s Says>,
    table: &ActionTable,
    name: &str,
    at: Option<At>,
) -> Option<&'s Says> {
    let group = table.group_of(name)?;
    let star = |group: &str| {
        let star = known.iter().find(|((known, place), _)| {
            *place == at && table.group_of(known) == Some(group) && known.ends_with('*')
        });
        star.map(|(_, says)| *says)
    };
    let named = known
        .keys()
        .any(|(known, place)| *place == at && table.group_of(known) == Some(group));
    if named { star(group) } else { star("*") }
}
