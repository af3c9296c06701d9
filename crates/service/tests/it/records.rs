//! Records under rules.

use serde_json::json;

use crate::home::{Home, SCHOOL, grades, name, sent, written};

#[tokio::test]
async fn a_student_sees_her_own_and_nobody_elses() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    let anna = home.as_user("anna").await;
    let mine = home.list_of(&anna, "grades").await.unwrap();
    assert_eq!(mine, [json!({ "id": 1, "student": anna_id, "score": 90 })]);
    assert_eq!(home.get(&anna, "grades", "1").await.unwrap(), mine[0]);
    // Out of reach and not there are one answer; so are a hidden field and an unknown one.
    for key in ["2", "99", "x"] {
        assert_eq!(
            home.get(&anna, "grades", key).await.unwrap_err().code(),
            "not_found"
        );
    }
    let hidden = home
        .list_where(&anna, "grades", Some("note = 'quiet'"))
        .await
        .unwrap_err();
    let unknown = home
        .list_where(&anna, "grades", Some("nota = 'quiet'"))
        .await
        .unwrap_err();
    assert_eq!(
        hidden.to_string().replace("note", "nota"),
        unknown.to_string()
    );
    assert!(home.list_of(&anna, "secrets").await.is_err());
}

#[tokio::test]
async fn what_is_denied_changes_nothing() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    let anna = home.as_user("anna").await;
    let grades = name("grades");
    let before = home.list_of(&home.operator(), "grades").await.unwrap();
    let update = home
        .update(&anna, &grades, "1", sent(json!({ "score": 100 })))
        .await;
    assert_eq!(update.unwrap_err().code(), "forbidden");
    let others = home
        .update(&anna, &grades, "2", sent(json!({ "score": 0 })))
        .await;
    assert_eq!(others.unwrap_err().code(), "not_found");
    assert_eq!(
        home.delete(&anna, &grades, "1").await.unwrap_err().code(),
        "forbidden"
    );
    let create = json!({ "student": anna_id, "score": 100 });
    assert_eq!(
        home.put(&anna, "grades", create).await.unwrap_err().code(),
        "forbidden"
    );
    assert_eq!(
        home.list_of(&home.operator(), "grades").await.unwrap(),
        before
    );
}

#[tokio::test]
async fn writes_answer_with_what_is_stored() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    home.user("ada", &["teacher"]).await;
    let ada = home.as_user("ada").await;
    let made = home
        .put(&ada, "grades", json!({ "student": anna_id, "score": 50 }))
        .await
        .unwrap();
    assert_eq!(made.key_text(), "3");
    assert_eq!(
        written(&made),
        json!({ "id": 3, "student": anna_id, "score": 50, "note": null })
    );
    let changed = home
        .update(
            &ada,
            &name("grades"),
            "3",
            sent(json!({ "note": "better" })),
        )
        .await
        .unwrap();
    assert_eq!(written(&changed)["note"], "better");
    home.delete(&ada, &name("grades"), "3").await.unwrap();
    assert_eq!(
        home.get(&ada, "grades", "3").await.unwrap_err().code(),
        "not_found"
    );
    assert_eq!(
        home.delete(&ada, &name("grades"), "3")
            .await
            .unwrap_err()
            .code(),
        "not_found"
    );
}

#[tokio::test]
async fn what_does_not_fit_names_what_was_sent() {
    let home = Home::school().await;
    grades(&home).await;
    let operator = home.operator();
    let put = |collection, values| home.put(&operator, collection, values);
    let error = put("grades", json!({ "student": "nobody", "score": 1 }))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().starts_with("student: ")),
        ("bad_value", true)
    );
    let error = put("grades", json!({ "score": "ten" })).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().starts_with("score: ")),
        ("bad_value", true)
    );
    let error = put("posts", json!({ "titel": "x" })).await.unwrap_err();
    assert!(
        error.to_string().contains("did you mean 'title'?"),
        "{error}"
    );
    let error = put("posts", json!({ "body": "x" })).await.unwrap_err();
    assert_eq!(error.to_string(), "title: must have a value");
    put("posts", json!({ "title": "one" })).await.unwrap();
    let error = put("posts", json!({ "title": "one" })).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "another record has this value already: title"
    );
}

#[tokio::test]
async fn a_required_field_one_knows_nothing_of_is_not_named() {
    let blind = format!(
        "{SCHOOL}  poster:\n    permissions:\n      - {{ allow: data.create, on: posts, fields: [body] }}\n"
    );
    let home = Home::with(&blind).await;
    home.user("pia", &["poster"]).await;
    // Nor by everybody's rights.
    let closed = blind.replace("fields: [title]", "fields: [id]");
    home.apply_text(&closed, false).await.unwrap();
    let pia = home.as_user("pia").await;
    let error = home
        .put(&pia, "posts", json!({ "body": "x" }))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "incomplete");
    assert!(!error.to_string().contains("title"), "{error}");
}

#[tokio::test]
async fn who_has_not_signed_in_sees_what_is_for_everybody() {
    let home = Home::school().await;
    grades(&home).await;
    home.put(
        &home.operator(),
        "posts",
        json!({ "title": "open day", "body": "b" }),
    )
    .await
    .unwrap();
    let anonymous = home.anonymous().await;
    let posts = home.list_of(&anonymous, "posts").await.unwrap();
    assert_eq!(posts, [json!({ "id": 1, "title": "open day" })]);
    assert_eq!(
        home.list_of(&anonymous, "grades").await.unwrap_err().code(),
        "not_found"
    );
}
