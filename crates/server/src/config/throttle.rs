//! `[throttle]`: how often one may try to sign in, in a minute. 0 is no limit.

use portreeve_service::{Limit, ThrottleSettings};
use serde::Deserialize;

/// How often one may try to sign in, in a minute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// From one address, whatever the name.
    pub per_address: u32,
    /// With one name from one address.
    pub per_name_and_address: u32,
    /// With one name from all addresses at which it has not signed in before.
    pub per_name: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        let settings = ThrottleSettings::default();
        Self {
            per_address: settings.per_address.attempts,
            per_name_and_address: settings.per_name_and_address.attempts,
            per_name: settings.per_name.attempts,
        }
    }
}

impl Throttle {
    /// In the service's words.
    pub fn settings(&self) -> ThrottleSettings {
        ThrottleSettings {
            per_address: Limit::per_minute(self.per_address),
            per_name_and_address: Limit::per_minute(self.per_name_and_address),
            per_name: Limit::per_minute(self.per_name),
        }
    }
}
