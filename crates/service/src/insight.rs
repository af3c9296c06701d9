//! Rights looked at rather than used: who can do something, what somebody may, and the world through his eyes.

mod effective;
mod simulate;
mod who_can;

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_model::{Collection, CollectionName, FieldType, Value};
use portreeve_policy::{
    Access, ActionId, Binding, BoundTo, IMPLICIT, READ_MANY, READ_ONE, Record, Rights, RoleSet,
    Subject, eval,
};
use portreeve_store::StoreFacts;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{Portreeve, ServiceError};

pub use effective::{ActionPaths, UserRights};
pub use simulate::Simulation;
pub use who_can::{Entitled, MAX_WHO, WhoCan, WhoCanRequest, WhoPage};

/// What is shown of an account that is named in an answer, as far as the asker reads it.
const SHOWN: [&str; 5] = ["id", "key", "number", "username", "email"];

/// A permission, and how somebody comes to hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PermissionPath {
    /// The role it stands in.
    pub role: String,
    /// Its place in the role's list, from 0; absent for what `administrator` and `implicit_allow` add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<u16>,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// Everything through which the role is held, each enough by itself.
    pub through: Vec<Through>,
}

/// One way to hold a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Through {
    /// `role` or `profile`: a binding to one; `anonymous`, `everyone`, `fallback`: nothing had to be done for it.
    pub by: &'static str,
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The collections the binding is restricted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restricted_to: Option<Vec<String>>,
    /// Until when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Json>,
}

impl Through {
    fn nothing(by: &'static str) -> Self {
        Self {
            by,
            profile: None,
            restricted_to: None,
            until: None,
        }
    }

    fn binding(binding: &Binding) -> Self {
        let (by, profile) = match &binding.to {
            BoundTo::Role(_) => ("role", None),
            BoundTo::Profile(profile) => ("profile", Some(profile.clone())),
        };
        let moment = |at| Value::Integer(at).to_json(FieldType::Timestamp);
        Self {
            by,
            profile,
            restricted_to: binding.restricted_to.clone(),
            until: binding.until.map(moment),
        }
    }
}

// Says through what somebody holds a permission. The engine says which permissions a binding gives by itself.
struct Paths<'a> {
    caller: &'a Caller,
    bindings: Vec<(&'a Binding, Arc<RoleSet>)>,
}

impl<'a> Paths<'a> {
    fn new(caller: &'a Caller, bindings: &'a [Binding]) -> Self {
        let (snapshot, now) = (caller.snapshot(), caller.context().now);
        let alone = |binding| (binding, snapshot.through(binding, now));
        Self {
            caller,
            bindings: bindings.iter().map(alone).collect(),
        }
    }

    fn path(
        &self,
        action: ActionId,
        collection: Option<&Collection>,
        role: &str,
        permission: Option<u16>,
        effect: &'static str,
    ) -> PermissionPath {
        let mut through: Vec<Through> = self
            .bindings
            .iter()
            .filter(|(_, roles)| {
                let rights = rights(self.caller, roles, action, collection);
                rights.layers().iter().any(|layer| {
                    let grants = if effect == "allow" {
                        &layer.allows
                    } else {
                        &layer.denies
                    };
                    grants
                        .iter()
                        .any(|grant| *grant.role == *role && place(grant.position) == permission)
                })
            })
            .map(|(binding, _)| Through::binding(binding))
            .collect();
        match role {
            "everyone" => through.push(Through::nothing("everyone")),
            "anonymous" if self.caller.user().is_none() => {
                through.push(Through::nothing("anonymous"));
            }
            _ if through.is_empty() => through.push(Through::nothing("fallback")),
            _ => {}
        }
        PermissionPath {
            role: role.to_owned(),
            permission,
            effect,
            through,
        }
    }
}

fn place(position: u16) -> Option<u16> {
    (position != IMPLICIT).then_some(position)
}

// As an explanation asks: outside development.
fn rights(
    caller: &Caller,
    roles: &RoleSet,
    action: ActionId,
    collection: Option<&Collection>,
) -> Arc<Rights> {
    let (snapshot, context) = (caller.snapshot(), caller.context());
    match collection {
        Some(collection) if action.is_record() => {
            roles.rights(snapshot, collection.id, action, context)
        }
        collection => {
            let id = collection.map(|collection| collection.id);
            roles.special(snapshot, action, id, context, false)
        }
    }
}

// What a caller reads of the accounts that an answer names.
struct Accounts<'a> {
    caller: &'a Caller,
    users: Arc<Collection>,
    rights: [Arc<Rights>; 2],
    facts: &'a StoreFacts,
}

impl<'a> Accounts<'a> {
    fn new(
        portreeve: &Portreeve,
        caller: &'a Caller,
        facts: &'a StoreFacts,
    ) -> Result<Self, ServiceError> {
        let users = caller
            .snapshot()
            .catalog()
            .find(&CollectionName::main("users"));
        let users = users.ok_or_else(|| ServiceError::internal("there are no accounts"))?;
        let rights = [READ_ONE, READ_MANY]
            .map(|action| portreeve.gate.record_rights(caller, users.id, action));
        Ok(Self {
            caller,
            users: Arc::clone(users),
            rights,
            facts,
        })
    }

    /// Whether he reads every account there is, whichever there are.
    fn all(&self) -> bool {
        let all = |rights: &Arc<Rights>| *rights.reach() == Access::Always;
        self.rights.iter().any(all)
    }

    /// What he reads of this one; nothing where he does not.
    async fn shown(&self, id: &str) -> Result<Option<Map<String, Json>>, ServiceError> {
        let shown = self.shown_of(&[Value::from(id)]).await?;
        Ok(shown.into_values().next())
    }

    /// What he reads of these, by id; those that he does not read are not among them.
    async fn shown_of(
        &self,
        ids: &[Value],
    ) -> Result<HashMap<String, Map<String, Json>>, ServiceError> {
        if self.rights.iter().all(|rights| !rights.allows_something()) {
            return Ok(HashMap::new());
        }
        let records = self.facts.records(self.users.id, ids).await?;
        let shown = records.iter().filter_map(|record| {
            let id = record.get(self.users.key).as_text()?;
            Some((id.to_owned(), self.readable(record)?))
        });
        let shown = shown.collect();
        self.facts.answered()?;
        Ok(shown)
    }

    fn readable(&self, record: &Record) -> Option<Map<String, Json>> {
        let holds = |access: &Access| match access {
            Access::Never => false,
            Access::Always => true,
            Access::When(condition) => {
                let context = self.caller.context();
                eval(condition, Subject::read(record), context, self.facts) == Some(true)
            }
        };
        let reached: Vec<&Arc<Rights>> = self
            .rights
            .iter()
            .filter(|rights| holds(rights.reach()))
            .collect();
        if reached.is_empty() {
            return None;
        }
        let mut shown = Map::new();
        for name in SHOWN {
            let Some(field) = self.users.find_field(name) else {
                continue;
            };
            let readable = reached
                .iter()
                .any(|rights| holds(rights.field(&self.users, field)));
            if readable {
                let ty = self.users.field(field).ty;
                shown.insert(name.into(), record.get(field).to_json(ty));
            }
        }
        Some(shown)
    }
}
