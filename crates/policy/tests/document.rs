//! The access file: what is well formed is read whole, what is wrong is told with its place and the fix, what was read
//! can be written back, and no input brings the reader down.

use std::time::{Duration, Instant};

use portreeve_model::{CompareOp, FieldType, KeySource, Literal, OnDelete, Operand, Path, Rule, Variable};
use portreeve_policy::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const REFERENCE: &str = include_str!("../../../docs/reference/access-file.md");

fn read(text: &str) -> Document {
    Document::read("a.yaml", text).unwrap_or_else(|problems| panic!("{text}\n{}", shown(&problems)))
}

fn problems(text: &str) -> Vec<Problem> {
    match Document::read("a.yaml", text) {
        Ok(document) => panic!("{text}\nis read as {document:?}"),
        Err(problems) => problems,
    }
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!(">>> {problem}\n")).collect()
}

/// The place and code of the only problem.
fn only(text: &str) -> (u32, u32, &'static str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{}", shown(&problems));
    (problems[0].place.line, problems[0].place.column, problems[0].code)
}

/// Written and read again it is the same, and so are its parts.
fn check_round_trip(document: &Document) {
    let yaml = document.to_yaml();
    let again = Document::read("again.yaml", &yaml)
        .unwrap_or_else(|problems| panic!("{yaml}\n{}", shown(&problems)));
    assert_eq!(again.clone().without_places(), document.clone().without_places(), "{yaml}");
    assert_eq!(again.to_yaml(), yaml);
    assert_eq!(read(&document.to_json().to_string()).without_places(), again.without_places());
    // Each part goes through text, as it does in the store.
    let stored = |json: Value| serde_json::from_str::<Value>(&json.to_string()).unwrap();
    let mut parts = Document {
        registration: document.registration.clone(),
        tests: document.tests.clone(),
        ..Document::default()
    };
    for one in &document.collections {
        let json = stored(collection_to_json(one));
        parts.collections.push(collection_from_json(&one.name.to_string(), &json).unwrap());
    }
    for one in &document.actions {
        parts.actions.push(action_from_json(&one.name, &stored(action_to_json(one))).unwrap());
    }
    for one in &document.rules {
        let json = stored(rule_definition_to_json(one));
        parts.rules.push(rule_definition_from_json(&one.name, &json).unwrap());
    }
    for one in &document.roles {
        parts.roles.push(role_from_json(&one.key, &stored(role_to_json(one))).unwrap());
    }
    for one in &document.profiles {
        parts.profiles.push(profile_from_json(&one.key, &stored(profile_to_json(one))).unwrap());
    }
    assert_eq!(parts.without_places(), document.clone().without_places());
}

#[test]
fn the_example_of_the_design_is_read() {
    let document = read(DESIGN);
    let student = &document.roles[0];
    assert_eq!(student.key, "student");
    assert_eq!(student.place.to_string(), "a.yaml:2:3 (roles.student)");
    let [grades, create, _] = student.permissions.as_slice() else {
        panic!("{student:?}");
    };
    let own = Rule::Compare {
        left: Operand::Path(Path(vec!["student".into()])),
        op: CompareOp::Equal,
        right: Operand::Variable(Variable::User(vec![])),
    };
    assert_eq!(grades.rows, Some(own));
    assert_eq!((grades.effect, &grades.fields), (Effect::Allow, &None));
    assert_eq!(create.fields, Some(vec!["question".into(), "text".into()]));
    assert_eq!(
        create.presets,
        [("student".into(), FieldValue::Variable(Variable::User(vec![])))]
    );
    assert!(create.check.is_some() && create.rows.is_none());
    assert_eq!(create.place.to_string(), "a.yaml:5:9 (roles.student.permissions[1])");
    let moderator = &document.roles[1];
    assert_eq!(moderator.permissions[0].actions, ["data.read", "data.update"]);
    assert_eq!(moderator.permissions[1].effect, Effect::Deny);
    let staff = &document.profiles[0];
    assert_eq!(staff.roles[0].restricted_to, Some(vec!["posts".into(), "comments".into()]));
    assert_eq!(staff.rate_limit, 50);
    let test = &document.tests[0];
    assert_eq!(test.subject.user.as_deref(), Some("anna"));
    assert_eq!(test.given[0].1.len(), 2);
    assert_eq!(test.expect[1].verdict, ExpectedVerdict::Deny);
    check_round_trip(&document);
}

const DESIGN: &str = r#"roles:
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user" }
      - allow: data.create
        on: answers
        fields: [question, text]
        presets: { student: $user }
        check: "question.test.deadline > $now"
      - { allow: data.read, on: answers, rows: "student = $user" }
  moderator:
    permissions:
      - { allow: [data.read, data.update], on: "*" }
      - { deny: data.delete, on: "*" }
profiles:
  weekend_staff:
    roles: [ { role: moderator, restricted_to: [posts, comments] } ]
    rate_limit: 50
tests:
  - as: { user: anna, roles: [student] }
    given: { grades: [ { id: 1, student: anna }, { id: 2, student: bo } ] }
    expect: [ { read: grades/1, is: allow }, { read: grades/2, is: deny }, { update: grades/1, is: deny } ]
"#;

const RICH: &str = r#"%YAML 1.2
---
collections:
  grades:
    key: { id: integer }
    fields:
      student: { to: users, required: true, on_delete: cascade }
      marker: { to: users, by: number, on_delete: set_null }
      score: { type: integer, required: true, default: 0 }
      weight: { type: decimal(2), default: 1.50, unique: true }
      title: text
      due: { type: timestamp, default: $now }
      note: { type: json, default: null }
    relations:
      answers: { many: answers, by: question }
      courses: { many: courses, through: shop/enrolments, from: student, to: course }
    indexes: [[student, score], due]
  plain: {}
  empty:
  shop/orders: { key: { number: text } }
  main/tags: { key: { name: tag, type: text, source: uuid } }
  users: { fields: { team: { to: teams }, nickname: { type: text, self_writable: true } } }
actions: { invoice.approve: "Approve an invoice", invoice.void: }
rules:
  published: "status = 'published'"
  owner: { parameters: [field], rule: ":field = $user" }
  mine: { rule: [owner, { field: student }] }
  nobody: false
  json: { "=": [ { field: a }, 1 ] }
roles:
  student:
    label: Student
    description: |
      Learns.
      Sits tests.
    extra: { colour: "#fff", yes: [on, off, no, ~, 1.5, 0x10, "1"] }
    implicit_allow: true
    administrator: true
    fallback: true
    when: $request.face = 'kuzzle'
    enforce_tfa: true
    app_access: true
    permissions:
      - { allow: data.read, on: [grades, shop/*, "*"], except: [answers, data.read.count], fields: "*", rows: true }
      - deny: data.update
        on: shop/orders
        fields: title
        check: sent(title)
        via: { face: kuzzle, operations: [document:update] }
        source: { verbatim: { a: [1, null] } }
      - allow: "*"
        presets: { a: $now - 1 day, b: $$now, c: { d: [] }, e: 7, f: $claims.tenant }
        defaults: { g: $user.team, h: ~ }
        fields: []
        via: bknd
  empty:
profiles:
  weekend_staff:
    label: Staff
    description: On Saturdays
    parent: staff
    roles: [ moderator, { role: student, restricted_to: shop/* }, { role: a, restricted_to: [] } ]
    rate_limit: 50
    addresses: ["10.0.0.0/8", "::1"]
    assignable_by: principal
registration: { roles: [] }
tests:
  - name: all of it
    as:
      user: anna
      roles: [student]
      profiles: [weekend_staff]
      bindings:
        - { role: student, restricted_to: [grades], from: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00.5Z" }
        - { profile: weekend_staff, primary: true }
      attributes: { team: 3 }
      claims: { tenant: { id: x } }
      request: { operation: document:get, ip: 10.0.0.1, face: kuzzle, method: GET }
      narrowed_to: [student]
    at: 2026-01-01T00:00:00Z
    given: { grades: [ { id: 1, student: anna } ], shop/orders: [] }
    expect:
      - { read: grades/1, is: allow, shows: { score: 0 }, hides: [note] }
      - { list: grades, where: score > 0, is: [1, "01", b] }
      - { create: answers, send: { text: x }, is: allow, shows: {} }
      - { update: shop/orders/7, send: { title: x }, is: deny }
      - { delete: { collection: shop/orders, key: a/b }, is: hidden }
      - { can: invoice.approve, is: deny }
      - { can: invoice.approve, on: invoices, is: deny }
      - { can: invoice.approve, on: invoices/7, is: allow }
      - { can: invoice.approve, on: { collection: shop/orders }, is: allow }
  - { as: anonymous, expect: [] }
  - { as: { request: { ip: "::1" } }, expect: [] }
"#;

#[test]
fn every_key_is_read_as_what_it_says() {
    let document = read(RICH);
    check_round_trip(&document);
    let [grades, plain, empty, orders, tags, users] = document.collections.as_slice() else {
        panic!("{:?}", document.collections);
    };
    let key = |one: &CollectionDefinition| (one.key.clone(), one.key_type, one.key_source);
    assert_eq!(key(grades), ("id".into(), FieldType::Integer, KeySource::Sequence));
    assert_eq!(key(plain), ("id".into(), FieldType::Uuid, KeySource::Uuid));
    assert_eq!(key(empty), key(plain));
    assert_eq!(key(orders), ("number".into(), FieldType::Text, KeySource::Given));
    assert_eq!(key(tags), ("tag".into(), FieldType::Text, KeySource::Uuid));
    assert_eq!(tags.name.to_string(), "tags");
    assert!(users.fields[1].self_writable);
    let student = grades.fields[0].to.as_ref().unwrap();
    assert_eq!((student.by_number, student.on_delete), (false, OnDelete::Cascade));
    assert!(grades.fields[1].to.as_ref().unwrap().by_number);
    assert_eq!(grades.fields[3].ty, Some(FieldType::Decimal(2)));
    assert_eq!(grades.fields[5].default, Some(json!("$now")));
    assert_eq!(grades.fields[6].default, Some(Value::Null));
    assert_eq!(grades.indexes, [vec!["student".to_owned(), "score".into()], vec!["due".into()]]);
    assert_eq!(document.actions[1].description, "");
    assert_eq!(document.rules[1].parameters, ["field"]);
    assert!(matches!(&document.rules[2].rule, Rule::Named { name, .. } if name == "owner"));
    assert_eq!(document.rules[3].rule, Rule::Constant(false));

    let role = &document.roles[0];
    assert_eq!(role.description, "Learns.\nSits tests.\n");
    // By YAML 1.2 `on`, `off`, `yes` and `no` are words.
    let list = json!(["on", "off", "no", null, 1.5, 16, "1"]);
    assert_eq!(role.extra, Some(json!({ "colour": "#fff", "yes": list })));
    assert!(role.implicit_allow && role.administrator && role.fallback);
    assert!(role.enforce_tfa && role.app_access && role.when.is_some());
    let [read, deny, all] = role.permissions.as_slice() else {
        panic!("{role:?}");
    };
    assert_eq!((&read.fields, &read.rows), (&None, &Some(Rule::Constant(true))));
    assert_eq!(read.on, ["grades", "shop/*", "*"]);
    assert_eq!(read.except, ["answers", "data.read.count"]);
    let via = FaceScope { face: "kuzzle".into(), operations: vec!["document:update".into()] };
    assert_eq!(deny.via, Some(via));
    assert_eq!(deny.fields, Some(vec!["title".into()]));
    let day = Variable::Now { offset: -86_400_000_000 };
    assert_eq!(all.presets[0].1, FieldValue::Variable(day));
    assert_eq!(all.presets[1].1, FieldValue::Json(json!("$now")));
    assert_eq!(
        all.presets[3].1.as_operand(),
        Some(Operand::Literal(Literal::Number("7".into())))
    );
    assert_eq!(all.defaults[1].1, FieldValue::Json(Value::Null));
    assert_eq!(all.fields, Some(vec![]), "no field at all is not every field");
    let profile = &document.profiles[0];
    assert_eq!(profile.addresses[1].to_string(), "::1/128");
    assert_eq!(profile.roles[2].restricted_to, Some(vec![]), "nowhere is not everywhere");
    assert_eq!(document.registration.roles, Vec::<String>::new());

    let test = &document.tests[0];
    assert_eq!(test.at, Some(1_767_225_600_000_000));
    assert_eq!(test.subject.bindings.len(), 4);
    assert_eq!(test.subject.request[0], ("ip".into(), "10.0.0.1".into()));
    let asks: Vec<&Ask> = test.expect.iter().map(|one| &one.ask).collect();
    let target = |collection: &str, key: &str| (collection.to_owned(), key.to_owned());
    let (collection, key) = target("shop/orders", "a/b");
    assert_eq!(asks[4], &Ask::Delete { collection, key });
    assert!(matches!(asks[3], Ask::Update { collection, key, .. }
        if (collection.as_str(), key.as_str()) == ("shop/orders", "7")));
    assert!(matches!(asks[8], Ask::Can { collection: Some(all), key: None, .. }
        if all == "shop/orders"));
    assert_eq!(
        test.expect[1].verdict,
        ExpectedVerdict::Keys(vec!["1".into(), "01".into(), "b".into()])
    );
    assert_eq!(document.tests[1].subject, TestSubject::default());
}

#[test]
fn the_canonical_form_is_the_short_one() {
    let text = "roles:\n  a:\n    permissions:\n      - allow: [data.read]\n        on: [grades]\n        \
                rows: \"(a = 1)\"\n        fields: '*'\n";
    assert_eq!(
        read(text).to_yaml(),
        "roles:\n  a:\n    permissions:\n      - { allow: data.read, on: grades, rows: \"a = 1\" }\n"
    );
    assert_eq!(Document::default().to_yaml(), "{}\n");
}

#[test]
fn nothing_is_a_document_too() {
    for text in ["", "\n# nothing\n", "---\n", "{}", "null", "\u{feff}", "roles:\ntests:\n"] {
        assert_eq!(read(text), Document::default(), "{text:?}");
    }
}

#[test]
fn json_is_read_like_yaml() {
    let role = json!({ "label": "\u{1f600} \u{e4} / \" \\ud83d", "extra": { "a\tb": -0.5e-3 } });
    let json = json!({ "roles": { "a": role } });
    let compact = json.to_string();
    let tabs = "{\n\t\"roles\": {\n\t\t\"a\" : {\n\t\t\t\"label\":\"\\ud83d\\ude00 \\u00e4 \\/ \\\" \\\\ud83d\",\n\t\t\t\
                \"extra\":{\"a\\tb\":-0.5e-3}\n\t\t}\n\t}\n}\n";
    for text in [compact.as_str(), tabs, &format!("\u{feff}{compact}")] {
        assert_eq!(role_to_json(&read(text).roles[0]), role, "{text}");
    }
    assert_eq!(only("{\"roles\": {\"a\": {\"label\": \"\\ud83d\"}}}").2, "syntax");
}

#[test]
fn wrong_documents_are_told_what_is_wrong() {
    let mut number = 0;
    for case in WRONG.split("\n=== ").skip(1) {
        let (name, case) = case.split_once('\n').unwrap();
        let text: String =
            case.lines().filter(|line| !line.starts_with(">>> ")).flat_map(|line| [line, "\n"]).collect();
        let expected: String =
            case.lines().filter(|line| line.starts_with(">>> ")).flat_map(|line| [line, "\n"]).collect();
        let problems = problems(&text);
        assert_eq!(shown(&problems), expected, "{name}\n{text}");
        for problem in problems {
            assert!(
                REFERENCE.contains(&format!("| `{}` |", problem.code)),
                "the reference page does not explain {}",
                problem.code
            );
        }
        number += 1;
    }
    assert!(number >= 40, "{number} cases");
}

#[test]
fn the_reference_page_is_true() {
    let mut all = Document::default();
    for block in REFERENCE.split("```yaml\n").skip(1) {
        let document = read(block.split("```").next().unwrap());
        check_round_trip(&document);
        all.roles.extend(document.roles);
        all.tests.extend(document.tests);
    }
    assert!(all.roles.len() > 3 && !all.tests.is_empty());
}

#[test]
fn the_column_leads_into_the_rule() {
    let rows = |rows: &str| format!("roles:\n  a:\n    permissions:\n      - allow: data.read\n        rows: {rows}\n");
    for (written, line, column) in [
        ("a ~ 1", 5, 17),
        ("'a = ''x'' and b ~ 1'", 5, 32),
        ("\"a = '\\u00e4\\t' and b ~ 1\"", 5, 38),
        ("\"a = 1 \\\n          and b ~ 1\"", 6, 17),
        ("a = 1\n          and b\n          ~ 1", 7, 11),
        ("|\n          a = 1\n            and b ~ 1", 7, 19),
        (">-\n\n          a = 1\n          and b ~ 1", 8, 17),
        ("ä ~ 1", 5, 15),
    ] {
        let text = rows(written);
        assert_eq!(only(&text), (line, column, "bad_rule"), "{text}");
        // Windows ends its lines otherwise.
        let text = text.replace('\n', "\r\n");
        assert_eq!(only(&text), (line, column, "bad_rule"), "{text:?}");
    }
}

#[test]
fn stored_parts_tell_where_they_are_wrong() {
    let json = json!({ "permissions": [{ "allow": "data.read", "row": true }] });
    assert_eq!(
        shown(&role_from_json("student", &json).unwrap_err()),
        ">>> stored (roles.student.permissions[0].row): unknown key 'row'; did you mean 'rows'? [unknown_key]\n"
    );
    let json = json!({ "label": "\u{0}", "extra": { "\u{0}": 1 } });
    let problems = role_from_json("a", &json).unwrap_err();
    assert_eq!(problems.iter().map(|one| one.code).collect::<Vec<_>>(), ["bad_value", "bad_value"]);
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let problems = role_from_json("a", &json!({ "extra": deep })).unwrap_err();
    assert_eq!((problems.len(), problems[0].code), (1, "too_deep"));
    assert!(profile_from_json("a b", &json!({})).is_err());
}

#[test]
fn what_is_stored_fits_into_a_document() {
    // The deepest part that is read must not make a document that is too deep to be read.
    let mut deepest = json!(1);
    while role_from_json("a", &json!({ "extra": [deepest] })).is_ok() {
        deepest = json!([deepest]);
    }
    let role = role_from_json("a", &json!({ "extra": deepest })).unwrap();
    check_round_trip(&Document { roles: vec![role], ..Document::default() });
}

const WRONG: &str = r##"
=== top level is a list
- roles
>>> a.yaml:1:1: expected a mapping with 'collections', 'actions', 'rules', 'roles', 'profiles', 'registration' or 'tests', found a list [wrong_type]
=== unknown section
role:
  student: {}
>>> a.yaml:1:1 (role): unknown key 'role'; did you mean 'roles'? [unknown_key]
=== several at once, in the order of the text
roles:
  student:
    permisions: []
    label: 2024
    fallback: yes
profiles: nothing
>>> a.yaml:3:5 (roles.student.permisions): unknown key 'permisions'; did you mean 'permissions'? [unknown_key]
>>> a.yaml:4:12 (roles.student.label): expected a text, found the number 2024; put it in quotes to have it as a text [wrong_type]
>>> a.yaml:5:15 (roles.student.fallback): expected true or false, found the text 'yes' [wrong_type]
>>> a.yaml:6:11 (profiles): expected a mapping of profiles, found the text 'nothing' [wrong_type]
=== anchors
roles:
  a: &x { label: A }
  b: *x
>>> a.yaml:2:9 (roles.a): an anchor (&name) cannot stand in a document; write each value out [unsupported]
>>> a.yaml:3:6 (roles.b): an alias (*name) cannot stand in a document; write the value out [unsupported]
=== alias to nowhere
roles: { a: *x }
>>> a.yaml:1:13 (roles.a): an alias (*name) cannot stand in a document; write the value out [unsupported]
=== tag
roles: { a: { label: !!str 1 } }
>>> a.yaml:1:28 (roles.a.label): a tag (!name) cannot stand in a document; quote a text, leave other values bare [unsupported]
=== two documents
roles: {}
---
roles: {}
>>> a.yaml:2:1: a second document begins here; keep each in a file of its own [unsupported]
=== duplicate key
roles:
  student: { label: A }
  student: { label: B }
>>> a.yaml:3:3 (roles.student): the key 'student' is here a second time; the first is in line 2 [duplicate_key]
=== duplicate permission key
roles:
  a:
    permissions:
      - { allow: data.read, on: x, rows: "a = 1", rows: "true" }
>>> a.yaml:4:51 (roles.a.permissions[0].rows): the key 'rows' is here a second time; the first is in line 4 [duplicate_key]
=== same collection twice
collections: { grades: {}, main/grades: {} }
>>> a.yaml:1:28 (collections.main/grades): 'main/grades' is the same collection as 'grades' [duplicate_key]
=== syntax
roles: [ { a: 1
>>> a.yaml:2:1 (roles[0]): this is not valid YAML: while parsing a flow mapping, did not find expected ',' or '}' [syntax]
=== tab as indentation
roles:
	a: {}
>>> a.yaml:2:2 (roles): this is not valid YAML: tabs disallowed within this context (block indentation) [syntax]
=== a list as key
roles: { [a]: {} }
>>> a.yaml:1:10 (roles): a key must be a text, not a list or a mapping [wrong_type]
=== number out of range
tests: [ { as: { user: a, claims: { n: 123456789012345678901 } }, expect: [] } ]
>>> a.yaml:1:40 (tests[0].as.claims.n): the number '123456789012345678901' is out of range; put it in quotes to have it as a text [bad_value]
=== infinity
tests: [ { as: { user: a, claims: { n: -.inf } }, expect: [] } ]
>>> a.yaml:1:40 (tests[0].as.claims.n): '-.inf' is no finite number [bad_value]
=== NUL escape
roles: { a: { label: "x\0y" } }
>>> a.yaml:1:22 (roles.a.label): a text must not contain the NUL character [bad_value]
=== role name
roles: { "two words": {} }
>>> a.yaml:1:10 (roles.'two words'): 'two words' is not a name: use letters, digits, '-', '.' and '_', beginning with a letter or '_' [bad_name]
=== long role name
roles: { aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg: {} }
>>> a.yaml:1:10 (roles.aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg): the name 'aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff…' is longer than 63 bytes [bad_name]
=== collection name
collections: { a/b/c: {} }
>>> a.yaml:1:16 (collections.a/b/c): 'b/c' is not a name: use letters, digits, '-', '.' and '_', beginning with a letter or '_' [bad_name]
=== field name
collections: { a: { fields: { due-date: timestamp } } }
>>> a.yaml:1:31 (collections.a.fields.due-date): 'due-date' is not a name: use letters, digits and '_', beginning with a letter or '_' [bad_name]
=== field type
collections: { a: { fields: { n: int } } }
>>> a.yaml:1:34 (collections.a.fields.n): unknown type 'int'; there is text, integer, decimal(2), float, boolean, timestamp, datetime, json, uuid [bad_value]
=== field of no kind
collections: { a: { fields: { n: [text] } } }
>>> a.yaml:1:34 (collections.a.fields.n): expected a type (a text) or a mapping with 'type' or 'to', found a list [wrong_type]
=== field without type
collections: { a: { fields: { n: { required: true } } } }
>>> a.yaml:1:34 (collections.a.fields.n): the key 'type' or 'to' is missing [missing_key]
=== type and to
collections: { a: { fields: { n: { type: text, to: b } } } }
>>> a.yaml:1:36 (collections.a.fields.n.type): a field with 'to' takes its target's type; leave 'type' out [conflict]
=== by without to
collections: { a: { fields: { n: { type: text, by: number, on_delete: cascade } } } }
>>> a.yaml:1:48 (collections.a.fields.n.by): 'by' goes with 'to' only [conflict]
>>> a.yaml:1:60 (collections.a.fields.n.on_delete): 'on_delete' goes with 'to' only [conflict]
=== by for other collections
collections: { a: { fields: { n: { to: b, by: number } } } }
>>> a.yaml:1:43 (collections.a.fields.n.by): only a relation to 'users' has 'by'; one to 'b' holds its key [conflict]
=== by another field
collections: { a: { fields: { n: { to: users, by: email } } } }
>>> a.yaml:1:51 (collections.a.fields.n.by): unknown word 'email'; there is number [bad_value]
=== on_delete
collections: { a: { fields: { n: { to: b, on_delete: cascad } } } }
>>> a.yaml:1:54 (collections.a.fields.n.on_delete): unknown word 'cascad'; did you mean 'cascade'? [bad_value]
=== null what is required
collections: { a: { fields: { n: { to: b, required: true, on_delete: set_null } } } }
>>> a.yaml:1:59 (collections.a.fields.n.on_delete): a required field cannot be set to null; write restrict or cascade [conflict]
=== default of a variable
collections: { a: { fields: { n: { type: text, default: $user } } } }
>>> a.yaml:1:57 (collections.a.fields.n.default): '$user' is no default: a column's default is a value or $now; a permission's presets and defaults take variables [bad_value]
=== self_writable elsewhere
collections: { a: { fields: { n: { type: text, self_writable: true } } } }
>>> a.yaml:1:48 (collections.a.fields.n.self_writable): only fields of 'users' can be 'self_writable' [conflict]
=== key of users
collections: { users: { key: { id: integer } } }
>>> a.yaml:1:25 (collections.users.key): the accounts have a key of their own; leave 'key' out [conflict]
=== key source
collections: { a: { key: { name: id, type: text, source: sequence } } }
>>> a.yaml:1:58 (collections.a.key.source): this source makes keys of type integer, not text [conflict]
=== key without type
collections: { a: { key: { name: id, source: given } } }
>>> a.yaml:1:26 (collections.a.key): the key 'type' is missing [missing_key]
=== key name
collections: { a: { key: { i d: uuid } } }
>>> a.yaml:1:28 (collections.a.key): 'i d' is not a name: use letters, digits and '_', beginning with a letter or '_' [bad_name]
=== names shared
collections: { a: { fields: { id: text, b: text }, relations: { b: { many: c, by: d } } } }
>>> a.yaml:1:31 (collections.a.fields.id): 'id' is already the name of the key [conflict]
>>> a.yaml:1:65 (collections.a.relations.b): 'b' is already the name of a field [conflict]
=== relation without a way
collections: { a: { relations: { b: { many: c, from: d } } } }
>>> a.yaml:1:37 (collections.a.relations.b): the key 'by' or 'through' is missing [missing_key]
>>> a.yaml:1:48 (collections.a.relations.b.from): 'from' goes with 'through' only [conflict]
=== relation with two ways
collections: { a: { relations: { b: { many: c, by: d, through: e, from: f } } } }
>>> a.yaml:1:37 (collections.a.relations.b): the key 'to' is missing [missing_key]
>>> a.yaml:1:48 (collections.a.relations.b.by): 'by' and 'through' exclude each other [conflict]
=== indexes
collections: { a: { indexes: { a: b } } }
>>> a.yaml:1:30 (collections.a.indexes): expected a list of lists of field names, found a mapping [wrong_type]
=== action name
actions: { "approve it": x, data.*: y, ok.go: 1 }
>>> a.yaml:1:12 (actions.'approve it'): 'approve it' is not an action: use letters, digits, '_' and '-', joined by dots [bad_name]
>>> a.yaml:1:29 (actions.data.*): 'data.*' is not an action; write 'data', which covers all that begins with it [bad_name]
>>> a.yaml:1:47 (actions.ok.go): expected a text, found the number 1; put it in quotes to have it as a text [wrong_type]
=== named rule
rules: { a: 1, b: { parameters: [x], rul: "true" } }
>>> a.yaml:1:13 (rules.a): expected a rule (a text, a mapping, true or false), found the number 1 [wrong_type]
>>> a.yaml:1:38 (rules.b.rul): unknown key 'rul'; did you mean 'rule'? [unknown_key]
=== allow and deny
roles: { a: { permissions: [ { allow: data.read, deny: data.read, on: x } ] } }
>>> a.yaml:1:50 (roles.a.permissions[0].deny): a permission either allows or denies; write two [conflict]
=== neither
roles: { a: { permissions: [ { on: x } ] } }
>>> a.yaml:1:30 (roles.a.permissions[0]): the key 'allow' or 'deny' is missing [missing_key]
=== misspelt
roles:
  a:
    permissions:
      - { allow: data.read, on: x, row: "a = 1" }
>>> a.yaml:4:36 (roles.a.permissions[0].row): unknown key 'row'; did you mean 'rows'? [unknown_key]
=== no actions
roles: { a: { permissions: [ { allow: [], on: [] } ] } }
>>> a.yaml:1:39 (roles.a.permissions[0].allow): the list names no action [bad_value]
>>> a.yaml:1:47 (roles.a.permissions[0].on): the list names no collection; write "*" for all of them [bad_value]
=== rows of nothing
roles:
  a:
    permissions:
      - allow: data.read
        rows:
        check: 1
        fields: { a: b }
>>> a.yaml:5:13 (roles.a.permissions[0].rows): expected a rule (a text, a mapping, true or false), found nothing [wrong_type]
>>> a.yaml:6:16 (roles.a.permissions[0].check): expected a rule (a text, a mapping, true or false), found the number 1 [wrong_type]
>>> a.yaml:7:17 (roles.a.permissions[0].fields): expected a list of field names, or "*" (texts), found a mapping [wrong_type]
=== bad rule, plain
roles:
  a:
    permissions:
      - allow: data.read
        rows: student == $user
>>> a.yaml:5:23 (roles.a.permissions[0].rows): '==' is not an operator; use '=' [bad_rule]
=== bad rule, quoted
roles:
  a:
    permissions:
      - { allow: data.read, on: x, rows: 'status = ''open'' and amount ~ 3' }
>>> a.yaml:4:72 (roles.a.permissions[0].rows): '~' is not an operator; use 'matches', 'contains' or 'icontains' [bad_rule]
=== bad rule, block
roles:
  a:
    permissions:
      - allow: data.read
        rows: |
          status = 'open'
          and amount ~ 3
>>> a.yaml:7:22 (roles.a.permissions[0].rows): '~' is not an operator; use 'matches', 'contains' or 'icontains' [bad_rule]
=== bad rule, escapes
{"roles": {"a": {"permissions": [{"allow": "data.read", "rows": "s = \"\u00e4\" and \ud83d\ude00"}]}}}
>>> a.yaml:1:70 (roles.a.permissions[0].rows): " does not quote anything; text stands in single quotes: 'text' [bad_rule]
=== bad rule, JSON form
rules:
  a: { equals: [1, 2] }
>>> a.yaml:2:6 (rules.a): 'equals' is not an operator; a field is compared as in {"=": [{"field": "name"}, "value"]} [bad_rule]
=== all fields and one
roles: { a: { permissions: [ { allow: data.read, fields: ["*", b] } ] } }
>>> a.yaml:1:58 (roles.a.permissions[0].fields): '*' is every field already; write it alone, or the fields alone [conflict]
=== except everything
roles: { a: { permissions: [ { allow: data.read, on: "*", except: ["*", x y] } ] } }
>>> a.yaml:1:68 (roles.a.permissions[0].except[0]): '*' would leave nothing of the permission [bad_value]
>>> a.yaml:1:73 (roles.a.permissions[0].except[1]): 'x y' is not a name: use letters, digits, '-', '.' and '_', beginning with a letter or '_' [bad_name]
=== presets of a deny
roles: { a: { permissions: [ { deny: data.create, on: x, presets: { a: 1 } } ] } }
>>> a.yaml:1:58 (roles.a.permissions[0].presets): a deny writes nothing, so it has no 'presets' [conflict]
=== preset of an unknown variable
roles: { a: { permissions: [ { allow: data.create, on: x, presets: { a: $users } } ] } }
>>> a.yaml:1:73 (roles.a.permissions[0].presets.a): '$users' is not a variable; did you mean '$user'?; a text that begins with '$' is written '$$…' [bad_value]
=== preset of a price
roles: { a: { permissions: [ { allow: data.create, on: x, defaults: { a: "$5" } } ] } }
>>> a.yaml:1:75 (roles.a.permissions[0].defaults.a): '$' begins a variable: $user, $now, $request, $claims, $old or $new is expected; a text that begins with '$' is written '$$…' [bad_value]
=== preset of a field of the past
roles: { a: { permissions: [ { allow: data.create, on: x, presets: { a: $old.b } } ] } }
>>> a.yaml:1:73 (roles.a.permissions[0].presets.a): '$old.b' is not a variable: write $user, $now, $request or $claims, or '$$…' for a text that begins with '$' [bad_value]
=== via
roles: { a: { permissions: [ { allow: data.read, via: kuzle }, { allow: data.read, via: { operations: [] } } ] } }
>>> a.yaml:1:55 (roles.a.permissions[0].via): unknown word 'kuzle'; did you mean 'kuzzle'? [bad_value]
>>> a.yaml:1:89 (roles.a.permissions[1].via): the key 'face' is missing [missing_key]
>>> a.yaml:1:103 (roles.a.permissions[1].via.operations): the list names no operation; leave 'operations' out for all of them [bad_value]
=== profile
profiles: { p: { roles: [ { rol: a }, 3 ], rate_limit: -1, addresses: [ 10.0.0.0/33 ], parent: [a] } }
>>> a.yaml:1:29 (profiles.p.roles[0].rol): unknown key 'rol'; did you mean 'role'? [unknown_key]
>>> a.yaml:1:39 (profiles.p.roles[1]): expected a role (a text) or a mapping with 'role' and 'restricted_to', found the number 3 [wrong_type]
>>> a.yaml:1:56 (profiles.p.rate_limit): -1 is no number of requests: write 0 to 4294967295 [bad_value]
>>> a.yaml:1:73 (profiles.p.addresses[0]): '10.0.0.0/33' is not an address: write one such as 10.0.0.1 or 10.0.0.0/8 [bad_value]
>>> a.yaml:1:96 (profiles.p.parent): expected a text, found a list [wrong_type]
=== restricted to everything
profiles: { p: { roles: [ { role: a, restricted_to: "*" } ], addresses: [] } }
>>> a.yaml:1:53 (profiles.p.roles[0].restricted_to): '*' restricts nothing; leave 'restricted_to' out [bad_value]
>>> a.yaml:1:73 (profiles.p.addresses): the list names no address; leave 'addresses' out for everywhere [bad_value]
=== registration
registration: { role: user }
>>> a.yaml:1:17 (registration.role): unknown key 'role'; did you mean 'roles'? [unknown_key]
=== test without subject
tests: [ { name: x, expect: [] } ]
>>> a.yaml:1:10 (tests[0]): the key 'as' is missing [missing_key]
=== anonymous misspelt
tests: [ { as: anonymus, expect: [] } ]
>>> a.yaml:1:16 (tests[0].as): unknown word 'anonymus'; did you mean 'anonymous'? [bad_value]
=== anonymous with roles
tests: [ { as: { roles: [a] }, expect: [] } ]
>>> a.yaml:1:18 (tests[0].as.roles): 'roles' belong to a user, and the key 'user' is missing [missing_key]
=== time without zone
tests: [ { as: anonymous, at: 2026-01-01, expect: [] } ]
>>> a.yaml:1:31 (tests[0].at): '2026-01-01' is not a timestamp: write it with a zone, such as 2026-11-22T10:00:00Z [bad_value]
=== binding
tests: [ { as: { user: a, bindings: [ { role: a, profile: b }, {}, { role: a, from: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z" } ] }, expect: [] } ]
>>> a.yaml:1:50 (tests[0].as.bindings[0].profile): a binding leads to a role or to a profile; write two [conflict]
>>> a.yaml:1:64 (tests[0].as.bindings[1]): the key 'role' or 'profile' is missing [missing_key]
>>> a.yaml:1:109 (tests[0].as.bindings[2].until): 'until' must be later than 'from' [conflict]
=== request
tests: [ { as: { user: a, request: { ip: here, face: web, agent: x } }, expect: [] } ]
>>> a.yaml:1:42 (tests[0].as.request.ip): 'here' is not an address: write one such as 10.0.0.1 [bad_value]
>>> a.yaml:1:54 (tests[0].as.request.face): unknown word 'web'; there is native, kuzzle, strapi, hasura, bknd, directus [bad_value]
>>> a.yaml:1:59 (tests[0].as.request.agent): unknown key 'agent'; there is ip, method, face, operation [unknown_key]
=== given
tests: [ { as: anonymous, given: { a b: [], c: { id: 1 }, d: [1] }, expect: [] } ]
>>> a.yaml:1:36 (tests[0].given.'a b'): 'a b' is not a name: use letters, digits, '-', '.' and '_', beginning with a letter or '_' [bad_name]
>>> a.yaml:1:48 (tests[0].given.c): expected a list of records, found a mapping [wrong_type]
>>> a.yaml:1:63 (tests[0].given.d[0]): expected a mapping, found the number 1 [wrong_type]
=== misspelt where something must be
collections: { a: { fields: { n: { typ: text } }, relations: { b: { many: c, bye: d } } } }
>>> a.yaml:1:36 (collections.a.fields.n.typ): unknown key 'typ'; did you mean 'type'? [unknown_key]
>>> a.yaml:1:78 (collections.a.relations.b.bye): unknown key 'bye'; did you mean 'by'? [unknown_key]
=== nothing where something must be
roles: { a: { permissions: , label: } }
>>> a.yaml:1:26 (roles.a.permissions): expected a list of permissions, found nothing [wrong_type]
>>> a.yaml:1:35 (roles.a.label): expected a text, found nothing [wrong_type]
=== expectations
tests:
  - as: anonymous
    expect:
      - { is: allow }
      - { read: grades/1 }
      - { read: grades/1, list: grades, is: allow }
      - { read: grades, is: allow }
      - { read: grades/1, is: allowed }
      - { read: grades/1, is: [1] }
      - { list: grades, send: {}, is: [true] }
      - { delete: grades/1, where: "true", is: deny }
      - { update: 7, is: deny }
      - { raed: grades/1, is: deny }
>>> a.yaml:4:9 (tests[0].expect[0]): what is asked is missing: write read, list, create, update, delete or can [missing_key]
>>> a.yaml:5:9 (tests[0].expect[1]): the key 'is' is missing [missing_key]
>>> a.yaml:6:27 (tests[0].expect[2].list): 'read' is asked already; write another expectation [conflict]
>>> a.yaml:7:17 (tests[0].expect[3].read): 'grades' names no record: write a collection, '/' and a key [bad_value]
>>> a.yaml:8:31 (tests[0].expect[4].is): unknown word 'allowed'; did you mean 'allow'? [bad_value]
>>> a.yaml:9:31 (tests[0].expect[5].is): only a 'list' is expected to be a list of keys; write allow, deny or hidden [conflict]
>>> a.yaml:10:25 (tests[0].expect[6].send): 'send' goes with 'create' and 'update' only [conflict]
>>> a.yaml:10:40 (tests[0].expect[6].is[0]): expected a key (a number or a text), found true [wrong_type]
>>> a.yaml:11:29 (tests[0].expect[7].where): 'where' goes with 'list' only [conflict]
>>> a.yaml:12:19 (tests[0].expect[8].update): expected a record such as grades/1 (a text), found the number 7 [wrong_type]
>>> a.yaml:13:11 (tests[0].expect[9].raed): unknown key 'raed'; did you mean 'read'? [unknown_key]
"##;

#[test]
fn hostile_documents_are_refused_in_time() {
    let deep_flow = format!("roles: {}", "[".repeat(100_000));
    let deep_map = format!("roles: {}", "{a: ".repeat(100_000));
    let deep_list = format!("roles: {}", "\n- ".repeat(1)) + &"- ".repeat(100_000);
    let deep_keys = "? ".repeat(100_000);
    let deep_block: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("k{level}: &a{level} [{before}, {before}, {before}, {before}]\n");
    }
    let long = format!("roles: {{ a: {{ label: \"{}\" }} }}", "x".repeat(5 << 20));
    let rules = format!(
        "rules: {{ {} }}",
        (0..60_000).map(|n| format!("r{n}: \"a ~ 1\", ")).collect::<String>()
    );
    let words = format!("roles: {{ a: {{ {} }} }}", (0..200_000).map(|n| format!("w{n}: 1, ")).collect::<String>());
    let same = "a: 1\n".repeat(400_000);
    let word = format!("{}: 1", "x".repeat(900));
    let quotes = "\"".repeat(1 << 20);
    let colons = ":".repeat(1 << 20);
    let questions = "?\n".repeat(1 << 18);
    let name = format!("roles: {{ {}: {{}} }}", "é".repeat(1 << 20));
    for (what, text, codes) in [
        ("brackets", deep_flow.as_str(), &["too_deep"][..]),
        ("braces", &deep_map, &["too_deep"]),
        ("dashes", &deep_list, &["too_deep"]),
        ("question marks", &deep_keys, &["too_deep", "wrong_type"]),
        ("blocks", &deep_block, &["too_deep"]),
        ("a bomb", &bomb, &["unsupported", "unknown_key"]),
        ("5 MiB", &long, &["too_large"]),
        ("NUL", "roles:\n  \u{0}a: {}\n", &["syntax"]),
        ("a bell", "roles: \u{7}", &["syntax"]),
        ("many rules", &rules, &["bad_rule", "too_many"]),
        ("many words", &words, &["unknown_key", "too_many"]),
        ("one key", &same, &["duplicate_key", "unknown_key", "too_many"]),
        ("a long key", &word, &["unknown_key"]),
        ("quotes", &quotes, &["syntax"]),
        ("colons", &colons, &["wrong_type", "syntax"]),
        ("empty keys", &questions, &["duplicate_key", "unknown_key", "too_many"]),
        ("a long name", &name, &["bad_name"]),
    ] {
        let start = Instant::now();
        let problems = problems(text);
        let spent = start.elapsed();
        assert!(!problems.is_empty() && problems.len() <= 1001, "{what}: {}", problems.len());
        for problem in &problems {
            assert!(codes.contains(&problem.code), "{what}: {problem}");
            assert!(problem.to_string().len() < 2000, "{what}: {problem}");
            assert!(REFERENCE.contains(&format!("| `{}` |", problem.code)), "{problem}");
        }
        // Far above what it takes, far below what a quadratic reader would.
        assert!(spent < Duration::from_secs(20), "{what}: {spent:?}");
    }
    assert_eq!(only("roles:\n  \u{0}a: {}\n"), (2, 3, "syntax"));
}

#[test]
fn a_cut_document_is_never_a_panic() {
    for text in [DESIGN, RICH, WRONG] {
        for (place, _) in text.char_indices() {
            let _ = Document::read("cut", &text[..place]);
            if place % 7 == 0 {
                let _ = Document::read("cut", &text[place..]);
            }
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Only what a store's JSON reader brings back to the last bit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Texts that a careless writer would not quote, among others.
fn text() -> impl Strategy<Value = String> {
    let words = [
        "on", "no", "Null", "~", "", " ", "1", "1e3", "0x1F", ".5", "-", "- a", "a: b", "a #b", "#", "*a", "&a",
        "!a", "|", "%", "@", "`", "'", "\"", "\\", "[]", "{", "<<", "=", "?", ": ", "---", "...", "$now", "$$",
        "a\nb", "\n", "\r\n", "\t", "\u{85}", "\u{2028}", "\u{feff}", "\u{7f}", "\u{1}", "é", "\u{1f600}",
    ];
    prop_oneof![
        2 => prop::sample::select(&words[..]).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| text.replace('\0', "")),
        1 => "[ -~\n]{0,40}",
        1 => "[a-z ]{90,130}",
        1 => "[a-z\"]{890,1200}",
    ]
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((text(), any_json()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

prop_compose! {
    fn any_role()(
        key in "[a-z][a-z.-]{0,8}",
        (label, description) in (text(), text()),
        extra in proptest::option::of(any_json()),
        presets in any_map(),
        fields in proptest::option::of(prop::collection::vec("[a-z]{1,8}", 0..12)),
        on in prop::collection::vec("[a-z]{1,8}(/[a-z]{1,8})?", 0..12),
        source in proptest::option::of(any_json()),
        text in "[^\\x00]{0,20}",
        fallback in any::<bool>(),
    ) -> RoleDefinition {
        let rows = Rule::Compare {
            left: Operand::Path(Path(vec!["a".into()])),
            op: CompareOp::Equal,
            right: Operand::Literal(Literal::Text(text)),
        };
        let presets = presets.into_values().enumerate();
        let presets = presets.map(|(n, json)| (format!("f{n}"), FieldValue::Json(json))).collect();
        let permission = Permission {
            actions: vec!["data.read".into(), "x.y".into()],
            on, fields, presets, source, rows: Some(rows),
            ..Permission::default()
        };
        let permissions = vec![permission, Permission { actions: vec!["*".into()], ..Permission::default() }];
        RoleDefinition { key, label, description, extra, permissions, fallback, ..RoleDefinition::default() }
    }
}

prop_compose! {
    fn any_test()(
        name in text(),
        user in proptest::option::of(text()),
        (claims, given, send) in (any_map(), any_map(), any_map()),
        key in text(),
        keys in prop::collection::vec(text(), 0..4),
        at in proptest::option::of(-60_000_000_000_000_000_i64..250_000_000_000_000_000),
    ) -> TestCase {
        let expectation = |ask, verdict| Expectation {
            ask, verdict, shows: None, hides: vec![], place: Place::default(),
        };
        let collection = "shop/orders".to_owned();
        let update = Ask::Update { collection: collection.clone(), key: key.clone(), send };
        let can = Ask::Can { action: "a.b".into(), collection: Some(collection.clone()), key: Some(key) };
        let list = Ask::List { collection: collection.clone(), filter: None };
        TestCase {
            name,
            subject: TestSubject { user, claims, ..TestSubject::default() },
            at,
            given: vec![(collection, vec![given])],
            expect: vec![
                expectation(update, ExpectedVerdict::Deny),
                expectation(can, ExpectedVerdict::Hidden),
                expectation(list, ExpectedVerdict::Keys(keys)),
            ],
            place: Place::default(),
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    // A failure is printed whole; a file of seeds would only be another thing to keep.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn whatever_is_written_is_read_back(
        roles in prop::collection::btree_map("[a-z]{1,8}", any_role(), 0..3),
        tests in prop::collection::vec(any_test(), 0..3),
    ) {
        let roles = roles.into_iter().map(|(key, role)| RoleDefinition { key, ..role }).collect();
        check_round_trip(&Document { roles, tests, ..Document::default() });
    }

    #[test]
    fn no_text_is_a_panic(text in any::<String>()) {
        let _ = Document::read("any", &text);
    }

    #[test]
    fn no_damage_is_a_panic(place in 0..RICH.len(), damage in "[\\[\\]{}:,&*!|>'\"%#?\\- \t\n\u{e9}a0$]{1,4}") {
        let mut text = RICH.to_owned();
        text.replace_range(place..place + 1, &damage);
        if let Ok(document) = Document::read("damaged", &text) {
            check_round_trip(&document);
        }
    }
}
