//! `portreeve audit head | verify | list`

use std::process::ExitCode;

use portreeve_service::{AuditFilter, AuditReport};
use serde_json::{Map, Value as Json, json};

use crate::cli::Audit;
use crate::config::Config;
use crate::fail::{Failure, NO};
use crate::output::{self, Output, try_say};
use crate::wiring::{Mode, open};

/// Tells the head of the audit trail, checks all of it, or lists its lines.
pub async fn run(command: Audit, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Audit::Head { data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let head = portreeve.audit_head().await?;
            let shown = head.to_string();
            output.result(
                || json!({ "position": head.position, "hash": head.hash, "head": shown }),
                || shown.clone(),
            );
        }
        Audit::Verify { heads, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let report = portreeve
                .verify_audit(&portreeve.operator(), &heads)
                .await?;
            output.result(
                || {
                    let mut json = output::json(&report);
                    json["good"] = report.is_good().into();
                    json
                },
                || text(&report),
            );
            if !report.is_good() {
                return Ok(ExitCode::from(NO));
            }
        }
        Audit::List {
            since,
            actor,
            action,
            target,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let filter = AuditFilter {
                since,
                actor,
                action,
                target,
            };
            // A line at a time: there may be more than fits anywhere. A reader may have seen enough before the end.
            let take = |row: Map<String, Json>| {
                try_say(&if output.json {
                    Json::Object(row).to_string()
                } else {
                    line(&row)
                })
            };
            let operator = portreeve.operator();
            portreeve.audit_lines(&operator, &filter, take).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &AuditReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let fault = output::json(finding.fault);
        let fault = fault.as_str().unwrap_or_default().replace('_', " ");
        text.push_str(&format!("{fault}: {}\n", finding.message));
    }
    let told = report.findings.len() as u64;
    if report.faults > told {
        text.push_str(&format!("and {} more\n", report.faults - told));
    }
    let waiting = match report.waiting {
        0 => String::new(),
        count => format!(", {count} waiting for their seal"),
    };
    let verdict = match report.faults {
        0 => "the chain is whole",
        1 => "1 fault",
        _ => "",
    };
    let verdict = if verdict.is_empty() {
        format!("{} faults", report.faults)
    } else {
        verdict.to_owned()
    };
    text.push_str(&format!(
        "{} lines sealed{waiting}: {verdict}\n",
        report.sealed
    ));
    if let Some(head) = &report.head {
        text.push_str(&format!("head {head}\n"));
    }
    text
}

fn line(row: &Map<String, Json>) -> String {
    let shown = |name: &str| match row.get(name) {
        None | Some(Json::Null) => "-".to_owned(),
        Some(Json::String(text)) => portreeve_http::shown(text).into_owned(),
        Some(other) => other.to_string(),
    };
    let mut line = ["id", "at", "actor", "action", "target"]
        .map(shown)
        .join("  ");
    if row.get("why").is_some_and(|why| !why.is_null()) {
        line.push_str(&format!("  ({})", shown("why")));
    }
    line
}
