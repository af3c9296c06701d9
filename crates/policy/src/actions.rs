//! The actions there are: a closed list of the product's own and the application's declared ones.

use std::collections::HashMap;

/// An action's place in [`Actions`]. The record actions come first and fit a 16-bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId(pub u16);

/// `data.read.one`
pub const READ_ONE: ActionId = ActionId(0);
/// `data.read.many`
pub const READ_MANY: ActionId = ActionId(1);
/// `data.read.count`
pub const READ_COUNT: ActionId = ActionId(2);
/// `data.create.one`
pub const CREATE_ONE: ActionId = ActionId(3);
/// `data.create.many`
pub const CREATE_MANY: ActionId = ActionId(4);
/// `data.update.one`
pub const UPDATE_ONE: ActionId = ActionId(5);
/// `data.update.many`
pub const UPDATE_MANY: ActionId = ActionId(6);
/// `data.delete.one`
pub const DELETE_ONE: ActionId = ActionId(7);
/// `data.delete.many`
pub const DELETE_MANY: ActionId = ActionId(8);
/// `data.share`
pub const SHARE: ActionId = ActionId(9);
/// `data.subscribe`
pub const SUBSCRIBE: ActionId = ActionId(10);

/// How many actions act on records.
pub const RECORD_ACTIONS: u16 = 11;

const BUILT_IN: &[&str] = &[
    "data.read.one",
    "data.read.many",
    "data.read.count",
    "data.create.one",
    "data.create.many",
    "data.update.one",
    "data.update.many",
    "data.delete.one",
    "data.delete.many",
    "data.share",
    "data.subscribe",
    "data.schema.read",
    "data.schema.sync",
    "data.raw.query",
    "data.raw.mutate",
    "access.grant",
    "access.revoke",
    "access.author",
    "policy.plan",
    "policy.apply",
    "policy.explain",
    "policy.simulate",
    "policy.who",
    "auth.register",
    "auth.sign_in",
    "auth.sign_out",
    "auth.refresh",
    "auth.check",
    "auth.forgot_password",
    "auth.reset_password",
    "auth.confirm",
    "account.read",
    "account.update",
    "account.password",
    "account.sessions",
    "account.keys",
    "account.delete",
    "server.info",
    "server.health",
    "server.now",
    "server.metrics",
    "server.settings",
    "mail.send",
];

/// All actions of one policy version.
#[derive(Clone, Debug)]
pub struct Actions {
    names: Vec<String>,
    by_name: HashMap<String, ActionId>,
}

impl Actions {
    /// The built-in actions and these.
    pub fn new<'a>(declared: impl IntoIterator<Item = &'a str>) -> Self {
        let mut actions = Self {
            names: vec![],
            by_name: HashMap::new(),
        };
        for name in BUILT_IN.iter().copied().chain(declared) {
            if !actions.by_name.contains_key(name) {
                let id = ActionId(u16::try_from(actions.names.len()).unwrap_or(u16::MAX));
                actions.by_name.insert(name.into(), id);
                actions.names.push(name.into());
            }
        }
        actions
    }

    /// The action of that exact name.
    pub fn find(&self, name: &str) -> Option<ActionId> {
        self.by_name.get(name).copied()
    }

    /// Its name.
    pub fn name(&self, id: ActionId) -> &str {
        &self.names[usize::from(id.0)]
    }

    /// All that `pattern` covers: itself, what it is a dotted prefix of, or everything for `*`.
    pub fn covered(&self, pattern: &str) -> Vec<ActionId> {
        (0..self.names.len())
            .filter(|place| pattern_covers(pattern, &self.names[*place]))
            .map(|place| ActionId(place as u16))
            .collect()
    }

    /// The actions that are not on records.
    pub fn special(&self) -> impl Iterator<Item = ActionId> {
        (RECORD_ACTIONS..self.names.len() as u16).map(ActionId)
    }

    /// Every name a pattern may be: the actions and their prefixes.
    pub fn patterns(&self) -> Vec<&str> {
        let mut all: Vec<&str> = vec!["*"];
        for name in &self.names {
            for (place, _) in name.match_indices('.') {
                all.push(&name[..place]);
            }
            all.push(name);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a name is one of the product's own (or begins like one).
    pub fn is_reserved(name: &str) -> bool {
        let first = name.split('.').next().unwrap_or(name);
        [
            "data", "access", "policy", "auth", "account", "server", "mail", "files",
        ]
        .contains(&first)
    }
}

impl ActionId {
    /// Whether it acts on records, so that rows and fields make sense.
    pub fn is_record(self) -> bool {
        self.0 < RECORD_ACTIONS
    }

    /// Its bit in a set of record actions.
    pub fn bit(self) -> u16 {
        debug_assert!(self.is_record());
        1 << self.0
    }

    /// Whether it creates records.
    pub fn is_create(self) -> bool {
        (3..5).contains(&self.0)
    }

    /// Whether it changes records.
    pub fn is_update(self) -> bool {
        (5..7).contains(&self.0)
    }
}

/// Whether an action pattern covers an action.
pub fn pattern_covers(pattern: &str, action: &str) -> bool {
    pattern == "*"
        || action == pattern
        || (action.len() > pattern.len()
            && action.starts_with(pattern)
            && action.as_bytes()[pattern.len()] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_name_what_they_say() {
        let actions = Actions::new([]);
        for (id, name) in [
            (READ_ONE, "data.read.one"),
            (READ_MANY, "data.read.many"),
            (READ_COUNT, "data.read.count"),
            (CREATE_ONE, "data.create.one"),
            (CREATE_MANY, "data.create.many"),
            (UPDATE_ONE, "data.update.one"),
            (UPDATE_MANY, "data.update.many"),
            (DELETE_ONE, "data.delete.one"),
            (DELETE_MANY, "data.delete.many"),
            (SHARE, "data.share"),
            (SUBSCRIBE, "data.subscribe"),
        ] {
            assert_eq!(actions.find(name), Some(id));
            assert!(id.is_record());
        }
        assert!(!actions.find("data.schema.read").unwrap().is_record());
        assert_eq!(actions.covered("data.read").len(), 3);
        assert!(actions.covered("data.re").is_empty());
    }
}
