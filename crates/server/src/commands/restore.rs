//! `portreeve restore FILE`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use portreeve_service::RestoreFrom;

use crate::cli::Data;
use crate::commands::backup::{json, text, watched};
use crate::config::Config;
use crate::environment::{SystemClock, SystemEntropy};
use crate::fail::Failure;
use crate::output::Output;

/// Makes a data folder from a backup.
pub async fn run(
    file: PathBuf,
    force: bool,
    data: &Data,
    output: Output,
) -> Result<ExitCode, Failure> {
    let data = Config::load(data)?.data;
    let from = RestoreFrom {
        file,
        location: data.location(),
        replace: force,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let restored = watched(output, |watching| {
        portreeve_service::restore(from, watching)
    })
    .await?;
    output.result(
        || {
            let mut json = json(&restored.backup);
            json["data"] = restored.place.clone().into();
            json["sessions_ended"] = restored.sessions_ended.into();
            json["moved_aside"] = restored
                .aside
                .as_ref()
                .map(|aside| aside.display().to_string())
                .into();
            json
        },
        || {
            let mut said = text(&restored.backup);
            said.push_str(&format!("{} holds it now\n", restored.place));
            if let Some(aside) = &restored.aside {
                said.push_str(&format!(
                    "what was there before is in {}; it can be used with --data\n",
                    aside.display()
                ));
            }
            said.push_str(&format!(
                "{} sessions have ended: everybody signs in again. Passwords, accounts and rights are those of the backup: \
                 repeat what was taken away since\n",
                restored.sessions_ended
            ));
            said
        },
    );
    Ok(ExitCode::SUCCESS)
}
