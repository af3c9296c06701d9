//! The seal: one row in a table of its own that says what a backup was when it was made. A database checks how its
//! pages hang together; that no value in them has changed only this can tell.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::contents::{Contents, hex};
use crate::backup::BackupTable;

/// The table's name.
pub(super) const TABLE: &str = "portreeve_backup";

/// The only format there is.
const FORMAT: i64 = 1;

/// What a backup was when it was made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// As of when.
    pub taken: i64,
    /// By which version of the program.
    pub program: String,
    /// The version of the policy in it.
    pub policy_version: u64,
    /// What is in it.
    pub contents: Contents,
    /// A digest of all of the above.
    pub digest: String,
}

/// What a database says about itself.
pub(super) enum Found {
    /// It has no seal: it is no backup.
    None,
    /// One of a version to come; by this version of the program.
    Newer(String),
    /// One that cannot be made out.
    Broken,
    /// This one.
    Seal(Seal),
}

impl Seal {
    /// Of these contents.
    pub fn new(taken: i64, program: &str, policy_version: u64, contents: Contents) -> Self {
        let head = json!([FORMAT, taken, program, policy_version, contents.schema]);
        let digest = hex(&Sha256::digest(format!("{head}{}", list(&contents.tables))));
        Self {
            taken,
            program: program.to_owned(),
            policy_version,
            contents,
            digest,
        }
    }

    /// Puts it into a copy, which becomes a plain file: one without a log beside it.
    pub fn write(&self, path: &Path) -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             DROP TABLE IF EXISTS {TABLE};
             CREATE TABLE {TABLE} (
               \"one\" INTEGER PRIMARY KEY CHECK (\"one\" = 1), \"format\" INTEGER NOT NULL, \"taken\" INTEGER NOT NULL,
               \"program\" TEXT NOT NULL, \"policy_version\" INTEGER NOT NULL, \"schema\" TEXT NOT NULL,
               \"tables\" TEXT NOT NULL, \"digest\" TEXT NOT NULL
             ) STRICT;"
        ))?;
        connection.execute(
            &format!("INSERT INTO {TABLE} VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
            (
                FORMAT,
                self.taken,
                &self.program,
                i64::try_from(self.policy_version).unwrap_or(i64::MAX),
                &self.contents.schema,
                list(&self.contents.tables),
                &self.digest,
            ),
        )?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)
    }

    /// What a database says.
    pub fn find(connection: &Connection) -> rusqlite::Result<Found> {
        let there: Option<i64> = connection
            .query_row(
                "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
                [TABLE],
                |row| row.get(0),
            )
            .optional()?;
        if there.is_none() {
            return Ok(Found::None);
        }
        let head: Option<(i64, String)> = connection
            .query_row(&format!("SELECT format, program FROM {TABLE}"), [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match head {
            None => return Ok(Found::Broken),
            Some((FORMAT, _)) => {}
            Some((_, program)) => return Ok(Found::Newer(program)),
        }
        let sql =
            format!("SELECT taken, program, policy_version, schema, tables, digest FROM {TABLE}");
        let (seal, digest) = connection.query_row(&sql, [], |row| {
            let tables: String = row.get(4)?;
            let version: i64 = row.get(2)?;
            let contents = Contents {
                schema: row.get(3)?,
                tables: parse(&tables).unwrap_or_default(),
            };
            let program: String = row.get(1)?;
            let version = u64::try_from(version).unwrap_or(0);
            let seal = Self::new(row.get(0)?, &program, version, contents);
            Ok((seal, row.get::<_, String>(5)?))
        })?;
        // It covers itself: a seal that was changed is no seal.
        Ok(if seal.digest == digest {
            Found::Seal(seal)
        } else {
            Found::Broken
        })
    }
}

fn list(tables: &[BackupTable]) -> String {
    let tables: Vec<_> = tables
        .iter()
        .map(|table| json!([table.name, table.rows, table.digest]))
        .collect();
    json!(tables).to_string()
}

fn parse(text: &str) -> Option<Vec<BackupTable>> {
    let list: Vec<(String, u64, String)> = serde_json::from_str(text).ok()?;
    let table = |(name, rows, digest)| BackupTable { name, rows, digest };
    Some(list.into_iter().map(table).collect())
}
