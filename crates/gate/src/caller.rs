//! Who asks: admitted once per request from facts that authentication has verified.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_model::Value;
use portreeve_policy::{Binding, Context, RequestFacts, RoleSet, Snapshot};

/// Who is behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, by id.
    User(Arc<str>),
    /// Nobody signed in.
    Anonymous,
    /// Whoever has opened a share, by the share's id; whose rights it shows. Never that user.
    Share {
        /// The share's id.
        share: Arc<str>,
        /// Its creator's id.
        creator: Arc<str>,
    },
    /// Whoever holds the data folder: the command line and the first start.
    Operator,
}

/// What authentication has verified about a user. The gate trusts it; only the service makes it.
#[derive(Clone, Debug)]
pub struct CredentialFacts {
    /// The user's id.
    pub user: Arc<str>,
    /// The user's row of `users`, by column.
    pub attributes: Arc<HashMap<Arc<str>, Value>>,
    /// The user's bindings, live or not.
    pub bindings: Vec<Binding>,
    /// The principal epoch these were read at.
    pub epoch: u64,
}

/// A principal with its roles resolved, the facts of its request, and the policy version it is judged by.
#[derive(Clone)]
pub struct Caller {
    pub(crate) principal: Principal,
    pub(crate) roles: Arc<RoleSet>,
    // With their times, for what the caller hands out: nobody grants for longer than he holds.
    pub(crate) bindings: Arc<[Binding]>,
    // All must allow, too. None of them ever goes away again.
    pub(crate) narrowing: Vec<Arc<RoleSet>>,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) context: Context,
    pub(crate) epoch: u64,
    pub(crate) valid_until: Option<i64>,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl Caller {
    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The user's id, where there is a user.
    pub fn user(&self) -> Option<&Arc<str>> {
        match &self.principal {
            Principal::User(id) => Some(id),
            Principal::Anonymous | Principal::Share { .. } | Principal::Operator => None,
        }
    }

    /// The id of the session, where there is one.
    pub fn session(&self) -> Option<&Arc<str>> {
        self.session.as_ref()
    }

    /// The roles in force.
    pub fn roles(&self) -> &Arc<RoleSet> {
        &self.roles
    }

    /// Whether it has less than its own rights, as by a key.
    pub fn is_narrowed(&self) -> bool {
        !self.narrowing.is_empty()
    }

    /// What it is limited to: all of these must allow, too.
    pub fn narrowing(&self) -> &[Arc<RoleSet>] {
        &self.narrowing
    }

    /// The facts of the request.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The policy this caller is judged by.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The principal epoch at admission.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the roles change by themselves, microseconds since 1970.
    pub fn valid_until(&self) -> Option<i64> {
        self.valid_until
    }

    /// The same caller in another request.
    pub fn at(&self, now: i64, request: RequestFacts) -> Self {
        let mut caller = self.clone();
        caller.context.now = now;
        caller.context.request = request;
        caller
    }
}
