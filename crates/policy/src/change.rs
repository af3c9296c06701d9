//! Changes of several records that happen together or not at all. Rows judge the starting state, checks the final one:
//! [`ChangeRun`] first asks for all records as they are, then has all of them written, and then judges each by what is
//! stored in the end. Like [`crate::WriteTemplate`] it does not know where records are kept: it says what it needs
//! next ([`Demand`]) and is told ([`Reply`]).

mod demand;
mod run;

use std::sync::Arc;

use portreeve_model::{EntityTag, FieldId, Value};

use crate::{DeleteTemplate, Record, Sight, WriteDenial, WriteTemplate};

pub use demand::{Demand, Reply};
pub use run::ChangeRun;

/// One record of a change.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done with it.
    pub what: What,
    /// Fields that take their value from the record of an earlier step. They are among the fields sent, with null.
    pub fills: Vec<Fill>,
    /// Another step's record that it has to point at in the beginning, as far as the caller can see that.
    pub belongs: Option<Fill>,
    /// How it has to be in the beginning.
    pub condition: Precondition,
}

/// What is done with a record.
#[derive(Clone, Debug)]
pub enum What {
    /// It is made.
    Create(Write),
    /// It is changed.
    Update {
        /// How.
        write: Write,
        /// Its key.
        key: Value,
    },
    /// It is deleted.
    Delete {
        /// How that is judged.
        template: Arc<DeleteTemplate>,
        /// Its key.
        key: Value,
    },
    /// It is changed if there is one the caller can reach, and made otherwise.
    Upsert {
        /// The field that tells which record; no two records share a value of it.
        by: FieldId,
        /// The value.
        value: Value,
        /// How it is made, or what whoever may not make one is told.
        create: Result<Write, WriteDenial>,
        /// How it is changed; none where nothing can be changed or read.
        update: Option<Write>,
        /// On which of the two ways something was sent that cannot be.
        unsendable: Option<Way>,
    },
}

/// One of the two ways of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The record is made.
    Create,
    /// The record is changed.
    Update,
}

/// Values, and how writing them is judged.
#[derive(Clone, Debug)]
pub struct Write {
    /// How it is judged.
    pub template: Arc<WriteTemplate>,
    /// What was sent, in the order of [`WriteTemplate::sent`].
    pub values: Arc<[(FieldId, Value)]>,
}

/// A field that holds what a field of another step's record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The field.
    pub field: FieldId,
    /// The other step, an earlier one.
    pub step: usize,
    /// The field of its record.
    pub by: FieldId,
}

/// How a record has to be for a change to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// As it likes.
    #[default]
    None,
    /// There, and in the caller's reach.
    Present,
    /// Not there, as far as the caller can tell.
    Absent,
    /// One of these, as the caller reads it.
    Matches(Vec<EntityTag>),
}

impl Precondition {
    // Whether a record that is there, and seen like this, is as wanted.
    fn holds(
        &self,
        sight: Option<&Sight>,
        old: &Record,
        template: &portreeve_model::Collection,
    ) -> bool {
        match self {
            Self::None | Self::Present => true,
            Self::Absent => false,
            Self::Matches(tags) => sight.is_some_and(|sight| {
                let tag = sight.tag(template, |field| old.get(field));
                tags.contains(&tag)
            }),
        }
    }
}

/// What becomes of records of a mass change that were selected and may not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The records were named, not selected: the first that may not be changed ends it.
    Named,
    /// They end it, and their number is told.
    Whole,
    /// They are left as they are.
    Narrowed,
}

/// Why a change did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// The record is not there, or out of reach.
    NotFound,
    /// The record may be read but not so written.
    Forbidden,
    /// So many of the selected records may not be changed.
    Partly(usize),
    /// What was sent cannot be, now that the record is there or is not. Whoever has asked for the step knows why.
    Unsendable,
    /// A relation was sent whose target is not there, or out of the caller's reach.
    BadLink(FieldId),
    /// An undeclared field was sent, and the record cannot hold as many as it would have.
    Overfull(String),
    /// The record is not as the caller wants it to be.
    Unmet,
    /// An earlier step is about the same record.
    Twice,
    /// The database does not take it.
    Unstorable(E),
}

/// What came of a change.
#[derive(Clone, Debug)]
pub enum ChangeOutcome<E> {
    /// All of it happened; what became of each step's record.
    Done(Vec<Changed>),
    /// Nothing happened.
    Refused {
        /// Because of which step.
        step: usize,
        /// Why.
        why: Refusal<E>,
    },
}

/// What became of a step's record.
#[derive(Clone, Debug)]
pub enum Changed {
    /// It is stored.
    Stored {
        /// How it was judged.
        template: Arc<WriteTemplate>,
        /// Whether it is new.
        created: bool,
        /// What was sent, in the order of [`WriteTemplate::sent`].
        sent: Arc<[(FieldId, Value)]>,
        /// All of it.
        record: Record,
        /// What the caller sees of it.
        sight: Option<Sight>,
    },
    /// It is gone.
    Deleted {
        /// Its key.
        key: Value,
    },
    /// It was selected, may not be changed, and is left as it is.
    Left,
}
