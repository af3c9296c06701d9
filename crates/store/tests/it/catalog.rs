use portreeve_gate::{Drop, Rename};
use portreeve_policy::Document;
use portreeve_store::{Store, StoreError};
use serde_json::json;

use crate::world::{Home, List, On, World, name};

async fn notes(fields: &str) -> World {
    let world = super::world(&document(fields)).await;
    let admin = world.operator();
    for (text, rank) in [("a", json!(1)), ("b", json!(null))] {
        world
            .put(&admin, "notes", json!({ "text": text, "rank": rank }))
            .await;
    }
    world
}

fn document(fields: &str) -> String {
    format!(
        "collections:\n  tags:\n    key: {{ id: integer }}\n    fields: {{ word: text }}\n  notes:\n    key: {{ id: integer }}\n    fields: {fields}\n"
    )
}

fn drop_field(field: &str) -> Vec<Drop> {
    vec![Drop {
        collection: name("notes"),
        field: Some(field.into()),
    }]
}

fn rename(from: &str, to: &str) -> Vec<Rename> {
    vec![Rename {
        collection: name("notes"),
        from: from.into(),
        to: to.into(),
    }]
}

const PLAIN: &str = "{ text: text, rank: integer }";

async fn all(world: &World) -> Vec<serde_json::Value> {
    world.list(&world.operator(), List::of("notes")).await.0
}

fn schema(error: StoreError) -> String {
    match error {
        StoreError::Schema(message) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fields_are_added_renamed_and_dropped_with_their_data() {
    let world = notes(PLAIN).await;
    world
        .apply(&document(
            "{ text: text, rank: integer, tag: { to: tags, on_delete: set_null }, flag: boolean }",
        ))
        .await
        .unwrap();
    assert_eq!(
        all(&world).await[0],
        json!({ "id": 1, "text": "a", "rank": 1, "tag": null, "flag": null })
    );
    let renamed =
        "{ body: text, rank: integer, tag: { to: tags, on_delete: set_null }, flag: boolean }";
    world
        .apply_with(&document(renamed), vec![], rename("text", "body"))
        .await
        .unwrap();
    assert_eq!(
        all(&world).await[1],
        json!({ "id": 2, "body": "b", "rank": null, "tag": null, "flag": null })
    );
    let error = schema(
        world
            .apply(&document("{ body: text, rank: integer }"))
            .await
            .unwrap_err(),
    );
    assert!(
        error.starts_with("'notes.tag' is not declared any more"),
        "{error}"
    );
    let mut drops = drop_field("tag");
    drops.extend(drop_field("flag"));
    world
        .apply_with(&document("{ body: text, rank: integer }"), drops, vec![])
        .await
        .unwrap();
    assert_eq!(
        all(&world).await[0],
        json!({ "id": 1, "body": "a", "rank": 1 })
    );
    // The counter went along.
    let admin = world.operator();
    world.delete(&admin, "notes", "2").await.unwrap();
    world
        .apply_with(&document("{ rank: integer }"), drop_field("body"), vec![])
        .await
        .unwrap();
    assert_eq!(
        world.put(&world.operator(), "notes", json!({})).await,
        3.into()
    );
}

#[tokio::test]
async fn two_fields_exchange_their_names() {
    let world =
        notes("{ text: { type: text, unique: true }, rank: integer, other: { type: text } }").await;
    let renames = [rename("text", "other"), rename("other", "text")].concat();
    let swapped = "{ text: { type: text, unique: true }, rank: integer, other: text }";
    world
        .apply_with(&document(swapped), vec![], renames)
        .await
        .unwrap();
    assert_eq!(
        all(&world).await[0],
        json!({ "id": 1, "text": null, "rank": 1, "other": "a" })
    );
    // Unique is what is called text now.
    let admin = world.operator();
    world
        .put(&admin, "notes", json!({ "other": "a", "text": "x" }))
        .await;
    assert!(matches!(
        world.create(&admin, "notes", json!({ "text": "x" })).await,
        Err(StoreError::Unique { .. })
    ));
}

#[tokio::test]
async fn types_change_where_the_data_fits() {
    let world = notes(PLAIN).await;
    let error = schema(
        world
            .apply(&document("{ text: integer, rank: integer }"))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        error,
        "'notes.text' cannot become integer: 2 records have a value that does not fit"
    );
    world
        .apply(&document("{ text: text, rank: decimal(2) }"))
        .await
        .unwrap();
    assert_eq!(all(&world).await[0]["rank"], "1.00");
    world
        .apply(&document("{ text: text, rank: text }"))
        .await
        .unwrap();
    assert_eq!(all(&world).await[0]["rank"], "1.00");
    world
        .apply(&document("{ text: text, rank: float }"))
        .await
        .unwrap();
    assert_eq!(all(&world).await[0]["rank"], 1.0);
    assert_eq!(all(&world).await[1]["rank"], json!(null));
}

#[tokio::test]
async fn required_needs_values_or_a_default() {
    let world = notes(PLAIN).await;
    let before = world.store.system().digest(true).await.unwrap();
    let error = schema(
        world
            .apply(&document(
                "{ text: text, rank: { type: integer, required: true } }",
            ))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        error,
        "'notes.rank' cannot be required: 1 records have no value; give it a default"
    );
    let added = "{ text: text, rank: integer, due: { type: integer, required: true } }";
    let error = schema(world.apply(&document(added)).await.unwrap_err());
    assert_eq!(
        error,
        "'notes.due' is required and 2 records have no value for it; give it a default"
    );
    assert_eq!(world.store.system().digest(true).await.unwrap(), before);
    let given = "{ text: { type: text, required: true }, rank: { type: integer, required: true, default: 9 }, due: { type: timestamp, required: true, default: $now } }";
    world.apply(&document(given)).await.unwrap();
    assert_eq!(
        all(&world).await[1],
        json!({ "id": 2, "text": "b", "rank": 9, "due": "2026-11-22T10:00:00Z" })
    );
    assert!(matches!(
        world.create(&world.operator(), "notes", json!({})).await,
        Err(StoreError::NotNull { .. })
    ));
}

#[tokio::test]
async fn unique_and_relations_are_checked_against_what_is_there() {
    let world = notes(PLAIN).await;
    let admin = world.operator();
    world
        .put(&admin, "notes", json!({ "text": "a", "rank": 77 }))
        .await;
    let error = schema(
        world
            .apply(&document(
                "{ text: { type: text, unique: true }, rank: integer }",
            ))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        error,
        "'notes.text' cannot be unique: 1 values stand in more than one record"
    );
    let related = document("{ text: text, rank: { to: tags, on_delete: restrict } }");
    let error = schema(world.apply(&related).await.unwrap_err());
    assert!(
        error.starts_with("'notes.rank' has values that point at no record"),
        "{error}"
    );
    for number in [1, 77] {
        world.put(&admin, "tags", json!({ "id": number })).await;
    }
    world.apply(&related).await.unwrap();
    let held = world
        .delete(&world.operator(), "tags", "77")
        .await
        .unwrap_err();
    assert!(matches!(held, StoreError::ForeignKey));
}

#[tokio::test]
async fn a_rebuild_keeps_the_records_that_point_here() {
    let text = |word: &str| {
        format!(
            "collections:\n  tags:\n    key: {{ id: integer }}\n    fields: {{ word: {word} }}\n  notes:\n    key: {{ id: integer }}\n    fields: {{ tag: {{ to: tags, required: true, on_delete: cascade }} }}\n"
        )
    };
    let world = super::world(&text("text")).await;
    let admin = world.operator();
    world.put(&admin, "tags", json!({ "word": "12" })).await;
    world.put(&admin, "notes", json!({ "tag": 1 })).await;
    // tags is made anew; dropping the old table must not cascade into notes.
    world.apply(&text("integer")).await.unwrap();
    assert_eq!(all(&world).await, [json!({ "id": 1, "tag": 1 })]);
    let admin = world.operator();
    assert_eq!(world.get(&admin, "tags", "1").await.unwrap()["word"], 12);
    world.delete(&admin, "tags", "1").await.unwrap();
    assert!(all(&world).await.is_empty());
}

#[tokio::test]
async fn collections_come_and_go_in_any_namespace() {
    let world = super::world(
        "collections:\n  shop/orders:\n    key: { id: uuid }\n    fields: { note: text }\n",
    )
    .await;
    world
        .put(&world.operator(), "shop/orders", json!({ "note": "x" }))
        .await;
    let error = schema(world.apply("collections: {}\n").await.unwrap_err());
    assert!(
        error.contains("'shop/orders' is not declared any more"),
        "{error}"
    );
    let drops = vec![Drop {
        collection: name("shop/orders"),
        field: None,
    }];
    world
        .apply_with("collections: {}\n", drops, vec![])
        .await
        .unwrap();
    assert!(
        world
            .gate
            .snapshot()
            .catalog()
            .find(&name("shop/orders"))
            .is_none()
    );
}

#[tokio::test]
async fn own_columns_of_accounts_live_beside_the_others() {
    let users = |fields: &str| format!("collections:\n  users:\n    fields: {fields}\n");
    let world = super::world(&users("{ team: text }")).await;
    world.user("anna", &["user"]).await;
    world
        .apply(&users(
            "{ team: text, level: { type: integer, required: true, default: 3 } }",
        ))
        .await
        .unwrap();
    let account = world
        .store
        .system()
        .credential_facts("anna")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.facts.attributes.get("level"), Some(&3.into()));
    assert_eq!(account.facts.bindings.len(), 1);
    // The address is still unique without regard to case, after the table was made anew.
    let operation = portreeve_gate::CreateUser {
        id: "x".into(),
        key: "x".into(),
        username: None,
        email: Some("ANNA@example.org".into()),
        password_hash: None,
        attributes: vec![("team".into(), serde_json::json!("blue"))],
        bindings: vec![],
        past: None,
    };
    let authorized = world
        .gate
        .create_user(&world.operator(), operation)
        .unwrap();
    assert!(matches!(
        world.store.create_user(authorized).await,
        Err(StoreError::Unique { .. })
    ));
    world
        .apply_with(
            &users("{ level: text }"),
            vec![Drop {
                collection: name("users"),
                field: Some("team".into()),
            }],
            vec![],
        )
        .await
        .unwrap();
    let account = world
        .store
        .system()
        .credential_facts("anna")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.facts.attributes.get("level"), Some(&"3".into()));
    assert!(!account.facts.attributes.contains_key("team"));
}

#[tokio::test]
async fn a_policy_reads_back_as_it_was_stored() {
    let text = include_str!("../../../../examples/school/access.yaml");
    let world = super::world(text).await;
    let document = Document::read("school", text).unwrap();
    let stored = world.store.system().load_policy().await.unwrap();
    assert_eq!(stored.version, 1);
    let expected = Document {
        tests: vec![],
        ..document
    }
    .without_places();
    assert_eq!(stored.document.without_places(), expected);
    let digest = world.digest().await;
    let World { store, gate, home } = world;
    drop((store, gate));
    let store = Store::open(home.options()).await.unwrap();
    assert_eq!(store.system().digest(false).await.unwrap(), digest);
    assert_eq!(store.system().load_policy().await.unwrap().version, 1);
}

// Name, type, whether it may be null, as the database itself tells it.
fn columns_of(home: &Home, table: &str) -> Vec<(String, String, bool)> {
    match home {
        Home::Folder(folder) => {
            let file = folder.path().join("portreeve.db");
            let connection = rusqlite::Connection::open(file).unwrap();
            let sql = "SELECT name, type, \"notnull\" = 0 AND pk = 0 FROM pragma_table_info(?1)";
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement
                .query_map([format!("portreeve_{table}")], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            rows.map(Result::unwrap).collect()
        }
        Home::Database(database) => {
            let rows = database.sql(&format!(
                "SELECT column_name || ' ' || is_nullable || ' ' || data_type FROM information_schema.columns
                 WHERE table_schema = 'portreeve' AND table_name = '{table}'"
            ));
            rows.lines()
                .map(|line| {
                    let (name, rest) = line.split_once(' ').unwrap();
                    let (nullable, ty) = rest.split_once(' ').unwrap();
                    (name.into(), ty.into(), nullable == "YES")
                })
                .collect()
        }
    }
}

#[tokio::test]
async fn system_tables_have_the_columns_of_the_system_collections() {
    use portreeve_model::FieldType as T;
    let world = super::world("collections: {}\n").await;
    for (collection, columns) in portreeve_policy::SYSTEM_COLLECTIONS {
        let there = columns_of(&world.home, collection);
        for (column, ty, nullable) in *columns {
            let found = there.iter().find(|(name, ..)| name == column);
            let (_, declared, may_be_null) =
                found.unwrap_or_else(|| panic!("{collection}.{column} is missing"));
            let expected = match (super::ON, ty) {
                (On::Sqlite, T::Text | T::Json | T::Uuid) => "TEXT",
                (On::Sqlite, T::Float) => "REAL",
                (On::Sqlite, _) => "INTEGER",
                (On::Postgres, T::Text) => "text",
                (On::Postgres, T::Json) => "json",
                (On::Postgres, T::Integer) => "bigint",
                (On::Postgres, T::Boolean) => "boolean",
                (On::Postgres, T::Timestamp) => "timestamp with time zone",
                (On::Postgres, other) => panic!("no column is {other}"),
            };
            assert_eq!(declared, expected, "{collection}.{column}");
            assert_eq!(may_be_null, nullable, "{collection}.{column}");
        }
    }
}
