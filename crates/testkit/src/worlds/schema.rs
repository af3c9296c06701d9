//! Collections, their records and the accounts.

use portreeve_model::{CollectionName, FieldType, Kept, KeySource, MICROS, OnDelete, Value};
use portreeve_policy::{
    CollectionDefinition, FieldDefinition, Place, ReferenceDefinition, RelationDefinition,
    RelationVia,
};

use super::{DAY, Dice, NOON};
use crate::naive::schema::{Collection, USERS, key_text};
use crate::naive::{Record, World};

/// Collections and what one of their records is called.
const NAMES: [(&str, &str); 4] = [
    ("books", "book"),
    ("loans", "loan"),
    ("notes", "note"),
    ("shop/orders", "order"),
];

/// Between two collections.
const JUNCTION: &str = "links";

const FIELDS: [(&str, FieldType); 7] = [
    ("title", FieldType::Text),
    ("body", FieldType::Text),
    ("rank", FieldType::Integer),
    ("points", FieldType::Integer),
    ("open", FieldType::Boolean),
    ("due", FieldType::Timestamp),
    ("price", FieldType::Decimal(2)),
];

const TEXTS: [&str; 10] = ["", "a", "A", "b", "ab", "aB", "é", "É", "x_%", "red"];

/// A value of the type, never null.
pub fn some_value(dice: &mut Dice, ty: FieldType) -> Value {
    let small = i64::try_from(dice.below(6)).expect("a small number");
    match ty {
        FieldType::Boolean => Value::Boolean(dice.percent(50)),
        FieldType::Integer => Value::Integer(small - 1),
        FieldType::Decimal(_) => Value::Integer((small - 1) * 50),
        FieldType::Timestamp => Value::Integer(NOON + (small - 3) * DAY / 2),
        _ => Value::from(*dice.pick(&TEXTS)),
    }
}

/// What the field might hold: the key of a record, where it points at one; seldom of one that is not there.
pub fn some_link(dice: &mut Dice, world: &World, to: &ReferenceDefinition) -> Value {
    let target = Collection::named(&world.document, &to.collection.to_string())
        .expect("only declared collections are pointed at");
    let by = if to.by_number { "number" } else { &target.key };
    let records: Vec<&Record> = world.all(&target.name).values().collect();
    if records.is_empty() || dice.percent(5) {
        return match target.type_of(&world.document, by) {
            Some(FieldType::Integer) => Value::Integer(99),
            _ => Value::from("nowhere"),
        };
    }
    dice.pick(&records)[by].clone()
}

/// What the field of that name might hold, never null.
pub fn some_content(dice: &mut Dice, world: &World, of: &Collection, field: &str) -> Value {
    match of.reference(field) {
        Some(to) => some_link(dice, world, to),
        None => {
            let ty = of.type_of(&world.document, field);
            some_value(dice, ty.unwrap_or(FieldType::Text))
        }
    }
}

fn field(name: &str, ty: FieldType) -> FieldDefinition {
    FieldDefinition {
        name: name.into(),
        ty: Some(ty),
        to: None,
        required: false,
        unique: false,
        default: None,
        self_writable: false,
        kept: None,
        existing: None,
        place: Place::default(),
    }
}

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).expect("the names here are names")
}

fn link(dice: &mut Dice, field_name: &str, to: &str, by_number: bool) -> FieldDefinition {
    let on_delete = if dice.percent(70) {
        OnDelete::SetNull
    } else {
        OnDelete::Cascade
    };
    FieldDefinition {
        ty: None,
        to: Some(ReferenceDefinition {
            collection: name(to),
            by_number,
            by_field: None,
            on_delete,
        }),
        ..field(field_name, FieldType::Text)
    }
}

fn empty(collection: &str) -> CollectionDefinition {
    CollectionDefinition {
        name: name(collection),
        key: "id".into(),
        key_type: FieldType::Integer,
        key_source: KeySource::Sequence,
        fields: vec![],
        relations: vec![],
        indexes: vec![],
        existing: None,
        place: Place::default(),
    }
}

fn many(relation: &str, target: &CollectionName, via: RelationVia) -> RelationDefinition {
    RelationDefinition {
        name: relation.into(),
        target: target.clone(),
        via,
        place: Place::default(),
    }
}

/// Two to four collections, perhaps one between two of them, and the accounts' own columns.
pub fn declare(dice: &mut Dice, world: &mut World) {
    let count = dice.between(2, NAMES.len());
    let mut collections = vec![accounts(dice)];
    for (name, _) in &NAMES[..count] {
        let mut collection = empty(name);
        if dice.percent(35) {
            collection.key = "slug".into();
            collection.key_type = FieldType::Text;
            collection.key_source = KeySource::Given;
        }
        for (name, ty) in FIELDS {
            if name == "title" || dice.percent(55) {
                let declared = with_default(dice, field(name, ty));
                collection.fields.push(declared);
            }
        }
        if dice.percent(75) {
            let by_number = dice.percent(30);
            collection
                .fields
                .push(link(dice, "owner", USERS, by_number));
        }
        for (target, singular) in &NAMES[..count] {
            if dice.percent(if target == name { 15 } else { 40 }) {
                collection.fields.push(link(dice, singular, target, false));
            }
        }
        collections.push(collection);
    }
    if dice.percent(40) {
        connect(dice, &mut collections);
    }
    reverse(dice, &mut collections);
    world.document.collections = collections;
}

/// What the store keeps of each write, in some of the collections.
pub fn keep_books(dice: &mut Dice, world: &mut World) {
    for collection in &mut world.document.collections {
        if collection.name.to_string() == USERS || dice.percent(30) {
            continue;
        }
        for kept in dice.some_of(&Kept::ALL, 75) {
            let mut field = field(kept.word(), FieldType::Timestamp);
            if kept.is_user() {
                field.ty = None;
                field.to = Some(ReferenceDefinition {
                    collection: name(USERS),
                    by_number: false,
                    by_field: None,
                    on_delete: OnDelete::SetNull,
                });
            }
            field.kept = Some(kept);
            collection.fields.push(field);
        }
    }
}

fn with_default(dice: &mut Dice, mut field: FieldDefinition) -> FieldDefinition {
    let ty = field.ty.expect("a plain field");
    if dice.percent(15) {
        field.default = Some(match ty {
            FieldType::Timestamp => "$now".into(),
            ty => some_value(dice, ty).to_json(ty),
        });
    }
    field.required = dice.percent(8);
    field
}

fn accounts(dice: &mut Dice) -> CollectionDefinition {
    let mut users = empty(USERS);
    users.key_type = FieldType::Text;
    users.key_source = KeySource::Given;
    users.fields = vec![
        field("team", FieldType::Text),
        field("level", FieldType::Integer),
    ];
    if dice.percent(50) {
        users.fields.push(link(dice, "home", NAMES[0].0, false));
    }
    users
}

/// Many-to-many: between two of the collections, or one and the accounts.
fn connect(dice: &mut Dice, collections: &mut Vec<CollectionDefinition>) {
    let near = dice.between(1, collections.len() - 1);
    let far = dice.below(collections.len());
    let ends = [near, far].map(|place| collections[place].name.clone());
    let mut junction = empty(JUNCTION);
    junction
        .fields
        .push(link(dice, "near", &ends[0].to_string(), false));
    junction
        .fields
        .push(link(dice, "far", &ends[1].to_string(), false));
    for (place, name, target, from, to) in [
        (near, "linked", &ends[1], "near", "far"),
        (far, "linking", &ends[0], "far", "near"),
    ] {
        let via = RelationVia::Through {
            junction: junction.name.clone(),
            from: from.into(),
            to: to.into(),
        };
        collections[place].relations.push(many(name, target, via));
    }
    collections.push(junction);
}

/// Most links can be followed backwards, too.
fn reverse(dice: &mut Dice, collections: &mut [CollectionDefinition]) {
    let mut backwards = vec![];
    for collection in collections.iter() {
        for field in &collection.fields {
            if let Some(to) = field.to.as_ref().filter(|_| dice.percent(75)) {
                let relation = format!("{}_{}", collection.name.name(), field.name);
                let via = RelationVia::Field(field.name.clone());
                backwards.push((
                    to.collection.clone(),
                    many(&relation, &collection.name, via),
                ));
            }
        }
    }
    for (target, relation) in backwards {
        let mut found = collections.iter_mut().filter(|it| it.name == target);
        let target = found.next().expect("links point at declared collections");
        target.relations.push(relation);
    }
}

/// Three to five accounts, up to eight records in each collection.
pub fn populate(dice: &mut Dice, world: &mut World) {
    for number in 1..=dice.between(3, 5) {
        let account = account(dice, number);
        world.users.insert(key_text(&account["id"]), account);
    }
    // Keys first, so that links can point anywhere.
    for definition in world.document.collections.clone() {
        let name = definition.name.to_string();
        if name == USERS {
            continue;
        }
        let records = world.records.entry(name).or_default();
        let most = if dice.percent(8) {
            0
        } else {
            dice.between(2, 8)
        };
        for number in 1..=most {
            let key = match definition.key_type {
                FieldType::Integer => Value::Integer(i64::try_from(number).expect("few")),
                _ if number % 2 == 0 => Value::Text(format!("k{number}")),
                _ => Value::Text(format!("K{number}")),
            };
            if dice.percent(85) {
                let record = Record::from([(definition.key.clone(), key.clone())]);
                records.insert(key_text(&key), record);
            }
        }
    }
    for definition in world.document.collections.clone() {
        let of = world.collection(&definition.name.to_string());
        let keys: Vec<String> = world.all(&of.name).keys().cloned().collect();
        for key in keys {
            for field in &definition.fields {
                if !field.required && dice.percent(18) {
                    continue;
                }
                let value = some_content(dice, world, &of, &field.name);
                let dangling = field
                    .to
                    .as_ref()
                    .is_some_and(|to| world.referred(to, &value).is_none());
                let records = if of.name == USERS {
                    &mut world.users
                } else {
                    world.records.entry(of.name.clone()).or_default()
                };
                let record = records.get_mut(&key).expect("a key just listed");
                if !dangling {
                    record.insert(field.name.clone(), value);
                }
            }
        }
    }
}

fn account(dice: &mut Dice, number: usize) -> Record {
    let text = |text: String| Value::Text(text);
    let serial = i64::try_from(number).expect("few");
    let mut account = Record::from([
        (
            "id".into(),
            text(format!("00000000-0000-7000-8000-{number:012}")),
        ),
        ("key".into(), text(format!("kuid-{number}"))),
        ("number".into(), Value::Integer(serial)),
        ("status".into(), Value::from("active")),
        ("confirmed".into(), Value::Boolean(dice.percent(70))),
        ("provider".into(), Value::from("local")),
        (
            "created".into(),
            Value::Integer(NOON - serial * DAY + 5 * MICROS),
        ),
    ]);
    if dice.percent(80) {
        account.insert("username".into(), text(format!("user{number}")));
    }
    if dice.percent(60) {
        account.insert("email".into(), text(format!("user{number}@example.org")));
    }
    account
}
