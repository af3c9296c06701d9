//! The referee: a second, deliberately simple reading of the law, against which the real engine is played.
//!
//! It answers straight from the authored [`Document`], by names and record by record, without compiling, caching or
//! SQL, and shares nothing with the engine but the authored types and the values. Where the two differ, one of them
//! has misread the law; slowness is no fault here. The sentences in quotation marks are those of the law.

mod aggregate;
mod change;
mod operation;
mod predicate;
mod rights;
pub(crate) mod schema;
mod share;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use portreeve_model::{OVERFLOW, Rule, Value};
use portreeve_policy::{Binding, Document, Scope};

pub use aggregate::{Aggregates, aggregate};
pub use change::{change, perform};
pub use operation::{Condition, Done, Inner, Item, Mass, Members, Operation, What};
use predicate::At;
use schema::Collection;
pub use share::Share;
use write::Write;

/// The fields of a record by name, the key among them. A field that is absent is null.
pub type Record = BTreeMap<String, Value>;

/// An access document and a database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Collections, roles, profiles, named rules.
    pub document: Document,
    /// The accounts by id; also the records of the collection `users`.
    pub users: BTreeMap<String, Record>,
    /// The records of every other collection: by its name as displayed, then by key as text.
    pub records: BTreeMap<String, BTreeMap<String, Record>>,
}

/// Who asks, from where and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The user's id; `None` is anonymous, whose bindings do not count.
    pub user: Option<String>,
    /// Every stored binding of the user, live or not.
    pub bindings: Vec<Binding>,
    /// Roles that must allow, too.
    pub narrowed_to: Option<Vec<String>>,
    /// Permissions that must allow, too.
    pub scope: Option<Scope>,
    /// The share that is looked at; the rest says who its creator is.
    pub share: Option<Share>,
    /// The claims of the token.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// `ip`, `method`, `face`, `operation`.
    pub request: BTreeMap<String, String>,
    /// Microseconds since 1970.
    pub now: i64,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// One record.
    Read {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
    },
    /// Every record the filter is true of.
    List {
        /// The collection.
        collection: String,
        /// The caller's filter.
        filter: Option<Rule>,
    },
    /// A new record.
    Create {
        /// The collection.
        collection: String,
        /// The key as text, where the caller sends one; it counts as a sent field.
        key: Option<String>,
        /// The fields sent, the key not among them.
        sent: Record,
    },
    /// Other values for some fields of a record.
    Update {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
        /// The fields sent.
        sent: Record,
    },
    /// The end of a record.
    Delete {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
    },
}

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A read: the fields that exist for the caller, null where they are masked.
    Shown(Record),
    /// A list: keys as text, in order of key, with what [`Answer::Shown`] would hold.
    Listed(Vec<(String, Record)>),
    /// An allowed create or update: the record as stored, whoever may read it.
    Stored {
        /// Its key as text.
        key: String,
        /// All its fields that hold something.
        record: Record,
    },
    /// An allowed delete.
    Deleted,
    /// Known to the caller, but not permitted.
    Forbidden,
    /// So many of the records that a filter chose may not be changed.
    Partly(usize),
    /// The record is not as the caller wants it to be.
    Unmet,
    /// Out of reach, or not there: the same answer.
    NotFound,
    /// A name the caller does not know, a link he may not make, a record that cannot be stored.
    Invalid,
}

/// Judges one request.
pub fn answer(world: &World, subject: &Subject, request: &Request) -> Answer {
    let referee = Referee { world, subject };
    let name = match request {
        Request::Read { collection, .. }
        | Request::List { collection, .. }
        | Request::Create { collection, .. }
        | Request::Update { collection, .. }
        | Request::Delete { collection, .. } => collection,
    };
    let Some(collection) = Collection::named(&world.document, name) else {
        return Answer::NotFound;
    };
    match request {
        Request::Read { key, .. } => referee.read(&collection, key),
        Request::List { filter, .. } => referee.list(&collection, filter.as_ref()),
        Request::Create { key, sent, .. } => referee.create(&collection, key.as_deref(), sent),
        Request::Update { key, sent, .. } => referee.update(&collection, key, sent),
        Request::Delete { key, .. } => referee.delete(&collection, key),
    }
}

/// What is known of a single record.
const READING: &str = "data.read.one";

/// One subject before one state of the database.
struct Referee<'a> {
    world: &'a World,
    subject: &'a Subject,
}

impl Referee<'_> {
    fn read(&self, collection: &Collection, key: &str) -> Answer {
        match self.world.record(&collection.name, key) {
            Some(record) if self.reaches("data.read.one", collection, record) => {
                Answer::Shown(self.visible("data.read.one", collection, record))
            }
            _ => Answer::NotFound,
        }
    }

    fn list(&self, collection: &Collection, filter: Option<&Rule>) -> Answer {
        const ACTION: &str = "data.read.many";
        if self.decision(ACTION, collection).is_shut() {
            return self.shut_out(collection);
        }
        if filter.is_some_and(|filter| !self.may_name(filter, collection)) {
            return Answer::Invalid;
        }
        let mut found: Vec<&Record> = vec![];
        for record in self.world.all(&collection.name).values() {
            let at = At::operand_of_caller(collection, record);
            let wanted = filter.is_none_or(|filter| self.truth(filter, &at) == Some(true));
            if wanted && self.reaches(ACTION, collection, record) {
                found.push(record);
            }
        }
        found.sort_by(|a, b| {
            predicate::order(&a[&collection.key], &b[&collection.key]).expect("keys have one type")
        });
        let shown = |record: &Record| {
            (
                schema::key_text(&record[&collection.key]),
                self.visible(ACTION, collection, record),
            )
        };
        Answer::Listed(found.into_iter().map(shown).collect())
    }

    /// "A field no statement grants does not exist for the caller; one granted on some rows only is null elsewhere."
    fn visible(&self, action: &str, collection: &Collection, record: &Record) -> Record {
        let mut visible = Record::new();
        for field in &collection.fields {
            if self.exists(action, collection, &field.name) {
                let value = if self.readable(action, collection, record, &field.name) {
                    schema::field_of(record, &field.name)
                } else {
                    Value::Null
                };
                visible.insert(field.name.clone(), value);
            }
        }
        // Undeclared fields stand beside the others: where they are hidden, none does.
        if visible.get(OVERFLOW).is_some_and(Value::is_null) {
            visible.remove(OVERFLOW);
        }
        visible
    }

    fn create(&self, collection: &Collection, key: Option<&str>, sent: &Record) -> Answer {
        const ACTION: &str = "data.create.one";
        if collection.system || self.decision(ACTION, collection).is_shut() {
            return self.shut_out(collection);
        }
        let mut sent = sent.clone();
        if let Some(key) = key {
            let Ok(value) = Value::from_text(collection.key_type, key) else {
                return Answer::Invalid;
            };
            sent.insert(collection.key.clone(), value);
        }
        if !self.may_send(ACTION, READING, collection, &sent) {
            return Answer::Invalid;
        }
        let Some(key) = self.new_key(collection, &sent) else {
            return Answer::Invalid;
        };
        self.judge(&Write {
            action: ACTION,
            reading: READING,
            collection,
            key,
            old: None,
            sent,
        })
    }

    fn update(&self, collection: &Collection, key: &str, sent: &Record) -> Answer {
        const ACTION: &str = "data.update.one";
        let old = self.world.record(&collection.name, key);
        let readable = old.is_some_and(|old| self.reaches("data.read.one", collection, old));
        if collection.system || self.decision(ACTION, collection).is_shut() {
            return refused(readable);
        }
        if !self.may_send(ACTION, READING, collection, sent) {
            return Answer::Invalid;
        }
        // A record keeps its key for life.
        let sent_key = sent.get(&collection.key);
        if sent_key.is_some_and(|value| schema::key_text(value) != key) {
            return Answer::Invalid;
        }
        // Sent back as it is, the key is no change and so not among what is sent.
        let mut sent = sent.clone();
        sent.remove(&collection.key);
        match old {
            Some(old) if readable || self.reaches(ACTION, collection, old) => self.judge(&Write {
                action: ACTION,
                reading: READING,
                collection,
                key: old[&collection.key].clone(),
                old: Some(old),
                sent,
            }),
            _ => Answer::NotFound,
        }
    }

    /// Rule 6: "Delete, share, subscribe: rows."
    fn delete(&self, collection: &Collection, key: &str) -> Answer {
        let Some(old) = self.world.record(&collection.name, key) else {
            return Answer::NotFound;
        };
        if !collection.system && self.reaches("data.delete.one", collection, old) {
            return Answer::Deleted;
        }
        refused(self.reaches("data.read.one", collection, old))
    }

    /// Whoever may do something with the collection is told that this is forbidden; to others it is not there.
    fn shut_out(&self, collection: &Collection) -> Answer {
        refused(self.knows(collection))
    }
}

/// Rule 10: "readable but not permitted: 403", otherwise 404.
fn refused(known: bool) -> Answer {
    if known {
        Answer::Forbidden
    } else {
        Answer::NotFound
    }
}
