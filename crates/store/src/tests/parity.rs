//! Invariant 4: a condition means the same in memory, on SQLite and on PostgreSQL. Random rows in related collections, random
//! conditions over every operator; each is evaluated in memory and as both of its lowerings, in every way it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portreeve_model::{Catalog, Collection, CollectionId, Condition, FieldId, FieldType, Value};
use portreeve_policy::{
    Context, Document, Facts, Record, RequestFacts, Subject, build_catalog, eval,
};
use portreeve_testkit::postgres::{Postgres, TestDatabase};
use proptest::prelude::{TestCaseError, any};
use proptest::prop_assert_eq;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::conditions::{CALLER, Choices, Maker};
use crate::StoreError;
use crate::postgres::connect::Address;
use crate::postgres::session::Session;
use crate::sql::binding::Binding;
use crate::sql::ddl;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::sql::lower::{Lowering, Role};
use crate::sql::write;
use crate::sqlite::session::Reading;
use crate::sqlite::writer::Shared;
use crate::work::{Connection, ready};

const COLLECTIONS: &str = "
collections:
  a:
    key: { id: integer }
    fields:
      t: text
      n: integer
      d: decimal(2)
      f: float
      b: boolean
      ts: timestamp
      dt: datetime
      u: uuid
      j: json
      up: { to: a }
      link: { to: b }
    relations:
      below: { many: a, by: up }
      between: { many: c, by: up }
      others: { many: b, through: c, from: up, to: link }
    indexes: [[n, t]]
  b:
    key: { id: text }
    fields:
      t: text
      n: integer
      ts: timestamp
      b: boolean
      up: { to: a }
      link: { to: b }
    relations:
      pointing: { many: a, by: link }
      between: { many: c, by: link }
      others: { many: a, through: c, from: link, to: up }
    overflow: true
  c:
    key: { id: integer }
    fields:
      t: text
      n: integer
      dt: datetime
      up: { to: a }
      link: { to: b }
";

fn context(choices: &mut Choices) -> Context {
    let types = [
        "text",
        "integer",
        "decimal(2)",
        "float",
        "boolean",
        "timestamp",
        "datetime",
        "uuid",
        "json",
    ];
    let user = types
        .iter()
        .map(|name| {
            (
                Arc::from(*name),
                choices.value(FieldType::parse(name).expect("a type")),
            )
        })
        .collect::<HashMap<Arc<str>, Value>>();
    let claims = serde_json::json!({
        "list": choices.pick(&[
            serde_json::json!(["a", "Ä", 5, null]),
            serde_json::json!([1, 2, 9_223_372_036_854_775_807_i64, -9_223_372_036_854_775_808_i64]),
            serde_json::json!("no list"),
            serde_json::json!(["\"'\\", "", "😀"]),
        ]),
        "empty": [],
        "object": { "value": choices.pick(&[serde_json::json!(1), serde_json::json!("a"), serde_json::json!(true), serde_json::json!(null)]) },
    });
    let serde_json::Value::Object(claims) = claims else {
        unreachable!()
    };
    Context {
        user: (!choices.one_in(4)).then(|| Arc::new(user)),
        roles: choices.pick(&[Arc::from([]), Arc::from([Arc::from("a"), Arc::from("b")])]),
        now: 1_795_341_600_000_000,
        request: RequestFacts {
            ip: "::1".parse().ok(),
            ..RequestFacts::default()
        },
        claims: Arc::new(claims),
    }
}

struct Memory(HashMap<CollectionId, Vec<Arc<Record>>>);

impl Facts for Memory {
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        self.0[&collection]
            .iter()
            .filter(|record| record.get(field) == value)
            .cloned()
            .collect()
    }
}

/// A database to ask, with the tables of the catalog.
enum Asked {
    Sqlite(rusqlite::Connection),
    Postgres {
        session: Box<Session>,
        runtime: Runtime,
        _database: TestDatabase,
    },
}

impl Asked {
    fn sqlite(catalog: &Catalog) -> Self {
        let connection = rusqlite::Connection::open_in_memory().expect("a database");
        crate::sqlite::open::settings(&connection).expect("the settings");
        let off = "PRAGMA foreign_keys = OFF";
        connection.execute_batch(off).expect("foreign keys off");
        for sql in tables(Dialect::Sqlite, catalog) {
            connection.execute_batch(&sql).expect("a table");
        }
        Self::Sqlite(connection)
    }

    fn postgres(catalog: &Catalog) -> Self {
        let database = Postgres::get().database();
        let runtime = Runtime::new().expect("a runtime");
        let session = runtime.block_on(async {
            let address = Address::parse(&database.url()).expect("an address");
            let pool = address.pool(2).expect("a pool");
            let session = Session::of(&pool).await.expect("a connection");
            // Foreign keys are triggers, and as a replica none of them fires.
            let mut setup =
                "SET session_replication_role = replica; SET statement_timeout = 0".to_owned();
            for sql in tables(Dialect::Postgres, catalog) {
                setup.push_str("; ");
                setup.push_str(&sql);
            }
            session
                .client()
                .batch_execute(&setup)
                .await
                .expect("the tables");
            session
        });
        Self::Postgres {
            session: Box::new(session),
            runtime,
            _database: database,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }

    fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).expect(sql),
            Self::Postgres {
                session, runtime, ..
            } => runtime
                .block_on(session.client().batch_execute(sql))
                .expect(sql),
        }
    }

    fn rows(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        types: &[FieldType],
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let reading = Reading {
                    connection,
                    shared: &Shared::default(),
                };
                ready(reading.rows(fragment, binding, types))
            }
            Self::Postgres {
                session, runtime, ..
            } => runtime.block_on(session.rows(fragment, binding, types)),
        }
    }
}

fn tables(dialect: Dialect, catalog: &Catalog) -> Vec<String> {
    let steps = ddl::plan(dialect, &Catalog::new(vec![]), catalog, &[], &[], 0).expect("a plan");
    steps
        .into_iter()
        .filter_map(|step| match step {
            // The accounts are there already, and nobody asks for them here, nor listens to changes.
            ddl::Step::Run(sql) if sql.contains("users") || sql.contains("TRIGGER") => None,
            ddl::Step::Run(sql) => Some(sql),
            _ => None,
        })
        .collect()
}

fn fill(database: &Asked, catalog: &Catalog, memory: &Memory, context: &Context) {
    for (id, records) in &memory.0 {
        let collection = catalog.get(*id);
        let fields: Vec<FieldId> = collection.field_ids().collect();
        let insert = write::insert(database.dialect(), collection, &fields);
        for record in records {
            let assigned: Vec<(FieldId, Value)> =
                fields.iter().copied().zip(record.0.clone()).collect();
            let binding = Binding {
                assigned: &assigned,
                ..Binding::new(context)
            };
            database.rows(&insert, &binding, &[]).expect("a row");
        }
    }
}

type Answer = Vec<(Value, bool, bool)>;

// The keys and two truths that a statement gives.
fn ask(
    database: &Asked,
    key: FieldType,
    fragment: &Fragment,
    binding: &Binding<'_>,
) -> Result<Answer, TestCaseError> {
    let types = [key, FieldType::Boolean, FieldType::Boolean];
    let rows = database
        .rows(fragment, binding, &types)
        .map_err(|error| TestCaseError::fail(format!("{error:?}: {}", fragment.sql)))?;
    let truth = |value: &Value| *value == Value::Boolean(true);
    Ok(rows
        .into_iter()
        .map(|row| (row[0].clone(), truth(&row[1]), truth(&row[2])))
        .collect())
}

static PAIRS: AtomicUsize = AtomicUsize::new(0);
// True, false, unknown.
static TRUTHS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn check(catalog: &Catalog, database: &Asked, list: Vec<u32>) -> Result<(), TestCaseError> {
    let mut choices = Choices::new(list);
    let context = context(&mut choices);
    let mut memory = Memory(HashMap::new());
    for (collection, count) in [("a", 4), ("b", 4), ("c", 6)] {
        let collection = catalog.find_text(collection).expect("a collection");
        memory
            .0
            .insert(collection.id, choices.rows(collection, count));
    }
    database.run("BEGIN");
    fill(database, catalog, &memory, &context);
    let mut result = Ok(());
    for _ in 0..6 {
        let on = catalog
            .find_text(choices.pick(&["a", "b", "c"]))
            .expect("a collection");
        // What is old belongs to the record that is written, wherever in the condition it is asked about.
        let check = choices.one_in(2) && &*on.name.to_string() == "a";
        let condition = Maker {
            choices: &mut choices,
            catalog,
            check,
        }
        .condition(on, 3);
        result =
            result.and_then(|()| compare(catalog, database, &context, &memory, on, &condition));
    }
    database.run("ROLLBACK");
    result
}

fn compare(
    catalog: &Catalog,
    database: &Asked,
    context: &Context,
    memory: &Memory,
    on: &Collection,
    condition: &Condition,
) -> Result<(), TestCaseError> {
    let caller: Vec<Value> = CALLER
        .iter()
        .map(|(_, number)| Value::Integer(*number))
        .collect();
    let sent = [FieldId(1)];
    let old = &memory.0[&on.id][0];
    let binding = Binding {
        caller: &caller,
        old: Some(old),
        ..Binding::new(context)
    };
    let records = &memory.0[&on.id];
    let truths: Vec<Option<bool>> = records
        .iter()
        .map(|record| {
            let subject = Subject {
                record,
                old: Some(old),
                sent: &sent,
                caller: &caller,
            };
            eval(condition, subject, context, memory)
        })
        .collect();
    let expected: Vec<(Value, bool, bool)> = records
        .iter()
        .zip(&truths)
        .map(|(record, truth)| {
            (
                record.get(on.key).clone(),
                *truth == Some(true),
                *truth == Some(false),
            )
        })
        .collect();
    PAIRS.fetch_add(truths.len(), Ordering::Relaxed);
    for truth in &truths {
        TRUTHS[truth.map_or(2, |truth| usize::from(!truth))].fetch_add(1, Ordering::Relaxed);
    }
    // As columns, the way masks and probes are asked, and masks of rows that are gone through.
    let key_type = on.key_field().ty;
    let new = || Lowering::new(database.dialect(), catalog, &sent);
    // Only SQLite is asked in this way.
    let walks = database.dialect() == Dialect::Sqlite;
    for mut lowering in [Some(new()), walks.then(|| new().walking())]
        .into_iter()
        .flatten()
    {
        let scope = lowering.scope(on);
        let is_true = lowering.is_true(condition, &scope, Role::Filters);
        let is_false = lowering.is_false(condition, &scope, Role::Filters);
        let key = scope.column(&lowering, on.key);
        let sql = format!(
            "SELECT {key}, {}, {} FROM {} ORDER BY {key}",
            is_true.text(),
            is_false.text(),
            lowering.tables(&scope)
        );
        let fragment = Fragment {
            sql,
            slots: lowering.into_slots(),
        };
        let found = ask(database, key_type, &fragment, &binding)?;
        prop_assert_eq!(&found, &expected, "{:#?}\n{}", condition, fragment.sql);
    }
    // As WHERE of a list, where indexes are looked for, and where rows are gone through.
    let ways = [(true, false), (false, false), (true, true), (false, true)];
    for (wanted, walks) in ways.into_iter().take(if walks { 4 } else { 2 }) {
        let mut lowering = if walks { new().walking() } else { new() };
        let scope = lowering.scope(on);
        let condition = if wanted {
            condition.clone()
        } else {
            Condition::Not(Box::new(condition.clone()))
        };
        let held = if walks {
            lowering.walked(&condition, &scope)
        } else {
            lowering.is_true(&condition, &scope, Role::Finds)
        };
        let key = scope.column(&lowering, on.key);
        let sql = format!(
            "SELECT {key}, TRUE, TRUE FROM {}{} ORDER BY {key}",
            lowering.tables(&scope),
            held.clause()
        );
        let fragment = Fragment {
            sql,
            slots: lowering.into_slots(),
        };
        let found: Vec<Value> = ask(database, key_type, &fragment, &binding)?
            .into_iter()
            .map(|(key, ..)| key)
            .collect();
        let expected: Vec<Value> = expected
            .iter()
            .filter(|(_, is_true, is_false)| if wanted { *is_true } else { *is_false })
            .map(|(key, ..)| key.clone())
            .collect();
        prop_assert_eq!(&found, &expected, "{:#?}\n{}", condition, fragment.sql);
    }
    Ok(())
}

fn means_the_same(open: impl Fn(&Catalog) -> Asked, name: &str) {
    let document = Document::read("parity", COLLECTIONS).expect("a document");
    let catalog = build_catalog(&document.collections).expect("a catalog");
    let database = open(&catalog);
    let cases = std::env::var("PORTREEVE_PARITY_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_500);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_096,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let strategy = proptest::collection::vec(any::<u32>(), 0..1_600);
    if let Err(error) = runner.run(&strategy, |list| check(&catalog, &database, list)) {
        panic!("{error}");
    }
    let pairs = PAIRS.load(Ordering::Relaxed);
    assert!(pairs >= 20_000 || cases < 1_500, "{pairs}");
    let [yes, no, unknown] = TRUTHS.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{pairs} pairs: {yes} true, {no} false, {unknown} unknown");
    // What is always the same shows nothing.
    assert!(
        yes.min(no).min(unknown) > pairs / 10,
        "{yes} true, {no} false, {unknown} unknown"
    );
    portreeve_testkit::stats::count("parity", name, pairs as u64);
}

#[test]
fn a_condition_means_the_same_in_memory_and_on_sqlite() {
    means_the_same(Asked::sqlite, "SQLite");
}

#[test]
fn a_condition_means_the_same_in_memory_and_on_postgresql() {
    means_the_same(Asked::postgres, "PostgreSQL");
}
