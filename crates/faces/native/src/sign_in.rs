//! `POST /v1/auth/sign-in`, `POST /v1/auth/refresh` and `POST /v1/auth/sign-out`.

use axum::http::{StatusCode, header};
use axum::response::Response;
use portreeve_http::check_site;
use portreeve_model::{MICROS, timestamp_text};
use portreeve_service::{How, Mode, Portreeve, SignedIn};
use serde_json::{Value as Json, json};

use crate::ask::{Answer, Ask, cookie, told, with_cookie};
use crate::encode::{json, nothing};
use crate::error::Failure;
use crate::error::{CROSS_SITE, INVALID_TOKEN, SETUP_REQUIRED, WRONG_CREDENTIALS};
use crate::route::{Route, Rule, post};

// By what a session is held, as the body says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Token,
    Refresh,
    Cookie,
}

fn held(mode: Option<&str>) -> Result<Held, Failure> {
    match mode {
        None | Some("token") => Ok(Held::Token),
        Some("refresh") => Ok(Held::Refresh),
        Some("cookie") => Ok(Held::Cookie),
        Some(_) => Err(Failure::member(
            "mode",
            "must be 'token', 'refresh' or 'cookie'",
        )),
    }
}

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        post(
            "/v1/auth/sign-in",
            "auth.sign-in",
            Rule::Holder("name and password"),
            sign_in,
        )
        .about("Begin a session")
        .body(
            "{ login: text, password: text, mode?: 'token' | 'refresh' | 'cookie' | \
                 null }",
            r#"{"login":"anna","password":"correct horse"}"#,
        )
        .gives(200, "SignedIn")
        .codes(&[&WRONG_CREDENTIALS, &CROSS_SITE, &SETUP_REQUIRED])
        .throttled("sign-in")
        .writes(),
        post(
            "/v1/auth/refresh",
            "auth.refresh",
            Rule::Holder("a refresh token"),
            refresh,
        )
        .about("The next token for a refresh token, which is used up")
        .body(
            "{ refresh_token: text }",
            r#"{"refresh_token":"prr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        )
        .gives(200, "SignedIn")
        .codes(&[&INVALID_TOKEN, &SETUP_REQUIRED])
        .writes(),
        post(
            "/v1/auth/sign-out",
            "auth.sign-out",
            Rule::SignedIn,
            sign_out,
        )
        .about("End the session")
        .gives(204, "")
        .writes(),
    ]
}

pub(crate) async fn sign_in(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["login", "password", "mode"]).await?;
    let (login, password) = (body.text("login")?, body.text("password")?);
    let held = held(body.optional_text("mode")?.as_deref())?;
    if held == Held::Cookie && comes_from_a_page(&ask) {
        // Nobody is signed in as somebody else by another site's page.
        check_site(ask.headers())?;
    }
    let facts = ask.facts();
    let how = How {
        mode: match held {
            Held::Refresh => Mode::Refresh,
            Held::Token | Held::Cookie => Mode::Token,
        },
        agent: agent(&ask),
        ..How::default()
    };
    let portreeve = ask.portreeve();
    let signed_in = portreeve.sign_in_as(&login, &password, &how, &facts).await;
    let mut response = match signed_in {
        Ok(signed_in) if held == Held::Cookie => {
            let body = told_of(&signed_in, false);
            let seconds = (signed_in.expires - portreeve.now()) / MICROS;
            let cookie = cookie(portreeve.development()).set(&signed_in.token, seconds);
            with_cookie(json(portreeve, StatusCode::OK, &body), cookie)
        }
        Ok(signed_in) => answer(portreeve, &signed_in),
        Err(error) => ask.fail(error.into()).await,
    };
    if let Some(budget) = portreeve.sign_in_budget(&login, facts.ip) {
        told(&budget).tell(&mut response);
    }
    Ok(response)
}

pub(crate) async fn refresh(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let token = ask
        .object(&["refresh_token"])
        .await?
        .text("refresh_token")?;
    let signed_in = ask
        .portreeve()
        .refresh(&token, &How::default(), &ask.facts())
        .await?;
    Ok(answer(ask.portreeve(), &signed_in))
}

pub(crate) async fn sign_out(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let token = ask.token()?.ok_or(Failure::Unauthenticated)?;
    ask.portreeve().sign_out(token, &ask.facts()).await?;
    if ask.headers().contains_key(header::AUTHORIZATION) {
        return Ok(nothing());
    }
    let cleared = cookie(ask.portreeve().development()).clear();
    Ok(with_cookie(nothing(), cleared))
}

fn answer(portreeve: &Portreeve, signed_in: &SignedIn) -> Response {
    json(portreeve, StatusCode::OK, &told_of(signed_in, true))
}

// A token that is in a cookie is nowhere else: what a script can read, a script can send away.
fn told_of(signed_in: &SignedIn, with_token: bool) -> Json {
    let mut body = serde_json::Map::new();
    if with_token {
        body.insert("token".into(), signed_in.token.as_str().into());
    }
    body.insert("expires".into(), timestamp_text(signed_in.expires).into());
    if let Some(refresh) = &signed_in.refresh {
        let expires = timestamp_text(refresh.expires);
        body.insert("refresh_token".into(), refresh.token.as_str().into());
        body.insert("refresh_expires".into(), expires.into());
    }
    body.insert("session".into(), json!({ "id": *signed_in.session }));
    body.insert("user".into(), json!({ "id": *signed_in.user }));
    body.into()
}

fn agent(ask: &Ask) -> Option<&str> {
    let agent = ask.headers().get(header::USER_AGENT)?;
    agent.to_str().ok()
}

fn comes_from_a_page(ask: &Ask) -> bool {
    let headers = ask.headers();
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}
