//! The operations all faces share, one noun per file. A face decodes a request, calls one method of [`Portreeve`] and
//! encodes what comes back; the command line does the same.
//!
//! | file | what |
//! | --- | --- |
//! | `authn` | [`Portreeve::sign_in`], [`Portreeve::caller`], [`Portreeve::operator`] |
//! | `sessions` | [`Portreeve::refresh`], [`Portreeve::renew`], [`Portreeve::sign_out`], [`Portreeve::sessions`] |
//! | `rates` | [`Portreeve::sign_in_budget`]: how often one may try |
//! | `setup` | [`Portreeve::begin_setup`], [`Portreeve::setup`]: the closed first start |
//! | `users` | [`Portreeve::create_user`], [`Portreeve::update_user`], [`Portreeve::delete_user`], [`Portreeve::list_users`] |
//! | `account` | [`Portreeve::update_own`], [`Portreeve::change_password`], [`Portreeve::delete_own`] |
//! | `registration` | [`Portreeve::register`] |
//! | `registry` | [`Portreeve::may_through`], [`Portreeve::rights_through`], [`Portreeve::role_through`], [`Portreeve::write_role_through`], [`Portreeve::in_role`] |
//! | `assigned` | [`Portreeve::assigned`], [`Portreeve::assign`]: what an account is bound to, as a face shows it |
//! | `records` | [`Portreeve::list`], [`Portreeve::record`], [`Portreeve::create`], [`Portreeve::update`], [`Portreeve::delete`] |
//! | `subscribe` | [`Portreeve::subscribe`], [`Portreeve::end_subscriptions`]: being told of changes |
//! | `changes` | [`Portreeve::change`], [`Portreeve::put`], [`Portreeve::change_where`]: several records, and conditions |
//! | `collections` | [`Portreeve::collections`], [`Portreeve::create_collection`], [`Portreeve::alter_collection`], [`Portreeve::drop_collection`] |
//! | `access` | [`Portreeve::document`], [`Portreeve::plan`], [`Portreeve::apply`] |
//! | `audit` | [`Portreeve::seal_audit`], [`Portreeve::verify_audit`], [`Portreeve::audit_lines`] |
//! | `decisions` | [`Portreeve::remember_denial`], [`Portreeve::explain_decision`] |
//! | `me` | [`Portreeve::me`] |
//! | `insight` | [`Portreeve::who_can`], [`Portreeve::user_rights`], [`Portreeve::simulate`] |
//! | `check`, `explain` | [`Portreeve::check`], [`Portreeve::explain`] |
//! | `load`, `export` | [`Portreeve::load`], [`Portreeve::export`] |
//! | `flows` | [`Portreeve::forgot_password`], [`Portreeve::reset_password`], [`Portreeve::confirm`], [`Portreeve::change_email`] |
//! | `invitations` | [`Portreeve::invite`], [`Portreeve::accept_invitation`] |
//! | `mail`, `templates` | [`Portreeve::deliver_next`], [`mail::Mailer`], [`Portreeve::set_template`] |
//! | `backup` | [`backup()`], [`check_backup`], [`restore`]: of a data folder, open or not |
//!
//! A face registers: its [`TableDefinition`] in [`Options::tables`] (its actions, what each takes of ours and what it is about), and
//! what differs from the others in [`FaceSettings`]. Before a request that is not one of the operations above, it makes the caller one
//! [`Portreeve::through`] its action, so that permissions with `via` hold, and names the role the request names by
//! [`Portreeve::in_role`]; everything else in its words comes from `registry` and `assigned`.
//!
//! This crate must not know HTTP, wire formats, SQL or a driver, and decides nothing itself: the gate does. Errors are
//! [`ServiceError`], which has stable codes and no status; causes are for logs only.
//!
//! To add an operation: a type in the gate, a method of the store that executes it, and here a method that joins the
//! two; a new way to fail is a variant of [`ServiceError`] and a line in `codes`.

mod access;
mod account;
mod assigned;
mod audit;
mod authn;
mod authoring;
mod backup;
mod bindings;
mod callers;
mod changes;
mod check;
pub mod codes;
mod collections;
mod decisions;
mod doctor;
mod error;
mod existing;
mod explain;
mod export;
mod faces;
mod flows;
mod insight;
mod invitations;
mod jwt;
mod keys;
mod load;
pub mod mail;
mod me;
mod open;
mod passwords;
mod plan;
mod positions;
mod rates;
mod records;
mod registration;
mod registry;
mod sessions;
mod setup;
mod shares;
mod stale;
mod subscribe;
mod templates;
mod throttle;
mod tokens;
mod users;
mod uses;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use portreeve_gate::Gate;
use portreeve_model::{Clock, Entropy};
use portreeve_store::Store;

pub use access::Applied;
pub use account::{OwnChange, OwnPassword};
pub use assigned::{Assigned, Assigning};
pub use audit::AuditFilter;
pub use authoring::{CellChange, RoleChange, Terms};
pub use backup::{BackupTo, RestoreFrom, Watching, backup, check_backup, restore};
pub use changes::{Changed, Changes};
pub use check::{CheckAnswer, CheckRequest};
pub use collections::{AlterCollection, CollectionView, FieldView, RelationView};
pub use decisions::{Denial, DenialOptions, DeniedAsk, DeniedPrincipal, ExplainedDecision};
pub use doctor::{AdministratorView, Diagnosis, Finding, Severity};
pub use error::ServiceError;
pub use existing::with_tables;
pub use explain::Explained;
pub use export::{ExportError, Exported};
pub use faces::{
    Claims, FACES, FaceSettings, Faces, LinkParameters, NEVER, Public, Secret, SessionSettings,
    TokenSettings,
};
pub use insight::{
    ActionPaths, Entitled, MAX_WHO, PermissionPath, Simulation, Through, UserRights, WhoCan,
    WhoCanRequest, WhoPage,
};
pub use invitations::Invitation;
pub use load::{LoadError, Loaded};
pub use me::{CollectionRights, FieldRights, Me, MeUser, OverflowRights, Possible};
pub use open::Options;
pub use plan::{Change, ChangeKind, Dropped, Effect, Part, Plan};
pub use rates::ThrottleSettings;
pub use records::Written;
pub use registration::{NewRegistration, Registered, Registration};
pub use registry::{RoleWrite, ShownCell, ShownRole, WireRight, WrittenRole};
pub use sessions::{How, Mode, RefreshToken, SessionView, SignedIn};
pub use setup::SETUP_ATTEMPTS;
pub use shares::{Opened, ShareChange, ShareRequest};
pub use subscribe::{EndReason, Happening, ResetReason, Subscription, SubscriptionLimits};
pub use templates::{MailView, NewTemplate, TemplateView};
pub use throttle::{Budget, Limit};
pub use users::{MadeUser, NewUser, PastUser, RESERVED_KEYS, UserChange, UserField, UserView};

// Faces may not use the gate, the policy or the store: what they need of them in order to ask comes through here.
pub use portreeve_gate::{
    AggregateRequest, Asked, AskedWhat, Caller, Eyes, ListRequest, MAX_SELECTED, MAX_STEPS,
    MassRequest, Principal, Rebind, Sent, Shared, Simulated, SubscribeRequest, UNCONFIRMED,
    take_literals,
};
pub use portreeve_policy::cells::{
    ActionTable, On, Rest, Said, Says, Span, Standing, TableDefinition, WireAction,
};
pub use portreeve_policy::{
    Binding, BoundTo, Document, Place, Precondition, Problem, RequestFacts, RuleError,
    parse_operand, parse_rule, print_rule, rule_from_json, rule_to_json,
};
pub use portreeve_store::{
    AuditFault, AuditFinding, AuditHead, AuditReport, Backup, BackupError, BackupTable, FeedLimits,
    Location, Progress, ReadOutcome, Restored, Stage, StoredSession, StoredShare, Synchronous,
    Told, ToldKind,
};

/// One running Portreeve: a data folder, the policy in force, and everything that can be asked of them. Shared by all
/// faces behind an [`Arc`].
pub struct Portreeve {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    store: Store,
    gate: std::sync::Arc<Gate>,
    existing: existing::Existing,
    callers: Arc<callers::Callers>,
    faces: Faces,
    keys: keys::Keys,
    rates: rates::Rates,
    uses: uses::Uses,
    audit_sign_ins: bool,
    passwords: passwords::Passwords,
    setup: setup::Setup,
    decisions: decisions::Decisions,
    registry: registry::Registry,
    subscriptions: Arc<subscribe::Subscriptions>,
    positions: positions::Positions,
    mail: mail::MailOptions,
    // Somebody here has asked for a mail.
    mail_asked: tokio::sync::Notify,
    // Whether an active administrator exists. Until one does, nothing but setup works, except in development.
    administered: AtomicBool,
    // Changes of policy and of accounts one at a time: what was checked before a change must still hold in it.
    administration: tokio::sync::Mutex<()>,
}

impl Portreeve {
    /// Microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The version of the policy in force, which answers carry.
    pub fn policy_version(&self) -> u64 {
        self.gate.snapshot().version()
    }

    /// Whether this is development mode.
    pub fn development(&self) -> bool {
        self.gate.development()
    }

    /// A new id for a request or a decision.
    pub fn new_id(&self) -> uuid::Uuid {
        portreeve_model::new_uuid(&*self.clock, &*self.entropy)
    }
}
