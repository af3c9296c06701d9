//! The policy as a whole: shown, planned, put in force.

use std::sync::Arc;

use portreeve_gate::{ApplyPolicy, Caller, Eyes, Rename};
use portreeve_policy::{Access, Document, Snapshot};
use portreeve_store::StoreError;

use crate::plan::{Change, Difference, Dropped, Plan};
use crate::{Portreeve, ServiceError};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version in force.
    pub version: u64,
    /// Whether anything changed.
    pub changed: bool,
}

impl Portreeve {
    /// The document in force, without its tests.
    pub async fn document(&self, caller: &Caller) -> Result<Document, ServiceError> {
        self.may(caller, "policy.plan")?;
        Ok(self.store.system().load_policy().await?.document)
    }

    /// What putting a document in force would change.
    pub async fn plan(&self, caller: &Caller, document: &Document) -> Result<Plan, ServiceError> {
        self.plan_renaming(caller, document, vec![]).await
    }

    pub(crate) async fn plan_renaming(
        &self,
        caller: &Caller,
        document: &Document,
        renames: Vec<Rename>,
    ) -> Result<Plan, ServiceError> {
        self.may(caller, "policy.plan")?;
        // A file that names a new table is meant for what the tables are now.
        self.look_at_tables().await;
        let stored = self.store.system().load_policy().await?;
        let planned_on = stored.version;
        let (document, notes) = self
            .existing
            .complete(document, &stored.document)
            .map_err(ServiceError::BadPolicy)?;
        let compiled =
            Snapshot::compile(&document, planned_on + 1).map_err(ServiceError::BadPolicy)?;
        let difference = Difference::between(&stored.document, &document, &renames);
        let drops = difference
            .drops
            .iter()
            .map(|drop| Dropped {
                collection: drop.collection.to_string(),
                field: drop.field.clone(),
            })
            .collect();
        // Tests say what the policy means to its authors; they are not part of what is in force.
        let document = Document {
            tests: vec![],
            ..document
        };
        Ok(Plan {
            changes: difference.changes,
            drops,
            notes,
            planned_on,
            document: Arc::new(document),
            compiled: Arc::new(compiled),
            gate_drops: difference.drops,
            renames,
        })
    }

    /// Puts a plan in force as one change, in the tables and for the next request. Applied twice, the second one
    /// changes nothing. Data falls away only where `confirm_drops` says so.
    pub async fn apply(
        &self,
        caller: &Caller,
        plan: Plan,
        confirm_drops: bool,
    ) -> Result<Applied, ServiceError> {
        self.may(caller, "policy.apply")?;
        let _turn = self.administration.lock().await;
        let current = self.policy_version();
        if plan.is_empty() {
            return Ok(Applied {
                version: current,
                changed: false,
            });
        }
        if plan.planned_on != current {
            return Err(ServiceError::PolicyChanged);
        }
        if !plan.drops.is_empty() && !confirm_drops {
            return Err(ServiceError::DropsUnconfirmed(plan.drops));
        }
        let rights = plan.changes.iter().any(Change::concerns_rights);
        let operation = ApplyPolicy {
            document: Arc::clone(&plan.document),
            compiled: Arc::clone(&plan.compiled),
            planned_on: plan.planned_on,
            summary: plan.to_json(),
            drops: plan.gate_drops,
            renames: plan.renames,
            rights,
        };
        let apply = self.gate.apply_policy(caller, operation)?;
        // Before anybody is told: whoever hears of the change is answered by it. In a task of its own, so that nobody who
        // goes away in the middle leaves a policy that is stored and not in force.
        let (store, gate, subscriptions, compiled) = (
            self.store.clone(),
            Arc::clone(&self.gate),
            Arc::clone(&self.subscriptions),
            Arc::clone(&plan.compiled),
        );
        let applied = tokio::spawn(async move {
            let version = store.apply_policy(apply).await?;
            debug_assert_eq!(version, compiled.version());
            gate.publish(compiled);
            subscriptions.rights_changed();
            Ok::<_, StoreError>(version)
        });
        let version = applied.await.map_err(ServiceError::internal)??;
        self.note_administrator().await;
        Ok(Applied {
            version,
            changed: true,
        })
    }

    /// Whether a caller may do something that is not on a collection.
    pub(crate) fn may<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        action: &str,
    ) -> Result<(), ServiceError> {
        let rights = self.gate.special(eyes, action, None);
        if rights.is_some_and(|rights| *rights.reach() == Access::Always) {
            Ok(())
        } else {
            Err(ServiceError::Forbidden)
        }
    }
}
