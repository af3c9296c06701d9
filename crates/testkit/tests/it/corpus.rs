//! The policy corpus through gate and store. That the engine in memory meets every expectation is tested beside it;
//! here the store must answer as it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portreeve_gate::{Caller, CredentialFacts};
use portreeve_model::{CollectionId, Value};
use portreeve_policy::cells::{
    ActionTable, At, On as WireOn, Rest, Said, Says, Standing, cells, statements, write_cells,
};
use portreeve_policy::{
    ActionId, Ask, Asker, BoundTo, Document, Effect, MemoryWorld, RoleDefinition, Snapshot,
    TestCase, pattern_covers, prepare, read_fields, run_tests,
};
use portreeve_testkit::naive::{Answer, Record, Request, World};
use portreeve_testkit::stored::{On, StoredWorld};
use portreeve_testkit::{compiled, faces, stats};

#[test]
fn corpus_on_sqlite() {
    corpus(On::Sqlite);
}

#[test]
fn corpus_on_postgresql() {
    corpus(On::Postgres);
}

fn corpus(on: On) {
    let (mut cases, mut asked, mut failures) = (0, 0, vec![]);
    crate::block_on(async {
        for document in documents() {
            let snapshot = Arc::new(compiled_of(&document));
            for test in &document.tests {
                cases += 1;
                asked += case(on, &document, &snapshot, test, &mut failures).await;
            }
        }
    });
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    stats::count("corpus", on.name(), cases);
    stats::note(&format!(
        "corpus on {}: {cases} cases, {asked} expectations as in memory",
        on.name()
    ));
}

#[test]
fn corpus_through_faces_in_memory() {
    let mut cases = 0;
    for table in faces::tables() {
        let mut written = 0;
        for document in documents() {
            let (document, roles) = through(&table, &document);
            let concerned = Document {
                tests: concerning(&document, &roles),
                ..document
            };
            let report = run_tests(&concerned, &Arc::new(compiled_of(&concerned)));
            let failures: Vec<String> = report
                .failures
                .iter()
                .map(|one| format!("{}: {}: {}", one.place, one.test, one.message))
                .collect();
            assert!(
                failures.is_empty(),
                "{}\n{}",
                table.face(),
                failures.join("\n")
            );
            written += roles.len();
            cases += report.tests as u64;
        }
        assert!(written > 10, "{written} roles through {}", table.face());
        stats::note(&format!(
            "corpus through faces: {written} roles written as {} does it",
            table.face()
        ));
    }
    stats::count("corpus through faces", "memory", cases);
}

#[test]
fn corpus_through_faces_on_sqlite() {
    corpus_through_faces(On::Sqlite);
}

#[test]
fn corpus_through_faces_on_postgresql() {
    corpus_through_faces(On::Postgres);
}

fn corpus_through_faces(on: On) {
    let (mut cases, mut failures) = (0, vec![]);
    // A database each is what takes its time there.
    let one_in = if on == On::Postgres { 12 } else { 1 };
    let mut number = 0_u64;
    crate::block_on(async {
        for table in faces::tables() {
            for document in documents() {
                let (document, roles) = through(&table, &document);
                let snapshot = Arc::new(compiled_of(&document));
                for test in concerning(&document, &roles) {
                    number += 1;
                    if !number.is_multiple_of(one_in) {
                        continue;
                    }
                    cases += 1;
                    case(on, &document, &snapshot, &test, &mut failures).await;
                }
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    stats::count("corpus through faces", on.name(), cases);
}

// The corpus, and the example.
fn documents() -> Vec<Document> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/school/access.yaml"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_name().expect("a file").to_string_lossy();
        let text = std::fs::read_to_string(file).expect("readable");
        Document::read(&name, &text).unwrap_or_else(|problems| panic!("{}", problems[0]))
    };
    files.iter().map(read).collect()
}

fn compiled_of(document: &Document) -> Snapshot {
    Snapshot::compile(document, 1).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

// The document with every role that the face can say written anew, from nothing, as the face says it; and which.
fn through(table: &ActionTable, document: &Document) -> (Document, BTreeSet<String>) {
    let snapshot = compiled_of(document);
    let collections: Vec<CollectionId> = snapshot
        .catalog()
        .iter()
        .filter(|collection| !collection.system)
        .map(|collection| collection.id)
        .collect();
    let (mut document, mut written) = (document.clone(), BTreeSet::new());
    for role in &mut document.roles {
        let shown = cells(role, table, &snapshot, &collections);
        let whole = table.face() == "directus";
        if role.permissions.is_empty()
            || role.administrator
            || role.implicit_allow
            || !whole && shown.more
            || !is_said(role, table, &snapshot)
        {
            continue;
        }
        let said: Vec<Said> = shown
            .standing
            .iter()
            .map(|(cell, standing)| Said {
                action: table.name(cell.action).into(),
                collection: match (cell.at, table.on(cell.action)) {
                    (At::Collection(id), WireOn::Records) => {
                        Some(snapshot.catalog().get(id).name.clone())
                    }
                    _ => None,
                },
                says: match standing {
                    _ if whole => Says::Statements(statements(role, table, &snapshot, *cell)),
                    Standing::Denied => Says::No,
                    _ => Says::Yes,
                },
            })
            .collect();
        let nothing = RoleDefinition {
            permissions: vec![],
            ..role.clone()
        };
        let new = write_cells(&nothing, table, &snapshot, &collections, &said, Rest::Off);
        let new = new.unwrap_or_else(|problem| panic!("{}: {problem}", role.key));
        written.insert(role.key.clone());
        *role = new.role;
    }
    (document, written)
}

// Whether the face has cells for all that the role speaks of.
fn is_said(role: &RoleDefinition, table: &ActionTable, snapshot: &Snapshot) -> bool {
    let actions = snapshot.actions();
    let has_cell = |action: &ActionId| {
        let mut all = table.names();
        all.any(|name| table.needs(name).contains(action))
    };
    role.permissions.iter().all(|one| {
        let system = |name: &String| {
            let found = snapshot.catalog().find_text(name);
            found.is_some_and(|found| found.system)
        };
        let left_out = |action: &ActionId| {
            let name = actions.name(*action);
            one.except.iter().any(|word| pattern_covers(word, name))
        };
        one.via.is_none()
            && (one.effect == Effect::Allow || table.face() == "directus")
            && !one.on.iter().any(system)
            && one.actions.iter().all(|word| {
                let covered = actions.covered(word);
                covered
                    .iter()
                    .filter(|action| !left_out(action))
                    .all(has_cell)
            })
    })
}

// The tests whose subject holds one of these roles.
fn concerning(document: &Document, roles: &BTreeSet<String>) -> Vec<TestCase> {
    let in_profile = |key: &String| {
        let mut profiles = document.profiles.iter();
        profiles.any(|profile| {
            profile.key == *key && profile.roles.iter().any(|role| roles.contains(&role.role))
        })
    };
    let holds = |test: &&TestCase| {
        let mut bindings = test.subject.bindings.iter();
        let bound = bindings.any(|binding| match &binding.to {
            BoundTo::Role(role) => roles.contains(role),
            BoundTo::Profile(profile) => in_profile(profile),
        });
        bound
            || roles.contains("everyone")
            || test.subject.user.is_none() && roles.contains("anonymous")
    };
    document.tests.iter().filter(holds).cloned().collect()
}

async fn case(
    on: On,
    document: &Document,
    snapshot: &Arc<Snapshot>,
    test: &TestCase,
    failures: &mut Vec<String>,
) -> usize {
    let (memory, asker) =
        prepare(snapshot, test).unwrap_or_else(|error| panic!("{}: {error}", test.name));
    let mut world = World {
        document: document.clone(),
        ..World::default()
    };
    for collection in snapshot.catalog().iter() {
        let name = collection.name.to_string();
        let mut records = BTreeMap::new();
        for record in memory.records(collection.id) {
            let record: Record = collection
                .field_ids()
                .map(|field| {
                    (
                        collection.field(field).name.to_string(),
                        record.get(field).clone(),
                    )
                })
                .filter(|(_, value)| !value.is_null())
                .collect();
            records.insert(key_text(&record[&*collection.key_field().name]), record);
        }
        if name == "users" {
            world.users = records;
        } else if !collection.system {
            world.records.insert(name, records);
        }
    }
    let mut asked = 0;
    let mut kept: Option<StoredWorld> = None;
    for expectation in &test.expect {
        if let Ask::Change(parts) = &expectation.ask {
            asked += 1;
            let stored = StoredWorld::new(on, &world, asker.context.now).await;
            let mut memory = compiled::populate(&stored.world, Arc::clone(snapshot));
            let parts: Option<Vec<Request>> =
                parts.iter().map(|part| request(&memory, part)).collect();
            let Some(parts) = parts else { continue };
            let expected = compiled::change(&mut memory, &asker, &parts);
            let before = stored.store.system().digest(false).await.expect("a digest");
            let found = stored.change(&caller(&stored, test, &asker), &parts).await;
            let after = stored.store.system().digest(false).await.expect("a digest");
            let alike = match (&expected, &found) {
                (Ok(expected), Ok(found)) => expected
                    .iter()
                    .zip(found)
                    .all(|(one, other)| same(one, other)),
                (Err(expected), Err(found)) => same(expected, found) && before == after,
                _ => false,
            };
            if !alike {
                failures.push(format!(
                    "{}: {}: memory {expected:?}, store {found:?}",
                    expectation.place, test.name
                ));
            }
            continue;
        }
        let Some(request) = request(&memory, &expectation.ask) else {
            continue;
        };
        asked += 1;
        // Each expectation starts from the given records: what only read, or was refused, has left them as they are.
        let stored = match kept.take() {
            Some(stored) => stored,
            None => StoredWorld::new(on, &world, asker.context.now).await,
        };
        let mut memory = compiled::populate(&stored.world, Arc::clone(snapshot));
        let expected = compiled::answer(&mut memory, &asker, &request);
        let found = stored
            .answer(&caller(&stored, test, &asker), &request)
            .await;
        if !matches!(found, Answer::Stored { .. } | Answer::Deleted) {
            kept = Some(stored);
        }
        if !same(&expected, &found) {
            failures.push(format!(
                "{}: {}: memory {expected:?}, store {found:?}",
                expectation.place, test.name
            ));
        }
    }
    asked
}

fn caller(stored: &StoredWorld, test: &TestCase, asker: &Asker) -> Caller {
    let context = &asker.context;
    let caller = match &test.subject.user {
        None => stored.gate.anonymous(context.now, context.request.clone()),
        Some(user) => {
            let facts = CredentialFacts {
                user: Arc::from(user.as_str()),
                attributes: context.user.clone().unwrap_or_default(),
                bindings: test.subject.bindings.clone(),
                epoch: 0,
            };
            stored
                .gate
                .admit(&facts, context.now, context.request.clone())
        }
    };
    let caller = stored
        .gate
        .with_claims(&caller, test.subject.claims.clone());
    let caller = match &test.subject.narrowed_to {
        None => caller,
        Some(roles) => stored
            .gate
            .narrow(&caller, roles)
            .expect("roles of the document"),
    };
    match &test.subject.scope {
        None => caller,
        Some(scope) => stored.gate.narrow_to(&caller, scope),
    }
}

fn request(memory: &MemoryWorld, ask: &Ask) -> Option<Request> {
    let fields = |collection: &str, send| -> Option<Record> {
        let declared = memory.catalog().find_text(collection)?;
        // What cannot be read as a value is refused long before rights are asked.
        let fields = read_fields(memory.snapshot(), declared.id, send).ok()?;
        Some(
            fields
                .into_iter()
                .map(|(field, value)| (declared.field(field).name.to_string(), value))
                .collect(),
        )
    };
    // A store holds roles and bindings of its own, which no test gives.
    if let Ask::Read { collection, .. } | Ask::List { collection, .. } = ask {
        let declared = memory.catalog().find_text(collection)?;
        if declared.system && collection != "users" {
            return None;
        }
    }
    Some(match ask {
        Ask::Read { collection, key } => Request::Read {
            collection: collection.clone(),
            key: key.clone(),
        },
        Ask::List { collection, filter } => Request::List {
            collection: collection.clone(),
            filter: filter.clone(),
        },
        Ask::Create { collection, send } => Request::Create {
            collection: collection.clone(),
            key: None,
            sent: fields(collection, send)?,
        },
        Ask::Update {
            collection,
            key,
            send,
        } => Request::Update {
            collection: collection.clone(),
            key: key.clone(),
            sent: fields(collection, send)?,
        },
        Ask::Delete { collection, key } => Request::Delete {
            collection: collection.clone(),
            key: key.clone(),
        },
        // No record is touched: nothing a store could do differently.
        Ask::Can { .. } | Ask::Change(_) => return None,
    })
}

fn same(expected: &Answer, found: &Answer) -> bool {
    match (expected, found) {
        (Answer::Forbidden | Answer::Invalid, Answer::Forbidden | Answer::Invalid) => true,
        // Keys that are made, by counting or at random, differ.
        (Answer::Stored { key: expected, .. }, Answer::Stored { key: found, .. })
            if expected != found =>
        {
            true
        }
        _ => expected == found,
    }
}

fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
