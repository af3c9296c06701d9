//! The school example's data, generated. A placeholder until the generator is written: it writes nothing.

use std::path::Path;

/// Writes the school example into `dir`. The same on every call.
pub fn generate(dir: &Path) -> anyhow::Result<()> {
    println!(
        "the school example has no generator yet: nothing was written to {}",
        dir.display()
    );
    Ok(())
}
