//! The roles in force for a caller, resolved once at admission and shared by all callers who hold the same.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ipnet::IpNet;
use portreeve_model::{CollectionId, Condition};

use kept::{Ledger, cell_bytes, rights_bytes};

use crate::rights::{Grant, Layer, Rights};
use crate::snapshot::{
    ANY_NAMESPACE, CompiledRole, IMPLICIT, Snapshot, SpecialTarget, WildEntry, plain_allow,
};
use crate::{ActionId, Binding, Body, BoundTo, Context, Effect, eval_when};

mod kept;

pub(crate) use kept::{RoleSets, ScopeKey};

// Role, restriction, addresses by identity, whether it is held by everyone, and whether only its denies count.
type EntryKey = (usize, Option<Vec<CollectionId>>, Vec<usize>, bool, bool);

/// The roles in force, ready to be asked.
pub struct RoleSet {
    id: u64,
    entries: Vec<RoleEntry>,
    keys: Arc<[Arc<str>]>,
    merged: OnceLock<Box<[u32]>>,
    cells: Mutex<HashMap<(u32, ActionId, bool), Arc<Cell>>>,
    ledger: Arc<Ledger>,
}

#[derive(Clone)]
pub(crate) struct RoleEntry {
    pub role: Arc<CompiledRole>,
    pub clip: Option<Arc<BTreeSet<CollectionId>>>,
    pub addresses: Vec<Arc<[IpNet]>>,
    // Held by whoever comes: anonymous, everyone, fallback.
    pub public: bool,
    // Its allows do not count.
    pub denies_only: bool,
}

impl RoleEntry {
    /// A role that is held without limits.
    pub fn bound(role: Arc<CompiledRole>) -> Self {
        Self {
            role,
            clip: None,
            addresses: vec![],
            public: false,
            denies_only: false,
        }
    }
}

// The grants for one action on one collection, before conditions of the moment are looked at.
struct Cell {
    layer: Layer,
    conditions: Vec<GrantCondition>,
    unconditional: Option<Arc<Rights>>,
    variants: Mutex<HashMap<Vec<bool>, Arc<Rights>>>,
    // What it has put down in the ledger of its set.
    bytes: AtomicUsize,
    fields: usize,
}

#[derive(Default, Clone)]
struct GrantCondition {
    addresses: Vec<Arc<[IpNet]>>,
    role_when: Option<Arc<Condition>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A yes, a no, or a look at the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// No permission allows it, or one denies it outright.
    Denied,
    /// Allowed on every record and field.
    Allowed,
    /// Rows, fields, checks or conditions of the moment decide.
    Depends,
}

/// Roles and how long they stay the same.
pub struct Admission {
    /// The roles in force.
    pub roles: Arc<RoleSet>,
    /// When a binding begins or ends next, in microseconds since 1970.
    pub valid_until: Option<i64>,
}

impl Snapshot {
    /// The roles in force for a user with these bindings at `now`. Bindings to what no longer exists give nothing.
    pub fn admit(&self, bindings: &[Binding], now: i64) -> Admission {
        self.admission(bindings, now, true)
    }

    /// The same without what is allowed to whoever comes: what everyone and the fallback role deny is denied still. What
    /// an account can share.
    pub fn admit_bound(&self, bindings: &[Binding], now: i64) -> Admission {
        self.admission(bindings, now, false)
    }

    fn admission(&self, bindings: &[Binding], now: i64, public_allows: bool) -> Admission {
        let mut keys: Vec<EntryKey> = vec![];
        let mut entries = vec![];
        let mut valid_until: Option<i64> = None;
        for binding in bindings {
            for edge in [binding.from, binding.until]
                .into_iter()
                .flatten()
                .filter(|edge| *edge > now)
            {
                valid_until = Some(valid_until.map_or(edge, |known| known.min(edge)));
            }
            if is_live(binding, now) {
                self.bind(binding, &mut keys, &mut entries);
            }
        }
        self.public_entry("everyone", &mut keys, &mut entries);
        // Fallback looks at what is stored, not at what is live: an expired role must not open the fallback door.
        let only_user = bindings
            .iter()
            .all(|binding| binding.to == BoundTo::Role("user".into()));
        if only_user {
            self.fallback_entry(&mut keys, &mut entries);
        }
        if !public_allows {
            for (key, entry) in keys.iter_mut().zip(&mut entries) {
                key.4 = entry.public;
                entry.denies_only = entry.public;
            }
        }
        Admission {
            roles: self.intern(keys, entries),
            valid_until,
        }
    }

    /// The roles in force for a request without a session.
    pub fn admit_anonymous(&self) -> Arc<RoleSet> {
        let (mut keys, mut entries) = (vec![], vec![]);
        self.public_entry("anonymous", &mut keys, &mut entries);
        self.public_entry("everyone", &mut keys, &mut entries);
        self.fallback_entry(&mut keys, &mut entries);
        self.intern(keys, entries)
    }

    /// These roles and what everyone may do: what a key's scope or a request in one of its roles is limited to.
    /// `None` where a role does not exist.
    pub fn narrowing(&self, roles: &[String]) -> Option<Arc<RoleSet>> {
        let (mut keys, mut entries) = (vec![], vec![]);
        for role in roles {
            let place = *self.role_places.get(role)?;
            self.entry(place, None, vec![], false, &mut keys, &mut entries);
        }
        self.public_entry("everyone", &mut keys, &mut entries);
        Some(self.intern(keys, entries))
    }

    /// This role by itself, without what everyone may do. `None` where it does not exist.
    pub fn role_alone(&self, role: &str) -> Option<Arc<RoleSet>> {
        let (mut keys, mut entries) = (vec![], vec![]);
        let place = *self.role_places.get(role)?;
        self.entry(place, None, vec![], false, &mut keys, &mut entries);
        Some(self.intern(keys, entries))
    }

    /// What one binding leads to, whenever it holds.
    pub(crate) fn bound(&self, binding: &Binding) -> Vec<RoleEntry> {
        let (mut keys, mut entries) = (vec![], vec![]);
        self.bind(binding, &mut keys, &mut entries);
        entries
    }

    /// What everybody holds, and what those hold who are bound to nothing else.
    pub(crate) fn shared(&self, with_fallback: bool) -> Vec<RoleEntry> {
        let (mut keys, mut entries) = (vec![], vec![]);
        self.public_entry("everyone", &mut keys, &mut entries);
        if with_fallback {
            self.fallback_entry(&mut keys, &mut entries);
        }
        entries
    }

    /// The roles that one binding gives by itself, where it is live: what says through which of them somebody holds one.
    pub fn through(&self, binding: &Binding, now: i64) -> Arc<RoleSet> {
        let (mut keys, mut entries) = (vec![], vec![]);
        if is_live(binding, now) {
            self.bind(binding, &mut keys, &mut entries);
        }
        self.intern(keys, entries)
    }

    fn bind(&self, binding: &Binding, keys: &mut Vec<EntryKey>, entries: &mut Vec<RoleEntry>) {
        // A restriction that cannot be read restricts to nothing.
        let clip = binding.restricted_to.as_ref().map(|names| {
            Arc::new(crate::snapshot::restriction(&self.catalog, names).unwrap_or_default())
        });
        match &binding.to {
            BoundTo::Role(role) => {
                if let Some(place) = self.role_places.get(role) {
                    self.entry(*place, clip, vec![], false, keys, entries);
                }
            }
            BoundTo::Profile(profile) => {
                let Some(profile) = self.profiles.get(profile) else {
                    return;
                };
                for entry in &profile.roles {
                    let clip = match (&clip, &entry.restricted) {
                        (None, other) => other.clone(),
                        (some, None) => some.clone(),
                        (Some(a), Some(b)) => {
                            Some(Arc::new(crate::snapshot::both_restrictions(a, b)))
                        }
                    };
                    self.entry(
                        entry.place,
                        clip,
                        entry.addresses.clone(),
                        false,
                        keys,
                        entries,
                    );
                }
            }
        }
    }

    fn public_entry(&self, role: &str, keys: &mut Vec<EntryKey>, entries: &mut Vec<RoleEntry>) {
        if let Some(place) = self.role_places.get(role) {
            self.entry(*place, None, vec![], true, keys, entries);
        }
    }

    fn fallback_entry(&self, keys: &mut Vec<EntryKey>, entries: &mut Vec<RoleEntry>) {
        if let Some(place) = self.fallback {
            self.entry(place, None, vec![], true, keys, entries);
        }
    }

    fn entry(
        &self,
        place: usize,
        clip: Option<Arc<BTreeSet<CollectionId>>>,
        addresses: Vec<Arc<[IpNet]>>,
        public: bool,
        keys: &mut Vec<EntryKey>,
        entries: &mut Vec<RoleEntry>,
    ) {
        let role = Arc::clone(&self.roles[place]);
        // An administrator cannot be limited, so a limited administrator is none.
        if role.administrator && clip.is_some() {
            return;
        }
        let identity = addresses
            .iter()
            .map(|list| list.as_ptr() as usize)
            .collect();
        let key = (
            place,
            clip.as_ref().map(|clip| clip.iter().copied().collect()),
            identity,
            public,
            false,
        );
        if !keys.contains(&key) {
            keys.push(key);
            entries.push(RoleEntry {
                role,
                clip,
                addresses,
                public,
                denies_only: false,
            });
        }
    }

    fn intern(&self, keys: Vec<EntryKey>, entries: Vec<RoleEntry>) -> Arc<RoleSet> {
        let table = self.catalog.len() * size_of::<u32>();
        self.sets.shared(keys, entries, table)
    }
}

fn is_live(binding: &Binding, now: i64) -> bool {
    binding.from.is_none_or(|from| from <= now) && binding.until.is_none_or(|until| now < until)
}

impl RoleSet {
    fn new(entries: Vec<RoleEntry>, ledger: Arc<Ledger>) -> Self {
        let mut names: Vec<Arc<str>> = entries
            .iter()
            .map(|entry| Arc::clone(&entry.role.key))
            .collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(Arc::clone(name)));
        Self {
            id: next_id(),
            entries,
            keys: names.into(),
            merged: OnceLock::new(),
            cells: Mutex::default(),
            ledger,
        }
    }

    pub(crate) fn entries(&self) -> &[RoleEntry] {
        &self.entries
    }

    /// Distinguishes this set from every other one.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// A role of this set whose new permissions on a collection would take effect at this moment; a role that is
    /// bound rather than one that everybody holds, where there is one.
    pub(crate) fn receptive_role(
        &self,
        collection: Option<CollectionId>,
        context: &Context,
    ) -> Option<Arc<str>> {
        let receptive = |entry: &&RoleEntry| {
            !entry.denies_only
                && entry
                    .role
                    .when
                    .as_ref()
                    .is_none_or(|when| eval_when(when, context) == Some(true))
                && entry
                    .addresses
                    .iter()
                    .all(|list| context.request.ip.is_some_and(|ip| in_list(list, ip)))
                && entry
                    .clip
                    .as_ref()
                    .is_none_or(|clip| collection.is_some_and(|id| clip.contains(&id)))
        };
        let bound = self
            .entries
            .iter()
            .filter(|entry| !entry.public)
            .find(receptive);
        bound
            .or_else(|| self.entries.iter().find(receptive))
            .map(|entry| Arc::clone(&entry.role.key))
    }

    /// The keys of the roles that are bound, not held by whoever comes; in the order of the bindings.
    pub fn bound(&self) -> Vec<&Arc<str>> {
        let mut bound = vec![];
        for entry in self.entries.iter().filter(|entry| !entry.public) {
            if !bound.contains(&&entry.role.key) {
                bound.push(&entry.role.key);
            }
        }
        bound
    }

    /// The keys of its roles: `$user.roles`.
    pub fn keys(&self) -> &Arc<[Arc<str>]> {
        &self.keys
    }

    /// Whether a role of this name is bound, and not merely everybody's.
    pub fn holds(&self, role: &str) -> bool {
        let mut bound = self.entries.iter().filter(|entry| !entry.public);
        bound.any(|entry| &*entry.role.key == role)
    }

    /// Yes, no, or depends, for an action on records. The table behind it is made at the first question.
    pub fn quick(&self, snapshot: &Snapshot, collection: CollectionId, action: ActionId) -> Quick {
        let merged = self.merged.get_or_init(|| self.merge(snapshot));
        let cell = merged[collection.0 as usize];
        let bit = u32::from(action.bit());
        if cell & (bit << 16) != 0 {
            Quick::Depends
        } else if cell & bit != 0 {
            Quick::Allowed
        } else {
            Quick::Denied
        }
    }

    /// The same answer from the roles themselves, without the table and without allocating.
    pub fn quick_unmerged(
        &self,
        snapshot: &Snapshot,
        collection: CollectionId,
        action: ActionId,
    ) -> Quick {
        let mut state = CellState::default();
        for entry in &self.entries {
            entry.visit(snapshot, collection, action.bit(), |body, _, bits| {
                state.add(entry, body, bits);
            });
        }
        match state.result() & (u32::from(action.bit()) * 0x1_0001) {
            0 => Quick::Denied,
            bits if bits >> 16 != 0 => Quick::Depends,
            _ => Quick::Allowed,
        }
    }

    fn merge(&self, snapshot: &Snapshot) -> Box<[u32]> {
        let mut states: Vec<CellState> = vec![CellState::default(); snapshot.catalog.len()];
        const ALL: u16 = (1 << crate::RECORD_ACTIONS) - 1;
        for entry in &self.entries {
            if entry.role.administrator
                || entry.role.implicit_allow
                || !entry.role.wild.is_empty()
                || entry.clip.is_some()
                || entry.denies_only
            {
                for collection in snapshot.catalog.iter() {
                    let state = &mut states[collection.id.0 as usize];
                    entry.visit(snapshot, collection.id, ALL, |body, _, bits| {
                        state.add(entry, body, bits)
                    });
                }
            } else {
                for permission in &entry.role.entries {
                    let body = entry.role.body(permission.body);
                    if body.grants_nothing() {
                        continue;
                    }
                    states[permission.collection.0 as usize].add(entry, body, permission.actions);
                }
            }
        }
        states.iter().map(CellState::result).collect()
    }

    /// What this set says about an action on a collection's records, at this moment.
    pub fn rights(
        &self,
        snapshot: &Snapshot,
        collection: CollectionId,
        action: ActionId,
        context: &Context,
    ) -> Arc<Rights> {
        let cell = self.cell(snapshot, Some(collection), action, true);
        cell.at(collection, action, context, &self.ledger)
    }

    /// What this set says about an action that is not one of the eleven on records. Outside development, what
    /// everybody holds never covers the rights themselves, the schema or raw statements.
    pub fn special(
        &self,
        snapshot: &Snapshot,
        action: ActionId,
        collection: Option<CollectionId>,
        context: &Context,
        development: bool,
    ) -> Arc<Rights> {
        let cell = self.cell(snapshot, collection, action, development);
        cell.at(
            collection.unwrap_or(CollectionId(u32::MAX)),
            action,
            context,
            &self.ledger,
        )
    }

    fn cell(
        &self,
        snapshot: &Snapshot,
        collection: Option<CollectionId>,
        action: ActionId,
        development: bool,
    ) -> Arc<Cell> {
        // An explanation asks as outside development, so the mode is part of the key.
        let key = (collection.map_or(u32::MAX, |id| id.0), action, development);
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(&key) {
            return Arc::clone(cell);
        }
        let cell = Arc::new(self.make_cell(snapshot, collection, action, development));
        let bytes = cell.bytes.load(Ordering::Relaxed);
        if cells.len() >= 4_096 || self.ledger.is_over(bytes) {
            for (_, cell) in cells.drain() {
                self.ledger.give_back(cell.bytes.load(Ordering::Relaxed));
            }
        }
        self.ledger.add(bytes);
        cells.insert(key, Arc::clone(&cell));
        cell
    }

    fn make_cell(
        &self,
        snapshot: &Snapshot,
        collection: Option<CollectionId>,
        action: ActionId,
        development: bool,
    ) -> Cell {
        let mut layer = Layer::default();
        let mut allow_conditions = vec![];
        let mut deny_conditions = vec![];
        for entry in &self.entries {
            let mut found: Vec<(u16, Arc<Body>)> = vec![];
            match collection {
                Some(collection) if action.is_record() => {
                    entry.visit(snapshot, collection, action.bit(), |body, position, _| {
                        found.push((position, Arc::clone(body)));
                    });
                }
                collection => entry.visit_special(
                    snapshot,
                    collection,
                    action,
                    development,
                    &mut |body, position| {
                        found.push((position, Arc::clone(body)));
                    },
                ),
            }
            // The order of the document, whichever list a permission is kept in.
            found.sort_by_key(|(position, _)| *position);
            for (position, body) in found {
                let condition = GrantCondition {
                    addresses: entry.addresses.clone(),
                    role_when: entry.role.when.clone(),
                };
                let (grants, conditions, condition) = match body.effect {
                    Effect::Allow => (&mut layer.allows, &mut allow_conditions, condition),
                    Effect::Deny => (
                        &mut layer.denies,
                        &mut deny_conditions,
                        GrantCondition::default(),
                    ),
                };
                let role = Arc::clone(&entry.role.key);
                grants.push(Grant {
                    body,
                    role,
                    position,
                    administrator: entry.role.administrator,
                });
                conditions.push(condition);
            }
        }
        let conditions: Vec<GrantCondition> = allow_conditions
            .into_iter()
            .chain(deny_conditions)
            .collect();
        let conditional = layer.grants().any(|grant| grant.body.is_conditional())
            || conditions
                .iter()
                .any(|condition| !condition.addresses.is_empty() || condition.role_when.is_some());
        let id = collection.unwrap_or(CollectionId(u32::MAX));
        let fields = collection.map_or(0, |id| snapshot.catalog.get(id).fields.len());
        let bytes = AtomicUsize::new(cell_bytes(&layer, fields));
        let unconditional =
            (!conditional).then(|| Arc::new(Rights::new(id, action, vec![layer.clone()])));
        Cell {
            layer,
            conditions,
            unconditional,
            variants: Mutex::default(),
            bytes,
            fields,
        }
    }
}

impl Cell {
    fn at(
        &self,
        collection: CollectionId,
        action: ActionId,
        context: &Context,
        ledger: &Ledger,
    ) -> Arc<Rights> {
        if let Some(rights) = &self.unconditional {
            return Arc::clone(rights);
        }
        let holds: Vec<bool> = self
            .layer
            .grants()
            .zip(&self.conditions)
            .map(|(grant, condition)| condition.holds(grant, context))
            .collect();
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rights) = variants.get(&holds) {
            return Arc::clone(rights);
        }
        let mut remaining = holds.iter();
        let mut keep = |grants: &[Grant]| -> Vec<Grant> {
            grants
                .iter()
                .filter(|_| *remaining.next().unwrap_or(&false))
                .cloned()
                .collect()
        };
        let layer = Layer {
            allows: keep(&self.layer.allows),
            denies: keep(&self.layer.denies),
        };
        let bytes = rights_bytes(&layer, self.fields);
        let rights = Arc::new(Rights::new(collection, action, vec![layer]));
        if variants.len() < 256 && !ledger.is_over(bytes) {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            ledger.add(bytes);
            variants.insert(holds, Arc::clone(&rights));
        }
        rights
    }
}

impl GrantCondition {
    // A permission's own `when` and `via` make it a statement or not; a role's `when` and a profile's addresses
    // only ever take allows away, so a deny cannot be escaped by coming from elsewhere.
    fn holds(&self, grant: &Grant, context: &Context) -> bool {
        let truth = |condition: &Option<Arc<Condition>>| {
            condition.as_ref().map(|when| eval_when(when, context))
        };
        let own = match (truth(&grant.body.when), grant.body.effect) {
            (None, _) => true,
            (Some(truth), Effect::Allow) => truth == Some(true),
            (Some(truth), Effect::Deny) => truth != Some(false),
        };
        let via = grant.body.via.as_ref().is_none_or(|via| {
            context.request.face.as_deref() == Some(via.face.as_str())
                && (via.operations.is_empty()
                    || context
                        .request
                        .operation
                        .as_deref()
                        .is_some_and(|name| via.operations.iter().any(|o| o == name)))
        });
        own && via
            && truth(&self.role_when).is_none_or(|truth| truth == Some(true))
            && self
                .addresses
                .iter()
                .all(|list| context.request.ip.is_some_and(|ip| in_list(list, ip)))
    }
}

// An IPv4 address that arrives mapped into IPv6 is the IPv4 address.
fn in_list(list: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    list.iter().any(|net| net.contains(&ip))
}

impl RoleEntry {
    // Calls `each` with the permissions of this role for any of `bits` on a collection.
    pub(crate) fn visit(
        &self,
        snapshot: &Snapshot,
        id: CollectionId,
        bits: u16,
        each: impl FnMut(&Arc<Body>, u16, u16),
    ) {
        let mut each = self.counting(each);
        if self.role.administrator {
            each(plain_allow(), IMPLICIT, bits);
            return;
        }
        if self.clip.as_ref().is_some_and(|clip| !clip.contains(&id)) {
            return;
        }
        let mut covered = 0;
        let entries = &self.role.entries;
        let first = entries.partition_point(|entry| entry.collection < id);
        for entry in entries[first..]
            .iter()
            .take_while(|entry| entry.collection == id)
        {
            covered |= entry.actions;
            let body = self.role.body(entry.body);
            if entry.actions & bits != 0 && !body.grants_nothing() {
                each(body, entry.position, entry.actions & bits);
            }
        }
        if self.role.wild.is_empty() && !self.role.implicit_allow {
            return;
        }
        if let Some(namespace) = snapshot.namespaces.of(id) {
            for wild in &self.role.wild {
                let named = wild.namespace == ANY_NAMESPACE || wild.namespace == namespace;
                if named && !self.is_excepted(wild, id) {
                    covered |= wild.actions;
                    if wild.actions & bits != 0 {
                        let body = self.role.body(wild.body);
                        each(body, wild.position, wild.actions & bits);
                    }
                }
            }
        }
        if self.role.implicit_allow && bits & !covered != 0 {
            each(plain_allow(), IMPLICIT, bits & !covered);
        }
    }

    // Leaves out what does not count.
    fn counting(
        &self,
        mut each: impl FnMut(&Arc<Body>, u16, u16),
    ) -> impl FnMut(&Arc<Body>, u16, u16) {
        move |body, position, bits| {
            if !self.denies_only || body.effect == Effect::Deny {
                each(body, position, bits);
            }
        }
    }

    fn is_excepted(&self, wild: &WildEntry, id: CollectionId) -> bool {
        wild.except != 0 && self.role.excepts[wild.except as usize - 1].contains(&id)
    }

    pub(crate) fn visit_special(
        &self,
        snapshot: &Snapshot,
        on: Option<CollectionId>,
        action: ActionId,
        development: bool,
        each: &mut impl FnMut(&Arc<Body>, u16),
    ) {
        let mut counting = self.counting(|body, position, _| each(body, position));
        let mut each = |body: &Arc<Body>, position| counting(body, position, 0);
        let name = snapshot.actions.name(action);
        let sensitive = ["access.", "policy.", "data.raw.", "data.schema."]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if sensitive && self.public && !development {
            return;
        }
        if self.role.administrator {
            each(plain_allow(), IMPLICIT);
            return;
        }
        let unclipped = ["auth.", "account.", "server."]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if let Some(clip) = &self.clip
            && !unclipped
            && (sensitive || !on.is_some_and(|id| clip.contains(&id)))
        {
            return;
        }
        let mut covered = false;
        for entry in self
            .role
            .special
            .iter()
            .filter(|entry| entry.action == action)
        {
            let matches = match (&entry.on, on) {
                (SpecialTarget::Anything, None) => true,
                (SpecialTarget::Anything, Some(id)) => {
                    !snapshot.catalog.get(id).system && !entry.except.contains(&id)
                }
                (SpecialTarget::Namespace(namespace), Some(id)) => {
                    let collection = snapshot.catalog.get(id);
                    !collection.system
                        && collection.name.namespace() == &**namespace
                        && !entry.except.contains(&id)
                }
                (SpecialTarget::Collection(named), Some(id)) => *named == id,
                (_, None) => false,
            };
            if matches {
                covered = true;
                let body = self.role.body(entry.body);
                if !body.grants_nothing() {
                    each(body, entry.position);
                }
            }
        }
        if self.role.implicit_allow && !covered {
            each(plain_allow(), IMPLICIT);
        }
    }
}

// What the permissions seen so far say about eleven actions at once.
#[derive(Clone, Copy, Default)]
struct CellState {
    allowed: u16,
    limited_allow: u16,
    limited_deny: u16,
    denied: u16,
    administrator: u16,
    momentary_administrator: u16,
}

impl CellState {
    fn add(&mut self, entry: &RoleEntry, body: &Body, bits: u16) {
        let role_momentary = entry.role.when.is_some() || !entry.addresses.is_empty();
        match body.effect {
            Effect::Allow if entry.role.administrator => {
                if role_momentary {
                    self.momentary_administrator |= bits;
                } else {
                    self.administrator |= bits;
                }
            }
            Effect::Allow if role_momentary || !body.is_plain() => self.limited_allow |= bits,
            Effect::Allow => self.allowed |= bits,
            Effect::Deny if body.is_plain() => self.denied |= bits,
            Effect::Deny => self.limited_deny |= bits,
        }
    }

    // Low half: allowed outright. High half: depends. Neither: denied.
    fn result(&self) -> u32 {
        let mut yes = self.administrator;
        let mut depends = self.momentary_administrator;
        let open = !self.denied;
        let possible = (self.allowed | self.limited_allow) & open;
        yes |= self.allowed & open & !self.limited_deny & !self.momentary_administrator;
        depends |= possible & (self.limited_deny | !self.allowed);
        depends &= !self.administrator;
        u32::from(yes) | (u32::from(depends) << 16)
    }
}
