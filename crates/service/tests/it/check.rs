//! Questions about decisions.

use portreeve_service::{CheckRequest, ServiceError};
use serde_json::json;

use crate::home::{Home, grades};

fn ask(subject: Option<&str>, action: &str, on: &str, key: Option<&str>) -> CheckRequest {
    CheckRequest {
        subject: subject.map(Into::into),
        action: action.into(),
        collection: Some(on.into()),
        key: key.map(Into::into),
        send: None,
    }
}

fn sending(mut request: CheckRequest, values: serde_json::Value) -> CheckRequest {
    request.send = values.as_object().cloned();
    request
}

#[tokio::test]
async fn one_may_always_ask_about_oneself() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    let anna = home.as_user("anna").await;
    let cases = [
        (ask(None, "data.read", "grades", Some("1")), true),
        (ask(None, "read", "grades", Some("2")), false),
        (ask(None, "read", "grades", Some("99")), false),
        (ask(None, "list", "grades", None), true),
        (ask(None, "list", "nothing", None), false),
        (ask(None, "list", "users", None), false),
        (
            sending(
                ask(None, "update", "grades", Some("1")),
                json!({ "score": 100 }),
            ),
            false,
        ),
        (ask(None, "delete", "grades", Some("1")), false),
        (
            sending(ask(None, "create", "posts", None), json!({ "title": "x" })),
            true,
        ),
        (
            sending(
                ask(None, "create", "grades", None),
                json!({ "student": anna_id, "score": 1 }),
            ),
            false,
        ),
    ];
    for (request, allowed) in cases {
        let answer = home.check(&anna, &request).await.unwrap();
        assert_eq!(answer.allowed, allowed, "{request:?}");
    }
    let some = home
        .check(&anna, &ask(None, "list", "grades", None))
        .await
        .unwrap();
    assert_eq!(some.limited, Some(true));
    let all = home
        .check(&anna, &ask(None, "list", "posts", None))
        .await
        .unwrap();
    assert_eq!(all.limited, Some(false));
}

#[tokio::test]
async fn about_others_only_who_may_simulate() {
    let home = Home::school().await;
    grades(&home).await;
    let anna = home.as_user("anna").await;
    let about_bo = ask(Some("bo"), "read", "grades", Some("2"));
    assert_eq!(
        home.check(&anna, &about_bo).await.unwrap_err().code(),
        "forbidden"
    );
    assert_eq!(
        home.explain(&anna, &about_bo).await.unwrap_err().code(),
        "forbidden"
    );
    let root = home.as_user("root").await;
    assert!(home.check(&root, &about_bo).await.unwrap().allowed);
    let anonymous = ask(Some("anonymous"), "read", "grades", Some("2"));
    assert!(!home.check(&root, &anonymous).await.unwrap().allowed);
    let nobody = ask(Some("nobody"), "read", "grades", Some("2"));
    assert_eq!(
        home.check(&root, &nobody).await.unwrap_err().code(),
        "unknown_user"
    );
}

#[tokio::test]
async fn the_answer_is_what_the_operation_would_get() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    home.user("ada", &["teacher"]).await;
    let ada = home.as_user("ada").await;
    // A relation to an account within reach, and one to nobody.
    for (student, allowed) in [(anna_id.as_str(), true), ("nobody", false)] {
        let values = json!({ "student": student, "score": 1 });
        let asked = sending(ask(None, "create", "grades", None), values.clone());
        assert_eq!(home.check(&ada, &asked).await.unwrap().allowed, allowed);
        assert_eq!(home.put(&ada, "grades", values).await.is_ok(), allowed);
    }
    let unknown = sending(
        ask(None, "update", "grades", Some("1")),
        json!({ "skore": 1 }),
    );
    assert_eq!(
        home.check(&ada, &unknown).await.unwrap_err().code(),
        "unknown_field"
    );
    let misspelt = home
        .check(&ada, &ask(None, "data.upate", "grades", None))
        .await
        .unwrap_err();
    assert!(matches!(misspelt, ServiceError::UnknownAction { .. }));
    assert!(misspelt.to_string().contains("did you mean"), "{misspelt}");
}

#[tokio::test]
async fn an_explanation_names_what_is_missing() {
    let home = Home::school().await;
    grades(&home).await;
    let operator = home.operator();
    let update = sending(
        ask(Some("anna"), "data.update", "grades", Some("1")),
        json!({ "score": 1 }),
    );
    let explained = home.explain(&operator, &update).await.unwrap();
    assert_eq!(explained.explanation.decision, "deny");
    assert!(explained.explanation.suggestion.is_some(), "{explained:?}");
    let read = home
        .explain(&operator, &ask(Some("anna"), "read", "grades", Some("2")))
        .await
        .unwrap();
    assert_eq!(read.explanation.decision, "deny");
    let failed = &read.explanation.considered[0].failed[0];
    assert!(failed.part.contains("student"), "{failed:?}");
    let missing = home
        .explain(&operator, &ask(Some("anna"), "read", "grades", Some("99")))
        .await
        .unwrap();
    assert_eq!(missing.explanation.decision, "deny");
    assert!(missing.before.unwrap().contains("no record '99'"));
    let unknown = home
        .explain(&operator, &ask(Some("anna"), "read", "grade", None))
        .await
        .unwrap_err();
    assert!(
        unknown.to_string().contains("did you mean 'grades'?"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_target_is_the_longest_collection_and_the_rest_a_key() {
    let home = Home::with(
        "collections: { shop/orders: { fields: { a: text } }, grades: { fields: { a: text } } }",
    )
    .await;
    for (text, collection, key) in [
        ("grades", "grades", None),
        ("grades/1", "grades", Some("1")),
        ("grades/a/b", "grades", Some("a/b")),
        ("shop/orders", "shop/orders", None),
        ("shop/orders/7", "shop/orders", Some("7")),
        ("nothing/7", "nothing", Some("7")),
        ("nothing", "nothing", None),
    ] {
        assert_eq!(
            home.target(text),
            (collection.to_owned(), key.map(str::to_owned))
        );
    }
}
