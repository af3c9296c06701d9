//! Test app, actors, fake clock, random worlds, the naive evaluator, the corpus runner

pub mod compiled;
pub mod naive;
pub mod stored;
pub mod worlds;
