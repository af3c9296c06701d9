//! Ways in by mail, from outside.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use portreeve_service::NewUser;
use portreeve_service::mail::{DevelopmentOutbox, Links, MailOptions, Mailer};
use serde_json::json;

use crate::world::{ADMIN, PASSWORD, World};

struct Post {
    world: World,
    outbox: Arc<DevelopmentOutbox>,
}

impl Post {
    async fn new(development: bool) -> Self {
        let outbox = Arc::new(DevelopmentOutbox::default());
        let mail = MailOptions {
            mailer: Some(outbox.clone()),
            links: Links {
                public: Some("https://school.example".into()),
                reset: Some("https://school.example/reset".into()),
                ..Links::default()
            },
            ..MailOptions::default()
        };
        let world = World::with(|options| {
            options.mail = mail;
            options.development = development;
        })
        .await;
        world.administrator().await;
        let anna = NewUser {
            username: Some("anna".into()),
            email: Some("anna@school.example".into()),
            password: Some(PASSWORD.into()),
            ..NewUser::default()
        };
        let operator = world.portreeve.operator();
        world.portreeve.create_user(&operator, anna).await.unwrap();
        Self { world, outbox }
    }

    /// Sends what is due, and gives the code in the last mail.
    async fn code(&self) -> String {
        while self.world.portreeve.deliver_next().await.unwrap().is_some() {}
        let mails = self.outbox.kept().unwrap();
        let text = &mails[0].text;
        let start = text.find("prc_").unwrap_or_else(|| panic!("{text}"));
        text[start..].split_whitespace().next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_forgotten_password_from_outside() {
    let post = Post::new(false).await;
    let world = &post.world;
    let before = world.token("anna").await;
    let asked = world
        .post("/v1/auth/forgot-password", "", &json!({ "login": "anna" }))
        .await;
    assert_eq!((asked.status.as_u16(), asked.body.len()), (202, 0));
    let body = json!({ "code": post.code().await, "password": "another password" });
    let reset = world.post("/v1/auth/reset-password", "", &body).await;
    assert_eq!(reset.status, 204, "{}", reset.text());
    assert_eq!(world.get("/v1/me", &before).await.code(), "invalid_token");
    let again = world.post("/v1/auth/reset-password", "", &body).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (403, "invalid_code")
    );
    let sign_in = json!({ "login": "anna@school.example", "password": "another password" });
    assert_eq!(
        world.post("/v1/auth/sign-in", "", &sign_in).await.status,
        200
    );
}

#[tokio::test]
async fn answers_do_not_tell_who_is_there() {
    let post = Post::new(false).await;
    let world = &post.world;
    for path in ["/v1/auth/forgot-password", "/v1/auth/send-confirmation"] {
        let known = world.post(path, "", &json!({ "login": "anna" })).await;
        for login in [
            "nobody",
            "nobody@school.example",
            "anna@school.example",
            "ANNA",
        ] {
            let other = world.post(path, "", &json!({ "login": login })).await;
            assert_eq!(other.status, known.status);
            assert_eq!(other.body, known.body);
            let names = |headers: &axum::http::HeaderMap| {
                let mut headers = headers.clone();
                headers.remove("x-request-id");
                headers
            };
            assert_eq!(names(&other.headers), names(&known.headers));
        }
    }
    // Codes that are none, one like the other.
    let never = format!("prc_{}", "A".repeat(43));
    for path in ["reset-password", "confirm", "accept-invitation"] {
        let path = format!("/v1/auth/{path}");
        let ask = async |code: &str| {
            let mut body = json!({ "code": code });
            if !path.ends_with("confirm") {
                body["password"] = json!("another password");
            }
            world.post(&path, "", &body).await
        };
        let first = ask(&never).await;
        assert_eq!(
            (first.status.as_u16(), first.code().as_str()),
            (403, "invalid_code")
        );
        for code in ["", "x", "prt_AAAA", "' OR 1=1 --", &"x".repeat(5_000)] {
            let other = ask(code).await;
            assert_eq!(
                (other.status, &other.body),
                (first.status, &first.body),
                "{code}"
            );
        }
    }
}

#[tokio::test]
async fn a_code_is_a_text_and_nothing_else() {
    let post = Post::new(false).await;
    let world = &post.world;
    world
        .post("/v1/auth/forgot-password", "", &json!({ "login": "anna" }))
        .await;
    let code = post.code().await;
    for bad in [
        json!({ "$ne": null }),
        json!([code]),
        json!(true),
        json!(0),
        json!(null),
    ] {
        let body = json!({ "code": bad, "password": "another password" });
        for path in ["reset-password", "accept-invitation"] {
            let reply = world.post(&format!("/v1/auth/{path}"), "", &body).await;
            assert_eq!(reply.code(), "bad_body", "{body}");
        }
        let reply = world
            .post("/v1/auth/confirm", "", &json!({ "code": bad }))
            .await;
        assert_eq!(reply.code(), "bad_body", "{bad}");
        let reply = world
            .post("/v1/auth/forgot-password", "", &json!({ "login": bad }))
            .await;
        assert_eq!(reply.code(), "bad_body", "{bad}");
    }
    let body = json!({ "code": code, "password": "another password", "confirmed": true });
    let reply = world.post("/v1/auth/reset-password", "", &body).await;
    assert_eq!(reply.code(), "unknown_member");
    assert!(world.token("anna").await.starts_with("prt_"));
}

#[tokio::test]
async fn no_header_says_where_links_lead() {
    let post = Post::new(false).await;
    let world = &post.world;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-host", "evil.example"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ] {
        let request = Request::post("/v1/auth/forgot-password")
            .header(name, value)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(r#"{"login":"anna"}"#))
            .unwrap();
        assert_eq!(world.send(request).await.status, 202, "{name}");
    }
    post.code().await;
    let mails = post.outbox.kept().unwrap();
    assert_eq!(mails.len(), 3, "the others are more than an address gets");
    for mail in mails {
        let all = format!("{mail:?}");
        assert!(!all.contains("evil") && !all.contains("gopher"), "{all}");
        assert!(
            all.contains("https://school.example/reset?code=prc_"),
            "{all}"
        );
    }
    let body = json!({ "login": "anna", "link": "https://evil.example/" });
    let reply = world.post("/v1/auth/forgot-password", "", &body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (422, "invalid")
    );
}

#[tokio::test]
async fn invitations_and_addresses_from_outside() {
    let post = Post::new(false).await;
    let world = &post.world;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let body = json!({ "email": "cleo@home.example", "roles": ["user"] });
    // Anna knows of no accounts.
    let denied = world.post("/v1/invitations", &anna, &body).await;
    assert_eq!(
        (denied.status.as_u16(), denied.code().as_str()),
        (404, "not_found")
    );
    let invited = world.post("/v1/invitations", &root, &body).await;
    assert_eq!(invited.status, 201, "{}", invited.text());
    assert_eq!(invited.data()["status"], "invited");
    assert!(!invited.text().contains("prc_"));
    let body = json!({ "code": post.code().await, "password": PASSWORD, "username": "cleo" });
    let accepted = world.post("/v1/auth/accept-invitation", "", &body).await;
    assert_eq!(accepted.status, 204, "{}", accepted.text());
    let cleo = world.token("cleo").await;

    let wrong = json!({ "email": "new@home.example", "password": "wrong" });
    let refused = world.post("/v1/me/email", &cleo, &wrong).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (401, "wrong_credentials")
    );
    let right = json!({ "email": "new@home.example", "password": PASSWORD });
    assert_eq!(world.post("/v1/me/email", &cleo, &right).await.status, 202);
    while world.portreeve.deliver_next().await.unwrap().is_some() {}
    let mails = post.outbox.kept().unwrap();
    let mail = mails.iter().find(|mail| mail.template == "change").unwrap();
    assert_eq!(mail.to, "new@home.example");
    let start = mail.text.find("prc_").unwrap();
    let code = mail.text[start..].split_whitespace().next().unwrap();
    let me = world.get("/v1/me", &cleo).await.json();
    assert_eq!(me["user"]["email"], "cleo@home.example");
    let confirmed = world
        .post("/v1/auth/confirm", "", &json!({ "code": code }))
        .await;
    assert_eq!(confirmed.status, 204, "{}", confirmed.text());
    let me = world.get("/v1/me", &cleo).await.json();
    assert_eq!(me["user"]["email"], "new@home.example");
}

#[tokio::test]
async fn templates_from_outside() {
    let post = Post::new(false).await;
    let world = &post.world;
    let (root, anna) = (world.token(ADMIN).await, world.token("anna").await);
    let all = world.get("/v1/templates", &root).await.data();
    let names: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["reset", "confirm", "change", "changing", "invite"]);
    let own = json!({ "subject": "Hi", "text": "{{ code }}" });
    let path = "/v1/templates/reset";
    for (method, body) in [("GET", None), ("PUT", Some(&own)), ("DELETE", None)] {
        let reply = world.ask(method, path, &anna, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "forbidden"),
            "{method}"
        );
    }
    let put = world.ask("PUT", path, &root, Some(&own)).await;
    assert_eq!(put.data()["built_in"], false);
    let record = world.get("/v1/records/templates/reset", &root).await.data();
    assert_eq!(record["text"], "{{ code }}");
    assert_eq!(
        world.get("/v1/records/templates/reset", &anna).await.code(),
        "not_found"
    );
    for table in ["codes", "mails"] {
        let path = format!("/v1/records/{table}");
        assert_eq!(world.get(&path, &root).await.code(), "not_found", "{table}");
    }
    let bad = json!({ "subject": "Hi", "text": "one\n{{ cod }}" });
    let refused = world.ask("PUT", path, &root, Some(&bad)).await;
    assert_eq!(refused.code(), "invalid");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("line 2") && detail.contains("did you mean 'code'"),
        "{detail}"
    );
    assert_eq!(world.delete(path, &root).await.status, 204);
    assert_eq!(world.get(path, &root).await.data()["built_in"], true);
    assert_eq!(
        world.get("/v1/templates/nothing", &root).await.code(),
        "not_found"
    );
}

#[tokio::test]
async fn mails_can_be_looked_at_in_development_alone() {
    let post = Post::new(true).await;
    let ask = async |world: &World, host: &str| {
        let request = Request::get("/v1/dev/mails").header(header::HOST, host);
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let request = Request::post("/v1/auth/forgot-password")
        .header(header::HOST, "localhost:7600")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"login":"anna"}"#));
    assert_eq!(post.world.send(request.unwrap()).await.status, 202);
    let code = post.code().await;
    let mails = ask(&post.world, "localhost:7600").await.data();
    assert_eq!(mails[0]["to"], "anna@school.example");
    assert!(mails[0]["text"].as_str().unwrap().contains(&code));
    assert_eq!(
        ask(&post.world, "evil.example").await.code(),
        "foreign_site"
    );
    let closed = Post::new(false).await;
    let reply = ask(&closed.world, "localhost:7600").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (404, "unknown_route")
    );
}

#[tokio::test]
async fn without_mail_it_is_said() {
    let world = World::school().await;
    let reply = world
        .post("/v1/auth/forgot-password", "", &json!({ "login": "anna" }))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (409, "mail_off")
    );
}
