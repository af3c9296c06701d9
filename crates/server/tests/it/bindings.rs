//! `bindings:` and `templates:` of an access file: planned, put in force, written out and read again.

use portreeve_testkit::postgres::Postgres;
use serde_json::{Value as Json, json};

use crate::program::{ACCESS, Place, Server};

const BOUND: &str = r#"
profiles:
  staff: { roles: [{ role: student, restricted_to: [grades] }] }
bindings:
  anna: [student, { profile: staff, until: "2100-01-31T12:00:00Z", primary: true }]
  bo: []
templates:
  reset:
    subject: Your "word"
    text: |
      Hello {{ user.name }},

      {{ code }}
"#;

/// The whole of an access file with what is bound.
fn access(more: &str) -> String {
    let (before, tests) = ACCESS.split_at(ACCESS.find("tests:").unwrap());
    format!("{before}{more}\n{tests}")
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[test]
fn what_is_written_out_is_put_in_force_again_without_a_change() {
    let postgres = Postgres::find();
    let database = postgres.as_ref().map(Postgres::database);
    let url = database.as_ref().map(|database| database.url());
    let mut written = vec![];
    for there in [
        Some(vec![]),
        url.as_deref().map(|url| vec!["--database", url]),
    ] {
        let Some(there) = there else {
            continue;
        };
        let place = Place::new();
        let run = |arguments: &[&str]| place.run(&[arguments, &there].concat());
        place.write("access.yaml", ACCESS);
        place.write("lines.ndjson", crate::program::LINES);
        place.write("bound.yaml", &access(BOUND));
        run(&["apply", "access.yaml"]).good();
        run(&["load", "lines.ndjson"]).good();
        run(&["apply", "bound.yaml"]).good();
        let first = run(&["export", "--with-bindings"]).good().out;
        assert!(first.contains("  bo: []\n"), "{first}");
        place.write("first.yaml", &first);
        let trail = run(&["audit", "list"]).good().out;
        let plan = run(&["plan", "first.yaml", "--json"]).good().json();
        assert_eq!(
            (&plan["changes"], &plan["people"]),
            (&json!([]), &json!([]))
        );
        let applied = run(&["apply", "first.yaml", "--json"]).good().json();
        assert_eq!(applied["applied"], false);
        assert_eq!(applied["policy_version"], plan["planned_on"]);
        assert_eq!(run(&["audit", "list"]).good().out, trail);
        assert_eq!(run(&["export", "--with-bindings"]).good().out, first);
        // Where there is something else, it comes to the same.
        run(&["profile", "revoke", "staff", "anna"]).good();
        run(&["apply", "access.yaml"]).good();
        run(&["role", "revoke", "student", "anna"]).good();
        run(&["role", "grant", "student", "bo"]).good();
        run(&["apply", "first.yaml"]).good();
        assert_eq!(run(&["export", "--with-bindings"]).good().out, first);
        assert!(!run(&["export"]).good().out.contains("anna"));
        written.push(first);
    }
    assert!(written.iter().all(|one| *one == written[0]), "{written:?}");
}

#[test]
fn who_gains_and_who_loses_is_told() {
    let place = Place::filled();
    place.write(
        "bound.yaml",
        &access("bindings: { anna: [], bo: [student, everything] }").replace(
            "roles:\n",
            "roles:\n  everything: { administrator: true }\n",
        ),
    );
    let plan = place.run(&["plan", "bound.yaml"]).good().out;
    for said in [
        "+ role everything\n",
        "~ bindings anna\n    - {\"role\":\"student\",\"primary\":true}\n",
        "anna: loses data.read on grades\n",
        "bo: gains everything\n",
    ] {
        assert!(plan.contains(said), "{said}: {plan}");
    }
    // A rule that becomes another is neither.
    let wider = ACCESS.replace("fields: [student, score]", "fields: [student]");
    place.write("wider.yaml", &wider);
    let plan = place.run(&["plan", "wider.yaml", "--json"]).good().json();
    let people = &plan["people"][0];
    assert_eq!(
        (&people["who"], &people["count"]),
        (&json!(["anna", "bo"]), &json!(2))
    );
    assert_eq!(people["changes"], json!(["data.read on grades"]));
    place.write(
        "all.yaml",
        &ACCESS.replace("rows: \"student = $user\", ", ""),
    );
    let plan = place.run(&["plan", "all.yaml", "--json"]).good().json();
    assert_eq!(
        plan["people"][0]["gains"],
        json!(["data.read on grades (no longer limited)"])
    );
}

#[test]
fn what_cannot_be_is_told_with_its_place_and_changes_nothing() {
    let place = Place::filled();
    place.run(&["role", "grant", "admin", "anna"]).good();
    let before = place.run(&["export", "--with-bindings"]).good().out;
    let trail = lines(&place.run(&["audit", "list"]).good().out);
    let access = |more: &str| place.write("bad.yaml", &access(more));
    for (bad, said) in [
        (
            "bindings: { ana: [student] }",
            "(bindings.ana): there is no account 'ana'",
        ),
        (
            "bindings: { anna: [studnt] }",
            "there is no role 'studnt'; did you mean 'student'?",
        ),
        (
            "bindings: { anna: [{ profile: staf }] }",
            "there is no profile 'staf'",
        ),
        (
            "bindings: { bo: [{ role: admin, restricted_to: [grades] }] }",
            "cannot be restricted",
        ),
        (
            "bindings: { bo: [{ role: student, restricted_to: [grade] }] }",
            "grade",
        ),
        (
            "bindings: { bo: [{ role: student, untl: x }] }",
            "did you mean 'until'?",
        ),
        (
            "bindings: { bo: [{ role: user, primary: true }, { role: student, primary: true }] }",
            "is 'primary'",
        ),
        (
            "bindings: { bo: [], \"2\": [student] }",
            "is the same account as 'bo'",
        ),
        (
            "templates: { rest: }",
            "there is no kind of mail 'rest'; did you mean 'reset'?",
        ),
        (
            "templates: { reset: { subject: a, text: \"{{ user.nme }}\" } }",
            "did you mean 'user.name'?",
        ),
        (
            "templates: { reset: { subject: a } }",
            "the key 'text' is missing",
        ),
    ] {
        access(bad);
        for command in ["plan", "apply"] {
            let ran = place.run(&[command, "bad.yaml"]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{bad}");
            assert!(ran.err.starts_with("bad.yaml:"), "{bad}: {}", ran.err);
            assert!(ran.err.contains(said), "{bad}: {}", ran.err);
        }
    }
    access("bindings: { anna: [student] }");
    place
        .run(&["apply", "bad.yaml"])
        .failed(&["would leave no active administrator"]);
    assert_eq!(place.run(&["export", "--with-bindings"]).good().out, before);
    assert_eq!(lines(&place.run(&["audit", "list"]).good().out), trail);
}

#[test]
fn a_role_falls_away_with_the_bindings_to_it_as_one() {
    let place = Place::filled();
    let without = ACCESS[..ACCESS.find("roles:").unwrap()].to_owned();
    place.write(
        "held.yaml",
        &format!("{without}\nbindings: {{ anna: [] }}\n"),
    );
    place
        .run(&["apply", "held.yaml"])
        .failed(&["role 'student' cannot fall away while bo holds it"]);
    place.write(
        "free.yaml",
        &format!("{without}\nbindings: {{ anna: [], bo: [] }}\n"),
    );
    place.run(&["apply", "free.yaml"]).good();
    assert!(!place.run(&["role", "list"]).good().out.contains("student"));
}

const DELEGATED: &str = r#"
  clerk:
    permissions:
      - { allow: [policy.plan, policy.apply, access.grant, access.revoke, access.author] }
      - { allow: data.read, on: [users, bindings, roles] }
      - { allow: data.read, on: grades, rows: "student = $user", fields: [student, score] }
  marker:
    permissions:
      - { allow: data.update, on: grades }
"#;

fn document(server: &Server, token: &str) -> Json {
    let (status, plan) = server.ask("POST", "/v1/access/plan", Some(token), Some(json!({})));
    assert_eq!(status, 200, "{plan}");
    plan
}

#[test]
fn over_http_nobody_goes_beyond_what_he_holds() {
    let place = Place::filled();
    let roles = ACCESS.replace("tests:", &format!("{}tests:", &DELEGATED[1..]));
    place.write("access.yaml", &roles);
    place.run(&["apply", "access.yaml"]).good();
    place.pipe(
        &[
            "user",
            "create",
            "cleo",
            "--role",
            "clerk",
            "--password-stdin",
        ],
        "knows the rules 1\n",
    );
    place
        .run(&["user", "create", "vera", "--no-password", "--role", "admin"])
        .good();
    let server = place.serve(&[]);
    let token = server.sign_in("cleo", "knows the rules 1");
    let ask = |path: &str, body: &Json| server.ask("POST", path, Some(&token), Some(body.clone()));
    let plan = document(&server, &token);
    assert_eq!(plan["people"], json!([]), "who gains is for administrators");
    let whole = place.run(&["export", "--json"]).good().json();
    let with = |name: &str, value: Json| {
        let mut document = whole.clone();
        document[name] = value;
        document
    };
    // What he holds himself he hands out and takes away.
    let mut held = with("bindings", json!({ "bo": ["student"] }));
    let (status, done) = ask("/v1/access/apply", &held);
    assert_eq!((status, &done["changed"]), (200, &json!(true)), "{done}");
    held["bindings"] = json!({ "bo": [] });
    assert_eq!(ask("/v1/access/apply", &held).0, 200);
    // A role within what he holds he authors.
    let mut within = whole.clone();
    within["roles"]["reader"] = json!({ "permissions": [
        { "allow": "data.read", "on": "grades", "rows": "student = $user", "fields": ["score"] },
    ] });
    let (status, done) = ask("/v1/access/apply", &within);
    assert_eq!(status, 200, "{done}");
    let state = || {
        let trail = place.run(&["audit", "list"]).good().out;
        let trail: Vec<String> = trail
            .lines()
            .filter(|line| !line.contains("sign_in"))
            .map(str::to_owned)
            .collect();
        (place.run(&["export", "--with-bindings"]).good().out, trail)
    };
    let before = state();
    let mut wider = within.clone();
    wider["roles"]["reader"]["permissions"][0]["rows"] = json!(true);
    let mut both = within.clone();
    both["roles"]["other"] = json!({ "permissions": [] });
    both["bindings"] = json!({ "bo": ["student"] });
    for (beyond, status, code) in [
        (
            json!({ "bindings": { "bo": ["marker"] } }),
            403,
            "beyond_own_rights",
        ),
        (
            json!({ "bindings": { "bo": ["admin"] } }),
            403,
            "beyond_own_rights",
        ),
        (
            json!({ "bindings": { "vera": [] } }),
            403,
            "beyond_own_rights",
        ),
        (
            json!({ "bindings": { "nobody": ["student"] } }),
            422,
            "bad_policy",
        ),
    ] {
        let mut document = within.clone();
        document["bindings"] = beyond["bindings"].clone();
        let (found, answer) = ask("/v1/access/apply", &document);
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{answer}");
    }
    for beyond in [wider, both] {
        let (found, answer) = ask("/v1/access/apply", &beyond);
        assert_eq!(found, 403, "{answer}");
    }
    let (status, _) = server.ask("GET", "/v1/access?bindings=true", Some(&token), None);
    assert_eq!(status, 403);
    assert_eq!(state(), before);
}
