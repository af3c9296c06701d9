//! The access file: what is well formed is read whole, what is wrong is told with its place and the fix, what was read
//! can be written back, and no input brings the reader down.

use std::time::{Duration, Instant};

use portreeve_model::{
    CompareOp, FieldType, KeySource, Literal, OnDelete, Operand, Path, Rule, Variable,
};
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
    problems
        .iter()
        .map(|problem| format!(">>> {problem}\n"))
        .collect()
}

/// The place and code of the only problem.
fn only(text: &str) -> (u32, u32, &'static str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{}", shown(&problems));
    (
        problems[0].place.line,
        problems[0].place.column,
        problems[0].code,
    )
}

/// Written and read again it is the same, and so are its parts.
fn check_round_trip(document: &Document) {
    let yaml = document.to_yaml();
    let again = Document::read("again.yaml", &yaml)
        .unwrap_or_else(|problems| panic!("{yaml}\n{}", shown(&problems)));
    assert_eq!(
        again.clone().without_places(),
        document.clone().without_places(),
        "{yaml}"
    );
    assert_eq!(again.to_yaml(), yaml);
    assert_eq!(
        read(&document.to_json().to_string()).without_places(),
        again.without_places()
    );
    // Each part goes through text, as it does in the store.
    let stored = |json: Value| serde_json::from_str::<Value>(&json.to_string()).unwrap();
    let mut parts = Document {
        registration: document.registration.clone(),
        bindings: document.bindings.clone(),
        templates: document.templates.clone(),
        tests: document.tests.clone(),
        ..Document::default()
    };
    for one in &document.collections {
        let json = stored(collection_to_json(one));
        parts
            .collections
            .push(collection_from_json(&one.name.to_string(), &json).unwrap());
    }
    let json = stored(existing_to_json(&document.existing));
    parts.existing = existing_from_json(&json).unwrap();
    for one in &document.actions {
        parts
            .actions
            .push(action_from_json(&one.name, &stored(action_to_json(one))).unwrap());
    }
    for one in &document.rules {
        let json = stored(rule_definition_to_json(one));
        parts
            .rules
            .push(rule_definition_from_json(&one.name, &json).unwrap());
    }
    for one in &document.roles {
        parts
            .roles
            .push(role_from_json(&one.key, &stored(role_to_json(one))).unwrap());
    }
    for one in &document.profiles {
        parts
            .profiles
            .push(profile_from_json(&one.key, &stored(profile_to_json(one))).unwrap());
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
        [(
            "student".into(),
            FieldValue::Variable(Variable::User(vec![]))
        )]
    );
    assert!(create.check.is_some() && create.rows.is_none());
    assert_eq!(
        create.place.to_string(),
        "a.yaml:5:9 (roles.student.permissions[1])"
    );
    let moderator = &document.roles[1];
    assert_eq!(
        moderator.permissions[0].actions,
        ["data.read", "data.update"]
    );
    assert_eq!(moderator.permissions[1].effect, Effect::Deny);
    let staff = &document.profiles[0];
    assert_eq!(
        staff.roles[0].restricted_to,
        Some(vec!["posts".into(), "comments".into()])
    );
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

const RICH: &str = include_str!("document/rich.yaml");

// Documents, and below each the problems it has.
const WRONG: &str = include_str!("document/wrong.txt");

#[test]
fn every_key_is_read_as_what_it_says() {
    let document = read(RICH);
    check_round_trip(&document);
    let [grades, plain, empty, orders, tags, users] = document.collections.as_slice() else {
        panic!("{:?}", document.collections);
    };
    let key = |one: &CollectionDefinition| (one.key.clone(), one.key_type, one.key_source);
    assert_eq!(
        key(grades),
        ("id".into(), FieldType::Integer, KeySource::Sequence)
    );
    assert_eq!(key(plain), ("id".into(), FieldType::Uuid, KeySource::Uuid));
    assert_eq!(key(empty), key(plain));
    assert_eq!(
        key(orders),
        ("number".into(), FieldType::Text, KeySource::Given)
    );
    assert_eq!(key(tags), ("tag".into(), FieldType::Text, KeySource::Uuid));
    assert_eq!(tags.name.to_string(), "tags");
    assert!(users.fields[1].self_writable);
    let student = grades.fields[0].to.as_ref().unwrap();
    assert_eq!(
        (student.by_number, student.on_delete),
        (false, OnDelete::Cascade)
    );
    assert!(grades.fields[1].to.as_ref().unwrap().by_number);
    assert_eq!(grades.fields[3].ty, Some(FieldType::Decimal(2)));
    assert_eq!(grades.fields[5].default, Some(json!("$now")));
    assert_eq!(grades.fields[6].default, Some(Value::Null));
    assert_eq!(
        grades.indexes,
        [
            vec!["student".to_owned(), "score".into()],
            vec!["due".into()]
        ]
    );
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
    assert_eq!(
        (&read.fields, &read.rows),
        (&None, &Some(Rule::Constant(true)))
    );
    assert_eq!(read.on, ["grades", "shop/*", "*"]);
    assert_eq!(read.except, ["answers", "data.read.count"]);
    let via = FaceScope {
        face: "kuzzle".into(),
        operations: vec!["document:update".into()],
    };
    assert_eq!(deny.via, Some(via));
    assert_eq!(deny.fields, Some(vec!["title".into()]));
    let day = Variable::Now {
        offset: -86_400_000_000,
    };
    assert_eq!(all.presets[0].1, FieldValue::Variable(day));
    assert_eq!(all.presets[1].1, FieldValue::Json(json!("$now")));
    assert_eq!(
        all.presets[3].1.as_operand(),
        Some(Operand::Literal(Literal::Number("7".into())))
    );
    assert_eq!(all.defaults[1].1, FieldValue::Json(Value::Null));
    assert_eq!(
        all.fields,
        Some(vec![]),
        "no field at all is not every field"
    );
    let profile = &document.profiles[0];
    assert_eq!(profile.addresses[1].to_string(), "::1/128");
    assert_eq!(
        profile.roles[2].restricted_to,
        Some(vec![]),
        "nowhere is not everywhere"
    );
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
    assert!(
        matches!(asks[8], Ask::Can { collection: Some(all), key: None, .. }
        if all == "shop/orders")
    );
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
    for text in [
        "",
        "\n# nothing\n",
        "---\n",
        "{}",
        "null",
        "\u{feff}",
        "roles:\ntests:\n",
    ] {
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
    assert_eq!(
        only("{\"roles\": {\"a\": {\"label\": \"\\ud83d\"}}}").2,
        "syntax"
    );
}

#[test]
fn wrong_documents_are_told_what_is_wrong() {
    let mut number = 0;
    for case in WRONG.split("=== ").skip(1) {
        let (name, case) = case.split_once('\n').unwrap();
        let text: String = case
            .lines()
            .filter(|line| !line.starts_with(">>> "))
            .flat_map(|line| [line, "\n"])
            .collect();
        let expected: String = case
            .lines()
            .filter(|line| line.starts_with(">>> "))
            .flat_map(|line| [line, "\n"])
            .collect();
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
    portreeve_testkit::stats::note(&format!("access file: {number} wrong documents"));
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
    let rows = |rows: &str| {
        format!("roles:\n  a:\n    permissions:\n      - allow: data.read\n        rows: {rows}\n")
    };
    for (written, line, column) in [
        ("a ~ 1", 5, 17),
        ("'a = ''x'' and b ~ 1'", 5, 32),
        ("\"a = '\\u00e4\\t' and b ~ 1\"", 5, 37),
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
    assert_eq!(
        problems.iter().map(|one| one.code).collect::<Vec<_>>(),
        ["bad_value", "bad_value"]
    );
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
    check_round_trip(&Document {
        roles: vec![role],
        ..Document::default()
    });
}

#[test]
fn hostile_documents_are_refused_in_time() {
    let deep_flow = format!("roles: {}", "[".repeat(100_000));
    let deep_map = format!("roles: {}", "{a: ".repeat(100_000));
    let deep_list = "roles:\n".to_owned() + &"- ".repeat(100_000);
    let deep_keys = "? ".repeat(100_000);
    let deep_block: String = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    let mut bomb = "a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("k{level}: &a{level} [{before}, {before}, {before}, {before}]\n");
    }
    let long = format!("roles: {{ a: {{ label: \"{}\" }} }}", "x".repeat(5 << 20));
    let rules = format!(
        "rules: {{ {} }}",
        (0..60_000)
            .map(|n| format!("r{n}: \"a ~ 1\", "))
            .collect::<String>()
    );
    let words = format!(
        "roles: {{ a: {{ {} }} }}",
        (0..200_000)
            .map(|n| format!("w{n}: 1, "))
            .collect::<String>()
    );
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
        (
            "one key",
            &same,
            &["duplicate_key", "unknown_key", "too_many"],
        ),
        ("a long key", &word, &["unknown_key"]),
        ("quotes", &quotes, &["syntax"]),
        ("colons", &colons, &["wrong_type", "syntax"]),
        (
            "empty keys",
            &questions,
            &["duplicate_key", "unknown_key", "too_many"],
        ),
        ("a long name", &name, &["bad_name"]),
    ] {
        let start = Instant::now();
        let problems = problems(text);
        let spent = start.elapsed();
        assert!(
            !problems.is_empty() && problems.len() <= 1001,
            "{what}: {}",
            problems.len()
        );
        for problem in &problems {
            assert!(codes.contains(&problem.code), "{what}: {problem}");
            assert!(problem.to_string().len() < 2000, "{what}: {problem}");
            assert!(
                REFERENCE.contains(&format!("| `{}` |", problem.code)),
                "{problem}"
            );
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
        "on",
        "no",
        "Null",
        "~",
        "",
        " ",
        "1",
        "1e3",
        "0x1F",
        ".5",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#",
        "*a",
        "&a",
        "!a",
        "|",
        "%",
        "@",
        "`",
        "'",
        "\"",
        "\\",
        "[]",
        "{",
        "<<",
        "=",
        "?",
        ": ",
        "---",
        "...",
        "$now",
        "$$",
        "a\nb",
        "\n",
        "\r\n",
        "\t",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{7f}",
        "\u{1}",
        "é",
        "\u{1f600}",
    ];
    prop_oneof![
        2 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| text.replace('\0', "")),
        1 => "[ -~\n]{0,40}",
        1 => "[a-z ]{90,130}",
        1 => "[a-z\"]{890,1200}",
    ]
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((text(), any_json()), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

prop_compose! {
    fn any_role()(
        key in "[a-z][a-z.-]{0,8}",
        (label, description) in (text(), text()),
        extra in proptest::option::of(any_json()),
        presets in any_map(),
        fields in proptest::option::of(prop::collection::vec("[a-z]{1,8}", 0..12)),
        on in prop::collection::vec("[a-z]{1,8}(/[a-z]{1,8})?", 0..12),
        verbatim in proptest::option::of(any_json()),
        text in "[^\\x00]{0,20}",
        fallback in any::<bool>(),
    ) -> RoleDefinition {
        let source = verbatim.map(|verbatim| Source {
            face: "directus".into(), verbatim, hash: "0f".into(),
        });
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
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

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
