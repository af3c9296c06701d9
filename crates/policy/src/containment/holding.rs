//! What an account, a binding, a role or a profile amounts to.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::CollectionId;

use crate::roleset::RoleEntry;
use crate::snapshot::Snapshot;
use crate::{ActionId, Binding, Body, BoundTo, Effect, RoleSet};

/// Roles with where, from where and how long they hold.
#[derive(Clone)]
pub struct Holding {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) entries: Vec<Held>,
}

/// A role that is held.
#[derive(Clone)]
pub(super) struct Held {
    pub entry: RoleEntry,
    pub from: i64,
    pub until: i64,
}

/// What a held role says in one cell, or in several cells of one collection alike.
pub(super) struct Stated<'h> {
    pub body: Arc<Body>,
    pub bits: u16,
    pub held: &'h Held,
    pub administrator: bool,
}

impl Stated<'_> {
    pub fn allows(&self) -> bool {
        self.body.effect == Effect::Allow
    }

    /// Whether it lends values to a write.
    pub fn lends(&self) -> bool {
        !self.body.presets.is_empty() || !self.body.defaults.is_empty()
    }
}

impl Holding {
    /// Nothing at all.
    pub fn nothing(snapshot: &Arc<Snapshot>) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
            entries: vec![],
        }
    }

    /// An account with these bindings, now and later: what they lead to, what everybody holds, and the fallback role where
    /// nothing else is bound.
    pub fn of_account(snapshot: &Arc<Snapshot>, bindings: &[Binding], now: i64) -> Self {
        let mut holding = Self::nothing(snapshot);
        for binding in bindings {
            holding.bind(binding, now);
        }
        let user = BoundTo::Role("user".into());
        let with_fallback = bindings.iter().all(|binding| binding.to == user);
        holding.always(snapshot.shared(with_fallback));
        holding
    }

    /// One binding by itself.
    pub fn of_binding(snapshot: &Arc<Snapshot>, binding: &Binding, now: i64) -> Self {
        let mut holding = Self::nothing(snapshot);
        holding.bind(binding, now);
        holding
    }

    /// A role or a profile, held for good and everywhere; nothing where there is none.
    pub fn of(snapshot: &Arc<Snapshot>, what: &BoundTo) -> Self {
        let binding = Binding {
            to: what.clone(),
            ..Binding::default()
        };
        Self::of_binding(snapshot, &binding, i64::MIN)
    }

    /// Roles in force, held for good.
    pub fn of_roles(snapshot: &Arc<Snapshot>, roles: &RoleSet) -> Self {
        let mut holding = Self::nothing(snapshot);
        holding.always(roles.entries().to_vec());
        holding
    }

    /// What requests without a session hold.
    pub fn of_strangers(snapshot: &Arc<Snapshot>) -> Self {
        Self::of_roles(snapshot, &snapshot.admit_anonymous())
    }

    fn always(&mut self, entries: Vec<RoleEntry>) {
        self.entries.extend(entries.into_iter().map(|entry| Held {
            entry,
            from: i64::MIN,
            until: i64::MAX,
        }));
    }

    fn bind(&mut self, binding: &Binding, now: i64) {
        let (from, until) = (
            binding.from.unwrap_or(i64::MIN),
            binding.until.unwrap_or(i64::MAX),
        );
        if until <= now || until <= from {
            return;
        }
        let bound = self.snapshot.bound(binding);
        self.entries
            .extend(bound.into_iter().map(|entry| Held { entry, from, until }));
    }

    /// Whether an administrator's role is in it.
    pub fn has_administrator(&self) -> bool {
        self.entries
            .iter()
            .any(|held| held.entry.role.administrator())
    }

    /// Whether something in it denies or lends.
    pub(super) fn limits(&self) -> bool {
        let of = |body: &Body| {
            body.effect == Effect::Deny || !body.presets.is_empty() || !body.defaults.is_empty()
        };
        self.entries.iter().any(|held| {
            let role = &held.entry.role;
            let entries = role.entries.iter().map(|entry| entry.body);
            let wild = role.wild.iter().map(|entry| entry.body);
            let special = role.special.iter().map(|entry| entry.body);
            let mut all = entries.chain(wild).chain(special);
            all.any(|body| of(role.body(body)))
        })
    }

    /// The keys of its roles.
    pub(super) fn keys(&self) -> BTreeSet<&Arc<str>> {
        self.entries
            .iter()
            .map(|held| held.entry.role.key())
            .collect()
    }

    /// The actions beyond records that something is said of.
    pub(super) fn special_actions(&self) -> BTreeSet<ActionId> {
        let mut actions = BTreeSet::new();
        for held in &self.entries {
            let role = &held.entry.role;
            if role.implicit_allow {
                actions.extend(self.snapshot.actions().special());
            }
            actions.extend(role.special.iter().map(|entry| entry.action));
        }
        actions
    }

    /// What is said of the actions on a collection's records, in the order that decides who lends.
    pub(super) fn on_records(&self, collection: CollectionId) -> Vec<Stated<'_>> {
        const ALL: u16 = (1 << crate::RECORD_ACTIONS) - 1;
        self.stated(|held, found| {
            held.entry
                .visit(&self.snapshot, collection, ALL, |body, position, bits| {
                    found.push((position, bits, Arc::clone(body)));
                });
        })
    }

    /// What is said of another action.
    pub(super) fn on_special(
        &self,
        collection: Option<CollectionId>,
        action: ActionId,
        development: bool,
    ) -> Vec<Stated<'_>> {
        self.stated(|held, found| {
            held.entry.visit_special(
                &self.snapshot,
                collection,
                action,
                development,
                &mut |body, position| found.push((position, 1, Arc::clone(body))),
            );
        })
    }

    fn stated(&self, visit: impl Fn(&Held, &mut Vec<(u16, u16, Arc<Body>)>)) -> Vec<Stated<'_>> {
        let mut stated = vec![];
        let mut found = vec![];
        for held in &self.entries {
            visit(held, &mut found);
            found.sort_by_key(|(position, ..)| *position);
            stated.extend(found.drain(..).map(|(_, bits, body)| Stated {
                body,
                bits,
                held,
                administrator: held.entry.role.administrator(),
            }));
        }
        stated
    }
}
