//! The policy as a whole.

use portreeve_service::{ChangeKind, Document, Part};
use serde_json::json;

use crate::home::{Home, SCHOOL, grades, open};

fn read(text: &str) -> Document {
    Document::read("test.yaml", text).unwrap()
}

#[tokio::test]
async fn applied_twice_the_second_one_changes_nothing() {
    let home = Home::empty().await;
    let first = home.apply_text(SCHOOL, false).await.unwrap();
    assert!(first.changed);
    let second = home.apply_text(SCHOOL, false).await.unwrap();
    assert_eq!((second.changed, second.version), (false, first.version));
    // Nor does a comment, another place, or the document that is in force.
    let moved = home
        .apply_text(&format!("# a school\n\n{SCHOOL}"), false)
        .await
        .unwrap();
    assert!(!moved.changed);
    let document = home.document(&home.operator()).await.unwrap();
    let written = home.apply_text(&document.to_yaml(), false).await.unwrap();
    assert!(!written.changed);
    assert_eq!(home.policy_version(), first.version);
}

#[tokio::test]
async fn the_policy_is_there_when_the_folder_is_opened_again() {
    let home = Home::school().await;
    grades(&home).await;
    let version = home.policy_version();
    let Home {
        portreeve,
        clock,
        folder,
    } = home;
    drop(portreeve);
    let portreeve = open(&folder, &clock, 2).await;
    assert_eq!(portreeve.policy_version(), version);
    let plan = portreeve
        .plan(&portreeve.operator(), &read(SCHOOL))
        .await
        .unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
    let home = Home {
        portreeve,
        clock,
        folder,
    };
    let anna = home.as_user("anna").await;
    assert_eq!(home.list_of(&anna, "grades").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_plan_says_what_comes_changes_and_goes() {
    let home = Home::school().await;
    let changed = SCHOOL
        .replace("      note: text\n", "      comment: text\n")
        .replace("    indexes: [[title]]\n", "    indexes: [[body]]\n")
        .replace(
            "- { allow: data, on: grades }",
            "- { allow: data.read, on: grades }",
        )
        + "rules: { mine: { parameters: [f], rule: \":f = $user\" } }\n";
    let plan = home.plan(&home.operator(), &read(&changed)).await.unwrap();
    let said: Vec<_> = plan
        .changes
        .iter()
        .map(|change| (change.change, change.part, change.name.as_str()))
        .collect();
    for expected in [
        (ChangeKind::Create, Part::Field, "grades.comment"),
        (ChangeKind::Delete, Part::Field, "grades.note"),
        (ChangeKind::Create, Part::Index, "posts.(body)"),
        (ChangeKind::Delete, Part::Index, "posts.(title)"),
        (ChangeKind::Create, Part::Rule, "mine"),
        (ChangeKind::Change, Part::Role, "teacher"),
    ] {
        assert!(said.contains(&expected), "{expected:?} in {said:?}");
    }
    assert_eq!(said.len(), 6, "{said:?}");
    let teacher = plan
        .changes
        .iter()
        .find(|change| change.name == "teacher")
        .unwrap();
    assert_eq!(
        teacher.what,
        [
            r#"- {"allow":"data","on":"grades"}"#,
            r#"+ {"allow":"data.read","on":"grades"}"#
        ]
    );
    assert_eq!(plan.drops.len(), 1);
    assert_eq!(
        plan.to_json()["drops"],
        json!([{ "collection": "grades", "field": "note" }])
    );
}

#[tokio::test]
async fn data_goes_only_when_somebody_agrees() {
    let home = Home::school().await;
    grades(&home).await;
    let without = SCHOOL.replace("      note: text\n", "");
    let error = home.apply_text(&without, false).await.unwrap_err();
    assert_eq!(error.code(), "drops_unconfirmed");
    assert!(
        error.to_string().contains("the field 'note' of 'grades'"),
        "{error}"
    );
    assert_eq!(
        home.get(&home.operator(), "grades", "1").await.unwrap()["note"],
        "quiet"
    );
    home.apply_text(&without, true).await.unwrap();
    assert!(
        home.get(&home.operator(), "grades", "1")
            .await
            .unwrap()
            .get("note")
            .is_none()
    );
}

#[tokio::test]
async fn a_plan_of_yesterday_is_not_put_in_force() {
    let home = Home::school().await;
    let operator = home.operator();
    let wider = read(&SCHOOL.replace("body: text", "body: text, more: text"));
    let stale = home.plan(&operator, &wider).await.unwrap();
    home.apply_text(
        &format!("{SCHOOL}actions: {{ post.pin: Pins a post }}"),
        false,
    )
    .await
    .unwrap();
    let error = home.apply(&home.operator(), stale, true).await.unwrap_err();
    assert_eq!(error.code(), "policy_changed");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_and_nothing_is_changed() {
    let home = Home::school().await;
    let version = home.policy_version();
    let wrong = SCHOOL
        .replace("student = $user", "studnet = $user")
        .replace("on: users", "on: user");
    let error = home.apply_text(&wrong, true).await.unwrap_err();
    assert_eq!(error.code(), "bad_policy");
    let portreeve_service::ServiceError::BadPolicy(problems) = error else {
        panic!()
    };
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems.iter().all(|problem| problem.place.line > 0),
        "{problems:?}"
    );
    assert_eq!(home.policy_version(), version);
}

#[tokio::test]
async fn a_role_that_is_held_stays() {
    let home = Home::school().await;
    home.user("ada", &["teacher"]).await;
    let without = SCHOOL.replace("  teacher:\n", "  lecturer:\n");
    let error = home.apply_text(&without, false).await.unwrap_err();
    assert_eq!(error.code(), "held");
    assert!(
        error.to_string().contains("role 'teacher'") && error.to_string().contains("ada"),
        "{error}"
    );
}

#[tokio::test]
async fn an_administrator_is_always_left() {
    let boss = format!("{SCHOOL}  boss:\n    administrator: true\n");
    let home = Home::empty().await;
    home.apply_text(&boss, false).await.unwrap();
    home.user("bea", &["boss"]).await;
    assert!(home.has_administrator());
    for weaker in [
        boss.replace("    administrator: true\n", "    label: Boss\n"),
        boss.replace(
            "    administrator: true\n",
            "    administrator: true\n    when: \"$request.method = 'GET'\"\n",
        ),
    ] {
        let error = home.apply_text(&weaker, false).await.unwrap_err();
        assert_eq!(error.code(), "last_administrator", "{error}");
    }
    home.user("root", &["admin"]).await;
    let weaker = boss.replace("    administrator: true\n", "    label: Boss\n");
    home.apply_text(&weaker, false).await.unwrap();
}

#[tokio::test]
async fn an_administrator_from_some_addresses_alone_is_none() {
    let open = "profiles: { bosses: { roles: [admin] } }";
    let home = Home::empty().await;
    home.apply_text(open, false).await.unwrap();
    let bea = portreeve_service::NewUser {
        username: Some("bea".into()),
        profiles: vec!["bosses".into()],
        ..Default::default()
    };
    home.create_user(&home.operator(), bea).await.unwrap();
    assert!(home.has_administrator());
    for weaker in [
        "profiles: { bosses: { roles: [admin], addresses: [10.0.0.0/8] } }",
        "profiles: { bosses: { parent: inner, addresses: [10.0.0.0/8] }, inner: { roles: [admin] } }",
        "profiles: { bosses: { parent: inner }, inner: { roles: [admin], addresses: [10.0.0.0/8] } }",
    ] {
        let error = home.apply_text(weaker, false).await.unwrap_err();
        assert_eq!(error.code(), "last_administrator", "{weaker}: {error}");
    }
    let inherited = "profiles: { bosses: { parent: inner }, inner: { roles: [admin] } }";
    home.apply_text(inherited, false).await.unwrap();
}

#[tokio::test]
async fn only_who_may_sees_or_changes_it() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let anna = home.as_user("anna").await;
    assert_eq!(home.document(&anna).await.unwrap_err().code(), "forbidden");
    assert_eq!(
        home.plan(&anna, &read(SCHOOL)).await.err().unwrap().code(),
        "forbidden"
    );
    let plan = home.plan(&home.operator(), &read("{}")).await.unwrap();
    assert_eq!(
        home.apply(&anna, plan, true).await.unwrap_err().code(),
        "forbidden"
    );
}
