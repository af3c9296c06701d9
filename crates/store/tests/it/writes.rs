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

const CROWD: &str = r#"
collections:
  rooms:
    key: { id: integer }
    fields: { name: text, open: { type: boolean, required: true } }
    relations: { guests: { many: guests, by: room } }
  guests:
    key: { id: integer }
    fields: { room: { to: rooms, required: true }, name: text }
roles:
  host:
    permissions:
      - { allow: data.read, on: [rooms, guests] }
      - { allow: data.create, on: guests, check: "room.open = true and count(room.guests) <= 3" }
      - { allow: data.update, on: rooms, fields: [open], check: "open = true or count(guests) < 2" }
"#;

#[tokio::test]
async fn a_check_that_counts_others_holds_however_many_come_at_once() {
    let world = super::world(CROWD).await;
    let operator = world.operator();
    let host = world.user("hella", &["host"]).await;
    let room = world
        .put(&operator, "rooms", json!({ "name": "blue", "open": true }))
        .await;
    let room = room.as_integer().unwrap();
    let enter = |number: usize| {
        let sent = json!({ "room": room, "name": format!("guest {number}") });
        world.create(&host, "guests", sent)
    };
    let key = room.to_string();
    let close = world.update(&host, "rooms", &key, json!({ "open": false }));
    let (guests, closed) = tokio::join!(futures_util::future::join_all((0..12).map(enter)), close);
    let entered = guests
        .iter()
        .filter(|one| matches!(one, Ok(WriteOutcome::Stored(_))))
        .count();
    let refused = guests
        .iter()
        .filter(|one| matches!(one, Ok(WriteOutcome::Forbidden)))
        .count();
    assert_eq!(entered + refused, 12, "{guests:?}");
    let inside = world.list(&operator, List::of("guests")).await.0.len();
    assert_eq!(inside, entered);
    let open = world.get(&operator, "rooms", &key).await.unwrap()["open"] == true;
    match closed.unwrap() {
        // Whoever comes after it is closed stands outside, and it is closed only while nearly empty.
        WriteOutcome::Stored(_) => assert!(inside < 2 && !open, "{inside}"),
        WriteOutcome::Forbidden => assert!(inside == 3 && open, "{inside}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_two_who_take_one_record_one_gets_it() {
    let text = r#"
collections:
  tickets: { key: { id: integer }, fields: { taken_by: text } }
roles:
  buyer:
    permissions:
      - { allow: data.read, on: tickets }
      - { allow: data.update, on: tickets, rows: "taken_by is null", fields: [taken_by], check: "true" }
"#;
    let world = super::world(text).await;
    let buyer = world.user("bo", &["buyer"]).await;
    let ticket = world.put(&world.operator(), "tickets", json!({})).await;
    let key = ticket.as_integer().unwrap().to_string();
    // Connections are made when they are needed: with all of them there, the takers really meet.
    let looks = (0..8).map(|_| world.get(&buyer, "tickets", &key));
    assert_eq!(futures_util::future::join_all(looks).await.len(), 8);
    let take = |number: usize| {
        let sent = json!({ "taken_by": format!("buyer {number}") });
        let (world, buyer, key) = (&world, &buyer, &key);
        async move { world.update(buyer, "tickets", key, sent).await }
    };
    let taken = futures_util::future::join_all((0..8).map(take)).await;
    let got: Vec<usize> = (0..8)
        .filter(|number| matches!(taken[*number], Ok(WriteOutcome::Stored(_))))
        .collect();
    let [winner] = got[..] else {
        panic!("{taken:?}")
    };
    let refused = taken.iter().filter(|one| matches!(one, Ok(WriteOutcome::Forbidden)));
    assert_eq!(refused.count(), 7);
    let record = world.get(&buyer, "tickets", &key).await.unwrap();
    assert_eq!(record["taken_by"], format!("buyer {winner}"));
}
