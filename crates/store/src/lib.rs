//! Persistence: the only crate that writes SQL or knows a driver. It executes what the gate has authorized
//! ([`portreeve_gate::Authorized`]) and a closed list of named system statements ([`System`]), nothing else.
//!
//! It must not know HTTP or wire formats, decides nothing about rights (conditions come resolved from the gate and are
//! only lowered to SQL here), and takes time and entropy from the traits it is given.
//!
//! * `sql/` turns plans into text with typed slots. Everything that differs between databases is in `sql/dialect.rs`.
//! * `work/` is what both databases do, written once over the two traits that a driver implements.
//! * `feed.rs` is what was committed, in order, for those who may be told of it.
//! * `sqlite/` is one driver: connections, the one writer thread, execution. `postgres/` is the other.
//! * `introspect/` looks at tables that were there before.
//! * `backup.rs` says what a backup is; `sqlite/backup/` and `postgres/backup/` make, check and put back one.
//! * `system.rs` is the closed list of what runs before or beside a caller.
//! * `migrations/` makes the product's own tables; collections' tables are made from the catalog by `sql/ddl.rs`.
//!
//! To add an operator: `sql/lower.rs` (both polarities), then the generator of `tests/it/parity.rs`. To add a system
//! statement: a name in `system.rs`, its text in `work/system.rs`. To change a product's own table: a new numbered
//! file in `migrations/`, never a change of an old one.

mod audit;
mod backup;
mod error;
mod feed;
mod held;
mod introspect;
mod migration;
mod options;
mod outcome;
mod postgres;
mod sql;
mod sqlite;
mod store;
mod system;
mod work;

pub use audit::{AuditFault, AuditFinding, AuditHead, AuditReport, NoAuditHead};
pub use backup::{
    Backup, BackupError, BackupOptions, BackupTable, Progress, RestoreOptions, Restored, Stage,
    Watch,
};
pub use error::{OpenError, StoreError};
pub use feed::{FeedLimits, Position, Subscription, Taken, Told, ToldKind};
pub use options::{Location, StoreOptions, Synchronous};
pub use outcome::{ChangeResult, ChangedRecord, ReadOutcome, Stored, WriteOutcome};
pub use store::{Notice, Stale, Store, StoreFacts};
pub use system::{
    Accept, Account, AccountSummary, Administrator, AskedMail, Backlog, Begun, ClaimedMail,
    Counted, Credential, GoodCode, MailOutcome, MailUser, Member, NewRefresh, NewSession, Prepare,
    PreparedMail, Proof, QueuedMail, Renewal, Rotated, Rotation, SessionFacts, SessionUse,
    ShareOutcome, StoredPolicy, StoredSession, StoredShare, StoredTemplate, System, Through,
};

pub use work::decisions::KeptDecision;

#[cfg(test)]
mod tests;
