//! What a face shows of a role.

use std::collections::BTreeMap;

use portreeve_model::CollectionId;

use super::coverage::Names;
use super::cut::in_cell;
use super::standing::{Look, Standing};
use super::{ActionTable, At, On, Span, WireName};
use crate::{ActionId, Effect, Permission, RoleDefinition, Snapshot};

/// One box: an action of the face, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The action.
    pub action: WireName,
    /// Where.
    pub at: At,
}

/// What a face shows of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    /// What stands in each of its boxes.
    pub standing: BTreeMap<Cell, Standing>,
    /// Names of the face's own that it has stored and that mean nothing here.
    pub inert: Vec<String>,
    /// Whether the role says more than boxes can show: limits, or what only other faces have.
    pub more: bool,
}

/// The boxes of a role: those of every action of the table, and for a face that has one for each collection, on these.
pub fn cells(
    role: &RoleDefinition,
    table: &ActionTable,
    snapshot: &Snapshot,
    collections: &[CollectionId],
) -> Cells {
    let names = Names::of(snapshot);
    let mut standing = BTreeMap::new();
    let mut halved = false;
    for cell in places(table, names, collections) {
        let look = Look::new(names, role, table, cell.action);
        let needs = table.needs(cell.action).iter();
        let all: Vec<Standing> = needs.map(|need| look.standing(*need, cell.at)).collect();
        // What takes nothing is open.
        let least = all.iter().min().copied().unwrap_or(Standing::Allowed);
        // Part of what it takes is there, which a box that says no does not show.
        halved |= all.iter().any(|one| *one > least);
        standing.insert(cell, least);
    }
    let limited = standing.values().any(|one| *one == Standing::Limited);
    let unshown = role
        .permissions
        .iter()
        .any(|one| !is_shown(one, &standing, table, names));
    Cells {
        standing,
        inert: inert(role, table, names)
            .map(|(name, _)| name.to_owned())
            .collect(),
        more: limited || halved || unshown,
    }
}

// Every box there is.
fn places(table: &ActionTable, names: Names<'_>, collections: &[CollectionId]) -> Vec<Cell> {
    let mut all = vec![];
    for action in table.names() {
        match table.on(action) {
            On::Nothing => all.push(Cell {
                action,
                at: At::Nothing,
            }),
            On::Collection(name) => {
                all.extend(names.catalog.find_text(name).map(|found| Cell {
                    action,
                    at: At::Collection(found.id),
                }));
            }
            On::Records => match table.span() {
                Span::All => all.push(Cell {
                    action,
                    at: At::Anywhere,
                }),
                Span::Each => all.extend(collections.iter().map(|id| Cell {
                    action,
                    at: At::Collection(*id),
                })),
            },
        }
    }
    all
}

// Whether some box speaks of what the statement covers.
fn is_shown(
    permission: &Permission,
    boxes: &BTreeMap<Cell, Standing>,
    table: &ActionTable,
    names: Names<'_>,
) -> bool {
    if permission
        .via
        .as_ref()
        .is_some_and(|via| via.face != table.face())
    {
        return false;
    }
    inert_name(permission, table, names).is_some()
        || boxes.keys().any(|cell| {
            let mut needs = table.needs(cell.action).iter();
            needs.any(|need| names.touches(permission, *need, cell.at))
        })
}

/// The names a face has stored that mean nothing, and where they stand in the role.
pub(super) fn inert<'r>(
    role: &'r RoleDefinition,
    table: &'r ActionTable,
    names: Names<'r>,
) -> impl Iterator<Item = (&'r str, usize)> {
    let all = role.permissions.iter().enumerate();
    all.filter_map(move |(place, one)| Some((inert_name(one, table, names)?, place)))
}

fn inert_name<'p>(
    permission: &'p Permission,
    table: &ActionTable,
    names: Names<'_>,
) -> Option<&'p str> {
    let via = permission.via.as_ref()?;
    let [operation] = via.operations.as_slice() else {
        return None;
    };
    let mut actions = permission.actions.iter();
    let means_nothing = actions.all(|action| names.actions.covered(action).is_empty());
    (permission.effect == Effect::Allow
        && via.face == table.face()
        && means_nothing
        && !table.knows(operation))
    .then_some(operation)
}

/// The statements of a role that a box rests on, each as it stands there alone: for faces that show more than yes and no.
pub fn statements(
    role: &RoleDefinition,
    table: &ActionTable,
    snapshot: &Snapshot,
    cell: Cell,
) -> Vec<Permission> {
    let names = Names::of(snapshot);
    let look = Look::new(names, role, table, cell.action);
    let mut found = vec![];
    for permission in &role.permissions {
        if look.speaks(permission) == Some(false) {
            continue;
        }
        let covered: Vec<ActionId> = table
            .needs(cell.action)
            .iter()
            .copied()
            .filter(|need| names.touches(permission, *need, cell.at))
            .collect();
        if covered.is_empty() {
            continue;
        }
        found.push(Permission {
            via: None,
            ..in_cell(names, permission, &covered, cell.at)
        });
    }
    found
}
