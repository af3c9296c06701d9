//! A digest of everything in the database, for tests that something changed nothing.

use sha2::{Digest, Sha256};

use super::error::failure;
use super::session::Session;
use crate::StoreError;
use crate::sql::dialect::Dialect;

/// Every table's name and rows in order, hashed.
pub(crate) async fn digest(session: &Session, with_audit: bool) -> Result<[u8; 32], StoreError> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
               ORDER BY 1, 2";
    let client = session.client();
    let mut hash = Sha256::new();
    for table in client.query(sql, &[]).await.map_err(failure)? {
        let (schema, name): (String, String) = (
            table.try_get(0).map_err(failure)?,
            table.try_get(1).map_err(failure)?,
        );
        // The trail, its chain, and what is kept of denials.
        let of_audit = name.starts_with("audit") || name == "decisions";
        if schema == "portreeve" && of_audit && !with_audit {
            continue;
        }
        // Who listens to changes is not what is stored.
        if schema == "portreeve" && name == "feed" {
            continue;
        }
        let dialect = Dialect::Postgres;
        hash.update(schema.as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        // A row as text keeps its columns apart.
        let rows = format!(
            "SELECT t::text FROM {}.{} t ORDER BY t::text COLLATE \"C\"",
            dialect.name(&schema),
            dialect.name(&name)
        );
        for row in client.query(&rows, &[]).await.map_err(failure)? {
            let text: String = row.try_get(0).map_err(failure)?;
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
    Ok(hash.finalize().into())
}
