//! The role sets of a snapshot, shared by all who hold the same; bounded by the memory they take, since one is cheap to
//! make again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_model::Condition;

use super::{Cell, CollectionId, EntryKey, GrantCondition, RoleEntry, RoleSet};
use crate::rights::{Grant, Layer, Rights};
use crate::snapshot::CompiledRole;
use crate::{Access, ActionId, Body};

/// 64 MB for what is kept of one snapshot.
const MOST: usize = 64 << 20;

/// The least that a piece of a condition takes, with its terms and what the allocator adds.
const PIECE: usize = 256;

/// The sets that are kept.
pub(crate) struct RoleSets {
    known: Mutex<Known>,
    most: usize,
}

/// What a scope is known by: all that it says.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ScopeKey {
    pub text: Arc<str>,
    pub everyone: bool,
}

struct Known {
    sets: HashMap<Vec<EntryKey>, Arc<RoleSet>>,
    scopes: HashMap<ScopeKey, Arc<RoleSet>>,
    ledger: Arc<Ledger>,
}

/// How much the sets take that came to be since all were given up last. One that was given up and is still in use goes
/// on writing into the ledger of its time.
pub(super) struct Ledger {
    bytes: AtomicUsize,
    most: usize,
}

impl Ledger {
    fn new(most: usize) -> Arc<Self> {
        let bytes = AtomicUsize::new(0);
        Arc::new(Self { bytes, most })
    }

    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether with so much more they take more than they may, so that something has to be given up.
    pub fn is_over(&self, more: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + more > self.most
    }
}

impl Default for RoleSets {
    fn default() -> Self {
        Self::bounded(MOST)
    }
}

impl RoleSets {
    pub fn bounded(most: usize) -> Self {
        let known = Known {
            sets: HashMap::new(),
            scopes: HashMap::new(),
            ledger: Ledger::new(most),
        };
        Self {
            known: Mutex::new(known),
            most,
        }
    }

    /// The set of these entries, which takes so many bytes for its table besides.
    pub(super) fn shared(
        &self,
        keys: Vec<EntryKey>,
        entries: Vec<RoleEntry>,
        table: usize,
    ) -> Arc<RoleSet> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = known.sets.get(&keys)
            && !known.ledger.is_over(0)
        {
            return Arc::clone(set);
        }
        let bytes = size_of::<RoleSet>() + table + keys.iter().map(key_bytes).sum::<usize>();
        let set = known.make(entries, bytes, self.most);
        known.sets.insert(keys, Arc::clone(&set));
        set
    }

    /// The set of a scope, whose entries `make` makes where it is not known.
    pub fn shared_scope(
        &self,
        key: ScopeKey,
        table: usize,
        make: impl FnOnce() -> Vec<RoleEntry>,
    ) -> Arc<RoleSet> {
        let find = |known: &Known| {
            let set = known.scopes.get(&key);
            set.filter(|_| !known.ledger.is_over(0)).cloned()
        };
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = find(&lock()) {
            return set;
        }
        // Compiled outside the lock: others need not wait for a long one.
        let entries = make();
        let mut known = lock();
        if let Some(set) = find(&known) {
            return set;
        }
        let own: usize = entries.iter().map(|entry| role_bytes(&entry.role)).sum();
        let bytes = size_of::<RoleSet>() + table + 2 * key.text.len() + own;
        let set = known.make(entries, bytes, self.most);
        known.scopes.insert(key, Arc::clone(&set));
        set
    }

    #[cfg(test)]
    fn held(&self) -> (usize, usize) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = known.ledger.bytes.load(Ordering::Relaxed);
        (known.sets.len(), bytes)
    }
}

impl RoleSets {
    /// A set that whoever asks for it keeps himself.
    pub fn alone(&self, entries: Vec<RoleEntry>, table: usize) -> Arc<RoleSet> {
        let own: usize = entries.iter().map(|entry| role_bytes(&entry.role)).sum();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.make(entries, size_of::<RoleSet>() + table + own, self.most)
    }
}

impl Known {
    fn make(&mut self, entries: Vec<RoleEntry>, bytes: usize, most: usize) -> Arc<RoleSet> {
        if self.ledger.is_over(bytes) {
            self.sets.clear();
            self.scopes.clear();
            self.ledger = Ledger::new(most);
        }
        self.ledger.add(bytes);
        Arc::new(RoleSet::new(entries, Arc::clone(&self.ledger)))
    }
}

// A role that no snapshot holds, with its conditions.
fn role_bytes(role: &CompiledRole) -> usize {
    let bodies = role.bodies.iter().map(|body| {
        let conditions = [&body.rows, &body.check, &body.when];
        let pieces: usize = conditions.into_iter().flatten().map(|it| pieces(it)).sum();
        size_of::<Body>() + pieces * PIECE
    });
    size_of::<CompiledRole>()
        + size_of_val(&*role.entries)
        + size_of_val(&*role.wild)
        + size_of_val(&*role.special)
        + bodies.sum::<usize>()
}

// A key with the entry it stands for.
fn key_bytes((_, clip, addresses, ..): &EntryKey) -> usize {
    let clip = clip.as_ref().map_or(0, Vec::len);
    size_of::<EntryKey>()
        + size_of::<RoleEntry>()
        + clip * 4 * size_of::<CollectionId>()
        + addresses.len() * 4 * size_of::<usize>()
}

/// What a cell takes with everything that will be made of it, for a collection of so many fields.
pub(super) fn cell_bytes(layer: &Layer, fields: usize) -> usize {
    let grants = layer.grants().count();
    size_of::<(u32, ActionId, bool)>()
        + size_of::<Cell>()
        + grants * (size_of::<Grant>() + size_of::<GrantCondition>())
        + rights_bytes(layer, fields)
}

/// What the rights of a layer take. Each field may come to have a condition put together from all rules.
pub(super) fn rights_bytes(layer: &Layer, fields: usize) -> usize {
    let grants = layer.grants().count();
    let rows: usize = layer
        .grants()
        .filter_map(|grant| grant.body.rows.as_deref())
        .map(pieces)
        .sum();
    let masked = if grants > 1 { fields } else { 0 };
    size_of::<Rights>()
        + grants * size_of::<Grant>()
        + fields * size_of::<Access>()
        + (1 + masked) * rows * PIECE
}

fn pieces(condition: &Condition) -> usize {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            1 + parts.iter().map(pieces).sum::<usize>()
        }
        Condition::Not(inner) => 1 + pieces(inner),
        Condition::Quantified { condition, .. } => 2 + pieces(condition),
        Condition::In { items, .. } => 1 + items.len(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{Binding, BoundTo, Context, Document, READ_MANY, Snapshot};

    const ROLES: usize = 10;

    fn snapshot(most: usize) -> Snapshot {
        let mut text = "collections:\n".to_owned();
        for number in 0..20 {
            let key = "{ key: { id: integer }, fields: { a: text, b: text } }";
            writeln!(text, "  c{number}: {key}").expect("text");
        }
        text.push_str("roles:\n");
        for role in 0..ROLES {
            let allow = "{ allow: data.read, on: '*', rows: \"a = 'x'\", fields: [id, a] }";
            writeln!(text, "  r{role}: {{ permissions: [ {allow} ] }}").expect("text");
        }
        let document = Document::read("sets", &text).expect("a document");
        let mut snapshot = Snapshot::compile(&document, 1).expect("a policy");
        snapshot.sets = Arc::new(RoleSets::bounded(most));
        snapshot
    }

    // Those roles whose bit is set.
    fn admit(snapshot: &Snapshot, bits: usize) -> Arc<RoleSet> {
        let bindings: Vec<Binding> = (0..ROLES)
            .filter(|role| bits >> role & 1 == 1)
            .map(|role| Binding {
                to: BoundTo::Role(format!("r{role}")),
                ..Binding::default()
            })
            .collect();
        snapshot.admit(&bindings, 0).roles
    }

    fn ask(snapshot: &Snapshot, set: &RoleSet) {
        for collection in snapshot.catalog.iter().filter(|known| !known.system) {
            let rights = set.rights(snapshot, collection.id, READ_MANY, &Context::default());
            assert!(rights.allows_something());
        }
    }

    #[test]
    fn sets_are_shared_and_given_up_when_they_take_too_much() {
        const MOST: usize = 1 << 18;
        let snapshot = snapshot(MOST);
        let (mut most_bytes, mut most_sets) = (0, 0);
        for bits in 1..1 << ROLES {
            let set = admit(&snapshot, bits);
            assert_eq!(set.id(), admit(&snapshot, bits).id());
            ask(&snapshot, &set);
            let (sets, bytes) = snapshot.sets.held();
            most_bytes = most_bytes.max(bytes);
            most_sets = most_sets.max(sets);
        }
        // It was used, and never more of it than may be but for what the last one asked for.
        assert!(most_bytes > MOST / 2, "{most_bytes}");
        assert!(most_bytes < MOST + MOST / 4, "{most_bytes}");
        assert!(most_sets > 1 && most_sets < (1 << ROLES) - 1, "{most_sets}");
    }

    #[test]
    fn what_one_set_has_made_is_given_up_too() {
        let snapshot = snapshot(10_000);
        let set = admit(&snapshot, (1 << ROLES) - 1);
        ask(&snapshot, &set);
        ask(&snapshot, &set);
        let kept = set.cells.lock().expect("the cells").len();
        assert_eq!(kept, 1, "each takes the whole room");
        // The next one finds room.
        let other = admit(&snapshot, 1);
        assert_eq!(snapshot.sets.held().0, 1);
        assert_ne!(other.id(), set.id());
    }
}
