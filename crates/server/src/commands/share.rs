//! `portreeve share …`: listed, ended. A share shows what its creator may read, so that only an account makes one.

use std::process::ExitCode;

use portreeve_model::timestamp_text;
use portreeve_service::{ServiceError, StoredShare};
use serde_json::{Value as Json, json};

use crate::cli::Shares;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// So many are listed.
const MOST: u32 = 1_000;

/// Lists or ends.
pub async fn run(command: Shares, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Shares::List { data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let shares = portreeve.all_shares(&portreeve.operator(), MOST).await?;
            output.result(
                || json!({ "shares": shares.iter().map(shown).collect::<Vec<Json>>() }),
                || {
                    let head = [
                        "share", "record", "shows", "creator", "used", "until", "name",
                    ];
                    output::table(&head, &shares.iter().map(row).collect::<Vec<_>>())
                },
            );
        }
        Shares::End { id, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let ended = portreeve.end_share(&portreeve.operator(), &id).await;
            ended.map_err(|error| match error {
                ServiceError::NotFound => Failure::error(
                    error.code(),
                    format!(
                        "there is no share '{}'; portreeve share list shows them",
                        portreeve_http::shown(&id)
                    ),
                ),
                other => other.into(),
            })?;
            output.result(
                || json!({ "share": id }),
                || format!("share '{id}' has ended"),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(share: &StoredShare) -> Vec<String> {
    let shows = match (&share.role, &share.fields) {
        (Some(role), _) => format!("role {role}"),
        (None, fields) => fields
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
    };
    let used = match share.max_uses {
        Some(most) => format!("{} of {most}", share.times_used),
        None => share.times_used.to_string(),
    };
    vec![
        share.id.clone(),
        format!("{}/{}", share.collection, share.record),
        shows,
        share.created_by.clone(),
        used,
        share.until.map(timestamp_text).unwrap_or_default(),
        share.name.clone(),
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
