//! `/v1/users`: accounts, for administrators.

use axum::http::StatusCode;
use portreeve_service::NewUser;
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::decode::Parameters;
use crate::encode::{data, json, located, nothing};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1_000;

pub(crate) async fn list(ask: Ask) -> Answer {
    let mut parameters = Parameters::read(ask.query(), &["limit", "after"])?;
    let limit = parameters.take_number("limit", MAX_LIMIT.into())?;
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| {
        u32::try_from(limit).unwrap_or(MAX_LIMIT).max(1)
    });
    let after = parameters.take_number("after", i64::MAX.unsigned_abs())?;
    let after = after.and_then(|after| i64::try_from(after).ok());
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    // One more, to know whether there are more.
    let mut users = portreeve.list_users(&caller, limit + 1, after).await?;
    let more = users.len() > limit as usize;
    users.truncate(limit as usize);
    let next = users
        .last()
        .filter(|_| more)
        .map(|user| user.number.to_string());
    let body = json!({
        "data": users,
        "page": { "limit": limit, "more": more, "next": next },
    });
    Ok(json(portreeve, StatusCode::OK, &body))
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let known = &[
        "username", "email", "password", "key", "roles", "profiles", "values",
    ];
    let mut body = ask.object(known).await?;
    let new = NewUser {
        key: body.optional_text("key")?,
        username: body.optional_text("username")?,
        email: body.optional_text("email")?,
        password: body.optional_text("password")?,
        roles: body.texts("roles")?,
        profiles: body.texts("profiles")?,
        attributes: body.map("values")?,
        past: None,
    };
    let portreeve = ask.portreeve();
    let user = portreeve.create_user(&caller, new).await?;
    let response = data(portreeve, StatusCode::CREATED, &user);
    // An account is a record too; this is where its other columns are.
    Ok(located(response, "/v1/records/users", &[&user.id]))
}

pub(crate) async fn set_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let password = ask.object(&["password"]).await?.text("password")?;
    let user = ask.segment("user");
    ask.portreeve()
        .set_password(&caller, user, password)
        .await?;
    Ok(nothing())
}
