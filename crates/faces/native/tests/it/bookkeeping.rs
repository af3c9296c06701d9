//! What is kept of each write, from outside.

use serde_json::json;

use crate::world::{ADMIN, World};

#[tokio::test]
async fn a_collection_is_made_with_bookkeeping_that_nobody_writes() {
    let world = World::school().await;
    let admin = world.token(ADMIN).await;
    let collection = json!({ "name": "diary", "key": { "id": "integer" }, "fields": { "text": "text" }, "bookkeeping": true });
    let made = world.post("/v1/collections", &admin, &collection).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let shown = world.get("/v1/collections/diary", &admin).await.data();
    let fields = shown["fields"].as_array().unwrap();
    for name in ["created_at", "updated_at", "created_by", "updated_by"] {
        let field = fields.iter().find(|field| field["name"] == name).unwrap();
        assert_eq!(
            (&field["read"], &field["create"], &field["update"]),
            (&json!("yes"), &json!("no"), &json!("no"))
        );
    }
    let record = world
        .post("/v1/records/diary", &admin, &json!({ "text": "a" }))
        .await
        .data();
    let me = world.get("/v1/me", &admin).await.json()["user"]["id"].clone();
    assert_eq!((&record["created_by"], &record["updated_by"]), (&me, &me));
    assert_eq!(record["created_at"], record["updated_at"]);
    let before = world.portreeve.policy_version();
    for (name, value) in [
        ("created_by", json!(null)),
        ("updated_at", record["updated_at"].clone()),
    ] {
        let sent = json!({ "text": "b", name: value });
        for reply in [
            world.post("/v1/records/diary", &admin, &sent).await,
            world.patch("/v1/records/diary/1", &admin, &sent).await,
        ] {
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (422, "bad_value")
            );
            assert_eq!(reply.json()["field"], name);
        }
    }
    let all = world.get("/v1/records/diary?total=true", &admin).await;
    assert_eq!(all.data(), json!([record]));
    assert_eq!(world.portreeve.policy_version(), before);
    let changed = world
        .patch("/v1/records/diary/1", &admin, &json!({ "text": "b" }))
        .await
        .data();
    assert_eq!(changed["created_at"], record["created_at"]);
    assert!(changed["updated_at"].as_str() > record["updated_at"].as_str());
}
