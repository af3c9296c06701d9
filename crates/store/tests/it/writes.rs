use portreeve_model::{FieldId, Value};
use portreeve_store::{StoreError, WriteOutcome};
use serde_json::json;

use crate::world::{List, World, keys, stored};

const SHOP: &str = r#"
collections:
  customers:
    key: { id: integer }
    fields: { name: { type: text, required: true, unique: true }, owner: { to: users, on_delete: set_null } }
  orders:
    key: { id: uuid }
    fields:
      customer: { to: customers, required: true, on_delete: restrict }
      total: { type: integer, required: true, default: 0 }
      state: { type: text, required: true, default: new }
      placed: { type: timestamp, default: $now }
      secret: text
      by: text
    relations: { lines: { many: lines, by: order } }
  lines:
    key: { code: text }
    fields: { order: { to: orders, required: true, on_delete: cascade }, price: { type: integer, required: true } }
roles:
  clerk:
    permissions:
      - { allow: data.read, on: customers, rows: "owner = $user" }
      - { allow: data.read, on: orders, rows: "customer.owner = $user", fields: [customer, total, state, placed, by] }
      - allow: data.create
        on: orders
        fields: [customer, total]
        presets: { by: $user.username }
        check: "total < 100 and customer.owner = $user"
      - allow: data.create
        on: orders
        fields: [customer, total, state]
        presets: { by: big, state: held }
        check: "total >= 100"
      - { allow: data.update, on: orders, rows: "customer.owner = $user and state = 'new'", fields: [total, state], check: "total >= $old.total" }
      - { allow: data.delete, on: orders, rows: "customer.owner = $user and state = 'new'" }
      - { deny: data.create, on: orders, check: "total > 1000" }
  local:
    permissions:
      - { allow: data.read, on: lines }
      - { allow: data.read, on: orders }
      - { allow: data.read, on: customers }
      - { allow: [data.create, data.update], on: lines, rows: "price > 0" }
  noter:
    permissions:
      - { allow: data.create, on: customers }
"#;

async fn shop() -> World {
    let world = super::world(SHOP).await;
    world.user("carl", &["clerk"]).await;
    world.user("dora", &["clerk"]).await;
    world.user("luis", &["local"]).await;
    let admin = world.operator();
    world
        .put(
            &admin,
            "customers",
            json!({ "name": "acme", "owner": "carl" }),
        )
        .await;
    world
        .put(
            &admin,
            "customers",
            json!({ "name": "zeta", "owner": "dora" }),
        )
        .await;
    world
}

fn text(value: &Value) -> &str {
    value.as_text().unwrap()
}

#[tokio::test]
async fn a_create_gives_key_defaults_presets_and_what_is_readable() {
    let world = shop().await;
    let carl = world.admit("carl").await;
    let stored = stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 50 }))
            .await,
    );
    assert!(uuid::Uuid::try_parse(text(&stored.key)).is_ok());
    let shown = |field: u16| {
        stored
            .shown
            .iter()
            .find(|(id, _)| *id == FieldId(field))
            .map(|(_, value)| value.clone())
    };
    assert_eq!(shown(1), Some(Value::Integer(1)));
    assert_eq!(shown(3), Some(Value::from("new")));
    assert_eq!(shown(4), Some(Value::Integer(crate::world::NOW)));
    // Not readable and not sent.
    assert_eq!(shown(5), None);
    assert_eq!(shown(6), Some(Value::from("carl")));
    let read = world.get(&carl, "orders", text(&stored.key)).await.unwrap();
    assert_eq!(read["total"], 50);
}

#[tokio::test]
async fn attempts_are_tried_in_turn_and_what_is_refused_changes_nothing() {
    let world = shop().await;
    let carl = world.admit("carl").await;
    // The first allow fails its check, the second carries it and lends its presets.
    let big = stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 500 }))
            .await,
    );
    let admin = world.operator();
    let record = world.get(&admin, "orders", text(&big.key)).await.unwrap();
    assert_eq!(
        (&record["state"], &record["by"]),
        (&json!("held"), &json!("big"))
    );
    let before = world.digest().await;
    // A deny by check, after every allow held.
    let denied = world
        .create(&carl, "orders", json!({ "customer": 1, "total": 5000 }))
        .await;
    assert_eq!(denied.unwrap(), WriteOutcome::Forbidden);
    // Out of reach, and not there at all: the same answer.
    for customer in [2, 77] {
        let answer = world
            .create(&carl, "orders", json!({ "customer": customer, "total": 5 }))
            .await
            .unwrap();
        assert_eq!(answer, WriteOutcome::BadLink { field: FieldId(1) });
    }
    let answer = world
        .create(&admin, "orders", json!({ "customer": 77, "total": 5 }))
        .await
        .unwrap();
    assert_eq!(answer, WriteOutcome::BadLink { field: FieldId(1) });
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn an_update_compares_before_and_after() {
    let world = shop().await;
    let (carl, dora) = (world.admit("carl").await, world.admit("dora").await);
    let key = stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 50 }))
            .await,
    )
    .key;
    let key = text(&key);
    let before = world.digest().await;
    assert_eq!(
        world
            .update(&carl, "orders", key, json!({ "total": 40 }))
            .await
            .unwrap(),
        WriteOutcome::Forbidden
    );
    assert_eq!(
        world
            .update(&dora, "orders", key, json!({ "total": 60 }))
            .await
            .unwrap(),
        WriteOutcome::NotFound
    );
    let nothing = "00000000-0000-0000-0000-000000000000";
    assert_eq!(
        world
            .update(&carl, "orders", nothing, json!({ "total": 60 }))
            .await
            .unwrap(),
        WriteOutcome::NotFound
    );
    assert_eq!(world.digest().await, before);
    let changed = stored(
        world
            .update(
                &carl,
                "orders",
                key,
                json!({ "total": 60, "state": "done" }),
            )
            .await,
    );
    assert!(changed.shown.contains(&(FieldId(2), Value::Integer(60))));
    // It is not new any more.
    assert_eq!(
        world
            .update(&carl, "orders", key, json!({ "total": 70 }))
            .await
            .unwrap(),
        WriteOutcome::Forbidden
    );
    assert_eq!(
        world.delete(&carl, "orders", key).await.unwrap(),
        WriteOutcome::Forbidden
    );
    assert_eq!(
        world.delete(&dora, "orders", key).await.unwrap(),
        WriteOutcome::NotFound
    );
    let again = stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 1 }))
            .await,
    )
    .key;
    assert_eq!(
        world.delete(&carl, "orders", text(&again)).await.unwrap(),
        WriteOutcome::Deleted
    );
    assert_eq!(
        world.delete(&carl, "orders", text(&again)).await.unwrap(),
        WriteOutcome::NotFound
    );
}

#[tokio::test]
async fn an_update_without_fields_asks_and_changes_nothing() {
    let world = shop().await;
    let carl = world.admit("carl").await;
    let key = stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 50 }))
            .await,
    )
    .key;
    let before = world.digest().await;
    stored(world.update(&carl, "orders", text(&key), json!({})).await);
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn local_rules_are_answered_by_the_statement_itself() {
    let world = shop().await;
    let admin = world.operator();
    let order = world.put(&admin, "orders", json!({ "customer": 1 })).await;
    let luis = world.admit("luis").await;
    let line = json!({ "code": "a-1", "order": text(&order), "price": 5 });
    assert_eq!(
        stored(world.create(&luis, "lines", line).await).key,
        Value::from("a-1")
    );
    let before = world.digest().await;
    let refused = json!({ "code": "a-2", "order": text(&order), "price": -5 });
    assert_eq!(
        world.create(&luis, "lines", refused).await.unwrap(),
        WriteOutcome::Forbidden
    );
    assert_eq!(
        world
            .update(&luis, "lines", "a-1", json!({ "price": -1 }))
            .await
            .unwrap(),
        WriteOutcome::Forbidden
    );
    assert_eq!(world.digest().await, before);
    stored(
        world
            .update(&luis, "lines", "a-1", json!({ "price": 6 }))
            .await,
    );
    // Deleting the order takes its lines along, as declared.
    assert_eq!(
        world.delete(&admin, "orders", text(&order)).await.unwrap(),
        WriteOutcome::Deleted
    );
    assert!(world.get(&admin, "lines", "a-1").await.is_none());
}

#[tokio::test]
async fn constraints_name_what_was_sent_and_no_value() {
    let world = shop().await;
    let admin = world.operator();
    let twice = world
        .create(&admin, "customers", json!({ "name": "acme" }))
        .await
        .unwrap_err();
    assert!(
        matches!(&twice, StoreError::Unique { fields } if *fields == [FieldId(1)]),
        "{twice:?}"
    );
    assert!(!twice.to_string().contains("acme"));
    let missing = world
        .create(&admin, "customers", json!({}))
        .await
        .unwrap_err();
    assert!(
        matches!(missing, StoreError::NotNull { field: FieldId(1) }),
        "{missing:?}"
    );
    let keyless = world
        .create(&admin, "lines", json!({ "price": 1 }))
        .await
        .unwrap_err();
    assert!(
        matches!(keyless, StoreError::NotNull { field: FieldId(0) }),
        "{keyless:?}"
    );
    world.put(&admin, "orders", json!({ "customer": 1 })).await;
    let held = world.delete(&admin, "customers", "1").await.unwrap_err();
    assert!(matches!(held, StoreError::ForeignKey), "{held:?}");
}

#[tokio::test]
async fn numbers_are_never_used_twice() {
    let world = shop().await;
    let admin = world.operator();
    let three = world
        .put(&admin, "customers", json!({ "name": "three" }))
        .await;
    assert_eq!(three, Value::Integer(3));
    world.delete(&admin, "customers", "3").await.unwrap();
    assert_eq!(
        world
            .put(&admin, "customers", json!({ "name": "four" }))
            .await,
        Value::Integer(4)
    );
}

#[tokio::test]
async fn a_refused_write_in_a_group_leaves_the_others() {
    let world = std::sync::Arc::new(shop().await);
    let carl = world.admit("carl").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_i64 {
        let (world, carl) = (std::sync::Arc::clone(&world), carl.clone());
        tasks.spawn(async move {
            // Every third is denied, every seventh breaks a constraint, the rest is stored.
            let outcome = match (number % 3, number % 7) {
                (0, _) => {
                    world
                        .create(&carl, "orders", json!({ "customer": 1, "total": 5000 }))
                        .await
                }
                (_, 0) => {
                    world
                        .create(&world.operator(), "customers", json!({ "name": "acme" }))
                        .await
                }
                _ => {
                    world
                        .create(
                            &carl,
                            "orders",
                            json!({ "customer": 1, "total": number % 100 }),
                        )
                        .await
                }
            };
            (number, outcome)
        });
    }
    let mut stored = 0;
    while let Some(done) = tasks.join_next().await {
        let (number, outcome) = done.unwrap();
        match (number % 3, number % 7) {
            (0, _) => assert_eq!(outcome.unwrap(), WriteOutcome::Forbidden),
            (_, 0) => assert!(matches!(outcome, Err(StoreError::Unique { .. }))),
            _ => {
                assert!(
                    matches!(outcome, Ok(WriteOutcome::Stored(_))),
                    "{outcome:?}"
                );
                stored += 1;
            }
        }
    }
    let (_, outcome) = world
        .list(&world.operator(), List::of("orders").page(0, 0))
        .await;
    assert_eq!(outcome.total, Some(stored));
}

#[tokio::test]
async fn a_write_under_an_older_policy_is_refused() {
    let world = shop().await;
    let (carl, admin) = (world.admit("carl").await, world.operator());
    let authorized = world
        .gate
        .create(
            &carl,
            &crate::world::name("orders"),
            crate::world::fields(json!({ "customer": 1, "total": 5 })),
        )
        .unwrap();
    world
        .apply(&SHOP.replace("total < 100", "total < 90"))
        .await
        .unwrap();
    let before = world.digest().await;
    assert!(matches!(
        world.store.create(authorized).await,
        Err(StoreError::VersionChanged)
    ));
    assert!(matches!(
        world
            .create(&admin, "customers", json!({ "name": "new" }))
            .await,
        Err(StoreError::VersionChanged)
    ));
    assert_eq!(world.digest().await, before);
    let carl = world.admit("carl").await;
    stored(
        world
            .create(&carl, "orders", json!({ "customer": 1, "total": 5 }))
            .await,
    );
    assert_eq!(keys(&world.list(&carl, List::of("customers")).await.0), [1]);
}
