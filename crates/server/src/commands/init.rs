//! `portreeve init`

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Data;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::Output;
use crate::wiring::{Mode, open};

/// Makes a data folder. One that is there stays as it is.
pub async fn run(data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let config = Config::load(data)?;
    let portreeve = open(&config, Mode::Write).await?;
    let folder = config.data.folder.display().to_string();
    let administered = portreeve.has_administrator();
    output.result(
        || {
            json!({
                "data": folder,
                "policy_version": portreeve.policy_version(),
                "administrator": administered,
            })
        },
        || {
            let mut text = format!("{folder} is ready\n");
            if !administered {
                text.push_str(&format!(
                    "there is no administrator yet: portreeve user create NAME --role admin --data {folder}\n"
                ));
            }
            text.push_str(&format!("start the server: portreeve serve --data {folder}\n"));
            text
        },
    );
    Ok(ExitCode::SUCCESS)
}
