//! `/v1/me`: who I am and what I may do, and one's own account. Nobody is somebody here too.

use axum::http::StatusCode;
use portreeve_service::{OwnChange, OwnPassword};

use crate::ask::{Answer, Ask};
use crate::encode::{json, nothing};
use crate::error::{
    BAD_CONDITION, BAD_VALUE, CONFLICT, FORBIDDEN, INCOMPLETE, INVALID, LAST_ADMINISTRATOR,
    NOT_FOUND, POLICY_CHANGED, REFERENCED, UNAUTHENTICATED, UNKNOWN_FIELD, UNKNOWN_ROLE,
    USER_EXISTS, WRONG_CREDENTIALS,
};
use crate::records;
use crate::route::{Route, Rule, delete, get, patch, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/v1/me", "me", Rule::Anybody, show)
            .about("Who I am and what I may do")
            .gives(200, "Me")
            .codes(&[
                &FORBIDDEN,
                &NOT_FOUND,
                &UNKNOWN_ROLE,
                &UNAUTHENTICATED,
                &POLICY_CHANGED,
            ])
            .looks(),
        patch(
            "/v1/me",
            "me.update",
            Rule::May(&["account.update"]),
            update,
        )
        .about("Change one's own account")
        .body(
            "{ username?: text | null, values?: { *: any } | null }",
            r#"{"username":"anna-b"}"#,
        )
        .gives(200, "{ data: Record }")
        .codes(&[
            &INVALID,
            &USER_EXISTS,
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &INCOMPLETE,
            &BAD_CONDITION,
        ])
        .writes(),
        delete(
            "/v1/me",
            "me.delete",
            Rule::May(&["account.delete"]),
            remove,
        )
        .about("End one's own account")
        .body("{ password: text }", r#"{"password":"correct horse"}"#)
        .gives(204, "")
        .codes(&[
            &WRONG_CREDENTIALS,
            &LAST_ADMINISTRATOR,
            &REFERENCED,
            &INVALID,
            &BAD_CONDITION,
        ])
        .writes(),
        post(
            "/v1/me/password",
            "me.password",
            Rule::May(&["account.password"]),
            password,
        )
        .about("Another password for one's own account; all other sessions end")
        .body(
            "{ current: text, new: text }",
            r#"{"current":"correct horse","new":"correct donkey"}"#,
        )
        .gives(204, "")
        .codes(&[&WRONG_CREDENTIALS, &INVALID])
        .writes(),
    ]
}

pub(crate) async fn show(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let sight = ask.sight().await?;
    let portreeve = ask.portreeve();
    Ok(json(portreeve, StatusCode::OK, &portreeve.me(&sight)))
}

pub(crate) async fn update(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    // Nobody has an account to change.
    ask.account().await?;
    let mut body = ask.object(&["username", "values"]).await?;
    let change = &OwnChange {
        username: body.optional_text("username")?,
        attributes: body.map("values")?,
    };
    let portreeve = ask.portreeve();
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.update_own(&caller, change.clone()).await
        })
        .await?;
    Ok(records::record(portreeve, StatusCode::OK, &written))
}

pub(crate) async fn password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let mut body = ask.object(&["current", "new"]).await?;
    let passwords = &OwnPassword {
        current: Some(body.text("current")?),
        new: body.text("new")?,
        keeps: true,
        ends: true,
    };
    let portreeve = ask.portreeve();
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.change_password(&caller, passwords.clone()).await
        })
        .await?;
    Ok(nothing())
}

pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    ask.account().await?;
    let password = &ask.object(&["password"]).await?.text("password")?;
    let portreeve = ask.portreeve();
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.delete_own(&caller, Some(password.clone())).await
        })
        .await?;
    Ok(nothing())
}
