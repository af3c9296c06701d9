//! Ways in by mail: `POST /v1/auth/forgot-password`, `reset-password`, `send-confirmation`, `confirm`,
//! `accept-invitation`, and `POST /v1/me/email`. Whoever asks for a mail is answered the same whoever he names.

use crate::ask::{Answer, Ask};
use crate::encode::{accepted, nothing};
use crate::error::{
    INVALID, INVALID_CODE, MAIL_OFF, SETUP_REQUIRED, USER_EXISTS, WRONG_CREDENTIALS,
};
use crate::route::{Route, Rule, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post(
            "/v1/auth/forgot-password",
            "auth.forgot-password",
            Rule::Anybody,
            forgot_password,
        )
        .about("Have a code for a new password sent, to whoever it is")
        .body(
            "{ login: text, link?: text | null }",
            r#"{"login":"anna@school.example"}"#,
        )
        .gives(202, "")
        .codes(&[&INVALID, &MAIL_OFF])
        .writes(),
        post(
            "/v1/auth/reset-password",
            "auth.reset-password",
            Rule::Holder("the code"),
            reset_password,
        )
        .about("Set a new password by a code")
        .body(
            "{ code: text, password: text }",
            r#"{"code":"prc_AAAAAAAAAAAAAAAAAAAAAA","password":"anna-learns-2"}"#,
        )
        .gives(204, "")
        .codes(&[&INVALID_CODE, &INVALID, &MAIL_OFF, &SETUP_REQUIRED])
        .writes(),
        post(
            "/v1/auth/send-confirmation",
            "auth.send-confirmation",
            Rule::Anybody,
            send_confirmation,
        )
        .about("Have a code sent that confirms an address")
        .body(
            "{ login: text, link?: text | null }",
            r#"{"login":"anna@school.example"}"#,
        )
        .gives(202, "")
        .codes(&[&INVALID, &MAIL_OFF])
        .writes(),
        post(
            "/v1/auth/confirm",
            "auth.confirm",
            Rule::Holder("the code"),
            confirm,
        )
        .about("Confirm an address, or put a new one in its place")
        .body(
            "{ code: text, password?: text | null }",
            r#"{"code":"prc_AAAAAAAAAAAAAAAAAAAAAA"}"#,
        )
        .gives(204, "")
        .codes(&[
            &INVALID_CODE,
            &INVALID,
            &USER_EXISTS,
            &MAIL_OFF,
            &SETUP_REQUIRED,
        ])
        .writes(),
        post(
            "/v1/auth/accept-invitation",
            "auth.accept-invitation",
            Rule::Holder("the code"),
            accept_invitation,
        )
        .about("Come in")
        .body(
            "{ code: text, password: text, username?: text | null }",
            r#"{"code":"prc_AAAAAAAAAAAAAAAAAAAAAA","password":"dora-learns-1",
                    "username":"dora"}"#,
        )
        .gives(204, "")
        .codes(&[
            &INVALID_CODE,
            &INVALID,
            &USER_EXISTS,
            &MAIL_OFF,
            &SETUP_REQUIRED,
        ])
        .writes(),
        post(
            "/v1/me/email",
            "me.change-email",
            Rule::May(&["account.update"]),
            change_email,
        )
        .about("Ask for another address for one's own account")
        .body(
            "{ email: text, password: text, link?: text | null }",
            r#"{"email":"anna@home.example","password":"correct horse"}"#,
        )
        .gives(202, "")
        .codes(&[&WRONG_CREDENTIALS, &INVALID, &MAIL_OFF])
        .writes(),
    ]
}

pub(crate) async fn forgot_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "link"]).await?;
    let (login, link) = (body.text("login")?, body.optional_text("link")?);
    let portreeve = ask.portreeve();
    let facts = ask.facts();
    portreeve
        .forgot_password(&login, link.as_deref(), &facts)
        .await?;
    Ok(accepted())
}

pub(crate) async fn reset_password(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password"]).await?;
    let (code, password) = (body.text("code")?, body.text("password")?);
    let facts = ask.facts();
    ask.portreeve()
        .reset_password(&code, password, &facts)
        .await?;
    Ok(nothing())
}

pub(crate) async fn send_confirmation(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "link"]).await?;
    let (login, link) = (body.text("login")?, body.optional_text("link")?);
    let portreeve = ask.portreeve();
    let facts = ask.facts();
    portreeve
        .send_confirmation(&login, link.as_deref(), &facts)
        .await?;
    Ok(accepted())
}

pub(crate) async fn confirm(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password"]).await?;
    let (code, password) = (body.text("code")?, body.optional_text("password")?);
    let facts = ask.facts();
    ask.portreeve()
        .confirm_with(&code, password, &facts)
        .await?;
    Ok(nothing())
}

pub(crate) async fn accept_invitation(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["code", "password", "username"]).await?;
    let (code, password) = (body.text("code")?, body.text("password")?);
    let username = body.optional_text("username")?;
    let portreeve = ask.portreeve();
    portreeve
        .accept_invitation(&code, password, username, &ask.facts())
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
