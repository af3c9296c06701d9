//! Changes by a filter, upserts, records that stand in each other and conditions: gate and store against the referee.
//! Compared is everything there is afterwards, the answer's keys, and why something was refused; what is refused
//! changes nothing.

use std::collections::BTreeMap;

use portreeve_model::EntityTag;
use portreeve_testkit::naive::{self, Answer, Condition, Done, Item, Operation, What};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::worlds::{self, OperationKind};

const PER_WORLD: u64 = 40;

/// So many are drawn for one that the referee lets through: the refused ones are more than enough.
const DRAWN: u64 = 8;

#[test]
fn gate_and_sqlite_agree_about_operations() {
    play(On::Sqlite, crate::cases(1_600));
}

#[test]
fn gate_and_postgresql_agree_about_operations() {
    play(On::Postgres, crate::cases(400));
}

#[derive(Default)]
struct Tally {
    asked: u64,
    done: u64,
    changed: u64,
    /// Not the same, and no wonder.
    uncertain: u64,
    refused: BTreeMap<&'static str, u64>,
}

fn play(on: On, cases: u64) {
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    let mut disagreements = vec![];
    crate::block_on(async {
        for seed in 0..cases / PER_WORLD {
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let mut stored = StoredWorld::new(on, &drawn, first.now).await;
            for number in 0..PER_WORLD {
                // Accounts may go along with what they point at, and then nobody is left to ask.
                if stored.world.users.is_empty() {
                    break;
                }
                let kind = OperationKind::ALL[(number % 4) as usize];
                let tally = tallies.entry(kind.name()).or_default();
                if let Some(what) = case(&mut stored, kind, seed * 1_000 + number, tally).await {
                    disagreements.push((seed, number));
                    if disagreements.len() <= 2 {
                        let yaml = stored.world.document.to_yaml();
                        eprintln!("world {seed}, number {number}: {what}\n{yaml}");
                    } else {
                        eprintln!(
                            "world {seed}, number {number}: {}",
                            what.lines().next().unwrap_or_default()
                        );
                    }
                }
            }
        }
    });
    assert!(
        disagreements.is_empty(),
        "{} of {cases} disagree: {:?}",
        disagreements.len(),
        &disagreements[..disagreements.len().min(20)]
    );
    for (kind, tally) in tallies {
        let Tally {
            asked,
            done,
            changed,
            uncertain,
            refused,
        } = &tally;
        // Neither side may be so rare that the agreement says nothing.
        assert!(changed * 8 > *asked, "{kind}: {changed} of {asked}");
        assert!(done * 10 < asked * 9, "{kind}: {done} of {asked}");
        assert!(uncertain * 20 < *asked, "{kind}: {uncertain} of {asked}");
        stats::count(kind, on.name(), asked - uncertain);
        stats::note(&format!(
            "{kind}: gate + {} = naive evaluator: {asked} asked, {done} done, {changed} of them with a change, refused without a trace: {refused:?}",
            on.name()
        ));
    }
}

// What the two do not agree about.
async fn case(
    stored: &mut StoredWorld,
    kind: OperationKind,
    seed: u64,
    tally: &mut Tally,
) -> Option<String> {
    let mut drawn = None;
    for attempt in 0..DRAWN {
        let (subject, operation) = worlds::operation(&stored.world, kind, seed * DRAWN + attempt);
        let expected = naive::perform(&stored.world, &subject, &operation);
        let through = matches!(expected, Ok(_) | Err(Answer::Partly(_) | Answer::Unmet));
        drawn = Some((subject, operation));
        if through {
            break;
        }
    }
    let (subject, mut operation) = drawn.expect("one at least");
    let caller = stored.caller(&subject);
    let mut tag = EntityTag::of_json(b"");
    if let Some((collection, key)) = wants_to_be_as_seen(&mut operation, stored, &subject) {
        tag = stored.tag(&caller, &collection, &key).await;
        // Somebody else may come in between, and change what the caller sees or what he does not.
        let meddling = worlds::meddling(&stored.world, &collection, &key, seed);
        if let Some(meddling) = meddling.filter(|_| !seed.is_multiple_of(3)) {
            let operator = stored.gate.operator(subject.now);
            stored.answer(&operator, &meddling).await;
            stored.read_back(subject.now).await;
        }
    }
    let expected = naive::perform(&stored.world, &subject, &operation);
    let digest = async |stored: &StoredWorld| {
        let digest = stored.store.system().digest(false).await;
        digest.expect("a digest")
    };
    let before = digest(stored).await;
    let world = stored.world.clone();
    let caller = stored.caller(&subject);
    let found = stored.perform(&caller, &operation, tag).await;
    tally.asked += 1;
    let traces = match &found {
        Ok(_) => {
            tally.done += 1;
            stored.read_back(subject.now).await;
            tally.changed += u64::from(world != stored.world);
            false
        }
        Err(refusal) => {
            let word = match refusal {
                Answer::NotFound => "not found",
                Answer::Forbidden => "forbidden",
                Answer::Partly(_) => "partly forbidden",
                Answer::Unmet => "precondition failed",
                _ => "invalid",
            };
            *tally.refused.entry(word).or_default() += 1;
            before != digest(stored).await
        }
    };
    if !traces && agree(&operation, &expected, &found, stored) {
        return None;
    }
    if !traces && counted(&operation) {
        tally.uncertain += 1;
        return None;
    }
    let (said, there) = match &expected {
        Ok(done) => (format!("{:?}", done.keys), differences(done, stored)),
        Err(answer) => (format!("{answer:?}"), String::new()),
    };
    Some(format!(
        "{} referee: {said} store: {found:?} {there}\n{subject:?}\n{operation:#?}\nleft a trace: {traces}",
        kind.name()
    ))
}

// The record that has to be as the caller saw it, which is now.
fn wants_to_be_as_seen(
    operation: &mut Operation,
    stored: &StoredWorld,
    subject: &naive::Subject,
) -> Option<(String, String)> {
    let Operation::Records { items, .. } = operation else {
        return None;
    };
    items.iter_mut().find_map(|item| {
        let (What::Update { key, .. } | What::Put { key, .. } | What::Delete { key }) = &item.what
        else {
            return None;
        };
        let Condition::Seen(seen) = &mut item.condition else {
            return None;
        };
        let (collection, key) = (item.collection.clone(), key.clone());
        let read = naive::Request::Read {
            collection: collection.clone(),
            key: key.clone(),
        };
        *seen = match naive::answer(&stored.world, subject, &read) {
            Answer::Shown(record) => Some(record),
            _ => None,
        };
        Some((collection, key))
    })
}

fn agree(
    operation: &Operation,
    expected: &Result<Done, Answer>,
    found: &Result<Vec<String>, Answer>,
    stored: &StoredWorld,
) -> bool {
    match (expected, found) {
        (Ok(done), Ok(keys)) => {
            let mut expected = done.keys.clone();
            if matches!(operation, Operation::Mass(_)) {
                expected.sort();
            }
            expected == *keys && done.world == stored.world
        }
        // What is refused for what is sent and for rights may name either; what is about several records, any of them.
        (Err(Answer::Forbidden | Answer::Invalid), Err(Answer::Forbidden | Answer::Invalid)) => {
            true
        }
        (Err(expected), Err(found)) => expected == found || of_several(operation),
        _ => false,
    }
}

fn of_several(operation: &Operation) -> bool {
    let alone = |item: &Item| match &item.what {
        What::Create { inner, .. } | What::Update { inner, .. } => inner.is_empty(),
        What::Put { .. } | What::Delete { .. } => true,
    };
    match operation {
        Operation::Mass(_) => false,
        Operation::Records { items, .. } => items.len() > 1 || !items.iter().all(alone),
    }
}

// A number counted up is never used again, while the referee counts from what is there: another key is another
// record, which other rules may hold for.
fn counted(operation: &Operation) -> bool {
    fn in_item(item: &Item) -> bool {
        match &item.what {
            What::Create { key, inner, .. } => key.is_none() || inner.iter().any(in_inner),
            What::Update { inner, .. } => inner.iter().any(in_inner),
            What::Put { .. } | What::Delete { .. } => false,
        }
    }
    fn in_inner((name, inner): &(String, naive::Inner)) -> bool {
        match inner {
            naive::Inner::One(item) => in_item(item),
            // A junction's records are counted up.
            naive::Inner::Many(members) => {
                members.create.iter().any(in_item) || name == "linked" || name == "linking"
            }
        }
    }
    match operation {
        Operation::Mass(_) => false,
        Operation::Records { items, .. } => items.iter().any(in_item),
    }
}

fn differences(done: &Done, stored: &StoredWorld) -> String {
    let mut lines = vec![];
    let (expected, found) = (&done.world, &stored.world);
    let users = ("users", &expected.users, &found.users);
    let others = expected
        .records
        .iter()
        .map(|(name, records)| (name.as_str(), records, &found.records[name]));
    for (name, expected, found) in std::iter::once(users).chain(others) {
        for key in expected.keys().chain(found.keys()) {
            if expected.get(key) != found.get(key) {
                lines.push(format!(
                    "{name}/{key}: {:?} and not {:?}",
                    found.get(key),
                    expected.get(key)
                ));
            }
        }
    }
    lines.join("; ")
}
