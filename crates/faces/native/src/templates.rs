//! `/v1/templates`: the words of mails.

use axum::http::StatusCode;
use portreeve_service::NewTemplate;

use crate::ask::{Answer, Ask};
use crate::encode::{data, nothing};
use crate::error::INVALID;
use crate::route::{Route, Rule, delete, get, put};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/templates",
            "templates.list",
            Rule::May(&["server.settings"]),
            list,
        )
        .about("The words of mails")
        .gives(200, "{ data: [Template] }"),
        get(
            "/v1/templates/{template}",
            "templates.one",
            Rule::May(&["server.settings"]),
            one,
        )
        .about("The words of one kind of mail")
        .gives(200, "{ data: Template }"),
        put(
            "/v1/templates/{template}",
            "templates.put",
            Rule::Administrator,
            put_template,
        )
        .about("Own words for a kind of mail")
        .body(
            "{ subject: text, text: text, html?: text | null }",
            r#"{"subject":"A new password","text":"Your code is {{code}}. {{link}}"}"#,
        )
        .gives(200, "{ data: Template }")
        .codes(&[&INVALID])
        .writes(),
        delete(
            "/v1/templates/{template}",
            "templates.delete",
            Rule::Administrator,
            remove,
        )
        .about("Back to the built-in words")
        .gives(204, "")
        .writes(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let templates = portreeve.templates(&caller).await?;
    Ok(data(portreeve, StatusCode::OK, &templates))
}

pub(crate) async fn one(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let template = portreeve.template(&caller, ask.segment("template")).await?;
    Ok(data(portreeve, StatusCode::OK, &template))
}

pub(crate) async fn put_template(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let mut body = ask.object(&["subject", "text", "html"]).await?;
    let new = NewTemplate {
        subject: body.text("subject")?,
        text: body.text("text")?,
        html: body.optional_text("html")?,
    };
    let portreeve = ask.portreeve();
    let template = portreeve
        .set_template(&caller, ask.segment("template"), new)
        .await?;
    Ok(data(portreeve, StatusCode::OK, &template))
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    ask.portreeve()
        .remove_template(&caller, ask.segment("template"))
        .await?;
    Ok(nothing())
}
