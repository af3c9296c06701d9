//! Collections through the API.

use portreeve_service::AlterCollection;
use serde_json::json;

use crate::home::{Home, grades, name};

fn change(json: serde_json::Value) -> AlterCollection {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn a_caller_sees_what_he_knows() {
    let home = Home::school().await;
    home.user("anna", &["student"]).await;
    let anna = home.as_user("anna").await;
    let seen = serde_json::to_value(home.collections(&anna)).unwrap();
    assert_eq!(seen[0]["name"], "grades");
    let fields: Vec<_> = seen[0]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["name"].clone())
        .collect();
    assert_eq!(fields, ["id", "student", "score"]);
    assert_eq!(seen[0]["fields"][2]["read"], "some");
    assert_eq!(seen[0]["fields"][2]["update"], "no");
    assert_eq!(seen[1]["name"], "posts");
    assert_eq!(seen[1]["fields"][1]["create"], "yes");
    assert_eq!(seen.as_array().unwrap().len(), 2);
    assert_eq!(
        home.collection(&anna, &name("users")).unwrap_err().code(),
        "not_found"
    );
    assert_eq!(
        home.collection(&anna, &name("nothing")).unwrap_err().code(),
        "not_found"
    );
}

#[tokio::test]
async fn a_collection_comes_changes_and_goes() {
    let home = Home::school().await;
    let root = home.as_user("root").await;
    let rooms = name("rooms");
    let definition =
        json!({ "key": { "id": "integer" }, "fields": { "title": "text", "seats": "integer" } });
    home.create_collection(&root, &rooms, &definition)
        .await
        .unwrap();
    let root = home.as_user("root").await;
    home.put(&root, "rooms", json!({ "title": "hall", "seats": 200 }))
        .await
        .unwrap();

    let changes = [
        change(
            json!({ "change": "add_field", "name": "floor", "field": { "type": "integer", "required": true, "default": 0 } }),
        ),
        change(json!({ "change": "rename_field", "name": "title", "to": "label" })),
        change(json!({ "change": "add_index", "fields": ["label"] })),
    ];
    home.alter_collection(&root, &rooms, &changes, false)
        .await
        .unwrap();
    let root = home.as_user("root").await;
    let hall = home.get(&root, "rooms", "1").await.unwrap();
    assert_eq!(
        hall,
        json!({ "id": 1, "label": "hall", "seats": 200, "floor": 0 })
    );

    let drop = [change(json!({ "change": "drop_field", "name": "seats" }))];
    let error = home
        .alter_collection(&root, &rooms, &drop, false)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "drops_unconfirmed");
    home.alter_collection(&root, &rooms, &drop, true)
        .await
        .unwrap();

    let root = home.as_user("root").await;
    let error = home
        .drop_collection(&root, &rooms, false)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "drops_unconfirmed");
    home.drop_collection(&root, &rooms, true).await.unwrap();
    let root = home.as_user("root").await;
    assert_eq!(
        home.list_of(&root, "rooms").await.unwrap_err().code(),
        "not_found"
    );
}

#[tokio::test]
async fn what_a_permission_names_stays() {
    let home = Home::school().await;
    let operator = home.operator();
    for json in [
        json!({ "change": "drop_field", "name": "score" }),
        json!({ "change": "rename_field", "name": "student", "to": "pupil" }),
    ] {
        let error = home
            .alter_collection(&operator, &name("grades"), &[change(json)], true)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "named_by_policy", "{error}");
        assert!(
            error.to_string().contains("roles.student.permissions[0]"),
            "{error}"
        );
    }
    let error = home
        .drop_collection(&operator, &name("posts"), true)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "named_by_policy");
    assert!(
        error
            .to_string()
            .contains("the collection 'posts' is named by"),
        "{error}"
    );
    // What nothing names goes, with its index.
    let drop = change(json!({ "change": "drop_field", "name": "note" }));
    home.alter_collection(&operator, &name("grades"), &[drop], true)
        .await
        .unwrap();
}

#[tokio::test]
async fn slips_are_told() {
    let home = Home::school().await;
    let operator = home.operator();
    let grades = name("grades");
    let alter = async |json: serde_json::Value| {
        home.alter_collection(&operator, &grades, &[change(json)], true)
            .await
            .unwrap_err()
            .to_string()
    };
    let said = alter(json!({ "change": "drop_field", "name": "scores" })).await;
    assert!(said.contains("did you mean 'score'?"), "{said}");
    let said = alter(json!({ "change": "add_field", "name": "score", "field": "text" })).await;
    assert!(said.contains("'score' already"), "{said}");
    let said = alter(json!({ "change": "drop_field", "name": "id" })).await;
    assert!(said.contains("is the key"), "{said}");
    let said = alter(json!({ "change": "add_field", "name": "when", "field": "txt" })).await;
    assert!(said.contains("text"), "{said}");
    let exists = home
        .create_collection(&operator, &grades, &json!({}))
        .await
        .unwrap_err();
    assert_eq!(exists.code(), "exists");
    let unknown = home
        .drop_collection(&operator, &name("grade"), true)
        .await
        .unwrap_err();
    assert!(
        unknown.to_string().contains("did you mean 'grades'?"),
        "{unknown}"
    );
}

#[tokio::test]
async fn own_columns_of_accounts_are_fields_like_others() {
    let home = Home::with("{}").await;
    let (users, operator) = (name("users"), home.operator());
    let add = [change(
        json!({ "change": "add_field", "name": "team", "field": "text" }),
    )];
    home.alter_collection(&operator, &users, &add, false)
        .await
        .unwrap();
    let root = home.list_of(&home.operator(), "users").await.unwrap();
    assert_eq!(root[0]["team"], json!(null));
    let built_in = [change(
        json!({ "change": "drop_field", "name": "username" }),
    )];
    let error = home
        .alter_collection(&home.operator(), &users, &built_in, true)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "invalid");
}

#[tokio::test]
async fn only_who_may_changes_collections() {
    let home = Home::school().await;
    grades(&home).await;
    let anna = home.as_user("anna").await;
    let error = home
        .create_collection(&anna, &name("mine"), &json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let error = home
        .drop_collection(&anna, &name("grades"), true)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "forbidden");
}

// Rules name data by name: whoever may change tables and does not administer adds to them, and puts nothing else under the
// names that rules know.
#[tokio::test]
async fn names_are_exchanged_by_administrators_alone() {
    let policy = r#"{
        "collections": { "staff": { "fields": { "title": "text", "salary": "integer", "secret": { "type": "boolean", "default": true } } } },
        "roles": {
            "tables": { "permissions": [
                { "allow": ["policy.plan", "policy.apply", "data.schema.sync"], "on": "*" },
                { "allow": "data.read", "on": "staff", "fields": ["title", "secret"] },
                { "deny": "data.read", "on": "staff", "rows": "secret = true" }
            ] }
        }
    }"#;
    let home = Home::with(policy).await;
    home.user("teo", &["tables"]).await;
    let teo = home.as_user("teo").await;
    let before = home.digest().await;
    let exchanged = [("salary", "tmp"), ("title", "salary"), ("tmp", "title")];
    let exchange = exchanged
        .map(|(from, to)| change(json!({ "change": "rename_field", "name": from, "to": to })));
    let renewed = [
        change(json!({ "change": "rename_field", "name": "secret", "to": "was" })),
        change(
            json!({ "change": "add_field", "name": "secret", "field": { "type": "boolean", "default": false } }),
        ),
    ];
    for changes in [&exchange[..], &renewed[..]] {
        let refused = home
            .alter_collection(&teo, &name("staff"), changes, true)
            .await;
        assert_eq!(refused.unwrap_err().code(), "forbidden");
    }
    assert_eq!(home.digest().await, before);
    let added = [change(
        json!({ "change": "add_field", "name": "room", "field": { "type": "text" } }),
    )];
    home.alter_collection(&teo, &name("staff"), &added, false)
        .await
        .unwrap();
}
