//! `/v1/access`: the access document in force, what another one would change, and putting it in force.

use axum::http::StatusCode;
use portreeve_http::bytes_response;
use portreeve_service::{Caller, Document, Portreeve, ServiceError};
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::Failure;
use crate::error::{
    BAD_CHANGE, BAD_POLICY, CONFLICT, DROPS_UNCONFIRMED, HELD, LAST_ADMINISTRATOR, NAMED_BY_POLICY,
    REFERENCED,
};
use crate::route::{Route, Rule, get, post};

/// What problems call the document.
const BODY: &str = "request body";

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/access",
            "access.show",
            Rule::May(&["policy.plan"]),
            show,
        )
        .about("The access document in force")
        .query(&["bindings"])
        .gives_as(200, "application/yaml"),
        post(
            "/v1/access/plan",
            "access.plan",
            Rule::May(&["policy.plan"]),
            plan,
        )
        .about("What another access document would change")
        .document(
            r#"{"collections":{"courses":{"key":{"id":"integer"},"fields":{"title":"text"}}}}"#,
        )
        .gives(
            200,
            "{ planned_on: integer, changes: [PolicyChange], drops: [Dropped], people: [PolicyEffect] }",
        )
        .codes(&[&BAD_POLICY, &BAD_CHANGE, &NAMED_BY_POLICY, &HELD]),
        post(
            "/v1/access/apply",
            "access.apply",
            Rule::May(&["policy.apply", "policy.plan", "data.schema.sync"]),
            apply,
        )
        .about("Put another access document in force")
        .query(&["confirm_drops"])
        .document(
            r#"{"collections":{"courses":{"key":{"id":"integer"},"fields":{"title":"text"}}}}"#,
        )
        .gives(
            200,
            "{ changed: flag, policy_version: integer, changes: [PolicyChange], people: [PolicyEffect] }",
        )
        .codes(&[
            &BAD_POLICY,
            &BAD_CHANGE,
            &NAMED_BY_POLICY,
            &HELD,
            &DROPS_UNCONFIRMED,
            &LAST_ADMINISTRATOR,
            &CONFLICT,
            &REFERENCED,
        ])
        .writes(),
    ]
}

pub(crate) async fn show(ask: Ask) -> Answer {
    let mut parameters = ask.parameters()?;
    let bindings = parameters.take_flag("bindings")?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let document = if bindings {
        portreeve.document_with_bindings(&caller).await?
    } else {
        portreeve.document(&caller).await?
    };
    let yaml = document.to_yaml();
    Ok(bytes_response(StatusCode::OK, "application/yaml", yaml))
}

pub(crate) async fn plan(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let (caller, document) = sent(&mut ask).await?;
    let portreeve = ask.portreeve();
    let plan = portreeve.plan(&caller, &document).await?;
    Ok(json(portreeve, StatusCode::OK, &plan.to_review()))
}

pub(crate) async fn apply(mut ask: Ask) -> Answer {
    let mut parameters = ask.parameters()?;
    let confirm_drops = parameters.take_flag("confirm_drops")?;
    let (caller, document) = sent(&mut ask).await?;
    let portreeve = ask.portreeve();
    let body = match put(portreeve, &caller, &document, confirm_drops).await {
        // Somebody else was faster: what was planned against the version before is planned again, once.
        Err(ServiceError::PolicyChanged) => {
            let caller = ask.account().await?;
            put(portreeve, &caller, &document, confirm_drops).await?
        }
        other => other?,
    };
    Ok(json(portreeve, StatusCode::OK, &body))
}

async fn put(
    portreeve: &Portreeve,
    caller: &Caller,
    document: &Document,
    confirm_drops: bool,
) -> Result<serde_json::Value, ServiceError> {
    let plan = portreeve.plan(caller, document).await?;
    let (changes, people) = (plan.changes.clone(), plan.people.clone());
    let applied = portreeve.apply(caller, plan, confirm_drops).await?;
    Ok(json!({
        "changed": applied.changed,
        "policy_version": applied.version,
        "changes": changes,
        "people": people,
    }))
}

async fn sent(ask: &mut Ask) -> Result<(Caller, Document), Failure> {
    let caller = ask.account().await?;
    // Whoever may not plan is told so before we read what he sends.
    ask.portreeve().may_plan(&caller)?;
    let text = ask.document().await?;
    let document = Document::read(BODY, &text).map_err(ServiceError::BadPolicy)?;
    Ok((caller, document))
}
