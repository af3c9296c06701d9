//! `[registration]`: whether strangers make accounts for themselves through our own API.

use portreeve_service::Registration as Settings;
use serde::Deserialize;

/// Whether strangers make accounts for themselves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whether they do. What they are bound to stands in the access file, under `registration:`.
    pub open: bool,
    /// Whether their address has to be confirmed by mail first.
    pub confirmation: bool,
}

impl Registration {
    /// The same for the operations.
    pub fn settings(&self) -> Settings {
        Settings {
            open: self.open,
            confirmation: self.confirmation,
            ..Settings::default()
        }
    }
}
