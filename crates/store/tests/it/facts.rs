//! Related records that are asked for in the middle of judging, where a server has to be waited for.

use std::time::Duration;

use portreeve_policy::Facts;
use portreeve_store::{Taken, ToldKind};
use serde_json::json;
use tokio_postgres::NoTls;

use crate::told::{POLICY, subscribe};
use crate::world::{Home, NOW, On, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_waits_for_related_records_holds_up_nobody() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let operator = world.operator();
    let auditor = world.user("aud", &["auditor"]).await;
    world
        .put(&operator, "courses", json!({ "title": "open" }))
        .await;
    let mut subscription = subscribe(&world, &auditor, None).await;
    world.put(&operator, "notes", json!({ "course": 1 })).await;
    subscription.changed().await;
    // Its messages are taken on the one thread there is for tasks.
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE courses")
        .await
        .unwrap();
    let judging = tokio::spawn(async move { subscription.take(NOW) });
    let waits =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'courses'::regclass)";
    let waiting = async {
        while !client
            .query_one(waits, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
        {}
        client.batch_execute("COMMIT").await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("it waits for the lock, and others go on");
    match judging.await.unwrap() {
        Ok(Taken::Told(told)) => {
            assert_eq!(told.len(), 1);
            assert_eq!((told[0].kind, &told[0].key), (ToldKind::Create, &1.into()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn related_records_are_read_from_tables_as_they_are() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let operator = world.operator();
    world
        .put(&operator, "notes", json!({ "owner": "o", "secret": "7" }))
        .await;
    let find = |wanted: i64| {
        let explain = world.gate.explain(&world.operator(), None).unwrap();
        let notes = explain.snapshot().catalog().find_text("notes").unwrap();
        let facts = world.store.facts(&explain);
        let found = facts.find(notes.id, notes.key, &wanted.into());
        let secret = notes.find_field("secret").unwrap();
        let secrets = found.iter().map(|record| record.get(secret).clone());
        (secrets.collect::<Vec<_>>(), facts.answered())
    };
    let (secrets, answered) = find(1);
    assert_eq!(secrets, ["7".into()]);
    answered.expect("answered");
    // The server's plan was for a column of another type.
    world
        .apply(&POLICY.replace("secret: text", "secret: integer"))
        .await
        .unwrap();
    let (secrets, answered) = find(1);
    assert_eq!(secrets, [7.into()]);
    answered.expect("answered");
    // Nor is a session that has ended meanwhile in anybody's way.
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let (secrets, answered) = find(1);
    assert_eq!(secrets, [7.into()]);
    answered.expect("answered");
    let (none, answered) = find(2);
    assert_eq!(none, []);
    answered.expect("there is none, and that is an answer");
    // What cannot be read is told apart from what is not there.
    database.sql("ALTER TABLE notes RENAME TO elsewhere");
    let (none, answered) = find(1);
    assert_eq!(none, []);
    assert!(answered.is_err());
}
