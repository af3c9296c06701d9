//! kill -9 at any moment: what was acknowledged is there after it, what was not is there wholly or not at all.
//!
//! Four people write records, one or many at a time, an administrator changes the policy and makes accounts, and something dies in the middle. Then
//! everybody compares what there is with what he was told. One database goes through all rounds, so that what one death has
//! damaged has many rounds to show. `PORTREEVE_KILL_ROUNDS` sets their number.

mod administrator;
mod keeper;
mod scene;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use portreeve_testkit::stats;
use portreeve_testkit::worlds::Dice;

use administrator::Administrator;
use keeper::Keeper;
use scene::{Scene, Victim};

const KEEPERS: [&str; 4] = ["ada", "bo", "cleo", "dan"];

#[test]
fn the_program_dies_over_sqlite() {
    rounds(&Scene::sqlite(), Victim::Program);
}

#[test]
fn the_program_dies_over_postgres() {
    if let Some(scene) = Scene::postgres(Victim::Program) {
        rounds(&scene, Victim::Program);
    }
}

#[test]
fn the_database_dies_under_the_program() {
    if let Some(scene) = Scene::postgres(Victim::Database) {
        rounds(&scene, Victim::Database);
    }
}

fn rounds(scene: &Scene, victim: Victim) {
    let number = std::env::var("PORTREEVE_KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    scene.fill(&KEEPERS);
    let mut server = scene.start(0);
    let mut keepers: Vec<Keeper> = KEEPERS
        .iter()
        .map(|name| Keeper::new(name, server.sign_in(name, scene::PASSWORD)))
        .collect();
    let mut administrator = Administrator::new(
        server.sign_in(scene::ADMINISTRATOR, scene::PASSWORD),
        &server.address,
    );
    for round in 0..number {
        let mut dice = Dice::new(round);
        // Requests that will have been begun when it happens, and how often the killer steps aside before.
        let (begun, pauses) = (1 + dice.below(120), dice.below(400));
        let address = server.address.clone();
        let (told, tell) = channel();
        let over = AtomicBool::new(false);
        server = thread::scope(|threads| {
            for (place, keeper) in (1..).zip(&mut keepers) {
                let (address, told, over) = (&address, told.clone(), &over);
                threads.spawn(move || keeper.work(address, round * 10 + place, &told, over));
            }
            let (administrator, address) = (&mut administrator, &address);
            threads.spawn(move || administrator.work(address, round * 10, &told));
            // Where everybody has given up already there is nothing to wait for.
            let _ = tell.iter().take(begun).count();
            for _ in 0..pauses {
                thread::yield_now();
            }
            let server = scene.strike(victim, round, server);
            // Who has not noticed, since the program has found its database again in time, stops now.
            over.store(true, Ordering::Relaxed);
            server
        });
        scene.check();
        for keeper in &mut keepers {
            keeper.compare(&server.address, round);
        }
        administrator.compare(&server.address, round);
    }
    let sum = |of: fn(&Keeper) -> usize| keepers.iter().map(of).sum::<usize>();
    let acknowledged = sum(|keeper| keeper.acknowledged);
    let of_many = sum(|keeper| keeper.of_many);
    let unsure = sum(|keeper| keeper.unsure);
    let unsure_of_many = sum(|keeper| keeper.unsure_of_many);
    let done = sum(|keeper| keeper.done_after_all);
    assert!(of_many > 0, "nobody wrote several records at once");
    // Whoever loses his server learns nothing; one that has lost its database mostly knows that nothing was done.
    if matches!(victim, Victim::Program) {
        assert!(
            unsure as u64 >= number,
            "{unsure} cut off in {number} rounds"
        );
    }
    stats::count("kill -9", scene.store, number);
    stats::note(&format!(
        "kill -9 of {victim} on {}: {number} rounds, {acknowledged} acknowledged writes, {of_many} of them of several records, none lost; \
         {unsure} cut off, {unsure_of_many} of several records, {done} done after all, none by half; \
         {} changes of policy and accounts",
        scene.store, administrator.acknowledged
    ));
}
