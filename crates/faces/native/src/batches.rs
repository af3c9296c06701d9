//! Several records at once: `PATCH` and `DELETE /v1/records/{collection}`, lists that are posted there, and
//! `/v1/changes`.

use std::io::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use portreeve_model::CollectionName;
use portreeve_service::{Asked, Caller, Changed, Changes, Portreeve, ServiceError};
use serde_json::Value as Json;

use crate::ask::{Answer, Ask};
use crate::decode::DELETE;
use crate::decode::{self, Batch};
use crate::denials;
use crate::encode::{data, json_bytes};
use crate::error::{
    BAD_CONDITION, BAD_QUERY, BAD_VALUE, CONFLICT, INCOMPLETE, PARTLY_FORBIDDEN,
    PRECONDITION_FAILED, REFERENCED, TOO_MANY_RECORDS, TOO_SLOW, UNCONDITIONAL_CHANGE,
    UNKNOWN_FIELD,
};
use crate::route::{Route, Rule, delete, patch, post};

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        patch(
            "/v1/records/{collection}",
            "records.update-many",
            Rule::Records("data.update.many", None),
            update,
        )
        .about("Change several records: named, or chosen by a filter")
        .body(
            "SeveralUpdates",
            r#"{"keys":[1,2],"set":{"title":"Greek"}}"#,
        )
        .gives(200, "{ data: [Record] } | { data: Counted }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BAD_QUERY,
            &TOO_MANY_RECORDS,
            &PARTLY_FORBIDDEN,
            &UNCONDITIONAL_CHANGE,
            &TOO_SLOW,
        ])
        .writes(),
        delete(
            "/v1/records/{collection}",
            "records.delete-many",
            Rule::Records("data.delete.many", None),
            remove,
        )
        .about("Delete several records: named, or chosen by a filter")
        .query(DELETE)
        .gives(200, "{ data: Counted }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BAD_QUERY,
            &TOO_MANY_RECORDS,
            &PARTLY_FORBIDDEN,
            &UNCONDITIONAL_CHANGE,
            &TOO_SLOW,
        ])
        .writes(),
        post(
            "/v1/changes",
            "changes",
            Rule::Records("data.update.many", None),
            changes,
        )
        .about("Create, change and delete records of several collections, all or none")
        .body(
            "Changes",
            r#"{"changes":[{"create":"courses","set":{"id":900,"title":"Greek"}},
                    {"update":"courses","key":1,"set":{"title":"Latin I"}}]}"#,
        )
        .gives(200, "{ data: [Changed] }")
        .codes(&[
            &UNKNOWN_FIELD,
            &BAD_VALUE,
            &CONFLICT,
            &REFERENCED,
            &INCOMPLETE,
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BAD_QUERY,
            &TOO_MANY_RECORDS,
            &PARTLY_FORBIDDEN,
            &UNCONDITIONAL_CHANGE,
            &TOO_SLOW,
        ])
        .writes(),
    ]
}

pub(crate) async fn create(ask: &Ask, asked: &[Asked]) -> Answer {
    let changes = run(ask, asked).await?;
    Ok(records(ask.portreeve(), StatusCode::CREATED, &changes))
}

pub(crate) async fn update(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    let collection: CollectionName = ask.collection()?;
    match decode::updates(collection, ask.json().await?)? {
        Batch::Named(asked) => {
            let changes = run(&ask, &asked).await?;
            Ok(records(ask.portreeve(), StatusCode::OK, &changes))
        }
        Batch::Selected(mass) => {
            let portreeve = ask.portreeve();
            let keys = portreeve
                .as_caller(ask.token()?, ask.facts(), async |caller| {
                    portreeve.change_where(&caller, mass.clone()).await
                })
                .await?;
            Ok(counted(portreeve, keys))
        }
    }
}

pub(crate) async fn remove(ask: Ask) -> Answer {
    // A token that is no good is told before what is missing in the query.
    ask.caller().await?;
    ask.no_condition()?;
    let keys = match decode::deletions(ask.collection()?, ask.query())? {
        Batch::Named(asked) => run(&ask, &asked)
            .await?
            .into_iter()
            .filter_map(key)
            .collect(),
        Batch::Selected(mass) => {
            let portreeve = ask.portreeve();
            portreeve
                .as_caller(ask.token()?, ask.facts(), async |caller| {
                    portreeve.change_where(&caller, mass.clone()).await
                })
                .await?
        }
    };
    Ok(counted(ask.portreeve(), keys))
}

pub(crate) async fn changes(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.no_condition()?;
    let asked = decode::changes(ask.json().await?)?;
    let changes = run(&ask, &asked).await?;
    let mut bytes = Vec::from(*b"{\"data\":[");
    for (place, changed) in changes.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        // Writing into a Vec cannot fail.
        let _ = match changed {
            Changed::Deleted { key } => write!(bytes, "{{\"result\":\"deleted\",\"key\":{key}}}"),
            Changed::Stored(written) => {
                let result = if written.created() {
                    "created"
                } else {
                    "updated"
                };
                let begun = write!(bytes, "{{\"result\":\"{result}\",\"record\":");
                written.write_json(&mut bytes);
                bytes.push(b'}');
                begun
            }
        };
    }
    bytes.extend_from_slice(b"]}");
    Ok(json_bytes(ask.portreeve(), StatusCode::OK, bytes))
}

async fn run(ask: &Ask, asked: &[Asked]) -> Result<Changes, crate::error::Failure> {
    let portreeve = ask.portreeve();
    let work = async |caller: Caller| -> Result<Changes, ServiceError> {
        portreeve.change(&caller, asked.to_vec()).await
    };
    let changed = portreeve.as_caller(ask.token()?, ask.facts(), work).await;
    Ok(changed.inspect_err(|error| ask.note_denied(denials::of_changes(asked, error)))?)
}

fn records(portreeve: &Portreeve, status: StatusCode, changes: &Changes) -> Response {
    let mut bytes = Vec::from(*b"{\"data\":[");
    for (place, changed) in changes.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        match changed {
            Changed::Stored(written) => written.write_json(&mut bytes),
            Changed::Deleted { .. } => bytes.extend_from_slice(b"null"),
        }
    }
    bytes.extend_from_slice(b"]}");
    json_bytes(portreeve, status, bytes)
}

fn key(changed: Changed) -> Option<Json> {
    match changed {
        Changed::Deleted { key } => Some(key),
        Changed::Stored(_) => None,
    }
}

fn counted(portreeve: &Portreeve, keys: Vec<Json>) -> Response {
    let counted = serde_json::json!({ "count": keys.len(), "keys": keys });
    data(portreeve, StatusCode::OK, &counted)
}
