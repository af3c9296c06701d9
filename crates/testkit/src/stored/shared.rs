//! Whoever has opened a share, before gate and store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use portreeve_gate::{CredentialFacts, Share, Shared, Shows};
use portreeve_model::{CollectionName, Value};
use portreeve_policy::RequestFacts;

use super::StoredWorld;
use crate::naive::Subject;

impl StoredWorld {
    /// The facts of a subject's request.
    pub(super) fn request_facts(&self, subject: &Subject) -> RequestFacts {
        let named = |name: &str| subject.request.get(name);
        let text = |name: &str| named(name).map(|value| Arc::from(value.as_str()));
        RequestFacts {
            ip: named("ip").and_then(|ip| ip.parse::<IpAddr>().ok()),
            method: text("method"),
            face: text("face"),
            operation: text("operation"),
            id: None,
        }
    }

    /// What is known of a subject that is a user.
    pub(super) fn facts(&self, subject: &Subject, user: &str) -> CredentialFacts {
        let row = self.world.users.get(user).cloned().unwrap_or_default();
        let attributes: HashMap<Arc<str>, Value> = row
            .into_iter()
            .map(|(name, value)| (Arc::from(name), value))
            .collect();
        CredentialFacts {
            user: Arc::from(user),
            attributes: Arc::new(attributes),
            bindings: subject.bindings.clone(),
            epoch: 0,
        }
    }

    /// Whoever looks at the share of a subject, admitted by the gate.
    pub fn shared(&self, subject: &Subject) -> Option<Shared> {
        let (user, share) = (subject.user.as_ref()?, subject.share.as_ref()?);
        let share = Share {
            id: "share".into(),
            collection: CollectionName::parse(&share.collection).ok()?,
            record: share.key.clone(),
            shows: match &share.role {
                Some(role) => Shows::Role(role.clone()),
                None => Shows::Fields(share.fields.clone()),
            },
        };
        let facts = self.facts(subject, user);
        let request = self.request_facts(subject);
        self.gate
            .shared(&facts, Arc::new(share), subject.now, request)
    }
}
