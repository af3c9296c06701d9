//! Properties over random worlds.

mod corpus;
mod differential;
mod explanations;
mod non_interference;
mod stores;

use std::path::PathBuf;

/// `cargo xtask test` prints what is written here.
fn stats(name: &str, line: &str) {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        let folder = PathBuf::from(target).join("portreeve-stats");
        std::fs::create_dir_all(&folder).expect("a folder for statistics");
        std::fs::write(folder.join(format!("{name}.txt")), format!("{line}\n"))
            .expect("a file for statistics");
    }
}

/// How many cases a property runs: the number for CI, or what the environment says.
fn cases(default: u64) -> u64 {
    std::env::var("PORTREEVE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}
