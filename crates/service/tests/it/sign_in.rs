//! Who may come in, for how long, and what a change of rights does to those who are in.

use portreeve_service::{FaceSettings, Limit, RequestFacts, ServiceError, ThrottleSettings};

use crate::home::{Home, SCHOOL, grades};

fn unlimited() -> ThrottleSettings {
    ThrottleSettings {
        per_address: Limit::per_minute(0),
        per_name_and_address: Limit::per_minute(0),
        per_name: Limit::per_minute(0),
        ..ThrottleSettings::default()
    }
}

async fn refused(home: &Home, login: &str, password: &str) -> String {
    match home
        .sign_in(login, password, &RequestFacts::default())
        .await
    {
        Ok(_) => panic!("'{login}' came in"),
        Err(error) => format!("{} {error} {error:?}", error.code()),
    }
}

#[tokio::test]
async fn a_name_and_its_password_begin_a_session() {
    let home = Home::school().await;
    let id = home.user("anna", &["student"]).await;
    let session = home.session("anna").await;
    assert_eq!(*session.user, *id);
    assert!(session.token.starts_with("prt_"));
    let caller = home.by_token(&session.token).await.unwrap();
    assert_eq!(caller.user().map(|user| user.to_string()), Some(id));
    // From the cache the second time: the same.
    let again = home.by_token(&session.token).await.unwrap();
    assert_eq!(again.roles().id(), caller.roles().id());
}

#[tokio::test]
async fn all_who_may_not_come_in_hear_the_same() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let mute = portreeve_service::NewUser {
        username: Some("mute".into()),
        ..Default::default()
    };
    home.create_user(&home.operator(), mute).await.unwrap();
    let wrong = refused(&home, "anna", "not-her-password").await;
    assert!(wrong.starts_with("wrong_credentials "), "{wrong}");
    for (login, password) in [
        ("nobody", "anna-password"),
        ("", ""),
        ("mute", "anna-password"),
        ("anna", ""),
        ("anna", &"x".repeat(2_000)),
    ] {
        assert_eq!(refused(&home, login, password).await, wrong);
    }
}

#[tokio::test]
async fn a_bad_token_is_nobody_and_not_anonymous() {
    let home = Home::school().await;
    for token in ["", "prt_", "nonsense", &format!("prt_{}", "A".repeat(43))] {
        let error = home.by_token(token).await.err().unwrap();
        assert_eq!(error.code(), "invalid_token", "{token}");
    }
    assert!(home.anonymous().await.user().is_none());
}

#[tokio::test]
async fn a_session_ends_when_it_is_over() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let session = home.session("anna").await;
    home.by_token(&session.token).await.unwrap();
    // It is used now and then, and is over all the same.
    let life = FaceSettings::of("native").sessions.life.unwrap();
    for _ in 0..6 {
        home.clock.forward(life / 6 - 1);
        home.by_token(&session.token).await.unwrap();
    }
    home.clock.forward(5);
    home.by_token(&session.token).await.unwrap();
    home.clock.forward(1);
    assert_eq!(
        home.by_token(&session.token).await.err().unwrap().code(),
        "invalid_token"
    );
    assert_eq!(
        home.by_token(&session.token).await.err().unwrap().code(),
        "invalid_token"
    );
}

#[tokio::test]
async fn signing_out_ends_this_session_and_no_other() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let (one, two) = (home.session("anna").await, home.session("anna").await);
    home.by_token(&one.token).await.unwrap();
    home.by_token(&two.token).await.unwrap();
    home.sign_out(&one.token, &RequestFacts::default())
        .await
        .unwrap();
    assert_eq!(
        home.by_token(&one.token).await.err().unwrap().code(),
        "invalid_token"
    );
    assert_eq!(
        home.sign_out(&one.token, &RequestFacts::default())
            .await
            .err()
            .unwrap()
            .code(),
        "invalid_token"
    );
    home.by_token(&two.token).await.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let home = Home::school().await;
    let id = home.user("anna", &["student"]).await;
    let session = home.session("anna").await;
    home.by_token(&session.token).await.unwrap();
    home.set_password(&home.operator(), &id, "another-password".into())
        .await
        .unwrap();
    assert_eq!(
        home.by_token(&session.token).await.err().unwrap().code(),
        "invalid_token"
    );
    refused(&home, "anna", "anna-password").await;
    home.sign_in("anna", "another-password", &RequestFacts::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_of_role_acts_on_the_next_request() {
    let home = Home::school().await;
    grades(&home).await;
    let session = home.session("anna").await;
    let before = home.by_token(&session.token).await.unwrap();
    assert_eq!(home.list_of(&before, "grades").await.unwrap().len(), 1);

    let open = SCHOOL.replace(r#", rows: "student = $user", fields: [student, score]"#, "");
    home.apply_text(&open, false).await.unwrap();
    let after = home.by_token(&session.token).await.unwrap();
    assert_eq!(home.list_of(&after, "grades").await.unwrap().len(), 2);

    home.apply_text(SCHOOL, false).await.unwrap();
    let again = home.by_token(&session.token).await.unwrap();
    assert_eq!(home.list_of(&again, "grades").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_of_yesterdays_policy_is_asked_to_come_again_and_does() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let session = home.session("anna").await;
    let stale = home.by_token(&session.token).await.unwrap();
    home.apply_text(
        &format!("{SCHOOL}\nactions: {{ post.pin: Pins a post }}"),
        false,
    )
    .await
    .unwrap();
    let post = |title: &str| crate::home::sent(serde_json::json!({ "title": title }));
    let posts = crate::home::name("posts");
    let error = home.create(&stale, &posts, post("a")).await.unwrap_err();
    assert_eq!(error.code(), "policy_changed");

    // The helper admits anew. The first caller it hands out is made stale under its hands.
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let (home, posts, tries) = (&home, &posts, &tries);
    let made = home
        .as_caller(
            Some(&session.token),
            RequestFacts::default(),
            |caller| async move {
                if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                    home.apply_text(SCHOOL, false).await?;
                }
                home.create(&caller, posts, post("b")).await
            },
        )
        .await;
    assert!(made.is_ok());
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_told_to_wait() {
    let mut home = Home::school().await;
    home.reopen(|options| options.throttle = unlimited())
        .await
        .unwrap();
    home.user("anna", &["student"]).await;
    // More than the threads and their queues hold.
    let storm = std::thread::available_parallelism().map_or(1, usize::from) * 9 + 200;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..storm {
        let portreeve = home.portreeve.clone();
        tries.spawn(async move {
            portreeve
                .sign_in("anna", "wrong", &RequestFacts::default())
                .await
                .err()
                .unwrap()
                .code()
        });
    }
    let answers = tries.join_all().await;
    assert!(answers.contains(&"busy"));
    assert!(
        answers
            .iter()
            .all(|code| ["busy", "wrong_credentials"].contains(code))
    );
    // And then goes on.
    home.session("anna").await;
}

#[tokio::test]
async fn nothing_works_before_the_setup() {
    let home = Home::empty().await;
    let refused = [
        home.caller(None, RequestFacts::default()).await.err(),
        home.sign_in("a", "b", &RequestFacts::default()).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(ServiceError::SetupRequired)));
    }
}
