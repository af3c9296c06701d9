use std::sync::Arc;

use portreeve_gate::CreateUser;
use portreeve_model::Value;
use portreeve_policy::{Binding, BoundTo};
use portreeve_store::StoreError;
use serde_json::json;

use crate::world::{List, NOW, begin, new_session};

const NOTES: &str = r#"
collections:
  users: { fields: { team: text } }
  notes: { key: { id: integer }, fields: { text: text } }
roles:
  writer: { permissions: [ { allow: [data.create, data.read], on: notes } ] }
  boss: { administrator: true }
profiles:
  staff: { roles: [writer] }
"#;

fn account(id: &str, bindings: Vec<Binding>) -> CreateUser {
    CreateUser {
        id: id.into(),
        key: format!("key-{id}"),
        username: Some(id.into()),
        email: Some(format!("{id}@Example.org")),
        password_hash: Some(format!("hash of {id}")),
        attributes: vec![("team".into(), json!("blue"))],
        bindings,
        past: None,
    }
}

fn bound(to: BoundTo) -> Binding {
    Binding {
        to,
        ..Binding::default()
    }
}

#[tokio::test]
async fn accounts_are_found_by_every_name_they_have() {
    let world = super::world(NOTES).await;
    let binding = Binding {
        to: BoundTo::Profile("staff".into()),
        restricted_to: Some(vec!["notes".into()]),
        from: Some(1),
        until: Some(NOW * 2),
        primary: true,
    };
    let authorized = world
        .gate
        .create_user(&world.operator(), account("anna", vec![binding.clone()]))
        .unwrap();
    assert_eq!(world.store.create_user(authorized).await.unwrap().1, 1);
    let system = world.store.system();
    for login in ["anna", "anna@example.org", "ANNA@EXAMPLE.ORG"] {
        let credential = system.credential(login).await.unwrap().unwrap();
        assert_eq!((&*credential.user, &*credential.status), ("anna", "active"));
        assert_eq!(credential.password_hash.as_deref(), Some("hash of anna"));
    }
    assert_eq!(system.credential("nobody").await.unwrap(), None);
    let found = system.credential_facts("anna").await.unwrap().unwrap();
    assert_eq!(found.facts.bindings, [binding]);
    assert_eq!(found.facts.epoch, 0);
    assert_eq!(
        found.facts.attributes.get("team"),
        Some(&Value::from("blue"))
    );
    assert_eq!(
        found.facts.attributes.get("confirmed"),
        Some(&Value::Boolean(false))
    );
    assert!(system.credential_facts("nobody").await.unwrap().is_none());
    let list = world.gate.list_users(&world.operator()).unwrap();
    let list = world.store.list_users(&list, 10, None).await.unwrap();
    assert_eq!(
        (list.len(), &*list[0].key, list[0].number),
        (1, "key-anna", 1)
    );
    assert_eq!(list[0].bindings, ["profile:staff"]);
    let again = world
        .gate
        .create_user(&world.operator(), account("anna", vec![]))
        .unwrap();
    assert!(matches!(
        world.store.create_user(again).await,
        Err(StoreError::Unique { .. })
    ));
}

#[tokio::test]
async fn there_is_one_first_administrator() {
    let world = super::world(NOTES).await;
    let snapshot = world.gate.snapshot();
    let system = world.store.system();
    let first = |user| world.gate.create_user(&world.operator(), user).unwrap();
    assert!(!system.has_administrator(&snapshot).await.unwrap());
    for (binding, counts) in [
        (
            Binding {
                until: Some(NOW * 2),
                ..bound(BoundTo::Role("admin".into()))
            },
            false,
        ),
        (bound(BoundTo::Profile("staff".into())), false),
        (bound(BoundTo::Role("boss".into())), true),
    ] {
        let id = format!("{binding:?}");
        let made = system
            .first_administrator(first(account(&id, vec![binding])))
            .await;
        made.unwrap();
        assert_eq!(system.has_administrator(&snapshot).await.unwrap(), counts);
    }
    let before = system.digest(true).await.unwrap();
    let second = system
        .first_administrator(first(account("second", vec![])))
        .await;
    assert!(matches!(second, Err(StoreError::AdministratorExists)));
    assert_eq!(system.digest(true).await.unwrap(), before);
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_admissions() {
    let world = super::world(NOTES).await;
    let anna = world.user("anna", &["writer"]).await;
    let system = world.store.system();
    begin(&world.store, new_session([7; 32], "anna", "hash", NOW, NOW + 10))
        .await
        .unwrap();
    let session = system.session(&[7; 32]).await.unwrap().unwrap();
    assert_eq!((&*session.user, session.expires), ("anna", NOW + 10));
    assert_eq!(system.session(&[8; 32]).await.unwrap(), None);
    assert!(matches!(
        begin(&world.store, new_session([9; 32], "nobody", "hash", NOW, NOW))
            .await,
        Err(StoreError::Gone)
    ));
    let authorized = world
        .gate
        .create(&anna, &crate::world::name("notes"), vec![])
        .unwrap();
    let known = system.revocations();
    let set = world.set_password("anna", "new").await.unwrap();
    assert_eq!(set.epochs[0].1, 1);
    assert!(system.revocations() > known);
    assert_eq!(system.session(&[7; 32]).await.unwrap(), None);
    // Who verified the old password before it was changed comes too late with it.
    let late = begin(&world.store, new_session([9; 32], "anna", "hash", NOW, NOW + 10));
    assert!(matches!(late.await, Err(StoreError::Gone)));
    assert_eq!(system.session(&[9; 32]).await.unwrap(), None);
    let again = begin(&world.store, new_session([9; 32], "anna", "new", NOW, NOW + 10));
    again.await.unwrap();
    assert_eq!(
        system
            .credential("anna")
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .as_deref(),
        Some("new")
    );
    assert!(matches!(
        world.store.create(authorized).await,
        Err(StoreError::VersionChanged)
    ));
    let anna = world.admit("anna").await;
    world.put(&anna, "notes", json!({ "text": "x" })).await;
    let nobody = world.set_password("nobody", "new").await.unwrap();
    assert!(nobody.is_nothing());
}

#[tokio::test]
async fn sessions_end_and_expire() {
    let world = super::world(NOTES).await;
    world.user("anna", &[]).await;
    let system = world.store.system();
    for number in 0..5 {
        begin(&world.store, new_session([number; 32], "anna", "hash", NOW, NOW + i64::from(number)))
            .await
            .unwrap();
    }
    assert!(system.end_session([4; 32]).await.unwrap().is_some());
    assert!(system.end_session([4; 32]).await.unwrap().is_none());
    assert_eq!(system.expire_sessions(NOW + 2, NOW).await.unwrap(), 3);
    assert!(system.session(&[3; 32]).await.unwrap().is_some());
    assert!(system.session(&[2; 32]).await.unwrap().is_none());
}

#[tokio::test]
async fn administrative_writes_are_audited_in_their_transaction() {
    let world = super::world(NOTES).await;
    world.user("anna", &["writer"]).await;
    let (list, _) = world.list(&world.operator(), List::of("audit")).await;
    let actions: Vec<&str> = list
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["policy.apply", "user.create"]);
    assert_eq!(list[1]["actor"], "operator");
    let (list, _) = world
        .list(
            &world.operator(),
            List::of("users").fields(&["username", "team"]),
        )
        .await;
    assert_eq!(list, [json!({ "username": "anna", "team": null })]);
    let (list, _) = world
        .list(
            &world.operator(),
            List::of("bindings").filter("user.username = 'anna'"),
        )
        .await;
    assert_eq!(list[0]["role"], "writer");
    let (list, _) = world
        .list(&world.operator(), List::of("roles").sort("key", false))
        .await;
    assert_eq!(list[0]["key"], "boss");
}

#[tokio::test]
async fn facts_are_the_records_themselves() {
    use portreeve_policy::Facts;
    let world = super::world(NOTES).await;
    let admin = world.operator();
    for text in ["x", "y", "x"] {
        world.put(&admin, "notes", json!({ "text": text })).await;
    }
    let notes = Arc::clone(world.gate.snapshot().catalog().find_text("notes").unwrap());
    let explain = world.gate.explain(&admin, Some(notes.id)).unwrap();
    let facts = world.store.facts(&explain);
    let found = facts.find(
        notes.id,
        notes.find_field("text").unwrap(),
        &Value::from("x"),
    );
    assert_eq!(
        found
            .iter()
            .map(|record| record.get(notes.key).clone())
            .collect::<Vec<_>>(),
        [1.into(), 3.into()]
    );
    let record = facts.record(notes.id, &2.into()).await.unwrap().unwrap();
    assert_eq!(
        record.get(notes.find_field("text").unwrap()),
        &Value::from("y")
    );
    assert!(facts.record(notes.id, &9.into()).await.unwrap().is_none());
}
