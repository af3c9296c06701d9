//! Who I am and what I may do, as far as that can be said without looking at records.

use std::sync::Arc;

use portreeve_gate::{Eyes, Principal};
use portreeve_model::{Collection, CollectionName, FieldId, Value};
use portreeve_policy::{
    Access, ActionId, Actions, CREATE_ONE, FieldSet, Layer, READ_MANY, READ_ONE, Rights, UPDATE_ONE,
};
use serde::{Serialize, Serializer};

use crate::Portreeve;

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Possible {
    /// Never.
    No,
    /// On some records, or with some values.
    Some,
    /// Always.
    Yes,
}

/// Who asks, and what he may do.
#[derive(Clone, Debug, Serialize)]
pub struct Me {
    /// The account; absent for requests without a session and for the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<MeUser>,
    /// `user`, `share`, `anonymous` or `operator`.
    pub principal: &'static str,
    /// The share that was opened, instead of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// The roles in force.
    pub roles: Vec<String>,
    /// Whether one of them may do everything.
    pub administrator: bool,
    /// The policy version this was said under.
    pub policy_version: u64,
    /// The collections he knows, in order of name.
    pub collections: Vec<CollectionRights>,
    /// Actions that are not on records and that he may do.
    pub actions: Vec<String>,
}

/// One's own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeUser {
    /// Its id.
    pub id: String,
    /// Its chosen key.
    pub key: Option<String>,
    /// Its number.
    pub number: Option<i64>,
    /// The name it signs in by.
    pub username: Option<String>,
    /// The address it signs in by.
    pub email: Option<String>,
}

/// What may be done with the records of one collection.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionRights {
    /// Its name.
    pub name: String,
    /// The actions on records that are possible at all.
    #[serde(serialize_with = "as_map")]
    pub actions: Vec<(String, Possible)>,
    /// The fields that can be read or written at all.
    pub fields: Vec<FieldRights>,
    /// Undeclared fields, where there can be any that can be read or written at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<OverflowRights>,
}

/// What may be done with undeclared fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OverflowRights {
    /// Alone or in lists.
    pub read: Possible,
    /// In a new record.
    pub create: Possible,
    /// In a record that is there.
    pub update: Possible,
}

/// What may be done with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRights {
    /// Its name.
    pub name: String,
    /// Alone or in lists.
    pub read: Possible,
    /// In a new record.
    pub create: Possible,
    /// In a record that is there.
    pub update: Possible,
}

fn as_map<S: Serializer>(pairs: &[(String, Possible)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, possible)| (name, possible)))
}

impl Portreeve {
    /// Who the caller is and what he may do.
    pub fn me<'a>(&self, eyes: impl Into<Eyes<'a>>) -> Me {
        let caller = eyes.into();
        let snapshot = caller.snapshot();
        let share = match caller.principal() {
            Principal::Share { share, .. } => Some(&**share),
            _ => None,
        };
        let mut collections: Vec<CollectionRights> = snapshot
            .catalog()
            .iter()
            .filter(|collection| self.gate.knows(caller, collection.id))
            .map(|collection| self.collection_rights(caller, collection))
            .collect();
        collections.sort_by(|a, b| a.name.cmp(&b.name));
        let actions = snapshot.actions();
        let mut special: Vec<String> = all_actions(actions)
            .filter(|action| !action.is_record())
            .map(|action| actions.name(action))
            .filter(|name| self.may(caller, name).is_ok())
            .map(str::to_owned)
            .collect();
        special.sort();
        Me {
            user: me_user(caller),
            principal: match caller.principal() {
                Principal::User(_) => "user",
                Principal::Share { .. } => "share",
                Principal::Anonymous => "anonymous",
                Principal::Operator => "operator",
            },
            share: share.map(str::to_owned),
            // Whoever has opened a share is not told what its creator holds.
            roles: caller
                .roles()
                .keys()
                .iter()
                .filter(|_| share.is_none())
                .map(ToString::to_string)
                .collect(),
            administrator: self.gate.is_administrator(caller),
            policy_version: snapshot.version(),
            collections,
            actions: special,
        }
    }

    pub(crate) fn collection_rights(
        &self,
        caller: Eyes<'_>,
        collection: &Arc<Collection>,
    ) -> CollectionRights {
        let actions = caller.snapshot().actions();
        let named = all_actions(actions)
            .filter(|action| action.is_record())
            .map(|action| {
                let possible = self.possible_with(caller, collection, action);
                (actions.name(action).to_owned(), possible)
            })
            .filter(|(_, possible)| *possible != Possible::No);
        CollectionRights {
            name: collection.name.to_string(),
            actions: named.collect(),
            fields: self.field_rights(caller, collection),
            overflow: self.overflow_rights(caller, collection),
        }
    }

    /// Whether an action is possible with the records of a collection. System collections are written by typed operations,
    /// never as records: of accounts it is said what those allow; the others have rights of their own, among the actions.
    pub(crate) fn possible_with(
        &self,
        caller: Eyes<'_>,
        collection: &Collection,
        action: ActionId,
    ) -> Possible {
        if !collection.system || !is_write(action) {
            let rights = self.gate.record_rights(caller, collection.id, action);
            return possible(&rights, action);
        }
        if !is_accounts(collection) {
            return Possible::No;
        }
        match self.gate.account_rights(caller, action) {
            None => Possible::No,
            Some((rights, limited)) => at_most(possible(&rights, action), limited),
        }
    }

    /// The declared fields that exist for a caller.
    pub(crate) fn field_rights<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        collection: &Arc<Collection>,
    ) -> Vec<FieldRights> {
        self.rights_to(eyes.into(), collection, collection.named_fields())
    }

    /// What a caller may do with undeclared fields; nothing where he may do nothing with them.
    pub(crate) fn overflow_rights(
        &self,
        caller: Eyes<'_>,
        collection: &Arc<Collection>,
    ) -> Option<OverflowRights> {
        let rights = self.rights_to(caller, collection, collection.overflow().into_iter());
        rights.first().map(|rights| OverflowRights {
            read: rights.read,
            create: rights.create,
            update: rights.update,
        })
    }

    fn rights_to(
        &self,
        caller: Eyes<'_>,
        collection: &Arc<Collection>,
        of_these: impl Iterator<Item = FieldId>,
    ) -> Vec<FieldRights> {
        let rights = |action| self.gate.record_rights(caller, collection.id, action);
        let (one, many) = (rights(READ_ONE), rights(READ_MANY));
        let (create, update) = (rights(CREATE_ONE), rights(UPDATE_ONE));
        let mut fields = vec![];
        for field in of_these {
            let read =
                |rights: &Rights| of(rights.reach()).min(of(rights.field(collection, field)));
            let name = &collection.field(field).name;
            let write = |rights: &Rights, action: ActionId| {
                if collection.system {
                    let typed = self.gate.account_rights(caller, action);
                    let Some((_, limited)) = typed.filter(|_| is_accounts(collection)) else {
                        return Possible::No;
                    };
                    let (written, everywhere) = self.gate.account_field(caller, action, name);
                    let limited = !everywhere || (limited && action == CREATE_ONE);
                    return match written {
                        true => at_most(writable(rights, field), limited),
                        false => Possible::No,
                    };
                }
                let keyed = field == collection.key && action == UPDATE_ONE;
                if keyed || !collection.is_writable(field) {
                    Possible::No
                } else {
                    writable(rights, field)
                }
            };
            let entry = FieldRights {
                name: name.to_string(),
                read: read(&one).max(read(&many)),
                create: write(&create, CREATE_ONE),
                update: write(&update, UPDATE_ONE),
            };
            if entry.read.max(entry.create).max(entry.update) != Possible::No {
                fields.push(entry);
            }
        }
        fields
    }
}

pub(crate) fn all_actions(actions: &Actions) -> impl Iterator<Item = ActionId> {
    actions.covered("*").into_iter()
}

/// Whether these are the accounts.
pub(crate) fn is_accounts(collection: &Collection) -> bool {
    collection.system && collection.name == CollectionName::main("users")
}

fn at_most(possible: Possible, limited: bool) -> Possible {
    if limited {
        possible.min(Possible::Some)
    } else {
        possible
    }
}

fn is_write(action: ActionId) -> bool {
    action.is_create()
        || action.is_update()
        || action == portreeve_policy::DELETE_ONE
        || action.0 == portreeve_policy::DELETE_ONE.0 + 1
}

fn me_user(caller: Eyes<'_>) -> Option<MeUser> {
    let id = caller.user()?.to_string();
    let text = |name: &str| match caller.context().attribute(name) {
        Value::Text(text) => Some(text),
        _ => None,
    };
    let number = caller.context().attribute("number").as_integer();
    Some(MeUser {
        id,
        key: text("key"),
        number,
        username: text("username"),
        email: text("email"),
    })
}

fn of(access: &Access) -> Possible {
    match access {
        Access::Never => Possible::No,
        Access::When(_) => Possible::Some,
        Access::Always => Possible::Yes,
    }
}

/// Whether an action is possible on all records with all fields and values, on some, or never.
pub(crate) fn possible(rights: &Rights, action: ActionId) -> Possible {
    if !rights.allows_something() {
        return Possible::No;
    }
    if !action.is_create() && !action.is_update() {
        return of(rights.reach());
    }
    least(rights, |layer| {
        let unlimited = layer.effective_allows().iter().any(|grant| {
            let body = &grant.body;
            body.rows.is_none() && body.check.is_none() && body.fields.is_all()
        });
        if unlimited && layer.effective_denies().is_empty() {
            Possible::Yes
        } else {
            Possible::Some
        }
    })
}

fn writable(rights: &Rights, field: FieldId) -> Possible {
    if !rights.allows_something() {
        return Possible::No;
    }
    least(rights, |layer| {
        let allows = layer.effective_allows();
        let granting = || {
            allows
                .iter()
                .filter(|grant| grant.body.fields.contains(field))
        };
        let concerning: Vec<_> = layer
            .effective_denies()
            .iter()
            .filter(|deny| deny.body.fields.contains(field))
            .collect();
        let outright = concerning.iter().any(|deny| {
            let body = &deny.body;
            matches!(body.fields, FieldSet::Only(_)) && body.rows.is_none() && body.check.is_none()
        });
        if granting().next().is_none() || outright {
            return Possible::No;
        }
        let unlimited =
            granting().any(|grant| grant.body.rows.is_none() && grant.body.check.is_none());
        if unlimited && concerning.is_empty() {
            Possible::Yes
        } else {
            Possible::Some
        }
    })
}

// All layers must allow.
fn least(rights: &Rights, of: impl Fn(&Layer) -> Possible) -> Possible {
    rights.layers().iter().map(of).min().unwrap_or(Possible::No)
}
