//! Undeclared fields: where they are kept, what becomes of them as collections change, and that nobody overwrites
//! another's.

use portreeve_gate::{Drop, Rename};
use portreeve_store::{StoreError, ToldKind, WriteOutcome};
use serde_json::{Value as Json, json};

use crate::told::{subscribe, told};
use crate::world::{List, World, fields, name, stored};

const ROLES: &str = "
roles:
  reader:
    permissions:
      - { allow: [data.read, data.subscribe], on: notes, fields: [title, owner] }
      - { allow: data.read, on: notes, rows: owner = $user }
  titles:
    permissions:
      - { allow: [data.read, data.update, data.create], on: notes, fields: [title] }
  writer:
    permissions:
      - { allow: data.update, on: notes }
      - { allow: data.read, on: notes, fields: [title] }
";

fn bare(fields: &str, overflow: bool) -> String {
    format!(
        "collections:\n  notes:\n    key: {{ id: integer }}\n    fields: {fields}\n    overflow: {overflow}\n"
    )
}

fn document(fields: &str, overflow: bool) -> String {
    bare(fields, overflow) + ROLES
}

const FIELDS: &str = "{ title: { type: text, unique: true }, owner: text }";

async fn notes() -> World {
    super::world(&document(FIELDS, true)).await
}

async fn all(world: &World) -> Vec<Json> {
    world.list(&world.operator(), List::of("notes")).await.0
}

#[tokio::test]
async fn they_come_and_go_with_their_column() {
    let world = super::world(&bare(FIELDS, false)).await;
    let operator = world.operator();
    world.put(&operator, "notes", json!({ "title": "a" })).await;
    world.apply(&bare(FIELDS, true)).await.unwrap();
    let operator = world.operator();
    world
        .put(&operator, "notes", json!({ "title": "b", "x": 1e-7 }))
        .await;
    stored(
        world
            .update(&operator, "notes", "1", json!({ "y": { "z": [1.5, "é"] } }))
            .await,
    );
    let (a, b) = (
        json!({ "id": 1, "title": "a", "owner": null, "y": { "z": [1.5, "é"] } }),
        json!({ "id": 2, "title": "b", "owner": null, "x": 1e-7 }),
    );
    assert_eq!(all(&world).await, [a, b]);
    // Beside them fields come, go, change their type and are renamed.
    let other = "{ rank: { type: integer, default: 3, required: true }, name: text }";
    let rename = Rename {
        collection: name("notes"),
        from: "title".into(),
        to: "name".into(),
    };
    let gone = |field: &str| Drop {
        collection: name("notes"),
        field: Some(field.into()),
    };
    world
        .apply_with(&bare(other, true), vec![gone("owner")], vec![rename])
        .await
        .unwrap();
    let a = json!({ "id": 1, "name": "a", "rank": 3, "y": { "z": [1.5, "é"] } });
    let b = json!({ "id": 2, "name": "b", "rank": 3, "x": 1e-7 });
    assert_eq!(all(&world).await, [a, b]);
    let before = world.digest().await;
    match world.apply(&bare(other, false)).await.unwrap_err() {
        StoreError::Schema(why) => assert!(
            why.starts_with("'notes._overflow' is not declared any more"),
            "{why}"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.digest().await, before);
    world
        .apply_with(&bare(other, false), vec![gone("_overflow")], vec![])
        .await
        .unwrap();
    let a = json!({ "id": 1, "name": "a", "rank": 3 });
    let b = json!({ "id": 2, "name": "b", "rank": 3 });
    assert_eq!(all(&world).await, [a, b]);
}

#[tokio::test]
async fn what_was_kept_under_a_declared_name_is_hidden_and_stays() {
    let world = notes().await;
    let operator = world.operator();
    let sent = json!({ "title": "a", "rank": 7, "x": 1 });
    world.put(&operator, "notes", sent).await;
    let wider = "{ title: { type: text, unique: true }, owner: text, rank: integer }";
    world.apply(&document(wider, true)).await.unwrap();
    let operator = world.operator();
    let now = json!({ "id": 1, "title": "a", "owner": null, "rank": null, "x": 1 });
    assert_eq!(all(&world).await, [now]);
    let shown = stored(
        world
            .update(&operator, "notes", "1", json!({ "rank": 8, "x": 2 }))
            .await,
    );
    assert_eq!(shown.key, 1.into());
    let now = json!({ "id": 1, "title": "a", "owner": null, "rank": 8, "x": 2 });
    assert_eq!(all(&world).await, [now]);
    let drops = vec![Drop {
        collection: name("notes"),
        field: Some("rank".into()),
    }];
    world
        .apply_with(&document(FIELDS, true), drops, vec![])
        .await
        .unwrap();
    let now = json!({ "id": 1, "title": "a", "owner": null, "rank": 7, "x": 2 });
    assert_eq!(all(&world).await, [now]);
}

#[tokio::test]
async fn who_changes_at_the_same_time_loses_nothing() {
    let world = notes().await;
    let operator = world.operator();
    world.put(&operator, "notes", json!({ "title": "a" })).await;
    let mut tasks = vec![];
    for number in 0..24 {
        let sent = json!({ format!("f{number:02}"): number, "last": number });
        let update = world
            .gate
            .update(&operator, &name("notes"), "1", fields(sent))
            .unwrap();
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move { store.update(update).await }));
    }
    for task in tasks {
        assert!(matches!(
            task.await.unwrap(),
            Ok(WriteOutcome::Stored(_))
        ));
    }
    let record = world.get(&operator, "notes", "1").await.unwrap();
    for number in 0..24 {
        assert_eq!(record[format!("f{number:02}")], number);
    }
    assert!(record["last"].is_number());
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let world = notes().await;
    let operator = world.operator();
    let big = json!({ "title": "a", "big": "x".repeat(50_000) });
    world.put(&operator, "notes", big).await;
    let tim = world.user("tim", &["titles"]).await;
    let writer = world.user("wri", &["writer"]).await;
    let before = world.digest().await;
    for sent in [
        json!({ "x": 1 }),
        json!({ "title": "b", "big": null }),
        json!({ "_overflow": "{}" }),
    ] {
        let collection = name("notes");
        let create = world.gate.create(&tim, &collection, fields(sent.clone()));
        assert!(create.is_err(), "{sent}");
        let update = world.gate.update(&tim, &collection, "1", fields(sent));
        assert!(update.is_err());
    }
    let more = json!({ "title": "b", "more": "x".repeat(50_000) });
    let refused = world.update(&writer, "notes", "1", more).await.unwrap();
    let WriteOutcome::Overfull { name } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(name, "more");
    assert_eq!(world.digest().await, before);
    // Changed is what he names; told is that and nothing beside it.
    let done = stored(world.update(&writer, "notes", "1", json!({ "x": 1 })).await);
    let told: Vec<Json> = done
        .shown
        .iter()
        .filter_map(|(_, value)| value.as_text())
        .map(|text| json!(text))
        .collect();
    assert_eq!(told, [json!("a"), json!("{\"x\":1}")]);
}

#[tokio::test]
async fn subscribers_are_told_of_those_they_may_read() {
    let world = notes().await;
    let rea = world.user("rea", &["reader"]).await;
    let operator = world.operator();
    let mut subscription = subscribe(&world, &rea, None).await;
    let put = async |sent| world.put(&operator, "notes", sent).await;
    put(json!({ "title": "a", "owner": "rea", "x": { "y": 1 } })).await;
    put(json!({ "title": "b", "owner": "other", "x": 2 })).await;
    let update = async |key: &str, sent| {
        stored(world.update(&operator, "notes", key, sent).await);
    };
    let hers = |x: Json| json!({ "id": 1, "title": "a", "owner": "rea", "x": x });
    let other = json!({ "id": 2, "title": "b", "owner": "other" });
    assert_eq!(
        told(&world, &mut subscription).await,
        [
            (ToldKind::Create, 1, hers(json!({ "y": 1 }))),
            (ToldKind::Create, 2, other),
        ]
    );
    update("2", json!({ "x": 3 })).await;
    update("2", json!({ "x": null })).await;
    update("1", json!({ "x": { "y": 1 } })).await;
    assert_eq!(told(&world, &mut subscription).await, []);
    update("1", json!({ "x": 4 })).await;
    update("2", json!({ "z": 5 })).await;
    update("2", json!({ "owner": "rea" })).await;
    update("1", json!({ "x": null })).await;
    assert_eq!(
        told(&world, &mut subscription).await,
        [
            (ToldKind::Update, 1, hers(json!(4))),
            (
                ToldKind::Update,
                2,
                json!({ "id": 2, "title": "b", "owner": "rea", "z": 5 })
            ),
            (
                ToldKind::Update,
                1,
                json!({ "id": 1, "title": "a", "owner": "rea" })
            ),
        ]
    );
}
