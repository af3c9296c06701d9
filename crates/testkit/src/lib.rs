//! Test app, actors, fake clock, random worlds, the naive evaluator, the corpus runner, throw-away databases

pub mod compiled;
pub mod naive;
pub mod postgres;
pub mod stats;
pub mod stored;
pub mod worlds;
