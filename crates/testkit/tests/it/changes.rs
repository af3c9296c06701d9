//! Records that are written together: engine, gate and store against the referee, all of them or none.

use portreeve_testkit::naive::{self, Answer, Request};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::{compiled, worlds};

const CHANGES_PER_WORLD: u64 = 20;

#[test]
fn the_compiled_engine_agrees_about_changes() {
    let cases = crate::cases(30_000);
    let (mut disagreements, mut done) = (vec![], 0);
    for seed in 0..cases / CHANGES_PER_WORLD {
        let world = worlds::world(seed);
        let memory = compiled::load(&world).expect("the worlds compile");
        for number in 0..CHANGES_PER_WORLD {
            let (subject, parts) = worlds::change(&world, seed * 1_000 + number);
            let expected = naive::change(&world, &subject, &parts);
            let asker = compiled::asker(&memory, &world, &subject);
            let mut after = memory.clone();
            let found = compiled::change(&mut after, &asker, &parts);
            done += u64::from(expected.is_ok());
            if !same(&expected, &found) || found.is_err() && !unchanged(&memory, &after) {
                disagreements.push((seed, number));
                if disagreements.len() <= 2 {
                    eprintln!(
                        "world {seed}, change {number}: {subject:?}\n{parts:#?}\nreferee: {expected:?}\nengine:  {found:?}\n{}",
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
    assert!(
        done * 20 > cases,
        "only {done} of {cases} changes were allowed"
    );
    stats::note(&format!(
        "compiled engine = naive evaluator: {cases} changes of several records, {done} of them done"
    ));
}

#[test]
fn gate_and_sqlite_agree_about_changes() {
    agree_about_changes(On::Sqlite, crate::cases(3_000));
}

#[test]
fn gate_and_postgresql_agree_about_changes() {
    agree_about_changes(On::Postgres, crate::cases(1_000));
}

fn agree_about_changes(on: On, cases: u64) {
    let (mut disagreements, mut done, mut denials) = (vec![], 0, 0);
    crate::block_on(async {
        for seed in 0..cases / CHANGES_PER_WORLD {
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let mut stored = StoredWorld::new(on, &drawn, first.now).await;
            for number in 0..CHANGES_PER_WORLD {
                let (subject, parts) = worlds::change(&stored.world, seed * 1_000 + number);
                let expected = naive::change(&stored.world, &subject, &parts);
                let before = stored.store.system().digest(false).await.expect("a digest");
                let caller = stored.caller(&subject);
                let found = stored.change(&caller, &parts).await;
                let after = stored.store.system().digest(false).await.expect("a digest");
                let left = found.is_ok() || before == after;
                if !left || !same(&expected, &found) && !counted(&parts) {
                    disagreements.push((seed, number));
                    if disagreements.len() <= 2 {
                        eprintln!(
                            "world {seed}, change {number}: {subject:?}\n{parts:#?}\nreferee: {expected:?}\nstore:   {found:?}\nleft as it was: {left}\n{}",
                            stored.world.document.to_yaml()
                        );
                    }
                }
                match found {
                    // The next change is of what is there now.
                    Ok(_) => {
                        done += 1;
                        stored.read_back(subject.now).await;
                    }
                    Err(_) => denials += 1,
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
    stats::note(&format!(
        "gate + {} = naive evaluator: {cases} changes of several records, {done} done, {denials} denials without a trace",
        on.name()
    ));
}

// What is refused for several reasons may be refused for any of them.
fn same(expected: &Result<Vec<Answer>, Answer>, found: &Result<Vec<Answer>, Answer>) -> bool {
    match (expected, found) {
        (Err(_), Err(_)) => true,
        (expected, found) => expected == found,
    }
}

// A number counted up is never used again, while the referee counts from what is there: another key is another
// record, which other rules may hold for.
fn counted(parts: &[Request]) -> bool {
    let counted = |part: &Request| matches!(part, Request::Create { key: None, .. });
    parts.iter().any(counted)
}

fn unchanged(
    before: &portreeve_policy::MemoryWorld,
    after: &portreeve_policy::MemoryWorld,
) -> bool {
    before
        .catalog()
        .iter()
        .all(|of| before.records(of.id) == after.records(of.id))
}
