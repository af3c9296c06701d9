//! `portreeve apply FILE`

use std::path::Path;
use std::process::ExitCode;

use portreeve_service::{Portreeve, ServiceError};

use crate::cli::Data;
use crate::commands::plan;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::Output;
use crate::wiring::{Mode, document, open};

/// Puts an access file in force.
pub async fn run(
    file: &Path,
    confirm_drops: bool,
    data: &Data,
    output: Output,
) -> Result<ExitCode, Failure> {
    // A bad file is told before the data folder is touched.
    let read = document(file)?;
    let portreeve = open(&Config::load(data)?, Mode::Write).await?;
    let plan = portreeve.plan(&portreeve.operator(), &read).await?;
    let mut json = plan.to_review();
    let mut text = plan::text(&plan);
    let applied = put_in_force(&portreeve, plan, confirm_drops).await?;
    json["applied"] = applied.changed.into();
    json["policy_version"] = applied.version.into();
    if applied.changed {
        text.push_str(&format!("applied; policy version {}\n", applied.version));
    }
    output.result(|| json, || text);
    Ok(ExitCode::SUCCESS)
}

/// Puts a plan in force as the operator.
pub async fn put_in_force(
    portreeve: &Portreeve,
    plan: portreeve_service::Plan,
    confirm_drops: bool,
) -> Result<portreeve_service::Applied, Failure> {
    portreeve
        .apply(&portreeve.operator(), plan, confirm_drops)
        .await
        .map_err(|error| match error {
            ServiceError::DropsUnconfirmed(_) => {
                Failure::from(error).hint("agree with: portreeve apply FILE --confirm-drops")
            }
            other => other.into(),
        })
}
