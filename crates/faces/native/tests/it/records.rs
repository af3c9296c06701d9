//! Reading and writing records.

use axum::http::header;
use serde_json::json;

use crate::world::{World, escaped};

#[tokio::test]
async fn a_student_lists_her_own_rows_and_fields() {
    let world = World::school().await;
    let token = world.token("anna").await;
    let reply = world.get("/v1/records/grades?limit=100", &token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    let grades = body["data"].as_array().unwrap();
    assert_eq!(grades.len(), 25);
    assert!(
        grades
            .iter()
            .all(|grade| grade.get("teacher_note").is_none())
    );
    assert_eq!(
        grades[1],
        json!({
            "id": 2, "student": grades[0]["student"], "course": 2, "score": 1, "weight": 1.0 / 3.0,
            "rate": "1.01", "graded_at": "2026-11-22T10:00:00.000001Z", "comment": "grade 1",
        })
    );
    assert_eq!(
        body["page"],
        json!({ "limit": 100, "more": false, "next": null })
    );
    let version = reply.headers["portreeve-policy-version"].to_str().unwrap();
    assert_eq!(version, world.portreeve.policy_version().to_string());
}

#[tokio::test]
async fn lists_are_filtered_sorted_searched_and_counted() {
    let world = World::school().await;
    let token = world.token("anna").await;
    let get = async |query: &str| {
        world
            .get(&format!("/v1/records/grades?{query}"), &token)
            .await
    };
    let filter = escaped("score >= 5 and comment contains '1'");
    let reply = get(&format!(
        "filter={filter}&fields=id,score&sort=-score,id&total=true"
    ))
    .await;
    let body = reply.json();
    assert_eq!(body["data"][0], json!({ "id": 14, "score": 6 }), "{body}");
    assert_eq!(
        body["page"]["total"],
        body["data"].as_array().unwrap().len()
    );
    let json_filter = escaped(
        &json!({ "and": [
            { ">=": [{ "field": "score" }, 5] },
            { "contains": [{ "field": "comment" }, "1"] },
        ] })
        .to_string(),
    );
    let same = get(&format!(
        "filter={json_filter}&fields=id,score&sort=-score,id&total=true"
    ))
    .await;
    assert_eq!(same.json(), body);
    let found = get("search=GRADE+2&limit=0&total=true").await.json();
    // 2, and 20 to 24.
    assert_eq!(
        found,
        json!({ "data": [], "page": { "limit": 0, "more": false, "next": null, "total": 6 } })
    );
}

#[tokio::test]
async fn one_record_by_its_key() {
    let world = World::school().await;
    let token = world.token("anna").await;
    let reply = world
        .get("/v1/records/grades/3?fields=id,score", &token)
        .await;
    assert_eq!(reply.text(), "{\"data\":{\"id\":3,\"score\":2}}");
    let head = world
        .ask("HEAD", "/v1/records/grades/3", &token, None)
        .await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_teacher_creates_changes_and_deletes() {
    let world = World::school().await;
    let token = world.token("tess").await;
    let anna = world.get("/v1/records/grades/1", &token).await.data()["student"].clone();
    let new = json!({ "student": anna, "course": 1, "score": 4, "rate": "0.50" });
    let made = world.post("/v1/records/grades", &token, &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.headers[header::LOCATION], "/v1/records/grades/29");
    assert_eq!(made.data()["rate"], "0.50");
    let there = world.get("/v1/records/grades/29", &token).await;
    assert_eq!(there.data(), made.data());
    let changed = world
        .patch("/v1/records/grades/29", &token, &json!({ "score": 5 }))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.data()["score"], 5);
    let gone = world.delete("/v1/records/grades/29", &token).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    assert_eq!(
        world.get("/v1/records/grades/29", &token).await.code(),
        "not_found"
    );
}

#[tokio::test]
async fn namespaces_and_odd_keys_go_through_the_path() {
    let world = World::school().await;
    let token = world.token("tess").await;
    let new = json!({ "id": "a/b %é", "label": "x" });
    let made = world.post("/v1/records/shop%2Forders", &token, &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let location = made.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(location, "/v1/records/shop%2Forders/a%2Fb%20%25%C3%A9");
    assert_eq!(world.get(location, &token).await.data()["label"], "x");
    assert_eq!(
        world.get("/v1/records/main%2Fgrades", &token).await.status,
        200
    );
}

#[tokio::test]
async fn writes_are_refused_with_what_is_wrong() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let denied = world
        .patch("/v1/records/grades/1", &anna, &json!({ "score": 6 }))
        .await;
    assert_eq!(
        (denied.status.as_u16(), denied.code().as_str()),
        (403, "forbidden")
    );
    let decision = denied.json()["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(denied.headers["portreeve-decision-id"], decision);
    let score = world.get("/v1/records/grades/1", &tess).await.data()["score"].clone();
    assert!(score.is_null(), "a denied update has changed something");

    let wrong = world
        .patch("/v1/records/grades/1", &tess, &json!({ "score": "six" }))
        .await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code().as_str()),
        (422, "bad_value")
    );
    assert_eq!(wrong.json()["field"], "score");
    let unknown = world
        .patch("/v1/records/grades/1", &tess, &json!({ "scroe": 6 }))
        .await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (400, "unknown_field")
    );
    assert!(unknown.text().contains("score"), "{}", unknown.text());
    let taken = world
        .patch(
            "/v1/records/grades/1",
            &tess,
            &json!({ "comment": "grade 2" }),
        )
        .await;
    assert_eq!(
        (taken.status.as_u16(), taken.code().as_str()),
        (409, "conflict")
    );
    assert_eq!(taken.json()["fields"], json!(["comment"]));
    let pointed = world.delete("/v1/records/courses/1", &tess).await;
    assert_eq!(
        (pointed.status.as_u16(), pointed.code().as_str()),
        (409, "referenced")
    );
    let nowhere = world
        .patch("/v1/records/grades/1", &tess, &json!({ "course": 99 }))
        .await;
    assert_eq!(
        (nowhere.status.as_u16(), nowhere.code().as_str()),
        (422, "bad_value")
    );
    let missing = world
        .post("/v1/records/courses", &tess, &json!({ "secret": "s" }))
        .await;
    assert_eq!(
        (missing.status.as_u16(), missing.code().as_str()),
        (422, "bad_value"),
        "{}",
        missing.text()
    );
}
