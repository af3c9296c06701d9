//! Why a decision falls as it does: which clauses settle it, what in the others did not hold and with which values,
//! and the nearest change of the policy that would flip it.

mod suggest;

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::{Collection, CollectionId, Condition, FieldId, Value};
use serde::Serialize;

use crate::describe::{FailedPart, describe, failed_parts};
use crate::looks::looks_into;
use crate::rights::rows_of;
use crate::{
    Access, ActionId, Asker, DeleteTemplate, Effect, Facts, FieldSet, Grant, IMPLICIT, Judgement,
    Layer, READ_ONE, Record, Rights, Snapshot, Subject, WriteKind, WriteTemplate, eval,
};

/// A decision to be explained.
#[derive(Clone)]
pub struct Question {
    /// What would be done.
    pub action: ActionId,
    /// To what.
    pub collection: Option<CollectionId>,
    /// The record it would be done to, as it is.
    pub record: Option<Arc<Record>>,
    /// A read of one field rather than of the record.
    pub field: Option<FieldId>,
    /// Create and update: what would be sent.
    pub sent: Vec<(FieldId, Value)>,
    /// Create: the record as it would be stored, where no preset or default changes it.
    pub created: Option<Record>,
}

/// One statement of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Clause {
    /// The role.
    pub role: String,
    /// Its place in the role's list, from 0; absent for what `administrator` and `implicit_allow` add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<u16>,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// What it says.
    pub says: String,
    // The layer it stands in: the owner's, or what narrows it.
    #[serde(skip)]
    pub(crate) layer: usize,
}

/// A clause and why it did not help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// The clause.
    #[serde(flatten)]
    pub clause: Clause,
    /// Whether it holds here.
    pub holds: bool,
    /// What in it did not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedPart>,
    /// Sent fields it does not grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_granted: Vec<String>,
}

/// A change of the policy that flips the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// Clauses to take out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Clause>,
    /// Permissions to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Addition>,
}

/// A permission to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addition {
    /// To which role.
    pub role: String,
    /// The action.
    pub allow: String,
    /// The collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// On which record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// Which fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
}

/// Why a decision falls as it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The action.
    pub action: String,
    /// The collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The roles in force.
    pub roles: Vec<String>,
    /// An allow: the clauses that suffice for it, none to spare. A denial: the denies that bring it about against
    /// the allows there are; none where no allow suffices.
    pub settled_by: Vec<Clause>,
    /// Every clause on this action and collection.
    pub considered: Vec<Considered>,
    /// The nearest change that would flip a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
    /// One sentence.
    pub summary: String,
}

/// Explains a decision. The explained asker's rights decide; `facts` see the whole database.
pub fn explain(
    snapshot: &Snapshot,
    asker: &Asker,
    question: &Question,
    facts: &dyn Facts,
) -> Explanation {
    Explaining {
        snapshot,
        asker,
        question,
        facts,
        read: read_rights(snapshot, asker, question.collection),
    }
    .explain()
}

/// The clauses that suffice for an allow, none to spare, as [`explain`] names them; `None` where it is denied.
pub fn settled(
    snapshot: &Snapshot,
    asker: &Asker,
    question: &Question,
    facts: &dyn Facts,
) -> Option<Vec<Clause>> {
    let explaining = Explaining {
        snapshot,
        asker,
        question,
        facts,
        read: read_rights(snapshot, asker, question.collection),
    };
    let layers = rights_for(snapshot, asker, question).layers().to_vec();
    explaining
        .allowed(&layers)
        .then(|| explaining.minimal(&layers))
}

/// The decision as it would be if of all clauses on the question's action and collection only those that `keep` says
/// were there.
pub fn decision_with(
    snapshot: &Snapshot,
    asker: &Asker,
    question: &Question,
    facts: &dyn Facts,
    keep: impl Fn(&Clause) -> bool,
) -> bool {
    let read = read_rights(snapshot, asker, question.collection);
    let explaining = Explaining {
        snapshot,
        asker,
        question,
        facts,
        read,
    };
    let mut layers = rights_for(snapshot, asker, question).layers().to_vec();
    for (place, layer) in layers.iter_mut().enumerate() {
        layer
            .allows
            .retain(|grant| keep(&explaining.clause(grant, place)));
        layer
            .denies
            .retain(|grant| keep(&explaining.clause(grant, place)));
    }
    explaining.allowed(&layers)
}

/// The statements that count for a question.
pub fn rights_for(snapshot: &Snapshot, asker: &Asker, question: &Question) -> Rights {
    let ask = |roles: &crate::RoleSet| match question.collection {
        Some(id) if question.action.is_record() => {
            roles.rights(snapshot, id, question.action, &asker.context)
        }
        id => roles.special(snapshot, question.action, id, &asker.context, false),
    };
    let own = ask(&asker.roles);
    let own = Rights::new(own.collection(), own.action(), own.layers().to_vec());
    asker
        .narrowing
        .iter()
        .fold(own, |own, more| Rights::narrowed(&own, &ask(more)))
}

/// The collections whose records decide a question: its own, and those that the statements which count for it look into.
pub fn decided_by(snapshot: &Snapshot, asker: &Asker, question: &Question) -> Vec<CollectionId> {
    let mut found: BTreeSet<CollectionId> = question.collection.into_iter().collect();
    let read = read_rights(snapshot, asker, question.collection);
    let rights = [Some(rights_for(snapshot, asker, question)), read];
    let layers = rights.iter().flatten().flat_map(|rights| rights.layers());
    for grant in layers.flat_map(|layer| layer.grants()) {
        let conditions = [&grant.body.rows, &grant.body.check];
        for condition in conditions.into_iter().flatten() {
            looks_into(condition, &mut found);
        }
    }
    found.into_iter().collect()
}

fn read_rights(
    snapshot: &Snapshot,
    asker: &Asker,
    collection: Option<CollectionId>,
) -> Option<Rights> {
    let question = Question {
        action: READ_ONE,
        collection: Some(collection?),
        record: None,
        field: None,
        sent: vec![],
        created: None,
    };
    Some(rights_for(snapshot, asker, &question))
}

struct Explaining<'a> {
    snapshot: &'a Snapshot,
    asker: &'a Asker,
    question: &'a Question,
    facts: &'a dyn Facts,
    read: Option<Rights>,
}

// One record as it would be after a write, over the database as it is.
struct Overlay<'a> {
    base: &'a dyn Facts,
    collection: CollectionId,
    key: FieldId,
    record: Arc<Record>,
}

impl Facts for Overlay<'_> {
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        let mut found = self.base.find(collection, field, value);
        if collection == self.collection {
            found.retain(|record| record.get(self.key) != self.record.get(self.key));
            if self.record.get(field) == value {
                found.push(Arc::clone(&self.record));
            }
        }
        found
    }
}

impl Explaining<'_> {
    fn explain(&self) -> Explanation {
        let rights = rights_for(self.snapshot, self.asker, self.question);
        let layers = rights.layers().to_vec();
        let allowed = self.allowed(&layers);
        let settled = if allowed {
            self.minimal(&layers)
        } else {
            self.deciding_denies(&layers)
        };
        let considered = self.considered(&layers);
        let suggestion = if allowed {
            None
        } else {
            self.suggestion(&layers)
        };
        let collection = self
            .question
            .collection
            .map(|id| self.snapshot.catalog().get(id).name.to_string());
        let action = self
            .snapshot
            .actions()
            .name(self.question.action)
            .to_owned();
        let summary = self.summary(
            allowed,
            &settled,
            &considered,
            &action,
            collection.as_deref(),
        );
        Explanation {
            decision: if allowed { "allow" } else { "deny" },
            action,
            collection,
            roles: self
                .asker
                .roles
                .keys()
                .iter()
                .map(ToString::to_string)
                .collect(),
            settled_by: settled,
            considered,
            suggestion,
            summary,
        }
    }

    // The decision under these statements alone.
    fn allowed(&self, layers: &[Layer]) -> bool {
        let question = self.question;
        let id = question.collection.unwrap_or(CollectionId(u32::MAX));
        let rights = Rights::new(id, question.action, layers.to_vec());
        let context = &self.asker.context;
        let Some(collection) = question
            .collection
            .map(|id| self.snapshot.catalog().get(id))
        else {
            return *rights.reach() != Access::Never;
        };
        let holds = |access: &Access, record: &Record| match access {
            Access::Never => false,
            Access::Always => true,
            Access::When(condition) => {
                eval(condition, Subject::read(record), context, self.facts) == Some(true)
            }
        };
        if question.action.is_create() || question.action.is_update() {
            return self.write_allowed(&rights);
        }
        match &question.record {
            None => {
                *rights.reach() != Access::Never
                    && question
                        .field
                        .is_none_or(|field| *rights.field(collection, field) != Access::Never)
            }
            Some(record) => {
                let delete = question.action == crate::DELETE_ONE;
                if delete && let Some(read) = &self.read {
                    let template = DeleteTemplate::new(&rights, read, self.snapshot.catalog());
                    let truths: Vec<bool> = template
                        .probes()
                        .iter()
                        .map(|probe| {
                            eval(probe, Subject::read(record), context, self.facts) == Some(true)
                        })
                        .collect();
                    return template.judge(&truths).is_ok();
                }
                holds(rights.reach(), record)
                    && question
                        .field
                        .is_none_or(|field| holds(rights.field(collection, field), record))
            }
        }
    }

    fn write_allowed(&self, rights: &Rights) -> bool {
        let question = self.question;
        let (Some(read), Some(id)) = (&self.read, question.collection) else {
            return false;
        };
        let create = question.action.is_create();
        let collection = self.snapshot.catalog().get(id);
        let Some(before) = (if create {
            question.created.clone()
        } else {
            question.record.as_deref().cloned()
        }) else {
            // No record named: whether anything could be written at all.
            return *rights.reach() != Access::Never;
        };
        let kind = if create {
            WriteKind::Create
        } else {
            WriteKind::Update
        };
        let fields: Vec<FieldId> = question.sent.iter().map(|(field, _)| *field).collect();
        let reach = |_| Access::Always;
        let Ok(template) = WriteTemplate::new(
            kind,
            rights,
            read,
            self.snapshot.catalog(),
            fields.clone(),
            reach,
        ) else {
            return false;
        };
        let context = &self.asker.context;
        let truths = |probes: &[Condition], subject: Subject<'_>, facts: &dyn Facts| -> Vec<bool> {
            probes
                .iter()
                .map(|probe| eval(probe, subject, context, facts) == Some(true))
                .collect()
        };
        let old = Subject {
            record: &before,
            old: Some(&before),
            sent: &fields,
            caller: &[],
        };
        let session = if create {
            Ok(template.create(&question.sent, context))
        } else {
            let truths = truths(template.probes_old(), old, self.facts);
            template.update(&question.sent, context, &before, truths)
        };
        let Ok(mut session) = session else {
            return false;
        };
        while let Some(assignments) = session.next_attempt() {
            let mut record = before.clone();
            for (field, value) in assignments {
                record.0[field.index()] = value;
            }
            let record = Arc::new(record);
            let facts = Overlay {
                base: self.facts,
                collection: id,
                key: collection.key,
                record: Arc::clone(&record),
            };
            let old = (!create).then_some(&before);
            let subject = Subject {
                record: &record,
                old,
                sent: &fields,
                caller: &[],
            };
            match session.judge(&truths(template.probes_new(), subject, &facts)) {
                Judgement::Accepted => return true,
                Judgement::TryNext => {}
                Judgement::Denied => return false,
            }
        }
        false
    }

    fn clause(&self, grant: &Grant, layer: usize) -> Clause {
        Clause {
            role: grant.role.to_string(),
            permission: (grant.position != IMPLICIT).then_some(grant.position),
            effect: if grant.body.effect == Effect::Allow {
                "allow"
            } else {
                "deny"
            },
            says: self.says(grant),
            layer,
        }
    }

    fn says(&self, grant: &Grant) -> String {
        if grant.administrator {
            return "administrator".into();
        }
        if grant.position == IMPLICIT {
            return "implicit_allow".into();
        }
        let body = &grant.body;
        let catalog = self.snapshot.catalog();
        let mut says = vec![];
        if let Some(rows) = &body.rows {
            says.push(format!(
                "rows: {}",
                describe(catalog, self.question.collection, rows)
            ));
        }
        if let (FieldSet::Only(_), Some(id)) = (&body.fields, self.question.collection) {
            says.push(format!(
                "fields: {}",
                self.field_names(id, &body.fields).join(", ")
            ));
        }
        if let Some(check) = &body.check {
            says.push(format!(
                "check: {}",
                describe(catalog, self.question.collection, check)
            ));
        }
        if let Some(when) = &body.when {
            says.push(format!("when: {}", describe(catalog, None, when)));
        }
        if says.is_empty() {
            "every record, every field".into()
        } else {
            says.join("; ")
        }
    }

    fn field_names(&self, id: CollectionId, fields: &FieldSet) -> Vec<String> {
        let collection = self.snapshot.catalog().get(id);
        collection
            .field_ids()
            .filter(|field| fields.contains(*field))
            .map(|field| shown_name(collection, field))
            .collect()
    }

    // Clauses that suffice for an allow, none to spare.
    fn minimal(&self, layers: &[Layer]) -> Vec<Clause> {
        let kept = shrink(layers, |_| true, |fewer| self.allowed(fewer));
        self.clauses(&kept, |_| true)
    }

    // Denies that bring about a denial against the allows there are, none to spare.
    fn deciding_denies(&self, layers: &[Layer]) -> Vec<Clause> {
        let kept = shrink(
            layers,
            |grant| grant.body.effect == Effect::Deny,
            |fewer| !self.allowed(fewer),
        );
        self.clauses(&kept, |grant| grant.body.effect == Effect::Deny)
    }

    fn clauses(&self, layers: &[Layer], wanted: impl Fn(&Grant) -> bool) -> Vec<Clause> {
        let mut clauses = vec![];
        for (place, layer) in layers.iter().enumerate() {
            clauses.extend(
                layer
                    .grants()
                    .filter(|grant| wanted(grant))
                    .map(|grant| self.clause(grant, place)),
            );
        }
        clauses
    }

    fn considered(&self, layers: &[Layer]) -> Vec<Considered> {
        let mut all = vec![];
        let catalog = self.snapshot.catalog();
        let before = self.question.record.as_deref();
        let created = self.question.created.as_ref();
        let mut after = before.or(created).cloned();
        if let Some(record) = &mut after {
            for (field, value) in &self.question.sent {
                if let Some(slot) = record.0.get_mut(field.index()) {
                    *slot = value.clone();
                }
            }
        }
        let sent: Vec<FieldId> = self.question.sent.iter().map(|(field, _)| *field).collect();
        let writes = self.question.action.is_create() || self.question.action.is_update();
        for (place, layer) in layers.iter().enumerate() {
            for grant in layer.grants() {
                let wanted = grant.body.effect == Effect::Allow;
                let mut failed = vec![];
                let mut look = |condition: &Condition, record: Option<&Record>| {
                    let Some(record) = record else { return };
                    let subject = Subject {
                        record,
                        old: before,
                        sent: &sent,
                        caller: &[],
                    };
                    let context = &self.asker.context;
                    failed.extend(failed_parts(
                        catalog,
                        self.question.collection,
                        condition,
                        wanted,
                        subject,
                        context,
                        self.facts,
                    ));
                };
                let record = before.or(after.as_ref());
                look(&rows_of(&grant.body), record);
                if writes && let Some(check) = &grant.body.check {
                    look(check, after.as_ref());
                }
                // A deny holds unless it is false: what keeps it from holding is that it is false.
                let holds = if wanted {
                    failed.is_empty()
                } else {
                    !failed.is_empty() || grant.body.rows.is_none()
                };
                let not_granted = match self.question.collection {
                    Some(id) if writes && wanted => sent
                        .iter()
                        .filter(|field| !grant.body.fields.contains(**field))
                        .map(|field| shown_name(catalog.get(id), *field))
                        .collect(),
                    _ => vec![],
                };
                all.push(Considered {
                    clause: self.clause(grant, place),
                    holds,
                    failed,
                    not_granted,
                });
            }
        }
        all
    }

    fn summary(
        &self,
        allowed: bool,
        settled: &[Clause],
        considered: &[Considered],
        action: &str,
        collection: Option<&str>,
    ) -> String {
        let what = match collection {
            Some(collection) => format!("{action} on {collection}"),
            None => action.to_owned(),
        };
        let named = |clause: &Clause| match clause.permission {
            Some(place) => format!(
                "permission {} of role '{}' ({})",
                place + 1,
                clause.role,
                clause.says
            ),
            None => format!("role '{}' ({})", clause.role, clause.says),
        };
        if allowed {
            let by: Vec<String> = settled.iter().map(named).collect();
            return format!("{what} is allowed by {}", by.join(" and "));
        }
        if !settled.is_empty() {
            let by: Vec<String> = settled.iter().map(named).collect();
            return format!("{what} is denied by {}", by.join(" and "));
        }
        let allows: Vec<&Considered> = considered
            .iter()
            .filter(|c| c.clause.effect == "allow")
            .collect();
        if allows.is_empty() {
            return format!("no role in force allows {what}");
        }
        let why: Vec<String> = allows
            .iter()
            .map(|considered| {
                let parts: Vec<String> = considered
                    .failed
                    .iter()
                    .map(|failed| {
                        let values: Vec<String> = failed
                            .values
                            .iter()
                            .map(|(name, value)| format!("{name} is {value}"))
                            .collect();
                        let with = if values.is_empty() {
                            String::new()
                        } else {
                            format!(", with {}", values.join(", "))
                        };
                        format!("'{}' is {}{with}", failed.part, failed.outcome)
                    })
                    .collect();
                let mut reasons = parts;
                if !considered.not_granted.is_empty() {
                    reasons.push(format!(
                        "it does not grant {}",
                        considered.not_granted.join(", ")
                    ));
                }
                format!("{}: {}", named(&considered.clause), reasons.join("; "))
            })
            .collect();
        format!("no permission for {what} fits; {}", why.join("; "))
    }
}

fn join(own: &Layer, added: &Layer) -> Layer {
    let mut layer = own.clone();
    layer.allows.extend(added.allows.iter().cloned());
    layer.denies.extend(added.denies.iter().cloned());
    layer
}

// Takes out one removable grant after another while `same` stays true, until none can go.
fn shrink(
    layers: &[Layer],
    removable: impl Fn(&Grant) -> bool,
    same: impl Fn(&[Layer]) -> bool,
) -> Vec<Layer> {
    let mut kept = layers.to_vec();
    loop {
        let mut changed = false;
        for place in 0..kept.len() {
            for list in 0..2 {
                let mut index = 0;
                loop {
                    let mut fewer = kept.clone();
                    let grants = if list == 0 {
                        &mut fewer[place].denies
                    } else {
                        &mut fewer[place].allows
                    };
                    if index >= grants.len() {
                        break;
                    }
                    if !removable(&grants[index]) {
                        index += 1;
                        continue;
                    }
                    grants.remove(index);
                    if same(&fewer) {
                        kept = fewer;
                        changed = true;
                    } else {
                        index += 1;
                    }
                }
            }
        }
        if !changed {
            return kept;
        }
    }
}

fn shown_name(collection: &Collection, field: FieldId) -> String {
    if collection.overflow() == Some(field) {
        return "undeclared fields".into();
    }
    collection.field(field).name.to_string()
}
