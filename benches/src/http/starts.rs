//! How long a start takes, and what a server that nobody asks takes of memory.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::product::Product;
use crate::process::resident;
use crate::report::{Limit, Report, Unit, median};

/// Measures.
pub fn measure(
    product: &Product,
    scratch: &Path,
    effort: Effort,
    report: &mut Report,
) -> Result<()> {
    let (mut empty, mut filled, mut idle, mut idle_filled) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.rounds * 3 {
        let server = product.start_empty(&scratch.join("empty"))?;
        std::thread::sleep(Duration::from_millis(200));
        empty.push(server.ready);
        idle.push(resident(server.pid())?);
        drop(server);
        let server = product.start(&scratch.join("filled"), "full")?;
        std::thread::sleep(Duration::from_millis(200));
        filled.push(server.ready);
        idle_filled.push(resident(server.pid())?);
    }
    let most = |gate, goal| Some((Limit::AtMost(gate), Limit::AtMost(goal)));
    report.absolute(
        "time to ready, empty",
        Unit::Seconds,
        median(&mut empty),
        most(50e-3, 20e-3),
    );
    report.absolute(
        format!("time to ready, {} records", effort.rows),
        Unit::Seconds,
        median(&mut filled),
        None,
    );
    report.absolute(
        "memory idle",
        Unit::Bytes,
        median(&mut idle),
        most(40e6, 25e6),
    );
    report.absolute(
        format!("memory idle, {} records", effort.rows),
        Unit::Bytes,
        median(&mut idle_filled),
        None,
    );
    report.absolute("binary", Unit::Bytes, product.size()?, most(40e6, 40e6));
    Ok(())
}
