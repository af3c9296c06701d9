//! What a caller asks for, as data: names only, nothing resolved, nothing decided.

use crate::{CollectionName, Rule};

/// A list of records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// From where.
    pub collection: CollectionName,
    /// Which fields; `None` is every field the caller may read.
    pub fields: Option<Vec<String>>,
    /// Which records, beside what the caller's rules say.
    pub filter: Option<Rule>,
    /// Text looked for, ASCII case folded, in every readable text field. The value is taken out like a literal.
    pub search: Option<crate::Literal>,
    /// In which order; the key always comes last.
    pub sort: Vec<SortBy>,
    /// Which of them.
    pub page: Page,
    /// Whether the number of all matching records is wanted too.
    pub total: bool,
    /// Related records to send along.
    pub expand: Vec<Expand>,
}

/// One record by its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordQuery {
    /// From where.
    pub collection: CollectionName,
    /// Which fields; `None` is every field the caller may read.
    pub fields: Option<Vec<String>>,
    /// Related records to send along.
    pub expand: Vec<Expand>,
}

/// One part of an order. Nulls come last either way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortBy {
    /// A field, or a field reached by to-one steps.
    pub path: crate::Path,
    /// Largest first.
    pub descending: bool,
}

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// Skip some. The numbers are bound per request, so they are not part of a statement's shape.
    Offset,
    /// Continue after a record whose sort values and key are the caller values from this one on.
    After {
        /// Index of the first of the cursor's caller values.
        first: usize,
        /// Which of the cursor's sort values are null (the statement differs).
        nulls: Vec<bool>,
    },
}

/// A relation to follow for each record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expand {
    /// A to-one field or a to-many relation.
    pub relation: String,
    /// Which fields of the related records; `None` is every readable one.
    pub fields: Option<Vec<String>>,
    /// Further steps.
    pub expand: Vec<Expand>,
}
