//! Runs the tests that stand beside the rules, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_model::{CollectionId, FieldId, Value};
use serde_json::{Map, Value as Json};

use crate::{
    Ask, Asker, Context, Document, Expectation, ExpectedVerdict, MemoryOutcome, MemoryStep,
    MemoryWorld, Place, Record, RequestFacts, Seen, Snapshot, TestCase,
};

/// An expectation that was not met, or a test that could not be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// Where the expectation stands.
    pub place: Place,
    /// The test's name.
    pub test: String,
    /// What was expected and what came out.
    pub message: String,
}

/// What running the tests of a document showed.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// Tests run.
    pub tests: usize,
    /// Expectations met.
    pub passed: usize,
    /// Those that were not.
    pub failures: Vec<TestFailure>,
}

/// Runs all tests of a document against its own rules.
pub fn run_tests(document: &Document, snapshot: &Arc<Snapshot>) -> TestReport {
    let mut report = TestReport::default();
    for test in &document.tests {
        report.tests += 1;
        match prepare(snapshot, test) {
            Err(message) => {
                report.failures.push(TestFailure {
                    place: test.place.clone(),
                    test: test.name.clone(),
                    message,
                });
            }
            Ok((world, asker)) => {
                for expectation in &test.expect {
                    // Each expectation starts from the given records.
                    match meets(&mut world.clone(), &asker, expectation) {
                        Ok(()) => report.passed += 1,
                        Err(message) => report.failures.push(TestFailure {
                            place: expectation.place.clone(),
                            test: test.name.clone(),
                            message,
                        }),
                    }
                }
            }
        }
    }
    report
}

/// The records and the asker a test describes.
pub fn prepare(snapshot: &Arc<Snapshot>, test: &TestCase) -> Result<(MemoryWorld, Asker), String> {
    let mut world = MemoryWorld::new(Arc::clone(snapshot));
    let users = find(snapshot, "users")?;
    let mut known: Vec<String> = vec![];
    for (name, records) in &test.given {
        let id = find(snapshot, name)?;
        for record in records {
            let record = if id == users {
                let user = text_of(record.get("id")).ok_or("a given user needs an 'id'")?;
                known.push(user.clone());
                user_record(snapshot, &user, known.len(), record)?
            } else {
                read_record(snapshot, id, record)?
            };
            world.insert(id, record);
        }
    }
    let mut user_row = None;
    if let Some(user) = &test.subject.user {
        let key = Value::Text(user.clone());
        let mut record = match world.get(users, &key) {
            Some(record) => (*record).clone(),
            None => user_record(snapshot, user, known.len() + 1, &Map::new())?,
        };
        fill(snapshot, users, &test.subject.attributes, &mut record)?;
        if world.get(users, &key).is_none() {
            world.insert(users, record.clone());
        }
        user_row = Some(attributes(snapshot, &record));
    }
    let now = test.at.unwrap_or(DEFAULT_NOW);
    let roles = match &test.subject.user {
        Some(_) => {
            for binding in &test.subject.bindings {
                check_binding(snapshot, binding)?;
            }
            snapshot.admit(&test.subject.bindings, now).roles
        }
        None => snapshot.admit_anonymous(),
    };
    let mut narrowing = vec![];
    if let Some(keys) = &test.subject.narrowed_to {
        let roles = snapshot.narrowing(keys);
        narrowing.push(roles.ok_or("narrowed_to names a role that does not exist")?);
    }
    if let Some(scope) = &test.subject.scope {
        let checked = snapshot.check_scope(scope);
        checked.map_err(|problems| format!("narrowed_to: {}", problems[0].message))?;
        narrowing.push(snapshot.scope(scope));
    }
    let context = Context {
        user: user_row.map(Arc::new),
        roles: Arc::clone(roles.keys()),
        now,
        request: request_facts(&test.subject.request)?,
        claims: Arc::new(test.subject.claims.clone()),
    };
    Ok((
        world,
        Asker {
            roles,
            narrowing,
            context,
        },
    ))
}

/// The time of a test that names none: 2026-01-01T00:00:00Z.
pub const DEFAULT_NOW: i64 = 1_767_225_600 * portreeve_model::MICROS;

fn check_binding(snapshot: &Snapshot, binding: &crate::Binding) -> Result<(), String> {
    match &binding.to {
        crate::BoundTo::Role(role) if snapshot.is_administrator(role).is_none() => {
            let keys: Vec<&str> = snapshot.role_keys().map(|key| &**key).collect();
            Err(format!(
                "there is no role '{role}'{}",
                crate::suggestion(role, keys.iter().copied())
            ))
        }
        crate::BoundTo::Profile(profile)
            if snapshot.profile_has_administrator(profile).is_none() =>
        {
            let keys: Vec<&str> = snapshot.profile_keys().map(String::as_str).collect();
            Err(format!(
                "there is no profile '{profile}'{}",
                crate::suggestion(profile, keys.iter().copied())
            ))
        }
        _ => Ok(()),
    }
}

fn request_facts(given: &[(String, String)]) -> Result<RequestFacts, String> {
    let mut facts = RequestFacts::default();
    for (name, value) in given {
        match name.as_str() {
            "ip" => {
                facts.ip = Some(
                    value
                        .parse()
                        .map_err(|_| format!("'{value}' is no address"))?,
                )
            }
            "method" => facts.method = Some(Arc::from(value.as_str())),
            "face" => facts.face = Some(Arc::from(value.as_str())),
            "operation" => facts.operation = Some(Arc::from(value.as_str())),
            other => {
                return Err(format!(
                    "a request has no '{other}'; there is ip, method, face, operation"
                ));
            }
        }
    }
    Ok(facts)
}

/// The columns of a user's record, by name: what `$user` reads.
pub fn attributes(snapshot: &Snapshot, record: &Record) -> HashMap<Arc<str>, Value> {
    let users = snapshot.catalog().find_text("users");
    users.map_or_else(HashMap::new, |users| {
        users
            .field_ids()
            .map(|id| (Arc::clone(&users.field(id).name), record.get(id).clone()))
            .collect()
    })
}

fn find(snapshot: &Snapshot, name: &str) -> Result<CollectionId, String> {
    let found = snapshot
        .catalog()
        .find_text(name)
        .map(|collection| collection.id);
    found.ok_or_else(|| {
        let names: Vec<String> = snapshot
            .catalog()
            .iter()
            .map(|collection| collection.name.to_string())
            .collect();
        format!(
            "there is no collection '{name}'{}",
            crate::suggestion(name, names.iter().map(String::as_str))
        )
    })
}

fn text_of(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn user_record(
    snapshot: &Snapshot,
    id: &str,
    number: usize,
    given: &Map<String, Json>,
) -> Result<Record, String> {
    let users = find(snapshot, "users")?;
    let collection = snapshot.catalog().get(users);
    let mut record = Record(vec![Value::Null; collection.fields.len()]);
    let mut set = |name: &str, value: Value| {
        if let Some(field) = collection.find_field(name) {
            record.0[field.index()] = value;
        }
    };
    set("id", Value::from(id));
    set("key", Value::from(id));
    set("username", Value::from(id));
    set("number", Value::Integer(number as i64));
    set("status", Value::from("active"));
    set("confirmed", Value::Boolean(false));
    set("provider", Value::from("local"));
    set("created", Value::Integer(0));
    for field in &collection.fields {
        if let Some(portreeve_model::FieldDefault::Value(value)) = &field.default {
            set(&field.name, value.clone());
        }
    }
    fill(snapshot, users, given, &mut record)?;
    Ok(record)
}

/// A record from JSON values, each read by its field's type; what is not given is null (or the key's default).
pub fn read_record(
    snapshot: &Snapshot,
    id: CollectionId,
    given: &Map<String, Json>,
) -> Result<Record, String> {
    let collection = snapshot.catalog().get(id);
    let mut record = Record(vec![Value::Null; collection.fields.len()]);
    fill(snapshot, id, given, &mut record)?;
    record.compose_key(collection);
    if collection.is_list_only() {
        return Ok(record);
    }
    if record.get(collection.key).is_null() {
        return Err(format!(
            "a given record of '{}' needs its key '{}'",
            collection.name,
            key_names(collection)
        ));
    }
    Ok(record)
}

fn key_names(collection: &portreeve_model::Collection) -> String {
    let names = collection.key_parts().map_or_else(
        || vec![&*collection.key_field().name],
        |parts| {
            parts
                .iter()
                .map(|part| &*collection.field(*part).name)
                .collect()
        },
    );
    names.join("', '")
}

fn fill(
    snapshot: &Snapshot,
    id: CollectionId,
    given: &Map<String, Json>,
    record: &mut Record,
) -> Result<(), String> {
    let overflow = snapshot.catalog().get(id).overflow();
    for (field, mut value) in read_fields(snapshot, id, given)? {
        if overflow == Some(field) {
            value = portreeve_model::merged(&Value::Null, &value)
                .ok_or_else(portreeve_model::too_much)?;
        }
        record.0[field.index()] = value;
    }
    Ok(())
}

/// Fields by name, each value read by its field's type. A number is taken for a text key too.
pub fn read_fields(
    snapshot: &Snapshot,
    id: CollectionId,
    given: &Map<String, Json>,
) -> Result<Vec<(FieldId, Value)>, String> {
    let collection = snapshot.catalog().get(id);
    let (mut fields, mut undeclared) = (vec![], vec![]);
    for (name, json) in given {
        let Some(field) = collection.find_field(name) else {
            if collection.undeclared(name).is_none() {
                let fields = collection.named_fields();
                let names = fields.map(|field| &*collection.field(field).name);
                let hint = crate::suggestion(name, names);
                return Err(format!("'{}' has no field '{name}'{hint}", collection.name));
            }
            undeclared.push((name.as_str(), json));
            continue;
        };
        let value = Value::from_json(collection.field(field).ty, json)
            .map_err(|error| format!("{name}: {error}"))?;
        fields.push((field, value));
    }
    if let (Some(overflow), false) = (collection.overflow(), undeclared.is_empty()) {
        let value = portreeve_model::read_entries(undeclared.into_iter())
            .map_err(|(name, error)| format!("{name}: {error}"))?;
        fields.push((overflow, value));
    }
    Ok(fields)
}

fn key_of(world: &MemoryWorld, id: CollectionId, key: &str) -> Result<Value, String> {
    let key = world.catalog().get(id).parse_key(key);
    key.map_err(|error| format!("key: {error}"))
}

fn meets(world: &mut MemoryWorld, asker: &Asker, expectation: &Expectation) -> Result<(), String> {
    let snapshot = Arc::clone(world.snapshot());
    let (shown, outcome): (Option<(CollectionId, Seen)>, &str) = match &expectation.ask {
        Ask::Read { collection, key } => {
            let id = find(&snapshot, collection)?;
            let key = key_of(world, id, key)?;
            match world.read(asker, id, &key) {
                Some(seen) => (Some((id, seen)), "allow"),
                None => (None, "hidden"),
            }
        }
        Ask::List { collection, filter } => {
            let id = find(&snapshot, collection)?;
            return meets_list(world, asker, expectation, id, filter.as_ref());
        }
        Ask::Create { collection, send } => {
            let id = find(&snapshot, collection)?;
            let sent = sent_fields(&snapshot, id, send);
            written(
                id,
                sent.map_or_else(MemoryOutcome::Invalid, |sent| world.create(asker, id, sent)),
            )
        }
        Ask::Update {
            collection,
            key,
            send,
        } => {
            let id = find(&snapshot, collection)?;
            let key = key_of(world, id, key)?;
            let sent = sent_fields(&snapshot, id, send);
            written(
                id,
                sent.map_or_else(MemoryOutcome::Invalid, |sent| {
                    world.update(asker, id, &key, sent)
                }),
            )
        }
        Ask::Delete { collection, key } => {
            let id = find(&snapshot, collection)?;
            let key = key_of(world, id, key)?;
            written(id, world.delete(asker, id, &key))
        }
        Ask::Change(parts) => (None, changed(world, asker, parts)?),
        Ask::Can {
            action,
            collection,
            key,
        } => {
            let found = snapshot.actions().find(action);
            let action = found.ok_or_else(|| {
                format!(
                    "there is no action '{action}'{}",
                    crate::suggestion(action, snapshot.actions().patterns())
                )
            })?;
            let id = collection
                .as_deref()
                .map(|name| find(&snapshot, name))
                .transpose()?;
            let key = match (id, key) {
                (Some(id), Some(key)) => Some(key_of(world, id, key)?),
                _ => None,
            };
            let allowed = if action.is_record() {
                let id = id.ok_or("'on' is missing: which collection?")?;
                let rights = world.rights(asker, id, action);
                match &key {
                    None => rights.allows_something(),
                    Some(key) => world
                        .get(id, key)
                        .is_some_and(|record| match rights.reach() {
                            crate::Access::Never => false,
                            crate::Access::Always => true,
                            crate::Access::When(condition) => {
                                let subject = crate::Subject::read(&record);
                                crate::eval(condition, subject, &asker.context, world) == Some(true)
                            }
                        }),
                }
            } else {
                world.can(asker, action, id.map(|id| (id, key.as_ref())))
            };
            (None, if allowed { "allow" } else { "deny" })
        }
    };
    let met = match &expectation.verdict {
        ExpectedVerdict::Allow => outcome == "allow",
        ExpectedVerdict::Deny => outcome != "allow",
        ExpectedVerdict::Hidden => outcome == "hidden",
        ExpectedVerdict::Keys(_) => return Err("a list of keys is expected of 'list' only".into()),
    };
    if !met {
        return Err(format!(
            "expected {}, got {outcome}",
            verdict_word(&expectation.verdict)
        ));
    }
    if let (Some((id, seen)), true) = (&shown, outcome == "allow") {
        shows(world, *id, seen, expectation)?;
    }
    Ok(())
}

// The verdict on records that are written together.
fn changed(world: &mut MemoryWorld, asker: &Asker, parts: &[Ask]) -> Result<&'static str, String> {
    let snapshot = Arc::clone(world.snapshot());
    let mut steps = vec![];
    for part in parts {
        let step = match part {
            Ask::Create { collection, send } => {
                let id = find(&snapshot, collection)?;
                sent_fields(&snapshot, id, send).map(|sent| MemoryStep::Create(id, sent))
            }
            Ask::Update {
                collection,
                key,
                send,
            } => {
                let id = find(&snapshot, collection)?;
                let key = key_of(world, id, key)?;
                sent_fields(&snapshot, id, send).map(|sent| MemoryStep::Update(id, key, sent))
            }
            Ask::Delete { collection, key } => {
                let id = find(&snapshot, collection)?;
                Ok(MemoryStep::Delete(id, key_of(world, id, key)?))
            }
            _ => return Err("a change is made of create, update and delete".into()),
        };
        match step {
            Ok(step) => steps.push(step),
            Err(_) => return Ok("deny"),
        }
    }
    Ok(match world.change(asker, steps) {
        Ok(_) => "allow",
        Err((_, MemoryOutcome::NotFound)) => "hidden",
        Err(_) => "deny",
    })
}

fn sent_fields(
    snapshot: &Snapshot,
    id: CollectionId,
    send: &Map<String, Json>,
) -> Result<Vec<(FieldId, Value)>, String> {
    read_fields(snapshot, id, send)
}

fn verdict_word(verdict: &ExpectedVerdict) -> &'static str {
    match verdict {
        ExpectedVerdict::Allow => "allow",
        ExpectedVerdict::Deny => "deny",
        ExpectedVerdict::Hidden => "hidden",
        ExpectedVerdict::Keys(_) => "keys",
    }
}

fn written(
    id: CollectionId,
    outcome: MemoryOutcome,
) -> (Option<(CollectionId, Seen)>, &'static str) {
    match outcome {
        MemoryOutcome::Stored(record) => {
            let seen = record
                .0
                .into_iter()
                .enumerate()
                .map(|(place, value)| (FieldId::at(place), value))
                .collect();
            (Some((id, seen)), "allow")
        }
        MemoryOutcome::Deleted => (None, "allow"),
        MemoryOutcome::NotFound => (None, "hidden"),
        MemoryOutcome::Forbidden => (None, "deny"),
        MemoryOutcome::Invalid(_) => (None, "invalid"),
    }
}

fn meets_list(
    world: &MemoryWorld,
    asker: &Asker,
    expectation: &Expectation,
    id: CollectionId,
    filter: Option<&portreeve_model::Rule>,
) -> Result<(), String> {
    let listed = world.list(asker, id, filter);
    let collection = world.catalog().get(id);
    match (&expectation.verdict, listed) {
        (ExpectedVerdict::Keys(expected), Ok(listed)) => {
            let ty = collection.key_field().ty;
            let keys: Vec<String> = listed
                .iter()
                .map(|(key, _)| match key.to_json(ty) {
                    Json::String(text) => text,
                    other => other.to_string(),
                })
                .collect();
            let mut expected = expected.clone();
            let mut found = keys.clone();
            expected.sort();
            found.sort();
            if expected != found {
                return Err(format!(
                    "expected the keys [{}], got [{}]",
                    expected.join(", "),
                    keys.join(", ")
                ));
            }
            if let Some((_, seen)) = listed.first() {
                shows(world, id, seen, expectation)?;
            }
            Ok(())
        }
        (ExpectedVerdict::Deny | ExpectedVerdict::Hidden, Err(_)) => Ok(()),
        (ExpectedVerdict::Deny | ExpectedVerdict::Hidden, Ok(_))
            if !world.rights(asker, id, crate::READ_MANY).allows_something() =>
        {
            Ok(())
        }
        (ExpectedVerdict::Allow, Ok(_))
            if world.rights(asker, id, crate::READ_MANY).allows_something() =>
        {
            Ok(())
        }
        (verdict, Err(error)) => Err(format!(
            "expected {}, got: {}",
            verdict_word(verdict),
            error.0
        )),
        (verdict, Ok(listed)) => Err(format!(
            "expected {}, got {} records",
            verdict_word(verdict),
            listed.len()
        )),
    }
}

fn shows(
    world: &MemoryWorld,
    id: CollectionId,
    seen: &Seen,
    expectation: &Expectation,
) -> Result<(), String> {
    let collection = world.catalog().get(id);
    // An undeclared field is there where the record has one.
    let undeclared = seen.iter().find_map(|(field, value)| {
        let held = collection.overflow() == Some(*field) && !value.is_null();
        held.then(|| value.to_json(portreeve_model::FieldType::Overflow))
    });
    let entry = |name: &str| {
        let entries = undeclared
            .as_ref()
            .filter(|_| collection.undeclared(name).is_some());
        entries.and_then(|entries| entries.get(name))
    };
    let declared = |name: &str| {
        let named = collection.find_field(name);
        seen.iter().find(|(field, _)| named == Some(*field))
    };
    for name in &expectation.hides {
        if declared(name).is_some() || entry(name).is_some() {
            return Err(format!(
                "'{name}' should not exist for this caller, and does"
            ));
        }
    }
    for (name, expected) in expectation.shows.iter().flatten() {
        let Some((field, value)) = declared(name) else {
            match entry(name) {
                None => return Err(format!("'{name}' should be shown, and is not")),
                Some(found) if found != expected => {
                    return Err(format!("'{name}' should be {expected}, and is {found}"));
                }
                Some(_) => continue,
            }
        };
        let ty = collection.field(*field).ty;
        let wanted = Value::from_json(ty, expected).map_err(|error| format!("{name}: {error}"))?;
        if wanted != *value {
            return Err(format!(
                "'{name}' should be {expected}, and is {}",
                value.to_json(ty)
            ));
        }
    }
    Ok(())
}
