//! `--database`.

use portreeve_testkit::postgres::{Postgres, Settings};

use crate::program::Place;

#[test]
fn an_encrypted_server_is_known_by_its_certificate_or_not_spoken_to() {
    let settings = Settings {
        encrypted: true,
        ..Settings::default()
    };
    let Some(postgres) = Postgres::private(settings) else {
        return;
    };
    let place = Place::new();
    let database = postgres.database();
    let authority = postgres.authority();
    let known = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    let password = database.url().split([':', '@']).nth(2).unwrap().to_owned();
    let init = |settings: &str| {
        let url = format!("{}?{settings}", database.url());
        let ran = place.run(&["init", "--database", &url]);
        for said in [&ran.out, &ran.err] {
            assert!(!said.contains(&password), "{said}");
        }
        ran
    };
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    for (settings, said) in [
        // The machine's own authorities do not know it.
        ("sslmode=verify-full", "sslrootcert"),
        ("sslmode=verify-full&sslrootcert=nowhere", "nowhere"),
        ("sslmode=disable", "sslmode=verify-full"),
        // On loopback that is the same.
        ("", "sslmode=verify-full"),
        // Encrypted, and with whom is anybody's guess.
        ("sslmode=prefer", "'disable' or 'verify-full'"),
    ] {
        init(settings).failed(&[said]);
    }
    assert_eq!(database.sql(tables), "0\n");
    init(&known).good();
    assert_ne!(database.sql(tables), "0\n");
    let Some(plain) = Postgres::private(Settings::default()) else {
        return;
    };
    let url = format!("{}?{known}", plain.database().url());
    place
        .run(&["init", "--database", &url])
        .failed(&["no encrypted connections"]);
}

#[test]
fn what_is_wrong_with_an_address_is_told_without_its_password() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let place = Place::new();
    let database = postgres.database();
    let url = database.url();
    let (account, server) = url.rsplit_once('@').unwrap();
    let (scheme, password) = account.rsplit_once(':').unwrap();
    let (host, name) = server.split_once('/').unwrap();
    for (url, said) in [
        (format!("{account}x@{server}"), "password is wrong"),
        (format!("{account}@{host}/nowhere"), "no such database"),
        (format!("{account}@127.0.0.1:1/{name}"), "no server answers"),
        (format!("{scheme}:{password}"), "no URL of the form"),
        (
            format!("{account}@{server}?colour=red"),
            "parameters that are known",
        ),
        (format!("mysql://a:{password}@{server}"), "postgres://"),
    ] {
        let ran = place.run(&["init", "--database", &url]);
        assert!(!ran.err.contains(password), "{}", ran.err);
        ran.failed(&[said]);
    }
    place.run(&["init", "--database", &url]).good();
}
