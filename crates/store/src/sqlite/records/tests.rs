//! A page whose records are found, or gone through to: both give the same, and the shorter way is learned.

use portreeve_gate::{CredentialFacts, Gate, ListRequest};
use portreeve_model::{CollectionName, Page, Query};
use portreeve_policy::{Binding as BoundRole, BoundTo, Document, RequestFacts, Snapshot};

use super::*;
use crate::sql::ddl;
use crate::sql::dialect::Dialect;
use crate::sql::select::{self, Asked};
use crate::sqlite::open;
use crate::sqlite::reader::Inline;

const DOCUMENT: &str = r#"
collections:
  boards: { key: { id: integer }, fields: { owner: { to: users } } }
  notes:
    key: { id: integer }
    fields: { text: text, secret: text, author: { to: users }, board: { to: boards } }
roles:
  writer:
    permissions: [ { allow: data.read, on: notes, rows: "author = $user", fields: [id, text, author] } ]
  keeper:
    permissions: [ { allow: data.read, on: notes, rows: "board.owner = $user", fields: [id, text, secret, board] } ]
"#;

const NOTES: i64 = 20_000;

const BUSY: &str = "0194e2a0-0000-7000-8000-000000000001";
const IDLE: &str = "0194e2a0-0000-7000-8000-000000000002";
const NOBODY: &str = "0194e2a0-0000-7000-8000-000000000003";

// The records as text, in their order.
#[derive(Default)]
struct Seen(Vec<String>);

impl RecordSink for Seen {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        let mut record = String::new();
        for place in 0..columns.list.len() {
            match cells.cell(place) {
                Cell::Integer(number) => record.push_str(&number.to_string()),
                Cell::Text(text) => record.push_str(text),
                _ => record.push('-'),
            }
            record.push(' ');
        }
        self.0.push(record);
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

struct World {
    path: std::path::PathBuf,
    gate: Gate,
}

impl World {
    // Of a hundred boards the busy one keeps half, the idle one the last; notes lie on boards in turn, and every
    // thousandth is the idle one's own.
    fn new(name: &str) -> Self {
        let file = format!("portreeve-ways-{name}-{}.db", std::process::id());
        let path = std::env::temp_dir().join(file);
        let _ = std::fs::remove_file(&path);
        let document = Document::read("ways", DOCUMENT).expect("a document");
        let snapshot = Snapshot::compile(&document, 1).expect("a policy");
        let connection = Connection::open(&path).expect("a database");
        open::settings(&connection).expect("the settings");
        let mut setup = "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; ".to_owned();
        setup.push_str(include_str!(
            "../../../migrations/sqlite/0001_accounts_policy_sessions_audit.sql"
        ));
        let empty = portreeve_policy::build_catalog(&[]).expect("a catalog");
        let steps = ddl::plan(Dialect::Sqlite, &empty, snapshot.catalog(), &[], &[], 0);
        for step in steps.expect("steps") {
            if let ddl::Step::Run(sql) = step {
                setup.push_str(&sql);
                setup.push(';');
            }
        }
        setup.push_str(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
             INSERT INTO boards (id, owner) SELECT n, CASE WHEN n <= 50 THEN '{BUSY}' WHEN n = 100 THEN '{IDLE}' END FROM n;
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {NOTES})
             INSERT INTO notes (id, text, secret, author, board)
             SELECT n, 'text' || n, 'secret' || n, CASE WHEN n % 1000 = 0 THEN '{IDLE}' END,
               CASE WHEN n % 7 > 0 THEN n % 99 + 1 END FROM n;"
        ));
        connection.execute_batch(&setup).expect("tables and rows");
        let gate = Gate::new(snapshot, false);
        Self { path, gate }
    }

    fn statement(&self, who: &str, roles: &[&str], after: i64) -> Asking {
        let facts = CredentialFacts {
            user: who.into(),
            attributes: Arc::new([("id".into(), Value::Text(who.into()))].into()),
            bindings: roles
                .iter()
                .map(|role| BoundRole {
                    to: BoundTo::Role((*role).into()),
                    ..BoundRole::default()
                })
                .collect(),
            epoch: 0,
        };
        let caller = self.gate.admit(&facts, 0, RequestFacts::default());
        let request = ListRequest {
            query: Query {
                collection: CollectionName::main("notes"),
                fields: None,
                filter: None,
                search: None,
                sort: vec![],
                page: Page::After {
                    first: 0,
                    nulls: vec![],
                },
                total: false,
                expand: vec![],
            },
            values: vec![],
            cursor: vec![Value::Integer(after)],
            limit: 20,
            offset: 0,
        };
        let read = self.gate.list(&caller, request).expect("allowed");
        let (catalog, operation) = (read.snapshot().catalog(), read.operation());
        let plan = operation.plan();
        Asking {
            statement: select::read(Dialect::Sqlite, catalog, plan, Asked::Page),
            columns: Arc::clone(plan.columns()),
            context: read.context().clone(),
            values: operation.values().to_vec(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Asking {
    statement: ReadStatement,
    columns: Arc<Columns>,
    context: portreeve_policy::Context,
    values: Vec<Value>,
}

impl Asking {
    fn run(&self, inline: &Inline, statement: &ReadStatement) -> Vec<String> {
        let request = Request {
            binding: Binding {
                caller: &self.values,
                limit: 21,
                ..Binding::new(&self.context)
            },
            limit: Some(20),
        };
        let mut seen = Seen::default();
        inline
            .short(|reader| run(reader, statement, &self.columns, &request, &mut seen))
            .expect("an answer");
        seen.0
    }

    // By one way alone.
    fn only(self, walking: bool, inline: &Inline) -> Vec<String> {
        let Self { statement, .. } = &self;
        let walk = statement.walk.as_ref().expect("two ways");
        let mut seen = Seen::default();
        let request = Request {
            binding: Binding {
                caller: &self.values,
                limit: 21,
                ..Binding::new(&self.context)
            },
            limit: Some(20),
        };
        let node = if walking {
            &walk.node
        } else {
            statement.rows.as_ref().expect("rows")
        };
        inline
            .look_up(|connection| push(connection, node, &self.columns, &request, &mut seen))
            .expect("an answer");
        seen.0
    }
}

const BOTH: &[&str] = &["writer", "keeper"];

#[test]
fn both_ways_give_the_same() {
    let world = World::new("same");
    let inline = Inline::new(world.path.clone());
    let mut pages = 0;
    for who in [BUSY, IDLE, NOBODY] {
        for roles in [BOTH, &["keeper"]] {
            for after in [0, 1, 7_000, 19_900, NOTES] {
                let found = world.statement(who, roles, after).only(false, &inline);
                let walked = world.statement(who, roles, after).only(true, &inline);
                assert_eq!(found, walked, "{who} {roles:?} {after}");
                let asking = world.statement(who, roles, after);
                assert_eq!(asking.run(&inline, &asking.statement), found);
                pages += usize::from(!found.is_empty());
            }
        }
    }
    assert!(pages >= 10, "{pages}");
    // What is masked is null by either: nobody reads the secret of a note on a board that is not his.
    let own = world.statement(IDLE, BOTH, 0).only(true, &inline);
    assert_eq!(own.len(), 20);
    assert!(
        own.iter().all(|record| !record.contains("secret")),
        "{own:?}"
    );
    let kept = world.statement(BUSY, BOTH, 0).only(true, &inline);
    assert!(
        kept.iter().all(|record| record.contains("secret")),
        "{kept:?}"
    );
}

#[test]
fn the_shorter_way_is_learned() {
    let world = World::new("learned");
    let inline = Inline::new(world.path.clone());
    let (busy, idle) = (
        world.statement(BUSY, BOTH, 0),
        world.statement(IDLE, BOTH, 0),
    );
    let favoured = || {
        let walk = busy.statement.walk.as_ref().expect("two ways");
        walk.favoured.load(Ordering::Relaxed)
    };
    assert!(!favoured());
    // Both callers have the same roles, hence the same statement.
    let many = busy.run(&inline, &busy.statement);
    assert!(favoured(), "thousands match: the first twenty are near");
    let few = idle.run(&inline, &busy.statement);
    assert!(!favoured(), "twenty match: they are far apart");
    assert_eq!((many.len(), few.len()), (20, 20));
    assert_eq!(busy.run(&inline, &busy.statement), many);
}

#[test]
fn there_is_one_way_where_an_index_has_the_order() {
    let world = World::new("one");
    assert!(
        world
            .statement(IDLE, &["writer"], 0)
            .statement
            .walk
            .is_none()
    );
    assert!(
        world
            .statement(IDLE, &["keeper"], 0)
            .statement
            .walk
            .is_some()
    );
}
