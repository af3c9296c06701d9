//! What a role says, as the table of a face that shows one box for each of its own actions at each place: the
//! *cells*. [`ActionTable`] is the face's actions as data; [`cells`] says what stands in the boxes; [`write_cells`] makes of
//! a role the one whose boxes were ticked otherwise, and leaves alone whatever the others rest on.
//!
//! A face says what it has as a [`TableDefinition`], once:
//!
//! ```
//! use portreeve_policy::cells::{ActionTable, On, Span, TableDefinition, WireAction};
//!
//! const TABLE: TableDefinition = TableDefinition {
//!     face: "kuzzle",
//!     separator: Some(':'),
//!     span: Span::All,
//!     shows: &[],
//!     judges_auth: true,
//!     actions: &[
//!         WireAction::new("document:get", &["data.read.one"], On::Records),
//!         WireAction::new("document:search", &["data.read.many"], On::Records),
//!         WireAction::new("document:mGet", &["data.read.many"], On::Records),
//!         WireAction::new("security:getRole", &["data.read.one"], On::Collection("roles")),
//!         WireAction::new("server:now", &["server.now"], On::Nothing),
//!     ],
//!     wildcards: &[("*:*", "*"), ("document:*", "data")],
//! };
//! assert!(ActionTable::new(&TABLE).is_ok());
//! ```
//!
//! Everything is judged by the role's text: who holds it, and what else he holds, is no part of it.

mod coverage;
mod cut;
mod grant;
mod request;
mod said;
mod shown;
mod standing;
mod table;
mod write;

pub use said::{Rest, Said, Says};
pub use shown::{Cell, Cells, cells, statements};
pub use standing::Standing;
pub use table::{ActionTable, On, Span, TableDefinition, TableProblem, WireAction, WireName};
pub use write::{CellProblem, Rewritten, write_cells};

use portreeve_model::CollectionId;

/// Where a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// Its action is about no collection.
    Nothing,
    /// On every ordinary collection, those of later included.
    Anywhere,
    /// On this one.
    Collection(CollectionId),
}
