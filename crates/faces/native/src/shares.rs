//! `/v1/shares`, one's own, and `/v1/shares/{id}/open`, for whoever has been given the id.

use axum::http::StatusCode;
use portreeve_model::{CollectionName, timestamp_text};
use portreeve_service::{DeniedAsk, Opened, ServiceError, ShareChange, ShareRequest, StoredShare};
use serde_json::{Value as Json, json};

use crate::ask::{Answer, Ask};
use crate::decode::Object;
use crate::encode::{data, json, located, nothing};
use crate::error::Failure;
use crate::error::{
    BEYOND_OWN_RIGHTS, INVALID, NOT_FOUND, SETUP_REQUIRED, SHARE_NOT_OPENED, UNKNOWN_FIELD,
};
use crate::records;
use crate::route::{Route, Rule, delete, get, patch, post};
use crate::simulation::Sight;

const SHARES: &str = "shares";

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/v1/shares", "shares.list", Rule::SignedIn, list)
            .about("One's own shares")
            .gives(200, "{ data: [Share] }"),
        post(
            "/v1/shares",
            "shares.create",
            Rule::Records("data.share", None),
            create,
        )
        .about("Share a record")
        .body(
            "NewShare",
            r#"{"collection":"grades","record":"1","fields":["score"],"until":"2027-01-31T00:00:00Z","max_uses":3}"#,
        )
        .gives(201, "{ data: Share }")
        .codes(&[&BEYOND_OWN_RIGHTS, &INVALID, &NOT_FOUND, &UNKNOWN_FIELD])
        .writes(),
        get("/v1/shares/{id}", "shares.one", Rule::SignedIn, one)
            .about("A share: one's own, or one whose record one may read")
            .query(&["fields", "expand"])
            .gives(200, "{ data: Share }")
            .codes(&[&NOT_FOUND, &UNKNOWN_FIELD])
            .looks(),
        patch("/v1/shares/{id}", "shares.change", Rule::SignedIn, change)
            .about("Change one's own share")
            .body("ShareChange", r#"{"until":"2027-01-31T00:00:00Z"}"#)
            .gives(200, "{ data: Share }")
            .codes(&[&BEYOND_OWN_RIGHTS, &INVALID, &NOT_FOUND, &UNKNOWN_FIELD])
            .denied_as("data.share")
            .writes(),
        delete("/v1/shares/{id}", "shares.delete", Rule::SignedIn, remove)
            .about("End a share: one's own, or one whose record one may delete")
            .gives(204, "")
            .codes(&[&NOT_FOUND])
            .denied_as("data.delete.one")
            .writes(),
        get(
            "/v1/shares/{id}/open",
            "shares.ask",
            Rule::Holder("the id of the share"),
            ask_for_password,
        )
        .about("Whether a share may ask for a password")
        .gives(200, "{ data: { password: boolean } }")
        .codes(&[&SETUP_REQUIRED]),
        post(
            "/v1/shares/{id}/open",
            "shares.open",
            Rule::Holder("the id of the share and its password"),
            open,
        )
        .about("Open a share")
        .body("{ password?: text | null }", r#"{"password":"correct horse"}"#)
        .gives(200, "Opened")
        .codes(&[&SHARE_NOT_OPENED, &SETUP_REQUIRED])
        .throttled("sign-in")
        .writes(),
    ]
}

fn shown(share: &StoredShare) -> Json {
    json!({
        "id": share.id,
        "name": share.name,
        "collection": share.collection,
        "record": share.record,
        "role": share.role,
        "fields": share.fields,
        "protected": share.protected,
        "from": share.from.map(timestamp_text),
        "until": share.until.map(timestamp_text),
        "max_uses": share.max_uses,
        "times_used": share.times_used,
        "created_by": share.created_by,
        "created": timestamp_text(share.created),
    })
}

pub(crate) async fn list(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let shares = ask.portreeve().own_shares(&caller).await?;
    let shown: Vec<Json> = shares.iter().map(shown).collect();
    Ok(data(ask.portreeve(), StatusCode::OK, &shown))
}

fn asked(collection: &str, key: Option<String>) -> Option<DeniedAsk> {
    Some(DeniedAsk {
        action: Some("data.share".into()),
        collection: Some(collection.to_owned()),
        key,
    })
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let known = &[
        "name",
        "collection",
        "record",
        "role",
        "fields",
        "password",
        "from",
        "until",
        "max_uses",
    ];
    let mut body = ask.object(known).await?;
    let collection = body.text("collection")?;
    let record = body
        .optional_key("record")?
        .ok_or_else(|| Failure::member("record", "is missing; send the record's key"))?;
    ask.note_denied(asked(&collection, Some(record.clone())));
    let request = ShareRequest {
        name: body.optional_text("name")?.unwrap_or_default(),
        // What is no name cannot be there.
        collection: CollectionName::parse(&collection).map_err(|_| ServiceError::NotFound)?,
        record,
        role: body.optional_text("role")?,
        fields: body.optional_texts("fields")?,
        password: body.optional_text("password")?,
        from: body.moment("from")?.flatten(),
        until: body.moment("until")?.flatten(),
        max_uses: count(&mut body)?.flatten(),
    };
    let (portreeve, request) = (ask.portreeve(), &request);
    let made = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.create_share(&caller, request.clone()).await
        })
        .await?;
    let response = data(portreeve, StatusCode::CREATED, &shown(&made));
    Ok(located(response, "/v1/shares", &[&made.id]))
}

// The inner `None` where null was sent.
fn count(body: &mut Object) -> Result<Option<Option<u32>>, Failure> {
    if !body.names("max_uses") {
        return Ok(None);
    }
    let wrong = || Failure::member("max_uses", "must be a whole number of 1 at least, or null");
    match body.take("max_uses") {
        None => Ok(Some(None)),
        Some(json) => {
            let number = json.as_u64().and_then(|number| u32::try_from(number).ok());
            let number = number.filter(|number| *number > 0).ok_or_else(wrong)?;
            Ok(Some(Some(number)))
        }
    }
}

pub(crate) async fn one(ask: Ask) -> Answer {
    if ask.token()?.is_none() {
        return Err(Failure::Unauthenticated);
    }
    let id = ask.segment("id").to_owned();
    let sight = ask.sight().await?;
    if let Sight::Own(caller) = &sight
        && ask.query().is_empty()
        && let Some(share) = ask.portreeve().own_share(caller, &id).await?
    {
        return Ok(data(ask.portreeve(), StatusCode::OK, &shown(&share)));
    }
    records::one_of(&ask, &sight, CollectionName::main(SHARES), &id).await
}

pub(crate) async fn change(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let known = &[
        "name", "role", "fields", "password", "from", "until", "max_uses",
    ];
    let mut body = ask.object(known).await?;
    let id = ask.segment("id").to_owned();
    ask.note_denied(asked(SHARES, Some(id.clone())));
    let change = ShareChange {
        name: body.optional_text("name")?,
        role: body.optional_text("role")?,
        fields: body.optional_texts("fields")?,
        password: body.nullable_text("password")?,
        from: body.moment("from")?,
        until: body.moment("until")?,
        max_uses: count(&mut body)?,
    };
    let (portreeve, change) = (ask.portreeve(), &change);
    let changed = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.update_share(&caller, &id, change.clone()).await
        })
        .await?;
    Ok(data(portreeve, StatusCode::OK, &shown(&changed)))
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let id = ask.segment("id").to_owned();
    ask.note_denied(Some(DeniedAsk {
        action: Some("data.delete.one".into()),
        collection: Some(SHARES.into()),
        key: Some(id.clone()),
    }));
    let portreeve = ask.portreeve();
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.end_share(&caller, &id).await
        })
        .await?;
    Ok(nothing())
}

pub(crate) async fn ask_for_password(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let portreeve = ask.portreeve();
    let password = portreeve.share_asks_for_password(ask.segment("id")).await?;
    let answer = json!({ "password": password });
    Ok(data(portreeve, StatusCode::OK, &answer))
}

pub(crate) async fn open(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let mut body = ask.object(&["password"]).await?;
    let password = body.optional_text("password")?;
    let portreeve = ask.portreeve();
    let opened = portreeve
        .open_share(ask.segment("id"), password.as_deref(), &ask.facts())
        .await?;
    Ok(json(
        portreeve,
        StatusCode::OK,
        &json!({ "data": told(&opened) }),
    ))
}

fn told(opened: &Opened) -> Json {
    json!({
        "share": &*opened.share,
        "collection": opened.collection,
        "record": opened.record,
        "token": opened.token,
        "expires": timestamp_text(opened.expires),
    })
}
