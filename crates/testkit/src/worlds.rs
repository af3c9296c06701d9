//! Random worlds and requests, the same for the same seed: what the referee and the engine are both asked.
//!
//! Everything is drawn from the whole law and valid as it stands: names resolve, types fit, what only checks may say
//! stands in checks. [`world`] makes the document and the database, [`request`] a subject and something to ask.

mod asks;
mod operations;
mod rights;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod variants;

use crate::naive::{Aggregates, Operation, Request, Subject, World};

pub use operations::OperationKind;

/// 2026-11-22T12:00:00Z, a Sunday: about when everything happens.
const NOON: i64 = 1_795_348_800_000_000;

const DAY: i64 = 86_400_000_000;

/// One world in so many keeps books.
const WITH_BOOKS: u64 = 3;

/// The world of that number.
pub fn world(seed: u64) -> World {
    let mut dice = Dice::new(seed);
    let mut world = World::default();
    schema::declare(&mut dice, &mut world);
    if seed.is_multiple_of(WITH_BOOKS) {
        schema::keep_books(&mut dice, &mut world);
    }
    schema::populate(&mut dice, &mut world);
    rights::grant(&mut dice, &mut world);
    world
}

/// The world of that number, and roles `x1`, `x2`, … in it that are made from its own.
pub fn world_of_variants(seed: u64) -> World {
    let mut world = world(seed);
    let mut dice = Dice::new(!seed ^ 0x7a9e_33b1);
    let roles = world.document.roles.clone();
    let own: Vec<_> = roles.iter().filter(|role| !role.administrator).collect();
    for number in 1..=6 {
        let role = *dice.pick(&own);
        let variant = variants::variant(&mut dice, &world, role, &format!("x{number}"));
        world.document.roles.push(variant);
    }
    world
}

/// A role made from another one: often a little less than it says, sometimes more.
pub fn variant(
    dice: &mut Dice,
    world: &World,
    role: &portreeve_policy::RoleDefinition,
    key: &str,
) -> portreeve_policy::RoleDefinition {
    variants::variant(dice, world, role, key)
}

/// Something for this subject to ask, more often than not where it may.
pub fn request_of(world: &World, subject: &Subject, seed: u64) -> Request {
    let mut dice = Dice::new(!seed ^ 0x00c0_ffee);
    let mut request = if dice.percent(55) {
        asks::part(&mut dice, world, subject)
    } else {
        asks::request(&mut dice, world, subject)
    };
    if let Request::Create { sent, .. } | Request::Update { sent, .. } = &mut request
        && dice.percent(60)
    {
        let some = dice.percent(50);
        let kept: Vec<String> = sent.keys().cloned().collect();
        if !kept.is_empty() {
            let kept = dice.pick(&kept).clone();
            sent.retain(|field, _| *field == kept || some && dice.percent(30));
        }
    }
    request
}

/// Bindings of that number: what somebody in the world could be bound to.
pub fn bindings(world: &World, seed: u64) -> Vec<portreeve_policy::Binding> {
    asks::subject(&mut Dice::new(!seed), world).bindings
}

/// The request of that number in a world.
pub fn request(world: &World, seed: u64) -> (Subject, Request) {
    let mut dice = Dice::new(!seed);
    let subject = asks::subject(&mut dice, world);
    let request = asks::request(&mut dice, world, &subject);
    (subject, request)
}

/// The aggregates of that number, asked for by the subject of the same number.
pub fn aggregates(world: &World, seed: u64) -> (Subject, Aggregates) {
    let mut dice = Dice::new(!seed);
    let subject = asks::subject(&mut dice, world);
    let aggregates = asks::aggregates(&mut dice, world, &subject);
    (subject, aggregates)
}

/// The change of that number in a world: one to four records that are written together, as wanted by somebody who has
/// rights on many.
pub fn change(world: &World, seed: u64) -> (Subject, Vec<Request>) {
    let mut dice = Dice::new(!seed ^ 0x5bd1_e995);
    let subject = asks::subject(&mut dice, world);
    let count = dice.between(1, 4);
    let parts = (0..count).map(|_| asks::part(&mut dice, world, &subject));
    let parts = parts.collect();
    (subject, parts)
}

/// The change of that kind and number in a world, as one request asks for it.
pub fn operation(world: &World, kind: OperationKind, seed: u64) -> (Subject, Operation) {
    let mut dice = Dice::new(!seed ^ 0x27d4_eb2f);
    let subject = asks::subject(&mut dice, world);
    let operation = operations::operation(&mut dice, world, &subject, kind);
    (subject, operation)
}

/// What somebody else does to a record meanwhile, if it is there.
pub fn meddling(world: &World, collection: &str, key: &str, seed: u64) -> Option<Request> {
    operations::meddling(&mut Dice::new(seed), world, collection, key)
}

/// Numbers without a pattern, repeatable (splitmix64).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins with this number.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 to below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        let place = self.throw() % u64::try_from(count).expect("a small number");
        usize::try_from(place).expect("a small number")
    }

    /// Both ends included.
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// Whether a chance of so many in a hundred falls.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The first whose share the die falls into.
    fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in of {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *what,
            }
        }
        unreachable!("the weights add up")
    }

    /// Each of them with this chance, in order.
    pub fn some_of<T: Clone>(&mut self, of: &[T], percent: usize) -> Vec<T> {
        of.iter()
            .filter(|_| self.percent(percent))
            .cloned()
            .collect()
    }
}
