//! One's own account.

use portreeve_service::{NewUser, OwnChange, OwnPassword, RequestFacts};
use serde_json::json;

use crate::home::Home;

const POLICY: &str = r#"
collections:
  users:
    fields:
      form: text
      nickname: { type: text, self_writable: true }
      team: { type: text, self_writable: true }
  notes:
    key: { id: integer }
    fields: { form: text, team: text }
roles:
  student:
    permissions:
      - { allow: data.read, on: notes, rows: "form = $user.form or team = $user.team" }
  mute:
    permissions:
      - { deny: account.update, on: "*" }
"#;

fn own(column: &str, value: &str) -> OwnChange {
    OwnChange {
        attributes: serde_json::Map::from_iter([(column.to_owned(), json!(value))]),
        ..OwnChange::default()
    }
}

fn passwords(current: &str, new: &str) -> OwnPassword {
    OwnPassword {
        current: Some(current.into()),
        new: new.into(),
        keeps: false,
        ends: true,
    }
}

#[tokio::test]
async fn owners_write_what_is_declared_so() {
    let home = Home::with(POLICY).await;
    let id = home.user("anna", &["user", "student"]).await;
    let note = json!({ "id": 1, "form": "8a", "team": "red" });
    home.put(&home.operator(), "notes", note).await.unwrap();
    let session = home.session("anna").await;
    let anna = async || home.by_token(&session.token).await.unwrap();
    home.update_own(&anna().await, own("nickname", "Annie"))
        .await
        .unwrap();
    let before = home.digest().await;
    for column in ["form", "nonsense", "status", "number", "confirmed"] {
        let error = home.update_own(&anna().await, own(column, "8a")).await;
        assert_eq!(error.unwrap_err().code(), "unknown_field", "{column}");
    }
    assert_eq!(home.digest().await, before);
    assert!(
        home.list_of(&anna().await, "notes")
            .await
            .unwrap()
            .is_empty()
    );
    // Declared so although rules read it, and in force at once.
    home.update_own(&anna().await, own("team", "red"))
        .await
        .unwrap();
    assert_eq!(home.list_of(&anna().await, "notes").await.unwrap().len(), 1);
    let now = home.get(&home.operator(), "users", &id).await.unwrap();
    assert_eq!(
        (&now["nickname"], &now["form"]),
        (&json!("Annie"), &json!(null))
    );
}

#[tokio::test]
async fn the_rights_to_ones_account_are_rights() {
    let home = Home::with(POLICY).await;
    home.user("anna", &["student"]).await;
    home.user("mo", &["user", "mute"]).await;
    let before = home.digest().await;
    let (anna, mo) = (home.as_user("anna").await, home.as_user("mo").await);
    let rename = || OwnChange {
        username: Some("x".into()),
        ..OwnChange::default()
    };
    for caller in [&anna, &mo, &home.anonymous().await, &home.operator()] {
        let error = home.update_own(caller, rename()).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");
    }
    let change = passwords("anna-password", "another-password");
    let error = home.change_password(&anna, change).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let error = home.delete_own(&anna, Some("anna-password".into())).await;
    assert_eq!(error.unwrap_err().code(), "forbidden");
    // Only the two sessions are new.
    assert_ne!(home.digest().await, before);
    home.as_user("anna").await;
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it() {
    let home = Home::with(POLICY).await;
    home.user("anna", &["user"]).await;
    let (one, two) = (home.session("anna").await, home.session("anna").await);
    let anna = home.by_token(&one.token).await.unwrap();
    let before = home.digest().await;
    for (current, new) in [
        ("wrong-password", "another-password"),
        ("", "another-password"),
        ("anna-password", "short"),
        ("anna-password", "Sunshine1"),
    ] {
        let error = home.change_password(&anna, passwords(current, new)).await;
        assert_eq!(error.unwrap_err().code(), "invalid", "{current} {new}");
    }
    assert_eq!(home.digest().await, before);
    let change = OwnPassword {
        keeps: true,
        ..passwords("anna-password", "another-password")
    };
    home.change_password(&anna, change).await.unwrap();
    let anna = home.by_token(&one.token).await.unwrap();
    let ended = home.by_token(&two.token).await.err().unwrap();
    assert_eq!(ended.code(), "invalid_token");
    // A face whose clients are not asked for the old one, and whose sessions go on.
    let facts = RequestFacts::default();
    let three = home
        .sign_in("anna", "another-password", &facts)
        .await
        .unwrap();
    let change = OwnPassword {
        current: None,
        ends: false,
        ..passwords("", "a-third-password")
    };
    home.change_password(&anna, change).await.unwrap();
    home.by_token(&one.token).await.unwrap();
    home.by_token(&three.token).await.unwrap();
    // All of them.
    let anna = home.by_token(&one.token).await.unwrap();
    let change = passwords("a-third-password", "the-fourth-password");
    home.change_password(&anna, change).await.unwrap();
    assert!(home.by_token(&one.token).await.is_err());
}

#[tokio::test]
async fn an_account_without_a_password_has_none_to_show() {
    let home = Home::with(POLICY).await;
    let new = NewUser {
        username: Some("anna".into()),
        password: Some("anna-password".into()),
        ..NewUser::default()
    };
    home.create_user(&home.operator(), new).await.unwrap();
    let anna = home.as_user("anna").await;
    // As it is after it came from somewhere else.
    let bare = NewUser {
        username: Some("bare".into()),
        ..NewUser::default()
    };
    let bare = home.create_user(&home.operator(), bare).await.unwrap();
    let facts = RequestFacts::default();
    let error = home
        .sign_in("bare", "", &facts)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), "wrong_credentials");
    assert_eq!(bare.roles, ["user"]);
    let error = home
        .delete_own(&anna, Some(String::new()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "invalid");
    home.delete_own(&anna, Some("anna-password".into()))
        .await
        .unwrap();
    let gone = home.find_user(&home.operator(), "anna").await.unwrap_err();
    assert_eq!(gone.code(), "unknown_user");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let home = Home::with(POLICY).await;
    let root = home.as_user("root").await;
    let before = home.digest().await;
    let error = home.delete_own(&root, Some("root-password".into())).await;
    assert_eq!(error.unwrap_err().code(), "last_administrator");
    assert_eq!(home.digest().await, before);
    home.user("second", &["admin"]).await;
    home.delete_own(&root, Some("root-password".into()))
        .await
        .unwrap();
}
