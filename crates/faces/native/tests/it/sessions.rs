//! Sessions on the wire: refresh tokens, cookies, lists, and who is asked to wait.

use axum::body::Body;
use axum::http::{Request, header};
use portreeve_http::Peer;
use serde_json::{Value as Json, json};

use crate::world::{ADMIN, PASSWORD, Reply, World};

const COOKIE: &str = "__Host-portreeve";

async fn sign_in(world: &World, login: &str, mode: &str) -> Reply {
    let body = json!({ "login": login, "password": PASSWORD, "mode": mode });
    let reply = world.post("/v1/auth/sign-in", "", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

fn text(json: &Json, name: &str) -> String {
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name}: {json}"))
        .to_owned()
}

// A request with these headers and no other credential.
async fn with(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn sign_in_me_refresh_and_reuse_t51() {
    let world = World::school().await;
    let first = sign_in(&world, "anna", "refresh").await.json();
    let (token, refresh) = (text(&first, "token"), text(&first, "refresh_token"));
    assert_eq!(token.split('.').count(), 3);
    assert!(refresh.starts_with("prr_"));
    let me = world.get("/v1/me", &token).await;
    assert_eq!(me.json()["user"]["username"], "anna");
    // Neither does the other's work.
    assert_eq!(world.get("/v1/me", &refresh).await.code(), "invalid_token");
    let body = json!({ "refresh_token": token });
    assert_eq!(
        world.post("/v1/auth/refresh", "", &body).await.code(),
        "invalid_token"
    );

    let body = json!({ "refresh_token": refresh });
    let second = world.post("/v1/auth/refresh", "", &body).await.json();
    assert_eq!(second["session"], first["session"]);
    let newer = text(&second, "token");
    assert_eq!(world.get("/v1/me", &newer).await.status, 200);
    assert_ne!(text(&second, "refresh_token"), refresh);
    let again = world.post("/v1/auth/refresh", "", &body).await;
    assert_eq!(again.code(), "invalid_token");
    for dead in [&token, &newer] {
        assert_eq!(world.get("/v1/me", dead).await.code(), "invalid_token");
    }
}

#[tokio::test]
async fn signing_out_takes_a_refresh_token_too() {
    let world = World::school().await;
    let session = sign_in(&world, "anna", "refresh").await.json();
    let (token, refresh) = (text(&session, "token"), text(&session, "refresh_token"));
    let out = world.ask("POST", "/v1/auth/sign-out", &refresh, None).await;
    assert_eq!(out.status, 204);
    assert_eq!(world.get("/v1/me", &token).await.code(), "invalid_token");
    let body = json!({ "refresh_token": refresh });
    assert_eq!(
        world.post("/v1/auth/refresh", "", &body).await.code(),
        "invalid_token"
    );
}

#[tokio::test]
async fn a_cookie_is_for_pages_of_this_site_t59() {
    let world = World::school().await;
    let reply = sign_in(&world, "tess", "cookie").await;
    assert!(reply.json().get("token").is_none(), "{}", reply.text());
    let set = reply.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    let (pair, attributes) = set.split_once(';').unwrap();
    assert!(pair.starts_with(&format!("{COOKIE}=prt_")), "{set}");
    for attribute in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax", "Max-Age=25"] {
        assert!(attributes.contains(attribute), "{set}");
    }
    assert!(!attributes.contains("Domain"));
    let cookie = ("cookie", pair);
    let host = ("host", "school.example");
    let me = with(&world, "GET", "/v1/me", &[cookie, host]).await;
    assert_eq!(me.json()["user"]["username"], "tess");
    // What changes something has to come from here.
    let path = "/v1/records/grades/1";
    let site = |site: &'static str| ("sec-fetch-site", site);
    for bad in [
        &[cookie, host][..],
        &[cookie, host, site("cross-site")],
        &[cookie, host, site("same-site")],
        &[cookie, host, ("origin", "https://evil.example")],
        &[cookie, host, ("origin", "null")],
    ] {
        let reply = with(&world, "DELETE", path, bad).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "cross_site"),
            "{bad:?}"
        );
    }
    let tess = world.token("tess").await;
    assert_eq!(world.get(path, &tess).await.status, 200);
    let good = [cookie, host, ("origin", "https://school.example")];
    assert_eq!(with(&world, "DELETE", path, &good).await.status, 204);
    // The header alone counts where there is one, good or not.
    let anna = format!("Bearer {}", world.token("anna").await);
    let both = [cookie, host, ("authorization", anna.as_str())];
    let me = with(&world, "GET", "/v1/me", &both).await;
    assert_eq!(me.json()["user"]["username"], "anna");
    let bad = [cookie, host, ("authorization", "Bearer nonsense")];
    let reply = with(&world, "GET", "/v1/me", &bad).await;
    assert_eq!(reply.code(), "invalid_token");
    assert!(!reply.headers.contains_key(header::SET_COOKIE));
    // Signing out takes it away, and so does coming with one that is over.
    let out = with(
        &world,
        "POST",
        "/v1/auth/sign-out",
        &[cookie, host, site("same-origin")],
    )
    .await;
    assert_eq!(out.status, 204);
    let over = with(&world, "GET", "/v1/me", &[cookie, host]).await;
    assert_eq!(over.code(), "invalid_token");
    for reply in [out, over] {
        let set = reply.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(
            set.starts_with(&format!("{COOKIE}=;")) && set.contains("Max-Age=0"),
            "{set}"
        );
    }
    let twice = [cookie, cookie, host];
    assert_eq!(
        with(&world, "GET", "/v1/me", &twice).await.code(),
        "invalid_token"
    );
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in_with_a_cookie_t59() {
    let world = World::school().await;
    let body = json!({ "login": "anna", "password": PASSWORD, "mode": "cookie" });
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder()
            .method("POST")
            .uri("/v1/auth/sign-in")
            .header("host", "school.example")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world
            .send(request.body(Body::from(body.to_string())).unwrap())
            .await
    };
    let reply = ask(&[("origin", "https://evil.example")]).await;
    assert_eq!(reply.code(), "cross_site");
    assert!(!reply.headers.contains_key(header::SET_COOKIE));
    assert_eq!(ask(&[("sec-fetch-site", "same-origin")]).await.status, 200);
    let wrong = json!({ "login": "anna", "password": PASSWORD, "mode": "cooky" });
    let reply = world.post("/v1/auth/sign-in", "", &wrong).await;
    assert_eq!(
        (reply.code().as_str(), reply.json()["member"].as_str()),
        ("bad_body", Some("mode"))
    );
}

#[tokio::test]
async fn ones_own_sessions() {
    let world = World::school().await;
    world.account("cleo", &["student", "user"]).await;
    let (one, two) = (world.token("cleo").await, world.token("cleo").await);
    let mut request = Request::builder()
        .method("POST")
        .uri("/v1/auth/sign-in")
        .header("content-type", "application/json")
        .header("user-agent", "a browser/1.0")
        .body(Body::from(
            json!({ "login": "cleo", "password": PASSWORD }).to_string(),
        ))
        .unwrap();
    request
        .extensions_mut()
        .insert(Peer("192.0.2.4".parse().unwrap()));
    let third = world.send(request).await.json();
    let listed = world.get("/v1/sessions", &one).await.data();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed
            .iter()
            .filter(|session| session["current"] == true)
            .count(),
        1
    );
    let of_third = listed
        .iter()
        .find(|session| session["id"] == third["session"]["id"])
        .unwrap();
    assert_eq!(of_third["address"], "192.0.2.4");
    assert_eq!(of_third["agent"], "a browser/1.0");
    assert_eq!(of_third["face"], "native");
    assert_eq!(of_third["kind"], "session");
    let path = format!("/v1/sessions/{}", text(of_third, "id"));
    assert_eq!(world.delete(&path, &one).await.status, 204);
    assert_eq!(
        world.get("/v1/me", &text(&third, "token")).await.code(),
        "invalid_token"
    );
    assert_eq!(world.delete(&path, &one).await.code(), "not_found");
    let ended = world.delete("/v1/sessions?others=true", &one).await;
    assert_eq!(ended.data()["ended"], 1);
    assert_eq!(world.get("/v1/me", &two).await.code(), "invalid_token");
    let ended = world.delete("/v1/sessions", &one).await;
    assert_eq!(ended.data()["ended"], 1);
    assert_eq!(world.get("/v1/me", &one).await.code(), "invalid_token");
    // Who has no right to an account of his own has none to its sessions.
    let anna = world.token("anna").await;
    assert_eq!(world.get("/v1/sessions", &anna).await.code(), "forbidden");
    assert_eq!(
        world.delete("/v1/sessions", &anna).await.code(),
        "forbidden"
    );
    assert_eq!(world.get("/v1/me", &anna).await.status, 200);
}

#[tokio::test]
async fn the_sessions_of_others() {
    let world = World::school().await;
    let (root, tess) = (world.token(ADMIN).await, world.token("tess").await);
    let session = sign_in(&world, "bo", "token").await.json();
    let (bo, id) = (
        text(&session["user"], "id"),
        text(&session["session"], "id"),
    );
    for name in ["bo", bo.as_str()] {
        let listed = world
            .get(&format!("/v1/users/{name}/sessions"), &root)
            .await
            .data();
        assert_eq!(listed[0]["id"], id.as_str(), "{listed}");
        assert_eq!(listed.as_array().unwrap().len(), 1);
    }
    // A teacher sees accounts and no sessions; a student sees neither.
    let anna = world.token("anna").await;
    for (who, user, expected) in [
        (&tess, &bo, 404),
        (&anna, &bo, 404),
        (&tess, &"nobody".to_owned(), 404),
    ] {
        for method in ["GET", "DELETE"] {
            let reply = world
                .ask(method, &format!("/v1/users/{user}/sessions"), who, None)
                .await;
            let expected = if method == "DELETE" && who == &tess && user == &bo {
                403
            } else {
                expected
            };
            assert_eq!(reply.status, expected, "{method} {}", reply.text());
        }
    }
    let token = text(&session, "token");
    assert_eq!(world.get("/v1/me", &token).await.status, 200);
    let path = format!("/v1/users/{bo}/sessions/{id}");
    assert_eq!(world.delete(&path, &root).await.status, 204);
    assert_eq!(world.get("/v1/me", &token).await.code(), "invalid_token");
    assert_eq!(world.delete(&path, &root).await.code(), "not_found");
    world.token("bo").await;
    let ended = world.delete("/v1/users/bo/sessions", &root).await;
    assert_eq!(ended.data()["ended"], 1);
    let audit = world
        .get("/v1/records/audit?sort=-id&limit=1", &root)
        .await
        .data();
    assert_eq!(audit[0]["action"], "session.end");
    assert_eq!(audit[0]["target"], bo.as_str());
}

#[tokio::test]
async fn who_tries_too_often_is_told_to_wait_and_how_long_t53() {
    let world = World::school().await;
    let attempt = async |login: &str, password: &str| {
        let body = json!({ "login": login, "password": password });
        world.post("/v1/auth/sign-in", "", &body).await
    };
    let mut bodies = vec![];
    for login in ["anna", "nobody"] {
        for left in (0..10).rev() {
            let reply = attempt(login, "wrong").await;
            assert_eq!(reply.status, 401, "{login} {left}");
            assert_eq!(reply.headers["ratelimit-policy"], "\"sign-in\";q=10;w=60");
            let told = reply.headers["ratelimit"].to_str().unwrap();
            assert!(
                told.starts_with(&format!("\"sign-in\";r={left};t=")),
                "{told}"
            );
        }
        // The right password makes no difference.
        let reply = attempt(login, PASSWORD).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (429, "throttled")
        );
        assert_eq!(reply.headers[header::RETRY_AFTER], "6");
        bodies.push(reply.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    // Others are let in.
    world.token("bo").await;
}

#[tokio::test]
async fn a_budget_of_requests_is_told() {
    let world = World::school().await;
    let token = world.token("anna").await;
    assert!(
        !world
            .get("/v1/me", &token)
            .await
            .headers
            .contains_key("ratelimit")
    );
    world
        .apply(
            r#"
collections:
  users: { fields: { full_name: text } }
  notes: { key: { id: integer }, fields: { text: text } }
roles:
  student: { permissions: [ { allow: [data.read, data.create], on: notes } ] }
  teacher: { permissions: [] }
profiles:
  slow: { roles: [student], rate_limit: 2 }
"#,
        )
        .await;
    let new = portreeve_service::NewUser {
        username: Some("slow".into()),
        password: Some(PASSWORD.into()),
        profiles: vec!["slow".into()],
        ..Default::default()
    };
    world
        .portreeve
        .create_user(&world.portreeve.operator(), new)
        .await
        .unwrap();
    let token = world.token("slow").await;
    let first = world.get("/v1/me", &token).await;
    assert_eq!(first.headers["ratelimit-policy"], "\"requests\";q=2;w=60");
    assert_eq!(first.headers["ratelimit"], "\"requests\";r=1;t=30");
    let second = world
        .post("/v1/records/notes", &token, &json!({ "text": "x" }))
        .await;
    assert_eq!(second.status, 201, "{}", second.text());
    let third = world.get("/v1/me", &token).await;
    assert_eq!(third.code(), "throttled");
    assert_eq!(third.headers[header::RETRY_AFTER], "30");
    let told = third.headers["ratelimit"].to_str().unwrap();
    assert!(told.starts_with("\"requests\";r=0;t="), "{told}");
}
