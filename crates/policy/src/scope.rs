//! Permissions that are no role's: what a key or a share limits its owner to.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::compile::Compiler;
use crate::document::{permissions_from_json, permissions_to_json};
use crate::roleset::{RoleEntry, ScopeKey};
use crate::{Effect, Permission, Problem, RoleSet, Snapshot};

/// A list of permissions that only allow, as narrow as they are: without a name, held by nobody. Its owner's decision and
/// the scope must both hold, per record and field; it never adds anything, and lends no values.
#[derive(Clone, Debug)]
pub struct Scope {
    permissions: Arc<[Permission]>,
    everyone: bool,
    // What it says, to know it again.
    text: Arc<str>,
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.everyone) == (&other.text, other.everyone)
    }
}

impl Scope {
    /// These permissions, with or without what everyone may do. Denies, presets and defaults have no place in it.
    pub fn new(permissions: Vec<Permission>, everyone: bool) -> Result<Self, Vec<Problem>> {
        let problems: Vec<Problem> = permissions.iter().filter_map(misplaced).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = permissions_to_json(&permissions).to_string().into();
        Ok(Self {
            permissions: permissions.into(),
            everyone,
            text,
        })
    }

    /// The same from the form that permissions have in a document: a list of mappings with `allow` and `on`.
    pub fn from_json(json: &Json, everyone: bool) -> Result<Self, Vec<Problem>> {
        Self::new(permissions_from_json(json)?, everyone)
    }

    /// Its permissions in the form they have in a document.
    pub fn to_json(&self) -> Json {
        permissions_to_json(&self.permissions)
    }

    /// Its permissions.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// Whether it lets pass what everyone may do.
    pub fn everyone(&self) -> bool {
        self.everyone
    }
}

fn misplaced(permission: &Permission) -> Option<Problem> {
    let problem = |message: &str| {
        Some(Problem {
            place: permission.place.clone(),
            code: "conflict",
            message: message.into(),
        })
    };
    if permission.effect == Effect::Deny {
        return problem("a scope only allows; leave out of it what it shall not cover");
    }
    if !permission.presets.is_empty() || !permission.defaults.is_empty() {
        return problem(
            "a scope lends no values: presets and defaults come from its owner's roles",
        );
    }
    None
}

impl Snapshot {
    /// All that is wrong with a scope under this policy: what it names that is not there.
    pub fn check_scope(&self, scope: &Scope) -> Result<(), Vec<Problem>> {
        let (_, problems) = Compiler::scope(self, &scope.permissions);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// What a caller with this scope is limited to. What it names that is no longer there gives nothing: it only allows,
    /// so that leaving something out of it can only narrow. Made once and kept with the policy.
    pub fn scope(&self, scope: &Scope) -> Arc<RoleSet> {
        let key = ScopeKey {
            text: Arc::clone(&scope.text),
            everyone: scope.everyone,
        };
        let table = self.catalog.len() * size_of::<u32>();
        self.sets.shared_scope(key, table, || {
            let (role, _) = Compiler::scope(self, &scope.permissions);
            let mut entries = vec![RoleEntry::bound(Arc::new(role))];
            if scope.everyone {
                entries.extend(self.shared(false));
            }
            entries
        })
    }
}

impl Default for Scope {
    /// Nothing at all.
    fn default() -> Self {
        Self {
            permissions: Arc::new([]),
            everyone: false,
            text: "[]".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Context, Document, READ_MANY};

    fn snapshot() -> Snapshot {
        let text = "collections:\n  a: { key: { id: integer }, fields: { x: text } }\n  b: { key: { id: integer }, fields: { y: text } }\n";
        let document = Document::read("scope", text).expect("a document");
        Snapshot::compile(&document, 1).expect("a policy")
    }

    fn allows(snapshot: &Snapshot, scope: &Scope, name: &str) -> bool {
        let id = snapshot.catalog.find_text(name).expect("a collection").id;
        let set = snapshot.scope(scope);
        set.rights(snapshot, id, READ_MANY, &Context::default())
            .allows_something()
    }

    #[test]
    fn what_denies_or_lends_is_no_scope() {
        for wrong in [
            json!([{ "deny": "data.read", "on": "a" }]),
            json!([{ "allow": "data.create", "on": "a", "presets": { "x": "1" } }]),
            json!([{ "allow": "data.create", "on": "a", "defaults": { "x": "1" } }]),
            json!([{ "allow": "data.read", "of": "a" }]),
            json!({ "allow": "data.read", "on": "a" }),
            json!("data.read"),
        ] {
            assert!(Scope::from_json(&wrong, true).is_err(), "{wrong}");
        }
        let right = json!([{ "allow": "data.read", "on": "a", "rows": "x = '1'" }]);
        let scope = Scope::from_json(&right, true).expect("a scope");
        assert_eq!(Scope::from_json(&scope.to_json(), true), Ok(scope.clone()));
        assert_ne!(Scope::from_json(&scope.to_json(), false), Ok(scope));
    }

    #[test]
    fn what_is_no_longer_there_gives_nothing_and_takes_nothing_else_along() {
        let snapshot = snapshot();
        let json = json!([
            { "allow": "data.read", "on": ["gone"] },
            { "allow": "data.read", "on": "b", "rows": "x = '1'" },
            { "allow": "data.read", "on": "a" },
            { "allow": "invoice.approve", "on": "a" },
        ]);
        let scope = Scope::from_json(&json, false).expect("it can be read");
        let problems = snapshot.check_scope(&scope).expect_err("problems");
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["unknown_collection", "bad_rule", "unknown_action"]);
        assert!(allows(&snapshot, &scope, "a"));
        assert!(!allows(&snapshot, &scope, "b"));
        let good = Scope::from_json(&json!([{ "allow": "data", "on": "*" }]), false);
        let good = good.expect("a scope");
        assert_eq!(snapshot.check_scope(&good), Ok(()));
        assert!(allows(&snapshot, &good, "b"));
        assert!(!allows(&snapshot, &Scope::default(), "a"));
    }

    #[test]
    fn a_scope_is_compiled_once_and_what_is_kept_is_bounded() {
        const MOST: usize = 1 << 16;
        let mut snapshot = snapshot();
        snapshot.sets = Arc::new(crate::roleset::RoleSets::bounded(MOST));
        let scope = |number: usize| {
            let rows = format!("x = '{number}'");
            let json = json!([{ "allow": "data.read", "on": "a", "rows": rows }]);
            Scope::from_json(&json, false).expect("a scope")
        };
        let (mut first, mut given_up) = (snapshot.scope(&scope(0)).id(), 0);
        for number in 1..1_000 {
            let one = snapshot.scope(&scope(number));
            assert_eq!(one.id(), snapshot.scope(&scope(number)).id());
            let again = snapshot.scope(&scope(0)).id();
            given_up += usize::from(again != first);
            first = again;
        }
        assert!((1..500).contains(&given_up), "{given_up}");
        let everyone = Scope::from_json(&scope(0).to_json(), true).expect("a scope");
        assert_ne!(snapshot.scope(&everyone).id(), first);
    }
}
