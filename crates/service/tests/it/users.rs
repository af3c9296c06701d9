//! Accounts.

use portreeve_service::NewUser;
use serde_json::json;

use crate::home::Home;

fn new(name: &str) -> NewUser {
    NewUser {
        username: Some(name.into()),
        ..NewUser::default()
    }
}

#[tokio::test]
async fn an_account_has_what_it_was_given() {
    let home = Home::school().await;
    let made = home
        .create_user(
            &home.operator(),
            NewUser {
                email: Some("anna@school.example".into()),
                roles: vec!["student".into(), "student".into()],
                attributes: serde_json::Map::from_iter([("form".to_owned(), json!("7b"))]),
                ..new("anna")
            },
        )
        .await
        .unwrap();
    assert_eq!(made.roles, ["student"]);
    let listed = home.list_users(&home.operator(), 10, None).await.unwrap();
    assert_eq!(listed.last(), Some(&made));
    assert_eq!(
        home.get(&home.operator(), "users", &made.id).await.unwrap()["form"],
        "7b"
    );
    for name in [
        "anna",
        "ANNA@school.example",
        &made.id,
        &made.number.to_string(),
    ] {
        assert_eq!(
            home.find_user(&home.operator(), name).await.unwrap(),
            made.id,
            "{name}"
        );
    }
}

#[tokio::test]
async fn without_roles_it_gets_what_registration_says() {
    let home = Home::school().await;
    let made = home
        .create_user(&home.operator(), new("anna"))
        .await
        .unwrap();
    assert_eq!(made.roles, ["user"]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_nearest_word() {
    let home = Home::school().await;
    let operator = home.operator();
    home.create_user(&operator, new("anna")).await.unwrap();
    let cases = [
        (
            NewUser {
                roles: vec!["studnet".into()],
                ..new("b")
            },
            "unknown_role",
            "did you mean 'student'?",
        ),
        (
            NewUser {
                profiles: vec!["x".into()],
                ..new("b")
            },
            "unknown_profile",
            "no profile 'x'",
        ),
        (
            NewUser {
                password: Some("short".into()),
                ..new("b")
            },
            "invalid",
            "8 to 128",
        ),
        (new("anna"), "user_exists", "already"),
        (new("me"), "invalid", "reserved"),
        (NewUser::default(), "invalid", "give a username"),
        (
            NewUser {
                attributes: serde_json::Map::from_iter([("from".to_owned(), json!(1))]),
                ..new("b")
            },
            "unknown_field",
            "did you mean 'form'?",
        ),
        (
            NewUser {
                attributes: serde_json::Map::from_iter([("status".to_owned(), json!("x"))]),
                ..new("b")
            },
            "unknown_field",
            "no own field 'status'",
        ),
    ];
    for (user, code, text) in cases {
        let error = home.create_user(&operator, user).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn who_may_nothing_about_accounts_knows_of_none() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let anna = home.as_user("anna").await;
    let root = home.as_user("root").await;
    let id = home.find_user(&root, "root").await.unwrap();
    let error = home.create_user(&anna, new("b")).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
    let password = || "a-new-password".to_owned();
    for user in [&*id, "nobody"] {
        let error = home.set_password(&anna, user, password()).await;
        assert_eq!(error.unwrap_err().code(), "not_found");
    }
    let listed = home.list_users(&anna, 10, None).await;
    assert_eq!(listed.unwrap_err().code(), "forbidden");
    for user in ["root", "nobody"] {
        let found = home.find_user(&anna, user).await;
        assert_eq!(found.unwrap_err().code(), "unknown_user");
    }
    home.create_user(&root, new("b")).await.unwrap();
    let unknown = home.set_password(&root, "nobody", password()).await;
    assert_eq!(unknown.unwrap_err().code(), "not_found");
}
