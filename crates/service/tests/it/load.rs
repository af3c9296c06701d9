//! Lines of JSON.

use std::fmt::Write;

use portreeve_service::{RequestFacts, ServiceError};

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
    // What was begun and not finished is told, and not begun again.
    let bad = format!("{LINES}\nnothing of ours\n");
    let failed = home.load_once("other.ndjson", bad.as_bytes()).await;
    assert!(failed.is_err());
    let again = home.load_once("other.ndjson", LINES.as_bytes()).await;
    let told = again.unwrap_err().to_string();
    assert!(
        told.contains("not finished") && told.contains("--skip"),
        "{told}"
    );
}

#[tokio::test]
async fn hashes_of_other_systems_sign_in_and_are_replaced() {
    let home = Home::school().await;
    // Of `correct horse battery`, as bcrypt and as SHA-256 without salt.
    let lines = r#"{"user": {"username": "anna", "password_hash": "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS"}}
{"user": {"username": "bo", "password_hash": "9028ea0d15decaa35b2da21c0290af3b1a5ba0a30a591906f89b5074e209ea72"}}
"#;
    home.load(lines.as_bytes(), 0).await.unwrap();
    let exported = async || {
        let mut out = vec![];
        let operator = home.operator();
        let done = home.export_with(&operator, true, &mut out).await;
        done.unwrap();
        String::from_utf8(out).unwrap()
    };
    let before = exported().await;
    for hash in ["$2b$04$", "9028ea0d"] {
        assert!(before.contains(hash), "{before}");
    }
    let facts = RequestFacts::default();
    for name in ["anna", "bo"] {
        for wrong in [
            "correct horse",
            "9028ea0d15decaa35b2da21c0290af3b1a5ba0a30a591906f89b5074e209ea72",
        ] {
            let refused = home.sign_in(name, wrong, &facts).await.map(drop);
            assert_eq!(refused.unwrap_err().code(), "wrong_credentials");
        }
        // Two at once: one replaces the hash, and the other finds that done.
        let sign_in = || home.sign_in(name, "correct horse battery", &facts);
        let (one, two) = tokio::join!(sign_in(), sign_in());
        for session in [one.unwrap(), two.unwrap()] {
            home.by_token(&session.token).await.unwrap();
        }
        sign_in().await.unwrap();
    }
    let after = exported().await;
    for hash in ["$2b$04$", "9028ea0d"] {
        assert!(!after.contains(hash), "{after}");
    }
    // Elsewhere they still have their passwords; without being asked nobody is given hashes.
    let other = Home::school().await;
    let people: Vec<&str> = after
        .lines()
        .filter(|line| !line.contains("\"root\""))
        .collect();
    assert_eq!(people.len(), 2);
    let people = people.join("\n").replace("\"number\":", "\"number\":1");
    other.load(people.as_bytes(), 0).await.unwrap();
    other
        .sign_in("anna", "correct horse battery", &facts)
        .await
        .unwrap();
    let mut plain = vec![];
    home.export(&home.operator(), &mut plain).await.unwrap();
    assert!(!String::from_utf8(plain).unwrap().contains("password_hash"));
}

#[tokio::test]
async fn a_hash_that_is_none_does_not_come_in() {
    let home = Home::school().await;
    let before = home.digest().await;
    for (hash, wrong) in [
        ("secret-secret", "no hash of a kind"),
        (
            "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
            "too much",
        ),
        (
            "$argon2id$v=19$m=4194304,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0",
            "too much",
        ),
    ] {
        let line = format!(r#"{{"user": {{"username": "anna", "password_hash": "{hash}"}}}}"#);
        let (_, message, loaded) = failure(&home, &line).await;
        assert!(message.contains(wrong), "{message}");
        assert!(!message.contains(hash), "{message}");
        assert_eq!(loaded, 0);
    }
    let both =
        r#"{"user": {"username": "anna", "password": "long enough 7", "password_hash": "x"}}"#;
    let (_, message, _) = failure(&home, both).await;
    assert!(message.contains("leave the password out"), "{message}");
    assert_eq!(home.digest().await, before);
}
