//! Plain types every other crate stands on: values, the catalog of collections, the rule tree as people
//! write it and as it is resolved against a catalog, queries, and the sink records are pushed into.
//!
//! This crate must not know SQL, HTTP, files, time or randomness (both arrive through [`Clock`] and
//! [`Entropy`]). To add a field type, extend [`FieldType`] and follow the compiler.

mod catalog;
mod condition;
mod entity_tag;
mod environment;
mod existing;
mod key;
mod overflow;
mod query;
mod record;
mod rule;
mod value;

pub use catalog::*;
pub use condition::*;
pub use entity_tag::*;
pub use environment::*;
pub use existing::*;
pub use key::*;
pub use overflow::*;
pub use query::*;
pub use record::*;
pub use rule::*;
pub use value::*;
