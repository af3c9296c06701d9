//! How much was tested, for whoever reads the end of a run. This is the only writer; `cargo xtask test` empties the folder
//! before a run, sums up and prints.
//!
//! Two files in `portreeve-stats/` of the target folder: `cases.tsv`, a line `suite`, tab, `store`, tab, `number` for each
//! call of [`count`], from which the matrix is made, and `lines.txt`, a sentence for each call of [`note`]. A suite that runs on
//! a store only says
//!
//! ```no_run
//! portreeve_testkit::stats::count("corpus", "PostgreSQL", 197);
//! ```
//!
//! once it has passed. Numbers of the same suite and store add up, so the parts of a suite may count for themselves, whatever
//! process they run in. The stores are called `memory` (the compiled engine without a store), `SQLite` and `PostgreSQL`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Adds to the matrix: so many cases of this suite hold on this store.
///
/// # Panics
/// When the target folder cannot be written, or a name could not be told from its neighbour.
pub fn count(suite: &str, store: &str, number: u64) {
    for name in [suite, store] {
        assert!(!name.contains(['\t', '\n']), "not a name: {name:?}");
    }
    append("cases.tsv", &format!("{suite}\t{store}\t{number}\n"));
}

/// Adds a sentence that has no place in the matrix.
///
/// # Panics
/// When the target folder cannot be written.
pub fn note(line: &str) {
    append("lines.txt", &format!("{}\n", line.trim()));
}

// One write, so that lines of two processes do not mix. Without a run that reads it, nothing is written.
fn append(name: &str, text: &str) {
    let Some(target) = std::env::var_os("CARGO_TARGET_DIR") else {
        return;
    };
    let folder = PathBuf::from(target).join("portreeve-stats");
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(folder.join(name))?;
        file.write_all(text.as_bytes())
    });
    written.expect("the target folder can be written");
}
