//! Somebody's own words for mails.

use portreeve_gate::{Authorized, RemoveTemplate, SetTemplate};
use portreeve_policy::{TemplateDefinition, TemplateWords};
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
    let SetTemplate {
        name,
        subject,
        text,
        html,
    } = authorized.operation();
    let words = TemplateWords {
        subject: subject.clone(),
        text: text.clone(),
        html: html.clone(),
    };
    transaction.mark().await?;
    let result = put(transaction, &By::caller(authorized), name, &words).await;
    finish(transaction, result).await
}

pub(crate) async fn remove<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<RemoveTemplate>,
) -> Result<bool, StoreError> {
    check_versions(transaction, authorized).await?;
    let name = &authorized.operation().name;
    if find(transaction, name).await?.is_none() {
        return Ok(false);
    }
    transaction.mark().await?;
    let result = take(transaction, &By::caller(authorized), name).await;
    finish(transaction, result).await?;
    Ok(true)
}

/// Puts the words of a document in force, within the transaction that does so.
pub(super) async fn apply<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    templates: &[TemplateDefinition],
) -> Result<(), StoreError> {
    for template in templates {
        match &template.words {
            Some(words) => put(transaction, by, &template.name, words).await?,
            None => take(transaction, by, &template.name).await?,
        }
    }
    Ok(())
}

async fn put<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    name: &str,
    words_now: &TemplateWords,
) -> Result<(), StoreError> {
    let before = find(transaction, name).await?.map(|old| words(&old));
    let sql = "INSERT INTO portreeve_templates (name, subject, text, html, updated) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (name) DO UPDATE SET subject = excluded.subject, text = excluded.text,
                 html = excluded.html, updated = excluded.updated";
    let parameters = [
        name.into(),
        (&words_now.subject).into(),
        (&words_now.text).into(),
        words_now.html.as_ref().into(),
        by.at.into(),
    ];
    transaction.execute(sql, &parameters).await?;
    let after = find(transaction, name).await?.map(|new| words(&new));
    let done = Audited {
        action: "template.set",
        target: name,
        before: before.as_ref(),
        after: after.as_ref(),
        why: None,
    };
    audit(transaction, by, done).await
}

async fn take<X: Transaction>(transaction: &X, by: &By<'_>, name: &str) -> Result<(), StoreError> {
    let Some(before) = find(transaction, name).await? else {
        return Ok(());
    };
    let sql = "DELETE FROM portreeve_templates WHERE name = ?1";
    transaction.execute(sql, &[name.into()]).await?;
    let done = Audited {
        action: "template.remove",
        target: name,
        before: Some(&words(&before)),
        ..Audited::default()
    };
    audit(transaction, by, done).await
}

fn words(template: &StoredTemplate) -> serde_json::Value {
    json!({ "subject": template.subject, "text": template.text, "html": template.html })
}
