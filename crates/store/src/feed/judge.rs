//! What of a change a subscriber is told: the difference it makes to his list, and nothing else. A record that comes
//! into his reach is told like one that was created, a record that leaves it like one that was deleted.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::sync::Arc;

use portreeve_gate::{Authorized, Subscribe};
use portreeve_model::{Cell as Shown, Cells, CollectionId, Columns, FieldId, FieldType, Value};
use portreeve_policy::{Context, Facts, Record, Subject, eval};

use super::{Change, Position, Ring};
use crate::{Store, StoreError, StoreFacts};

/// What a change is to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldKind {
    /// The record was not in his list and now is.
    Create,
    /// It was and is, and what he sees of it differs.
    Update,
    /// It was in his list and is not any more.
    Delete,
}

/// A change as a subscriber is told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its place in the feed.
    pub position: Position,
    /// When it was committed, microseconds since 1970.
    pub at: i64,
    /// What it is to him.
    pub kind: ToldKind,
    /// The record's key.
    pub key: Value,
    /// The key's type.
    pub key_type: FieldType,
    record: Option<(Arc<Columns>, Values)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Values(Vec<Value>);

impl Cells for Values {
    fn cell(&self, place: usize) -> Shown<'_> {
        match &self.0[place] {
            Value::Null => Shown::Null,
            Value::Boolean(bool) => Shown::Integer(i64::from(*bool)),
            Value::Integer(number) => Shown::Integer(*number),
            Value::Float(float) => Shown::Float(*float),
            Value::Text(text) => Shown::Text(text),
        }
    }
}

impl Told {
    /// The record as a list would show it to him now; none where it is in his list no more.
    pub fn record(&self) -> Option<(&Columns, &dyn Cells)> {
        self.record
            .as_ref()
            .map(|(columns, values)| (&**columns, values as &dyn Cells))
    }
}

/// Judges changes for one subscription at one moment.
pub(crate) struct Judge<'a> {
    ring: &'a Ring,
    store: StoreFacts,
    subscribe: &'a Authorized<Subscribe>,
    context: Context,
}

impl<'a> Judge<'a> {
    pub fn new(
        ring: &'a Ring,
        store: &Store,
        subscribe: &'a Authorized<Subscribe>,
        now: i64,
    ) -> Self {
        let context = Context {
            now,
            ..subscribe.context().clone()
        };
        Self {
            ring,
            store: store.facts_for(subscribe.snapshot().catalog()),
            subscribe,
            context,
        }
    }

    /// What a change of the subscribed collection is to the subscriber.
    pub fn tell(&self, change: &Change, told: &mut Vec<Told>) -> Result<(), StoreError> {
        let before = self.seen(change.before.as_ref(), change, true)?;
        let after = self.seen(change.after.as_ref(), change, false)?;
        let mut push = |kind, key: &Value, values: Option<Values>| {
            let operation = self.subscribe.operation();
            told.push(Told {
                position: Position(change.position),
                at: change.at,
                kind,
                key: key.clone(),
                key_type: change.collection.key_field().ty,
                record: values.map(|values| (Arc::clone(operation.columns()), values)),
            });
        };
        let key = |record: &Option<Record>| {
            let record = record.as_ref();
            record.map(|record| record.get(change.collection.key).clone())
        };
        let (old_key, new_key) = (key(&change.before), key(&change.after));
        match (before, after, old_key, new_key) {
            (Some(before), Some(after), Some(old), Some(new)) if old == new => {
                if before != after {
                    push(ToldKind::Update, &new, Some(after));
                }
            }
            // A key never changes through us; in a database that others write to, it may.
            (before, after, old, new) => {
                if let (Some(_), Some(old)) = (before, old) {
                    push(ToldKind::Delete, &old, None);
                }
                if let (Some(after), Some(new)) = (after, new) {
                    push(ToldKind::Create, &new, Some(after));
                }
            }
        }
        Ok(())
    }

    // What a list would show of the record, if it were in it, when everything after the change had not happened yet, nor
    // what came with it where that is to be undone too.
    fn seen(
        &self,
        record: Option<&Record>,
        change: &Change,
        undone: bool,
    ) -> Result<Option<Values>, StoreError> {
        let Some(record) = record else {
            return Ok(None);
        };
        let facts = FactsOf {
            judge: self,
            change,
            undone,
            later: OnceCell::new(),
            failed: Cell::new(false),
        };
        let operation = self.subscribe.operation();
        let subject = Subject {
            caller: operation.values(),
            ..Subject::read(record)
        };
        let holds = |condition| eval(condition, subject, &self.context, &facts) == Some(true);
        let reached = operation.conditions().into_iter().all(holds);
        let values = reached.then(|| {
            let fields = operation.fields().iter();
            let shown = fields.map(|(field, mask)| match mask {
                Some(mask) if !holds(mask) => Value::Null,
                _ => record.get(*field).clone(),
            });
            Values(shown.collect())
        });
        if facts.failed.get() {
            return Err(StoreError::Busy);
        }
        Ok(values)
    }
}

// Related records as they were at some place in the feed: as they are stored, with everything behind it undone, as far
// as the feed is kept. So a record that fell away together with what its rule reads is judged by what was there.
struct FactsOf<'a> {
    judge: &'a Judge<'a>,
    change: &'a Change,
    undone: bool,
    later: OnceCell<Vec<Arc<Change>>>,
    failed: Cell<bool>,
}

impl Facts for FactsOf<'_> {
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        let declared = self.judge.subscribe.snapshot().catalog().get(collection);
        let mut found = match self.judge.store.find_all(collection, field, value) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "related records could not be read for a subscription");
                self.failed.set(true);
                return vec![];
            }
        };
        let later = self.later.get_or_init(|| {
            let ring = self.judge.ring;
            ring.done_since(self.change, self.undone)
        });
        let mut seen = HashSet::new();
        for change in later {
            if change.collection.name != declared.name || !change.collection.same_shape(declared) {
                continue;
            }
            for record in change.before.iter().chain(&change.after) {
                let key = record.get(declared.key);
                if seen.insert(key) {
                    found.retain(|known| known.get(declared.key) != key);
                    let before = change.before.as_ref();
                    let before = before.filter(|before| {
                        before.get(declared.key) == key && before.get(field) == value
                    });
                    found.extend(before.cloned().map(Arc::new));
                }
            }
        }
        found
    }
}
