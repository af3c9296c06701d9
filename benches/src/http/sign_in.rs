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
use crate::process::processor_time;
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
    // A hash takes long, so that a turn has to be longer.
    let time = effort.time * 2;
    let (mut ours, mut bare, mut ratios) = (vec![], vec![], vec![]);
    let (mut our_times, mut bare_times, mut time_ratios) = (vec![], vec![], vec![]);
    for _ in 0..effort.rounds * effort.turns {
        let (floor, floor_time) = hashes(time)?;
        let measured = load::run(&storm, time)?;
        bare.push(floor);
        ours.push(measured.rate);
        ratios.push(measured.rate / floor);
        bare_times.push(floor_time);
        our_times.push(measured.processor);
        time_ratios.push(measured.processor / floor_time);
    }
    let (mut quiet, mut stormy, mut slower) = (vec![], vec![], vec![]);
    for _ in 0..effort.rounds {
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
        "  processor time for each",
        Unit::Seconds,
        median(&mut our_times),
        median(&mut bare_times),
        median(&mut time_ratios),
        None,
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

// On all cores, each with memory that it uses again and again: how many a second, and processor time for each.
fn hashes(time: Duration) -> Result<(f64, f64)> {
    let (own, start) = (std::process::id(), Instant::now());
    let before = processor_time(own)?;
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
    let mut count = 0.0;
    for thread in threads {
        count += thread.join().map_err(|_| anyhow!("a hash failed"))??;
    }
    let processor = processor_time(own)? - before;
    Ok((count / start.elapsed().as_secs_f64(), processor / count))
}

// How many were made.
fn hash_until(stop: &AtomicBool) -> Result<f64> {
    let params = Params::new(MEMORY_KIB, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    let mut blocks = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
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
    Ok(count)
}
