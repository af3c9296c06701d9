//! Sessions and their tokens, on both databases.

use portreeve_gate::Which;
use portreeve_store::{
    NewRefresh, NewSession, Renewal, Rotated, Rotation, SessionUse, StoreError, Through,
};

use crate::world::{List, NOW, World, begin, new_session};

const NOTES: &str = r#"
collections: { notes: { key: { id: integer }, fields: { text: text } } }
roles: { writer: { permissions: [ { allow: [data.create, data.read], on: notes } ] } }
"#;

const FAMILY: [u8; 32] = [1; 32];

fn refreshed(user: &str) -> NewSession {
    NewSession {
        refresh: Some(NewRefresh {
            family_hash: FAMILY,
            token_hash: [20; 32],
            expires: NOW + 1_000,
        }),
        token_expires: Some(NOW + 10),
        ..new_session([10; 32], user, "hash", NOW, NOW + 10_000)
    }
}

// Uses the token of hash `presented`; what comes after it has the hash `next`.
fn rotation(presented: u8, next: u8, access: u8, now: i64) -> Rotation {
    Rotation {
        family_hash: FAMILY,
        presented: [presented; 32],
        next: [next; 32],
        expires: now + 1_000,
        token_hash: [access; 32],
        token_expires: now + 10,
        idle_expires: None,
        grace: 0,
        now,
        through: Through::default(),
        address: None,
    }
}

async fn anna(world: &World) {
    world.user("anna", &["writer", "user"]).await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_reuse_ends_the_family_t51() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    begin(&world.store, refreshed("anna")).await.unwrap();
    let (first, stale) = system.rotate(rotation(20, 21, 11, NOW + 1)).await.unwrap();
    assert!(matches!(first, Rotated::Done { ref user, .. } if &**user == "anna"));
    assert!(stale.is_nothing());
    // The token for requests that came with it holds until its own end, and not longer than the session.
    let facts = system.session(&[11; 32]).await.unwrap().unwrap();
    assert_eq!((facts.expires, facts.used), (NOW + 11, NOW + 1));
    assert!(system.session(&[10; 32]).await.unwrap().is_some());
    let (second, _) = system.rotate(rotation(21, 22, 12, NOW + 2)).await.unwrap();
    assert!(matches!(second, Rotated::Done { .. }));
    // The first one again, and the second: either would do.
    let (again, stale) = system.rotate(rotation(20, 21, 13, NOW + 3)).await.unwrap();
    assert_eq!(again, Rotated::Reused);
    assert!(stale.sessions);
    for access in [10, 11, 12, 13] {
        assert_eq!(system.session(&[access; 32]).await.unwrap(), None);
    }
    let (dead, _) = system.rotate(rotation(22, 23, 14, NOW + 4)).await.unwrap();
    assert_eq!(dead, Rotated::Refused);
    let (rows, _) = world.list(&world.operator(), List::of("audit")).await;
    let last = rows.last().unwrap();
    assert_eq!(last["action"], "session.reused");
    assert!(last["actor"].is_null());
}

#[tokio::test]
async fn of_many_who_come_with_one_refresh_token_one_wins_t51() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    for grace in [0, 100] {
        let system = world.store.system();
        begin(&world.store, refreshed("anna")).await.unwrap();
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..8_u8 {
            let store = world.store.clone();
            let rotation = Rotation {
                grace,
                ..rotation(20, 21, 100 + number, NOW + 1)
            };
            tries.spawn(async move { store.system().rotate(rotation).await.unwrap().0 });
        }
        let all = tries.join_all().await;
        let won = all.iter().filter(|one| matches!(one, Rotated::Done { .. }));
        let next = system.rotate(rotation(21, 22, 99, NOW + 2)).await.unwrap().0;
        if grace == 0 {
            assert_eq!(won.count(), 1, "{all:?}");
            assert_eq!(all.iter().filter(|one| **one == Rotated::Reused).count(), 1);
            assert_eq!(next, Rotated::Refused);
        } else {
            // All are told of the same one after it, of which there is one.
            assert_eq!(won.count(), 8, "{all:?}");
            assert!(matches!(next, Rotated::Done { .. }));
            // Once that is used, the one before is no good within its grace either.
            let late = Rotation {
                grace,
                ..rotation(20, 21, 98, NOW + 3)
            };
            assert_eq!(system.rotate(late).await.unwrap().0, Rotated::Reused);
        }
    }
}

#[tokio::test]
async fn grace_is_exact() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    for (later, good) in [(9, true), (10, false)] {
        begin(&world.store, refreshed("anna")).await.unwrap();
        let _ = system.rotate(rotation(20, 21, 11, NOW + 1)).await.unwrap();
        let again = Rotation {
            grace: 10,
            ..rotation(20, 21, 12, NOW + 1 + later)
        };
        let done = system.rotate(again).await.unwrap().0;
        assert_eq!(matches!(done, Rotated::Done { .. }), good, "{later}");
        system.end_session([10; 32]).await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_time_its_session_and_its_account() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    begin(&world.store, refreshed("anna")).await.unwrap();
    // Too late, and no sign of theft.
    let late = system.rotate(rotation(20, 21, 11, NOW + 1_000)).await.unwrap();
    assert_eq!(late.0, Rotated::Refused);
    assert!(system.session(&[10; 32]).await.unwrap().is_some());
    // Through another face it is unknown.
    let elsewhere = Rotation {
        through: Through {
            face: Some("other".into()),
            request: None,
        },
        ..rotation(20, 21, 11, NOW + 1)
    };
    assert!(matches!(system.rotate(elsewhere).await, Err(StoreError::Gone)));
    // Another family's tokens are nobody's.
    let foreign = Rotation {
        family_hash: [2; 32],
        ..rotation(20, 21, 11, NOW + 1)
    };
    assert_eq!(system.rotate(foreign).await.unwrap().0, Rotated::Refused);
    assert!(matches!(
        system.rotate(rotation(20, 21, 11, NOW + 1)).await.unwrap().0,
        Rotated::Done { .. }
    ));
    // A session that is over is over for its refresh token too.
    system.end_session([11; 32]).await.unwrap();
    assert_eq!(system.rotate(rotation(21, 22, 12, NOW + 2)).await.unwrap().0, Rotated::Refused);
    let idle = NewSession {
        idle_expires: Some(NOW + 5),
        ..refreshed("anna")
    };
    begin(&world.store, idle).await.unwrap();
    assert_eq!(system.rotate(rotation(20, 21, 11, NOW + 5)).await.unwrap().0, Rotated::Refused);
    assert_eq!(system.session(&[10; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_is_renewed_once_and_the_old_one_fades() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    let new = |token: u8, kind: &str| NewSession {
        kind: kind.into(),
        token_expires: Some(NOW + 100),
        ..new_session([token; 32], "anna", "hash", NOW, NOW + 100)
    };
    let begun = begin(&world.store, new(1, "signed")).await.unwrap();
    // One that comes with a refresh token has another way to go on.
    let refreshed = begin(&world.store, new(9, "refresh")).await.unwrap();
    let other = Renewal {
        session: refreshed.session.to_string(),
        old: [9; 32],
        new: [8; 32],
        expires: NOW + 1_000,
        grace: 5,
        now: NOW,
    };
    assert!(!system.renew(other).await.unwrap());
    let renewal = |new: u8, now: i64| Renewal {
        session: begun.session.to_string(),
        old: [1; 32],
        new: [new; 32],
        expires: now + 100,
        grace: 5,
        now,
    };
    assert!(system.renew(renewal(2, NOW + 10)).await.unwrap());
    assert!(!system.renew(renewal(3, NOW + 11)).await.unwrap());
    let expires = async |hash: u8| Some(system.session(&[hash; 32]).await.unwrap()?.expires);
    assert_eq!(expires(1).await, Some(NOW + 15));
    assert_eq!(expires(2).await, Some(NOW + 110));
    assert_eq!(expires(3).await, None);
    let late = Renewal {
        old: [2; 32],
        ..renewal(4, NOW + 110)
    };
    assert!(!system.renew(late).await.unwrap());
}

#[tokio::test]
async fn sessions_used_longest_ago_make_room() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    for number in 0..4_u8 {
        let new = NewSession {
            at_most: Some(3),
            ..new_session([number; 32], "anna", "hash", NOW + i64::from(number), NOW + 1_000)
        };
        let (_, stale) = system.begin_session(new).await.unwrap();
        assert_eq!(stale.sessions, number == 3);
        if number == 2 {
            let first = system.session(&[0; 32]).await.unwrap().unwrap().id;
            let used = SessionUse {
                session: first,
                used: NOW + 50,
                idle_expires: None,
            };
            system.note_uses(vec![used]).await.unwrap();
        }
    }
    let mut left = vec![];
    for number in 0..4_u8 {
        left.push(system.session(&[number; 32]).await.unwrap().is_some());
    }
    assert_eq!(left, [true, false, true, true]);
}

#[tokio::test]
async fn uses_are_written_forward_only_and_unused_sessions_go() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    let system = world.store.system();
    let new = NewSession {
        idle_expires: Some(NOW + 10),
        ..new_session([1; 32], "anna", "hash", NOW, NOW + 1_000)
    };
    let begun = begin(&world.store, new).await.unwrap();
    for (used, stands) in [(NOW + 7, NOW + 7), (NOW + 3, NOW + 7)] {
        let noted = SessionUse {
            session: begun.session.clone(),
            used,
            idle_expires: Some(used + 10),
        };
        system.note_uses(vec![noted]).await.unwrap();
        let facts = system.session(&[1; 32]).await.unwrap().unwrap();
        assert_eq!((facts.used, facts.idle_expires), (stands, Some(stands + 10)));
    }
    assert_eq!(system.expire_sessions(NOW + 30, NOW + 16).await.unwrap(), 0);
    assert_eq!(system.expire_sessions(NOW + 30, NOW + 17).await.unwrap(), 1);
    assert_eq!(system.session(&[1; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn one_key_for_all_who_ask_at_once() {
    let world = super::world(NOTES).await;
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = world.store.clone();
        tries.spawn(async move { store.system().secret("jwt", format!("key {number}")).await.unwrap() });
    }
    let all = tries.join_all().await;
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert_eq!(world.store.system().stored_secret("jwt").await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(world.store.system().stored_secret("other").await.unwrap(), None);
}

#[tokio::test]
async fn ending_is_for_this_account_only_and_audited_where_it_is_anothers() {
    let world = super::world(NOTES).await;
    anna(&world).await;
    world.user("bo", &["writer"]).await;
    let system = world.store.system();
    for (hash, user) in [(1, "anna"), (2, "anna"), (3, "bo")] {
        let new = new_session([hash; 32], user, "hash", NOW, NOW + 1_000);
        begin(&world.store, new).await.unwrap();
    }
    let bos = system.session(&[3; 32]).await.unwrap().unwrap().id;
    let first = system.session(&[1; 32]).await.unwrap().unwrap().id;
    let caller = world.admit("anna").await;
    let audited = async || {
        let (rows, _) = world.list(&world.operator(), List::of("audit")).await;
        rows.iter().filter(|row| row["action"] == "session.end").count()
    };
    // Somebody else's is not there.
    let end = world.gate.end_own_sessions(&caller, Which::One(bos)).unwrap();
    assert_eq!(world.store.end_sessions(end).await.unwrap().0, 0);
    let end = world.gate.end_own_sessions(&caller, Which::AllBut(first)).unwrap();
    assert_eq!(world.store.end_sessions(end).await.unwrap().0, 1);
    assert_eq!(audited().await, 0);
    assert!(system.session(&[1; 32]).await.unwrap().is_some());
    assert!(system.session(&[2; 32]).await.unwrap().is_none());
    assert!(system.session(&[3; 32]).await.unwrap().is_some());
}
