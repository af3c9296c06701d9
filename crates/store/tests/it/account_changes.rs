use portreeve_gate::{ChangeUser, Sessions};
use portreeve_policy::{Binding, BoundTo};
use portreeve_store::{Stale, StoreError, WriteOutcome};
use serde_json::json;

use crate::world::{List, NOW, World, begin, fields, name, new_session};

const NOTES: &str = r#"
collections:
  users: { fields: { team: text, boss: { to: users, on_delete: set_null } } }
  notes: { key: { id: integer }, fields: { owner: { to: users, required: true } } }
roles:
  writer: { permissions: [ { allow: [data.create, data.read], on: notes } ] }
  desk:
    permissions:
      - { allow: data.read, on: users, rows: "team = 'blue'" }
      - { allow: data.update, on: users, rows: "team = 'blue'", fields: [team, username], check: "team <> 'red'" }
      - { allow: data.delete, on: users, rows: "team = 'blue'" }
"#;

fn change(sent: serde_json::Value) -> ChangeUser {
    ChangeUser {
        sent: fields(sent),
        ..ChangeUser::default()
    }
}

async fn world_of_two() -> World {
    let world = super::world(NOTES).await;
    for user in ["anna", "bo"] {
        world.user(user, &["writer"]).await;
    }
    let blue = change(json!({ "team": "blue" }));
    let done = world.change_user(&world.operator(), "anna", blue).await;
    assert!(matches!(done, Ok((WriteOutcome::Stored(_), _))));
    world
}

#[tokio::test]
async fn a_change_is_judged_where_it_is_made_and_leaves_nothing_where_it_is_not() {
    let world = world_of_two().await;
    let desk = world.user("dora", &["desk"]).await;
    let before = world.digest().await;
    let refused = [
        ("anna", json!({ "team": "red" }), WriteOutcome::Forbidden),
        ("bo", json!({ "team": "green" }), WriteOutcome::NotFound),
        ("nobody", json!({ "team": "green" }), WriteOutcome::NotFound),
        // Whose account it is decides only what becomes of one that is seen.
        ("anna", json!({ "username": "x" }), WriteOutcome::Forbidden),
        ("bo", json!({ "username": "x" }), WriteOutcome::NotFound),
    ];
    for (user, sent, outcome) in refused {
        let told = world.change_user(&desk, user, change(sent.clone())).await;
        assert_eq!(told.unwrap(), (outcome, Stale::default()), "{user} {sent}");
    }
    for user in ["bo", "nobody"] {
        let target = world.facts(user).await;
        let delete = world.gate.delete_user(&desk, &target).unwrap();
        let told = world.store.delete_user(delete).await.unwrap();
        assert_eq!(told, (WriteOutcome::NotFound, Stale::default()));
    }
    let target = world.facts("anna").await;
    let delete = world.gate.delete_user(&desk, &target).unwrap();
    let told = world.store.delete_user(delete).await.unwrap();
    assert_eq!(told, (WriteOutcome::Forbidden, Stale::default()));
    assert_eq!(world.digest().await, before);
    let done = world.change_user(&desk, "anna", change(json!({ "team": "green" }))).await;
    assert!(matches!(done, Ok((WriteOutcome::Stored(_), _))));
    assert_eq!(world.facts("anna").await.epoch, 2);
}

#[tokio::test]
async fn what_was_decided_by_other_rights_of_the_account_is_decided_again() {
    let world = world_of_two().await;
    let (operator, target) = (world.operator(), world.facts("anna").await);
    let late = world.gate.update_user(&operator, &target, change(json!({ "team": "red" })));
    let later = world.gate.delete_user(&operator, &target).unwrap();
    let _stale = world.set_password("anna", "new").await.unwrap();
    let before = world.digest().await;
    let late = world.store.update_user(late.unwrap()).await;
    assert!(matches!(late, Err(StoreError::VersionChanged)));
    let later = world.store.delete_user(later).await;
    assert!(matches!(later, Err(StoreError::VersionChanged)));
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn names_and_addresses_are_nobody_elses() {
    let world = world_of_two().await;
    let operator = world.operator();
    let before = world.digest().await;
    for (sent, taken) in [
        (json!({ "username": "bo" }), true),
        (json!({ "email": "BO@EXAMPLE.org" }), true),
        (json!({ "key": "bo" }), true),
        (json!({ "username": "bo@example.org" }), false),
        (json!({ "username": "anna@example.org", "email": "a@example.org" }), false),
    ] {
        let told = world.change_user(&operator, "anna", change(sent.clone())).await;
        match told {
            Err(StoreError::Unique { .. }) if taken => {}
            Err(StoreError::NameIsAddress) if !taken => {}
            other => panic!("{sent}: {other:?}"),
        }
    }
    assert_eq!(world.digest().await, before);
    // A Kelvin sign is not a K, whatever the database's language is.
    let odd = json!({ "username": null, "email": "\u{212a}im@example.org" });
    let done = world.change_user(&operator, "anna", change(odd));
    let _stale = done.await.unwrap().1;
    let system = world.store.system();
    assert_eq!(system.credential("kim@example.org").await.unwrap(), None);
    let done = world.change_user(&operator, "bo", change(json!({ "email": "kim@example.org" })));
    let _stale = done.await.unwrap().1;
    for (login, user) in [("KIM@example.org", "bo"), ("\u{212a}IM@example.org", "anna")] {
        let found = system.credential(login).await.unwrap();
        assert_eq!(found.map(|found| found.user.to_string()).as_deref(), Some(user));
    }
}

#[tokio::test]
async fn sessions_end_as_is_said_and_with_the_status_always() {
    let world = world_of_two().await;
    let (operator, system) = (world.operator(), world.store.system());
    for token in [1, 2] {
        let new = new_session([token; 32], "anna", "hash", NOW, NOW + 10);
        begin(&world.store, new).await.unwrap();
    }
    let second = system.session(&[2; 32]).await.unwrap().unwrap().id;
    let password = |hash: &str, sessions| ChangeUser {
        password_hash: Some(hash.into()),
        sessions,
        ..ChangeUser::default()
    };
    let there = async |token: u8| system.session(&[token; 32]).await.unwrap().is_some();
    let change_to = async |change| world.change_user(&operator, "anna", change).await.unwrap().1;
    assert!(!change_to(password("two", Sessions::GoOn)).await.sessions);
    assert!(there(1).await && there(2).await);
    assert!(change_to(password("three", Sessions::EndOthers(second))).await.sessions);
    assert!(!there(1).await && there(2).await);
    let off = ChangeUser {
        sent: fields(json!({ "status": "off" })),
        ..password("four", Sessions::GoOn)
    };
    assert!(change_to(off).await.sessions);
    assert!(!there(2).await);
    let late = new_session([3; 32], "anna", "four", NOW, NOW + 10);
    let late = begin(&world.store, late).await;
    assert!(matches!(late, Err(StoreError::Gone)));
}

#[tokio::test]
async fn what_belongs_to_an_account_goes_with_it_and_its_number_is_not_used_again() {
    let world = world_of_two().await;
    let (operator, system) = (world.operator(), world.store.system());
    let boss = change(json!({ "boss": "anna" }));
    let done = world.change_user(&operator, "bo", boss);
    let _stale = done.await.unwrap().1;
    world.put(&operator, "notes", json!({ "owner": "bo" })).await;
    let end = async |user: &str| {
        let target = world.facts(user).await;
        let delete = world.gate.delete_user(&operator, &target).unwrap();
        world.store.delete_user(delete).await
    };
    let before = world.digest().await;
    assert!(matches!(end("bo").await, Err(StoreError::ForeignKey)));
    assert_eq!(world.digest().await, before);
    world.user("cleo", &["writer"]).await;
    let new = new_session([1; 32], "cleo", "hash", NOW, NOW + 10);
    begin(&world.store, new).await.unwrap();
    let (outcome, stale) = end("cleo").await.unwrap();
    assert_eq!(outcome, WriteOutcome::Deleted);
    assert_eq!((&*stale.epochs[0].0, stale.epochs[0].1, stale.sessions), ("cleo", 1, true));
    assert_eq!(system.session(&[1; 32]).await.unwrap(), None);
    assert_eq!(system.password_hash("cleo").await.unwrap(), None);
    let rows = async |list| world.list(&operator, list).await.0;
    let bound = rows(List::of("bindings").filter("user = 'cleo'")).await;
    assert_eq!(bound.len(), 0);
    assert_eq!(end("cleo").await.unwrap(), (WriteOutcome::NotFound, Stale::default()));
    // Under the same names, and even the same id: a new number, and a session of before is none.
    let again = world.user("cleo", &[]).await;
    assert_eq!(again.epoch(), 1);
    let number = rows(List::of("users").filter("id = 'cleo'").fields(&["number"])).await;
    assert_eq!(number, [json!({ "number": 4 })]);
    let (outcome, _) = end("anna").await.unwrap();
    assert_eq!(outcome, WriteOutcome::Deleted);
    let bo = rows(List::of("users").filter("id = 'bo'").fields(&["boss"])).await;
    assert_eq!(bo, [json!({ "boss": null })]);
    let audit = rows(List::of("audit").filter("action = 'user.delete'")).await;
    assert_eq!(audit.len(), 2);
    assert_eq!(audit[0]["before"]["username"], "cleo");
}

#[tokio::test]
async fn an_administrator_is_left_whoever_asks() {
    let world = super::world(NOTES).await;
    let operator = world.operator();
    let bound = |role: &str| Binding {
        to: BoundTo::Role(role.into()),
        ..Binding::default()
    };
    world.user("root", &["admin"]).await;
    world.user("anna", &["writer"]).await;
    let off = || change(json!({ "status": "off" }));
    let before = world.digest().await;
    let told = world.change_user(&operator, "root", off()).await;
    assert!(matches!(told, Err(StoreError::LastAdministrator)));
    let delete = world.gate.delete_user(&operator, &world.facts("root").await);
    let told = world.store.delete_user(delete.unwrap()).await;
    assert!(matches!(told, Err(StoreError::LastAdministrator)));
    assert_eq!(world.digest().await, before);
    let done = world.change_user(&operator, "anna", off());
    let _stale = done.await.unwrap().1;
    assert_eq!(world.facts("root").await.bindings, [bound("admin")]);
    world.user("second", &["admin"]).await;
    let done = world.change_user(&operator, "root", off());
    let _stale = done.await.unwrap().1;
}

#[tokio::test]
async fn a_hash_is_replaced_by_a_better_one_if_it_is_still_there() {
    let world = world_of_two().await;
    let system = world.store.system();
    assert!(system.upgrade_password("anna", "hash", "better").await.unwrap());
    assert!(!system.upgrade_password("anna", "hash", "worse").await.unwrap());
    assert!(!system.upgrade_password("nobody", "hash", "x").await.unwrap());
    let hash = system.password_hash("anna").await.unwrap();
    assert_eq!(hash.as_deref(), Some("better"));
    // The same password as before: nobody is admitted anew for it.
    assert_eq!(world.facts("anna").await.epoch, 1);
}

#[tokio::test]
async fn nobody_makes_an_account_with_more_than_he_may_give() {
    let world = super::world(NOTES).await;
    let writer = world.user("anna", &["writer"]).await;
    let before = world.digest().await;
    let new = portreeve_gate::CreateUser {
        id: "new".into(),
        key: "new".into(),
        username: Some("new".into()),
        email: None,
        password_hash: None,
        attributes: vec![],
        bindings: vec![],
        past: None,
    };
    assert!(world.gate.create_user(&writer, new.clone()).is_err());
    let registering = |at_most| {
        let email = "new@school.example".into();
        let confirmation = portreeve_gate::Confirmation { email, link: None, at_most };
        world.gate.register(&writer, new.clone(), Some(confirmation)).unwrap()
    };
    // The account and the mail to its address, or neither.
    let busy = world.store.create_user(registering(0)).await;
    assert!(matches!(busy, Err(StoreError::Busy)));
    assert_eq!(world.digest().await, before);
    let stranger = registering(1);
    let (outcome, number) = world.store.create_user(stranger).await.unwrap();
    // A number that was refused is not given again, on one of the databases.
    assert!(matches!(outcome, WriteOutcome::Stored(_)) && number >= 2);
    let status = world.get(&world.operator(), "users", "new").await.unwrap();
    assert_eq!(status["status"], "unconfirmed");
    let record = world.gate.create(&world.operator(), &name("users"), vec![]);
    assert!(record.is_err());
}
