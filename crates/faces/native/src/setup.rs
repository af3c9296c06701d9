//! `POST /v1/setup`: the first administrator, by the code the server has printed.

use axum::http::StatusCode;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::json;
use crate::error::{INVALID, SETUP_CLOSED, USER_EXISTS, WRONG_SETUP_CODE};
use crate::route::{Route, Rule, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post("/v1/setup", "setup", Rule::Holder("the setup code"), setup)
            .about("Make the first administrator")
            .body(
                "{ code: text, username: text, email?: text | null, password: text }",
                r#"{"code":"k7wm-2hq9-xv3c-p8nd","username":"vera",
                    "email":"vera@school.example","password":"keeps the books"}"#,
            )
            .gives(201, "{ user: Account }")
            .codes(&[&WRONG_SETUP_CODE, &SETUP_CLOSED, &INVALID, &USER_EXISTS])
            .writes(),
    ]
}

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
