//! Rules 1, 2, 3, 6, 10 and the reading half of 9.

use portreeve_model::{Quantifier, TextOp};

use super::*;

/// Out of reach and not there at all.
fn hidden(world: &World, request: &Request) -> bool {
    answer(world, &anna(), request) == Answer::NotFound
}

#[test]
fn rule_1_no_allow_is_denied_and_a_plain_deny_beats_every_allow() {
    assert!(hidden(&school_with(vec![]), &read("grades", "1")));
    let world = school_with(vec![deny("data.read", "*"), allow("data.read", "grades")]);
    assert!(hidden(&world, &read("grades", "1")));
    let none = allow("data.read", "grades").fields(&[]);
    assert!(hidden(&school_with(vec![none]), &read("grades", "1")));
}

#[test]
fn rule_2_rows_are_in_reach_iff_an_allow_is_true_and_every_deny_false() {
    let good = || at_least(path("points"), number(50));
    let world = school_with(vec![allow("data.read", "grades").rows(good())]);
    assert_eq!(keys(&world, &anna(), "grades", None), ["1"]);
    let world = school_with(vec![
        allow("data.read", "grades"),
        deny("data.read", "grades").rows(good()),
    ]);
    // Of grade 3, which has no points, nothing is known: the deny holds.
    assert_eq!(keys(&world, &anna(), "grades", None), ["2"]);
    assert!(hidden(&world, &read("grades", "1")) && hidden(&world, &read("grades", "9")));
}

#[test]
fn rule_3_a_field_is_readable_where_an_allow_that_grants_it_holds() {
    let world = school_with(vec![
        allow("data.read", "grades").fields(&["note"]),
        allow("data.read", "grades")
            .rows(own())
            .fields(&["points", "student"]),
        deny("data.read", "grades")
            .rows(eq(path("note"), text("x")))
            .fields(&["student"]),
        allow("data.read", "grades").fields(&["due"]),
        deny("data.read", "grades").fields(&["due"]),
    ]);
    let mine = shown(&world, &anna(), &read("grades", "1"));
    let expected = [
        ("id", 1.into()),
        ("note", Value::Null),
        ("points", 80.into()),
        ("student", Value::Null), // the deny is unknown, so it holds
    ];
    assert_eq!(mine, record(&expected), "no `course`, no `due`");
    let other = shown(&world, &anna(), &read("grades", "2"));
    assert_eq!(other["points"], Value::Null);
    assert_eq!(other.len(), 4);
}

#[test]
fn rule_3_a_masked_field_is_null_in_a_filter_and_an_absent_one_is_unknown() {
    let world = school_with(vec![
        allow("data.read", "grades").fields(&["note"]),
        allow("data.read", "grades").rows(own()).fields(&["points"]),
    ]);
    let asked = |filter: Rule| keys(&world, &anna(), "grades", Some(filter));
    assert_eq!(asked(at_least(path("points"), number(0))), ["1"]);
    assert!(asked(not(at_least(path("points"), number(0)))).is_empty());
    assert_eq!(asked(Rule::IsNull(path("points"))), ["2", "3"]);
    for unknown in ["course", "course.title", "colour", "note.title"] {
        let filter = Rule::IsNull(path(unknown));
        let request = list("grades", Some(filter));
        assert_eq!(
            answer(&world, &anna(), &request),
            Answer::Invalid,
            "{unknown}"
        );
    }
    let refused = [
        Rule::Sent("note".into()),
        Rule::Named {
            name: "x".into(),
            arguments: vec![],
        },
        Rule::IsNull(Operand::Old(Path::parse("note"))),
    ];
    for filter in refused {
        let request = list("grades", Some(not(filter)));
        assert_eq!(answer(&world, &anna(), &request), Answer::Invalid);
    }
}

#[test]
fn rule_6_deleting_goes_by_rows() {
    let world = school_with(vec![
        allow("data.read", "grades").rows(not(Rule::IsNull(path("points")))),
        allow("data.delete", "grades").rows(own()),
        deny("data.delete", "grades")
            .rows(eq(path("points"), number(80)))
            .fields(&["note"]),
    ]);
    assert_eq!(
        answer(&world, &anna(), &delete("grades", "1")),
        Answer::Deleted
    );
    assert_eq!(
        answer(&world, &anna(), &delete("grades", "2")),
        Answer::Forbidden
    );
    assert!(hidden(&world, &delete("grades", "3")) && hidden(&world, &delete("grades", "4")));
    let world = school_with(vec![
        allow("data", "grades"),
        deny("data.delete", "grades").rows(eq(path("note"), text("x"))),
    ]);
    assert_eq!(
        answer(&world, &anna(), &delete("grades", "1")),
        Answer::Forbidden
    );
    assert_eq!(
        answer(&world, &anna(), &delete("grades", "3")),
        Answer::Deleted
    );
}

#[test]
fn rule_9_a_filter_sees_through_a_relation_what_its_target_lets_the_caller_see() {
    let open = || eq(path("open"), Operand::Literal(Literal::Boolean(true)));
    let world = school_with(vec![
        allow("data.read", "grades"),
        allow("data.read.many", "courses")
            .rows(open())
            .fields(&["title"]),
    ]);
    let asked = |filter: Rule| keys(&world, &anna(), "grades", Some(filter));
    // The stored key alone asks nothing of the target.
    assert_eq!(asked(eq(path("course"), number(2))), ["2"]);
    assert_eq!(asked(not(Rule::IsNull(path("course.title")))), ["1"]);
    assert_eq!(asked(eq(path("course.id"), number(1))), ["1"]);
    let request = list("grades", Some(Rule::IsNull(path("course.open"))));
    assert_eq!(answer(&world, &anna(), &request), Answer::Invalid);
    // A rule's own predicate sees the whole database.
    let rule = eq(path("course.title"), text("Botany"));
    let world = school_with(vec![allow("data.read", "grades").rows(rule)]);
    assert_eq!(keys(&world, &anna(), "grades", None), ["2"]);
}

#[test]
fn rule_9_a_filter_counts_and_quantifies_over_what_is_in_reach() {
    let has = |quantifier: Quantifier, relation: &str, rule: Rule| Rule::Quantified {
        quantifier,
        relation: Path::parse(relation),
        rule: Box::new(rule),
    };
    let some = |relation: &str| has(Quantifier::Some, relation, Rule::Constant(true));
    let mut world = school_with(vec![
        allow("data.read", "courses"),
        allow("data.read", "grades")
            .rows(own())
            .fields(&["points", "course"]),
    ]);
    let asked = |world: &World, filter: Rule| keys(world, &anna(), "courses", Some(filter));
    assert_eq!(asked(&world, some("grades")), ["1"]);
    let count = Operand::Count(Path::parse("grades"));
    assert_eq!(asked(&world, eq(count, number(0))), ["2"]);
    let request = list("courses", Some(some("tags")));
    assert_eq!(answer(&world, &anna(), &request), Answer::Invalid);
    let inner = Rule::IsNull(path("note"));
    let request = list("courses", Some(has(Quantifier::None, "grades", inner)));
    assert_eq!(answer(&world, &anna(), &request), Answer::Invalid);

    // The junction is a collection like any other.
    world.document.roles[0]
        .permissions
        .push(allow("data.read", "tags"));
    let request = list("courses", Some(some("tags")));
    assert_eq!(answer(&world, &anna(), &request), Answer::Invalid);
    let link = allow("data.read", "taggings").rows(eq(path("tag"), number(2)));
    world.document.roles[0].permissions.push(link);
    let fun = Rule::Text {
        operand: path("label"),
        op: TextOp::StartsWith,
        ignore_case: false,
        needle: text("F"),
    };
    assert_eq!(
        asked(&world, has(Quantifier::Every, "tags", fun)),
        ["1", "2"]
    );
    let count = Operand::Count(Path::parse("tags"));
    assert_eq!(asked(&world, eq(count, number(1))), ["1"], "each tag once");
}

#[test]
fn rule_10_out_of_reach_and_not_there_are_the_same_answer() {
    let world = school_with(vec![allow("data.read", "grades").rows(own())]);
    let sent = [("points", 1.into())];
    assert_eq!(
        answer(&world, &anna(), &update("grades", "1", &sent)),
        Answer::Forbidden
    );
    assert_eq!(
        answer(&world, &anna(), &create("grades", &sent)),
        Answer::Forbidden
    );
    assert!(hidden(&world, &update("grades", "2", &sent)));
    assert!(hidden(&world, &update("grades", "9", &sent)));
    assert!(hidden(&world, &create("tags", &[])) && hidden(&world, &create("nothing", &[])));
    assert!(hidden(&world, &list("tags", None)) && hidden(&world, &list("nothing", None)));
    let world = school_with(vec![allow("data.delete", "grades")]);
    assert_eq!(
        answer(&world, &anna(), &list("grades", None)),
        Answer::Forbidden
    );
}
