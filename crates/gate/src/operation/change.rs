//! Changes of several records.

use std::sync::Arc;

use portreeve_model::{CollectionName, Literal, Rule};
use portreeve_policy::{DeleteTemplate, Precondition, Step, Write};

use crate::{Read, Refused, Sent};

/// Several records changed together or not at all, each under the rights on its own collection.
pub struct Change {
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Vec<String>,
    pub(crate) roots: Vec<Branch>,
    pub(crate) unsendable: Vec<(usize, Refused)>,
}

impl Change {
    /// The records, in the order in which they are written.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where in the request a step comes from.
    pub fn place(&self, step: usize) -> &str {
        self.places.get(step).map_or("", String::as_str)
    }

    /// Why what was sent for a step cannot be, where that depends on whether its record is there.
    pub fn unsendable(&self) -> &[(usize, Refused)] {
        &self.unsendable
    }

    /// The records that were asked for, in that order, each with those that came along in its relations.
    pub fn roots(&self) -> &[Branch] {
        &self.roots
    }
}

/// A step and those that came along in its record's relations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// The step.
    pub step: usize,
    /// By relation.
    pub relations: Vec<Twig>,
}

/// What came along in a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twig {
    /// The relation's name.
    pub name: String,
    /// Whether it leads to one record.
    pub one: bool,
    /// The records that are stored, as they were sent.
    pub branches: Vec<Branch>,
}

/// All records of a selection changed alike, or deleted.
pub struct Mass {
    pub(crate) select: Read,
    pub(crate) what: MassWhat,
    pub(crate) narrow: bool,
    pub(crate) most: u32,
}

/// What is done with each selected record.
pub enum MassWhat {
    /// It is changed like this.
    Update(Write),
    /// It is deleted.
    Delete(Arc<DeleteTemplate>),
}

impl Mass {
    /// Which records: the first column is the key.
    pub fn select(&self) -> &Read {
        &self.select
    }

    /// What is done with them.
    pub fn what(&self) -> &MassWhat {
        &self.what
    }

    /// Whether those that may not be changed are left as they are, rather than end it.
    pub fn narrow(&self) -> bool {
        self.narrow
    }

    /// How many records it may be about.
    pub fn most(&self) -> u32 {
        self.most
    }
}

/// A record that shall be made, changed or deleted.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where in the request this stands, for what is said about it.
    pub place: String,
    /// The collection.
    pub collection: CollectionName,
    /// What shall be done.
    pub what: AskedWhat,
    /// How the record has to be.
    pub condition: Precondition,
}

/// What shall be done with a record.
#[derive(Clone, Debug)]
pub enum AskedWhat {
    /// It is made of these fields; relations among them may hold records too.
    Create(Sent),
    /// These fields of it are changed; relations among them may hold changes too.
    Update {
        /// Its key as text; where nothing is said, it is among what is sent.
        key: Option<String>,
        /// What is sent.
        sent: Sent,
    },
    /// It is deleted.
    Delete {
        /// Its key as text.
        key: String,
    },
    /// It is changed if it is there, and made otherwise.
    Upsert {
        /// The unique field that tells whether it is there; the key where nothing is said.
        on: Option<String>,
        /// The key as text, where it is told beside the fields.
        key: Option<String>,
        /// What is sent, the field that tells among it unless it is the key that is told beside.
        sent: Sent,
    },
}

/// All records that a filter selects, for one and the same change.
#[derive(Clone, Debug)]
pub struct MassRequest {
    /// The collection.
    pub collection: CollectionName,
    /// The filter; its literals are [`Literal::Caller`].
    pub filter: Rule,
    /// What they stand for.
    pub values: Vec<Literal>,
    /// What each is changed to; nothing to delete them.
    pub set: Option<Sent>,
    /// Whether those that may not be changed are left as they are, rather than end it.
    pub narrow: bool,
}

/// Why a change is refused, and which part of the request is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAt {
    /// The place as it was given with [`Asked`], with the way to a nested record behind it.
    pub place: String,
    /// Why.
    pub refused: Refused,
}

/// How many records a change may be about.
pub const MAX_STEPS: usize = 1_000;
/// How many records of a selection one request may change, unless the gate is told otherwise.
pub const MAX_SELECTED: u32 = 10_000;
/// How deep records may stand in each other.
pub const MAX_NESTING: usize = 4;
