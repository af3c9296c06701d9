//! The audit trail from the command line: sealed by commands and by the server, checked, listed.

use std::fs;

use serde_json::{Value as Json, json};

use crate::program::{Place, data};

fn verified(place: &Place) -> Json {
    place.run(&["audit", "verify", "--json"]).good().json()
}

fn listed(place: &Place, arguments: &[&str]) -> Vec<Json> {
    let mut all = vec!["audit", "list", "--json"];
    all.extend(arguments);
    let ran = place.run(&all).good();
    let lines = ran.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_commands_do_is_sealed_when_they_have_ended() {
    let place = Place::filled();
    let report = verified(&place);
    let lines = listed(&place, &[]);
    assert_eq!(report["sealed"], lines.len());
    assert_eq!(
        (&report["waiting"], &report["good"]),
        (&json!(0), &json!(true))
    );
    let head = place.run(&["audit", "head"]).good().out;
    let head = head.trim();
    assert!(head.starts_with(&format!("{}:", lines.len())), "{head}");
    place.run(&["user", "create", "cy", "--no-password"]).good();
    let report = verified(&place);
    assert_eq!(report["sealed"], lines.len() + 1);
    // A head of before is still one of this chain; one that is not is told.
    let checked = place.run(&["audit", "verify", "--head", head]).good();
    assert!(
        checked.out.contains("the chain is whole"),
        "{}",
        checked.out
    );
    let other = format!("1:{}", "0".repeat(64));
    let ran = place.run(&["audit", "verify", "--head", &other]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.out.contains("noted: ") && ran.out.contains("1 fault"),
        "{}",
        ran.out
    );
    let ran = place.run(&["audit", "verify", "--head", "nonsense"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("64 hexadecimal digits"), "{}", ran.err);
}

#[test]
fn lines_are_listed_as_they_are_asked_for() {
    let place = Place::filled();
    place.run(&["user", "create", "cy", "--no-password"]).good();
    let all = listed(&place, &[]);
    let ids: Vec<i64> = all
        .iter()
        .map(|line| line["id"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.len() >= 4, "{ids:?}");
    let made = listed(&place, &["--action", "user.create"]);
    assert_eq!(made.len(), 3);
    let cy = &made[2];
    assert_eq!(cy["actor"], "operator");
    let target = cy["target"].as_str().unwrap();
    assert_eq!(&listed(&place, &["--target", target])[..], &made[2..]);
    assert_eq!(listed(&place, &["--actor", "operator"]).len(), all.len());
    assert_eq!(listed(&place, &["--actor", "anna"]), Vec::<Json>::new());
    assert_eq!(listed(&place, &["--since", "2020-01-01"]).len(), all.len());
    assert_eq!(
        listed(&place, &["--since", "2999-01-01T00:00:00Z"]).len(),
        0
    );
    place
        .run(&["audit", "list", "--since", "yesterday"])
        .failed(&["since", "2026-11-22"]);
    let text = place
        .run(&["audit", "list", "--action", "policy.apply"])
        .good();
    assert!(
        text.out.contains("  operator  policy.apply  "),
        "{}",
        text.out
    );
}

#[test]
fn a_file_that_was_tampered_with_is_told_by_its_line() {
    let place = Place::filled();
    let file = data(&place).join("portreeve.db");
    let mut bytes = fs::read(&file).unwrap();
    let word = b"policy.apply";
    let found: Vec<usize> = (0..bytes.len() - word.len())
        .filter(|at| bytes[*at..].starts_with(word))
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at] = b'q';
    }
    fs::write(&file, bytes).unwrap();
    let ran = place.run(&["audit", "verify"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.out
            .contains("altered: line 1 does not say what was sealed at position 1"),
        "{}",
        ran.out
    );
    let json = place.run(&["audit", "verify", "--json"]).json();
    assert_eq!(json["good"], false);
    assert_eq!(json["findings"][0]["fault"], "altered");
    assert_eq!(json["findings"][0]["line"], 1);
}

#[test]
fn the_server_seals_what_it_does() {
    let place = Place::filled();
    let before = verified(&place)["sealed"].as_u64().unwrap();
    let server = place.serve(&["--dev"]);
    let code = server.said("setup code: ");
    let root = json!({ "code": code, "username": "root", "password": "root-password" });
    let (status, made) = server.ask("POST", "/v1/setup", None, Some(root));
    assert!(status < 300, "{made}");
    let root = server.sign_in("root", "root-password");
    let user = json!({ "username": "dee", "password": "dee-password-1" });
    let (status, made) = server.ask("POST", "/v1/users", Some(&root), Some(user));
    assert_eq!(status, 201, "{made}");
    // Beside it, and sealed in a moment: each look takes a while.
    let sealed = (0..1_000).find_map(|_| {
        let report = verified(&place);
        let sealed = report["sealed"].as_u64().unwrap();
        (report["waiting"] == 0 && sealed >= before + 2).then_some(sealed)
    });
    assert!(sealed.is_some());
    let user = json!({ "username": "eve", "password": "eve-password-1" });
    server.ask("POST", "/v1/users", Some(&root), Some(user));
    // What is done last is sealed before it stops.
    assert_eq!(server.stop(), 0);
    let report = verified(&place);
    assert_eq!(report["waiting"], 0);
    assert!(report["sealed"].as_u64() > sealed);
}

#[test]
fn a_backup_keeps_the_chain() {
    let place = Place::filled();
    let head = place.run(&["audit", "head"]).good().out;
    place.run(&["backup", "b.db"]).good();
    place.run(&["restore", "b.db", "--data", "again"]).good();
    let verify = [
        "audit",
        "verify",
        "--data",
        "again",
        "--head",
        head.trim(),
        "--json",
    ];
    // That it was restored is a line of its own, sealed by whoever writes next.
    let report = place.run(&verify).good().json();
    assert_eq!(report["waiting"], 1);
    place
        .run(&["user", "create", "cy", "--no-password", "--data", "again"])
        .good();
    let after = place.run(&verify).good().json();
    assert_eq!(after["waiting"], 0);
    assert_eq!(
        after["sealed"].as_u64(),
        report["sealed"].as_u64().map(|sealed| sealed + 2)
    );
}

#[test]
fn a_denial_is_explained_by_its_id() {
    let place = Place::filled();
    let server = place.serve(&["--dev"]);
    let anna = server.sign_in("anna", "anna-learns-1");
    let score = json!({ "score": 100 });
    let (status, denied) = server.ask("PATCH", "/v1/records/grades/1", Some(&anna), Some(score));
    assert_eq!(status, 403, "{denied}");
    let id = denied["decision_id"].as_str().unwrap();
    // What is in memory is written down before it stops.
    assert_eq!(server.stop(), 0);
    let told = place.run(&["explain", id]).good().out;
    for said in [
        "answer    forbidden",
        "action    data.update.one",
        "on        grades",
        "judged again under version 1",
        "deny: no role in force allows data.update.one on grades",
        "note: what was sent is not kept",
    ] {
        assert!(told.contains(said), "'{said}' is missing: {told}");
    }
    let json = place.run(&["explain", id, "--json"]).good().json();
    assert_eq!(json["denial"]["id"], id);
    assert_eq!(json["judged_again"]["decision"], "deny");
    place
        .run(&["explain", "01a20236-7599-7b48-ab30-a5b82cb0b8e3"])
        .failed(&["no decision", "[audit]"]);
    // And nothing of it where nothing is to be kept.
    place.write("portreeve.toml", "[audit]\ndenials = \"none\"\n");
    let server = place.serve(&["--dev", "--config", "portreeve.toml"]);
    let anna = server.sign_in("anna", "anna-learns-1");
    let score = json!({ "score": 100 });
    let (_, denied) = server.ask("PATCH", "/v1/records/grades/1", Some(&anna), Some(score));
    assert_eq!(server.stop(), 0);
    let id = denied["decision_id"].as_str().unwrap();
    place.run(&["explain", id]).failed(&["no decision"]);
}

#[test]
fn the_log_names_decisions_and_nothing_that_was_sent() {
    let place = Place::filled();
    place.write("portreeve.toml", "[log]\nfilter = \"debug\"\n");
    let server = place.serve(&["--dev", "--config", "portreeve.toml"]);
    let anna = server.sign_in("anna", "anna-learns-1");
    let score = json!({ "score": 123_454_321 });
    let (_, denied) = server.ask("PATCH", "/v1/records/grades/1", Some(&anna), Some(score));
    let id = denied["decision_id"].as_str().unwrap();
    let filter = "/v1/records/vault?filter=score+%3D+123454321";
    let (status, _) = server.ask("GET", filter, Some(&anna), None);
    assert_eq!(status, 404);
    let told = server.stop_and_tell();
    let log: Vec<&str> = told.lines().collect();
    let named: Vec<&&str> = log.iter().filter(|line| line.contains(id)).collect();
    assert!(
        named.iter().any(|line| line.contains("forbidden")),
        "{named:?}"
    );
    let request = |line: &&&&str| line.contains("status=403") && line.contains("request_id=");
    assert!(named.iter().any(|line| request(&line)), "{named:?}");
    let hidden = |line: &&&str| line.contains("/v1/records/vault") && line.contains("decision_id=");
    assert!(log.iter().any(|line| hidden(&line)), "{log:?}");
    assert!(
        log.iter()
            .any(|line| line.contains("the head of the audit trail")),
        "{log:?}"
    );
    for secret in [&*anna, "anna-learns-1", "123454321", "filter="] {
        let told = log.iter().find(|line| line.contains(secret));
        assert_eq!(told, None);
    }
}
