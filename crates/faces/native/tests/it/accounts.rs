//! The first start, signing in and out, accounts.

use serde_json::{Value as Json, json};

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
        (404, "not_found")
    );
    assert_eq!(world.get("/v1/users", &anna).await.code(), "not_found");
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
        (bad("password", json!("dora")), "invalid"),
        (bad("password", json!("password1")), "invalid"),
        (bad("username", json!(ADMIN)), "user_exists"),
        (bad("username", json!("bo@school.example")), "invalid"),
    ] {
        let reply = world.post("/v1/users", &root, &body).await;
        assert_eq!(reply.code(), code, "{body} {}", reply.text());
    }
    let mut names = vec![];
    let mut path = "/v1/users?limit=2&sort=number".to_owned();
    loop {
        let page = world.get(&path, &root).await.json();
        let users = page["data"].as_array().unwrap().iter();
        names.extend(users.map(|user| user["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["page"]["next"].as_str() else {
            break;
        };
        path = format!("/v1/users?limit=2&sort=number&cursor={next}");
    }
    assert_eq!(names, [ADMIN, "anna", "bo", "tess", "cleo"]);
    let cleo = world.token("cleo").await;
    let set = async |user: &str| {
        let path = format!("/v1/users/{user}/password");
        world
            .post(&path, &root, &json!({ "password": "another one" }))
            .await
    };
    let done = set("username:cleo").await;
    assert_eq!(done.status, 204, "{}", done.text());
    assert_eq!(world.get("/v1/me", &cleo).await.code(), "invalid_token");
    for nobody in [
        "nobody",
        "username:nobody",
        "number:0",
        "number:x",
        "key:nobody",
    ] {
        let gone = set(nobody).await;
        assert_eq!(
            (gone.status.as_u16(), gone.code().as_str()),
            (404, "not_found"),
            "{nobody}"
        );
    }
}

#[tokio::test]
async fn an_account_is_read_changed_and_ended() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let (anna, tess) = (world.token("anna").await, world.token("tess").await);
    let shown = world.get("/v1/users/username:anna", &root).await.data();
    let id = shown["id"].as_str().unwrap();
    let path = format!("/v1/users/{id}");
    for same in [format!("number:{}", shown["number"]), format!("key:{id}")] {
        let reply = world.get(&format!("/v1/users/{same}"), &root).await;
        assert_eq!(reply.data(), shown, "{same}");
    }
    // What one may read of it, by what one may read of it.
    let seen = world.get(&path, &tess).await.data();
    assert_eq!(
        seen,
        json!({ "id": id, "username": "anna", "full_name": null })
    );
    let unread = world
        .get(&format!("/v1/users/number:{}", shown["number"]), &tess)
        .await;
    assert_eq!(unread.code(), "not_found");
    assert_eq!(world.get(&path, &anna).await.code(), "not_found");
    let change = json!({ "email": "anna@school.example", "values": { "full_name": "Anna" } });
    let denied = world.patch(&path, &tess, &change).await;
    assert_eq!(
        (denied.status.as_u16(), denied.code().as_str()),
        (403, "forbidden")
    );
    assert_eq!(world.patch(&path, &anna, &change).await.code(), "not_found");
    assert_eq!(world.get(&path, &root).await.data(), shown);
    let done = world.patch(&path, &root, &change).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.data()["email"], "anna@school.example");
    assert_eq!(done.data(), world.get(&path, &root).await.data());
    for (body, code) in [
        (json!({ "number": 7 }), "unknown_member"),
        (json!({ "confirmed": "yes" }), "bad_body"),
        (json!({ "username": 7 }), "bad_body"),
        (json!({ "values": { "status": "x" } }), "unknown_field"),
        (json!({ "email": "no address" }), "invalid"),
        (json!({ "username": "tess" }), "user_exists"),
    ] {
        let reply = world.patch(&path, &root, &body).await;
        assert_eq!(reply.code(), code, "{body} {}", reply.text());
    }
    let off = json!({ "status": "disabled", "username": null });
    let off = world.patch(&path, &root, &off).await.data();
    assert_eq!(
        (&off["status"], &off["username"]),
        (&json!("disabled"), &json!(null))
    );
    assert_eq!(world.get("/v1/me", &anna).await.code(), "invalid_token");
    assert_eq!(world.delete(&path, &tess).await.code(), "forbidden");
    // Grades of hers are there.
    assert_eq!(world.delete(&path, &root).await.code(), "referenced");
    world.account("dora", &[]).await;
    let path = "/v1/users/username:dora";
    assert_eq!(world.delete(path, &root).await.status, 204);
    assert_eq!(world.get(path, &root).await.code(), "not_found");
    assert_eq!(world.delete(path, &root).await.code(), "not_found");
    let me = world.get("/v1/me", &root).await.json();
    let me = format!("/v1/users/{}", me["user"]["id"].as_str().unwrap());
    let last = world.delete(&me, &root).await;
    assert_eq!(
        (last.status.as_u16(), last.code().as_str()),
        (409, "last_administrator")
    );
}

#[tokio::test]
async fn the_owner_of_an_account_has_his_way_with_it() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let body = json!({ "username": "cleo", "password": PASSWORD });
    world.post("/v1/users", &root, &body).await;
    let (one, two) = (world.token("cleo").await, world.token("cleo").await);
    let done = world
        .patch("/v1/me", &one, &json!({ "username": "cleopatra" }))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    let me = world.get("/v1/me", &one).await.json();
    assert_eq!(me["user"]["username"], "cleopatra");
    for (body, code) in [
        (json!({ "values": { "full_name": "x" } }), "unknown_field"),
        (json!({ "values": { "nonsense": "x" } }), "unknown_field"),
        (json!({ "email": "cleo@school.example" }), "unknown_member"),
        (json!({ "status": "active" }), "unknown_member"),
        (json!({ "username": ADMIN }), "user_exists"),
    ] {
        let reply = world.patch("/v1/me", &one, &body).await;
        assert_eq!(reply.code(), code, "{body}");
    }
    let password = async |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        world.post("/v1/me/password", &one, &body).await
    };
    for (current, new) in [
        ("wrong password", "asp and nile"),
        (PASSWORD, "short"),
        (PASSWORD, "password"),
        (PASSWORD, "CLEOPATRA"),
    ] {
        let reply = password(current, new).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (422, "invalid"),
            "{new}"
        );
    }
    assert_eq!(password(PASSWORD, "asp and nile").await.status, 204);
    assert_eq!(world.get("/v1/me", &one).await.status, 200);
    assert_eq!(world.get("/v1/me", &two).await.code(), "invalid_token");
    let end = async |token: &str, password: &str| {
        let body = json!({ "password": password });
        world.ask("DELETE", "/v1/me", token, Some(&body)).await
    };
    assert_eq!(end(&one, PASSWORD).await.code(), "invalid");
    assert_eq!(end(&root, PASSWORD).await.code(), "last_administrator");
    assert_eq!(end(&one, "asp and nile").await.status, 204);
    assert_eq!(world.get("/v1/me", &one).await.code(), "invalid_token");
    for (method, path) in [
        ("PATCH", "/v1/me"),
        ("DELETE", "/v1/me"),
        ("POST", "/v1/me/password"),
    ] {
        let reply = world.ask(method, path, "", Some(&json!({}))).await;
        assert_eq!(reply.code(), "unauthenticated", "{method} {path}");
    }
    // Without `account.*` there is no such right.
    let anna = world.token("anna").await;
    let denied = world
        .patch("/v1/me", &anna, &json!({ "username": "a" }))
        .await;
    assert_eq!(denied.code(), "forbidden");
}

#[tokio::test]
async fn strangers_sign_up_where_that_is_open() {
    let closed = World::school().await;
    let body = json!({ "username": "cleo", "password": PASSWORD });
    let reply = closed.post("/v1/auth/register", "", &body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (403, "registration_closed")
    );
    let open = async |confirmation| {
        let settings = portreeve_service::Registration {
            open: true,
            confirmation,
            ..Default::default()
        };
        let mail = portreeve_service::mail::MailOptions {
            mailer: Some(std::sync::Arc::<portreeve_service::mail::DevelopmentOutbox>::default()),
            ..Default::default()
        };
        let world = World::with(|options| {
            options.faces.get_mut("native").unwrap().registration = settings;
            options.mail = mail;
        })
        .await;
        world.administrator().await;
        world
    };
    let world = open(false).await;
    let made = world.post("/v1/auth/register", "", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!made.text().contains(PASSWORD));
    let cleo = world.token("cleo").await;
    let me = world.get("/v1/me", &cleo).await.json();
    assert_eq!(
        (&me["administrator"], &me["roles"][0]),
        (&json!(false), &json!("user"))
    );
    let taken = world.post("/v1/auth/register", "", &body).await;
    assert_eq!(
        (taken.status.as_u16(), taken.code().as_str()),
        (409, "user_exists")
    );
    for (member, value, code) in [
        ("roles", json!(["admin"]), "unknown_member"),
        ("status", json!("active"), "unknown_member"),
        ("key", json!("admin"), "unknown_member"),
        ("values", json!({ "full_name": "x" }), "unknown_field"),
        ("values", json!({ "confirmed": true }), "unknown_field"),
        ("values", json!({ "id": "x" }), "unknown_field"),
    ] {
        let mut body = json!({ "username": "dora", "password": PASSWORD });
        body[member] = value;
        let reply = world.post("/v1/auth/register", "", &body).await;
        assert_eq!(reply.code(), code, "{body}");
    }
    let world = open(true).await;
    let body =
        |name: &str, email: &str| json!({ "username": name, "email": email, "password": PASSWORD });
    let register = async |name: &str, email: &str| {
        world
            .post("/v1/auth/register", "", &body(name, email))
            .await
    };
    let free = register("cleo", "cleo@school.example").await;
    let taken = register("dora", "CLEO@school.example").await;
    assert_eq!((free.status.as_u16(), taken.status.as_u16()), (202, 202));
    assert_eq!(free.body, taken.body);
    // A name is told of, whether the address is taken or not.
    for email in ["cleo@school.example", "new@school.example"] {
        assert_eq!(register("cleo", email).await.code(), "user_exists");
    }
    let sign_in = json!({ "login": "cleo", "password": PASSWORD });
    let early = world.post("/v1/auth/sign-in", "", &sign_in).await;
    assert_eq!(early.code(), "wrong_credentials");
}

// What the interface asks says what the operations on accounts will say.
#[tokio::test]
async fn what_one_may_with_accounts_is_told_as_it_is() {
    let world = World::with_roles(
        r#"
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user" }
  registrar:
    permissions:
      - { allow: data.read, on: [users, grades] }
      - { allow: data.create, on: users, fields: [username, email, full_name] }
      - { allow: data.update, on: users, fields: [username, full_name, number] }
      - { allow: data.delete, on: users, rows: "full_name = 'Gone'" }
      # What a new account is bound to, she has to hold herself.
      - { allow: account }
      - { allow: [policy.simulate, policy.explain, policy.who] }
"#,
    )
    .await;
    let registrar = world.newcomer("rita", "registrar").await;
    let root = world.token(ADMIN).await;
    let rights = async |path: &str, token: &str| {
        let me = world.get(path, token).await.json();
        let all = me["collections"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["name"] == "users").unwrap()
    };
    let own = rights("/v1/me", &registrar).await;
    for (action, possible) in [
        ("data.create.one", json!("some")),
        ("data.update.one", json!("some")),
        ("data.delete.one", json!("some")),
        ("data.create.many", Json::Null),
        ("data.delete.many", Json::Null),
    ] {
        assert_eq!(own["actions"][action], possible, "{action}: {own}");
    }
    let field = |rights: &Json, name: &str| {
        let fields = rights["fields"].as_array().unwrap();
        let field = fields.iter().find(|field| field["name"] == name).unwrap();
        [field["create"].clone(), field["update"].clone()]
    };
    assert_eq!(field(&own, "username"), ["yes", "some"]);
    assert_eq!(field(&own, "full_name"), ["yes", "yes"]);
    assert_eq!(field(&own, "email"), ["yes", "no"]);
    assert_eq!(field(&own, "status"), ["no", "no"]);
    // What an account has once and for all nobody writes.
    assert_eq!(field(&own, "number"), ["no", "no"]);
    assert_eq!(rights("/v1/users/rita/rights", &root).await, own);
    let all = rights("/v1/me", &root).await;
    assert_eq!(all["actions"]["data.delete.one"], "yes");
    assert_eq!(field(&all, "username"), ["yes", "yes"]);
    assert_eq!(field(&all, "number"), ["no", "no"]);

    // Each question, and what the operation then says.
    let id = async |name: &str| {
        let found = world
            .get(&format!("/v1/users/username:{name}"), &root)
            .await;
        found.data()["id"].as_str().unwrap().to_owned()
    };
    let (anna, head) = (id("anna").await, id(ADMIN).await);
    let check = async |token: &str, more: Json| {
        let mut body = json!({ "collection": "users" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = world.post("/v1/check", token, &body).await;
        (reply.status.as_u16(), reply.json()["decision"].clone())
    };
    let update = |key: &str, send: Json| json!({ "action": "update", "key": key, "send": send });
    for (key, send, body, allowed) in [
        (
            &anna,
            json!({ "full_name": "A" }),
            json!({ "values": { "full_name": "A" } }),
            true,
        ),
        (
            &anna,
            json!({ "username": "ann" }),
            json!({ "username": "ann" }),
            true,
        ),
        // The head holds more than Rita does.
        (
            &head,
            json!({ "username": "hat" }),
            json!({ "username": "hat" }),
            false,
        ),
        (
            &head,
            json!({ "full_name": "H" }),
            json!({ "values": { "full_name": "H" } }),
            true,
        ),
        (
            &anna,
            json!({ "status": "x" }),
            json!({ "status": "x" }),
            false,
        ),
    ] {
        let (status, decision) = check(&registrar, update(key, send.clone())).await;
        let done = world
            .patch(&format!("/v1/users/{key}"), &registrar, &body)
            .await;
        assert_eq!(status == 200 && decision == "allow", allowed, "{send}");
        assert_eq!(done.status.is_success(), allowed, "{send}: {}", done.text());
    }
    for (name, allowed) in [("number", false), ("id", false)] {
        let (_, decision) = check(&root, update(&anna, json!({ name: 7 }))).await;
        assert_eq!(decision == "allow", allowed);
    }
    let create = |send: Json| json!({ "action": "create", "send": send });
    let (_, decision) = check(&registrar, create(json!({ "username": "new" }))).await;
    assert_eq!(decision, "allow");
    let made = world
        .post("/v1/users", &registrar, &json!({ "username": "new" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let gone = json!({ "values": { "full_name": "Gone" } });
    let reply = world.patch("/v1/users/username:new", &root, &gone).await;
    assert_eq!(reply.status, 200);
    let new = id("new").await;
    for (key, allowed) in [(&anna, false), (&head, false), (&new, true)] {
        let question = json!({ "action": "delete", "key": key });
        let (_, decision) = check(&registrar, question).await;
        let who = json!({ "action": "delete", "collection": "users", "key": key });
        let who = world.post("/v1/who-can", &root, &who).await.json();
        let names = who["data"].as_array().unwrap().iter();
        let can = names
            .filter(|one| one["user"]["username"] == "rita")
            .count()
            == 1;
        let done = world.delete(&format!("/v1/users/{key}"), &registrar).await;
        assert_eq!(decision == "allow", allowed, "{key}");
        assert_eq!(can, allowed, "{key}");
        assert_eq!(done.status.is_success(), allowed, "{key}: {}", done.text());
    }
}
