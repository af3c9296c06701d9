//! Filters and sorts that reach through relations: what each step may be asked is what the caller may read there.

use serde_json::{Value as Json, json};

use crate::world::{World, escaped};

async fn ids(world: &World, token: &str, collection: &str, filter: &str) -> Vec<i64> {
    let filter = escaped(filter);
    let path = format!("/v1/records/{collection}?fields=id&limit=1000&filter={filter}");
    let reply = world.get(&path, token).await;
    assert_eq!(reply.status, 200, "{filter}: {}", reply.text());
    let data = reply.data();
    let records = data.as_array().unwrap().iter();
    records
        .map(|record| record["id"].as_i64().unwrap())
        .collect()
}

async fn code(world: &World, token: &str, collection: &str, filter: &str) -> (String, String) {
    let path = format!("/v1/records/{collection}?filter={}", escaped(filter));
    let reply = world.get(&path, token).await;
    (reply.code(), reply.text())
}

#[tokio::test]
async fn every_operator_finds_what_a_look_at_the_records_finds() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let all = world
        .get("/v1/records/grades?limit=1000", &anna)
        .await
        .data();
    let found = |holds: &dyn Fn(&Json) -> bool| -> Vec<i64> {
        let records = all.as_array().unwrap().iter();
        let found = records.filter(|record| holds(record));
        found.map(|record| record["id"].as_i64().unwrap()).collect()
    };
    let score = |record: &Json| record["score"].as_i64();
    let comment = |record: &Json| record["comment"].as_str().unwrap().to_owned();
    type Holds<'a> = Box<dyn Fn(&Json) -> bool + 'a>;
    let cases: Vec<(&str, Json, Holds<'_>)> = vec![
        (
            "score in (1, 6)",
            json!({ "in": [{ "field": "score" }, [1, 6]] }),
            Box::new(|r| matches!(score(r), Some(1 | 6))),
        ),
        (
            "score not in (1, 6)",
            json!({ "not": { "in": [{ "field": "score" }, [1, 6]] } }),
            Box::new(|r| score(r).is_some_and(|score| score != 1 && score != 6)),
        ),
        (
            "score between 2 and 4",
            json!({ "between": [{ "field": "score" }, 2, 4] }),
            Box::new(|r| score(r).is_some_and(|score| (2..=4).contains(&score))),
        ),
        (
            "score is null or score <> 3",
            json!({ "or": [{ "is_null": { "field": "score" } }, { "<>": [{ "field": "score" }, 3] }] }),
            Box::new(|r| score(r) != Some(3)),
        ),
        (
            "comment contains 'e 1'",
            json!({ "contains": [{ "field": "comment" }, "e 1"] }),
            Box::new(|r| comment(r).contains("e 1")),
        ),
        (
            "comment icontains 'GRADE 2'",
            json!({ "icontains": [{ "field": "comment" }, "GRADE 2"] }),
            Box::new(|r| comment(r).contains("grade 2")),
        ),
        (
            "comment ends_with '7'",
            json!({ "ends_with": [{ "field": "comment" }, "7"] }),
            Box::new(|r| comment(r).ends_with('7')),
        ),
        (
            "course.title starts_with 'Lat'",
            json!({ "starts_with": [{ "field": "course.title" }, "Lat"] }),
            Box::new(|r| r["course"] == 1),
        ),
        (
            "count(course.grades) = 13 and year(graded_at) = 2026",
            json!({ "and": [
                { "=": [{ "count": "course.grades" }, 13] },
                { "=": [{ "year": { "field": "graded_at" } }, 2026] },
            ] }),
            Box::new(|r| r["course"] == 1),
        ),
        (
            "some course.grades (score = 6 and weight > 6.5)",
            json!({ "some": ["course.grades", { "and": [
                { "=": [{ "field": "score" }, 6] },
                { ">": [{ "field": "weight" }, 6.5] },
            ] }] }),
            Box::new(|r| {
                all.as_array().unwrap().iter().any(|other| {
                    r["course"] == 1
                        && other["course"] == r["course"]
                        && score(other) == Some(6)
                        && other["weight"].as_f64() > Some(6.5)
                })
            }),
        ),
        (
            "weekday(graded_at) <> 7",
            json!({ "<>": [{ "weekday": { "field": "graded_at" } }, 7] }),
            Box::new(|_| false),
        ),
    ];
    for (text, json, holds) in &cases {
        let expected = found(holds);
        assert_eq!(ids(&world, &anna, "grades", text).await, expected, "{text}");
        let as_json = ids(&world, &anna, "grades", &json.to_string()).await;
        assert_eq!(as_json, expected, "{json}");
    }
}

#[tokio::test]
async fn a_step_leads_only_to_records_in_reach() {
    let world = World::school().await;
    let (anna, bo, tess) = (
        world.token("anna").await,
        world.token("bo").await,
        world.token("tess").await,
    );
    // The course is there for the teacher and not for the student, whatever the filter asks of it.
    assert_eq!(
        ids(&world, &tess, "grades", "course.title = 'Hidden'")
            .await
            .len(),
        14
    );
    for filter in [
        "course.title = 'Hidden'",
        "course.title <> 'Latin'",
        "count(course.grades) = 14",
        "some course.grades (id = 2)",
    ] {
        assert_eq!(
            ids(&world, &anna, "grades", filter).await,
            [0_i64; 0],
            "{filter}"
        );
    }
    assert_eq!(
        ids(&world, &anna, "grades", "course.title is null")
            .await
            .len(),
        12
    );
    // What counts as related is what each may read: hers and his are not each other's.
    for (token, count) in [(&anna, 13), (&bo, 1), (&tess, 14)] {
        let filter = format!("title = 'Latin' and count(grades) = {count}");
        assert_eq!(ids(&world, token, "courses", &filter).await, [1], "{count}");
    }
    let bos = ids(&world, &bo, "grades", "id > 0").await;
    let his = format!("some grades (id = {})", bos[1]);
    assert_eq!(ids(&world, &tess, "courses", &his).await.len(), 1);
    assert_eq!(ids(&world, &anna, "courses", &his).await, [0_i64; 0]);
    let none = format!("none grades (id = {})", bos[1]);
    assert_eq!(ids(&world, &anna, "courses", &none).await, [1]);
}

#[tokio::test]
async fn what_may_not_be_read_at_the_end_of_a_path_is_unknown() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let shapes = [
        ("grades", "course.NAME = 's'"),
        ("grades", "course.NAME is null"),
        ("courses", "some grades (NAME = 'x')"),
        ("courses", "every grades (NAME is null)"),
        ("grades", "count(course.NAME) > 0"),
        ("grades", "some NAME (id = 1)"),
    ];
    for (collection, shape) in shapes {
        // Of equal length and as far from every other name, so that the hints are the same.
        for (hidden, unknown) in [("secret", "secreq"), ("teacher_note", "teacher_nope")] {
            let mut told = vec![];
            for name in [hidden, unknown] {
                let filter = shape.replace("NAME", name);
                let (code, text) = code(&world, &anna, collection, &filter).await;
                assert_eq!(code, "bad_query", "{filter}");
                told.push(text.replace(name, "NAME"));
            }
            assert_eq!(told[0], told[1], "{shape}");
        }
    }
    assert_eq!(
        ids(&world, &tess, "grades", "course.secret = 's'")
            .await
            .len(),
        28
    );
    let noted = ids(
        &world,
        &tess,
        "courses",
        "some grades (teacher_note = 'between us')",
    )
    .await;
    assert_eq!(noted, [1, 2]);
}

#[tokio::test]
async fn a_field_readable_on_some_records_is_null_on_the_others() {
    let world = World::school().await;
    let prefect = world.newcomer("polly", "prefect").await;
    let tess = world.token("tess").await;
    assert_eq!(
        ids(&world, &prefect, "grades", "score >= 0").await,
        ids(&world, &tess, "grades", "score >= 3").await
    );
    assert_eq!(
        ids(&world, &prefect, "grades", "score is null").await,
        ids(&world, &tess, "grades", "score is null or score < 3").await
    );
    assert_eq!(
        ids(&world, &tess, "courses", "some grades (score < 3)").await,
        [1, 2]
    );
    for filter in [
        "some grades (score < 3)",
        "none grades (score < 3)",
        "every grades (score >= 3)",
    ] {
        assert_eq!(
            ids(&world, &prefect, "courses", filter).await,
            [0_i64; 0],
            "{filter}"
        );
    }
    // The course's title is hers in one course only; in a sort the other stands where a null stands.
    for sort in ["course.title,id", "-course.title,id"] {
        let path = format!("/v1/records/grades?fields=id,course&limit=1000&sort={sort}");
        let data = world.get(&path, &prefect).await.data();
        let courses = data
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["course"].as_i64());
        assert!(courses.is_sorted(), "{sort}");
    }
}

#[tokio::test]
async fn counts_can_be_sorted_by_as_each_may_count() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    // A third course with more grades than the others, none of them Anna's.
    world.load("courses", json!({ "title": "Music" })).await;
    let bo = ids(&world, &tess, "grades", "id > 25").await;
    for id in bo {
        let moved = world
            .patch(
                &format!("/v1/records/grades/{id}"),
                &tess,
                &json!({ "course": 3 }),
            )
            .await;
        assert_eq!(moved.status, 200);
    }
    let sorted = async |token: &str| {
        let path = "/v1/records/courses?fields=id&sort=-count(grades)";
        let data = world.get(path, token).await.data();
        let records = data.as_array().unwrap().iter();
        let ids: Vec<i64> = records
            .map(|record| record["id"].as_i64().unwrap())
            .collect();
        ids
    };
    assert_eq!(sorted(&tess).await, [1, 2, 3]);
    assert_eq!(sorted(&anna).await, [1, 3]);
    let reply = world
        .get("/v1/records/courses?sort=count(nothing)", &anna)
        .await;
    assert_eq!(reply.code(), "bad_query");
    let reply = world
        .get("/v1/records/grades?sort=year(score)", &anna)
        .await;
    assert_eq!(reply.code(), "bad_query");
}
