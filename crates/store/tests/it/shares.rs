//! Shares as they are stored, on both databases: judged where they are written, opened so often as they may be.

use std::sync::Arc;

use portreeve_gate::{
    Caller, CreateShare, Drop, NewShare, Password, Refused, Share, Shared, Shows,
};
use portreeve_model::RecordQuery;
use portreeve_policy::RequestFacts;
use portreeve_store::{ShareOutcome, Stale, StoreError};
use serde_json::{Value as Json, json};

use crate::world::{Lines, List, NOW, World, name};

const NOTES: &str = r#"
collections:
  users: { fields: { team: text } }
  notes:
    key: { id: integer }
    fields: { owner: { to: users, on_delete: set_null }, text: text, secret: text, box: { to: boxes } }
    relations: { parts: { many: parts, by: note } }
  parts:
    key: { id: integer }
    fields: { note: { to: notes }, text: text }
  boxes: { key: { id: integer }, fields: { text: text } }
roles:
  owner:
    permissions:
      - { allow: [data.read, data.share], on: notes, rows: "owner = $user", fields: [id, owner, text, box] }
      - { allow: data.read, on: parts, rows: "note.owner = $user" }
      - { allow: data.read, on: boxes }
  reader:
    permissions:
      - { allow: data.read, on: [notes, parts] }
  sees_text:
    permissions:
      - { allow: data.read, on: notes, fields: [text] }
"#;

async fn school() -> (World, Caller) {
    let world = super::world(NOTES).await;
    let anna = world.user("anna", &["owner"]).await;
    world.user("bo", &["reader"]).await;
    let operator = world.operator();
    for text in ["box 1", "box 2"] {
        world.put(&operator, "boxes", json!({ "text": text })).await;
    }
    for (owner, text, in_box) in [("anna", "mine", 1), ("bo", "his", 2), ("anna", "other", 2)] {
        let note = json!({ "owner": owner, "text": text, "secret": "s", "box": in_box });
        world.put(&operator, "notes", note).await;
    }
    for (note, text) in [(1, "of mine"), (2, "of his"), (3, "of other")] {
        let part = json!({ "note": note, "text": text });
        world.put(&operator, "parts", part).await;
    }
    (world, anna)
}

fn share(id: &str, record: &str, shows: Shows) -> NewShare {
    NewShare {
        share: Share {
            id: id.into(),
            collection: name("notes"),
            record: record.into(),
            shows,
        },
        name: "a share".into(),
        password: Password::Keep,
        from: None,
        until: None,
        max_uses: None,
    }
}

fn text() -> Shows {
    Shows::Fields(vec!["text".into()])
}

async fn create(world: &World, caller: &Caller, new: NewShare) -> Result<ShareOutcome, Refused> {
    let create: portreeve_gate::Authorized<CreateShare> = world.gate.create_share(caller, new)?;
    let (made, stale) = world.store.create_share(create).await.unwrap();
    assert!(stale.is_nothing());
    Ok(made)
}

// Whoever has the id, with the present rights of its creator.
async fn visitor(world: &World, id: &str) -> Option<Shared> {
    let stored = world.store.system().share(id).await.unwrap()?;
    let shows = match (stored.role, stored.fields) {
        (Some(role), None) => Shows::Role(role),
        (None, Some(fields)) => Shows::Fields(fields),
        other => panic!("{other:?}"),
    };
    let share = Share {
        id: id.into(),
        collection: name(&stored.collection),
        record: stored.record,
        shows,
    };
    let facts = world.facts(&stored.created_by).await;
    let request = RequestFacts::default();
    world.gate.shared(&facts, Arc::new(share), NOW, request)
}

async fn open(world: &World, id: &str, token: u8, verified: Option<&str>) -> Result<(), StoreError> {
    let shared = visitor(world, id).await.ok_or(StoreError::Gone)?;
    let verified = verified.map(str::to_owned);
    let open = world
        .gate
        .open_share(&shared, verified, [token; 32], NOW + 1_000, 100);
    world.store.open_share(open, false).await.map(|(done, _)| done)
}

async fn seen(world: &World, shared: &Shared, collection: &str) -> Vec<Json> {
    let Ok(read) = world.gate.list(shared, List::of(collection).request()) else {
        return vec![];
    };
    let (sink, _) = world.store.read(&read, Lines::default()).await.unwrap();
    sink.0
}

#[tokio::test]
async fn a_share_is_judged_where_it_is_made_and_leaves_nothing_where_it_is_not() {
    let (world, anna) = school().await;
    let bo = world.admit("bo").await;
    let before = world.digest().await;
    // Out of reach and missing are the same.
    for record in ["2", "99", "no key"] {
        let told = create(&world, &anna, share("s", record, text())).await;
        let not_there = matches!(told, Ok(ShareOutcome::NotFound) | Err(Refused::NotFound));
        assert!(not_there, "{record}: {told:?}");
    }
    // Readable, and not to be shared.
    let told = create(&world, &bo, share("s", "2", text())).await;
    assert_eq!(told, Ok(ShareOutcome::Forbidden));
    // More than its creator reads, be it by a field or by a role (CVE-2025-24353).
    let secret = Shows::Fields(vec!["text".into(), "secret".into()]);
    let told = create(&world, &anna, share("s", "1", secret)).await;
    assert!(matches!(told, Err(Refused::UnknownField(_))), "{told:?}");
    for role in ["reader", "admin", "nothing", "everyone2"] {
        let told = create(&world, &anna, share("s", "1", Shows::Role(role.into()))).await;
        assert_eq!(told, Err(Refused::Beyond(None)), "{role}");
    }
    // Whoever has less than his own rights, and whoever is nobody.
    let narrowed = world.gate.narrow(&anna, &["owner".into()]).unwrap();
    let nobody = world.gate.anonymous(NOW, RequestFacts::default());
    for caller in [&narrowed, &nobody, &world.operator()] {
        let told = create(&world, caller, share("s", "1", text())).await;
        assert_eq!(told, Err(Refused::Forbidden));
    }
    assert_eq!(world.digest().await, before);
    // And what she may.
    for (id, shows) in [("s1", text()), ("s2", Shows::Role("owner".into()))] {
        let told = create(&world, &anna, share(id, "1", shows)).await;
        assert_eq!(told, Ok(ShareOutcome::Done));
    }
    let admin = world.user("vera", &["admin"]).await;
    let all = share("s3", "2", Shows::Role("reader".into()));
    assert_eq!(create(&world, &admin, all).await, Ok(ShareOutcome::Done));
    // What was decided under other rights is decided anew.
    let late = world.gate.create_share(&anna, share("s4", "1", text())).unwrap();
    let operator = world.operator();
    let change = portreeve_gate::ChangeUser {
        sent: crate::world::fields(json!({ "team": "red" })),
        ..Default::default()
    };
    let changed = world.change_user(&operator, "anna", change).await.unwrap();
    assert_eq!(changed.1.epochs.len(), 1);
    let told = world.store.create_share(late).await;
    assert!(matches!(told, Err(StoreError::VersionChanged)), "{told:?}");
    let (rows, _) = world.list(&operator, List::of("audit")).await;
    let made: Vec<&Json> = rows.iter().filter(|it| it["action"] == "share.create").collect();
    assert_eq!(made.len(), 3);
    assert_eq!(made[0]["actor"], "anna");
}

#[tokio::test]
async fn a_share_shows_its_record_and_what_it_relates_to_and_dies_with_its_creators_right_t13() {
    let (world, anna) = school().await;
    let owner = Shows::Role("owner".into());
    assert_eq!(create(&world, &anna, share("s", "1", owner)).await, Ok(ShareOutcome::Done));
    assert_eq!(create(&world, &anna, share("f", "1", text())).await, Ok(ShareOutcome::Done));
    let shared = visitor(&world, "s").await.unwrap();
    let ids = |rows: Vec<Json>| -> Vec<Json> { rows.iter().map(|row| row["id"].clone()).collect() };
    assert_eq!(
        seen(&world, &shared, "notes").await,
        [json!({ "id": 1, "owner": "anna", "text": "mine", "box": 1 })]
    );
    assert_eq!(ids(seen(&world, &shared, "parts").await), [json!(1)]);
    assert_eq!(ids(seen(&world, &shared, "boxes").await), [json!(1)]);
    for nothing in ["users", "audit", "shares", "roles"] {
        assert!(seen(&world, &shared, nothing).await.is_empty(), "{nothing}");
    }
    // Fields show fields, and nothing it relates to.
    let narrow = visitor(&world, "f").await.unwrap();
    assert_eq!(
        seen(&world, &narrow, "notes").await,
        [json!({ "id": 1, "text": "mine" })]
    );
    assert!(seen(&world, &narrow, "parts").await.is_empty());
    let query = RecordQuery {
        collection: name("notes"),
        fields: Some(vec!["owner".into()]),
        expand: vec![],
    };
    assert!(world.gate.record(&narrow, query, "1").is_err());
    // The record goes to somebody else: it and all it relates to are gone from the share, without anybody being told.
    let operator = world.operator();
    let given = world.update(&operator, "notes", "1", json!({ "owner": "bo" })).await;
    given.unwrap();
    for shared in [&shared, &narrow] {
        for collection in ["notes", "parts", "boxes"] {
            assert!(seen(&world, shared, collection).await.is_empty(), "{collection}");
        }
    }
    let told = open(&world, "s", 1, None).await;
    assert!(matches!(told, Err(StoreError::Gone)));
    world.update(&operator, "notes", "1", json!({ "owner": "anna" })).await.unwrap();
    assert_eq!(seen(&world, &shared, "parts").await.len(), 1);
    // Without data.share as without data.read.
    let reads = NOTES.replace("{ allow: [data.read, data.share], on: notes", "{ allow: data.read, on: notes");
    world.apply(&reads).await.unwrap();
    let shared = visitor(&world, "s").await.unwrap();
    for collection in ["notes", "parts", "boxes"] {
        assert!(seen(&world, &shared, collection).await.is_empty(), "{collection}");
    }
    let told = open(&world, "s", 1, None).await;
    assert!(matches!(told, Err(StoreError::Gone)));
    let stored = world.store.system().share("s").await.unwrap().unwrap();
    assert_eq!(stored.times_used, 0);
}

#[tokio::test]
async fn of_all_who_come_at_once_as_many_open_it_as_may() {
    let (world, anna) = school().await;
    let limited = NewShare {
        max_uses: Some(3),
        ..share("s", "1", text())
    };
    assert_eq!(create(&world, &anna, limited).await, Ok(ShareOutcome::Done));
    let shared = visitor(&world, "s").await.unwrap();
    let mut coming = tokio::task::JoinSet::new();
    for token in 0..24_u8 {
        let open = world
            .gate
            .open_share(&shared, None, [token; 32], NOW + 1_000, 100);
        let store = world.store.clone();
        coming.spawn(async move { store.open_share(open, true).await.map(drop) });
    }
    let (mut opened, mut refused) = (0, 0);
    while let Some(done) = coming.join_next().await {
        match done.unwrap() {
            Ok(()) => opened += 1,
            Err(StoreError::Gone) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((opened, refused), (3, 21));
    let stored = world.store.system().share("s").await.unwrap().unwrap();
    assert_eq!((stored.times_used, stored.max_uses), (3, Some(3)));
    let mut tokens = 0;
    for token in 0..24_u8 {
        let found = world.store.system().share_of_token(&[token; 32]).await.unwrap();
        tokens += usize::from(found.is_some());
    }
    assert_eq!(tokens, 3);
    let (rows, _) = world.list(&world.operator(), List::of("audit")).await;
    let told: Vec<&Json> = rows.iter().filter(|it| it["action"] == "share.open").collect();
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0]["actor"], &told[0]["target"]), (&json!("share:s"), &json!("s")));
}

#[tokio::test]
async fn it_is_opened_in_its_time_and_with_its_password() {
    let (world, anna) = school().await;
    let new = |id: &str, password, from, until| NewShare {
        password,
        from,
        until,
        ..share(id, "1", text())
    };
    let hash = || Password::Hash("hash".into());
    for (id, password, from, until) in [
        ("open", Password::Keep, Some(NOW), Some(NOW + 1)),
        ("early", Password::Keep, Some(NOW + 1), None),
        ("late", Password::Keep, None, Some(NOW)),
        ("locked", hash(), None, None),
    ] {
        let made = create(&world, &anna, new(id, password, from, until)).await;
        assert_eq!(made, Ok(ShareOutcome::Done));
    }
    let before = world.digest().await;
    for (id, verified) in [
        ("early", None),
        ("late", None),
        ("locked", None),
        ("locked", Some("other")),
        ("open", Some("hash")),
    ] {
        let told = open(&world, id, 1, verified).await;
        assert!(matches!(told, Err(StoreError::Gone)), "{id} {verified:?}");
    }
    assert_eq!(world.digest().await, before);
    open(&world, "open", 1, None).await.unwrap();
    open(&world, "locked", 2, Some("hash")).await.unwrap();
    // Another password shuts it, another name does not.
    let change = |name: &str, password, shuts| {
        let new = NewShare {
            name: name.into(),
            password,
            ..share("locked", "1", text())
        };
        world.gate.update_share(&anna, new, shuts).unwrap()
    };
    let changed = world.store.update_share(change("x", Password::Keep, false)).await;
    assert_eq!(changed.unwrap(), (ShareOutcome::Done, Stale::default()));
    let system = world.store.system();
    assert!(system.share_of_token(&[2; 32]).await.unwrap().is_some());
    let changed = world.store.update_share(change("x", Password::None, true)).await;
    assert_eq!(changed.unwrap(), (ShareOutcome::Done, Stale::sessions()));
    assert!(system.share_of_token(&[2; 32]).await.unwrap().is_none());
    assert_eq!(system.share_password("locked").await.unwrap(), None);
    open(&world, "locked", 3, None).await.unwrap();
    // Nobody is told a hash.
    let (rows, _) = world.list(&world.operator(), List::of("audit")).await;
    assert!(!rows.iter().any(|row| row.to_string().contains("\"hash\"")));
    // Nobody changes another one's.
    let admin = world.user("vera", &["admin"]).await;
    let theirs = world.gate.update_share(&admin, share("locked", "1", text()), true).unwrap();
    let before = world.digest().await;
    let told = world.store.update_share(theirs).await.unwrap();
    assert_eq!(told, (ShareOutcome::NotFound, Stale::default()));
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn it_ends_by_its_creator_by_whoever_may_and_with_what_it_names() {
    let (world, anna) = school().await;
    let role = |id: &str, role: &str| share(id, "1", Shows::Role(role.into()));
    let box_field = || Shows::Fields(vec!["box".into()]);
    for new in [
        role("a", "owner"),
        share("b", "1", text()),
        share("c", "1", box_field()),
        share("d", "1", text()),
    ] {
        assert_eq!(create(&world, &anna, new).await, Ok(ShareOutcome::Done));
    }
    open(&world, "a", 1, None).await.unwrap();
    let before = world.digest().await;
    let bo = world.admit("bo").await;
    let narrowed = world.gate.narrow(&anna, &["owner".into()]).unwrap();
    for (caller, id) in [(&bo, "a"), (&narrowed, "a"), (&anna, "z")] {
        let end = world.gate.end_share(caller, id).unwrap();
        let told = world.store.end_share(end).await.unwrap();
        assert_eq!(told, (ShareOutcome::NotFound, Stale::default()), "{id}");
    }
    assert_eq!(world.digest().await, before);
    for (caller, id) in [(&anna, "a"), (&world.operator(), "d")] {
        let end = world.gate.end_share(caller, id).unwrap();
        let told = world.store.end_share(end).await.unwrap();
        assert_eq!(told, (ShareOutcome::Done, Stale::sessions()), "{id}");
    }
    let system = world.store.system();
    assert!(system.share_of_token(&[1; 32]).await.unwrap().is_none());
    // A field that is dropped takes the shares along that name it, though another one may have its name later (T30).
    let drop = Drop {
        collection: name("notes"),
        field: Some("box".into()),
    };
    let other = NOTES
        .replace(", box: { to: boxes }", "")
        .replace("text, box]", "text]");
    world.apply_with(&other, vec![drop], vec![]).await.unwrap();
    let left = system.shares(10).await.unwrap();
    assert_eq!(left.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["b"]);
    // And an account its own.
    let target = world.facts("anna").await;
    let end = world.gate.delete_user(&world.operator(), &target).unwrap();
    let ended = world.store.delete_user(end).await.unwrap();
    assert!(ended.1.sessions);
    assert!(system.shares(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_role_that_falls_away_takes_its_shares_along_t30() {
    let (world, _) = school().await;
    let admin = world.user("vera", &["admin"]).await;
    for (id, role) in [("a", "sees_text"), ("b", "reader")] {
        let new = share(id, "1", Shows::Role(role.into()));
        assert_eq!(create(&world, &admin, new).await, Ok(ShareOutcome::Done));
    }
    let (head, _) = NOTES.split_once("  sees_text:").unwrap();
    world.apply(head).await.unwrap();
    world.apply(NOTES).await.unwrap();
    let left = world.store.system().shares(10).await.unwrap();
    assert_eq!(left.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["b"]);
}
