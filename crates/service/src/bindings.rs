//! Who is bound to what.

use portreeve_gate::{Bind, Caller, Eyes, ListRequest, Rebind, Unbind, take_literals};
use portreeve_model::{CollectionName, EntityTag, Literal, Operand, Page, Path, Query, Rule};
use portreeve_policy::{
    Access, BUILT_IN_ROLES, Binding, BoundTo, Precondition, READ_MANY, RoleDefinition,
    built_in_role, role_to_json,
};
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
        let user = self.find_user(caller, user).await?;
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
        let id = self.find_user(caller, user).await?;
        self.rows(caller, "bindings", "user", &id).await
    }

    /// The sessions of an account, as far as the caller may read them.
    pub async fn user_sessions(
        &self,
        caller: &Caller,
        user: &str,
    ) -> Result<Vec<Map<String, Json>>, ServiceError> {
        let id = self.find_user(caller, user).await?;
        self.rows(caller, "sessions", "user", &id).await
    }

    /// A role or profile by its key, as far as the caller may read it. One that is built in says so.
    pub async fn part(
        &self,
        eyes: impl Into<Eyes<'_>>,
        collection: &str,
        key: &str,
    ) -> Result<Map<String, Json>, ServiceError> {
        let eyes = eyes.into();
        let built_in = built_in_role(key).filter(|_| collection == "roles");
        let mut rows = self.rows(eyes, collection, "key", key).await?;
        let row = match (rows.pop(), &built_in) {
            (Some(row), _) => Some(row),
            // One that nobody has changed is stored nowhere.
            (None, Some(role)) if self.store.system().role(key).await?.is_none() => {
                self.unstored(eyes, role)
            }
            _ => None,
        };
        let mut row = row.ok_or(ServiceError::NotFound)?;
        if built_in.is_some() {
            row.insert("builtin".into(), true.into());
        }
        Ok(row)
    }

    /// The roles that are always there, as far as the caller may read them.
    pub async fn built_in_roles(
        &self,
        eyes: impl Into<Eyes<'_>>,
    ) -> Result<Vec<Map<String, Json>>, ServiceError> {
        let eyes = eyes.into();
        let mut found = vec![];
        for key in BUILT_IN_ROLES {
            match self.part(eyes, "roles", key).await {
                Ok(row) => found.push(row),
                Err(ServiceError::NotFound | ServiceError::Forbidden) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The tag of a role or profile as it was read: another one, as soon as anything that was read is another.
    pub fn part_tag(part: &Map<String, Json>) -> EntityTag {
        EntityTag::of_json(Json::Object(part.clone()).to_string().as_bytes())
    }

    /// Refuses unless a role or profile is as a change of it wants it to be. The change that follows under the same caller
    /// is refused where the policy has changed in between.
    pub async fn demand_part_state(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
        condition: &Precondition,
    ) -> Result<(), ServiceError> {
        if *condition == Precondition::None {
            return Ok(());
        }
        self.may(caller, "access.author")?;
        let part = self.part(caller, collection, key).await?;
        let met = match condition {
            Precondition::None | Precondition::Present => true,
            Precondition::Matches(tags) => tags.contains(&Self::part_tag(&part)),
            Precondition::Absent => false,
        };
        if met {
            Ok(())
        } else {
            Err(ServiceError::Unmet)
        }
    }

    // A role that is stored nowhere, for those who read every stored one: of rows that are not there no rule can be asked.
    fn unstored(&self, eyes: Eyes<'_>, role: &RoleDefinition) -> Option<Map<String, Json>> {
        let roles = eyes.snapshot().catalog().find_text("roles")?;
        let read = self.gate.record_rights(eyes, roles.id, READ_MANY);
        if *read.reach() != Access::Always {
            return None;
        }
        let members = [
            ("key", json!(role.key)),
            ("label", json!(role.label)),
            ("description", json!(role.description)),
            ("definition", role_to_json(role)),
        ];
        let readable = |name: &str| {
            let field = roles.find_field(name);
            field.is_some_and(|field| *read.field(roles, field) == Access::Always)
        };
        let shown = members.into_iter().filter(|(name, _)| readable(name));
        let row: Map<String, Json> = shown.map(|(name, json)| (name.to_owned(), json)).collect();
        row.contains_key("key").then_some(row)
    }

    // Records of the product's own whose field has this value, under the caller's read rights.
    async fn rows(
        &self,
        eyes: impl Into<Eyes<'_>>,
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
        let listed = self.list(eyes, request, Rows::default()).await;
        match listed {
            Ok((rows, _)) => rows.all(),
            // Where he may not even filter by it, there is nothing for him.
            Err(ServiceError::UnknownField(_)) => Ok(vec![]),
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
    pub(crate) async fn check_binding(
        &self,
        caller: &Caller,
        binding: &Binding,
    ) -> Result<(), ServiceError> {
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

fn gone(error: StoreError) -> ServiceError {
    match error {
        StoreError::Gone => ServiceError::NotFound,
        other => other.into(),
    }
}
