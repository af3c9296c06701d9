//! One way to an account by what it is called, on every route (catalogue T11, T35).

use axum::http::StatusCode;
use portreeve_service::NewUser;
use serde_json::{Value as Json, json};

use crate::world::{ADMIN, PASSWORD, Reply, World};

// Every route that names an account.
fn routes(user: &str) -> Vec<(&'static str, String, Option<Json>)> {
    let path = |rest: &str| format!("/v1/users/{user}{rest}");
    vec![
        ("GET", path(""), None),
        ("PATCH", path(""), Some(json!({ "status": "active" }))),
        ("DELETE", path(""), None),
        (
            "POST",
            path("/password"),
            Some(json!({ "password": "another password" })),
        ),
        ("GET", path("/bindings"), None),
        (
            "POST",
            path("/bindings"),
            Some(json!({ "role": "student" })),
        ),
        ("GET", path("/sessions"), None),
        ("DELETE", path("/sessions"), None),
        (
            "DELETE",
            path("/sessions/01a20236-7599-7b48-ab30-a5b82cb0b8e3"),
            None,
        ),
        ("GET", path("/rights"), None),
    ]
}

fn told(reply: &Reply, sent: &str) -> (StatusCode, Json) {
    let text = reply.text().replace(sent, "(sent)");
    let mut json: Json = serde_json::from_str(&text).unwrap();
    for id in ["request_id", "decision_id"] {
        json.as_object_mut().unwrap().shift_remove(id);
    }
    (reply.status, json)
}

async fn world() -> World {
    let world = World::with_roles(
        r#"
  student:
    permissions: []
  # May do everything with some accounts, and knows of no addresses.
  clerk:
    permissions:
      - { allow: [data.read, data.update, data.delete], on: users, rows: "username <> 'anna'", fields: [id, key, username, status] }
      - { allow: data.read, on: [bindings, sessions, roles] }
      - { allow: [access.grant, policy.simulate, policy.explain] }
"#,
    )
    .await;
    let operator = world.portreeve.operator();
    let new = NewUser {
        username: Some("dora".into()),
        email: Some("Dora@school.example".into()),
        key: Some("kuid-dora".into()),
        password: Some(PASSWORD.into()),
        roles: vec!["student".into()],
        ..NewUser::default()
    };
    world.portreeve.create_user(&operator, new).await.unwrap();
    world
}

#[tokio::test]
async fn an_account_is_found_by_each_of_its_names_on_every_route() {
    let world = world().await;
    let root = world.token(ADMIN).await;
    let dora = world.get("/v1/users/username:dora", &root).await.data();
    let (id, number) = (dora["id"].as_str().unwrap(), &dora["number"]);
    let names = [
        id.to_owned(),
        "dora".into(),
        "kuid-dora".into(),
        "DORA@school.example".into(),
        number.to_string(),
        "username:dora".into(),
        "key:kuid-dora".into(),
        "email:dora@school.example".into(),
        format!("number:{number}"),
    ];
    for name in &names {
        for rest in ["", "/bindings", "/sessions", "/rights"] {
            let reply = world.get(&format!("/v1/users/{name}{rest}"), &root).await;
            assert_eq!(reply.status, 200, "{name}{rest}: {}", reply.text());
            assert!(
                reply.text().contains(id) || rest == "/sessions",
                "{name}{rest}"
            );
        }
        let subject = json!({ "action": "list", "collection": "grades", "subject": name });
        for path in ["/v1/check", "/v1/explain"] {
            let reply = world.post(path, &root, &subject).await;
            assert_eq!(reply.status, 200, "{name} {path}: {}", reply.text());
        }
        let seen = world
            .ask_if(
                "GET",
                "/v1/me",
                &root,
                ("portreeve-simulate", &format!("user:{name}")),
                None,
            )
            .await;
        assert_eq!(seen.json()["user"]["id"], id, "{name}");
    }
    // What begins like an address is not it.
    for name in [
        "dora@school.exampl",
        "email:dora@",
        "email:dora",
        "username:Dora",
        "phone:1",
    ] {
        let reply = world.get(&format!("/v1/users/{name}/rights"), &root).await;
        assert_eq!(reply.code(), "unknown_user", "{name}");
    }
}

#[tokio::test]
async fn out_of_reach_is_answered_like_unknown_on_every_route_t11() {
    let world = world().await;
    let (root, clerk) = (
        world.token(ADMIN).await,
        world.newcomer("cleo", "clerk").await,
    );
    let anna = world.get("/v1/users/username:anna", &root).await.data();
    let text = |name: &str| match &anna[name] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let missing = "01a20236-7599-7b48-ab30-a5b82cb0b8e3";
    // What there is and she may not see, and what there is not.
    let mut pairs = vec![(text("id"), missing.to_owned())];
    for (field, nobody) in [("username", "nobody"), ("key", missing), ("number", "4711")] {
        pairs.push((
            format!("{field}:{}", text(field)),
            format!("{field}:{nobody}"),
        ));
    }
    pairs.push(("anna".into(), "nobody".into()));
    pairs.push((text("number"), "4711".into()));
    // Dora's account is hers to see, her address is not.
    pairs.push(("dora@school.example".into(), "nora@school.example".into()));
    pairs.push((
        "email:dora@school.example".into(),
        "email:nora@school.example".into(),
    ));
    let before = world.get("/v1/records/users?limit=50", &root).await.text();
    for (hidden, unknown) in &pairs {
        let routes = routes(hidden).into_iter().zip(routes(unknown));
        for ((method, path, body), (_, other, _)) in routes {
            let one = world.ask(method, &path, &clerk, body.as_ref()).await;
            let two = world.ask(method, &other, &clerk, body.as_ref()).await;
            assert!(
                two.status.is_client_error(),
                "{method} {other}: {}",
                two.text()
            );
            assert_eq!(told(&one, hidden), told(&two, unknown), "{method} {path}");
        }
    }
    assert_eq!(
        world.get("/v1/records/users?limit=50", &root).await.text(),
        before
    );
}

#[tokio::test]
async fn who_is_called_what_another_is_known_by_is_not_taken_for_him_t35() {
    let world = world().await;
    let root = world.token(ADMIN).await;
    let dora = world.get("/v1/users/username:dora", &root).await.data();
    let operator = world.portreeve.operator();
    for name in [dora["number"].to_string(), "kuid-dora".into()] {
        let new = NewUser {
            username: Some(name.clone()),
            password: Some(PASSWORD.into()),
            roles: vec!["student".into()],
            ..NewUser::default()
        };
        world.portreeve.create_user(&operator, new).await.unwrap();
        for (method, path, body) in routes(&name) {
            let reply = world.ask(method, &path, &root, body.as_ref()).await;
            assert_eq!(reply.status, 422, "{method} {path}: {}", reply.text());
            assert!(reply.text().contains("more than one account"));
        }
        let reply = world
            .get(&format!("/v1/users/username:{name}"), &root)
            .await;
        assert_eq!(reply.data()["username"], *name);
    }
    let path = format!("/v1/users/{}", dora["id"].as_str().unwrap());
    assert_eq!(world.get(&path, &root).await.data()["username"], "dora");
}
