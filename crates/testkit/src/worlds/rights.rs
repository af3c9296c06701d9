//! Roles, their permissions, and profiles.

use portreeve_model::{FieldType, Rule, Variable};
use portreeve_policy::{
    Effect, FaceScope, FieldValue, Permission, ProfileDefinition, ProfileRole, RoleDefinition,
    Scope,
};

use super::rules::{Purpose, condition, named_rules, predicate};
use super::{Dice, schema};
use crate::naive::World;
use crate::naive::schema::{Collection, USERS};

/// What a permission may be about; the first word is that of which all its actions are below.
const ACTIONS: [(usize, &[&str]); 16] = [
    (20, &["data.read"]),
    (4, &["data.read.one"]),
    (5, &["data.read.many"]),
    (3, &["data.read.one", "data.read.many"]),
    (17, &["data.create"]),
    (4, &["data.create.one"]),
    (14, &["data.update"]),
    (3, &["data.update.one", "data.update.many"]),
    (8, &["data.create", "data.update"]),
    (12, &["data.delete"]),
    (6, &["data.read", "data.update"]),
    (6, &["data.read", "data.delete"]),
    (
        7,
        &["data.read", "data.create", "data.update", "data.delete"],
    ),
    (3, &["data"]),
    (2, &["*"]),
    (1, &["data.share", "data.subscribe", "data.read.count"]),
];

/// Fills in roles, profiles and named rules.
pub fn grant(dice: &mut Dice, world: &mut World) {
    world.document.rules = named_rules();
    let mut keys: Vec<String> = (1..=dice.between(1, 4)).map(|n| format!("r{n}")).collect();
    for (percent, key) in [(25, "everyone"), (45, "anonymous"), (40, "guest")] {
        if dice.percent(percent) {
            keys.push(key.into());
        }
    }
    let mut roles: Vec<RoleDefinition> = vec![];
    for key in &keys {
        let many = if key.starts_with('r') { 5 } else { 3 };
        let count = dice.between(1, many);
        let mut permissions = vec![];
        if dice.percent(70) {
            permissions.extend(usual(dice, world));
        }
        while permissions.len() < count {
            let place = dice.below(permissions.len() + 1);
            permissions.insert(place, permission(dice, world, &keys));
        }
        if dice.percent(40) {
            permissions.extend(counter(dice, world, &permissions));
        }
        let mut role = RoleDefinition {
            key: key.clone(),
            permissions,
            ..RoleDefinition::default()
        };
        role.fallback = key == "guest";
        role.implicit_allow = dice.percent(8);
        role.when = dice.percent(8).then(|| condition(dice, &keys));
        roles.push(role);
    }
    if dice.percent(10) {
        roles.push(RoleDefinition {
            key: "boss".into(),
            administrator: true,
            ..RoleDefinition::default()
        });
    }
    world.document.profiles = profiles(dice, world, &roles);
    world.document.roles = roles;
}

/// Permissions that only allow, as a key has them.
pub fn scope(dice: &mut Dice, world: &World) -> Scope {
    let roles = &world.document.roles;
    let keys: Vec<String> = roles.iter().map(|role| role.key.clone()).collect();
    let mut permissions = vec![];
    if dice.percent(60) {
        permissions.extend(usual(dice, world));
    }
    for _ in 0..dice.between(1, 3) {
        permissions.push(permission(dice, world, &keys));
    }
    permissions.retain(|permission| permission.effect == Effect::Allow);
    for permission in &mut permissions {
        permission.presets.clear();
        permission.defaults.clear();
    }
    Scope::new(permissions, dice.percent(60)).expect("it only allows")
}

fn profiles(dice: &mut Dice, world: &World, roles: &[RoleDefinition]) -> Vec<ProfileDefinition> {
    let mut profiles: Vec<ProfileDefinition> = vec![];
    for number in 1..=dice.below(4) {
        let entries = (0..dice.between(1, 2)).map(|_| {
            let role = dice.pick(roles);
            let narrow = !role.administrator && is_about_records(role) && dice.percent(35);
            ProfileRole {
                role: role.key.clone(),
                restricted_to: narrow.then(|| places(dice, world)),
            }
        });
        let mut profile = ProfileDefinition {
            key: format!("p{number}"),
            roles: entries.collect(),
            ..ProfileDefinition::default()
        };
        if number > 1 && dice.percent(40) {
            profile.parent = Some(format!("p{}", number - 1));
        }
        if dice.percent(20) {
            let net = *dice.pick(&["10.0.0.0/8", "192.168.1.7/32"]);
            profile.addresses = vec![net.parse().expect("a network")];
        }
        profiles.push(profile);
    }
    profiles
}

/// Whether nothing in the role goes beyond records, so that it can be restricted to collections.
fn is_about_records(role: &RoleDefinition) -> bool {
    let mut actions = role.permissions.iter().flat_map(|it| &it.actions);
    actions.all(|action| action != "*" && action != "data")
}

/// Some collections, as a restriction lists them.
pub fn places(dice: &mut Dice, world: &World) -> Vec<String> {
    let names = ordinary(world);
    let mut places = dice.some_of(&names, 55);
    if dice.percent(15) {
        places.push((*dice.pick(&["main/*", "shop/*"])).into());
    }
    if places.is_empty() {
        places.push(dice.pick(&names).clone());
    }
    if dice.percent(20) {
        places.push(USERS.into());
    }
    places
}

/// The names of the collections that can be written.
pub fn ordinary(world: &World) -> Vec<String> {
    let names = world.document.collections.iter();
    names
        .map(|it| it.name.to_string())
        .filter(|it| it != USERS)
        .collect()
}

/// A deny about what one of these allows.
fn counter(dice: &mut Dice, world: &World, permissions: &[Permission]) -> Option<Permission> {
    let allowed = &permissions[dice.below(permissions.len())];
    let on = allowed.on.iter().find(|name| !name.contains('*'))?;
    let action = &allowed.actions[dice.below(allowed.actions.len())];
    if allowed.effect == Effect::Deny || action.split('.').count() < 2 {
        return None;
    }
    let mut deny = Permission {
        effect: Effect::Deny,
        actions: vec![action.clone()],
        on: vec![on.clone()],
        ..Permission::default()
    };
    limit(dice, world, &mut deny, &[world.collection(on)]);
    Some(deny)
}

/// As people often write it: some records, or some fields, or some fields of all records and others of some.
fn usual(dice: &mut Dice, world: &World) -> Vec<Permission> {
    let names = ordinary(world);
    let of = world.collection(&names[dice.below(names.len())]);
    let mut open: Vec<String> = of.fields.iter().map(|field| field.name.clone()).collect();
    let mut guarded = dice.some_of(&open, 50);
    guarded.push(open[open.len() - 1].clone());
    open.retain(|field| !guarded.contains(field));
    let actions: &[&str] = if dice.percent(50) {
        &["data.read"]
    } else {
        &["data.read", "data.update"]
    };
    let allow = Permission {
        actions: actions.iter().map(|it| (*it).into()).collect(),
        on: vec![of.name.clone()],
        ..Permission::default()
    };
    let rows = rows(dice, world, std::slice::from_ref(&of), Effect::Allow);
    match dice.below(10) {
        0..3 => vec![Permission {
            rows: Some(rows),
            ..allow
        }],
        3..5 => vec![Permission {
            fields: Some(open),
            ..allow
        }],
        _ => {
            if dice.percent(40) {
                guarded.pop();
            }
            vec![
                Permission {
                    actions: vec!["data.read".into()],
                    fields: Some(open),
                    ..allow.clone()
                },
                Permission {
                    fields: Some(guarded),
                    rows: Some(rows),
                    ..allow
                },
            ]
        }
    }
}

/// Any permission.
pub fn permission(dice: &mut Dice, world: &World, roles: &[String]) -> Permission {
    let names = ordinary(world);
    let actions = dice.weighted(&ACTIONS);
    let broad = actions.contains(&"data") || actions.contains(&"*");
    let reads = actions.iter().all(|it| it.starts_with("data.read"));
    let mut permission = Permission {
        actions: actions.iter().map(|it| (*it).into()).collect(),
        ..Permission::default()
    };
    if dice.percent(19) {
        permission.effect = Effect::Deny;
    }
    if dice.percent(8) {
        permission.when = Some(condition(dice, roles));
    }
    if dice.percent(2) {
        permission.via = Some(FaceScope {
            face: "kuzzle".into(),
            operations: vec![],
        });
    }
    match dice.below(100) {
        0..12 if reads => permission.on = vec![USERS.into()],
        0..20 => {
            permission.on = vec!["*".into()];
            if dice.percent(25) {
                permission.except.push(dice.pick(&names).clone());
            }
        }
        20..27 => permission.on = vec![(*dice.pick(&["main/*", "shop/*"])).into()],
        27..45 => permission.on = dice.some_of(&names, 60),
        _ => {}
    }
    if permission.on.is_empty() {
        permission.on = vec![dice.pick(&names).clone()];
    }
    if !broad && dice.percent(8) {
        let excepted = match actions[0] {
            "data.read" => Some("data.read.one"),
            "data.create" => Some("data.create.many"),
            "data.update" => Some("data.update.one"),
            _ => None,
        };
        permission.except.extend(excepted.map(str::to_owned));
    }
    // Rows and fields need something that the collections have in common.
    let on: Vec<Collection> = permission
        .on
        .iter()
        .filter(|name| !name.contains('*'))
        .map(|name| world.collection(name))
        .collect();
    if on.len() > 1 && shared_fields(world, &on).is_empty() {
        permission.on.truncate(1);
    }
    let everywhere = permission.on.iter().any(|it| it.contains('*'));
    if !broad && !everywhere {
        let on: Vec<Collection> = permission
            .on
            .iter()
            .map(|it| world.collection(it))
            .collect();
        limit(dice, world, &mut permission, &on);
    } else if permission.effect == Effect::Deny && dice.percent(80) {
        // A plain deny ends everything; there are enough of them.
        permission.effect = Effect::Allow;
    }
    permission
}

/// Rows that are true often enough of what is allowed, and false of what is denied.
fn rows(dice: &mut Dice, world: &World, on: &[Collection], effect: Effect) -> Rule {
    let mut rule = || predicate(dice, world, on, Purpose::Rows, 2);
    let (one, other) = (rule(), rule());
    match effect {
        _ if dice.percent(45) => one,
        Effect::Allow => Rule::Any(vec![one, other]),
        Effect::Deny => Rule::All(vec![one, other]),
    }
}

/// Rows, fields, checks, presets, defaults: what needs to know the collections.
fn limit(dice: &mut Dice, world: &World, permission: &mut Permission, on: &[Collection]) {
    let deny = permission.effect == Effect::Deny;
    let below = |words: &[&str]| {
        let mut actions = permission.actions.iter();
        actions.all(|action| words.iter().any(|word| action.starts_with(word)))
    };
    let creates = below(&["data.create"]);
    let updates = below(&["data.update"]);
    let writes = below(&["data.create", "data.update"]);
    let shared = shared_fields(world, on);
    if dice.percent(if deny { 62 } else { 36 }) && !(creates && dice.percent(40)) {
        permission.rows = Some(rows(dice, world, on, permission.effect));
    }
    if dice.percent(if deny { 45 } else { 62 }) {
        let mut fields = dice.some_of(&shared, if deny { 25 } else { 60 });
        if deny && fields.is_empty() {
            fields.push(dice.pick(&shared).clone());
        }
        if !deny && writes && dice.percent(80) && !fields.contains(&on[0].key) {
            fields.push(on[0].key.clone());
            fields.retain(|field| on.iter().all(|it| it.field(field).is_some()));
        }
        permission.fields = Some(fields);
    }
    if writes && dice.percent(if deny { 55 } else { 32 }) {
        let purpose = Purpose::Check { old: updates };
        permission.check = Some(if !deny && dice.percent(15) {
            Rule::Constant(true)
        } else {
            predicate(dice, world, on, purpose, 2)
        });
    }
    if writes && !deny && dice.percent(40) {
        let keys: Vec<&String> = on.iter().map(|it| &it.key).collect();
        let mut free: Vec<String> = shared.clone();
        // What is kept of each write is given by nobody.
        let kept = |field: &String| on[0].field(field).is_some_and(|field| field.kept.is_some());
        free.retain(|field| !keys.contains(&field) && !kept(field));
        for field in dice.some_of(&free, 22) {
            let value = lent(dice, world, &on[0], &field);
            if dice.percent(50) {
                permission.presets.push((field, value));
            } else {
                permission.defaults.push((field, value));
            }
        }
    }
    let limited = permission.rows.is_some() || permission.fields.is_some();
    if deny && !limited && permission.check.is_none() && dice.percent(88) {
        permission.rows = Some(rows(dice, world, on, permission.effect));
    }
}

/// The fields that all the collections have alike.
pub fn shared_fields(world: &World, on: &[Collection]) -> Vec<String> {
    let names = on[0].fields.iter().map(|field| field.name.clone());
    names
        .filter(|name| {
            on[1..].iter().all(|other| {
                other.field(name).map(|field| &field.to) == on[0].field(name).map(|field| &field.to)
                    && other.type_of(&world.document, name) == on[0].type_of(&world.document, name)
            })
        })
        .collect()
}

/// What a preset or default gives a field.
fn lent(dice: &mut Dice, world: &World, of: &Collection, field: &str) -> FieldValue {
    let ty = of.type_of(&world.document, field).expect("a field");
    let to = of.reference(field);
    let variable = match (to, ty) {
        (Some(to), _) if to.collection.to_string() == USERS => Some(Variable::User(vec![])),
        (Some(_), _) => None,
        (None, FieldType::Text) => Some(
            dice.pick(&[
                Variable::User(vec!["team".into()]),
                Variable::Claims(vec!["team".into()]),
                Variable::Request("method".into()),
            ])
            .clone(),
        ),
        (None, FieldType::Integer) => Some(Variable::User(vec!["level".into()])),
        (None, FieldType::Timestamp) => Some(Variable::Now { offset: 0 }),
        (None, _) => None,
    };
    match variable {
        Some(variable) if dice.percent(70) => FieldValue::Variable(variable),
        _ if dice.percent(6) => FieldValue::Json(serde_json::Value::Null),
        _ => FieldValue::Json(schema::some_content(dice, world, of, field).to_json(ty)),
    }
}
