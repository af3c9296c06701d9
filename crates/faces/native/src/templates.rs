//! `/v1/templates`: the words of mails.

use axum::http::StatusCode;
use portreeve_service::NewTemplate;

use crate::ask::{Answer, Ask};
use crate::encode::{data, nothing};

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

pub(crate) async fn put(mut ask: Ask) -> Answer {
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

pub(crate) async fn delete(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    ask.portreeve()
        .remove_template(&caller, ask.segment("template"))
        .await?;
    Ok(nothing())
}
