//! Predicates: three-valued logic, operators, operands.

use portreeve_model::{DatePart, List, Quantifier, TextOp};
use portreeve_policy::RuleDefinition;

use super::*;

/// True, false or unknown: whether the rule, and whether its contrary, brings the grade into reach.
fn truth(rule: Rule, grade: &str) -> Option<bool> {
    match (holds(rule.clone(), grade), holds(not(rule), grade)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
        (true, true) => panic!("a rule and its contrary"),
    }
}

fn unknown() -> Rule {
    eq(path("note"), text("x"))
}

fn constant(truth: bool) -> Rule {
    Rule::Constant(truth)
}

fn variable(variable: Variable) -> Operand {
    Operand::Variable(variable)
}

fn search(operand: Operand, op: TextOp, ignore_case: bool, needle: &str) -> Rule {
    Rule::Text {
        operand,
        op,
        ignore_case,
        needle: text(needle),
    }
}

fn quantified(quantifier: Quantifier, relation: &str, rule: Rule) -> Rule {
    Rule::Quantified {
        quantifier,
        relation: Path::parse(relation),
        rule: Box::new(rule),
    }
}

#[test]
fn logic_is_kleenes() {
    let all = |a: Rule, b: Rule| truth(Rule::All(vec![a, b]), "1");
    let any = |a: Rule, b: Rule| truth(Rule::Any(vec![a, b]), "1");
    assert_eq!(all(constant(true), unknown()), None);
    assert_eq!(all(unknown(), constant(false)), Some(false));
    assert_eq!(all(constant(true), constant(true)), Some(true));
    assert_eq!(any(unknown(), constant(true)), Some(true));
    assert_eq!(any(constant(false), unknown()), None);
    assert_eq!(any(constant(false), constant(false)), Some(false));
    assert_eq!(truth(not(unknown()), "1"), None);
}

#[test]
fn null_compares_with_nothing_and_only_is_null_decides() {
    for op in [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less] {
        assert_eq!(truth(compare(path("points"), op, number(1)), "3"), None);
        let null = Operand::Literal(Literal::Null);
        assert_eq!(truth(compare(path("points"), op, null), "1"), None);
    }
    assert_eq!(truth(Rule::IsNull(path("points")), "3"), Some(true));
    assert_eq!(truth(Rule::IsNull(path("points")), "1"), Some(false));
    assert_eq!(truth(Rule::IsNull(path("course.title")), "3"), Some(true));
    assert_eq!(truth(eq(path("points"), path("points")), "3"), None);
}

#[test]
fn lists_and_ranges() {
    let within = |operand: Operand, items: Vec<Operand>| Rule::In {
        operand,
        list: List::Items(items),
    };
    let null = || Operand::Literal(Literal::Null);
    assert_eq!(truth(within(path("points"), vec![]), "3"), Some(false));
    assert_eq!(
        truth(within(path("points"), vec![number(1), number(80)]), "1"),
        Some(true)
    );
    assert_eq!(
        truth(within(path("points"), vec![number(1)]), "1"),
        Some(false)
    );
    assert_eq!(
        truth(within(path("points"), vec![number(1), null()]), "1"),
        None
    );
    assert_eq!(truth(within(path("points"), vec![number(1)]), "3"), None);
    assert_eq!(
        truth(within(path("student"), vec![user("")]), "1"),
        Some(true)
    );
    let between = |low: i64, high: i64, grade: &str| {
        let rule = Rule::Between {
            operand: path("points"),
            low: number(low),
            high: number(high),
        };
        truth(rule, grade)
    };
    assert_eq!(between(80, 80, "1"), Some(true));
    assert_eq!(between(81, 90, "1"), Some(false));
    assert_eq!(between(0, 100, "3"), None);
}

#[test]
fn text_is_compared_by_code_point_and_folded_in_ascii() {
    let of = |rule: fn(&str) -> Rule, title: &str| {
        let mut world = school_with(vec![allow("data.read", "courses").rows(rule("title"))]);
        let courses = world.records.get_mut("courses").unwrap();
        courses
            .get_mut("1")
            .unwrap()
            .insert("title".into(), title.into());
        answer(&world, &anna(), &read("courses", "1")) != Answer::NotFound
    };
    assert!(of(|f| compare(path(f), CompareOp::Greater, text("Z")), "a"));
    assert!(of(
        |f| compare(path(f), CompareOp::Greater, text("\u{FFFD}")),
        "\u{10000}"
    ));
    assert!(of(
        |f| search(path(f), TextOp::Contains, false, "g%_"),
        "xg%_y"
    ));
    assert!(!of(|f| search(path(f), TextOp::Contains, false, "G"), "g"));
    assert!(of(
        |f| search(path(f), TextOp::StartsWith, true, "GÉ"),
        "gÉx"
    ));
    assert!(!of(
        |f| search(path(f), TextOp::StartsWith, true, "GÉ"),
        "géx"
    ));
    assert!(of(
        |f| search(path(f), TextOp::EndsWith, true, "RA"),
        "algebra"
    ));
    assert!(of(
        |f| search(path(f), TextOp::EndsWith, true, ""),
        "algebra"
    ));
    assert_eq!(
        truth(search(path("note"), TextOp::Contains, false, ""), "1"),
        None
    );
}

#[test]
fn quantifiers_are_or_and_and_over_related_records() {
    let good = || at_least(path("points"), number(50));
    let over =
        |quantifier, relation: &str, rule| truth(quantified(quantifier, relation, rule), "1");
    assert_eq!(over(Quantifier::Some, "course.grades", good()), Some(true));
    assert_eq!(over(Quantifier::Some, "course.grades", unknown()), None);
    assert_eq!(over(Quantifier::Every, "course.grades", unknown()), None);
    assert_eq!(over(Quantifier::None, "course.grades", good()), Some(false));
    assert_eq!(over(Quantifier::None, "course.grades", unknown()), None);
    let hard = || eq(path("label"), text("hard"));
    assert_eq!(over(Quantifier::Some, "course.tags", hard()), Some(true));
    assert_eq!(over(Quantifier::Every, "course.tags", hard()), Some(false));
    // Nothing related, or nothing to be related to.
    for grade in ["2", "3"] {
        let over = |quantifier| truth(quantified(quantifier, "course.tags", unknown()), grade);
        assert_eq!(over(Quantifier::Some), Some(false));
        assert_eq!(over(Quantifier::Every), Some(true));
        assert_eq!(over(Quantifier::None), Some(true));
    }
}

#[test]
fn counts_are_never_null_and_count_each_record_once() {
    let count = |relation: &str| Operand::Count(Path::parse(relation));
    assert_eq!(
        truth(eq(count("course.grades"), number(1)), "1"),
        Some(true)
    );
    assert_eq!(truth(eq(count("course.tags"), number(2)), "1"), Some(true));
    assert_eq!(truth(eq(count("course.tags"), number(0)), "2"), Some(true));
    assert_eq!(
        truth(eq(count("course.grades"), number(0)), "3"),
        Some(true)
    );
}

#[test]
fn dates_have_parts_in_utc() {
    let part = |part, expected| {
        let part = Operand::Part(part, Box::new(path("due")));
        truth(eq(part, number(expected)), "1")
    };
    assert_eq!(part(DatePart::Year, 2026), Some(true));
    assert_eq!(part(DatePart::Month, 11), Some(true));
    assert_eq!(part(DatePart::Day, 22), Some(true));
    assert_eq!(part(DatePart::Hour, 12), Some(true));
    assert_eq!(part(DatePart::Weekday, 7), Some(true));
    let part = Operand::Part(DatePart::Year, Box::new(path("due")));
    assert_eq!(truth(eq(part, number(2026)), "2"), None);
}

#[test]
fn variables_are_unknown_where_they_are_missing() {
    let world = |rule: Rule| school_with(vec![allow("data.read", "grades").rows(rule)]);
    let mut subject = anna();
    let claims = serde_json::json!({ "tenant": { "name": "anna", "names": ["bo"] }, "level": 80 });
    subject.claims = claims.as_object().unwrap().clone();
    subject.request.insert("ip".into(), "10.0.0.1".into());
    let reads = |rule: Rule, grade: &str| {
        answer(&world(rule), &subject, &read("grades", grade)) != Answer::NotFound
    };
    let claim = |path: &str| Variable::Claims(path.split('.').map(str::to_owned).collect());
    assert!(reads(
        eq(path("student"), variable(claim("tenant.name"))),
        "1"
    ));
    assert!(reads(eq(path("points"), variable(claim("level"))), "1"));
    assert!(
        !reads(not(eq(path("note"), variable(claim("level")))), "3"),
        "a misfit is unknown"
    );
    assert!(!reads(
        not(eq(path("points"), variable(claim("none")))),
        "1"
    ));
    let listed = |path: &str| Rule::In {
        operand: super::path("student"),
        list: List::Variable(claim(path)),
    };
    assert!(reads(listed("tenant.names"), "2") && reads(not(listed("tenant.names")), "1"));
    assert!(!reads(not(listed("none")), "1"));
    let now = |offset| variable(Variable::Now { offset });
    assert!(reads(eq(path("due"), now(0)), "1"));
    assert!(reads(compare(path("due"), CompareOp::Less, now(1)), "1"));
    assert!(reads(
        eq(text("10.0.0.1"), variable(Variable::Request("ip".into()))),
        "1"
    ));
    assert!(reads(eq(user("team"), text("red")), "1"));
    // By number where numbers are kept.
    assert!(reads(eq(path("course.teacher"), user("")), "1"));
    assert!(reads(eq(path("course.teacher.team"), text("red")), "1"));
    let anonymous = Subject::default();
    let mut world = world(constant(true));
    world.document.roles[0].key = "everyone".into();
    world.document.roles[0].permissions[0].rows = Some(not(own()));
    assert_eq!(
        answer(&world, &anonymous, &read("grades", "1")),
        Answer::NotFound
    );
}

#[test]
fn named_rules_stand_for_what_they_say() {
    let mut world = school_with(vec![allow("data.read", "grades").rows(Rule::Named {
        name: "owner".into(),
        arguments: vec![path("student")],
    })]);
    world.document.rules.push(RuleDefinition {
        name: "owner".into(),
        parameters: vec!["field".into()],
        rule: eq(Operand::Parameter("field".into()), user("")),
        place: Place::default(),
    });
    assert_eq!(keys(&world, &anna(), "grades", None), ["1"]);
}

#[test]
fn checks_see_the_pattern_the_old_the_new_and_what_was_sent() {
    let tried = |check: Rule| {
        let world = school_with(vec![allow("data", "grades").check(check)]);
        let sent = update("grades", "1", &[("note", "A-1".into())]);
        matches!(answer(&world, &anna(), &sent), Answer::Stored { .. })
    };
    let matches = |operand: Operand, pattern: &str| Rule::Matches {
        operand,
        pattern: pattern.into(),
    };
    assert!(tried(matches(path("note"), "^[A-Z]-[0-9]$")));
    assert!(!tried(matches(path("note"), "^[a-z]")));
    assert!(tried(Rule::IsNull(Operand::Old(Path::parse("note")))));
    assert!(tried(not(Rule::IsNull(Operand::New(Path::parse("note"))))));
    assert!(tried(eq(
        Operand::Old(Path::parse("course.title")),
        text("Algebra")
    )));
    assert!(tried(Rule::Sent("note".into())));
    assert!(!tried(Rule::Sent("points".into())));
}
