use portreeve_gate::{Asked, AskedWhat, Caller, MassRequest};
use portreeve_model::{EntityTag, Literal};
use portreeve_policy::{Precondition, Refusal, parse_rule};
use portreeve_store::{ChangeResult, ChangedRecord, StoreError, WriteOutcome};
use serde_json::{Value as Json, json};

use crate::world::{World, fields, name};

const DESK: &str = r#"
collections:
  tickets:
    key: { id: integer }
    fields:
      state: { type: text, required: true, default: open }
      holder: text
      code: { type: text, unique: true }
      after: { to: tickets }
roles:
  agent:
    permissions:
      - { allow: [data.read, data.create], on: tickets }
      - { allow: data.update, on: tickets, rows: "state = 'open'", check: true }
      - { allow: data.delete, on: tickets, rows: "state = 'open'" }
"#;

async fn desk(tickets: usize) -> (World, Caller) {
    let world = super::world(DESK).await;
    let caller = world.user("ann", &["agent"]).await;
    for _ in 0..tickets {
        world.put(&caller, "tickets", json!({})).await;
    }
    (world, caller)
}

fn update(key: i64, sent: Json) -> Asked {
    asked(AskedWhat::Update {
        key: Some(key.to_string()),
        sent: fields(sent),
    })
}

fn asked(what: AskedWhat) -> Asked {
    Asked {
        place: String::new(),
        collection: name("tickets"),
        what,
        condition: Precondition::None,
    }
}

async fn change(world: &World, caller: &Caller, asked: Vec<Asked>) -> ChangeResult {
    let change = world.gate.change(caller, true, asked).expect("allowed");
    world.store.change(change).await.expect("the store works")
}

#[tokio::test]
async fn all_of_them_or_none() {
    let (world, ann) = desk(3).await;
    let closed = json!({ "state": "closed" });
    let done = change(&world, &ann, vec![update(1, closed.clone()), update(2, closed.clone())]).await;
    assert!(matches!(&done, ChangeResult::Done(done) if done.len() == 2), "{done:?}");
    let before = world.digest().await;
    // The second is closed by now; the first would have been changed.
    for second in [
        update(1, closed.clone()),
        asked(AskedWhat::Delete { key: "2".into() }),
        asked(AskedWhat::Delete { key: "99".into() }),
        asked(AskedWhat::Create(fields(json!({ "after": 99 })))),
    ] {
        let refused = change(&world, &ann, vec![update(3, closed.clone()), second]).await;
        assert!(matches!(refused, ChangeResult::Refused { step: 1, .. }), "{refused:?}");
        assert_eq!(world.digest().await, before);
    }
    // The other way round it is the first that is to blame.
    let refused = change(&world, &ann, vec![update(1, closed.clone()), update(3, closed)]).await;
    assert!(matches!(refused, ChangeResult::Refused { step: 0, why: Refusal::Forbidden }));
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn what_is_made_on_the_way_can_be_pointed_at() {
    let (world, ann) = desk(1).await;
    let new = |key: i64, after: i64| {
        asked(AskedWhat::Create(fields(json!({ "id": key, "after": after }))))
    };
    let done = change(&world, &ann, vec![new(10, 1), new(11, 10), update(1, json!({ "after": 11 }))]).await;
    let ChangeResult::Done(records) = done else {
        panic!("{done:?}")
    };
    assert!(records.iter().all(|record| matches!(record, ChangedRecord::Stored { .. })));
    let before = world.digest().await;
    let early = change(&world, &ann, vec![new(20, 21), new(21, 1)]).await;
    assert!(matches!(early, ChangeResult::Refused { step: 0, why: Refusal::BadLink(_) }), "{early:?}");
    assert_eq!(world.digest().await, before);
}

#[tokio::test]
async fn a_selection_is_changed_whole_or_narrowed() {
    let (world, ann) = desk(300).await;
    let odd = (1..=300).step_by(2).map(|key| update(key, json!({ "state": "closed" })));
    assert!(matches!(change(&world, &ann, odd.collect()).await, ChangeResult::Done(_)));
    let mass = async |rule: &str, number: i64, narrow: bool| {
        let mut values = vec![];
        let filter = portreeve_gate::take_literals(parse_rule(rule).expect("a rule"), &mut values);
        assert_eq!(values, [Literal::Number(number.to_string())]);
        let request = MassRequest {
            collection: name("tickets"),
            filter,
            values,
            set: Some(fields(json!({ "holder": "ann" }))),
            narrow,
        };
        let mass = world.gate.mass(&ann, request).expect("allowed");
        world.store.mass(mass).await.expect("the store works")
    };
    let before = world.digest().await;
    let refused = mass("id <= 100", 100, false).await;
    assert!(matches!(refused, ChangeResult::Refused { why: Refusal::Partly(50), .. }), "{refused:?}");
    assert_eq!(world.digest().await, before);
    let ChangeResult::Done(records) = mass("id <= 100", 100, true).await else {
        panic!()
    };
    let left = records.iter().filter(|record| matches!(record, ChangedRecord::Left)).count();
    assert_eq!((records.len(), left), (100, 50));
    let ChangeResult::Done(records) = mass("id > 900", 900, false).await else {
        panic!()
    };
    assert!(records.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_come_with_the_same_tag_one_is_served() {
    let (world, ann) = desk(1).await;
    let record = world.get(&ann, "tickets", "1").await.expect("it is there");
    let tag = EntityTag::of_json(record.to_string().as_bytes());
    let mut tasks = vec![];
    for number in 0..8 {
        let mut asked = update(1, json!({ "holder": format!("h{number}") }));
        asked.condition = Precondition::Matches(vec![tag]);
        let change = world.gate.change(&ann, false, vec![asked]).expect("allowed");
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move { store.change(change).await }));
    }
    let (mut done, mut unmet) = (0, 0);
    for task in tasks {
        match task.await.expect("whole").expect("the store works") {
            ChangeResult::Done(_) => done += 1,
            ChangeResult::Refused { why: Refusal::Unmet, .. } => unmet += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((done, unmet), (1, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rule_is_judged_by_the_record_that_is_then_changed() {
    let (world, ann) = desk(1).await;
    let mut tasks = vec![];
    for number in 0..8 {
        let sent = fields(json!({ "state": "taken", "holder": format!("h{number}") }));
        let update = world.gate.update(&ann, &name("tickets"), "1", sent).expect("allowed");
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move { store.update(update).await }));
    }
    let (mut stored, mut forbidden) = (0, 0);
    for task in tasks {
        match task.await.expect("whole") {
            Ok(WriteOutcome::Stored(_)) => stored += 1,
            Ok(WriteOutcome::Forbidden) => forbidden += 1,
            other => panic!("{other:?}"),
        }
    }
    // Whoever came second found it taken.
    assert_eq!((stored, forbidden), (1, 7));
}

#[tokio::test]
async fn an_upsert_goes_by_a_value_that_is_its_own() {
    let (world, ann) = desk(0).await;
    let upsert = |code: &str, holder: &str| {
        asked(AskedWhat::Upsert {
            on: Some("code".into()),
            key: None,
            sent: fields(json!({ "code": code, "holder": holder })),
        })
    };
    let created = |done: &ChangeResult| match done {
        ChangeResult::Done(records) => records
            .iter()
            .map(|record| matches!(record, ChangedRecord::Stored { created: true, .. }))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let first = change(&world, &ann, vec![upsert("a", "x"), upsert("b", "x")]).await;
    assert_eq!(created(&first), [true, true]);
    let second = change(&world, &ann, vec![upsert("b", "y"), upsert("c", "y")]).await;
    assert_eq!(created(&second), [false, true]);
    let before = world.digest().await;
    // Neither of the two was there in the beginning.
    let twice = change(&world, &ann, vec![upsert("d", "x"), upsert("d", "y")]).await;
    assert!(
        matches!(&twice, ChangeResult::Refused { step: 1, why: Refusal::Unstorable(StoreError::Unique { .. }) }),
        "{twice:?}"
    );
    assert_eq!(world.digest().await, before);
}
