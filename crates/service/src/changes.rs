//! Changes of several records that happen together or not at all, and of one record on a condition.

use std::sync::Arc;

use portreeve_gate::{Asked, AskedWhat, Branch, Caller, Change, MassRequest, MassWhat, Sent};
use portreeve_model::{Collection, CollectionName, Value};
use portreeve_policy::{Precondition, Refusal, What};
use portreeve_store::{ChangeResult, ChangedRecord, StoreError};

use crate::records::{Nested, Written, bad_link, overfull};
use crate::{Portreeve, ServiceError};

/// What became of each record that was asked for, in that order.
pub type Changes = Vec<Changed>;

/// What became of a record.
#[derive(Clone, Debug)]
pub enum Changed {
    /// It is stored.
    Stored(Box<Written>),
    /// It is gone.
    Deleted {
        /// Its key, as it stands in JSON.
        key: serde_json::Value,
    },
}

impl Portreeve {
    /// Changes several records, all or none, judged by the actions on many records.
    pub async fn change(
        &self,
        caller: &Caller,
        asked: Vec<Asked>,
    ) -> Result<Changes, ServiceError> {
        self.changes(caller, true, asked).await
    }

    /// Makes a record, or changes the fields that are sent where the caller can reach it already.
    pub async fn put(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        key: &str,
        sent: Sent,
        condition: Precondition,
    ) -> Result<Written, ServiceError> {
        let (on, key) = (None, Some(key.to_owned()));
        let what = AskedWhat::Upsert { on, key, sent };
        self.one(caller, collection, what, condition).await
    }

    /// Changes the fields of a record that are sent, if it is as the condition says.
    pub async fn update_if(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        key: &str,
        sent: Sent,
        condition: Precondition,
    ) -> Result<Written, ServiceError> {
        let key = Some(key.to_owned());
        let what = AskedWhat::Update { key, sent };
        self.one(caller, collection, what, condition).await
    }

    /// Deletes a record, if it is as the condition says.
    pub async fn delete_if(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        key: &str,
        condition: Precondition,
    ) -> Result<(), ServiceError> {
        let key = key.to_owned();
        let asked = Asked {
            place: String::new(),
            collection: collection.clone(),
            what: AskedWhat::Delete { key },
            condition,
        };
        self.changes(caller, false, vec![asked]).await.map(|_| ())
    }

    /// Changes all records that a filter selects alike, or deletes them, all or none. Gives their keys.
    pub async fn change_where(
        &self,
        caller: &Caller,
        request: MassRequest,
    ) -> Result<Vec<serde_json::Value>, ServiceError> {
        let mass = self.gate.mass(caller, request)?;
        let collection = Arc::clone(match mass.operation().what() {
            MassWhat::Update(write) => write.template.collection(),
            MassWhat::Delete(template) => template.collection(),
        });
        let json = |key: &Value| key.to_json(collection.key_field().ty);
        match self.minded(self.store.mass(mass).await).await? {
            ChangeResult::Done(changed) => Ok(changed
                .iter()
                .filter_map(|changed| match changed {
                    ChangedRecord::Stored { stored, .. } => Some(json(&stored.key)),
                    ChangedRecord::Deleted { key } => Some(json(key)),
                    ChangedRecord::Left => None,
                })
                .collect()),
            ChangeResult::Refused { why, .. } => Err(self.change_refused(caller, &collection, why)),
            ChangeResult::TooMany(most) => Err(ServiceError::TooMany(format!(
                "the filter selects more than {most} records; choose fewer at once"
            ))),
        }
    }

    pub(crate) async fn one(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        what: AskedWhat,
        condition: Precondition,
    ) -> Result<Written, ServiceError> {
        let asked = Asked {
            place: String::new(),
            collection: collection.clone(),
            what,
            condition,
        };
        let mut changes = self.changes(caller, false, vec![asked]).await?;
        match changes.pop() {
            Some(Changed::Stored(written)) => Ok(*written),
            _ => Err(ServiceError::NotFound),
        }
    }

    async fn changes(
        &self,
        caller: &Caller,
        many: bool,
        asked: Vec<Asked>,
    ) -> Result<Changes, ServiceError> {
        let change = self.gate.change(caller, many, asked)?;
        // What the answer is made of outlives the operation.
        let (collections, places, roots) = shape(change.operation());
        let unsendable = change.operation().unsendable().to_vec();
        let mut records = match self.minded(self.store.change(change).await).await? {
            ChangeResult::Done(records) => records.into_iter().map(Some).collect::<Vec<_>>(),
            ChangeResult::Refused { step, why } => {
                let place = places.get(step).map_or("", String::as_str);
                let known = unsendable.into_iter().find(|(known, _)| *known == step);
                let error = match (collections.get(step), known) {
                    (_, Some((_, refused))) if matches!(why, Refusal::Unsendable) => refused.into(),
                    (Some(collection), _) => self.change_refused(caller, collection, why),
                    (None, _) => ServiceError::Forbidden,
                };
                return Err(error.at(place));
            }
            ChangeResult::TooMany(most) => {
                let message = format!("more than {most} records at once; send fewer");
                return Err(ServiceError::TooMany(message));
            }
        };
        let mut changes = vec![];
        for root in &roots {
            let collection = &collections[root.step];
            match grown(root, &mut records) {
                Some(written) => changes.push(Changed::Stored(Box::new(written))),
                None => {
                    let key = match records[root.step].take() {
                        Some(ChangedRecord::Deleted { key }) => key,
                        _ => Value::Null,
                    };
                    let key = key.to_json(collection.key_field().ty);
                    changes.push(Changed::Deleted { key });
                }
            }
        }
        Ok(changes)
    }

    fn change_refused(
        &self,
        caller: &Caller,
        collection: &Arc<Collection>,
        why: Refusal<StoreError>,
    ) -> ServiceError {
        match why {
            Refusal::NotFound => ServiceError::NotFound,
            Refusal::Forbidden | Refusal::Unsendable => ServiceError::Forbidden,
            Refusal::Partly(count) => ServiceError::Partly { count },
            Refusal::BadLink(field) => bad_link(collection, field),
            Refusal::Overfull(name) => overfull(name),
            Refusal::Unmet => ServiceError::Unmet,
            Refusal::Twice => ServiceError::BadValue {
                field: collection.key_field().name.to_string(),
                message: "names a record that is changed by another part of the request already"
                    .into(),
            },
            Refusal::Unstorable(error) => self.unstorable(caller, collection, error),
        }
    }
}

fn shape(change: &Change) -> (Vec<Arc<Collection>>, Vec<String>, Vec<Branch>) {
    let (mut collections, mut places) = (vec![], vec![]);
    for (place, step) in change.steps().iter().enumerate() {
        let collection = match &step.what {
            What::Create(write) | What::Update { write, .. } => write.template.collection(),
            What::Delete { template, .. } => template.collection(),
            What::Upsert {
                create: Ok(write), ..
            }
            | What::Upsert {
                update: Some(write),
                ..
            } => write.template.collection(),
            // The gate has refused it.
            What::Upsert { .. } => continue,
        };
        collections.push(Arc::clone(collection));
        places.push(change.place(place).to_owned());
    }
    (collections, places, change.roots().to_vec())
}

// A record that was stored, with those that came along with it.
fn grown(branch: &Branch, records: &mut [Option<ChangedRecord>]) -> Option<Written> {
    let record = records.get_mut(branch.step)?;
    if !matches!(record, Some(ChangedRecord::Stored { .. })) {
        return None;
    }
    let Some(ChangedRecord::Stored {
        collection,
        created,
        stored,
    }) = record.take()
    else {
        return None;
    };
    let nested = branch.relations.iter().map(|twig| Nested {
        name: twig.name.clone(),
        one: twig.one,
        records: twig
            .branches
            .iter()
            .filter_map(|branch| grown(branch, records))
            .collect(),
    });
    let nested = nested.collect();
    Some(Written {
        collection,
        stored,
        created,
        nested,
    })
}
