//! `export`, and its way back.

use std::fs;

use portreeve_testkit::postgres::Postgres;

use crate::program::{ACCESS, Place};

// What points at what: trees, circles of two, at accounts by id and by number, accounts at records.
pub const CIRCLES: &str = r#"
collections:
  users:
    fields: { home: { to: places }, nick: text }
  places:
    key: { id: uuid }
    fields: { name: { type: text, required: true }, keeper: { to: users }, best: { to: reports } }
  folders:
    key: { id: integer }
    fields: { title: text, parent: { to: folders, on_delete: cascade } }
    bookkeeping: { created_at: made_at, updated_at: changed_at, updated_by: changed_by }
  reports:
    key: { code: text }
    fields:
      place: { to: places, required: true }
      author: { to: users, by: number }
      folder: { to: folders }
      price: "decimal(2)"
      ratio: float
      done: boolean
      at: { type: timestamp, default: $now }
      facts: json
      words: { type: text, default: none }
    overflow: true
roles:
  student: { permissions: [ { allow: data.read, on: places } ] }
  guest: { permissions: [] }
profiles:
  visitor: { roles: [guest] }
registration: { roles: [guest] }
"#;

pub const LINES: &str = r#"{"user": {"id": "0194e29f-0000-7000-8000-000000000001", "key": "anna-1", "number": 7, "username": "anna", "email": "anna@school.example", "status": "active", "confirmed": true, "provider": "local", "created": "2020-01-02T03:04:05.678901Z", "bindings": [{"role": "student", "restricted_to": ["places"], "until": "2999-01-01T00:00:00Z", "primary": true}, {"profile": "visitor", "from": "2021-01-01T00:00:00Z"}], "values": {"nick": "an"}}}
{"user": {"username": "bo", "roles": ["guest"]}}
{"user": {"id": "0194e29f-0000-7000-8000-000000000003", "key": "0194e29f-0000-7000-8000-000000000003", "number": 12, "username": null, "email": null, "status": "disabled", "confirmed": false, "provider": "elsewhere", "created": "2020-01-02T03:04:05Z", "bindings": [], "values": {}}}
{"record": {"collection": "places", "values": {"id": "0194e2a0-0000-7000-8000-000000000001", "name": "North \"end\"\nü😀", "keeper": {"user": "anna"}}}}
{"record": {"collection": "places", "values": {"id": "0194e2a0-0000-7000-8000-000000000002", "name": ""}}}
{"record": {"collection": "folders", "values": {"id": 9, "title": "root", "made_at": "2020-01-02T03:04:05Z", "changed_by": {"user": "anna"}}}}
{"record": {"collection": "folders", "values": {"id": 3, "title": "below", "parent": 9}}}
{"record": {"collection": "folders", "values": {"id": 2, "title": "further below", "parent": 3}}}
{"record": {"collection": "folders", "values": {"id": 20, "title": "itself"}}}
{"update": {"collection": "folders", "key": 20, "values": {"parent": 20}}}
{"record": {"collection": "folders", "values": {"id": 30, "title": "one"}}}
{"record": {"collection": "folders", "values": {"id": 31, "title": "other", "parent": 30}}}
{"update": {"collection": "folders", "key": 30, "values": {"parent": 31}}}
{"record": {"collection": "reports", "values": {"code": "a/b", "place": "0194e2a0-0000-7000-8000-000000000001", "author": {"user": "anna"}, "folder": 2, "price": "12.50", "ratio": 0.1, "done": true, "at": "2022-02-02T02:02:02.000002Z", "facts": {"user": "x", "list": [1, null, 2.5, {"deep": "\u0001"}]}, "words": null, "who": {"user": "anna"}, "note \u00fc": [1e-7, {"a": null}]}}}
{"record": {"collection": "reports", "values": {"code": "c", "place": "0194e2a0-0000-7000-8000-000000000002", "at": null}}}
{"update": {"collection": "places", "key": "0194e2a0-0000-7000-8000-000000000001", "values": {"best": "a/b"}}}
"#;

fn read(place: &Place, file: &str) -> String {
    fs::read_to_string(place.folder.join(file)).unwrap()
}

#[test]
fn what_is_exported_and_loaded_again_is_the_same() {
    let place = Place::new();
    place.write("access.yaml", CIRCLES);
    place.write("lines.ndjson", LINES);
    place.run(&["apply", "access.yaml"]).good();
    place.run(&["load", "lines.ndjson"]).good();
    let made = place.run(&["export", "--to", "out", "--json"]).good();
    assert_eq!(
        (&made.json()["users"], &made.json()["records"]),
        (&3.into(), &10.into())
    );
    let first = read(&place, "out/records.ndjson");
    for said in [
        r#""number":7"#,
        r#""note ü":[1e-7,{"a":null}],"who":{"user":"anna"}"#,
        r#""status":"disabled""#,
        r#""created":"2020-01-02T03:04:05.678901Z""#,
        r#"{"role":"student","restricted_to":["places"],"until":"2999-01-01T00:00:00Z","primary":true}"#,
        r#""price":"12.50""#,
        r#""words":null"#,
    ] {
        assert!(first.contains(said), "'{said}' is missing: {first}");
    }
    // In an order in which everything points at what is there.
    let again = Place::new();
    fs::copy(
        place.folder.join("out/access.yaml"),
        again.folder.join("access.yaml"),
    )
    .unwrap();
    again.write("records.ndjson", &first);
    again.run(&["apply", "access.yaml"]).good();
    again.run(&["load", "records.ndjson"]).good();
    again.run(&["export", "--to", "out"]).good();
    assert_eq!(read(&again, "out/records.ndjson"), first);
    assert_eq!(
        read(&again, "out/access.yaml"),
        read(&place, "out/access.yaml")
    );
    next_number(&again, &[]);
    // Read as JSON it is the same document.
    let json = place.run(&["export", "--json"]).good();
    again.write("access.json", &json.out);
    assert_eq!(
        again.run(&["plan", "access.json"]).good().out,
        "no changes\n"
    );
}

// The next account gets a number that nobody has had.
pub fn next_number(place: &Place, data: &[&str]) {
    let run = |arguments: &[&str]| place.run(&[arguments, data].concat()).good();
    run(&["user", "create", "new", "--no-password"]);
    let users = run(&["user", "list", "--json"]).json();
    let numbers: Vec<i64> = users["users"]
        .as_array()
        .or_else(|| users.as_array())
        .unwrap()
        .iter()
        .map(|user| user["number"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers.iter().max(), Some(&13), "{users}");
}

#[test]
fn from_one_kind_of_database_to_the_other_and_back_it_is_the_same() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let database = postgres.database();
    let url = database.url();
    let there = ["--database", url.as_str()];
    let place = Place::new();
    place.write("access.yaml", CIRCLES);
    place.write("lines.ndjson", LINES);
    place.run(&["apply", "access.yaml"]).good();
    place.run(&["load", "lines.ndjson"]).good();
    place.run(&["export", "--to", "out"]).good();
    let on = |arguments: &[&str]| place.run(&[arguments, &there].concat()).good();
    on(&["apply", "out/access.yaml"]);
    on(&["load", "out/records.ndjson"]);
    on(&["export", "--to", "from-postgres"]);
    for file in ["access.yaml", "records.ndjson"] {
        assert_eq!(
            read(&place, &format!("from-postgres/{file}")),
            read(&place, &format!("out/{file}"))
        );
    }
    next_number(&place, &there);
    // What points at a line before it waits for it, however many are on their way.
    let mut lines = String::new();
    for id in 100..400 {
        let parent = if id == 100 { 9 } else { id - 1 };
        lines.push_str(&format!(
            "{{\"record\": {{\"collection\": \"folders\", \"values\": {{\"id\": {id}, \"parent\": {parent}}}}}}}\n"
        ));
    }
    place.write("deep.ndjson", &lines);
    on(&["load", "deep.ndjson"]);
}

#[test]
fn nothing_secret_is_in_it() {
    let place = Place::filled();
    let out = place.run(&["export", "--records"]).good().out;
    assert!(out.contains("anna"), "{out}");
    for secret in ["argon2", "password", "anna-learns-1"] {
        assert!(!out.contains(secret), "{secret}: {out}");
    }
    let yaml = place.run(&["export"]).good().out;
    assert!(yaml.contains("grades") && !yaml.contains("anna"), "{yaml}");
}

#[test]
fn beside_a_server_and_into_a_folder_of_its_own() {
    let place = Place::filled();
    let server = place.serve(&["--dev", "--access", "access.yaml"]);
    place.run(&["export", "--to", "out"]).good();
    place
        .run(&["export", "--to", "out"])
        .failed(&["out/access.yaml exists already", "--to"]);
    let mut names: Vec<_> = fs::read_dir(place.folder.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["access.yaml", "records.ndjson"]);
    assert_eq!(server.stop(), 0);
    place
        .run(&["export", "--data", "nowhere"])
        .failed(&["nowhere/portreeve.db does not exist"]);
}

#[test]
fn circles_that_cannot_be_written_in_any_order_are_told() {
    let place = Place::new();
    let circle = "
collections:
  eggs: { key: { id: integer }, fields: { hen: { to: hens, required: true } } }
  hens: { key: { id: integer }, fields: { egg: { to: eggs, required: true } } }
";
    place.write("access.yaml", circle);
    place.run(&["apply", "access.yaml"]).good();
    place
        .run(&["export", "--to", "out"])
        .failed(&["eggs.hen", "backup"]);
    assert_eq!(fs::read_dir(place.folder.join("out")).unwrap().count(), 0);
    place.run(&["backup", "b.db"]).good();
}

#[test]
fn slips_in_lines_of_an_export_are_told() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place.run(&["apply", "access.yaml"]).good();
    let user = |change: (&str, &str)| {
        let line = r#"{"user": {"id": "0194e29f-0000-7000-8000-000000000001", "key": "k", "number": 7, "username": "u", "status": "active", "confirmed": true, "provider": "local", "created": "2020-01-02T03:04:05Z", "bindings": [{"role": "student"}]}}"#;
        assert!(line.contains(change.0));
        line.replace(change.0, change.1)
    };
    for (change, said) in [
        ((r#""number": 7, "#, ""), "all of them or none"),
        (("0194e29f-0000", "me-0000"), "id: is no UUID"),
        (("\"number\": 7", "\"number\": 0"), "number: must be 1"),
        (("2020-01-02T", "yesterday "), "created: is no time"),
        (
            ("\"role\": \"student\"", "\"role\": \"studnet\""),
            "did you mean 'student'?",
        ),
        (
            ("\"role\": \"student\"", "\"primary\": true"),
            "a role or to a profile",
        ),
        (
            ("\"bindings\"", "\"roles\": [\"student\"], \"bindings\""),
            "leave roles and profiles out",
        ),
        (("\"username\": \"u\"", "\"username\": \"me\""), "reserved"),
    ] {
        place.write("lines.ndjson", &user(change));
        place
            .run(&["load", "lines.ndjson"])
            .failed(&["line 1", said, "0 lines before"]);
    }
    for (line, said) in [
        (
            r#"{"update": {"collection": "grades", "key": 5, "values": {"score": 1}}}"#,
            "no such",
        ),
        (
            r#"{"update": {"collection": "grades", "values": {"score": 1}}}"#,
            "key",
        ),
        (
            r#"{"update": {"collection": "users", "key": "x", "values": {"status": "active"}}}"#,
            "line 1",
        ),
    ] {
        place.write("lines.ndjson", line);
        place
            .run(&["load", "lines.ndjson"])
            .failed(&["line 1", said]);
    }
    assert_eq!(place.run(&["export", "--records"]).good().out, "");
}
