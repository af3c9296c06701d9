//! `[access]`: the policy put in force at the start.

use std::path::PathBuf;

use serde::Deserialize;

/// The policy put in force at the start.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// The access file. Without one, what is stored stays in force.
    pub file: Option<PathBuf>,
}
