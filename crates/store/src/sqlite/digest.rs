//! A digest of everything in the file, for tests that something changed nothing.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use super::failure;
use crate::StoreError;
use crate::sql::dialect::Dialect;

/// Every table's name and rows in order, hashed.
pub(crate) fn digest(connection: &Connection, with_audit: bool) -> Result<[u8; 32], StoreError> {
    let mut hash = Sha256::new();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .map_err(failure)?;
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .map_err(failure)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failure)?;
    let counts = |table: &&String| {
        // The trail, its chain, and what is kept of denials.
        let of_audit = table.starts_with("portreeve_audit") || *table == "portreeve_decisions";
        (with_audit || !of_audit) && !table.starts_with("sqlite_stat")
    };
    for table in tables.iter().filter(counts) {
        hash.update(table.as_bytes());
        let name = Dialect::Sqlite.name(table);
        // The audit trail's counter grows with it.
        let rows = if table == "sqlite_sequence" && !with_audit {
            " WHERE name <> 'portreeve_audit'"
        } else {
            ""
        };
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {name}{rows}"))
            .map_err(failure)?;
        let columns = statement.column_count();
        let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
        drop(statement);
        statement = connection
            .prepare(&format!(
                "SELECT * FROM {name}{rows} ORDER BY {}",
                order.join(", ")
            ))
            .map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            for column in 0..columns {
                // With its length before it, so that two cells never read like one.
                let (kind, bytes): (u8, Vec<u8>) = match row.get_ref(column).map_err(failure)? {
                    ValueRef::Null => (0, vec![]),
                    ValueRef::Integer(number) => (1, number.to_be_bytes().to_vec()),
                    ValueRef::Real(float) => (2, float.to_bits().to_be_bytes().to_vec()),
                    ValueRef::Text(text) => (3, text.to_vec()),
                    ValueRef::Blob(bytes) => (4, bytes.to_vec()),
                };
                hash.update([kind]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(&bytes);
            }
        }
    }
    Ok(hash.finalize().into())
}
