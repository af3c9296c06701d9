//! Shares on the wire: what they show, to whom, how long, and that nothing else comes of them.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World};

const ROLES: &str = r#"
  student:
    permissions:
      - allow: [data.read, data.share]
        on: grades
        rows: "student = $user"
        fields: [id, student, course, score, comment]
      - { allow: data.read, on: courses, fields: [id, title] }
  parent:
    permissions:
      - { allow: data.read, on: grades, fields: [score, course] }
      - { allow: data.read, on: courses, fields: [title] }
  all_grades:
    permissions:
      - { allow: data.read, on: grades }
  auditor:
    permissions:
      - { allow: [data.read, data.delete], on: shares }
  everyone:
    permissions:
      - { allow: data.read, on: vault }
"#;

async fn school() -> (World, String) {
    let world = World::with_roles(ROLES).await;
    let anna = world.token("anna").await;
    (world, anna)
}

// A share of anna's second grade.
async fn share(world: &World, token: &str, with: Json) -> Json {
    let mut body = json!({ "collection": "grades", "record": 2 });
    for (name, value) in with.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = world.post("/v1/shares", token, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.header("location").starts_with("/v1/shares/"));
    made.data()
}

fn id(share: &Json) -> String {
    share["id"].as_str().unwrap().to_owned()
}

async fn try_open(world: &World, id: &str, body: Json) -> Reply {
    world
        .post(&format!("/v1/shares/{id}/open"), "", &body)
        .await
}

async fn open(world: &World, id: &str, body: Json) -> String {
    let opened = try_open(world, id, body).await.data();
    opened["token"].as_str().unwrap().to_owned()
}

// What tells one answer from another.
fn told(reply: &Reply) -> (u16, Json) {
    let mut problem = reply.json();
    for differs in ["request_id", "decision_id"] {
        problem.as_object_mut().unwrap().shift_remove(differs);
    }
    (reply.status.as_u16(), problem)
}

fn ids(reply: &Reply) -> Vec<i64> {
    let data = reply.data();
    let data = data.as_array().unwrap();
    data.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_share_shows_its_record_and_nothing_beside() {
    let (world, anna) = school().await;
    let fields = share(
        &world,
        &anna,
        json!({ "fields": ["score"], "name": "my score" }),
    )
    .await;
    assert_eq!(fields["protected"], false);
    assert_eq!(
        (&fields["times_used"], &fields["role"]),
        (&json!(0), &Json::Null)
    );
    let token = open(&world, &id(&fields), json!({})).await;
    assert!(token.starts_with("prs_"));
    let get = async |path: &str| world.get(path, &token).await;
    assert_eq!(
        get("/v1/records/grades").await.data(),
        json!([{ "id": 2, "score": 1 }])
    );
    assert_eq!(
        get("/v1/records/grades/2").await.data(),
        json!({ "id": 2, "score": 1 })
    );
    // Neither by a list, a number, a filter, a sort, an expansion, nor by name: as if nothing else were there.
    for path in [
        "/v1/records/grades/3",
        "/v1/records/courses/2",
        "/v1/records/vault",
        "/v1/records/users",
        "/v1/records/shares",
    ] {
        assert_eq!(get(path).await.code(), "not_found", "{path}");
    }
    for hidden in ["comment", "student", "teacher_note", "no_such"] {
        for query in [
            format!("fields={hidden}"),
            format!("sort={hidden}"),
            format!("filter={hidden}%20is%20null"),
        ] {
            let reply = get(&format!("/v1/records/grades?{query}")).await;
            assert!(
                ["unknown_field", "bad_query"].contains(&&*reply.code()),
                "{query}"
            );
        }
    }
    assert_eq!(
        get("/v1/records/grades?expand=course").await.code(),
        "unknown_field"
    );
    let total = get("/v1/records/grades?limit=0&total=true").await.json();
    assert_eq!(total["page"]["total"], 1);
    let sum = get("/v1/aggregates/grades?aggregate=count()").await;
    assert!(
        sum.status.is_client_error() || !sum.text().contains("25"),
        "{}",
        sum.text()
    );
    let me = get("/v1/me").await.json();
    assert_eq!(
        (&me["principal"], &me["share"]),
        (&json!("share"), &fields["id"])
    );
    assert_eq!((&me["roles"], &me["user"]), (&json!([]), &Json::Null));
    let known: Vec<&Json> = me["collections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(known, ["grades"]);

    // A role shows what it relates to, as far as both read it.
    let role = share(
        &world,
        &world.token(ADMIN).await,
        json!({ "role": "parent" }),
    )
    .await;
    let token = open(&world, &id(&role), json!({})).await;
    let get = async |path: &str| world.get(path, &token).await;
    assert_eq!(
        get("/v1/records/grades?expand=course").await.data(),
        json!([{ "id": 2, "score": 1, "course": { "id": 2, "title": "Hidden" } }])
    );
    assert_eq!(ids(&get("/v1/records/courses").await), [2]);
    // The relation leads back to no other grade.
    let back = get("/v1/records/courses?expand=grades&fields=title")
        .await
        .data();
    let grades = back[0]["grades"].as_array().unwrap();
    assert_eq!(grades.len(), 1, "{back}");
    assert_eq!(
        get("/v1/records/courses?filter=some%20grades%20(score%20=%204)")
            .await
            .json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn who_has_opened_a_share_does_nothing_else() {
    let (world, anna) = school().await;
    let made = share(&world, &anna, json!({ "fields": ["*"] })).await;
    let token = open(&world, &id(&made), json!({})).await;
    let system = async || {
        let listed = world.get("/v1/records/grades/2", &anna).await.data();
        let shares = world.get("/v1/shares", &anna).await.data();
        (listed, shares)
    };
    let before = system().await;
    let own = format!("/v1/shares/{}", id(&made));
    let grade = json!({ "score": 6 });
    for (method, path, body) in [
        ("PATCH", "/v1/records/grades/2", Some(&grade)),
        ("PUT", "/v1/records/grades/2", Some(&grade)),
        ("DELETE", "/v1/records/grades/2", None),
        ("POST", "/v1/records/grades", Some(&grade)),
        ("GET", "/v1/shares", None),
        ("PATCH", own.as_str(), Some(&grade)),
        ("DELETE", own.as_str(), None),
        ("GET", "/v1/sessions", None),
        ("DELETE", "/v1/me", None),
        ("GET", "/v1/subscribe?collection=grades", None),
    ] {
        let reply = world.ask(method, path, &token, body).await;
        let code = reply.code();
        let refused = [
            "forbidden",
            "invalid_token",
            "bad_body",
            "unknown_member",
            "not_found",
        ];
        assert!(refused.contains(&&*code), "{method} {path}: {code}");
    }
    let denied = world.delete("/v1/records/grades/2", &token).await;
    assert_eq!(denied.code(), "forbidden");
    assert_eq!(system().await, before);
    // Whoever may have it explained is told which share it was.
    let decision = denied.json()["decision_id"].clone();
    let admin = world.token(ADMIN).await;
    let asked = json!({ "decision": decision });
    let explained = world.post("/v1/explain", &admin, &asked).await.json();
    assert!(
        explained.to_string().contains("\"principal\":\"share\""),
        "{explained}"
    );
    assert!(explained.to_string().contains(&id(&made)), "{explained}");
    // Another one's eyes are not for it.
    let looks = world
        .ask_if(
            "GET",
            "/v1/records/grades",
            &token,
            ("portreeve-simulate", "anonymous"),
            None,
        )
        .await;
    assert_eq!(looks.code(), "forbidden");
    // It can be given back.
    let out = world.ask("POST", "/v1/auth/sign-out", &token, None).await;
    assert_eq!(out.status, 204);
    assert_eq!(
        world.get("/v1/records/grades", &token).await.code(),
        "invalid_token"
    );
    assert_eq!(
        world
            .ask("POST", "/v1/auth/sign-out", &token, None)
            .await
            .code(),
        "invalid_token"
    );
}

#[tokio::test]
async fn nobody_learns_why_a_share_does_not_open_t42() {
    let (world, anna) = school().await;
    let locked = json!({ "fields": ["score"], "password": "correct horse" });
    let protected = share(&world, &anna, locked).await;
    assert_eq!(protected["protected"], true);
    let once = share(&world, &anna, json!({ "fields": ["score"], "max_uses": 1 })).await;
    let early = share(
        &world,
        &anna,
        json!({ "fields": ["score"], "from": "2040-01-01T00:00:00Z" }),
    )
    .await;
    let ended = share(&world, &anna, json!({ "fields": ["score"] })).await;
    open(&world, &id(&once), json!({})).await;
    let end = world
        .delete(&format!("/v1/shares/{}", id(&ended)), &anna)
        .await;
    assert_eq!(end.status, 204);
    let unknown = "00000000-0000-4000-8000-000000000000";
    let mut answers = vec![];
    for (id, body) in [
        (unknown.to_owned(), json!({})),
        ("no id at all".replace(' ', "%20"), json!({})),
        (id(&protected), json!({})),
        (id(&protected), json!({ "password": "wrong" })),
        (id(&protected), json!({ "password": "x".repeat(2_000) })),
        (id(&once), json!({})),
        (id(&early), json!({})),
        (id(&ended), json!({})),
    ] {
        answers.push(told(&try_open(&world, &id, body).await));
    }
    assert_eq!(answers[0].1["code"], "share_not_opened");
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, answers[0], "{place}");
    }
    // What a page asks before tells no more: only one without a password that can be opened says so.
    let asks = async |id: String| {
        let reply = world.get(&format!("/v1/shares/{id}/open"), "").await;
        reply.data()["password"].as_bool().unwrap()
    };
    for id in [
        unknown.to_owned(),
        id(&protected),
        id(&once),
        id(&early),
        id(&ended),
    ] {
        assert!(asks(id).await);
    }
    let free = share(&world, &anna, json!({ "fields": ["score"] })).await;
    assert!(!asks(id(&free)).await);
    open(
        &world,
        &id(&protected),
        json!({ "password": "correct horse" }),
    )
    .await;
    let own = world
        .get(&format!("/v1/shares/{}", id(&once)), &anna)
        .await
        .data();
    assert_eq!(own["times_used"], 1);
    // The hash is nowhere to be read, not even by administrators (T16).
    let admin = world.token(ADMIN).await;
    let all = world.get("/v1/records/shares", &admin).await;
    assert_eq!(all.data().as_array().unwrap().len(), 4);
    assert!(!all.text().contains("argon2"));
    assert_eq!(
        world
            .get("/v1/records/share_passwords", &admin)
            .await
            .code(),
        "not_found"
    );
}

#[tokio::test]
async fn attempts_are_counted_whether_there_is_such_a_share_or_not_t53() {
    let (world, anna) = school().await;
    let locked = json!({ "fields": ["score"], "password": "correct horse" });
    let protected = share(&world, &anna, locked).await;
    for id in [
        id(&protected),
        "00000000-0000-4000-8000-000000000000".to_owned(),
    ] {
        let mut codes = vec![];
        for _ in 0..12 {
            let reply = try_open(&world, &id, json!({ "password": "wrong" })).await;
            codes.push(reply.code());
        }
        assert_eq!(codes[9], "share_not_opened");
        assert_eq!(codes[10], "throttled");
        // In capitals it is the same one.
        let again = try_open(&world, &id.to_ascii_uppercase(), json!({})).await;
        assert_eq!(again.code(), "throttled");
    }
    // Others are not kept out by that.
    let free = share(&world, &anna, json!({ "fields": ["score"] })).await;
    open(&world, &id(&free), json!({})).await;
}

#[tokio::test]
async fn what_ends_a_share_ends_it_with_the_next_request_t41() {
    let (world, anna) = school().await;
    let made = share(&world, &anna, json!({ "fields": ["score"] })).await;
    let path = format!("/v1/shares/{}", id(&made));
    let shows = async |token: &str| {
        let reply = world.get("/v1/records/grades/2", token).await;
        match reply.status.as_u16() {
            200 => true,
            401 | 404 => false,
            other => panic!("{other}"),
        }
    };
    // Another name leaves it open, anything else does not.
    let token = open(&world, &id(&made), json!({})).await;
    assert!(shows(&token).await);
    let named = world
        .patch(&path, &anna, &json!({ "name": "x", "max_uses": 9 }))
        .await;
    assert_eq!(
        (&named.data()["name"], &named.data()["max_uses"]),
        (&json!("x"), &json!(9))
    );
    assert!(shows(&token).await);
    for change in [
        json!({ "fields": ["comment"] }),
        json!({ "password": "x" }),
        json!({ "password": null }),
        json!({ "until": null }),
    ] {
        let token = open(&world, &id(&made), json!({ "password": "x" })).await;
        assert!(
            world
                .get("/v1/records/grades", &token)
                .await
                .status
                .is_success()
        );
        let changed = world.patch(&path, &anna, &change).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        assert!(!shows(&token).await, "{change}");
    }
    // So does its creator's end, in all its forms.
    let admin = world.token(ADMIN).await;
    let token = open(&world, &id(&made), json!({})).await;
    let anna_id = world.get("/v1/me", &anna).await.json()["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let account = format!("/v1/users/{anna_id}");
    for (change, back) in [("disabled", "active")] {
        world
            .patch(&account, &admin, &json!({ "status": change }))
            .await
            .data();
        assert!(!shows(&token).await, "{change}");
        assert_eq!(
            try_open(&world, &id(&made), json!({})).await.code(),
            "share_not_opened"
        );
        world
            .patch(&account, &admin, &json!({ "status": back }))
            .await
            .data();
    }
    let anna = world.token("anna").await;
    let token = open(&world, &id(&made), json!({})).await;
    assert!(shows(&token).await);
    let bindings = world
        .get(&format!("{account}/bindings"), &admin)
        .await
        .data();
    let binding = bindings[0]["id"].as_str().unwrap();
    let gone = world
        .delete(&format!("/v1/bindings/{binding}"), &admin)
        .await;
    assert_eq!(gone.status, 204);
    assert!(!shows(&token).await);
    let back = json!({ "role": "student" });
    assert_eq!(
        world
            .post(&format!("{account}/bindings"), &admin, &back)
            .await
            .status,
        201
    );
    assert!(shows(&token).await);
    // And that of the share itself.
    assert_eq!(world.delete(&path, &anna).await.status, 204);
    assert!(!shows(&token).await);
    assert_eq!(world.delete(&path, &anna).await.code(), "not_found");
}

#[tokio::test]
async fn nobody_shares_or_sees_more_than_he_may_t32() {
    let (world, anna) = school().await;
    let bo = world.token("bo").await;
    let admin = world.token(ADMIN).await;
    world.load("vault", json!({ "gold": "much" })).await;
    let before = world.get("/v1/records/shares", &admin).await.data();
    let with = |more: Json| {
        let mut body = json!({ "collection": "grades", "record": 2 });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let fields = json!(["score"]);
    for (token, body, code) in [
        ("", with(json!({ "fields": fields })), "unauthenticated"),
        (bo.as_str(), with(json!({ "fields": fields })), "not_found"),
        (
            &anna,
            with(json!({ "role": "all_grades" })),
            "beyond_own_rights",
        ),
        (&anna, with(json!({ "role": "admin" })), "beyond_own_rights"),
        (
            &anna,
            with(json!({ "role": "no_such_role" })),
            "beyond_own_rights",
        ),
        (
            &anna,
            with(json!({ "fields": ["teacher_note"] })),
            "unknown_field",
        ),
        (
            &anna,
            with(json!({ "fields": ["no_such"] })),
            "unknown_field",
        ),
        (&anna, with(json!({ "fields": [] })), "invalid"),
        (&anna, with(json!({})), "invalid"),
        (
            &anna,
            with(json!({ "fields": fields, "role": "student" })),
            "invalid",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "max_uses": 0 })),
            "bad_body",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "max_uses": 1.5 })),
            "bad_body",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "password": "" })),
            "invalid",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "until": "2020-01-01T00:00:00Z" })),
            "invalid",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "created_by": "x" })),
            "unknown_member",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "record": 26 })),
            "not_found",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "record": 999 })),
            "not_found",
        ),
        (
            &anna,
            with(json!({ "fields": ["title"], "collection": "courses", "record": 1 })),
            "forbidden",
        ),
        (
            &anna,
            with(json!({ "fields": ["gold"], "collection": "vault", "record": 1 })),
            "forbidden",
        ),
        (
            &anna,
            with(json!({ "fields": fields, "collection": "nothing" })),
            "not_found",
        ),
    ] {
        let told = world.post("/v1/shares", token, &body).await;
        assert_eq!(told.code(), code, "{body}");
    }
    assert_eq!(world.get("/v1/records/shares", &admin).await.data(), before);
    let made = share(&world, &anna, json!({ "role": "student" })).await;
    let path = format!("/v1/shares/{}", id(&made));
    // Another one's share is not there, and nobody makes more of his own than he could have made at once.
    assert_eq!(world.get("/v1/shares", &bo).await.data(), json!([]));
    assert_eq!(world.get(&path, &bo).await.code(), "not_found");
    assert_eq!(
        world
            .patch(&path, &bo, &json!({ "name": "x" }))
            .await
            .code(),
        "not_found"
    );
    assert_eq!(world.delete(&path, &bo).await.code(), "not_found");
    for (change, code) in [
        (json!({ "role": "all_grades" }), "beyond_own_rights"),
        (json!({ "fields": ["teacher_note"] }), "unknown_field"),
        (json!({ "record": 3 }), "unknown_member"),
        (
            json!({ "until": "2020-01-01T00:00:00Z", "from": "2021-01-01T00:00:00Z" }),
            "invalid",
        ),
    ] {
        assert_eq!(
            world.patch(&path, &anna, &change).await.code(),
            code,
            "{change}"
        );
    }
    assert_eq!(world.get(&path, &anna).await.data(), made);
    // Whoever reads the collection sees it and may end it, if he may delete there; nobody but its creator changes it.
    let auditor = world.newcomer("auditor", "auditor").await;
    assert_eq!(world.get(&path, &auditor).await.data()["id"], made["id"]);
    assert_eq!(
        world
            .patch(&path, &auditor, &json!({ "name": "x" }))
            .await
            .code(),
        "forbidden"
    );
    assert_eq!(world.get("/v1/shares", &auditor).await.data(), json!([]));
    // What everyone may read is not shared by that: an account shares what it is bound to.
    assert_eq!(world.get("/v1/records/vault", &auditor).await.status, 200);
    assert_eq!(world.delete(&path, &auditor).await.status, 204);
    assert_eq!(world.get(&path, &anna).await.code(), "not_found");
}
