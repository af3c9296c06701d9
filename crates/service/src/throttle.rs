//! Budgets: so many attempts in so much time, by whatever they are counted by. All that an attempt is counted by is taken
//! together or not at all, before the attempt is made, so that attempts at the same time do not get past it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use portreeve_model::MICROS;
use sha2::{Digest, Sha256};

/// How many, and in how much time (microseconds). After a burst of all of them, one more at a time comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many at once; 0 is no limit.
    pub attempts: u32,
    /// In how much time they come back.
    pub window: i64,
}

impl Limit {
    /// So many in a minute.
    pub const fn per_minute(attempts: u32) -> Self {
        Self {
            attempts,
            window: 60 * MICROS,
        }
    }

    /// So many in an hour.
    pub const fn per_hour(attempts: u32) -> Self {
        Self {
            attempts,
            window: 60 * 60 * MICROS,
        }
    }

    fn step(self) -> i64 {
        (self.window / i64::from(self.attempts.max(1))).max(1)
    }
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: &'static str,
    /// How many there are.
    pub limit: u32,
    /// In how many seconds.
    pub window: u64,
    /// How many are left.
    pub remaining: u32,
    /// In how many seconds all will be back.
    pub reset: u64,
}

/// What something is counted by; only a hash of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length before it, so that two parts never read like one.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }
}

/// Whom an address belongs to: of IPv6 one has a whole /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}

/// The same as a text to count by.
pub(crate) fn network_text(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| network(address).to_string())
}

/// Budgets that have been drawn on. Bounded: those that are nearest to being whole again are forgotten first.
pub(crate) struct Throttle {
    // When each will be whole again.
    whole_at: Mutex<HashMap<Key, i64>>,
    at_most: usize,
}

/// What was taken, to be given back where the attempt turns out to be none.
#[must_use]
pub(crate) struct Taken(Vec<(Key, Limit)>);

/// There is nothing left; when there will be, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted(pub i64);

impl Exhausted {
    /// In whole seconds, one at least.
    pub fn seconds(self) -> u64 {
        seconds(self.0).max(1)
    }
}

fn seconds(micros: i64) -> u64 {
    u64::try_from(micros.max(0))
        .unwrap_or(0)
        .div_ceil(1_000_000)
}

impl Throttle {
    pub fn new(at_most: usize) -> Self {
        Self {
            whole_at: Mutex::default(),
            at_most,
        }
    }

    /// Takes one of each budget, or of none.
    pub fn take(&self, wanted: &[(Key, Limit)], now: i64) -> Result<Taken, Exhausted> {
        let limited = wanted.iter().filter(|(_, limit)| limit.attempts > 0);
        let wanted: Vec<(Key, Limit)> = limited.copied().collect();
        let mut known = self.lock();
        let mut wait = 0;
        let mut after = Vec::with_capacity(wanted.len());
        for (key, limit) in &wanted {
            let whole = whole(&known, *key, *limit, now) + limit.step();
            wait = wait.max(whole - now - limit.window);
            after.push(whole);
        }
        if wait > 0 {
            return Err(Exhausted(wait));
        }
        for ((key, _), whole) in wanted.iter().zip(after) {
            known.insert(*key, whole);
        }
        if known.len() > self.at_most {
            forget(&mut known, self.at_most, now);
        }
        Ok(Taken(wanted))
    }

    /// Gives back what was taken.
    pub fn give_back(&self, taken: Taken) {
        let mut known = self.lock();
        for (key, limit) in taken.0 {
            if let Some(whole) = known.get_mut(&key) {
                *whole -= limit.step();
            }
        }
    }

    /// What is left of a budget.
    pub fn budget(&self, name: &'static str, key: Key, limit: Limit, now: i64) -> Budget {
        let whole = whole(&self.lock(), key, limit, now);
        let left = (limit.window - (whole - now)) / limit.step();
        Budget {
            name,
            limit: limit.attempts,
            window: seconds(limit.window),
            remaining: u32::try_from(left.max(0))
                .unwrap_or(u32::MAX)
                .min(limit.attempts),
            reset: seconds(whole - now),
        }
    }

    /// Remembers something for a while, or until something that lasts longer needs its place.
    pub fn remember(&self, key: Key, until: i64, now: i64) {
        let mut known = self.lock();
        known.insert(key, until);
        if known.len() > self.at_most {
            forget(&mut known, self.at_most, now);
        }
    }

    /// Whether something is remembered.
    pub fn remembers(&self, key: Key, now: i64) -> bool {
        self.lock().get(&key).is_some_and(|until| *until > now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, i64>> {
        self.whole_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// When a budget will be whole again. Never later than if all of it were gone now: a clock that was set back must not keep
// anybody out.
fn whole(known: &HashMap<Key, i64>, key: Key, limit: Limit, now: i64) -> i64 {
    let known = known.get(&key).copied().unwrap_or(now);
    known.clamp(now, now.saturating_add(limit.window))
}

fn forget(known: &mut HashMap<Key, i64>, at_most: usize, now: i64) {
    known.retain(|_, whole| *whole > now);
    if known.len() <= at_most {
        return;
    }
    // A tenth at once, so that this is not done each time.
    let mut all: Vec<i64> = known.values().copied().collect();
    let place = (known.len() - at_most + at_most / 10).min(all.len() - 1);
    let (_, edge, _) = all.select_nth_unstable(place);
    let edge = *edge;
    known.retain(|_, whole| *whole > edge);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::per_minute(6);
    const STEP: i64 = 10 * MICROS;

    fn key(number: usize) -> Key {
        Key::of(&[&number.to_string()])
    }

    #[test]
    fn a_burst_is_spent_and_comes_back_one_by_one() {
        let throttle = Throttle::new(10);
        for left in (0..6).rev() {
            assert!(throttle.take(&[(key(1), LIMIT)], 0).is_ok());
            assert_eq!(throttle.budget("x", key(1), LIMIT, 0).remaining, left);
        }
        assert_eq!(
            throttle.take(&[(key(1), LIMIT)], 0).err(),
            Some(Exhausted(STEP))
        );
        assert_eq!(
            throttle.take(&[(key(1), LIMIT)], STEP - 1).err(),
            Some(Exhausted(1))
        );
        assert!(throttle.take(&[(key(1), LIMIT)], STEP).is_ok());
        assert!(throttle.take(&[(key(1), LIMIT)], STEP).is_err());
        // Others have their own.
        assert!(throttle.take(&[(key(2), LIMIT)], STEP).is_ok());
    }

    #[test]
    fn one_that_is_refused_takes_nothing() {
        let throttle = Throttle::new(10);
        let one = Limit::per_minute(1);
        assert!(throttle.take(&[(key(1), one)], 0).is_ok());
        for _ in 0..20 {
            assert!(throttle.take(&[(key(2), LIMIT), (key(1), one)], 0).is_err());
        }
        assert_eq!(throttle.budget("x", key(2), LIMIT, 0).remaining, 6);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let throttle = Throttle::new(10);
        for _ in 0..50 {
            let taken = throttle.take(&[(key(1), LIMIT)], 0);
            throttle.give_back(taken.ok().unwrap());
        }
        assert_eq!(throttle.budget("x", key(1), LIMIT, 0).remaining, 6);
    }

    #[test]
    fn no_more_than_so_many_are_kept_and_the_emptiest_stay() {
        let throttle = Throttle::new(100);
        for _ in 0..6 {
            let _ = throttle.take(&[(key(0), LIMIT)], 0);
        }
        for number in 1..10_000 {
            let _ = throttle.take(&[(key(number), LIMIT)], 0);
            assert!(throttle.lock().len() <= 100);
        }
        assert!(throttle.take(&[(key(0), LIMIT)], 0).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_out_for_longer() {
        let throttle = Throttle::new(10);
        let hour = 3_600 * MICROS;
        for _ in 0..6 {
            let _ = throttle.take(&[(key(1), LIMIT)], hour);
        }
        assert_eq!(
            throttle.take(&[(key(1), LIMIT)], 0).err(),
            Some(Exhausted(STEP))
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let throttle = Throttle::new(10);
        for _ in 0..1_000 {
            assert!(throttle.take(&[(key(1), Limit::per_minute(0))], 0).is_ok());
        }
    }

    #[test]
    fn an_address_is_its_network() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
    }
}
