//! What is out of reach is answered like what is not there: the same bytes, and the same headers but for the ids.

use serde_json::json;

use crate::world::{Reply, World};

fn comparable(reply: &Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != "portreeve-decision-id")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    assert!(reply.headers.contains_key("portreeve-decision-id"));
    (reply.status.as_u16(), headers, reply.body.clone())
}

#[tokio::test]
async fn another_ones_record_is_like_a_missing_one() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let expected = comparable(&world.get("/v1/records/grades/9999", &anna).await);
    assert_eq!(expected.0, 404);
    for path in [
        // Bo's.
        "/v1/records/grades/27",
        // No number at all, and one that fits into none.
        "/v1/records/grades/x",
        "/v1/records/grades/99999999999999999999",
        // A record that her rule hides.
        "/v1/records/courses/2",
        // Collections: hers not, nobody's, none, and no name.
        "/v1/records/vault/1",
        "/v1/records/vault",
        "/v1/records/nothing/1",
        "/v1/records/nothing",
        "/v1/records/1%20bad",
        "/v1/records/%FF",
        "/v1/records/users/1",
        "/v1/records/roles",
        "/v1/aggregates/vault?count=true",
        "/v1/aggregates/vault?sum=gold&group=gold&filter=gold+%3D+'x'",
        "/v1/aggregates/nothing?sum=gold",
        "/v1/aggregates/users",
        "/v1/collections/vault",
        "/v1/collections/nothing",
        "/v1/records/vault?filter=gold+%3D+'x'&sort=gold&fields=gold&expand=gold",
        "/v1/records/nothing?filter=gold+%3D+'x'&sort=gold&fields=gold&expand=gold",
    ] {
        let reply = comparable(&world.get(path, &anna).await);
        assert_eq!(
            reply,
            expected,
            "{path}: {}",
            String::from_utf8_lossy(&reply.2)
        );
    }
    let body = json!({ "gold": 1 });
    for path in ["/v1/records/vault", "/v1/records/nothing"] {
        assert_eq!(
            comparable(&world.post(path, &anna, &body).await),
            expected,
            "{path}"
        );
    }
    for path in [
        "/v1/records/vault/1",
        "/v1/records/nothing/1",
        "/v1/records/grades/27",
    ] {
        assert_eq!(
            comparable(&world.delete(path, &anna).await),
            expected,
            "{path}"
        );
    }
    for path in ["/v1/records/vault/1", "/v1/records/nothing/1"] {
        assert_eq!(
            comparable(&world.patch(path, &anna, &body).await),
            expected,
            "{path}"
        );
    }
    let score = json!({ "score": 1 });
    let other = world.patch("/v1/records/grades/27", &anna, &score).await;
    let none = world.patch("/v1/records/grades/9999", &anna, &score).await;
    assert_eq!(comparable(&other), comparable(&none));
}

#[tokio::test]
async fn a_field_that_is_not_hers_is_like_none() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let ask = async |name: &str| {
        let mut replies = vec![];
        for query in [
            format!("fields=id,{name}"),
            format!("sort={name}"),
            format!("filter={name}+%3D+'x'"),
            format!("filter={name}+is+null"),
            format!("expand={name}"),
            format!("sort=course.{name}"),
            format!("filter=course.{name}+is+null"),
            format!("fields=course.{name}&expand=course"),
        ] {
            let reply = world
                .get(&format!("/v1/records/grades?{query}"), &anna)
                .await;
            assert_eq!(reply.status, 400, "{query}: {}", reply.text());
            replies.push(reply.text().replace(name, "NAME"));
        }
        for query in [
            format!("group={name}"),
            format!("count={name}"),
            format!("min={name}&group=course"),
            format!("count=true&filter={name}+is+null"),
            format!("count_distinct=course.{name}"),
            format!("group=year({name})"),
        ] {
            let reply = world
                .get(&format!("/v1/aggregates/grades?{query}"), &anna)
                .await;
            assert_eq!(reply.status, 400, "{query}: {}", reply.text());
            replies.push(reply.text().replace(name, "NAME"));
        }
        replies
    };
    assert_eq!(ask("teacher_note").await, ask("teacher_nope").await);
    let secret = world.get("/v1/records/courses?sort=secret", &anna).await;
    assert_eq!(secret.code(), "bad_query");
}

#[tokio::test]
async fn a_field_that_is_not_hers_cannot_be_told_by_sending_it() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let send = async |name: &str| {
        let sent = json!({ name: 1 });
        let reply = world.patch("/v1/records/grades/1", &anna, &sent).await;
        let body = reply.text().replace(name, "NAME");
        body.split("decision_id").next().unwrap().to_owned()
    };
    assert_eq!(send("teacher_note").await, send("teacher_nope").await);
    // Whoever may change something is told of unknown fields, and of hidden ones alike.
    let tess = world.token("tess").await;
    let reply = world
        .patch("/v1/records/grades/1", &tess, &json!({ "nope": 1 }))
        .await;
    assert_eq!(reply.code(), "unknown_field");
}
