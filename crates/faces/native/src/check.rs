//! `POST /v1/check` and `POST /v1/explain`: whether, and why.

use axum::http::StatusCode;
use portreeve_service::CheckRequest;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::decode::Object;
use crate::encode::json;
use crate::error::Failure;
use crate::error::{
    BAD_QUERY, BAD_VALUE, FORBIDDEN, NOT_FOUND, POLICY_CHANGED, UNAUTHENTICATED, UNKNOWN_ACTION,
    UNKNOWN_COLLECTION, UNKNOWN_FIELD, UNKNOWN_USER,
};
use crate::route::{Route, Rule, post};

const CHECK: &[&str] = &["subject", "action", "collection", "key", "send"];
const EXPLAIN: &[&str] = &["decision", "subject", "action", "collection", "key", "send"];

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post("/v1/check", "check", Rule::Anybody, check)
            .about("May I? About others with policy.simulate")
            .body(
                "Question",
                r#"{"action":"data.read","collection":"grades","key":1}"#,
            )
            .gives(200, "Decision")
            .codes(&[
                &UNAUTHENTICATED,
                &FORBIDDEN,
                &NOT_FOUND,
                &UNKNOWN_ACTION,
                &UNKNOWN_COLLECTION,
                &UNKNOWN_FIELD,
                &UNKNOWN_USER,
                &BAD_VALUE,
                &POLICY_CHANGED,
                &BAD_QUERY,
            ])
            .denied_as("policy.simulate"),
        post(
            "/v1/explain",
            "explain",
            Rule::May(&["policy.explain"]),
            explain,
        )
        .about("Why, or why not; what a decision id stands for")
        .body(
            "ExplainQuestion",
            r#"{"subject":"user:bo","action":"data.read","collection":"grades","key":1}"#,
        )
        .gives(200, "Explained | ExplainedDecision")
        .codes(&[
            &NOT_FOUND,
            &UNKNOWN_ACTION,
            &UNKNOWN_COLLECTION,
            &UNKNOWN_FIELD,
            &UNKNOWN_USER,
            &BAD_VALUE,
            &POLICY_CHANGED,
            &BAD_QUERY,
        ]),
    ]
}

pub(crate) async fn check(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.caller().await?;
    let question = question(ask.object(CHECK).await?)?;
    // Without this, nobody could be told apart from somebody who may not ask about others.
    if question.subject.is_some() && caller.user().is_none() {
        return Err(Failure::Unauthenticated);
    }
    let portreeve = ask.portreeve();
    let answer = portreeve.check(&caller, &question).await?;
    let mut body = json!({
        "decision": if answer.allowed { "allow" } else { "deny" },
        "policy_version": answer.policy_version,
    });
    if let Some(limited) = answer.limited {
        body["limited"] = limited.into();
    }
    Ok(json(portreeve, StatusCode::OK, &body))
}

pub(crate) async fn explain(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let mut body = ask.object(EXPLAIN).await?;
    if let Some(id) = body.optional_text("decision")? {
        // It says all that the others would.
        if let Some(name) = EXPLAIN[1..].iter().find(|name| body.has(name)) {
            return Err(Failure::member(name, "cannot be sent with a decision"));
        }
        let portreeve = ask.portreeve();
        let explained = portreeve.explain_decision(&caller, &id).await?;
        return Ok(json(portreeve, StatusCode::OK, &explained));
    }
    let question = question(body)?;
    let portreeve = ask.portreeve();
    let explained = portreeve.explain(&caller, &question).await?;
    Ok(json(portreeve, StatusCode::OK, &explained))
}

fn question(mut body: Object) -> Result<CheckRequest, Failure> {
    let question = CheckRequest {
        subject: body.optional_text("subject")?,
        action: body.text("action")?,
        collection: body.optional_text("collection")?,
        key: body.optional_key("key")?,
        send: body.optional_map("send")?,
    };
    if question.collection.is_none() && (question.key.is_some() || question.send.is_some()) {
        return Err(Failure::member(
            "collection",
            "is missing; a key and what is sent belong to one",
        ));
    }
    Ok(question)
}
