//! Who can do something is whoever may do it, one by one; and the way it is told is the way it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_policy::{
    Asker, Binding, BoundTo, IMPLICIT, MemoryWorld, Question, rights_for, settled,
};
use portreeve_service::{
    CheckRequest, Entitled, Options, PermissionPath, Portreeve, ServiceError, WhoCanRequest,
};
use portreeve_testkit::naive::{Subject, World};
use portreeve_testkit::stored::{On, SeededEntropy, StillClock, StoredWorld};
use portreeve_testkit::{compiled, stats, worlds};

const QUESTIONS: u64 = 24;

const ACTIONS: [&str; 8] = [
    "data.read.one",
    "data.read.many",
    "data.read.count",
    "data.create.one",
    "data.update.one",
    "data.delete.one",
    "data.share",
    "data.subscribe",
];

const SPECIAL: [&str; 5] = [
    "policy.who",
    "access.grant",
    "mail.send",
    "account.update",
    "data.schema.read",
];

#[test]
fn who_can_is_whoever_may_on_sqlite() {
    crate::block_on(agree(On::Sqlite, crate::cases(60)));
}

#[test]
fn who_can_is_whoever_may_on_postgresql() {
    crate::block_on(agree(On::Postgres, crate::cases(6)));
}

async fn agree(on: On, cases: u64) {
    let (mut asked, mut yes, mut no, mut ways) = (0, 0, 0, 0);
    for seed in 0..cases {
        let world = worlds::world(seed);
        let (mut bindings, mut now) = (BTreeMap::new(), 0);
        for (number, user) in (0..).zip(world.users.keys()) {
            let (subject, _) = worlds::request(&world, seed * 1_000 + number);
            now = subject.now;
            bindings.insert(user.clone(), subject.bindings);
        }
        let stored = StoredWorld::bound(on, &world, now, bindings.clone()).await;
        let (world, kept) = stored.leave();
        let clock = Arc::new(StillClock(now));
        let mut options = Options::at(kept.location(), clock, Arc::new(SeededEntropy::new(2)));
        // There is no administrator who could set it up.
        options.development = true;
        options.follows = false;
        options.connections = 2;
        let portreeve = Portreeve::open(options)
            .await
            .expect("a stored world opens");
        let memory = compiled::load(&world).expect("the worlds compile");
        for number in 0..QUESTIONS {
            let question = question(&world, seed, number);
            let place = format!("world {seed}, {question:?}");
            let found = everybody(&portreeve, &question).await;
            let (users, anonymous) = match found {
                Ok(found) => found,
                Err(error) => {
                    // Somebody who reads the record could not ask either.
                    let check = check(&question, world.users.keys().next().expect("a user"));
                    let other = portreeve.check(&portreeve.operator(), &check).await;
                    assert!(
                        other.is_err_and(|other| other.code() == error.code()),
                        "{place}: {error}"
                    );
                    continue;
                }
            };
            for user in world.users.keys() {
                let operator = portreeve.operator();
                let may = portreeve.check(&operator, &check(&question, user)).await;
                let may = may
                    .unwrap_or_else(|error| panic!("{place}: {error}"))
                    .allowed;
                let entitled = users.iter().find(|one| one.user["id"] == **user);
                assert_eq!(entitled.is_some(), may, "{place}: {user}");
                if let Some(entitled) = entitled {
                    yes += 1;
                    let held = bindings.get(user).map_or(&[][..], Vec::as_slice);
                    ways += suffices(
                        &memory,
                        &world,
                        &question,
                        user,
                        (now, held),
                        &entitled.paths,
                    );
                } else {
                    no += 1;
                }
            }
            let operator = portreeve.operator();
            let may = portreeve
                .check(&operator, &check(&question, "anonymous"))
                .await;
            assert_eq!(anonymous, may.expect("a question").allowed, "{place}");
            asked += 1;
        }
    }
    assert!(yes > 0 && no > 0 && ways > 0, "{yes} {no} {ways}");
    stats::count("who-can = check", on.name(), yes + no);
    stats::note(&format!(
        "who-can on {}: {asked} questions, {yes} allows and {no} denials as check has them, {ways} paths that suffice",
        on.name()
    ));
}

#[derive(Debug)]
struct Asked {
    action: &'static str,
    collection: Option<String>,
    key: Option<String>,
}

fn question(world: &World, seed: u64, number: u64) -> Asked {
    let mut dice = worlds::Dice::new(seed * 7_919 + number);
    if dice.percent(12) {
        return Asked {
            action: SPECIAL[dice.below(SPECIAL.len())],
            collection: None,
            key: None,
        };
    }
    let names: Vec<&String> = world.records.keys().collect();
    let collection = (*dice.pick(&names)).clone();
    let keys: Vec<&String> = world.records[&collection].keys().collect();
    let key = (!keys.is_empty() && dice.percent(65)).then(|| (*dice.pick(&keys)).clone());
    Asked {
        action: ACTIONS[dice.below(ACTIONS.len())],
        collection: Some(collection),
        key,
    }
}

fn check(asked: &Asked, subject: &str) -> CheckRequest {
    CheckRequest {
        subject: Some(subject.to_owned()),
        action: asked.action.into(),
        collection: asked.collection.clone(),
        key: asked.key.clone(),
        send: None,
    }
}

// Two at a time, so that there are pages.
async fn everybody(
    portreeve: &Portreeve,
    asked: &Asked,
) -> Result<(Vec<Entitled>, bool), ServiceError> {
    let mut request = WhoCanRequest {
        action: asked.action.into(),
        collection: asked.collection.clone(),
        key: asked.key.clone(),
        field: None,
        limit: 2,
        after: None,
    };
    let mut all = vec![];
    loop {
        let page = portreeve.who_can(&portreeve.operator(), &request).await?;
        assert!(page.complete && page.data.len() <= 2);
        all.extend(page.data);
        if page.page.next.is_none() {
            return Ok((all, page.anonymous.is_some()));
        }
        request.after = page.page.next;
    }
}

// With the bindings of the paths alone it is still allowed, and without those of one path its permission is not held.
fn suffices(
    memory: &MemoryWorld,
    world: &World,
    asked: &Asked,
    user: &str,
    (now, held): (i64, &[Binding]),
    paths: &[PermissionPath],
) -> u64 {
    assert!(!paths.is_empty());
    let collection = asked.collection.as_deref();
    let collection = collection.map(|name| memory.catalog().find_text(name).expect("declared"));
    let action = memory
        .snapshot()
        .actions()
        .find(asked.action)
        .expect("an action");
    let record = asked.key.as_deref().map(|key| {
        let collection = collection.expect("a key is of a collection");
        let key = collection.parse_key(key).expect("a key");
        memory.get(collection.id, &key).expect("a record")
    });
    let question = Question {
        action,
        collection: collection.map(|collection| collection.id),
        record,
        field: None,
        sent: vec![],
        created: None,
    };
    let as_bound = |bindings: Vec<Binding>| {
        let subject = Subject {
            user: Some(user.to_owned()),
            bindings,
            now,
            ..Subject::default()
        };
        compiled::asker(memory, world, &subject)
    };
    let all = as_bound(held.to_vec());
    let with = |bindings: Vec<Binding>| Asker {
        // Rules that ask for roles are not what is asked here.
        context: all.context.clone(),
        ..as_bound(bindings)
    };
    let opens_fallback = |bindings: &[Binding]| {
        let user = BoundTo::Role("user".into());
        bindings.iter().all(|binding| binding.to == user) && !held.iter().all(|b| b.to == user)
    };
    let through = |path: &PermissionPath, binding: &&Binding| {
        path.through.iter().any(|way| {
            let same = match &binding.to {
                BoundTo::Role(role) => way.by == "role" && *role == path.role,
                BoundTo::Profile(profile) => way.profile.as_ref() == Some(profile),
            };
            same && way.restricted_to == binding.restricted_to
        })
    };
    let few: Vec<Binding> = held
        .iter()
        .filter(|binding| paths.iter().any(|path| through(path, binding)))
        .cloned()
        .collect();
    let mut checked = 0;
    if !opens_fallback(&few) {
        let settled = settled(memory.snapshot(), &with(few), &question, memory);
        assert!(settled.is_some(), "{user} {asked:?}: {paths:?}");
        checked += 1;
    }
    for path in paths {
        let open = ["everyone", "fallback", "anonymous"];
        if path.through.iter().any(|way| open.contains(&way.by)) {
            continue;
        }
        let others: Vec<Binding> = held
            .iter()
            .filter(|binding| !through(path, binding))
            .cloned()
            .collect();
        if opens_fallback(&others) {
            continue;
        }
        let rights = rights_for(memory.snapshot(), &with(others), &question);
        let position = path.permission.unwrap_or(IMPLICIT);
        let mut allows = rights.layers().iter().flat_map(|layer| &layer.allows);
        let still = allows.any(|grant| *grant.role == *path.role && grant.position == position);
        assert!(!still, "{user} {asked:?}: {path:?} of {held:?}");
    }
    checked
}
