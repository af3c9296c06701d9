//! The records that are served, the same for every server, and the access document that says who may read them.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

/// How many accounts own records.
pub const OWNERS: usize = 20;

/// The account that asks.
pub const MEASURED: usize = 3;

/// The password of whoever asks.
pub const PASSWORD: &str = "long-enough-for-anybody";

/// Who asks under a role with a row rule and a field list.
pub const MEMBER: &str = "owner3";

/// Who asks under a role with neither.
pub const READER: &str = "reader";

/// When the first record was made: 2026-01-01T00:00:00Z.
const FIRST: i64 = 1_767_225_600_000_000;

/// Collection and roles for the product.
pub const ACCESS: &str = r#"
collections:
  articles:
    key: { id: uuid }
    fields:
      title: { type: text, required: true }
      body: { type: text, required: true }
      status: { type: text, required: true }
      author: { to: users, required: true, on_delete: cascade }
      created: { type: timestamp, required: true, default: $now }
      updated: { type: timestamp, required: true, default: $now }

roles:
  member:
    permissions:
      - allow: data.read
        on: articles
        rows: "author = $user"
        fields: [id, title, body, status, author, created, updated]
      - allow: data.create
        on: articles
        fields: [title, body, status]
        presets: { author: $user }
  reader:
    permissions:
      - { allow: data.read, on: articles }
"#;

/// A record.
pub struct Article {
    /// Its key.
    pub id: String,
    /// A line.
    pub title: String,
    /// A sentence.
    pub body: String,
    /// `draft` or `published`.
    pub status: &'static str,
    /// The place of its owner among the accounts.
    pub owner: usize,
    /// Microseconds since 1970.
    pub created: i64,
}

/// The record at a place. Owners take turns, so that those of one owner lie far apart.
pub fn article(place: usize) -> Article {
    Article {
        id: article_id(place),
        title: format!("Article number {place}"),
        body: format!("Article {place}: the quick \"brown\" fox jumps over the lazy dog."),
        status: if place.is_multiple_of(3) {
            "draft"
        } else {
            "published"
        },
        owner: place % OWNERS,
        created: FIRST + place as i64 * 1_000_003,
    }
}

/// The key of the record at a place.
pub fn article_id(place: usize) -> String {
    format!("0194e2a0-0000-7000-8000-{place:012x}")
}

/// The places of the first records of whoever asks.
pub fn own_places(rows: usize) -> impl Iterator<Item = usize> {
    (MEASURED..rows).step_by(OWNERS)
}

/// What is sent to make a record.
pub fn new_article() -> String {
    json!({
        "title": "A new article",
        "body": "A new article: the quick \"brown\" fox jumps over the lazy dog.",
        "status": "draft",
    })
    .to_string()
}

/// An account's name.
pub fn owner_name(place: usize) -> String {
    format!("owner{place}")
}

/// Writes the lines that `portreeve load` reads.
pub fn write_lines(path: &Path, rows: usize) -> Result<()> {
    let file = std::fs::File::create(path).context("cannot write the records")?;
    let mut file = std::io::BufWriter::new(file);
    let user = |name: &str, role: &str, password: bool| {
        let mut user = json!({
            "username": name,
            "email": format!("{name}@bench.example"),
            "roles": [role],
        });
        if password {
            user["password"] = PASSWORD.into();
        }
        json!({ "user": user })
    };
    writeln!(file, "{}", user("root", "admin", true))?;
    writeln!(file, "{}", user(READER, "reader", true))?;
    for owner in 0..OWNERS {
        let name = owner_name(owner);
        writeln!(file, "{}", user(&name, "member", name == MEMBER))?;
    }
    for place in 0..rows {
        let article = article(place);
        let created = timestamp(article.created);
        let values = json!({
            "id": article.id,
            "title": article.title,
            "body": article.body,
            "status": article.status,
            "author": { "user": owner_name(article.owner) },
            "created": created,
            "updated": created,
        });
        let line = json!({ "record": { "collection": "articles", "values": values } });
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(())
}

fn timestamp(micros: i64) -> String {
    let mut out = vec![];
    put_timestamp(&mut out, micros);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes a moment as RFC 3339 in UTC, without the zeros at its end.
pub fn put_timestamp(out: &mut Vec<u8>, micros: i64) {
    const DAY: i64 = 86_400_000_000;
    let (year, month, day) = portreeve_model::civil(micros.div_euclid(DAY));
    let in_day = micros.rem_euclid(DAY);
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    put_digits::<4>(out, year);
    for (before, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', seconds / 3600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ] {
        out.push(before);
        put_digits::<2>(out, value);
    }
    if fraction != 0 {
        out.push(b'.');
        put_digits::<6>(out, fraction);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

fn put_digits<const N: usize>(out: &mut Vec<u8>, mut value: i64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

/// A filter of the product's list for the records of one account.
pub fn author_filter(user: &str) -> String {
    let mut escaped = String::new();
    for byte in format!("author = '{user}'").bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            escaped.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_product_writes_them() {
        for micros in [
            0,
            FIRST,
            FIRST + 1_000_003,
            FIRST + 120_000,
            1_795_348_800_999_999,
        ] {
            assert_eq!(timestamp(micros), portreeve_model::timestamp_text(micros));
        }
    }

    #[test]
    fn a_list_of_twenty_has_the_size_it_is_said_to_have() {
        let bytes: usize = own_places(100_000)
            .take(20)
            .map(|place| {
                let article = article(place);
                let moment = timestamp(article.created);
                json!({
                    "id": article.id,
                    "title": article.title,
                    "body": article.body,
                    "status": article.status,
                    "author": article.id,
                    "created": moment,
                    "updated": moment,
                })
                .to_string()
                .len()
            })
            .sum();
        assert!((5_500..6_300).contains(&bytes), "{bytes}");
    }
}
