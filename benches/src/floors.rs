//! The floors: the same decisions by nothing but the data structure, written by hand for exactly this question. The
//! letters are those of the reference measurements.

use std::collections::HashMap;

use crate::world::{ACTIONS, Act, Answer, Perm, Target, World};
use crate::world::{NAMESPACE_SIZE, collection_text, user_key};

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

const ALLOW: u8 = 1;
const DENY: u8 = 2;
const OWNED: u8 = 4;

const ACTION_COUNT: u32 = ACTIONS.len() as u32;

// By table, since a branch on what comes out is mispredicted every other time.
fn answer(bits: u8) -> Answer {
    const ANSWERS: [Answer; 8] = {
        let mut answers = [Answer::No; 8];
        answers[ALLOW as usize] = Answer::Yes;
        answers[OWNED as usize] = Answer::Depends;
        answers[(ALLOW | OWNED) as usize] = Answer::Yes;
        answers
    };
    ANSWERS[usize::from(bits & 7)]
}

/// The key of an action on a collection.
pub fn key(collection: u32, action: u32) -> u32 {
    collection * ACTION_COUNT + action
}

// Calls `each` with every key a permission covers.
fn expand(perm: &Perm, mut each: impl FnMut(u32, u8)) {
    let bit = match (perm.deny, perm.owner) {
        (true, _) => DENY,
        (false, true) => OWNED,
        (false, false) => ALLOW,
    };
    let actions = match perm.act {
        Act::Any => 0..ACTION_COUNT,
        Act::One(action) => action..action + 1,
    };
    let size = NAMESPACE_SIZE as u32;
    let collections = match perm.target {
        Target::Namespace(namespace) => namespace * size..(namespace + 1) * size,
        Target::One(collection) => collection..collection + 1,
    };
    for action in actions {
        for collection in collections.clone() {
            each(key(collection, action), bit);
        }
    }
}

/// What C and D are built from: each role's keys, sorted, and each user's roles, all in flat arrays.
pub struct Flat {
    user_ends: Vec<u32>,
    user_roles: Vec<u32>,
    role_ends: Vec<u32>,
    keys: Vec<u32>,
    bits: Vec<u8>,
}

impl Flat {
    /// Writes wildcards out.
    pub fn new(world: &World) -> Self {
        let mut flat = Self {
            user_ends: vec![0],
            user_roles: vec![],
            role_ends: vec![0],
            keys: vec![],
            bits: vec![],
        };
        for roles in &world.users {
            flat.user_roles.extend(roles);
            flat.user_ends.push(flat.user_roles.len() as u32);
        }
        let mut found: Vec<(u32, u8)> = vec![];
        for perms in &world.roles {
            found.clear();
            for perm in perms {
                expand(perm, |key, bit| found.push((key, bit)));
            }
            found.sort_unstable();
            let start = flat.keys.len();
            for (key, bit) in &found {
                if flat.keys[start..].last() == Some(key) {
                    *flat.bits.last_mut().expect("as long as the keys") |= bit;
                } else {
                    flat.keys.push(*key);
                    flat.bits.push(*bit);
                }
            }
            flat.role_ends.push(flat.keys.len() as u32);
        }
        flat
    }

    /// How many keys there are with all wildcards written out.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    fn role(&self, role: u32) -> impl Iterator<Item = (u32, u8)> {
        let range =
            self.role_ends[role as usize] as usize..self.role_ends[role as usize + 1] as usize;
        self.keys[range.clone()]
            .iter()
            .copied()
            .zip(self.bits[range].iter().copied())
    }

    fn user(&self, user: u32) -> &[u32] {
        let user = user as usize;
        &self.user_roles[self.user_ends[user] as usize..self.user_ends[user + 1] as usize]
    }
}

/// C: one open-addressed table of (role, collection, action), eight bytes a slot.
pub struct GlobalTable {
    slots: Vec<u64>,
    mask: usize,
}

fn mix(key: u64) -> u64 {
    let wide = u128::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_0C2B_5A2F_1B35);
    (wide >> 64) as u64 ^ wide as u64
}

impl GlobalTable {
    /// Builds it.
    pub fn new(world: &World, flat: &Flat) -> Self {
        let capacity = (flat.len() * 3 / 2).next_power_of_two();
        let mut table = Self {
            slots: vec![0; capacity],
            mask: capacity - 1,
        };
        for role in 0..world.roles.len() as u32 {
            for (key, bits) in flat.role(role) {
                let wanted = Self::wanted(role, key);
                let mut place = mix(wanted) as usize & table.mask;
                while table.slots[place] != 0 {
                    place = (place + 1) & table.mask;
                }
                table.slots[place] = wanted << 8 | u64::from(bits);
            }
        }
        table
    }

    // Never 0, which marks an empty slot.
    fn wanted(role: u32, key: u32) -> u64 {
        (u64::from(role) << 32 | u64::from(key)) + 1
    }

    fn get(&self, role: u32, key: u32) -> u8 {
        let wanted = Self::wanted(role, key);
        let mut place = mix(wanted) as usize & self.mask;
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                return 0;
            }
            if slot >> 8 == wanted {
                return slot as u8;
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Decides.
    pub fn ask(&self, flat: &Flat, user: u32, key: u32) -> Answer {
        answer(
            flat.user(user)
                .iter()
                .fold(0, |bits, role| bits | self.get(*role, key)),
        )
    }
}

/// D: two bits per distinct role set, collection and action: a word of what is allowed, then one of what is allowed to
/// the owner, then the next 64 keys.
pub struct Merged {
    /// Each user's role set.
    pub user_sets: Vec<u32>,
    /// How many distinct role sets there are.
    pub sets: usize,
    words: usize,
    planes: Vec<[u64; 2]>,
}

impl Merged {
    /// Merges every distinct role set.
    pub fn new(world: &World, flat: &Flat) -> Self {
        let words = (world.size.collections * ACTIONS.len()).div_ceil(64);
        let mut known: Map<&[u32], u32> = Map::default();
        let mut merged = Self {
            user_sets: vec![],
            sets: 0,
            words,
            planes: vec![],
        };
        let mut denied = vec![0u64; words];
        for roles in &world.users {
            let next = known.len() as u32;
            let set = *known.entry(roles).or_insert(next);
            merged.user_sets.push(set);
            if set != next {
                continue;
            }
            let base = merged.planes.len();
            merged.planes.resize(base + words, [0; 2]);
            denied.fill(0);
            let planes = &mut merged.planes[base..];
            for (key, bits) in roles.iter().flat_map(|role| flat.role(*role)) {
                let (word, place) = (key as usize / 64, key % 64);
                planes[word][0] |= u64::from(bits & ALLOW != 0) << place;
                planes[word][1] |= u64::from(bits & OWNED != 0) << place;
                denied[word] |= u64::from(bits & DENY != 0) << place;
            }
            for (words, denied) in planes.iter_mut().zip(&denied) {
                words[0] &= !denied;
                words[1] &= !denied;
            }
        }
        merged.sets = known.len();
        merged
    }

    /// Decides.
    pub fn ask(&self, set: u32, key: u32) -> Answer {
        let [allowed, owned] = self.planes[set as usize * self.words + key as usize / 64];
        let bit = |word: u64| (word >> (key % 64)) as u8 & 1;
        answer((bit(allowed) * ALLOW) | (bit(owned) * OWNED))
    }

    /// What it takes of memory.
    pub fn bytes(&self) -> usize {
        self.planes.len() * 16 + self.user_sets.len() * 4
    }
}

/// The three names of a question, each to be looked up.
pub struct Names {
    users: Map<String, u32>,
    actions: Map<&'static str, u32>,
    collections: Map<String, u32>,
}

impl Names {
    /// Of all users, actions and collections.
    pub fn new(world: &World) -> Self {
        Self {
            users: (0..world.users.len())
                .map(|user| (user_key(user), user as u32))
                .collect(),
            actions: (0..).zip(ACTIONS).map(|(id, name)| (name, id)).collect(),
            collections: (0..world.size.collections)
                .map(|id| (collection_text(id), id as u32))
                .collect(),
        }
    }

    fn resolve(&self, user: &str, action: &str, collection: &str) -> Option<(u32, u32)> {
        let (user, action) = (self.users.get(user)?, self.actions.get(action)?);
        Some((*user, key(*self.collections.get(collection)?, *action)))
    }
}

/// A: a hash map per role, asked with names.
pub struct PerRole {
    roles: Vec<Map<u32, u8>>,
}

impl PerRole {
    /// Builds it.
    pub fn new(world: &World, flat: &Flat) -> Self {
        Self {
            roles: (0..world.roles.len() as u32)
                .map(|role| flat.role(role).collect())
                .collect(),
        }
    }

    /// Decides.
    pub fn ask(
        &self,
        world: &World,
        names: &Names,
        user: &str,
        action: &str,
        collection: &str,
    ) -> Answer {
        let Some((user, key)) = names.resolve(user, action, collection) else {
            return Answer::No;
        };
        let roles = &world.users[user as usize];
        let bits = |role: &u32| {
            self.roles[*role as usize]
                .get(&key)
                .copied()
                .unwrap_or_default()
        };
        answer(roles.iter().fold(0, |all, role| all | bits(role)))
    }
}

impl Merged {
    /// E: decides from names.
    pub fn ask_names(&self, names: &Names, user: &str, action: &str, collection: &str) -> Answer {
        match names.resolve(user, action, collection) {
            Some((user, key)) => self.ask(self.user_sets[user as usize], key),
            None => Answer::No,
        }
    }
}
