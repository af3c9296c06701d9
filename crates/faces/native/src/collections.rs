//! `/v1/collections` and `/v1/collections/{name}`: what there is, and, for administrators, how it changes.

use axum::http::StatusCode;
use axum::response::Response;
use portreeve_model::CollectionName;
use portreeve_service::{AlterCollection, Applied, Portreeve};
use serde_json::{Value as Json, json};

use crate::ask::{Answer, Ask};
use crate::decode::Object;
use crate::encode::{data, json, located, nothing};
use crate::error::Failure;
use crate::error::{
    BAD_CHANGE, BAD_POLICY, DROPS_UNCONFIRMED, EXISTS, FORBIDDEN, NAMED_BY_POLICY, NOT_FOUND,
    POLICY_CHANGED, UNAUTHENTICATED, UNKNOWN_COLLECTION, UNKNOWN_FIELD, UNKNOWN_ROLE,
};
use crate::route::{Route, Rule, delete, get, patch, post};

/// More changes at once are no change but another policy: apply that.
const MAX_CHANGES: usize = 100;

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/v1/collections", "collections.list", Rule::Anybody, list)
            .about("The collections there are for whoever asks")
            .gives(200, "{ data: [Collection] }")
            .codes(&[
                &UNAUTHENTICATED,
                &FORBIDDEN,
                &NOT_FOUND,
                &UNKNOWN_ROLE,
                &POLICY_CHANGED,
            ])
            .looks(),
        post(
            "/v1/collections",
            "collections.create",
            Rule::May(&["policy.apply", "policy.plan", "data.schema.sync"]),
            create,
        )
        .about("Make a collection")
        .body(
            "NewCollection",
            r#"{"name":"library/books","key":{"id":"integer"},
                    "fields":{"title":{"type":"text","required":true},"lent_to":{"to":"users"}}}"#,
        )
        .gives(
            201,
            "{ collection: text, changed: flag, policy_version: integer }",
        )
        .codes(&[&EXISTS, &BAD_POLICY, &BAD_CHANGE])
        .writes(),
        get(
            "/v1/collections/{collection}",
            "collections.one",
            Rule::Anybody,
            one,
        )
        .about("One collection, as whoever asks knows it")
        .gives(200, "{ data: Collection }")
        .codes(&[&UNAUTHENTICATED, &FORBIDDEN, &UNKNOWN_ROLE, &POLICY_CHANGED])
        .looks(),
        patch(
            "/v1/collections/{collection}",
            "collections.alter",
            Rule::May(&["policy.apply", "policy.plan", "data.schema.sync"]),
            alter,
        )
        .about("Change a collection: all changes or none")
        .body(
            "CollectionChanges",
            r#"{"changes":[{"change":"add_field","name":"pages","field":"integer"}]}"#,
        )
        .gives(
            200,
            "{ collection: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &UNKNOWN_COLLECTION,
            &UNKNOWN_FIELD,
            &BAD_POLICY,
            &BAD_CHANGE,
            &NAMED_BY_POLICY,
            &DROPS_UNCONFIRMED,
            &EXISTS,
        ])
        .writes(),
        delete(
            "/v1/collections/{collection}",
            "collections.delete",
            Rule::May(&["policy.apply", "policy.plan", "data.schema.sync"]),
            remove,
        )
        .about("Drop a collection and its records")
        .query(&["confirm_drops"])
        .gives(204, "")
        .codes(&[
            &UNKNOWN_COLLECTION,
            &BAD_POLICY,
            &BAD_CHANGE,
            &NAMED_BY_POLICY,
            &DROPS_UNCONFIRMED,
        ])
        .writes(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let sight = ask.sight().await?;
    let portreeve = ask.portreeve();
    let views = portreeve.collections(&sight);
    Ok(data(portreeve, StatusCode::OK, &views))
}

pub(crate) async fn one(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let name = ask.collection()?;
    let sight = ask.sight().await?;
    let portreeve = ask.portreeve();
    let view = portreeve.collection(&sight, &name)?;
    Ok(data(portreeve, StatusCode::OK, &view))
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let Json::Object(mut definition) = ask.json().await? else {
        return Err(Failure::member("body", "must be a JSON object"));
    };
    let name = match definition.shift_remove("name") {
        Some(Json::String(name)) => name,
        _ => return Err(Failure::member("name", "is missing; send a text")),
    };
    // The rest is a collection as the access file has it.
    let parsed = CollectionName::parse(&name);
    let name = parsed.map_err(|error| Failure::Member("name".into(), error.0.into()))?;
    let portreeve = ask.portreeve();
    let applied = portreeve
        .create_collection(&caller, &name, &Json::Object(definition))
        .await?;
    let response = changed(portreeve, StatusCode::CREATED, &name, applied);
    Ok(located(response, "/v1/collections", &[&name.to_string()]))
}

pub(crate) async fn alter(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let name = ask.collection()?;
    let caller = ask.account().await?;
    let mut body = ask.object(&["changes", "confirm_drops"]).await?;
    let confirm_drops = body.flag("confirm_drops")?;
    let changes = changes(&mut body)?;
    let portreeve = ask.portreeve();
    let applied = portreeve
        .alter_collection(&caller, &name, &changes, confirm_drops)
        .await?;
    Ok(changed(portreeve, StatusCode::OK, &name, applied))
}

fn changes(body: &mut Object) -> Result<Vec<AlterCollection>, Failure> {
    let wrong = |message: &'static str| Failure::member("changes", message);
    let Some(Json::Array(items)) = body.take("changes") else {
        return Err(wrong("must be a list of changes"));
    };
    if items.is_empty() || items.len() > MAX_CHANGES {
        return Err(wrong("must hold 1 to 100 changes"));
    }
    let one = |(place, item)| {
        serde_json::from_value(item).map_err(|error| {
            let message = format!("cannot be understood: {error}");
            Failure::Member(format!("changes[{place}]"), message.into())
        })
    };
    items.into_iter().enumerate().map(one).collect()
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    let mut parameters = ask.parameters()?;
    let confirm_drops = parameters.take_flag("confirm_drops")?;
    let name = ask.collection()?;
    let caller = ask.account().await?;
    ask.portreeve()
        .drop_collection(&caller, &name, confirm_drops)
        .await?;
    Ok(nothing())
}

fn changed(
    portreeve: &Portreeve,
    status: StatusCode,
    name: &CollectionName,
    applied: Applied,
) -> Response {
    let body = json!({
        "collection": name,
        "changed": applied.changed,
        "policy_version": applied.version,
    });
    json(portreeve, status, &body)
}
