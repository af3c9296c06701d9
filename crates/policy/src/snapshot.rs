//! The compiled, immutable value that requests are decided from: rights and catalog under one version.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ipnet::IpNet;
use portreeve_model::{Catalog, CollectionId, Condition};

use crate::compile::Compiler;
use crate::{ActionId, Actions, Body, BoundTo, Document, Problem, RuleDefinition};

/// Rights and catalog of one policy version.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) actions: Arc<Actions>,
    pub(crate) rules: Arc<HashMap<String, Arc<RuleDefinition>>>,
    pub(crate) roles: Vec<Arc<CompiledRole>>,
    pub(crate) role_places: Arc<HashMap<String, usize>>,
    pub(crate) profiles: Arc<HashMap<String, CompiledProfile>>,
    pub(crate) fallback: Option<usize>,
    pub(crate) registration: Arc<[String]>,
    pub(crate) rule_attributes: Arc<BTreeSet<String>>,
    pub(crate) role_reads: Arc<RoleReads>,
    pub(crate) assignable: Arc<HashMap<BoundTo, Arc<[String]>>>,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) sets: Arc<crate::roleset::RoleSets>,
}

/// Which roles' keys some rule asks for in `$user.roles`: to hold such a role means more than its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleReads {
    /// These and no others.
    Named(BTreeSet<String>),
    /// Possibly any: a rule compares a field with them.
    Any,
}

impl RoleReads {
    pub fn reads(&self, role: &str) -> bool {
        match self {
            Self::Named(roles) => roles.contains(role),
            Self::Any => true,
        }
    }

    pub fn extend(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Named(known), Self::Named(more)) => known.extend(more.iter().cloned()),
            (Self::Named(_), Self::Any) => *self = Self::Any,
            (Self::Any, _) => {}
        }
    }
}

/// A role as requests see it.
pub struct CompiledRole {
    pub(crate) key: Arc<str>,
    pub(crate) administrator: bool,
    pub(crate) implicit_allow: bool,
    pub(crate) when: Option<Arc<Condition>>,
    /// Permissions on named collections, sorted by collection.
    pub(crate) entries: Box<[Entry]>,
    /// Permissions on `*` and `namespace/*`.
    pub(crate) wild: Box<[WildEntry]>,
    pub(crate) excepts: Box<[Box<[CollectionId]>]>,
    /// Permissions whose actions are not the eleven on records.
    pub(crate) special: Box<[SpecialEntry]>,
    pub(crate) bodies: Box<[Arc<Body>]>,
    /// What reaches collections and actions that are made later.
    pub(crate) later: Box<[Later]>,
}

/// What a permission says of a collection that is not there yet, by its text.
pub(crate) struct Later {
    pub on: LaterOn,
    pub actions: u16,
    /// Whether it covers actions that are declared later, too.
    pub every_action: bool,
    pub effect: crate::Effect,
    /// Its rows, fields, check and the rest; nothing where it has none.
    pub limits: Option<Arc<crate::Permission>>,
}

pub(crate) enum LaterOn {
    Anything,
    Namespace(Box<str>),
}

/// Twelve bytes per permission and collection.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub collection: CollectionId,
    pub body: u32,
    pub actions: u16,
    pub position: u16,
}

/// Sixteen bytes per permission: a role has few of them, and each is looked at for every collection.
#[derive(Clone, Copy)]
pub(crate) struct WildEntry {
    /// An interned namespace, or [`ANY_NAMESPACE`].
    pub namespace: u32,
    /// The place in the role's `excepts`, from 1; 0 is none.
    pub except: u32,
    pub body: u32,
    pub actions: u16,
    pub position: u16,
}

/// `*`: every namespace.
pub(crate) const ANY_NAMESPACE: u32 = u32::MAX;
/// What no collection is in: system collections are outside every namespace, and an empty one has no collection.
const NO_NAMESPACE: u32 = u32::MAX - 1;

/// The namespaces of a catalog as numbers.
pub(crate) struct Namespaces {
    ids: HashMap<String, u32>,
    of: Box<[u32]>,
}

impl Namespaces {
    pub fn new(catalog: &Catalog) -> Self {
        let mut ids: HashMap<String, u32> = HashMap::new();
        let of = catalog
            .iter()
            .map(|collection| {
                if collection.system {
                    return NO_NAMESPACE;
                }
                let next = ids.len() as u32;
                *ids.entry(collection.name.namespace().to_owned())
                    .or_insert(next)
            })
            .collect();
        Self { ids, of }
    }

    /// The number of a namespace.
    pub fn find(&self, name: &str) -> u32 {
        // A collection made later in it comes with a snapshot of its own.
        self.ids.get(name).copied().unwrap_or(NO_NAMESPACE - 1)
    }

    /// The number of a collection's namespace, `None` for the system's own.
    pub fn of(&self, collection: CollectionId) -> Option<u32> {
        Some(self.of[collection.0 as usize]).filter(|id| *id != NO_NAMESPACE)
    }
}

pub(crate) struct SpecialEntry {
    pub action: ActionId,
    pub on: SpecialTarget,
    pub except: Box<[CollectionId]>,
    pub body: u32,
    pub position: u16,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SpecialTarget {
    Anything,
    Namespace(Box<str>),
    Collection(CollectionId),
}

/// A profile with its parents' roles in it.
#[derive(Clone, Debug)]
pub struct CompiledProfile {
    /// The roles, parents' first.
    pub(crate) roles: Vec<ProfileEntry>,
    pub(crate) rate_limit: u32,
}

/// A role in a profile: where it holds, and from where, its own profile's address list and its descendants'.
#[derive(Clone, Debug)]
pub(crate) struct ProfileEntry {
    pub place: usize,
    pub restricted: Option<Arc<BTreeSet<CollectionId>>>,
    pub addresses: Vec<Arc<[IpNet]>>,
}

/// The marks of the two bodies most permissions have.
pub(crate) const PLAIN_ALLOW: u32 = u32::MAX;
pub(crate) const PLAIN_DENY: u32 = u32::MAX - 1;
/// The position of the allow that `implicit_allow` adds.
pub const IMPLICIT: u16 = u16::MAX;

impl Snapshot {
    /// Compiles a document, or says all that is wrong with it.
    pub fn compile(document: &Document, version: u64) -> Result<Self, Vec<Problem>> {
        Compiler::compile(document, version)
    }

    /// This snapshot with one role replaced or added, everything else shared: what a change of one role costs.
    pub fn with_role(
        &self,
        role: &crate::RoleDefinition,
        version: u64,
    ) -> Result<Self, Vec<Problem>> {
        Compiler::replace_role(self, role, version)
    }

    /// This snapshot with these profiles in place of all it has.
    pub fn with_profiles(
        &self,
        profiles: &[crate::ProfileDefinition],
        version: u64,
    ) -> Result<Self, Vec<Problem>> {
        Compiler::replace_profiles(self, profiles, version)
    }

    /// This snapshot with other roles for new accounts.
    pub fn with_registration(&self, roles: &[String], version: u64) -> Result<Self, Vec<Problem>> {
        Compiler::replace_registration(self, roles, version)
    }

    /// This snapshot without a role that no profile, registration or `assignable_by` names; `None` where one does, and
    /// for the built-in ones.
    pub fn without_role(&self, key: &str, version: u64) -> Option<Self> {
        if crate::BUILT_IN_ROLES.contains(&key) {
            return None;
        }
        let place = *self.role_places.get(key)?;
        let mut held = self.profiles.values().flat_map(|profile| &profile.roles);
        let named = held.any(|entry| entry.place == place)
            || self.registration.iter().any(|role| role == key)
            || self.assignable.iter().any(|(what, by)| {
                *what != BoundTo::Role(key.into()) && by.iter().any(|role| role == key)
            });
        if named {
            return None;
        }
        let moved = |known: usize| if known > place { known - 1 } else { known };
        let mut next = self.clone();
        next.version = version;
        next.sets = Arc::default();
        next.roles.remove(place);
        let places = Arc::make_mut(&mut next.role_places);
        places.remove(key);
        places.values_mut().for_each(|known| *known = moved(*known));
        for profile in Arc::make_mut(&mut next.profiles).values_mut() {
            for entry in &mut profile.roles {
                entry.place = moved(entry.place);
            }
        }
        next.fallback = self.fallback.filter(|known| *known != place).map(moved);
        Arc::make_mut(&mut next.assignable).remove(&BoundTo::Role(key.into()));
        Some(next)
    }

    /// The roles and profiles that make an administrator for good: at any time and from anywhere.
    pub fn lasting_administrators(&self) -> (Vec<&str>, Vec<&str>) {
        let lasts = |role: &CompiledRole| role.administrator && role.when.is_none();
        let roles = self.roles.iter().filter(|role| lasts(role));
        let profiles = self.profiles.iter().filter(|(_, profile)| {
            profile.roles.iter().any(|entry| {
                lasts(&self.roles[entry.place])
                    && entry.addresses.is_empty()
                    && entry.restricted.is_none()
            })
        });
        (
            roles.map(|role| &*role.key).collect(),
            profiles.map(|(key, _)| key.as_str()).collect(),
        )
    }

    /// The roles whose holders may hand out a role or profile.
    pub fn assignable_by(&self, what: &BoundTo) -> &[String] {
        self.assignable.get(what).map_or(&[], |roles| roles)
    }

    /// The role of those who are bound to nothing else.
    pub fn fallback_role(&self) -> Option<&Arc<str>> {
        self.fallback.map(|place| &self.roles[place].key)
    }

    /// The policy version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The collections.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The actions.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The named rules.
    pub fn rules(&self) -> &HashMap<String, Arc<RuleDefinition>> {
        &self.rules
    }

    /// What a new account is bound to.
    pub fn registration_roles(&self) -> &[String] {
        &self.registration
    }

    /// Own columns of accounts that some rule reads as `$user.x`.
    pub fn rule_attributes(&self) -> &BTreeSet<String> {
        &self.rule_attributes
    }

    /// The keys of all roles.
    pub fn role_keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.roles.iter().map(|role| &role.key)
    }

    /// The keys of all profiles.
    pub fn profile_keys(&self) -> impl Iterator<Item = &String> {
        self.profiles.keys()
    }

    /// Whether a role is an administrator; `None` where there is no such role.
    pub fn is_administrator(&self, role: &str) -> Option<bool> {
        self.role_places
            .get(role)
            .map(|place| self.roles[*place].administrator)
    }

    /// Whether a profile holds an administrator role; `None` where there is no such profile.
    pub fn profile_has_administrator(&self, profile: &str) -> Option<bool> {
        let profile = self.profiles.get(profile)?;
        Some(
            profile
                .roles
                .iter()
                .any(|entry| self.roles[entry.place].administrator),
        )
    }

    /// Requests per minute for holders of a profile; 0 is unlimited.
    pub fn rate_limit(&self, profile: &str) -> u32 {
        self.profiles
            .get(profile)
            .map_or(0, |profile| profile.rate_limit)
    }

    /// The collections a restriction names, or the first name that is none.
    pub fn restriction(&self, names: &[String]) -> Result<BTreeSet<CollectionId>, String> {
        restriction(&self.catalog, names)
    }

    /// How many permissions the roles hold.
    pub fn permission_count(&self) -> usize {
        self.roles
            .iter()
            .map(|role| role.entries.len() + role.wild.len() + role.special.len())
            .sum()
    }

    /// The roles whose permissions name a field of a collection, in rows, checks, presets or field lists.
    pub fn roles_naming(&self, collection: CollectionId) -> Vec<Arc<str>> {
        let mut found = HashSet::new();
        self.roles
            .iter()
            .filter(|role| {
                role.entries
                    .iter()
                    .any(|entry| entry.collection == collection)
            })
            .map(|role| Arc::clone(&role.key))
            .filter(|key| found.insert(Arc::clone(key)))
            .collect()
    }
}

// Stand for the collections that are made later, in a namespace or anywhere: beyond the ids of a catalog.
const LATER_ANYWHERE: CollectionId = CollectionId(u32::MAX - 1);

fn later_in(namespace: &str) -> CollectionId {
    // FNV-1a: the same in every snapshot.
    let hash = namespace.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    CollectionId(0x8000_0000 | (hash & 0x3fff_ffff))
}

/// Whether a restriction is open to a collection that is made later in this namespace, or in one that nobody names.
pub(crate) fn is_open(restriction: &BTreeSet<CollectionId>, namespace: Option<&str>) -> bool {
    restriction.contains(&LATER_ANYWHERE)
        || namespace.is_some_and(|name| restriction.contains(&later_in(name)))
}

/// Where both hold.
pub(crate) fn both_restrictions(
    a: &BTreeSet<CollectionId>,
    b: &BTreeSet<CollectionId>,
) -> BTreeSet<CollectionId> {
    let mut both: BTreeSet<CollectionId> = a.intersection(b).copied().collect();
    for (these, those) in [(a, b), (b, a)] {
        if these.contains(&LATER_ANYWHERE) {
            both.extend(those.iter().filter(|id| id.0 >= 0x8000_0000));
        }
    }
    both
}

pub(crate) fn restriction(
    catalog: &Catalog,
    names: &[String],
) -> Result<BTreeSet<CollectionId>, String> {
    let mut covered = BTreeSet::new();
    for name in names {
        if name == "*" {
            covered.insert(LATER_ANYWHERE);
            covered.extend(
                catalog
                    .iter()
                    .filter(|collection| !collection.system)
                    .map(|collection| collection.id),
            );
        } else if let Some(namespace) = name.strip_suffix("/*") {
            let before = covered.len();
            let later = later_in(namespace);
            covered.extend(
                catalog
                    .iter()
                    .filter(|collection| {
                        !collection.system && collection.name.namespace() == namespace
                    })
                    .map(|collection| collection.id),
            );
            // A namespace without collections yet is a name like any other: Kuzzle restricts to indexes made later.
            if before == covered.len()
                && portreeve_model::check_identifier(namespace, true).is_err()
            {
                return Err(name.clone());
            }
            covered.insert(later);
        } else if let Some(collection) = catalog.find_text(name) {
            covered.insert(collection.id);
        } else {
            return Err(name.clone());
        }
    }
    Ok(covered)
}

impl CompiledRole {
    /// Its name.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Whether it may do everything.
    pub fn administrator(&self) -> bool {
        self.administrator
    }

    pub(crate) fn body(&self, index: u32) -> &Arc<Body> {
        match index {
            PLAIN_ALLOW => plain_allow(),
            PLAIN_DENY => plain_deny(),
            index => &self.bodies[index as usize],
        }
    }
}

pub(crate) fn plain_allow() -> &'static Arc<Body> {
    static BODY: std::sync::OnceLock<Arc<Body>> = std::sync::OnceLock::new();
    BODY.get_or_init(|| Arc::new(Body::plain(crate::Effect::Allow)))
}

pub(crate) fn plain_deny() -> &'static Arc<Body> {
    static BODY: std::sync::OnceLock<Arc<Body>> = std::sync::OnceLock::new();
    BODY.get_or_init(|| Arc::new(Body::plain(crate::Effect::Deny)))
}
