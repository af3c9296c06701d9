//! Shares through the whole program: made and opened over HTTP, listed and ended by the command line, on both databases.

use portreeve_testkit::postgres::Postgres;
use serde_json::json;

use crate::program::{ACCESS, LINES, Place};

#[test]
fn a_share_outlives_the_program_and_ends_by_the_command_line() {
    let postgres = Postgres::find();
    let database = postgres.as_ref().map(Postgres::database);
    let url = database.as_ref().map(|database| database.url());
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
        place.write("lines.ndjson", LINES);
        run(&["apply", "access.yaml"]).good();
        run(&["load", "lines.ndjson"]).good();
        let create = [
            "user",
            "create",
            "root",
            "--role",
            "admin",
            "--password-stdin",
        ];
        let made = place.pipe(&[&create[..], &there].concat(), "correct horse\n");
        made.good();
        run(&["share", "list"]).good();
        let server = place.serve(&there);
        let admin = server.sign_in("root", "correct horse");
        let body = json!({ "collection": "grades", "record": 1, "fields": ["*"], "max_uses": 1, "name": "for\tgrandma" });
        let (status, refused) = server.ask("POST", "/v1/shares", Some(&admin), Some(body.clone()));
        assert_eq!(
            (status, &refused["code"]),
            (422, &json!("invalid")),
            "{refused}"
        );
        let mut body = body;
        body["name"] = json!("for grandma");
        let (status, made) = server.ask("POST", "/v1/shares", Some(&admin), Some(body));
        assert_eq!(status, 201, "{made}");
        let id = made["data"]["id"].as_str().unwrap().to_owned();
        let open = format!("/v1/shares/{id}/open");
        let (status, opened) = server.ask("POST", &open, None, Some(json!({})));
        assert_eq!(status, 200, "{opened}");
        let token = opened["data"]["token"].as_str().unwrap().to_owned();
        let (again, _) = server.ask("POST", &open, None, Some(json!({})));
        assert_eq!(again, 401);
        assert_eq!(server.stop(), 0);

        let list = run(&["share", "list"]).good().out;
        for said in [&*id, "grades/1", "1 of 1", "for grandma"] {
            assert!(list.contains(said), "{said}: {list}");
        }
        // Whoever has opened it goes on with the next start, until it ends.
        let server = place.serve(&there);
        let (status, shown) = server.ask("GET", "/v1/records/grades", Some(&token), None);
        assert_eq!(
            (status, shown["data"].as_array().map(Vec::len)),
            (200, Some(1))
        );
        let (status, _) = server.ask("DELETE", "/v1/records/grades/1", Some(&token), None);
        assert_eq!(status, 403);
        assert_eq!(server.stop(), 0);
        run(&["share", "end", "nothing"])
            .failed(&["there is no share 'nothing'", "portreeve share list"]);
        run(&["share", "end", &id]).good();
        let server = place.serve(&there);
        let (status, ended) = server.ask("GET", "/v1/records/grades", Some(&token), None);
        assert_eq!((status, &ended["code"]), (401, &json!("invalid_token")));
        assert_eq!(server.stop(), 0);
        let trail = run(&["audit", "list"]).good().out;
        for said in ["share.create", "share.delete"] {
            assert!(trail.contains(said), "{said}: {trail}");
        }
    }
}
