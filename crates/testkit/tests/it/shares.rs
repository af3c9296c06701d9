//! What a share shows is what the referee says, on both databases, and never more than its creator may read.

use std::collections::BTreeMap;

use portreeve_model::Rule;
use portreeve_policy::{Binding, BoundTo, Effect, Permission, RoleDefinition};
use portreeve_testkit::naive::{self, Answer, Record, Request, Share, Subject, World};
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::worlds::Dice;
use portreeve_testkit::{stats, worlds};

const SHARES_PER_WORLD: u64 = 12;
const SHARER: &str = "sharer";

#[test]
fn a_share_shows_what_the_referee_says_on_sqlite() {
    shares(On::Sqlite, crate::cases(2_000));
}

#[test]
fn a_share_shows_what_the_referee_says_on_postgresql() {
    shares(On::Postgres, crate::cases(600));
}

fn shares(on: On, cases: u64) {
    let (mut asked, mut showing, mut shown) = (0_u64, 0_u64, 0_usize);
    crate::block_on(async {
        for seed in 0..cases / SHARES_PER_WORLD {
            let mut dice = Dice::new(!seed ^ 0x0005_1a7e);
            let mut drawn = worlds::world(seed);
            let sharer = sharer(&mut dice, &drawn);
            drawn.document.roles.push(sharer);
            let (first, _) = worlds::request(&drawn, seed);
            let stored = StoredWorld::new(on, &drawn, first.now).await;
            for number in 0..SHARES_PER_WORLD {
                let seed = seed * 1_000 + number;
                let Some(subject) = subject(&mut dice, &stored.world, seed) else {
                    continue;
                };
                asked += 1;
                let before = shown;
                for request in requests(&stored.world, &subject, seed) {
                    shown += compare(&stored, &subject, &request, seed).await;
                }
                showing += u64::from(shown > before);
            }
        }
    });
    // It is shares that show something that could show too much.
    assert!(showing * 5 > asked, "{showing} of {asked} show something");
    stats::count("shares", on.name(), asked);
    stats::note(&format!(
        "shares on {}: {asked}, {showing} of them show something, {shown} records, 0 disagreements, none beyond its creator",
        on.name()
    ));
}

// A role that may share, often all there is, sometimes what some rule of the world says.
fn sharer(dice: &mut Dice, world: &World) -> RoleDefinition {
    let on = vec!["*".to_owned(), "users".to_owned()];
    let roles = &world.document.roles;
    let ruled: Vec<&Permission> = roles
        .iter()
        .flat_map(|role| &role.permissions)
        .filter(|it| it.effect == Effect::Allow && it.rows.is_some() && it.on.len() == 1)
        .collect();
    let rows = |dice: &mut Dice| -> Option<(Vec<String>, Rule)> {
        let from = (!ruled.is_empty()).then(|| *dice.pick(&ruled))?;
        Some((from.on.clone(), from.rows.clone()?))
    };
    let allow = |actions: &[&str], on: Vec<String>, rows: Option<Rule>| Permission {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        on,
        rows,
        ..Permission::default()
    };
    let mut permissions = vec![];
    match rows(dice).filter(|_| dice.percent(35)) {
        Some((on, rows)) => permissions.push(allow(&["data.share"], on, Some(rows))),
        None => permissions.push(allow(&["data.share"], on.clone(), None)),
    }
    if dice.percent(60) {
        permissions.push(allow(&["data.read"], on, None));
    }
    RoleDefinition {
        key: SHARER.into(),
        permissions,
        ..RoleDefinition::default()
    }
}

// Somebody who shares a record of the world.
fn subject(dice: &mut Dice, world: &World, seed: u64) -> Option<Subject> {
    let (mut subject, _) = worlds::request(world, seed);
    subject.user.as_ref()?;
    (subject.narrowed_to, subject.scope) = (None, None);
    // Whoever opens a share shows no token of its creator.
    subject.claims.clear();
    if dice.percent(90) {
        subject.bindings.push(Binding {
            to: BoundTo::Role(SHARER.into()),
            ..Binding::default()
        });
    }
    let users: BTreeMap<String, Record> = world.users.clone();
    let named = world.records.iter().map(|(name, all)| (name.as_str(), all));
    let all: Vec<(&str, &BTreeMap<String, Record>)> = named
        .chain([("users", &users)])
        .filter(|(_, all)| !all.is_empty())
        .collect();
    let (collection, records) = *dice.pick(&all);
    let keys: Vec<&String> = records.keys().collect();
    let key = (*dice.pick(&keys)).clone();
    let roles = &world.document.roles;
    let role = dice.percent(65).then(|| dice.pick(roles).key.clone());
    let declared = world.document.collections.iter();
    let mut declared = declared.filter(|it| it.name.to_string() == collection);
    let fields: Vec<String> = declared
        .next()
        .map(|it| it.fields.iter().map(|field| field.name.clone()).collect())
        .unwrap_or_default();
    // A share without a field is none.
    let fields = match dice.percent(30) || fields.is_empty() {
        true => vec!["*".to_owned()],
        false => fields
            .iter()
            .filter(|_| dice.percent(50))
            .cloned()
            .collect(),
    };
    let fields = match fields.is_empty() {
        true => vec!["*".to_owned()],
        false => fields,
    };
    subject.share = Some(Share {
        collection: collection.to_owned(),
        key,
        role,
        fields,
    });
    Some(subject)
}

// Every list and every record, and lists with filters of all kinds.
fn requests(world: &World, subject: &Subject, seed: u64) -> Vec<Request> {
    let mut requests = vec![];
    let users = [("users".to_owned(), &world.users)];
    let records = world.records.iter().map(|(name, all)| (name.clone(), all));
    for (collection, all) in records.chain(users) {
        requests.push(Request::List {
            collection: collection.clone(),
            filter: None,
        });
        requests.extend(all.keys().map(|key| Request::Read {
            collection: collection.clone(),
            key: key.clone(),
        }));
    }
    let drawn = (0..20).map(|number| worlds::request_of(world, subject, seed * 100 + number));
    requests.extend(drawn.filter(|it| matches!(it, Request::List { .. } | Request::Read { .. })));
    requests
}

// How many records were shown.
async fn compare(stored: &StoredWorld, subject: &Subject, request: &Request, seed: u64) -> usize {
    let world = &stored.world;
    let expected = naive::answer(world, subject, request);
    let shared = stored.shared(subject).expect("what it names is there");
    let found = stored.look((&shared).into(), request).await;
    let same = match (&expected, &found) {
        (Answer::Forbidden | Answer::Invalid, Answer::Forbidden | Answer::Invalid) => true,
        (expected, found) => expected == found,
    };
    assert!(
        same,
        "{seed}: {subject:?}\n{request:?}\nreferee: {expected:?}\nstore: {found:?}\n{}",
        world.document.to_yaml()
    );
    // A filter is about what is shown, and what is masked is null: only without one, less is less.
    let plain = Subject {
        share: None,
        ..subject.clone()
    };
    let filtered = matches!(
        request,
        Request::List {
            filter: Some(_),
            ..
        }
    );
    let shown = match &found {
        Answer::Shown(record) => vec![(String::new(), record.clone())],
        Answer::Listed(listed) => listed.clone(),
        _ => vec![],
    };
    if !filtered && !shown.is_empty() {
        let own = match naive::answer(world, &plain, request) {
            Answer::Shown(record) => vec![(String::new(), record)],
            Answer::Listed(listed) => listed,
            other => panic!("{seed}: {subject:?} {request:?}: its creator has {other:?}"),
        };
        let own: BTreeMap<String, Record> = own.into_iter().collect();
        for (key, record) in &shown {
            let creators = own.get(key).unwrap_or_else(|| panic!("{seed}: {key}"));
            for (field, value) in record.iter().filter(|(_, value)| !value.is_null()) {
                assert_eq!(creators.get(field), Some(value), "{seed}: {key} {field}");
            }
        }
    }
    shown.len()
}
