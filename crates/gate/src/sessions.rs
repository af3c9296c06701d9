//! Ending sessions: one's own, and those of accounts one may change wholly.

use std::sync::Arc;

use portreeve_policy::{Facts, Grant, Layer, Record, Subject, UPDATE_ONE, eval};

use crate::{Authorized, Caller, Gate, Principal, Refused};

/// End sessions of an account.
pub struct EndSessions {
    /// The account.
    pub user: String,
    /// Which.
    pub which: Which,
}

/// Which sessions of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// The one with this id.
    One(Arc<str>),
    /// All but the one with this id.
    AllBut(Arc<str>),
}

impl Gate {
    /// The same caller in a session.
    pub fn in_session(&self, caller: &Caller, session: Arc<str>) -> Caller {
        let mut caller = caller.clone();
        caller.session = Some(session);
        caller
    }

    /// Whether a caller may see and end his own sessions.
    pub fn own_sessions(&self, caller: &Caller) -> Result<Arc<str>, Refused> {
        let Principal::User(user) = caller.principal() else {
            return Err(Refused::Forbidden);
        };
        self.may(caller, "account.sessions")?;
        Ok(Arc::clone(user))
    }

    /// One's own sessions.
    pub fn end_own_sessions(
        &self,
        caller: &Caller,
        which: Which,
    ) -> Result<Authorized<EndSessions>, Refused> {
        let user = self.own_sessions(caller)?.to_string();
        Ok(self.proof(caller, EndSessions { user, which }))
    }

    /// Those of an account, whose row this is.
    pub fn end_sessions(
        &self,
        caller: &Caller,
        account: &Record,
        facts: &dyn Facts,
        operation: EndSessions,
    ) -> Result<Authorized<EndSessions>, Refused> {
        if self.covers_account(caller, account, facts) {
            Ok(self.proof(caller, operation))
        } else {
            Err(Refused::Forbidden)
        }
    }

    /// Whether a caller may change all of an account: what it signs in by, its keys and its sessions are in no field, so
    /// only a permission for all fields covers them.
    pub fn covers_account(&self, caller: &Caller, account: &Record, facts: &dyn Facts) -> bool {
        let Some(users) = caller.snapshot().catalog().find_text("users") else {
            return false;
        };
        let rights = self.rights(caller, users.id, UPDATE_ONE);
        let holds = |grant: &Grant| {
            let mut conditions = [&grant.body.rows, &grant.body.check].into_iter().flatten();
            conditions.all(|condition| {
                eval(condition, Subject::read(account), caller.context(), facts) == Some(true)
            })
        };
        // A deny holds unless it is false. One with fields names none of what this is about.
        let denies = |grant: &Grant| {
            let mut conditions = [&grant.body.rows, &grant.body.check].into_iter().flatten();
            grant.body.fields.is_all()
                && conditions.all(|condition| {
                    eval(condition, Subject::read(account), caller.context(), facts) != Some(false)
                })
        };
        let covers = |layer: &Layer| {
            let mut allows = layer.effective_allows().into_iter();
            allows.any(|grant| grant.body.fields.is_all() && holds(grant))
                && !layer.effective_denies().iter().any(denies)
        };
        rights.layers().iter().all(covers)
    }
}
