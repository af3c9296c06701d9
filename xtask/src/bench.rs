//! `cargo xtask bench` and `load`: the benchmarks live in their own crate; this only builds them as they have to be built.

use anyhow::Result;

use crate::workspace;

/// Hands every argument on.
pub fn run(args: &[String]) -> Result<()> {
    workspace::run(
        "the benchmarks",
        workspace::cargo()
            .args(["run", "--release", "-p", "portreeve-benches", "--"])
            .args(args),
    )
}

/// A storm of sign-ins against the product, which is built first.
pub fn load() -> Result<()> {
    workspace::run(
        "the product",
        workspace::cargo().args(["build", "--release", "-p", "portreeve"]),
    )?;
    run(&["storm".to_owned()])
}
