//! How long a connection may work before it is interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// So many instructions of SQLite's machine pass between two looks at the budget. Measured: 50 to 220 a microsecond;
/// a page of 20 by an index takes 190 in all.
const STRIDE: i32 = 1_000;

/// What a connection may still spend.
pub(crate) struct Budget {
    strides: AtomicI64,
    // Nanoseconds after `from`, looked at once the strides are used up; 0 is none.
    deadline: AtomicU64,
    from: Instant,
}

impl Budget {
    /// Puts a connection under a budget, which is unlimited until it is set.
    pub fn of(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let budget = Arc::new(Self {
            strides: AtomicI64::new(i64::MAX),
            deadline: AtomicU64::new(0),
            from: Instant::now(),
        });
        let spent = Arc::clone(&budget);
        connection.progress_handler(STRIDE, Some(move || spent.spend()))?;
        Ok(budget)
    }

    // Whether to go no further.
    fn spend(&self) -> bool {
        if self.strides.fetch_sub(1, Ordering::Relaxed) > 0 {
            return false;
        }
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline == 0 || nanoseconds(self.from.elapsed()) > deadline
    }

    /// How long each of two ways is tried in turn, in strides, before the first one gets what is left.
    pub fn tries(&self) -> [i64; 4] {
        if self.deadline.load(Ordering::Relaxed) == 0 {
            [4, 8, 16, 32]
        } else {
            [1_000, 2_000, 4_000, 8_000]
        }
    }

    /// Interrupts this after so many strides, which are taken off the budget.
    pub fn within<T>(&self, strides: i64, run: impl FnOnce() -> T) -> T {
        let deadline = self.deadline.swap(0, Ordering::Relaxed);
        let left = self.strides.swap(strides, Ordering::Relaxed);
        let result = run();
        let spent = strides - self.strides.load(Ordering::Relaxed);
        self.strides.store(left - spent, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
        result
    }

    /// So many strides, and then, where there is a time, until it is over.
    pub fn set(&self, strides: i64, time: Option<Duration>) {
        let deadline = time.map_or(0, |time| nanoseconds(self.from.elapsed() + time));
        self.deadline.store(deadline, Ordering::Relaxed);
        self.strides.store(strides, Ordering::Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
