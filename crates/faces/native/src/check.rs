//! `POST /v1/check` and `POST /v1/explain`: whether, and why.

use axum::http::StatusCode;
use portreeve_service::CheckRequest;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::Failure;

pub(crate) async fn check(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.caller().await?;
    let question = question(&mut ask).await?;
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
    let question = question(&mut ask).await?;
    let portreeve = ask.portreeve();
    let explained = portreeve.explain(&caller, &question).await?;
    Ok(json(portreeve, StatusCode::OK, &explained))
}

async fn question(ask: &mut Ask) -> Result<CheckRequest, Failure> {
    let known = &["subject", "action", "collection", "key", "send"];
    let mut body = ask.object(known).await?;
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
