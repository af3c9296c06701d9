//! `POST /v1/invitations`: somebody is asked to come in.

use axum::http::StatusCode;
use portreeve_service::Invitation;

use crate::ask::{Answer, Ask};
use crate::encode::{data, located};

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
