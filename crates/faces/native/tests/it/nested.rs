//! Records that are written together with those they are related to.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, World};

const COURSES: &str = "/v1/records/courses";

async fn everything(world: &World) -> (String, String) {
    let admin = world.token(ADMIN).await;
    let grades = world
        .get("/v1/records/grades?limit=1000", &admin)
        .await
        .text();
    (grades, world.get(COURSES, &admin).await.text())
}

async fn student(world: &World, token: &str) -> Json {
    world.get("/v1/records/grades/1", token).await.data()["student"].clone()
}

#[tokio::test]
async fn a_record_brings_those_that_point_at_it() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let student = student(&world, &tess).await;
    let body = json!({ "title": "Greek", "grades": {
        "create": [{ "student": student, "score": 1 }, { "student": student, "score": 2 }],
        "link": [1, "2"],
    } });
    let reply = world.post(COURSES, &tess, &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let course = reply.data();
    assert_eq!(
        (&course["id"], &course["title"]),
        (&json!(3), &json!("Greek"))
    );
    let grades = course["grades"].as_array().unwrap();
    let ids: Vec<&Json> = grades.iter().map(|grade| &grade["id"]).collect();
    assert_eq!(ids, [29, 30, 1, 2]);
    assert!(grades.iter().all(|grade| grade["course"] == 3));

    let body = json!({ "title": "Old Greek", "grades": {
        "update": [{ "id": 29, "score": 9 }],
        "delete": [30],
        "create": [{ "student": student, "score": 3 }],
    } });
    let reply = world.patch(&format!("{COURSES}/3"), &tess, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.data()["title"], "Old Greek");
    assert_eq!(
        world.get("/v1/records/grades/29", &tess).await.data()["score"],
        9
    );
    assert_eq!(world.get("/v1/records/grades/30", &tess).await.status, 404);
    let before = everything(&world).await;
    // The field cannot be empty, so a grade cannot be taken out of its course.
    let body = json!({ "grades": { "unlink": [29] } });
    let reply = world.patch(&format!("{COURSES}/3"), &tess, &body).await;
    assert_eq!(
        (&*reply.code(), &reply.json()["at"]),
        ("bad_value", &json!("grades.unlink[0]"))
    );
    // Grade 3 is another course's.
    for member in ["update", "delete", "unlink"] {
        let item = if member == "update" {
            json!({ "id": 3, "score": 0 })
        } else {
            json!(3)
        };
        let body = json!({ "title": "x", "grades": { member: [item] } });
        let reply = world.patch(&format!("{COURSES}/3"), &tess, &body).await;
        assert_eq!(
            (&*reply.code(), &reply.json()["at"]),
            ("not_found", &json!(format!("grades.{member}[0]")))
        );
    }
    assert_eq!(everything(&world).await, before);
}

#[tokio::test]
async fn a_record_brings_the_one_it_points_at() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let student = student(&world, &tess).await;
    let body =
        json!({ "student": student, "score": 5, "course": { "create": { "title": "Greek" } } });
    let reply = world.post("/v1/records/grades", &tess, &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.data()["course"]["title"], "Greek");
    let grade = world.get("/v1/records/grades/29", &tess).await.data();
    assert_eq!(grade["course"], reply.data()["course"]["id"]);
    let body = json!({ "score": 6, "course": { "update": { "id": 1, "title": "New Latin" } } });
    let reply = world.patch("/v1/records/grades/29", &tess, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        world.get("/v1/records/grades/29", &tess).await.data()["course"],
        1
    );
    assert_eq!(
        world.get(&format!("{COURSES}/1"), &tess).await.data()["title"],
        "New Latin"
    );
}

#[tokio::test]
async fn one_that_is_refused_refuses_all() {
    let world = World::school().await;
    let (tess, anna) = (world.token("tess").await, world.token("anna").await);
    let student = student(&world, &tess).await;
    let before = everything(&world).await;
    let grade = json!({ "student": student, "score": 1 });
    let bad = json!({ "student": "nobody", "score": 1 });
    for (body, at, code) in [
        (
            json!({ "grades": { "create": [grade, bad] } }),
            "grades.create[1]",
            "bad_value",
        ),
        (
            json!({ "grades": { "create": [{ "scor": 1 }] } }),
            "grades.create[0]",
            "unknown_field",
        ),
        (
            json!({ "grades": { "create": [{ "course": 1 }] } }),
            "grades.create[0]",
            "bad_value",
        ),
        (
            json!({ "grades": { "link": [99] } }),
            "grades.link[0]",
            "not_found",
        ),
        (
            json!({ "grades": { "link": [{}] } }),
            "grades.link[0]",
            "bad_value",
        ),
        (json!({ "grades": { "add": [1] } }), "grades", "bad_value"),
        (json!({ "grades": { "create": {} } }), "grades", "bad_value"),
        (
            json!({ "grades": { "delete": [1] } }),
            "grades",
            "bad_value",
        ),
        (
            json!({ "teacher": { "create": { "username": "eve" } } }),
            "teacher.create",
            "forbidden",
        ),
    ] {
        let mut body = body;
        body["title"] = json!("Greek");
        let reply = world.post(COURSES, &tess, &body).await;
        assert_eq!(
            (&*reply.code(), &reply.json()["at"]),
            (code, &json!(at)),
            "{body}"
        );
        assert_eq!(everything(&world).await, before, "{body}");
    }
    // Who may not change the record itself brings nothing along, and what he knows nothing of is no relation.
    let body = json!({ "title": "x", "grades": { "create": [grade] } });
    for course in [1, 2, 99] {
        let reply = world
            .patch(&format!("{COURSES}/{course}"), &anna, &body)
            .await;
        assert_eq!(
            (&*reply.code(), &reply.json()["at"]),
            ("forbidden", &json!("grades.create[0]"))
        );
        let vault = json!({ "title": "x", "vault": { "create": [] } });
        let reply = world
            .patch(&format!("{COURSES}/{course}"), &anna, &vault)
            .await;
        assert_eq!(
            reply.code(),
            if course == 1 {
                "forbidden"
            } else {
                "not_found"
            }
        );
    }
    assert_eq!(everything(&world).await, before);
}

#[tokio::test]
async fn records_stand_in_each_other_only_so_deep() {
    let world = World::with_roles(CHAIN).await;
    let tess = world.token("tess").await;
    let student = student(&world, &world.token(ADMIN).await).await;
    let nest = |depth: usize| {
        let mut body = json!({ "title": "x" });
        for _ in 0..depth / 2 {
            let grade = json!({ "student": student, "course": { "create": body } });
            body = json!({ "title": "y", "grades": { "create": [grade] } });
        }
        body
    };
    let before = everything(&world).await;
    let reply = world.post(COURSES, &tess, &nest(6)).await;
    assert_eq!(reply.code(), "bad_value", "{}", reply.text());
    assert_eq!(everything(&world).await, before);
}

const CHAIN: &str = r#"
  teacher:
    permissions:
      - { allow: [data.read, data.create, data.update], on: [grades, courses] }
      - { allow: data.read, on: users }
"#;

// What is linked through a hidden field is not linked for whoever cannot read it.
const BLIND: &str = r#"
  teacher:
    permissions:
      - { allow: [data.read, data.update], on: courses }
      - { allow: [data.read, data.update, data.delete], on: grades, fields: [id, score] }
"#;

#[tokio::test]
async fn a_hidden_relation_cannot_be_felt_out() {
    let world = World::with_roles(BLIND).await;
    let tess = world.token("tess").await;
    let before = everything(&world).await;
    // Grade 1 is of course 1, grade 2 of course 2.
    let answers = [1, 2].map(|key| json!({ "grades": { "update": [{ "id": key, "score": 1 }] } }));
    let (of, other) = (
        world
            .patch(&format!("{COURSES}/1"), &tess, &answers[0])
            .await,
        world
            .patch(&format!("{COURSES}/1"), &tess, &answers[1])
            .await,
    );
    assert_eq!((of.status, &of.body), (other.status, &other.body));
    assert_eq!(of.code(), "unknown_field");
    assert_eq!(everything(&world).await, before);
}

#[tokio::test]
async fn records_are_linked_through_a_junction() {
    let world = World::school().await;
    let admin = world.token(ADMIN).await;
    for definition in [
        json!({ "name": "tags", "key": { "id": "integer" }, "fields": { "word": "text" } }),
        json!({ "name": "tagged", "key": { "id": "integer" }, "fields": {
            "course": { "to": "courses", "on_delete": "cascade" }, "tag": { "to": "tags" } } }),
    ] {
        let reply = world.post("/v1/collections", &admin, &definition).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let relation = json!({ "many": "tags", "through": "tagged", "from": "course", "to": "tag" });
    let change =
        json!({ "changes": [{ "change": "add_relation", "name": "tags", "relation": relation }] });
    let reply = world
        .patch("/v1/collections/courses", &admin, &change)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());

    let made = world
        .post("/v1/records/tags", &admin, &json!({ "word": "old" }))
        .await
        .data();
    let body = json!({ "title": "Greek", "tags": { "create": [{ "word": "new" }], "link": [made["id"]] } });
    let reply = world.post(COURSES, &admin, &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let course = reply.data()["id"].clone();
    let path = format!("{COURSES}/{course}?expand=tags&fields=id,tags.word");
    let read = world.get(&path, &admin).await.data();
    let mut words: Vec<&str> = read["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["word"].as_str().unwrap())
        .collect();
    words.sort_unstable();
    assert_eq!(words, ["new", "old"]);

    let links = world.get("/v1/records/tagged", &admin).await.text();
    for (body, code) in [
        (json!({ "tags": { "link": [99] } }), "bad_value"),
        (json!({ "tags": { "unlink": [made["id"]] } }), "bad_value"),
        (
            json!({ "tags": { "create": [{ "wrod": "x" }] } }),
            "unknown_field",
        ),
    ] {
        let reply = world
            .patch(&format!("{COURSES}/{course}"), &admin, &body)
            .await;
        assert_eq!(reply.code(), code, "{body}");
    }
    assert_eq!(world.get("/v1/records/tagged", &admin).await.text(), links);
    // Who may make tags and no links makes neither.
    let tess = world.token("tess").await;
    let body = json!({ "title": "Hebrew", "tags": { "link": [made["id"]] } });
    let reply = world.post(COURSES, &tess, &body).await;
    assert_eq!(reply.code(), "unknown_field");
}
