//! The same requests over PostgreSQL: the product beside a server by hand, both over the very same tables.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use portreeve_testkit::postgres::TestDatabase;

use super::data::{self, MEMBER, article_id, new_article, own_places};
use super::floor::TOKEN;
use super::hand::{self, Hand};
use super::load::{get, post};
use super::pair::{self, Asked, Turns};
use super::product::{Place, Product};
use super::{Effort, LIST, RECORDS};
use crate::report::{Limit, Report, Unit};

/// What is measured.
const WORKS: [&str; 3] = [
    "list of 20, PostgreSQL",
    "get by id, PostgreSQL",
    "create, PostgreSQL",
];

/// Says that nothing was measured.
pub fn missing(why: &str, report: &mut Report) {
    for what in WORKS {
        report.missing(what, why);
    }
}

/// Measures in an empty database.
pub fn measure(
    product: &Product,
    scratch: &Path,
    database: &TestDatabase,
    effort: Effort,
    report: &mut Report,
) -> Result<()> {
    let url = database.url();
    let place = Place::Database(&url);
    let (access, lines) = (scratch.join("access.yaml"), scratch.join("records.ndjson"));
    std::fs::write(&access, data::ACCESS)?;
    data::write_lines(&lines, effort.rows)?;
    product.apply(place, &access)?;
    let start = Instant::now();
    product.load(place, &lines)?;
    let loaded = effort.rows as f64 / start.elapsed().as_secs_f64();
    database.sql("VACUUM ANALYZE");
    let ours = product.serve(place, "full")?;
    let member = ours.sign_in(MEMBER)?;
    let floor = Hand::start(hand::Place::Postgres(&url), &member.user)?;
    let requests = |token: &str| {
        let ones = own_places(effort.rows)
            .take(500)
            .map(|place| get(&format!("{RECORDS}/{}", article_id(place)), token));
        [
            vec![get(LIST, token)],
            ones.collect(),
            vec![post(RECORDS, Some(token), &new_article())],
        ]
    };
    let (by_hand, asked) = (requests(TOKEN), requests(&member.token));
    let mut turns: [Turns; 3] = Default::default();
    for _ in 0..effort.rounds {
        for (place, turns) in turns.iter_mut().enumerate() {
            let status = if place == 2 { 201 } else { 200 };
            let floor = Asked {
                address: floor.address,
                pid: floor.pid(),
                requests: &by_hand[place],
            };
            let ours = Asked {
                address: ours.address,
                pid: ours.pid(),
                requests: &asked[place],
            };
            if place < 2 {
                pair::same(status, floor, ours)?;
            }
            turns.take(WORKS[place], status, floor, ours, effort)?;
        }
    }
    let [list, one, create] = turns;
    let limits = Some((Limit::AtLeast(0.80), Limit::AtLeast(0.90)));
    list.rates(WORKS[0], limits, report);
    one.rates(WORKS[1], None, report);
    create.rates(WORKS[2], None, report);
    report.absolute(
        "records loaded from a file, PostgreSQL",
        Unit::PerSecond,
        loaded,
        None,
    );
    Ok(())
}
