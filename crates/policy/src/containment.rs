//! Rights over rights: whether what somebody wants to hand out lies within what he holds.
//!
//! Judged by the text of rules, cell by cell (an action on a collection), and soundly: where it says yes, whoever gets
//! what is handed out can bring about nothing that its giver could not. It says no more often than it would have to;
//! what is refused here is left to administrators.

mod cover;
mod holding;
mod later;
mod same;
mod writer;

pub use holding::Holding;
pub use writer::Writer;

/// What goes beyond the writer's own rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It would allow this.
    Allows {
        /// The action.
        action: String,
        /// On which collection.
        collection: Option<String>,
    },
    /// It would no longer deny, or force a value on, this.
    Lifts {
        /// The action.
        action: String,
        /// On which collection.
        collection: Option<String>,
    },
    /// It reaches further into what is made later, there.
    Reaches(String),
    /// It has to do with an administrator.
    Administrator,
    /// Rules ask whether this role is held, so that to hold it or not means more than its permissions.
    Named(String),
    /// Whoever holds it may hand out this role or profile.
    Assigns(String),
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cell = |f: &mut std::fmt::Formatter<'_>, action: &str, on: &Option<String>| match on {
            Some(on) => write!(f, "{action} on '{on}'"),
            None => f.write_str(action),
        };
        match self {
            Self::Allows { action, collection } => {
                f.write_str("it allows ")?;
                cell(f, action, collection)
            }
            Self::Lifts { action, collection } => {
                f.write_str("it lifts a limit of ")?;
                cell(f, action, collection)
            }
            Self::Reaches(place) => write!(f, "it reaches what is made later in '{place}'"),
            Self::Administrator => f.write_str("it is an administrator's"),
            Self::Named(role) => write!(f, "rules ask who holds the role '{role}'"),
            Self::Assigns(what) => write!(f, "its holders may hand out '{what}'"),
        }
    }
}
