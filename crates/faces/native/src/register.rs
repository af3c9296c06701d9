//! `POST /v1/auth/register`: an account for oneself, where that is open.

use axum::http::StatusCode;
use portreeve_service::{NewRegistration, Registered};
use serde_json::json;

use crate::ask::{Answer, Ask, face};
use crate::encode::{data, json};
use crate::error::{
    BAD_VALUE, CONFLICT, FORBIDDEN, INCOMPLETE, INVALID, MAIL_OFF, REGISTRATION_CLOSED,
    UNKNOWN_FIELD, USER_EXISTS,
};
use crate::route::{Route, Rule, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post(
            "/v1/auth/register",
            "auth.register",
            Rule::Anybody,
            register,
        )
        .about("Make an account for oneself, where that is open")
        .body(
            "Registration",
            r#"{"username":"cleo","email":"cleo@school.example","password":"cleo-learns-4"}"#,
        )
        .gives(
            201,
            "{ data: { id: text, username: text | null, email: text | null } }",
        )
        .gives(202, "{ confirmation: 'pending' }")
        .codes(&[
            &REGISTRATION_CLOSED,
            &INVALID,
            &USER_EXISTS,
            &CONFLICT,
            &BAD_VALUE,
            &INCOMPLETE,
            &UNKNOWN_FIELD,
            &FORBIDDEN,
            &MAIL_OFF,
        ])
        .writes(),
    ]
}

pub(crate) async fn register(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let known = &["username", "email", "password", "values"];
    let mut body = ask.object(known).await?;
    let new = NewRegistration {
        username: body.optional_text("username")?,
        email: body.optional_text("email")?,
        password: body.text("password")?,
        attributes: body.map("values")?,
    };
    let caller = ask.caller().await?;
    let portreeve = ask.portreeve();
    match portreeve.register(&caller, &face(), new).await? {
        Registered::Ready(user) => {
            let user = json!({
                "id": user.id,
                "username": user.username,
                "email": user.email,
            });
            Ok(data(portreeve, StatusCode::CREATED, &user))
        }
        // Whether the address was free, its owner alone is told.
        Registered::Pending { .. } => {
            let body = json!({ "confirmation": "pending" });
            Ok(json(portreeve, StatusCode::ACCEPTED, &body))
        }
    }
}
