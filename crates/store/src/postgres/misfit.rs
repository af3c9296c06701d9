//! Which of the values that were sent a column of others does not take. The server does not say; it is asked of each
//! alone. Nothing is told of what was not sent.

use portreeve_model::{Collection, FieldId, FieldType};
use tokio_postgres::error::SqlState;

use super::session::Writing;
use crate::StoreError;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::write;
use crate::work::Connection;

/// The condition of a table that was not met.
pub(super) fn checked(error: &tokio_postgres::Error, collection: &Collection) -> Option<String> {
    let told = error.as_db_error()?;
    let here = told.table() == Some(Dialect::Postgres.bare_table(collection));
    let checked = *told.code() == SqlState::CHECK_VIOLATION && here;
    told.constraint().filter(|_| checked).map(str::to_owned)
}

impl Writing {
    /// The field, inside the savepoint of the write that has failed.
    pub(super) async fn misfit(
        &self,
        collection: &Collection,
        binding: &Binding<'_>,
        sent: &[FieldId],
        checked: Option<String>,
    ) -> Result<Option<FieldId>, StoreError> {
        if let Some(condition) = checked {
            return self.only_of(collection, sent, &condition).await;
        }
        let assigned = binding.assigned.iter().map(|(field, _)| *field);
        for field in assigned.filter(|field| sent.contains(field)) {
            let Some(cast) = write::cast(Dialect::Postgres, collection.field(field), field) else {
                continue;
            };
            match self.rows(&cast, binding, &[FieldType::Boolean]).await {
                Ok(_) => {}
                Err(error @ (StoreError::Unavailable | StoreError::Closed)) => return Err(error),
                Err(error) => {
                    self.batch("ROLLBACK TO SAVEPOINT written").await?;
                    if let StoreError::Check = error {
                        return Ok(Some(field));
                    }
                }
            }
        }
        Ok(None)
    }

    // The one field a condition is about, where it was sent: what it says of others is not told.
    async fn only_of(
        &self,
        collection: &Collection,
        sent: &[FieldId],
        condition: &str,
    ) -> Result<Option<FieldId>, StoreError> {
        let sql = "SELECT a.attname::text FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_attribute a
                   ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
                   WHERE c.contype = 'c' AND c.conrelid = ?1::text::regclass AND c.conname = ?2::text";
        let table = Dialect::Postgres.table(collection);
        let rows = self.ask(sql, &[(&table).into(), condition.into()]).await?;
        let [row] = rows.as_slice() else {
            return Ok(None);
        };
        let name = row.text(0)?;
        let mut sent = sent.iter().copied();
        Ok(sent.find(|field| Dialect::column_name(collection.field(*field)) == name))
    }
}
