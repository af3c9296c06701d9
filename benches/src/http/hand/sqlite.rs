//! The list over two relations on SQLite.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::super::floor::open;
use super::cells::{Cell, List, POST, put};

const POSTS: &str = "
SELECT p.id, p.title,
  CASE WHEN p.author = ?1 OR t.editor = ?1 THEN p.body END,
  CASE WHEN p.author = ?1 OR s.owner = ?1 THEN p.status END,
  CASE WHEN p.author = ?1 OR t.editor = ?1 THEN p.author END,
  CASE WHEN p.author = ?1 THEN p.topic END,
  CASE WHEN p.author = ?1 THEN p.created END
FROM posts p JOIN topics t ON t.id = p.topic JOIN spaces s ON s.id = t.space
WHERE p.author = ?1 OR t.editor = ?1 OR s.owner = ?1
ORDER BY p.id LIMIT ?2 + 1";

/// A database file.
pub struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    pub fn new(path: &str) -> Self {
        Self {
            path: PathBuf::from(path),
        }
    }

    pub fn posts(&self, user: &str, limit: u32) -> Result<Vec<u8>> {
        read(&self.path, |connection| {
            let mut statement = connection.prepare_cached(POSTS)?;
            let mut rows = statement.query((user, limit))?;
            let mut list = List::new(limit);
            while let Some(row) = rows.next()? {
                let Some(out) = list.next() else { break };
                for (place, column) in POST.iter().enumerate() {
                    out.extend_from_slice(column);
                    let cell = match row.get_ref(place)? {
                        ValueRef::Text(text) => Cell::Text(text),
                        ValueRef::Integer(number) if place == 6 => Cell::Moment(number),
                        ValueRef::Integer(number) => Cell::Integer(number),
                        _ => Cell::Null,
                    };
                    put(out, &cell);
                }
                out.push(b'}');
            }
            Ok(list.finish())
        })
    }
}

fn read<T>(path: &Path, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
    thread_local!(static READER: RefCell<Option<Connection>> = const { RefCell::new(None) });
    READER.with_borrow_mut(|reader| {
        let connection = match reader {
            Some(connection) => connection,
            None => reader.insert(open(path, "FULL")?),
        };
        Ok(run(connection)?)
    })
}
