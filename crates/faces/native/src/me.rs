//! `/v1/me`: who I am and what I may do, and one's own account. Nobody is somebody here too.

use axum::http::StatusCode;
use portreeve_service::{OwnChange, OwnPassword};

use crate::ask::{Answer, Ask};
use crate::encode::{json, nothing};
use crate::records;

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

pub(crate) async fn delete(mut ask: Ask) -> Answer {
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
