//! Ways in by mail: `POST /v1/auth/forgot-password`, `reset-password`, `send-confirmation`, `confirm`,
//! `accept-invitation`, and `POST /v1/me/email`. Whoever asks for a mail is answered the same whoever he names.

use crate::ask::{Answer, Ask};
use crate::encode::{accepted, nothing};

pub(crate) async fn forgot_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "link"]).await?;
    let (login, link) = (body.text("login")?, body.optional_text("link")?);
    let portreeve = ask.portreeve();
    portreeve.forgot_password(&login, link.as_deref()).await?;
    Ok(accepted())
}

pub(crate) async fn reset_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password"]).await?;
    let (code, password) = (body.text("code")?, body.text("password")?);
    ask.portreeve().reset_password(&code, password).await?;
    Ok(nothing())
}

pub(crate) async fn send_confirmation(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "link"]).await?;
    let (login, link) = (body.text("login")?, body.optional_text("link")?);
    let portreeve = ask.portreeve();
    portreeve.send_confirmation(&login, link.as_deref()).await?;
    Ok(accepted())
}

pub(crate) async fn confirm(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password"]).await?;
    let (code, password) = (body.text("code")?, body.optional_text("password")?);
    ask.portreeve().confirm_with(&code, password).await?;
    Ok(nothing())
}

pub(crate) async fn accept_invitation(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password", "username"]).await?;
    let (code, password) = (body.text("code")?, body.text("password")?);
    let username = body.optional_text("username")?;
    let portreeve = ask.portreeve();
    portreeve
        .accept_invitation(&code, password, username)
        .await?;
    Ok(nothing())
}

pub(crate) async fn change_email(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let mut body = ask.object(&["email", "password", "link"]).await?;
    let (email, password) = (body.text("email")?, body.text("password")?);
    let link = body.optional_text("link")?;
    let portreeve = ask.portreeve();
    portreeve
        .change_email(&caller, &email, password, link.as_deref())
        .await?;
    Ok(accepted())
}
