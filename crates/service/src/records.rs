//! Records: each operation is authorized by the gate and executed by the store; a denied one never gets there.

use std::future::Future;
use std::sync::Arc;

use portreeve_gate::{AggregateRequest, AskedWhat, Caller, Eyes, ListRequest, Sent};
use portreeve_model::{
    Collection, CollectionName, Column, ColumnKind, EntityTag, FieldId, RecordQuery, RecordSink,
    Value, too_much, write_entries, write_json_text,
};
use portreeve_policy::{Precondition, RequestFacts};
use portreeve_store::{ReadOutcome, StoreError, Stored, WriteOutcome};

use crate::{Portreeve, ServiceError};

/// A record that was written, as far as its writer may know it.
#[derive(Clone, Debug)]
pub struct Written {
    pub(crate) collection: Arc<Collection>,
    pub(crate) stored: Stored,
    pub(crate) created: bool,
    pub(crate) nested: Vec<Nested>,
}

/// Records that were written along with one, in a relation of it.
#[derive(Clone, Debug)]
pub(crate) struct Nested {
    pub name: String,
    pub one: bool,
    pub records: Vec<Written>,
}

impl Written {
    /// The collection.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// Its key.
    pub fn key(&self) -> &Value {
        &self.stored.key
    }

    /// Its key as text, as it stands in a URL.
    pub fn key_text(&self) -> String {
        match self.stored.key.to_json(self.collection.key_field().ty) {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        }
    }

    /// Whether it is new.
    pub fn created(&self) -> bool {
        self.created
    }

    /// The tag that a read of it would have; none where he may not read it.
    pub fn tag(&self) -> Option<EntityTag> {
        self.stored.tag(&self.collection)
    }

    /// The fields he may read or has sent, with what is stored now, as a JSON object written as [`portreeve_model::write_json_record`] writes what is read.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        let begin = |out: &mut Vec<u8>, first: &mut bool, name: &str| {
            if !std::mem::take(first) {
                out.push(b',');
            }
            write_json_text(out, name);
            out.push(b':');
        };
        for (field, value) in &self.stored.shown {
            let Column { name, kind } = self.collection.column(*field);
            if let ColumnKind::Undeclared(declared) = kind {
                let text = value.as_text().unwrap_or_default();
                write_entries(out, text, &declared, &mut first);
                continue;
            }
            // A record that came along stands where its key would.
            if self.nested.iter().any(|nested| *nested.name == *name) {
                continue;
            }
            begin(out, &mut first, &name);
            let json = value.to_json(self.collection.field(*field).ty);
            out.extend_from_slice(json.to_string().as_bytes());
        }
        for Nested { name, one, records } in &self.nested {
            begin(out, &mut first, name);
            if let (true, [record]) = (one, &records[..]) {
                record.write_json(out);
                continue;
            }
            out.push(b'[');
            for (place, record) in records.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                record.write_json(out);
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}

impl Portreeve {
    /// Lists records into `sink`, which comes back full.
    pub async fn list<S: RecordSink + 'static>(
        &self,
        eyes: impl Into<Eyes<'_>>,
        request: ListRequest,
        sink: S,
    ) -> Result<(S, ReadOutcome), ServiceError> {
        let read = self.gate.list(eyes, request)?;
        Ok(self.minded(self.store.read(&read, sink).await).await?)
    }

    /// Reads one record into `sink`; one that is not there, or out of reach, is [`ServiceError::NotFound`].
    pub async fn record<S: RecordSink + 'static>(
        &self,
        eyes: impl Into<Eyes<'_>>,
        query: RecordQuery,
        key: &str,
        sink: S,
    ) -> Result<S, ServiceError> {
        let read = self.gate.record(eyes, query, key)?;
        let read = self.store.read(&read, sink).await;
        let (sink, outcome) = self.minded(read).await?;
        if outcome.count == 0 {
            Err(ServiceError::NotFound)
        } else {
            Ok(sink)
        }
    }

    /// Reads numbers about groups of records into `sink`, one record for each group.
    pub async fn aggregate<S: RecordSink + 'static>(
        &self,
        eyes: impl Into<Eyes<'_>>,
        request: AggregateRequest,
        sink: S,
    ) -> Result<(S, ReadOutcome), ServiceError> {
        let aggregates = self.gate.aggregate(eyes, request)?;
        Ok(self
            .minded(self.store.aggregate(&aggregates, sink).await)
            .await?)
    }

    /// Creates a record.
    pub async fn create(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        sent: Sent,
    ) -> Result<Written, ServiceError> {
        if brings_records(&sent) {
            return self
                .one(
                    caller,
                    collection,
                    AskedWhat::Create(sent),
                    Precondition::None,
                )
                .await;
        }
        let create = self.gate.create(caller, collection, sent)?;
        let collection = Arc::clone(create.operation().template().collection());
        let done = self.minded(self.store.create(create).await).await;
        self.written(caller, collection, true, done)
    }

    /// Changes the fields of a record that are sent.
    pub async fn update(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        key: &str,
        sent: Sent,
    ) -> Result<Written, ServiceError> {
        if brings_records(&sent) {
            return self
                .update_if(caller, collection, key, sent, Precondition::None)
                .await;
        }
        let update = self.gate.update(caller, collection, key, sent)?;
        let collection = Arc::clone(update.operation().template().collection());
        let done = self.minded(self.store.update(update).await).await;
        self.written(caller, collection, false, done)
    }

    /// Deletes a record.
    pub async fn delete(
        &self,
        caller: &Caller,
        collection: &CollectionName,
        key: &str,
    ) -> Result<(), ServiceError> {
        let delete = self.gate.delete(caller, collection, key)?;
        let collection = Arc::clone(delete.operation().template().collection());
        match self.minded(self.store.delete(delete).await).await {
            Ok(WriteOutcome::Deleted) => Ok(()),
            other => self.written(caller, collection, false, other).map(|_| ()),
        }
    }

    /// Admits a caller and does `work` as it; where rights change between the two, admits anew and does it once more.
    /// A caller keeps the policy it was admitted under, so this is how a face answers [`ServiceError::PolicyChanged`].
    pub async fn as_caller<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        token: Option<&str>,
        request: RequestFacts,
        work: impl Fn(Caller) -> F,
    ) -> Result<T, ServiceError> {
        let caller = self.caller(token, request.clone()).await?;
        match work(caller).await {
            Err(ServiceError::PolicyChanged) => {
                let caller = self.caller(token, request).await?;
                work(caller).await
            }
            other => other,
        }
    }

    pub(crate) fn written(
        &self,
        caller: &Caller,
        collection: Arc<Collection>,
        created: bool,
        outcome: Result<WriteOutcome, StoreError>,
    ) -> Result<Written, ServiceError> {
        Err(match outcome {
            Ok(WriteOutcome::Stored(stored)) => {
                return Ok(Written {
                    collection,
                    stored,
                    created,
                    nested: vec![],
                });
            }
            Ok(WriteOutcome::Deleted | WriteOutcome::NotFound) => ServiceError::NotFound,
            Ok(WriteOutcome::Forbidden) => ServiceError::Forbidden,
            Ok(WriteOutcome::BadLink { field }) => bad_link(&collection, field),
            Ok(WriteOutcome::Overfull { name }) => overfull(name),
            Err(error) => self.unstorable(caller, &collection, error),
        })
    }

    // What is told of a record that the database does not take: nothing of fields the caller knows nothing of.
    pub(crate) fn unstorable(
        &self,
        caller: &Caller,
        collection: &Arc<Collection>,
        error: StoreError,
    ) -> ServiceError {
        let name = |field: FieldId| collection.field(field).name.to_string();
        match error {
            StoreError::Unique { fields } => ServiceError::Conflict {
                fields: fields.into_iter().map(name).collect(),
            },
            StoreError::NotNull { field } => {
                // Named only where it exists for the caller: a required field he knows nothing of stays unknown.
                let knows = self
                    .field_rights(caller, collection)
                    .iter()
                    .any(|rights| rights.name == *collection.field(field).name);
                if !knows {
                    return ServiceError::Incomplete;
                }
                ServiceError::BadValue {
                    field: name(field),
                    message: "must have a value".into(),
                }
            }
            StoreError::Misfit { field } => ServiceError::BadValue {
                field: name(field),
                message: "is no value that its column takes".into(),
            },
            StoreError::Check => ServiceError::Incomplete,
            error => error.into(),
        }
    }
}

pub(crate) fn bad_link(collection: &Collection, field: FieldId) -> ServiceError {
    ServiceError::BadValue {
        field: collection.field(field).name.to_string(),
        message: "there is no such record to point at".into(),
    }
}

pub(crate) fn overfull(name: String) -> ServiceError {
    ServiceError::BadValue {
        field: name,
        message: too_much(),
    }
}

// Only what is an object can be a record of its own; whether it is, the gate knows.
fn brings_records(sent: &Sent) -> bool {
    sent.iter().any(|(_, json)| json.is_object())
}
