//! More sign-ins than the server can check: four times as many, sent at a steady pace whatever becomes of them. What
//! others notice of it, and what becomes of those that are too many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::data::{MEMBER, article_id, own_places};
use super::load::{self, Connection, Load, get};
use super::product::{Product, sign_in_request};
use super::{CONNECTIONS, RECORDS, Scratch};
use crate::report::{Unit, machine, median};

const ROWS: usize = 2_000;
const TIMES: f64 = 4.0;
const ROUNDS: usize = 3;
const LASTS: Duration = Duration::from_secs(3);

/// How many each connection sends: few, so that each finds its answer before its next turn, even behind a full queue.
const EACH: u32 = 4;

/// Few, so that what they notice is the storm and not each other.
const OTHERS: usize = 2;

/// Answers by their status.
type Answers = BTreeMap<u16, usize>;

/// Measures.
pub fn run() -> Result<()> {
    let binary = Product::binary()
        .context("build the product first: `cargo build --release -p portreeve`")?;
    let scratch = Scratch::new()?;
    println!("{}", machine());
    let product = Product::prepare(binary, &scratch.0, ROWS)?;
    let server = product.start(&scratch.0.join("storm"), "full")?;
    let token = server.sign_in(MEMBER)?.token;
    let possible = Load {
        address: server.address,
        pid: server.pid(),
        requests: Arc::from([sign_in_request(MEMBER)]),
        status: 200,
        connections: CONNECTIONS,
    };
    let others = Load {
        requests: own_places(ROWS)
            .map(|place| get(&format!("{RECORDS}/{}", article_id(place)), &token))
            .collect(),
        connections: OTHERS,
        ..possible.clone()
    };
    let capacity = load::run(&possible, LASTS)?.rate;
    let senders = (capacity * TIMES * LASTS.as_secs_f64() / f64::from(EACH)).ceil() as u32;
    println!(
        "{} of sign-ins are possible; {} are sent in {}",
        Unit::PerSecond.text(capacity),
        senders * EACH,
        Unit::Seconds.text(LASTS.as_secs_f64())
    );
    let mut slower = vec![];
    for _ in 0..ROUNDS {
        let quiet = load::run(&others, LASTS / 2)?;
        let storm = {
            let storm = possible.clone();
            std::thread::spawn(move || send(&storm, senders))
        };
        // Begins when all of the storm has begun, and is over before it.
        std::thread::sleep(LASTS / 4);
        let during = load::run(&others, LASTS / 2)?;
        let answers = storm.join().map_err(|_| anyhow!("the storm died"))??;
        println!(
            "  others: half {} 99 % {}, in the storm half {} 99 % {}; sign-ins by status {answers:?}",
            Unit::Seconds.text(quiet.middle),
            Unit::Seconds.text(quiet.slow),
            Unit::Seconds.text(during.middle),
            Unit::Seconds.text(during.slow),
        );
        let known = answers.keys().all(|status| matches!(status, 200 | 503));
        ensure!(
            known,
            "a sign-in is answered with success, or told to come again"
        );
        ensure!(answers.contains_key(&503), "nothing was refused: no storm");
        slower.push(during.slow / quiet.slow);
    }
    println!(
        "others' 99th percentile: {:.2} × quiet",
        median(&mut slower)
    );
    Ok(())
}

fn send(storm: &Load, senders: u32) -> Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pause = LASTS / EACH;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..senders)
            .map(|place| {
                // They do not all send in the same moment.
                let late = pause.mul_f64(f64::from(place) / f64::from(senders));
                tokio::spawn(sender(storm.clone(), pause, late))
            })
            .collect();
        let mut answers = Answers::new();
        for task in tasks {
            for status in task.await?? {
                *answers.entry(status).or_default() += 1;
            }
        }
        Ok(answers)
    })
}

async fn sender(storm: Load, pause: Duration, late: Duration) -> Result<Vec<u16>> {
    tokio::time::sleep(late).await;
    let mut connection = Connection::open(storm.address).await?;
    let mut turns = tokio::time::interval(pause);
    let mut answers = vec![];
    for _ in 0..EACH {
        turns.tick().await;
        answers.push(connection.ask(&storm.requests[0]).await?.status);
    }
    Ok(answers)
}
