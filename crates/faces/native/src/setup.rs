//! `POST /v1/setup`: the first administrator, by the code the server has printed.

use axum::http::StatusCode;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;

pub(crate) async fn setup(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask
        .object(&["code", "username", "email", "password"])
        .await?;
    let (code, username) = (body.text("code")?, body.text("username")?);
    let (email, password) = (body.optional_text("email")?, body.text("password")?);
    let portreeve = ask.portreeve();
    let user = portreeve
        .setup(&code, &username, email.as_deref(), &password)
        .await?;
    Ok(json(
        portreeve,
        StatusCode::CREATED,
        &json!({ "user": user }),
    ))
}
