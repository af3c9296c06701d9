//! Test app, actors, fake clock, random worlds, the naive evaluator, the corpus runner, throw-away databases, a mail server

pub mod compiled;
pub mod faces;
pub mod naive;
pub mod postgres;
pub mod smtp;
pub mod stats;
pub mod stored;
pub mod worlds;
