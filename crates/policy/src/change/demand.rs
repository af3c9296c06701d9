//! What a change needs to know or have done, and what it is told.

use std::sync::Arc;

use portreeve_model::{Condition, FieldId, Value};

use crate::{DeleteTemplate, Link, Record, WriteTemplate};

/// What a run needs next.
pub enum Demand<'r> {
    /// The record whose field has this value, with the truth of the template's old probes:
    /// [`Reply::Found`].
    Look {
        /// The template.
        template: &'r Arc<WriteTemplate>,
        /// The field.
        by: FieldId,
        /// Its value.
        value: &'r Value,
    },
    /// The record to be deleted, with the truth of the template's probes: [`Reply::Found`].
    LookDelete {
        /// The template.
        template: &'r Arc<DeleteTemplate>,
        /// Its key.
        key: &'r Value,
    },
    /// Whether a relation's target is there and the condition true of it: [`Reply::Holds`].
    Reach {
        /// The template.
        template: &'r Arc<WriteTemplate>,
        /// The relation.
        link: &'r Link,
        /// What it is set to.
        value: &'r Value,
        /// What has to be true of the target; nothing, if it only has to be there.
        reach: Option<&'r Condition>,
    },
    /// A new record with these values, and with its key and declared defaults: [`Reply::Inserted`] or
    /// [`Reply::Unstorable`].
    Insert {
        /// The template.
        template: &'r Arc<WriteTemplate>,
        /// The values.
        values: &'r [(FieldId, Value)],
    },
    /// Other values for a record: [`Reply::Done`] or [`Reply::Unstorable`].
    Update {
        /// The template.
        template: &'r Arc<WriteTemplate>,
        /// The record's key.
        key: &'r Value,
        /// The record in the beginning.
        old: &'r Record,
        /// The values, perhaps none.
        values: &'r [(FieldId, Value)],
    },
    /// A record's end: [`Reply::Done`], also where the deletion of another has taken it along; [`Reply::Holds`] with
    /// false where it is there all the same, or [`Reply::Unstorable`].
    Delete {
        /// The template.
        template: &'r Arc<DeleteTemplate>,
        /// The record's key.
        key: &'r Value,
    },
    /// The record as it is now, with the truth of the template's new probes: [`Reply::Found`].
    After {
        /// The template.
        template: &'r Arc<WriteTemplate>,
        /// The record's key.
        key: &'r Value,
        /// The record in the beginning.
        old: Option<&'r Record>,
    },
    /// Everything written so far undone: [`Reply::Done`].
    Undo,
    /// Nothing more. [`ChangeRun::outcome`] says what came of it.
    Nothing,
}

/// What a run is told.
pub enum Reply<E> {
    /// Nothing to tell; also begins a run.
    Done,
    /// The record that was looked for.
    Found(Option<(Record, Vec<bool>)>),
    /// Whether it is so.
    Holds(bool),
    /// The new record, with its key and declared defaults.
    Inserted(Record),
    /// The database does not take what was to be written. Only that statement has no effect.
    Unstorable(E),
}
