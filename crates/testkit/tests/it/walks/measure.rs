//! What somebody can do, asked one by one: every action on every record and field.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::FieldId;
use portreeve_policy::{
    ActionId, Asker, Binding, BoundTo, CREATE_ONE, Effect, Grant, Layer, MemoryWorld, Record,
    Rights, Snapshot, Subject, eval,
};
use portreeve_testkit::compiled;

use super::Walk;

const DAY: i64 = 86_400_000_000;
const MOMENTS: i64 = 3;

/// What could be done in the beginning, by name; and later, since bindings begin and end.
pub struct Measure {
    before: Vec<BTreeSet<u32>>,
}

impl Measure {
    pub fn begin(walk: &Walk) -> Self {
        let world = compiled::populate(&walk.world, walk.snapshot());
        let mut before = vec![BTreeSet::new(); MOMENTS as usize];
        let mut allow = |walk: &Walk, world: &MemoryWorld, bindings: &[Binding]| {
            for (moment, before) in (0..).zip(&mut before) {
                before.extend(can(walk, world, bindings, moment));
            }
        };
        let own = walk.accounts[&walk.user].clone();
        allow(walk, &world, &own);
        // Who signs up has this, with or without him.
        let registered: Vec<Binding> = walk
            .snapshot()
            .registration_roles()
            .iter()
            .map(|role| to(BoundTo::Role(role.clone())))
            .collect();
        allow(walk, &world, &registered);
        // And what he is told to hand out, on to whom it is handed: their denies are not his.
        let mut free = walk.world.clone();
        for role in &mut free.document.roles {
            role.permissions.retain(|it| it.effect == Effect::Allow);
        }
        let snapshot =
            Arc::new(Snapshot::compile(&free.document, 1).expect("denies are not needed"));
        let free = compiled::populate(&free, Arc::clone(&snapshot));
        let mut handed = handed_out(walk, &own);
        for what in &handed {
            allow(walk, &free, &[to(what.clone())]);
        }
        // To hold a role may open what he has otherwise.
        handed.truncate(4);
        for some in 1..1_u32 << handed.len() {
            let chosen = (0..handed.len()).filter(|place| some & (1 << place) != 0);
            let mut bindings = own.clone();
            bindings.extend(chosen.map(|place| to(handed[place].clone())));
            allow(walk, &world, &bindings);
        }
        Self { before }
    }

    /// How many questions were asked.
    ///
    /// # Panics
    /// When one of his accounts can do more.
    pub fn check(&self, walk: &Walk, seed: u64, trail: &[String]) -> usize {
        let world = compiled::populate(&walk.world, walk.snapshot());
        let mut asked = 0;
        for user in &walk.his {
            for (moment, before) in (0..).zip(&self.before) {
                let now = can(walk, &world, &walk.accounts[user], moment);
                asked += now.len();
                if let Some(more) = now.iter().find(|one| !before.contains(*one)) {
                    let mut number = 0;
                    let mut name = String::new();
                    ask(
                        walk,
                        &world,
                        &walk.accounts[user],
                        moment,
                        &mut |what, _| {
                            if number == *more {
                                name = what();
                            }
                            number += 1;
                        },
                    );
                    panic!(
                        "walk {seed}: {user} can {name} on day {moment}, with {:?}\nbegan with {:?}\n{}\n{}",
                        walk.accounts[user],
                        super::Walk::begin(seed).expect("it has begun").accounts[&walk.user],
                        trail.join("\n"),
                        walk.world.document.to_yaml()
                    );
                }
            }
        }
        asked
    }
}

fn to(what: BoundTo) -> Binding {
    Binding {
        to: what,
        ..Binding::default()
    }
}

// What `assignable_by` hands out, and what those it is handed to hand out.
fn handed_out(walk: &Walk, own: &[Binding]) -> Vec<BoundTo> {
    let snapshot = walk.snapshot();
    let roles_of = |what: &BoundTo| -> Vec<String> {
        let held = snapshot.admit(&[to(what.clone())], walk.now).roles;
        held.keys().iter().map(ToString::to_string).collect()
    };
    let mut roles: BTreeSet<String> = own.iter().flat_map(|it| roles_of(&it.to)).collect();
    let mut handed: Vec<BoundTo> = vec![];
    let profiles = snapshot.profile_keys().cloned().map(BoundTo::Profile);
    let every = snapshot
        .role_keys()
        .map(|key| BoundTo::Role(key.to_string()));
    let all: Vec<BoundTo> = profiles.chain(every).collect();
    loop {
        let new = all.iter().find(|what| {
            let administrator = match what {
                BoundTo::Role(role) => snapshot.is_administrator(role),
                BoundTo::Profile(profile) => snapshot.profile_has_administrator(profile),
            };
            administrator != Some(true)
                && !handed.contains(what)
                && snapshot
                    .assignable_by(what)
                    .iter()
                    .any(|role| roles.contains(role))
        });
        let Some(new) = new else {
            return handed;
        };
        roles.extend(roles_of(new));
        handed.push(new.clone());
    }
}

// The numbers of the questions that are answered with yes.
fn can(walk: &Walk, world: &MemoryWorld, bindings: &[Binding], moment: i64) -> BTreeSet<u32> {
    let (mut number, mut yes) = (0, BTreeSet::new());
    ask(walk, world, bindings, moment, &mut |_, answer| {
        if answer {
            yes.insert(number);
        }
        number += 1;
    });
    yes
}

// Asks the same questions in the same order, whoever is asked about.
fn ask(
    walk: &Walk,
    world: &MemoryWorld,
    bindings: &[Binding],
    moment: i64,
    each: &mut dyn FnMut(&dyn Fn() -> String, bool),
) {
    let snapshot = world.snapshot();
    let now = walk.now + moment * DAY;
    let roles = snapshot.admit(bindings, now).roles;
    let mut context = walk.caller(bindings).context().clone();
    context.now = now;
    context.roles = Arc::clone(roles.keys());
    let asker = Asker {
        roles,
        narrowing: vec![],
        context,
    };
    for collection in world.catalog().iter() {
        let records = world.records(collection.id);
        for action in (0..portreeve_policy::RECORD_ACTIONS).map(ActionId) {
            let rights = world.rights(&asker, collection.id, action);
            if records.is_empty() {
                let name = || format!("{} on {}", snapshot.actions().name(action), collection.name);
                each(&name, rights.allows_something());
            }
            for (place, record) in records.iter().take(3).enumerate() {
                for field in collection.field_ids() {
                    let answer = allowed(world, &asker, &rights, action, record, field);
                    let name = || {
                        let field = &collection.field(field).name;
                        let action = snapshot.actions().name(action);
                        format!(
                            "{action} {} of record {place} of {}",
                            field, collection.name
                        )
                    };
                    each(&name, answer);
                }
            }
        }
    }
    for action in snapshot.actions().special() {
        let rights = asker
            .roles
            .special(snapshot, action, None, &asker.context, false);
        let name = || snapshot.actions().name(action).to_owned();
        each(&name, rights.allows_something());
    }
}

fn allowed(
    world: &MemoryWorld,
    asker: &Asker,
    rights: &Rights,
    action: ActionId,
    record: &Record,
    field: FieldId,
) -> bool {
    let holds = |condition: &portreeve_model::Condition| {
        eval(condition, Subject::read(record), &asker.context, world)
    };
    let (create, update) = (action.is_create(), action.is_update());
    let writes = create || update;
    let about =
        |grant: &Grant| !(writes || action.0 < CREATE_ONE.0) || grant.body.fields.contains(field);
    let body = |grant: &Grant| [grant.body.rows.clone(), grant.body.check.clone()];
    rights.layers().iter().all(|layer: &Layer| {
        if !layer.allows_something() {
            return false;
        }
        let allowed = layer.effective_allows().into_iter().any(|grant| {
            about(grant)
                && body(grant)
                    .iter()
                    .flatten()
                    .all(|condition| holds(condition) == Some(true))
        });
        let denied = layer.effective_denies().iter().any(|grant| {
            let concerned = grant.body.fields.is_all()
                || (writes || action.0 < CREATE_ONE.0) && grant.body.fields.contains(field);
            concerned
                && body(grant)
                    .iter()
                    .flatten()
                    .all(|condition| holds(condition) != Some(false))
        });
        allowed && !denied
    })
}
