//! Who asks, and for what.

use std::collections::BTreeMap;

use portreeve_model::{AggregateFunction, FieldType, KeySource, Operand, Value};
use portreeve_policy::{Binding, BoundTo, Effect};

use super::rules::{Purpose, operand, predicate};
use super::{DAY, Dice, NOON, rights, schema};
use crate::naive::schema::{Collection, USERS, field_of, key_text};
use crate::naive::{Aggregates, Record, Request, Subject, World};

/// A user with some bindings, or nobody.
pub fn subject(dice: &mut Dice, world: &World) -> Subject {
    let document = &world.document;
    let mut subject = Subject {
        now: NOON,
        ..Subject::default()
    };
    if dice.percent(88) {
        let ids: Vec<&String> = world.users.keys().collect();
        subject.user = Some((*dice.pick(&ids)).clone());
        for _ in 0..dice.weighted(&[(5, 0), (25, 1), (40, 2), (30, 3)]) {
            subject.bindings.push(binding(dice, world));
        }
        if dice.percent(30) {
            subject.bindings.push(to_role("user"));
        }
        if dice.percent(2) {
            subject.bindings.push(to_role("admin"));
        }
    }
    if dice.percent(14) {
        let roles: Vec<String> = document.roles.iter().map(|role| role.key.clone()).collect();
        let mut named = dice.some_of(&roles, 50);
        if named.is_empty() {
            named.push(dice.pick(&roles).clone());
        }
        subject.narrowed_to = Some(named);
    }
    // Drawn apart, so that what is drawn after it stays as it was.
    let mut apart = Dice::new(!dice.clone().throw());
    if apart.percent(8) {
        subject.scope = Some(rights::scope(&mut apart, world));
    }
    if dice.percent(70) {
        let claims = [
            ("team", serde_json::json!(*dice.pick(&["red", "b", ""]))),
            ("level", serde_json::json!(dice.below(4))),
            ("vip", serde_json::json!(dice.percent(50))),
            ("teams", serde_json::json!(["red", "a", "é"])),
        ];
        for (name, claim) in dice.some_of(&claims, 80) {
            subject.claims.insert(name.into(), claim);
        }
    }
    let ip = *dice.pick(&["10.1.2.3", "192.168.1.7", "2001:db8::1"]);
    let face = if dice.percent(85) { "native" } else { "kuzzle" };
    let method = *dice.pick(&["GET", "GET", "POST"]);
    let request = [("ip", ip), ("face", face), ("method", method)];
    subject.request = dice
        .some_of(&request, 92)
        .into_iter()
        .map(|(name, text)| (name.into(), text.into()))
        .collect::<BTreeMap<String, String>>();
    subject
}

fn to_role(role: &str) -> Binding {
    Binding {
        to: BoundTo::Role(role.into()),
        ..Binding::default()
    }
}

fn binding(dice: &mut Dice, world: &World) -> Binding {
    let document = &world.document;
    let mut binding = if !document.profiles.is_empty() && dice.percent(35) {
        Binding {
            to: BoundTo::Profile(dice.pick(&document.profiles).key.clone()),
            ..Binding::default()
        }
    } else {
        let mut roles: Vec<&str> = document
            .roles
            .iter()
            .map(|role| role.key.as_str())
            .collect();
        roles.retain(|role| !["everyone", "anonymous"].contains(role));
        let role: &&str = dice.pick(&roles);
        to_role(role)
    };
    let day = |days: i64| Some(NOON + days * DAY);
    match dice.below(100) {
        0..4 => binding.from = day(1),
        4..9 => binding.from = *dice.pick(&[day(-1), day(0)]),
        9..13 => binding.until = *dice.pick(&[day(-1), day(0)]),
        13..18 => binding.until = day(1),
        _ => {}
    }
    if !leads_to_administrator(world, &binding) && dice.percent(15) {
        binding.restricted_to = Some(rights::places(dice, world));
    }
    binding
}

/// "`restricted_to` is refused on administrators."
fn leads_to_administrator(world: &World, binding: &Binding) -> bool {
    let is_administrator = |key: &str| {
        let mut roles = world.document.roles.iter();
        roles.any(|role| role.key == key && role.administrator)
    };
    match &binding.to {
        BoundTo::Role(role) => is_administrator(role),
        BoundTo::Profile(key) => {
            let mut next = Some(key);
            while let Some(key) = next {
                let mut profiles = world.document.profiles.iter();
                let Some(profile) = profiles.find(|profile| profile.key == *key) else {
                    return false;
                };
                if profile.roles.iter().any(|it| is_administrator(&it.role)) {
                    return true;
                }
                next = profile.parent.as_ref();
            }
            false
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    List,
    Create,
    Update,
    Delete,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Read | Self::List => "data.read",
            Self::Create => "data.create",
            Self::Update => "data.update",
            Self::Delete => "data.delete",
        }
    }
}

/// Something to ask, more often than not about what the subject has permissions for.
pub fn request(dice: &mut Dice, world: &World, subject: &Subject) -> Request {
    let kind = |dice: &mut Dice| {
        dice.weighted(&[
            (18, Kind::Read),
            (21, Kind::List),
            (21, Kind::Create),
            (21, Kind::Update),
            (19, Kind::Delete),
        ])
    };
    let mut kind_of_request = kind(dice);
    for _ in 0..2 {
        if spoken_of(world, subject, kind_of_request).is_empty() && dice.percent(60) {
            kind_of_request = kind(dice);
        }
    }
    let kind = kind_of_request;
    let mut names = rights::ordinary(world);
    let mut known = spoken_of(world, subject, kind);
    if matches!(kind, Kind::Read | Kind::List) {
        names.push(USERS.into());
    } else {
        known.retain(|name| name != USERS);
    }
    let collection = if !known.is_empty() && dice.percent(92) {
        dice.pick(&known).clone()
    } else {
        dice.pick(&names).clone()
    };
    if dice.percent(1) {
        return Request::List {
            collection: "nothing".into(),
            filter: None,
        };
    }
    let of = world.collection(&collection);
    match kind {
        Kind::Read => Request::Read {
            key: some_key(dice, world, &of),
            collection,
        },
        Kind::List => Request::List {
            filter: (dice.percent(60))
                .then(|| predicate(dice, world, std::slice::from_ref(&of), Purpose::Filter, 1)),
            collection,
        },
        Kind::Create => {
            let (key, sent) = new_record(dice, world, subject, &of);
            Request::Create {
                collection,
                key,
                sent,
            }
        }
        Kind::Update => {
            let key = some_key(dice, world, &of);
            Request::Update {
                sent: changes(dice, world, subject, &of, &key),
                key,
                collection,
            }
        }
        Kind::Delete => Request::Delete {
            key: some_key(dice, world, &of),
            collection,
        },
    }
}

/// Numbers to ask for, more often than not about what the subject has permissions for.
pub fn aggregates(dice: &mut Dice, world: &World, subject: &Subject) -> Aggregates {
    let mut names = rights::ordinary(world);
    names.push(USERS.into());
    let known = spoken_of(world, subject, Kind::List);
    let collection = if !known.is_empty() && dice.percent(92) {
        dice.pick(&known).clone()
    } else {
        dice.pick(&names).clone()
    };
    let of = world.collection(&collection);
    let filter = dice.percent(40).then(|| {
        let on = std::slice::from_ref(&of);
        predicate(dice, world, on, Purpose::Filter, 1)
    });
    let mut group: Vec<Operand> = vec![];
    for _ in 0..dice.weighted(&[(25, 0), (55, 1), (20, 2)]) {
        let (operand, ty) = operand(dice, world, &of);
        if ty != FieldType::Json && !group.contains(&operand) {
            group.push(operand);
        }
    }
    let mut aggregates = vec![];
    if group.is_empty() || dice.percent(60) {
        aggregates.push((AggregateFunction::Count, None));
    }
    for _ in 0..dice.weighted(&[(25, 0), (40, 1), (35, 2)]) {
        let (operand, ty) = operand(dice, world, &of);
        let mut fitting = vec![AggregateFunction::Count];
        if ty != FieldType::Json {
            fitting.push(AggregateFunction::CountDistinct);
        }
        if ty.is_ordered() {
            fitting.extend([AggregateFunction::Min, AggregateFunction::Max]);
        }
        if matches!(ty, FieldType::Integer | FieldType::Decimal(_)) {
            fitting.extend([AggregateFunction::Sum, AggregateFunction::Avg]);
        }
        let aggregate = (*dice.pick(&fitting), Some(operand));
        if !aggregates.contains(&aggregate) {
            aggregates.push(aggregate);
        }
    }
    Aggregates {
        collection,
        filter,
        group,
        aggregates,
    }
}

/// A creation, update or deletion. Deletions are of what nothing points at: what they take along is asked elsewhere.
pub fn part(dice: &mut Dice, world: &World, subject: &Subject) -> Request {
    loop {
        let request = request(dice, world, subject);
        match &request {
            Request::Create { .. } | Request::Update { .. } => return request,
            Request::Delete { collection, key } if !is_pointed_at(world, collection, key) => {
                return request;
            }
            _ => {}
        }
    }
}

fn is_pointed_at(world: &World, collection: &str, key: &str) -> bool {
    let users = std::iter::once((USERS, &world.users));
    let others = world.records.iter().map(|(name, of)| (name.as_str(), of));
    let mut all = users.chain(others);
    all.any(|(name, records)| {
        let of = world.collection(name);
        of.fields.iter().any(|field| {
            let to = of.reference(&field.name);
            to.is_some_and(|to| to.collection.to_string() == collection)
                && records
                    .values()
                    .any(|record| key_text(&field_of(record, &field.name)) == key)
        })
    })
}

/// The collections that some role of the subject says something of, for this kind of request.
pub fn spoken_of(world: &World, subject: &Subject, kind: Kind) -> Vec<String> {
    let document = &world.document;
    let mut roles: Vec<&str> = vec!["everyone"];
    if subject.bindings.is_empty() {
        roles.push("guest");
    }
    for binding in &subject.bindings {
        match &binding.to {
            BoundTo::Role(role) => roles.push(role),
            BoundTo::Profile(key) => {
                let profile = document.profiles.iter().find(|it| it.key == *key);
                let entries = profile.into_iter().flat_map(|it| &it.roles);
                roles.extend(entries.map(|entry| entry.role.as_str()));
            }
        }
    }
    if subject.user.is_none() {
        roles.push("anonymous");
    }
    let mut names = vec![];
    for role in document
        .roles
        .iter()
        .filter(|role| roles.contains(&role.key.as_str()))
    {
        for permission in &role.permissions {
            if permission.effect == Effect::Deny {
                continue;
            }
            let fits = |action: &String| action.starts_with(kind.word());
            if permission.actions.iter().any(fits) {
                let plain = permission.on.iter().filter(|name| !name.contains('*'));
                names.extend(plain.cloned());
            }
        }
    }
    names
}

/// The key of a record, seldom of one that is not there.
pub fn some_key(dice: &mut Dice, world: &World, of: &Collection) -> String {
    let keys: Vec<&String> = world.all(&of.name).keys().collect();
    if keys.is_empty() || dice.percent(4) {
        return "99".into();
    }
    (*dice.pick(&keys)).clone()
}

/// A value to send: seldom null, and for links to users often the caller himself.
fn to_send(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    of: &Collection,
    field: &str,
) -> Value {
    if dice.percent(7) {
        return Value::Null;
    }
    if let (Some(to), Some(id)) = (of.reference(field), &subject.user)
        && to.collection.to_string() == USERS
        && dice.percent(50)
    {
        let by = if to.by_number { "number" } else { "id" };
        return world.users[id][by].clone();
    }
    schema::some_content(dice, world, of, field)
}

/// The fields that an author of permissions for this subject might expect him to send.
fn sendable(dice: &mut Dice, of: &Collection, percent: usize) -> Vec<String> {
    // What is kept of each write is refused whoever sends it, so it is seldom among it.
    let keeps = of.fields.iter().any(|field| field.kept.is_some());
    let with_kept = keeps && dice.percent(6);
    let fields = of.fields.iter();
    let names = fields
        .filter(|field| field.kept.is_none() || with_kept)
        .map(|field| field.name.clone());
    let names: Vec<String> = names.filter(|name| *name != of.key).collect();
    dice.some_of(&names, percent)
}

pub fn new_record(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    of: &Collection,
) -> (Option<String>, Record) {
    let mut sent = Record::new();
    let percent = *dice.pick(&[0, 15, 30, 60]);
    let mut names = sendable(dice, of, percent);
    for field in &of.fields {
        let needed = field.required && field.name != of.key && field.default.is_none();
        if needed && !names.contains(&field.name) && dice.percent(85) {
            names.push(field.name.clone());
        }
    }
    for name in names {
        let value = to_send(dice, world, subject, of, &name);
        sent.insert(name, value);
    }
    if dice.percent(3) {
        sent.insert("colour".into(), Value::from("red"));
    }
    let given = of.key_source == KeySource::Given;
    let key = match dice.below(100) {
        0..95 if given => Some("new".into()),
        0..4 if !given => Some("50".into()),
        95..97 => Some(some_key(dice, world, of)),
        _ => None,
    };
    (key, sent)
}

pub fn changes(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    of: &Collection,
    key: &str,
) -> Record {
    let mut sent = Record::new();
    let percent = *dice.pick(&[0, 15, 30, 60]);
    let mut names = sendable(dice, of, percent);
    if names.is_empty() && dice.percent(70) {
        names = sendable(dice, of, 40);
        names.truncate(1);
    }
    let old = world.record(&of.name, key);
    for name in names {
        let value = match old {
            Some(old) if dice.percent(25) => field_of(old, &name),
            _ => to_send(dice, world, subject, of, &name),
        };
        sent.insert(name, value);
    }
    if let Some(old) = old.filter(|_| dice.percent(4)) {
        sent.insert(of.key.clone(), old[&of.key].clone());
    }
    if dice.percent(3) {
        sent.insert("colour".into(), Value::from("red"));
    }
    debug_assert!(old.is_none_or(|old| key_text(&old[&of.key]) == key));
    sent
}
