//! Somebody's own words for mails.

use portreeve_gate::{Authorized, RemoveTemplate, SetTemplate};
use serde_json::json;

use super::audit::{Audited, By, audit};
use super::{Connection, Transaction, check_versions, finish};
use crate::{StoreError, StoredTemplate};

pub(crate) async fn find<C: Connection>(
    connection: &C,
    name: &str,
) -> Result<Option<StoredTemplate>, StoreError> {
    let sql = "SELECT name, subject, text, html, updated FROM portreeve_templates WHERE name = ?1";
    let rows = connection.ask(sql, &[name.into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(StoredTemplate {
        name: row.text(0)?.into(),
        subject: row.text(1)?.into(),
        text: row.text(2)?.into(),
        html: row.maybe_text(3).map(str::to_owned),
        updated: row.integer(4)?,
    }))
}

pub(crate) async fn set<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<SetTemplate>,
) -> Result<(), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let by = By::caller(authorized);
    transaction.mark().await?;
    let set = async {
        let before = find(transaction, &operation.name)
            .await?
            .map(|old| words(&old));
        let sql = "INSERT INTO portreeve_templates (name, subject, text, html, updated) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (name) DO UPDATE SET subject = excluded.subject, text = excluded.text,
                     html = excluded.html, updated = excluded.updated";
        transaction
            .execute(
                sql,
                &[
                    (&operation.name).into(),
                    (&operation.subject).into(),
                    (&operation.text).into(),
                    operation.html.as_ref().into(),
                    by.at.into(),
                ],
            )
            .await?;
        let after = find(transaction, &operation.name)
            .await?
            .map(|new| words(&new));
        let done = Audited {
            action: "template.set",
            target: &operation.name,
            before: before.as_ref(),
            after: after.as_ref(),
            why: None,
        };
        audit(transaction, &by, done).await
    };
    let result = set.await;
    finish(transaction, result).await
}

pub(crate) async fn remove<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<RemoveTemplate>,
) -> Result<bool, StoreError> {
    check_versions(transaction, authorized).await?;
    let name = &authorized.operation().name;
    let Some(before) = find(transaction, name).await? else {
        return Ok(false);
    };
    transaction.mark().await?;
    let remove = async {
        let sql = "DELETE FROM portreeve_templates WHERE name = ?1";
        transaction.execute(sql, &[name.into()]).await?;
        let done = Audited {
            action: "template.remove",
            target: name,
            before: Some(&words(&before)),
            ..Audited::default()
        };
        audit(transaction, &By::caller(authorized), done).await?;
        Ok(true)
    };
    let result = remove.await;
    finish(transaction, result).await
}

fn words(template: &StoredTemplate) -> serde_json::Value {
    json!({ "subject": template.subject, "text": template.text, "html": template.html })
}
