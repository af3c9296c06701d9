//! The policy as a whole: shown, planned, put in force.

use std::sync::Arc;

use portreeve_gate::{ApplyPolicy, Authored, Caller, Eyes, Rename};
use portreeve_policy::{Access, Document, RoleDefinition, Snapshot, built_in_role};

use crate::plan::{Change, Difference, Dropped, Part, Plan};
use crate::{Portreeve, ServiceError, Terms};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version in force.
    pub version: u64,
    /// Whether anything changed.
    pub changed: bool,
}

impl Portreeve {
    /// The document in force, without its tests, and with the words of mails where the caller may see them.
    pub async fn document(&self, caller: &Caller) -> Result<Document, ServiceError> {
        self.may(caller, "policy.plan")?;
        let mut document = self.store.system().load_policy().await?.document;
        if self.gate.list_templates(caller).is_ok() {
            document.templates = self.own_templates().await?;
        }
        Ok(document)
    }

    /// The same with what every account is bound to. For administrators.
    pub async fn document_with_bindings(&self, caller: &Caller) -> Result<Document, ServiceError> {
        let mut document = self.document(caller).await?;
        document.bindings = self.all_bindings(caller).await?;
        Ok(document)
    }

    /// Whether the caller may plan at all.
    pub fn may_plan(&self, caller: &Caller) -> Result<(), ServiceError> {
        self.may(caller, "policy.plan")
    }

    /// What putting a document in force would change.
    pub async fn plan(&self, caller: &Caller, document: &Document) -> Result<Plan, ServiceError> {
        let mut plan = self.plan_renaming(caller, document, vec![]).await?;
        let current = caller.snapshot().version() == plan.planned_on;
        if !plan.is_empty() && current && self.gate.is_administrator(caller) {
            plan.people = self.people(caller, &plan.compiled, &plan.rebound).await?;
        }
        Ok(plan)
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
        let compiled = Arc::new(compiled);
        let beside = self.beside(caller, &document).await?;
        let mut difference = Difference::between(&stored.document, &document, &renames);
        difference.changes.extend(beside.changes);
        let drops = difference
            .drops
            .iter()
            .map(|drop| Dropped {
                collection: drop.collection.to_string(),
                field: drop.field.clone(),
            })
            .collect();
        // Tests say what the policy means to its authors; they are not part of what is in force. Bindings and words of
        // mails are stored as what they are.
        let document = Document {
            tests: vec![],
            bindings: vec![],
            templates: vec![],
            ..document
        };
        Ok(Plan {
            changes: difference.changes,
            drops,
            notes,
            people: vec![],
            planned_on,
            document: Arc::new(document),
            compiled,
            gate_drops: difference.drops,
            renames,
            bindings: beside.bindings,
            templates: beside.templates,
            rebound: beside.rebound,
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
        let one_by_one = plan
            .changes
            .iter()
            .all(|change| matches!(change.part, Part::Role | Part::Profile | Part::Registration));
        if one_by_one && !plan.is_empty() && !self.gate.is_administrator(caller) {
            return self.apply_parts(caller, &plan).await;
        }
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
        let tables = plan.changes.iter().any(Change::concerns_tables);
        let operation = ApplyPolicy {
            document: Arc::clone(&plan.document),
            compiled: Arc::clone(&plan.compiled),
            planned_on: plan.planned_on,
            summary: plan.to_json(),
            drops: plan.gate_drops,
            renames: plan.renames,
            rights,
            tables,
            bindings: plan.bindings,
            templates: plan.templates,
        };
        let apply = self.gate.apply_policy(caller, operation)?;
        // Before anybody is told: whoever hears of the change is answered by it. In a task of its own, so that nobody who
        // goes away in the middle leaves a policy that is stored and not in force.
        let (store, gate) = (self.store.clone(), Arc::clone(&self.gate));
        let compiled = Arc::clone(&plan.compiled);
        let applied = self.carry_out(async move {
            let (version, stale) = store.apply_policy(apply).await?;
            debug_assert_eq!(version, compiled.version());
            gate.publish(compiled);
            Ok((version, stale))
        });
        let version = applied.await??;
        self.note_administrator().await;
        Ok(Applied {
            version,
            changed: true,
        })
    }

    // Roles, profiles and registration of somebody who is no administrator: as if he changed them one by one, within
    // what he holds.
    async fn apply_parts(&self, caller: &Caller, plan: &Plan) -> Result<Applied, ServiceError> {
        self.may(caller, "access.author")?;
        if caller.snapshot().version() != plan.planned_on {
            return Err(ServiceError::PolicyChanged);
        }
        let stored = self.store.system().load_policy().await?.document;
        let document = &plan.document;
        let version = plan.planned_on + 1;
        let mut compiled = (**caller.snapshot()).clone();
        let mut changes = vec![];
        let is_changed = |part: Part, key: &str| {
            let mut changes = plan.changes.iter();
            changes.any(|change| change.part == part && change.name == key)
        };
        let mut roles: Vec<&RoleDefinition> = document
            .roles
            .iter()
            .filter(|role| is_changed(Part::Role, &role.key))
            .collect();
        // One may name another that is new as well.
        while !roles.is_empty() {
            let before = roles.len();
            let mut failed = None;
            roles.retain(|role| match compiled.with_role(role, version) {
                Ok(with) => {
                    compiled = with;
                    let old = stored.roles.iter().find(|old| old.key == role.key);
                    let old = old.cloned().or_else(|| built_in_role(&role.key));
                    changes.push(Authored::Role(old.map(Box::new), Box::new((*role).clone())));
                    false
                }
                Err(problems) => {
                    failed = Some(problems);
                    true
                }
            });
            if roles.len() == before {
                return Err(ServiceError::BadPolicy(failed.unwrap_or_default()));
            }
        }
        compiled = compiled
            .with_profiles(&document.profiles, version)
            .map_err(ServiceError::BadPolicy)?;
        for profile in &document.profiles {
            if is_changed(Part::Profile, &profile.key) {
                let old = stored.profiles.iter().find(|old| old.key == profile.key);
                let old = old.cloned().map(Box::new);
                changes.push(Authored::Profile(old, Box::new(profile.clone())));
            }
        }
        let registration = document.registration.roles.clone();
        if registration != stored.registration.roles {
            compiled = compiled
                .with_registration(&registration, version)
                .map_err(ServiceError::BadPolicy)?;
            let old = stored.registration.roles.clone();
            changes.push(Authored::Registration(old, registration));
        }
        for old in &stored.profiles {
            if document.profiles.iter().all(|one| one.key != old.key) {
                changes.push(Authored::NoProfile(Box::new(old.clone())));
            }
        }
        for old in &stored.roles {
            if document.roles.iter().any(|one| one.key == old.key) {
                continue;
            }
            let without = compiled.without_role(&old.key, version);
            compiled = without
                .filter(|_| built_in_role(&old.key).is_none())
                .ok_or(ServiceError::Forbidden)?;
            changes.push(Authored::NoRole(Box::new(old.clone())));
        }
        self.author(caller, changes, compiled, Terms::default())
            .await
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
