//! The world through another one's eyes: what his own token would be answered, for those who may see it.

use portreeve_gate::{Caller, Refused, Simulated};
use portreeve_policy::{Binding, BoundTo};

use crate::authn::ACTIVE;
use crate::{Portreeve, ServiceError};

/// No request holds more roles at once than this.
const MAX_ROLES: usize = 32;

/// Whose eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulation {
    /// A user's, by id, key, name, address or number.
    User(String),
    /// Nobody's in particular who would hold these roles.
    Roles(Vec<String>),
    /// A request's without a session.
    Anonymous,
}

impl Simulation {
    /// Reads `user:<name>`, `role:<key>,<key>` or `anonymous`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "anonymous" {
            return Some(Self::Anonymous);
        }
        let (kind, name) = text.split_once(':')?;
        match kind {
            "user" if !name.is_empty() => Some(Self::User(name.to_owned())),
            "role" => {
                let roles: Vec<String> = name.split(',').map(|role| role.trim().into()).collect();
                let good = roles.len() <= MAX_ROLES && roles.iter().all(|role| !role.is_empty());
                good.then_some(Self::Roles(roles))
            }
            _ => None,
        }
    }

    // There is none, or not for this caller: the same words for both.
    fn unknown(&self) -> ServiceError {
        match self {
            Self::User(name) => ServiceError::UnknownUser(name.clone()),
            Self::Roles(roles) => ServiceError::UnknownRole {
                name: roles.join(","),
                hint: String::new(),
            },
            Self::Anonymous => ServiceError::Forbidden,
        }
    }
}

impl Portreeve {
    /// Lets a caller look through somebody's eyes, for this request. Takes `policy.simulate` and the right to see what is
    /// seen so; it is written into the audit trail before anything is shown. What comes back only reads.
    pub async fn simulate(
        &self,
        caller: &Caller,
        simulation: &Simulation,
    ) -> Result<Simulated, ServiceError> {
        self.may(caller, "policy.simulate")?;
        let whom = self.somebody(caller, simulation).await?;
        let (whom, label) = whom.ok_or_else(|| simulation.unknown())?;
        if whom.snapshot().version() != caller.snapshot().version() {
            return Err(ServiceError::PolicyChanged);
        }
        let simulate =
            self.gate
                .simulate(caller, whom, label)
                .map_err(|refused| match refused {
                    Refused::NotFound => simulation.unknown(),
                    other => other.into(),
                })?;
        Ok(self.store.simulate(simulate).await?)
    }

    async fn somebody(
        &self,
        caller: &Caller,
        simulation: &Simulation,
    ) -> Result<Option<(Caller, String)>, ServiceError> {
        let (now, request) = (caller.context().now, caller.context().request.clone());
        match simulation {
            Simulation::Anonymous => {
                let nobody = self.gate.anonymous(now, request);
                Ok(Some((nobody, "anonymous".into())))
            }
            Simulation::Roles(roles) => {
                let snapshot = caller.snapshot();
                if roles
                    .iter()
                    .any(|role| snapshot.is_administrator(role).is_none())
                {
                    return Ok(None);
                }
                let binding = |role: &String| Binding {
                    to: BoundTo::Role(role.clone()),
                    ..Binding::default()
                };
                let bindings: Vec<Binding> = roles.iter().map(binding).collect();
                let holder = self.gate.holder(caller, &bindings);
                Ok(Some((holder, format!("role:{}", roles.join(",")))))
            }
            Simulation::User(name) => {
                let system = self.store.system();
                let id = match self.find_user(caller, name).await {
                    Ok(id) => id,
                    Err(ServiceError::UnknownUser(_)) => return Ok(None),
                    Err(error) => return Err(error),
                };
                let account = system.credential_facts(&id).await?;
                // Whoever may not sign in is answered nothing.
                let Some(account) = account.filter(|account| account.status == ACTIVE) else {
                    return Ok(None);
                };
                let user = self.gate.admit(&account.facts, now, request);
                Ok(Some((user, format!("user:{id}"))))
            }
        }
    }
}
