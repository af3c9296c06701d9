//! Admitted callers, kept by the hash of their token so that a request does not ask the database who it is.
//! This is on the way of every request: one hash map behind a lock that readers share, in shards.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_gate::Caller;

use crate::shares::Visitors;
use crate::tokens::TokenHash;

const SHARDS: usize = 16;
/// A shard that is full is emptied: everything in it is cheap to make again.
const SHARD_LIMIT: usize = 4_096;

/// A caller and until when what it has shown holds.
pub(crate) struct Admitted {
    pub caller: Caller,
    pub expires: i64,
    /// How long its session holds without being used.
    pub idle: Option<i64>,
    /// When it was last used, to the minute.
    pub used: AtomicI64,
    /// The face its session was begun through.
    pub face: Option<Arc<str>>,
    /// How many requests it may make in the time its face gives.
    pub rate: u32,
}

type Shard = HashMap<TokenHash, Arc<Admitted>, BuildHasherDefault<FirstBytes>>;

/// The callers admitted of late.
#[derive(Default)]
pub(crate) struct Callers {
    shards: [RwLock<Shard>; SHARDS],
    // The connection on which we hear what ends them: what is heard on another one is not about all of them.
    informed: AtomicU64,
    /// Those who look at shares.
    pub visitors: Visitors,
    // Who comes without a token, under the policy last seen.
    anonymous: RwLock<Option<Caller>>,
}

impl Callers {
    fn shard(&self, hash: &TokenHash) -> &RwLock<Shard> {
        // Not a byte the map itself places by.
        &self.shards[usize::from(hash[31]) % SHARDS]
    }

    pub fn get(&self, hash: &TokenHash) -> Option<Arc<Admitted>> {
        self.shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
            .cloned()
    }

    /// Keeps a caller, unless `still_good` says no. It is asked under the lock that [`Callers::remove`] takes, so that
    /// a session which ended while its caller was being admitted is not kept.
    pub fn put(&self, hash: TokenHash, admitted: Arc<Admitted>, still_good: impl FnOnce() -> bool) {
        let mut shard = self
            .shard(&hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !still_good() {
            return;
        }
        if shard.len() >= SHARD_LIMIT {
            shard.clear();
        }
        shard.insert(hash, admitted);
    }

    /// Whether whatever has ended them would have been heard of, on this connection.
    pub fn hold_under(&self, informed: Option<u64>) -> bool {
        informed.is_some_and(|informed| informed == self.informed.load(Ordering::Acquire))
    }

    /// Forgets all of them; those to come hold under this connection.
    pub fn begin_under(&self, informed: u64) {
        self.clear();
        self.informed.store(informed, Ordering::Release);
    }

    pub fn remove(&self, hash: &TokenHash) {
        self.shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(hash);
    }

    /// Forgets all that a session is known by.
    pub fn remove_session(&self, session: &str) {
        for shard in &self.shards {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|_, known| known.caller.session().is_none_or(|id| &**id != session));
        }
    }

    pub fn clear(&self) {
        self.visitors.clear();
        for shard in &self.shards {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    pub fn anonymous(&self) -> Option<Caller> {
        self.anonymous
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn put_anonymous(&self, caller: Caller) {
        *self
            .anonymous
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(caller);
    }
}

/// The keys are hashes already.
#[derive(Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    // The length of the array, the same for all.
    fn write_usize(&mut self, _: usize) {}
}
