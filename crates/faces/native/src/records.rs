//! `/v1/records/{collection}` and `/v1/records/{collection}/{key}`.

use std::io::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use portreeve_http::JsonSink;
use portreeve_model::{CollectionName, EntityTag, write_json_text};
use portreeve_service::{Portreeve, Precondition, ReadOutcome, Written};

use crate::ask::{Answer, Ask};
use crate::batches;
use crate::decode::{
    self, Creation, condition, known_already, next_cursor, put_condition, sent_fields,
};
use crate::decode::{LIST, ONE};
use crate::encode::{json_bytes, located, nothing, tagged};
use crate::error::{
    BAD_CONDITION, BAD_QUERY, BAD_VALUE, CONFLICT, INCOMPLETE, PRECONDITION_FAILED, REFERENCED,
    TOO_MANY_RECORDS, TOO_SLOW, UNKNOWN_FIELD,
};
use crate::route::{Route, Rule, delete, get, patch, post, put};
use crate::simulation::Sight;

const LIST_START: &[u8] = b"{\"data\":[";
const ONE_START: &[u8] = b"{\"data\":";

/// Twenty records of a usual size fit without growing.
const LIST_CAPACITY: usize = 8 * 1024;
const ONE_CAPACITY: usize = 1024;

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/records/{collection}",
            "records.list",
            Rule::Records("data.read.many", None),
            list,
        )
        .about("List records")
        .query(LIST)
        .gives(200, "{ data: [Record], page: Page }")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_SLOW])
        .looks(),
        post(
            "/v1/records/{collection}",
            "records.create",
            Rule::Records("data.create.one", None),
            create,
        )
        .about("Create a record, or several")
        .body("Record | [Record]", r#"{"title":"Greek"}"#)
        .gives(201, "{ data: Record | [Record] }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &TOO_MANY_RECORDS,
        ])
        .writes(),
        get(
            "/v1/records/{collection}/{key}",
            "records.one",
            Rule::Records("data.read.one", None),
            one,
        )
        .about("Read a record")
        .query(ONE)
        .gives(200, "{ data: Record }")
        .gives(304, "")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &BAD_CONDITION])
        .looks(),
        put(
            "/v1/records/{collection}/{key}",
            "records.put",
            Rule::Records("data.update.one", None),
            put_record,
        )
        .about("Change a record, or make it under its key")
        .body("Record", r#"{"title":"Greek"}"#)
        .gives(200, "{ data: Record }")
        .gives(201, "{ data: Record }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
        ])
        .writes(),
        patch(
            "/v1/records/{collection}/{key}",
            "records.update",
            Rule::Records("data.update.one", None),
            update,
        )
        .about("Change a record")
        .body("Record", r#"{"title":"Greek"}"#)
        .gives(200, "{ data: Record }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
        ])
        .writes(),
        delete(
            "/v1/records/{collection}/{key}",
            "records.delete",
            Rule::Records("data.delete.one", None),
            remove,
        )
        .about("Delete a record")
        .gives(204, "")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
        ])
        .writes(),
        get(
            "/v1/audit",
            "audit.list",
            Rule::Records("data.read.many", Some("audit")),
            audit,
        )
        .about("The audit trail, a collection like any other")
        .query(LIST)
        .gives(200, "{ data: [Record], page: Page }")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_SLOW])
        .looks(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    let collection = ask.collection()?;
    list_of(ask, collection).await
}

/// `/v1/audit`: the audit trail is a collection like any other.
pub(crate) async fn audit(ask: Ask) -> Answer {
    list_of(ask, CollectionName::main("audit")).await
}

/// The records of a collection that the route, and not the path, names.
pub(crate) async fn list_of(ask: Ask, collection: CollectionName) -> Answer {
    let asked = decode::list(collection, ask.query())?;
    let sight = ask.sight().await?;
    list_beside(&ask, &sight, asked, "").await
}

/// The same with further members of the answer, after a comma.
pub(crate) async fn list_beside(
    ask: &Ask,
    sight: &Sight,
    asked: decode::ListAsk,
    beside: &str,
) -> Answer {
    let limit = asked.request.limit;
    let sink = JsonSink::new(LIST_START, LIST_CAPACITY);
    let (sink, outcome) = ask.portreeve().list(sight, asked.request, sink).await?;
    let mut bytes = sink.into_bytes();
    close_list(&mut bytes, limit, asked.stamp, &outcome, beside);
    Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes))
}

fn close_list(out: &mut Vec<u8>, limit: u32, stamp: u64, outcome: &ReadOutcome, beside: &str) {
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        "],\"page\":{{\"limit\":{limit},\"more\":{},\"next\":",
        outcome.more
    );
    let last = outcome.last.as_deref().filter(|_| outcome.more);
    match last.and_then(|last| next_cursor(stamp, last)) {
        Some(cursor) => write_json_text(out, &cursor),
        None => out.extend_from_slice(b"null"),
    }
    if let Some(total) = outcome.total {
        let _ = write!(out, ",\"total\":{total}");
    }
    out.push(b'}');
    out.extend_from_slice(beside.as_bytes());
    out.push(b'}');
}

pub(crate) async fn one(ask: Ask) -> Answer {
    let collection = ask.collection()?;
    let key = ask.segment("key").to_owned();
    let sight = ask.sight().await?;
    one_of(&ask, &sight, collection, &key).await
}

/// The record of this collection that has this key.
pub(crate) async fn one_of(
    ask: &Ask,
    sight: &Sight,
    collection: CollectionName,
    key: &str,
) -> Answer {
    let query = decode::one(collection, ask.query())?;
    // Only the whole record is what a change can be made to depend on.
    let whole = query.fields.is_none() && query.expand.is_empty();
    let sink = JsonSink::new(ONE_START, ONE_CAPACITY);
    let sink = ask.portreeve().record(sight, query, key, sink).await?;
    let mut bytes = sink.into_bytes();
    if !whole {
        bytes.push(b'}');
        return Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes));
    }
    let tag = EntityTag::of_json(&bytes[ONE_START.len()..]);
    bytes.push(b'}');
    let response = if known_already(ask.headers(), tag)? {
        let mut response = nothing();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_bytes(ask.portreeve(), StatusCode::OK, bytes)
    };
    Ok(tagged(response, Some(tag)))
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    let collection = ask.collection()?;
    let sent = match decode::creation(&collection, ask.json().await?)? {
        Creation::Many(asked) => return batches::create(&ask, &asked).await,
        Creation::One(sent) => sent,
    };
    let portreeve = ask.portreeve();
    let (collection, sent) = (&collection, &sent);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.create(&caller, collection, sent.clone()).await
        })
        .await?;
    Ok(made(portreeve, collection, &written))
}

pub(crate) async fn put_record(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let condition = put_condition(ask.headers())?;
    let collection = ask.collection()?;
    let sent = sent_fields(ask.json().await?)?;
    let (portreeve, key) = (ask.portreeve(), ask.segment("key"));
    let (collection, sent, condition) = (&collection, &sent, &condition);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            let (sent, condition) = (sent.clone(), condition.clone());
            portreeve
                .put(&caller, collection, key, sent, condition)
                .await
        })
        .await?;
    if written.created() {
        return Ok(made(portreeve, collection, &written));
    }
    Ok(record(portreeve, StatusCode::OK, &written))
}

pub(crate) async fn update(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let condition = condition(ask.headers())?;
    let collection = ask.collection()?;
    let sent = sent_fields(ask.json().await?)?;
    let (portreeve, key) = (ask.portreeve(), ask.segment("key"));
    let (collection, sent, condition) = (&collection, &sent, &condition);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            let sent = sent.clone();
            match condition {
                Precondition::None => portreeve.update(&caller, collection, key, sent).await,
                condition => {
                    let condition = condition.clone();
                    portreeve
                        .update_if(&caller, collection, key, sent, condition)
                        .await
                }
            }
        })
        .await?;
    Ok(record(portreeve, StatusCode::OK, &written))
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let condition = &condition(ask.headers())?;
    let collection = &ask.collection()?;
    let (portreeve, key) = (ask.portreeve(), ask.segment("key"));
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| match condition {
            Precondition::None => portreeve.delete(&caller, collection, key).await,
            condition => {
                let condition = condition.clone();
                portreeve
                    .delete_if(&caller, collection, key, condition)
                    .await
            }
        })
        .await?;
    Ok(nothing())
}

fn made(portreeve: &Portreeve, collection: &CollectionName, written: &Written) -> Response {
    let response = record(portreeve, StatusCode::CREATED, written);
    let segments = [&*collection.to_string(), &written.key_text()];
    located(response, "/v1/records", &segments)
}

pub(crate) fn record(portreeve: &Portreeve, status: StatusCode, written: &Written) -> Response {
    let mut bytes = Vec::with_capacity(ONE_CAPACITY);
    bytes.extend_from_slice(ONE_START);
    written.write_json(&mut bytes);
    bytes.push(b'}');
    tagged(json_bytes(portreeve, status, bytes), written.tag())
}
