//! What only a database server has: other programs beside us, restarts, addresses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portreeve_gate::ApplyPolicy;
use portreeve_policy::Document;
use portreeve_store::{AskedMail, Location, Notice, OpenError, Prepare, Store, StoreError};
use portreeve_testkit::postgres::{Postgres, Settings};
use serde_json::json;

use crate::world::{Home, On, World, compile, fields, name};

const NOTES: &str = "
collections:
  notes:
    key: { id: integer }
    fields: { text: text, parent: { to: notes } }
roles:
  writer:
    permissions: [ { allow: [data.read, data.create, data.update], on: notes } ]
";

fn more_notes() -> String {
    NOTES.replace("text: text", "text: text, rank: integer")
}

/// The next notice that is not about sessions; they come within a round trip.
async fn next(notices: &mut tokio::sync::broadcast::Receiver<Notice>) -> Notice {
    loop {
        let notice = tokio::time::timeout(Duration::from_secs(20), notices.recv());
        match notice
            .await
            .expect("a notice comes")
            .expect("an open channel")
        {
            Notice::Sessions | Notice::Reconnected(_) => {}
            notice => return notice,
        }
    }
}

async fn informed(store: &Store) {
    let connected = async {
        while store.informed().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), connected)
        .await
        .expect("it listens");
}

#[tokio::test]
async fn programs_on_one_database_hear_of_each_other() {
    let here = World::new(On::Postgres, NOTES).await;
    let there = Store::open(here.home.options()).await.unwrap();
    informed(&there).await;
    let mut notices = there.notices().expect("there are others");
    let anna = here.user("anna", &["writer"]).await;
    let before = there.system().revocations();

    // Authorized under the first policy, there and here.
    let old = here
        .gate
        .create(&anna, &name("notes"), fields(json!({ "text": "late" })))
        .unwrap();
    let current = here
        .gate
        .create(&anna, &name("notes"), fields(json!({ "text": "in time" })))
        .unwrap();
    there.create(current).await.unwrap();
    assert_eq!(here.apply(&more_notes()).await.unwrap(), 2);
    assert_eq!(next(&mut notices).await, Notice::Policy(2));
    assert!(matches!(
        there.create(old).await,
        Err(StoreError::VersionChanged)
    ));
    assert_eq!(there.system().load_policy().await.unwrap().version, 2);

    let anna = here.admit("anna").await;
    let stale = here
        .gate
        .create(&anna, &name("notes"), fields(json!({ "text": "late" })))
        .unwrap();
    let set = here.set_password("anna", "other").await.unwrap();
    assert_eq!(set.epochs[0].1, 1);
    let epoch = Notice::Epoch {
        user: "anna".into(),
        epoch: 1,
    };
    assert_eq!(next(&mut notices).await, epoch);
    assert!(there.system().revocations() > before);
    assert!(matches!(
        there.create(stale).await,
        Err(StoreError::VersionChanged)
    ));
    assert_eq!(
        here.digest().await,
        there.system().digest(false).await.unwrap()
    );
}

#[tokio::test]
async fn of_two_policies_for_one_version_one_is_stored() {
    let here = World::new(On::Postgres, NOTES).await;
    let there = Store::open(here.home.options()).await.unwrap();
    let policy = |text: &str| {
        let document = Document::read("test", text).unwrap();
        let compiled = Arc::new(compile(&document, 2));
        let operation = ApplyPolicy {
            rights: true,
            tables: true,
            bindings: vec![],
            templates: vec![],
            document: Arc::new(document),
            compiled,
            planned_on: 1,
            summary: json!({}),
            drops: vec![],
            renames: vec![],
        };
        here.gate.apply_policy(&here.operator(), operation).unwrap()
    };
    let (first, second) = (policy(&more_notes()), policy(NOTES));
    let (first, second) = tokio::join!(here.store.apply_policy(first), there.apply_policy(second));
    let outcomes = [first, second];
    assert_eq!(
        outcomes
            .iter()
            .filter(|one| matches!(one, Ok((2, _))))
            .count(),
        1
    );
    assert!(
        outcomes
            .iter()
            .any(|one| matches!(one, Err(StoreError::VersionChanged)))
    );
}

#[tokio::test]
async fn plans_made_before_a_change_of_tables_are_made_anew() {
    let here = World::new(On::Postgres, NOTES).await;
    let there = Store::open(here.home.options()).await.unwrap();
    let operator = here.operator();
    let key = here.put(&operator, "notes", json!({ "text": "a" })).await;
    let read = |caller| {
        let query = portreeve_model::RecordQuery {
            collection: name("notes"),
            fields: None,
            expand: vec![],
        };
        here.gate
            .record(caller, query, &key.as_integer().unwrap().to_string())
    };
    let old = read(&operator).unwrap();
    let (_, outcome) = there
        .read(&old, crate::world::Lines::default())
        .await
        .unwrap();
    assert_eq!(outcome.count, 1);
    // The column becomes one of another type: the server's plan for the same text is no good any more.
    let Home::Database(database) = &here.home else {
        panic!("a database")
    };
    database.sql("ALTER TABLE notes ALTER COLUMN text TYPE varchar(200)");
    let (sink, _) = there
        .read(&old, crate::world::Lines::default())
        .await
        .unwrap();
    assert_eq!(sink.0[0]["text"], "a");
    // A column that is gone is told as such, and not as a failure of the program.
    database.sql("ALTER TABLE notes DROP COLUMN text");
    assert!(matches!(
        there.read(&old, crate::world::Lines::default()).await.err(),
        Some(StoreError::SchemaChanged)
    ));
}

#[tokio::test]
async fn a_server_that_comes_back_is_worked_with_again() {
    let Some(server) = Postgres::private(Settings::default()) else {
        return;
    };
    let database = server.database();
    let here = World::at(Home::Database(database), NOTES).await;
    informed(&here.store).await;
    let operator = here.operator();
    here.put(&operator, "notes", json!({ "text": "before" }))
        .await;
    server.restart();
    // The connections in the pool are dead, and nobody needs to know.
    assert_eq!(
        here.list(&operator, crate::world::List::of("notes"))
            .await
            .0
            .len(),
        1
    );
    here.put(&operator, "notes", json!({ "text": "after" }))
        .await;
    informed(&here.store).await;

    server.stop_immediate();
    let create = here
        .gate
        .create(
            &operator,
            &name("notes"),
            fields(json!({ "text": "never" })),
        )
        .unwrap();
    let refused = here.store.create(create).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable)),
        "{refused:?}"
    );
    assert!(here.store.system().setting("any").await.is_err());
    server.start();
    let keys = here
        .list(&operator, crate::world::List::of("notes").sort("id", false))
        .await
        .0;
    let texts: Vec<_> = keys.iter().map(|note| note["text"].clone()).collect();
    assert_eq!(texts, [json!("before"), json!("after")]);
    informed(&here.store).await;
}

#[tokio::test]
async fn an_address_that_is_wrong_is_told_without_the_password() {
    let url = Postgres::get().database();
    let right = url.url();
    let open = async |url: &str| {
        let mut options = Home::new(On::Sqlite).options();
        options.location = Location::Postgres(url.into());
        Store::open(options)
            .await
            .err()
            .expect("refused")
            .to_string()
    };
    for (url, told) in [
        (
            "postgres://x:hushhush@127.0.0.1:1/none",
            "no server answers there",
        ),
        (
            "postgres://x:hushhush@127.0.0.1:1/none?sslmode=prefer",
            "sslmode is 'disable' or 'verify-full'",
        ),
        ("postgres://x:hush hush@@/none", "it is no URL"),
        (
            "postgres://x:hushhush@127.0.0.1/none?application=x",
            "it is no URL",
        ),
        (
            "postgres://x:hushhush@127.0.0.1/none?sslmode=verify-full&sslrootcert=/no/such/file",
            "holds no certificate",
        ),
    ] {
        let error = open(url).await;
        assert!(error.contains(told), "{url}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    url.sql("CREATE SCHEMA portreeve; CREATE TABLE portreeve.migrations (number int8, name text, checksum text, at int8); INSERT INTO portreeve.migrations VALUES (99, 'x', 'x', 0)");
    let error = open(&right).await;
    assert!(error.contains("newer version"), "{error}");
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let database = Postgres::get().database();
    let other = format!(
        "{}_latin",
        database
            .url()
            .rsplit('/')
            .next()
            .unwrap()
            .split('?')
            .next()
            .unwrap()
    );
    database.sql(&format!(
        "CREATE DATABASE {other} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    ));
    let url = database.url().replace(
        &format!("/{}", other.strip_suffix("_latin").unwrap()),
        &format!("/{other}"),
    );
    let mut options = Home::new(On::Sqlite).options();
    options.location = Location::Postgres(url);
    let error = Store::open(options).await.err().expect("refused");
    database.sql(&format!("DROP DATABASE {other} WITH (FORCE)"));
    assert!(
        matches!(&error, OpenError::Unfit { problem, .. } if problem.contains("UTF8 is needed")),
        "{error}"
    );
}

#[tokio::test]
async fn another_sessions_lock_is_waited_for_and_then_given_up() {
    let here = World::new(On::Postgres, NOTES).await;
    let there = Store::open(here.home.options()).await.unwrap();
    let operator = here.operator();
    let key = here.put(&operator, "notes", json!({ "text": "a" })).await;
    let key = key.as_integer().unwrap().to_string();
    // Two changes of one record at once: both are done, one after the other.
    let change = |text: &str| {
        let sent = fields(json!({ "text": text }));
        here.gate
            .update(&operator, &name("notes"), &key, sent)
            .unwrap()
    };
    let (one, two) = tokio::join!(here.store.update(change("b")), there.update(change("c")));
    one.unwrap();
    two.unwrap();
    let text = here.get(&operator, "notes", &key).await.unwrap()["text"].clone();
    assert!(text == "b" || text == "c", "{text}");
}

#[tokio::test]
async fn what_a_server_says_of_a_record_is_in_no_error() {
    let here = World::new(On::Postgres, NOTES).await;
    let operator = here.operator();
    let Home::Database(database) = &here.home else {
        panic!("a database")
    };
    let raise = |state: &str| {
        database.sql(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               RAISE EXCEPTION 'not %', NEW.text USING ERRCODE = '{state}', DETAIL = NEW.text, HINT = NEW.text;
             END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION refuse()"
        ));
    };
    let before = here.digest().await;
    for state in ["P0001", "ZZ999", "42501"] {
        raise(state);
        let error = here
            .create(&operator, "notes", json!({ "text": "hushhush" }))
            .await
            .unwrap_err();
        assert_eq!(matches!(error, StoreError::Check), state == "P0001");
        let mut said = format!("{error} {error:?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            said.push_str(&format!(" {error} {error:?}"));
            cause = error.source();
        }
        assert!(!said.contains("hush"), "{said}");
        assert!(state == "P0001" || said.contains(state), "{said}");
    }
    assert_eq!(here.digest().await, before);
}

// Hands everything on to a server, and falls silent to whoever is connected when the number grows.
fn proxy(to: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silenced = Arc::new(AtomicUsize::new(0));
    let all = Arc::clone(&silenced);
    std::thread::spawn(move || {
        for from in listener.incoming() {
            let (from, to) = (from.unwrap(), TcpStream::connect(&to).unwrap());
            let ways = [
                (from.try_clone().unwrap(), to.try_clone().unwrap()),
                (to, from),
            ];
            let before = all.load(Ordering::SeqCst);
            for (mut from, mut to) in ways {
                let silenced = Arc::clone(&all);
                std::thread::spawn(move || {
                    let mut bytes = [0; 4_096];
                    while let Ok(read @ 1..) = from.read(&mut bytes) {
                        let silent = silenced.load(Ordering::SeqCst) != before;
                        if !silent && to.write_all(&bytes[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (port, silenced)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up() {
    let here = World::new(On::Postgres, NOTES).await;
    let Home::Database(database) = &here.home else {
        panic!("a database");
    };
    let url = database.url();
    let (account, place) = url.split_once('@').unwrap();
    let (server, name) = place.split_once('/').unwrap();
    let (port, silenced) = proxy(server.into());
    let mut options = here.home.options();
    options.location = Location::Postgres(format!("{account}@127.0.0.1:{port}/{name}"));
    let there = Store::open(options).await.unwrap();
    informed(&there).await;
    let mut notices = there.notices().expect("there are others");
    let version = here.apply(&more_notes()).await.unwrap();
    assert_eq!(next(&mut notices).await, Notice::Policy(version));
    let before = there.system().revocations();
    silenced.fetch_add(1, Ordering::SeqCst);
    let again = async { while !matches!(notices.recv().await.unwrap(), Notice::Reconnected(_)) {} };
    tokio::time::timeout(Duration::from_secs(60), again)
        .await
        .expect("it notices, and listens anew");
    assert_ne!(there.system().revocations(), before);
}

#[tokio::test]
async fn a_column_of_many_values_is_converted() {
    let world = World::new(On::Postgres, NOTES).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    database.sql("INSERT INTO notes (text) SELECT n::text FROM generate_series(1, 2500) n");
    let numbers = NOTES.replace("text: text", "text: integer");
    world.apply(&numbers).await.unwrap();
    let sum = database.sql("SELECT count(text), sum(text) FROM notes");
    assert_eq!(sum.trim(), "2500|3126250");
    // Where one of the last does not fit, nothing is changed.
    world.apply(NOTES).await.unwrap();
    database.sql("UPDATE notes SET text = 'none' WHERE id IN (2400, 2500)");
    let error = world.apply(&numbers).await.unwrap_err();
    assert!(error.to_string().contains('2'), "{error}");
    let sum = database.sql("SELECT count(*) FROM notes WHERE text IN ('none', '2399')");
    assert_eq!(sum.trim(), "3");
}

#[tokio::test]
async fn a_mail_to_nobody_waits_for_nobody() {
    let world = World::new(On::Postgres, NOTES).await;
    let Home::Database(database) = &world.home else {
        panic!("a database");
    };
    let connected = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    tokio::spawn(connection);
    // As whoever writes does.
    let writes = format!(
        "BEGIN; SELECT pg_advisory_xact_lock_shared({})",
        0x706f_7274_7265_6576_i64
    );
    client.batch_execute(&writes).await.unwrap();
    let system = world.store.system();
    let asked = AskedMail {
        id: "1".into(),
        template: "reset".into(),
        login: "nobody@example.org".into(),
        link: None,
        at: 1,
        limit: 10,
    };
    system.ask_mail(asked).await.unwrap();
    let mail = system.claim_mail(2, 3).await.unwrap().expect("it waits");
    let prepare = Prepare {
        mail,
        code: None,
        expires: 4,
        at: 2,
        since: 0,
        limit: None,
    };
    let prepared = tokio::time::timeout(Duration::from_secs(20), system.prepare_mail(prepare));
    assert!(prepared.await.expect("at once").unwrap().is_none());
    assert!(
        system.claim_mail(5, 6).await.unwrap().is_none(),
        "it is gone"
    );
    client.batch_execute("COMMIT").await.unwrap();
}
