//! Decisions in memory, ours beside the floors.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use portreeve_model::{CollectionId, CollectionName};
use portreeve_policy::{ActionId, Context, Document, Problem, Quick, RoleSet, Snapshot};

use crate::floors::{Flat, GlobalTable, Merged, Names, PerRole, key};
use crate::report::{Limit, Report, Unit, median, percentile};
use crate::world::{ACTIONS, Answer, Size, World, collection_name, collection_text, user_key};
use crate::{memory, world};

/// How long to look.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds, in each of which every engine answers every question.
    pub rounds: usize,
    /// Questions.
    pub queries: usize,
    /// Changes of a role.
    pub changes: usize,
}

impl Effort {
    /// Enough to compare, or enough to see that it works.
    pub fn new(quick: bool) -> Self {
        if quick {
            Self {
                rounds: 3,
                queries: 100_000,
                changes: 40,
            }
        } else {
            Self {
                rounds: 9,
                queries: 200_000,
                changes: 200,
            }
        }
    }
}

/// Measures one world.
pub fn run(size: Size, effort: Effort, report: &mut Report) -> Result<()> {
    let large = size.users == world::LARGE.users;
    let world = World::new(size, effort.queries);
    let named = |what: &str| format!("{what}, {}", size.name);
    println!(
        "decision: {} permissions, {} roles, {} users, {} collections, {} questions",
        world.permissions(),
        size.roles,
        size.users,
        size.collections,
        effort.queries
    );

    let (snapshot, load) = load(&world, if large { 3 } else { 9 })?;
    let flat = Flat::new(&world);
    let table = GlobalTable::new(&world, &flat);
    let start = Instant::now();
    let merged = Merged::new(&world, &flat);
    let merging = start.elapsed().as_secs_f64() / merged.sets as f64;
    let names = Names::new(&world);
    let per_role = PerRole::new(&world, &flat);
    println!(
        "  floors: {} keys with wildcards written out, {} distinct role sets, merged {:.0} MB",
        flat.len(),
        merged.sets,
        merged.bytes() as f64 / 1e6
    );

    let ours = Ours::new(&world, &snapshot, &merged)?;
    let first = ours.merge_all(&snapshot);

    let best = {
        let asked = Asked::new(&world);
        let (world, merged, table, flat) = (&world, &merged, &table, &flat);
        let (names, per_role, snapshot, ours) = (&names, &per_role, &*snapshot, &ours);
        let queries = &world.queries;
        let engines = [
            engine(world, "D merged bit-sets", move |i| {
                let q = queries[i];
                merged.ask(
                    merged.user_sets[q.user as usize],
                    key(q.collection, q.action),
                )
            }),
            engine(world, "ours, merged", move |i| {
                let (set, q) = ours.question(i);
                answer(set.quick(snapshot, q.collection, q.action))
            }),
            engine(world, "C one global table", move |i| {
                let q = queries[i];
                table.ask(flat, q.user, key(q.collection, q.action))
            }),
            engine(world, "ours, not merged", move |i| {
                let (set, q) = ours.question(i);
                answer(set.quick_unmerged(snapshot, q.collection, q.action))
            }),
            engine(world, "A names, hash map per role", {
                let asked = &asked;
                move |i| {
                    let q = &asked.0[i];
                    per_role.ask(world, names, &q.user, q.action, &q.collection)
                }
            }),
            engine(world, "E names, then D", {
                let asked = &asked;
                move |i| {
                    let q = &asked.0[i];
                    merged.ask_names(names, &q.user, q.action, &q.collection)
                }
            }),
            engine(world, "ours from names", {
                let asked = &asked;
                move |i| {
                    let q = &asked.0[i];
                    ours.ask_names(snapshot, &q.user, q.action, &q.name)
                }
            }),
            engine(world, "ours from names, collection as text", {
                let asked = &asked;
                move |i| {
                    let q = &asked.0[i];
                    ours.ask_texts(snapshot, &q.user, q.action, &q.collection)
                }
            }),
        ];
        race(&world.expected, &engines, effort.rounds)?
    };
    let [
        d,
        merged_ours,
        c,
        unmerged_ours,
        a,
        e,
        names_ours,
        texts_ours,
    ] = best;

    let (gate, goal) = (Limit::AtMost, Limit::AtMost);
    report.against_floor(
        named("decide, role set merged"),
        Unit::Seconds,
        merged_ours,
        d,
        Some((gate(3.0), goal(1.5))),
    );
    report.against_floor(
        named("decide, role set not merged"),
        Unit::Seconds,
        unmerged_ours,
        c,
        Some((gate(1.5), goal(1.0))),
    );
    report.absolute(
        named("decide from names"),
        Unit::Seconds,
        names_ours,
        large.then_some((gate(1e-6), goal(400e-9))),
    );
    report.against_floor(
        named("  the same against E, names then merged"),
        Unit::Seconds,
        names_ours,
        e,
        None,
    );
    report.against_floor(
        named("  with the collection as text, against A"),
        Unit::Seconds,
        texts_ours,
        a,
        None,
    );
    report.against_floor(
        named("merge of one role set (first question)"),
        Unit::Seconds,
        first,
        merging,
        None,
    );
    report.absolute(
        named("rights of a cell asked before (what a request takes)"),
        Unit::Seconds,
        ours.rights_again(&snapshot),
        None,
    );
    // What the floors and the merged role sets hold would only disturb what comes next.
    let bytes = ours.merged_bytes();
    drop((ours, merged, table, flat, names, per_role));
    report.absolute(
        named("merged role sets of every user (bounded by cache)"),
        Unit::Bytes,
        bytes,
        None,
    );

    change(&world, snapshot, effort, report);
    report.absolute(
        named("load of the document"),
        Unit::Seconds,
        load,
        large.then_some((gate(2.0), goal(1.0))),
    );
    drop(world);
    let memory = memory::measure(size)?;
    report.absolute(
        named("index in memory"),
        Unit::Bytes,
        memory,
        large.then_some((gate(40e6), goal(40e6))),
    );
    Ok(())
}

fn load(world: &World, times: usize) -> Result<(Arc<Snapshot>, f64)> {
    let document = world.document();
    let mut best = f64::MAX;
    let mut snapshot = None;
    for _ in 0..times {
        drop(snapshot.take());
        let start = Instant::now();
        snapshot = Some(compile(&document)?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    match snapshot {
        Some(snapshot) => Ok((Arc::new(snapshot), best)),
        None => bail!("the document was never loaded"),
    }
}

/// The document compiled; what is wrong with it is an error.
pub fn compile(document: &Document) -> Result<Snapshot> {
    Snapshot::compile(document, 1).map_err(|problems| problems_of(&problems))
}

fn problems_of(problems: &[Problem]) -> anyhow::Error {
    let first = problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    anyhow::anyhow!("{} problems, such as {first}", problems.len())
}

fn answer(quick: Quick) -> Answer {
    match quick {
        Quick::Denied => Answer::No,
        Quick::Allowed => Answer::Yes,
        Quick::Depends => Answer::Depends,
    }
}

// Ours

struct Ours {
    user_sets: Vec<Arc<RoleSet>>,
    distinct: Vec<Arc<RoleSet>>,
    // Hashed as fast as the product hashes tokens, by which it finds them.
    by_key: HashMap<String, Arc<RoleSet>, foldhash::fast::FixedState>,
    questions: Vec<Question>,
    collections: usize,
}

#[derive(Clone, Copy)]
struct Question {
    user: u32,
    collection: CollectionId,
    action: ActionId,
}

impl Ours {
    // Users with the same roles share a set, as they do at D and as admission makes it.
    fn new(world: &World, snapshot: &Snapshot, merged: &Merged) -> Result<Self> {
        let mut distinct: Vec<Arc<RoleSet>> = vec![];
        let mut user_sets = vec![];
        for (user, set) in merged.user_sets.iter().enumerate() {
            let set = *set as usize;
            if set == distinct.len() {
                distinct.push(snapshot.admit(&world.bindings(user), 0).roles);
            }
            user_sets.push(Arc::clone(&distinct[set]));
        }
        let collections: Vec<CollectionId> = (0..world.size.collections)
            .filter_map(|place| Some(snapshot.catalog().find(&collection_name(place))?.id))
            .collect();
        let actions: Vec<ActionId> = ACTIONS
            .iter()
            .filter_map(|name| snapshot.actions().find(name))
            .collect();
        ensure!(
            collections.len() == world.size.collections && actions.len() == ACTIONS.len(),
            "a collection or an action is missing"
        );
        Ok(Self {
            by_key: user_sets
                .iter()
                .enumerate()
                .map(|(user, set)| (user_key(user), Arc::clone(set)))
                .collect(),
            user_sets,
            distinct,
            questions: world
                .queries
                .iter()
                .map(|query| Question {
                    user: query.user,
                    collection: collections[query.collection as usize],
                    action: actions[query.action as usize],
                })
                .collect(),
            collections: snapshot.catalog().len(),
        })
    }

    // Asks every set something for the first time; seconds for each.
    fn merge_all(&self, snapshot: &Snapshot) -> f64 {
        let question = self.questions[0];
        let start = Instant::now();
        for set in &self.distinct {
            black_box(set.quick(snapshot, question.collection, question.action));
        }
        start.elapsed().as_secs_f64() / self.distinct.len() as f64
    }

    // Every question once to make its cell, then again; seconds for each.
    fn rights_again(&self, snapshot: &Snapshot) -> f64 {
        let context = Context::default();
        let questions = &self.questions[..self.questions.len().min(20_000)];
        let mut best = f64::MAX;
        for round in 0..4 {
            let start = Instant::now();
            for q in questions {
                let set = &self.user_sets[q.user as usize];
                black_box(set.rights(snapshot, q.collection, q.action, &context));
            }
            if round > 0 {
                best = best.min(start.elapsed().as_secs_f64() / questions.len() as f64);
            }
        }
        best
    }

    // Four bytes for every collection.
    fn merged_bytes(&self) -> f64 {
        (self.distinct.len() * self.collections * 4) as f64
    }

    fn question(&self, place: usize) -> (&RoleSet, Question) {
        let question = self.questions[place];
        (&self.user_sets[question.user as usize], question)
    }

    fn ask_names(
        &self,
        snapshot: &Snapshot,
        user: &str,
        action: &str,
        collection: &CollectionName,
    ) -> Answer {
        let (Some(set), Some(collection), Some(action)) = (
            self.by_key.get(user),
            snapshot.catalog().find(collection),
            snapshot.actions().find(action),
        ) else {
            return Answer::No;
        };
        answer(set.quick(snapshot, collection.id, action))
    }

    fn ask_texts(&self, snapshot: &Snapshot, user: &str, action: &str, collection: &str) -> Answer {
        match CollectionName::parse(collection) {
            Ok(name) => self.ask_names(snapshot, user, action, &name),
            Err(_) => Answer::No,
        }
    }
}

// The questions as names, as a server gets them.
struct Asked(Vec<AskedName>);

struct AskedName {
    user: String,
    action: &'static str,
    collection: String,
    name: CollectionName,
}

impl Asked {
    fn new(world: &World) -> Self {
        Self(
            world
                .queries
                .iter()
                .map(|query| AskedName {
                    user: user_key(query.user as usize),
                    action: ACTIONS[query.action as usize],
                    collection: collection_text(query.collection as usize),
                    name: collection_name(query.collection as usize),
                })
                .collect(),
        )
    }
}

// The race

struct Engine<'a> {
    name: &'static str,
    answers: Box<dyn Fn() -> Vec<Answer> + 'a>,
    round: Box<dyn Fn() -> f64 + 'a>,
}

// The whole round is one call, so that the engine is compiled into the loop that asks it.
fn engine<'a, F: Fn(usize) -> Answer + Copy + 'a>(
    world: &'a World,
    name: &'static str,
    ask: F,
) -> Engine<'a> {
    let count = world.queries.len();
    Engine {
        name,
        answers: Box::new(move || (0..count).map(ask).collect()),
        round: Box::new(move || {
            let start = Instant::now();
            for place in 0..count {
                black_box(ask(black_box(place)));
            }
            start.elapsed().as_secs_f64() / count as f64
        }),
    }
}

// Each engine's best round, after all have shown that they know the answers.
fn race<const N: usize>(
    expected: &[Answer],
    engines: &[Engine<'_>; N],
    rounds: usize,
) -> Result<[f64; N]> {
    for engine in engines {
        let wrong = (engine.answers)()
            .iter()
            .zip(expected)
            .filter(|(given, expected)| given != expected)
            .count();
        ensure!(
            wrong == 0,
            "{}: {wrong} of {} answers differ from the oracle's",
            engine.name,
            expected.len()
        );
    }
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (engine, times) in engines.iter().zip(&mut times) {
            times.push((engine.round)());
        }
    }
    let allowed = expected
        .iter()
        .filter(|answer| **answer == Answer::Yes)
        .count();
    let depends = expected
        .iter()
        .filter(|answer| **answer == Answer::Depends)
        .count();
    println!(
        "  all engines agree with the oracle: {:.1} % yes, {:.1} % depend on the owner",
        allowed as f64 * 100.0 / expected.len() as f64,
        depends as f64 * 100.0 / expected.len() as f64
    );
    let mut best = [f64::MAX; N];
    for ((engine, times), best) in engines.iter().zip(&mut times).zip(&mut best) {
        let middle = median(times);
        *best = times[0];
        println!(
            "  {:<38} best {:>9}   median {:>9}",
            engine.name,
            Unit::Seconds.text(*best),
            Unit::Seconds.text(middle)
        );
    }
    Ok(best)
}

// A change of one role, each on top of the one before, until a caller who holds it has his next answer.
fn change(world: &World, mut snapshot: Arc<Snapshot>, effort: Effort, report: &mut Report) {
    let mut dice = world::Dice(7);
    let (mut until_answer, mut replacing, mut dropping) = (vec![], vec![], vec![]);
    let large = world.size.users == world::LARGE.users;
    for version in 2..2 + effort.changes as u64 {
        let user = dice.below(world.users.len());
        let mut role = world.role(world.users[user][0] as usize);
        role.permissions.swap(0, world.size.per_role - 1);
        role.permissions.pop();
        let bindings = world.bindings(user);
        let collection = collection_name(dice.below(world.size.collections));
        let collection = snapshot.catalog().find(&collection).map(|found| found.id);
        let action = snapshot.actions().find(ACTIONS[0]);
        let (Some(collection), Some(action)) = (collection, action) else {
            continue;
        };

        let start = Instant::now();
        let Ok(next) = snapshot.with_role(&role, version) else {
            continue;
        };
        let next = Arc::new(next);
        replacing.push(start.elapsed().as_secs_f64());
        let admission = next.admit(&bindings, 0);
        black_box(admission.roles.quick(&next, collection, action));
        until_answer.push(start.elapsed().as_secs_f64());

        let start = Instant::now();
        drop(std::mem::replace(&mut snapshot, next));
        dropping.push(start.elapsed().as_secs_f64());
    }
    let named = |what: &str| format!("{what}, {}", world.size.name);
    let limits = (Limit::AtMost(1e-3), Limit::AtMost(100e-6));
    report.absolute(
        named("change of one role until the next answer (median)"),
        Unit::Seconds,
        median(&mut until_answer),
        large.then_some(limits),
    );
    report.absolute(
        named("  its 99th percentile"),
        Unit::Seconds,
        percentile(&mut until_answer, 0.99),
        None,
    );
    report.absolute(
        named("  of it, making the snapshot (median)"),
        Unit::Seconds,
        median(&mut replacing),
        None,
    );
    report.absolute(
        named("  and after it, dropping the old one (median)"),
        Unit::Seconds,
        median(&mut dropping),
        None,
    );
}
