//! What faces with actions of their own use: their action tables, what a caller may do in their words, and roles as the
//! cells they show. A face registers its table when Portreeve is opened ([`crate::Options::tables`]); a table that names
//! what is not there keeps it from opening.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_gate::{Caller, Principal};
use portreeve_model::CollectionId;
use portreeve_policy::cells::{
    ActionTable, At, Cell, CellProblem, Cells, On, Rest, Said, Span, Standing, TableDefinition,
    WireName, cells, statements, write_cells,
};
use portreeve_policy::{Permission, RequestFacts, RoleDefinition, role_to_json};
use serde_json::{Value as Json, json};

use crate::me::possible;
use crate::{Applied, Portreeve, Possible, Public, ServiceError, Terms};

/// The action tables, by face.
#[derive(Debug, Default)]
pub(crate) struct Registry(BTreeMap<&'static str, Arc<ActionTable>>);

impl Registry {
    pub fn new(definitions: &[TableDefinition]) -> Result<Self, ServiceError> {
        let mut tables = BTreeMap::new();
        for definition in definitions {
            let wrong = |message: String| ServiceError::invalid("action table", message);
            let table =
                ActionTable::new(definition).map_err(|problem| wrong(problem.to_string()))?;
            if !crate::FACES.contains(&table.face()) {
                return Err(wrong(format!("there is no face '{}'", table.face())));
            }
            if tables.insert(table.face(), Arc::new(table)).is_some() {
                return Err(wrong(format!("'{}' has two", definition.face)));
            }
        }
        Ok(Self(tables))
    }
}

/// What a caller may do, in the words of a face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRight {
    /// The action.
    pub action: &'static str,
    /// On everything it can be about.
    pub everywhere: Possible,
    /// On something.
    pub somewhere: Possible,
    /// By collection, of those the caller knows; none where it is about no collection.
    pub on: Vec<(String, Possible)>,
}

/// A role as a face shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRole {
    /// Its key.
    pub key: String,
    /// Its definition in our own words.
    pub definition: RoleDefinition,
    /// What stands in its cells.
    pub cells: Vec<ShownCell>,
    /// Names of the face's own that it has stored and that mean nothing here.
    pub inert: Vec<String>,
    /// Whether it says more than the cells can show.
    pub more: bool,
    /// What the face wrote of it as a whole, as long as that is what it says.
    pub verbatim: Option<Json>,
    /// What the face wrote of parts of it, in order, as long as those are as they were made.
    pub written: Vec<Json>,
}

/// One cell of a role.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownCell {
    /// The face's action.
    pub action: &'static str,
    /// The collection, where the action is said of each.
    pub collection: Option<String>,
    /// What stands there.
    pub standing: Standing,
    /// The statements it rests on.
    pub statements: Vec<Permission>,
}

/// A role as a face wants it.
#[derive(Clone, Debug, Default)]
pub struct RoleWrite {
    /// What shall stand in its cells.
    pub cells: Vec<Said>,
    /// What is meant of those that are not mentioned.
    pub rest: Rest,
    /// Its other members, as the access file has them; null takes one away.
    pub set: serde_json::Map<String, Json>,
    /// What the face wrote, to be shown back as it is.
    pub verbatim: Option<Json>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRole {
    /// The version in force.
    pub applied: Applied,
    /// Names that mean nothing here and are kept for the face.
    pub inert: Vec<String>,
}

impl Portreeve {
    /// The action table of a face, where it has registered one.
    pub fn action_table(&self, face: &str) -> Option<&Arc<ActionTable>> {
        self.registry.0.get(face)
    }

    fn table(&self, face: &str) -> Result<&Arc<ActionTable>, ServiceError> {
        self.action_table(face)
            .ok_or_else(|| ServiceError::invalid("face", "has no action table"))
    }

    /// The caller in a request for one action of a face: what permissions with `via` are judged by.
    pub fn through(&self, caller: &Caller, face: &str, action: &str) -> Caller {
        let context = caller.context();
        let request = RequestFacts {
            face: Some(Arc::from(face)),
            operation: Some(Arc::from(action)),
            ..context.request.clone()
        };
        caller.at(context.now, request)
    }

    /// Whether a caller may do an action of a face: what the gate would say to it. A collection he does not know is one
    /// he may do nothing with.
    pub fn may_through(
        &self,
        caller: &Caller,
        face: &str,
        action: &str,
        collection: Option<&str>,
    ) -> Result<Possible, ServiceError> {
        let table = self.table(face)?;
        let name = table
            .find(action)
            .ok_or_else(|| ServiceError::UnknownAction {
                name: action.into(),
                hint: table.hint(action),
            })?;
        let catalog = caller.snapshot().catalog();
        let on = match (table.on(name), collection) {
            (On::Nothing, None) => None,
            (On::Collection(own), None) => match catalog.find_text(own) {
                Some(found) => Some(found.id),
                None => return Ok(Possible::No),
            },
            (On::Records, Some(named)) => match catalog.find_text(named) {
                Some(found) => Some(found.id),
                None => return Ok(Possible::No),
            },
            (On::Records, None) => {
                return Err(ServiceError::invalid(
                    "collection",
                    "is needed for this action",
                ));
            }
            (_, Some(_)) => {
                return Err(ServiceError::invalid(
                    "collection",
                    "does not go with this action",
                ));
            }
        };
        Ok(self.possible_through(&self.through(caller, face, action), table, name, on))
    }

    // All of what it takes. `caller` is one in a request for it.
    fn possible_through(
        &self,
        caller: &Caller,
        table: &ActionTable,
        name: WireName,
        on: Option<CollectionId>,
    ) -> Possible {
        let needs = table.needs(name).iter().map(|need| {
            let rights = match on {
                Some(on) if need.is_record() => Some(self.gate.record_rights(caller, on, *need)),
                on => {
                    let named = caller.snapshot().actions().name(*need);
                    self.gate.special(caller, named, on)
                }
            };
            rights.map_or(Possible::No, |rights| possible(&rights, *need))
        });
        needs.min().unwrap_or(Possible::Yes)
    }

    /// All a caller may do, in the words of a face, in the order of its table; what he may not is left out.
    pub fn rights_through(
        &self,
        caller: &Caller,
        face: &str,
    ) -> Result<Vec<WireRight>, ServiceError> {
        let table = self.table(face)?;
        let catalog = caller.snapshot().catalog();
        let mut rights = vec![];
        for name in table.names() {
            let action = table.name(name);
            let caller = &self.through(caller, face, action);
            let ask = |on| self.possible_through(caller, table, name, on);
            let mut right = WireRight {
                action,
                everywhere: Possible::No,
                somewhere: Possible::No,
                on: vec![],
            };
            match table.on(name) {
                On::Nothing => right.everywhere = ask(None),
                On::Collection(own) => {
                    let found = catalog.find_text(own);
                    right.everywhere = found.map_or(Possible::No, |found| ask(Some(found.id)));
                }
                On::Records => {
                    // Known through this action, which may be the only one he has.
                    let known = self.shown_collections(caller, table);
                    right.on = known
                        .iter()
                        .map(|id| (catalog.get(*id).name.to_string(), ask(Some(*id))))
                        .collect();
                    let all = || right.on.iter().map(|(_, possible)| *possible);
                    right.everywhere = all().min().unwrap_or(Possible::No);
                    right.somewhere = all().max().unwrap_or(Possible::No);
                }
            }
            right.somewhere = right.somewhere.max(right.everywhere);
            if right.somewhere != Possible::No {
                rights.push(right);
            }
        }
        Ok(rights)
    }

    // The collections a face shows to a caller: those he knows.
    fn shown_collections(&self, caller: &Caller, table: &ActionTable) -> Vec<CollectionId> {
        let all = self.gate.is_administrator(caller);
        let shown = |collection: &portreeve_model::Collection| {
            if collection.system {
                let name = collection.name.to_string();
                return table.shows().contains(&name.as_str());
            }
            true
        };
        caller
            .snapshot()
            .catalog()
            .iter()
            .filter(|collection| shown(collection))
            .filter(|collection| all || self.gate.knows(caller, collection.id))
            .map(|collection| collection.id)
            .collect()
    }

    /// A role as a face shows it, for those who may author it.
    pub async fn role_through(
        &self,
        caller: &Caller,
        face: &str,
        key: &str,
    ) -> Result<ShownRole, ServiceError> {
        let table = Arc::clone(self.table(face)?);
        let (role, _) = self.authored_role(caller, key).await?;
        let snapshot = caller.snapshot();
        let collections = self.shown_collections(caller, &table);
        let Cells {
            standing,
            inert,
            more,
        } = cells(&role, &table, snapshot, &collections);
        let cells = standing
            .into_iter()
            .map(|(cell, standing)| ShownCell {
                action: table.name(cell.action),
                collection: self.shown_collection(caller, &table, cell),
                standing,
                statements: statements(&role, &table, snapshot, cell),
            })
            .collect();
        Ok(ShownRole {
            key: key.into(),
            cells,
            inert,
            more,
            verbatim: role.whole_written_by(face).cloned(),
            written: role
                .written_by(face)
                .into_iter()
                .map(|(verbatim, _)| verbatim.clone())
                .collect(),
            definition: role,
        })
    }

    fn shown_collection(&self, caller: &Caller, table: &ActionTable, cell: Cell) -> Option<String> {
        let each = table.on(cell.action) == On::Records && table.span() == Span::Each;
        match cell.at {
            At::Collection(id) if each => {
                let catalog = caller.snapshot().catalog();
                Some(catalog.get(id).name.to_string())
            }
            _ => None,
        }
    }

    /// Makes of a role the one in whose cells stands what a face says; of cells that stand as said, nothing is changed.
    /// With `new`, there must be no such role yet.
    pub async fn write_role_through(
        &self,
        caller: &Caller,
        face: &str,
        key: &str,
        new: bool,
        write: RoleWrite,
        terms: Terms,
    ) -> Result<WrittenRole, ServiceError> {
        self.may(caller, "access.author")?;
        let table = Arc::clone(self.table(face)?);
        let snapshot = caller.snapshot();
        let old = if new {
            if snapshot.is_administrator(key).is_some() {
                return Err(ServiceError::Exists(format!("a role '{key}'")));
            }
            None
        } else {
            Some(self.authored_role(caller, key).await?)
        };
        let mut definition = match &old {
            Some((role, _)) => role_to_json(role),
            None => json!({}),
        };
        crate::authoring::set(&mut definition, write.set);
        // What does not fit is told before anything is compared.
        let role = crate::authoring::read_role(key, &definition)?;
        let collections = self.shown_collections(caller, &table);
        let rewritten = write_cells(
            &role,
            &table,
            snapshot,
            &collections,
            &write.cells,
            write.rest,
        )
        .map_err(|problem| cell_problem(&problem, &table))?;
        let mut role = rewritten.role;
        if let Some(verbatim) = write.verbatim {
            role.seal_whole(face, verbatim);
        }
        let role = crate::authoring::read_role(key, &role_to_json(&role))?;
        let applied = match old {
            Some((old, stored)) => self.replace_role(caller, old, stored, role, terms).await?,
            None => self.add_role(caller, role, terms).await?,
        };
        Ok(WrittenRole {
            applied,
            inert: rewritten.inert,
        })
    }

    /// Has a role fall away as the face does it: refused while it is held, or taken from whoever holds it.
    pub async fn delete_role_through(
        &self,
        caller: &Caller,
        face: &str,
        key: &str,
        why: Option<String>,
    ) -> Result<Applied, ServiceError> {
        let unbind = self.faces.get(Some(face)).1.unbinds;
        self.delete_role(caller, key, Terms { why, unbind }).await
    }

    /// The role whose permissions are those of a face's public one; none where no role is marked as the fallback yet.
    pub fn public_role(&self, caller: &Caller, face: &str) -> Option<String> {
        let (_, settings) = self.faces.get(Some(face));
        match settings.public {
            Public::Anonymous => Some("anonymous".into()),
            Public::Everyone => Some("everyone".into()),
            Public::Roleless => {
                let fallback = caller.snapshot().fallback_role();
                fallback.map(ToString::to_string)
            }
        }
    }

    /// The caller in a request that names one of his roles: what that role would not allow, he may not do now, beside
    /// all that he was limited to before. Refused where he does not hold it, as where there is none.
    pub fn in_role(&self, caller: &Caller, role: &str) -> Result<Caller, ServiceError> {
        if !self.holds(caller, role) {
            return Err(ServiceError::Forbidden);
        }
        let narrowed = self.gate.narrow(caller, &[role.to_owned()]);
        narrowed.ok_or(ServiceError::Forbidden)
    }

    /// The roles a request of this caller may name: those he is bound to, in the order of his bindings; `anonymous` for
    /// who is not signed in.
    pub fn nameable_roles(&self, caller: &Caller) -> Vec<String> {
        match caller.principal() {
            Principal::Anonymous => vec!["anonymous".into()],
            Principal::Share { .. } => vec![],
            Principal::User(_) | Principal::Operator => {
                let bound = caller.roles().bound().into_iter();
                bound.map(ToString::to_string).collect()
            }
        }
    }

    fn holds(&self, caller: &Caller, role: &str) -> bool {
        self.nameable_roles(caller).iter().any(|held| held == role)
    }
}

fn cell_problem(problem: &CellProblem, table: &ActionTable) -> ServiceError {
    match problem {
        CellProblem::UnknownCollection(_) => {
            ServiceError::invalid("collection", problem.to_string())
        }
        CellProblem::Misplaced(name) | CellProblem::Twice(name) | CellProblem::Beyond(name) => {
            ServiceError::invalid(name, problem.to_string())
        }
        CellProblem::BadName(name) => ServiceError::UnknownAction {
            name: name.clone(),
            hint: table.hint(name),
        },
        CellProblem::Administrator => ServiceError::BuiltIn(
            "an administrator may everything, and no cell of his can be taken away".into(),
        ),
    }
}
