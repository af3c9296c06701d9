use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_database_is_empty_in_utf8_and_goes_with_its_test() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let database = postgres.database();
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(database.sql(tables), "0\n");
    assert_eq!(
        database.sql("SHOW server_encoding; SELECT 'é|ß'"),
        "UTF8\né|ß\n"
    );
    database.sql("CREATE TABLE grades (id int); INSERT INTO grades VALUES (1), (2)");
    assert_eq!(database.sql("SELECT id FROM grades ORDER BY id"), "1\n2\n");
    let other = postgres.database();
    assert_ne!(database.url(), other.url());
    assert_eq!(other.sql(tables), "0\n");
    let name = database.name.clone();
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(other.sql(&there), "1\n");
    drop(database);
    assert_eq!(other.sql(&there), "0\n");
}

#[test]
#[should_panic(expected = "nowhere")]
fn what_the_server_refuses_fails_the_test_with_its_words() {
    match Postgres::find() {
        Some(postgres) => drop(postgres.database().sql("SELECT * FROM nowhere")),
        None => panic!("nowhere to ask"),
    }
}

#[test]
fn a_private_server_comes_back_with_what_was_committed_however_it_went() {
    let Some(postgres) = Postgres::private(Settings {
        durable: true,
        ..Settings::default()
    }) else {
        return;
    };
    let database = postgres.database();
    database.sql("CREATE TABLE kept (id int); INSERT INTO kept VALUES (0)");
    let ends: [fn(&Postgres); 3] = [
        Postgres::restart,
        |postgres| {
            postgres.stop_immediate();
            postgres.start();
        },
        |postgres| {
            postgres.kill();
            postgres.start();
        },
    ];
    for (number, end) in (1..).zip(ends) {
        end(&postgres);
        let insert = format!("INSERT INTO kept VALUES ({number}); SELECT count(*) FROM kept");
        assert_eq!(database.sql(&insert), format!("{}\n", number + 1));
    }
}

#[test]
fn a_shared_server_is_found_again_and_ends_with_its_file() {
    let Some(programs) = Programs::find() else {
        // Says that it is left out, or fails where it must not be.
        assert!(Postgres::find().is_none() || setting("TEST_POSTGRES_URL").is_some());
        return;
    };
    let place = std::env::temp_dir().join(format!("testkit-place-{}", cluster::drawn()));
    let first = shared::find(&programs, &place).unwrap();
    let again = shared::find(&programs, &place).unwrap();
    assert_eq!(first.url, again.url);
    let folder = PathBuf::from(std::fs::read_to_string(&place).unwrap());
    assert!(cluster::is_alive(&folder));
    std::fs::remove_file(folder.join("url")).unwrap();
    let begin = Instant::now();
    while folder.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it goes on");
        std::thread::yield_now();
    }
    // Another one is started in place of the one that went.
    let next = shared::find(&programs, &place).unwrap();
    assert_ne!(first.url, next.url);
    let folder = PathBuf::from(std::fs::read_to_string(&place).unwrap());
    std::fs::remove_file(folder.join("url")).unwrap();
    std::fs::remove_file(&place).unwrap();
}

#[test]
fn an_encrypted_server_takes_no_other_connection() {
    let settings = Settings {
        encrypted: true,
        ..Settings::default()
    };
    let Some(postgres) = Postgres::private(settings) else {
        return;
    };
    let database = postgres.database();
    let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(database.sql(question), "t\n");
    let with = |settings: &str| {
        let url = format!("{}?{settings}", database.url());
        psql::run(&postgres.server.programs, &url, question)
    };
    assert!(with("sslmode=disable").is_err());
    let authority = postgres.authority();
    let known = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    assert_eq!(with(&known), Ok("t\n".to_owned()));
    let other = certificates::make().unwrap().authority;
    let file = authority.with_extension("other");
    std::fs::write(&file, other).unwrap();
    let unknown = format!("sslmode=verify-full&sslrootcert={}", file.display());
    assert!(with(&unknown).is_err());
}
