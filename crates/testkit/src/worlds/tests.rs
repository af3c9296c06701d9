//! That the worlds are worth playing in: every outcome is frequent, and everything repeatable.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::naive::{Answer, Record, answer};

const WORLDS: u64 = 1_500;
const REQUESTS: u64 = 6;

/// The kinds of outcome, each of which must be frequent.
fn outcomes(world: &World, request: &Request, answer: &Answer) -> Vec<String> {
    let (kind, collection) = match request {
        Request::Read { collection, .. } => ("read", collection),
        Request::List { collection, .. } => ("list", collection),
        Request::Create { collection, .. } => ("create", collection),
        Request::Update { collection, .. } => ("update", collection),
        Request::Delete { collection, .. } => ("delete", collection),
    };
    let masks = |shown: &Record, key: &str| {
        let stored = world.record(collection, key).expect("it was shown");
        stored
            .iter()
            .any(|(field, value)| shown.get(field).is_some_and(|it| it != value))
    };
    let outcome = match answer {
        Answer::Shown(_) => "shown",
        Answer::Listed(_) => "listed",
        Answer::Stored { .. } => "stored",
        Answer::Deleted => "deleted",
        Answer::Forbidden | Answer::Partly(_) => "forbidden",
        Answer::NotFound => "not found",
        Answer::Invalid | Answer::Unmet => "invalid",
    };
    let mut kinds = vec![outcome.to_owned(), format!("{kind}: {outcome}")];
    match (answer, request) {
        (Answer::Shown(shown), Request::Read { key, .. }) => {
            if masks(shown, key) {
                kinds.push("masked".into());
            }
            if shown.len() < world.collection(collection).fields.len() {
                kinds.push("fields absent".into());
            }
        }
        (Answer::Listed(found), Request::List { filter, .. }) => {
            let all = world.all(collection).len();
            if found.len() < all && !found.is_empty() {
                kinds.push("some of the list".into());
            }
            if found.len() == all && all > 0 {
                kinds.push("all of the list".into());
            }
            if filter.is_some() && !found.is_empty() {
                kinds.push("filtered".into());
            }
            if found.iter().any(|(key, shown)| masks(shown, key)) {
                kinds.push("masked".into());
            }
        }
        _ => {}
    }
    kinds
}

#[test]
fn every_outcome_is_frequent() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..WORLDS {
        let world = world(seed);
        for number in 0..REQUESTS {
            let (subject, request) = request(&world, seed * REQUESTS + number);
            let answer = answer(&world, &subject, &request);
            for outcome in outcomes(&world, &request, &answer) {
                *counts.entry(outcome).or_default() += 1;
            }
        }
    }
    let total = WORLDS * REQUESTS;
    let mut report = format!("naive worlds: {total} requests in {WORLDS} worlds\n");
    for (outcome, count) in &counts {
        writeln!(report, "{outcome:24} {:5.1} %", percent(*count, total)).unwrap();
    }
    println!("{report}");
    for outcome in [
        "shown",
        "listed",
        "stored",
        "deleted",
        "forbidden",
        "not found",
        "invalid",
        "masked",
        "some of the list",
        "create: stored",
        "create: forbidden",
        "update: stored",
        "update: forbidden",
    ] {
        let count = counts.get(outcome).copied().unwrap_or_default();
        assert!(count * 100 >= total * 3, "{outcome} is rare:\n{report}");
    }
    crate::stats::note(report.lines().next().unwrap());
}

fn percent(count: u64, total: u64) -> f64 {
    f64::from(u32::try_from(count * 1000 / total).unwrap()) / 10.0
}

#[test]
fn the_same_seed_gives_the_same_world_and_request() {
    for seed in 0..50 {
        assert_eq!(world(seed), world(seed));
        assert_eq!(request(&world(seed), seed), request(&world(seed), seed));
    }
    assert_ne!(world(1), world(2));
}

#[test]
fn what_is_stored_could_have_been_stored() {
    for seed in 0..300 {
        let world = world(seed);
        for definition in &world.document.collections {
            let of = world.collection(&definition.name.to_string());
            for (key, record) in world.all(&of.name) {
                assert_eq!(*key, crate::naive::schema::key_text(&record[&of.key]));
                for field in &definition.fields {
                    let value = record.get(&field.name);
                    assert!(value.is_some() || !field.required, "world {seed}");
                    if let (Some(to), Some(value)) = (&field.to, value) {
                        assert!(world.referred(to, value).is_some(), "world {seed}");
                    }
                }
            }
        }
    }
}
