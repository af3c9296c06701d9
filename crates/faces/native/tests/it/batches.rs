//! Several records in one request: all of them or none.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World, escaped};

const GRADES: &str = "/v1/records/grades";

// All that an administrator sees of the collections that are written here: what a refusal must leave as it is.
async fn everything(world: &World) -> Vec<String> {
    let admin = world.token(ADMIN).await;
    let mut all = vec![];
    for path in [
        "/v1/records/grades?limit=100",
        "/v1/records/courses",
        "/v1/records/shop%2Forders",
    ] {
        all.push(world.get(path, &admin).await.text());
    }
    all
}

async fn refused(world: &World, reply: Reply, before: &[String], status: u16, code: &str) -> Json {
    assert_eq!(
        (reply.status.as_u16(), &*reply.code()),
        (status, code),
        "{}",
        reply.text()
    );
    assert_eq!(
        everything(world).await,
        before,
        "a refusal has changed something"
    );
    reply.json()
}

fn ids(reply: &Reply) -> Vec<Json> {
    let data = reply.data();
    data.as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].clone())
        .collect()
}

#[tokio::test]
async fn a_list_of_records_is_made_at_once() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let student = world.get(&format!("{GRADES}/1"), &tess).await.data()["student"].clone();
    let new = |score: i64| json!({ "student": student, "course": 1, "score": score });
    let reply = world
        .post(GRADES, &tess, &json!([new(1), new(2), new(3)]))
        .await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(ids(&reply), [29, 30, 31]);
    assert_eq!(reply.data()[2]["score"], 3);

    let before = everything(&world).await;
    let bad_link = json!({ "student": student, "course": 99, "score": 1 });
    let reply = world.post(GRADES, &tess, &json!([new(1), bad_link])).await;
    let problem = refused(&world, reply, &before, 422, "bad_value").await;
    assert_eq!(
        (&problem["at"], &problem["field"]),
        (&json!("[1]"), &json!("course"))
    );
    let reply = world
        .post(GRADES, &tess, &json!([new(1), { "scor": 1 }]))
        .await;
    let problem = refused(&world, reply, &before, 400, "unknown_field").await;
    assert_eq!(problem["at"], "[1]");
    // A student may read grades, and not make any.
    let reply = world.post(GRADES, &anna, &json!([new(1)])).await;
    let problem = refused(&world, reply, &before, 403, "forbidden").await;
    assert_eq!(problem["at"], "[0]");
    assert!(problem["decision_id"].is_string());
    let reply = world.post(GRADES, &tess, &json!([])).await;
    refused(&world, reply, &before, 400, "bad_body").await;
    let reply = world.post(GRADES, &tess, &json!([new(1), 7])).await;
    let problem = refused(&world, reply, &before, 400, "bad_body").await;
    assert_eq!(problem["member"], "[1]");
    // Two of a batch collide with each other as with what is there.
    let twin = json!({ "student": student, "course": 1, "comment": "the same" });
    let reply = world.post(GRADES, &tess, &json!([twin, twin])).await;
    let problem = refused(&world, reply, &before, 409, "conflict").await;
    assert_eq!(
        (&problem["at"], &problem["fields"]),
        (&json!("[1]"), &json!(["comment"]))
    );
}

#[tokio::test]
async fn named_records_are_changed_all_or_none() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let reply = world
        .patch(
            GRADES,
            &tess,
            &json!({ "keys": [1, "2"], "set": { "score": 9 } }),
        )
        .await;
    assert_eq!(ids(&reply), [1, 2]);
    assert!(
        reply
            .data()
            .as_array()
            .unwrap()
            .iter()
            .all(|grade| grade["score"] == 9)
    );
    let each = json!({ "records": [{ "id": 3, "score": 4 }, { "id": 26, "score": 5 }] });
    let reply = world.patch(GRADES, &tess, &each).await;
    assert_eq!(
        (ids(&reply), &reply.data()[1]["score"]),
        (vec![json!(3), json!(26)], &json!(5))
    );

    let before = everything(&world).await;
    let reply = world
        .patch(
            GRADES,
            &tess,
            &json!({ "keys": [1, 99], "set": { "score": 3 } }),
        )
        .await;
    let problem = refused(&world, reply, &before, 404, "not_found").await;
    assert_eq!(problem["at"], "keys[1]");
    let twice = json!({ "records": [{ "id": 1, "score": 1 }, { "id": 1, "score": 2 }] });
    let reply = world.patch(GRADES, &tess, &twice).await;
    let problem = refused(&world, reply, &before, 422, "bad_value").await;
    assert_eq!(problem["at"], "records[1]");
    let nameless = json!({ "records": [{ "score": 1 }] });
    let reply = world.patch(GRADES, &tess, &nameless).await;
    let problem = refused(&world, reply, &before, 422, "bad_value").await;
    assert_eq!(
        (&problem["at"], &problem["field"]),
        (&json!("records[0]"), &json!("id"))
    );
    // What Anna cannot reach is answered like what is not there; what she can reach and not change is forbidden.
    let answers = [26, 99, 1].map(|key| json!({ "keys": [key], "set": { "score": 1 } }));
    let hidden = world.patch(GRADES, &anna, &answers[0]).await;
    let missing = world.patch(GRADES, &anna, &answers[1]).await;
    assert_eq!(
        (hidden.status, &hidden.body),
        (missing.status, &missing.body)
    );
    refused(&world, hidden, &before, 404, "not_found").await;
    let reply = world.patch(GRADES, &anna, &answers[2]).await;
    refused(&world, reply, &before, 403, "forbidden").await;
}

#[tokio::test]
async fn named_records_are_deleted_all_or_none() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let before = everything(&world).await;
    let reply = world.delete(&format!("{GRADES}?keys=1,99"), &tess).await;
    let problem = refused(&world, reply, &before, 404, "not_found").await;
    assert_eq!(problem["at"], "keys[1]");
    let reply = world.delete(&format!("{GRADES}?keys=1,2"), &anna).await;
    refused(&world, reply, &before, 403, "forbidden").await;
    // A course with grades stays, and so does what was to go with it.
    let reply = world.delete("/v1/records/courses?keys=2,1", &tess).await;
    refused(&world, reply, &before, 409, "referenced").await;
    for path in [
        GRADES.to_owned(),
        format!("{GRADES}?keys=1&filter=true"),
        format!("{GRADES}?keys=1&limit=1"),
    ] {
        let reply = world.delete(&path, &tess).await;
        assert_eq!(reply.status, 400, "{path}");
    }
    let keys = escaped("[1,\"2\"]");
    let reply = world.delete(&format!("{GRADES}?keys={keys}"), &tess).await;
    assert_eq!(reply.data(), json!({ "count": 2, "keys": [1, 2] }));
    assert_eq!(world.get(&format!("{GRADES}/1"), &tess).await.status, 404);
}

#[tokio::test]
async fn a_selection_is_what_its_filter_reaches() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let reply = world
        .patch(
            GRADES,
            &tess,
            &json!({ "filter": "score = 6", "set": { "score": 7 } }),
        )
        .await;
    let count = reply.data()["count"].as_u64().unwrap();
    assert_eq!(reply.data()["keys"].as_array().unwrap().len() as u64, count);
    assert!(count > 0, "{}", reply.text());
    let left = world
        .get(
            &format!("{GRADES}?filter=score%3D6&limit=0&total=true"),
            &tess,
        )
        .await;
    assert_eq!(left.json()["page"]["total"], 0);

    let before = everything(&world).await;
    // Nothing that would choose: neither a filter nor a rule.
    for filter in ["true", "not false", "true and not false", "id > 0 or true"] {
        let body = json!({ "filter": filter, "set": { "score": 7 } });
        let reply = world.patch(GRADES, &tess, &body).await;
        refused(&world, reply, &before, 422, "unconditional_change").await;
    }
    let filter = escaped("id > 0 or true");
    let reply = world
        .delete(&format!("{GRADES}?filter={filter}"), &tess)
        .await;
    refused(&world, reply, &before, 422, "unconditional_change").await;
    // A selection goes by what Anna may read; she may change none of it.
    let body = json!({ "filter": "id > 0", "set": { "score": 7 } });
    let reply = world.patch(GRADES, &anna, &body).await;
    refused(&world, reply, &before, 403, "forbidden").await;
    // What she may not read is no operand.
    let body = json!({ "filter": "teacher_note = 'between us'", "set": { "score": 7 } });
    let reply = world.patch(GRADES, &anna, &body).await;
    refused(&world, reply, &before, 400, "bad_query").await;
    let body = json!({ "filter": "id = 1", "set": { "id": 7 } });
    let reply = world.patch(GRADES, &tess, &body).await;
    refused(&world, reply, &before, 422, "bad_value").await;
    let nothing = world
        .delete(&format!("{GRADES}?filter=id%3D99"), &tess)
        .await;
    assert_eq!(nothing.data(), json!({ "count": 0, "keys": [] }));
    let gone = world
        .delete(&format!("{GRADES}?filter=id%3E20"), &tess)
        .await;
    assert_eq!(gone.data()["count"], 8);
}

#[tokio::test]
async fn a_selection_of_more_than_it_may_be_changes_nothing() {
    let world = World::with(|options| options.change_limit = 3).await;
    world.administrator().await;
    world
        .apply("collections: { notes: { key: { id: integer }, fields: { mark: integer } } }\n")
        .await;
    let admin = world.token(ADMIN).await;
    let notes = "/v1/records/notes";
    for mark in 0..4 {
        let made = world.post(notes, &admin, &json!({ "mark": mark })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let before = world.get(notes, &admin).await.text();
    let change = |filter: &str| json!({ "filter": filter, "set": { "mark": 9 } });
    let reply = world.patch(notes, &admin, &change("mark >= 0")).await;
    assert_eq!(reply.code(), "too_many_records");
    assert!(reply.text().contains("more than 3"), "{}", reply.text());
    assert_eq!(world.get(notes, &admin).await.text(), before);
    let reply = world.patch(notes, &admin, &change("mark >= 1")).await;
    assert_eq!(reply.data()["count"], 3);
}

#[tokio::test]
async fn what_may_not_be_changed_ends_a_selection_or_is_left_out() {
    let world = World::with_roles(LIMITED).await;
    let tess = world.token("tess").await;
    let body =
        |narrow: bool| json!({ "filter": "id <= 4", "set": { "score": 1 }, "narrow": narrow });
    let before = everything(&world).await;
    // Grades 1 and 3 are in the course that Tess may change.
    let reply = world.patch(GRADES, &tess, &body(false)).await;
    let problem = refused(&world, reply, &before, 403, "partly_forbidden").await;
    assert_eq!(problem["count"], 2);
    assert!(problem["decision_id"].is_string());
    let reply = world.patch(GRADES, &tess, &body(true)).await;
    assert_eq!(reply.data(), json!({ "count": 2, "keys": [1, 3] }));
    let gone = world
        .delete(&format!("{GRADES}?filter=id%3C%3D4&narrow=true"), &tess)
        .await;
    assert_eq!(gone.data(), json!({ "count": 2, "keys": [1, 3] }));
}

const LIMITED: &str = r#"
  teacher:
    permissions:
      - { allow: data.read, on: [grades, courses] }
      - { allow: [data.update, data.delete], on: grades, rows: "course = 1" }
"#;

#[tokio::test]
async fn different_changes_go_together() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let student = world.get(&format!("{GRADES}/1"), &tess).await.data()["student"].clone();
    let changes = json!({ "changes": [
        { "create": "courses", "set": { "id": 7, "title": "Greek" } },
        { "create": "grades", "set": { "student": student, "course": 7, "score": 5 } },
        { "update": "grades", "key": 1, "set": { "course": 7 } },
        { "delete": "grades", "key": 2 },
        { "upsert": "shop/orders", "key": "a", "set": { "label": "new" } },
        { "upsert": "grades", "on": "comment", "set": { "comment": "grade 5", "score": 0 } },
    ] });
    let reply = world.post("/v1/changes", &tess, &changes).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let data = reply.data();
    let results: Vec<&Json> = data
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["result"])
        .collect();
    assert_eq!(
        results,
        [
            "created", "created", "updated", "deleted", "created", "updated"
        ]
    );
    assert_eq!(data[3]["key"], 2);
    assert_eq!(
        (&data[5]["record"]["id"], &data[5]["record"]["score"]),
        (&json!(6), &json!(0))
    );

    let before = everything(&world).await;
    let changes = json!({ "changes": [
        { "create": "courses", "set": { "id": 8, "title": "Chemistry" } },
        { "update": "grades", "key": 3, "set": { "course": 8 } },
        { "delete": "vault", "key": 1 },
    ] });
    let reply = world.post("/v1/changes", &tess, &changes).await;
    let problem = refused(&world, reply, &before, 404, "not_found").await;
    assert_eq!(problem["at"], "changes[2]");
    // The order is theirs: what is not there yet cannot be pointed at.
    let changes = json!({ "changes": [
        { "update": "grades", "key": 3, "set": { "course": 8 } },
        { "create": "courses", "set": { "id": 8, "title": "Chemistry" } },
    ] });
    let reply = world.post("/v1/changes", &tess, &changes).await;
    let problem = refused(&world, reply, &before, 422, "bad_value").await;
    assert_eq!(problem["at"], "changes[0]");
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let many: Vec<Json> = (0..1_001).map(|_| json!({ "title": "x" })).collect();
    let before = everything(&world).await;
    let reply = world.post("/v1/records/courses", &tess, &json!(many)).await;
    refused(&world, reply, &before, 400, "bad_body").await;
    let reply = world
        .post("/v1/records/courses", &tess, &json!(many[..1_000]))
        .await;
    assert_eq!(reply.status, 201);
    assert_eq!(ids(&reply).len(), 1_000);
}

#[tokio::test]
async fn what_is_there_is_changed_and_what_is_not_is_made() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let path = "/v1/records/shop%2Forders/a%2Fb";
    let reply = world
        .ask("PUT", path, &tess, Some(&json!({ "label": "one" })))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.data()),
        (201, json!({ "id": "a/b", "label": "one" }))
    );
    assert_eq!(reply.headers["location"], path);
    let reply = world
        .ask("PUT", path, &tess, Some(&json!({ "label": "two" })))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.data()),
        (200, json!({ "id": "a/b", "label": "two" }))
    );

    let before = everything(&world).await;
    let other_key = json!({ "id": "c", "label": "three" });
    let reply = world.ask("PUT", path, &tess, Some(&other_key)).await;
    refused(&world, reply, &before, 422, "bad_value").await;
    // Anna knows nothing of orders: there or not, it is the same.
    let there = world
        .ask("PUT", path, &anna, Some(&json!({ "label": "x" })))
        .await;
    let not = world
        .ask(
            "PUT",
            "/v1/records/shop%2Forders/z",
            &anna,
            Some(&json!({ "label": "x" })),
        )
        .await;
    assert_eq!((there.status, &there.body), (not.status, &not.body));
    refused(&world, there, &before, 404, "not_found").await;
    // She reads her grades and may neither change them nor make others.
    for (key, status) in [(1, 403), (26, 403), (99, 403)] {
        let reply = world
            .ask(
                "PUT",
                &format!("{GRADES}/{key}"),
                &anna,
                Some(&json!({ "score": 1 })),
            )
            .await;
        refused(&world, reply, &before, status, "forbidden").await;
    }
    let changes =
        json!({ "changes": [{ "upsert": "grades", "on": "score", "set": { "score": 1 } }] });
    let reply = world.post("/v1/changes", &tess, &changes).await;
    let problem = refused(&world, reply, &before, 422, "bad_value").await;
    assert_eq!(problem["field"], "score");
}

// What a label is, is told to nobody; the maker says it once, the mender later on.
const ONE_WAY: &str = r#"
  student:
    permissions:
      - { allow: data.read, on: shop/orders, fields: [id] }
      - { allow: data.create, on: shop/orders, fields: [id, label] }
      - { allow: data.update, on: shop/orders, fields: [id] }
  teacher:
    permissions:
      - { allow: data.read, on: shop/orders, fields: [id] }
      - { allow: data.create, on: shop/orders, fields: [id] }
      - { allow: data.update, on: shop/orders, fields: [label] }
"#;

#[tokio::test]
async fn what_can_be_sent_to_make_a_record_need_not_be_what_can_be_sent_to_change_it() {
    let world = World::with_roles(ONE_WAY).await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let put = async |who: &str, key: &str| {
        let path = format!("/v1/records/shop%2Forders/{key}");
        let body = json!({ "label": "sealed" });
        world.ask("PUT", &path, who, Some(&body)).await
    };
    assert_eq!(put(&anna, "a").await.status, 201);
    let before = everything(&world).await;
    let again = put(&anna, "a").await;
    refused(&world, again, &before, 400, "unknown_field").await;
    let new = put(&tess, "b").await;
    refused(&world, new, &before, 400, "unknown_field").await;
    assert_eq!(put(&tess, "a").await.status, 200);
}

#[tokio::test]
async fn what_is_out_of_reach_collides_like_anything_else() {
    let world = World::with_roles(OWN).await;
    let anna = world.token("anna").await;
    let put = async |key: i64, score: i64| {
        let body = json!({ "score": score, "course": 1 });
        world
            .ask("PUT", &format!("{GRADES}/{key}"), &anna, Some(&body))
            .await
    };
    assert_eq!(put(1, 3).await.status, 200);
    assert_eq!(put(77, 3).await.status, 201);
    // Bo's grade 26: as if she had posted one with a key that is taken.
    let before = everything(&world).await;
    let body = json!({ "id": 26, "score": 3, "course": 1 });
    let posted = world.post(GRADES, &anna, &body).await;
    let put = put(26, 3).await;
    assert_eq!((posted.status, &posted.body), (put.status, &put.body));
    refused(&world, put, &before, 409, "conflict").await;
    // Bo's comment, by which it would be found if she could read it.
    let changes = json!({ "changes": [
        { "upsert": "grades", "on": "comment", "set": { "comment": "grade 26", "course": 1 } },
    ] });
    let reply = world.post("/v1/changes", &anna, &changes).await;
    let problem = refused(&world, reply, &before, 409, "conflict").await;
    assert_eq!(problem["fields"], json!(["comment"]));
}

const OWN: &str = r#"
  student:
    permissions:
      - { allow: data.read, on: courses }
      - allow: [data.read, data.update]
        on: grades
        rows: "student = $user"
        fields: [id, course, score, comment]
      - { allow: data.create, on: grades, rows: "student = $user", fields: [id, course, score, comment], presets: { student: $user } }
"#;
