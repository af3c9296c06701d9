//! `doctor`: a bad world for every finding, and a good one for none.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use portreeve_testkit::postgres::Postgres;
use serde_json::Value as Json;

use crate::program::Place;

const BAD: &str = r#"
collections:
  notes:
    key: { id: integer }
    fields: { owner: text, title: text }
  other:
    key: { id: integer }
    fields: { text: text }
roles:
  anonymous:
    permissions:
      - { allow: [data.read, data.create], on: notes }
  everyone:
    permissions:
      - { allow: policy.plan }
  public:
    fallback: true
    implicit_allow: true
  reader:
    permissions:
      - { allow: data.read, on: notes, rows: "owner = $user.username" }
  shadowed:
    permissions:
      - { allow: data.update, on: notes }
      - { allow: data.delete, on: notes }
      - { deny: data.update, on: notes }
  dead:
    permissions:
      - { allow: data.read, on: notes, rows: "title = 'a' and title = 'b'" }
      - { allow: data.read, on: other, when: "$now < '2020-01-01T00:00:00Z'" }
      - { allow: data.update, on: other, fields: [] }
  grantor:
    permissions:
      - { allow: access.grant }
profiles:
  nothing: { roles: [{ role: reader, restricted_to: [other] }] }
registration: { roles: [grantor] }
"#;

const LINES: &str = r#"{"user": {"username": "vera", "password": "administers well", "roles": ["admin"]}}
{"user": {"username": "old", "password_hash": "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", "roles": ["reader", "shadowed", "dead"]}}
"#;

/// What is found, by its id: where, in order.
fn found(json: &Json) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in json["findings"].as_array().unwrap() {
        for part in ["id", "severity", "place", "why", "fix"] {
            assert!(
                finding[part].as_str().is_some_and(|text| !text.is_empty()),
                "{finding}"
            );
        }
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        found.entry(text("id")).or_default().push(text("place"));
    }
    found
}

fn doctor(place: &Place, more: &[&str], code: i32) -> Json {
    let ran = place.run(&[&["doctor", "--json"], more].concat());
    assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{}", ran.out);
    ran.json()
}

fn mode(place: &Place, name: &str, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(place.folder.join(name), permissions).unwrap();
}

#[test]
fn rights_that_are_wide_dead_or_held_by_nobody_are_found() {
    let place = Place::new();
    place.write("access.yaml", BAD);
    place.write("lines.ndjson", LINES);
    place.write(
        "portreeve.toml",
        "[registration]\nopen = true\n[sessions]\nlife = \"never\"\nidle = \"never\"\n",
    );
    place.run(&["apply", "access.yaml"]).good();
    place.run(&["load", "lines.ndjson"]).good();
    place
        .run(&["role", "grant", "reader", "old", "--only", "other"])
        .good();
    let server = place.serve(&["--config", "portreeve.toml"]);
    server.sign_in("vera", "administers well");
    assert_eq!(server.stop(), 0);
    let json = doctor(&place, &["--config", "portreeve.toml"], 1);
    let found = found(&json);
    let at = |id: &str| {
        found
            .get(id)
            .map(|places| places.join(" | "))
            .unwrap_or_default()
    };
    for (id, places) in [
        ("index-missing", "roles.reader.permissions[0].rows"),
        ("grant-shadowed", "roles.shadowed.permissions[0]"),
        (
            "grant-never",
            "roles.dead.permissions[0].rows | roles.dead.permissions[1].when | roles.dead.permissions[2]",
        ),
        ("role-unused", ""),
        ("profile-unused", "profiles.nothing"),
        ("registration-privileged", "registration.roles"),
        ("one-administrator", "user vera"),
        ("foreign-hashes", "1 accounts: old"),
        ("sessions-endless", "1 accounts: vera | sessions"),
        ("mail-missing", "mail.host"),
    ] {
        assert_eq!(at(id), places, "{id}: {json}");
    }
    assert!(
        at("restriction-empty").contains("profiles.nothing.roles[0].restricted_to"),
        "{json}"
    );
    assert!(at("restriction-empty").contains("user "), "{json}");
    for place in [
        "roles.anonymous",
        "roles.everyone",
        "roles.public.implicit_allow",
    ] {
        assert!(at("open-door").contains(place), "{json}");
    }
    let fix = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == "index-missing");
    assert_eq!(
        fix.unwrap()["fix"],
        "collections.notes.indexes: add [owner]"
    );
    assert_eq!(json["administrators"][0]["name"], "vera");
    assert_eq!(json["administrators"][0]["binding"]["role"], "admin");
    assert!(json["administrators"][0]["seen"].is_string(), "{json}");
    // The gravest first, and told to people as well.
    let text = place.run(&["doctor", "--config", "portreeve.toml"]).out;
    assert!(text.starts_with("error: open-door at "), "{text}");
    assert!(
        text.contains("    fix: ") && text.contains("vera "),
        "{text}"
    );
    // A role that nobody holds any more.
    place.run(&["role", "revoke", "shadowed", "old"]).good();
    let json = doctor(&place, &[], 1);
    assert_eq!(self::found(&json)["role-unused"], ["roles.shadowed"]);
}

#[test]
fn configurations_that_fit_together_badly_are_found() {
    let place = Place::new();
    let json = doctor_of_nothing(&place);
    assert_eq!(found(&json)["no-administrator"], ["bindings"]);
    let said = |text: &str| {
        place.write("portreeve.toml", text);
        mode(&place, "portreeve.toml", 0o644);
        found(&doctor(&place, &["--config", "portreeve.toml"], 1))
    };
    for (text, id, at) in [
        (
            "[server]\ndevelopment = true\npublic_url = \"https://school.example\"\n",
            "development-exposed",
            "server.development",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:7600\"\n",
            "no-tls",
            "server.listen",
        ),
        (
            "[server]\npublic_url = \"http://school.example\"\n",
            "no-tls",
            "server.public_url",
        ),
        (
            "[server]\npublic_url = \"https://school.example\"\n",
            "proxy-unknown",
            "server.trusted_proxies",
        ),
        (
            "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n",
            "proxy-trusts-all",
            "server.trusted_proxies",
        ),
        (
            "[sessions]\nlife = \"never\"\nidle = \"never\"\n",
            "sessions-endless",
            "sessions",
        ),
        (
            "[registration]\nopen = true\nconfirmation = true\n",
            "mail-undeliverable",
            "registration.confirmation",
        ),
        (
            "[mail]\nhost = \"mail.example\"\n",
            "mail-undeliverable",
            "mail",
        ),
        (
            "[mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\n",
            "mail-links-missing",
            "mail.reset_url",
        ),
        (
            "[mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\nuser = \"a\"\npassword = \"b\"\n",
            "secret-exposed",
            "the configuration file",
        ),
    ] {
        let found = said(text);
        assert_eq!(
            found.get(id),
            Some(&vec![at.to_owned()]),
            "{text}: {found:?}"
        );
    }
    mode(&place, "portreeve-data", 0o755);
    assert_eq!(said("")["data-exposed"], ["data.folder"]);
    // A secret that everybody can read is not even read.
    place.write("secret", "postgres://nobody:top-secret@127.0.0.1/none\n");
    mode(&place, "secret", 0o644);
    place.write("portreeve.toml", "[data]\ndatabase_file = \"secret\"\n");
    let ran = place.run(&["doctor", "--config", "portreeve.toml"]);
    ran.failed(&["data.database_file", "chmod o-rwx"]);
}

fn doctor_of_nothing(place: &Place) -> Json {
    place.run(&["init"]).good();
    doctor(place, &[], 1)
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let place = Place::new();
    let good = BAD.split("roles:").next().unwrap().replace(
        "    fields: { owner",
        "    indexes: [owner]\n    fields: { owner",
    );
    place.write(
        "access.yaml",
        &format!(
            "{good}roles:\n  reader:\n    permissions:\n      - {{ allow: data.read, on: notes, rows: \"owner = $user.username\" }}\n  anonymous:\n    permissions:\n      - {{ allow: data.read, on: other }}\n"
        ),
    );
    place.run(&["apply", "access.yaml"]).good();
    for name in ["vera", "vic"] {
        let create = [
            "user",
            "create",
            name,
            "--role",
            "admin",
            "--password-stdin",
        ];
        place.pipe(&create, "administers well\n").good();
    }
    place
        .run(&[
            "user",
            "create",
            "anna",
            "--no-password",
            "--role",
            "reader",
        ])
        .good();
    place.write("mail.password", "top secret\n");
    mode(&place, "mail.password", 0o600);
    place.write(
        "portreeve.toml",
        "[server]\npublic_url = \"https://school.example\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [mail]\nhost = \"mail.example\"\nfrom = \"a@b.example\"\nuser = \"a\"\npassword_file = \"mail.password\"\n\
         reset_url = \"https://school.example/reset\"\n",
    );
    let json = doctor(&place, &["--config", "portreeve.toml"], 0);
    assert_eq!(json["findings"], Json::Array(vec![]));
    assert_eq!(json["administrators"].as_array().map(Vec::len), Some(2));
    let before = place.run(&["export", "--with-bindings"]).good().out;
    let trail = place.run(&["audit", "list"]).good().out;
    let text = place
        .run(&["doctor", "--config", "portreeve.toml"])
        .good()
        .out;
    assert!(
        text.starts_with("0 errors, 0 warnings, 0 notices\n"),
        "{text}"
    );
    assert_eq!(place.run(&["export", "--with-bindings"]).good().out, before);
    assert_eq!(place.run(&["audit", "list"]).good().out, trail);
}

#[test]
fn the_school_is_in_good_order() {
    let place = Place::new();
    let school = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/school/access.yaml"
    );
    place.run(&["apply", school]).good();
    let line = |kind: &str, name: &str| {
        format!("{{\"user\": {{\"username\": \"a-{name}\", \"{kind}\": [\"{name}\"]}}}}\n")
    };
    let roles = ["admin", "student", "teacher", "registrar"].map(|role| line("roles", role));
    let profiles = ["class_teacher", "principal"].map(|profile| line("profiles", profile));
    place.write("accounts.ndjson", &(roles.concat() + &profiles.concat()));
    place.run(&["load", "accounts.ndjson"]).good();
    let json = doctor(&place, &[], 1);
    let found = found(&json);
    let kinds: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["mail-missing", "one-administrator"], "{json}");
}

#[test]
fn a_policy_that_has_lost_its_tables_is_told() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let database = postgres.database();
    database.sql("CREATE TABLE notes (id int PRIMARY KEY, owner text)");
    let url = database.url();
    let place = Place::new();
    place.write("access.yaml", "roles:\n  reader:\n    permissions: [{ allow: data.read, on: notes, rows: \"owner = $user.username\" }]\n");
    let there = ["--database", url.as_str()];
    place
        .run(&[&["apply", "access.yaml"][..], &there].concat())
        .good();
    database.sql("DROP TABLE notes");
    let json = doctor(&place, &there, 1);
    assert_eq!(found(&json)["policy-unreadable"], ["policy"], "{json}");
}
