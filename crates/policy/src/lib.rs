//! The decision point. Pure: no I/O, no async, no clock, no SQL, no HTTP.
//!
//! [`Document`] is what people author; [`parse_rule`] and its kin are the rule language; [`Snapshot`] is rights and
//! catalog compiled into one immutable value with one version, which [`Snapshot::decide`] and the functions of
//! [`Rights`] answer from. Related records reach it through [`Facts`].
//!
//! To add an operator: `portreeve_model::Rule`, `text/`, `resolve`, `eval`, the store's `sql/lower`, the naive
//! evaluator of the test kit, a corpus case and a line in `docs/reference/rules.md`; the compiler names most of them.

mod actions;
mod bookkeeping;
mod catalog;
pub mod cells;
mod change;
mod compile;
mod containment;
mod context;
mod describe;
mod document;
mod eval;
mod existing;
mod explain;
mod judge;
mod looks;
mod memory;
mod neighbourhood;
mod problem;
mod resolve;
mod rights;
mod roleset;
mod scope;
mod snapshot;
mod statement;
mod testing;
mod text;

pub use actions::*;
pub use bookkeeping::keep;
pub use catalog::*;
pub use change::*;
pub use compile::{BUILT_IN_ROLES, built_in_role};
pub use containment::{Beyond, Holding, Writer};
pub use context::*;
pub use describe::{FailedPart, describe};
pub use document::*;
pub use eval::*;
pub use existing::*;
pub use explain::*;
pub use judge::*;
pub use memory::*;
pub use neighbourhood::Neighbourhood;
pub use problem::*;
pub use resolve::*;
pub use rights::{Grant, Layer, Rights};
pub use roleset::{Admission, Quick, RoleSet};
pub use scope::Scope;
pub use snapshot::*;
pub use statement::*;
pub use testing::*;
pub use text::{
    RuleError, parse_operand, parse_rule, print_operand, print_rule, rule_from_json, rule_to_json,
};
