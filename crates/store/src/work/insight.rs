//! What is asked about rights rather than under them: all accounts with their bindings, and the trail of who has looked
//! through whose eyes.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::{Authorized, CredentialFacts, Simulate};
use portreeve_policy::Binding;
use serde_json::json;

use super::audit::{Audited, By, audit};
use super::system::{ACTIVE, attributes, binding};
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::{Member, StoreError};

/// Active accounts in order of number, after that one, with what admission needs of each.
pub(crate) async fn members<C: Connection>(
    connection: &C,
    after: i64,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let sql =
        "SELECT * FROM portreeve_users WHERE status = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let parameters = [ACTIVE.into(), after.into(), i64::from(limit).into()];
    let (names, rows) = connection.ask_named(sql, &parameters).await?;
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let place = |name: &str| {
        let found = names.iter().position(|known| **known == *name);
        found.ok_or_else(|| StoreError::Corrupt(format!("accounts have no column '{name}'")))
    };
    let (id, number) = (place("id")?, place("number")?);
    let mut ids: Vec<Arc<str>> = Vec::with_capacity(rows.len());
    let mut numbers = Vec::with_capacity(rows.len());
    for row in &rows {
        ids.push(row.text(id)?.into());
        numbers.push(row.integer(number)?);
    }
    let mut bindings = bindings(connection, &ids).await?;
    let members = rows.into_iter().zip(ids).zip(numbers);
    Ok(members
        .map(|((Row(values), user), number)| Member {
            number,
            facts: CredentialFacts {
                attributes: Arc::new(attributes(&names, values)),
                bindings: bindings.remove(&*user).unwrap_or_default(),
                user,
                // Nothing is written under these facts, so they need not say since when they hold.
                epoch: 0,
            },
        })
        .collect())
}

async fn bindings<C: Connection>(
    connection: &C,
    ids: &[Arc<str>],
) -> Result<HashMap<String, Vec<Binding>>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    let sql = format!(
        "SELECT role, profile, restricted_to, \"from\", until, \"primary\", \"user\" FROM portreeve_bindings
         WHERE {} ORDER BY id",
        connection.dialect().among(false, "\"user\"", "?1")
    );
    let mut bindings: HashMap<String, Vec<Binding>> = HashMap::new();
    for row in connection.ask(&sql, &[Parameter::List(&ids)]).await? {
        let of = bindings.entry(row.text(6)?.to_owned()).or_default();
        of.push(binding(&row)?);
    }
    Ok(bindings)
}

/// Writes down who looks through whose eyes.
pub(crate) async fn simulate<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Simulate>,
) -> Result<(), StoreError> {
    check_versions(transaction, authorized).await?;
    let request = &authorized.context().request;
    let after =
        json!({ "method": request.method.as_deref(), "operation": request.operation.as_deref() });
    let done = Audited {
        action: "policy.simulate",
        target: authorized.operation().simulated().label(),
        after: Some(&after),
        ..Audited::default()
    };
    transaction.mark().await?;
    let result = audit(transaction, &By::caller(authorized), done).await;
    finish(transaction, result).await
}
