//! `/v1/aggregates/{collection}`.

use std::io::Write as _;

use axum::http::StatusCode;
use portreeve_http::JsonSink;

use crate::ask::{Answer, Ask};
use crate::decode;
use crate::decode::AGGREGATES;
use crate::encode::json_bytes;
use crate::error::{BAD_QUERY, OUT_OF_RANGE, TOO_SLOW, UNKNOWN_FIELD};
use crate::route::{Route, Rule, get};

const OPENING: &[u8] = b"{\"data\":[";
const CAPACITY: usize = 4 * 1024;

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/aggregates/{collection}",
            "records.aggregate",
            Rule::Records("data.read.count", None),
            list,
        )
        .about("Numbers about groups of records")
        .query(AGGREGATES)
        .gives(
            200,
            "{ data: [{ *: any }], page: { limit: integer, more: flag } }",
        )
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &OUT_OF_RANGE, &TOO_SLOW])
        .looks(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    let request = decode::aggregates(ask.collection()?, ask.query())?;
    let sight = ask.sight().await?;
    let limit = request.limit;
    let sink = JsonSink::new(OPENING, CAPACITY);
    let (sink, outcome) = ask.portreeve().aggregate(&sight, request, sink).await?;
    let mut bytes = sink.into_bytes();
    // Writing into a Vec cannot fail.
    let _ = write!(
        bytes,
        "],\"page\":{{\"limit\":{limit},\"more\":{}}}}}",
        outcome.more
    );
    Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes))
}
