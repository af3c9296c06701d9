//! Rules 4, 5, 7, 8 and the writing half of 9.

use super::*;

const FORBIDDEN: Answer = Answer::Forbidden;

/// What Anna gets when `r` has these permissions.
fn tried(permissions: &[Permission], request: &Request) -> Answer {
    answer(&school_with(permissions.to_vec()), &anna(), request)
}

fn allowed(permissions: &[Permission], request: &Request) -> bool {
    matches!(tried(permissions, request), Answer::Stored { .. })
}

fn result(permissions: &[Permission], request: &Request) -> Record {
    stored(&school_with(permissions.to_vec()), &anna(), request)
}

fn points(number: i64) -> (&'static str, Value) {
    ("points", number.into())
}

fn note(text: &str) -> (&'static str, Value) {
    ("note", text.into())
}

fn mine() -> (&'static str, Value) {
    ("student", "anna".into())
}

#[test]
fn rule_4_each_sent_field_needs_an_allow_that_grants_it_and_holds_of_the_stored_record() {
    let some = allow("data.create", "grades")
        .rows(own())
        .check(at_least(path("points"), number(1)))
        .fields(&["points"]);
    let other = allow("data.create", "grades").fields(&["student", "note"]);
    let both = [allow("data.read", "users"), some.clone(), other];
    assert!(allowed(
        &both,
        &create("grades", &[mine(), points(1), note("x")])
    ));
    assert_eq!(
        tried(&both, &create("grades", &[mine(), points(0)])),
        FORBIDDEN
    );
    assert_eq!(
        tried(&both, &create("grades", &[points(1)])),
        FORBIDDEN,
        "rows"
    );
    // Nothing sent: one allow that holds.
    assert!(allowed(&both, &create("grades", &[])));
    assert_eq!(tried(&[some], &create("grades", &[])), FORBIDDEN);
}

#[test]
fn rule_4_the_check_reads_the_database_with_the_record_in_it() {
    let few = Rule::Compare {
        left: Operand::Count(Path::parse("course.grades")),
        op: CompareOp::LessOrEqual,
        right: number(1),
    };
    let world = [
        allow("data.read", "courses"),
        allow("data.create", "grades").check(few),
    ];
    let first = create("grades", &[("course", Value::Null)]);
    assert!(allowed(&world, &first));
    let second = create("grades", &[("course", 1.into())]);
    assert_eq!(tried(&world, &second), FORBIDDEN);
}

#[test]
fn rule_4_the_key_counts_as_a_field() {
    let create = |key: Option<&str>| Request::Create {
        collection: "grades".into(),
        key: key.map(str::to_owned),
        sent: record(&[points(1)]),
    };
    let narrow = [allow("data.create", "grades").fields(&["points"])];
    let wide = [allow("data.create", "grades").fields(&["points", "id"])];
    assert_eq!(result(&narrow, &create(None))["id"], 4.into());
    assert_eq!(tried(&narrow, &create(Some("7"))), FORBIDDEN);
    assert_eq!(result(&wide, &create(Some("7")))["id"], 7.into());
    assert_eq!(tried(&wide, &create(Some("3"))), Answer::Invalid, "taken");
}

#[test]
fn rule_5_rows_before_and_rows_or_check_after() {
    let rows = at_least(path("points"), number(50));
    let plain = allow("data.update", "grades").rows(rows);
    let change = |to: i64| update("grades", "1", &[points(to)]);
    let reading = allow("data.read", "grades");
    let with = |allow: Permission| [reading.clone(), allow];
    assert!(allowed(&with(plain.clone()), &change(60)));
    assert_eq!(
        tried(&with(plain.clone()), &change(10)),
        FORBIDDEN,
        "rows after"
    );
    let other = update("grades", "2", &[points(60)]);
    assert_eq!(
        tried(&with(plain.clone()), &other),
        FORBIDDEN,
        "rows before"
    );
    let free = plain.clone().check(Rule::Constant(true));
    assert!(allowed(&with(free), &change(10)));
    let rising = plain.check(at_least(
        Operand::New(Path::parse("points")),
        Operand::Old(Path::parse("points")),
    ));
    assert!(allowed(&with(rising.clone()), &change(90)));
    assert_eq!(tried(&with(rising), &change(70)), FORBIDDEN);
}

#[test]
fn rule_5_an_unchanged_field_is_exempt_where_it_is_readable() {
    let writing = allow("data.update", "grades").fields(&["note"]);
    let sent = update("grades", "1", &[note("x"), points(80)]);
    let reading = allow("data.read", "grades");
    assert!(allowed(&[writing.clone(), reading.clone()], &sent));
    let masked = allow("data.read", "grades")
        .rows(eq(path("points"), number(1)))
        .fields(&["points"]);
    let blind = [
        writing.clone(),
        allow("data.read", "grades").fields(&["note"]),
        masked,
    ];
    assert_eq!(tried(&blind, &sent), FORBIDDEN);
    // Even so, somebody must allow the update of this record.
    let nothing = update("grades", "1", &[points(80)]);
    assert!(allowed(&[writing.clone(), reading.clone()], &nothing));
    let elsewhere = writing.rows(eq(path("points"), number(40)));
    assert_eq!(tried(&[elsewhere, reading], &nothing), FORBIDDEN);
}

#[test]
fn rule_5_a_record_may_be_in_reach_of_updates_alone() {
    let blind = [allow("data.update", "grades").rows(own())];
    assert!(allowed(&blind, &update("grades", "1", &[points(1)])));
    assert_eq!(
        tried(&blind, &update("grades", "2", &[points(1)])),
        Answer::NotFound
    );
    let moved = update("grades", "1", &[("student", Value::Null)]);
    assert_eq!(tried(&blind, &moved), FORBIDDEN);
}

#[test]
fn a_record_keeps_its_key() {
    let all = [allow("data", "grades")];
    assert!(allowed(
        &all,
        &update("grades", "1", &[("id", 1.into()), note("x")])
    ));
    let other = update("grades", "1", &[("id", 9.into())]);
    assert_eq!(tried(&all, &other), Answer::Invalid);
}

#[test]
fn an_unknown_field_is_one_that_can_neither_be_read_nor_written() {
    let writing = allow("data.update", "grades").fields(&["note"]);
    let sent = |name: &'static str| update("grades", "1", &[(name, Value::Null)]);
    let mut permissions = vec![writing, allow("data.read", "grades").fields(&["points"])];
    assert_eq!(tried(&permissions, &sent("colour")), Answer::Invalid);
    assert_eq!(tried(&permissions, &sent("due")), Answer::Invalid);
    assert_eq!(tried(&permissions, &sent("points")), FORBIDDEN);
    assert!(allowed(&permissions, &sent("note")));
    // Named by a preset: known, and ignored.
    permissions[0] = permissions[0]
        .clone()
        .preset("due", json(serde_json::Value::Null));
    assert!(allowed(&permissions, &sent("due")));
}

#[test]
fn rule_7_denies_without_fields_look_at_both_sides_of_a_write() {
    let low = || not(at_least(path("points"), number(50)));
    let with = |deny: Permission| [allow("data", "grades"), deny];
    let update_deny = with(deny("data.update", "grades").rows(low()));
    assert!(allowed(&update_deny, &update("grades", "1", &[points(60)])));
    let after = update("grades", "1", &[points(10)]);
    assert_eq!(tried(&update_deny, &after), FORBIDDEN);
    let before = update("grades", "2", &[points(60)]);
    assert_eq!(tried(&update_deny, &before), FORBIDDEN);
    let unknown = update("grades", "3", &[points(60)]);
    assert_eq!(
        tried(&update_deny, &unknown),
        FORBIDDEN,
        "unknown is not false"
    );
    let create_deny = with(deny("data.create", "grades").rows(low()));
    assert!(allowed(&create_deny, &create("grades", &[points(60)])));
    assert_eq!(
        tried(&create_deny, &create("grades", &[points(10)])),
        FORBIDDEN
    );
    let delete_deny = with(deny("data.delete", "grades").rows(low()));
    assert_eq!(tried(&delete_deny, &delete("grades", "1")), Answer::Deleted);
    assert_eq!(tried(&delete_deny, &delete("grades", "3")), FORBIDDEN);
}

#[test]
fn rule_7_a_deny_with_a_check_blocks_what_comes_out_only() {
    let validation = deny("data.update", "grades").check(Rule::All(vec![
        Rule::Sent("points".into()),
        not(at_least(path("points"), number(1))),
    ]));
    let with = [allow("data", "grades"), validation.clone()];
    assert!(allowed(&with, &update("grades", "1", &[note("x")])));
    assert!(allowed(&with, &update("grades", "1", &[points(1)])));
    assert_eq!(
        tried(&with, &update("grades", "1", &[points(0)])),
        FORBIDDEN
    );
    let gone = update("grades", "1", &[("points", Value::Null)]);
    assert_eq!(tried(&with, &gone), FORBIDDEN, "unknown is not false");
    // With rows as well: where they hold, before or after.
    let of_bo = validation.rows(eq(path("student"), text("bo")));
    let with = [allow("data", "grades"), of_bo];
    assert!(allowed(&with, &update("grades", "1", &[points(0)])));
    assert_eq!(
        tried(&with, &update("grades", "2", &[points(0)])),
        FORBIDDEN
    );
}

#[test]
fn rule_7_a_deny_with_fields_blocks_a_write_that_names_one() {
    let locked = deny("data.update", "grades").fields(&["points"]);
    let with = [allow("data", "grades"), locked.clone()];
    assert!(allowed(&with, &update("grades", "1", &[note("x")])));
    assert_eq!(
        tried(&with, &update("grades", "1", &[points(81)])),
        FORBIDDEN
    );
    assert_eq!(
        tried(&with, &update("grades", "1", &[points(80)])),
        FORBIDDEN
    );
    let elsewhere = locked.clone().rows(eq(path("student"), text("bo")));
    let with = [allow("data", "grades"), elsewhere];
    assert!(allowed(&with, &update("grades", "1", &[points(81)])));
    // A value that a preset overrules was not the caller's.
    let lending = allow("data.update", "grades").preset("points", json(7.into()));
    let with = [allow("data.read", "grades"), lending, locked];
    let sent = update("grades", "1", &[points(81)]);
    assert_eq!(result(&with, &sent)["points"], 7.into());
}

#[test]
fn rule_7_a_deny_ends_the_search_for_a_lender() {
    let first = allow("data.create", "grades").fill("note", json("bad".into()));
    let second = allow("data.create", "grades").fill("note", json("good".into()));
    let bad = deny("data.create", "grades").rows(eq(path("note"), text("bad")));
    assert_eq!(
        tried(&[first, second, bad], &create("grades", &[])),
        FORBIDDEN
    );
}

#[test]
fn rule_8_presets_win_and_defaults_fill() {
    let lending = allow("data.create", "grades")
        .fields(&["points"])
        .preset("student", FieldValue::Variable(user_variable("")))
        .fill("points", json(5.into()));
    let with = [lending];
    let made = result(&with, &create("grades", &[]));
    assert_eq!(made, record(&[("id", 4.into()), mine(), points(5)]));
    assert_eq!(
        result(&with, &create("grades", &[points(9)]))["points"],
        9.into()
    );
    let sent = create("grades", &[("student", "bo".into())]);
    assert_eq!(result(&with, &sent)["student"], "anna".into());
    // A null that is sent is sent.
    let sent = create("grades", &[("points", Value::Null)]);
    assert!(!result(&with, &sent).contains_key("points"));
    // A default is not a grant.
    let forced = [
        allow("data.create", "grades")
            .fields(&["points"])
            .fill("note", json("x".into())),
        allow("data.read", "grades"),
    ];
    assert_eq!(tried(&forced, &create("grades", &[note("y")])), FORBIDDEN);
}

#[test]
fn rule_8_the_first_that_carries_the_write_without_overruling_lends() {
    let stamped = |text: &str| allow("data.create", "grades").preset("note", json(text.into()));
    let two = [stamped("a"), stamped("b")];
    assert_eq!(result(&two, &create("grades", &[]))["note"], "a".into());
    assert_eq!(
        result(&two, &create("grades", &[note("b")]))["note"],
        "b".into()
    );
    assert_eq!(
        result(&two, &create("grades", &[note("c")]))["note"],
        "a".into()
    );
    let failing = stamped("a").check(Rule::Constant(false));
    let two = [failing, stamped("b")];
    assert_eq!(result(&two, &create("grades", &[]))["note"], "b".into());
}

#[test]
fn rule_8_together_where_none_carries_it_alone() {
    let first = allow("data.create", "grades")
        .fields(&["points"])
        .fill("note", json("first".into()));
    let second = allow("data.create", "grades")
        .fields(&["due"])
        .preset("note", json("second".into()))
        .fill("student", json("bo".into()));
    let third = allow("data.create", "grades")
        .fields(&["course"])
        .preset("note", json("third".into()))
        .fill("student", json("anna".into()));
    let three = [first, second, third];
    let made = result(&three, &create("grades", &[points(1), ("due", 0.into())]));
    assert_eq!(
        made["note"],
        "second".into(),
        "a preset beats an earlier default"
    );
    assert_eq!(made["student"], "bo".into(), "the earlier wins");
    assert_eq!(
        result(&three, &create("grades", &[points(1)]))["note"],
        "first".into()
    );
}

#[test]
fn rule_8_the_order_is_binding_then_profile_then_position() {
    use portreeve_policy::{ProfileDefinition, ProfileRole};
    let mut world = school();
    for name in ["a", "b", "c", "everyone"] {
        let stamp = allow("data.create", "grades").preset("note", json(name.into()));
        world.document.roles.push(role(name, vec![stamp]));
    }
    let profile = |key: &str, parent: Option<&str>, role: &str| ProfileDefinition {
        key: key.into(),
        parent: parent.map(str::to_owned),
        roles: vec![ProfileRole {
            role: role.into(),
            restricted_to: None,
        }],
        ..ProfileDefinition::default()
    };
    world.document.profiles = vec![
        profile("child", Some("base"), "a"),
        profile("base", None, "b"),
    ];
    let stamp = |bindings: Vec<Binding>| {
        let subject = Subject { bindings, ..anna() };
        stored(&world, &subject, &create("grades", &[]))["note"].clone()
    };
    let through_profile = Binding {
        to: BoundTo::Profile("child".into()),
        ..Binding::default()
    };
    assert_eq!(stamp(vec![bound_to("c"), bound_to("a")]), "c".into());
    assert_eq!(stamp(vec![through_profile, bound_to("c")]), "b".into());
    assert_eq!(stamp(vec![]), "everyone".into());
}

#[test]
fn rule_9_only_records_within_reach_may_be_linked() {
    let writing = allow("data", "grades");
    let open = eq(path("open"), Operand::Literal(Literal::Boolean(true)));
    let with = [writing, allow("data.read.one", "courses").rows(open)];
    let linking = |course: i64| create("grades", &[("course", course.into())]);
    assert!(allowed(&with, &linking(1)));
    assert_eq!(tried(&with, &linking(2)), Answer::Invalid, "out of reach");
    assert_eq!(tried(&with, &linking(9)), Answer::Invalid, "not there");
    // What stays as it was is not a new link.
    let same = update("grades", "2", &[("course", 2.into()), note("x")]);
    assert!(allowed(&with, &same));
    let blind = [allow("data.update", "grades")];
    assert_eq!(tried(&blind, &same), Answer::Invalid, "cannot be tried out");
    let changed = update("grades", "1", &[("course", 2.into())]);
    assert_eq!(tried(&with, &changed), Answer::Invalid);
    // Presets aside.
    let lending = [allow("data.create", "grades").preset("course", json(2.into()))];
    assert_eq!(result(&lending, &create("grades", &[]))["course"], 2.into());
    assert_eq!(result(&lending, &linking(9))["course"], 2.into());
    let admin = holding("anna", &["admin"]);
    assert!(matches!(
        answer(&school(), &admin, &linking(2)),
        Answer::Stored { .. }
    ));
    assert_eq!(answer(&school(), &admin, &linking(9)), Answer::Invalid);
}

#[test]
fn rule_10_a_check_behind_a_link_out_of_reach_tells_nothing() {
    let title = |text_: &str| eq(path("course.title"), text(text_));
    for expected in ["Botany", "Zoology"] {
        let with = [allow("data.create", "grades").check(title(expected))];
        for course in [2, 9] {
            let sent = create("grades", &[("course", course.into())]);
            assert_eq!(tried(&with, &sent), Answer::Invalid);
        }
    }
}

#[test]
fn a_required_field_must_hold_something_in_the_end() {
    let mut world = school_with(vec![allow("data.create", "tags"), allow("data", "grades")]);
    world.document.collections[3].fields[0].required = true;
    let sent = create("tags", &[]);
    assert_eq!(answer(&world, &anna(), &sent), Answer::Invalid);
    world.document.collections[3].fields[0].default = Some("new".into());
    assert_eq!(stored(&world, &anna(), &sent)["label"], "new".into());
    let null = create("tags", &[("label", Value::Null)]);
    assert_eq!(answer(&world, &anna(), &null), Answer::Invalid);
    world.document.collections[2].fields[4].default = Some("$now".into());
    assert_eq!(
        stored(&world, &anna(), &create("grades", &[]))["due"],
        NOON.into()
    );
}
