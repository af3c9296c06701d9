//! Roles, profiles, registration and bindings over HTTP.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, World};

async fn lead(world: &World) -> String {
    let root = world.token(ADMIN).await;
    let definition = json!({
        "key": "lead",
        "permissions": [
            { "allow": ["access.author", "access.grant", "access.revoke"] },
            { "allow": "data.read", "on": ["users", "roles", "profiles", "bindings"] },
            { "allow": "data.read", "on": "courses", "fields": ["title"] },
        ],
    });
    let made = world.post("/v1/roles", &root, &definition).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location"), "/v1/roles/lead");
    let bound = world
        .post(
            "/v1/users/anna/bindings",
            &root,
            &json!({ "role": "lead", "why": "helps" }),
        )
        .await;
    assert_eq!(bound.status, 201, "{}", bound.text());
    world.token("anna").await
}

#[tokio::test]
async fn a_role_comes_changes_and_goes() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    lead(&world).await;
    let shown = world.get("/v1/roles/lead", &root).await;
    assert!(!shown.header("etag").is_empty());
    let definition = &shown.data()["definition"];
    assert_eq!(definition["permissions"][2]["fields"], json!(["title"]));
    let change = json!({
        "label": "Lead",
        "cells": [{ "action": "data.read", "on": "courses", "permissions": [] }],
        "add": [{ "allow": "data.read", "on": "grades" }],
        "why": "grades instead of courses",
    });
    let changed = world.patch("/v1/roles/lead", &root, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["changed"], true);
    let shown = world.get("/v1/roles/lead", &root).await.data();
    assert_eq!(shown["label"], "Lead");
    let permissions = shown["definition"]["permissions"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(permissions.len(), 3);
    assert_eq!(
        permissions[2],
        json!({ "allow": "data.read", "on": "grades" })
    );
    let same = world
        .put("/v1/roles/lead", &root, &shown["definition"])
        .await;
    assert_eq!(same.json()["changed"], false);
    let listed = world
        .get(
            "/v1/roles?filter=key%20%3D%20%27lead%27&fields=key,label",
            &root,
        )
        .await;
    assert_eq!(listed.data(), json!([{ "key": "lead", "label": "Lead" }]));
    assert_eq!(world.delete("/v1/roles/lead", &root).await.code(), "held");
    let gone = world
        .delete("/v1/roles/lead?unbind=true&why=over", &root)
        .await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(world.get("/v1/roles/lead", &root).await.code(), "not_found");
    let told = world.get(
        "/v1/records/audit?filter=target%20%3D%20%27lead%27&fields=action,why",
        &root,
    );
    let told: Vec<Json> = told.await.data().as_array().unwrap().clone();
    let told: Vec<&Json> = told.iter().map(|row| &row["action"]).collect();
    assert_eq!(told, ["role.create", "role.change", "role.delete"]);
}

#[tokio::test]
async fn bindings_come_change_and_end() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let bind =
        json!({ "role": "teacher", "until": "2100-01-01T00:00:00Z", "restricted_to": ["grades"] });
    let made = world.post("/v1/users/anna/bindings", &root, &bind).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/bindings/{id}");
    assert_eq!(made.header("location"), path);
    let all = world.get("/v1/users/anna/bindings", &root).await.data();
    let one = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == json!(id))
        .unwrap();
    assert_eq!(one["role"], "teacher");
    assert_eq!(one["restricted_to"], json!(["grades"]));
    assert_eq!(one["until"], "2100-01-01T00:00:00Z");
    // Acts on the next request of a session that is there.
    let anna = world.token("anna").await;
    let grade =
        json!({ "student": world.get("/v1/me", &anna).await.json()["user"]["id"], "course": 1 });
    let sent = world.post("/v1/records/grades", &anna, &grade).await;
    assert_ne!(sent.code(), "forbidden");
    let ended = json!({ "until": null, "primary": true, "why": "stays" });
    assert_eq!(world.patch(&path, &root, &ended).await.status, 204);
    let all = world.get("/v1/users/anna/bindings", &root).await.data();
    let one = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == json!(id))
        .unwrap();
    assert_eq!(
        (&one["until"], &one["primary"]),
        (&Json::Null, &json!(true))
    );
    assert_eq!(world.delete(&path, &root).await.status, 204);
    assert_eq!(world.delete(&path, &root).await.code(), "not_found");
    assert_eq!(
        world.post("/v1/records/grades", &anna, &grade).await.code(),
        "forbidden"
    );
    for (body, code) in [
        (json!({}), "bad_body"),
        (json!({ "role": "teacher", "profile": "x" }), "bad_body"),
        (json!({ "role": "teecher" }), "unknown_role"),
        (
            json!({ "role": "teacher", "until": "tomorrow" }),
            "bad_body",
        ),
        (
            json!({ "role": "admin", "restricted_to": ["grades"] }),
            "invalid",
        ),
        (
            json!({ "role": "teacher", "restricted_to": ["grade"] }),
            "invalid",
        ),
        (json!({ "role": "teacher", "form": 1 }), "unknown_member"),
    ] {
        let made = world.post("/v1/users/anna/bindings", &root, &body).await;
        assert_eq!(made.code(), code, "{body}");
    }
}

#[tokio::test]
async fn who_is_limited_stays_so() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let anna = lead(&world).await;
    let version = world
        .get("/v1/me", &anna)
        .await
        .header("portreeve-policy-version")
        .to_owned();
    for (path, body) in [
        ("/v1/users/bo/bindings", json!({ "role": "teacher" })),
        ("/v1/users/bo/bindings", json!({ "role": "admin" })),
        ("/v1/users/anna/bindings", json!({ "role": "teacher" })),
        ("/v1/roles", json!({ "key": "x", "administrator": true })),
        (
            "/v1/roles",
            json!({ "key": "x", "permissions": [{ "allow": "data.read", "on": "vault" }] }),
        ),
        ("/v1/profiles", json!({ "key": "x", "roles": ["teacher"] })),
    ] {
        let refused = world.post(path, &anna, &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (403, "beyond_own_rights".into()),
            "{body}"
        );
    }
    let wider = json!({ "add": [{ "allow": "data.read", "on": "vault" }] });
    assert_eq!(
        world.patch("/v1/roles/lead", &anna, &wider).await.code(),
        "beyond_own_rights"
    );
    let registered = world
        .put("/v1/registration", &anna, &json!({ "roles": ["teacher"] }))
        .await;
    assert_eq!(registered.code(), "beyond_own_rights");
    let now = world
        .get("/v1/me", &anna)
        .await
        .header("portreeve-policy-version")
        .to_owned();
    assert_eq!(now, version);
    let mine = json!({ "key": "x", "permissions": [{ "allow": "data.read", "on": "courses", "fields": "title", "rows": "id > 1" }] });
    assert_eq!(world.post("/v1/roles", &anna, &mine).await.status, 201);
    assert_eq!(
        world
            .post("/v1/users/bo/bindings", &anna, &json!({ "role": "x" }))
            .await
            .status,
        201
    );
    assert_eq!(
        world
            .put(
                "/v1/registration",
                &root,
                &json!({ "roles": ["user", "x"] })
            )
            .await
            .status,
        200
    );
    let shown = world.get("/v1/registration", &root).await.data();
    assert_eq!(shown, json!({ "roles": ["user", "x"] }));
    // Nobody without the right is told anything.
    let bo = world.token("bo").await;
    for path in ["/v1/roles", "/v1/profiles", "/v1/roles/lead"] {
        assert_eq!(world.get(path, &bo).await.code(), "not_found", "{path}");
    }
    assert_eq!(world.get("/v1/registration", &bo).await.code(), "forbidden");
    assert_eq!(
        world.post("/v1/roles", &bo, &mine).await.code(),
        "forbidden"
    );
    assert_eq!(
        world.get("/v1/users/anna/bindings", &bo).await.code(),
        "unknown_user"
    );
}

#[tokio::test]
async fn two_who_author_do_not_overwrite_each_other() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let made = world
        .post(
            "/v1/profiles",
            &root,
            &json!({ "key": "class", "roles": ["student"] }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    for path in [
        "/v1/roles/student",
        "/v1/profiles/class",
        "/v1/roles/everyone",
    ] {
        let tag = async || {
            let one = world.get(path, &root).await;
            assert_eq!(one.status, 200, "{path}: {}", one.text());
            one.header("etag").to_owned()
        };
        let seen = tag().await;
        let (mine, theirs) = (json!({ "label": "Mine" }), json!({ "label": "Theirs" }));
        let done = world
            .ask_if("PATCH", path, &root, ("if-match", &seen), Some(&mine))
            .await;
        assert_eq!(done.status, 200, "{path}: {}", done.text());
        assert_eq!(done.header("etag"), tag().await);
        let before = world.get(path, &root).await.text();
        let version = world.portreeve.policy_version();
        for method in ["PATCH", "PUT", "DELETE"] {
            let body = (method != "DELETE").then_some(&theirs);
            let late = world
                .ask_if(method, path, &root, ("if-match", &seen), body)
                .await;
            assert_eq!(late.status, 412, "{method} {path}: {}", late.text());
            assert_eq!(late.code(), "precondition_failed");
        }
        assert_eq!(world.get(path, &root).await.text(), before);
        assert_eq!(world.portreeve.policy_version(), version);
        let any = world
            .ask_if("PATCH", path, &root, ("if-match", "*"), Some(&theirs))
            .await;
        assert_eq!(any.status, 200, "{}", any.text());
        let bad = world
            .ask_if("PATCH", path, &root, ("if-match", "x"), Some(&theirs))
            .await;
        assert_eq!(bad.code(), "bad_condition");
    }
    let nothing = json!({ "label": "x" });
    let missing = world
        .ask_if(
            "PATCH",
            "/v1/roles/nobody",
            &root,
            ("if-match", "*"),
            Some(&nothing),
        )
        .await;
    assert_eq!(missing.code(), "not_found");
    // Who may author nothing learns nothing by conditions.
    let anna = world.token("anna").await;
    for (path, condition) in [("/v1/roles/student", "*"), ("/v1/roles/nobody", "*")] {
        let reply = world
            .ask_if(
                "PATCH",
                path,
                &anna,
                ("if-match", condition),
                Some(&nothing),
            )
            .await;
        assert_eq!(reply.code(), "forbidden", "{path}");
    }
}

#[tokio::test]
async fn built_in_roles_are_shown_to_who_reads_roles_and_through_his_eyes() {
    let world = World::with_roles(
        r#"
  reader:
    permissions:
      - { allow: data.read, on: roles, fields: [key, label] }
  some:
    permissions:
      - { allow: data.read, on: roles, rows: "key = 'student'" }
"#,
    )
    .await;
    let reader = world.newcomer("rea", "reader").await;
    let some = world.newcomer("sam", "some").await;
    let root = world.token(ADMIN).await;
    let list = async |token: &str| {
        world
            .get("/v1/roles?limit=2&total=true", token)
            .await
            .json()
    };
    let keys = |list: &Json| -> Vec<String> {
        let built_in = list["builtin"].as_array().unwrap();
        assert!(built_in.iter().all(|role| role["builtin"] == true));
        let keys = built_in.iter().map(|role| role["key"].as_str().unwrap());
        keys.map(str::to_owned).collect()
    };
    let all = list(&root).await;
    assert_eq!(keys(&all), ["admin", "user", "anonymous", "everyone"]);
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert_eq!(all["builtin"][0]["definition"]["administrator"], true);
    let told = list(&reader).await;
    assert_eq!(keys(&told), keys(&all));
    let members: Vec<&String> = told["builtin"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["key", "label", "builtin"]);
    assert_eq!(keys(&list(&some).await), Vec::<String>::new());
    // One that was changed is the stored one, and still built in.
    let label = json!({ "label": "Everybody" });
    let changed = world.patch("/v1/roles/everyone", &root, &label).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let all = list(&root).await;
    assert_eq!(all["builtin"][3]["label"], "Everybody");
    for (name, token) in [("rea", &reader), ("sam", &some)] {
        for path in [
            "/v1/roles",
            "/v1/roles?limit=1&sort=key",
            "/v1/roles/admin",
            "/v1/roles/student",
            "/v1/profiles",
            "/v1/profiles/nobody",
        ] {
            let own = world.get(path, token).await;
            let who = format!("user:{name}");
            let seen = world
                .ask_if("GET", path, &root, ("portreeve-simulate", &who), None)
                .await;
            assert_eq!(seen.status, own.status, "{name} {path}");
            if own.status.is_success() {
                assert_eq!(seen.text(), own.text(), "{name} {path}");
            }
        }
    }
}
