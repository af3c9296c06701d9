//! What is derived from rights and shapes, kept while they last. Never decisions, never answers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

// Bounded; emptied when full, since everything in it is cheap to make again and a full one means shapes do not repeat.
pub(crate) struct Cache<K, V> {
    entries: Mutex<HashMap<K, Arc<V>>>,
    limit: usize,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    pub fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
        }
    }

    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    pub fn put(&self, key: K, value: Arc<V>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.limit {
            entries.clear();
        }
        entries.insert(key, value);
    }

    pub fn clear(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
