//! Who may use a route.

/// Who may use a route. What it says is a promise that the gate keeps: a test asks every route as everybody who stands
/// outside its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anybody, signed in or not; what is answered may depend on who it is.
    Anybody,
    /// Anybody who sends the secret that was given to him: what it is.
    Holder(&'static str),
    /// Whoever has a session.
    SignedIn,
    /// Whoever may do all of these actions of the policy.
    May(&'static [&'static str]),
    /// Whoever may do one of these.
    MayAny(&'static [&'static str]),
    /// Whoever may do this action on records of this collection; where none is named here, of the one the request names.
    Records(&'static str, Option<&'static str>),
    /// Administrators, narrowed by nothing.
    Administrator,
    /// Anybody on this machine, in development mode; otherwise there is no such route.
    Development,
}

impl Rule {
    /// The actions of the policy it names.
    pub fn actions(&self) -> &[&'static str] {
        match self {
            Self::May(actions) | Self::MayAny(actions) => actions,
            Self::Records(action, _) => std::slice::from_ref(action),
            _ => &[],
        }
    }

    /// The action a denial is remembered as.
    pub(crate) fn action(&self) -> Option<&'static str> {
        self.actions().first().copied()
    }

    /// The collection it is about, where the request does not name one.
    pub(crate) fn collection(&self) -> Option<&'static str> {
        match self {
            Self::Records(_, collection) => *collection,
            _ => None,
        }
    }

    /// Whether nobody who is not signed in gets anything.
    pub fn wants_account(&self) -> bool {
        matches!(
            self,
            Self::SignedIn | Self::May(_) | Self::MayAny(_) | Self::Administrator
        )
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, actions: &[&str], word: &str| {
            for (place, action) in actions.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                write!(f, "`{action}`")?;
            }
            Ok(())
        };
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::Holder(what) => write!(f, "whoever has {what}"),
            Self::SignedIn => f.write_str("whoever is signed in"),
            Self::May(actions) => list(f, actions, "and"),
            Self::MayAny(actions) => list(f, actions, "or"),
            Self::Records(action, Some(collection)) => write!(f, "`{action}` on `{collection}`"),
            Self::Records(action, None) => write!(f, "`{action}` on the collection"),
            Self::Administrator => f.write_str("administrators"),
            Self::Development => f.write_str("anybody on this machine, in development mode"),
        }
    }
}
