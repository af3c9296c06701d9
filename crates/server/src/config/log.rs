//! `[log]`: what is told on stderr while it runs.

use serde::Deserialize;

/// What is told on stderr.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `warn`, `info`, `debug`, or by module: `info,portreeve_store=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".into(),
        }
    }
}
