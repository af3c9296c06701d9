//! `/v1/users/{user}/bindings` and `/v1/bindings/{id}`: who is bound to what.

use axum::http::StatusCode;
use portreeve_service::{Binding, BoundTo, Rebind};
use serde_json::json;

use crate::ask::{Answer, Ask};
use crate::encode::{data, json, located, nothing};
use crate::error::Failure;
use crate::error::{
    BEYOND_OWN_RIGHTS, BUILT_IN, EXISTS, INVALID, LAST_ADMINISTRATOR, UNAUTHENTICATED,
    UNKNOWN_PROFILE, UNKNOWN_ROLE, UNKNOWN_USER,
};
use crate::route::{Route, Rule, delete, get, patch, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/users/{user}/bindings",
            "bindings.list",
            Rule::Records("data.read.many", Some("bindings")),
            list,
        )
        .about("What somebody is bound to")
        .gives(200, "{ data: [Record] }")
        .codes(&[&UNAUTHENTICATED, &UNKNOWN_USER]),
        post(
            "/v1/users/{user}/bindings",
            "bindings.create",
            Rule::May(&["access.grant"]),
            create,
        )
        .about("Bind somebody to a role or profile")
        .body(
            "NewBinding",
            r#"{"role":"student","until":"2027-01-31T00:00:00Z","why":"for January"}"#,
        )
        .gives(201, "{ data: { id: text } }")
        .codes(&[
            &BEYOND_OWN_RIGHTS,
            &INVALID,
            &EXISTS,
            &BUILT_IN,
            &UNKNOWN_USER,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
            &LAST_ADMINISTRATOR,
        ])
        .writes(),
        patch(
            "/v1/bindings/{id}",
            "bindings.change",
            Rule::May(&["access.grant"]),
            change,
        )
        .about("Other times for a binding, or another place")
        .body("BindingChange", r#"{"until":"2027-06-30T00:00:00Z"}"#)
        .gives(204, "")
        .codes(&[&BEYOND_OWN_RIGHTS, &INVALID, &LAST_ADMINISTRATOR])
        .writes(),
        delete(
            "/v1/bindings/{id}",
            "bindings.delete",
            Rule::May(&["access.revoke"]),
            remove,
        )
        .about("End a binding")
        .query(&["why"])
        .gives(204, "")
        .codes(&[&BEYOND_OWN_RIGHTS, &INVALID, &LAST_ADMINISTRATOR])
        .writes(),
    ]
}

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

pub(crate) async fn remove(ask: Ask) -> Answer {
    let mut parameters = ask.parameters()?;
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
