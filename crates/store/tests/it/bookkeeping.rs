use portreeve_gate::Refused;
use portreeve_store::WriteOutcome;
use serde_json::json;

use crate::world::{List, NOW, World, fields, name, stored};

const BEFORE: &str = r#"
collections:
  notes:
    key: { id: integer }
    fields: { text: text }
roles:
  writer:
    permissions:
      - { allow: [data.read, data.create], on: notes }
      - { allow: data.update, on: notes, rows: "text <> 'shut'", check: true }
      - { allow: data.read, on: users, fields: [username] }
  blind:
    permissions:
      - { allow: [data.read, data.create], on: notes, fields: [text] }
"#;

const FIRST: &str = "2026-11-22T10:00:00Z";

fn with_bookkeeping() -> String {
    BEFORE.replace(
        "fields: { text: text }",
        "fields: { text: text }\n    bookkeeping: true",
    )
}

async fn notes() -> World {
    let world = super::world(&with_bookkeeping()).await;
    world.user("anna", &["writer"]).await;
    world.user("bo", &["writer"]).await;
    world
}

// The same caller, a second later.
async fn later(world: &World, user: &str) -> portreeve_gate::Caller {
    let account = world.store.system().credential_facts(user).await;
    let facts = account.unwrap().unwrap().facts;
    world
        .gate
        .admit(&facts, NOW + 1_000_000, Default::default())
}

#[tokio::test]
async fn a_write_leaves_when_and_by_whom() {
    let world = notes().await;
    let (anna, bo) = (world.admit("anna").await, later(&world, "bo").await);
    world.put(&anna, "notes", json!({ "text": "a" })).await;
    let made = json!({
        "id": 1, "text": "a", "created_at": FIRST, "updated_at": FIRST, "created_by": "anna", "updated_by": "anna",
    });
    assert_eq!(world.get(&anna, "notes", "1").await, Some(made.clone()));
    // What changes nothing changes nothing.
    let before = world.digest().await;
    let shown = stored(
        world
            .update(&bo, "notes", "1", json!({ "text": "a" }))
            .await,
    );
    assert_eq!(shown.shown.len(), 6);
    assert_eq!(world.digest().await, before);
    stored(
        world
            .update(&bo, "notes", "1", json!({ "text": "b" }))
            .await,
    );
    let mut changed = made;
    changed["text"] = json!("b");
    changed["updated_at"] = json!("2026-11-22T10:00:01Z");
    changed["updated_by"] = json!("bo");
    assert_eq!(world.get(&anna, "notes", "1").await, Some(changed));
    // It is a relation and a field like others.
    let (found, _) = world
        .list(
            &anna,
            List::of("notes").expand("updated_by", Some(&["username"]), vec![]),
        )
        .await;
    assert_eq!(found[0]["updated_by"], json!({ "username": "bo" }));
}

#[tokio::test]
async fn nobody_sends_it_but_the_command_line_puts_it_back() {
    let world = notes().await;
    let root = world.user("root", &["admin"]).await;
    let (anna, blind) = (
        world.admit("anna").await,
        world.user("blake", &["blind"]).await,
    );
    let operator = world.operator();
    let sent = json!({ "text": "old", "created_at": "2020-01-01T00:00:00Z", "created_by": "bo" });
    world.put(&operator, "notes", sent.clone()).await;
    let restored = world.get(&operator, "notes", "1").await.unwrap();
    assert_eq!(restored["created_at"], "2020-01-01T00:00:00Z");
    assert_eq!(restored["created_by"], "bo");
    // What it does not say is kept of this write, which nobody with an account has made.
    assert_eq!(
        (&restored["updated_at"], &restored["updated_by"]),
        (&json!(FIRST), &json!(null))
    );
    let before = world.digest().await;
    for caller in [&anna, &root] {
        let refused = world
            .gate
            .create(caller, &name("notes"), fields(sent.clone()))
            .err();
        let Some(Refused::BadValue { field, message }) = refused else {
            panic!("{refused:?}")
        };
        assert!(field.starts_with("created_"));
        assert!(message.contains("is kept by the system"), "{message}");
        let by = fields(json!({ "updated_by": null }));
        let refused = world.gate.update(caller, &name("notes"), "1", by).err();
        assert!(
            matches!(refused, Some(Refused::BadValue { .. })),
            "{refused:?}"
        );
    }
    // Who may not read it is told that there is no such field.
    let unknown = |field: &str| {
        let refused = world
            .gate
            .create(&blind, &name("notes"), fields(json!({ field: null })));
        match refused.err() {
            Some(Refused::UnknownField(message)) => message.replace(field, "NAME"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(unknown("created_at"), unknown("created_up"));
    assert_eq!(world.digest().await, before);
    world.put(&blind, "notes", json!({ "text": "c" })).await;
    let hers = world.get(&operator, "notes", "2").await.unwrap();
    assert_eq!(hers["created_by"], "blake");
}

#[tokio::test]
async fn a_refused_change_leaves_no_trace() {
    let world = notes().await;
    let (anna, bo) = (world.admit("anna").await, later(&world, "bo").await);
    world.put(&anna, "notes", json!({ "text": "shut" })).await;
    let before = world.digest().await;
    let outcome = world
        .update(&bo, "notes", "1", json!({ "text": "b" }))
        .await;
    assert_eq!(outcome.unwrap(), WriteOutcome::Forbidden);
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn a_collection_that_is_there_begins_to_be_kept() {
    let world = super::world(BEFORE).await;
    world.user("anna", &["writer"]).await;
    let anna = world.admit("anna").await;
    world.put(&anna, "notes", json!({ "text": "before" })).await;
    world.apply(&with_bookkeeping()).await.unwrap();
    let anna = world.admit("anna").await;
    let old = world.get(&anna, "notes", "1").await.unwrap();
    assert_eq!(
        (&old["created_at"], &old["updated_by"]),
        (&json!(null), &json!(null))
    );
    stored(
        world
            .update(&anna, "notes", "1", json!({ "text": "after" }))
            .await,
    );
    let old = world.get(&anna, "notes", "1").await.unwrap();
    assert_eq!(
        (&old["created_by"], &old["updated_by"]),
        (&json!(null), &json!("anna"))
    );
    // To stop keeping it takes the columns away, which has to be confirmed.
    assert!(world.apply(BEFORE).await.is_err());
    let drops = ["created_at", "updated_at", "created_by", "updated_by"].map(|field| {
        portreeve_gate::Drop {
            collection: name("notes"),
            field: Some(field.into()),
        }
    });
    world
        .apply_with(BEFORE, drops.to_vec(), vec![])
        .await
        .unwrap();
    let anna = world.admit("anna").await;
    assert_eq!(
        world.get(&anna, "notes", "1").await,
        Some(json!({ "id": 1, "text": "after" }))
    );
}
