//! What came of an operation.

use portreeve_model::{FieldId, Value};

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
}

/// A stored record, as far as its writer may know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its key.
    pub key: Value,
    /// The fields he may read or has sent, in the collection's order, with what is stored now.
    pub shown: Vec<(FieldId, Value)>,
}
