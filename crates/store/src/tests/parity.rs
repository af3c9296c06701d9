//! Invariant 4: a condition means the same in memory and on SQLite. Random rows in related collections, random
//! conditions over every operator; each is evaluated in memory and as both of its lowerings, in every way it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portreeve_model::{
    Catalog, Collection, CollectionId, CompareOp, Condition, DatePart, FieldId, FieldType, Hop,
    PathTerm, Pattern, Quantifier, Relation, Slot, Start, Term, TextOp, Value, Via,
};
use portreeve_policy::{
    Context, Document, Facts, Record, RequestFacts, Subject, build_catalog, eval,
};
use proptest::prelude::{TestCaseError, any};
use proptest::prop_assert_eq;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;

use crate::sql::ddl;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::BoundSlot;
use crate::sql::lower::{Lowering, Role};
use crate::sqlite::values::{self, Binding, bind};

const COLLECTIONS: &str = "
collections:
  a:
    key: { id: integer }
    fields: &fields
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
  c:
    key: { id: integer }
    fields:
      t: text
      n: integer
      dt: datetime
      up: { to: a }
      link: { to: b }
";

// Choices made by the test runner. Reading on after the last gives 0, the simplest choice, so that a shorter list is
// a simpler case: that is what makes failures shrink.
struct Choices {
    list: Vec<u32>,
    at: usize,
}

impl Choices {
    fn below(&mut self, count: usize) -> usize {
        let choice = self.list.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice as usize % count
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn value(&mut self, ty: FieldType) -> Value {
        const DAY: i64 = 86_400_000_000;
        if self.one_in(4) {
            return Value::Null;
        }
        match ty {
            FieldType::Text => Value::from(self.pick(&[
                "a", "", "A", "ab", "b", "äb", "Ä", "aÄb", "😀", "b%", "_", "a'b\"", "\u{7f}",
                "ａ", "1", "\\",
            ])),
            FieldType::Integer => Value::Integer(self.pick(&[
                0,
                1,
                2,
                3,
                -1,
                i64::MAX,
                i64::MIN,
                5,
                1_900,
                11,
                22,
                i64::MAX - 1,
                1_969,
                1_970,
                12,
                31,
                59,
                7,
                4,
                6,
            ])),
            FieldType::Decimal(_) => {
                Value::Integer(self.pick(&[0, 100, 150, -5, 999_999_999_999_999_999]))
            }
            FieldType::Float => Value::Float(self.pick(&[
                0.0,
                1.0,
                -0.0,
                1.5,
                -1e300,
                5e-324,
                1e300,
                0.1,
                9_007_199_254_740_993.0,
            ])),
            FieldType::Boolean => Value::Boolean(self.one_in(2)),
            FieldType::Timestamp | FieldType::Datetime => Value::Integer(self.pick(&[
                0,
                1,
                -1,
                -999_999,
                -1_000_000,
                -1_000_001,
                -DAY,
                -DAY - 1,
                DAY - 1,
                951_782_400_000_000,
                1_795_341_600_000_000,
                -62_135_596_800_000_000,
                253_370_764_799_999_999,
                -12_219_292_800_000_001,
            ])),
            FieldType::Uuid => Value::from(self.pick(&[
                "00000000-0000-0000-0000-000000000000",
                "018f0000-0000-7000-8000-00000000000a",
            ])),
            FieldType::Json => Value::from(self.pick(&["{\"a\":1}", "null", "[]"])),
        }
    }

    fn rows(&mut self, collection: &Collection, count: usize) -> Vec<Arc<Record>> {
        let row = |choices: &mut Self, place: usize| {
            let values = collection.field_ids().map(|field| {
                let declared = collection.field(field);
                if field == collection.key {
                    return key(collection, place);
                }
                // Some lead nowhere; what ties others together does so more than once.
                let junction = collection.relations.is_empty();
                let target = |choices: &mut Self| {
                    choices.pick(if junction {
                        &[0, 1, 9, 1][..]
                    } else {
                        &[0, 1, 2, 3, 4, 9]
                    })
                };
                match declared.relation {
                    Some(_) if declared.ty == FieldType::Integer => match target(choices) {
                        9 => Value::Null,
                        other => Value::Integer(other),
                    },
                    Some(_) => match target(choices) {
                        9 => Value::Null,
                        other => Value::Text(format!("k{other}")),
                    },
                    None => choices.value(declared.ty),
                }
            });
            Arc::new(Record(values.collect()))
        };
        (0..count).map(|place| row(self, place)).collect()
    }
}

fn key(collection: &Collection, place: usize) -> Value {
    match collection.key_field().ty {
        FieldType::Text => Value::Text(format!("k{place}")),
        _ => Value::Integer(place as i64),
    }
}

/// Makes conditions over a collection.
struct Maker<'a> {
    choices: &'a mut Choices,
    catalog: &'a Catalog,
    // Whether this is a check, which has an old record.
    check: bool,
}

impl Maker<'_> {
    fn condition(&mut self, on: &Collection, depth: usize) -> Condition {
        let leaf = depth == 0;
        match self.choices.below(if leaf { 8 } else { 14 }) {
            0 | 1 => self.compare(on, depth),
            2 => self.membership(on, depth),
            3 => {
                let ty = self.ty(true);
                Condition::IsNull(self.path_or_slot(on, ty, depth))
            }
            4 => {
                let (term, needle) = (
                    self.term(on, FieldType::Text, depth),
                    self.term(on, FieldType::Text, depth),
                );
                let op =
                    self.choices
                        .pick(&[TextOp::Contains, TextOp::StartsWith, TextOp::EndsWith]);
                Condition::Text {
                    term,
                    op,
                    ignore_case: self.choices.one_in(2),
                    needle,
                }
            }
            5 => {
                let pattern = self.choices.pick(&["^a", "b$", "ä", "^$", "(?i)A", "."]);
                let pattern = Pattern(regex::Regex::new(pattern).expect("a pattern"));
                Condition::Matches {
                    term: self.term(on, FieldType::Text, depth),
                    pattern,
                }
            }
            6 => {
                let ty = self.choices.pick(&[FieldType::Text, FieldType::Integer]);
                let list = match (ty, self.choices.below(4)) {
                    (FieldType::Text, 0) => Slot::UserRoles,
                    (_, 1) => Slot::Claims(vec!["empty".into()]),
                    (_, 2) => Slot::Claims(vec!["missing".into()]),
                    _ => Slot::Claims(vec!["list".into()]),
                };
                Condition::InVariable {
                    term: self.term(on, ty, depth),
                    list,
                }
            }
            7 if self.choices.one_in(2) => Condition::Constant(self.choices.one_in(2)),
            7 => Condition::Sent(self.choices.pick(&[FieldId(1), FieldId(2)])),
            8 | 9 => Condition::All(self.several(on, depth)),
            10 | 11 => Condition::Any(self.several(on, depth)),
            12 => Condition::Not(Box::new(self.condition(on, depth - 1))),
            _ => {
                let quantifier =
                    self.choices
                        .pick(&[Quantifier::Some, Quantifier::Every, Quantifier::None]);
                let relation = self.relation(on, depth);
                let target = Arc::clone(self.catalog.get(relation.target));
                let condition = Box::new(self.condition(&target, depth - 1));
                Condition::Quantified {
                    quantifier,
                    relation,
                    condition,
                }
            }
        }
    }

    fn several(&mut self, on: &Collection, depth: usize) -> Vec<Condition> {
        (0..self.choices.below(4))
            .map(|_| self.condition(on, depth - 1))
            .collect()
    }

    fn ty(&mut self, json: bool) -> FieldType {
        let types = [
            FieldType::Text,
            FieldType::Integer,
            FieldType::Decimal(2),
            FieldType::Float,
            FieldType::Boolean,
            FieldType::Timestamp,
            FieldType::Datetime,
            FieldType::Uuid,
            FieldType::Json,
        ];
        types[self.choices.below(if json { 9 } else { 8 })]
    }

    // An attribute may have come to have another type than the rule was made for: then nothing is known.
    fn compared(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if self.choices.one_in(12) {
            let other = self.ty(true);
            return Term::Slot(Slot::User(Arc::from(other.name())), ty);
        }
        self.term(on, ty, depth)
    }

    fn compare(&mut self, on: &Collection, depth: usize) -> Condition {
        let ty = self.ty(false);
        let ops = [
            CompareOp::Equal,
            CompareOp::NotEqual,
            CompareOp::Less,
            CompareOp::LessOrEqual,
            CompareOp::Greater,
            CompareOp::GreaterOrEqual,
        ];
        let op = ops[self
            .choices
            .below(if ty == FieldType::Boolean { 2 } else { 6 })];
        Condition::Compare {
            left: self.compared(on, ty, depth),
            op,
            right: self.term(on, ty, depth),
        }
    }

    fn membership(&mut self, on: &Collection, depth: usize) -> Condition {
        let ty = self.ty(false);
        let term = self.term(on, ty, depth);
        let items = (0..self.choices.below(4))
            .map(|_| {
                if self.choices.one_in(3) {
                    self.term(on, ty, depth)
                } else {
                    self.slot(ty)
                }
            })
            .collect();
        Condition::In { term, items }
    }

    fn term(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if ty == FieldType::Integer && depth > 0 {
            match self.choices.below(8) {
                4 | 6 => return Term::Count(Box::new(self.relation(on, depth))),
                5 | 7 => {
                    let part = self.choices.pick(&DatePart::ALL);
                    let ty = self
                        .choices
                        .pick(&[FieldType::Timestamp, FieldType::Datetime]);
                    return Term::Part(part, Box::new(self.path_or_slot(on, ty, depth)));
                }
                _ => {}
            }
        }
        self.path_or_slot(on, ty, depth)
    }

    fn path_or_slot(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if self.choices.one_in(3) {
            return self.slot(ty);
        }
        self.path(on, ty, depth)
            .map_or_else(|| self.slot(ty), Term::Path)
    }

    fn slot(&mut self, ty: FieldType) -> Term {
        let slot = match self.choices.below(7) {
            0 | 1 => Slot::Literal(self.choices.value(ty)),
            2 => Slot::Caller(
                CALLER
                    .iter()
                    .position(|(known, _)| *known == ty)
                    .unwrap_or(99),
            ),
            3 => Slot::User(Arc::from(ty.name())),
            4 if ty == FieldType::Timestamp => {
                Slot::Now(self.choices.pick(&[0, -1, 86_400_000_000]))
            }
            5 if ty == FieldType::Text => {
                Slot::Request(self.choices.pick(&["ip", "method"]).into())
            }
            _ => Slot::Claims(vec![
                self.choices.pick(&["object", "missing"]).into(),
                "value".into(),
            ]),
        };
        Term::Slot(slot, ty)
    }

    // A field of that type, of this record or of one that steps lead to.
    fn path(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Option<PathTerm> {
        let hops = self.choices.below(if depth == 0 { 1 } else { 4 }).min(2);
        let mut here = Arc::new(on.clone());
        let mut route: Vec<(FieldId, Arc<Collection>)> = vec![];
        for _ in 0..hops {
            let name = self.choices.pick(&["up", "link"]);
            let field = here.find_field(name)?;
            let to = here.field(field).relation?;
            here = Arc::clone(self.catalog.get(to.target));
            route.push((field, Arc::clone(&here)));
        }
        let fields: Vec<FieldId> = here
            .field_ids()
            .filter(|field| here.field(*field).ty == ty)
            .collect();
        if fields.is_empty() {
            return None;
        }
        let last = self.choices.pick(&fields);
        let mut path = PathTerm {
            start: Start::Field(last),
            guard: None,
            hops: vec![],
            ty,
        };
        if let Some((first, _)) = route.first() {
            path.start = Start::Field(*first);
            for (place, (_, target)) in route.iter().enumerate() {
                let field = route.get(place + 1).map_or(last, |(field, _)| *field);
                let guard = self.guard(target, depth);
                path.hops.push(Hop {
                    target: target.id,
                    by: target.key,
                    field,
                    guard,
                });
            }
        }
        path.guard = self.guard(on, depth);
        let Start::Field(field) = path.start else {
            return Some(path);
        };
        match self.choices.below(8) {
            6 if self.check && on.id == CollectionId(6) => path.start = Start::Old(field),
            7 => {
                let first = path
                    .hops
                    .first()
                    .map_or(ty, |hop| self.catalog.get(hop.target).key_field().ty);
                path.start = Start::User(Arc::from(first.name()));
            }
            _ => {}
        }
        Some(path)
    }

    fn guard(&mut self, on: &Collection, depth: usize) -> Option<Arc<Condition>> {
        (depth > 0 && self.choices.one_in(5)).then(|| Arc::new(self.condition(on, depth - 1)))
    }

    fn relation(&mut self, on: &Collection, depth: usize) -> Relation {
        // Perhaps steps first, then a relation of where they lead.
        let stepped = depth > 0 && self.choices.one_in(4);
        let mut from = PathTerm {
            start: Start::Field(on.key),
            guard: None,
            hops: vec![],
            ty: on.key_field().ty,
        };
        let mut here = Arc::new(on.clone());
        if stepped && let Some(field) = on.find_field("up") {
            here = Arc::clone(
                self.catalog
                    .get(on.field(field).relation.map_or(on.id, |to| to.target)),
            );
            from.start = Start::Field(field);
            from.ty = here.key_field().ty;
            let guard = self.guard(&here, depth);
            from.hops.push(Hop {
                target: here.id,
                by: here.key,
                field: here.key,
                guard,
            });
        }
        if here.relations.is_empty() {
            // Junctions have none; pretend that they lead to themselves.
            let up = here.find_field("up").expect("a field");
            from.start = Start::Field(up);
            return Relation {
                from,
                target: here.id,
                via: Via::Field(up),
                far_by: here.key,
                guard: self.guard(&here, depth),
                junction_guard: None,
            };
        }
        from.guard = self.guard(on, depth);
        let relation = here.relations[self.choices.below(here.relations.len())].clone();
        let target = Arc::clone(self.catalog.get(relation.target));
        let junction_guard = match relation.via {
            Via::Field(_) => None,
            Via::Through { junction, .. } => {
                self.guard(&Arc::clone(self.catalog.get(junction)), depth)
            }
        };
        Relation {
            from,
            target: relation.target,
            via: relation.via,
            far_by: target.key,
            guard: self.guard(&target, depth),
            junction_guard,
        }
    }
}

const CALLER: &[(FieldType, i64)] = &[
    (FieldType::Integer, 2),
    (FieldType::Timestamp, -1),
    (FieldType::Decimal(2), 150),
    (FieldType::Datetime, 1),
];

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

fn fill(connection: &Connection, catalog: &Catalog, memory: &Memory) {
    for (id, records) in &memory.0 {
        let collection = catalog.get(*id);
        let marks: Vec<String> = (1..=collection.fields.len())
            .map(|number| format!("?{number}"))
            .collect();
        let sql = format!(
            "INSERT INTO \"{}\" VALUES ({})",
            collection.table,
            marks.join(", ")
        );
        let mut insert = connection.prepare_cached(&sql).expect("an insert");
        for record in records {
            insert
                .execute(rusqlite::params_from_iter(record.0.iter().map(values::any)))
                .expect("a row");
        }
    }
}

fn database(catalog: &Catalog) -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    crate::sqlite::open::settings(&connection).expect("the settings");
    connection
        .execute_batch("PRAGMA foreign_keys = OFF")
        .expect("foreign keys off");
    let steps =
        ddl::plan(Dialect::Sqlite, &Catalog::new(vec![]), catalog, &[], &[], 0).expect("a plan");
    for step in steps {
        if let ddl::Step::Run(sql) = step {
            connection.execute_batch(&sql).expect("a table");
        }
    }
    connection
}

type Answer = Vec<(Value, bool, bool)>;

// The keys and two truths that a statement gives.
fn ask(
    connection: &Connection,
    sql: &str,
    slots: &[BoundSlot],
    binding: &Binding<'_>,
) -> Result<Answer, TestCaseError> {
    let failed = |error: rusqlite::Error| TestCaseError::fail(format!("{error}: {sql}"));
    let mut statement = connection.prepare(sql).map_err(failed)?;
    bind(&mut statement, slots, binding)
        .map_err(|error| TestCaseError::fail(format!("{error:?}: {sql}")))?;
    let mut rows = statement.raw_query();
    let mut found = vec![];
    while let Some(row) = rows.next().map_err(failed)? {
        let key = match row.get_ref(0).map_err(failed)? {
            rusqlite::types::ValueRef::Text(text) => {
                Value::from(std::str::from_utf8(text).expect("text"))
            }
            other => Value::Integer(other.as_i64().expect("a number")),
        };
        let truth =
            |place: usize| row.get::<_, Option<bool>>(place).expect("a truth") == Some(true);
        found.push((key, truth(1), truth(2)));
    }
    Ok(found)
}

static PAIRS: AtomicUsize = AtomicUsize::new(0);
// True, false, unknown.
static TRUTHS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn check(catalog: &Catalog, connection: &Connection, list: Vec<u32>) -> Result<(), TestCaseError> {
    let mut choices = Choices { list, at: 0 };
    let context = context(&mut choices);
    let mut memory = Memory(HashMap::new());
    for (collection, count) in [("a", 4), ("b", 4), ("c", 6)] {
        let collection = catalog.find_text(collection).expect("a collection");
        memory
            .0
            .insert(collection.id, choices.rows(collection, count));
    }
    connection.execute_batch("BEGIN").expect("begun");
    fill(connection, catalog, &memory);
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
            result.and_then(|()| compare(catalog, connection, &context, &memory, on, &condition));
    }
    connection.execute_batch("ROLLBACK").expect("undone");
    result
}

fn compare(
    catalog: &Catalog,
    connection: &Connection,
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
    // As columns, the way masks and probes are asked.
    let mut lowering = Lowering::new(Dialect::Sqlite, catalog, &sent);
    let scope = lowering.scope(on);
    let is_true = lowering.is_true(condition, &scope, Role::Filters);
    let is_false = lowering.is_false(condition, &scope, Role::Filters);
    let key = scope.column(&lowering, on.key);
    let sql = format!(
        "SELECT {key}, {}, {} FROM {} ORDER BY {key}",
        is_true.text(),
        is_false.text(),
        scope.table(&lowering)
    );
    let found = ask(connection, &sql, &lowering.into_slots(), &binding)?;
    prop_assert_eq!(&found, &expected, "{:#?}\n{}", condition, sql);
    // As WHERE of a list, where indexes are looked for.
    for wanted in [true, false] {
        let mut lowering = Lowering::new(Dialect::Sqlite, catalog, &sent);
        let scope = lowering.scope(on);
        let held = if wanted {
            lowering.is_true(condition, &scope, Role::Finds)
        } else {
            lowering.is_true(
                &Condition::Not(Box::new(condition.clone())),
                &scope,
                Role::Finds,
            )
        };
        let key = scope.column(&lowering, on.key);
        let sql = format!(
            "SELECT {key}, TRUE, TRUE FROM {}{} ORDER BY {key}",
            scope.table(&lowering),
            held.clause()
        );
        let found: Vec<Value> = ask(connection, &sql, &lowering.into_slots(), &binding)?
            .into_iter()
            .map(|(key, ..)| key)
            .collect();
        let expected: Vec<Value> = expected
            .iter()
            .filter(|(_, is_true, is_false)| if wanted { *is_true } else { *is_false })
            .map(|(key, ..)| key.clone())
            .collect();
        prop_assert_eq!(&found, &expected, "{:#?}\n{}", condition, sql);
    }
    Ok(())
}

#[test]
fn a_condition_means_the_same_in_memory_and_on_sqlite() {
    let document =
        Document::read("parity", &COLLECTIONS.replace("&fields", "")).expect("a document");
    let catalog = build_catalog(&document.collections).expect("a catalog");
    let connection = database(&catalog);
    let cases = std::env::var("PORTREEVE_PARITY_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_500);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let strategy = proptest::collection::vec(any::<u32>(), 0..1_600);
    if let Err(error) = runner.run(&strategy, |list| check(&catalog, &connection, list)) {
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
    super::stats::record(&format!("memory = SQLite: {pairs} cases"));
}
