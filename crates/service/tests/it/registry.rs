//! What faces use: tables of actions, roles as cells, what an account is bound to, requests in one role.

use portreeve_service::{
    Assigning, Binding, BoundTo, Caller, Document, NewRegistration, On, Possible, Public,
    Registered, Rest, RoleChange, RoleWrite, Said, Says, ServiceError, Span, Standing,
    TableDefinition, Terms, WireAction,
};
use portreeve_testkit::faces::{BOXES, CONTROLLERS, MATRIX};
use serde_json::{Value as Json, json};

use crate::home::{FakeClock, Folder, Home, name, open_with};

const POLICY: &str = r#"
collections:
  posts:
    key: { id: integer }
    fields: { title: text, state: text }
  notes:
    key: { id: integer }
    fields: { title: text }
roles:
  author:
    permissions:
      - { allow: [data.read, data.delete], on: [posts, notes], rows: "title = 'mine'" }
      - { allow: data.create, on: posts }
  lead:
    permissions:
      - allow: [access.author, access.grant, access.revoke]
      - { allow: data.read, on: [users, roles, profiles, bindings] }
      - { allow: [data.read, data.create], on: posts }
  authenticated: {}
  listing:
    permissions:
      - { allow: data.read.many, on: "*", via: { face: kuzzle, operations: ["document:search"] } }
  office: {}
profiles:
  default: { roles: [authenticated] }
  office: { roles: [author] }
registration: { roles: [user] }
"#;

async fn world() -> Home {
    let mut home = Home::with(POLICY).await;
    home.reopen(|options| options.tables = vec![BOXES, MATRIX, CONTROLLERS])
        .await
        .unwrap();
    home
}

fn code<T>(result: Result<T, ServiceError>) -> &'static str {
    result.err().map_or("done", |error| error.code())
}

fn boxes(cells: &[(&str, Option<&str>, bool)]) -> RoleWrite {
    RoleWrite {
        cells: cells
            .iter()
            .map(|(action, on, yes)| Said::of(action, on.map(name), *yes))
            .collect(),
        rest: Rest::Kept,
        ..RoleWrite::default()
    }
}

impl Home {
    async fn permissions(&self, key: &str) -> Json {
        let role = self.part(&self.operator(), "roles", key).await.unwrap();
        role["definition"]["permissions"].clone()
    }

    async fn writes(
        &self,
        by: &Caller,
        face: &str,
        key: &str,
        write: RoleWrite,
    ) -> Result<portreeve_service::WrittenRole, ServiceError> {
        let terms = Terms::default();
        self.write_role_through(by, face, key, false, write, terms)
            .await
    }

    // What the roles and profiles of an account are, in our own words.
    async fn bound_to(&self, user: &str) -> Vec<(String, bool)> {
        let all = self.user_bindings(&self.operator(), user).await.unwrap();
        let mut bound: Vec<(String, bool)> = all
            .iter()
            .map(|one| {
                let named = one["role"].as_str().or(one["profile"].as_str());
                (named.unwrap().to_owned(), one["primary"] == true)
            })
            .collect();
        bound.sort();
        bound
    }
}

#[tokio::test]
async fn a_table_that_is_not_in_order_keeps_it_from_opening() {
    const WRONG: TableDefinition = TableDefinition {
        face: "kuzzle",
        separator: None,
        span: Span::All,
        shows: &[],
        judges_auth: true,
        actions: &[WireAction::new("a:b", &["data.raed"], On::Records)],
        wildcards: &[],
    };
    let mut home = Home::with(POLICY).await;
    for (tables, part) in [
        (vec![WRONG], "did you mean 'data.read'"),
        (vec![BOXES, BOXES], "'strapi' has two"),
        (
            vec![TableDefinition {
                face: "kuzle",
                ..BOXES
            }],
            "no face 'kuzle'",
        ),
    ] {
        let said = home.reopen(|options| options.tables = tables).await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
    home.reopen(|options| options.tables = vec![BOXES, MATRIX, CONTROLLERS])
        .await
        .unwrap();
    assert!(home.action_table("strapi").is_some());
    assert!(home.action_table("hasura").is_none());
}

#[tokio::test]
async fn what_a_caller_may_is_said_in_the_words_of_the_face() {
    let home = world().await;
    home.user("anna", &["author"]).await;
    home.user("lis", &["listing"]).await;
    let (anna, lis) = (home.as_user("anna").await, home.as_user("lis").await);
    let may = |who: &Caller, face: &str, action: &str, on: Option<&str>| {
        home.may_through(who, face, action, on)
    };
    assert_eq!(
        may(&anna, "strapi", "create", Some("posts")).unwrap(),
        Possible::Yes
    );
    assert_eq!(
        may(&anna, "strapi", "find", Some("posts")).unwrap(),
        Possible::Some
    );
    assert_eq!(
        may(&anna, "strapi", "update", Some("posts")).unwrap(),
        Possible::No
    );
    assert_eq!(may(&anna, "strapi", "user.me", None).unwrap(), Possible::No);
    // It takes a creation and an update.
    assert_eq!(
        may(&anna, "kuzzle", "document:createOrReplace", Some("posts")).unwrap(),
        Possible::No
    );
    // The right holds for one operation only.
    assert_eq!(
        may(&lis, "kuzzle", "document:search", Some("notes")).unwrap(),
        Possible::Yes
    );
    assert_eq!(
        may(&lis, "kuzzle", "document:mGet", Some("notes")).unwrap(),
        Possible::No
    );
    assert_eq!(
        may(&lis, "strapi", "find", Some("notes")).unwrap(),
        Possible::No
    );
    // What is not there is like what is out of reach.
    assert_eq!(
        may(&anna, "strapi", "find", Some("nothing")).unwrap(),
        Possible::No
    );
    let said = may(&anna, "strapi", "fnd", Some("posts")).unwrap_err();
    assert!(said.to_string().contains("did you mean 'find'"), "{said}");
    assert_eq!(code(may(&anna, "strapi", "find", None)), "invalid");
    assert_eq!(code(may(&anna, "hasura", "find", None)), "invalid");

    let rights = home.rights_through(&anna, "strapi").unwrap();
    let find = rights.iter().find(|right| right.action == "find").unwrap();
    let on = |name: &str| {
        let one = find.on.iter().find(|(known, _)| known == name);
        one.map(|(_, possible)| *possible)
    };
    assert_eq!(
        (on("posts"), on("notes")),
        (Some(Possible::Some), Some(Possible::Some))
    );
    assert_eq!(
        (find.everywhere, find.somewhere),
        (Possible::Some, Possible::Some)
    );
    let create = rights
        .iter()
        .find(|right| right.action == "create")
        .unwrap();
    assert_eq!(
        (create.everywhere, create.somewhere),
        (Possible::No, Possible::Yes)
    );
    assert!(!rights.iter().any(|right| right.action == "update"));
    // Each is what is said of it alone.
    for right in &rights {
        for (collection, possible) in &right.on {
            let alone = home.may_through(&anna, "strapi", right.action, Some(collection));
            assert_eq!(alone.unwrap(), *possible);
        }
    }
    let rights = home.rights_through(&lis, "kuzzle").unwrap();
    let actions: Vec<&str> = rights.iter().map(|right| right.action).collect();
    assert_eq!(actions, ["document:search"]);
    // Signing in is no right where the table does not say so.
    let everybody = home.anonymous().await;
    assert_eq!(
        home.may_through(&everybody, "kuzzle", "auth:login", None)
            .unwrap(),
        Possible::No
    );
}

#[tokio::test]
async fn what_is_written_back_is_what_it_was() {
    let home = world().await;
    let root = home.operator();
    let before = home.permissions("author").await;
    for face in ["strapi", "directus", "kuzzle"] {
        let shown = home.role_through(&root, face, "author").await.unwrap();
        assert!(shown.more, "{face}");
        let cells = shown.cells.iter().map(|cell| Said {
            action: cell.action.into(),
            collection: cell.collection.as_deref().map(name),
            says: match face {
                "directus" => Says::Statements(cell.statements.clone()),
                _ if cell.standing == Standing::Denied => Says::No,
                _ => Says::Yes,
            },
        });
        let write = RoleWrite {
            cells: cells.collect(),
            ..RoleWrite::default()
        };
        let version = home.policy_version();
        let written = home.writes(&root, face, "author", write).await.unwrap();
        assert!(!written.applied.changed, "{face}");
        assert_eq!(home.policy_version(), version);
    }
    assert_eq!(home.permissions("author").await, before);
    // One box, and the rest of what it stood in stays.
    let write = boxes(&[("findone", Some("posts"), false)]);
    home.writes(&root, "strapi", "author", write).await.unwrap();
    assert_eq!(
        home.permissions("author").await,
        json!([
            { "allow": ["data.read", "data.delete"], "on": "notes", "rows": "title = 'mine'" },
            { "allow": ["data.read", "data.delete"], "on": "posts", "except": "data.read.one", "rows": "title = 'mine'" },
            { "allow": "data.create", "on": "posts" },
        ])
    );
}

#[tokio::test]
async fn stars_exceptions_and_what_was_written_are_kept() {
    let home = world().await;
    let wrote =
        json!({ "controllers": { "document": { "actions": { "*": true, "delete": false } } } });
    let star = |extra: &[(&str, bool)]| RoleWrite {
        cells: extra
            .iter()
            .map(|(action, yes)| Said::of(action, None, *yes))
            .collect(),
        verbatim: Some(wrote.clone()),
        ..RoleWrite::default()
    };
    let write = star(&[
        ("document:*", true),
        ("document:delete", false),
        ("plugin:thing", true),
    ]);
    let made = home
        .write_role_through(
            &home.operator(),
            "kuzzle",
            "careful",
            true,
            write.clone(),
            Terms::default(),
        )
        .await
        .unwrap();
    assert_eq!(made.inert, ["plugin:thing"]);
    let shown = home
        .role_through(&home.operator(), "kuzzle", "careful")
        .await
        .unwrap();
    assert_eq!(shown.verbatim, Some(wrote.clone()));
    assert_eq!(shown.inert, ["plugin:thing"]);
    let stands = |action: &str| {
        let cell = shown.cells.iter().find(|cell| cell.action == action);
        cell.unwrap().standing
    };
    assert_eq!(stands("document:deleteByQuery"), Standing::Allowed);
    assert_eq!(stands("document:delete"), Standing::Denied);
    assert_eq!(stands("server:now"), Standing::Denied);
    let said = home.permissions("careful").await;
    assert_eq!(said[0]["allow"], "data");
    assert!(
        said[0]["except"]
            .as_array()
            .unwrap()
            .contains(&json!("data.delete.one")),
        "{said}"
    );
    assert!(!said.to_string().contains("deny"));
    // There is one already.
    let again = home
        .write_role_through(
            &home.operator(),
            "kuzzle",
            "careful",
            true,
            write,
            Terms::default(),
        )
        .await;
    assert_eq!(code(again), "exists");
    // Changed elsewhere, it is not shown as it was written any more.
    let off = boxes(&[("find", Some("posts"), false)]);
    home.writes(&home.operator(), "strapi", "careful", off)
        .await
        .unwrap();
    let shown = home
        .role_through(&home.operator(), "kuzzle", "careful")
        .await
        .unwrap();
    assert_eq!(shown.verbatim, None);
    // An administrator has no boxes to take away.
    let off = boxes(&[("document:get", None, false)]);
    assert_eq!(
        code(home.writes(&home.operator(), "kuzzle", "admin", off).await),
        "built_in"
    );
}

#[tokio::test]
async fn a_row_is_shown_as_it_was_written_as_long_as_it_says_that() {
    let home = world().await;
    let row = json!({ "id": 7, "collection": "posts", "action": "create", "presets": { "state": "draft" } });
    let made_of = |row: &Json| {
        let list = json!([
            { "allow": "data.create", "on": "posts", "defaults": { "state": "draft" },
              "source": { "face": "directus", "verbatim": row, "hash": "" } },
            { "deny": "data.create", "on": "posts", "check": "title = 'x'",
              "source": { "face": "directus", "verbatim": row, "hash": "" } },
        ]);
        let text = json!({ "roles": { "r": { "permissions": list } } }).to_string();
        Document::read("r", &text)
            .unwrap()
            .roles
            .remove(0)
            .permissions
    };
    let cell = |says: Says| RoleWrite {
        cells: vec![Said {
            action: "create".into(),
            collection: Some(name("posts")),
            says,
        }],
        rest: Rest::Kept,
        ..RoleWrite::default()
    };
    let write = cell(Says::Statements(made_of(&row)));
    home.writes(&home.operator(), "directus", "author", write)
        .await
        .unwrap();
    let written = async || {
        home.role_through(&home.operator(), "directus", "author")
            .await
            .unwrap()
            .written
    };
    assert_eq!(written().await, std::slice::from_ref(&row));
    // Put in force from a file, and with another cell written, it is what it was.
    let document = home.document(&home.operator()).await.unwrap().to_yaml();
    home.apply_text(&document, false).await.unwrap();
    let other = boxes(&[("find", Some("notes"), false)]);
    home.writes(&home.operator(), "strapi", "author", other)
        .await
        .unwrap();
    assert_eq!(written().await, [row]);
    // Half of what was made of it is not it.
    let all = home.permissions("author").await;
    let gone = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one.get("deny").is_some());
    let change = RoleChange {
        remove: vec![gone.unwrap().clone()],
        ..RoleChange::default()
    };
    home.change_role(&home.operator(), "author", change, Terms::default())
        .await
        .unwrap();
    assert_eq!(written().await, Vec::<Json>::new());
    // What is said of a cell is about that cell.
    let elsewhere = cell(Says::Statements(
        Document::read(
            "r",
            "roles: { r: { permissions: [ { allow: data.delete, on: posts } ] } }",
        )
        .unwrap()
        .roles
        .remove(0)
        .permissions,
    ));
    let done = home
        .writes(&home.operator(), "directus", "author", elsewhere)
        .await;
    assert_eq!(code(done), "invalid");
}

#[tokio::test]
async fn who_writes_a_role_through_a_face_writes_no_more_than_he_holds() {
    let home = world().await;
    home.user("lea", &["lead"]).await;
    let lea = home.as_user("lea").await;
    let before = (home.policy_version(), home.digest().await);
    for (cells, expected) in [
        // She reads and makes posts.
        (&[("update", Some("posts"), true)][..], "beyond_own_rights"),
        (
            &[
                ("roles.update", None, true),
                ("delete", Some("posts"), true),
            ],
            "beyond_own_rights",
        ),
        // She does not know notes.
        (&[("find", Some("notes"), true)], "invalid"),
        (&[("find", Some("nothing"), true)], "invalid"),
        (&[("find", None, true)], "invalid"),
    ] {
        let done = home.writes(&lea, "strapi", "office", boxes(cells)).await;
        assert_eq!(code(done), expected, "{cells:?}");
    }
    assert_eq!((home.policy_version(), home.digest().await), before);
    let within = boxes(&[
        ("find", Some("posts"), true),
        ("create", Some("posts"), true),
    ]);
    home.writes(&lea, "strapi", "office", within).await.unwrap();
    assert_eq!(
        home.permissions("office").await,
        json!([{ "allow": ["data.read.many", "data.create"], "on": "posts" }])
    );
    home.user("vic", &["user"]).await;
    let vic = home.as_user("vic").await;
    let again = boxes(&[("find", Some("posts"), false)]);
    assert_eq!(
        code(home.writes(&vic, "strapi", "office", again).await),
        "forbidden"
    );
    assert_eq!(
        code(home.role_through(&vic, "strapi", "office").await),
        "not_found"
    );
}

#[tokio::test]
async fn one_role_is_shown_and_replaced_and_the_others_stay() {
    let home = world().await;
    let root = home.through(&home.operator(), "strapi", "user.update");
    let vic = home.user("vic", &["user", "listing"]).await;
    let assigned = async || {
        home.assigned(&root, "strapi", Assigning::OneRole, &vic)
            .await
            .unwrap()
    };
    let assign = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        home.assign(&root, "strapi", Assigning::OneRole, &vic, &names, None)
            .await
    };
    // The built-in `user` is neither shown nor counted.
    assert_eq!(
        (assigned().await.names, assigned().await.more),
        (vec![], true)
    );
    let lines = home.list_of(&home.operator(), "audit").await.unwrap().len();
    assign(&["author"]).await.unwrap();
    let shown = assigned().await;
    assert_eq!((shown.names, shown.more), (vec!["author".to_owned()], true));
    assign(&["author"]).await.unwrap();
    assign(&["office"]).await.unwrap();
    let expected = [("listing", false), ("office", true), ("user", false)];
    let expected: Vec<(String, bool)> = expected.map(|(name, one)| (name.into(), one)).into();
    assert_eq!(home.bound_to(&vic).await, expected);
    // One that is held already is marked.
    assign(&["listing"]).await.unwrap();
    let expected = [("listing", true), ("user", false)];
    let expected: Vec<(String, bool)> = expected.map(|(name, one)| (name.into(), one)).into();
    assert_eq!(home.bound_to(&vic).await, expected);
    assert!(!assigned().await.more);
    assign(&[]).await.unwrap();
    assert_eq!(home.bound_to(&vic).await, [("user".to_owned(), false)]);
    assert_eq!(code(assign(&["nothing"]).await), "unknown_role");
    assert_eq!(code(assign(&["author", "office"]).await), "invalid");
    // Each made, marked and ended binding is a line that names the face.
    let all = home.list_of(&home.operator(), "audit").await.unwrap();
    assert_eq!(all.len() - lines, 6);
    assert!(all.iter().filter(|line| line["face"] == "strapi").count() == 6);
}

#[tokio::test]
async fn profiles_are_a_list_in_which_roles_have_names_too() {
    let home = world().await;
    let root = home.operator();
    let ute = home.user("ute", &["office", "author"]).await;
    let assign = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let how = Assigning::Profiles;
        let mut shown = home
            .assign(&root, "kuzzle", how, &ute, &names, None)
            .await?;
        shown.names.sort();
        Ok::<_, ServiceError>(shown.names)
    };
    // There is a profile `office` as well, and none `author`.
    assert_eq!(
        assign(&["author", "role.office"]).await.unwrap(),
        ["author", "role.office"]
    );
    assert_eq!(home.bound_to(&ute).await.len(), 2);
    assert_eq!(
        assign(&["office", "default"]).await.unwrap(),
        ["default", "office"]
    );
    let all = home.user_bindings(&root, &ute).await.unwrap();
    assert!(all.iter().all(|one| one["profile"].is_string()));
    assert_eq!(code(assign(&["nothing"]).await), "unknown_profile");
    assert_eq!(assign(&["anonymous"]).await.unwrap(), ["anonymous"]);
    assert_eq!(home.bound_to(&ute).await, []);
    let lines = home.list_of(&root, "audit").await.unwrap().len();
    assert_eq!(assign(&["anonymous"]).await.unwrap(), ["anonymous"]);
    assert_eq!(home.list_of(&root, "audit").await.unwrap().len(), lines);
    // All at once or not at all: the last administrator stays one.
    let before = home.digest().await;
    let how = Assigning::Profiles;
    let done = home
        .assign(&root, "kuzzle", how, "root", &["default".into()], None)
        .await;
    assert_eq!(code(done), "last_administrator");
    assert_eq!(home.digest().await, before);
}

#[tokio::test]
async fn roles_are_a_list_and_nobody_assigns_beyond_his_own() {
    let home = world().await;
    home.user("lea", &["lead"]).await;
    let vic = home.user("vic", &["office"]).await;
    let lea = home.as_user("lea").await;
    let how = Assigning::Roles;
    let assign = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        home.assign(&lea, "hasura", how, &vic, &names, Some("why not".into()))
            .await
    };
    let before = home.digest().await;
    // The one she could make is not made either.
    assert_eq!(
        code(assign(&["authenticated", "author"]).await),
        "beyond_own_rights"
    );
    assert_eq!(code(assign(&["admin"]).await), "beyond_own_rights");
    assert_eq!(home.digest().await, before);
    assign(&["authenticated", "office"]).await.unwrap();
    let shown = home.assigned(&lea, "hasura", how, &vic).await.unwrap();
    assert_eq!((shown.names.len(), shown.more), (2, false));
    home.bind(
        &home.operator(),
        &vic,
        Binding {
            to: BoundTo::Profile("office".into()),
            ..Binding::default()
        },
        None,
    )
    .await
    .unwrap();
    assert!(home.assigned(&lea, "hasura", how, &vic).await.unwrap().more);
}

#[tokio::test]
async fn a_role_falls_away_as_the_face_does_it() {
    let home = world().await;
    let root = home.operator();
    let vic = home.user("vic", &["listing"]).await;
    let delete = async |face| home.delete_role_through(&root, face, "listing", None).await;
    assert_eq!(code(delete("kuzzle").await), "held");
    assert_eq!(home.bound_to(&vic).await.len(), 1);
    delete("strapi").await.unwrap();
    assert_eq!(home.bound_to(&vic).await, []);
}

#[tokio::test]
async fn a_request_in_one_role_has_that_role_and_no_more() {
    let home = world().await;
    home.user("anna", &["author", "lead"]).await;
    let anna = home.as_user("anna").await;
    assert_eq!(home.nameable_roles(&anna).len(), 2);
    let author = home.in_role(&anna, "author").unwrap();
    assert!(
        home.may_through(&anna, "strapi", "roles.update", None)
            .unwrap()
            == Possible::Yes
    );
    assert!(
        home.may_through(&author, "strapi", "roles.update", None)
            .unwrap()
            == Possible::No
    );
    assert!(
        home.may_through(&author, "strapi", "create", Some("posts"))
            .unwrap()
            == Possible::Yes
    );
    for (who, role) in [
        (&anna, "admin"),
        (&anna, "nothing"),
        (&anna, "everyone"),
        (&anna, "anonymous"),
    ] {
        assert_eq!(code(home.in_role(who, role)), "forbidden", "{role}");
    }
    // In two at once he may what both allow.
    let both = home.in_role(&author, "lead").unwrap();
    for (action, expected) in [("create", Possible::Yes), ("delete", Possible::No)] {
        let possible = home.may_through(&both, "strapi", action, Some("posts"));
        assert_eq!(possible.unwrap(), expected);
    }
    let nobody = home.anonymous().await;
    assert!(home.in_role(&nobody, "anonymous").is_ok());
    assert_eq!(code(home.in_role(&nobody, "user")), "forbidden");
    // An administrator in a role of his is none.
    home.user("max", &["admin", "author"]).await;
    let max = home.as_user("max").await;
    let author = home.in_role(&max, "author").unwrap();
    assert!(
        home.may_through(&author, "strapi", "roles.update", None)
            .unwrap()
            == Possible::No
    );
}

#[tokio::test]
async fn the_public_role_is_the_one_the_settings_say() {
    let mut home = world().await;
    let roles = |home: &Home| {
        let root = home.operator();
        ["strapi", "directus", "bknd"].map(|face| home.public_role(&root, face))
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(roles(&home), [named("anonymous"), named("everyone"), None]);
    home.reopen(|options| {
        let public = |face, public| (face, public);
        for (face, public) in [
            public("strapi", Public::Everyone),
            public("directus", Public::Roleless),
        ] {
            options.faces.get_mut(face).unwrap().public = public;
        }
    })
    .await
    .unwrap();
    let fallback = json!({ "fallback": true });
    home.create_role(&home.operator(), "guest", &fallback, Terms::default())
        .await
        .unwrap();
    assert_eq!(
        roles(&home),
        [named("everyone"), named("guest"), named("guest")]
    );
}

#[tokio::test]
async fn new_accounts_are_bound_as_their_face_does_it() {
    let folder = Folder::new();
    let clock = std::sync::Arc::new(FakeClock::new());
    let faces = ["native", "kuzzle", "strapi", "hasura", "bknd", "directus"];
    let portreeve = open_with(&folder, &clock, 1, |options| {
        for face in faces {
            options.faces.get_mut(face).unwrap().registration.open = true;
        }
    })
    .await;
    let home = Home {
        portreeve,
        clock,
        folder,
    };
    home.apply_text(POLICY, false).await.unwrap();
    home.user("root", &["admin"]).await;
    let one = |name: &str, primary| (name.to_owned(), primary);
    for (face, expected) in [
        ("native", vec![one("user", true)]),
        ("kuzzle", vec![one("default", true)]),
        (
            "strapi",
            vec![one("authenticated", true), one("user", false)],
        ),
        ("hasura", vec![one("user", true)]),
        ("bknd", vec![]),
        ("directus", vec![]),
    ] {
        let nobody = home.anonymous().await;
        let new = NewRegistration {
            username: Some(face.into()),
            password: "long-enough-password".into(),
            ..NewRegistration::default()
        };
        let made = home.register(&nobody, face, new).await.unwrap();
        let Registered::Ready(view) = made else {
            panic!("an account")
        };
        assert_eq!(home.bound_to(&view.id).await, expected, "{face}");
    }
}
