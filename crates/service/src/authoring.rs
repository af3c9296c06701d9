//! Roles, profiles and registration, one by one.

use std::sync::Arc;

use portreeve_gate::{Author, Authored, Caller};
use portreeve_policy::{
    Document, Permission, ProfileDefinition, RoleDefinition, Snapshot, built_in_role,
    profile_to_json, role_to_json, suggestion,
};
use portreeve_store::StoreError;
use serde_json::{Map, Value as Json, json};

use crate::{Applied, Portreeve, ServiceError};

/// What problems call what was sent.
const BODY: &str = "request body";

/// What is to change about a role.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// Members of its definition, as the access file has them; null takes one away.
    pub set: Map<String, Json>,
    /// Permissions it no longer has, exactly as they stand.
    pub remove: Vec<Json>,
    /// What it says of single cells from now on.
    pub cells: Vec<CellChange>,
    /// Permissions it has from now on.
    pub add: Vec<Json>,
}

/// What a role says of one cell from now on.
#[derive(Clone, Debug, Default)]
pub struct CellChange {
    /// The action.
    pub action: String,
    /// The collection.
    pub on: String,
    /// What is said of it; nothing, where this is empty.
    pub permissions: Vec<Json>,
}

/// Why something is done, and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// A reason for the audit trail.
    pub why: Option<String>,
    /// Take what falls away from whoever holds or names it.
    pub unbind: bool,
}

impl Portreeve {
    /// Makes a role from a definition in the shape of the access file.
    pub async fn create_role(
        &self,
        caller: &Caller,
        key: &str,
        definition: &Json,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let role = read_role(key, definition)?;
        if caller.snapshot().is_administrator(key).is_some() {
            return Err(ServiceError::Exists(format!("a role '{key}'")));
        }
        self.add_role(caller, role, terms).await
    }

    pub(crate) async fn add_role(
        &self,
        caller: &Caller,
        role: RoleDefinition,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        let compiled = self.with_role(caller, &role)?;
        let change = Authored::Role(None, Box::new(role));
        self.author(caller, vec![change], compiled, terms).await
    }

    /// Gives a role another definition.
    pub async fn put_role(
        &self,
        caller: &Caller,
        key: &str,
        definition: &Json,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let (old, stored) = self.authored_role(caller, key).await?;
        let new = read_role(key, definition)?;
        self.replace_role(caller, old, stored, new, terms).await
    }

    /// Changes parts of a role.
    pub async fn change_role(
        &self,
        caller: &Caller,
        key: &str,
        change: RoleChange,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let (old, stored) = self.authored_role(caller, key).await?;
        let mut definition = role_to_json(&old);
        set(&mut definition, change.set);
        let mut new = read_role(key, &definition)?;
        for gone in &change.remove {
            let gone = permissions(key, std::slice::from_ref(gone))?;
            let said = |permission: &Permission| {
                let role = RoleDefinition {
                    permissions: vec![permission.clone()],
                    ..RoleDefinition::default()
                };
                role_to_json(&role)
            };
            let place = gone.first().and_then(|gone| {
                let mut known = new.permissions.iter();
                known.position(|one| said(one) == said(gone))
            });
            let Some(place) = place else {
                let message = "names a permission that the role does not have as it stands there";
                return Err(ServiceError::invalid("remove", message));
            };
            new.permissions.remove(place);
        }
        for cell in &change.cells {
            let with = permissions(key, &cell.permissions)?;
            new.replace_cell(&cell.action, &cell.on, with);
        }
        new.permissions.extend(permissions(key, &change.add)?);
        // Read once more, so that what is wrong is told by its place in the whole.
        let new = read_role(key, &role_to_json(&new))?;
        self.replace_role(caller, old, stored, new, terms).await
    }

    pub(crate) async fn replace_role(
        &self,
        caller: &Caller,
        old: RoleDefinition,
        stored: bool,
        new: RoleDefinition,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        let (before, after) = (role_to_json(&old), role_to_json(&new));
        if before == after {
            return Ok(self.unchanged());
        }
        if new.key == "admin" {
            let words = ["label", "description", "extra"];
            let rest = |json: &Json| {
                let mut json = json.clone();
                words.iter().for_each(|word| {
                    json.as_object_mut().map(|map| map.remove(*word));
                });
                json
            };
            if rest(&before) != rest(&after) {
                return Err(ServiceError::BuiltIn(
                    "the role 'admin' may everything, and stays so".into(),
                ));
            }
        }
        let compiled = self.with_role(caller, &new)?;
        let old = (stored || built_in_role(&new.key).is_some()).then(|| Box::new(old));
        let change = Authored::Role(old, Box::new(new));
        self.author(caller, vec![change], compiled, terms).await
    }

    /// Has a role fall away. Refused while somebody or something holds it, unless `unbind` says to take it from them.
    pub async fn delete_role(
        &self,
        caller: &Caller,
        key: &str,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let (old, _) = self.authored_role(caller, key).await?;
        if built_in_role(key).is_some() {
            return Err(ServiceError::BuiltIn(format!(
                "the role '{key}' is built in and always there"
            )));
        }
        if terms.unbind {
            self.may(caller, "access.revoke")?;
        }
        let mut changes = vec![];
        let snapshot = caller.snapshot();
        let version = snapshot.version() + 1;
        let mut compiled = (**snapshot).clone();
        let mut named_by = vec![];
        // Whoever names it has to let go of it first.
        let mut profiles = self.store.system().profiles().await?;
        for profile in &mut profiles {
            let before = profile.clone();
            profile.roles.retain(|member| member.role != key);
            profile.assignable_by.retain(|role| role != key);
            if *profile != before {
                named_by.push(format!("profiles.{}", profile.key));
                let after = Box::new(profile.clone());
                changes.push(Authored::Profile(Some(Box::new(before)), after));
            }
        }
        compiled = compiled
            .with_profiles(&profiles, version)
            .map_err(ServiceError::BadPolicy)?;
        for other in self.store.system().roles().await? {
            if other.key != key && other.assignable_by.iter().any(|role| role == key) {
                let mut after = other.clone();
                after.assignable_by.retain(|role| role != key);
                compiled = compiled
                    .with_role(&after, version)
                    .map_err(ServiceError::BadPolicy)?;
                named_by.push(format!("roles.{}", other.key));
                changes.push(Authored::Role(Some(Box::new(other)), Box::new(after)));
            }
        }
        let registration = snapshot.registration_roles();
        if registration.iter().any(|role| role == key) {
            let mut after = registration.to_vec();
            after.retain(|role| role != key);
            compiled = compiled
                .with_registration(&after, version)
                .map_err(ServiceError::BadPolicy)?;
            named_by.push("registration.roles".into());
            changes.push(Authored::Registration(registration.to_vec(), after));
        }
        if !terms.unbind && !named_by.is_empty() {
            let what = format!("role '{key}'");
            return Err(ServiceError::NamedByPolicy { what, named_by });
        }
        let compiled = compiled
            .without_role(key, version)
            .ok_or(ServiceError::PolicyChanged)?;
        changes.push(Authored::NoRole(Box::new(old)));
        self.author(caller, changes, compiled, terms).await
    }

    /// Makes a profile from a definition in the shape of the access file.
    pub async fn create_profile(
        &self,
        caller: &Caller,
        key: &str,
        definition: &Json,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let profile = read_profile(key, definition)?;
        if caller.snapshot().profile_has_administrator(key).is_some() {
            return Err(ServiceError::Exists(format!("a profile '{key}'")));
        }
        self.replace_profile(caller, None, profile, terms).await
    }

    /// Gives a profile another definition, or, with `whole` false, other members of it; null takes one away.
    pub async fn change_profile(
        &self,
        caller: &Caller,
        key: &str,
        members: Map<String, Json>,
        whole: bool,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let old = self.authored_profile(caller, key).await?;
        let mut definition = if whole {
            json!({})
        } else {
            profile_to_json(&old)
        };
        set(&mut definition, members);
        let new = read_profile(key, &definition)?;
        if profile_to_json(&old) == profile_to_json(&new) {
            return Ok(self.unchanged());
        }
        self.replace_profile(caller, Some(old), new, terms).await
    }

    async fn replace_profile(
        &self,
        caller: &Caller,
        old: Option<ProfileDefinition>,
        new: ProfileDefinition,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        let mut profiles = self.store.system().profiles().await?;
        match profiles.iter_mut().find(|profile| profile.key == new.key) {
            Some(profile) => *profile = new.clone(),
            None => profiles.push(new.clone()),
        }
        let snapshot = caller.snapshot();
        let compiled = snapshot
            .with_profiles(&profiles, snapshot.version() + 1)
            .map_err(|problems| self.problems(caller, problems))?;
        let change = Authored::Profile(old.map(Box::new), Box::new(new));
        self.author(caller, vec![change], compiled, terms).await
    }

    /// Has a profile fall away. Refused while somebody holds it, unless `unbind` says to take it from them, and while
    /// another one has it for its parent.
    pub async fn delete_profile(
        &self,
        caller: &Caller,
        key: &str,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let old = self.authored_profile(caller, key).await?;
        if terms.unbind {
            self.may(caller, "access.revoke")?;
        }
        let mut profiles = self.store.system().profiles().await?;
        profiles.retain(|profile| profile.key != key);
        let children = profiles
            .iter()
            .filter(|profile| profile.parent.as_deref() == Some(key));
        let named_by: Vec<String> = children
            .map(|profile| format!("profiles.{}.parent", profile.key))
            .collect();
        if !named_by.is_empty() {
            let what = format!("profile '{key}'");
            return Err(ServiceError::NamedByPolicy { what, named_by });
        }
        let snapshot = caller.snapshot();
        let compiled = snapshot
            .with_profiles(&profiles, snapshot.version() + 1)
            .map_err(ServiceError::BadPolicy)?;
        let change = Authored::NoProfile(Box::new(old));
        self.author(caller, vec![change], compiled, terms).await
    }

    /// What new accounts are bound to.
    pub fn registration(&self, caller: &Caller) -> Result<Vec<String>, ServiceError> {
        self.may(caller, "access.author")?;
        Ok(caller.snapshot().registration_roles().to_vec())
    }

    /// Binds new accounts to other roles from now on.
    pub async fn set_registration(
        &self,
        caller: &Caller,
        roles: Vec<String>,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        let snapshot = caller.snapshot();
        let old = snapshot.registration_roles().to_vec();
        if old == roles {
            return Ok(self.unchanged());
        }
        let compiled = snapshot
            .with_registration(&roles, snapshot.version() + 1)
            .map_err(|problems| self.problems(caller, problems))?;
        let change = Authored::Registration(old, roles);
        self.author(caller, vec![change], compiled, terms).await
    }

    fn unchanged(&self) -> Applied {
        Applied {
            version: self.policy_version(),
            changed: false,
        }
    }

    fn with_role(&self, caller: &Caller, role: &RoleDefinition) -> Result<Snapshot, ServiceError> {
        let snapshot = caller.snapshot();
        snapshot
            .with_role(role, snapshot.version() + 1)
            .map_err(|problems| self.problems(caller, problems))
    }

    // Whoever may not see what there is is not told what is like what he has named.
    fn problems(
        &self,
        caller: &Caller,
        mut problems: Vec<portreeve_policy::Problem>,
    ) -> ServiceError {
        if !self.gate.is_administrator(caller) {
            for problem in &mut problems {
                let end = problem.message.find(';');
                if let Some(end) = end.filter(|_| problem.code.starts_with("unknown_")) {
                    problem.message.truncate(end);
                }
            }
        }
        ServiceError::BadPolicy(problems)
    }

    // The definition, and whether it is stored. What the caller may not read is not there for him.
    pub(crate) async fn authored_role(
        &self,
        caller: &Caller,
        key: &str,
    ) -> Result<(RoleDefinition, bool), ServiceError> {
        self.demand_part(caller, "roles", key).await?;
        match self.store.system().role(key).await? {
            Some(role) => Ok((role, true)),
            None => Ok((built_in_role(key).ok_or(ServiceError::NotFound)?, false)),
        }
    }

    async fn authored_profile(
        &self,
        caller: &Caller,
        key: &str,
    ) -> Result<ProfileDefinition, ServiceError> {
        self.demand_part(caller, "profiles", key).await?;
        let profiles = self.store.system().profiles().await?;
        let mut profiles = profiles.into_iter();
        profiles
            .find(|profile| profile.key == key)
            .ok_or(ServiceError::NotFound)
    }

    async fn demand_part(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
    ) -> Result<(), ServiceError> {
        if self.gate.is_administrator(caller) || self.part(caller, collection, key).await.is_ok() {
            return Ok(());
        }
        Err(ServiceError::NotFound)
    }

    pub(crate) async fn author(
        &self,
        caller: &Caller,
        changes: Vec<Authored>,
        compiled: Snapshot,
        terms: Terms,
    ) -> Result<Applied, ServiceError> {
        let _turn = self.administration.lock().await;
        let compiled = Arc::new(compiled);
        let operation = Author {
            changes,
            compiled: Arc::clone(&compiled),
            unbind: terms.unbind,
            why: terms.why,
        };
        let author = self.gate.author(caller, operation)?;
        let (store, gate) = (self.store.clone(), Arc::clone(&self.gate));
        let version = compiled.version();
        let done = self.carry_out(async move {
            let made = store.author(author).await?;
            // Before anybody is told: whoever hears of the change is answered by it.
            gate.publish(compiled);
            Ok(made)
        });
        done.await?.map_err(|error| match error {
            // Who they are is for those who may see them.
            StoreError::Held { what, .. } if !self.gate.is_administrator(caller) => {
                ServiceError::Held {
                    what,
                    holders: vec![],
                }
            }
            other => other.into(),
        })?;
        self.note_administrator().await;
        Ok(Applied {
            version,
            changed: true,
        })
    }
}

pub(crate) fn set(definition: &mut Json, members: Map<String, Json>) {
    let Json::Object(known) = definition else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            known.shift_remove(&name);
        } else {
            known.insert(name, value);
        }
    }
}

fn read(section: &str, key: &str, definition: &Json) -> Result<Document, ServiceError> {
    if !definition.is_object() {
        return Err(ServiceError::invalid("definition", "must be a JSON object"));
    }
    let text = json!({ section: { key: definition } }).to_string();
    Document::read(BODY, &text).map_err(ServiceError::BadPolicy)
}

pub(crate) fn read_role(key: &str, definition: &Json) -> Result<RoleDefinition, ServiceError> {
    let read = read("roles", key, definition)?.roles.pop();
    read.ok_or_else(|| ServiceError::invalid("key", "is no name of a role"))
}

fn read_profile(key: &str, definition: &Json) -> Result<ProfileDefinition, ServiceError> {
    let read = read("profiles", key, definition)?.profiles.pop();
    read.ok_or_else(|| ServiceError::invalid("key", "is no name of a profile"))
}

fn permissions(key: &str, list: &[Json]) -> Result<Vec<Permission>, ServiceError> {
    Ok(read_role(key, &json!({ "permissions": list }))?.permissions)
}

/// The nearest word, for those who may see all of them.
pub(crate) fn hint<'a>(shown: bool, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    if shown {
        suggestion(name, known.collect::<Vec<_>>())
    } else {
        String::new()
    }
}
