//! `GET /v1/me`: who I am and what I may do. Nobody is somebody here too.

use axum::http::StatusCode;

use crate::ask::{Answer, Ask};
use crate::encode::json;

pub(crate) async fn show(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let sight = ask.sight().await?;
    let portreeve = ask.portreeve();
    Ok(json(portreeve, StatusCode::OK, &portreeve.me(&sight)))
}
