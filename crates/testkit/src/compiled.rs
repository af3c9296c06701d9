//! The compiled engine asked the same questions as the referee, on the same worlds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use portreeve_model::{CollectionId, FieldId, OVERFLOW, Value};
use portreeve_policy::{
    Asker, Context, MemoryOutcome, MemoryStep, MemoryWorld, Problem, Record, RequestFacts, Snapshot,
};

use crate::naive::{Answer, Request, Subject, World};

/// A world's policy compiled and its records in memory.
pub fn load(world: &World) -> Result<MemoryWorld, Vec<Problem>> {
    let snapshot = Arc::new(Snapshot::compile(&world.document, 1)?);
    Ok(populate(world, snapshot))
}

/// A world's records under a snapshot.
pub fn populate(world: &World, snapshot: Arc<Snapshot>) -> MemoryWorld {
    let mut memory = MemoryWorld::new(Arc::clone(&snapshot));
    let mut insert = |name: &str, records: &BTreeMap<String, BTreeMap<String, Value>>| {
        let Some(collection) = snapshot.catalog().find_text(name) else {
            return;
        };
        for record in records.values() {
            let values = collection
                .fields
                .iter()
                .map(|field| record.get(&*field.name).cloned().unwrap_or(Value::Null))
                .collect();
            memory.insert(collection.id, Record(values));
        }
    };
    insert("users", &world.users);
    for (name, records) in &world.records {
        insert(name, records);
    }
    memory
}

/// A subject as the engine knows it.
pub fn asker(memory: &MemoryWorld, world: &World, subject: &Subject) -> Asker {
    let snapshot = memory.snapshot();
    let roles = match &subject.user {
        Some(_) => snapshot.admit(&subject.bindings, subject.now).roles,
        None => snapshot.admit_anonymous(),
    };
    let user = subject
        .user
        .as_ref()
        .and_then(|id| world.users.get(id))
        .map(|row| {
            Arc::new(
                row.iter()
                    .map(|(name, value)| (Arc::from(name.as_str()), value.clone()))
                    .collect(),
            )
        });
    let text = |name: &str| {
        subject
            .request
            .get(name)
            .map(|value| Arc::from(value.as_str()))
    };
    let context = Context {
        user,
        roles: Arc::clone(roles.keys()),
        now: subject.now,
        request: RequestFacts {
            ip: subject
                .request
                .get("ip")
                .and_then(|ip| ip.parse::<IpAddr>().ok()),
            method: text("method"),
            face: text("face"),
            operation: text("operation"),
            id: None,
        },
        claims: Arc::new(subject.claims.clone()),
    };
    let roles_named = subject.narrowed_to.iter();
    let narrowing = roles_named
        .map(|roles| snapshot.narrowing(roles).expect("the world's own roles"))
        .chain(subject.scope.iter().map(|scope| snapshot.scope(scope)))
        .collect();
    Asker {
        roles,
        narrowing,
        context,
    }
}

fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// The engine's answer.
pub fn answer(memory: &mut MemoryWorld, asker: &Asker, request: &Request) -> Answer {
    let (Request::Read { collection, .. }
    | Request::List { collection, .. }
    | Request::Create { collection, .. }
    | Request::Update { collection, .. }
    | Request::Delete { collection, .. }) = request;
    let Some(declared) = memory.catalog().find_text(collection).cloned() else {
        return Answer::NotFound;
    };
    let id = declared.id;
    let key_of = |key: &str| Value::from_text(declared.key_field().ty, key).ok();
    // Undeclared fields that are hidden are not there, and so are those that are none.
    let overflow = declared.overflow();
    let named = |seen: Vec<(FieldId, Value)>| {
        seen.into_iter()
            .filter(|(field, value)| Some(*field) != overflow || !value.is_null())
            .map(|(field, value)| (declared.field(field).name.to_string(), value))
            .collect()
    };
    match request {
        Request::Read { key, .. } => match key_of(key).and_then(|key| memory.read(asker, id, &key))
        {
            Some(seen) => Answer::Shown(named(seen)),
            None => Answer::NotFound,
        },
        Request::List { filter, .. } => {
            if !memory
                .rights(asker, id, portreeve_policy::READ_MANY)
                .allows_something()
            {
                return if memory.knows(asker, id) {
                    Answer::Forbidden
                } else {
                    Answer::NotFound
                };
            }
            match memory.list(asker, id, filter.as_ref()) {
                Ok(listed) => Answer::Listed(
                    listed
                        .into_iter()
                        .map(|(key, seen)| (key_text(&key), named(seen)))
                        .collect(),
                ),
                Err(_) => Answer::Invalid,
            }
        }
        Request::Create { key, sent, .. } => {
            let mut fields = fields_of(memory, id, sent);
            if let Some(key) = key {
                let Some(key) = key_of(key) else {
                    return Answer::Invalid;
                };
                fields.push((declared.key, key));
            }
            known(
                sent,
                &declared,
                written(memory.create(asker, id, fields), &declared),
            )
        }
        Request::Update { key, sent, .. } => {
            let Some(key) = key_of(key) else {
                return Answer::NotFound;
            };
            let fields = fields_of(memory, id, sent);
            let unknown = fields.len() < sent.len();
            if unknown
                && !declared.system
                && memory
                    .rights(asker, id, portreeve_policy::UPDATE_ONE)
                    .allows_something()
            {
                return Answer::Invalid;
            }
            known(
                sent,
                &declared,
                written(memory.update(asker, id, &key, fields), &declared),
            )
        }
        Request::Delete { key, .. } => {
            let Some(key) = key_of(key) else {
                return Answer::NotFound;
            };
            written(memory.delete(asker, id, &key), &declared)
        }
    }
}

/// The engine's answers to creations, updates and deletions that happen together, or the one that ends all of them.
pub fn change(
    memory: &mut MemoryWorld,
    asker: &Asker,
    requests: &[Request],
) -> Result<Vec<Answer>, Answer> {
    let (mut steps, mut declared) = (vec![], vec![]);
    for request in requests {
        let (Request::Create { collection, .. }
        | Request::Update { collection, .. }
        | Request::Delete { collection, .. }
        | Request::Read { collection, .. }
        | Request::List { collection, .. }) = request;
        let of = memory.catalog().find_text(collection).cloned();
        let of = of.ok_or(Answer::NotFound)?;
        let key_of = |key: &str| Value::from_text(of.key_field().ty, key).ok();
        // A name that is no field never reaches the engine: whoever decodes the request refuses it.
        let fields = |sent: &BTreeMap<String, Value>| {
            let fields = fields_of(memory, of.id, sent);
            if fields.len() < sent.len() {
                return Err(Answer::Invalid);
            }
            Ok(fields)
        };
        steps.push(match request {
            Request::Create { key, sent, .. } => {
                let mut fields = fields(sent)?;
                if let Some(key) = key {
                    fields.push((of.key, key_of(key).ok_or(Answer::Invalid)?));
                }
                MemoryStep::Create(of.id, fields)
            }
            Request::Update { key, sent, .. } => {
                MemoryStep::Update(of.id, key_of(key).ok_or(Answer::NotFound)?, fields(sent)?)
            }
            Request::Delete { key, .. } => {
                MemoryStep::Delete(of.id, key_of(key).ok_or(Answer::NotFound)?)
            }
            Request::Read { .. } | Request::List { .. } => return Err(Answer::Invalid),
        });
        declared.push(of);
    }
    match memory.change(asker, steps) {
        Err((place, outcome)) => Err(written(outcome, &declared[place])),
        Ok(outcomes) => Ok(outcomes
            .into_iter()
            .zip(&declared)
            .map(|(outcome, declared)| written(outcome, declared))
            .collect()),
    }
}

// A name that is no field never reaches the engine: whoever decodes the request refuses it.
fn known(
    sent: &BTreeMap<String, Value>,
    declared: &portreeve_model::Collection,
    answer: Answer,
) -> Answer {
    let unknown = sent
        .keys()
        .any(|name| field_named(declared, name).is_none());
    match answer {
        Answer::Stored { .. } if unknown => Answer::Invalid,
        answer => answer,
    }
}

// Undeclared fields go by the name of what they are kept in.
fn field_named(collection: &portreeve_model::Collection, name: &str) -> Option<FieldId> {
    match name {
        OVERFLOW => collection.overflow(),
        name => collection.find_field(name),
    }
}

/// Sent fields by id, without those that are none.
pub fn fields_of(
    memory: &MemoryWorld,
    id: CollectionId,
    sent: &BTreeMap<String, Value>,
) -> Vec<(FieldId, Value)> {
    let collection = memory.catalog().get(id);
    sent.iter()
        .filter_map(|(name, value)| Some((field_named(collection, name)?, value.clone())))
        .collect()
}

fn written(outcome: MemoryOutcome, declared: &portreeve_model::Collection) -> Answer {
    match outcome {
        MemoryOutcome::Stored(record) => {
            let key = key_text(record.get(declared.key));
            let record = declared
                .field_ids()
                .map(|field| {
                    (
                        declared.field(field).name.to_string(),
                        record.get(field).clone(),
                    )
                })
                .filter(|(_, value)| !value.is_null())
                .collect();
            Answer::Stored { key, record }
        }
        MemoryOutcome::Deleted => Answer::Deleted,
        MemoryOutcome::NotFound => Answer::NotFound,
        MemoryOutcome::Forbidden => Answer::Forbidden,
        MemoryOutcome::Invalid(_) => Answer::Invalid,
    }
}
