//! `GET /v1/dev/mails`: in development, the mails that would have gone out. There is no such route otherwise.

use axum::http::StatusCode;

use crate::ask::{Answer, Ask};
use crate::encode::data;
use crate::error::Failure;
use crate::error::UNKNOWN_ROUTE;
use crate::route::{Route, Rule, get};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/v1/dev/mails", "dev.mails", Rule::Development, mails)
            .about("The mails that would have gone out")
            .gives(200, "{ data: [DevelopmentMail] }")
            .codes(&[&UNKNOWN_ROUTE]),
    ]
}

pub(crate) async fn mails(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let portreeve = ask.portreeve();
    let mails = portreeve.development_mails().ok_or(Failure::NoRoute)?;
    Ok(data(portreeve, StatusCode::OK, &mails))
}
