//! The enforcement point: the only maker of [`Caller`] and [`Authorized`]. It knows who asks (admitted from facts the
//! service has verified), asks the policy, and resolves every identifier of a request, at every node of its plan,
//! against what this caller may read. What it hands out is bound to the caller, the operation and the policy version.
//!
//! It must not know SQL, HTTP or wire formats, and does no I/O. To add an operation: a type in `operation`, a
//! method of [`Gate`] that decides it, and a method of the store that executes `Authorized<ThatType>`.
//!
//! Nobody else can make either:
//!
//! ```compile_fail
//! let forged: portreeve_gate::Caller = portreeve_gate::Caller { };
//! ```
//! ```compile_fail
//! fn forge(plan: std::sync::Arc<portreeve_gate::ReadPlan>) -> portreeve_gate::Authorized<portreeve_gate::Read> {
//!     portreeve_gate::Authorized { operation: portreeve_gate::Read { plan } }
//! }
//! ```
//! An authorized read cannot be turned into another one:
//!
//! ```compile_fail
//! fn swap(mut read: portreeve_gate::Authorized<portreeve_gate::Read>, other: portreeve_gate::Read) {
//!     read.operation = other;
//! }
//! ```
//! ```compile_fail
//! fn reuse(read: portreeve_gate::Authorized<portreeve_gate::Read>) -> portreeve_gate::Authorized<portreeve_gate::Delete> {
//!     read
//! }
//! ```

mod accounts;
mod aggregate;
mod authority;
mod authorize;
mod cache;
mod caller;
mod literals;
mod mail;
mod operation;
mod plan;
mod planner;
mod refused;
mod sessions;
mod shares;
mod simulate;
mod subscribe;

pub use accounts::*;
pub use aggregate::*;
pub use authority::Authority;
pub use authorize::{Gate, ListRequest, Sent};
pub use caller::{Caller, CredentialFacts, Principal};
pub use literals::{caller_value, take_literals};
pub use mail::{ChangeEmail, Invite, Invited, ListTemplates, RemoveTemplate, SetTemplate};
pub use operation::*;
pub use plan::*;
pub use refused::Refused;
pub use sessions::{EndSessions, Which};
pub use shares::*;
pub use simulate::{Eyes, Simulate, Simulated, WhoCan};
pub use subscribe::{Subscribe, SubscribeRequest};
