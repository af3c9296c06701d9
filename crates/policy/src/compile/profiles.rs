//! Profiles: their parents, their roles, where and from where these hold.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portreeve_model::CollectionId;

use super::Compiler;
use crate::snapshot::{CompiledProfile, CompiledRole, ProfileEntry, restriction};
use crate::{BoundTo, Document, PlacedBinding, ProfileDefinition, suggestion};

impl Compiler<'_> {
    pub(super) fn profiles(
        &mut self,
        definitions: &[ProfileDefinition],
        roles: &[Arc<CompiledRole>],
        places: &HashMap<String, usize>,
    ) -> HashMap<String, CompiledProfile> {
        let by_key: HashMap<&str, &ProfileDefinition> = definitions
            .iter()
            .map(|profile| (profile.key.as_str(), profile))
            .collect();
        let mut compiled = HashMap::new();
        for definition in definitions {
            let mut chain = vec![definition];
            let mut seen = HashSet::from([definition.key.as_str()]);
            let mut here = definition;
            while let Some(parent) = &here.parent {
                let Some(next) = by_key.get(parent.as_str()) else {
                    let hint = suggestion(parent, by_key.keys().copied());
                    self.fail(
                        &here.place,
                        "unknown_profile",
                        format!("there is no profile '{parent}'{hint}"),
                    );
                    break;
                };
                if !seen.insert(next.key.as_str()) {
                    self.fail(
                        &definition.place,
                        "cycle",
                        format!(
                            "profile '{}' is its own ancestor through '{}'",
                            definition.key, here.key
                        ),
                    );
                    break;
                }
                chain.push(next);
                here = next;
            }
            let mut profile = CompiledProfile {
                roles: vec![],
                rate_limit: definition.rate_limit,
            };
            // What is inherited is held under the conditions of every profile it comes through.
            let mut lists: Vec<Arc<[ipnet::IpNet]>> = vec![];
            for ancestor in chain {
                if !ancestor.addresses.is_empty() {
                    lists.push(ancestor.addresses.clone().into());
                }
                let mut own = vec![];
                for member in &ancestor.roles {
                    if let Some((place, restricted)) =
                        self.profile_role(definition, member, roles, places)
                    {
                        own.push(ProfileEntry {
                            place,
                            restricted,
                            addresses: lists.clone(),
                        });
                    }
                }
                own.append(&mut profile.roles);
                profile.roles = own;
            }
            if compiled.insert(definition.key.clone(), profile).is_some() {
                self.fail(
                    &definition.place,
                    "duplicate_key",
                    format!("profile '{}' is declared twice", definition.key),
                );
            }
        }
        compiled
    }

    pub(super) fn profile_role(
        &mut self,
        profile: &ProfileDefinition,
        member: &crate::ProfileRole,
        roles: &[Arc<CompiledRole>],
        places: &HashMap<String, usize>,
    ) -> Option<(usize, Option<Arc<BTreeSet<CollectionId>>>)> {
        let Some(place) = places.get(&member.role).copied() else {
            let hint = suggestion(&member.role, places.keys().map(String::as_str));
            self.fail(
                &profile.place,
                "unknown_role",
                format!(
                    "profile '{}' names role '{}', which does not exist{hint}",
                    profile.key, member.role
                ),
            );
            return None;
        };
        let Some(names) = &member.restricted_to else {
            return Some((place, None));
        };
        if roles[place].administrator {
            self.fail(
                &profile.place,
                "conflict",
                format!("'{}' is an administrator and cannot be restricted; use a role without 'administrator'", member.role),
            );
            return None;
        }
        match restriction(self.catalog, names) {
            Ok(covered) => Some((place, Some(Arc::new(covered)))),
            Err(name) => {
                self.collection(&profile.place, "restricted_to", &name);
                None
            }
        }
    }

    /// What the document binds accounts to; whether these are there is found out where they are.
    pub(super) fn bindings(
        &mut self,
        document: &Document,
        roles: &[Arc<CompiledRole>],
        places: &HashMap<String, usize>,
    ) {
        let find = |key: &str| document.profiles.iter().find(|one| one.key == key);
        for PlacedBinding { binding, place } in
            document.bindings.iter().flat_map(|one| &one.bindings)
        {
            let administrator = match &binding.to {
                BoundTo::Role(role) => match places.get(role) {
                    Some(place) => roles[*place].administrator,
                    None => {
                        let hint = suggestion(role, places.keys().map(String::as_str));
                        let line = format!("there is no role '{role}'{hint}");
                        self.fail(place, "unknown_role", line);
                        continue;
                    }
                },
                BoundTo::Profile(profile) => match find(profile) {
                    Some(profile) => profile.roles.iter().any(|member| {
                        let place = places.get(&member.role);
                        place.is_some_and(|place| roles[*place].administrator)
                    }),
                    None => {
                        let known = document.profiles.iter().map(|one| one.key.as_str());
                        let hint = suggestion(profile, known);
                        let line = format!("there is no profile '{profile}'{hint}");
                        self.fail(place, "unknown_profile", line);
                        continue;
                    }
                },
            };
            let Some(names) = &binding.restricted_to else {
                continue;
            };
            if administrator {
                let line = "an administrator cannot be restricted; leave 'restricted_to' out, or name another role";
                self.fail(place, "conflict", line.to_owned());
            } else if let Err(name) = restriction(self.catalog, names) {
                self.collection(place, "restricted_to", &name);
            }
        }
    }
}
