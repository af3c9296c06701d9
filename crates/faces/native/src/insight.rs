//! `POST /v1/who-can` and `GET /v1/users/{user}/rights`.

use axum::http::StatusCode;
use portreeve_service::{MAX_WHO, WhoCanRequest};
use serde_json::Value as Json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::Failure;
use crate::error::{
    BAD_QUERY, INVALID, NOT_FOUND, POLICY_CHANGED, UNKNOWN_ACTION, UNKNOWN_COLLECTION,
    UNKNOWN_FIELD, UNKNOWN_USER,
};
use crate::route::{Route, Rule, get, post};

const DEFAULT_LIMIT: u32 = 100;

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post(
            "/v1/who-can",
            "who-can",
            Rule::May(&["policy.who"]),
            who_can,
        )
        .about("Who can, and through what")
        .body(
            "WhoCanQuestion",
            r#"{"action":"data.read","collection":"grades","key":1}"#,
        )
        .gives(200, "WhoCan")
        .codes(&[
            &NOT_FOUND,
            &UNKNOWN_ACTION,
            &UNKNOWN_COLLECTION,
            &UNKNOWN_FIELD,
            &BAD_QUERY,
            &POLICY_CHANGED,
            &INVALID,
        ]),
        get(
            "/v1/users/{user}/rights",
            "users.rights",
            Rule::MayAny(&["policy.simulate", "policy.explain"]),
            rights,
        )
        .about("What somebody may do, and through what")
        .gives(200, "Rights")
        .codes(&[&UNKNOWN_USER, &POLICY_CHANGED]),
    ]
}

pub(crate) async fn who_can(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let known = &["action", "collection", "key", "field", "limit", "after"];
    let mut body = ask.object(known).await?;
    let limit = match body.take("limit") {
        None | Some(Json::Null) => DEFAULT_LIMIT,
        Some(limit) => limit
            .as_u64()
            .and_then(|limit| u32::try_from(limit).ok())
            .filter(|limit| (1..=MAX_WHO).contains(limit))
            .ok_or(Failure::member("limit", "must be a number from 1 to 1000"))?,
    };
    let request = WhoCanRequest {
        action: body.text("action")?,
        collection: body.optional_text("collection")?,
        key: body.optional_key("key")?,
        field: body.optional_text("field")?,
        limit,
        after: body.optional_text("after")?,
    };
    let portreeve = ask.portreeve();
    let answer = portreeve.who_can(&caller, &request).await?;
    Ok(json(portreeve, StatusCode::OK, &answer))
}

pub(crate) async fn rights(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let rights = portreeve.user_rights(&caller, ask.segment("user")).await?;
    Ok(json(portreeve, StatusCode::OK, &rights))
}
