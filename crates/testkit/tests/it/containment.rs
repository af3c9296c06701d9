//! What is called contained is: whoever holds it can do nothing that the other one could not.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::Value;
use portreeve_policy::{Binding, BoundTo, Holding, MemoryWorld, RoleSet, Snapshot, Writer};
use portreeve_testkit::naive::{Answer, Record, Request, Subject, World};
use portreeve_testkit::worlds::Dice;
use portreeve_testkit::{compiled, stats, worlds};

const DAY: i64 = 86_400_000_000;

#[test]
fn nothing_that_is_contained_goes_beyond() {
    let wanted = crate::cases(12_000);
    let (mut requests, mut pairs, mut contained, mut allowed) = (0, 0, 0, 0);
    for seed in 0.. {
        if requests >= wanted {
            break;
        }
        let world = worlds::world_of_variants(seed);
        let Ok(memory) = compiled::load(&world) else {
            continue;
        };
        for number in 0..12 {
            let seed = seed * 1_000 + number;
            let (one, other) = subjects(&world, seed);
            pairs += 1;
            if !contains(&memory, &one, &other) {
                continue;
            }
            contained += 1;
            for question in 0..10 {
                requests += 1;
                allowed += u64::from(compare(
                    &world,
                    &memory,
                    &one,
                    &other,
                    seed * 100 + question,
                ));
            }
        }
    }
    assert!(
        contained * 20 > pairs,
        "{contained} of {pairs} pairs are contained"
    );
    assert!(
        allowed * 8 > requests,
        "{allowed} of {requests} requests are allowed"
    );
    stats::count("containment", "memory", requests);
    stats::note(&format!(
        "contained rights: {contained} of {pairs} pairs, {requests} requests ({allowed} allowed), none beyond"
    ));
}

// Who holds something, and somebody who might hold less, alike in everything else.
fn subjects(world: &World, seed: u64) -> (Subject, Subject) {
    let mut dice = Dice::new(!seed ^ 0x1dea);
    let (mut one, _) = worlds::request(world, seed);
    while one.user.is_none() {
        one.user = world.users.keys().next().cloned();
    }
    let roles: Vec<String> = world
        .document
        .roles
        .iter()
        .map(|role| role.key.clone())
        .collect();
    if dice.percent(60) {
        one.bindings
            .retain(|it| it.to != BoundTo::Role("admin".into()));
        for role in roles.iter().filter(|role| role.starts_with('r')) {
            if dice.percent(60) {
                one.bindings.push(to_role(role));
            }
        }
    }
    let mut other = one.clone();
    other.narrowed_to = None;
    other.scope = None;
    other.bindings = match dice.below(10) {
        0..2 => worlds::bindings(world, !seed),
        2..4 => one
            .bindings
            .iter()
            .filter(|_| dice.percent(70))
            .cloned()
            .collect(),
        _ => {
            let mut bindings = vec![];
            for role in roles.iter().filter(|role| role.starts_with('x')) {
                if dice.percent(25) {
                    bindings.push(to_role(role));
                }
            }
            if dice.percent(30) {
                bindings.extend(one.bindings.iter().filter(|_| dice.percent(40)).cloned());
            }
            bindings
        }
    };
    (one, other)
}

fn to_role(role: &str) -> Binding {
    Binding {
        to: BoundTo::Role(role.into()),
        ..Binding::default()
    }
}

fn memory_narrowing(snapshot: &Snapshot, one: &Subject) -> Vec<Arc<RoleSet>> {
    let named = one.narrowed_to.iter();
    named
        .map(|roles| snapshot.narrowing(roles).expect("the world's own roles"))
        .chain(one.scope.iter().map(|scope| snapshot.scope(scope)))
        .collect()
}

fn contains(memory: &MemoryWorld, one: &Subject, other: &Subject) -> bool {
    let snapshot = memory.snapshot();
    let own = Holding::of_account(snapshot, &one.bindings, one.now);
    let narrowing = memory_narrowing(snapshot, one);
    let narrowing = narrowing
        .iter()
        .map(|roles| Holding::of_roles(snapshot, roles));
    let writer = Writer::new(own, narrowing, one.now, false);
    writer.may_touch(&other.bindings).is_ok()
}

// Whether the lesser one was allowed what he asked.
fn compare(world: &World, memory: &MemoryWorld, one: &Subject, other: &Subject, seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let request = worlds::request_of(world, other, seed);
    // Rights are handed out now and held later.
    let now = one.now + dice.below(3) as i64 * DAY;
    let at = |subject: &Subject| Subject {
        now,
        ..subject.clone()
    };
    let (one, other) = (at(one), at(other));
    let ask = |subject: &Subject, request: &Request| {
        let asker = compiled::asker(memory, world, subject);
        compiled::answer(&mut memory.clone(), &asker, request)
    };
    let lesser = ask(&other, &request);
    let greater = ask(&one, &request);
    let within = match (&lesser, &greater) {
        (Answer::Shown(less), Answer::Shown(more)) => shows(more, less),
        (Answer::Shown(_), _) => false,
        (Answer::Listed(less), Answer::Listed(more)) => {
            // What is null where it may not be read may turn a filter either way.
            matches!(
                &request,
                Request::List {
                    filter: Some(_),
                    ..
                }
            ) || less.iter().all(|(key, record)| {
                more.iter()
                    .any(|(known, seen)| known == key && shows(seen, record))
            })
        }
        (Answer::Listed(_), _) => false,
        (Answer::Deleted, answer) => *answer == Answer::Deleted,
        (Answer::Stored { .. }, Answer::Stored { .. }) => true,
        // What is lent to one, the other may send himself.
        (Answer::Stored { record, .. }, _) => {
            let explicit = explicitly(world, memory, &request, record);
            matches!(ask(&one, &explicit), Answer::Stored { .. })
        }
        // Refused, for one reason or another.
        (_, _) => true,
    };
    assert!(
        within,
        "{seed}: {request:?}\nlesser {:?}\n{lesser:?}\ngreater {:?} narrowed to {:?}\n{greater:?}\n{:?} now {now}\n{}",
        other.bindings,
        one.bindings,
        one.narrowed_to,
        one.user,
        world.document.to_yaml()
    );
    matches!(
        lesser,
        Answer::Shown(_) | Answer::Stored { .. } | Answer::Deleted
    ) || matches!(lesser, Answer::Listed(listed) if !listed.is_empty())
}

fn shows(more: &Record, less: &Record) -> bool {
    less.iter().all(|(field, value)| match more.get(field) {
        None => false,
        Some(seen) => value.is_null() || seen == value,
    })
}

// The same write with everything in it that may have been lent.
fn explicitly(world: &World, memory: &MemoryWorld, request: &Request, stored: &Record) -> Request {
    let lent: BTreeSet<&String> = world
        .document
        .roles
        .iter()
        .flat_map(|role| &role.permissions)
        .flat_map(|it| it.presets.iter().chain(&it.defaults))
        .map(|(field, _)| field)
        .collect();
    let mut request = request.clone();
    let old = |collection: &str, key: &str| {
        let declared = Arc::clone(
            memory
                .catalog()
                .find_text(collection)
                .expect("a collection"),
        );
        let key = Value::from_text(declared.key_field().ty, key).expect("a key");
        let record = memory.get(declared.id, &key).expect("a record");
        move |field: &str| {
            declared
                .find_field(field)
                .map(|field| record.get(field).clone())
        }
    };
    match &mut request {
        Request::Create { sent, .. } => {
            for (field, value) in stored {
                if lent.contains(field) || sent.contains_key(field) {
                    sent.insert(field.clone(), value.clone());
                }
            }
        }
        Request::Update {
            collection,
            key,
            sent,
        } => {
            let old = old(collection, key);
            for field in lent
                .iter()
                .copied()
                .chain(&sent.keys().cloned().collect::<Vec<_>>())
            {
                let value = stored.get(field).cloned().unwrap_or(Value::Null);
                match old(field) {
                    Some(before) if before != value => sent.insert(field.clone(), value),
                    _ => sent.remove(field),
                };
            }
        }
        Request::Read { .. } | Request::List { .. } | Request::Delete { .. } => {}
    }
    request
}
