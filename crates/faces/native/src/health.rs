//! `GET /healthz`: whether the server answers. Says nothing else, since anybody may ask.

use portreeve_http::bytes_response;

use axum::http::StatusCode;

use crate::ask::{Answer, Ask};

pub(crate) async fn show(ask: Ask) -> Answer {
    ask.no_parameters()?;
    Ok(bytes_response(
        StatusCode::OK,
        "application/json",
        "{\"status\":\"ok\"}",
    ))
}
