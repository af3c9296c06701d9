//! `portreeve binding list | end`

use std::process::ExitCode;

use serde_json::{Map, Value as Json, json};

use crate::cli::Binding;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Lists what an account is bound to, or ends a binding.
pub async fn run(command: Binding, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Binding::List { user, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let rows = portreeve
                .user_bindings(&portreeve.operator(), &user)
                .await?;
            output.result(|| json!({ "bindings": rows }), || table(&rows));
        }
        Binding::End { id, why, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            portreeve.unbind(&portreeve.operator(), &id, why).await?;
            output.result(|| json!({ "ended": [id] }), || format!("{id} has ended"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Map<String, Json>]) -> String {
    const COLUMNS: [&str; 7] = [
        "id",
        "role",
        "profile",
        "restricted_to",
        "from",
        "until",
        "primary",
    ];
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| COLUMNS.map(|name| output::cell(row.get(name))).to_vec())
        .collect();
    output::table(&COLUMNS, &rows)
}
