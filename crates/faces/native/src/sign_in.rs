//! `POST /v1/auth/sign-in` and `POST /v1/auth/sign-out`.

use axum::http::StatusCode;
use portreeve_model::timestamp_text;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::{json, nothing};
use crate::error::Failure;

pub(crate) async fn sign_in(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "password"]).await?;
    let (login, password) = (body.text("login")?, body.text("password")?);
    let signed_in = ask
        .portreeve()
        .sign_in(&login, &password, &ask.facts())
        .await?;
    let body = json!({
        "token": signed_in.token,
        "expires": timestamp_text(signed_in.expires),
        "user": { "id": *signed_in.user },
    });
    Ok(json(ask.portreeve(), StatusCode::OK, &body))
}

pub(crate) async fn sign_out(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let token = ask.token()?.ok_or(Failure::Unauthenticated)?;
    ask.portreeve().sign_out(token).await?;
    Ok(nothing())
}
