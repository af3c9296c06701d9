//! What subscribers are told.

use portreeve_gate::{Caller, SubscribeRequest};
use portreeve_store::{Taken, ToldKind, WriteOutcome};
use serde_json::{Value as Json, json};

use super::{ON, world};
use crate::told::{POLICY, kinds, subscribe, told};
use crate::world::{List, NOW, On, World, keys};

use ToldKind::{Create, Delete, Update};

#[tokio::test]
async fn a_subscriber_is_told_what_his_list_would_show() {
    let world = world(POLICY).await;
        let anna = world.user("anna", &["reader"]).await;
        let operator = world.operator();
        world
            .put(
                &operator,
                "notes",
                json!({ "owner": "anna", "text": "old" }),
            )
            .await;
        let mut subscription = subscribe(&world, &anna, None).await;
        assert_eq!(
            told(&world, &mut subscription).await,
            [],
            "what was before is in the list"
        );
        world
            .put(
                &operator,
                "notes",
                json!({ "owner": "anna", "text": "a", "secret": "s", "mark": 1 }),
            )
            .await;
        world
            .put(&operator, "notes", json!({ "owner": "bo", "text": "b" }))
            .await;
        let update = async |key: &str, sent| {
            let done = world.update(&operator, "notes", key, sent).await.unwrap();
            assert!(matches!(done, WriteOutcome::Stored(_)), "{done:?}");
        };
        let seen = |id: i64, text: &str, mark: Json| json!({ "id": id, "owner": "anna", "text": text, "mark": mark, "course": null, "seen": null });
        assert_eq!(
            told(&world, &mut subscription).await,
            [(Create, 2, seen(2, "a", json!(1)))]
        );
        // What he cannot read changes: nothing. What he can read: the record as he sees it.
        update("2", json!({ "secret": "t" })).await;
        update("2", json!({ "text": "a" })).await;
        assert_eq!(told(&world, &mut subscription).await, []);
        update("2", json!({ "text": "c", "secret": "u" })).await;
        assert_eq!(
            told(&world, &mut subscription).await,
            [(Update, 2, seen(2, "c", json!(1)))]
        );
        // Into his reach is like made, out of it like deleted.
        update("3", json!({ "owner": "anna" })).await;
        update("2", json!({ "owner": "bo", "text": "d" })).await;
        update("2", json!({ "text": "e" })).await;
        world.delete(&operator, "notes", "1").await.unwrap();
        world.delete(&operator, "notes", "2").await.unwrap();
        assert_eq!(
            told(&world, &mut subscription).await,
            [
                (Create, 3, seen(3, "b", Json::Null)),
                (Delete, 2, Json::Null),
                (Delete, 1, Json::Null),
            ]
        );
}

#[tokio::test]
async fn a_filter_is_part_of_what_is_told() {
    let world = world(POLICY).await;
        let anna = world.user("anna", &["reader"]).await;
        let operator = world.operator();
        let mut subscription = subscribe(&world, &anna, Some("mark >= 10")).await;
        for mark in [9, 10] {
            let sent = json!({ "owner": "anna", "mark": mark });
            world.put(&operator, "notes", sent).await;
        }
        for (key, mark) in [("1", 11), ("2", 12), ("2", 3)] {
            let sent = json!({ "mark": mark });
            world.update(&operator, "notes", key, sent).await.unwrap();
        }
        assert_eq!(
            kinds(&told(&world, &mut subscription).await),
            [(Create, 2), (Create, 1), (Update, 2), (Delete, 2)]
        );
        // A field he cannot read is not there to filter by.
        let request = List::of("notes").filter("secret = 's'").request();
        let request = SubscribeRequest {
            query: request.query,
            values: request.values,
        };
        assert!(world.gate.subscribe(&anna, request).is_err());
}

#[tokio::test]
async fn subscribing_is_a_right_beside_reading() {
    let world = world(POLICY).await;
    let outsider = world.user("olga", &["outsider"]).await;
    let nobody = world.user("nina", &[]).await;
    let request = |collection: &str| {
        let request = List::of(collection).request();
        SubscribeRequest {
            query: request.query,
            values: request.values,
        }
    };
    let refused = |caller: &Caller, collection: &str| {
        let answer = world.gate.subscribe(caller, request(collection));
        answer.err().expect("refused")
    };
    use portreeve_gate::Refused;
    assert_eq!(refused(&outsider, "notes"), Refused::Forbidden);
    assert_eq!(refused(&nobody, "notes"), Refused::NotFound);
    assert_eq!(refused(&nobody, "nothing"), Refused::NotFound);
    assert_eq!(refused(&nobody, "users"), Refused::NotFound);
    let administrator = world.operator();
    assert!(matches!(
        refused(&administrator, "users"),
        Refused::BadQuery(_)
    ));
    // The rows of both: what may be read, and what may be subscribed to.
    let auditor = world.user("aud", &["auditor"]).await;
    let mut subscription = subscribe(&world, &auditor, None).await;
    world
        .put(&administrator, "courses", json!({ "title": "open" }))
        .await;
    for mark in [5, 500] {
        let sent = json!({ "course": 1, "mark": mark });
        world.put(&administrator, "notes", sent).await;
    }
    let sent = json!({ "text": "hidden", "mark": 1 });
    world.put(&administrator, "notes", sent).await;
    let all = told(&world, &mut subscription).await;
    assert_eq!(kinds(&all), [(Create, 1), (Create, 3)]);
    assert_eq!(all[1].2["text"], Json::Null, "granted on open courses only");
    assert_eq!(all[1].2["mark"], json!(1));
}

#[tokio::test]
async fn what_a_deletion_takes_along_is_told_as_it_was() {
    let world = world(POLICY).await;
        let auditor = world.user("aud", &["auditor"]).await;
        let anna = world.user("anna", &["reader"]).await;
        let operator = world.operator();
        for title in ["open", "open"] {
            world
                .put(&operator, "courses", json!({ "title": title }))
                .await;
        }
        for sent in [
            json!({ "owner": "anna", "course": 1 }),
            json!({ "owner": "anna", "course": 1, "mark": 500 }),
            json!({ "owner": "anna", "course": 2, "seen": 1 }),
            json!({ "owner": "bo", "course": 2, "seen": 1 }),
        ] {
            world.put(&operator, "notes", sent).await;
        }
        let mut by_course = subscribe(&world, &auditor, None).await;
        let mut by_owner = subscribe(&world, &anna, None).await;
        let done = world.delete(&operator, "courses", "1").await.unwrap();
        assert_eq!(done, WriteOutcome::Deleted);
        let mut sorted = kinds(&told(&world, &mut by_owner).await);
        sorted.sort_by_key(|(_, key)| *key);
        assert_eq!(sorted, [(Delete, 1), (Delete, 2), (Update, 3)]);
        // The course his rule asks about is gone with the note, and still it is known what it said.
        let mut sorted = kinds(&told(&world, &mut by_course).await);
        sorted.sort_by_key(|(_, key)| *key);
        assert_eq!(sorted, [(Delete, 1), (Update, 3), (Update, 4)]);
}

#[tokio::test]
async fn what_is_not_committed_is_not_told() {
    let checked = "
collections:
  notes:
    key: { id: integer }
    fields:
      text: { type: text, unique: true }
      mark: integer
roles:
  writer:
    permissions:
      - { allow: [data.read, data.subscribe], on: notes }
      - { allow: [data.create, data.update], on: notes, check: mark < 10 }
";
    let world = world(checked).await;
        let writer = world.user("wim", &["writer"]).await;
        let mut subscription = subscribe(&world, &writer, None).await;
        let send = |number: i64| {
            // Every third is refused, every third breaks a constraint.
            let sent = match number % 3 {
                0 => json!({ "text": format!("{number}"), "mark": 99 }),
                1 => json!({ "text": "the same", "mark": 1 }),
                _ => json!({ "text": format!("{number}"), "mark": 1 }),
            };
            world.create(&writer, "notes", sent)
        };
        let mut stored = vec![];
        let mut pending: Vec<_> = (0..60).map(|number| Box::pin(send(number))).collect();
        for one in &mut pending {
            if let Ok(WriteOutcome::Stored(one)) = one.await {
                stored.push(one.key.as_integer().unwrap());
            }
        }
        drop(pending);
        stored.extend(together(&world, &writer).await);
        let mut all = told(&world, &mut subscription).await;
        // On PostgreSQL a record may be committed before one with a smaller key.
        if ON == On::Postgres {
            all.sort_by_key(|(_, key, _)| *key);
        }
        let (list, _) = world.list(&writer, List::of("notes")).await;
        assert_eq!(stored.len(), list.len());
        assert_eq!(
            kinds(&all),
            keys(&list)
                .into_iter()
                .map(|key| (Create, key))
                .collect::<Vec<_>>()
        );
}

// The same at once, so that they share commits.
async fn together(world: &World, writer: &Caller) -> Vec<i64> {
    let mut tasks = vec![];
    for number in 0..120 {
        let sent = match number % 3 {
            0 => json!({ "text": format!("at once {number}"), "mark": 99 }),
            1 => json!({ "text": "the same", "mark": 1 }),
            _ => json!({ "text": format!("at once {number}"), "mark": 1 }),
        };
        let create = world
            .gate
            .create(
                writer,
                &crate::world::name("notes"),
                crate::world::fields(sent),
            )
            .unwrap();
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move { store.create(create).await }));
    }
    let mut stored = vec![];
    for task in tasks {
        if let Ok(WriteOutcome::Stored(one)) = task.await.unwrap() {
            stored.push(one.key.as_integer().unwrap());
        }
    }
    assert_eq!(stored.len(), 40);
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_are_told_in_the_order_of_their_commits() {
    let world = world(POLICY).await;
        let operator = world.operator();
        let key = world
            .put(&operator, "notes", json!({ "owner": "anna", "mark": 0 }))
            .await;
        assert_eq!(key.as_integer(), Some(1));
        let mut subscription = subscribe(&world, &operator, None).await;
        let mut tasks = vec![];
        for number in 1..=200_i64 {
            let name = crate::world::name("notes");
            let store = world.store.clone();
            if number % 2 == 0 {
                let sent = crate::world::fields(json!({ "mark": number }));
                let update = world.gate.update(&operator, &name, "1", sent).unwrap();
                tasks.push(tokio::spawn(async move { store.update(update).await }));
            } else {
                let sent = crate::world::fields(json!({ "text": number.to_string() }));
                let create = world.gate.create(&operator, &name, sent).unwrap();
                tasks.push(tokio::spawn(async move { store.create(create).await }));
            }
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let all = told(&world, &mut subscription).await;
        assert_eq!(all.len(), 200);
        let mut created: Vec<i64> = all
            .iter()
            .filter(|(kind, ..)| *kind == Create)
            .map(|(_, key, _)| *key)
            .collect();
        // The embedded database counts keys up as it inserts; on the other one two inserts may cross.
        if ON == On::Postgres {
            created.sort_unstable();
        }
        assert_eq!(created, (2..=101).collect::<Vec<_>>());
        let last = all.iter().rfind(|(_, key, _)| *key == 1).unwrap();
        let stored = world.get(&operator, "notes", "1").await.unwrap();
        assert_eq!(last.2, stored);
}


#[tokio::test]
async fn another_policy_is_no_change_of_records() {
    let world = world(POLICY).await;
        let operator = world.operator();
        for _ in 0..3 {
            world.put(&operator, "notes", json!({ "mark": 1 })).await;
        }
        let mut subscription = subscribe(&world, &operator, None).await;
        // The table is made anew.
        let stricter = POLICY.replace(
            "mark: { type: integer }",
            "mark: { type: integer, unique: false, default: 5 }",
        );
        world.apply(&stricter).await.unwrap();
        world.put(&world.operator(), "notes", json!({})).await;
        assert_eq!(kinds(&told(&world, &mut subscription).await), [(Create, 4)]);
        let renewed = |operator: &Caller| {
            let request = List::of("notes").request();
            let request = SubscribeRequest {
                query: request.query,
                values: request.values,
            };
            world.gate.subscribe(operator, request).unwrap()
        };
        assert!(subscription.renew(renewed(&world.operator())), "the same");
        // Another field: what was told has other columns.
        let wider = POLICY.replace(
            "      secret: text\n",
            "      secret: text\n      more: text\n",
        );
        world.apply(&wider).await.unwrap();
        world
            .put(&world.operator(), "notes", json!({ "more": "m" }))
            .await;
        subscription.changed().await;
        assert!(matches!(subscription.take(NOW).unwrap(), Taken::Stale));
        assert!(!subscription.renew(renewed(&world.operator())));
        let all = told(&world, &mut subscription).await;
        assert_eq!(kinds(&all), [(Create, 5)]);
        assert_eq!(all[0].2["more"], "m");
        // A policy that is refused leaves the feed as it is.
        let refused = wider.replace("more: text", "more: { type: text, required: true }");
        assert!(world.apply(&refused).await.is_err());
        world
            .put(&world.operator(), "notes", json!({ "more": "n" }))
            .await;
        assert_eq!(kinds(&told(&world, &mut subscription).await), [(Create, 6)]);
}

#[tokio::test]
async fn wide_records_are_told_whole() {
    let fields: String = (0..700).map(|n| format!("      f{n}: integer\n")).collect();
    let policy = format!(
        "collections:\n  notes:\n    key: {{ id: integer }}\n    fields:\n{fields}roles: {{}}\n"
    );
    let world = world(&policy).await;
    let operator = world.operator();
    let mut subscription = subscribe(&world, &operator, None).await;
    world
        .put(&operator, "notes", json!({ "f0": 1, "f699": 2 }))
        .await;
    let sent = json!({ "f699": 3 });
    world.update(&operator, "notes", "1", sent).await.unwrap();
    let all = told(&world, &mut subscription).await;
    assert_eq!(kinds(&all), [(Create, 1), (Update, 1)]);
    assert_eq!(all[1].2["f0"], 1);
    assert_eq!(all[1].2["f699"], 3);
}

#[tokio::test]
async fn json_is_told_as_it_is_listed() {
    let policy = "
collections:
  notes:
    key: { id: integer }
    fields: { data: json, text: text }
roles: {}
";
    let world = world(policy).await;
    let operator = world.operator();
    let mut subscription = subscribe(&world, &operator, None).await;
    for data in [
        json!("a \"text\" \\"),
        json!("null"),
        json!(null),
        json!(7.5),
        json!({ "a": [true, { "b": null }], "": "x" }),
    ] {
        let sent = json!({ "data": data, "text": "null" });
        world.put(&operator, "notes", sent).await;
    }
    let all = told(&world, &mut subscription).await;
    assert_eq!(all.len(), 5);
    for (kind, key, record) in all {
        let listed = world.get(&operator, "notes", &key.to_string()).await;
        assert_eq!((kind, Some(record)), (Create, listed), "{key}");
    }
}

#[tokio::test]
async fn a_role_that_is_changed_cuts_nobody_off() {
    let world = world(POLICY).await;
    let operator = world.operator();
    let mut subscription = subscribe(&world, &operator, None).await;
    for (number, role) in ["first", "second"].into_iter().enumerate() {
        world.author(role).await;
        let key = 2 * i64::try_from(number).unwrap() + 1;
        for key in [key, key + 1] {
            world.put(&world.operator(), "notes", json!({})).await;
            let all = told(&world, &mut subscription).await;
            assert_eq!(kinds(&all), [(Create, key)]);
        }
        // Who comes under the new policy listens to the same.
        let mut late = subscribe(&world, &world.operator(), None).await;
        assert_eq!(late.position(), subscription.position());
        assert_eq!(told(&world, &mut late).await, []);
    }
}
