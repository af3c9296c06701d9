//! Collections, access documents, checks and explanations.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, World};

#[tokio::test]
async fn collections_show_what_a_caller_knows() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let all = world.get("/v1/collections", &anna).await.data();
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["courses", "grades"]);
    let courses = world.get("/v1/collections/courses", &anna).await.data();
    let fields: Vec<&str> = courses["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["id", "title", "teacher"]);
}

#[tokio::test]
async fn collections_come_change_and_go() {
    let world = World::school().await;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let books =
        json!({ "name": "shop/books", "key": { "id": "integer" }, "fields": { "title": "text" } });
    assert_eq!(
        world.post("/v1/collections", &anna, &books).await.code(),
        "forbidden"
    );
    assert_eq!(
        world.post("/v1/collections", "", &books).await.code(),
        "unauthenticated"
    );
    let made = world.post("/v1/collections", &root, &books).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let location = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(location, "/v1/collections/shop%2Fbooks");
    assert_eq!(
        world.post("/v1/collections", &root, &books).await.code(),
        "exists"
    );
    let book = json!({ "title": "Aeneid" });
    assert_eq!(
        world
            .post("/v1/records/shop%2Fbooks", &root, &book)
            .await
            .status,
        201
    );

    let changes = |list: Json| json!({ "changes": list });
    let change = async |list: Json| world.patch(&location, &root, &changes(list)).await;
    let done = change(json!([
        { "change": "add_field", "name": "pages", "field": "integer" },
        { "change": "rename_field", "name": "title", "to": "name" },
        { "change": "add_index", "fields": ["name", "pages"] },
    ]))
    .await;
    assert_eq!(done.status, 200, "{}", done.text());
    let book = world.get("/v1/records/shop%2Fbooks/1", &root).await.data();
    assert_eq!(book, json!({ "id": 1, "name": "Aeneid", "pages": null }));
    for (list, code) in [
        (json!([]), "bad_body"),
        (json!("add"), "bad_body"),
        (
            json!([{ "change": "ad_field", "name": "x", "field": "text" }]),
            "bad_body",
        ),
        (
            json!([{ "change": "add_field", "name": "x", "field": "txt" }]),
            "bad_policy",
        ),
        (
            json!([{ "change": "drop_field", "name": "pages" }]),
            "drops_unconfirmed",
        ),
    ] {
        let reply = change(list).await;
        assert_eq!(reply.code(), code, "{}", reply.text());
    }
    assert_eq!(
        world.delete(&location, &root).await.code(),
        "drops_unconfirmed"
    );
    let gone = world
        .delete(&format!("{location}?confirm_drops=true"), &root)
        .await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(world.get(&location, &root).await.code(), "not_found");
    let named = world
        .delete("/v1/collections/grades?confirm_drops=true", &root)
        .await;
    assert_eq!(named.code(), "named_by_policy", "{}", named.text());
}

#[tokio::test]
async fn access_documents_are_planned_and_applied() {
    let world = World::school().await;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let shown = world.raw("GET", "/v1/access", &root, "", "").await;
    assert_eq!(shown.headers["content-type"], "application/yaml");
    let document = shown.text();
    let same = world
        .raw(
            "POST",
            "/v1/access/plan",
            &root,
            "application/yaml",
            document.clone(),
        )
        .await;
    assert_eq!(same.json()["changes"], json!([]), "{}", same.text());

    let wider = document.replace(
        "fields: [id, title, teacher]",
        "fields: [id, title, teacher, secret]",
    );
    let wider = if wider == document {
        format!("{document}\nactions:\n  grade.sign: signs\n")
    } else {
        wider
    };
    for path in ["/v1/access/plan", "/v1/access/apply"] {
        let denied = world
            .raw("POST", path, &anna, "application/yaml", wider.clone())
            .await;
        assert_eq!(denied.code(), "forbidden");
    }
    let before = world.portreeve.policy_version();
    let plan = world
        .raw(
            "POST",
            "/v1/access/plan",
            &root,
            "application/yaml",
            wider.clone(),
        )
        .await
        .json();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!(world.portreeve.policy_version(), before);
    let applied = world
        .raw(
            "POST",
            "/v1/access/apply",
            &root,
            "application/yaml",
            wider.clone(),
        )
        .await
        .json();
    assert_eq!(
        (&applied["changed"], &applied["changes"]),
        (&json!(true), &plan["changes"])
    );
    let again = world
        .raw("POST", "/v1/access/apply", &root, "application/yaml", wider)
        .await
        .json();
    assert_eq!(again["changed"], false);

    let bad = "roles:\n  student:\n    permisions: []\n";
    let told = world
        .raw("POST", "/v1/access/plan", &root, "application/yaml", bad)
        .await;
    assert_eq!(told.code(), "bad_policy");
    let error = &told.json()["errors"][0];
    assert_eq!(
        (&error["line"], &error["column"]),
        (&json!(3), &json!(5)),
        "{error}"
    );
    let lossy = world
        .raw("POST", "/v1/access/apply", &root, "application/json", "{}")
        .await;
    assert!(lossy.status.is_client_error(), "{}", lossy.text());
    let wrong = world
        .raw("POST", "/v1/access/plan", &root, "text/plain", "roles: {}")
        .await;
    assert_eq!(wrong.code(), "unsupported_media_type");
}

#[tokio::test]
async fn decisions_are_told_and_explained() {
    let world = World::school().await;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let check = async |token: &str, body: Json| {
        let reply = world.post("/v1/check", token, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["decision"].as_str().unwrap().to_owned()
    };
    let read = |key: i64| json!({ "action": "read", "collection": "grades", "key": key });
    assert_eq!(check(&anna, read(1)).await, "allow");
    assert_eq!(check(&anna, read(27)).await, "deny");
    assert_eq!(check(&anna, read(9_999)).await, "deny");
    assert_eq!(check("", read(1)).await, "deny");
    let nothing = json!({ "action": "read", "collection": "nothing" });
    assert_eq!(check(&anna, nothing).await, "deny");
    let mut question =
        json!({ "action": "update", "collection": "grades", "key": "1", "send": { "score": 6 } });
    assert_eq!(check(&anna, question.clone()).await, "deny");
    question["subject"] = json!("tess");
    assert_eq!(check(&root, question.clone()).await, "allow");
    assert_eq!(
        world.post("/v1/check", &anna, &question).await.code(),
        "forbidden"
    );
    assert_eq!(
        world.post("/v1/check", "", &question).await.code(),
        "unauthenticated"
    );
    question["subject"] = json!("anna");
    assert_eq!(
        world.post("/v1/explain", &anna, &question).await.code(),
        "forbidden"
    );
    assert_eq!(
        world.post("/v1/explain", "", &question).await.code(),
        "unauthenticated"
    );
    let why = world.post("/v1/explain", &root, &question).await;
    assert_eq!(why.json()["decision"], "deny", "{}", why.text());
    question["action"] = json!("data.raed");
    assert_eq!(
        world.post("/v1/explain", &root, &question).await.code(),
        "unknown_action"
    );
    question["subject"] = json!("nobody");
    assert_eq!(
        world.post("/v1/explain", &root, &question).await.code(),
        "unknown_user"
    );
}
