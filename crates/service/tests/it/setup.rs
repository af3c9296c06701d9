//! The closed first start.

use portreeve_service::{NewUser, SETUP_ATTEMPTS};

use crate::home::{Home, open};

const PASSWORD: &str = "root-password";

#[tokio::test]
async fn the_code_makes_the_first_administrator_and_dies() {
    let home = Home::empty().await;
    let code = home.begin_setup().await.unwrap().unwrap();
    // As somebody types it.
    let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
    let made = home
        .setup(&typed, "root", Some("root@school.example"), PASSWORD)
        .await
        .unwrap();
    assert_eq!(made.roles, ["admin"]);
    assert!(home.has_administrator());
    let again = home
        .setup(&code, "second", None, PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(again.code(), "setup_closed");
    assert!(home.begin_setup().await.unwrap().is_none());
    let root = home.as_user("root").await;
    assert!(home.me(&root).administrator);
}

#[tokio::test]
async fn wrong_codes_are_counted_and_then_even_the_right_one_is_refused() {
    let home = Home::empty().await;
    let code = home.begin_setup().await.unwrap().unwrap();
    for _ in 0..SETUP_ATTEMPTS {
        let error = home
            .setup("aaaa-aaaa-aaaa-aaaa", "root", None, PASSWORD)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "wrong_setup_code");
    }
    let error = home.setup(&code, "root", None, PASSWORD).await.unwrap_err();
    assert_eq!(error.code(), "setup_closed");
    assert!(!home.has_administrator());
}

#[tokio::test]
async fn a_slip_after_the_code_does_not_use_it_up() {
    let home = Home::empty().await;
    let code = home.begin_setup().await.unwrap().unwrap();
    assert_eq!(
        home.setup(&code, "root", None, "short")
            .await
            .unwrap_err()
            .code(),
        "invalid"
    );
    assert_eq!(
        home.setup(&code, "me", None, PASSWORD)
            .await
            .unwrap_err()
            .code(),
        "invalid"
    );
    home.setup(&code, "root", None, PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_the_code_one_succeeds() {
    let home = Home::empty().await;
    let code = home.begin_setup().await.unwrap().unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (portreeve, code) = (home.portreeve.clone(), code.clone());
        tries.spawn(async move {
            portreeve
                .setup(&code, &format!("root{number}"), None, PASSWORD)
                .await
                .is_ok()
        });
    }
    let made = tries
        .join_all()
        .await
        .into_iter()
        .filter(|made| *made)
        .count();
    assert_eq!(made, 1);
    let users = home.list_users(&home.operator(), 10, None).await.unwrap();
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn an_administrator_made_on_the_command_line_opens_the_door_as_well() {
    let home = Home::empty().await;
    let new = NewUser {
        username: Some("root".into()),
        password: Some(PASSWORD.into()),
        roles: vec!["admin".into()],
        ..NewUser::default()
    };
    home.create_user(&home.operator(), new).await.unwrap();
    home.anonymous().await;
    // And stays open when the folder is opened again.
    let Home {
        portreeve,
        clock,
        folder,
    } = home;
    drop(portreeve);
    let portreeve = open(&folder, &clock, 2).await;
    assert!(portreeve.has_administrator());
}
