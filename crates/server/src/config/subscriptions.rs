//! `[subscriptions]`: how many may be told of changes at a time, and how far behind they may be.

use std::num::NonZeroUsize;

use portreeve_service::{FeedLimits, SubscriptionLimits};
use serde::Deserialize;

/// How many may be told of changes at a time, and how far behind they may be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Subscriptions {
    /// For one account; for one address, where nobody is signed in.
    pub for_one: NonZeroUsize,
    /// In all.
    pub in_all: NonZeroUsize,
    /// So many changes are kept for those who are behind or come back.
    pub kept_changes: NonZeroUsize,
    /// And so many bytes of records, roughly.
    pub kept_bytes: NonZeroUsize,
}

impl Subscriptions {
    /// How many, in the service's words.
    pub fn limits(&self) -> SubscriptionLimits {
        SubscriptionLimits {
            for_one: self.for_one.get(),
            in_all: self.in_all.get(),
        }
    }

    /// What is kept, in the service's words.
    pub fn feed(&self) -> FeedLimits {
        FeedLimits {
            changes: self.kept_changes.get(),
            bytes: self.kept_bytes.get(),
        }
    }
}

impl Default for Subscriptions {
    fn default() -> Self {
        let (limits, feed) = (SubscriptionLimits::default(), FeedLimits::default());
        let number = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            for_one: number(limits.for_one),
            in_all: number(limits.in_all),
            kept_changes: number(feed.changes),
            kept_bytes: number(feed.bytes),
        }
    }
}
