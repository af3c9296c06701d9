//! Undeclared fields: kept beside the declared ones, and in nobody's reach who has no right to all fields.

use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World, escaped};

const COLLECTIONS: &str = "
collections:
  notes:
    key: { id: integer }
    fields:
      title: { type: text, unique: true }
      owner: { to: users }
    relations:
      below: { many: lines, by: note }
    overflow: true
  lines:
    key: { id: integer }
    fields:
      note: { to: notes, on_delete: cascade }
      text: text
    overflow: true
  # The same without, to compare by.
  plain:
    key: { id: integer }
    fields:
      title: { type: text, unique: true }
      owner: { to: users }
    relations:
      below: { many: plain_lines, by: note }
  plain_lines:
    key: { id: integer }
    fields: { note: { to: plain, on_delete: cascade }, text: text }
";

const ROLES: &str = "
roles:
  all:
    permissions:
      - { allow: [data.read, data.create, data.update, data.delete, data.subscribe], on: [notes, lines, plain, plain_lines] }
  # Every declared field, and so not all fields.
  declared:
    permissions:
      - { allow: [data.read, data.create, data.update], on: [notes, plain], fields: [id, title, owner] }
  reader:
    permissions:
      - { allow: data.read, on: [notes, plain] }
      - { allow: data.update, on: [notes, plain], fields: [title] }
  writer:
    permissions:
      - { allow: [data.create, data.update], on: notes }
      - { allow: data.read, on: notes, fields: [title] }
  # All fields of his own, the titles of all.
  owner:
    permissions:
      - { allow: data.read, on: notes, fields: [title, owner] }
      - { allow: [data.read, data.update], on: notes, rows: \"owner = $user\" }
  denied:
    permissions:
      - { allow: [data.read, data.update, data.create], on: notes }
      - { deny: data.update, on: notes, rows: \"title = 'kept'\" }
      - { deny: [data.read, data.update], on: notes, fields: [owner] }
";

async fn world() -> (World, String) {
    let world = World::empty(false).await;
    world.administrator().await;
    world.apply(&format!("{COLLECTIONS}{ROLES}")).await;
    let all = world.newcomer("all", "all").await;
    (world, all)
}

async fn made(world: &World, token: &str, sent: Json) -> Json {
    let reply = world.post("/v1/records/notes", token, &sent).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.data()
}

async fn all_of(world: &World) -> Json {
    let admin = world.token(ADMIN).await;
    let mut all = world
        .get("/v1/records/notes?total=true", &admin)
        .await
        .data();
    let lines = world.get("/v1/records/lines", &admin).await.data();
    all.as_array_mut().unwrap().push(lines);
    all
}

// The answer without what differs from one to the next, the one collection called like the other.
fn comparable(reply: &Reply) -> (u16, String) {
    let text = reply.text().replace("plain", "notes");
    (reply.status.as_u16(), text)
}

#[tokio::test]
async fn undeclared_fields_stand_beside_the_others() {
    let (world, all) = world().await;
    let sent = json!({ "title": "a", "colour": "red", "size": { "b": [1, null], "a": 1.5 }, "nothing": null });
    let expected = json!({ "id": 1, "title": "a", "owner": null, "colour": "red", "size": { "a": 1.5, "b": [1, null] } });
    assert_eq!(made(&world, &all, sent).await, expected);
    made(&world, &all, json!({ "title": "b", "gone": null })).await;
    let plain = json!({ "id": 2, "title": "b", "owner": null });
    assert_eq!(
        world.get("/v1/records/notes/1", &all).await.data(),
        expected
    );
    let list = world.get("/v1/records/notes", &all).await.data();
    assert_eq!(list, json!([expected, plain]));
    // Chosen fields are declared ones.
    let chosen = world.get("/v1/records/notes?fields=title", &all).await;
    assert_eq!(chosen.data(), json!([{ "title": "a" }, { "title": "b" }]));
    let line = json!({ "note": 1, "text": "x", "mood": "good" });
    world.post("/v1/records/lines", &all, &line).await.data();
    let nested = world.get("/v1/records/notes/1?expand=below", &all).await;
    assert_eq!(
        nested.data()["below"],
        json!([{ "id": 1, "note": 1, "text": "x", "mood": "good" }])
    );
    let up = world
        .get("/v1/records/lines?expand=note", &all)
        .await
        .data();
    assert_eq!(up[0]["note"], expected);
}

#[tokio::test]
async fn an_update_takes_the_place_of_what_it_names() {
    let (world, all) = world().await;
    made(
        &world,
        &all,
        json!({ "title": "a", "x": { "deep": 1 }, "y": 2, "z": 3 }),
    )
    .await;
    let path = "/v1/records/notes/1";
    let patched = world
        .patch(path, &all, &json!({ "x": { "other": null }, "y": null }))
        .await;
    let now = json!({ "id": 1, "title": "a", "owner": null, "x": { "other": null }, "z": 3 });
    assert_eq!(patched.data(), now);
    // A PUT changes what it names as well.
    let put = world
        .ask("PUT", path, &all, Some(&json!({ "title": "b", "w": true })))
        .await;
    let now =
        json!({ "id": 1, "title": "b", "owner": null, "w": true, "x": { "other": null }, "z": 3 });
    assert_eq!(put.data(), now);
    assert_eq!(world.get(path, &all).await.data(), now);
    // All of them gone, and one again.
    let none = json!({ "w": null, "x": null, "z": null, "never": null });
    let bare = json!({ "id": 1, "title": "b", "owner": null });
    assert_eq!(world.patch(path, &all, &none).await.data(), bare);
    let made = world
        .ask(
            "PUT",
            "/v1/records/notes/9",
            &all,
            Some(&json!({ "v": 1, "u": null })),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        made.data(),
        json!({ "id": 9, "title": null, "owner": null, "v": 1 })
    );
}

#[tokio::test]
async fn the_tag_is_of_what_one_sees_of_them() {
    let (world, all) = world().await;
    let path = "/v1/records/notes/1";
    made(&world, &all, json!({ "title": "a", "x": 1 })).await;
    let declared = world.newcomer("dora", "declared").await;
    let tag = |reply: &Reply| reply.headers["etag"].to_str().unwrap().to_owned();
    let (old, hers) = (
        tag(&world.get(path, &all).await),
        tag(&world.get(path, &declared).await),
    );
    assert_ne!(old, hers);
    let changed = world
        .ask_if(
            "PATCH",
            path,
            &all,
            ("if-match", &old),
            Some(&json!({ "x": 2 })),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let new = tag(&world.get(path, &all).await);
    assert_eq!(tag(&changed), new);
    assert_ne!(new, old);
    assert_eq!(tag(&world.get(path, &declared).await), hers);
    let late = world
        .ask_if(
            "PATCH",
            path,
            &all,
            ("if-match", &old),
            Some(&json!({ "x": 3 })),
        )
        .await;
    assert_eq!(late.status, 412);
    let same = world
        .ask_if("GET", path, &all, ("if-none-match", &new), None)
        .await;
    assert_eq!(same.status, 304);
}

#[tokio::test]
async fn who_has_no_right_to_all_fields_cannot_tell_that_there_are_any() {
    let (world, all) = world().await;
    for collection in ["notes", "plain"] {
        let sent = json!({ "title": "a" });
        let path = format!("/v1/records/{collection}");
        assert_eq!(world.post(&path, &all, &sent).await.status, 201);
    }
    let hidden = json!({ "secret": 1, "more": { "x": 1 } });
    world
        .patch("/v1/records/notes/1", &all, &hidden)
        .await
        .data();
    let declared = world.newcomer("dora", "declared").await;
    let before = all_of(&world).await;
    let mut asked = 0;
    for name in [
        "secret",
        "never",
        "_overflow",
        "below",
        "titel",
        "_overflo",
        "",
    ] {
        for body in [
            json!({ name: 1 }),
            json!({ "title": "b", name: null }),
            json!({ name: { "create": [] } }),
        ] {
            for (method, path) in [("POST", ""), ("PATCH", "/1"), ("PUT", "/1"), ("PUT", "/2")] {
                let ask = async |collection: &str| {
                    let path = format!("/v1/records/{collection}{path}");
                    comparable(&world.ask(method, &path, &declared, Some(&body)).await)
                };
                let reply = ask("notes").await;
                assert_eq!(reply, ask("plain").await, "{method} {path} {body}");
                assert!(reply.0 >= 400, "{method} {path} {body}");
                asked += 1;
            }
        }
        let name = escaped(name);
        for query in [
            format!("/v1/records/notes?fields={name}"),
            format!("/v1/records/notes?sort={name}"),
            format!("/v1/records/notes?filter={name}+%3D+1"),
            format!("/v1/records/notes?expand={name}"),
            format!("/v1/records/notes/1?fields={name}"),
            format!("/v1/aggregates/notes?max={name}"),
            format!("/v1/aggregates/notes?count=true&group={name}"),
        ] {
            let reply = comparable(&world.get(&query, &declared).await);
            let plain = query.replace("notes", "plain");
            assert_eq!(
                reply,
                comparable(&world.get(&plain, &declared).await),
                "{query}"
            );
            asked += 1;
        }
    }
    assert_eq!(asked, 7 * 19);
    for path in [
        "/v1/records/notes",
        "/v1/records/notes/1",
        "/v1/collections/notes",
    ] {
        let reply = comparable(&world.get(path, &declared).await);
        let plain = path.replace("notes", "plain");
        assert_eq!(
            reply,
            comparable(&world.get(&plain, &declared).await),
            "{path}"
        );
    }
    assert_eq!(all_of(&world).await, before);
}

#[tokio::test]
async fn what_is_not_declared_is_no_operand_for_anybody() {
    let (world, all) = world().await;
    made(&world, &all, json!({ "title": "a", "secret": 1 })).await;
    for query in [
        "/v1/records/notes?fields=secret",
        "/v1/records/notes?fields=_overflow",
        "/v1/records/notes?sort=secret",
        "/v1/records/notes?filter=secret+%3D+1",
        "/v1/records/notes?filter=_overflow+is+null",
        "/v1/aggregates/notes?max=secret",
    ] {
        let reply = world.get(query, &all).await;
        let plain = world.get(&query.replace("notes", "plain"), &all).await;
        assert_eq!(comparable(&reply), comparable(&plain), "{query}");
        assert!(reply.status.is_client_error(), "{query}");
    }
    let found = world.get("/v1/records/notes?search=secret", &all).await;
    assert_eq!(found.data(), json!([]));
}

#[tokio::test]
async fn to_read_them_is_not_to_write_them_nor_the_other_way_round() {
    let (world, all) = world().await;
    made(&world, &all, json!({ "title": "a", "x": 1, "y": 2 })).await;
    let (reader, writer) = (
        world.newcomer("rea", "reader").await,
        world.newcomer("wri", "writer").await,
    );
    let before = all_of(&world).await;
    let path = "/v1/records/notes/1";
    let refused = world.patch(path, &reader, &json!({ "x": 2 })).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (403, "forbidden")
    );
    let refused = world.patch(path, &reader, &json!({ "new": 2 })).await;
    assert_eq!(refused.status, 403);
    assert_eq!(all_of(&world).await, before);
    // Sent back as it is, it is no change, for him who reads it.
    let same = world
        .patch(path, &reader, &json!({ "x": 1, "never": null }))
        .await;
    assert_eq!(
        same.data(),
        json!({ "id": 1, "title": "a", "owner": null, "x": 1, "y": 2 })
    );
    // What was sent is told to him who cannot read it, and nothing that stands beside it.
    let told = world
        .patch(path, &writer, &json!({ "x": 3, "gone": null }))
        .await;
    assert_eq!(told.data(), json!({ "id": 1, "title": "a", "x": 3 }));
    assert_eq!(
        world.get(path, &writer).await.data(),
        json!({ "id": 1, "title": "a" })
    );
    assert_eq!(world.get(path, &all).await.data()["y"], 2);
}

#[tokio::test]
async fn rows_decide_record_by_record() {
    let (world, _all) = world().await;
    let admin = world.token(ADMIN).await;
    let olga = world.newcomer("olga", "owner").await;
    let id = world.get("/v1/me", &olga).await.json()["user"]["id"].clone();
    made(
        &world,
        &admin,
        json!({ "title": "hers", "owner": id, "x": 1 }),
    )
    .await;
    made(&world, &admin, json!({ "title": "not hers", "x": 2 })).await;
    let list = world.get("/v1/records/notes", &olga).await.data();
    let expected = json!([{ "id": 1, "title": "hers", "owner": id, "x": 1 }, { "id": 2, "title": "not hers", "owner": null }]);
    assert_eq!(list, expected);
    let before = all_of(&world).await;
    let refused = world
        .patch("/v1/records/notes/2", &olga, &json!({ "x": 2 }))
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(all_of(&world).await, before);
    assert_eq!(
        world
            .patch("/v1/records/notes/1", &olga, &json!({ "x": 5 }))
            .await
            .data()["x"],
        5
    );
    // A deny on all fields is about them too, one on some fields never is.
    let denied = world.newcomer("deni", "denied").await;
    made(&world, &admin, json!({ "title": "kept", "x": 1 })).await;
    let before = all_of(&world).await;
    for body in [json!({ "x": 2 }), json!({ "new": 2 })] {
        let refused = world.patch("/v1/records/notes/3", &denied, &body).await;
        assert_eq!(refused.status, 403);
    }
    // His right is to undeclared fields: a declared one that he may not know is none of them.
    let refused = world
        .patch(
            "/v1/records/notes/2",
            &denied,
            &json!({ "owner": "me", "x": 1 }),
        )
        .await;
    assert_eq!(refused.code(), "unknown_field");
    assert_eq!(all_of(&world).await, before);
    let done = world
        .patch("/v1/records/notes/2", &denied, &json!({ "x": 7 }))
        .await;
    assert_eq!(done.data(), json!({ "id": 2, "title": "not hers", "x": 7 }));
}

#[tokio::test]
async fn a_field_that_is_declared_later_widens_nothing() {
    let (world, all) = world().await;
    made(&world, &all, json!({ "title": "a", "salary": 100, "x": 1 })).await;
    let later = COLLECTIONS.replacen("title:", "salary: integer\n      title:", 1);
    let paid = "  paid: { permissions: [ { allow: [data.read, data.update], on: notes, fields: [salary] } ] }\n";
    world.apply(&format!("{later}{ROLES}{paid}")).await;
    let paid = world.newcomer("pay", "paid").await;
    let path = "/v1/records/notes/1";
    assert_eq!(
        world.get(path, &paid).await.data(),
        json!({ "id": 1, "salary": null })
    );
    // Hidden from everybody, and neither shown twice.
    let seen = world.get(path, &all).await;
    assert_eq!(
        seen.data(),
        json!({ "id": 1, "salary": null, "title": "a", "owner": null, "x": 1 })
    );
    assert_eq!(seen.text().matches("salary").count(), 1);
    let set = world.patch(path, &paid, &json!({ "salary": 5 })).await;
    assert_eq!(set.data(), json!({ "id": 1, "salary": 5 }));
    let changed = world.patch(path, &all, &json!({ "x": 2 })).await;
    assert_eq!(changed.data()["salary"], 5);
    assert_eq!(
        changed.headers["etag"],
        world.get(path, &all).await.headers["etag"]
    );
}

#[tokio::test]
async fn they_are_switched_on_and_off_with_their_data() {
    let (world, all) = world().await;
    let admin = world.token(ADMIN).await;
    let sent = json!({ "title": "a", "x": 1 });
    let refused = world.post("/v1/records/plain", &all, &sent).await;
    assert_eq!(refused.code(), "unknown_field");
    world
        .post("/v1/records/plain", &all, &json!({ "title": "old" }))
        .await
        .data();
    let path = "/v1/collections/plain";
    let on = json!({ "changes": [{ "change": "set_overflow", "overflow": true }] });
    let reply = world.patch(path, &admin, &on).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let view = world.get(path, &all).await.data();
    assert_eq!(
        view["overflow"],
        json!({ "read": "yes", "create": "yes", "update": "yes" })
    );
    assert_eq!(view["fields"].as_array().unwrap().len(), 3, "{view}");
    let all_rights = world.get("/v1/me", &all).await.json();
    let plain = all_rights["collections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "plain");
    assert_eq!(plain.unwrap()["overflow"]["read"], "yes");
    world.post("/v1/records/plain", &all, &sent).await.data();
    assert_eq!(
        world
            .patch("/v1/records/plain/1", &all, &json!({ "y": 2 }))
            .await
            .data()["y"],
        2
    );
    let off = json!({ "changes": [{ "change": "set_overflow", "overflow": false }] });
    let refused = world.patch(path, &admin, &off).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (409, "drops_unconfirmed")
    );
    assert_eq!(world.get("/v1/records/plain/1", &all).await.data()["y"], 2);
    let confirmed = json!({ "changes": [{ "change": "set_overflow", "overflow": false }], "confirm_drops": true });
    let reply = world.patch(path, &admin, &confirmed).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let left = world.get("/v1/records/plain", &all).await.data();
    assert_eq!(
        left,
        json!([{ "id": 1, "title": "old", "owner": null }, { "id": 2, "title": "a", "owner": null }])
    );
    let refused = world.post("/v1/records/plain", &all, &sent).await;
    assert_eq!(refused.code(), "unknown_field");
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_named() {
    let (world, all) = world().await;
    made(
        &world,
        &all,
        json!({ "title": "a", "big": "x".repeat(40_000) }),
    )
    .await;
    let before = all_of(&world).await;
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let (long, cut) = ("n".repeat(129), "n".repeat(57) + "…");
    for (body, field) in [
        (json!({ "x": 1, "more": "y".repeat(40_000) }), "more"),
        (json!({ "x": "y".repeat(70_000) }), "x"),
        (json!({ "x": 1, "deep": deep }), "deep"),
        (json!({ "": 1 }), ""),
        (json!({ "a\u{7}b": 1 }), "a\\u{7}b"),
        (json!({ long.clone(): 1 }), &cut),
        (json!({ long + "é": 1 }), &cut),
    ] {
        for reply in [
            world.patch("/v1/records/notes/1", &all, &body).await,
            world
                .patch(
                    "/v1/records/notes",
                    &all,
                    &json!({ "keys": [1], "set": body }),
                )
                .await,
        ] {
            assert_eq!(reply.status, 422, "{field}");
            assert_eq!(reply.code(), "bad_value", "{field}");
            assert_eq!(reply.json()["field"], field);
        }
    }
    assert_eq!(all_of(&world).await, before);
    let instead = json!({ "big": null, "more": "y".repeat(40_000) });
    assert_eq!(
        world
            .patch("/v1/records/notes/1", &all, &instead)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn changes_of_many_records_merge_each_of_them() {
    let (world, all) = world().await;
    for (title, x) in [("a", 1), ("b", 2)] {
        made(&world, &all, json!({ "title": title, "x": x, "y": x })).await;
    }
    let set = json!({ "filter": "title in ('a', 'b')", "set": { "x": null, "z": [0] } });
    world.patch("/v1/records/notes", &all, &set).await.data();
    let list = world.get("/v1/records/notes", &all).await.data();
    assert_eq!(
        list,
        json!([{ "id": 1, "title": "a", "owner": null, "y": 1, "z": [0] }, { "id": 2, "title": "b", "owner": null, "y": 2, "z": [0] }])
    );
    let changes = json!({ "changes": [
        { "update": "notes", "key": 1, "set": { "y": 9 } },
        { "upsert": "notes", "on": "title", "set": { "title": "b", "q": 1, "y": null } },
        { "upsert": "notes", "on": "title", "set": { "title": "c", "q": 2, "y": null } },
        { "create": "notes", "set": { "title": "d", "below": { "create": [{ "text": "t", "mood": { "is": "good" } }] } } },
    ] });
    let reply = world.post("/v1/changes", &all, &changes).await;
    let records: Vec<Json> = reply
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["record"].clone())
        .collect();
    assert_eq!(
        records[0],
        json!({ "id": 1, "title": "a", "owner": null, "y": 9, "z": [0] })
    );
    assert_eq!(
        records[1],
        json!({ "id": 2, "title": "b", "owner": null, "q": 1, "z": [0] })
    );
    assert_eq!(
        records[2],
        json!({ "id": 3, "title": "c", "owner": null, "q": 2 })
    );
    assert_eq!(records[3]["below"][0]["mood"], json!({ "is": "good" }));
    // All or none.
    let before = all_of(&world).await;
    let half = json!({ "changes": [
        { "update": "notes", "key": 1, "set": { "y": 10 } },
        { "update": "notes", "key": 2, "set": { "y": "y".repeat(66_000) } },
    ] });
    assert_eq!(
        world.post("/v1/changes", &all, &half).await.code(),
        "bad_value"
    );
    assert_eq!(all_of(&world).await, before);
}

#[tokio::test]
async fn it_is_said_beforehand_whether_and_why_not() {
    let (world, _all) = world().await;
    let (dora, reader) = (
        world.newcomer("dora", "declared").await,
        world.newcomer("rea", "reader").await,
    );
    let admin = world.token(ADMIN).await;
    made(&world, &admin, json!({ "title": "a", "x": 1 })).await;
    let check = json!({ "action": "update", "collection": "notes", "key": 1, "send": { "x": 2 } });
    let denied = world.post("/v1/check", &reader, &check).await.json();
    assert_eq!(denied["decision"], "deny", "{denied}");
    assert_eq!(
        world.post("/v1/check", &dora, &check).await.code(),
        "unknown_field"
    );
    let mut explain = check.clone();
    explain["subject"] = json!("rea");
    let why = world.post("/v1/explain", &admin, &explain).await.json();
    assert_eq!(why["decision"], "deny");
    assert!(why["suggestion"]["add"][0].get("fields").is_none(), "{why}");
    assert!(why.to_string().contains("undeclared fields"), "{why}");
    assert!(!why.to_string().contains("_overflow"), "{why}");
    explain["subject"] = json!("all");
    assert_eq!(
        world.post("/v1/explain", &admin, &explain).await.json()["decision"],
        "allow"
    );
}
