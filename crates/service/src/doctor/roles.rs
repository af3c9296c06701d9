//! Roles nobody holds, permissions that are taken away again, restrictions that leave nothing, doors that are open.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::Collection;
use portreeve_policy::{
    Access, BUILT_IN_ROLES, Binding, BoundTo, Context, Document, Effect, Grant, READ_COUNT,
    READ_MANY, READ_ONE, RoleSet, SUBSCRIBE, Snapshot,
};

use super::{Findings, Severity};
use crate::me::all_actions;

/// Roles and profiles that nobody is bound to and nothing names.
pub(super) fn unused(
    document: &Document,
    held: impl Fn(&BoundTo) -> bool,
    findings: &mut Findings,
) {
    for role in &document.roles {
        let named = document
            .profiles
            .iter()
            .any(|profile| profile.roles.iter().any(|member| member.role == role.key));
        let used = named
            || role.fallback
            || BUILT_IN_ROLES.contains(&role.key.as_str())
            || document.registration.roles.contains(&role.key)
            || held(&BoundTo::Role(role.key.clone()));
        if !used {
            findings.add(
                "role-unused",
                Severity::Notice,
                format!("roles.{}", role.key),
                "nobody is bound to it, and no profile and no registration names it",
                format!(
                    "take it out, or bind somebody: portreeve role grant {} USER",
                    role.key
                ),
            );
        }
    }
    for profile in &document.profiles {
        let parent = document
            .profiles
            .iter()
            .any(|other| other.parent.as_ref() == Some(&profile.key));
        if !parent && !held(&BoundTo::Profile(profile.key.clone())) {
            findings.add(
                "profile-unused",
                Severity::Notice,
                format!("profiles.{}", profile.key),
                "nobody is bound to it, and no other profile has it for its parent",
                format!(
                    "take it out, or bind somebody: portreeve profile grant {} USER",
                    profile.key
                ),
            );
        }
    }
}

fn context(now: i64) -> Context {
    Context {
        now,
        ..Context::default()
    }
}

// Every grant of a set, with where it counts.
fn grants(snapshot: &Snapshot, set: &RoleSet, now: i64, mut each: impl FnMut(&str, &Grant, bool)) {
    let context = context(now);
    let mut look = |cell: &str, rights: &portreeve_policy::Rights| {
        for layer in rights.layers() {
            let denied = !layer.administrator() && layer.denies.iter().any(plainly_denies);
            for grant in layer.grants() {
                each(cell, grant, denied);
            }
        }
    };
    for action in all_actions(snapshot.actions()) {
        let name = snapshot.actions().name(action);
        if action.is_record() {
            for collection in snapshot.catalog().iter() {
                let rights = set.rights(snapshot, collection.id, action, &context);
                look(&format!("{name} on {}", collection.name), &rights);
            }
            continue;
        }
        look(name, &set.special(snapshot, action, None, &context, true));
        // No restriction touches these, so they are nowhere.
        let own = [
            "account.", "auth.", "server.", "access.", "policy.", "mail.",
        ];
        if own.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for collection in snapshot.catalog().iter() {
            let id = Some(collection.id);
            let rights = set.special(snapshot, action, id, &context, true);
            look(&format!("{name} on {}", collection.name), &rights);
        }
    }
}

fn plainly_denies(deny: &Grant) -> bool {
    deny.denies_all() && !deny.body.is_conditional()
}

/// Allows that a deny takes away again wherever they count: one of their own role, or of everyone's.
pub(super) fn shadowed(
    snapshot: &Arc<Snapshot>,
    document: &Document,
    now: i64,
    findings: &mut Findings,
) {
    for role in &document.roles {
        if role
            .permissions
            .iter()
            .all(|one| one.effect == Effect::Allow)
            && role.key != "everyone"
            && !document.roles.iter().any(|other| {
                let mut permissions = other.permissions.iter();
                other.key == "everyone" && permissions.any(|one| one.effect == Effect::Deny)
            })
        {
            continue;
        }
        let set = snapshot.admit(&[Binding::to_role(&role.key)], now).roles;
        let (mut counts, mut denied) = (BTreeSet::new(), BTreeSet::new());
        grants(snapshot, &set, now, |_, grant, is_denied| {
            if *grant.role != *role.key || grant.body.effect != Effect::Allow {
                return;
            }
            if is_denied {
                denied.insert(grant.position);
            } else {
                counts.insert(grant.position);
            }
        });
        for position in denied.difference(&counts) {
            if *position == portreeve_policy::IMPLICIT {
                continue;
            }
            findings.add(
                "grant-shadowed",
                Severity::Warning,
                format!("roles.{}.permissions[{position}]", role.key),
                "everything it allows is denied by the same role or by 'everyone': a deny wins",
                "take it out, or limit the deny by 'rows', 'fields' or 'except'",
            );
        }
    }
}

/// Whether a restriction leaves nothing of what it restricts.
pub(super) fn is_emptied(snapshot: &Arc<Snapshot>, binding: &Binding, now: i64) -> bool {
    let anywhere = |binding: &Binding| {
        let set = snapshot.through(binding, now);
        let mut found = false;
        grants(snapshot, &set, now, |cell, _, _| {
            found |= cell.contains(" on ")
        });
        found
    };
    let unlimited = Binding {
        restricted_to: None,
        from: None,
        until: None,
        ..binding.clone()
    };
    let limited = Binding {
        restricted_to: binding.restricted_to.clone(),
        ..unlimited.clone()
    };
    anywhere(&unlimited) && !anywhere(&limited)
}

/// Members of profiles whose restriction leaves nothing of their role.
pub(super) fn emptied_profiles(
    snapshot: &Arc<Snapshot>,
    document: &Document,
    now: i64,
    findings: &mut Findings,
) {
    for profile in &document.profiles {
        for (index, member) in profile.roles.iter().enumerate() {
            if member.restricted_to.is_none() {
                continue;
            }
            let binding = Binding {
                restricted_to: member.restricted_to.clone(),
                ..Binding::to_role(&member.role)
            };
            if is_emptied(snapshot, &binding, now) {
                findings.add(
                    "restriction-empty",
                    Severity::Warning,
                    format!("profiles.{}.roles[{index}].restricted_to", profile.key),
                    format!("nothing of the role '{}' is left there", member.role),
                    "take it out, or restrict it to collections that the role is about",
                );
            }
        }
    }
}

/// What a role may beside its holder's own account and beside records: rights over rights, over tables and the like.
pub(super) fn beyond_records(snapshot: &Arc<Snapshot>, role: &str, now: i64) -> Vec<String> {
    if snapshot.is_administrator(role) == Some(true) {
        return vec!["everything".into()];
    }
    let set = snapshot.through(&Binding::to_role(role), now);
    let context = context(now);
    let actions = snapshot.actions();
    all_actions(actions)
        .filter(|action| !action.is_record())
        .map(|action| (action, actions.name(action)))
        .filter(|(_, name)| {
            ["access.", "policy.", "data.raw.", "data.schema.", "server."]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .filter(|(action, _)| {
            let rights = set.special(snapshot, *action, None, &context, true);
            rights.allows_something() && *rights.reach() != Access::Never
        })
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// What people may to whom nobody has given anything: without a session, with any account, with an account and nothing
/// else.
pub(super) fn open_doors(
    snapshot: &Arc<Snapshot>,
    document: &Document,
    now: i64,
    findings: &mut Findings,
) {
    for role in &document.roles {
        let who = match role.key.as_str() {
            "anonymous" => "anybody, without an account,",
            "everyone" => "anybody, with or without an account,",
            _ if role.fallback => "every account that is bound to nothing",
            _ => continue,
        };
        let place = format!("roles.{}", role.key);
        let wide = match (role.administrator, role.implicit_allow) {
            (true, _) => Some("administrator"),
            (false, true) => Some("implicit_allow"),
            (false, false) => None,
        };
        if let Some(word) = wide {
            findings.add(
                "open-door",
                Severity::Error,
                format!("{place}.{word}"),
                format!("{who} may do everything"),
                format!("take '{word}' out and name what is meant"),
            );
            continue;
        }
        let special = beyond_records(snapshot, &role.key, now);
        if !special.is_empty() {
            findings.add(
                "open-door",
                Severity::Error,
                &place,
                format!("{who} may {}", special.join(", ")),
                "give these to a role that people are bound to",
            );
        }
        let set = snapshot.through(&Binding::to_role(&role.key), now);
        for collection in snapshot.catalog().iter() {
            let may = beyond_reading(snapshot, &set, collection, now);
            if !may.is_empty() {
                findings.add(
                    "open-door",
                    Severity::Warning,
                    &place,
                    format!("{who} may {} on {}", may.join(", "), collection.name),
                    "give this to a role that people are bound to, if it is not meant",
                );
            }
        }
    }
}

// Reading is what public things are for; what is the product's own is for nobody.
fn beyond_reading(
    snapshot: &Snapshot,
    set: &RoleSet,
    collection: &Collection,
    now: i64,
) -> Vec<String> {
    let context = context(now);
    let reads = [READ_ONE, READ_MANY, READ_COUNT, SUBSCRIBE];
    all_actions(snapshot.actions())
        .filter(|action| action.is_record())
        .filter(|action| collection.system || !reads.contains(action))
        .filter(|action| {
            let rights = set.rights(snapshot, collection.id, *action, &context);
            rights.allows_something()
        })
        .map(|action| snapshot.actions().name(action).to_owned())
        .collect()
}
