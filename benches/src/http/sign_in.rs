//! Signing in, beside the bare password hash; and what others notice of a storm of it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::data::{MEMBER, PASSWORD, article_id, own_places};
use super::load::{self, Load, get};
use super::product::{Product, sign_in_request};
use super::{CONNECTIONS, Effort, RECORDS};
use crate::report::{Limit, Report, Unit, median};

/// 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;

/// Few, so that what they notice is the storm and not each other.
const OTHERS: usize = 2;

/// Measures.
pub fn measure(
    product: &Product,
    scratch: &Path,
    effort: Effort,
    report: &mut Report,
) -> Result<()> {
    let server = product.start(&scratch.join("sign-in"), "full")?;
    let storm = Load {
        address: server.address,
        pid: server.pid(),
        requests: Arc::from([sign_in_request(MEMBER)]),
        status: 200,
        connections: CONNECTIONS,
    };
    let token = server.sign_in(MEMBER)?.token;
    let others = Load {
        requests: own_places(effort.rows)
            .take(500)
            .map(|place| get(&format!("{RECORDS}/{}", article_id(place)), &token))
            .collect(),
        connections: OTHERS,
        ..storm.clone()
    };
    let (mut ours, mut bare, mut ratios) = (vec![], vec![], vec![]);
    let (mut quiet, mut stormy, mut slower) = (vec![], vec![], vec![]);
    // A hash takes long, so that a turn has to be longer.
    let time = effort.time * 2;
    for _ in 0..effort.rounds {
        let floor = hashes_per_second(time)?;
        let rate = load::run(&storm, time)?.rate;
        bare.push(floor);
        ours.push(rate);
        ratios.push(rate / floor);

        let before = load::run(&others, time)?.slow;
        let thread = {
            let storm = storm.clone();
            // Begins before the others and ends after them.
            std::thread::spawn(move || load::run(&storm, time * 2))
        };
        std::thread::sleep(time / 2);
        let during = load::run(&others, time)?.slow;
        thread.join().map_err(|_| anyhow!("the storm died"))??;
        quiet.push(before);
        stormy.push(during);
        slower.push(during / before);
    }
    report.compared(
        "sign-in, against bare Argon2id",
        Unit::PerSecond,
        median(&mut ours),
        median(&mut bare),
        median(&mut ratios),
        Some((Limit::AtLeast(0.85), Limit::AtLeast(0.95))),
    );
    report.compared(
        "get by id during a storm of it, 99th percentile, against quiet",
        Unit::Seconds,
        median(&mut stormy),
        median(&mut quiet),
        median(&mut slower),
        Some((Limit::AtMost(2.0), Limit::AtMost(2.0))),
    );
    Ok(())
}

// On all cores, each with memory that it uses again and again.
fn hashes_per_second(time: Duration) -> Result<f64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || hash_until(&stop))
        })
        .collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let mut rate = 0.0;
    for thread in threads {
        rate += thread.join().map_err(|_| anyhow!("a hash failed"))??;
    }
    Ok(rate)
}

fn hash_until(stop: &AtomicBool) -> Result<f64> {
    let params = Params::new(MEMORY_KIB, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    let mut blocks = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let start = Instant::now();
    let mut count = 0.0;
    while !stop.load(Ordering::Relaxed) {
        let mut out = [0u8; 32];
        argon2
            .hash_password_into_with_memory(
                PASSWORD.as_bytes(),
                b"sixteen bytes of",
                &mut out,
                &mut blocks,
            )
            .map_err(|error| anyhow!("{error}"))
            .context("the bare hash failed")?;
        black_box(out);
        count += 1.0;
    }
    Ok(count / start.elapsed().as_secs_f64())
}
