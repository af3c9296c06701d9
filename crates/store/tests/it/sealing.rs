use portreeve_store::{AuditFault as Fault, AuditHead, AuditReport, KeptDecision, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::ON;
use crate::world::{Home, List, NOW, On, World};

const NOTHING: &str = "collections: {}\n";

/// The product's own tables are named as on SQLite.
fn run(world: &World, sql: &str) {
    match &world.home {
        Home::Folder(folder) => {
            let file = folder.path().join("portreeve.db");
            let connection = rusqlite::Connection::open(file).unwrap();
            connection
                .busy_timeout(std::time::Duration::from_secs(10))
                .unwrap();
            connection.execute_batch(sql).unwrap();
        }
        Home::Database(database) => {
            database.sql(&sql.replace("portreeve_", "portreeve."));
        }
    }
}

async fn seal(store: &Store) -> usize {
    let mut sealed = 0;
    loop {
        match store.system().seal_audit().await.unwrap() {
            0 => return sealed,
            more => sealed += more,
        }
    }
}

async fn verify(world: &World, noted: &[AuditHead]) -> AuditReport {
    world.store.system().verify_audit(noted).await.unwrap()
}

async fn head(world: &World) -> AuditHead {
    world.store.system().audit_head().await.unwrap()
}

fn found(report: &AuditReport) -> Vec<(Fault, Option<u64>, Option<i64>)> {
    let all = report.findings.iter();
    all.map(|one| (one.fault, one.position, one.line)).collect()
}

#[tokio::test]
async fn what_is_changed_is_sealed_and_what_is_tampered_with_is_found() {
    let world = super::world(NOTHING).await;
    assert_eq!(head(&world).await.position, 0);
    let waiting = verify(&world, &[]).await;
    assert_eq!((waiting.is_good(), waiting.waiting, waiting.sealed), (true, 1, 0));
    world.user("anna", &[]).await;
    let digest = world.digest().await;
    assert_eq!(seal(&world.store).await, 2);
    assert_eq!(seal(&world.store).await, 0);
    assert_eq!(world.digest().await, digest);
    let report = verify(&world, &[]).await;
    assert_eq!((report.is_good(), report.waiting, report.sealed), (true, 0, 2));
    assert_eq!(report.head, Some(head(&world).await));
    run(
        &world,
        "UPDATE portreeve_audit SET target = 'bo' WHERE id = 2",
    );
    let report = verify(&world, &[]).await;
    assert_eq!(found(&report), [(Fault::Altered, Some(2), Some(2))]);
    // The line is read under rules as before, page by page.
    let (list, outcome) = world
        .list(&world.operator(), List::of("audit").page(1, 0))
        .await;
    assert_eq!((&list[0]["id"], outcome.more), (&json!(1), true));
    let next = List::of("audit").page(1, 0).after(outcome.last.unwrap());
    let (list, _) = world.list(&world.operator(), next).await;
    assert_eq!((&list[0]["id"], &list[0]["target"]), (&json!(2), &json!("bo")));
}

#[tokio::test]
async fn long_trails_are_sealed_in_batches_and_checked_in_pages() {
    let world = super::world(NOTHING).await;
    let numbers = match ON {
        On::Sqlite => "(WITH RECURSIVE n(value) AS (SELECT 2 UNION ALL SELECT value + 1 FROM n WHERE value < 1203) SELECT value FROM n)",
        On::Postgres => "(SELECT generate_series(2, 1203) AS value)",
    };
    let at = match ON {
        On::Sqlite => "n.value",
        On::Postgres => "now()",
    };
    run(
        &world,
        &format!(
            "INSERT INTO portreeve_audit (id, at, action, target) SELECT n.value, {at}, 'x', 'y' FROM {numbers} n;
             INSERT INTO portreeve_audit_unsealed (line) SELECT n.value FROM {numbers} n;"
        ),
    );
    let system = world.store.system();
    for expected in [500, 500, 203, 0] {
        assert_eq!(system.seal_audit().await.unwrap(), expected);
    }
    let report = verify(&world, &[]).await;
    assert_eq!((found(&report), report.sealed), (vec![], 1203));
    run(&world, "DELETE FROM portreeve_audit WHERE id BETWEEN 11 AND 1203");
    let report = verify(&world, &[]).await;
    // As many are told as anybody reads; all are counted.
    assert_eq!((report.faults, report.findings.len()), (1193, 1000));
    assert!(found(&report).iter().all(|(fault, ..)| *fault == Fault::Dropped));
}

#[tokio::test]
async fn sealers_beside_each_other_make_one_chain() {
    let world = super::world(NOTHING).await;
    let other = match ON {
        // One process has the folder.
        On::Sqlite => world.store.clone(),
        On::Postgres => Store::open(world.home.options()).await.unwrap(),
    };
    let mut made = 1;
    for round in 0..4 {
        for number in 0..5 {
            world.user(&format!("u{round}-{number}"), &[]).await;
            made += 1;
        }
        let (one, two) = tokio::join!(seal(&world.store), seal(&other));
        assert!(one + two == 5 || round == 0 && one + two == 6, "{one} {two}");
    }
    let report = verify(&world, &[head(&world).await]).await;
    assert_eq!((found(&report), report.sealed, report.waiting), (vec![], made, 0));
}

#[tokio::test]
async fn what_is_committed_later_is_sealed_later_whatever_its_number() {
    let world = super::world(NOTHING).await;
    let at = match ON {
        On::Sqlite => "1",
        On::Postgres => "now()",
    };
    // As if two transactions on PostgreSQL had ended in another order than they had begun.
    for (line, sealed) in [(100, 2), (50, 1), (75, 1)] {
        run(
            &world,
            &format!(
                "INSERT INTO portreeve_audit (id, at, action, target) VALUES ({line}, {at}, 'x', 'y');
                 INSERT INTO portreeve_audit_unsealed (line) VALUES ({line})"
            ),
        );
        assert_eq!(seal(&world.store).await, sealed);
    }
    assert_eq!(found(&verify(&world, &[head(&world).await]).await), []);
    run(&world, "UPDATE portreeve_audit SET target = 'z' WHERE id = 50");
    let report = verify(&world, &[]).await;
    assert_eq!(found(&report), [(Fault::Altered, Some(3), Some(50))]);
}

#[tokio::test]
async fn a_chain_whose_head_is_gone_is_not_continued() {
    let world = super::world(NOTHING).await;
    assert_eq!(seal(&world.store).await, 1);
    world.user("anna", &[]).await;
    run(&world, "DELETE FROM portreeve_audit_head");
    assert!(world.store.system().seal_audit().await.is_err());
    assert!(world.store.system().audit_head().await.is_err());
    let report = verify(&world, &[]).await;
    assert_eq!(found(&report), [(Fault::Head, None, None)]);
    assert_eq!(report.waiting, 1);
}

const TABLES: [&str; 4] = ["audit", "audit_seals", "audit_unsealed", "audit_head"];

// Puts back what was there, and then does something to it.
fn again(world: &World, then: &str) {
    let back: String = TABLES
        .iter()
        .map(|table| {
            format!("DELETE FROM portreeve_{table}; INSERT INTO portreeve_{table} SELECT * FROM kept_{table};")
        })
        .collect();
    run(world, &format!("BEGIN; {back} {then}; COMMIT;"));
}

// Another byte in each column of a line, or one where there was none.
fn alterations() -> Vec<String> {
    let texts = ["actor", "action", "target", "why", "face", "request"];
    let mut all: Vec<String> = texts
        .iter()
        .map(|column| format!("\"{column}\" = coalesce(\"{column}\" || 'x', '')"))
        .collect();
    for column in ["before", "after"] {
        all.push(match ON {
            On::Sqlite => format!("\"{column}\" = coalesce(\"{column}\" || ' ', 'null')"),
            On::Postgres => {
                format!("\"{column}\" = coalesce((\"{column}\"::text || ' ')::json, 'null'::json)")
            }
        });
    }
    if ON == On::Sqlite {
        // Which is no text at all.
        all.push("target = CAST(x'ff00' AS TEXT)".into());
    }
    all.push(match ON {
        On::Sqlite => "at = at + 1".into(),
        On::Postgres => "at = at + interval '1 microsecond'".into(),
    });
    all
}

// A history of so many accounts, sealed after those that say so.
#[derive(Clone, Debug)]
struct History(Vec<bool>);

fn history(longest: usize) -> impl Strategy<Value = History> {
    proptest::collection::vec(any::<bool>(), 2..longest).prop_map(History)
}

async fn tampered(history: History) {
    let world = super::world(NOTHING).await;
    let mut heads = vec![];
    for (number, sealed) in history.0.iter().enumerate() {
        world.user(&format!("u{number}"), &[]).await;
        if *sealed {
            seal(&world.store).await;
            heads.push(head(&world).await);
        }
    }
    // At least three are sealed, and one waits.
    seal(&world.store).await;
    let last = head(&world).await;
    heads.push(last.clone());
    world.user("later", &[]).await;
    assert_eq!(found(&verify(&world, &heads).await), []);
    let keep: String = TABLES
        .iter()
        .map(|table| format!("CREATE TABLE kept_{table} AS SELECT * FROM portreeve_{table};"))
        .collect();
    run(&world, &keep);
    let changed = async |sql: String| {
        again(&world, &sql);
        verify(&world, &[]).await
    };
    let count = last.position;
    for position in 1..=count {
        let line = i64::try_from(position).unwrap();
        let of = (Some(position), Some(line));
        for set in alterations() {
            let sql = format!("UPDATE portreeve_audit SET {set} WHERE id = {line}");
            let report = changed(sql).await;
            assert_eq!(found(&report), [(Fault::Altered, of.0, of.1)], "{set}");
        }
        let report = changed(format!("DELETE FROM portreeve_audit WHERE id = {line}")).await;
        assert_eq!(found(&report), [(Fault::Dropped, of.0, of.1)]);
        let missing = if position == count {
            (Fault::CutOff, Some(count - 1), None)
        } else {
            (Fault::Gap, of.0, None)
        };
        let unseal = format!("DELETE FROM portreeve_audit_seals WHERE position = {position}");
        let report = changed(unseal.clone()).await;
        assert_eq!(found(&report), [missing, (Fault::Added, None, of.1)]);
        let both = format!("{unseal}; DELETE FROM portreeve_audit WHERE id = {line}");
        assert_eq!(found(&changed(both).await), [missing]);
        for column in ["content", "hash"] {
            let report = changed(format!(
                "UPDATE portreeve_audit_seals SET {column} = 'x' || substr({column}, 2) WHERE position = {position}"
            ))
            .await;
            assert!(
                found(&report).contains(&(Fault::Order, of.0, of.1)),
                "{report:?}"
            );
        }
    }
    for position in 1..count {
        let other = position + 1;
        let swap = |table: &str, column: &str| {
            format!(
                "UPDATE portreeve_{table} SET {column} = -1 WHERE {column} = {position};
                 UPDATE portreeve_{table} SET {column} = {position} WHERE {column} = {other};
                 UPDATE portreeve_{table} SET {column} = {other} WHERE {column} = -1"
            )
        };
        let lines = [position, other].map(|place| Some(i64::try_from(place).unwrap()));
        let report = changed(swap("audit", "id")).await;
        let both = [
            (Fault::Altered, Some(position), lines[0]),
            (Fault::Altered, Some(other), lines[1]),
        ];
        assert_eq!(found(&report), both);
        let report = changed(swap("audit_seals", "position")).await;
        let (at, line) = (Some(position), lines[1]);
        assert_eq!(found(&report)[0], (Fault::Order, at, line));
    }
    for position in 0..count {
        // Everything after it goes, as if it had never been.
        let cut = format!(
            "DELETE FROM portreeve_audit WHERE id > {position}; DELETE FROM portreeve_audit_unsealed;
             DELETE FROM portreeve_audit_seals WHERE position > {position}"
        );
        let report = changed(cut.clone()).await;
        assert_eq!(found(&report), [(Fault::CutOff, Some(position), None)]);
        // Whoever sees to the head as well is found by a head that was noted elsewhere, and by nothing else.
        let rebuilt = format!(
            "{cut}; UPDATE portreeve_audit_head SET position = {position},
             hash = coalesce((SELECT hash FROM portreeve_audit_seals WHERE position = {position}), '{}')",
            "0".repeat(64)
        );
        assert!(changed(rebuilt).await.is_good());
        for noted in &heads {
            let report = verify(&world, std::slice::from_ref(noted)).await;
            let expected = (noted.position > position).then_some(Fault::CutOff);
            let faults: Vec<_> = report.findings.iter().map(|one| one.fault).collect();
            assert_eq!(faults, Vec::from_iter(expected));
        }
    }
    let insert = match ON {
        On::Sqlite => "(999, 1, 'x', 'y')",
        On::Postgres => "(999, now(), 'x', 'y')",
    };
    let insert = format!("INSERT INTO portreeve_audit (id, at, action, target) VALUES {insert}");
    let report = changed(insert).await;
    assert_eq!(found(&report), [(Fault::Added, None, Some(999))]);
    // It stays one: only what the product has written is sealed.
    seal(&world.store).await;
    let report = verify(&world, &[]).await;
    assert_eq!(found(&report), [(Fault::Added, None, Some(999))]);
    let waiting = i64::try_from(count).unwrap() + 1;
    let report = changed(format!("DELETE FROM portreeve_audit WHERE id = {waiting}")).await;
    assert_eq!(found(&report), [(Fault::Dropped, None, Some(waiting))]);
    let report = changed("UPDATE portreeve_audit_head SET hash = 'x' || substr(hash, 2)".into()).await;
    assert_eq!(found(&report), [(Fault::Head, Some(count), None)]);
    let report = changed("UPDATE portreeve_audit_head SET position = position - 1".into()).await;
    assert_eq!(found(&report), [(Fault::Head, Some(count), None)]);
    again(&world, "SELECT 1");
    let other = AuditHead {
        hash: "1".repeat(64),
        ..heads[0].clone()
    };
    let at = Some(other.position);
    let report = verify(&world, &[other]).await;
    assert_eq!((report.findings[0].fault, report.findings[0].position), (Fault::Noted, at));
    assert_eq!(report.faults, 1);
    assert!(verify(&world, &heads).await.is_good());
}

#[test]
fn every_single_alteration_is_found() {
    let (cases, longest) = match ON {
        On::Sqlite => (6, 8),
        // Each alteration is a program of its own.
        On::Postgres => (1, 4),
    };
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 8,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    TestRunner::new(config)
        .run(&history(longest), |history| {
            runtime.block_on(tampered(history));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn denials_are_kept_found_and_forgotten() {
    let world = super::world(NOTHING).await;
    let system = world.store.system();
    let kept = |number: i64| KeptDecision {
        id: format!("d{number}"),
        at: NOW + number,
        decision: json!({ "number": number }).to_string(),
    };
    let before = world.digest().await;
    system
        .keep_decisions((0..6).map(kept).collect())
        .await
        .unwrap();
    // The same once more, as after an answer that got lost.
    system.keep_decisions(vec![kept(5)]).await.unwrap();
    assert_eq!(world.digest().await, before);
    let found = async |number: i64| system.decision(&format!("d{number}")).await.unwrap();
    assert_eq!(found(3).await, Some(kept(3).decision));
    assert_eq!(found(6).await, None);
    assert_eq!(system.forget_decisions(NOW + 2, 100).await.unwrap(), 2);
    assert_eq!((found(1).await, found(2).await.is_some()), (None, true));
    assert_eq!(system.forget_decisions(NOW, 1).await.unwrap(), 3);
    assert_eq!((found(4).await, found(5).await.is_some()), (None, true));
    assert_eq!(system.forget_decisions(NOW, 1).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_no_text_is_a_finding_with_its_place() {
    if ON == On::Postgres {
        // A column of texts has nothing else there.
        return;
    }
    let world = super::world(NOTHING).await;
    world.user("anna", &[]).await;
    assert_eq!(seal(&world.store).await, 2);
    run(
        &world,
        "UPDATE portreeve_audit_seals SET content = CAST(x'ff' AS TEXT) WHERE position = 1;
         UPDATE portreeve_audit_seals SET hash = CAST(x'ff' AS TEXT) WHERE position = 2;
         UPDATE portreeve_audit_head SET hash = CAST(x'fffe' AS TEXT)",
    );
    let report = verify(&world, &[]).await;
    assert_eq!(
        found(&report),
        [
            (Fault::Altered, Some(1), Some(1)),
            (Fault::Order, Some(1), Some(1)),
            (Fault::Order, Some(2), Some(2)),
            (Fault::Head, Some(2), None),
        ]
    );
}
