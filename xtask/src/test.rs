//! `cargo xtask test`: everything, then how long each stage took and what the tests counted.

mod postgres;
mod statistics;

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::stages::Stages;
use crate::workspace;

/// Runs every stage.
pub fn run() -> Result<()> {
    let target = workspace::target_dir()?;
    let counted = target.join("portreeve-stats");
    // Tests append, so what an earlier run counted has to go first.
    if counted.exists() {
        fs::remove_dir_all(&counted)
            .with_context(|| format!("cannot empty {}", counted.display()))?;
    }
    postgres::prepare()?;

    let cargo = || {
        let mut command = workspace::cargo();
        // Absolute and always set: a test runs in its crate's folder, where a relative path would mean another place, and
        // it needs the same answer as we have to leave its statistics where we look.
        command.env("CARGO_TARGET_DIR", &target);
        // A run that leaves out a store is no run of every test.
        command.env("REQUIRE_POSTGRES", "1");
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
    postgres::end(&target);

    print!("{}", statistics::report(&counted)?);
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
