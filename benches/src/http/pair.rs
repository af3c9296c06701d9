//! Two servers that do the same work in turns.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::load::{self, Load, Measured, ask};
use super::{CONNECTIONS, Effort, middle, ratio, show};
use crate::report::{Limit, Report, Unit};

/// A server.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// What it is asked, in turn.
    pub requests: &'a [Vec<u8>],
}

/// What came of each turn.
#[derive(Default)]
pub struct Turns {
    floor: Vec<Measured>,
    ours: Vec<Measured>,
}

impl Turns {
    /// Both do the same for a while.
    pub fn take(
        &mut self,
        what: &str,
        status: u16,
        floor: Asked<'_>,
        ours: Asked<'_>,
        effort: Effort,
    ) -> Result<()> {
        let load = |asked: Asked<'_>| Load {
            address: asked.address,
            pid: asked.pid,
            requests: Arc::from(asked.requests),
            status,
            connections: CONNECTIONS,
        };
        let (by_hand, asked) = (load(floor), load(ours));
        let from = self.floor.len();
        for _ in 0..effort.turns {
            self.floor.push(load::run(&by_hand, effort.time)?);
            self.ours.push(load::run(&asked, effort.time)?);
        }
        show("floor", what, &self.floor[from..]);
        show("ours", what, &self.ours[from..]);
        Ok(())
    }

    /// A row for how many requests are answered, and one for the processor time each takes of the server's own.
    pub fn rates(&self, what: &str, limits: Option<(Limit, Limit)>, report: &mut Report) {
        let (rate, processor) = (
            |turn: &Measured| turn.rate,
            |turn: &Measured| turn.processor,
        );
        report.compared(
            what,
            Unit::PerSecond,
            middle(&self.ours, rate),
            middle(&self.floor, rate),
            ratio(&self.ours, &self.floor, rate),
            limits,
        );
        report.compared(
            "  processor time for each, without the database's",
            Unit::Seconds,
            middle(&self.ours, processor),
            middle(&self.floor, processor),
            ratio(&self.ours, &self.floor, processor),
            None,
        );
    }

    /// A row for how much longer each takes under the same load.
    pub fn times(&self, what: &str, limits: (Limit, Limit), report: &mut Report) {
        let each = |turn: &Measured| 1.0 / turn.rate;
        report.compared(
            what,
            Unit::Seconds,
            middle(&self.ours, each),
            middle(&self.floor, each),
            ratio(&self.ours, &self.floor, each),
            Some(limits),
        );
    }
}

/// Fails where two do not answer the same, to the last cell.
pub fn same(status: u16, floor: Asked<'_>, ours: Asked<'_>) -> Result<()> {
    let data = |asked: Asked<'_>| -> Result<Value> {
        let request = asked.requests.first().context("nothing is asked")?;
        let (found, body) = ask(asked.address, request)?;
        ensure!(found == status, "an answer has the status {found}: {body}");
        let mut body: Value = serde_json::from_str(&body)?;
        let data = body["data"].take();
        ensure!(!data.is_null(), "an answer without data: {body}");
        ensure!(
            data.as_array().is_none_or(|list| !list.is_empty()),
            "an empty list"
        );
        Ok(data)
    };
    let (floor, ours) = (data(floor)?, data(ours)?);
    ensure!(floor == ours, "the answers differ:\n{floor}\n{ours}");
    Ok(())
}
