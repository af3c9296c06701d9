//! Secrets that are kept in files of their own.

use std::path::Path;

use crate::fail::Failure;

/// Reads a file that holds a secret. Outside development one that everybody on the machine can read or write is refused:
/// a secret that everybody knows protects nothing.
pub fn read(setting: &str, file: &Path, development: bool) -> Result<String, Failure> {
    let text = crate::wiring::read_text(file)?;
    #[cfg(unix)]
    if !development {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).map(|found| found.permissions().mode());
        if let Some(mode) = mode.ok().filter(|mode| mode & 0o006 != 0) {
            let line = format!(
                "{setting}: everybody on this machine can read or change {name} (mode {:04o}); take that away: chmod o-rwx {name}",
                mode & 0o7777,
                name = file.display(),
            );
            return Err(Failure::error("secret_exposed", line));
        }
    }
    Ok(text)
}

/// The same where the secret is the file's first line.
pub fn first_line(setting: &str, file: &Path, development: bool) -> Result<String, Failure> {
    let text = read(setting, file, development)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
