//! `/v1/records/{collection}` and `/v1/records/{collection}/{key}`.

use std::io::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use portreeve_http::JsonSink;
use portreeve_model::write_json_text;
use portreeve_service::{Portreeve, ReadOutcome, Written};

use crate::ask::{Answer, Ask};
use crate::decode::{self, next_cursor, sent_fields};
use crate::encode::{json_bytes, located, nothing};

const LIST: &[u8] = b"{\"data\":[";
const ONE: &[u8] = b"{\"data\":";

/// Twenty records of a usual size fit without growing.
const LIST_CAPACITY: usize = 8 * 1024;
const ONE_CAPACITY: usize = 1024;

pub(crate) async fn list(ask: Ask) -> Answer {
    let asked = decode::list(ask.collection()?, ask.query())?;
    let caller = ask.caller().await?;
    let limit = asked.request.limit;
    let sink = JsonSink::new(LIST, LIST_CAPACITY);
    let (sink, outcome) = ask.portreeve().list(&caller, asked.request, sink).await?;
    let mut bytes = sink.into_bytes();
    close_list(&mut bytes, limit, asked.stamp, &outcome);
    Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes))
}

fn close_list(out: &mut Vec<u8>, limit: u32, stamp: u64, outcome: &ReadOutcome) {
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
    out.extend_from_slice(b"}}");
}

pub(crate) async fn one(ask: Ask) -> Answer {
    let query = decode::one(ask.collection()?, ask.query())?;
    let caller = ask.caller().await?;
    let sink = JsonSink::new(ONE, ONE_CAPACITY);
    let sink = ask
        .portreeve()
        .record(&caller, query, ask.segment("key"), sink)
        .await?;
    let mut bytes = sink.into_bytes();
    bytes.push(b'}');
    Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes))
}

pub(crate) async fn create(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let collection = ask.collection()?;
    let sent = sent_fields(ask.json().await?)?;
    let portreeve = ask.portreeve();
    let (collection, sent) = (&collection, &sent);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.create(&caller, collection, sent.clone()).await
        })
        .await?;
    let response = record(portreeve, StatusCode::CREATED, &written);
    let segments = [&*collection.to_string(), &written.key_text()];
    Ok(located(response, "/v1/records", &segments))
}

pub(crate) async fn update(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    let collection = ask.collection()?;
    let sent = sent_fields(ask.json().await?)?;
    let (portreeve, key) = (ask.portreeve(), ask.segment("key"));
    let (collection, sent) = (&collection, &sent);
    let written = portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve
                .update(&caller, collection, key, sent.clone())
                .await
        })
        .await?;
    Ok(record(portreeve, StatusCode::OK, &written))
}

pub(crate) async fn delete(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let collection = &ask.collection()?;
    let (portreeve, key) = (ask.portreeve(), ask.segment("key"));
    portreeve
        .as_caller(ask.token()?, ask.facts(), async |caller| {
            portreeve.delete(&caller, collection, key).await
        })
        .await?;
    Ok(nothing())
}

fn record(portreeve: &Portreeve, status: StatusCode, written: &Written) -> Response {
    let mut bytes = Vec::with_capacity(ONE_CAPACITY);
    bytes.extend_from_slice(ONE);
    written.write_json(&mut bytes);
    bytes.push(b'}');
    json_bytes(portreeve, status, bytes)
}
