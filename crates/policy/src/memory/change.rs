//! Changes of several records in memory.

use std::sync::Arc;

use portreeve_model::{CollectionId, FieldId, Value};

use super::{Asker, MemoryOutcome, MemoryWorld};
use crate::{
    Access, CREATE_MANY, ChangeOutcome, ChangeRun, Changed, DELETE_MANY, DeleteTemplate, Demand,
    Facts, Precondition, READ_ONE, Refusal, Reply, Rights, Selection, Step, Subject, UPDATE_MANY,
    What, Write, WriteKind, keep,
};

/// One record of a change, by its key.
#[derive(Clone, Debug)]
pub enum MemoryStep {
    /// It is made.
    Create(CollectionId, Vec<(FieldId, Value)>),
    /// It is changed.
    Update(CollectionId, Value, Vec<(FieldId, Value)>),
    /// It is deleted.
    Delete(CollectionId, Value),
}

impl MemoryWorld {
    /// Changes several records, all or none; the world changes only where each is stored or deleted. Otherwise the
    /// place of the one that is to blame, and what it came to.
    pub fn change(
        &mut self,
        asker: &Asker,
        asked: Vec<MemoryStep>,
    ) -> Result<Vec<MemoryOutcome>, (usize, MemoryOutcome)> {
        let mut steps = vec![];
        for (place, step) in asked.into_iter().enumerate() {
            let what = self.what(asker, step).map_err(|why| (place, why))?;
            steps.push(Step {
                what,
                fills: vec![],
                belongs: None,
                condition: Precondition::None,
            });
        }
        match self.run_change(asker, &steps) {
            ChangeOutcome::Done(changed) => Ok(changed
                .into_iter()
                .map(|changed| match changed {
                    Changed::Stored { record, .. } => MemoryOutcome::Stored(record),
                    Changed::Deleted { .. } | Changed::Left => MemoryOutcome::Deleted,
                })
                .collect()),
            ChangeOutcome::Refused { step, why } => Err((step, refused(&why))),
        }
    }

    fn what(&self, asker: &Asker, step: MemoryStep) -> Result<What, MemoryOutcome> {
        let write = |kind, action, collection, mut sent: Vec<(FieldId, Value)>| {
            sent.sort_by_key(|(field, _)| *field);
            let fields = sent.iter().map(|(field, _)| *field).collect();
            let template = self.template(asker, kind, action, collection, fields)?;
            Ok(Write {
                template: Arc::new(template),
                values: sent.into(),
            })
        };
        match step {
            MemoryStep::Create(collection, sent) => {
                write(WriteKind::Create, CREATE_MANY, collection, sent).map(What::Create)
            }
            MemoryStep::Update(collection, key, mut sent) => {
                let key_field = self.catalog().get(collection).key;
                if sent
                    .iter()
                    .any(|(field, value)| *field == key_field && *value != key)
                {
                    let message = "a record's key cannot be changed".into();
                    return Err(MemoryOutcome::Invalid(message));
                }
                sent.retain(|(field, _)| *field != key_field);
                let write = write(WriteKind::Update, UPDATE_MANY, collection, sent)?;
                Ok(What::Update { write, key })
            }
            MemoryStep::Delete(collection, key) => {
                let (delete, read) = (
                    self.rights(asker, collection, DELETE_MANY),
                    self.rights(asker, collection, READ_ONE),
                );
                let nothing = Rights::nothing(collection, DELETE_MANY);
                let delete = match self.catalog().get(collection).is_sealed() {
                    true => &nothing,
                    false => &*delete,
                };
                let template = Arc::new(DeleteTemplate::new(delete, &read, self.catalog()));
                Ok(What::Delete { template, key })
            }
        }
    }

    fn run_change(&mut self, asker: &Asker, steps: &[Step]) -> ChangeOutcome<()> {
        let before = self.clone();
        let mut run = ChangeRun::new(steps, &asker.context, Selection::Named);
        let mut reply = Reply::Done;
        loop {
            reply = match run.next(reply) {
                Demand::Look {
                    template,
                    by,
                    value,
                } => Reply::Found(self.found(
                    asker,
                    template.collection().id,
                    by,
                    value,
                    template.probes_old(),
                    template.sent(),
                )),
                Demand::LookDelete { template, key } => {
                    let collection = template.collection();
                    let (id, by) = (collection.id, collection.key);
                    Reply::Found(self.found(asker, id, by, key, template.probes(), &[]))
                }
                Demand::Reach {
                    link, value, reach, ..
                } => {
                    let access = match reach {
                        None => Access::Always,
                        Some(condition) => Access::When(Arc::new(condition.clone())),
                    };
                    let found = self.find(link.target, link.by, value);
                    let mut found = found.iter();
                    Reply::Holds(
                        found.any(|target| self.is_true(asker, &access, Subject::read(target))),
                    )
                }
                Demand::Insert { template, values } => {
                    let id = template.collection().id;
                    let mut values = values.to_vec();
                    keep(template.collection(), &mut values, None, &asker.context);
                    match self.new_record(asker, id, &values) {
                        Some(record) => {
                            self.insert(id, record.clone());
                            Reply::Inserted(record)
                        }
                        None => Reply::Unstorable(()),
                    }
                }
                Demand::Update {
                    template,
                    key,
                    values,
                    old,
                } => {
                    let id = template.collection().id;
                    let mut values = values.to_vec();
                    keep(
                        template.collection(),
                        &mut values,
                        Some(old),
                        &asker.context,
                    );
                    match self.get(id, key) {
                        None => Reply::Done,
                        Some(record) => {
                            let mut record = (*record).clone();
                            for (field, value) in values {
                                record.0[field.index()] = value;
                            }
                            if self.storable(id, &record, Some(key)) {
                                self.replace(id, key, record);
                                Reply::Done
                            } else {
                                Reply::Unstorable(())
                            }
                        }
                    }
                }
                Demand::Delete { template, key } => {
                    let id = template.collection().id;
                    let mut after = self.clone();
                    if self.get(id, key).is_none() {
                        Reply::Done
                    } else if after.remove(id, key, 0) {
                        *self = after;
                        Reply::Done
                    } else {
                        Reply::Unstorable(())
                    }
                }
                Demand::After { template, key, old } => {
                    let found = self.get(template.collection().id, key);
                    Reply::Found(found.map(|record| {
                        let subject = Subject {
                            record: &record,
                            old,
                            sent: template.sent(),
                            caller: &[],
                        };
                        let truths = self.truths(asker, template.probes_new(), subject);
                        ((*record).clone(), truths)
                    }))
                }
                Demand::Undo => {
                    *self = before.clone();
                    Reply::Done
                }
                Demand::Nothing => break,
            };
        }
        let outcome = run.outcome();
        if matches!(outcome, ChangeOutcome::Refused { .. }) {
            *self = before;
        }
        outcome
    }

    fn found(
        &self,
        asker: &Asker,
        collection: CollectionId,
        by: FieldId,
        value: &Value,
        probes: &[portreeve_model::Condition],
        sent: &[FieldId],
    ) -> Option<(crate::Record, Vec<bool>)> {
        let record = self.find(collection, by, value).into_iter().next()?;
        let subject = Subject {
            record: &record,
            old: Some(&record),
            sent,
            caller: &[],
        };
        let truths = self.truths(asker, probes, subject);
        Some(((*record).clone(), truths))
    }
}

fn refused(why: &Refusal<()>) -> MemoryOutcome {
    match why {
        Refusal::NotFound => MemoryOutcome::NotFound,
        Refusal::Forbidden | Refusal::Partly(_) => MemoryOutcome::Forbidden,
        Refusal::Unsendable => {
            MemoryOutcome::Invalid("what was sent cannot be sent for this record".into())
        }
        Refusal::BadLink(_) => {
            MemoryOutcome::Invalid("a sent relation names no record in reach".into())
        }
        Refusal::Overfull(name) => super::overfull(name),
        Refusal::Unmet => MemoryOutcome::Invalid("the record is not as wanted".into()),
        Refusal::Twice => MemoryOutcome::Invalid("the record is named twice".into()),
        Refusal::Unstorable(()) => super::unstorable(),
    }
}
