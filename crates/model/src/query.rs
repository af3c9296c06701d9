//! What a caller asks for, as data: names only, nothing resolved, nothing decided.

use crate::{CollectionName, Operand, Rule};

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
    /// A field, also one reached by to-one steps, a part of a date, or how many related records there are.
    pub by: Operand,
    /// Largest first.
    pub descending: bool,
}

/// Numbers about groups of records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateQuery {
    /// Records of what.
    pub collection: CollectionName,
    /// Which records, beside what the caller's rules say.
    pub filter: Option<Rule>,
    /// As in [`Query::search`].
    pub search: Option<crate::Literal>,
    /// What the records of a group have in common; without it all of them are one group.
    pub group: Vec<Operand>,
    /// What is wanted of each group.
    pub aggregates: Vec<Aggregate>,
    /// In which order; what the groups have in common always comes last.
    pub sort: Vec<SortGroups>,
}

/// A number, or a least or greatest value, of a group of records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// Which.
    pub function: AggregateFunction,
    /// Of what; only [`AggregateFunction::Count`] does without, and counts records then.
    pub of: Option<Operand>,
}

/// What is made of a group's values. Nulls are left out; of nothing, a count is 0 and everything else null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// How many.
    Count,
    /// How many different ones.
    CountDistinct,
    /// The sum, of numbers, of their type.
    Sum,
    /// The mean, of numbers, as a float.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl AggregateFunction {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Count,
        Self::CountDistinct,
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
    ];

    /// As written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountDistinct => "count_distinct",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// One part of an order of groups. Nulls come last either way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortGroups {
    /// A column of the answer by its name: `course.title`, `avg(score)`.
    pub column: String,
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
