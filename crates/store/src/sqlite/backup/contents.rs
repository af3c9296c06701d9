//! What is in a database, table by table: how many rows, and a digest of them.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use super::seal;
use crate::backup::{BackupError, BackupTable, Stage, Watch};
use crate::sql::dialect::Dialect;

/// So many rows pass between two words about how far it is.
const WORD: u64 = 4_096;

/// All that is in a database but the seal of a backup.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// A digest of how tables and indexes are declared.
    pub schema: String,
    /// The tables in order of their names.
    pub tables: Vec<BackupTable>,
}

/// Reads all of it. Every row is read in the order in which its table keeps it, which a copy page by page has too, so
/// that nothing is sorted.
pub(super) fn read(
    connection: &Connection,
    stage: Stage,
    total: u64,
    watch: &mut Watch<'_>,
    failed: impl Fn(rusqlite::Error) -> BackupError,
) -> Result<Contents, BackupError> {
    let schema = schema(connection).map_err(&failed)?;
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> ?1 ORDER BY name")
        .map_err(&failed)?;
    let names: Vec<String> = statement
        .query_map([seal::TABLE], |row| row.get(0))
        .and_then(Iterator::collect)
        .map_err(&failed)?;
    let mut tables = Vec::with_capacity(names.len());
    let mut done = 0;
    for name in names {
        let sql = format!("SELECT * FROM {} NOT INDEXED", Dialect::Sqlite.name(&name));
        let mut statement = connection.prepare(&sql).map_err(&failed)?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).map_err(&failed)?;
        let (mut hash, mut count, mut bytes) = (Sha256::new(), 0, vec![]);
        while let Some(row) = rows.next().map_err(&failed)? {
            bytes.clear();
            for column in 0..columns {
                put(&mut bytes, row.get_ref(column).map_err(&failed)?);
            }
            hash.update(&bytes);
            count += 1;
            if count % WORD == 0 {
                watch.tell(stage, done + count, total)?;
            }
        }
        done += count;
        watch.tell(stage, done, total)?;
        tables.push(BackupTable {
            name,
            rows: count,
            digest: hex(&hash.finalize()),
        });
    }
    Ok(Contents { schema, tables })
}

fn schema(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name <> ?1 ORDER BY type, name",
    )?;
    let mut rows = statement.query([seal::TABLE])?;
    let mut hash = Sha256::new();
    let mut bytes = vec![];
    while let Some(row) = rows.next()? {
        bytes.clear();
        for column in 0..4 {
            put(&mut bytes, row.get_ref(column)?);
        }
        hash.update(&bytes);
    }
    Ok(hex(&hash.finalize()))
}

// With its kind and length before it, so that two cells never read like one.
fn put(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let (kind, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => (1, &number.to_be_bytes()),
        ValueRef::Real(float) => (2, &float.to_bits().to_be_bytes()),
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(bytes) => (4, bytes),
    };
    out.push(kind);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The version of the policy in it.
pub(super) fn policy_version(connection: &Connection) -> rusqlite::Result<u64> {
    let version: i64 =
        connection.query_row("SELECT version FROM portreeve_policy", [], |row| row.get(0))?;
    Ok(u64::try_from(version).unwrap_or(0))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
