//! The compiled engine against the referee: the same random questions, no disagreement.

use portreeve_testkit::{compiled, naive, stats, worlds};

const REQUESTS_PER_WORLD: u64 = 10;

#[test]
fn the_compiled_engine_agrees_with_the_referee() {
    let cases = crate::cases(100_000);
    let mut disagreements = vec![];
    for seed in 0..cases / REQUESTS_PER_WORLD {
        let world = worlds::world(seed);
        let memory = match compiled::load(&world) {
            Ok(memory) => memory,
            Err(problems) => panic!(
                "world {seed} does not compile: {}\n{}",
                problems[0],
                world.document.to_yaml()
            ),
        };
        for number in 0..REQUESTS_PER_WORLD {
            let (subject, request) = worlds::request(&world, seed * 1_000 + number);
            let expected = naive::answer(&world, &subject, &request);
            let asker = compiled::asker(&memory, &world, &subject);
            let found = compiled::answer(&mut memory.clone(), &asker, &request);
            // A write that is refused both for what is sent and for rights may name either.
            let (expected, found) = (refusal(expected), refusal(found));
            if expected != found {
                disagreements.push((seed, number));
                eprintln!(
                    "{seed} {number}: {} referee {} engine {}",
                    kind(&request),
                    kind(&expected),
                    kind(&found)
                );
                if disagreements.len() <= 3 {
                    eprintln!(
                        "world {seed}, request {number}: {subject:?}\n{request:?}\nreferee: {expected:?}\nengine:  {found:?}\n{}",
                        world.document.to_yaml()
                    );
                }
            }
        }
    }
    assert!(
        disagreements.is_empty(),
        "{} of {cases} disagree: {:?}",
        disagreements.len(),
        &disagreements[..disagreements.len().min(20)]
    );
    stats::count("differential", "memory", cases);
    stats::note(&format!(
        "compiled engine = naive evaluator: {cases} world × request cases, 0 disagreements"
    ));
}

fn kind(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
        .split([' ', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn refusal(answer: naive::Answer) -> naive::Answer {
    if answer == naive::Answer::Invalid {
        naive::Answer::Forbidden
    } else {
        answer
    }
}
