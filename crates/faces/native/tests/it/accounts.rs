//! The first start, signing in and out, accounts.

use serde_json::json;

use crate::world::{ADMIN, PASSWORD, World};

#[tokio::test]
async fn nothing_works_before_the_setup_and_the_setup_works_once() {
    let world = World::empty(false).await;
    for path in ["/v1/me", "/v1/collections", "/v1/records/users"] {
        let reply = world.get(path, "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (503, "setup_required")
        );
    }
    assert_eq!(
        world.get("/healthz", "").await.text(),
        "{\"status\":\"ok\"}"
    );
    let setup = async |code: &str| {
        let body = json!({ "code": code, "username": "root", "password": PASSWORD });
        world.post("/v1/setup", "", &body).await
    };
    assert_eq!(setup("guess").await.code(), "setup_closed");
    let code = world.portreeve.begin_setup().await.unwrap().unwrap();
    assert_eq!(setup("guess").await.code(), "wrong_setup_code");
    let made = setup(&code).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["user"]["username"], "root");
    assert_eq!(setup(&code).await.code(), "setup_closed");
    let token = world.token("root").await;
    assert_eq!(
        world.get("/v1/me", &token).await.json()["administrator"],
        true
    );
}

#[tokio::test]
async fn a_session_begins_and_ends() {
    let world = World::school().await;
    let sign_in = async |login: &str, password: &str| {
        let body = json!({ "login": login, "password": password });
        world.post("/v1/auth/sign-in", "", &body).await
    };
    let (wrong, unknown) = (
        sign_in("anna", "wrong password").await,
        sign_in("nobody", PASSWORD).await,
    );
    assert_eq!(
        (wrong.status.as_u16(), wrong.code().as_str()),
        (401, "wrong_credentials")
    );
    assert_eq!(wrong.body, unknown.body);
    let good = sign_in("anna", PASSWORD).await.json();
    assert!(good["expires"].as_str().unwrap().ends_with('Z'));
    let token = good["token"].as_str().unwrap();
    let me = world.get("/v1/me", token).await.json();
    assert_eq!(
        (&me["user"]["id"], &me["user"]["username"]),
        (&good["user"]["id"], &json!("anna"))
    );
    let out = world.ask("POST", "/v1/auth/sign-out", token, None).await;
    assert_eq!(out.status, 204);
    let again = world.get("/v1/me", token).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (401, "invalid_token")
    );
    assert_eq!(
        again.headers["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );
    let nobody = world.ask("POST", "/v1/auth/sign-out", "", None).await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.code().as_str()),
        (401, "unauthenticated")
    );
}

#[tokio::test]
async fn nobody_is_told_what_nobody_may_do() {
    let world = World::school().await;
    let me = world.get("/v1/me", "").await.json();
    assert_eq!(
        (&me["principal"], &me["administrator"]),
        (&json!("anonymous"), &json!(false))
    );
    assert_eq!(
        world.get("/v1/records/grades", "").await.code(),
        "not_found"
    );
    assert_eq!(world.get("/v1/collections", "").await.data(), json!([]));
}

#[tokio::test]
async fn administrators_keep_accounts_and_others_do_not() {
    let world = World::school().await;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let body = json!({
        "username": "cleo", "email": "cleo@school.example", "password": PASSWORD,
        "roles": ["student"], "values": { "full_name": "Cleo C." },
    });
    let denied = world.post("/v1/users", &anna, &body).await;
    assert_eq!(
        (denied.status.as_u16(), denied.code().as_str()),
        (403, "forbidden")
    );
    assert_eq!(world.get("/v1/users", &anna).await.code(), "forbidden");
    let made = world.post("/v1/users", &root, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.data()["roles"], json!(["student"]));
    assert!(!made.text().contains(PASSWORD) && !made.text().contains("argon2"));
    let location = made.headers["location"].to_str().unwrap();
    assert_eq!(
        world.get(location, &root).await.data()["full_name"],
        "Cleo C."
    );
    assert_eq!(
        world.post("/v1/users", &root, &body).await.code(),
        "user_exists"
    );
    let bad = |member: &str, value: serde_json::Value| {
        let mut body = json!({ "username": "dora", "password": PASSWORD });
        body[member] = value;
        body
    };
    for (body, code) in [
        (bad("roles", json!(["studnet"])), "unknown_role"),
        (bad("profiles", json!(["x"])), "unknown_profile"),
        (bad("values", json!({ "status": "x" })), "unknown_field"),
        (bad("password", json!("short")), "invalid"),
        (bad("username", json!("me")), "invalid"),
        (bad("username", json!(7)), "bad_body"),
        (bad("roles", json!("student")), "bad_body"),
        (bad("rolles", json!([])), "unknown_member"),
    ] {
        let reply = world.post("/v1/users", &root, &body).await;
        assert_eq!(reply.code(), code, "{body} {}", reply.text());
    }
    let mut names = vec![];
    let mut path = "/v1/users?limit=2".to_owned();
    loop {
        let page = world.get(&path, &root).await.json();
        names.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user["username"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["page"]["next"].as_str() else {
            break;
        };
        path = format!("/v1/users?limit=2&after={next}");
    }
    assert_eq!(names, [ADMIN, "anna", "bo", "tess", "cleo"]);
    let cleo = world.token("cleo").await;
    let set = world
        .post(
            "/v1/users/cleo/password",
            &root,
            &json!({ "password": "another one" }),
        )
        .await;
    assert_eq!(set.status, 204, "{}", set.text());
    assert_eq!(world.get("/v1/me", &cleo).await.code(), "invalid_token");
    let gone = world
        .post(
            "/v1/users/nobody/password",
            &root,
            &json!({ "password": "another one" }),
        )
        .await;
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (404, "unknown_user")
    );
}
