//! Which cells a statement covers, read as the compiler reads it.

use portreeve_model::{Catalog, Collection, CollectionId};

use super::At;
use crate::{ActionId, Actions, Permission, Snapshot, pattern_covers};

/// What names mean: the collections and actions there are.
#[derive(Clone, Copy)]
pub(super) struct Names<'s> {
    pub catalog: &'s Catalog,
    pub actions: &'s Actions,
}

impl<'s> Names<'s> {
    pub fn of(snapshot: &'s Snapshot) -> Self {
        Self {
            catalog: snapshot.catalog(),
            actions: snapshot.actions(),
        }
    }

    /// The collections `*` covers.
    pub fn ordinary(self) -> impl Iterator<Item = &'s Collection> {
        let all = self.catalog.iter().map(|collection| &**collection);
        all.filter(|collection| !collection.system)
    }

    /// The name of a collection, as `on` and `except` have it. One that begins an action as well is written so that it
    /// cannot be taken for that.
    pub fn collection(self, id: CollectionId) -> String {
        let collection = self.catalog.get(id);
        let name = collection.name.to_string();
        if self.is_action(&name) && !collection.system {
            return format!("main/{name}");
        }
        name
    }

    /// Whether a word of `except` leaves out actions.
    pub fn is_action(self, word: &str) -> bool {
        !self.actions.covered(word).is_empty()
    }

    /// Whether a pattern of `on` or `except` covers a collection.
    pub fn on(self, pattern: &str, collection: &Collection) -> bool {
        if pattern == "*" {
            return !collection.system;
        }
        if let Some(namespace) = pattern.strip_suffix("/*") {
            return !collection.system && collection.name.namespace() == namespace;
        }
        let found = self.catalog.find_text(pattern);
        found.is_some_and(|found| found.id == collection.id)
    }

    /// Whether the statement covers the action, wherever.
    pub fn has_action(self, permission: &Permission, action: ActionId) -> bool {
        let name = self.actions.name(action);
        permission
            .actions
            .iter()
            .any(|known| pattern_covers(known, name))
            && !permission
                .except
                .iter()
                .any(|word| self.is_action(word) && pattern_covers(word, name))
    }

    /// Whether the statement covers the collection, whatever is done.
    pub fn has_collection(self, permission: &Permission, collection: &Collection) -> bool {
        let named = permission.on.iter().any(|word| self.on(word, collection));
        let anything = permission.on.is_empty() && !collection.system;
        (named || anything)
            && !permission
                .except
                .iter()
                .any(|word| self.excepts(word, collection))
    }

    // `except: main/*` leaves out what is in the namespace, the product's own too.
    fn excepts(self, word: &str, collection: &Collection) -> bool {
        if let Some(namespace) = word.strip_suffix("/*") {
            return collection.name.namespace() == namespace;
        }
        let found = self.catalog.find_text(word);
        found.is_some_and(|found| found.id == collection.id)
    }

    /// Whether the statement covers ordinary collections that are made later.
    pub fn has_later(self, permission: &Permission) -> bool {
        permission.on.is_empty() || permission.on.iter().any(|word| word == "*")
    }

    /// Whether the statement covers an action where it is about nothing.
    pub fn has_nothing(self, permission: &Permission, action: ActionId) -> bool {
        !action.is_record() && self.has_later(permission) && self.has_action(permission, action)
    }

    /// Whether the statement covers some of what is there.
    pub fn touches(self, permission: &Permission, action: ActionId, at: At) -> bool {
        match at {
            At::Nothing => self.has_nothing(permission, action),
            At::Collection(id) => {
                self.has_action(permission, action)
                    && self.has_collection(permission, self.catalog.get(id))
            }
            At::Anywhere => {
                self.has_action(permission, action)
                    && (self.has_later(permission)
                        || self
                            .ordinary()
                            .any(|collection| self.has_collection(permission, collection)))
            }
        }
    }

    /// The fewest words for these actions: prefixes where all below them are there.
    pub fn words(self, of: &[ActionId]) -> Vec<String> {
        let mut left: Vec<ActionId> = of.to_vec();
        left.sort_unstable();
        left.dedup();
        let mut words = vec![];
        for pattern in self.actions.patterns() {
            // One word for two worlds, such as 'data' or '*', would say more tomorrow than it does today.
            if !pattern.contains('.') {
                continue;
            }
            let covered = self.actions.covered(pattern);
            if covered.len() > 1 && covered.iter().all(|action| left.contains(action)) {
                left.retain(|action| !covered.contains(action));
                words.push((covered[0], pattern.to_owned()));
            }
        }
        words.extend(
            left.into_iter()
                .map(|action| (action, self.actions.name(action).to_owned())),
        );
        words.sort();
        words.into_iter().map(|(_, word)| word).collect()
    }
}
