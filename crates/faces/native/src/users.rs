//! `/v1/users`: accounts. They are read like the records they are, and written by operations of their own under the same
//! rights.

use axum::http::StatusCode;
use portreeve_model::CollectionName;
use portreeve_service::{Eyes, NewUser, ServiceError, UserChange};
use serde_json::{Map, Value as Json};

use crate::ask::{Answer, Ask};
use crate::decode::{LIST, ONE};
use crate::encode::{data, located, nothing};
use crate::error::Failure;
use crate::error::{
    BAD_CONDITION, BAD_QUERY, BAD_VALUE, BEYOND_OWN_RIGHTS, CONFLICT, INCOMPLETE, INVALID,
    LAST_ADMINISTRATOR, REFERENCED, TOO_SLOW, UNKNOWN_FIELD, UNKNOWN_PROFILE, UNKNOWN_ROLE,
    UNKNOWN_USER, USER_EXISTS,
};
use crate::records;
use crate::route::{Route, Rule, delete, get, patch, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/users",
            "users.list",
            Rule::Records("data.read.many", Some("users")),
            list,
        )
        .about("List accounts")
        .query(LIST)
        .gives(200, "{ data: [Record], page: Page }")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_SLOW]),
        post(
            "/v1/users",
            "users.create",
            Rule::Records("data.create.one", Some("users")),
            create,
        )
        .about("Make an account")
        .body(
            "NewAccount",
            r#"{"username":"cleo","password":"cleo-learns-4","roles":["student"]}"#,
        )
        .gives(201, "{ data: { roles: [text], profiles: [text], *: any } }")
        .codes(&[
            &BEYOND_OWN_RIGHTS,
            &INVALID,
            &USER_EXISTS,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &INCOMPLETE,
        ])
        .writes(),
        get(
            "/v1/users/{user}",
            "users.one",
            Rule::Records("data.read.one", Some("users")),
            one,
        )
        .about("One account")
        .query(ONE)
        .gives(200, "{ data: Record }")
        .gives(304, "")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &BAD_CONDITION, &UNKNOWN_USER]),
        patch(
            "/v1/users/{user}",
            "users.update",
            Rule::Records("data.update.one", Some("users")),
            update,
        )
        .about("Change an account")
        .body("AccountChange", r#"{"username":"bo-b","confirmed":true}"#)
        .gives(200, "{ data: Record }")
        .codes(&[
            &BEYOND_OWN_RIGHTS,
            &INVALID,
            &USER_EXISTS,
            &LAST_ADMINISTRATOR,
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &INCOMPLETE,
            &BAD_CONDITION,
            &UNKNOWN_USER,
        ])
        .writes(),
        delete(
            "/v1/users/{user}",
            "users.delete",
            Rule::Records("data.delete.one", Some("users")),
            remove,
        )
        .about("End an account")
        .gives(204, "")
        .codes(&[
            &BEYOND_OWN_RIGHTS,
            &LAST_ADMINISTRATOR,
            &REFERENCED,
            &BAD_CONDITION,
            &UNKNOWN_USER,
        ])
        .writes(),
        post(
            "/v1/users/{user}/password",
            "users.set-password",
            Rule::Records("data.update.one", Some("users")),
            set_password,
        )
        .about("A new password for an account")
        .body("{ password: text }", r#"{"password":"bo-learns-2"}"#)
        .gives(204, "")
        .codes(&[&BEYOND_OWN_RIGHTS, &INVALID, &UNKNOWN_USER])
        .writes(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    records::list_of(ask, users()).await
}

pub(crate) async fn one(ask: Ask) -> Answer {
    let sight = ask.sight().await?;
    let id = named(&ask, &sight).await?;
    records::one_of(&ask, &sight, users(), &id).await
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let known = &[
        "username",
        "email",
        "password",
        "key",
        "status",
        "confirmed",
        "provider",
        "roles",
        "profiles",
        "values",
    ];
    let mut body = ask.object(known).await?;
    let new = &NewUser {
        key: body.optional_text("key")?,
        username: body.optional_text("username")?,
        email: body.optional_text("email")?,
        password: body.optional_text("password")?,
        status: body.optional_text("status")?,
        confirmed: body.optional_flag("confirmed")?,
        provider: body.optional_text("provider")?,
        roles: body.texts("roles")?,
        profiles: body.texts("profiles")?,
        attributes: body.map("values")?,
        ..NewUser::default()
    };
    let portreeve = ask.portreeve();
    let made = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.make_user(&caller, new.clone()).await
        })
        .await?;
    let mut bytes = vec![];
    made.record.write_json(&mut bytes);
    // What was written just now can be read.
    let mut told: Map<String, Json> = serde_json::from_slice(&bytes).unwrap_or_default();
    told.insert("roles".into(), made.view.roles.into());
    told.insert("profiles".into(), made.view.profiles.into());
    let response = data(portreeve, StatusCode::CREATED, &told);
    Ok(located(response, "/v1/users", &[&made.view.id]))
}

pub(crate) async fn update(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    let known = &[
        "username",
        "email",
        "key",
        "status",
        "confirmed",
        "provider",
        "values",
    ];
    let mut body = ask.object(known).await?;
    let change = &UserChange {
        key: body.optional_text("key")?,
        username: body.nullable_text("username")?,
        email: body.nullable_text("email")?,
        status: body.optional_text("status")?,
        confirmed: body.optional_flag("confirmed")?,
        provider: body.optional_text("provider")?,
        attributes: body.map("values")?,
        password: None,
    };
    let (portreeve, ask) = (ask.portreeve(), &ask);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            let id = named(ask, &caller).await?;
            portreeve.update_user(&caller, &id, change.clone()).await
        })
        .await?;
    Ok(records::record(portreeve, StatusCode::OK, &written))
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    let (portreeve, ask) = (ask.portreeve(), &ask);
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            let id = named(ask, &caller).await?;
            portreeve.delete_user(&caller, &id).await
        })
        .await?;
    Ok(nothing())
}

pub(crate) async fn set_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let password = &ask.object(&["password"]).await?.text("password")?;
    let (portreeve, ask) = (ask.portreeve(), &ask);
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            let id = named(ask, &caller).await?;
            portreeve.set_password(&caller, &id, password.clone()).await
        })
        .await
        .map_err(Failure::from)?;
    Ok(nothing())
}

fn users() -> CollectionName {
    CollectionName::main("users")
}

// The account the path names.
async fn named(ask: &Ask, eyes: impl Into<Eyes<'_>>) -> Result<String, ServiceError> {
    ask.portreeve()
        .addressed_user(eyes, ask.segment("user"))
        .await
}
