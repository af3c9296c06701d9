//! How much memory the index takes, looked at from outside: a process of its own, so that nothing else is in it.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::decision::compile;
use crate::process::resident;
use crate::world::{LARGE, SMALL, Size, World};

/// The argument that makes this program the measured process.
pub const CHILD: &str = "index-memory";

/// Bytes that the snapshot of a world adds to a process.
pub fn measure(size: Size) -> Result<f64> {
    let program = std::env::current_exe().context("where is this program?")?;
    let output = Command::new(program)
        .args([CHILD, &size.users.to_string()])
        // Freed pages go back at once: what is left is what is held.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the process to be measured")?;
    ensure!(output.status.success(), "the measured process failed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("the measured process said {text:?}"))
}

/// The measured process: says how much it grew by a snapshot, the document it was made of being gone.
pub fn child(users: &str) -> Result<()> {
    let size = [SMALL, LARGE]
        .into_iter()
        .find(|size| size.users.to_string() == users)
        .context("no such world")?;
    let own = std::process::id();
    let world = World::new(size, 0);
    let before = resident(own)?;
    let document = world.document();
    let snapshot = compile(&document)?;
    drop(document);
    std::thread::sleep(Duration::from_millis(200));
    println!("{}", resident(own)? - before);
    drop(snapshot);
    Ok(())
}
