//! Roles in force, what a permission covers, narrowing.

use portreeve_policy::{ProfileDefinition, ProfileRole};

use super::*;

fn profile(key: &str, parent: Option<&str>, roles: Vec<ProfileRole>) -> ProfileDefinition {
    ProfileDefinition {
        key: key.into(),
        parent: parent.map(str::to_owned),
        roles,
        ..ProfileDefinition::default()
    }
}

fn in_profile(role: &str, restricted_to: Option<&[&str]>) -> ProfileRole {
    ProfileRole {
        role: role.into(),
        restricted_to: restricted_to.map(|on| on.iter().map(|name| (*name).into()).collect()),
    }
}

fn reads(world: &World, subject: &Subject, collection: &str) -> bool {
    answer(world, subject, &read(collection, "1")) != Answer::NotFound
}

fn everything() -> Vec<Permission> {
    vec![allow("data.read", "*")]
}

#[test]
fn a_binding_holds_from_its_beginning_until_its_end() {
    let world = school_with(everything());
    let mut subject = anna();
    for (from, until, held) in [
        (None, None, true),
        (Some(NOON), None, true),
        (Some(NOON + 1), None, false),
        (None, Some(NOON), false),
        (None, Some(NOON + 1), true),
    ] {
        subject.bindings[0].from = from;
        subject.bindings[0].until = until;
        assert_eq!(
            reads(&world, &subject, "grades"),
            held,
            "{from:?} {until:?}"
        );
    }
}

#[test]
fn the_fallback_is_for_those_who_hold_nothing_but_user() {
    let mut world = school();
    let fallback = RoleDefinition {
        fallback: true,
        ..role("guest", everything())
    };
    world.document.roles = vec![fallback, role("r", vec![])];
    assert!(reads(&world, &holding("anna", &[]), "grades"));
    assert!(reads(&world, &holding("anna", &["user"]), "grades"));
    assert!(!reads(&world, &holding("anna", &["user", "r"]), "grades"));
    assert!(reads(&world, &Subject::default(), "grades"));
    // Stored, though not live.
    let mut subject = anna();
    subject.bindings[0].until = Some(0);
    assert!(!reads(&world, &subject, "grades"));
}

#[test]
fn everyone_is_for_all_and_anonymous_for_those_without_a_session() {
    let mut world = school();
    world.document.roles = vec![
        role("everyone", vec![allow("data.read", "tags")]),
        role("anonymous", vec![allow("data.read", "courses")]),
    ];
    let stranger = Subject {
        bindings: vec![bound_to("admin")],
        ..Subject::default()
    };
    assert!(reads(&world, &stranger, "tags") && reads(&world, &stranger, "courses"));
    assert!(
        !reads(&world, &stranger, "grades"),
        "an anonymous has no bindings"
    );
    assert!(reads(&world, &anna(), "tags") && !reads(&world, &anna(), "courses"));
}

#[test]
fn profiles_hand_on_their_parents_roles_with_their_restrictions() {
    let mut world = school_with(everything());
    world.document.profiles = vec![
        profile(
            "base",
            None,
            vec![in_profile("r", Some(&["tags", "grades"]))],
        ),
        profile("staff", Some("base"), vec![]),
    ];
    let mut subject = holding("anna", &[]);
    subject.bindings = vec![Binding {
        to: BoundTo::Profile("staff".into()),
        restricted_to: Some(vec!["grades".into(), "courses".into()]),
        ..Binding::default()
    }];
    assert!(reads(&world, &subject, "grades"), "both cover it");
    assert!(!reads(&world, &subject, "tags"), "the binding does not");
    assert!(!reads(&world, &subject, "courses"), "the parent does not");
}

#[test]
fn restrictions_clip_denies_too() {
    let mut world = school_with(everything());
    world
        .document
        .roles
        .push(role("d", vec![deny("data.read", "*")]));
    let mut subject = holding("anna", &["r", "d"]);
    assert!(!reads(&world, &subject, "tags"));
    subject.bindings[1].restricted_to = Some(vec!["main/*".into()]);
    assert!(!reads(&world, &subject, "tags"));
    subject.bindings[1].restricted_to = Some(vec!["grades".into()]);
    assert!(reads(&world, &subject, "tags") && !reads(&world, &subject, "grades"));
}

#[test]
fn an_unmet_address_list_removes_allows_only() {
    let mut world = school_with(everything());
    world
        .document
        .roles
        .push(role("d", vec![deny("data.read", "tags")]));
    let mut inside = profile("inside", None, vec![in_profile("r", None)]);
    inside.roles.push(in_profile("d", None));
    inside.addresses = vec!["10.0.0.0/8".parse().unwrap()];
    world.document.profiles = vec![inside];
    let mut subject = holding("anna", &[]);
    let bound = Binding {
        to: BoundTo::Profile("inside".into()),
        ..Binding::default()
    };
    subject.bindings.push(bound);
    for (ip, met) in [(None, false), (Some("10.1.2.3"), true), (Some("x"), false)] {
        subject.request = ip.map(|ip| ("ip".into(), ip.into())).into_iter().collect();
        assert_eq!(reads(&world, &subject, "grades"), met, "{ip:?}");
    }
    subject.bindings.push(bound_to("r"));
    assert!(reads(&world, &subject, "grades") && !reads(&world, &subject, "tags"));
}

#[test]
fn an_unmet_when_of_a_role_removes_its_allows_only() {
    let of_bo = || eq(user("id"), text("bo"));
    let mut world = school_with(everything());
    world.document.roles[0].when = Some(of_bo());
    assert!(!reads(&world, &anna(), "grades"));
    assert!(reads(&world, &holding("bo", &["r"]), "grades"));
    world.document.roles[0].permissions = vec![deny("data.read", "grades")];
    world.document.roles.push(role("s", everything()));
    assert!(!reads(&world, &holding("anna", &["r", "s"]), "grades"));
}

#[test]
fn a_when_of_its_own_makes_a_permission_a_statement_true_for_allows_not_false_for_denies() {
    let when = |team: &str| eq(user("team"), text(team));
    let allowed = |rule| {
        let world = school_with(vec![allow("data.read", "tags").when(rule)]);
        move |id| reads(&world, &holding(id, &["r"]), "tags")
    };
    let denied = |rule| {
        let deny = deny("data.read", "tags").when(rule);
        let world = school_with(vec![allow("data.read", "tags"), deny]);
        move |id| !reads(&world, &holding(id, &["r"]), "tags")
    };
    // Anna is in the red team; of Bo's nothing is known.
    assert!(allowed(when("red"))("anna") && denied(when("red"))("anna"));
    assert!(!allowed(when("blue"))("anna") && !denied(when("blue"))("anna"));
    assert!(!allowed(when("red"))("bo") && denied(when("red"))("bo"));
}

#[test]
fn actions_cover_what_is_below_them_and_exceptions_are_local() {
    for (pattern, covered) in [
        ("*", true),
        ("data", true),
        ("data.read", true),
        ("data.read.one", true),
        ("data.read.o", false),
        ("data.read.many", false),
        ("data.update", false),
    ] {
        let world = school_with(vec![allow(pattern, "grades")]);
        assert_eq!(reads(&world, &anna(), "grades"), covered, "{pattern}");
    }
    let world = school_with(vec![
        allow("data", "*").except("tags").except("data.read.one"),
    ]);
    assert_eq!(keys(&world, &anna(), "grades", None).len(), 3);
    assert!(!reads(&world, &anna(), "grades") && !reads(&world, &anna(), "tags"));
    let world = school_with(vec![
        allow("data", "*").except("tags"),
        allow("data", "tags"),
    ]);
    assert!(reads(&world, &anna(), "tags"));
}

#[test]
fn a_star_does_not_cover_system_collections_but_implicit_allow_does() {
    let mut world = school_with(everything());
    assert_eq!(
        answer(&world, &anna(), &read("users", "bo")),
        Answer::NotFound
    );
    world.document.roles[0].permissions = vec![deny("data.read", "tags")];
    world.document.roles[0].implicit_allow = true;
    assert_eq!(
        shown(&world, &anna(), &read("users", "bo"))["number"],
        2.into()
    );
    assert!(reads(&world, &anna(), "grades") && !reads(&world, &anna(), "tags"));
    // A role's own permission stands in the way of its implicit allow, not of another role's.
    world.document.roles[0].permissions =
        vec![allow("data.read", "tags").rows(Rule::Constant(false))];
    assert!(!reads(&world, &anna(), "tags"));
    let other = RoleDefinition {
        implicit_allow: true,
        ..role("other", vec![])
    };
    world.document.roles.push(other);
    assert!(reads(&world, &holding("anna", &["r", "other"]), "tags"));
}

#[test]
fn a_permission_for_one_face_is_for_that_face() {
    let mut permission = allow("data.read", "grades");
    permission.via = Some(portreeve_policy::FaceScope {
        face: "kuzzle".into(),
        operations: vec!["document:get".into()],
    });
    let world = school_with(vec![permission]);
    let mut subject = anna();
    assert!(!reads(&world, &subject, "grades"));
    subject.request.insert("face".into(), "kuzzle".into());
    assert!(!reads(&world, &subject, "grades"));
    subject
        .request
        .insert("operation".into(), "document:get".into());
    assert!(reads(&world, &subject, "grades"));
}

#[test]
fn administrators_are_limited_by_a_narrowing_only() {
    let mut world = school_with(vec![allow("data.read", "grades").fields(&["points"])]);
    world
        .document
        .roles
        .push(role("d", vec![deny("*", "grades")]));
    let mut subject = holding("anna", &["admin", "d"]);
    subject.bindings[0].restricted_to = Some(vec!["tags".into()]);
    assert_eq!(shown(&world, &subject, &read("grades", "1")).len(), 6);
    assert_eq!(
        answer(&world, &subject, &delete("grades", "1")),
        Answer::Deleted
    );
    assert!(reads(&world, &subject, "courses"));
    assert_eq!(
        answer(&world, &subject, &delete("users", "bo")),
        Answer::Forbidden
    );

    subject.narrowed_to = Some(vec!["r".into()]);
    let seen = shown(&world, &subject, &read("grades", "1"));
    assert_eq!(seen, record(&[("id", 1.into()), ("points", 80.into())]));
    assert_eq!(
        answer(&world, &subject, &delete("grades", "1")),
        Answer::Forbidden
    );
    assert!(!reads(&world, &subject, "courses"));
}

#[test]
fn owner_and_narrowing_must_both_hold() {
    let mut world = school_with(vec![
        allow("data.read", "grades").rows(at_least(path("points"), number(50))),
        allow("data.update", "grades").preset("note", json("seen".into())),
    ]);
    world.document.roles.push(role(
        "n",
        vec![
            allow("data.read", "grades").fields(&["points"]),
            allow("data.update", "grades")
                .fields(&["points"])
                .check(at_least(path("points"), number(10)))
                .preset("note", json("narrow".into())),
        ],
    ));
    world.document.roles.push(role("everyone", everything()));
    let mut subject = anna();
    subject.narrowed_to = Some(vec!["n".into()]);
    world.document.roles.retain(|role| role.key != "everyone");
    assert_eq!(keys(&world, &subject, "grades", None), ["1"]);
    assert_eq!(shown(&world, &subject, &read("grades", "1")).len(), 2);
    // The preset is the owner's, the result must suit the narrowing.
    let result = stored(
        &world,
        &subject,
        &update("grades", "1", &[("points", 20.into())]),
    );
    assert_eq!(result["note"], "seen".into());
    let low = update("grades", "1", &[("points", 5.into())]);
    assert_eq!(answer(&world, &subject, &low), Answer::Forbidden);
    // An administrator in the narrowing takes nothing away.
    subject.narrowed_to = Some(vec!["admin".into()]);
    assert_eq!(shown(&world, &subject, &read("grades", "1")).len(), 6);
    // What everyone may do, a narrowed request may do too, as far as the owner may.
    subject.narrowed_to = Some(vec!["user".into()]);
    assert!(!reads(&world, &subject, "grades"));
    world.document.roles.push(role("everyone", everything()));
    assert!(reads(&world, &subject, "grades"));
}

#[test]
fn roles_in_force_are_those_of_the_owner() {
    let in_force = |name: &str| {
        let list = portreeve_model::List::Variable(user_variable("roles"));
        let rule = Rule::In {
            operand: text(name),
            list,
        };
        let world = school_with(vec![allow("data.read", "grades").rows(rule)]);
        let mut subject = anna();
        subject.bindings.push(bound_to("gone"));
        subject.narrowed_to = Some(vec!["r".into()]);
        reads(&world, &subject, "grades")
    };
    assert!(in_force("r") && in_force("everyone"));
    assert!(!in_force("gone") && !in_force("user"));
}
