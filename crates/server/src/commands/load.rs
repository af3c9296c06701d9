//! `portreeve load FILE`

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::Data;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Loads accounts and records.
pub async fn run(
    file: &Path,
    skip: usize,
    data: &Data,
    output: Output,
) -> Result<ExitCode, Failure> {
    let lines = lines(file)?;
    let portreeve = open(&Config::load(data)?, Mode::Write).await?;
    let loaded = portreeve.load(lines, skip).await?;
    output.result(
        || output::json(loaded),
        || {
            format!(
                "loaded {} users and {} records",
                loaded.users, loaded.records
            )
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// A file to read lines from.
pub fn lines(file: &Path) -> Result<BufReader<Box<dyn Read + Send>>, Failure> {
    if file == Path::new("-") {
        return Ok(BufReader::new(Box::new(std::io::stdin())));
    }
    let opened = File::open(file).map_err(|error| {
        let name = file.display();
        let line = match error.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {name}"),
            _ => format!("cannot read {name}: {error}"),
        };
        Failure::error("no_file", line)
    })?;
    Ok(BufReader::new(Box::new(opened)))
}
