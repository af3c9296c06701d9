//! Questions about somebody else's rights tell nothing of what the asker may not see (catalogue T11, T36).

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World};

const ROLES: &str = r#"
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [id, student, score] }
      - { allow: data.update, on: grades, rows: "teacher_note = 'between us'", check: true, fields: [comment] }
  # Asks about others and sees nothing but accounts.
  curious:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: users }
  # Sees some grades, and knows of no notes.
  helper:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: users }
      - { allow: data.read, on: grades, rows: "id <= 3", fields: [id, student, score, course] }
  # Sees all grades, and knows of no notes.
  reader:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: users }
      - { allow: data.read, on: grades, fields: [id, student, score, course] }
      - { allow: data.update, on: grades, fields: [comment], rows: "false" }
  inspector:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: [users, grades, courses] }
"#;

async fn asked(world: &World, token: &str, path: &str, subject: &str, more: Json) -> Reply {
    let mut body = json!({ "action": "read", "collection": "grades" });
    if !subject.is_empty() {
        body["subject"] = subject.into();
    }
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    world.post(path, token, &body).await
}

// What is told, apart from the names that were sent and the ids of answers.
fn told(reply: &Reply, sent: &str) -> (u16, String) {
    let mut json = reply.json();
    for id in ["request_id", "decision_id"] {
        json.as_object_mut().unwrap().shift_remove(id);
    }
    (
        reply.status.as_u16(),
        json.to_string().replace(sent, "(sent)"),
    )
}

#[tokio::test]
async fn who_sees_less_than_another_learns_nothing_by_asking_about_him_t36() {
    let world = World::with_roles(ROLES).await;
    let curious = world.newcomer("cora", "curious").await;
    let helper = world.newcomer("hal", "helper").await;
    for path in ["/v1/check", "/v1/explain"] {
        for token in [&curious, &helper] {
            for key in [1, 27, 999] {
                for action in ["read", "update", "delete"] {
                    let more = json!({ "action": action, "key": key });
                    let of_anna = asked(&world, token, path, "anna", more.clone()).await;
                    let of_nobody = asked(&world, token, path, "nobody", more).await;
                    assert_eq!(of_nobody.status, 404);
                    assert_eq!(
                        told(&of_anna, "anna"),
                        told(&of_nobody, "nobody"),
                        "{path} {action} {key}"
                    );
                }
            }
        }
    }
    // Nobody's rights everybody could try out.
    let reply = asked(
        &world,
        &curious,
        "/v1/check",
        "anonymous",
        json!({ "key": 1 }),
    )
    .await;
    assert_eq!(reply.json()["decision"], "deny");
    // Who sees it all is told.
    let inspector = world.newcomer("ivy", "inspector").await;
    let root = world.token(ADMIN).await;
    for token in [&inspector, &root] {
        for (key, decision) in [(1, "allow"), (27, "deny"), (999, "deny")] {
            for path in ["/v1/check", "/v1/explain"] {
                let reply = asked(&world, token, path, "anna", json!({ "key": key })).await;
                assert_eq!(reply.json()["decision"], decision, "{}", reply.text());
            }
        }
    }
}

#[tokio::test]
async fn a_record_out_of_the_askers_reach_is_not_there_in_answers_about_others_t36() {
    let world = World::with_roles(ROLES).await;
    let helper = world.newcomer("hal", "helper").await;
    // Hal and nobody: what nobody may do with a record says nothing of it.
    for path in ["/v1/check", "/v1/explain"] {
        let there = asked(&world, &helper, path, "anonymous", json!({ "key": 20 })).await;
        let missing = asked(&world, &helper, path, "anonymous", json!({ "key": 999 })).await;
        assert_eq!(there.status, 200, "{}", there.text());
        assert_eq!(told(&there, "'20'"), told(&missing, "'999'"), "{path}");
    }
    // The same where he has his own rights explained.
    let there = asked(&world, &helper, "/v1/explain", "", json!({ "key": 20 })).await;
    let missing = asked(&world, &helper, "/v1/explain", "", json!({ "key": 999 })).await;
    assert_eq!(there.status, 200, "{}", there.text());
    assert_eq!(told(&there, "'20'"), told(&missing, "'999'"));
}

#[tokio::test]
async fn an_explanation_says_of_values_what_its_reader_may_read_t36() {
    let world = World::with_roles(ROLES).await;
    let reader = world.newcomer("rea", "reader").await;
    let inspector = world.newcomer("ivy", "inspector").await;
    let note = json!({ "action": "update", "key": 1, "send": { "comment": "new" } });
    let answers = async |value: &str| {
        let root = world.token(ADMIN).await;
        let changed = json!({ "teacher_note": value });
        let reply = world.patch("/v1/records/grades/1", &root, &changed).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let hidden = asked(&world, &reader, "/v1/explain", "anna", note.clone()).await;
        let open = asked(&world, &inspector, "/v1/explain", "anna", note.clone()).await;
        (hidden.json(), open.json())
    };
    let (hidden_before, open_before) = answers("between us").await;
    let (hidden_after, open_after) = answers("something else").await;
    // The decision is what anna's own attempt would tell; how it comes about is not told to who reads no notes.
    assert_eq!(open_before["decision"], "allow", "{open_before}");
    assert_eq!(open_after["decision"], "deny");
    assert!(open_after.to_string().contains("something else"));
    assert_eq!(hidden_before["considered"], hidden_after["considered"]);
    assert!(!hidden_after.to_string().contains("something else"));
    assert_eq!(hidden_after["settled_by"], json!([]));
    assert_eq!(hidden_after.get("suggestion"), None);
}

#[tokio::test]
async fn a_denial_is_explained_to_who_sees_what_the_denied_one_sees_t36() {
    let world = World::with_roles(ROLES).await;
    let curious = world.newcomer("cora", "curious").await;
    let inspector = world.newcomer("ivy", "inspector").await;
    let (anna, root) = (world.token("anna").await, world.token(ADMIN).await);
    let denied = world.delete("/v1/records/grades/1", &anna).await;
    assert_eq!(denied.status, 403);
    let id = denied.header("portreeve-decision-id").to_owned();
    let explain = async |token: &str, id: &str| {
        let body = json!({ "decision": id });
        world.post("/v1/explain", token, &body).await
    };
    let unknown = "01a20236-7599-7b48-ab30-a5b82cb0b8e3";
    assert_eq!(
        told(&explain(&curious, &id).await, &id),
        told(&explain(&curious, unknown).await, unknown)
    );
    for token in [&inspector, &root] {
        let reply = explain(token, &id).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["judged_again"]["decision"], "deny");
    }
    // Of her own denials everybody who may have them explained is told.
    let own = world.get("/v1/records/grades/1", &curious).await;
    let id = own.header("portreeve-decision-id").to_owned();
    assert_eq!(explain(&curious, &id).await.status, 200);
}
