//! What an account is bound to, as a face shows it: one role, the roles, or the profiles. A face that writes it back
//! changes the difference, in one transaction.

use portreeve_gate::{Caller, Reassign};
use portreeve_policy::{Binding, BoundTo};
use portreeve_store::StoreError;
use serde_json::{Map, Value as Json};

use crate::{Portreeve, ServiceError};

/// How a face shows what an account is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigning {
    /// One role: the primary binding.
    OneRole,
    /// All roles.
    Roles,
    /// All profiles; a role stands among them like a profile of its key.
    Profiles,
}

/// What a face shows of what an account is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// The names, in order.
    pub names: Vec<String>,
    /// Whether it is bound to more, or with limits the names do not show.
    pub more: bool,
}

/// A profile list of who is bound to nothing.
const NOBODY: &str = "anonymous";

/// What stands before the key of a role where there is a profile of that key.
const ROLE: &str = "role.";

struct Bound {
    id: String,
    to: BoundTo,
    primary: bool,
    limited: bool,
    over: bool,
}

impl Portreeve {
    /// What an account is bound to, as a face shows it, as far as the caller may read it.
    pub async fn assigned(
        &self,
        caller: &Caller,
        face: &str,
        how: Assigning,
        user: &str,
    ) -> Result<Assigned, ServiceError> {
        let bound = self.bound(caller, user).await?;
        Ok(self.shown_names(caller, face, how, &bound))
    }

    /// Binds an account so that the face shows these names: what is shown and not said ends, what is said and not shown is
    /// made, everything else stays. A face of one role says it or nothing.
    pub async fn assign(
        &self,
        caller: &Caller,
        face: &str,
        how: Assigning,
        user: &str,
        names: &[String],
        why: Option<String>,
    ) -> Result<Assigned, ServiceError> {
        let bound = self.bound(caller, user).await?;
        let shown = self.shown_names(caller, face, how, &bound);
        let mut change = Reassign {
            user: self.find_user(caller, user).await?,
            why,
            ..Reassign::default()
        };
        let mut wanted: Vec<&String> = vec![];
        names.iter().for_each(|name| {
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        });
        let same = wanted.len() == shown.names.len()
            && wanted.iter().all(|name| shown.names.contains(*name));
        if same {
            return Ok(shown);
        }
        match how {
            Assigning::OneRole => {
                if wanted.len() > 1 {
                    let message = "is one role, or none";
                    return Err(ServiceError::invalid("role", message));
                }
                let to = wanted.first().map(|name| BoundTo::Role((*name).clone()));
                let old = self.shown_one(face, &bound);
                if let Some(to) = to {
                    // Bound to it already, beside the one that is shown.
                    match bound.iter().find(|one| one.to == to && !one.limited) {
                        Some(known) => change.primary = Some(known.id.clone()),
                        None => change.make.push(Binding {
                            to,
                            primary: true,
                            ..Binding::default()
                        }),
                    }
                }
                change.end.extend(old.map(|old| old.id.clone()));
            }
            Assigning::Roles | Assigning::Profiles => {
                if how == Assigning::Profiles
                    && matches!(wanted.as_slice(), [one] if *one == NOBODY)
                {
                    wanted.clear();
                }
                for one in bound.iter().filter(|one| !one.over) {
                    let name = self.name_of(caller, how, &one.to);
                    if name.is_some_and(|name| !wanted.contains(&&name)) {
                        change.end.push(one.id.clone());
                    }
                }
                let new = wanted.iter().filter(|name| !shown.names.contains(**name));
                for name in new {
                    change.make.push(Binding {
                        to: self.named(caller, how, name),
                        ..Binding::default()
                    });
                }
            }
        }
        if !change.make.is_empty() || change.primary.is_some() {
            self.may(caller, "access.grant")?;
        }
        if !change.end.is_empty() {
            self.may(caller, "access.revoke")?;
        }
        for binding in &change.make {
            self.check_binding(caller, binding).await?;
        }
        let turn = self.administration.lock().await;
        let reassign = self.gate.reassign(caller, change)?;
        let store = self.store.clone();
        let done = self
            .carry_out(async move { store.reassign(reassign).await })
            .await?;
        done.map_err(|error| match error {
            StoreError::Gone => ServiceError::PolicyChanged,
            other => other.into(),
        })?;
        drop(turn);
        if !self.has_administrator() {
            self.note_administrator().await;
        }
        self.assigned(caller, face, how, user).await
    }

    async fn bound(&self, caller: &Caller, user: &str) -> Result<Vec<Bound>, ServiceError> {
        let now = caller.context().now;
        let rows = self.user_bindings(caller, user).await?;
        Ok(rows.iter().filter_map(|row| read(row, now)).collect())
    }

    fn shown_names(
        &self,
        caller: &Caller,
        face: &str,
        how: Assigning,
        bound: &[Bound],
    ) -> Assigned {
        let mut shown = Assigned::default();
        if how == Assigning::OneRole {
            let one = self.shown_one(face, bound);
            shown.names.extend(one.and_then(|one| match &one.to {
                BoundTo::Role(role) => Some(role.clone()),
                BoundTo::Profile(_) => None,
            }));
            shown.more = bound.iter().any(|other| {
                let is_shown = one.is_some_and(|one| one.id == other.id);
                !is_shown && !self.is_unseen(face, &other.to)
            }) || one.is_some_and(|one| one.limited);
            return shown;
        }
        for one in bound {
            match self.name_of(caller, how, &one.to).filter(|_| !one.over) {
                Some(name) => {
                    shown.more |= one.limited;
                    if !shown.names.contains(&name) {
                        shown.names.push(name);
                    }
                }
                None => shown.more |= !one.over,
            }
        }
        if how == Assigning::Profiles && shown.names.is_empty() {
            shown.names.push(NOBODY.into());
        }
        shown
    }

    // The one a face of one role shows and replaces.
    fn shown_one<'b>(&self, face: &str, bound: &'b [Bound]) -> Option<&'b Bound> {
        bound.iter().find(|one| {
            one.primary && matches!(one.to, BoundTo::Role(_)) && !self.is_unseen(face, &one.to)
        })
    }

    fn is_unseen(&self, face: &str, to: &BoundTo) -> bool {
        let (_, settings) = self.faces.get(Some(face));
        match to {
            BoundTo::Role(role) => settings.unseen.contains(role),
            BoundTo::Profile(_) => false,
        }
    }

    // What a list calls it.
    fn name_of(&self, caller: &Caller, how: Assigning, to: &BoundTo) -> Option<String> {
        match (how, to) {
            (Assigning::Profiles, BoundTo::Profile(profile)) => Some(profile.clone()),
            (Assigning::Profiles, BoundTo::Role(role)) => {
                let snapshot = caller.snapshot();
                Some(match snapshot.profile_has_administrator(role) {
                    Some(_) => format!("{ROLE}{role}"),
                    None => role.clone(),
                })
            }
            (_, BoundTo::Role(role)) => Some(role.clone()),
            (_, BoundTo::Profile(_)) => None,
        }
    }

    // What a name in a list is.
    fn named(&self, caller: &Caller, how: Assigning, name: &str) -> BoundTo {
        if how != Assigning::Profiles {
            return BoundTo::Role(name.into());
        }
        let snapshot = caller.snapshot();
        let is_profile = |key: &str| snapshot.profile_has_administrator(key).is_some();
        let is_role = |key: &str| snapshot.is_administrator(key).is_some();
        match name.strip_prefix(ROLE) {
            _ if is_profile(name) => BoundTo::Profile(name.into()),
            Some(role) if is_role(role) && is_profile(role) => BoundTo::Role(role.into()),
            _ if is_role(name) => BoundTo::Role(name.into()),
            _ => BoundTo::Profile(name.into()),
        }
    }
}

fn read(row: &Map<String, Json>, now: i64) -> Option<Bound> {
    let text = |name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
    let said = |name: &str| row.get(name).is_some_and(|value| !value.is_null());
    let to = match (text("role"), text("profile")) {
        (Some(role), _) => BoundTo::Role(role),
        (None, Some(profile)) => BoundTo::Profile(profile),
        (None, None) => return None,
    };
    let until = text("until").and_then(|text| portreeve_model::timestamp(&text).ok());
    Some(Bound {
        id: text("id")?,
        to,
        primary: row.get("primary").and_then(Json::as_bool).unwrap_or(false),
        limited: said("restricted_to") || said("from") || said("until"),
        over: until.is_some_and(|until| until <= now),
    })
}
