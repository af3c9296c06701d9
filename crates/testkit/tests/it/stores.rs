//! Whole operations over the stores against the referee; and a denial changes nothing.

use portreeve_testkit::naive::{self, Answer, Request};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::worlds;

const REQUESTS_PER_WORLD: u64 = 60;

#[test]
fn gate_and_sqlite_agree_with_the_referee() {
    agree_with_the_referee(On::Sqlite, crate::cases(20_000));
}

#[test]
fn gate_and_postgresql_agree_with_the_referee() {
    agree_with_the_referee(On::Postgres, crate::cases(6_000));
}

fn agree_with_the_referee(on: On, cases: u64) {
    let mut disagreements = vec![];
    let (mut denials, mut writes) = (0, 0);
    crate::block_on(async {
        for seed in 0..cases / REQUESTS_PER_WORLD {
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let stored = StoredWorld::new(on, &drawn, first.now).await;
            let world = &stored.world;
            for number in 0..REQUESTS_PER_WORLD {
                let (subject, request) = worlds::request(world, seed * 1_000 + number);
                let expected = naive::answer(world, &subject, &request);
                // A deletion takes along what points at the record: asked of the referee alone, except as the last.
                if expected == Answer::Deleted && number + 1 < REQUESTS_PER_WORLD {
                    continue;
                }
                let writes_something =
                    !matches!(request, Request::Read { .. } | Request::List { .. });
                let digest = async || stored.store.system().digest(false).await.expect("a digest");
                let before = if writes_something {
                    Some(digest().await)
                } else {
                    None
                };
                let caller = stored.caller(&subject);
                let found = stored.answer(&caller, &request).await;
                let same = agree(&request, &expected, &found);
                if !same {
                    eprintln!(
                        "DIS {seed} {number}: {} referee {} store {}",
                        kind(&request),
                        kind(&expected),
                        kind(&found)
                    );
                    disagreements.push((seed, number));
                    if disagreements.len() <= 3 {
                        eprintln!(
                            "world {seed}, request {number}: {subject:?}\n{request:?}\nreferee: {expected:?}\nstore:   {found:?}\n{}",
                            world.document.to_yaml()
                        );
                    }
                }
                match (&request, &found) {
                    (Request::Create { collection, .. }, Answer::Stored { key, .. }) => {
                        writes += 1;
                        stored.undo(collection, key, None, subject.now).await;
                    }
                    (
                        Request::Update {
                            collection, key, ..
                        },
                        Answer::Stored { .. },
                    ) => {
                        writes += 1;
                        let record = whole(&stored, collection, key);
                        stored
                            .undo(collection, key, Some(&record), subject.now)
                            .await;
                    }
                    (_, Answer::Deleted) => break,
                    (
                        Request::Create { .. } | Request::Update { .. } | Request::Delete { .. },
                        Answer::Forbidden | Answer::NotFound | Answer::Invalid,
                    ) => {
                        denials += 1;
                        assert_eq!(
                            before,
                            Some(digest().await),
                            "world {seed}, request {number}: a denial changed something"
                        );
                    }
                    _ => {}
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
    stats::count("differential", on.name(), cases);
    stats::note(&format!(
        "gate + {} = naive evaluator: {cases} requests, {writes} writes, {denials} denials without a trace",
        on.name()
    ));
}

// All fields of a record, null where it has no value, so that undoing clears what was set.
fn whole(stored: &StoredWorld, collection: &str, key: &str) -> naive::Record {
    let declared = stored.collection(collection);
    let record = &stored.world.records[collection][key];
    declared
        .fields
        .iter()
        .map(|field| {
            let value = record.get(&*field.name).cloned();
            (
                field.name.to_string(),
                value.unwrap_or(portreeve_model::Value::Null),
            )
        })
        .collect()
}

fn agree(request: &Request, expected: &Answer, found: &Answer) -> bool {
    match (request, expected, found) {
        // A refusal for what is sent and one for rights may name either; see `differential`.
        (_, Answer::Forbidden | Answer::Invalid, Answer::Forbidden | Answer::Invalid) => true,
        // A number counted up is never used again, while the referee counts from what is there: another key is
        // another record, which other rules may hold for.
        (
            Request::Create { key: None, .. },
            Answer::Stored { key: expected, .. },
            Answer::Stored { key: found, .. },
        ) if expected != found => true,
        _ => expected == found,
    }
}

fn kind(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
        .split([' ', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}
