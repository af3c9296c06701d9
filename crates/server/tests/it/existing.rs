//! A database that others own and change while the program serves it.

use portreeve_testkit::postgres::Postgres;
use serde_json::json;

use crate::program::Place;

const ACCESS: &str = r#"
existing: { except: secrets }
roles:
  reader:
    permissions:
      - { allow: data.read, on: notes, rows: "owner = $user.username" }
"#;

const TABLES: &str = "
CREATE TABLE notes (id int PRIMARY KEY, owner text, body text);
CREATE TABLE secrets (id int PRIMARY KEY, owner text);
INSERT INTO notes VALUES (1, 'anna', 'hers'), (2, 'bo', 'his');
INSERT INTO secrets VALUES (1, 'anna');
";

#[test]
fn changes_of_tables_are_taken_over_and_never_open_anything() {
    let database = Postgres::get().database();
    database.sql(TABLES);
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    let url = database.url();
    place
        .run(&["apply", "access.yaml", "--database", &url])
        .good();
    for (name, role) in [("root", "admin"), ("anna", "reader")] {
        let create = [
            "user",
            "create",
            name,
            "--role",
            role,
            "--password-stdin",
            "--database",
            &url,
        ];
        place.pipe(&create, "a-long-password\n").good();
    }
    let server = place.serve(&["--database", &url]);
    let root = server.sign_in("root", "a-long-password");
    let anna = server.sign_in("anna", "a-long-password");
    let notes = |token: &str| server.ask("GET", "/v1/records/notes", Some(token), None);
    let hers = json!([{ "id": 1, "owner": "anna", "body": "hers" }]);
    let (status, answer) = notes(&anna);
    assert_eq!((status, &answer["data"]), (200, &hers));
    let excluded = server.ask("GET", "/v1/records/secrets", Some(&root), None);
    assert_eq!(excluded.0, 404);

    // The request that meets the change is answered with an error, the next one from what the table is now.
    database.sql(
        "ALTER TABLE notes DROP COLUMN body; ALTER TABLE notes ADD COLUMN extra int DEFAULT 7",
    );
    assert_eq!(notes(&anna).0, 503);
    let (status, answer) = notes(&anna);
    let hers = json!([{ "id": 1, "owner": "anna", "extra": 7 }]);
    assert_eq!((status, &answer["data"]), (200, &hers));

    // Where a rule names what has gone, nothing is allowed by it, and nobody else sees more for it.
    database.sql("ALTER TABLE notes DROP COLUMN owner");
    for _ in 0..2 {
        assert_eq!(notes(&anna).0, 503);
    }
    let planned = place.run(&["plan", "access.yaml", "--database", &url]);
    assert_eq!(planned.code, 2);
    assert!(planned.err.contains("owner"), "{}", planned.err);
    database.sql("ALTER TABLE notes ADD COLUMN owner text");
    notes(&anna);
    let (status, answer) = notes(&anna);
    assert_eq!((status, &answer["data"]), (200, &json!([])));
    let (status, answer) = notes(&root);
    assert_eq!((status, answer["data"].as_array().unwrap().len()), (200, 2));

    // A table that comes is there for the next plan, and what is declared may not take its name.
    database.sql(
        "CREATE TABLE more (id int PRIMARY KEY, owner text); INSERT INTO more VALUES (5, 'anna')",
    );
    place.write(
        "more.yaml",
        &ACCESS.replace("on: notes", "on: [notes, more]"),
    );
    place.write("taken.yaml", "collections: { more: {} }\n");
    let taken = place.run(&["plan", "taken.yaml", "--database", &url]);
    assert_eq!(taken.code, 2);
    assert!(
        taken.err.contains("taken.yaml:1:16") && taken.err.contains("has a table 'more' already"),
        "{}",
        taken.err
    );
    // What of a table its collection does not show is told beside the plan.
    database.sql(
        "CREATE TABLE shop (a int, b int, PRIMARY KEY (a, b));
         CREATE TABLE bill (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES shop)",
    );
    let planned = place.run(&["plan", "more.yaml", "--database", &url]).good();
    let note =
        "note: bill: the foreign key (a, b) to 'shop' has several columns and is no relation";
    assert!(planned.out.contains(note), "{}", planned.out);
    database.sql("DROP TABLE bill, shop");
    drop(server);
    place
        .run(&["apply", "more.yaml", "--database", &url])
        .good();
    let server = place.serve(&["--database", &url]);
    let anna = server.sign_in("anna", "a-long-password");
    let (status, answer) = server.ask("GET", "/v1/records/more", Some(&anna), None);
    assert_eq!(
        (status, &answer["data"]),
        (200, &json!([{ "id": 5, "owner": "anna" }]))
    );
    // Nothing of theirs was ever made or dropped.
    let tables = database.sql(
        "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY 1) FROM (SELECT schemaname, tablename FROM pg_tables \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'portreeve') ORDER BY 1, 2) t",
    );
    assert_eq!(tables.trim(), "public.more public.notes public.secrets");
}

#[test]
fn what_is_wrong_with_a_database_is_told_without_its_password() {
    let place = Place::new();
    place.write("access.yaml", "roles: {}\n");
    for (url, said) in [
        (
            "postgres://me:s3cret@127.0.0.1:1/shop",
            "no server answers there",
        ),
        (
            "mysql://me:s3cret@127.0.0.1/shop",
            "the database URL cannot be used",
        ),
        (
            "postgres://me:s3cret@[::1/shop",
            "the database URL cannot be used",
        ),
        (
            "sqlite:nowhere.sqlite",
            "there is no database nowhere.sqlite",
        ),
        ("nowhere.sqlite", "there is no database nowhere.sqlite"),
        ("access.yaml", "access.yaml is no SQLite database"),
    ] {
        for command in ["plan", "apply", "test"] {
            let ran = place.run(&[command, "access.yaml", "--database", url]);
            assert!(
                !ran.err.contains("s3cret") && !ran.out.contains("s3cret"),
                "{}",
                ran.err
            );
            ran.failed(&[said]);
        }
    }
    assert!(!place.folder.join("nowhere.sqlite").exists());
}
