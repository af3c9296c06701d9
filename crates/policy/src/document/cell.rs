//! What a role says of one cell: an action on a collection.

use super::{Permission, RoleDefinition};
use crate::pattern_covers;

impl RoleDefinition {
    /// Says something else of an action on a collection, and of everything else what was said before. A permission that
    /// covers more than the cell is split; one that covers nothing else goes.
    pub fn replace_cell(&mut self, action: &str, on: &str, with: Vec<Permission>) {
        let mut permissions = vec![];
        for permission in std::mem::take(&mut self.permissions) {
            if !permission.speaks_of(action, on) {
                permissions.push(permission);
                continue;
            }
            permissions.extend(permission.elsewhere(on));
            permissions.extend(permission.otherwise(action, on));
        }
        permissions.extend(with);
        self.permissions = permissions;
    }
}

impl Permission {
    fn speaks_of(&self, action: &str, on: &str) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|known| pattern_covers(known, action) || pattern_covers(action, known))
            && self.on.iter().any(|known| covers(known, on))
            && !self
                .except
                .iter()
                .any(|known| known == on || pattern_covers(known, action))
    }

    // The same on other collections.
    fn elsewhere(&self, on: &str) -> Option<Self> {
        let mut rest = self.clone();
        rest.on.retain(|known| known != on);
        if rest.on.iter().any(|known| covers(known, on)) {
            rest.except.push(on.into());
        }
        (!rest.on.is_empty()).then_some(rest)
    }

    // Other actions on the same collection.
    fn otherwise(&self, action: &str, on: &str) -> Option<Self> {
        let mut rest = self.clone();
        rest.on = vec![on.into()];
        rest.except.retain(|known| !known.contains('/'));
        rest.actions.retain(|known| !pattern_covers(action, known));
        if rest
            .actions
            .iter()
            .any(|known| pattern_covers(known, action))
        {
            rest.except.push(action.into());
        }
        (!rest.actions.is_empty()).then_some(rest)
    }
}

// Whether a name, `namespace/*` or `*` covers a collection. System collections are covered by their names alone, and are
// never written with a namespace; what is said of them by `*` is nothing, so nothing is taken from it.
fn covers(pattern: &str, collection: &str) -> bool {
    let namespace = collection
        .split_once('/')
        .map_or("main", |(first, _)| first);
    pattern == collection
        || pattern == "*"
        || pattern
            .strip_suffix("/*")
            .is_some_and(|known| known == namespace)
}

#[cfg(test)]
mod tests {
    use crate::{role_from_json, role_to_json};
    use serde_json::{Value as Json, json};

    fn replaced(permissions: Json, action: &str, on: &str, with: Json) -> Json {
        let read = |list: Json| role_from_json("r", &json!({ "permissions": list })).unwrap();
        let mut role = read(permissions);
        role.replace_cell(action, on, read(with).permissions);
        role_to_json(&role)["permissions"].clone()
    }

    #[test]
    fn a_cell_is_cut_out_of_what_covers_more() {
        let found = replaced(
            json!([
                { "allow": ["data.read", "data.delete"], "on": ["posts", "notes"] },
                { "allow": "data", "on": "*" },
                { "deny": "data.read.one", "on": "posts" },
                { "allow": "data.read", "on": "notes" },
                { "allow": "data.read", "on": "*", "except": "posts" },
            ]),
            "data.read",
            "posts",
            json!([{ "allow": "data.read", "on": "posts", "fields": "title" }]),
        );
        assert_eq!(
            found,
            json!([
                { "allow": ["data.read", "data.delete"], "on": "notes" },
                { "allow": "data.delete", "on": "posts" },
                { "allow": "data", "on": "*", "except": "posts" },
                { "allow": "data", "on": "posts", "except": "data.read" },
                { "allow": "data.read", "on": "notes" },
                { "allow": "data.read", "on": "*", "except": "posts" },
                { "allow": "data.read", "on": "posts", "fields": ["title"] },
            ])
        );
    }

    #[test]
    fn an_emptied_cell_is_empty_and_a_narrower_action_leaves_its_neighbours() {
        let one = json!([{ "allow": "data.read", "on": "shop/*" }]);
        assert_eq!(
            replaced(one, "data.read.many", "shop/orders", json!([])),
            json!([
                { "allow": "data.read", "on": "shop/*", "except": "shop/orders" },
                { "allow": "data.read", "on": "shop/orders", "except": "data.read.many" },
            ])
        );
        let one = json!([{ "allow": "data.read", "on": "posts" }]);
        assert_eq!(replaced(one, "data.read", "posts", json!([])), Json::Null);
    }
}
