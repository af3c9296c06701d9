//! A list under a row rule over two relations, with cells that depend on which of three roles lets a row through, beside
//! the same question by hand, on both databases; and what else is asked of PostgreSQL.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use portreeve_testkit::postgres::{Postgres, Settings};
use serde_json::json;

use super::data::{OWNERS, PASSWORD, article, owner_name};
use super::floor::TOKEN;
use super::hand::{self, Hand};
use super::load::get;
use super::pair::{self, Asked, Turns};
use super::product::{Place, Product, copy_folder};
use super::{Effort, postgres};
use crate::report::{Limit, Report};

const LIST: &str = "/v1/records/posts?limit=20";
const SPACES: usize = 50;
const TOPICS: usize = 500;

/// Who asks: an author, an editor of topics, and an owner of spaces at once.
const WHO: &str = "owner3";

const ACCESS: &str = r#"
collections:
  spaces: { key: { id: integer }, fields: { name: text, owner: { to: users } } }
  topics: { key: { id: integer }, fields: { name: text, editor: { to: users }, space: { to: spaces, required: true } } }
  posts:
    key: { id: uuid }
    fields:
      title: { type: text, required: true }
      body: { type: text, required: true }
      status: { type: text, required: true }
      author: { to: users, required: true }
      topic: { to: topics, required: true }
      created: { type: timestamp, required: true }
roles:
  writer:
    permissions: [ { allow: data.read, on: posts, rows: "author = $user", fields: [id, title, body, status, author, topic, created] } ]
  editor:
    permissions: [ { allow: data.read, on: posts, rows: "topic.editor = $user", fields: [id, title, body, author] } ]
  keeper:
    permissions: [ { allow: data.read, on: posts, rows: "topic.space.owner = $user", fields: [id, title, status] } ]
"#;

const WORKS: [&str; 2] = [
    "two relations, masks of three roles, SQLite",
    "two relations, masks of three roles, PostgreSQL",
];

/// Measures on both databases, and everything over PostgreSQL.
pub fn measure(
    product: Option<&Product>,
    scratch: &Path,
    effort: Effort,
    synchronous: &str,
    report: &mut Report,
) -> Result<()> {
    let Some(product) = product else {
        for what in WORKS {
            report.missing(what, "not built");
        }
        postgres::missing("not built", report);
        return Ok(());
    };
    let (access, lines) = (scratch.join("posts.yaml"), scratch.join("posts.ndjson"));
    std::fs::write(&access, ACCESS)?;
    std::fs::write(&lines, all_lines(effort.rows / 4))?;
    let fill = |place| {
        product.apply(place, &access)?;
        product.load(place, &lines)
    };
    let folder = scratch.join("posts");
    fill(Place::Folder(&folder))?;
    // One of them has it open for itself.
    let copy = scratch.join("posts-by-hand");
    copy_folder(&folder, &copy)?;
    let by_hand = copy.join("portreeve.db");
    let sqlite = (Place::Folder(&folder), hand::Place::Sqlite(&by_hand));
    beside(product, sqlite, WORKS[0], effort, report)?;

    let settings = Settings {
        durable: synchronous == "FULL",
        on_disk: true,
        ..Settings::default()
    };
    let server = match std::env::var("TEST_POSTGRES_URL") {
        Ok(_) => Postgres::find(),
        // Of its own, so that no tests disturb it, and as durable as SQLite is.
        Err(_) => Postgres::private(settings),
    };
    let Some(server) = server else {
        report.missing(WORKS[1], "no server");
        postgres::missing("no server", report);
        return Ok(());
    };
    let database = server.database();
    let url = database.url();
    fill(Place::Database(&url))?;
    database.sql("VACUUM ANALYZE");
    let places = (Place::Database(&url), hand::Place::Postgres(&url));
    beside(product, places, WORKS[1], effort, report)?;
    let database = server.database();
    postgres::measure(product, scratch, &database, effort, report)
}

fn beside(
    product: &Product,
    (place, by_hand): (Place<'_>, hand::Place<'_>),
    what: &str,
    effort: Effort,
    report: &mut Report,
) -> Result<()> {
    let ours = product.serve(place, "full")?;
    let who = ours.sign_in(WHO)?;
    let floor = Hand::start(by_hand, &who.user)?;
    let (by_hand, asked) = ([get(LIST, TOKEN)], [get(LIST, &who.token)]);
    let floor = Asked {
        address: floor.address,
        pid: floor.pid(),
        requests: &by_hand,
    };
    let ours = Asked {
        address: ours.address,
        pid: ours.pid(),
        requests: &asked,
    };
    pair::same(200, floor, ours)?;
    let mut turns = Turns::default();
    for _ in 0..effort.rounds {
        turns.take(what, 200, floor, ours, effort)?;
    }
    let limits = (Limit::AtMost(1.5), Limit::AtMost(1.1));
    turns.times(what, limits, report);
    Ok(())
}

// Of twenty accounts each owns a twentieth of spaces, edits one of topics, has written one of posts.
fn all_lines(posts: usize) -> String {
    let mut lines = String::new();
    let mut line = |json: serde_json::Value| {
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{json}");
    };
    let user = |place: usize| json!({ "user": owner_name(place % OWNERS) });
    line(json!({ "user": { "username": "root", "password": PASSWORD, "roles": ["admin"] } }));
    for place in 0..OWNERS {
        let name = owner_name(place);
        let mut user = json!({ "username": name, "roles": ["writer", "editor", "keeper"] });
        if name == WHO {
            user["password"] = PASSWORD.into();
        }
        line(json!({ "user": user }));
    }
    let mut record = |collection: &str, values: serde_json::Value| {
        line(json!({ "record": { "collection": collection, "values": values } }));
    };
    for id in 1..=SPACES {
        record(
            "spaces",
            json!({ "id": id, "name": format!("Space {id}"), "owner": user(id) }),
        );
    }
    for id in 1..=TOPICS {
        record(
            "topics",
            json!({ "id": id, "name": format!("Topic {id}"), "editor": user(id * 7), "space": id % SPACES + 1 }),
        );
    }
    for post in (0..posts).map(article) {
        let number = post.created / 1_000_003;
        record(
            "posts",
            json!({
                "id": post.id,
                "title": post.title,
                "body": post.body,
                "status": post.status,
                "author": user(post.owner),
                "topic": number.unsigned_abs() * 13 / 20 % TOPICS as u64 + 1,
                "created": portreeve_model::timestamp_text(post.created),
            }),
        );
    }
    lines
}
