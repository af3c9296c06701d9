//! A read, resolved: which columns, under which conditions, at every node. Holds no values of a request, so that one
//! statement serves all requests of its shape.

use std::sync::Arc;

use portreeve_model::{Collection, Columns, Condition, FieldId, Relation, Term};

/// One node of a resolved read. Everything in it is already bound to what the caller may read.
#[derive(Debug)]
pub struct ReadPlan {
    pub(crate) id: u64,
    pub(crate) collection: Arc<Collection>,
    pub(crate) columns: Arc<Columns>,
    pub(crate) select: Vec<Selected>,
    pub(crate) condition: Condition,
    pub(crate) counted: Option<Condition>,
    pub(crate) order: Vec<Order>,
    pub(crate) total: bool,
    pub(crate) rows: bool,
}

/// What stands in a column of the answer.
#[derive(Debug)]
pub enum Selected {
    /// A field; where there is a mask, null wherever it is not true.
    Field {
        /// The field.
        field: FieldId,
        /// Where it may be read.
        mask: Option<Arc<Condition>>,
    },
    /// The record a to-one field names, or null; null too where it is out of reach.
    One {
        /// The field.
        field: FieldId,
        /// Where it may be read.
        mask: Option<Arc<Condition>>,
        /// The target's field it must equal.
        by: FieldId,
        /// What of the target is shown.
        plan: Arc<ReadPlan>,
    },
    /// The records a to-many relation leads to, at most [`MANY_LIMIT`] for each.
    Many {
        /// The relation; its guards say which records may be followed.
        relation: Relation,
        /// What of them is shown.
        plan: Arc<ReadPlan>,
    },
}

/// How many related records one record brings along at most.
pub const MANY_LIMIT: usize = 1_000;

/// One part of an order. Nulls come last either way.
#[derive(Debug)]
pub struct Order {
    /// By what.
    pub term: Term,
    /// Largest first.
    pub descending: bool,
}

impl ReadPlan {
    /// Distinguishes this plan from every other; a key for statement templates.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The collection read.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// The columns of the answer, in the order of [`ReadPlan::select`].
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// What stands in each column.
    pub fn select(&self) -> &[Selected] {
        &self.select
    }

    /// Which records: reach, filter, search and cursor together. Judged by "is true".
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Which records the total counts: those of all pages.
    pub fn counted(&self) -> &Condition {
        self.counted.as_ref().unwrap_or(&self.condition)
    }

    /// The order before the key, which always comes last.
    pub fn order(&self) -> &[Order] {
        &self.order
    }

    /// Whether the number of all matching records is wanted.
    pub fn total(&self) -> bool {
        self.total
    }

    /// Whether records are wanted at all, or only their number.
    pub fn rows(&self) -> bool {
        self.rows
    }
}
