//! Pages by offset and by cursor are the same list.

use serde_json::Value as Json;

use crate::world::{World, escaped};

async fn by_cursor(world: &World, token: &str, query: &str) -> Vec<Json> {
    let (mut all, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("/v1/records/grades?{query}{cursor}");
        let reply = world.get(&path, token).await;
        let body = reply.json();
        all.extend(reply.data().as_array().unwrap().iter().cloned());
        match body["page"]["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                assert_eq!(body["page"]["more"], false);
                return all;
            }
        }
        assert_eq!(body["page"]["more"], true);
    }
}

async fn by_offset(world: &World, token: &str, query: &str, step: usize) -> Vec<Json> {
    let mut all = vec![];
    loop {
        let path = format!("/v1/records/grades?{query}&offset={}", all.len());
        let page = world.get(&path, token).await.data();
        let page = page.as_array().unwrap();
        all.extend(page.iter().cloned());
        if page.len() < step {
            return all;
        }
    }
}

#[tokio::test]
async fn every_order_pages_alike() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    for sort in [
        "",
        "&sort=id",
        "&sort=-id",
        "&sort=score",
        "&sort=-score",
        "&sort=graded_at,-score",
        "&sort=-weight",
        "&sort=rate,-graded_at,score",
        "&sort=course.title,-score",
        "&sort=comment",
        "&sort=student,graded_at",
        "&sort=second(graded_at),-score",
        "&sort=-count(course.grades),score",
    ] {
        for (limit, filter) in [(1, ""), (4, ""), (7, "score is not null or weight > 2")] {
            let filter = if filter.is_empty() {
                String::new()
            } else {
                format!("&filter={}", escaped(filter))
            };
            // The fields do not hold what is sorted by.
            let query = format!("limit={limit}&fields=id{sort}{filter}");
            let offset = by_offset(&world, &anna, &query, limit).await;
            assert_eq!(by_cursor(&world, &anna, &query).await, offset, "{query}");
            let total = world
                .get(&format!("/v1/records/grades?{query}&total=true"), &anna)
                .await;
            assert_eq!(total.json()["page"]["total"], offset.len(), "{query}");
        }
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let first = world
        .get("/v1/records/grades?limit=2&sort=-score", &anna)
        .await
        .json();
    let cursor = first["page"]["next"].as_str().unwrap();
    let go =
        async |token: &str, path: &str| world.get(&format!("{path}&cursor={cursor}"), token).await;
    assert_eq!(
        go(&anna, "/v1/records/grades?limit=2&sort=-score")
            .await
            .status,
        200
    );
    for path in [
        "/v1/records/grades?limit=2",
        "/v1/records/grades?sort=score",
        "/v1/records/grades?sort=-score&search=x",
        "/v1/records/grades?sort=-score&filter=score+%3D+1",
        "/v1/records/grades?sort=-score&offset=2",
        "/v1/records/courses?sort=-score",
    ] {
        assert_eq!(go(&anna, path).await.code(), "bad_parameter", "{path}");
    }
    // In other hands it reads what that caller may read, and no more.
    let hers = go(&tess, "/v1/records/grades?limit=100&sort=-score")
        .await
        .data();
    assert_eq!(hers.as_array().unwrap().len(), 26);
    for bad in ["x", "%00", "e30", &"A".repeat(20_000)] {
        let reply = world
            .get(&format!("/v1/records/grades?cursor={bad}"), &anna)
            .await;
        assert!(reply.status.is_client_error(), "{bad}");
    }
}
