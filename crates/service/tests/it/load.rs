//! Lines of JSON.

use std::fmt::Write;

use portreeve_service::ServiceError;

use crate::home::Home;

const LINES: &str = r#"{"user": {"username": "anna", "email": "anna@school.example", "password": "anna-password", "roles": ["student"], "values": {"form": "7b"}}}
{"user": {"username": "bo", "roles": ["student"]}}

{"record": {"collection": "grades", "values": {"id": 1, "student": {"user": "anna"}, "score": 90}}}
{"record": {"collection": "grades", "values": {"id": 2, "student": {"user": "bo"}, "score": 70}}}
"#;

async fn failure(home: &Home, lines: &str) -> (usize, String, usize) {
    match home.load(lines.as_bytes(), 0).await {
        Err(ServiceError::NotLoaded(error)) => (error.line, error.message, error.loaded),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn accounts_and_records_are_loaded() {
    let home = Home::school().await;
    let loaded = home.load(LINES.as_bytes(), 0).await.unwrap();
    assert_eq!((loaded.users, loaded.records), (2, 2));
    let anna = home.as_user("anna").await;
    assert_eq!(home.list_of(&anna, "grades").await.unwrap().len(), 1);
    // Accounts that were there before can be named too.
    let more = r#"{"record": {"collection": "grades", "values": {"student": {"user": "anna"}, "score": 1}}}"#;
    home.load(more.as_bytes(), 0).await.unwrap();
    assert_eq!(home.list_of(&anna, "grades").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_behind_it_is_loaded() {
    let home = Home::school().await;
    let mut lines = LINES.to_owned();
    for id in 3..=40 {
        let score = if id == 20 { "\"much\"" } else { "50" };
        writeln!(
            lines,
            r#"{{"record": {{"collection": "grades", "values": {{"id": {id}, "student": {{"user": "bo"}}, "score": {score}}}}}}}"#
        )
        .unwrap();
    }
    let (line, message, loaded) = failure(&home, &lines).await;
    assert_eq!((line, loaded), (23, 21));
    assert!(message.starts_with("score: "), "{message}");
    assert_eq!(
        home.list_of(&home.operator(), "grades")
            .await
            .unwrap()
            .len(),
        19
    );
    // Corrected, the rest is loaded from there.
    let corrected = lines.replace("\"much\"", "50");
    let rest = home.load(corrected.as_bytes(), line - 1).await.unwrap();
    assert_eq!(rest.records, 21);
    assert_eq!(
        home.list_of(&home.operator(), "grades")
            .await
            .unwrap()
            .len(),
        40
    );
}

#[tokio::test]
async fn what_the_database_refuses_takes_back_what_went_along() {
    let home = Home::school().await;
    home.load(LINES.as_bytes(), 0).await.unwrap();
    let record = |id: u32| {
        format!(
            r#"{{"record": {{"collection": "grades", "values": {{"id": {id}, "student": {{"user": "bo"}}, "score": 1}}}}}}"#
        )
    };
    // Line 2 repeats a key; line 3 is on its way beside it.
    let lines = [record(3), record(1), record(4)].join("\n");
    let (line, _, loaded) = failure(&home, &lines).await;
    assert_eq!((line, loaded), (2, 1));
    assert_eq!(
        home.list_of(&home.operator(), "grades")
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn slips_are_told_with_their_line() {
    let home = Home::school().await;
    for (lines, said) in [
        ("{\"user\": {\"usrname\": \"x\"}}", "usrname"),
        ("\n{", "column"),
        (
            "{\"record\": {\"collection\": \"grade\", \"values\": {}}}",
            "no collection 'grade'",
        ),
        (
            "{\"record\": {\"collection\": \"grades\", \"values\": {\"student\": {\"user\": \"nobody\"}}}}",
            "no user 'nobody'",
        ),
        (
            "{\"user\": {\"username\": \"x\", \"roles\": [\"techer\"]}}",
            "did you mean 'teacher'?",
        ),
    ] {
        let (line, message, loaded) = failure(&home, lines).await;
        assert_eq!((line, loaded), (lines.lines().count(), 0));
        assert!(message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn once_is_once() {
    let home = Home::school().await;
    assert!(
        home.load_once("school.ndjson", LINES.as_bytes())
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        home.load_once("school.ndjson", LINES.as_bytes())
            .await
            .unwrap()
            .is_none()
    );
}
