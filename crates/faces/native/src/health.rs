//! `GET /healthz`: whether the server answers. Says nothing else, since anybody may ask.

use portreeve_http::bytes_response;

use axum::http::StatusCode;

use crate::ask::{Answer, Ask};
use crate::route::{Route, Rule, get};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/healthz", "health", Rule::Anybody, show)
            .about("Whether the server answers")
            .gives(200, "{ status: 'ok' }"),
    ]
}

pub(crate) async fn show(ask: Ask) -> Answer {
    ask.no_parameters()?;
    Ok(bytes_response(
        StatusCode::OK,
        "application/json",
        "{\"status\":\"ok\"}",
    ))
}
