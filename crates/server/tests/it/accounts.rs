//! `init` and `user`.

use crate::program::{Place, data, exists};

#[test]
fn init_makes_a_folder_and_says_what_comes_next() {
    let place = Place::new();
    let ran = place.run(&["init", "--data", "deep/down"]).good();
    assert!(
        ran.out
            .contains("portreeve user create NAME --role admin --data deep/down")
    );
    assert!(exists(&place.folder.join("deep/down/portreeve.db")));
    // Again: nothing happens.
    place.run(&["init", "--data", "deep/down"]).good();
    let json = place
        .run(&["init", "--data", "deep/down", "--json"])
        .good()
        .json();
    assert_eq!(json["administrator"], false);
}

#[test]
fn accounts_are_made_listed_and_given_passwords() {
    let place = Place::filled();
    let create = [
        "user",
        "create",
        "ada",
        "--role",
        "admin",
        "--email",
        "ada@school.example",
    ];
    let ran = place
        .pipe(
            &[&create[..], &["--password-stdin"]].concat(),
            "ada-teaches-3\n",
        )
        .good();
    assert!(
        ran.out.starts_with("created ada (") && ran.out.trim_end().ends_with("admin"),
        "{}",
        ran.out
    );
    let listed = place.run(&["user", "list"]).good();
    let names: Vec<&str> = listed
        .out
        .lines()
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(names, ["username", "anna", "bo", "ada"]);
    let users = place.run(&["user", "list", "--json"]).good().json();
    assert_eq!(users["users"][2]["email"], "ada@school.example");
    assert_eq!(users["users"][2]["roles"], serde_json::json!(["admin"]));
    let ran = place
        .pipe(
            &["user", "password", "bo", "--password-stdin"],
            "bo-learns-22\n",
        )
        .good();
    assert!(ran.out.contains("'bo' has a new password"));
}

#[test]
fn accounts_are_shown_changed_disabled_and_ended() {
    let place = Place::filled();
    place
        .run(&["user", "create", "ada", "--role", "admin", "--no-password"])
        .good();
    let update = ["user", "update", "anna", "--email", "anna@school.example"];
    place
        .run(&[&update[..], &["--confirmed", "true"]].concat())
        .good();
    let shown = place
        .run(&["user", "show", "ANNA@school.example", "--json"])
        .good()
        .json();
    assert_eq!(
        (&shown["username"], &shown["confirmed"]),
        (&"anna".into(), &true.into())
    );
    assert_eq!(shown["bound_to"][0], "role 'student'");
    let lines = place.run(&["user", "show", "anna"]).good().out;
    assert!(
        lines.contains("anna@school.example") && !lines.contains("argon2"),
        "{lines}"
    );
    let status = || place.run(&["user", "show", "anna", "--json"]).good().json()["status"].clone();
    place.run(&["user", "disable", "anna"]).good();
    assert_eq!(status(), "disabled");
    place.run(&["user", "enable", "anna"]).good();
    assert_eq!(status(), "active");
    for command in ["disable", "delete"] {
        place
            .run(&["user", command, "ada"])
            .failed(&["no active administrator"]);
    }
    place
        .run(&["user", "update", "anna", "--username", "bo"])
        .failed(&["already"]);
    place
        .run(&["user", "update", "anna", "--values", "[]"])
        .failed(&["--values is no JSON object"]);
    place
        .run(&["user", "show", "nobody"])
        .failed(&["no user 'nobody'"]);
    place
        .run(&["user", "create", "cleo", "--no-password"])
        .good();
    place.run(&["user", "delete", "cleo"]).good();
    place
        .run(&["user", "delete", "cleo"])
        .failed(&["no user 'cleo'"]);
}

#[test]
fn passwords_move_only_where_that_is_said() {
    let place = Place::filled();
    let plain = place.run(&["export", "--records"]).good().out;
    assert!(!plain.contains("password_hash"), "{plain}");
    let all = place
        .run(&["export", "--records", "--with-passwords"])
        .good()
        .out;
    assert!(all.contains(r#""password_hash":"$argon2id$"#), "{all}");
}

#[test]
fn what_does_not_fit_is_told_in_a_line() {
    let place = Place::filled();
    let create = |extra: &[&str], input: &str| {
        place.pipe(
            &[&["user", "create", "x", "--password-stdin"], extra].concat(),
            input,
        )
    };
    create(&["--role", "studnet"], "long-enough\n")
        .failed(&["no role 'studnet'", "did you mean 'student'?"]);
    create(&[], "short\n").failed(&["8 to 128 characters"]);
    create(&[], "").failed(&["no password on standard input"]);
    place
        .run(&["user", "create", "x"])
        .failed(&["no terminal", "--password-stdin"]);
    place
        .run(&["user", "create", "anna", "--no-password"])
        .failed(&["already"]);
    place
        .run(&["user", "create", "me", "--no-password"])
        .failed(&["'me' is reserved"]);
    place
        .run(&["user", "password", "nobody"])
        .failed(&["no user 'nobody'"]);
    // A password on the command line is no flag we know.
    let ran = place.run(&["user", "create", "x", "--password", "secret-secret"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn a_folder_that_cannot_be_used_is_told_with_the_way_out() {
    let place = Place::new();
    place.write("file", "");
    place
        .run(&["init", "--data", "file"])
        .failed(&["file", "writable"]);
    std::fs::create_dir(place.folder.join("foreign")).unwrap();
    place.write(
        "foreign/portreeve.db",
        "this is no database, but somebody's notes\n",
    );
    place
        .run(&["init", "--data", "foreign"])
        .failed(&["not a Portreeve database", "--data"]);
    let notes = std::fs::read_to_string(place.folder.join("foreign/portreeve.db")).unwrap();
    assert!(notes.starts_with("this is no database"));
    place
        .run(&["user", "list"])
        .failed(&["does not exist", "portreeve init"]);
    assert!(!exists(&data(&place)));
    let error = place.run(&["user", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&error.err).unwrap();
    assert_eq!(
        (error.code, json["error"]["code"].as_str()),
        (2, Some("data_folder"))
    );
}

#[test]
fn roles_are_made_handed_out_and_taken_away() {
    let place = Place::filled();
    std::fs::write(
        place.folder.join("more.yaml"),
        "roles:\n  reader:\n    label: Reads\n    permissions: [ { allow: data.read, on: grades } ]\n\
         profiles:\n  reading: { roles: [reader] }\n",
    )
    .unwrap();
    place
        .run(&["role", "create", "raeder", "more.yaml"])
        .failed(&["no role 'raeder'"]);
    place
        .run(&[
            "role",
            "create",
            "reader",
            "more.yaml",
            "--why",
            "for reading",
        ])
        .good();
    place
        .run(&["profile", "create", "reading", "more.yaml"])
        .good();
    let roles = place.run(&["role", "list", "--json"]).good().json();
    let roles: Vec<&str> = roles["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    assert!(
        roles.contains(&"reader") && roles.contains(&"admin"),
        "{roles:?}"
    );
    let shown = place.run(&["role", "show", "reader"]).good();
    assert!(shown.out.contains("\"data.read\""), "{}", shown.out);
    let may = |code: i32| {
        assert_eq!(
            place.run(&["can", "anna", "data.read", "grades/2"]).code,
            code
        );
    };
    may(1);
    place
        .run(&[
            "role",
            "grant",
            "reader",
            "anna",
            "--until",
            "2100-01-01T00:00:00Z",
        ])
        .good();
    may(0);
    place.run(&["role", "revoke", "reader", "anna"]).good();
    may(1);
    place
        .run(&["role", "revoke", "reader", "anna"])
        .failed(&["not bound to the role 'reader'"]);
    place
        .run(&["profile", "grant", "reading", "anna", "--only", "grades"])
        .good();
    may(0);
    place
        .run(&["role", "delete", "reader"])
        .failed(&["profiles.reading"]);
    place
        .run(&["profile", "delete", "reading"])
        .failed(&["anna holds it"]);
    place
        .run(&["profile", "delete", "reading", "--unbind"])
        .good();
    place.run(&["role", "delete", "reader"]).good();
    may(1);
    place
        .run(&["role", "show", "reader"])
        .failed(&["no role 'reader'"]);
    place
        .run(&["role", "grant", "student", "anna", "--until", "soon"])
        .failed(&["no moment"]);
}
