//! The audit trail: who changed what, what was there before, what is there now, and why. A row is written in the
//! transaction of the change it tells of.

use portreeve_gate::{Authorized, Principal};
use serde_json::Value as Json;

use super::Transaction;
use crate::StoreError;

/// Who does something, when, and through what.
#[derive(Clone, Debug)]
pub(crate) struct By<'a> {
    pub at: i64,
    /// A user's id, or `operator`; nobody signed in is nothing.
    pub actor: Option<String>,
    pub face: Option<&'a str>,
    pub request: Option<&'a str>,
}

impl<'a> By<'a> {
    /// Whoever was authorized.
    pub fn caller<O>(authorized: &'a Authorized<O>) -> Self {
        let context = authorized.context();
        Self {
            at: context.now,
            actor: actor(authorized.principal()),
            face: context.request.face.as_deref(),
            request: context.request.id.as_deref(),
        }
    }

    /// The product itself, or somebody who is nobody yet.
    pub fn nobody(at: i64) -> Self {
        Self {
            at,
            actor: None,
            face: None,
            request: None,
        }
    }
}

/// Who is written into the audit trail. No user's id has a colon in it.
pub(crate) fn actor(principal: &Principal) -> Option<String> {
    match principal {
        Principal::User(id) => Some(id.to_string()),
        Principal::Share { share, .. } => Some(format!("share:{share}")),
        Principal::Anonymous => None,
        Principal::Operator => Some("operator".into()),
    }
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Audited<'a> {
    /// A dotted name, such as `binding.create`.
    pub action: &'a str,
    /// To what: an id, a name.
    pub target: &'a str,
    /// What was there. Never a secret.
    pub before: Option<&'a Json>,
    /// What is there now. Never a secret.
    pub after: Option<&'a Json>,
    /// What whoever did it gives as reason.
    pub why: Option<&'a str>,
}

/// Writes a row.
pub(crate) async fn audit<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    done: Audited<'_>,
) -> Result<(), StoreError> {
    let (before, after) = (
        done.before.map(Json::to_string),
        done.after.map(Json::to_string),
    );
    let sql = "INSERT INTO portreeve_audit (at, actor, face, request, action, target, \"before\", \"after\", why)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction
        .execute(
            sql,
            &[
                by.at.into(),
                by.actor.as_ref().into(),
                by.face.into(),
                by.request.into(),
                done.action.into(),
                done.target.into(),
                before.as_ref().into(),
                after.as_ref().into(),
                done.why.into(),
            ],
        )
        .await?;
    // Whoever seals the trail knows by this that the line is the product's own.
    let sql = format!(
        "INSERT INTO portreeve_audit_unsealed (line) VALUES ({})",
        transaction.dialect().last_number("audit")
    );
    transaction.execute(&sql, &[]).await.map(drop)
}
