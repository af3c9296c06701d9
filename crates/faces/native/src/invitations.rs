//! `POST /v1/invitations`: somebody is asked to come in.

use axum::http::StatusCode;
use portreeve_service::Invitation;

use crate::ask::{Answer, Ask};
use crate::encode::{data, located};
use crate::error::{
    BAD_VALUE, CONFLICT, INCOMPLETE, INVALID, MAIL_OFF, UNKNOWN_FIELD, UNKNOWN_PROFILE,
    UNKNOWN_ROLE, USER_EXISTS,
};
use crate::route::{Route, Rule, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post(
            "/v1/invitations",
            "invitations.create",
            Rule::Administrator,
            create,
        )
        .about("Invite somebody")
        .body(
            "Invitation",
            r#"{"email":"dora@home.example","roles":["student"]}"#,
        )
        .gives(201, "{ data: Account }")
        .codes(&[
            &INVALID,
            &MAIL_OFF,
            &USER_EXISTS,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &INCOMPLETE,
        ])
        .writes(),
    ]
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let known = &["email", "roles", "profiles", "values", "link"];
    let mut body = ask.object(known).await?;
    let invitation = Invitation {
        email: body.text("email")?,
        roles: body.texts("roles")?,
        profiles: body.texts("profiles")?,
        attributes: body.map("values")?,
        link: body.optional_text("link")?,
    };
    let portreeve = ask.portreeve();
    let user = portreeve.invite(&caller, invitation).await?;
    let response = data(portreeve, StatusCode::CREATED, &user);
    Ok(located(response, "/v1/records/users", &[&user.id]))
}
