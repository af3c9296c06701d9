//! Decision ids: on each denial, explained to those entitled, and nothing to anybody else.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World};

const ID: &str = "portreeve-decision-id";

fn id(reply: &Reply) -> String {
    reply.headers[ID].to_str().unwrap().to_owned()
}

// Everything but the ids.
fn comparable(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers.iter();
    let headers = headers
        .filter(|(name, _)| *name != "x-request-id" && *name != ID)
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let text = reply.text().replace(&id(reply), "ID");
    (reply.status.as_u16(), headers.collect(), text)
}

async fn explain(world: &World, token: &str, id: &str) -> Reply {
    let body = json!({ "decision": id });
    world.post("/v1/explain", token, &body).await
}

async fn explained(world: &World, id: &str) -> Json {
    let admin = world.token(ADMIN).await;
    let reply = explain(world, &admin, id).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn a_denial_is_remembered_and_tells_its_caller_nothing() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let score = json!({ "score": 6 });
    let forbidden = world.patch("/v1/records/grades/1", &anna, &score).await;
    assert_eq!(forbidden.status, 403);
    assert_eq!(forbidden.json()["decision_id"], id(&forbidden));
    let hidden = world.get("/v1/records/grades/27", &anna).await;
    let missing = world.get("/v1/records/grades/9999", &anna).await;
    assert_eq!(comparable(&hidden), comparable(&missing));
    assert_ne!(id(&hidden), id(&missing));
    // Whose id it is makes no difference, nor whether there is one.
    let nobodys = "01a20236-7599-7b48-ab30-a5b82cb0b8e3";
    let expected = comparable(&explain(&world, &anna, nobodys).await);
    assert_eq!(expected.0, 403);
    for id in [&id(&forbidden), &id(&hidden), &id(&missing), "", "nonsense"] {
        let reply = explain(&world, &anna, id).await;
        assert_eq!(comparable(&reply), expected, "{id}");
    }
    let nobody = explain(&world, "", &id(&hidden)).await;
    assert_eq!(nobody.code(), "unauthenticated");

    let one = explained(&world, &id(&forbidden)).await;
    let denial = &one["denial"];
    assert_eq!(denial["id"], id(&forbidden));
    assert_eq!(denial["answer"], "forbidden");
    assert_eq!(denial["principal"], "user");
    assert_eq!(denial["operation"], "records.update");
    assert_eq!(denial["method"], "PATCH");
    assert_eq!(denial["action"], "data.update.one");
    assert_eq!(
        (&denial["collection"], &denial["key"]),
        (&json!("grades"), &json!("1"))
    );
    assert_eq!(one["policy_changed"], false);
    assert_eq!(one["judged_again"]["decision"], "deny");
    assert!(one["judged_again"]["summary"].is_string());
    // Nothing of what was sent or found is kept.
    let kept = denial.to_string();
    assert!(
        !kept.contains("score") && !kept.contains("between us"),
        "{kept}"
    );

    let one = explained(&world, &id(&hidden)).await;
    assert_eq!(one["denial"]["answer"], "not_found");
    let failed = one["judged_again"]["considered"].to_string();
    assert!(failed.contains("student = $user"), "{one}");
    let one = explained(&world, &id(&missing)).await;
    let before = one["judged_again"]["before"].as_str().unwrap();
    assert!(before.contains("there is no record '9999'"), "{before}");
    // For those entitled an unknown id is what is not there.
    let admin = world.token(ADMIN).await;
    for id in [nobodys, "nonsense"] {
        assert_eq!(explain(&world, &admin, id).await.code(), "not_found");
    }
}

#[tokio::test]
async fn what_is_denied_is_named_however_it_was_asked_for() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let of = async |reply: Reply| {
        let denial = explained(&world, &id(&reply)).await["denial"].take();
        ["principal", "action", "collection", "key"].map(|name| denial[name].clone())
    };
    let said = |texts: [Option<&str>; 4]| texts.map(|text| text.map_or(Json::Null, Json::from));
    let list = of(world.get("/v1/records/vault", &anna).await).await;
    let vault = [Some("user"), Some("data.read.many"), Some("vault"), None];
    assert_eq!(list, said(vault));
    let nobody = of(world.get("/v1/records/grades/1", "").await).await;
    let one = [
        Some("anonymous"),
        Some("data.read.one"),
        Some("grades"),
        Some("1"),
    ];
    assert_eq!(nobody, said(one));
    let tess = world.token("tess").await;
    let changes = json!({ "changes": [
        { "update": "grades", "key": 3, "set": { "score": 1 } },
        { "delete": "vault", "key": 1 },
    ] });
    let denied = of(world.post("/v1/changes", &tess, &changes).await).await;
    let second = [
        Some("user"),
        Some("data.delete.many"),
        Some("vault"),
        Some("1"),
    ];
    assert_eq!(denied, said(second));
    let role = json!({ "key": "mine", "permissions": [] });
    let denied = of(world.post("/v1/roles", &tess, &role).await).await;
    assert_eq!(
        denied,
        said([Some("user"), Some("access.author"), None, None])
    );
    // What is no name, or a key that no database takes, is not judged again, and costs nothing.
    for path in [
        "/v1/records/1%20bad".to_owned(),
        "/v1/records/grades/%00".to_owned(),
        format!("/v1/records/grades/{}", "x".repeat(5_000)),
    ] {
        let reply = world.get(&path, &anna).await;
        assert_eq!(reply.status, 404);
        let one = explained(&world, &id(&reply)).await;
        assert_eq!(one["judged_again"], Json::Null, "{one}");
        let notes = one["notes"].to_string();
        assert!(
            notes.contains("not judged again") && notes.len() < 400,
            "{notes}"
        );
        assert!(one["denial"].to_string().len() < 1_000);
    }
    assert!(world.portreeve.keep_denials().await.unwrap() > 5);
    assert_eq!(world.portreeve.keep_denials().await.unwrap(), 0);
}

#[tokio::test]
async fn a_decision_is_asked_for_alone() {
    let world = World::school().await;
    let admin = world.token(ADMIN).await;
    let both = json!({ "decision": "x", "action": "read" });
    let reply = world.post("/v1/explain", &admin, &both).await;
    assert_eq!(reply.code(), "bad_body");
    assert_eq!(reply.json()["member"], "action");
    let check = json!({ "decision": "x", "action": "read" });
    let reply = world.post("/v1/check", &admin, &check).await;
    assert_eq!(reply.code(), "unknown_member");
}

#[tokio::test]
async fn the_trail_is_paged_by_id() {
    let world = World::school().await;
    let admin = world.token(ADMIN).await;
    let (mut ids, mut next) = (vec![], String::new());
    loop {
        let path = format!("/v1/records/audit?sort=id&limit=2{next}");
        let reply = world.get(&path, &admin).await;
        let json = reply.json();
        let page = json["data"].as_array().unwrap();
        ids.extend(page.iter().map(|line| line["id"].as_i64().unwrap()));
        match json["page"]["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let all: Vec<i64> = (1..=i64::try_from(ids.len()).unwrap()).collect();
    assert!(ids.len() > 4, "{ids:?}");
    assert_eq!(ids, all);
    let anna = world.token("anna").await;
    // It has a route of its own as well, which is the same.
    for path in ["/v1/records/audit", "/v1/audit"] {
        let reply = world.get(path, &anna).await;
        assert_eq!(reply.code(), "not_found", "{path}");
        let denial = explained(&world, &id(&reply)).await["denial"].take();
        assert_eq!(
            (&denial["action"], &denial["collection"]),
            (&json!("data.read.many"), &json!("audit"))
        );
        assert!(denial["at"].as_str().unwrap().ends_with('Z'), "{denial}");
    }
    let query = "?sort=id&limit=3&filter=action+%3D+'user.create'";
    let [one, other] = [
        world
            .get(&format!("/v1/records/audit{query}"), &admin)
            .await,
        world.get(&format!("/v1/audit{query}"), &admin).await,
    ];
    assert_eq!(
        (one.data(), one.data().as_array().unwrap().len()),
        (other.data(), 3)
    );
}
