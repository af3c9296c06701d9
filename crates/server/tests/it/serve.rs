//! `serve`.

use std::net::TcpListener;

use serde_json::json;

use crate::program::{ACCESS, LINES, Place, data, exists};

#[test]
fn in_development_an_access_file_is_enough() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place.write("lines.ndjson", LINES);
    let start = ["--dev", "--access", "access.yaml", "--load", "lines.ndjson"];
    let server = place.serve(&start);
    let administrator = server.said("administrator: ");
    let (name, password) = administrator.split_once("  password: ").unwrap();
    assert_eq!(name, "admin");
    let admin = server.sign_in(name, password);
    let anna = server.sign_in("anna", "anna-learns-1");
    let (status, list) = server.ask("GET", "/v1/records/grades", Some(&anna), None);
    assert_eq!(status, 200, "{list}");
    let scores: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["score"])
        .collect();
    assert_eq!(scores, [&json!(90)]);
    let (status, _) = server.ask("GET", "/v1/records/grades/2", Some(&anna), None);
    assert_eq!(status, 404);
    let (status, _) = server.ask("GET", "/v1/records/grades/2", Some(&admin), None);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), 0);
    // Closed in order: nothing is left beside the database.
    assert!(exists(&data(&place).join("portreeve.db")));
    assert!(!exists(&data(&place).join("portreeve.db-wal")));
    // What was loaded is not loaded again, and the administrator's password is not said again.
    let server = place.serve(&start);
    assert!(
        !server.said.iter().any(|line| line.contains("password")),
        "{:?}",
        server.said
    );
    server.sign_in(name, password);
}

#[test]
fn a_first_start_is_closed_until_the_code_is_used() {
    let place = Place::new();
    let server = place.serve(&[]);
    let code = server.said("setup code: ");
    assert!(
        server.said.iter().any(|line| line.contains("/v1/setup")),
        "{:?}",
        server.said
    );
    let (status, refused) = server.ask("GET", "/v1/me", None, None);
    assert_eq!(refused["code"], "setup_required", "{status} {refused}");
    let root = json!({ "code": code, "username": "root", "password": "root-password" });
    let (status, made) = server.ask("POST", "/v1/setup", None, Some(root.clone()));
    assert!(status < 300, "{made}");
    let (status, again) = server.ask("POST", "/v1/setup", None, Some(root));
    assert!(status >= 400, "{again}");
    server.sign_in("root", "root-password");
    assert_eq!(server.stop(), 0);
    let server = place.serve(&[]);
    assert!(
        !server.said.iter().any(|line| line.contains("setup")),
        "{:?}",
        server.said
    );
}

#[test]
fn commands_that_read_work_beside_it_and_others_name_it() {
    let place = Place::filled();
    let server = place.serve(&[]);
    place.run(&["can", "anna", "read", "grades/1"]).good();
    place.run(&["user", "list"]).good();
    place.run(&["plan", "access.yaml"]).good();
    place.run(&["test", "access.yaml"]).good();
    let pid = server.pid().to_string();
    place
        .run(&["apply", "access.yaml"])
        .failed(&["in use by process", &pid, "Stop that process"]);
    place.run(&["load", "lines.ndjson"]).failed(&[&pid]);
    place
        .run(&["user", "create", "x", "--no-password"])
        .failed(&[&pid]);
    let second = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((second.code, second.out.as_str()), (2, ""));
    assert!(second.err.contains(&pid), "{}", second.err);
    assert_eq!(server.stop(), 0);
    place.run(&["user", "create", "x", "--no-password"]).good();
}

#[test]
fn where_it_cannot_listen_it_says_why_and_touches_nothing() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place
        .run(&["serve", "--listen", &address])
        .failed(&[&address, "taken", "--listen"]);
    place
        .run(&["serve", "--dev", "--listen", "0.0.0.0:0"])
        .failed(&["loopback", "--dev"]);
    place
        .run(&["serve", "--listen", "192.0.2.1:7600"])
        .failed(&["no address of this machine"]);
    place
        .run(&["serve", "--access", "nowhere.yaml"])
        .failed(&["there is no file nowhere.yaml"]);
    place
        .run(&["serve", "--load", "nowhere.ndjson"])
        .failed(&["there is no file nowhere.ndjson"]);
    assert!(!place.folder.join("portreeve-data").exists());
}

#[test]
fn an_access_file_that_would_lose_data_is_not_put_in_force_by_a_start() {
    let place = Place::filled();
    place.write("less.yaml", &ACCESS.replace("      note: text\n", ""));
    let ran = place.run(&["serve", "--listen", "127.0.0.1:0", "--access", "less.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.contains("'note' of 'grades'") && ran.err.contains("apply"),
        "{}",
        ran.err
    );
}
