//! Parts of a policy that change by themselves: profiles, registration, who hands out what.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Compiler;
use crate::snapshot::{CompiledRole, RoleReads, Snapshot};
use crate::{BoundTo, Place, Problem, ProfileDefinition, suggestion};

impl<'a> Compiler<'a> {
    pub(super) fn over(snapshot: &'a Snapshot) -> Self {
        Self {
            catalog: &snapshot.catalog,
            namespaces: &snapshot.namespaces,
            actions: &snapshot.actions,
            rules: &snapshot.rules,
            problems: vec![],
            interned: HashSet::new(),
            attributes: BTreeSet::new(),
            role_reads: RoleReads::Named(BTreeSet::new()),
        }
    }

    pub(crate) fn replace_profiles(
        snapshot: &'a Snapshot,
        definitions: &[ProfileDefinition],
        version: u64,
    ) -> Result<Snapshot, Vec<Problem>> {
        let mut compiler = Self::over(snapshot);
        let profiles = compiler.profiles(definitions, &snapshot.roles, &snapshot.role_places);
        let mut assignable = (*snapshot.assignable).clone();
        assignable.retain(|what, _| matches!(what, BoundTo::Role(_)));
        for profile in definitions {
            compiler.assigners(
                &profile.place,
                &profile.assignable_by,
                &snapshot.role_places,
            );
            if !profile.assignable_by.is_empty() {
                let what = BoundTo::Profile(profile.key.clone());
                assignable.insert(what, profile.assignable_by.clone().into());
            }
        }
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        Ok(Snapshot {
            version,
            profiles: Arc::new(profiles),
            assignable: Arc::new(assignable),
            sets: Arc::default(),
            ..snapshot.clone()
        })
    }

    pub(crate) fn replace_registration(
        snapshot: &'a Snapshot,
        registration: &[String],
        version: u64,
    ) -> Result<Snapshot, Vec<Problem>> {
        let mut compiler = Self::over(snapshot);
        compiler.registration(registration, &snapshot.roles, &snapshot.role_places);
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        Ok(Snapshot {
            version,
            registration: registration.to_vec().into(),
            sets: Arc::default(),
            ..snapshot.clone()
        })
    }

    pub(super) fn registration(
        &mut self,
        registration: &[String],
        roles: &[Arc<CompiledRole>],
        places: &HashMap<String, usize>,
    ) {
        for role in registration {
            match places.get(role) {
                None => self.fail(
                    &Place::default(),
                    "unknown_role",
                    format!(
                        "registration names role '{role}', which does not exist{}",
                        suggestion(role, places.keys().map(String::as_str))
                    ),
                ),
                Some(place) if roles[*place].administrator => self.fail(
                    &Place::default(),
                    "conflict",
                    format!("registration must not hand out '{role}': it is an administrator"),
                ),
                Some(_) => {}
            }
        }
    }

    pub(super) fn assigners(
        &mut self,
        place: &Place,
        by: &[String],
        places: &HashMap<String, usize>,
    ) {
        for role in by {
            if !places.contains_key(role) {
                let hint = suggestion(role, places.keys().map(String::as_str));
                self.fail(
                    place,
                    "unknown_role",
                    format!("assignable_by: there is no role '{role}'{hint}"),
                );
            }
        }
    }
}
