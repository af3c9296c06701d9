//! `portreeve explain ID`

use std::process::ExitCode;

use portreeve_service::{Denial, DeniedPrincipal, ExplainedDecision};

use crate::cli::Data;
use crate::commands::can::text;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Says what a decision id stands for, and what the policy in force says to it.
pub async fn run(id: &str, data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let portreeve = open(&Config::load(data)?, Mode::Read).await?;
    let explained = portreeve
        .explain_decision(&portreeve.operator(), id)
        .await
        .map_err(|error| match error {
            portreeve_service::ServiceError::NotFound => Failure::error(
                error.code(),
                format!(
                    "no decision '{}' is kept; [audit] says which are, and a running server knows the latest: POST /v1/explain",
                    portreeve_http::shown(id)
                ),
            ),
            other => other.into(),
        })?;
    output.result(|| output::json(&explained), || told(&explained));
    Ok(ExitCode::SUCCESS)
}

fn told(explained: &ExplainedDecision) -> String {
    let mut told = denial(&explained.denial);
    if let Some(judged) = &explained.judged_again {
        told.push_str(&format!(
            "judged again under version {}\n",
            explained.policy_version
        ));
        told.push_str(&text(judged));
    }
    for note in &explained.notes {
        told.push_str(&format!("note: {note}\n"));
    }
    told
}

fn denial(denial: &Denial) -> String {
    let who = match (denial.principal, &denial.user) {
        (DeniedPrincipal::User, Some(user)) => format!("user {user}"),
        (DeniedPrincipal::Share, Some(share)) => format!("whoever has opened share {share}"),
        (DeniedPrincipal::Anonymous, _) => "nobody signed in".into(),
        (DeniedPrincipal::Operator, _) => "the operator".into(),
        _ => "somebody unknown".into(),
    };
    let mut lines = vec![
        ("at", Some(portreeve_model::timestamp_text(denial.at))),
        ("who", Some(who)),
        ("answer", Some(denial.answer.clone())),
        ("action", denial.action.clone()),
        ("on", denial.collection.clone()),
        ("key", denial.key.clone()),
        ("face", denial.face.clone()),
        ("operation", denial.operation.clone()),
        ("method", denial.method.clone()),
        ("address", denial.ip.clone()),
        ("request", denial.request.clone()),
    ];
    lines.push(("version", Some(denial.policy_version.to_string())));
    lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<10}{}\n", value?)))
        .collect()
}
