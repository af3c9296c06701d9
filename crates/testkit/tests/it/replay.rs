//! Being told of changes is as good as listing again: what a subscriber is told, played onto the list he had, is the
//! list he has. And what he is told does not depend on when he is told it.

use std::collections::BTreeMap;
use std::time::Duration;

use portreeve_gate::{Authorized, Caller, ListRequest, Subscribe, SubscribeRequest, take_literals};
use portreeve_model::{Condition, write_json_record};
use portreeve_store::{Subscription, Taken, ToldKind};
use portreeve_testkit::naive::{Answer, Request};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld, list};
use portreeve_testkit::worlds::{self, Dice};
use serde_json::Value as Json;

const WRITES_PER_WORLD: u64 = 40;
const SUBJECTS_PER_WORLD: u64 = 12;

type Told = (ToldKind, String, Option<String>);

// The same subscription twice: one is told after every change, the other at the end.
struct Pair {
    caller: Caller,
    asked: ListRequest,
    at_once: Subscription,
    late: Subscription,
    told: Vec<Told>,
    before: BTreeMap<String, String>,
    // Only what lies in the record itself decides, of reading and subscribing alike.
    plain: bool,
}

#[test]
fn what_is_told_is_what_the_list_becomes() {
    told_is_listed(On::Sqlite, crate::cases(20_000) / 5);
}

#[test]
fn what_is_told_is_what_the_list_becomes_on_postgresql() {
    told_is_listed(On::Postgres, crate::cases(20_000) / 100);
}

fn told_is_listed(on: On, wanted: u64) {
    let (mut changes, mut told, mut replays, mut late) = (0, 0, 0, 0);
    crate::block_on(async {
        for seed in 0.. {
            if changes >= wanted {
                break;
            }
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let now = first.now;
            let stored = StoredWorld::new(on, &drawn, now).await;
            let mut pairs = vec![];
            for number in 0..SUBJECTS_PER_WORLD {
                let (mut subject, _) = worlds::request(&stored.world, seed * 1_000 + number);
                subject.now = now;
                subscribe(&stored, &stored.caller(&subject), seed + number, &mut pairs).await;
            }
            if pairs.is_empty() {
                continue;
            }
            let operator = stored.gate.operator(now);
            for number in 0..WRITES_PER_WORLD {
                let (mut subject, request) = worlds::request(&stored.world, seed * 999 + number);
                subject.now = now;
                if matches!(request, Request::Read { .. } | Request::List { .. }) {
                    continue;
                }
                // Everybody tries; whoever holds everything mostly succeeds.
                let caller = match number % 3 {
                    0 => stored.caller(&subject),
                    _ => operator.clone(),
                };
                if let Answer::Stored { .. } | Answer::Deleted =
                    stored.answer(&caller, &request).await
                {
                    changes += 1;
                }
                // There it is known a moment later.
                if on == On::Postgres {
                    continue;
                }
                for pair in &mut pairs {
                    let new = take(&mut pair.at_once, now);
                    pair.told.extend(new);
                }
            }
            for mut pair in pairs {
                let name = pair.asked.query.collection.to_string();
                if on == On::Postgres {
                    if pair.plain {
                        told += follow(&stored, pair, now).await;
                        replays += 1;
                    }
                    continue;
                }
                let at_the_end = take(&mut pair.late, now);
                assert_eq!(
                    pair.told,
                    at_the_end,
                    "world {seed}, {name}: {:?}\n{}",
                    pair.asked.query,
                    stored.world.document.to_yaml()
                );
                late += at_the_end.len();
                if !pair.plain {
                    continue;
                }
                told += pair.told.len();
                replays += 1;
                let mut replayed = pair.before;
                for one in pair.told {
                    play(&mut replayed, one);
                }
                let after = listed(&stored, &pair.caller, pair.asked).await;
                assert_eq!(replayed, after, "world {seed}, {name}");
            }
        }
    });
    assert!(told > 20, "worlds in which somebody is told something");
    let name = if on == On::Sqlite {
        "SQLite"
    } else {
        "PostgreSQL"
    };
    stats::count("replay", name, changes);
    stats::note(&format!(
        "changes told = lists ({name}): {changes} changes, {replays} lists replayed from {told} told; {late} told at once and late alike"
    ));
}

// What is told until the list is what it is now.
async fn follow(stored: &StoredWorld, mut pair: Pair, now: i64) -> usize {
    let after = listed(stored, &pair.caller, pair.asked.clone()).await;
    let mut count = 0;
    loop {
        for told in take(&mut pair.late, now) {
            count += 1;
            play(&mut pair.before, told);
        }
        if pair.before == after {
            return count;
        }
        let waited = tokio::time::timeout(Duration::from_secs(20), pair.late.changed()).await;
        assert!(waited.is_ok(), "{:?} is not {after:?}", pair.before);
    }
}

fn play(list: &mut BTreeMap<String, String>, (kind, key, record): Told) {
    let known = list.remove(&key).is_some();
    assert_eq!(known, kind != ToldKind::Create, "{key}");
    if let Some(record) = record {
        list.insert(key, record);
    }
}

async fn subscribe(stored: &StoredWorld, caller: &Caller, seed: u64, pairs: &mut Vec<Pair>) {
    let snapshot = stored.gate.snapshot();
    for collection in snapshot.catalog().iter().filter(|one| !one.system) {
        let mut asked = list(&collection.name);
        let (_, other) = worlds::request(&stored.world, seed);
        if let Request::List {
            collection: other,
            filter: Some(filter),
        } = other
            && other == collection.name.to_string()
            && Dice::new(seed).percent(50)
        {
            asked.query.filter = Some(take_literals(filter, &mut asked.values));
        }
        let request = || SubscribeRequest {
            query: asked.query.clone(),
            values: asked.values.clone(),
        };
        let Ok(subscribe) = stored.gate.subscribe(caller, request()) else {
            continue;
        };
        let plain = is_plain(&subscribe);
        let again = stored.gate.subscribe(caller, request()).expect("once more");
        let begin = async |subscribe| {
            let begun = stored.store.subscribe(subscribe, None).await;
            begun.expect("a subscription")
        };
        pairs.push(Pair {
            caller: caller.clone(),
            before: listed(stored, caller, asked.clone()).await,
            asked,
            at_once: begin(subscribe).await,
            late: begin(again).await,
            told: vec![],
            plain,
        });
    }
}

fn is_plain(subscribe: &Authorized<Subscribe>) -> bool {
    let operation = subscribe.operation();
    // Where not everything that may be listed may be subscribed to, the two differ.
    if *operation.conditions()[1] != Condition::Constant(true) {
        return false;
    }
    let masks = operation
        .fields()
        .iter()
        .filter_map(|(_, mask)| mask.as_deref());
    let mut all = operation.conditions().into_iter().chain(masks);
    all.all(|condition| {
        let text = format!("{condition:?}");
        !text.contains("Hop {") && !text.contains("Relation {")
    })
}

fn take(subscription: &mut Subscription, now: i64) -> Vec<Told> {
    let mut all = vec![];
    loop {
        let before = subscription.position();
        let Ok(Taken::Told(told)) = subscription.take(now) else {
            panic!("nothing is missed here");
        };
        all.extend(told.into_iter().map(|told| {
            let record = told.record().map(|(columns, cells)| {
                let mut out = vec![];
                write_json_record(&mut out, columns, cells);
                String::from_utf8(out).expect("JSON is text")
            });
            (
                told.kind,
                told.key.to_json(told.key_type).to_string(),
                record,
            )
        }));
        if subscription.position() == before {
            return all;
        }
    }
}

async fn listed(
    stored: &StoredWorld,
    caller: &Caller,
    asked: ListRequest,
) -> BTreeMap<String, String> {
    let collection = stored.collection(&asked.query.collection.to_string());
    let (lines, _) = stored.list(caller, asked).await.expect("a list");
    let lines = String::from_utf8(lines).expect("JSON is text");
    let keyed = lines.lines().map(|line| {
        let record: Json = serde_json::from_str(line).expect("a record");
        let key = record[&*collection.key_field().name].to_string();
        (key, line.to_owned())
    });
    keyed.collect()
}
