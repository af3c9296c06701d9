//! Accounts changed and ended by others.

use portreeve_service::{Caller, NewUser, RequestFacts, ServiceError, UserChange, UserField};
use serde_json::json;

use crate::home::{Home, name, sent};

const POLICY: &str = r#"
collections:
  users:
    fields: { full_name: text, form: text, nickname: { type: text, self_writable: true } }
  notes:
    key: { id: integer }
    fields: { owner: { to: users, required: true }, form: text }
  diaries:
    key: { id: integer }
    fields: { owner: { to: users, on_delete: cascade, required: true } }
roles:
  student:
    permissions:
      - { allow: data.read, on: notes, rows: "form = $user.form" }
  # Changes some fields of the accounts of one form.
  desk:
    permissions:
      - { allow: data.read, on: users, rows: "form = '7b'", fields: [key, number, username, email, full_name, form] }
      - { allow: data.update, on: users, rows: "form = '7b'", fields: [username, email, full_name, form, status] }
      - { allow: data.create, on: users, fields: [username, email, full_name], presets: { form: 7b } }
  # May everything that statements about accounts can say.
  keeper:
    permissions:
      - { allow: data, on: users }
  self_made:
    permissions:
      - { allow: [data.read, data.update], on: users, rows: "id = $user" }
"#;

fn new(name: &str) -> NewUser {
    NewUser {
        username: Some(name.into()),
        ..NewUser::default()
    }
}

fn own(column: &str, value: &str) -> UserChange {
    UserChange {
        attributes: serde_json::Map::from_iter([(column.to_owned(), json!(value))]),
        ..UserChange::default()
    }
}

fn status(status: &str) -> UserChange {
    UserChange {
        status: Some(status.into()),
        ..UserChange::default()
    }
}

fn username(name: &str) -> UserChange {
    UserChange {
        username: Some(Some(name.into())),
        ..UserChange::default()
    }
}

// Anna is in the form of the desk, bo is not.
async fn school() -> (Home, String, String) {
    let home = Home::with(POLICY).await;
    let mut ids = vec![];
    for (name, form) in [("anna", "7b"), ("bo", "8a")] {
        let id = home.user(name, &["user", "student"]).await;
        let change = UserChange {
            email: Some(Some(format!("{name}@school.example"))),
            ..own("form", form)
        };
        home.update_user(&home.operator(), &id, change)
            .await
            .unwrap();
        ids.push(id);
    }
    home.user("dora", &["user", "desk"]).await;
    home.user("kim", &["user", "keeper"]).await;
    let bo = ids.pop().unwrap();
    (home, ids.pop().unwrap(), bo)
}

async fn refused(home: &Home, caller: &Caller, user: &str, change: UserChange) -> String {
    let before = home.digest().await;
    let error = home.update_user(caller, user, change).await.unwrap_err();
    assert_eq!(home.digest().await, before, "{error}");
    error.code().to_owned()
}

#[tokio::test]
async fn an_administrator_changes_everything_that_can_be_changed() {
    let (home, anna, _) = school().await;
    let root = home.as_user("root").await;
    let change = UserChange {
        key: Some("kuid-anna".into()),
        username: Some(None),
        email: Some(Some("anna@new.example".into())),
        confirmed: Some(true),
        provider: Some("google".into()),
        ..own("full_name", "Anna A.")
    };
    home.update_user(&root, &anna, change).await.unwrap();
    let now = home.get(&root, "users", &anna).await.unwrap();
    assert_eq!(
        (
            &now["key"],
            &now["username"],
            &now["email"],
            &now["confirmed"]
        ),
        (
            &json!("kuid-anna"),
            &json!(null),
            &json!("anna@new.example"),
            &json!(true)
        )
    );
    assert_eq!(
        (&now["provider"], &now["full_name"], &now["form"]),
        (&json!("google"), &json!("Anna A."), &json!("7b"))
    );
    // What was confirmed is another address.
    let change = UserChange {
        email: Some(Some("anna@other.example".into())),
        ..UserChange::default()
    };
    home.update_user(&root, &anna, change).await.unwrap();
    let now = home.get(&root, "users", &anna).await.unwrap();
    assert_eq!(now["confirmed"], false);
    for (field, value) in [
        (UserField::Key, "kuid-anna"),
        (UserField::Email, "anna@other.example"),
        (UserField::Number, &now["number"].to_string()),
    ] {
        let found = home.user_by(&root, field, value).await.unwrap();
        assert_eq!(found, anna, "{field:?}");
    }
    for (change, code) in [
        (username("bo"), "user_exists"),
        (username("me"), "invalid"),
        (username("bo@school.example"), "invalid"),
        (own("nonsense", "x"), "unknown_field"),
        (own("number", "7"), "unknown_field"),
    ] {
        assert_eq!(refused(&home, &root, &anna, change).await, code);
    }
    let audit = home.list_of(&root, "audit").await.unwrap();
    let told = audit.iter().rfind(|row| row["action"] == "user.update");
    let told = told.unwrap();
    assert_eq!(
        (&told["before"], &told["after"]["email"]),
        (
            &json!({ "email": "anna@new.example", "confirmed": told["before"]["confirmed"] }),
            &json!("anna@other.example")
        )
    );
}

#[tokio::test]
async fn each_field_needs_its_right_and_each_account_its_reach() {
    let (home, anna, bo) = school().await;
    let dora = home.as_user("dora").await;
    let done = home.update_user(&dora, &anna, own("full_name", "A.")).await;
    let shown = crate::home::written(&done.unwrap());
    assert_eq!(
        (&shown["full_name"], shown.get("status")),
        (&json!("A."), None)
    );
    // Not granted, out of reach, not there: as records have it.
    let confirm = UserChange {
        confirmed: Some(true),
        ..UserChange::default()
    };
    assert_eq!(
        refused(&home, &dora, &anna, confirm.clone()).await,
        "unknown_field"
    );
    for user in [&*bo, "nobody"] {
        let code = refused(&home, &dora, user, own("full_name", "B.")).await;
        assert_eq!(code, "not_found");
        let code = refused(&home, &dora, user, username("b")).await;
        assert_eq!(code, "not_found");
        let gone = home.delete_user(&dora, user).await.unwrap_err();
        assert_eq!(gone.code(), "not_found");
    }
    // Out of reach afterwards.
    assert_eq!(
        refused(&home, &dora, &anna, own("form", "8a")).await,
        "forbidden"
    );
    // Seen, and never to be deleted.
    let before = home.digest().await;
    let gone = home.delete_user(&dora, &anna).await.unwrap_err();
    assert_eq!((gone.code(), home.digest().await), ("forbidden", before));
    // By a field he may read, of an account he may see.
    let by = async |field, value: &str| home.user_by(&dora, field, value).await;
    assert_eq!(by(UserField::Username, "anna").await.unwrap(), anna);
    assert_eq!(
        by(UserField::Username, "bo").await.unwrap_err().code(),
        "not_found"
    );
    let student = home.as_user("anna").await;
    let hidden = home.user_by(&student, UserField::Key, &anna).await;
    assert_eq!(hidden.unwrap_err().code(), "not_found");
    assert_eq!(
        refused(&home, &student, &bo, status("x")).await,
        "not_found"
    );
}

#[tokio::test]
async fn whoever_may_manage_accounts_does_not_become_one() {
    let (home, anna, _) = school().await;
    let kim = home.as_user("kim").await;
    let root = home.find_user(&home.operator(), "root").await.unwrap();
    let email = UserChange {
        email: Some(Some("kim@school.example".into())),
        ..UserChange::default()
    };
    let confirmed = UserChange {
        confirmed: Some(true),
        ..UserChange::default()
    };
    let provider = UserChange {
        provider: Some("kim".into()),
        ..UserChange::default()
    };
    let key = UserChange {
        key: Some("kim".into()),
        ..UserChange::default()
    };
    let password = UserChange {
        password: Some("kim-is-the-boss".into()),
        ..UserChange::default()
    };
    for change in [
        email,
        confirmed,
        provider,
        key,
        password,
        username("kim-2"),
        status("off"),
    ] {
        assert_eq!(refused(&home, &kim, &root, change).await, "forbidden");
    }
    let before = home.digest().await;
    let gone = home.delete_user(&kim, &root).await.unwrap_err();
    assert_eq!((gone.code(), home.digest().await), ("forbidden", before));
    // What gives nobody hold of it is a matter of fields alone.
    home.update_user(&kim, &root, own("full_name", "Root"))
        .await
        .unwrap();
    // A password needs a statement that grants all fields.
    let dora = home.as_user("dora").await;
    let set = home.set_password(&dora, &anna, "dora-says-so".into()).await;
    assert_eq!(set.unwrap_err().code(), "forbidden");
    home.as_user("anna").await;
}

#[tokio::test]
async fn a_disabled_account_is_as_good_as_none() {
    let (home, anna, _) = school().await;
    let root = home.as_user("root").await;
    let session = home.session("anna").await;
    home.by_token(&session.token).await.unwrap();
    home.update_user(&root, &anna, status("disabled"))
        .await
        .unwrap();
    let unknown = home.by_token(&session.token).await.err().unwrap();
    assert_eq!(unknown.code(), "invalid_token");
    let sign_in = async || {
        let facts = RequestFacts::default();
        home.sign_in("anna", "anna-password", &facts)
            .await
            .map(drop)
    };
    assert_eq!(sign_in().await.unwrap_err().code(), "wrong_credentials");
    home.update_user(&root, &anna, status("active"))
        .await
        .unwrap();
    // What has ended does not come back.
    let ended = home.by_token(&session.token).await.err().unwrap();
    assert_eq!(ended.code(), "invalid_token");
    sign_in().await.unwrap();
}

#[tokio::test]
async fn what_rules_read_of_an_account_holds_at_once() {
    let (home, anna, _) = school().await;
    let note = json!({ "id": 1, "owner": anna, "form": "8a" });
    home.put(&home.operator(), "notes", note).await.unwrap();
    let session = home.session("anna").await;
    let notes = async || {
        let anna = home.by_token(&session.token).await.unwrap();
        home.list_of(&anna, "notes").await.unwrap().len()
    };
    assert_eq!(notes().await, 0);
    home.update_user(&home.operator(), &anna, own("form", "8a"))
        .await
        .unwrap();
    assert_eq!(notes().await, 1);
}

#[tokio::test]
async fn an_administrator_is_always_left() {
    let (home, ..) = school().await;
    let root = home.as_user("root").await;
    let id = root.user().unwrap().to_string();
    for caller in [&root, &home.operator()] {
        assert_eq!(
            refused(&home, caller, &id, status("off")).await,
            "last_administrator"
        );
        let before = home.digest().await;
        let gone = home.delete_user(caller, &id).await.unwrap_err();
        assert_eq!(
            (gone.code(), home.digest().await),
            ("last_administrator", before)
        );
    }
    home.user("second", &["admin"]).await;
    home.update_user(&root, &id, status("off")).await.unwrap();
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_inherits_nothing() {
    let (home, anna, bo) = school().await;
    let root = home.as_user("root").await;
    let change = UserChange {
        key: Some("kuid-anna".into()),
        ..UserChange::default()
    };
    home.update_user(&root, &anna, change).await.unwrap();
    let was = home.get(&root, "users", &anna).await.unwrap();
    for owner in [&anna, &bo] {
        home.put(&root, "diaries", json!({ "owner": owner }))
            .await
            .unwrap();
    }
    home.put(&root, "notes", json!({ "owner": bo }))
        .await
        .unwrap();
    // Somebody else's records point at it.
    let before = home.digest().await;
    let held = home.delete_user(&root, &bo).await.unwrap_err();
    assert_eq!((held.code(), home.digest().await), ("referenced", before));
    let session = home.session("anna").await;
    home.delete_user(&root, &anna).await.unwrap();
    assert_eq!(
        home.by_token(&session.token).await.err().unwrap().code(),
        "invalid_token"
    );
    assert_eq!(home.list_of(&root, "diaries").await.unwrap().len(), 1);
    let filter = format!("user = '{anna}'");
    let bound = home.list_where(&root, "bindings", Some(&filter)).await;
    assert_eq!(bound.unwrap(), Vec::<serde_json::Value>::new());
    for result in [
        home.delete_user(&root, &anna).await,
        home.update_user(&root, &anna, own("form", "x"))
            .await
            .map(drop),
    ] {
        assert_eq!(result.unwrap_err().code(), "not_found");
    }
    let again = NewUser {
        key: Some("kuid-anna".into()),
        ..new("anna")
    };
    let again = home.create_user(&root, again).await.unwrap();
    assert_eq!(again.roles, ["user"]);
    assert_ne!(again.id, anna);
    assert!(again.number > was["number"].as_i64().unwrap());
    let facts = RequestFacts::default();
    let old = home
        .sign_in("anna", "anna-password", &facts)
        .await
        .map(drop);
    assert_eq!(old.unwrap_err().code(), "wrong_credentials");
}

#[tokio::test]
async fn accounts_are_made_by_whoever_may_and_with_what_he_may() {
    let (home, ..) = school().await;
    let dora = home.as_user("dora").await;
    let made = home.make_user(&dora, new("emil")).await.unwrap();
    let shown = crate::home::written(&made.record);
    assert_eq!(
        (&shown["username"], &shown["form"], shown.get("status")),
        (&json!("emil"), &json!("7b"), None)
    );
    assert_eq!(shown["number"], made.view.number);
    let with = |change: fn(&mut NewUser)| {
        let mut user = new("fred");
        change(&mut user);
        user
    };
    let cases = [
        (
            with(|user| user.status = Some("draft".into())),
            "unknown_field",
        ),
        (with(|user| user.confirmed = Some(true)), "unknown_field"),
        (with(|user| user.key = Some("fred".into())), "forbidden"),
        (
            with(|user| user.password = Some("fred-is-here".into())),
            "forbidden",
        ),
        (with(|user| user.roles = vec!["admin".into()]), "forbidden"),
        (with(|user| user.roles = vec!["desk".into()]), "forbidden"),
    ];
    for (user, code) in cases {
        let before = home.digest().await;
        let error = home.create_user(&dora, user).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(home.digest().await, before);
    }
    let kim = home.as_user("kim").await;
    let with_password = with(|user| user.password = Some("fred-is-here".into()));
    home.create_user(&kim, with_password).await.unwrap();
    let past = portreeve_service::PastUser {
        id: home.new_id().to_string(),
        bindings: vec![],
        rest: portreeve_gate::Past {
            number: 999,
            status: "active".into(),
            confirmed: true,
            provider: "local".into(),
            created: 0,
        },
    };
    let from_elsewhere = NewUser {
        past: Some(past),
        ..new("gil")
    };
    let error = home.create_user(&kim, from_elsewhere).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
    let student = home.as_user("anna").await;
    let error = home.create_user(&student, new("x")).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn no_owner_writes_what_rules_read_of_him() {
    let home = Home::with(POLICY).await;
    let id = home.user("sam", &["user", "self_made"]).await;
    let sam = home.as_user("sam").await;
    assert_eq!(
        refused(&home, &sam, &id, own("form", "8a")).await,
        "forbidden"
    );
    let password = UserChange {
        password: Some("sam-forgot-it".into()),
        ..UserChange::default()
    };
    assert_eq!(refused(&home, &sam, &id, password).await, "forbidden");
    home.update_user(&sam, &id, own("full_name", "Sam"))
        .await
        .unwrap();
}

#[tokio::test]
async fn accounts_are_written_by_no_operation_on_records() {
    let (home, anna, _) = school().await;
    let root = home.as_user("root").await;
    let users = name("users");
    let error = |result: Result<(), ServiceError>| result.unwrap_err().code();
    let before = home.digest().await;
    let values = || sent(json!({ "full_name": "x" }));
    let update = home.update(&root, &users, &anna, values()).await;
    assert_eq!(error(update.map(drop)), "forbidden");
    assert_eq!(error(home.delete(&root, &users, &anna).await), "forbidden");
    assert_eq!(
        error(home.create(&root, &users, values()).await.map(drop)),
        "forbidden"
    );
    assert_eq!(home.digest().await, before);
}
