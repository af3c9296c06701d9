//! Who is bound to what.

use portreeve_gate::{Bind, Caller, ListRequest, Rebind, Unbind, take_literals};
use portreeve_model::{CollectionName, Literal, Operand, Page, Path, Query, Rule};
use portreeve_policy::{BUILT_IN_ROLES, Binding, BoundTo, built_in_role, role_to_json};
use portreeve_store::StoreError;
use serde_json::{Map, Value as Json, json};

use crate::authoring::hint;
use crate::export::Rows;
use crate::{Portreeve, ServiceError};

/// So many bindings of one account are shown.
const SHOWN: u32 = 1_000;

impl Portreeve {
    /// Binds an account to a role or profile. Gives the binding's id.
    pub async fn bind(
        &self,
        caller: &Caller,
        user: &str,
        binding: Binding,
        why: Option<String>,
    ) -> Result<String, ServiceError> {
        self.may(caller, "access.grant")?;
        let user = self.seen_user(caller, user).await?;
        self.check_binding(caller, &binding).await?;
        let _turn = self.administration.lock().await;
        let operation = Bind {
            user: user.clone(),
            binding,
            why,
        };
        let bind = self.gate.bind(caller, operation)?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.bind(bind).await })
            .await?;
        let id = made.map_err(|error| match error {
            StoreError::Gone => ServiceError::UnknownUser(user),
            other => other.into(),
        })?;
        if !self.has_administrator() {
            self.note_administrator().await;
        }
        Ok(id)
    }

    /// Gives a binding other times.
    pub async fn rebind(&self, caller: &Caller, change: Rebind) -> Result<(), ServiceError> {
        self.may(caller, "access.grant")?;
        self.demand_binding(caller, &change.id).await?;
        if let (Some(Some(from)), Some(Some(until))) = (change.from, change.until)
            && until <= from
        {
            return Err(ServiceError::invalid("until", "must be later than 'from'"));
        }
        let _turn = self.administration.lock().await;
        let rebind = self.gate.rebind(caller, change)?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.rebind(rebind).await })
            .await?;
        made.map_err(gone)
    }

    /// Ends a binding.
    pub async fn unbind(
        &self,
        caller: &Caller,
        id: &str,
        why: Option<String>,
    ) -> Result<(), ServiceError> {
        self.may(caller, "access.revoke")?;
        self.demand_binding(caller, id).await?;
        let _turn = self.administration.lock().await;
        let operation = Unbind {
            id: id.to_owned(),
            why,
        };
        let unbind = self.gate.unbind(caller, operation)?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.unbind(unbind).await })
            .await?;
        made.map_err(gone)
    }

    /// The bindings of an account, as far as the caller may read them.
    pub async fn user_bindings(
        &self,
        caller: &Caller,
        user: &str,
    ) -> Result<Vec<Map<String, Json>>, ServiceError> {
        let id = self.seen_user(caller, user).await?;
        self.rows(caller, "bindings", "user", &id).await
    }

    /// The sessions of an account, as far as the caller may read them.
    pub async fn user_sessions(
        &self,
        caller: &Caller,
        user: &str,
    ) -> Result<Vec<Map<String, Json>>, ServiceError> {
        let id = self.seen_user(caller, user).await?;
        self.rows(caller, "sessions", "user", &id).await
    }

    /// A role or profile by its key, as far as the caller may read it.
    pub async fn part(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
    ) -> Result<Map<String, Json>, ServiceError> {
        let mut rows = self.rows(caller, collection, "key", key).await?;
        if let Some(row) = rows.pop() {
            return Ok(row);
        }
        // A built-in role that nobody has changed is stored nowhere.
        match built_in_role(key) {
            Some(role) if collection == "roles" && self.gate.is_administrator(caller) => {
                let mut row = Map::new();
                row.insert("key".into(), json!(key));
                row.insert("label".into(), json!(role.label));
                row.insert("description".into(), json!(role.description));
                row.insert("definition".into(), role_to_json(&role));
                Ok(row)
            }
            _ => Err(ServiceError::NotFound),
        }
    }

    // Records of the product's own whose field has this value, under the caller's read rights.
    async fn rows(
        &self,
        caller: &Caller,
        collection: &str,
        field: &str,
        value: &str,
    ) -> Result<Vec<Map<String, Json>>, ServiceError> {
        let rule = Rule::Compare {
            left: Operand::Path(Path::parse(field)),
            op: portreeve_model::CompareOp::Equal,
            right: Operand::Literal(Literal::Text(value.into())),
        };
        let mut values = vec![];
        let filter = Some(take_literals(rule, &mut values));
        let request = ListRequest {
            query: Query {
                collection: CollectionName::main(collection),
                fields: None,
                filter,
                search: None,
                sort: vec![],
                page: Page::Offset,
                total: false,
                expand: vec![],
            },
            values,
            cursor: vec![],
            limit: SHOWN,
            offset: 0,
        };
        let listed = self.list(caller, request, Rows::default()).await;
        match listed {
            Ok((rows, _)) => rows.all(),
            // Where he may not even filter by it, there is nothing for him.
            Err(ServiceError::UnknownField(_)) => Ok(vec![]),
            Err(other) => Err(other),
        }
    }

    /// The id of the account with this id, key, name, address or number, where the caller may see it.
    pub(crate) async fn seen_user(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<String, ServiceError> {
        let unknown = || ServiceError::UnknownUser(name.into());
        let found = self.store.system().find_user(name).await?;
        let id = found.ok_or_else(unknown)?;
        if self.gate.is_administrator(caller) {
            return Ok(id);
        }
        match self.rows(caller, "users", "id", &id).await {
            // Found by what he cannot read, it would tell him that.
            Ok(rows) if rows.first().is_some_and(|row| names(row, name)) => Ok(id),
            Ok(_) | Err(ServiceError::NotFound | ServiceError::Forbidden) => Err(unknown()),
            Err(other) => Err(other),
        }
    }

    async fn demand_binding(&self, caller: &Caller, id: &str) -> Result<(), ServiceError> {
        if self.gate.is_administrator(caller) {
            return Ok(());
        }
        match self.rows(caller, "bindings", "id", id).await {
            Ok(rows) if !rows.is_empty() => Ok(()),
            Ok(_) | Err(ServiceError::NotFound | ServiceError::Forbidden) => {
                Err(ServiceError::NotFound)
            }
            Err(other) => Err(other),
        }
    }

    // What it leads to is there, for this caller; what it is restricted to can be.
    async fn check_binding(&self, caller: &Caller, binding: &Binding) -> Result<(), ServiceError> {
        let snapshot = caller.snapshot();
        let all = self.gate.is_administrator(caller);
        let (there, collection) = match &binding.to {
            BoundTo::Role(role) => (snapshot.is_administrator(role), "roles"),
            BoundTo::Profile(profile) => (snapshot.profile_has_administrator(profile), "profiles"),
        };
        let (BoundTo::Role(key) | BoundTo::Profile(key)) = &binding.to;
        let held = caller.roles().keys().iter().any(|role| **role == **key);
        // That there are built-in roles is no secret.
        let seen = all
            || collection == "roles" && (held || BUILT_IN_ROLES.contains(&key.as_str()))
            || self.part(caller, collection, key).await.is_ok();
        let Some(is_administrator) = there.filter(|_| seen) else {
            let name = key.clone();
            return Err(match &binding.to {
                BoundTo::Role(_) => ServiceError::UnknownRole {
                    hint: hint(all, &name, snapshot.role_keys().map(|key| &**key)),
                    name,
                },
                BoundTo::Profile(_) => {
                    let mut known: Vec<&str> =
                        snapshot.profile_keys().map(String::as_str).collect();
                    known.sort_unstable();
                    ServiceError::UnknownProfile {
                        hint: hint(all, &name, known.into_iter()),
                        name,
                    }
                }
            });
        };
        if let Some(names) = &binding.restricted_to {
            if is_administrator {
                let message =
                    "an administrator cannot be restricted; leave it out, or bind to another role";
                return Err(ServiceError::invalid("restricted_to", message));
            }
            let catalog = snapshot.catalog();
            let unseen = |name: &&String| {
                let found = catalog.find_text(name);
                found.is_some_and(|found| !all && !self.gate.knows(caller, found.id))
            };
            let wrong = names.iter().find(unseen).cloned();
            let wrong = wrong.map_or_else(|| snapshot.restriction(names).err(), Some);
            if let Some(name) = wrong {
                let message = format!("there is no collection '{name}'");
                return Err(ServiceError::invalid("restricted_to", message));
            }
        }
        if let (Some(from), Some(until)) = (binding.from, binding.until)
            && until <= from
        {
            return Err(ServiceError::invalid("until", "must be later than 'from'"));
        }
        Ok(())
    }
}

// Whether what an account was called by is something of it that was read.
fn names(row: &Map<String, Json>, name: &str) -> bool {
    let text = |field: &str| row.get(field).and_then(Json::as_str);
    text("id") == Some(name)
        || text("key") == Some(name)
        || text("username") == Some(name)
        || text("email").is_some_and(|email| email.eq_ignore_ascii_case(name))
        || row
            .get("number")
            .and_then(Json::as_i64)
            .is_some_and(|number| number.to_string() == name)
}

fn gone(error: StoreError) -> ServiceError {
    match error {
        StoreError::Gone => ServiceError::NotFound,
        other => other.into(),
    }
}
