//! Accounts shown, changed and ended.

use portreeve_service::UserChange;
use serde_json::{Value as Json, json};

use crate::cli::{Data, UpdateUser};
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

pub async fn update(update: UpdateUser, output: Output) -> Result<(), Failure> {
    let attributes = match &update.values {
        None => serde_json::Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let line = format!("--values is no JSON object: {error}");
            Failure::error("bad_values", line)
        })?,
    };
    let change = UserChange {
        key: update.key,
        username: update
            .username
            .map(Some)
            .or(update.no_username.then_some(None)),
        email: update.email.map(Some).or(update.no_email.then_some(None)),
        status: update.status,
        confirmed: update.confirmed,
        provider: update.provider,
        attributes,
        password: None,
    };
    let user = &update.user;
    let id = changed(user, change, &update.data).await?;
    output.result(|| json!({ "id": id }), || format!("'{user}' is changed"));
    Ok(())
}

pub async fn set_status(
    user: &str,
    status: &str,
    data: &Data,
    output: Output,
) -> Result<(), Failure> {
    let change = UserChange {
        status: Some(status.into()),
        ..UserChange::default()
    };
    let id = changed(user, change, data).await?;
    output.result(
        || json!({ "id": id, "status": status }),
        || format!("'{user}' is {status}"),
    );
    Ok(())
}

pub async fn delete(user: &str, data: &Data, output: Output) -> Result<(), Failure> {
    let portreeve = open(&Config::load(data)?, Mode::Write).await?;
    let operator = portreeve.operator();
    let id = portreeve.find_user(&operator, user).await?;
    portreeve.delete_user(&operator, &id).await?;
    output.result(|| json!({ "id": id }), || format!("'{user}' is gone"));
    Ok(())
}

async fn changed(user: &str, change: UserChange, data: &Data) -> Result<String, Failure> {
    let portreeve = open(&Config::load(data)?, Mode::Write).await?;
    let operator = portreeve.operator();
    let id = portreeve.find_user(&operator, user).await?;
    portreeve.update_user(&operator, &id, change).await?;
    Ok(id)
}

/// An account for people: a field a line.
pub fn shown(account: &Json) -> String {
    let rows: Vec<Vec<String>> = account
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = match value {
                Json::Null => String::new(),
                Json::String(text) => text.clone(),
                Json::Array(items) => {
                    let items: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
                    items.join(", ")
                }
                other => other.to_string(),
            };
            vec![name.clone(), text]
        })
        .collect();
    output::table(&["field", "value"], &rows)
}
