//! `portreeve test FILE`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use portreeve_policy::{ExistingSection, Snapshot, run_tests};
use portreeve_service::{ServiceError, with_tables};
use portreeve_store::Store;
use serde_json::json;

use crate::cli::Data;
use crate::config::Config;
use crate::fail::{Failure, NO};
use crate::output::Output;
use crate::wiring::document;

/// Runs the tests that stand in an access file, in memory. Where a database is named, its tables are collections.
pub async fn run(file: &Path, data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let mut document = document(file)?;
    // Of a database it is only asked what its tables are.
    let location = Config::load(data)?.data.location();
    let tables = Store::tables_of(&location)
        .await
        .map_err(ServiceError::from)?;
    let found = tables.is_some();
    if let Some(tables) = tables {
        document = with_tables(&document, &tables).map_err(Failure::problems)?;
    }
    let snapshot = Snapshot::compile(&document, 1).map_err(|problems| {
        let failure = Failure::problems(problems);
        if found || document.existing == ExistingSection::default() {
            return failure;
        }
        failure.hint(
            "the file is about tables that were there before; name their database with --database",
        )
    })?;
    let report = run_tests(&document, &Arc::new(snapshot));
    let failed = report.failures.len();
    output.result(
        || {
            let failures: Vec<_> = report
                .failures
                .iter()
                .map(|failure| {
                    json!({
                        "file": &*failure.place.file,
                        "line": failure.place.line,
                        "column": failure.place.column,
                        "test": failure.test,
                        "message": failure.message,
                    })
                })
                .collect();
            json!({ "tests": report.tests, "passed": report.passed, "failed": failed, "failures": failures })
        },
        || {
            let mut text = String::new();
            for failure in &report.failures {
                text.push_str(&format!("{}: {}: {}\n", failure.place, failure.test, failure.message));
            }
            let (tests, passed) = (report.tests, report.passed);
            text.push_str(&format!("{tests} tests: {passed} expectations passed, {failed} failed\n"));
            text
        },
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    })
}
