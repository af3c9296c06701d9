//! `GET /errors/{code}`: what the `type` of a problem leads to.

use axum::http::StatusCode;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::UNKNOWN_ROUTE;
use crate::error::{CODES, Failure};
use crate::route::{Route, Rule, get};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/errors/{code}", "errors.one", Rule::Anybody, show)
            .about("What an error code means: where the type of a problem leads")
            .gives(
                200,
                "{ code: text, status: integer, title: text, fix: text }",
            )
            .codes(&[&UNKNOWN_ROUTE]),
    ]
}

pub(crate) async fn show(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let code = ask.segment("code");
    let known = CODES
        .iter()
        .find(|known| known.code == code)
        .ok_or(Failure::NoRoute)?;
    let body = json!({
        "code": known.code,
        "status": known.status,
        "title": known.title,
        "fix": known.fix,
    });
    Ok(json(ask.portreeve(), StatusCode::OK, &body))
}
