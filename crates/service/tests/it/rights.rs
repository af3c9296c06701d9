//! Rights over rights: what a limited administrator hands out, authors and takes away, and what he does not.

use portreeve_service::{
    Binding, BoundTo, Caller, CellChange, NewUser, Rebind, RoleChange, ServiceError, Terms,
};
use serde_json::{Value as Json, json};

use crate::home::{Home, START};

const POLICY: &str = r#"
collections:
  posts:
    key: { id: integer }
    fields: { title: text, body: text, secret: text, state: text }
  vault:
    key: { id: integer }
    fields: { gold: text }
roles:
  lead:
    permissions:
      - allow: [access.author, access.grant, access.revoke]
      - { allow: data.read, on: [users, roles, profiles, bindings] }
      - { allow: [data.read, data.update], on: posts, fields: [title, body] }
      - { allow: data.create, on: posts, rows: "state = 'draft'" }
      - { allow: data.delete, on: posts, rows: "title = 'x'" }
      - { deny: data.read, on: posts, rows: "state = 'hidden'" }
  reader:
    permissions:
      - { allow: data.read, on: posts, fields: [title] }
      - { deny: data.read, on: posts, rows: "state = 'hidden'" }
  open_reader:
    permissions:
      - { allow: data.read, on: posts, fields: [title] }
  keeper:
    permissions: [ { allow: data, on: vault } ]
  muted:
    permissions: [ { deny: data.create, on: posts } ]
  maker:
    permissions: [ { allow: data.create, on: posts } ]
  boss: { administrator: true }
  office: {}
profiles:
  vaulted: { roles: [keeper], assignable_by: [lead] }
  bosses: { roles: [boss], assignable_by: [lead] }
  reading: { roles: [reader] }
registration: { roles: [] }
"#;

async fn world() -> (Home, Caller) {
    let home = Home::with(POLICY).await;
    home.user("lea", &["lead"]).await;
    home.user("vic", &["user"]).await;
    let lea = home.as_user("lea").await;
    (home, lea)
}

fn role(key: &str) -> Binding {
    Binding {
        to: BoundTo::Role(key.into()),
        ..Binding::default()
    }
}

fn profile(key: &str) -> Binding {
    Binding {
        to: BoundTo::Profile(key.into()),
        ..Binding::default()
    }
}

fn code<T>(result: Result<T, ServiceError>) -> &'static str {
    result.err().map_or("done", |error| error.code())
}

impl Home {
    async fn bound(&self, by: &Caller, user: &str, binding: Binding) -> &'static str {
        code(self.bind(by, user, binding, Some("why not".into())).await)
    }

    async fn binding_of(&self, user: &str, to: &str) -> String {
        let all = self.user_bindings(&self.operator(), user).await.unwrap();
        let one = all
            .iter()
            .find(|one| one["role"] == to || one["profile"] == to);
        one.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn created(&self, by: &Caller, key: &str, permissions: Json) -> &'static str {
        let definition = json!({ "permissions": permissions });
        code(
            self.create_role(by, key, &definition, Terms::default())
                .await,
        )
    }

    // A denial leaves nothing behind; whatever is done is in the audit trail.
    async fn unchanged(&self, version: u64, rows: usize) {
        assert_eq!(self.policy_version(), version);
        assert_eq!(self.audited().await, rows);
    }

    async fn audited(&self) -> usize {
        self.list_of(&self.operator(), "audit").await.unwrap().len()
    }
}

#[tokio::test]
async fn what_is_held_can_be_handed_out_and_nothing_else() {
    let (home, lea) = world().await;
    let before = (home.policy_version(), home.audited().await);
    for (binding, expected) in [
        // She holds less than this: she does not see hidden posts.
        (role("open_reader"), "beyond_own_rights"),
        (role("keeper"), "beyond_own_rights"),
        (role("boss"), "beyond_own_rights"),
        (role("admin"), "beyond_own_rights"),
        // Not even by an office of hers.
        (profile("bosses"), "beyond_own_rights"),
        (role("nothing"), "unknown_role"),
        (profile("nothing"), "unknown_profile"),
    ] {
        assert_eq!(
            home.bound(&lea, "vic", binding.clone()).await,
            expected,
            "{binding:?}"
        );
    }
    home.unchanged(before.0, before.1).await;
    for binding in [
        role("reader"),
        profile("reading"),
        profile("vaulted"),
        role("lead"),
    ] {
        assert_eq!(
            home.bound(&lea, "vic", binding.clone()).await,
            "done",
            "{binding:?}"
        );
    }
    let vic = home.as_user("vic").await;
    home.put(&vic, "vault", json!({ "gold": "much" }))
        .await
        .unwrap();
    // And vic may hand on what he holds, the office too.
    home.user("wil", &["user"]).await;
    assert_eq!(home.bound(&vic, "wil", profile("vaulted")).await, "done");
    assert_eq!(
        home.bound(&vic, "wil", role("boss")).await,
        "beyond_own_rights"
    );
    let told = home.list_of(&home.operator(), "audit").await.unwrap();
    let told: Vec<&Json> = told
        .iter()
        .filter(|row| row["action"] == "binding.create")
        .collect();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0]["why"], "why not");
    assert_eq!(told[0]["after"]["role"], "reader");
}

#[tokio::test]
async fn nobody_hands_out_for_longer_than_he_holds() {
    let (home, _) = world().await;
    home.user("tim", &["user"]).await;
    let hour = 3_600_000_000;
    let held = Binding {
        until: Some(START + 10 * hour),
        ..role("lead")
    };
    home.bind(&home.operator(), "tim", held, None)
        .await
        .unwrap();
    let tim = home.as_user("tim").await;
    assert_eq!(
        home.bound(&tim, "vic", role("reader")).await,
        "beyond_own_rights"
    );
    let until = |until| Binding {
        until: Some(until),
        ..role("reader")
    };
    assert_eq!(
        home.bound(&tim, "vic", until(START + 11 * hour)).await,
        "beyond_own_rights"
    );
    assert_eq!(
        home.bound(&tim, "vic", until(START + 10 * hour)).await,
        "done"
    );
    let id = home.binding_of("vic", "reader").await;
    let longer = Rebind {
        id,
        until: Some(None),
        ..Rebind::default()
    };
    assert_eq!(
        code(home.rebind(&tim, longer.clone()).await),
        "beyond_own_rights"
    );
    let shorter = Rebind {
        until: Some(Some(START + hour)),
        ..longer
    };
    assert_eq!(code(home.rebind(&tim, shorter).await), "done");
    // What anybody may hold for good is for those who hold it for good.
    let reading = json!([{ "allow": "data.read", "on": "posts", "fields": "title" }]);
    assert_eq!(
        home.created(&tim, "timed", reading).await,
        "beyond_own_rights"
    );
}

#[tokio::test]
async fn a_limit_is_not_taken_away_with_a_binding() {
    let (home, _) = world().await;
    home.bind(&home.operator(), "lea", role("muted"), None)
        .await
        .unwrap();
    let lea_muted = home.as_user("lea").await;
    let id = home.binding_of("lea", "muted").await;
    assert_eq!(
        code(home.unbind(&lea_muted, &id, None).await),
        "beyond_own_rights"
    );
    // Of another one neither, as long as she is limited herself and he has something that it limits.
    home.bind(&home.operator(), "vic", role("maker"), None)
        .await
        .unwrap();
    home.bind(&home.operator(), "vic", role("muted"), None)
        .await
        .unwrap();
    let other = home.binding_of("vic", "muted").await;
    assert_eq!(
        code(home.unbind(&lea_muted, &other, None).await),
        "beyond_own_rights"
    );
    home.unbind(&home.operator(), &id, None).await.unwrap();
    let lea = home.as_user("lea").await;
    // She may create drafts alone, so she cannot lift what keeps him from all creation.
    assert_eq!(
        code(home.unbind(&lea, &other, None).await),
        "beyond_own_rights"
    );
    assert_eq!(home.bound(&lea, "vic", role("reader")).await, "done");
    let reader = home.binding_of("vic", "reader").await;
    home.bind(&home.operator(), "vic", role("open_reader"), None)
        .await
        .unwrap();
    // It would show him what is hidden; with nothing left that it limits, it may go.
    assert_eq!(
        code(home.unbind(&lea, &reader, None).await),
        "beyond_own_rights"
    );
    let open = home.binding_of("vic", "open_reader").await;
    home.unbind(&home.operator(), &open, None).await.unwrap();
    assert_eq!(code(home.unbind(&lea, &reader, None).await), "done");
    home.user("sue", &["open_reader"]).await;
    let open = home.binding_of("sue", "open_reader").await;
    assert_eq!(
        code(home.unbind(&lea, &open, None).await),
        "beyond_own_rights"
    );
    assert_eq!(home.bound(&lea, "sue", role("office")).await, "done");
    let office = home.binding_of("sue", "office").await;
    assert_eq!(code(home.unbind(&lea, &office, None).await), "done");
}

#[tokio::test]
async fn a_role_is_authored_within_what_its_author_holds() {
    let (home, lea) = world().await;
    let before = (home.policy_version(), home.audited().await);
    let hidden = json!({ "deny": "data.read", "on": "posts", "rows": "state = 'hidden'" });
    for (permissions, why) in [
        (
            json!([{ "allow": "data.read", "on": "posts" }]),
            "all fields",
        ),
        (
            json!([{ "allow": "data.read", "on": "posts", "fields": "title" }]),
            "hidden posts",
        ),
        (
            json!([{ "allow": "data.read", "on": "vault" }, hidden]),
            "another collection",
        ),
        (
            json!([{ "allow": "data.delete", "on": "posts" }]),
            "other rows",
        ),
        (
            json!([{ "allow": "data.create", "on": "posts", "check": "state = 'x'" }]),
            "no draft",
        ),
        (json!([{ "allow": "*", "on": "*" }]), "everything"),
        (json!([{ "allow": "policy.apply" }]), "whole policies"),
    ] {
        assert_eq!(
            home.created(&lea, "mine", permissions).await,
            "beyond_own_rights",
            "{why}"
        );
    }
    for definition in [
        json!({ "administrator": true }),
        json!({ "implicit_allow": true }),
        json!({ "app_access": true }),
        json!({ "fallback": true, "permissions": [{ "allow": "data.read", "on": "posts" }] }),
    ] {
        let made = home
            .create_role(&lea, "mine", &definition, Terms::default())
            .await;
        assert_eq!(code(made), "beyond_own_rights", "{definition}");
    }
    home.unchanged(before.0, before.1).await;
    let permissions = json!([
        { "allow": ["data.read", "data.update"], "on": "posts", "fields": "title" },
        { "allow": "data.create", "on": "posts", "rows": "title = 'a' and 'draft' = state" },
        { "allow": "data.delete", "on": "posts", "rows": "title = 'x'", "when": "$request.method = 'GET'" },
        { "allow": "access" },
        hidden,
    ]);
    assert_eq!(home.created(&lea, "mine", permissions).await, "done");
    // A caller of yesterday does not know it.
    assert_eq!(home.bound(&lea, "vic", role("mine")).await, "unknown_role");
    let lea = home.as_user("lea").await;
    assert_eq!(home.bound(&lea, "vic", role("mine")).await, "done");
    assert_eq!(home.policy_version(), before.0 + 1);
}

#[tokio::test]
async fn a_role_is_changed_by_the_difference() {
    let (home, lea) = world().await;
    let change = |change| home.change_role(&lea, "open_reader", change, Terms::default());
    let set = |json: Json| RoleChange {
        set: json.as_object().unwrap().clone(),
        ..RoleChange::default()
    };
    // What is not hers already may be called otherwise, or become less.
    let less = RoleChange {
        set: set(json!({ "label": "Reads" })).set,
        add: vec![json!({ "deny": "data.read", "on": "posts", "fields": "body" })],
        ..RoleChange::default()
    };
    assert_eq!(code(change(less).await), "done");
    let lea = home.as_user("lea").await;
    let change = |change| home.change_role(&lea, "open_reader", change, Terms::default());
    for more in [
        set(json!({ "administrator": true })),
        set(json!({ "when": "$request.method = 'GET'" })),
        RoleChange {
            cells: vec![CellChange {
                action: "data.read.one".into(),
                on: "posts".into(),
                permissions: vec![json!({ "allow": "data.read.one", "on": "posts" })],
            }],
            ..RoleChange::default()
        },
    ] {
        assert_eq!(
            code(change(more.clone()).await),
            "beyond_own_rights",
            "{more:?}"
        );
    }
    let gone = RoleChange {
        remove: vec![json!({ "deny": "data.read", "on": "posts", "fields": "body" })],
        ..RoleChange::default()
    };
    // She does not see the bodies of hidden posts, so she does not lift what hides them.
    assert_eq!(code(change(gone.clone()).await), "beyond_own_rights");
    let root = home.as_user("root").await;
    let done = home
        .change_role(&root, "open_reader", gone.clone(), Terms::default())
        .await;
    assert!(done.unwrap().changed);
    let root = home.as_user("root").await;
    let again = home
        .change_role(&root, "open_reader", gone, Terms::default())
        .await;
    assert_eq!(code(again), "invalid");
    let shown = home.part(&root, "roles", "open_reader").await.unwrap();
    assert_eq!(shown["label"], "Reads");
    assert_eq!(
        shown["definition"]["permissions"],
        json!([{ "allow": "data.read", "on": "posts", "fields": ["title"] }])
    );
}

#[tokio::test]
async fn own_roles_and_offices_are_no_way_up() {
    let (home, lea) = world().await;
    let wider = RoleChange {
        add: vec![json!({ "allow": "data", "on": "vault" })],
        ..RoleChange::default()
    };
    let terms = Terms::default;
    assert_eq!(
        code(home.change_role(&lea, "lead", wider.clone(), terms()).await),
        "beyond_own_rights"
    );
    let freer = RoleChange {
        remove: vec![json!({ "deny": "data.read", "on": "posts", "rows": "state = 'hidden'" })],
        ..RoleChange::default()
    };
    assert_eq!(
        code(home.change_role(&lea, "lead", freer, terms()).await),
        "beyond_own_rights"
    );
    // Everybody's role is hers too, and she sees that it is there.
    let everyone = home
        .change_role(&lea, "everyone", wider.clone(), terms())
        .await;
    assert_eq!(code(everyone), "beyond_own_rights");
    for (members, why) in [
        (json!({ "roles": ["keeper"] }), "in a profile of her own"),
        (json!({ "parent": "vaulted" }), "by a parent"),
        (json!({ "roles": [{ "role": "boss" }] }), "an administrator"),
    ] {
        let made = home.create_profile(&lea, "mine", &members, terms()).await;
        assert_eq!(code(made), "beyond_own_rights", "{why}");
    }
    // Who is named there hands it out whatever it holds.
    let named = json!({ "assignable_by": ["office", "lead"] });
    let named = named.as_object().unwrap().clone();
    let made = home
        .change_profile(&lea, "vaulted", named, false, terms())
        .await;
    assert_eq!(code(made), "beyond_own_rights");
    let cycle = json!({ "parent": "reading" });
    let cycle = cycle.as_object().unwrap().clone();
    let root = home.as_user("root").await;
    let made = home
        .change_profile(&root, "reading", cycle, false, terms())
        .await;
    assert_eq!(code(made), "bad_policy");
    // A profile that takes its parent's place takes what it holds.
    let fine = json!({ "roles": ["reader"], "addresses": ["10.0.0.0/8"] });
    let made = home.create_profile(&lea, "mine", &fine, terms()).await;
    assert_eq!(code(made), "done");
    let lea = home.as_user("lea").await;
    let registered = home
        .set_registration(&lea, vec!["keeper".into()], terms())
        .await;
    assert_eq!(code(registered), "beyond_own_rights");
    let registered = home
        .set_registration(&lea, vec!["reader".into()], terms())
        .await;
    assert_eq!(code(registered), "done");
}

#[tokio::test]
async fn what_falls_away_is_taken_from_whoever_holds_it() {
    let (home, _) = world().await;
    let root = home.as_user("root").await;
    home.bind(&root, "vic", role("open_reader"), None)
        .await
        .unwrap();
    home.bind(&root, "vic", profile("reading"), None)
        .await
        .unwrap();
    let terms = |unbind| Terms {
        unbind,
        why: Some("tidied up".into()),
    };
    let held = home.delete_role(&root, "open_reader", terms(false)).await;
    assert_eq!(code(held), "held");
    let named = home.delete_role(&root, "reader", terms(false)).await;
    assert_eq!(code(named), "named_by_policy");
    for built_in in ["admin", "user", "anonymous", "everyone"] {
        let kept = home.delete_role(&root, built_in, terms(true)).await;
        assert_eq!(code(kept), "built_in", "{built_in}");
    }
    let admin = RoleChange {
        add: vec![json!({ "deny": "data", "on": "posts" })],
        ..RoleChange::default()
    };
    let kept = home
        .change_role(&root, "admin", admin, Terms::default())
        .await;
    assert_eq!(code(kept), "built_in");
    let vic = home.as_user("vic").await;
    assert!(home.list_of(&vic, "posts").await.is_ok());
    home.delete_role(&root, "open_reader", terms(true))
        .await
        .unwrap();
    let root = home.as_user("root").await;
    home.delete_role(&root, "reader", terms(true))
        .await
        .unwrap();
    // It acts on the next request.
    let vic = home.as_user("vic").await;
    assert_eq!(code(home.list_of(&vic, "posts").await), "not_found");
    let root = home.as_user("root").await;
    home.delete_profile(&root, "reading", terms(true))
        .await
        .unwrap();
    let left = home.user_bindings(&home.operator(), "vic").await.unwrap();
    assert_eq!(left.len(), 1);
    let document = home.document(&home.operator()).await.unwrap();
    assert!(document.roles.iter().all(|role| role.key != "reader"));
    // Opened again, it is the same.
    let plan = home.plan(&home.operator(), &document).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (home, _) = world().await;
    let root = home.as_user("root").await;
    let id = home.binding_of("root", "admin").await;
    assert_eq!(
        code(home.unbind(&root, &id, None).await),
        "last_administrator"
    );
    let limited = Rebind {
        id: id.clone(),
        until: Some(Some(START + 1_000_000_000)),
        ..Rebind::default()
    };
    assert_eq!(
        code(home.rebind(&root, limited).await),
        "last_administrator"
    );
    home.bind(&root, "vic", role("boss"), None).await.unwrap();
    assert_eq!(code(home.unbind(&root, &id, None).await), "done");
    let vic = home.as_user("vic").await;
    let terms = |unbind| Terms { unbind, why: None };
    assert_eq!(
        code(home.delete_role(&vic, "boss", terms(true)).await),
        "last_administrator"
    );
    let set = |json: Json| RoleChange {
        set: json.as_object().unwrap().clone(),
        ..RoleChange::default()
    };
    for less in [
        json!({ "administrator": false }),
        json!({ "when": "$request.method = 'GET'" }),
    ] {
        let changed = home
            .change_role(&vic, "boss", set(less), Terms::default())
            .await;
        assert_eq!(code(changed), "last_administrator");
    }
    let mine = home.binding_of("vic", "boss").await;
    assert_eq!(
        code(home.unbind(&vic, &mine, None).await),
        "last_administrator"
    );
    // A restriction would make an administrator none.
    let restricted = Binding {
        restricted_to: Some(vec!["posts".into()]),
        ..role("admin")
    };
    assert_eq!(home.bound(&vic, "root", restricted).await, "invalid");
}

#[tokio::test]
async fn of_two_who_unbind_each_other_one_stays() {
    let (home, _) = world().await;
    home.bind(&home.operator(), "vic", role("admin"), None)
        .await
        .unwrap();
    let (root, vic) = (home.as_user("root").await, home.as_user("vic").await);
    let (roots, vics) = (
        home.binding_of("root", "admin").await,
        home.binding_of("vic", "user").await,
    );
    let (one, other) = tokio::join!(
        home.unbind(&root, &vics, None),
        home.unbind(&vic, &roots, None)
    );
    assert_eq!(
        usize::from(one.is_ok()) + usize::from(other.is_ok()),
        1,
        "{one:?} {other:?}"
    );
    assert!(home.has_administrator());
}

#[tokio::test]
async fn an_access_file_of_rights_stays_within_them() {
    let policy = POLICY.replace(
        "- allow: [access.author, access.grant, access.revoke]",
        "- allow: [access, policy, data.schema]",
    );
    let home = Home::with(&policy).await;
    home.user("lea", &["lead"]).await;
    let lea = home.as_user("lea").await;
    let apply = async |text: String| {
        let document = portreeve_service::Document::read("test.yaml", &text).unwrap();
        let plan = home.plan(&lea, &document).await?;
        home.apply(&lea, plan, false).await
    };
    let trail = home.audited().await;
    for (from, to, said) in [
        // Parts that are changed one by one, too, within what he holds.
        (
            "registration: { roles: [] }",
            "registration: { roles: [keeper] }",
            "beyond_own_rights",
        ),
        (
            "collections:\n",
            "actions: { post.pin: Pins }\ncollections:\n",
            "forbidden",
        ),
        (
            "collections:\n",
            "rules: { own: \"true\" }\ncollections:\n",
            "forbidden",
        ),
        (
            "collections:\n",
            "collections:\n  users:\n    fields: { team: { type: text, self_writable: true } }\n",
            "forbidden",
        ),
    ] {
        assert_eq!(code(apply(policy.replace(from, to)).await), said, "{to}");
    }
    assert_eq!(home.audited().await, trail);
    let label = policy.replace("keeper:\n", "keeper:\n    label: K\n");
    assert_eq!(code(apply(label).await), "done");
}

#[tokio::test]
async fn an_access_file_of_tables_is_for_those_who_make_tables() {
    let policy = POLICY.replace(
        "- allow: [access.author, access.grant, access.revoke]",
        "- allow: [policy, data.schema]",
    );
    let home = Home::with(&policy).await;
    home.user("lea", &["lead"]).await;
    let lea = home.as_user("lea").await;
    let wider = policy.replace("gold: text", "gold: text, silver: text");
    let document = portreeve_service::Document::read("test.yaml", &wider).unwrap();
    let plan = home.plan(&lea, &document).await.unwrap();
    assert_eq!(code(home.apply(&lea, plan, false).await), "done");
}

#[tokio::test]
async fn who_may_not_is_told_nothing() {
    let (home, _) = world().await;
    home.user("una", &["reader"]).await;
    let una = home.as_user("una").await;
    let before = (home.policy_version(), home.audited().await);
    let id = home.binding_of("vic", "user").await;
    assert_eq!(home.bound(&una, "vic", role("reader")).await, "forbidden");
    assert_eq!(code(home.unbind(&una, &id, None).await), "forbidden");
    assert_eq!(home.created(&una, "mine", json!([])).await, "forbidden");
    assert_eq!(
        code(home.delete_role(&una, "lead", Terms::default()).await),
        "forbidden"
    );
    // Who may grant, and sees neither accounts nor roles, cannot tell what there is.
    let blind = json!([{ "allow": "access" }]);
    assert_eq!(home.created(&home.operator(), "blind", blind).await, "done");
    home.user("bil", &["blind"]).await;
    let bil = home.as_user("bil").await;
    for (user, to) in [("vic", "office"), ("nobody", "office"), ("root", "nothing")] {
        assert_eq!(home.bound(&bil, user, role(to)).await, "unknown_user");
    }
    assert_eq!(code(home.unbind(&bil, &id, None).await), "not_found");
    assert_eq!(code(home.unbind(&bil, "no such", None).await), "not_found");
    for key in ["lead", "nothing"] {
        let gone = home.delete_role(&bil, key, Terms::default()).await;
        assert_eq!(code(gone), "not_found");
    }
    assert_eq!(home.policy_version(), before.0 + 1);
    let made = NewUser {
        username: Some("x".into()),
        ..NewUser::default()
    };
    assert_eq!(code(home.create_user(&bil, made).await), "not_found");
}
