//! Subscriptions as tests look at them.

use portreeve_gate::{Caller, SubscribeRequest};
use portreeve_model::{Value, write_json_record};
use portreeve_store::{Position, Subscription, Taken, ToldKind};
use serde_json::Value as Json;

use crate::world::{Home, List, NOW, World};

pub const POLICY: &str = "
collections:
  courses:
    key: { id: integer }
    fields: { title: text }
  notes:
    key: { id: integer }
    fields:
      owner: text
      text: { type: text, unique: true }
      secret: text
      mark: { type: integer }
      course: { to: courses, on_delete: cascade }
      seen: { to: courses, on_delete: set_null }
roles:
  reader:
    permissions:
      - { allow: [data.read, data.subscribe], on: notes, rows: owner = $user, fields: [id, owner, text, mark, course, seen] }
  outsider:
    permissions:
      - { allow: data.read, on: notes }
  auditor:
    permissions:
      - { allow: data.read, on: notes, rows: course.title = 'open' }
      - { allow: data.read, on: notes, rows: mark = 1, fields: [id, mark] }
      - { allow: data.subscribe, on: notes, rows: mark < 100 or mark is null }
";

pub async fn subscribe(world: &World, caller: &Caller, filter: Option<&str>) -> Subscription {
    subscribe_from(world, caller, filter, None).await
}

pub async fn subscribe_from(
    world: &World,
    caller: &Caller,
    filter: Option<&str>,
    from: Option<Position>,
) -> Subscription {
    let list = List::of("notes");
    let request = match filter {
        Some(rule) => list.filter(rule),
        None => list,
    }
    .request();
    let request = SubscribeRequest {
        query: request.query,
        values: request.values,
    };
    let subscribe = world.gate.subscribe(caller, request).unwrap();
    world.store.subscribe(subscribe, from).await.unwrap()
}

/// What there is to tell: kind, key, and the record.
pub async fn told(world: &World, subscription: &mut Subscription) -> Vec<(ToldKind, i64, Json)> {
    let told = told_of(world, subscription).await.expect("nothing missed");
    let integer = |key: Value| key.as_integer().unwrap();
    told.into_iter()
        .map(|(kind, key, record)| (kind, integer(key), record))
        .collect()
}

/// The same with any key; nothing where something was missed. On PostgreSQL what is committed is known a moment later.
pub async fn told_of(
    world: &World,
    subscription: &mut Subscription,
) -> Option<Vec<(ToldKind, Value, Json)>> {
    let newest = match &world.home {
        Home::Folder(_) => 0,
        Home::Database(database) => {
            let newest = database.sql("SELECT coalesce(max(seq), 0) FROM portreeve.changes");
            newest.trim().parse::<u64>().unwrap() << 20
        }
    };
    let mut all = vec![];
    loop {
        if subscription.position().0 < newest {
            subscription.changed().await;
        }
        let before = subscription.position();
        match subscription.take(NOW).unwrap() {
            Taken::Told(list) => all.extend(list.into_iter().map(|told| {
                let record = told.record().map(|(columns, cells)| {
                    let mut out = vec![];
                    write_json_record(&mut out, columns, cells);
                    serde_json::from_slice(&out).unwrap()
                });
                (told.kind, told.key, record.unwrap_or(Json::Null))
            })),
            Taken::Missed => return None,
            other => panic!("{other:?}"),
        }
        if subscription.position() == before && before.0 >= newest {
            return Some(all);
        }
    }
}

pub fn kinds(told: &[(ToldKind, i64, Json)]) -> Vec<(ToldKind, i64)> {
    told.iter().map(|(kind, key, _)| (*kind, *key)).collect()
}
