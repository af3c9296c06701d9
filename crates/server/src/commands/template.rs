//! `portreeve template list | show | set | reset`

use std::process::ExitCode;

use portreeve_service::{NewTemplate, ServiceError, TemplateView, codes};
use serde_json::json;

use crate::cli::Template;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open, read_text};

/// Shows or changes the words of mails.
pub async fn run(command: Template, output: Output) -> Result<ExitCode, Failure> {
    match command {
        Template::List { data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let all = portreeve.templates(&portreeve.operator()).await?;
            let row = |one: &TemplateView| {
                let since = one.updated.clone().unwrap_or_else(|| "built in".into());
                vec![one.name.to_owned(), one.subject.clone(), since]
            };
            output.result(
                || json!({ "templates": all }),
                || {
                    let rows: Vec<_> = all.iter().map(row).collect();
                    output::table(&["template", "subject", "since"], &rows)
                },
            );
        }
        Template::Show { name, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let shown = portreeve.template(&portreeve.operator(), &name).await;
            show(&shown.map_err(|error| missing(&name, error))?, output);
        }
        Template::Set {
            name,
            subject,
            text,
            html,
            data,
        } => {
            let new = NewTemplate {
                subject,
                text: read_text(&text)?,
                html: html.as_deref().map(read_text).transpose()?,
            };
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let set = portreeve.set_template(&operator, &name, new).await;
            show(&set.map_err(|error| missing(&name, error))?, output);
        }
        Template::Reset { name, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let reset = portreeve.remove_template(&operator, &name);
            reset.await.map_err(|error| missing(&name, error))?;
            output.result(
                || json!({ "template": name, "built_in": true }),
                || format!("'{name}' has the built-in words"),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(one: &TemplateView, output: Output) {
    output.result(
        || output::json(one),
        || {
            let html = one.html.as_ref();
            let html = html.map_or(String::new(), |html| format!("\n--- html\n{html}"));
            format!(
                "--- subject\n{}\n--- text\n{}{html}\n--- may name: {}",
                one.subject,
                one.text,
                one.variables.join(", ")
            )
        },
    );
}

fn missing(name: &str, error: ServiceError) -> Failure {
    match error {
        ServiceError::NotFound => {
            let line = format!("there is no kind of mail '{name}'; see: portreeve template list");
            Failure::error(codes::NOT_FOUND, line)
        }
        other => other.into(),
    }
}
