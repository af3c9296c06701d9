//! Numbers about groups: what is counted is what the caller may read, and nothing else moves a number.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::world::{World, escaped};

const ALL: &str = "group=course&count=true,score&count_distinct=score&sum=score,rate&avg=score,rate&min=comment,graded_at&max=weight,score";

async fn ask(world: &World, token: &str, query: &str) -> Json {
    let path = format!("/v1/aggregates/grades?{query}");
    world.get(&path, token).await.data()
}

// The same worked out from the list that the caller may read.
async fn by_hand(world: &World, token: &str) -> Json {
    let list = world.get("/v1/records/grades?limit=1000", token).await;
    let mut groups: BTreeMap<i64, Vec<Json>> = BTreeMap::new();
    for record in list.data().as_array().unwrap() {
        let course = record["course"].as_i64().unwrap();
        groups.entry(course).or_default().push(record.clone());
    }
    let rows = groups.iter().map(|(course, records)| {
        let of = |name: &str| -> Vec<Json> {
            let values = records.iter().map(|record| record[name].clone());
            values.filter(|value| !value.is_null()).collect()
        };
        let scores: Vec<i64> = of("score").iter().map(|v| v.as_i64().unwrap()).collect();
        let cents = |text: &Json| {
            text.as_str()
                .unwrap()
                .replace('.', "")
                .parse::<i64>()
                .unwrap()
        };
        let rates: Vec<i64> = of("rate").iter().map(cents).collect();
        let mut distinct = scores.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let least = |name: &str| {
            let texts = of(name).into_iter().map(|v| v.as_str().unwrap().to_owned());
            // A moment without a fraction is before the same with one.
            texts.min_by_key(|text| text.trim_end_matches('Z').to_owned())
        };
        let (score, rate) = (scores.iter().sum::<i64>(), rates.iter().sum::<i64>());
        let weights = of("weight");
        let heaviest = weights
            .iter()
            .map(|v| v.as_f64().unwrap())
            .fold(f64::MIN, f64::max);
        json!({
            "course": course, "count": records.len(), "count(score)": scores.len(),
            "count_distinct(score)": distinct.len(), "sum(score)": score,
            "sum(rate)": format!("{}.{:02}", rate / 100, rate % 100),
            "avg(score)": score as f64 / scores.len() as f64,
            "avg(rate)": rate as f64 / (rates.len() * 100) as f64,
            "min(comment)": least("comment"), "min(graded_at)": least("graded_at"),
            "max(weight)": heaviest, "max(score)": scores.iter().max(),
        })
    });
    Json::Array(rows.collect())
}

#[tokio::test]
async fn numbers_are_those_of_the_records_a_caller_may_read() {
    let world = World::school().await;
    let (anna, bo, tess) = (
        world.token("anna").await,
        world.token("bo").await,
        world.token("tess").await,
    );
    for token in [&anna, &bo, &tess] {
        assert_eq!(ask(&world, token, ALL).await, by_hand(&world, token).await);
    }
    let count = |rows: Json| rows[0]["count"].clone();
    assert_eq!(count(ask(&world, &anna, "count=true").await), 25);
    assert_eq!(count(ask(&world, &bo, "count=true").await), 3);
    assert_eq!(count(ask(&world, &tess, "count=true").await), 28);
    // Of nothing there is still one row: a count of 0, and no sum.
    let nothing = ask(
        &world,
        &anna,
        "count=true&sum=score&avg=score&filter=score+%3E+99",
    )
    .await;
    assert_eq!(
        nothing,
        json!([{ "count": 0, "sum(score)": null, "avg(score)": null }])
    );
    let nothing = ask(&world, &anna, "group=course&count=true&filter=score+%3E+99").await;
    assert_eq!(nothing, json!([]));
    for (token, expected) in [("", 404), (anna.as_str(), 200)] {
        let reply = world.get("/v1/aggregates/grades?count=true", token).await;
        assert_eq!(reply.status, expected);
    }
}

#[tokio::test]
async fn what_is_out_of_reach_behind_a_relation_is_no_group_of_its_own() {
    let world = World::school().await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let query = "group=course.title&count=true&sort=-count,course.title";
    assert_eq!(
        ask(&world, &tess, query).await,
        json!([{ "course.title": "Hidden", "count": 14 }, { "course.title": "Latin", "count": 14 }])
    );
    // Anna's second course is not hers to know: its grades have no title, and its title makes no difference.
    assert_eq!(
        ask(&world, &anna, query).await,
        json!([{ "course.title": "Latin", "count": 13 }, { "course.title": null, "count": 12 }])
    );
    let count = "group=course.title&count=true&filter=course.title+%3D+'Hidden'";
    assert_eq!(ask(&world, &anna, count).await, json!([]));
    // The relation's other side counts what each may read of it.
    let counted = "/v1/aggregates/courses?group=count(grades)&count=true";
    let rows = world.get(counted, &anna).await.data();
    assert_eq!(rows, json!([{ "count(grades)": 13, "count": 1 }]));
    let rows = world.get(counted, &tess).await.data();
    assert_eq!(rows, json!([{ "count(grades)": 14, "count": 2 }]));
}

#[tokio::test]
async fn a_field_readable_on_some_records_is_null_on_the_others() {
    let world = World::school().await;
    let prefect = world.newcomer("polly", "prefect").await;
    let tess = world.token("tess").await;
    let query = "count=true,score&sum=score&min=score";
    let passed = ask(&world, &tess, &format!("{query}&filter=score+%3E%3D+3")).await;
    let seen = ask(&world, &prefect, query).await;
    assert_eq!(seen[0]["count"], 28);
    for name in ["count(score)", "sum(score)", "min(score)"] {
        assert_eq!(seen[0][name], passed[0][name], "{name}");
    }
    // Failed and missing scores are one group: null.
    let groups = ask(&world, &prefect, "group=score&count=true").await;
    let groups = groups.as_array().unwrap();
    let hidden = groups.last().unwrap();
    let readable = passed[0]["count(score)"].as_i64().unwrap();
    assert_eq!(*hidden, json!({ "score": null, "count": 28 - readable }));
    assert!(
        groups[..groups.len() - 1]
            .iter()
            .all(|row| row["score"].as_i64() >= Some(3))
    );
    // A change of what is hidden moves nothing.
    let before = ask(
        &world,
        &prefect,
        &format!("group=score,course.title&{query}"),
    )
    .await;
    let list = world
        .get("/v1/records/grades?filter=score+%3C+3&limit=1", &tess)
        .await;
    let id = &list.data()[0]["id"];
    let changed = world
        .patch(
            &format!("/v1/records/grades/{id}"),
            &tess,
            &json!({ "score": -7 }),
        )
        .await;
    assert_eq!(changed.status, 200);
    let after = ask(
        &world,
        &prefect,
        &format!("group=score,course.title&{query}"),
    )
    .await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_right_to_count_covers_the_number_and_nothing_finer() {
    let world = World::school().await;
    let counter = world.newcomer("carl", "counter").await;
    let tess = world.token("tess").await;
    let expected = ask(&world, &tess, "count=true&filter=score+%3E%3D+3").await;
    assert_eq!(ask(&world, &counter, "count=true").await, expected);
    for finer in [
        "count=id",
        "group=course&count=true",
        "count=true&filter=id+%3D+1",
        "count=true&search=a",
        "sum=score",
    ] {
        let reply = world
            .get(&format!("/v1/aggregates/grades?{finer}"), &counter)
            .await;
        assert_eq!(reply.code(), "forbidden", "{finer}");
    }
}

#[tokio::test]
async fn sums_are_exact_or_an_error() {
    let world = World::school().await;
    let tess = world.token("tess").await;
    let list = world.get("/v1/records/grades?limit=3", &tess).await.data();
    let id = |place: usize| list[place]["id"].clone();
    for (place, score) in [(0, i64::MAX), (1, 1), (2, -1)] {
        let path = format!("/v1/records/grades/{}", id(place));
        let reply = world.patch(&path, &tess, &json!({ "score": score })).await;
        assert_eq!(reply.status, 200);
    }
    let of = |ids: &[Json]| {
        let ids: Vec<String> = ids.iter().map(Json::to_string).collect();
        format!(
            "sum=score&filter={}",
            escaped(&format!("id in ({})", ids.join(", ")))
        )
    };
    let all = ask(&world, &tess, &of(&[id(0), id(1), id(2)])).await;
    assert_eq!(all[0]["sum(score)"], i64::MAX);
    let over = format!("/v1/aggregates/grades?{}", of(&[id(0), id(1)]));
    let reply = world.get(&over, &tess).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (422, "out_of_range")
    );
}

#[tokio::test]
async fn groups_are_ordered_limited_and_told_apart() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let page = async |query: &str| {
        let reply = world
            .get(&format!("/v1/aggregates/grades?{query}"), &anna)
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let query = "group=score&avg=weight&sort=-avg(weight)";
    let whole = page(query).await;
    assert_eq!(whole["page"], json!({ "limit": 1000, "more": false }));
    let rows = whole["data"].as_array().unwrap();
    let means: Vec<f64> = rows
        .iter()
        .map(|row| row["avg(weight)"].as_f64().unwrap())
        .collect();
    assert!(means.is_sorted_by(|a, b| a >= b) && means.len() == 8);
    let first = page(&format!("{query}&limit=3")).await;
    assert_eq!(first["page"], json!({ "limit": 3, "more": true }));
    let rest = page(&format!("{query}&offset=3&limit=5")).await;
    assert_eq!(rest["page"]["more"], false);
    let both = [
        first["data"].as_array().unwrap().clone(),
        rest["data"].as_array().unwrap().clone(),
    ];
    assert_eq!(&both.concat(), rows);
    let years = page("group=year(graded_at),weekday(graded_at)&count=true").await;
    let expected = json!([{ "year(graded_at)": 2026, "weekday(graded_at)": 7, "count": 25 }]);
    assert_eq!(years["data"], expected);
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let world = World::school().await;
    let anna = world.token("anna").await;
    let groups = ["id"; 9].join(",");
    let many: Vec<String> = (0..17).map(|n| format!("count(x{n})")).collect();
    for (query, code, part) in [
        ("".into(), "bad_query", "Nothing is asked for"),
        (format!("group={groups}"), "bad_query", "At most 8"),
        (format!("min={}", many.join(",")), "bad_query", "At most 16"),
        (
            "sum=comment".into(),
            "bad_query",
            "sum needs numbers, and 'comment' is text",
        ),
        ("avg=graded_at".into(), "bad_query", "avg needs numbers"),
        ("sum=scor".into(), "bad_query", "did you mean 'score'"),
        (
            "count=true&group=course&sort=cuont".into(),
            "bad_query",
            "which has course, count; did you mean 'count'",
        ),
        ("count=true,true".into(), "bad_query", "ask for it once"),
        ("group=course,course".into(), "bad_query", "ask for it once"),
        ("group=year(score)".into(), "bad_query", "needs a timestamp"),
        ("group='x'".into(), "bad_query", "no field"),
        ("group=year(%24now)".into(), "bad_query", "rules only"),
        (
            "group=count(grades)&count=true".into(),
            "bad_query",
            "no to-many relation",
        ),
        (
            "limit=0&count=true".into(),
            "bad_parameter",
            "from 1 to 1000",
        ),
        ("gruop=course".into(), "unknown_parameter", "group"),
        ("max=year(graded_at".into(), "bad_parameter", "max"),
    ] {
        let reply = world
            .get(&format!("/v1/aggregates/grades?{query}"), &anna)
            .await;
        assert_eq!(reply.code(), code, "{query}: {}", reply.text());
        let text = reply.text().to_lowercase();
        assert!(text.contains(&part.to_lowercase()), "{query}: {text}");
    }
}
