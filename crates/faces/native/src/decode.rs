//! What comes in: query parameters, bodies, lists, cursors.

mod aggregates;
mod changes;
mod conditions;
mod cursor;
mod list;
mod object;
mod parameters;
mod subscribe;

pub(crate) use aggregates::{AGGREGATES, aggregates};
pub(crate) use changes::{Batch, Creation, DELETE, changes, creation, deletions, updates};
pub(crate) use conditions::{condition, known_already, no_condition, put_condition};
pub(crate) use cursor::{next_cursor, stamp};
pub(crate) use list::{LIST, ListAsk, ONE, list, one};
pub(crate) use object::{Object, sent_fields};
pub(crate) use parameters::Parameters;
pub(crate) use subscribe::{SUBSCRIBE, subscribe};
