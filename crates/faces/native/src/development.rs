//! `GET /v1/dev/mails`: in development, the mails that would have gone out. There is no such route otherwise.

use axum::http::StatusCode;

use crate::ask::{Answer, Ask};
use crate::encode::data;
use crate::error::Failure;

pub(crate) async fn mails(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let portreeve = ask.portreeve();
    let mails = portreeve.development_mails().ok_or(Failure::NoRoute)?;
    Ok(data(portreeve, StatusCode::OK, &mails))
}
