//! `portreeve mail list`

use std::process::ExitCode;

use portreeve_service::MailView;
use serde_json::json;

use crate::cli::Mail;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Lists mails that were asked for.
pub async fn run(command: Mail, output: Output) -> Result<ExitCode, Failure> {
    let Mail::List { limit, data } = command;
    let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
    let mails = portreeve.mails(&portreeve.operator(), limit).await?;
    let row = |mail: &MailView| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            mail.created.clone(),
            mail.template.clone(),
            portreeve_http::shown(&text(&mail.to)).into_owned(),
            mail.state.clone(),
            mail.attempts.to_string(),
            portreeve_http::shown(&text(&mail.error)).into_owned(),
        ]
    };
    output.result(
        || json!({ "mails": mails }),
        || {
            let rows: Vec<_> = mails.iter().map(row).collect();
            output::table(
                &["asked for", "template", "to", "state", "attempts", "error"],
                &rows,
            )
        },
    );
    Ok(ExitCode::SUCCESS)
}
