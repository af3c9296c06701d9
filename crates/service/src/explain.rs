//! Why a decision falls as it does. For administrators and whoever holds `policy.explain`: it shows rules and values.

use portreeve_gate::{Caller, Refused};
use portreeve_policy::{Explanation, Question, decided_by, explain};
use serde::Serialize;

use crate::check::Asked;
use crate::{CheckRequest, Portreeve, ServiceError};

/// An explanation, and what stands before any rule.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// What the rules say.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// Why it is denied whatever the rules say: a record that is not there, a field that does not exist for the
    /// subject, a relation to a record out of his reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The policy version it was decided under.
    pub policy_version: u64,
}

impl Portreeve {
    /// Why the decision falls as it does.
    pub async fn explain(
        &self,
        caller: &Caller,
        request: &CheckRequest,
    ) -> Result<Explained, ServiceError> {
        self.may(caller, "policy.explain")?;
        if request.subject.is_some() {
            self.may(caller, "policy.simulate")?;
        }
        if let Some(name) = &request.collection {
            self.demand_collection(caller, name)?;
        }
        let subject = self.subject(caller, request.subject.as_deref()).await?;
        self.explained(caller, subject, request).await
    }

    // Whoever calls this has looked whether it may be asked.
    pub(crate) async fn explained(
        &self,
        caller: &Caller,
        subject: Caller,
        request: &CheckRequest,
    ) -> Result<Explained, ServiceError> {
        let other = caller.principal() != subject.principal();
        let asked = self.asked(caller, subject, request, true).await?;
        let snapshot = asked.caller.snapshot();
        let (asker, question) = (asked.asker(), asked.question());
        let mut explanation = explain(snapshot, &asker, &question, &asked.facts);
        // What holds on a record, and with which values, tells of all that the rules read.
        let mut read = decided_by(snapshot, &asker, &question);
        let accounts = snapshot.catalog().find_text("users").filter(|_| other);
        read.extend(accounts.map(|users| users.id));
        if !self.gate.sees_all_in(caller, &read) {
            let at_all = Question {
                record: None,
                created: None,
                ..question
            };
            let open = explain(snapshot, &asker, &at_all, &asked.facts);
            explanation.considered = open.considered;
            explanation.settled_by.clear();
            explanation.suggestion = None;
            explanation.summary =
                "which of these hold, and with which values, is told to whoever reads all that they read"
                    .into();
        }
        asked.facts.answered()?;
        let before = before_any_rule(&asked, request);
        if let Some(before) = &before {
            explanation.decision = "deny";
            explanation.summary.clone_from(before);
            explanation.settled_by.clear();
            explanation.suggestion = None;
        }
        Ok(Explained {
            explanation,
            before,
            policy_version: snapshot.version(),
        })
    }
}

fn before_any_rule(asked: &Asked, request: &CheckRequest) -> Option<String> {
    match &asked.refused {
        // What the rules say is the better answer.
        None | Some(Refused::NotFound | Refused::Forbidden) => {}
        Some(refused) => return Some(refused.to_string()),
    }
    let collection = asked.collection.as_ref()?;
    if asked.missing {
        let key = request.key.as_deref().unwrap_or_default();
        return Some(format!(
            "there is no record '{key}' in '{}'",
            collection.name
        ));
    }
    let name = &collection.field(asked.bad_link?).name;
    Some(format!(
        "'{name}' names a record that is not there, or out of the subject's reach"
    ))
}
