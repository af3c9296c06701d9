//! What is kept of denials, so that somebody entitled can have one explained later. Whole batches are written at once,
//! by a job; nobody's answer waits for it.

use portreeve_policy::SYSTEM_PREFIX;

use super::{Connection, Transaction, finish};
use crate::StoreError;

/// A denial as it is kept: an id, a moment, and what the service has to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDecision {
    /// The id its caller was given.
    pub id: String,
    /// When, microseconds since 1970.
    pub at: i64,
    /// The rest, as JSON.
    pub decision: String,
}

pub(crate) async fn keep<X: Transaction>(
    transaction: &X,
    decisions: &[KeptDecision],
) -> Result<(), StoreError> {
    transaction.mark().await?;
    let insert = async {
        let sql = format!(
            "INSERT INTO {SYSTEM_PREFIX}decisions (id, at, decision) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING"
        );
        for one in decisions {
            let parameters = [(&one.id).into(), one.at.into(), (&one.decision).into()];
            transaction.execute(&sql, &parameters).await?;
        }
        Ok(())
    };
    let result = insert.await;
    finish(transaction, result).await
}

pub(crate) async fn find<C: Connection>(
    connection: &C,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT decision FROM {SYSTEM_PREFIX}decisions WHERE id = ?1");
    let rows = connection.ask(&sql, &[id.into()]).await?;
    let row = rows.first().map(|row| row.text(0).map(str::to_owned));
    row.transpose()
}

/// Forgets those of before this moment, and the oldest beyond so many. How many there were.
pub(crate) async fn forget<X: Transaction>(
    transaction: &X,
    before: i64,
    most: i64,
) -> Result<u64, StoreError> {
    transaction.mark().await?;
    let delete = async {
        let sql = format!("DELETE FROM {SYSTEM_PREFIX}decisions WHERE at < ?1");
        let old = transaction.execute(&sql, &[before.into()]).await?;
        // The moment of the first one too many; none where there are not so many.
        let sql = format!(
            "DELETE FROM {SYSTEM_PREFIX}decisions WHERE at <= (
               SELECT at FROM {SYSTEM_PREFIX}decisions ORDER BY at DESC LIMIT 1 OFFSET ?1)"
        );
        let many = transaction.execute(&sql, &[most.into()]).await?;
        Ok(old + many)
    };
    let result = delete.await;
    finish(transaction, result).await
}
