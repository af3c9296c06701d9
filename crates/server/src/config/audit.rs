//! `[audit]`: which denials are kept, and for how long; and what the audit trail tells beside administrative changes.

use std::num::NonZeroU32;

use portreeve_service::DenialOptions;
use serde::Deserialize;

/// Which denials are kept, and for how long.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Which of them.
    pub denials: Denials,
    /// With `sample`: one in so many.
    pub one_in: NonZeroU32,
    /// At most so many in a minute.
    pub denials_per_minute: NonZeroU32,
    /// At most so many in all.
    pub denials_kept: NonZeroU32,
    /// For so many days.
    pub denials_days: NonZeroU32,
    /// Who signs in, and who is not let in.
    pub sign_ins: bool,
}

/// Which denials are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denials {
    /// All of them.
    #[default]
    All,
    /// One in so many.
    Sample,
    /// None but the latest, in memory.
    None,
}

impl Denials {
    /// As the file says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Sample => "sample",
            Self::None => "none",
        }
    }
}

impl Audit {
    /// The same in the service's words.
    pub fn denials(&self) -> DenialOptions {
        DenialOptions {
            one_in: match self.denials {
                Denials::All => 1,
                Denials::Sample => self.one_in.get(),
                Denials::None => 0,
            },
            per_minute: self.denials_per_minute.get(),
            most: self.denials_kept.get(),
            days: self.denials_days.get(),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        let usual = DenialOptions::default();
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            denials: Denials::All,
            one_in: number(10),
            denials_per_minute: number(usual.per_minute),
            denials_kept: number(usual.most),
            denials_days: number(usual.days),
            sign_ins: false,
        }
    }
}
