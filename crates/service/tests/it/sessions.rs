//! Signed tokens, refresh tokens and sessions over time.

use portreeve_service::{Claims, How, Mode, NEVER, RequestFacts, Secret, ServiceError, SignedIn};
use serde_json::{Map, Value as Json, json};

use crate::home::{Home, SCHOOL};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

fn at(face: &str) -> RequestFacts {
    RequestFacts {
        face: Some(face.into()),
        ip: Some("192.0.2.1".parse().unwrap()),
        ..RequestFacts::default()
    }
}

fn signed() -> How<'static> {
    How {
        mode: Mode::Signed,
        ..How::default()
    }
}

fn refreshed() -> How<'static> {
    How {
        mode: Mode::Refresh,
        ..How::default()
    }
}

async fn enter(home: &Home, how: &How<'_>, face: &str) -> SignedIn {
    home.sign_in_as("anna", "anna-password", how, &at(face))
        .await
        .unwrap()
}

async fn code(home: &Home, token: &str, face: &str) -> &'static str {
    match home.caller(Some(token), at(face)).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

fn payload(token: &str) -> Json {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn school() -> (Home, String) {
    let home = Home::school().await;
    let anna = home.user("anna", &["student", "user"]).await;
    (home, anna)
}

#[tokio::test]
async fn a_signed_token_is_a_session_and_ends_with_it_t52() {
    let (home, anna) = school().await;
    let session = enter(&home, &signed(), "native").await;
    assert_eq!(payload(&session.token)["sub"], anna);
    let caller = home
        .caller(Some(&session.token), at("native"))
        .await
        .unwrap();
    assert_eq!(caller.user().map(|user| &**user), Some(&*anna));
    assert_eq!(caller.session(), Some(&session.session));
    home.sign_out(&session.token, &at("native")).await.unwrap();
    assert_eq!(code(&home, &session.token, "native").await, "invalid_token");
    // And so does whatever else ends sessions.
    let second = enter(&home, &signed(), "native").await;
    assert_eq!(code(&home, &second.token, "native").await, "ok");
    home.set_password(&home.operator(), &anna, "another-password".into())
        .await
        .unwrap();
    assert_eq!(code(&home, &second.token, "native").await, "invalid_token");
}

#[tokio::test]
async fn a_change_of_rights_acts_on_a_signed_token_at_the_next_request_t41() {
    let (home, _) = school().await;
    let session = enter(&home, &signed(), "native").await;
    let before = home
        .caller(Some(&session.token), at("native"))
        .await
        .unwrap();
    assert_eq!(home.list_of(&before, "posts").await.unwrap().len(), 0);
    let closed = SCHOOL.replace(
        "{ allow: [data.read, data.create], on: posts }",
        "{ allow: data.create, on: posts }",
    );
    home.apply_text(&closed, false).await.unwrap();
    let after = home
        .caller(Some(&session.token), at("native"))
        .await
        .unwrap();
    let shown = home.list_of(&after, "posts").await;
    assert!(
        matches!(shown, Err(ServiceError::Forbidden | ServiceError::NotFound)),
        "{shown:?}"
    );
}

#[tokio::test]
async fn claims_are_what_the_face_makes_of_the_account() {
    let (home, _) = school().await;
    let claims: Claims<'_> = &|caller| {
        let mut claims = Map::new();
        claims.insert(
            "id".into(),
            json!(match caller.context().attribute("number") {
                portreeve_model::Value::Integer(number) => number,
                _ => 0,
            }),
        );
        claims.insert("exp".into(), json!(1));
        claims
    };
    let how = How {
        claims: Some(claims),
        ..signed()
    };
    let session = enter(&home, &how, "strapi").await;
    let now = home.now() / SECOND;
    assert_eq!(
        payload(&session.token),
        json!({ "id": 2, "iat": now, "exp": now + 30 * 86_400 })
    );
    assert_eq!(code(&home, &session.token, "strapi").await, "ok");
}

#[tokio::test]
async fn a_token_is_good_at_its_own_face_only_t50() {
    let (home, _) = school().await;
    for (how, face) in [
        (signed(), "native"),
        (signed(), "strapi"),
        (How::default(), "native"),
    ] {
        let session = enter(&home, &how, face).await;
        assert_eq!(code(&home, &session.token, face).await, "ok");
        for other in ["native", "strapi", "bknd", "kuzzle"] {
            if other != face {
                assert_eq!(
                    code(&home, &session.token, other).await,
                    "invalid_token",
                    "{face} {other}"
                );
            }
        }
        assert_eq!(code(&home, &session.token, face).await, "ok");
    }
    // The same key at two faces makes no difference.
    let mut home = home;
    home.reopen(|options| {
        for face in ["strapi", "bknd"] {
            let settings = options.faces.get_mut(face).unwrap();
            settings.tokens.secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        }
    })
    .await
    .unwrap();
    let session = enter(&home, &signed(), "strapi").await;
    assert_eq!(code(&home, &session.token, "strapi").await, "ok");
    assert_eq!(code(&home, &session.token, "bknd").await, "invalid_token");
}

#[tokio::test]
async fn a_made_key_outlives_a_restart_and_a_short_one_is_refused() {
    let (mut home, _) = school().await;
    let session = enter(&home, &signed(), "native").await;
    let refreshing = enter(&home, &refreshed(), "native").await;
    home.reopen(|_| ()).await.unwrap();
    assert_eq!(code(&home, &session.token, "native").await, "ok");
    let token = refreshing.refresh.unwrap().token;
    home.refresh(&token, &How::default(), &at("native"))
        .await
        .unwrap();
    let short = home
        .reopen(|options| {
            let settings = options.faces.get_mut("native").unwrap();
            settings.tokens.secret = Some(Secret::new("tooshort"));
        })
        .await;
    let error = short.err().unwrap();
    assert!(
        error.to_string().contains("faces.native.jwt_secret"),
        "{error}"
    );
    assert!(!error.to_string().contains("tooshort"), "{error}");
    // Another key: whatever the old one has signed is nothing.
    home.reopen(|options| {
        let settings = options.faces.get_mut("native").unwrap();
        settings.tokens.secret = Some(Secret::new("another key of thirty-two bytes!"));
    })
    .await
    .unwrap();
    assert_eq!(code(&home, &session.token, "native").await, "invalid_token");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_ends_all_t51() {
    let (home, _) = school().await;
    let first = enter(&home, &refreshed(), "native").await;
    let refresh = first.refresh.unwrap().token;
    // Neither does the work of the other.
    assert_eq!(code(&home, &refresh, "native").await, "invalid_token");
    let wrong = home
        .refresh(&first.token, &How::default(), &at("native"))
        .await;
    assert_eq!(wrong.err().unwrap().code(), "invalid_token");

    home.clock.forward(10 * MINUTE);
    let second = home
        .refresh(&refresh, &How::default(), &at("native"))
        .await
        .unwrap();
    assert_eq!(
        (&second.session, &second.user),
        (&first.session, &first.user)
    );
    assert_eq!(code(&home, &second.token, "native").await, "ok");
    assert_eq!(code(&home, &first.token, "native").await, "ok");
    // The first one's time is over.
    home.clock.forward(6 * MINUTE);
    assert_eq!(code(&home, &first.token, "native").await, "invalid_token");
    assert_eq!(code(&home, &second.token, "native").await, "ok");
    // Another face knows nothing of it, and does no harm.
    let next = second.refresh.unwrap().token;
    let elsewhere = home.refresh(&next, &How::default(), &at("directus")).await;
    assert_eq!(elsewhere.err().unwrap().code(), "invalid_token");
    assert_eq!(code(&home, &second.token, "native").await, "ok");
    // The first refresh token again: the thief and the owner are both out.
    let again = home.refresh(&refresh, &How::default(), &at("native")).await;
    assert_eq!(again.err().unwrap().code(), "invalid_token");
    assert_eq!(code(&home, &second.token, "native").await, "invalid_token");
    let late = home.refresh(&next, &How::default(), &at("native")).await;
    assert_eq!(late.err().unwrap().code(), "invalid_token");
}

#[tokio::test]
async fn a_grace_gives_the_same_answer_again() {
    let (mut home, _) = school().await;
    home.reopen(|options| {
        options
            .faces
            .get_mut("native")
            .unwrap()
            .tokens
            .refresh_grace = 10 * SECOND;
    })
    .await
    .unwrap();
    let first = enter(&home, &refreshed(), "native")
        .await
        .refresh
        .unwrap()
        .token;
    let second = home
        .refresh(&first, &How::default(), &at("native"))
        .await
        .unwrap();
    home.clock.forward(9 * SECOND);
    let again = home
        .refresh(&first, &How::default(), &at("native"))
        .await
        .unwrap();
    let (second, again) = (second.refresh.unwrap().token, again.refresh.unwrap().token);
    assert_eq!(second, again);
    let third = home
        .refresh(&second, &How::default(), &at("native"))
        .await
        .unwrap();
    // Within the grace of the first one, and too late all the same.
    let late = home.refresh(&first, &How::default(), &at("native")).await;
    assert_eq!(late.err().unwrap().code(), "invalid_token");
    assert_eq!(code(&home, &third.token, "native").await, "invalid_token");
}

#[tokio::test]
async fn kuzzles_tokens_are_renewed_once_with_a_grace() {
    let (home, _) = school().await;
    let first = enter(&home, &signed(), "kuzzle").await;
    assert!(first.token.starts_with("kauth-"));
    home.clock.forward(MINUTE);
    let second = home
        .renew(&first.token, &signed(), &at("kuzzle"))
        .await
        .unwrap();
    assert_eq!(second.session, first.session);
    assert_eq!(code(&home, &first.token, "kuzzle").await, "ok");
    let again = home.renew(&first.token, &signed(), &at("kuzzle")).await;
    assert_eq!(again.err().unwrap().code(), "invalid_token");
    home.clock.forward(SECOND);
    assert_eq!(code(&home, &first.token, "kuzzle").await, "invalid_token");
    assert_eq!(code(&home, &second.token, "kuzzle").await, "ok");
    // For ever, where that is asked.
    let how = How {
        life: Some(NEVER),
        ..signed()
    };
    let endless = enter(&home, &how, "kuzzle").await;
    home.clock.forward(3_000 * DAY);
    assert_eq!(code(&home, &endless.token, "kuzzle").await, "ok");
    assert_eq!(code(&home, &second.token, "kuzzle").await, "invalid_token");
}

#[tokio::test]
async fn a_single_use_token_is_used_once() {
    let (home, anna) = school().await;
    let how = How {
        mode: Mode::SingleUse,
        life: Some(MINUTE),
        ..How::default()
    };
    let one = home
        .begin_session(&anna, &how, &at("kuzzle"))
        .await
        .unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (portreeve, token) = (home.portreeve.clone(), one.token.clone());
        tries.spawn(async move { portreeve.caller(Some(&token), at("kuzzle")).await.is_ok() });
    }
    let all = tries.join_all().await;
    assert_eq!(all.iter().filter(|good| **good).count(), 1, "{all:?}");
    assert_eq!(code(&home, &one.token, "kuzzle").await, "invalid_token");
}

#[tokio::test]
async fn a_session_ends_for_want_of_use_and_use_is_written_down_now_and_then() {
    let (home, _) = school().await;
    let idle = 7 * DAY;
    let session = home.session("anna").await;
    let digest = home.digest().await;
    // Within a minute nothing is noted; after it, in memory.
    home.clock.forward(MINUTE - 1);
    home.by_token(&session.token).await.unwrap();
    assert_eq!(home.write_uses().await.unwrap(), 0);
    home.clock.forward(1);
    for _ in 0..3 {
        home.by_token(&session.token).await.unwrap();
    }
    assert_eq!(home.digest().await, digest);
    assert_eq!(home.write_uses().await.unwrap(), 1);
    assert_eq!(home.write_uses().await.unwrap(), 0);
    assert_ne!(home.digest().await, digest);
    home.clock.forward(idle - 1);
    home.by_token(&session.token).await.unwrap();
    // What is noted counts, though it is not written down, and the session is looked up anew.
    let root = home.find_user(&home.operator(), "root").await.unwrap();
    home.set_password(&home.operator(), &root, "another-password".into())
        .await
        .unwrap();
    home.clock.forward(idle - 1);
    home.by_token(&session.token).await.unwrap();
    home.clock.forward(idle);
    let error = home.by_token(&session.token).await.err().unwrap();
    assert_eq!(error.code(), "invalid_token");
    assert_eq!(home.forget_expired_sessions().await.unwrap(), 0);
    home.clock.forward(5 * MINUTE);
    assert_eq!(home.forget_expired_sessions().await.unwrap(), 1);
}

#[tokio::test]
async fn one_sees_and_ends_ones_own_sessions_and_no_others() {
    let (home, _) = school().await;
    home.user("bo", &["student", "user"]).await;
    let (one, two) = (home.session("anna").await, home.session("anna").await);
    let bos = home.session("bo").await;
    let anna = home.by_token(&one.token).await.unwrap();
    let seen = home.sessions(&anna).await.unwrap();
    assert_eq!(seen.len(), 2);
    let current: Vec<_> = seen.iter().filter(|view| view.current).collect();
    assert_eq!(current[0].session.id, *one.session);
    // Another's is not there, like one that is nobody's.
    let before = home.digest().await;
    for id in [&*bos.session, "nonsense"] {
        let error = home.end_own_session(&anna, id).await.unwrap_err();
        assert_eq!(error.code(), "not_found");
    }
    assert_eq!(home.digest().await, before);
    assert_eq!(home.end_own_sessions(&anna, true).await.unwrap(), 1);
    assert!(home.by_token(&two.token).await.is_err());
    home.by_token(&one.token).await.unwrap();
    let anna = home.by_token(&one.token).await.unwrap();
    home.end_own_session(&anna, &one.session).await.unwrap();
    assert!(home.by_token(&one.token).await.is_err());
    home.by_token(&bos.token).await.unwrap();
    // Without the right to one's own account there is nothing to see.
    home.user("guest", &["student"]).await;
    let guest = home.as_user("guest").await;
    assert_eq!(home.sessions(&guest).await.unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn others_sessions_are_ended_by_who_may_change_all_of_the_account() {
    let policy = format!(
        "{SCHOOL}{}",
        r#"
  warden:
    permissions:
      - { allow: data.read, on: [users, sessions] }
      - { allow: data.update, on: users, rows: "username = 'anna'" }
  half:
    permissions:
      - { allow: data.read, on: [users, sessions] }
      - { allow: data.update, on: users, fields: [full_name] }
"#
    );
    let home = Home::with(&policy).await;
    for (name, role) in [
        ("anna", "student"),
        ("bo", "student"),
        ("warden", "warden"),
        ("half", "half"),
    ] {
        home.user(name, &[role]).await;
    }
    let (annas, bos) = (home.session("anna").await, home.session("bo").await);
    let warden = home.as_user("warden").await;
    let half = home.as_user("half").await;
    let stranger = home.as_user("bo").await;
    let before = home.digest().await;
    for (caller, user, expected) in [
        (&half, &annas.user, "forbidden"),
        (&warden, &bos.user, "forbidden"),
        // Who may not see the account does not learn that it is there.
        (&stranger, &annas.user, "unknown_user"),
    ] {
        let error = home.end_sessions_of(caller, user, None).await.unwrap_err();
        assert_eq!(error.code(), expected);
    }
    let error = home
        .end_sessions_of(&warden, "nobody", None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unknown_user");
    assert_eq!(home.digest().await, before);
    let wrong = home
        .end_sessions_of(&warden, &annas.user, Some(&bos.session))
        .await;
    assert_eq!(wrong.unwrap_err().code(), "not_found");
    assert_eq!(
        home.end_sessions_of(&warden, &annas.user, Some(&annas.session))
            .await
            .unwrap(),
        1
    );
    assert!(home.by_token(&annas.token).await.is_err());
    home.by_token(&bos.token).await.unwrap();
    let root = home.as_user("root").await;
    // Two: the one that asks here is one of them.
    assert_eq!(home.end_sessions_of(&root, "bo", None).await.unwrap(), 2);
    assert!(home.by_token(&bos.token).await.is_err());
}

#[tokio::test]
async fn nobody_has_more_sessions_than_the_setting_says() {
    let (mut home, _) = school().await;
    home.reopen(|options| {
        options.faces.get_mut("native").unwrap().sessions.at_most = Some(2);
    })
    .await
    .unwrap();
    let mut tokens = vec![];
    for _ in 0..3 {
        home.clock.forward(SECOND);
        tokens.push(home.session("anna").await.token);
        home.by_token(&tokens[tokens.len() - 1]).await.unwrap();
    }
    let mut good = vec![];
    for token in &tokens {
        good.push(home.by_token(token).await.is_ok());
    }
    assert_eq!(good, [false, true, true]);
}

#[tokio::test]
async fn sign_ins_are_in_the_audit_trail_where_that_is_wanted() {
    let (mut home, _) = school().await;
    let rows = async |home: &Home| {
        let root = home.operator();
        let rows = home.list_of(&root, "audit").await.unwrap();
        let about = rows
            .into_iter()
            .filter(|row| row["action"].as_str().unwrap().starts_with("session."));
        about.collect::<Vec<_>>()
    };
    home.session("anna").await;
    assert_eq!(rows(&home).await.len(), 0);
    home.reopen(|options| options.audit_sign_ins = true)
        .await
        .unwrap();
    let session = enter(&home, &How::default(), "native").await;
    for login in ["anna", "secret typed into the wrong field"] {
        let wrong = home.sign_in(login, "wrong", &at("native")).await;
        assert!(wrong.is_err());
    }
    let rows = rows(&home).await;
    let actions: Vec<_> = rows
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["session.begin", "session.refused", "session.refused"]
    );
    assert_eq!(rows[0]["actor"], *session.user);
    assert_eq!(rows[0]["target"], *session.session);
    assert_eq!(rows[1]["target"], *session.user);
    assert_eq!(rows[2]["target"], "");
    assert!(!json!(rows).to_string().contains("secret typed"));
    assert_eq!(rows[0]["after"]["address"], "192.0.2.1");
}

#[tokio::test]
async fn a_session_begun_on_something_else_needs_an_active_account() {
    let (home, anna) = school().await;
    home.begin_session(&anna, &How::default(), &at("native"))
        .await
        .unwrap();
    let nobody = home
        .begin_session("nobody", &How::default(), &at("native"))
        .await;
    assert_eq!(nobody.err().unwrap().code(), "wrong_credentials");
}

#[tokio::test]
async fn a_change_of_bindings_ends_sessions_where_the_face_says_so() {
    let (home, _) = school().await;
    let (there, here) = (
        enter(&home, &signed(), "hasura").await,
        enter(&home, &signed(), "native").await,
    );
    let binding = portreeve_policy::Binding {
        to: portreeve_policy::BoundTo::Role("teacher".into()),
        ..Default::default()
    };
    home.bind(&home.operator(), "anna", binding, None)
        .await
        .unwrap();
    assert_eq!(code(&home, &there.token, "hasura").await, "invalid_token");
    assert_eq!(code(&home, &here.token, "native").await, "ok");
}
