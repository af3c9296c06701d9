//! `portreeve export`

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use portreeve_service::{ExportError, Exported, Portreeve};

use crate::cli::Data;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

const ACCESS: &str = "access.yaml";
const RECORDS: &str = "records.ndjson";

/// What is written.
#[derive(Clone, Copy)]
pub struct What {
    /// Accounts and records instead of the access document.
    pub records: bool,
    /// With the access document, what every account is bound to.
    pub bindings: bool,
    /// With the accounts, the hashes of their passwords.
    pub passwords: bool,
}

/// Writes the access document, or accounts and records, or both.
pub async fn run(
    what: What,
    to: Option<&Path>,
    data: &Data,
    output: Output,
) -> Result<ExitCode, Failure> {
    let portreeve = open(&Config::load(data)?, Mode::Read).await?;
    if let Some(folder) = to {
        return both(&portreeve, folder, what.passwords, output).await;
    }
    let mut out = BufWriter::new(std::io::stdout());
    let written = if what.records {
        let caller = portreeve.operator();
        let exported = portreeve
            .export_with(&caller, what.passwords, &mut out)
            .await;
        exported.map(left_out)
    } else {
        let text = access(&portreeve, what.bindings, output.json).await?;
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(ExportError::Write)
    };
    match written {
        // A reader that has seen enough.
        Err(ExportError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(|error| failure(error, Path::new("standard output")))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn both(
    portreeve: &Portreeve,
    folder: &Path,
    passwords: bool,
    output: Output,
) -> Result<ExitCode, Failure> {
    let failed = |path: &Path, error: std::io::Error| failure(ExportError::Write(error), path);
    let (access_file, records_file) = (folder.join(ACCESS), folder.join(RECORDS));
    for file in [&access_file, &records_file] {
        if file.symlink_metadata().is_ok() {
            let line = format!(
                "{} exists already. Choose another folder with --to, or move it away",
                file.display()
            );
            return Err(Failure::error("export_exists", line));
        }
    }
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let yaml = access(portreeve, false, false).await?;
    let mut out = Growing::begin(&records_file).map_err(|error| failed(&records_file, error))?;
    let exported = portreeve
        .export_with(&portreeve.operator(), passwords, &mut out.writer)
        .await
        .map_err(|error| failure(error, &records_file))?;
    let mut file = Growing::begin(&access_file).map_err(|error| failed(&access_file, error))?;
    let written = file.writer.write_all(yaml.as_bytes());
    written
        .and_then(|()| file.keep(&access_file))
        .map_err(|error| failed(&access_file, error))?;
    out.keep(&records_file)
        .map_err(|error| failed(&records_file, error))?;
    output.result(
        || output::json(&exported),
        || {
            format!(
                "{} users and {} records in {}\nread them with: portreeve apply {} and portreeve load {}",
                exported.users,
                exported.records,
                folder.display(),
                access_file.display(),
                records_file.display()
            )
        },
    );
    left_out(exported);
    Ok(ExitCode::SUCCESS)
}

// Both are read by `apply`.
async fn access(portreeve: &Portreeve, bindings: bool, json: bool) -> Result<String, Failure> {
    let operator = portreeve.operator();
    let document = if bindings {
        portreeve.document_with_bindings(&operator).await?
    } else {
        portreeve.document(&operator).await?
    };
    Ok(if json {
        format!("{}\n", document.to_json())
    } else {
        document.to_yaml()
    })
}

fn left_out(exported: Exported) {
    if !exported.left_out.is_empty() {
        eprintln!(
            "portreeve: left out, since their tables are not of our making: {}",
            exported.left_out.join(", ")
        );
    }
}

fn failure(error: ExportError, place: &Path) -> Failure {
    match error {
        ExportError::Service(error) => error.into(),
        ExportError::Write(error) => Failure::error(
            "export_unwritable",
            format!(
                "cannot write {}: {error}. Check that there is room and that it is writable",
                place.display()
            ),
        ),
    }
}

/// A file that has another name until it is whole, and goes if nothing comes of it.
struct Growing {
    path: std::path::PathBuf,
    writer: BufWriter<File>,
    kept: bool,
}

impl Growing {
    fn begin(file: &Path) -> std::io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".partial");
        let path = std::path::PathBuf::from(name);
        // Left by one that was killed.
        let _ = std::fs::remove_file(&path);
        let mut options = File::options();
        options.write(true).create_new(true);
        // Names and addresses are in there.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let writer = BufWriter::new(options.open(&path)?);
        Ok(Self {
            path,
            writer,
            kept: false,
        })
    }

    fn keep(mut self, file: &Path) -> std::io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        std::fs::rename(&self.path, file)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
