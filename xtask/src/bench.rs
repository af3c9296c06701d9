//! `cargo xtask bench`: the benchmarks live in their own crate; this only builds them the way they have to be built.

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
