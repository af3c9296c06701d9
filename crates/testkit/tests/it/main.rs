//! Properties over random worlds.

mod aggregates;
mod cells;
mod changes;
mod containment;
mod corpus;
mod differential;
mod explanations;
mod non_interference;
mod operations;
mod replay;
mod shares;
mod stores;
mod walks;
mod who_can;

/// How many cases a property runs: the number for CI, or what the environment says.
fn cases(default: u64) -> u64 {
    std::env::var("PORTREEVE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
