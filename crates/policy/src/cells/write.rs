//! A role as it is when its boxes are ticked otherwise.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{CollectionId, Rule};
use serde_json::Value as Json;

use super::coverage::Names;
use super::cut::{Becomes, cut, in_cell};
use super::grant::{Grants, Via, listed};
use super::request::beside;
use super::said::{Rest, Said, Says, resolve};
use super::shown::{cells, inert, statements};
use super::standing::{Look, Standing};
use super::{ActionTable, At, Cell, WireName};
use crate::{ActionId, Effect, FaceScope, Permission, RoleDefinition, Snapshot};

/// A role that was written by a face.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    /// The role.
    pub role: RoleDefinition,
    /// The cells that say something else now.
    pub touched: Vec<Cell>,
    /// Names that mean nothing here and are kept for the face.
    pub inert: Vec<String>,
}

/// Why a role cannot be written like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellProblem {
    /// There is no such collection among those shown.
    #[error("there is no collection '{0}'")]
    UnknownCollection(String),
    /// The action is not said of a collection, or is.
    #[error("'{0}' is said of the wrong place")]
    Misplaced(String),
    /// It is said twice.
    #[error("'{0}' is said twice")]
    Twice(String),
    /// The name cannot be kept.
    #[error("'{0}' is no name of an action")]
    BadName(String),
    /// Statements for one cell that speak of others.
    #[error("what is said of '{0}' is about something else")]
    Beyond(String),
    /// An administrator may everything.
    #[error("an administrator may everything")]
    Administrator,
}

// The places of an action of ours, and who of the face shares it there.
type Shared = BTreeMap<(ActionId, At), Vec<WireName>>;

// A statement, and what a face wrote that it was made of.
type Made = (Permission, Option<Json>);

// What covers cells that allow nothing: its condition, the collections it leaves out, the cells.
type Cover = (Rule, Vec<String>, BTreeSet<(ActionId, At)>);

/// The role in which these boxes stand as said, and everything else as it was. `collections` are those that were shown.
pub fn write_cells(
    role: &RoleDefinition,
    table: &ActionTable,
    snapshot: &Snapshot,
    collections: &[CollectionId],
    said: &[Said],
    rest: Rest,
) -> Result<Rewritten, CellProblem> {
    let names = Names::of(snapshot);
    let shown = cells(role, table, snapshot, collections);
    let (wanted, kept) = resolve(said, rest, &shown, table, names)?;
    let (mut on, mut off) = (BTreeSet::new(), BTreeSet::new());
    let mut replaced: Vec<(Cell, Vec<Made>)> = vec![];
    for (cell, says) in wanted {
        if table.needs(cell.action).is_empty() {
            continue;
        }
        match (says, shown.standing[&cell]) {
            (Says::Yes, Standing::Denied) => drop(on.insert(cell)),
            (Says::No, Standing::Limited | Standing::Allowed) => drop(off.insert(cell)),
            (Says::Yes | Says::No, _) => {}
            (Says::Statements(list), _) => {
                let new = of_cell(names, table, cell, list)?;
                if new != statements(role, table, snapshot, cell) {
                    let source = |one: &Permission| {
                        let source = one.source.as_ref();
                        source.map(|source| source.verbatim.clone())
                    };
                    let sources = list.iter().map(source);
                    replaced.push((cell, new.into_iter().zip(sources).collect()));
                }
            }
        }
    }
    if role.administrator && !(off.is_empty() && replaced.is_empty()) {
        return Err(CellProblem::Administrator);
    }
    let mut shared = Shared::new();
    for cell in shown.standing.keys() {
        for need in table.needs(cell.action) {
            shared
                .entry((*need, cell.at))
                .or_default()
                .push(cell.action);
        }
    }
    let change = Change {
        names,
        table,
        shared: &shared,
        on: &on,
        gone: off
            .iter()
            .copied()
            .chain(replaced.iter().map(|(cell, _)| *cell))
            .collect(),
        replaced: replaced.iter().map(|(cell, _)| *cell).collect(),
    };
    let mut new = role.clone();
    new.permissions = change.cut(role);
    let covers = change.covers(role, &new);
    new.permissions.extend(covers);
    let grants = change.grants(&new);
    let fresh = |pattern: &str| {
        let group = table.group_of(pattern).unwrap_or_default();
        let below =
            |cell: &Cell| group == "*" || table.group_of(table.name(cell.action)) == Some(group);
        let mut old = shown.standing.iter();
        !old.any(|(cell, standing)| {
            below(cell)
                && *standing != Standing::Denied
                && !off.contains(cell)
                && !table.needs(cell.action).is_empty()
        })
    };
    new.permissions
        .extend(grants.statements(names, table, said, &shared, fresh));
    for (cell, list) in replaced {
        let needs = table.needs(cell.action).iter();
        let alone = needs
            .map(|need| &shared[&(*need, cell.at)])
            .all(|all| all.len() == 1);
        let scope = (!alone).then(|| change.scope([cell.action]));
        new.permissions.extend(sealed(table.face(), list, scope));
    }
    let inert = keep_inert(&mut new, table, names, &kept, rest)?;
    let touched = on.iter().copied().chain(change.gone).collect();
    Ok(Rewritten {
        role: new,
        touched,
        inert,
    })
}

// Statements for one cell, written as they are shown.
fn of_cell(
    names: Names<'_>,
    table: &ActionTable,
    cell: Cell,
    list: &[Permission],
) -> Result<Vec<Permission>, CellProblem> {
    let needs = table.needs(cell.action);
    let mut all = vec![];
    for one in list {
        let mut actions: Vec<ActionId> = vec![];
        for word in &one.actions {
            actions.extend(names.actions.covered(word));
        }
        actions.retain(|action| names.has_action(one, *action));
        if actions.is_empty() || !actions.iter().all(|action| needs.contains(action)) {
            return Err(CellProblem::Beyond(table.name(cell.action).into()));
        }
        let mut alone = in_cell(names, one, &actions, cell.at);
        if alone.on.is_empty() != (cell.at == At::Nothing) {
            return Err(CellProblem::Beyond(table.name(cell.action).into()));
        }
        alone.via = None;
        all.push(alone);
    }
    Ok(all)
}

// Places that no statement covers: the place itself, or for all collections those of later, and the ones there are.
#[derive(Default)]
struct Open {
    itself: bool,
    collections: BTreeSet<CollectionId>,
}

impl Open {
    fn both(&self, other: &Self) -> Self {
        Self {
            itself: self.itself && other.itself,
            collections: &self.collections & &other.collections,
        }
    }

    fn but(&self, other: &Self) -> Self {
        Self {
            itself: self.itself && !other.itself,
            collections: &self.collections - &other.collections,
        }
    }
}

// The new statements of a cell; those that were made of one thing say so.
fn sealed(face: &str, list: Vec<Made>, via: Option<FaceScope>) -> Vec<Permission> {
    let (mut all, sources): (Vec<Permission>, Vec<Option<Json>>) = list
        .into_iter()
        .map(|(one, source)| {
            let via = via.clone();
            (Permission { via, ..one }, source)
        })
        .unzip();
    let mut done: Vec<&Json> = vec![];
    for source in sources.iter().flatten() {
        if done.contains(&source) {
            continue;
        }
        done.push(source);
        let (places, mut made): (Vec<usize>, Vec<Permission>) = sources
            .iter()
            .enumerate()
            .filter(|(_, other)| other.as_ref() == Some(source))
            .map(|(place, _)| (place, all[place].clone()))
            .unzip();
        Permission::seal(face, source.clone(), &mut made);
        for (place, one) in places.into_iter().zip(made) {
            all[place] = one;
        }
    }
    all
}

struct Change<'a> {
    names: Names<'a>,
    table: &'a ActionTable,
    shared: &'a Shared,
    on: &'a BTreeSet<Cell>,
    // Turned off, and those that are said anew.
    gone: BTreeSet<Cell>,
    replaced: BTreeSet<Cell>,
}

impl<'a> Change<'a> {
    fn scope(&self, operations: impl IntoIterator<Item = WireName>) -> FaceScope {
        let names = operations.into_iter();
        FaceScope {
            face: self.table.face().into(),
            operations: names.map(|one| self.table.name(one).to_owned()).collect(),
        }
    }

    fn text(&self, operations: &[WireName]) -> Vec<&'static str> {
        operations.iter().map(|one| self.table.name(*one)).collect()
    }

    // The operations whose boxes are in a set, among those that share an action at a place.
    fn among(&self, (action, at): (ActionId, At), set: &BTreeSet<Cell>) -> Vec<WireName> {
        let all = self.shared[&(action, at)].iter().copied();
        all.filter(|action| {
            set.contains(&Cell {
                action: *action,
                at,
            })
        })
        .collect()
    }

    // The places that are touched.
    fn keys(&self) -> BTreeSet<(ActionId, At)> {
        let cells = self.on.iter().chain(&self.gone);
        cells
            .flat_map(|cell| {
                let needs = self.table.needs(cell.action).iter();
                needs.map(|need| (*need, cell.at))
            })
            .collect()
    }

    // Whether some other operation still has the action there.
    fn is_kept(&self, role: &RoleDefinition, key: (ActionId, At), gone: &[WireName]) -> bool {
        let mut others = self.shared[&key].iter().filter(|one| !gone.contains(one));
        others.any(|one| {
            !self.on.contains(&Cell {
                action: *one,
                at: key.1,
            }) && Look::new(self.names, role, self.table, *one).standing(key.0, key.1)
                != Standing::Denied
        })
    }

    fn cut(&self, role: &RoleDefinition) -> Vec<Permission> {
        let keys = self.keys();
        let mut permissions = vec![];
        for permission in &role.permissions {
            let becomes: BTreeMap<(ActionId, At), Becomes> = keys
                .iter()
                .filter(|(action, at)| self.names.touches(permission, *action, *at))
                .filter_map(|key| Some((*key, self.becomes(role, permission, *key)?)))
                .collect();
            permissions.extend(cut(self.names, permission, &becomes));
        }
        permissions
    }

    // What becomes of a statement in a cell it covers; none where it stays.
    fn becomes(
        &self,
        role: &RoleDefinition,
        permission: &Permission,
        key: (ActionId, At),
    ) -> Option<Becomes> {
        let affected = match permission.effect {
            Effect::Allow => self.among(key, &self.gone),
            Effect::Deny => {
                let mut affected = self.among(key, self.on);
                affected.extend(self.among(key, &self.replaced));
                affected
            }
        };
        let speaks = |one: &WireName| {
            Look::new(self.names, role, self.table, *one).speaks(permission) != Some(false)
        };
        let mut heard: Vec<WireName> = affected.iter().copied().filter(speaks).collect();
        heard.sort_unstable();
        if heard.is_empty() {
            return None;
        }
        let Some(via) = &permission.via else {
            let last = match permission.effect {
                Effect::Allow => !self.is_kept(role, key, &affected),
                Effect::Deny => self.shared[&key].iter().all(|one| affected.contains(one)),
            };
            return Some(if last {
                Becomes::Gone
            } else {
                Becomes::When(beside(self.table.face(), &self.text(&heard)))
            });
        };
        let lost = self.text(&heard);
        let mut left = via.operations.clone();
        if left.is_empty() {
            left = self.scope(self.shared[&key].iter().copied()).operations;
        }
        left.retain(|name| !lost.contains(&name.as_str()));
        Some(if left.is_empty() {
            Becomes::Gone
        } else {
            Becomes::Via(FaceScope {
                face: via.face.clone(),
                operations: left,
            })
        })
    }

    // `implicit_allow` must not fill what was cut out: something that grants nothing covers it.
    fn covers(&self, role: &RoleDefinition, new: &RoleDefinition) -> Vec<Permission> {
        if !role.implicit_allow || role.administrator {
            return vec![];
        }
        let mut needed: Vec<Cover> = vec![];
        for key in self.keys() {
            let gone = self.among(key, &self.gone);
            if gone.is_empty() {
                continue;
            }
            let (before, after) = (self.open(role, key.0, key.1), self.open(new, key.0, key.1));
            // What was open is open to the others still; what a statement covered that is gone was not.
            let others = if self.is_kept(role, key, &gone) {
                beside(self.table.face(), &self.text(&gone))
            } else {
                Rule::Constant(false)
            };
            for (rule, open) in [
                (others, after.both(&before)),
                (Rule::Constant(false), after.but(&before)),
            ] {
                for (at, except) in self.places(key.1, &open) {
                    let cell = (key.0, at);
                    match needed
                        .iter_mut()
                        .find(|(known, out, _)| *known == rule && *out == except)
                    {
                        Some((_, _, cells)) => drop(cells.insert(cell)),
                        None => needed.push((rule.clone(), except, [cell].into())),
                    }
                }
            }
        }
        let mut made = vec![];
        for (rule, except, cells) in needed {
            for one in listed(self.names, &cells, None) {
                made.push(Permission {
                    when: Some(rule.clone()),
                    except: except.clone(),
                    ..one
                });
            }
        }
        made
    }

    // Where no statement covers the action, of the places a cell is about.
    fn open(&self, role: &RoleDefinition, action: ActionId, at: At) -> Open {
        let names = self.names;
        let covered = |at: At| {
            let mut all = role.permissions.iter();
            all.any(|one| names.touches(one, action, at))
        };
        if at != At::Anywhere {
            return Open {
                itself: !covered(at),
                ..Open::default()
            };
        }
        let there = names.ordinary().map(|collection| collection.id);
        let mut all = role.permissions.iter();
        Open {
            itself: !all.any(|one| names.has_later(one) && names.has_action(one, action)),
            collections: there.filter(|id| !covered(At::Collection(*id))).collect(),
        }
    }

    // The same as places of a statement, each with what it leaves out.
    fn places(&self, at: At, open: &Open) -> Vec<(At, Vec<String>)> {
        if at != At::Anywhere || !open.itself {
            let named = open.collections.iter().map(|id| At::Collection(*id));
            let all = named.chain(open.itself.then_some(at));
            return all.map(|at| (at, vec![])).collect();
        }
        let names = self.names;
        let there = names.ordinary().map(|collection| collection.id);
        let except = there.filter(|id| !open.collections.contains(id));
        vec![(at, except.map(|id| names.collection(id)).collect())]
    }

    fn grants(&self, new: &RoleDefinition) -> Grants {
        let mut wanted: BTreeMap<(ActionId, At), Vec<WireName>> = BTreeMap::new();
        let standing = |operation: WireName, key: (ActionId, At)| {
            Look::new(self.names, new, self.table, operation).standing(key.0, key.1)
        };
        for cell in self.on {
            for need in self.table.needs(cell.action) {
                let key = (*need, cell.at);
                if standing(cell.action, key) != Standing::Allowed {
                    wanted.entry(key).or_default().push(cell.action);
                }
            }
        }
        let mut grants = Grants::default();
        for (key, operations) in wanted {
            let all = self.shared[&key].iter();
            let mut others = all.filter(|one| !operations.contains(one));
            if others.all(|one| standing(*one, key) == Standing::Allowed) {
                grants.plain.insert(key);
                continue;
            }
            // Where `implicit_allow` allows, a statement for some would take it from the others.
            let mut places = vec![(key.1, vec![])];
            if new.implicit_allow && key.1 == At::Anywhere {
                let there = self.names.ordinary().map(|collection| collection.id);
                let all = Open {
                    itself: true,
                    collections: there.collect(),
                };
                places = self.places(key.1, &all.but(&self.open(new, key.0, key.1)));
            }
            for (at, except) in places {
                let operations = operations.clone();
                let via = grants.via.entry(Via { operations, except }).or_default();
                via.insert((key.0, at));
            }
        }
        grants
    }
}

// Puts the names that mean nothing in place of those that were kept before.
fn keep_inert(
    new: &mut RoleDefinition,
    table: &ActionTable,
    names: Names<'_>,
    kept: &[&str],
    rest: Rest,
) -> Result<Vec<String>, CellProblem> {
    let old: Vec<(String, usize)> = inert(new, table, names)
        .map(|(name, place)| (name.to_owned(), place))
        .collect();
    if rest == Rest::Off {
        for (name, place) in old.iter().rev() {
            if !kept.contains(&name.as_str()) {
                new.permissions.remove(*place);
            }
        }
    }
    for name in kept {
        if old.iter().any(|(known, _)| known == name) {
            continue;
        }
        let action = name.trim_end_matches('*');
        let segment = |segment: &str| {
            let fits = |c: char| c.is_alphanumeric() || "_-:/".contains(c);
            !segment.is_empty() && segment.chars().all(fits)
        };
        if action.len() > 200 || !action.split('.').all(segment) {
            return Err(CellProblem::BadName((*name).into()));
        }
        new.permissions.push(Permission {
            actions: vec![action.into()],
            via: Some(FaceScope {
                face: table.face().into(),
                operations: vec![(*name).into()],
            }),
            ..Permission::default()
        });
    }
    let all = inert(new, table, names);
    Ok(all.map(|(name, _)| name.to_owned()).collect())
}
