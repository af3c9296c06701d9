//! `portreeve backup FILE`

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portreeve_model::timestamp_text;
use portreeve_service::{Backup, BackupError, BackupTo, Progress, Stage, Watching};
use serde_json::{Value as Json, json};

use crate::cli::Data;
use crate::config::Config;
use crate::environment::SystemClock;
use crate::fail::Failure;
use crate::listen::told_to_stop;
use crate::output::Output;

/// How often a terminal hears how far it is.
const OFTEN: Duration = Duration::from_millis(200);

/// Makes a backup, or looks at one.
pub async fn run(
    file: PathBuf,
    force: bool,
    check: bool,
    data: &Data,
    output: Output,
) -> Result<ExitCode, Failure> {
    let backup = if check {
        watched(output, |watching| {
            portreeve_service::check_backup(file, watching)
        })
        .await?
    } else {
        let to = BackupTo {
            location: Config::load(data)?.data.location(),
            file,
            replace: force,
            program: env!("CARGO_PKG_VERSION"),
            clock: Arc::new(SystemClock),
        };
        watched(output, |watching| portreeve_service::backup(to, watching)).await?
    };
    output.result(
        || json(&backup),
        || {
            let mut said = text(&backup);
            said.push_str("every row has been read again and is what it was\n");
            if !check {
                said.push_str("it holds password hashes: keep it where nobody else can read it\n");
            }
            said
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// Runs something that takes as long as there is data: a terminal hears how far it is, and whoever tells the process to
/// stop ends it in order.
pub async fn watched<T, F: Future<Output = Result<T, BackupError>>>(
    output: Output,
    run: impl FnOnce(Watching<Box<dyn FnMut(Progress) + Send>>) -> F,
) -> Result<T, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let shown = !output.json && std::io::stderr().is_terminal();
    let mut last: Option<Instant> = None;
    let watching = Watching {
        stop: Arc::clone(&stop),
        tell: Box::new(move |progress: Progress| {
            if shown && last.is_none_or(|last| last.elapsed() >= OFTEN) {
                last = Some(Instant::now());
                show(&line(progress));
            }
        }) as Box<dyn FnMut(Progress) + Send>,
    };
    let stopping = tokio::spawn(async move {
        told_to_stop().await;
        stop.store(true, Ordering::Relaxed);
    });
    let result = run(watching).await;
    stopping.abort();
    if shown {
        show("");
    }
    Ok(result?)
}

// Over what stood in this line.
fn show(line: &str) {
    eprint!("\r\x1b[K{line}");
    let _ = std::io::stderr().flush();
}

fn line(progress: Progress) -> String {
    let what = match progress.stage {
        Stage::Reading => "reading",
        Stage::Copying => "copying",
        Stage::Checking => "checking",
    };
    match (progress.done * 100).checked_div(progress.total) {
        Some(percent) => format!("{what} {percent} %"),
        None if progress.done == 0 => what.to_owned(),
        None => format!("{what} {} rows", progress.done),
    }
}

/// A backup for programs.
pub fn json(backup: &Backup) -> Json {
    let tables: serde_json::Map<String, Json> = backup
        .tables
        .iter()
        .map(|table| (table.name.clone(), table.rows.into()))
        .collect();
    json!({
        "file": backup.file,
        "bytes": backup.bytes,
        "taken": timestamp_text(backup.taken),
        "program": backup.program,
        "policy_version": backup.policy_version,
        "rows": backup.rows(),
        "tables": tables,
        "sha256": backup.digest,
    })
}

/// A backup for people.
pub fn text(backup: &Backup) -> String {
    let mut text = format!(
        "{}: all there was at {}, policy version {}, written by {}\n",
        backup.file.display(),
        timestamp_text(backup.taken),
        backup.policy_version,
        backup.program
    );
    let width = backup.tables.iter().map(|table| table.name.len()).max();
    for table in &backup.tables {
        text.push_str(&format!(
            "  {:<width$}  {}\n",
            table.name,
            table.rows,
            width = width.unwrap_or(0)
        ));
    }
    text.push_str(&format!(
        "{} tables, {} rows, {} bytes\n",
        backup.tables.len(),
        backup.rows(),
        backup.bytes
    ));
    text
}
