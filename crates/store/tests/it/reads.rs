use portreeve_model::Value;
use serde_json::json;

use crate::world::{List, World, expand, keys};

const SCHOOL: &str = r#"
collections:
  users:
    fields:
      team: text
    relations:
      grades: { many: grades, by: student }
      courses: { many: courses, through: enrolments, from: student, to: course }
  courses:
    key: { id: integer }
    fields:
      title: { type: text, required: true }
      teacher: { to: users, on_delete: restrict }
    relations:
      grades: { many: grades, by: course }
      students: { many: users, through: enrolments, from: course, to: student }
  enrolments:
    key: { id: integer }
    fields:
      student: { to: users, required: true, on_delete: cascade }
      course: { to: courses, required: true, on_delete: cascade }
  grades:
    key: { id: integer }
    fields:
      student: { to: users, required: true, on_delete: cascade }
      course: { to: courses, required: true, on_delete: cascade }
      score: integer
      note: text
      weight: decimal(2)
      graded: timestamp
      final: boolean
    indexes: [[student, course]]
roles:
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [student, course, score, weight, graded, final] }
      - { allow: data.read, on: grades, rows: "student = $user and score >= 5", fields: [note] }
      - { allow: data.read, on: courses, rows: "some students (id = $user)" }
      - { allow: data.read, on: users, rows: "id = $user", fields: [username] }
  teacher:
    permissions:
      - { allow: data.read, on: grades, rows: "course.teacher = $user" }
      - { allow: data.read, on: courses }
      - { allow: data.read, on: users, fields: [username] }
      - { allow: data.read, on: enrolments }
"#;

async fn school() -> World {
    let world = super::world(SCHOOL).await;
    for (name, role) in [
        ("anna", "student"),
        ("bo", "student"),
        ("tom", "teacher"),
        ("una", "teacher"),
    ] {
        world.user(name, &[role]).await;
    }
    let admin = world.operator();
    for (title, teacher) in [("maths", "tom"), ("music", "una"), ("art", "una")] {
        world
            .put(
                &admin,
                "courses",
                json!({ "title": title, "teacher": teacher }),
            )
            .await;
    }
    for (student, course) in [("anna", 1), ("anna", 2), ("bo", 2)] {
        world
            .put(
                &admin,
                "enrolments",
                json!({ "student": student, "course": course }),
            )
            .await;
    }
    for (student, course, score) in [
        ("anna", 1, json!(3)),
        ("anna", 2, json!(7)),
        ("bo", 2, json!(5)),
        ("bo", 1, json!(null)),
        ("anna", 1, json!(9)),
    ] {
        let sent = json!({
            "student": student, "course": course, "score": score, "note": format!("n{score}"),
            "weight": "1.50", "graded": "2026-01-02T03:04:05.000006Z", "final": true,
        });
        world.put(&admin, "grades", sent).await;
    }
    world
}

#[tokio::test]
async fn rows_and_fields_are_narrowed_in_the_query() {
    let world = school().await;
    let anna = world.admit("anna").await;
    let (list, outcome) = world.list(&anna, List::of("grades")).await;
    assert_eq!(keys(&list), [1, 2, 5]);
    assert_eq!(
        (outcome.count, outcome.more, outcome.total),
        (3, false, None)
    );
    assert_eq!(
        list[0],
        json!({ "id": 1, "student": "anna", "course": 1, "score": 3, "note": null, "weight": "1.50",
                "graded": "2026-01-02T03:04:05.000006Z", "final": true })
    );
    assert_eq!(list[1]["note"], "n7");
    assert_eq!(world.get(&anna, "grades", "3").await, None);
    assert_eq!(world.get(&anna, "grades", "2").await.unwrap()["score"], 7);
    let tom = world.admit("tom").await;
    assert_eq!(
        keys(&world.list(&tom, List::of("grades")).await.0),
        [1, 4, 5]
    );
    assert!(world.get(&tom, "grades", "2").await.is_none());
    assert_eq!(
        world.get(&tom, "grades", "4").await.unwrap()["score"],
        json!(null)
    );
}

#[tokio::test]
async fn what_cannot_be_read_cannot_be_asked_about() {
    let world = school().await;
    let anna = world.admit("anna").await;
    // The note of grade 1 is not hers to read, so a filter on it does not find it.
    let found = world
        .list(
            &anna,
            List::of("grades").filter("note = 'n3' or note = 'n7'"),
        )
        .await;
    assert_eq!(keys(&found.0), [2]);
    assert_eq!(
        keys(&world.list(&anna, List::of("grades").search("N7")).await.0),
        [2]
    );
    assert!(
        world
            .list(&anna, List::of("grades").search("n3"))
            .await
            .0
            .is_empty()
    );
    assert_eq!(
        keys(
            &world
                .list(&anna, List::of("grades").filter("note is null"))
                .await
                .0
        ),
        [1]
    );
    assert_eq!(
        keys(
            &world
                .list(&anna, List::of("grades").sort("note", false))
                .await
                .0
        ),
        [2, 5, 1]
    );
    assert_eq!(
        keys(
            &world
                .list(&anna, List::of("grades").filter("course.title = 'music'"))
                .await
                .0
        ),
        [2]
    );
}

#[tokio::test]
async fn pages_by_offset_and_by_cursor_meet_every_record_once() {
    let world = school().await;
    let admin = world.operator();
    for (descending, expected) in [(false, [1, 3, 2, 5, 4]), (true, [5, 2, 3, 1, 4])] {
        let list = || List::of("grades").sort("score", descending);
        let (all, outcome) = world.list(&admin, list().total()).await;
        assert_eq!(keys(&all), expected);
        assert_eq!((outcome.total, outcome.last), (Some(5), None));
        let mut seen = vec![];
        let (page, mut outcome) = world.list(&admin, list().page(2, 0)).await;
        seen.extend(keys(&page));
        assert!(outcome.more);
        while let Some(last) = outcome.last.take() {
            let (page, next) = world.list(&admin, list().page(2, 0).after(last)).await;
            seen.extend(keys(&page));
            outcome = next;
        }
        assert_eq!(seen, expected);
        let (second, _) = world.list(&admin, list().page(2, 2)).await;
        assert_eq!(keys(&second), expected[2..4]);
    }
    let (page, outcome) = world.list(&admin, List::of("grades").page(2, 0)).await;
    assert_eq!(
        (keys(&page), outcome.last),
        (vec![1, 2], Some(vec![Value::Integer(2)]))
    );
    let (none, outcome) = world
        .list(
            &admin,
            List::of("grades").page(0, 0).filter("score > 4").total(),
        )
        .await;
    assert_eq!((none.len(), outcome.total), (0, Some(3)));
}

#[tokio::test]
async fn relations_come_along_within_the_callers_reach() {
    let world = school().await;
    let anna = world.admit("anna").await;
    let list = List::of("grades")
        .fields(&["id"])
        .expand("course", Some(&["title"]), vec![])
        .expand("student", None, vec![]);
    let (list, _) = world.list(&anna, list).await;
    assert_eq!(
        list[0],
        json!({ "id": 1, "course": { "title": "maths" }, "student": { "id": "anna", "username": "anna" } })
    );
    let tom = world.admit("tom").await;
    let list = List::of("courses").fields(&["title"]).expand(
        "grades",
        Some(&["score"]),
        vec![expand("student", Some(&["username"]), vec![])],
    );
    let (list, outcome) = world
        .list(
            &tom,
            list.expand("students", Some(&["username"]), vec![])
                .page(2, 0),
        )
        .await;
    assert!(outcome.more);
    assert_eq!(
        list,
        [
            json!({ "title": "maths", "grades": [
                { "score": 3, "student": { "username": "anna" } },
                { "score": null, "student": { "username": "bo" } },
                { "score": 9, "student": { "username": "anna" } },
            ], "students": [{ "username": "anna" }] }),
            json!({ "title": "music", "grades": [], "students": [{ "username": "anna" }, { "username": "bo" }] }),
        ]
    );
}

#[tokio::test]
async fn a_record_that_is_led_to_twice_comes_once() {
    let world = school().await;
    let admin = world.operator();
    // Anna enrols in maths again.
    world
        .put(
            &admin,
            "enrolments",
            json!({ "student": "anna", "course": 1 }),
        )
        .await;
    let list =
        List::of("courses")
            .fields(&["title"])
            .expand("students", Some(&["username"]), vec![]);
    let (list, _) = world.list(&admin, list.page(1, 0)).await;
    assert_eq!(list[0]["students"], json!([{ "username": "anna" }]));
    let counted = world
        .list(&admin, List::of("courses").filter("count(students) = 1"))
        .await;
    assert_eq!(keys(&counted.0), [1]);
}

#[tokio::test]
async fn a_long_read_is_started_over_elsewhere_and_gives_the_same() {
    let world = school().await;
    let admin = world.operator();
    for number in 0..400 {
        let sent =
            json!({ "student": "bo", "course": 3, "score": number, "note": "x".repeat(200) });
        world.put(&admin, "grades", sent).await;
    }
    // Quadratic by nature: for each grade all grades of its course.
    let list = List::of("grades").filter("every course.grades (score < 1000 or score is null)");
    let (list, _) = world.list(&admin, list.page(1_000, 0)).await;
    assert_eq!(list.len(), 405);
}

#[tokio::test]
async fn futures_can_move_between_threads() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let world = school().await;
    let authorized = world
        .gate
        .list(&world.operator(), List::of("grades").request())
        .unwrap();
    let sink = crate::world::Lines::default();
    sendable(world.store.read(&authorized, sink)).await.unwrap();
}
