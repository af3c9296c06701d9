//! Aggregates, resolved: by what the records are grouped and what is wanted of each group.

use std::sync::Arc;

use portreeve_model::{
    AggregateFunction, AggregateQuery, Collection, Columns, Condition, FieldType, Literal, Term,
    Value,
};

use crate::Window;

/// Aggregates as asked for: the query's shape, and the values and numbers that go into it.
#[derive(Clone, Debug)]
pub struct AggregateRequest {
    /// The shape; its literals are [`Literal::Caller`].
    pub query: AggregateQuery,
    /// What they stand for.
    pub values: Vec<Literal>,
    /// How many groups at most.
    pub limit: u32,
    /// How many to skip.
    pub offset: u64,
}

/// A resolved aggregate query. Everything in it is bound to what the caller may read; it holds no values of a request.
#[derive(Debug)]
pub struct AggregatePlan {
    pub(crate) id: u64,
    pub(crate) collection: Arc<Collection>,
    pub(crate) columns: Arc<Columns>,
    pub(crate) groups: Vec<Term>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) condition: Condition,
    pub(crate) order: Vec<OrderColumn>,
}

/// What is wanted of a group.
#[derive(Debug)]
pub enum Measure {
    /// How many records it has.
    Records,
    /// What comes of their values, the nulls left out.
    Values {
        /// What is made of them.
        function: AggregateFunction,
        /// Whose values.
        of: Term,
    },
}

impl Measure {
    /// The type of what comes out.
    pub fn ty(&self) -> FieldType {
        match self {
            Self::Records => FieldType::Integer,
            Self::Values { function, of } => match function {
                AggregateFunction::Count | AggregateFunction::CountDistinct => FieldType::Integer,
                AggregateFunction::Avg => FieldType::Float,
                AggregateFunction::Sum | AggregateFunction::Min | AggregateFunction::Max => of.ty(),
            },
        }
    }
}

/// One part of an order of groups. Nulls come last either way.
#[derive(Clone, Copy, Debug)]
pub struct OrderColumn {
    /// The column, by its place in the answer.
    pub place: usize,
    /// Largest first.
    pub descending: bool,
}

impl AggregatePlan {
    /// Distinguishes this plan from every other plan, those of reads among them; a key for statement templates.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The collection read.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// The columns of the answer: first the groups', then the measures'.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The types of the columns.
    pub fn types(&self) -> impl Iterator<Item = FieldType> {
        let groups = self.groups.iter().map(Term::ty);
        groups.chain(self.measures.iter().map(Measure::ty))
    }

    /// What the records of a group have in common.
    pub fn groups(&self) -> &[Term] {
        &self.groups
    }

    /// What is wanted of each group.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Which records: reach, filter and search together. Judged by "is true".
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The order before that of the groups' own columns, which always comes last.
    pub fn order(&self) -> &[OrderColumn] {
        &self.order
    }
}

/// Aggregates of groups of records.
pub struct Aggregates {
    pub(crate) plan: Arc<AggregatePlan>,
    pub(crate) values: Vec<Value>,
    pub(crate) window: Window,
}

impl Aggregates {
    /// The resolved plan, shared by all requests of one shape and one set of rights.
    pub fn plan(&self) -> &Arc<AggregatePlan> {
        &self.plan
    }

    /// The values of `Slot::Caller`, by index, converted to the types the plan wants.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Which of the groups.
    pub fn window(&self) -> &Window {
        &self.window
    }
}
