//! `/v1/users/{user}/bindings` and `/v1/bindings/{id}`: who is bound to what.

use axum::http::StatusCode;
use portreeve_service::{Binding, BoundTo, Rebind};
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::decode::Parameters;
use crate::encode::{data, json, located, nothing};
use crate::error::Failure;

pub(crate) async fn list(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let user = ask.segment("user");
    let bindings = portreeve.user_bindings(&caller, user).await?;
    Ok(data(portreeve, StatusCode::OK, &bindings))
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let known = &[
        "role",
        "profile",
        "restricted_to",
        "from",
        "until",
        "primary",
        "why",
    ];
    let mut body = ask.object(known).await?;
    let to = match (body.optional_text("role")?, body.optional_text("profile")?) {
        (Some(role), None) => BoundTo::Role(role),
        (None, Some(profile)) => BoundTo::Profile(profile),
        _ => {
            return Err(Failure::member(
                "role",
                "or 'profile' must be sent, one of them",
            ));
        }
    };
    let restricted_to = body.optional_texts("restricted_to")?;
    let binding = Binding {
        to,
        restricted_to,
        from: body.moment("from")?.flatten(),
        until: body.moment("until")?.flatten(),
        primary: body.flag("primary")?,
    };
    let why = body.optional_text("why")?;
    let (portreeve, user) = (ask.portreeve(), ask.segment("user"));
    let (binding, why) = (&binding, &why);
    let id = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve
                .bind(&caller, user, binding.clone(), why.clone())
                .await
        })
        .await?;
    let response = json(
        portreeve,
        StatusCode::CREATED,
        &json!({ "data": { "id": id } }),
    );
    Ok(located(response, "/v1/bindings", &[&id]))
}

pub(crate) async fn change(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let mut body = ask.object(&["from", "until", "primary", "why"]).await?;
    let change = Rebind {
        id: ask.segment("id").to_owned(),
        from: body.moment("from")?,
        until: body.moment("until")?,
        primary: body.optional_flag("primary")?,
        why: body.optional_text("why")?,
    };
    let (portreeve, change) = (ask.portreeve(), &change);
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.rebind(&caller, change.clone()).await
        })
        .await?;
    Ok(nothing())
}

pub(crate) async fn delete(ask: Ask) -> Answer {
    let mut parameters = Parameters::read(ask.query(), &["why"])?;
    let why: Option<String> = parameters.take("why").map(Into::into);
    ask.account().await?;
    let (portreeve, id, why) = (ask.portreeve(), ask.segment("id"), &why);
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.unbind(&caller, id, why.clone()).await
        })
        .await?;
    Ok(nothing())
}
