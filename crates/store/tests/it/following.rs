//! How the feed is kept: within bounds on SQLite, in a table that all nodes follow on PostgreSQL.

use std::time::Duration;

use portreeve_gate::SubscribeRequest;
use portreeve_store::ToldKind::{Create, Delete, Update};
use portreeve_store::{FeedLimits, Position, Store, Subscription, Taken};
use portreeve_testkit::postgres::TestDatabase;
use serde_json::json;

use crate::told::{POLICY, kinds, subscribe, subscribe_from, told};
use crate::world::{Home, List, NOW, On, World};

#[tokio::test]
async fn who_comes_back_goes_on_where_he_was_or_is_told_that_he_cannot() {
    let world = World::with(On::Sqlite, POLICY, |options| {
        options.feed = FeedLimits {
            changes: 5,
            ..FeedLimits::default()
        };
    })
    .await;
    let operator = world.operator();
    let put = async |count: usize| {
        for _ in 0..count {
            world.put(&operator, "notes", json!({ "owner": "o" })).await;
        }
    };
    let mut first = subscribe(&world, &operator, None).await;
    put(2).await;
    assert_eq!(
        kinds(&told(&world, &mut first).await),
        [(Create, 1), (Create, 2)]
    );
    let left = first.position();
    drop(first);
    put(3).await;
    let mut second = subscribe_from(&world, &operator, None, Some(left)).await;
    assert_eq!(second.position(), left);
    assert_eq!(
        kinds(&told(&world, &mut second).await),
        [(Create, 3), (Create, 4), (Create, 5)]
    );
    // More than is kept.
    put(6).await;
    second.missed().await;
    assert!(matches!(second.take(NOW).unwrap(), Taken::Missed));
    assert_eq!(
        told(&world, &mut second).await,
        [],
        "it goes on with what comes next"
    );
    put(1).await;
    assert_eq!(kinds(&told(&world, &mut second).await), [(Create, 12)]);
    let late = subscribe_from(&world, &operator, None, Some(left)).await;
    assert_ne!(late.position(), left);
    let ahead = Position(late.position().0 + 1);
    let made_up = subscribe_from(&world, &operator, None, Some(ahead)).await;
    assert_ne!(made_up.position(), ahead, "a place nobody has been to");
    // Nobody listens for as long as anything is kept: nothing is captured any more, until somebody does.
    let position = second.position();
    drop((second, late, made_up));
    put(7).await;
    let mut third = subscribe_from(&world, &operator, None, Some(position)).await;
    assert_ne!(third.position(), position);
    put(1).await;
    assert_eq!(kinds(&told(&world, &mut third).await), [(Create, 20)]);
    // A change greater than the feed is told as missed, not in part.
    let sent = json!({ "title": "many" });
    world.put(&operator, "courses", sent).await;
    for _ in 0..7 {
        let sent = json!({ "owner": "o", "course": 1 });
        world.put(&operator, "notes", sent).await;
    }
    assert!(matches!(third.take(NOW).unwrap(), Taken::Missed));
    world.delete(&operator, "courses", "1").await.unwrap();
    assert!(matches!(third.take(NOW).unwrap(), Taken::Missed));
    assert_eq!(told(&world, &mut third).await, []);
}

#[tokio::test]
async fn every_node_follows_what_anybody_commits() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let other = Store::open(world.home.options()).await.unwrap();
    let operator = world.operator();
    let authorized = || {
        let request = List::of("notes").request();
        let request = SubscribeRequest {
            query: request.query,
            values: request.values,
        };
        world.gate.subscribe(&operator, request).unwrap()
    };
    world
        .put(&operator, "notes", json!({ "owner": "unheard" }))
        .await;
    let mut here = world.store.subscribe(authorized(), None).await.unwrap();
    let mut there = other.subscribe(authorized(), None).await.unwrap();
    world
        .put(&operator, "notes", json!({ "owner": "a", "mark": 7 }))
        .await;
    database.sql(
        "BEGIN; INSERT INTO notes (owner) VALUES ('never'); ROLLBACK;
         INSERT INTO notes (owner, text) VALUES ('by hand', 'quoted \"x\"'); UPDATE notes SET mark = 8 WHERE id = 2;
         UPDATE notes SET mark = 8 WHERE id = 2; DELETE FROM notes WHERE id = 1",
    );
    let told_here = told(&world, &mut here).await;
    let kinds_here = kinds(&told_here);
    assert_eq!(
        kinds_here,
        [(Create, 2), (Create, 4), (Update, 2), (Delete, 1)]
    );
    assert_eq!(told_here[1].2["text"], "quoted \"x\"");
    assert_eq!(told(&world, &mut there).await, told_here);
    // A place on one node is a place on the other, and on one that has begun to follow later.
    let left = here.position();
    assert_eq!(there.position(), left);
    drop((here, there, other));
    world.put(&operator, "notes", json!({ "owner": "b" })).await;
    let later = Store::open(world.home.options()).await.unwrap();
    let mut there = later.subscribe(authorized(), Some(left)).await.unwrap();
    assert_eq!(there.position(), left);
    assert_eq!(kinds(&told(&world, &mut there).await), [(Create, 5)]);
}

async fn client(database: &TestDatabase) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    tokio::spawn(connection);
    client
}

async fn missed(subscription: &mut Subscription) {
    tokio::time::timeout(Duration::from_secs(30), subscription.missed())
        .await
        .expect("something is missed");
    assert!(matches!(subscription.take(NOW).unwrap(), Taken::Missed));
}

#[tokio::test]
async fn what_one_transaction_does_to_a_record_is_one_change() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let operator = world.operator();
    world
        .put(&operator, "notes", json!({ "owner": "o", "mark": 0 }))
        .await;
    let mut here = subscribe(&world, &operator, None).await;
    let beginning = here.position();
    // More rows than are read at once lie between.
    database.sql(
        "BEGIN; UPDATE notes SET mark = 1 WHERE id = 1;
         INSERT INTO courses (title) SELECT 'course ' || n FROM generate_series(1, 1200) n;
         UPDATE notes SET mark = 2 WHERE id = 1; COMMIT",
    );
    let mut all = told(&world, &mut here).await;
    assert_eq!(kinds(&all), [(Update, 1)]);
    assert_eq!(all[0].2["mark"], json!(2));
    // And where somebody else's come between.
    let (first, second) = (client(database).await, client(database).await);
    let change = "BEGIN; UPDATE notes SET mark = 3 WHERE id = 1";
    first.batch_execute(change).await.unwrap();
    let insert = "INSERT INTO notes (owner) VALUES ('between')";
    second.batch_execute(insert).await.unwrap();
    let change = "UPDATE notes SET mark = 4 WHERE id = 1; COMMIT";
    first.batch_execute(change).await.unwrap();
    let later = told(&world, &mut here).await;
    assert_eq!(kinds(&later), [(Create, 2), (Update, 1)]);
    assert_eq!(later[1].2["mark"], json!(4));
    all.extend(later);
    // A node that begins later tells the same, at the same places.
    let other = Store::open(world.home.options()).await.unwrap();
    let list = List::of("notes").request();
    let request = SubscribeRequest {
        query: list.query,
        values: list.values,
    };
    let subscribe = world.gate.subscribe(&operator, request).unwrap();
    let mut there = other.subscribe(subscribe, Some(beginning)).await.unwrap();
    assert_eq!(there.position(), beginning);
    assert_eq!(told(&world, &mut there).await, all);
    assert_eq!(there.position(), here.position());
}

#[tokio::test]
async fn what_others_have_begun_before_anybody_listened_is_not_passed_over() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let operator = world.operator();
    let client = client(database).await;
    let insert = "INSERT INTO notes (owner) VALUES ('by hand')";
    let begin = format!("BEGIN; {insert}");
    client.batch_execute(&begin).await.unwrap();
    // Nobody has written that down, so it can only be said that there is something.
    let mut here = subscribe(&world, &operator, None).await;
    let commit = format!("{insert}; COMMIT");
    client.batch_execute(&commit).await.unwrap();
    missed(&mut here).await;
    // This one is written down: a node that begins now waits for it.
    client.batch_execute(&begin).await.unwrap();
    world.put(&operator, "notes", json!({ "owner": "b" })).await;
    let other = Store::open(world.home.options()).await.unwrap();
    let list = List::of("notes").request();
    let request = SubscribeRequest {
        query: list.query,
        values: list.values,
    };
    let subscribe = world.gate.subscribe(&operator, request).unwrap();
    let mut there = other.subscribe(subscribe, None).await.unwrap();
    client.batch_execute("COMMIT").await.unwrap();
    let all = kinds(&told(&world, &mut there).await);
    assert!(all.contains(&(Create, 3)), "{all:?}");
}

#[tokio::test]
async fn a_node_that_was_away_for_too_long_knows_it() {
    let world = World::new(On::Postgres, POLICY).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let operator = world.operator();
    let mut here = subscribe(&world, &operator, None).await;
    world.put(&operator, "notes", json!({ "owner": "a" })).await;
    assert_eq!(kinds(&told(&world, &mut here).await), [(Create, 1)]);
    // It has not said for long that it listens, and so nothing is written down.
    database.sql(
        "UPDATE portreeve.feed SET heard_until = '2000-01-01';
         INSERT INTO notes (owner) VALUES ('unheard')",
    );
    let other = Store::open(world.home.options()).await.unwrap();
    let list = List::of("notes").request();
    let request = SubscribeRequest {
        query: list.query,
        values: list.values,
    };
    let subscribe = world.gate.subscribe(&operator, request).unwrap();
    let mut there = other.subscribe(subscribe, None).await.unwrap();
    world.put(&operator, "notes", json!({ "owner": "b" })).await;
    assert_eq!(kinds(&told(&world, &mut there).await), [(Create, 3)]);
    missed(&mut here).await;
}
