//! `portreeve session list | end`

use std::process::ExitCode;

use portreeve_service::{ServiceError, codes};
use serde_json::{Map, Value as Json, json};

use crate::cli::Session;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Lists the sessions of an account, or ends them.
pub async fn run(command: Session, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Session::List { user, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let rows = portreeve
                .user_sessions(&portreeve.operator(), &user)
                .await?;
            output.result(|| json!({ "sessions": rows }), || table(&rows));
        }
        Session::End {
            user,
            session,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let id = portreeve.find_user(&operator, &user).await?;
            let ended = portreeve
                .end_sessions_of(&operator, &id, session.as_deref())
                .await
                .map_err(|error| match error {
                    ServiceError::NotFound => {
                        let line = format!("'{user}' has no such session");
                        Failure::error(codes::NOT_FOUND, line)
                    }
                    other => other.into(),
                })?;
            output.result(
                || json!({ "ended": ended }),
                || format!("{ended} sessions of '{user}' have ended"),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Map<String, Json>]) -> String {
    const COLUMNS: [&str; 6] = ["id", "kind", "created", "used", "expires", "address"];
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| COLUMNS.map(|name| output::cell(row.get(name))).to_vec())
        .collect();
    output::table(&COLUMNS, &rows)
}
