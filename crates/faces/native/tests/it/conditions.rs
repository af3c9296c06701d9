//! Requests that depend on how a record is.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World};

const GRADE: &str = "/v1/records/grades/1";

fn tag(reply: &Reply) -> String {
    reply.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_record_has_a_tag_and_an_unchanged_one_need_not_be_sent_again() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let read = world.get(GRADE, &anna).await;
    let etag = tag(&read);
    assert_eq!(etag.len(), 34);
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
        let reply = world
            .ask_if("GET", GRADE, &anna, ("if-none-match", &known), None)
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.body.len(), tag(&reply)),
            (304, 0, etag.clone())
        );
    }
    let reply = world
        .ask_if("GET", GRADE, &anna, ("if-none-match", "\"x\""), None)
        .await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, read.body));
    // Only of whole records, and of records in reach.
    let part = world.get(&format!("{GRADE}?fields=id"), &anna).await;
    assert!(!part.headers.contains_key("etag"));
    let hidden = "/v1/records/grades/26";
    let reply = world
        .ask_if("GET", hidden, &anna, ("if-none-match", "*"), None)
        .await;
    assert_eq!(reply.code(), "not_found");
    let reply = world
        .ask_if("GET", GRADE, &anna, ("if-none-match", "x"), None)
        .await;
    assert_eq!(
        (reply.code(), reply.json()["header"].clone()),
        ("bad_condition".into(), json!("if-none-match"))
    );
}

#[tokio::test]
async fn a_change_can_be_made_to_depend_on_what_was_read() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let first = tag(&world.get(GRADE, &tess).await);
    let patch = async |condition: &str, score: i64| {
        let body = json!({ "score": score });
        world
            .ask_if("PATCH", GRADE, &tess, ("if-match", condition), Some(&body))
            .await
    };
    let changed = patch(&first, 5).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let second = tag(&changed);
    assert_ne!(first, second);
    assert_eq!(tag(&world.get(GRADE, &tess).await), second);
    // Whoever comes with the old one has decided on what is no more.
    let late = patch(&first, 6).await;
    assert_eq!(
        (late.status.as_u16(), &*late.code()),
        (412, "precondition_failed")
    );
    assert_eq!(world.get(GRADE, &tess).await.data()["score"], 5);
    let weak = patch(&format!("W/{second}"), 6).await;
    assert_eq!(weak.code(), "precondition_failed");
    let late = world
        .ask_if("DELETE", GRADE, &tess, ("if-match", &first), None)
        .await;
    assert_eq!(late.code(), "precondition_failed");
    assert_eq!(patch("*", 7).await.status, 200);
    let third = tag(&world.get(GRADE, &tess).await);
    // What is not there is not there, whatever is wanted of it.
    let gone = "/v1/records/grades/99";
    for (method, body) in [("PATCH", Some(json!({ "score": 1 }))), ("DELETE", None)] {
        let reply = world
            .ask_if(method, gone, &tess, ("if-match", &third), body.as_ref())
            .await;
        assert_eq!(reply.code(), "not_found");
    }
    let reply = world
        .ask_if("DELETE", GRADE, &tess, ("if-match", &third), None)
        .await;
    assert_eq!(reply.status, 204);
}

#[tokio::test]
async fn rights_come_before_conditions() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let body = json!({ "score": 1 });
    let good = tag(&world.get(GRADE, &anna).await);
    for condition in [&*good, "\"x\"", "*"] {
        for (method, body) in [("PATCH", Some(&body)), ("DELETE", None)] {
            let reply = world
                .ask_if(method, GRADE, &anna, ("if-match", condition), body)
                .await;
            assert_eq!(reply.code(), "forbidden", "{condition}");
            let hidden = "/v1/records/grades/26";
            let reply = world
                .ask_if(method, hidden, &anna, ("if-match", condition), body)
                .await;
            assert_eq!(reply.code(), "not_found", "{condition}");
        }
    }
    // Nor may Anna make a grade, whatever one has to be like that is not there.
    for condition in [&*good, "*"] {
        let path = "/v1/records/grades/99";
        let reply = world
            .ask_if("PUT", path, &anna, ("if-match", condition), Some(&body))
            .await;
        assert_eq!(reply.code(), "forbidden", "{condition}");
    }
    // Each reads another record, so each has another tag.
    assert_ne!(good, tag(&world.get(GRADE, &tess).await));
}

#[tokio::test]
async fn a_tag_says_nothing_of_what_is_hidden() {
    let world = World::school().await;
    let (anna, admin) = (world.token("anna").await, world.token(ADMIN).await);
    let before = tag(&world.get(GRADE, &anna).await);
    let seen_by_all = tag(&world.get(GRADE, &admin).await);
    // A field that Anna may not read changes.
    let note = json!({ "teacher_note": "something else" });
    assert_eq!(world.patch(GRADE, &admin, &note).await.status, 200);
    assert_eq!(tag(&world.get(GRADE, &anna).await), before);
    assert_ne!(tag(&world.get(GRADE, &admin).await), seen_by_all);
    let known = world
        .ask_if("GET", GRADE, &anna, ("if-none-match", &before), None)
        .await;
    assert_eq!(known.status, 304);
    // One that she may read.
    assert_eq!(
        world
            .patch(GRADE, &admin, &json!({ "score": 77 }))
            .await
            .status,
        200
    );
    assert_ne!(tag(&world.get(GRADE, &anna).await), before);
}

// A field that is hidden on some records only counts as null there, whatever stands in it.
const MASKED: &str = r#"
  student:
    permissions:
      - { allow: [data.read, data.update, data.delete], on: grades, fields: [id, student, score] }
      - { allow: [data.read, data.update, data.delete], on: grades, rows: "score > 50", fields: [teacher_note] }
"#;

#[tokio::test]
async fn what_is_masked_on_a_record_is_not_in_its_tag_either() {
    let world = World::with_roles(MASKED).await;
    let (anna, admin) = (world.token("anna").await, world.token(ADMIN).await);
    let note = async |note: &str, score: i64| -> String {
        let body = json!({ "teacher_note": note, "score": score });
        assert_eq!(world.patch(GRADE, &admin, &body).await.status, 200);
        let reply = world.get(GRADE, &anna).await;
        let shown: Json = if score > 50 { json!(note) } else { Json::Null };
        assert_eq!(reply.data()["teacher_note"], shown);
        tag(&reply)
    };
    let hidden = note("a", 1).await;
    assert_eq!(note("b", 1).await, hidden);
    let shown = note("a", 60).await;
    assert_ne!(note("b", 60).await, shown);
    assert_eq!(note("c", 1).await, hidden);
    // The tag of a read is the one a change is measured by, and the one it answers with.
    let body = json!({ "score": 2 });
    let reply = world
        .ask_if("PATCH", GRADE, &anna, ("if-match", &hidden), Some(&body))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let now = tag(&reply);
    assert_eq!(tag(&world.get(GRADE, &anna).await), now);
    note("d", 2).await;
    let reply = world
        .ask_if("DELETE", GRADE, &anna, ("if-match", &now), None)
        .await;
    assert_eq!(reply.status, 204);
}

#[tokio::test]
async fn putting_can_be_making_only_or_changing_only() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let path = "/v1/records/shop%2Forders/a";
    let put = async |condition: (&str, &str), label: &str| {
        let body = json!({ "label": label });
        world
            .ask_if("PUT", path, &tess, condition, Some(&body))
            .await
    };
    let absent = put(("if-match", "*"), "one").await;
    assert_eq!(absent.code(), "precondition_failed");
    assert_eq!(
        put(("if-match", "\"x\""), "one").await.code(),
        "precondition_failed"
    );
    assert_eq!(world.get(path, &tess).await.status, 404);
    let made = put(("if-none-match", "*"), "one").await;
    assert_eq!(made.status, 201);
    assert_eq!(
        put(("if-none-match", "*"), "two").await.code(),
        "precondition_failed"
    );
    let changed = put(("if-match", &tag(&made)), "two").await;
    assert_eq!(
        (changed.status.as_u16(), changed.data()["label"].clone()),
        (200, json!("two"))
    );
    assert_eq!(
        put(("if-match", &tag(&made)), "three").await.code(),
        "precondition_failed"
    );
    assert_eq!(
        put(("if-none-match", &tag(&made)), "three").await.code(),
        "bad_condition"
    );
    assert_eq!(world.get(path, &tess).await.data()["label"], "two");
}

#[tokio::test]
async fn conditions_are_about_one_record() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let body = json!({ "keys": [1], "set": { "score": 1 } });
    let changes = json!({ "changes": [{ "delete": "grades", "key": 1 }] });
    let new = json!({ "title": "x" });
    for (method, path, body) in [
        ("PATCH", "/v1/records/grades", Some(&body)),
        ("DELETE", "/v1/records/grades?keys=1", None),
        ("POST", "/v1/changes", Some(&changes)),
        ("POST", "/v1/records/courses", Some(&new)),
    ] {
        let reply = world
            .ask_if(method, path, &tess, ("if-match", "*"), body)
            .await;
        assert_eq!(reply.code(), "bad_condition", "{method} {path}");
    }
    assert_eq!(world.get(GRADE, &tess).await.status, 200);
}
