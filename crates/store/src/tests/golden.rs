//! The SQL itself: what conditions look like as text, and which index SQLite takes for it.

use portreeve_gate::{AggregateRequest, Caller, CredentialFacts, Gate, ListRequest, take_literals};
use portreeve_model::{
    Aggregate, AggregateFunction, AggregateQuery, Catalog, CollectionName, Condition, Page, Query,
    SortGroups, Term,
};
use portreeve_policy::{
    Binding, BoundTo, Document, Purpose, RequestFacts, Resolver, Snapshot, parse_rule,
};
use rusqlite::Connection;

use crate::sql::aggregate;
use crate::sql::ddl;
use crate::sql::dialect::Dialect;
use crate::sql::lower::{Lowering, Role};
use crate::sql::select;

const SCHOOL: &str = include_str!("../../../../examples/school/access.yaml");

struct School {
    snapshot: Snapshot,
    connection: Connection,
}

impl School {
    fn new() -> Self {
        let document = Document::read("school", SCHOOL).expect("a document");
        let snapshot = Snapshot::compile(&document, 1).expect("a policy");
        let connection = Connection::open_in_memory().expect("a database");
        crate::sqlite::open::settings(&connection).expect("the settings");
        let migration =
            include_str!("../../migrations/sqlite/0001_accounts_policy_sessions_audit.sql");
        connection
            .execute_batch(migration)
            .expect("the product's tables");
        let empty = portreeve_policy::build_catalog(&[]).expect("a catalog");
        let steps =
            ddl::plan(Dialect::Sqlite, &empty, snapshot.catalog(), &[], &[], 0).expect("steps");
        for step in steps {
            if let ddl::Step::Run(sql) = step {
                connection
                    .execute_batch(&sql)
                    .unwrap_or_else(|error| panic!("{error}: {sql}"));
            }
        }
        Self {
            snapshot,
            connection,
        }
    }

    fn catalog(&self) -> &Catalog {
        self.snapshot.catalog()
    }

    fn condition(&self, collection: &str, rule: &str) -> Condition {
        let collection = self.catalog().find_text(collection).expect("a collection");
        let rule = parse_rule(rule).expect("a rule");
        let mut resolver =
            Resolver::for_policy(self.catalog(), self.snapshot.rules(), Purpose::Check);
        resolver
            .rule(Some(collection), &rule)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// The rule as the WHERE of a list, and asked of one record: as is true, and as is false.
    fn texts(&self, collection: &str, rule: &str) -> [String; 3] {
        let condition = self.condition(collection, rule);
        let collection = self.catalog().find_text(collection).expect("a collection");
        let text = |role, wanted: bool| {
            let mut lowering = Lowering::new(Dialect::Sqlite, self.catalog(), &[]);
            let scope = lowering.scope(collection);
            let held = if wanted {
                lowering.is_true(&condition, &scope, role)
            } else {
                lowering.is_false(&condition, &scope, role)
            };
            held.text().to_owned()
        };
        [
            text(Role::Finds, true),
            text(Role::Filters, true),
            text(Role::Filters, false),
        ]
    }

    /// How SQLite runs the list of a rule, 20 records in order of the key.
    fn plan(&self, collection: &str, rule: &str) -> Vec<String> {
        let [held, ..] = self.texts(collection, rule);
        let table = Dialect::Sqlite.name(
            &self
                .catalog()
                .find_text(collection)
                .expect("a collection")
                .table,
        );
        self.explain(&format!(
            "SELECT * FROM {table} t0 WHERE {held} ORDER BY t0.id LIMIT 20"
        ))
    }

    fn explain(&self, sql: &str) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = self
            .connection
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut rows = statement.raw_query();
        let mut lines = vec![];
        while let Some(row) = rows.next().expect("a plan") {
            lines.push(row.get(3).expect("a line"));
        }
        lines
    }
}

#[test]
fn conditions_as_text() {
    let school = School::new();
    let cases: &[(&str, &str, [&str; 3])] = &[
        (
            "grades",
            "student = $user",
            [
                r#"t0."student" = ?1"#,
                r#"t0."student" = ?1"#,
                r#"t0."student" <> ?1"#,
            ],
        ),
        (
            "grades",
            "not (score > 3 and comment is null)",
            [
                r#"t0."score" <= ?1 OR t0."comment" IS NOT NULL"#,
                r#"t0."score" <= ?1 OR t0."comment" IS NOT NULL"#,
                r#"t0."score" > ?1 AND t0."comment" IS NULL"#,
            ],
        ),
        // A required field is never null, so there is nothing to ask.
        ("grades", "score is null", ["FALSE", "FALSE", "TRUE"]),
        (
            "grades",
            "score between 2 and 4 or score in (9, 10)",
            [
                r#"t0."score" >= ?1 AND t0."score" <= ?2 OR t0."score" IN (?3, ?4)"#,
                r#"t0."score" >= ?1 AND t0."score" <= ?2 OR t0."score" IN (?3, ?4)"#,
                r#"(t0."score" < ?1 OR t0."score" > ?2) AND t0."score" NOT IN (?3, ?4)"#,
            ],
        ),
        (
            "grades",
            "comment icontains 'Ab' or comment starts_with 'x' or comment ends_with ''",
            [
                r#"instr(lower(t0."comment"), lower(?1)) > 0 OR substr(t0."comment", 1, length(?2)) = ?2 OR substr(t0."comment", length(t0."comment") - length(?3) + 1) = ?3"#,
                r#"instr(lower(t0."comment"), lower(?1)) > 0 OR substr(t0."comment", 1, length(?2)) = ?2 OR substr(t0."comment", length(t0."comment") - length(?3) + 1) = ?3"#,
                r#"instr(lower(t0."comment"), lower(?1)) = 0 AND substr(t0."comment", 1, length(?2)) <> ?2 AND substr(t0."comment", length(t0."comment") - length(?3) + 1) <> ?3"#,
            ],
        ),
        // One step away: found from there in a list, looked up for one record.
        (
            "grades",
            "course.teacher = $user",
            [
                r#"t0."course" IN (SELECT t1."id" FROM "courses" t1 WHERE t1."teacher" = ?1)"#,
                r#"EXISTS (SELECT 1 FROM "courses" t1 WHERE t1."id" = t0."course" AND t1."teacher" = ?1)"#,
                r#"EXISTS (SELECT 1 FROM "courses" t1 WHERE t1."id" = t0."course" AND t1."teacher" <> ?1)"#,
            ],
        ),
        // The student's own answers are found by the student; the rest is asked of each of them.
        (
            "answers",
            "student = $user and question.test.published = true",
            [
                r#"t0."student" = ?1 AND EXISTS (SELECT 1 FROM "questions" t1 WHERE t1."id" = t0."question" AND EXISTS (SELECT 1 FROM "tests" t2 WHERE t2."id" = t1."test" AND t2."published" = ?2))"#,
                r#"t0."student" = ?1 AND EXISTS (SELECT 1 FROM "questions" t1 WHERE t1."id" = t0."question" AND EXISTS (SELECT 1 FROM "tests" t2 WHERE t2."id" = t1."test" AND t2."published" = ?2))"#,
                r#"t0."student" <> ?1 OR EXISTS (SELECT 1 FROM "questions" t1 WHERE t1."id" = t0."question" AND EXISTS (SELECT 1 FROM "tests" t2 WHERE t2."id" = t1."test" AND t2."published" <> ?2))"#,
            ],
        ),
        (
            "courses",
            "some enrolments (student = $user)",
            [
                r#"t0."id" IN (SELECT t1."course" FROM "enrolments" t1 WHERE t1."student" = ?1)"#,
                r#"EXISTS (SELECT 1 FROM "enrolments" t1 WHERE t1."course" = t0."id" AND t1."student" = ?1)"#,
                r#"NOT EXISTS (SELECT 1 FROM "enrolments" t1 WHERE t1."course" = t0."id" AND (t1."student" <> ?1) IS NOT TRUE)"#,
            ],
        ),
        (
            "courses",
            "every grades (score > 3)",
            [
                r#"NOT EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND (t1."score" > ?1) IS NOT TRUE)"#,
                r#"NOT EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND (t1."score" > ?1) IS NOT TRUE)"#,
                r#"EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND t1."score" <= ?1)"#,
            ],
        ),
        (
            "courses",
            "none grades (score > 3)",
            [
                r#"NOT EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND (t1."score" <= ?1) IS NOT TRUE)"#,
                r#"NOT EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND (t1."score" <= ?1) IS NOT TRUE)"#,
                r#"EXISTS (SELECT 1 FROM "grades" t1 WHERE t1."course" = t0."id" AND t1."score" > ?1)"#,
            ],
        ),
        (
            "courses",
            "count(students) > 20",
            [
                r#"(SELECT count(DISTINCT t2."id") FROM "enrolments" t1, "portreeve_users" t2 WHERE t1."course" = t0."id" AND t2."id" = t1."student") > ?1"#,
                r#"(SELECT count(DISTINCT t2."id") FROM "enrolments" t1, "portreeve_users" t2 WHERE t1."course" = t0."id" AND t2."id" = t1."student") > ?1"#,
                r#"(SELECT count(DISTINCT t2."id") FROM "enrolments" t1, "portreeve_users" t2 WHERE t1."course" = t0."id" AND t2."id" = t1."student") <= ?1"#,
            ],
        ),
        (
            "grades",
            "comment in $user.roles",
            [
                r#"t0."comment" IN (SELECT value FROM json_each(?1))"#,
                r#"t0."comment" IN (SELECT value FROM json_each(?1))"#,
                r#"?1 IS NOT NULL AND t0."comment" NOT IN (SELECT value FROM json_each(?1))"#,
            ],
        ),
        // The same value is bound once.
        (
            "tests",
            "hour(deadline) = 12 and deadline > $now and deadline <> $now",
            [
                r#"(((t0."deadline" % 86400000000 + 86400000000) % 86400000000) / 3600000000) = ?1 AND t0."deadline" > ?2 AND t0."deadline" <> ?2"#,
                r#"(((t0."deadline" % 86400000000 + 86400000000) % 86400000000) / 3600000000) = ?1 AND t0."deadline" > ?2 AND t0."deadline" <> ?2"#,
                r#"(((t0."deadline" % 86400000000 + 86400000000) % 86400000000) / 3600000000) <> ?1 OR t0."deadline" <= ?2 OR t0."deadline" = ?2"#,
            ],
        ),
        (
            "grades",
            "comment matches '^a' and score > $old.score and not sent(score)",
            [
                r#"portreeve_matches(?1, t0."comment") AND t0."score" > ?2"#,
                r#"portreeve_matches(?1, t0."comment") AND t0."score" > ?2"#,
                r#"NOT portreeve_matches(?1, t0."comment") OR t0."score" <= ?2"#,
            ],
        ),
        ("grades", "student in ()", ["FALSE", "FALSE", "TRUE"]),
    ];
    for (collection, rule, expected) in cases {
        assert_eq!(school.texts(collection, rule), *expected, "{rule}");
    }
}

#[test]
fn lists_take_the_index_of_owner_and_key() {
    let school = School::new();
    let owner = school.plan("grades", "student = $user");
    assert!(
        owner[0].starts_with("SEARCH t0 USING INDEX ix:grades:student,"),
        "{owner:?}"
    );
    // No sort: the index gives the order.
    assert_eq!(owner.len(), 1, "{owner:?}");
    let rules = [
        ("grades", "course.teacher = $user"),
        ("courses", "some enrolments (student = $user)"),
        (
            "tests",
            "published = true and some course.enrolments (student = $user)",
        ),
        ("questions", "test.course.teacher = $user"),
        (
            "answers",
            "student = $user and question.test.published = true",
        ),
        (
            "answers",
            "question.test.course.teacher = $user and (submitted = true or question.test.deadline <= $now)",
        ),
        ("grades", "student = $user or course.teacher = $user"),
        ("users", "some taught (some enrolments (student = $user))"),
    ];
    for (collection, rule) in rules {
        let plan = school.plan(collection, rule);
        let scans: Vec<&String> = plan
            .iter()
            .filter(|line| line.starts_with("SCAN t"))
            .collect();
        assert!(scans.is_empty(), "{rule}: {plan:#?}");
    }
}

#[test]
fn a_guard_stands_beside_the_column_and_never_around_it() {
    let school = School::new();
    let guard = std::sync::Arc::new(school.condition("grades", "score > 5"));
    let Condition::Compare {
        left: Term::Path(path),
        op,
        right,
    } = school.condition("grades", "student = $user")
    else {
        panic!("a comparison");
    };
    let guarded = portreeve_model::PathTerm {
        guard: Some(guard),
        ..path
    };
    let condition = Condition::Compare {
        left: Term::Path(guarded.clone()),
        op,
        right,
    };
    let collection = school.catalog().find_text("grades").expect("a collection");
    let mut lowering = Lowering::new(Dialect::Sqlite, school.catalog(), &[]);
    let scope = lowering.scope(collection);
    let held = lowering.is_true(&condition, &scope, Role::Finds);
    assert_eq!(held.text(), r#"t0."score" > ?1 AND t0."student" = ?2"#);
    // Only where the value itself is wanted, as in an order.
    assert_eq!(
        lowering.scalar(&Term::Path(guarded), &scope),
        r#"CASE WHEN t0."score" > ?1 THEN t0."student" END"#
    );
}

#[test]
fn ten_thousand_alternatives_are_not_too_deep() {
    let school = School::new();
    let collection = school.catalog().find_text("grades").expect("a collection");
    let Condition::Compare { left, op, .. } = school.condition("grades", "score = 1") else {
        panic!("a comparison")
    };
    let alternatives = (0..10_000)
        .map(|number| Condition::Compare {
            left: left.clone(),
            op,
            right: Term::Slot(
                portreeve_model::Slot::Literal(portreeve_model::Value::Integer(number)),
                portreeve_model::FieldType::Integer,
            ),
        })
        .collect();
    let mut lowering = Lowering::new(Dialect::Sqlite, school.catalog(), &[]);
    let scope = lowering.scope(collection);
    let held = lowering.is_true(&Condition::Any(alternatives), &scope, Role::Finds);
    school
        .connection
        .prepare(&format!("SELECT 1 FROM grades t0{}", held.clause()))
        .expect("a statement");
}

// A gate before the school's policy, and a caller who holds these roles.
fn admitted(roles: &[&str]) -> (Gate, Caller) {
    let document = Document::read("school", SCHOOL).expect("a document");
    let gate = Gate::new(Snapshot::compile(&document, 1).expect("a policy"), false);
    let facts = CredentialFacts {
        user: "anna".into(),
        attributes: std::sync::Arc::default(),
        bindings: roles
            .iter()
            .map(|role| Binding {
                to: BoundTo::Role((*role).into()),
                ..Binding::default()
            })
            .collect(),
        epoch: 0,
    };
    let caller = gate.admit(&facts, 0, RequestFacts::default());
    (gate, caller)
}

// What the gate plans for a page of grades, as a statement.
fn statement(roles: &[&str], collection: &str, filter: Option<&str>) -> String {
    let statement = read(roles, collection, filter);
    statement.rows.expect("rows").fragment.sql
}

fn read(roles: &[&str], collection: &str, filter: Option<&str>) -> select::ReadStatement {
    let (gate, caller) = admitted(roles);
    let mut values = vec![];
    let filter =
        filter.map(|filter| take_literals(parse_rule(filter).expect("a rule"), &mut values));
    let query = Query {
        collection: CollectionName::main(collection),
        fields: None,
        filter,
        search: None,
        sort: vec![],
        page: Page::Offset,
        total: false,
        expand: vec![],
    };
    let request = ListRequest {
        query,
        values,
        cursor: vec![],
        limit: 20,
        offset: 0,
    };
    let read = gate.list(&caller, request).expect("allowed");
    let (catalog, plan) = (read.snapshot().catalog(), read.operation().plan());
    select::read(Dialect::Sqlite, catalog, plan, select::Asked::Page)
}

#[test]
fn rows_may_be_gone_through_where_what_is_found_has_to_be_sorted() {
    // One index has them in order.
    assert!(read(&["student"], "grades", None).walk.is_none());
    let both = read(&["student", "teacher"], "grades", Some("score > 3"));
    let walk = both.walk.expect("another way").node.fragment.sql;
    // The course is joined once for the row rule and the mask, and nothing leads away from the key's order.
    assert_eq!(
        walk,
        r#"SELECT t0."id", t0."student", t0."course", t0."score", t0."comment", CASE WHEN t1."teacher" = ?1 THEN t0."teacher_note" END, t0."graded_at" FROM "grades" t0 LEFT JOIN "courses" t1 ON t1."id" = t0."course" WHERE (t0."student" = ?1 OR t1."teacher" = ?1) IS TRUE AND (t0."score" > ?2) IS TRUE ORDER BY t0."id" LIMIT ?3 OFFSET ?4"#
    );
    let school = School::new();
    let plan = school.explain(&walk);
    assert_eq!(
        plan.first().map(String::as_str),
        Some("SCAN t0"),
        "{plan:?}"
    );
    assert!(
        !plan.iter().any(|line| line.contains("TEMP B-TREE")),
        "{plan:?}"
    );
    // The page after a key begins there.
    let after = walk.replace(" ORDER", r#" AND t0."id" > ?5 ORDER"#);
    let plan = school.explain(&after);
    assert_eq!(
        plan.first().map(String::as_str),
        Some("SEARCH t0 USING INTEGER PRIMARY KEY (rowid>?)"),
        "{plan:?}"
    );
}

#[test]
fn columns_stay_bare_where_the_row_rule_implies_their_mask() {
    assert_eq!(
        statement(&["student"], "grades", None),
        r#"SELECT t0."id", t0."student", t0."course", t0."score", t0."comment", t0."graded_at" FROM "grades" t0 WHERE t0."student" = ?1 ORDER BY t0."id" LIMIT ?2 OFFSET ?3"#
    );
    // A student who teaches too: the note is there in her own courses, and only there.
    assert_eq!(
        statement(&["student", "teacher"], "grades", None),
        r#"SELECT t0."id", t0."student", t0."course", t0."score", t0."comment", CASE WHEN EXISTS (SELECT 1 FROM "courses" t1 WHERE t1."id" = t0."course" AND t1."teacher" = ?1) THEN t0."teacher_note" END, t0."graded_at" FROM "grades" t0 WHERE t0."student" = ?1 OR t0."course" IN (SELECT t2."id" FROM "courses" t2 WHERE t2."teacher" = ?1) ORDER BY t0."id" LIMIT ?2 OFFSET ?3"#
    );
    // A filter stands beside the rule, its values bound.
    assert_eq!(
        statement(&["student"], "grades", Some("score > 3 and course = 7")),
        r#"SELECT t0."id", t0."student", t0."course", t0."score", t0."comment", t0."graded_at" FROM "grades" t0 WHERE t0."student" = ?1 AND t0."score" > ?2 AND t0."course" = ?3 ORDER BY t0."id" LIMIT ?4 OFFSET ?5"#
    );
}

#[test]
fn aggregates_group_what_the_inner_select_lets_through() {
    let (gate, caller) = admitted(&["student", "teacher"]);
    let operand = |text: &str| portreeve_policy::parse_operand(text).expect("an operand");
    let aggregate = |function, of: Option<&str>| Aggregate {
        function,
        of: of.map(operand),
    };
    let query = AggregateQuery {
        collection: CollectionName::main("grades"),
        filter: None,
        search: None,
        group: vec![operand("comment"), operand("year(graded_at)")],
        aggregates: vec![
            aggregate(AggregateFunction::Count, None),
            aggregate(AggregateFunction::Count, Some("teacher_note")),
            aggregate(AggregateFunction::Sum, Some("score")),
            aggregate(AggregateFunction::Avg, Some("score")),
            aggregate(AggregateFunction::Max, Some("graded_at")),
        ],
        sort: vec![SortGroups {
            column: "count".into(),
            descending: true,
        }],
    };
    let request = AggregateRequest {
        query,
        values: vec![],
        limit: 20,
        offset: 0,
    };
    let read = gate.aggregate(&caller, request).expect("allowed");
    let (catalog, plan) = (read.snapshot().catalog(), read.operation().plan());
    let statement = |dialect| {
        let statement = aggregate::aggregate(dialect, catalog, plan);
        statement.rows.expect("rows").fragment.sql
    };
    assert_eq!(
        statement(Dialect::Sqlite),
        r#"SELECT g0 AS c0, g1 AS c1, count(*) AS c2, count(v1) AS c3, portreeve_sum(v2) AS c4, portreeve_avg(v3, 0) AS c5, max(v4) AS c6 FROM (SELECT t0."comment" AS g0, CAST(strftime('%Y', (t0."graded_at" / 1000000 - (t0."graded_at" % 1000000 < 0)), 'unixepoch') AS INTEGER) AS g1, CASE WHEN EXISTS (SELECT 1 FROM "courses" t1 WHERE t1."id" = t0."course" AND t1."teacher" = ?1) THEN t0."teacher_note" END AS v1, t0."score" AS v2, t0."score" AS v3, t0."graded_at" AS v4 FROM "grades" t0 WHERE t0."student" = ?1 OR t0."course" IN (SELECT t2."id" FROM "courses" t2 WHERE t2."teacher" = ?1)) AS r GROUP BY g0, g1 ORDER BY c2 DESC, c0 NULLS LAST, c1 NULLS LAST LIMIT ?2 OFFSET ?3"#
    );
    assert_eq!(
        statement(Dialect::Postgres),
        r#"SELECT g0 AS c0, g1 AS c1, count(*) AS c2, count(v1) AS c3, sum(v2)::int8 AS c4, (sum(v3) * 1)::float8 / (count(v3) * 1::numeric)::float8 AS c5, max(v4) AS c6 FROM (SELECT (t0."comment")::text COLLATE "C" AS g0, (floor(extract(year FROM (t0."graded_at" AT TIME ZONE 'UTC')))::int8)::int8 AS g1, (CASE WHEN EXISTS (SELECT 1 FROM "public"."courses" t1 WHERE t1."id" = t0."course" AND t1."teacher" = $1::text) THEN t0."teacher_note" END)::text COLLATE "C" AS v1, (t0."score")::int8 AS v2, (t0."score")::int8 AS v3, (t0."graded_at")::timestamptz AS v4 FROM "public"."grades" t0 WHERE t0."student" = $1::text OR t0."course" IN (SELECT t2."id" FROM "public"."courses" t2 WHERE t2."teacher" = $1::text)) AS r GROUP BY g0, g1 ORDER BY c2 DESC NULLS LAST, c0, c1 LIMIT $2::int8 OFFSET $3::int8"#
    );
}
