//! What came of an operation.

use std::sync::Arc;

use portreeve_model::{Collection, EntityTag, FieldId, Value, only_sent};
use portreeve_policy::{ChangeOutcome, Changed, Record, Refusal, Sight, WriteTemplate};

use crate::StoreError;

/// What came of a read. The records themselves went into the sink.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOutcome {
    /// How many records went into the sink. For a read by key, 0 means that there is none, or none in reach.
    pub count: usize,
    /// Whether there are more beyond the window.
    pub more: bool,
    /// How many match in all, where that was asked for.
    pub total: Option<i64>,
    /// Where there are more: the last record's sort values and then its key, from which the next page continues.
    pub last: Option<Vec<Value>>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOutcome {
    /// The record is stored as it says.
    Stored(Stored),
    /// The record is deleted.
    Deleted,
    /// There is no such record, or it is out of reach.
    NotFound,
    /// The caller may not write this.
    Forbidden,
    /// A relation was sent whose target is not there, or out of the caller's reach.
    BadLink {
        /// The relation's field.
        field: FieldId,
    },
    /// An undeclared field was sent, and the record cannot hold as many as it would have.
    Overfull {
        /// Its name.
        name: String,
    },
}

/// A stored record, as far as its writer may know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its key.
    pub key: Value,
    /// The fields he may read or has sent, in the collection's order, with what is stored now.
    pub shown: Vec<(FieldId, Value)>,
    // What he would see if he read it; nothing where it is out of his reach.
    sight: Option<Sight>,
}

impl Stored {
    pub(crate) fn of(
        template: &WriteTemplate,
        sent: &[(FieldId, Value)],
        record: Record,
        sight: Option<Sight>,
    ) -> Self {
        let collection = template.collection();
        let key = record.get(collection.key).clone();
        let reads = |field| sight.as_ref().is_some_and(|sight| sight.reads(field));
        let shown = record
            .0
            .into_iter()
            .enumerate()
            .map(|(place, value)| (FieldId::at(place), value))
            .filter_map(|(field, value)| {
                // The key is always known to him who wrote it.
                if field == collection.key || reads(field) {
                    return Some((field, value));
                }
                let (_, sent) = sent.iter().find(|(known, _)| *known == field)?;
                // Of undeclared fields, those that were sent: the others are beside them.
                let value = match collection.overflow() {
                    Some(overflow) if overflow == field => only_sent(&value, sent),
                    _ => value,
                };
                Some((field, value))
            })
            .collect();
        Self { key, shown, sight }
    }

    /// The tag that a read of the record would give him.
    pub fn tag(&self, collection: &Collection) -> Option<EntityTag> {
        const HIDDEN: &Value = &Value::Null;
        let value = |field: FieldId| {
            let mut shown = self.shown.iter();
            shown
                .find(|(known, _)| *known == field)
                .map_or(HIDDEN, |(_, value)| value)
        };
        Some(self.sight.as_ref()?.tag(collection, value))
    }
}

/// What came of a change of several records.
#[derive(Debug)]
pub enum ChangeResult {
    /// All of it happened; what became of each step's record.
    Done(Vec<ChangedRecord>),
    /// Nothing happened, because of this step.
    Refused {
        /// The step.
        step: usize,
        /// Why.
        why: Refusal<StoreError>,
    },
    /// More records were selected than may be changed at once.
    TooMany(usize),
}

/// What became of a step's record.
#[derive(Clone, Debug)]
pub enum ChangedRecord {
    /// It is stored.
    Stored {
        /// Where.
        collection: Arc<Collection>,
        /// Whether it is new.
        created: bool,
        /// As far as its writer may know it.
        stored: Stored,
    },
    /// It is gone.
    Deleted {
        /// Its key.
        key: Value,
    },
    /// It was selected, may not be changed, and is left as it is.
    Left,
}

impl ChangeResult {
    pub(crate) fn of(outcome: ChangeOutcome<StoreError>) -> Self {
        let changed = match outcome {
            ChangeOutcome::Refused { step, why } => return Self::Refused { step, why },
            ChangeOutcome::Done(changed) => changed,
        };
        let record = |changed| match changed {
            Changed::Left => ChangedRecord::Left,
            Changed::Deleted { key } => ChangedRecord::Deleted { key },
            Changed::Stored {
                template,
                created,
                sent,
                record,
                sight,
            } => ChangedRecord::Stored {
                collection: Arc::clone(template.collection()),
                created,
                stored: Stored::of(&template, &sent, record, sight),
            },
        };
        Self::Done(changed.into_iter().map(record).collect())
    }
}
