//! What I may do.

use serde_json::json;

use crate::home::Home;

#[tokio::test]
async fn a_student_is_told_what_she_may_do() {
    let home = Home::school().await;
    let id = home.user("anna", &["student"]).await;
    let me = serde_json::to_value(home.me(&home.as_user("anna").await)).unwrap();
    assert_eq!(me["user"]["id"], id);
    assert_eq!(me["user"]["username"], "anna");
    assert_eq!(me["roles"], json!(["student", "everyone"]));
    assert_eq!(me["administrator"], false);
    let grades = &me["collections"][0];
    assert_eq!(
        grades["actions"],
        json!({ "data.read.one": "some", "data.read.many": "some", "data.read.count": "some" })
    );
    assert_eq!(
        grades["fields"][2],
        json!({ "name": "score", "read": "some", "create": "no", "update": "no" })
    );
    let posts = &me["collections"][1];
    assert_eq!(posts["actions"]["data.read.many"], "yes");
    assert_eq!(posts["actions"]["data.create.one"], "yes");
    assert_eq!(me["actions"], json!([]));
}

#[tokio::test]
async fn an_administrator_may_do_everything() {
    let home = Home::school().await;
    let me = home.me(&home.as_user("root").await);
    assert!(me.administrator);
    assert!(me.actions.iter().any(|action| action == "policy.apply"));
    let users = me
        .collections
        .iter()
        .find(|collection| collection.name == "users")
        .unwrap();
    // By operations of their own, one by one.
    let written: Vec<&str> = users
        .actions
        .iter()
        .map(|(action, _)| action.as_str())
        .filter(|action| !action.starts_with("data.read"))
        .filter(|action| !["data.share", "data.subscribe"].contains(action))
        .collect();
    assert_eq!(
        written,
        ["data.create.one", "data.update.one", "data.delete.one"]
    );
    let roles = me.collections.iter().find(|one| one.name == "roles");
    let writes = |action: &str| action.contains("create") || action.contains("update");
    assert!(
        roles
            .unwrap()
            .actions
            .iter()
            .all(|(action, _)| !writes(action))
    );
}

#[tokio::test]
async fn so_is_who_has_not_signed_in() {
    let home = Home::school().await;
    let me = home.me(&home.anonymous().await);
    assert_eq!((me.principal, me.user.is_none()), ("anonymous", true));
    assert_eq!(me.collections.len(), 1);
    assert_eq!(me.collections[0].fields.len(), 2);
}
