//! `GET /errors/{code}`: what the `type` of a problem leads to.

use axum::http::StatusCode;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::{CODES, Failure};

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
