//! Requests: the product's release binary beside the floor, both on loopback, with the load on the same cores.

mod data;
pub mod floor;
pub mod hand;
mod load;
mod pair;
mod postgres;
mod product;
mod relations;
mod sign_in;
mod starts;
pub mod storm;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::process::{Running, resident};
use crate::report::{Limit, Report, Unit, median};
use data::{MEMBER, READER, article_id, author_filter, new_article, own_places};
use load::{Load, Measured, ask, get, post};
use product::{Product, Server};

const LIST: &str = "/v1/records/articles?limit=20";
const RECORDS: &str = "/v1/records/articles";

/// As many as the reference measurements had.
const CONNECTIONS: usize = 16;

/// How long to look.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds, in each of which both servers do all work on fresh copies of their data.
    pub rounds: usize,
    /// How often both take turns at a piece of work within a round.
    pub turns: usize,
    /// For each turn.
    pub time: Duration,
    /// Records.
    pub rows: usize,
}

impl Effort {
    /// Enough to compare, or enough to see that it works.
    pub fn new(quick: bool) -> Self {
        if quick {
            Self {
                rounds: 1,
                turns: 2,
                time: Duration::from_millis(500),
                rows: 20_000,
            }
        } else {
            Self {
                rounds: 3,
                turns: 3,
                time: Duration::from_millis(1_200),
                rows: 100_000,
            }
        }
    }
}

/// A piece of work, and what came of it in each round.
struct Work {
    name: &'static str,
    floor: Vec<Measured>,
    ours: Vec<Measured>,
}

/// Measures.
pub fn run(effort: Effort, synchronous: &str, report: &mut Report) -> Result<()> {
    floor::check_build()?;
    let scratch = Scratch::new()?;
    println!(
        "http: {} records of {} accounts, synchronous={synchronous}, {CONNECTIONS} connections, {} rounds of {} turns of {}",
        effort.rows,
        data::OWNERS,
        effort.rounds,
        effort.turns,
        crate::report::seconds(effort.time)
    );
    let seeded = scratch.0.join("floor.db");
    floor::seed(&seeded, effort.rows)?;
    let product = match Product::binary() {
        Some(binary) => Some(Product::prepare(binary, &scratch.0, effort.rows)?),
        None => {
            println!(
                "  the product is not measured: build it with `cargo build --release -p portreeve`"
            );
            None
        }
    };

    let mut works = [
        "list of 20, row rule and field list",
        "list of 20 by key, no rule",
        "list of 20, no rule, the same rows by filter",
        "get by id",
        "create, group commit",
    ]
    .map(|name| Work {
        name,
        floor: vec![],
        ours: vec![],
    });
    let mut held = (vec![], vec![]);
    for _ in 0..effort.rounds {
        let floor = Floor::start(&seeded, &scratch.0.join("run.db"), synchronous)?;
        let ours = match &product {
            Some(product) => Some(product.start(&scratch.0.join("run"), synchronous)?),
            None => None,
        };
        round(&floor, ours.as_ref(), effort, &mut works)?;
        held.0.push(resident(floor.running.pid())?);
        if let Some(ours) = &ours {
            held.1.push(resident(ours.pid())?);
        }
    }
    rows(&works, report);
    if let Some(product) = &product {
        report.against_floor(
            "memory after this load",
            Unit::Bytes,
            median(&mut held.1),
            median(&mut held.0),
            None,
        );
        report.absolute(
            "records loaded from a file",
            Unit::PerSecond,
            product.loaded,
            None,
        );
        sign_in::measure(product, &scratch.0, effort, report)?;
        starts::measure(product, &scratch.0, effort, report)?;
    }
    relations::measure(product.as_ref(), &scratch.0, effort, synchronous, report)?;
    Ok(())
}

/// Load on a server that somebody else has started, on this machine.
pub fn load_only(address: &str, path: &str, token: &str) -> Result<()> {
    let address: SocketAddr = address.parse().context("such as 127.0.0.1:7600")?;
    ensure!(address.ip().is_loopback(), "load is for this machine only");
    let load = Load {
        address,
        // Nobody looks at its processor time.
        pid: std::process::id(),
        requests: Arc::from([get(path, token)]),
        status: 200,
        connections: CONNECTIONS,
    };
    let measured = load::run(&load, Duration::from_secs(5))?;
    println!("{measured:?}");
    Ok(())
}

fn round(
    floor: &Floor,
    ours: Option<&Server>,
    effort: Effort,
    works: &mut [Work; 5],
) -> Result<()> {
    let floor_load = |requests: Vec<Vec<u8>>, status| Load {
        address: floor.address,
        pid: floor.running.pid(),
        requests: Arc::from(requests),
        status,
        connections: CONNECTIONS,
    };
    let ones = |token: &str| -> Vec<Vec<u8>> {
        own_places(effort.rows)
            .take(500)
            .map(|place| get(&format!("{RECORDS}/{}", article_id(place)), token))
            .collect()
    };
    let floors = [
        (vec![get(LIST, floor::TOKEN)], 200),
        (vec![get(LIST, floor::READER_TOKEN)], 200),
        // By hand, who asks and who writes the condition makes no difference.
        (vec![get(LIST, floor::TOKEN)], 200),
        (ones(floor::TOKEN), 200),
        (vec![post(RECORDS, Some(floor::TOKEN), &new_article())], 201),
    ];
    let mut our_requests = None;
    if let Some(ours) = ours {
        let (member, reader) = (ours.sign_in(MEMBER)?, ours.sign_in(READER)?);
        let filtered = format!("{LIST}&filter={}", author_filter(&member.user));
        let requests = [
            (vec![get(LIST, &member.token)], 200),
            (vec![get(LIST, &reader.token)], 200),
            (vec![get(&filtered, &reader.token)], 200),
            (ones(&member.token), 200),
            (
                vec![post(RECORDS, Some(&member.token), &new_article())],
                201,
            ),
        ];
        same_answers(floor, ours, &floors, &requests)?;
        our_requests = Some((ours, requests));
    }
    for (place, ((requests, status), work)) in floors.into_iter().zip(works).enumerate() {
        let floor_load = floor_load(requests, status);
        let our_load = our_requests.as_ref().map(|(ours, requests)| Load {
            address: ours.address,
            pid: ours.pid(),
            requests: Arc::from(requests[place].0.clone()),
            ..floor_load.clone()
        });
        let turns = work.floor.len()..;
        for _ in 0..effort.turns {
            work.floor.push(load::run(&floor_load, effort.time)?);
            if let Some(load) = &our_load {
                work.ours.push(load::run(load, effort.time)?);
            }
        }
        show("floor", work.name, &work.floor[turns.clone()]);
        if our_load.is_some() {
            show("ours", work.name, &work.ours[turns]);
        }
    }
    Ok(())
}

type Requests = [(Vec<Vec<u8>>, u16); 5];

// What is compared must be the same: the records, but for the ids of accounts.
fn same_answers(
    floor: &Floor,
    ours: &Server,
    floors: &Requests,
    requests: &Requests,
) -> Result<()> {
    for ((by_hand, status), (asked, _)) in floors.iter().zip(requests).take(4) {
        let (floor_status, floor_body) = ask(floor.address, &by_hand[0])?;
        let (our_status, our_body) = ask(ours.address, &asked[0])?;
        ensure!(
            (floor_status, our_status) == (*status, *status),
            "the floor answers {floor_status}, we {our_status}: {our_body}"
        );
        let (floor_data, our_data) = (records(&floor_body)?, records(&our_body)?);
        ensure!(
            floor_data == our_data,
            "the answers differ:\n{floor_body}\n{our_body}"
        );
    }
    Ok(())
}

fn records(body: &str) -> Result<Vec<serde_json::Value>> {
    let mut body: serde_json::Value = serde_json::from_str(body)?;
    let records = match body["data"].take() {
        serde_json::Value::Array(records) => records,
        record => vec![record],
    };
    let without_author = |mut record: serde_json::Value| {
        let fields = record.as_object_mut().context("a record is no object")?;
        let _ = fields
            .remove("author")
            .context("a record without its author")?;
        Ok(record)
    };
    records.into_iter().map(without_author).collect()
}

fn show(who: &str, what: &str, turns: &[Measured]) {
    println!(
        "  {who:<6} {what:<46} {:>10}  {:>9} of its processor each  half {:>9}  99 % {:>9}",
        Unit::PerSecond.text(middle(turns, |turn| turn.rate)),
        Unit::Seconds.text(middle(turns, |turn| turn.processor)),
        Unit::Seconds.text(middle(turns, |turn| turn.middle)),
        Unit::Seconds.text(middle(turns, |turn| turn.slow)),
    );
}

fn middle(measured: &[Measured], value: impl Fn(&Measured) -> f64) -> f64 {
    median(&mut measured.iter().map(value).collect::<Vec<_>>())
}

// The middle of the ratios of each turn, since turns differ more than the two of one turn.
fn ratio(ours: &[Measured], floor: &[Measured], value: impl Fn(&Measured) -> f64) -> f64 {
    let ratios = ours
        .iter()
        .zip(floor)
        .map(|(ours, floor)| value(ours) / value(floor));
    median(&mut ratios.collect::<Vec<_>>())
}

fn rows(works: &[Work; 5], report: &mut Report) {
    let least = |gate, goal| Some((Limit::AtLeast(gate), Limit::AtLeast(goal)));
    let limits = [
        least(0.75, 0.90),
        None,
        None,
        least(0.65, 0.85),
        least(0.60, 0.80),
    ];
    let rate = |measured: &Measured| measured.rate;
    let processor = |measured: &Measured| measured.processor;
    for (work, limits) in works.iter().zip(limits) {
        if work.ours.is_empty() {
            let floor = Unit::PerSecond.text(middle(&work.floor, rate));
            report.missing(work.name, &format!("not built; the floor does {floor}"));
            continue;
        }
        report.compared(
            work.name,
            Unit::PerSecond,
            middle(&work.ours, rate),
            middle(&work.floor, rate),
            ratio(&work.ours, &work.floor, rate),
            limits,
        );
        report.compared(
            "  processor time for each",
            Unit::Seconds,
            middle(&work.ours, processor),
            middle(&work.floor, processor),
            ratio(&work.ours, &work.floor, processor),
            None,
        );
    }
    let [ruled, _, filtered, ..] = works;
    if !ruled.ours.is_empty() {
        report.absolute(
            "the row rule's own cost, against a filter for the same rows",
            Unit::Share,
            ratio(&ruled.ours, &filtered.ours, processor) - 1.0,
            Some((Limit::AtMost(0.10), Limit::AtMost(0.03))),
        );
    }
}

/// The floor's server.
struct Floor {
    running: Running,
    address: SocketAddr,
}

impl Floor {
    // Started on a fresh copy: one laid beside the log of another would be a broken database.
    fn start(seeded: &Path, copy: &Path, synchronous: &str) -> Result<Self> {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = copy.as_os_str().to_owned();
            path.push(suffix);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        std::fs::copy(seeded, copy)?;
        let program = std::env::current_exe().context("where is this program?")?;
        let (running, port) = Running::start_and_listen(
            Command::new(program)
                .arg(floor::CHILD)
                .arg(copy)
                .arg(synchronous),
        )?;
        let port: u16 = port
            .parse()
            .context("the floor's server did not say its port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        product::wait(address, Instant::now())?;
        Ok(Self { running, address })
    }
}

/// A folder that goes with this program.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let name = format!("portreeve-benches-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
