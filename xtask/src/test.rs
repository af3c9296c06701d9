//! `cargo xtask test`: everything, then how long each stage took and what the tests counted.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::stages::Stages;
use crate::workspace;

/// Runs every stage.
pub fn run() -> Result<()> {
    let target = workspace::target_dir()?;
    let statistics = target.join("portreeve-stats");
    // Tests append, so what an earlier run counted has to go first.
    if statistics.exists() {
        fs::remove_dir_all(&statistics)
            .with_context(|| format!("cannot empty {}", statistics.display()))?;
    }

    // Absolute and always set: a test runs in its crate's folder, where a relative path would mean another place, and it
    // needs the same answer as we have to leave its statistics where we look.
    let cargo = || {
        let mut command = workspace::cargo();
        command.env("CARGO_TARGET_DIR", &target);
        command
    };

    let mut stages = Stages::default();
    if has_nextest() {
        stages.run("nextest", cargo().args(["nextest", "run", "--workspace"]));
    } else {
        println!("cargo-nextest is not installed: `cargo test` runs the same tests, slower");
        stages.run(
            "unit and integration tests",
            cargo().args(["test", "--workspace", "--tests", "--no-fail-fast"]),
        );
    }
    // nextest cannot run doctests, and the compile_fail ones are what proves that a Caller cannot be forged.
    stages.run(
        "doctests",
        cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]),
    );

    print!("{}", report(&statistics)?);
    stages.finish()
}

fn has_nextest() -> bool {
    workspace::cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The lines tests left in `<folder>/*.txt` (`corpus: 163 cases`), file by file in the order of their names.
fn report(folder: &Path) -> Result<String> {
    if !folder.exists() {
        return Ok(String::new());
    }
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();

    let mut text = String::from("\nstatistics\n");
    for file in files {
        let content =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for line in content.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_printed_by_file_name_and_other_files_are_left_out() {
        let folder = std::env::temp_dir().join(format!("xtask-stats-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("b.txt"), "parity: 900 worlds\n").unwrap();
        fs::write(folder.join("a.txt"), "corpus: 163 cases\nfaces: 1").unwrap();
        fs::write(folder.join("a.lock"), "not ours").unwrap();
        let text = report(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            text,
            "\nstatistics\n  corpus: 163 cases\n  faces: 1\n  parity: 900 worlds\n"
        );
    }

    #[test]
    fn no_statistics_is_no_error() {
        assert_eq!(report(Path::new("no-such-folder")).unwrap(), "");
    }
}
