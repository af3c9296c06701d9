//! Expansion shows what the target's own rules show.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn related_records_come_under_their_own_rules() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let path = "/v1/records/grades?limit=2&fields=id&expand=course";
    let grades = world.get(path, &anna).await.data();
    // The first course she may read, without its secret; the second is hidden from her.
    let teacher = grades[0]["course"]["teacher"].clone();
    assert_eq!(
        grades,
        json!([
            { "id": 1, "course": { "id": 1, "title": "Latin", "teacher": teacher } },
            { "id": 2, "course": null },
        ])
    );
    let path = "/v1/records/grades/1?fields=id,course.title&expand=course";
    let grade = world.get(path, &anna).await.data();
    assert_eq!(grade, json!({ "id": 1, "course": { "title": "Latin" } }));
    // Accounts she may not read at all: the relation does not lead anywhere for her.
    let reply = world.get("/v1/records/courses?expand=teacher", &anna).await;
    assert_eq!(reply.code(), "unknown_field");
}

#[tokio::test]
async fn many_related_records_are_narrowed_too() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let path = "/v1/records/courses/1?fields=title,grades.id&expand=grades";
    let count = async |token: &str| {
        let course = world.get(path, token).await.data();
        course["grades"].as_array().unwrap().len()
    };
    assert_eq!((count(&anna).await, count(&tess).await), (13, 14));
    let path = "/v1/records/courses/1?fields=title,teacher.username,grades.id,grades.course.title&expand=teacher,grades.course";
    let course = world.get(path, &tess).await.data();
    assert_eq!(course["teacher"], json!({ "username": "tess" }));
    assert_eq!(
        course["grades"][0],
        json!({ "id": 1, "course": { "title": "Latin" } })
    );
}
