//! `[throttle]`: how often one may try to sign in, in a minute; how often sign up and ask for mail, in an hour. 0 is no limit.

use portreeve_service::{Limit, ThrottleSettings};
use serde::Deserialize;

/// How often one may try to sign in (in a minute), sign up and ask for mail (in an hour).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// From one address, whatever the name.
    pub per_address: u32,
    /// With one name from one address.
    pub per_name_and_address: u32,
    /// With one name from all addresses at which it has not signed in before.
    pub per_name: u32,
    /// Accounts that are made for themselves from one address, in an hour.
    pub registrations: u32,
    /// Mails that are asked for from one address, in an hour.
    pub mails: u32,
    /// Other e-mail addresses that one account asks for, in an hour.
    pub address_changes: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        let settings = ThrottleSettings::default();
        Self {
            per_address: settings.per_address.attempts,
            per_name_and_address: settings.per_name_and_address.attempts,
            per_name: settings.per_name.attempts,
            registrations: settings.registrations.attempts,
            mails: settings.mails.attempts,
            address_changes: settings.address_changes.attempts,
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
            registrations: Limit::per_hour(self.registrations),
            mails: Limit::per_hour(self.mails),
            address_changes: Limit::per_hour(self.address_changes),
        }
    }
}
