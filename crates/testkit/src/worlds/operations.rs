//! Changes as one request asks for them.

use portreeve_model::{KeySource, Rule};
use portreeve_policy::RelationVia;

use super::asks::{Kind, changes, new_record, part, some_key, spoken_of};
use super::rules::{Purpose, predicate};
use super::{Dice, rights};
use crate::naive::schema::{Collection, USERS};
use crate::naive::{
    Condition, Inner, Item, Mass, Members, Operation, Record, Request, Subject, What, World,
};

/// What an operation is about, so that each kind can be asked for often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// All records that a filter chooses.
    Mass,
    /// A record that is changed or made.
    Put,
    /// Records that stand in each other.
    Nested,
    /// A record that has to be in a certain way.
    Conditional,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mass, Self::Put, Self::Nested, Self::Conditional];

    /// What a suite calls them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mass => "changes by filter",
            Self::Put => "upserts",
            Self::Nested => "nested writes",
            Self::Conditional => "conditional writes",
        }
    }
}

pub fn operation(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    kind: OperationKind,
) -> Operation {
    let (many, item) = match kind {
        OperationKind::Mass => return Operation::Mass(mass(dice, world, subject)),
        OperationKind::Put => (dice.percent(30), put(dice, world, subject)),
        OperationKind::Nested => (dice.percent(20), nested(dice, world, subject)),
        OperationKind::Conditional => (false, conditional(dice, world, subject)),
    };
    let mut items = vec![item];
    if many && dice.percent(50) {
        items.extend(Item::of(&part(dice, world, subject)));
    }
    Operation::Records { many, items }
}

// A collection that can be written, more often than not one that the subject has permissions for.
fn somewhere(dice: &mut Dice, world: &World, subject: &Subject, kind: Kind) -> Collection {
    let mut known = spoken_of(world, subject, kind);
    known.retain(|name| name != USERS);
    let name = if !known.is_empty() && dice.percent(92) {
        dice.pick(&known).clone()
    } else {
        dice.pick(&rights::ordinary(world)).clone()
    };
    world.collection(&name)
}

fn mass(dice: &mut Dice, world: &World, subject: &Subject) -> Mass {
    let deletes = dice.percent(45);
    let kind = if deletes { Kind::Delete } else { Kind::Update };
    let of = somewhere(dice, world, subject, kind);
    let chosen = predicate(dice, world, std::slice::from_ref(&of), Purpose::Filter, 1);
    // What looks at no record is no condition, wherever it stands.
    let same = |dice: &mut Dice| Rule::Constant(dice.percent(50));
    let filter = match dice.below(100) {
        0..8 => Rule::Constant(true),
        8..12 => Rule::Not(Box::new(Rule::All(vec![chosen, same(dice)]))),
        12..16 => Rule::Not(Box::new(Rule::Any(vec![same(dice), chosen]))),
        16..20 => Rule::Any(vec![chosen, same(dice)]),
        _ => chosen,
    };
    let set = (!deletes).then(|| {
        let key = some_key(dice, world, &of);
        let mut set = changes(dice, world, subject, &of, &key);
        while set.len() > 2 {
            set.pop_last();
        }
        set
    });
    Mass {
        collection: of.name,
        filter,
        set,
        narrow: dice.percent(50),
    }
}

fn put(dice: &mut Dice, world: &World, subject: &Subject) -> Item {
    let kind = *dice.pick(&[Kind::Create, Kind::Update]);
    let of = somewhere(dice, world, subject, kind);
    let key = if dice.percent(55) {
        some_key(dice, world, &of)
    } else {
        new_key(dice, &of)
    };
    let sent = if world.record(&of.name, &key).is_some() && dice.percent(80) {
        changes(dice, world, subject, &of, &key)
    } else {
        new_record(dice, world, subject, &of).1
    };
    let condition = match dice.below(100) {
        0..12 => Condition::Absent,
        12..20 => Condition::Present,
        20..32 => Condition::Seen(None),
        _ => Condition::None,
    };
    Item {
        collection: of.name,
        what: What::Put { key, sent },
        condition,
    }
}

// `seen` is filled in by whoever has the caller look.
fn conditional(dice: &mut Dice, world: &World, subject: &Subject) -> Item {
    let condition = if dice.percent(85) {
        Condition::Seen(None)
    } else {
        Condition::Present
    };
    let deletes = dice.percent(30);
    let kind = if deletes { Kind::Delete } else { Kind::Update };
    let of = somewhere(dice, world, subject, kind);
    let key = some_key(dice, world, &of);
    let what = if deletes {
        What::Delete { key }
    } else {
        let sent = changes(dice, world, subject, &of, &key);
        let inner = vec![];
        What::Update { key, sent, inner }
    };
    Item {
        collection: of.name,
        what,
        condition,
    }
}

fn new_key(dice: &mut Dice, of: &Collection) -> String {
    match of.key_source {
        KeySource::Given => format!("new{}", dice.below(3)),
        _ => (50 + dice.below(1_000)).to_string(),
    }
}

fn nested(dice: &mut Dice, world: &World, subject: &Subject) -> Item {
    let updates = dice.percent(60);
    let kind = if updates { Kind::Update } else { Kind::Create };
    let of = somewhere(dice, world, subject, kind);
    item(dice, world, subject, &of, updates, 2)
}

// A record of a collection, with some in its relations as long as there is depth.
fn item(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    of: &Collection,
    updates: bool,
    depth: usize,
) -> Item {
    let (key, mut sent) = if updates {
        let key = some_key(dice, world, of);
        let sent = changes(dice, world, subject, of, &key);
        (Some(key), sent)
    } else {
        let (key, sent) = new_record(dice, world, subject, of);
        // A number that is counted up is not known to whoever foretells what comes of it.
        let known = key.is_none() && dice.percent(70);
        (if known { Some(new_key(dice, of)) } else { key }, sent)
    };
    let inner = match depth {
        0 => vec![],
        _ => inner(
            dice,
            world,
            subject,
            of,
            key.as_deref().filter(|_| updates),
            depth - 1,
        ),
    };
    for (name, _) in &inner {
        sent.remove(name);
    }
    sent.remove(&of.key);
    let what = match key {
        Some(key) if updates => What::Update { key, sent, inner },
        key => What::Create { key, sent, inner },
    };
    Item {
        collection: of.name.clone(),
        what,
        condition: Condition::None,
    }
}

fn inner(
    dice: &mut Dice,
    world: &World,
    subject: &Subject,
    of: &Collection,
    parent: Option<&str>,
    depth: usize,
) -> Vec<(String, Inner)> {
    let mut found: Vec<(String, Inner)> = vec![];
    let deeper = |dice: &mut Dice| if dice.percent(25) { depth } else { 0 };
    let links: Vec<_> = of.fields.iter().filter(|it| it.to.is_some()).collect();
    let wanted = if of.relations.is_empty() || dice.percent(35) {
        0
    } else {
        dice.between(1, 2)
    };
    if wanted == 0 && !links.is_empty() {
        let field = *dice.pick(&links);
        let to = field.to.as_ref().expect("it is a link");
        let target = world.collection(&to.collection.to_string());
        if target.name != USERS || dice.percent(10) {
            let depth = deeper(dice);
            let updates = dice.percent(45);
            let item = item(dice, world, subject, &target, updates, depth);
            found.push((field.name.clone(), Inner::One(Box::new(item))));
        }
    }
    for _ in 0..wanted {
        let relation = dice.pick(&of.relations);
        let target = world.collection(&relation.target.to_string());
        if found.iter().any(|(name, _)| *name == relation.name)
            || target.name == USERS && dice.percent(80)
        {
            continue;
        }
        let own: Vec<String> = parent
            .and_then(|key| world.record(&of.name, key))
            .map(|record| {
                let related = world.related(of, record, relation);
                let keys = related.iter().map(|(record, _)| &record[&target.key]);
                keys.map(crate::naive::schema::key_text).collect()
            })
            .unwrap_or_default();
        let mut members = Members::default();
        for _ in 0..dice.between(1, 2) {
            let depth = deeper(dice);
            let through = matches!(relation.via, RelationVia::Through { .. });
            let one = |dice: &mut Dice| {
                if own.is_empty() || dice.percent(12) {
                    some_key(dice, world, &target)
                } else {
                    dice.pick(&own).clone()
                }
            };
            let old = parent.is_some() && (!through || dice.percent(5));
            match dice.below(if old { 100 } else { 45 }) {
                0..28 => {
                    let mut new = item(dice, world, subject, &target, false, depth);
                    untie(&mut new, relation);
                    members.create.push(new);
                }
                28..45 => members.link.push(some_key(dice, world, &target)),
                45..65 => {
                    let key = one(dice);
                    let mut sent = changes(dice, world, subject, &target, &key);
                    sent.remove(&target.key);
                    let inner = vec![];
                    let mut item = Item {
                        collection: target.name.clone(),
                        what: What::Update { key, sent, inner },
                        condition: Condition::None,
                    };
                    if dice.percent(80) {
                        untie(&mut item, relation);
                    }
                    members.update.push(item);
                }
                65..85 => members.unlink.push(one(dice)),
                _ => members.delete.push(one(dice)),
            }
        }
        found.push((relation.name.clone(), Inner::Many(members)));
    }
    found
}

// The field that ties it to the other is what the relation says.
fn untie(item: &mut Item, relation: &portreeve_policy::RelationDefinition) {
    if let RelationVia::Field(field) = &relation.via
        && let What::Create { sent, inner, .. } | What::Update { sent, inner, .. } = &mut item.what
    {
        sent.remove(field);
        inner.retain(|(name, _)| name != field);
    }
}

/// One field of one record, changed by somebody else in between.
pub fn meddling(dice: &mut Dice, world: &World, collection: &str, key: &str) -> Option<Request> {
    let of = world.collection(collection);
    world.record(collection, key)?;
    let fields: Vec<&String> = of
        .fields
        .iter()
        .filter(|field| field.name != of.key && field.to.is_none() && field.kept.is_none())
        .map(|field| &field.name)
        .collect();
    // A collection in between may have none.
    if fields.is_empty() {
        return None;
    }
    let field = (*dice.pick(&fields)).clone();
    let value = super::schema::some_content(dice, world, &of, &field);
    Some(Request::Update {
        collection: collection.into(),
        key: key.into(),
        sent: Record::from([(field, value)]),
    })
}
