//! Aggregates over the stores against the referee.

use portreeve_model::Value;
use portreeve_testkit::naive::{self, Answer};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::worlds;

const ASKED_PER_WORLD: u64 = 80;

#[test]
fn numbers_about_groups_are_those_of_the_referee() {
    play(On::Sqlite, crate::cases(12_000));
}

#[test]
fn numbers_about_groups_are_the_same_on_postgresql() {
    play(On::Postgres, crate::cases(4_000));
}

fn play(on: On, cases: u64) {
    crate::block_on(async {
        let mut tally = Tally::default();
        for seed in 0..cases / ASKED_PER_WORLD {
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let stored = StoredWorld::new(on, &drawn, first.now).await;
            tally.play(&stored, seed).await;
        }
        tally.told(on, cases);
    });
}

#[derive(Default)]
struct Tally {
    answered: usize,
    groups: usize,
    refused: usize,
}

impl Tally {
    async fn play(&mut self, stored: &StoredWorld, seed: u64) {
        for number in 0..ASKED_PER_WORLD {
            let (subject, asked) = worlds::aggregates(&stored.world, seed * 1_000 + number);
            let expected = naive::aggregate(&stored.world, &subject, &asked);
            let found = stored.aggregate(&stored.caller(&subject), &asked).await;
            match &expected {
                Ok(rows) => {
                    self.answered += 1;
                    self.groups += rows.len();
                }
                Err(_) => self.refused += 1,
            }
            assert!(
                agree(expected.clone().map(kept), found.clone()),
                "world {seed}, number {number}: {subject:?}\n{asked:?}\nreferee: {expected:?}\nstore:   {found:?}\n{}",
                stored.world.document.to_yaml()
            );
        }
    }

    fn told(&self, on: On, cases: u64) {
        let Self {
            answered,
            groups,
            refused,
        } = self;
        // Neither side may be so rare that the agreement says nothing.
        assert!(
            answered * 4 > *refused && *refused > 0,
            "{answered} {refused}"
        );
        assert!(groups * 4 > *answered, "{groups} groups of {answered}");
        let store = on.name();
        stats::count("aggregates", store, cases);
        stats::note(&format!(
            "aggregates of gate + {store} = naive evaluator: {answered} answered with {groups} groups, {refused} refused, 0 disagreements"
        ));
    }
}

// A refusal for what is asked and one for rights may name either.
fn agree(
    expected: Result<Vec<Vec<Value>>, Answer>,
    found: Result<Vec<Vec<Value>>, Answer>,
) -> bool {
    let either = |answer| match answer {
        Answer::Invalid => Answer::Forbidden,
        other => other,
    };
    expected.map_err(either) == found.map_err(either)
}

fn kept(rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let kept = |value| match value {
        Value::Boolean(bool) => Value::Integer(i64::from(bool)),
        other => other,
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(kept).collect())
        .collect()
}
