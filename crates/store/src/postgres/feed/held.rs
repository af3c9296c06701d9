//! What was read of transactions that are not whole yet.

use std::collections::HashMap;

use super::{TOGETHER, position};
use crate::feed::{Change, FeedLimits, Together};

/// A row of the table of changes.
pub(super) struct Noted {
    pub number: i64,
    pub transaction: i64,
    pub what: What,
}

pub(super) enum What {
    Change(Change),
    /// Somebody else's table, or one that is not a collection any more.
    Nothing,
    Loss,
}

/// How a transaction ends.
pub(super) enum Ended {
    /// With these changes.
    Whole(Vec<Change>),
    /// There was more than is kept, or something that is not told record by record.
    Lost,
}

/// Transactions some of whose rows are still to come: they are behind others', or behind a number that is missing.
#[derive(Default)]
pub(super) struct Held {
    transactions: HashMap<i64, Part>,
    changes: usize,
    bytes: usize,
}

struct Part {
    // The number of its last row. One that is seen has committed, so all of them are there.
    last: i64,
    // None where it is lost.
    changes: Option<Together>,
    counted: (usize, usize),
}

impl Held {
    /// One more row of a transaction whose last one has this number.
    pub fn add(&mut self, limits: FeedLimits, last: i64, noted: Noted) {
        let part = self.transactions.entry(noted.transaction);
        let part = part.or_insert_with(|| Part {
            last,
            changes: Some(Together::default()),
            counted: (0, 0),
        });
        match (noted.what, &mut part.changes) {
            (What::Nothing, _) | (_, None) => {}
            (What::Loss, changes) => *changes = None,
            (What::Change(change), Some(changes)) => {
                let bytes = change.bytes();
                (part.counted.0, part.counted.1) = (part.counted.0 + 1, part.counted.1 + bytes);
                (self.changes, self.bytes) = (self.changes + 1, self.bytes + bytes);
                changes.add(change);
            }
        }
        if part.changes.is_none() {
            let (changes, bytes) = std::mem::take(&mut part.counted);
            (self.changes, self.bytes) = (self.changes - changes, self.bytes - bytes);
        }
        if self.changes > limits.changes.min(TOGETHER) || self.bytes > limits.bytes {
            // More than is kept in any case.
            for part in self.transactions.values_mut() {
                (part.changes, part.counted) = (None, (0, 0));
            }
            (self.changes, self.bytes) = (0, 0);
        }
    }

    /// What has come of a transaction, if this was its last row.
    pub fn end(&mut self, transaction: i64, number: i64) -> Option<Ended> {
        let ends = self.transactions.get(&transaction)?.last <= number;
        let part = ends.then(|| self.transactions.remove(&transaction))??;
        (self.changes, self.bytes) = (self.changes - part.counted.0, self.bytes - part.counted.1);
        let Some(changes) = part.changes else {
            return Some(Ended::Lost);
        };
        let mut changes = changes.take();
        for (change, place) in changes.iter_mut().rev().zip(0..) {
            change.position = position(number).saturating_sub(place);
        }
        Some(Ended::Whole(changes))
    }
}
