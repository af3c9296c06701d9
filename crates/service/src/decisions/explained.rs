//! A denial explained: what it was, and what the policy in force says to it now.

use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_policy::RequestFacts;
use serde::Serialize;

use super::{Denial, DeniedPrincipal};
use crate::{CheckRequest, Explained, Portreeve, ServiceError};

/// A denial, and what the policy in force says to it.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedDecision {
    /// What was denied, to whom.
    pub denial: Denial,
    /// The policy version in force.
    pub policy_version: u64,
    /// Whether that is another one than it was decided under.
    pub policy_changed: bool,
    /// The same question asked again, under the policy in force and with the records as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_again: Option<Box<Explained>>,
    /// What is to be known about it.
    pub notes: Vec<String>,
}

impl Portreeve {
    /// What a decision id stands for, and why it falls as it does. Whoever may not have decisions explained learns
    /// nothing, whether there is such an id or not.
    pub async fn explain_decision(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<ExplainedDecision, ServiceError> {
        self.may(caller, "policy.explain")?;
        let denial = self.denial(id).await?;
        let subject = self.denied(caller, &denial).await?;
        let mut notes = vec![];
        let judged = self
            .judge_again(caller, subject, &denial, &mut notes)
            .await?;
        let policy_version = caller.snapshot().version();
        let policy_changed = policy_version != denial.policy_version;
        if policy_changed {
            notes.push(format!(
                "it was decided under version {}; version {policy_version} is in force",
                denial.policy_version
            ));
        }
        if let Some(judged) = &judged
            && judged.explanation.decision == "allow"
        {
            notes.push(
                if policy_changed {
                    "it would be allowed now"
                } else {
                    "it would be allowed now: records, rights of the account, or what was sent have made the difference"
                }
                .into(),
            );
        }
        Ok(ExplainedDecision {
            denial,
            policy_version,
            policy_changed,
            judged_again: judged.map(Box::new),
            notes,
        })
    }

    // Who was denied, where that is known still. What was denied to somebody tells of what he sees: it is there for those
    // alone who see all of that.
    async fn denied(
        &self,
        caller: &Caller,
        denial: &Denial,
    ) -> Result<Option<Caller>, ServiceError> {
        let subject = match (denial.principal, &denial.user) {
            (DeniedPrincipal::User, Some(user)) => self.account_caller(user).await?,
            (DeniedPrincipal::Anonymous, _) => {
                Some(self.gate.anonymous(self.now(), RequestFacts::default()))
            }
            (DeniedPrincipal::Unknown, _) => return Ok(None),
            _ => None,
        };
        let open = match &subject {
            Some(subject) if subject.principal() == caller.principal() => true,
            Some(subject) => self.sees_all_of(caller, subject)?,
            None => self.gate.is_administrator(caller),
        };
        if open {
            Ok(subject)
        } else {
            Err(ServiceError::NotFound)
        }
    }

    async fn judge_again(
        &self,
        caller: &Caller,
        subject: Option<Caller>,
        denial: &Denial,
        notes: &mut Vec<String>,
    ) -> Result<Option<Explained>, ServiceError> {
        let Some(action) = &denial.action else {
            return not_judged(notes, "it is not known as an action of the policy");
        };
        if denial.shortened {
            return not_judged(
                notes,
                "a name or key was too long, or no plain text, and is not kept",
            );
        }
        let Some(subject) = subject else {
            return not_judged(
                notes,
                match denial.principal {
                    DeniedPrincipal::User => "the account is not there any more",
                    DeniedPrincipal::Share => {
                        "whoever has opened a share sees what its creator may read of one record, and does nothing else"
                    }
                    _ => "it came to an end before it was known who asked",
                },
            );
        };
        if subject.snapshot().version() != caller.snapshot().version() {
            return Err(ServiceError::PolicyChanged);
        }
        if denial.narrowed {
            notes.push(
                "the rights were narrowed then, as by a key; they are judged whole here".into(),
            );
        }
        let catalog = subject.snapshot().catalog();
        let named = denial.collection.as_deref();
        if named.is_some_and(|name| catalog.find_text(name).is_none()) {
            return not_judged(notes, "there is no such collection");
        }
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let facts = RequestFacts {
            ip: denial.ip.as_deref().and_then(|ip| ip.parse().ok()),
            method: text(&denial.method),
            face: text(&denial.face),
            operation: text(&denial.operation),
            id: None,
        };
        let request = CheckRequest {
            subject: None,
            action: action.clone(),
            collection: denial.collection.clone(),
            key: denial.key.clone(),
            send: None,
        };
        if subject.snapshot().actions().find(action).is_none() {
            return not_judged(notes, "there is no such action any more");
        }
        if action.starts_with("data.create") || action.starts_with("data.update") {
            notes.push("what was sent is not kept: it is judged as if nothing had been".into());
        }
        let subject = subject.at(self.now(), facts);
        self.explained(caller, subject, &request).await.map(Some)
    }
}

fn not_judged(notes: &mut Vec<String>, why: &str) -> Result<Option<Explained>, ServiceError> {
    notes.push(format!("it is not judged again: {why}"));
    Ok(None)
}
