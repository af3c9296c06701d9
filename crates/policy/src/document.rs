//! What people author: collections, roles, profiles, named rules, actions, tests. Names only; nothing resolved.
//! [`Document::read`] reads YAML or JSON, [`Document::to_yaml`] writes it back.

use ipnet::IpNet;
use portreeve_model::{
    CollectionName, ExistingColumn, FieldType, Kept, KeySource, Literal, OnDelete, Operand, Rule,
    Variable,
};

use crate::{ExistingSection, Place};

mod bookkeeping;
mod bound;
mod cases;
mod cell;
mod node;
mod overflow;
mod position;
mod read;
mod reader;
mod report;
mod roles;
mod source;
mod stored;
mod write;
mod yaml;

pub use source::Source;
pub(crate) use stored::permissions_from_json;
pub use stored::{
    action_from_json, collection_from_json, existing_from_json, profile_from_json, role_from_json,
    rule_definition_from_json,
};
pub(crate) use write::permissions_to_json;
pub use write::{
    action_to_json, binding_to_json, collection_to_json, existing_to_json, profile_to_json,
    role_to_json, rule_definition_to_json,
};

/// An access document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// `collections:`; an entry `users` adds own columns to the accounts. Those with [`CollectionDefinition::existing`]
    /// come from what was found in the database, never from a file, and are neither written nor stored.
    pub collections: Vec<CollectionDefinition>,
    /// `existing:`, which tables of the database that were there before are collections.
    pub existing: ExistingSection,
    /// `actions:`, the application's own, such as `invoice.approve`.
    pub actions: Vec<ActionDefinition>,
    /// `rules:`, named predicates.
    pub rules: Vec<RuleDefinition>,
    /// `roles:`.
    pub roles: Vec<RoleDefinition>,
    /// `profiles:`.
    pub profiles: Vec<ProfileDefinition>,
    /// `registration:`.
    pub registration: Registration,
    /// `bindings:`, what accounts are bound to. Accounts that are not named are bound to what they are.
    pub bindings: Vec<AccountBindings>,
    /// `templates:`, the words of mails. Kinds that are not named keep theirs.
    pub templates: Vec<TemplateDefinition>,
    /// `tests:`.
    pub tests: Vec<TestCase>,
}

/// A collection as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionDefinition {
    /// Its name.
    pub name: CollectionName,
    /// `key: { id: uuid }`: the key field's name.
    pub key: String,
    /// Its type.
    pub key_type: FieldType,
    /// How new records come by one.
    pub key_source: KeySource,
    /// `fields:`.
    pub fields: Vec<FieldDefinition>,
    /// `relations:`.
    pub relations: Vec<RelationDefinition>,
    /// `indexes:`.
    pub indexes: Vec<Vec<String>>,
    /// The table it describes, where that was there before.
    pub existing: Option<ExistingDefinition>,
    /// Where it stands.
    pub place: Place,
}

/// The table of a collection that was there before.
#[derive(Clone, Debug, PartialEq)]
pub struct ExistingDefinition {
    /// The schema it is in; `None` where the database has none.
    pub schema: Option<String>,
    /// Its name, exactly as the database has it.
    pub table: String,
    /// What names a record of it.
    pub key: ExistingKeyDefinition,
}

/// What names a record of an existing table.
#[derive(Clone, Debug, PartialEq)]
pub enum ExistingKeyDefinition {
    /// One column, and where it points: a key may be a relation too.
    Column(ExistingColumn, Option<ReferenceDefinition>),
    /// These fields together.
    Fields(Vec<String>),
    /// Nothing: its records can be listed and nothing else.
    Missing,
}

/// A field as declared: `title: text` or `student: { to: users, required: true }`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDefinition {
    /// Its name.
    pub name: String,
    /// `type:`; absent for a relation, which takes its target's. [`FieldType::Overflow`] where `overflow:` has made it.
    pub ty: Option<FieldType>,
    /// `to:`, `by:`, `on_delete:`.
    pub to: Option<ReferenceDefinition>,
    /// `required:`: never null.
    pub required: bool,
    /// `unique:`.
    pub unique: bool,
    /// `default:`: a JSON value, or the text `$now`.
    pub default: Option<serde_json::Value>,
    /// `self_writable:`, for own columns of `users`.
    pub self_writable: bool,
    /// `bookkeeping:` of its collection has made it.
    pub kept: Option<Kept>,
    /// The column, where its table was there before.
    pub existing: Option<ExistingColumn>,
    /// Where it stands.
    pub place: Place,
}

/// Where a to-one field points.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceDefinition {
    /// The target.
    pub collection: CollectionName,
    /// `by: number`, for users only; otherwise the target's key.
    pub by_number: bool,
    /// Between existing tables: the target's field it holds, where that is not its key.
    pub by_field: Option<String>,
    /// `on_delete: restrict | set_null | cascade`.
    pub on_delete: OnDelete,
}

/// A to-many relation as declared: `{ many: answers, by: question }` or
/// `{ many: courses, through: enrolments, from: student, to: course }`.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationDefinition {
    /// Its name.
    pub name: String,
    /// `many:`.
    pub target: CollectionName,
    /// How it gets there.
    pub via: RelationVia,
    /// Where it stands.
    pub place: Place,
}

/// How a declared relation gets to its target.
#[derive(Clone, Debug, PartialEq)]
pub enum RelationVia {
    /// `by:`: the target's field.
    Field(String),
    /// `through:`, `from:`, `to:`.
    Through {
        /// The junction.
        junction: CollectionName,
        /// The junction's field that names this record.
        from: String,
        /// The junction's field that names the target.
        to: String,
    },
}

/// An action of the application's own.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionDefinition {
    /// Its dotted name.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Where it stands.
    pub place: Place,
}

/// A named rule: `owner: { parameters: [field], rule: ":field = $user" }`, or just `published: "status = 'public'"`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDefinition {
    /// Its name.
    pub name: String,
    /// Its parameters, used as `:name`.
    pub parameters: Vec<String>,
    /// What it says.
    pub rule: Rule,
    /// Where it stands.
    pub place: Place,
}

/// A role: a named set of permissions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleDefinition {
    /// Its name.
    pub key: String,
    /// For people.
    pub label: String,
    /// For people.
    pub description: String,
    /// Kept for faces and applications.
    pub extra: Option<serde_json::Value>,
    /// Its permissions, in order.
    pub permissions: Vec<Permission>,
    /// Allows everything no permission of this role covers.
    pub implicit_allow: bool,
    /// May do everything and cannot be limited.
    pub administrator: bool,
    /// Whom it applies to when nothing else is bound.
    pub fallback: bool,
    /// A predicate over `$user $request $now $claims`; where it fails, the role's allows fall away.
    pub when: Option<Rule>,
    /// A second factor is demanded.
    pub enforce_tfa: bool,
    /// May use the console.
    pub app_access: bool,
    /// Roles whose holders may hand it out.
    pub assignable_by: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Effect {
    /// Grants.
    #[default]
    Allow,
    /// Takes away, whoever grants.
    Deny,
}

/// One statement of a role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permission {
    /// `allow:` or `deny:`.
    pub effect: Effect,
    /// Action names, each covering what its prefix covers; `*` is all.
    pub actions: Vec<String>,
    /// `on:` collections: names, `namespace/*`, `*`. Empty where the actions have no collection.
    pub on: Vec<String>,
    /// `except:` actions or collections left out of this permission.
    pub except: Vec<String>,
    /// `rows:`.
    pub rows: Option<Rule>,
    /// `fields:`; `None` is every field.
    pub fields: Option<Vec<String>>,
    /// `check:`.
    pub check: Option<Rule>,
    /// `presets:`, in order of the document.
    pub presets: Vec<(String, FieldValue)>,
    /// `defaults:`.
    pub defaults: Vec<(String, FieldValue)>,
    /// `when:`.
    pub when: Option<Rule>,
    /// `via:`: only operations of this face.
    pub via: Option<FaceScope>,
    /// `source:`, what the face that wrote it shows back; kept, never interpreted.
    pub source: Option<Source>,
    /// Where it stands.
    pub place: Place,
}

/// Operations of one face.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FaceScope {
    /// `native`, `kuzzle`, `strapi`, `hasura`, `bknd`, `directus`.
    pub face: String,
    /// Its operations; empty is all.
    pub operations: Vec<String>,
}

/// The value of a preset or default.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// `$user`, `$user.team`, `$now`, `$claims.x`, `$request.ip`.
    Variable(Variable),
    /// Any JSON value. A text that begins with `$` is written with `$$`.
    Json(serde_json::Value),
}

impl FieldValue {
    /// The operand with the same value, where there is one.
    pub fn as_operand(&self) -> Option<Operand> {
        use serde_json::Value as J;
        Some(match self {
            Self::Variable(variable) => Operand::Variable(variable.clone()),
            Self::Json(J::Null) => Operand::Literal(Literal::Null),
            Self::Json(J::Bool(bool)) => Operand::Literal(Literal::Boolean(*bool)),
            Self::Json(J::Number(number)) => Operand::Literal(Literal::Number(number.to_string())),
            Self::Json(J::String(text)) => Operand::Literal(Literal::Text(text.clone())),
            Self::Json(_) => return None,
        })
    }
}

/// A profile: a named combination of roles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileDefinition {
    /// Its name.
    pub key: String,
    /// For people.
    pub label: String,
    /// For people.
    pub description: String,
    /// Whose roles it takes over, with their restrictions.
    pub parent: Option<String>,
    /// Its roles, in order.
    pub roles: Vec<ProfileRole>,
    /// Requests per minute; 0 is unlimited.
    pub rate_limit: u32,
    /// From where its allows hold; empty is everywhere.
    pub addresses: Vec<IpNet>,
    /// Roles whose holders may hand it out.
    pub assignable_by: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// A role in a profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileRole {
    /// The role.
    pub role: String,
    /// Where it holds: names, `namespace/*`; `None` is everywhere.
    pub restricted_to: Option<Vec<String>>,
}

/// What a person who signs up gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Roles bound to a new account.
    pub roles: Vec<String>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            roles: vec!["user".into()],
        }
    }
}

/// What ties a user to a role or profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Binding {
    /// To what.
    pub to: BoundTo,
    /// Where it holds; `None` is everywhere.
    pub restricted_to: Option<Vec<String>>,
    /// From when, in microseconds since 1970.
    pub from: Option<i64>,
    /// Until when (exclusive).
    pub until: Option<i64>,
    /// The one that single-role faces show.
    pub primary: bool,
}

/// All that an account is bound to.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountBindings {
    /// The account: its id, key, name, address or number.
    pub account: String,
    /// To what it is bound, and to nothing else.
    pub bindings: Vec<PlacedBinding>,
    /// Where it stands.
    pub place: Place,
}

/// A binding and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedBinding {
    /// The binding.
    pub binding: Binding,
    /// Where it stands.
    pub place: Place,
}

/// The words of a kind of mail.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateDefinition {
    /// The kind.
    pub name: String,
    /// The words; without any, the built-in ones.
    pub words: Option<TemplateWords>,
    /// Where it stands.
    pub place: Place,
}

/// Words that take the place of the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateWords {
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BoundTo {
    /// A role.
    Role(String),
    /// A profile.
    Profile(String),
}

impl Default for BoundTo {
    fn default() -> Self {
        Self::Role(String::new())
    }
}

/// A test of the document, run by `portreeve test` and by the corpus runners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestCase {
    /// What it shows.
    pub name: String,
    /// Who asks.
    pub subject: TestSubject,
    /// `at:`, the time of the request, microseconds since 1970.
    pub at: Option<i64>,
    /// `given:`, records by collection. Values are read by the field's type.
    pub given: Vec<(String, Vec<serde_json::Map<String, serde_json::Value>>)>,
    /// What must come out, each on the given records anew.
    pub expect: Vec<Expectation>,
    /// Where it stands.
    pub place: Place,
}

/// Who asks, in a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSubject {
    /// The user's id; `None` is anonymous.
    pub user: Option<String>,
    /// `roles:` and `profiles:` as plain bindings, then `bindings:` with their limits.
    pub bindings: Vec<Binding>,
    /// `attributes:`, further columns of the user.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// `claims:`.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// `request:`: `ip`, `method`, `face`, `operation`.
    pub request: Vec<(String, String)>,
    /// `narrowed_to:` roles both the owner's decision and these must allow.
    pub narrowed_to: Option<Vec<String>>,
    /// `narrowed_to: { permissions: […] }`: permissions that must allow as well, beside such roles if there are any.
    pub scope: Option<crate::Scope>,
}

/// One expectation of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// What is asked.
    pub ask: Ask,
    /// What must come out.
    pub verdict: ExpectedVerdict,
    /// `shows:` these fields with these values (read, or the stored record of an allowed write).
    pub shows: Option<serde_json::Map<String, serde_json::Value>>,
    /// `hides:` these fields do not exist for the caller.
    pub hides: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// What a test asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// `read: grades/1`
    Read {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
    },
    /// `list: grades`, optionally `where:` and `count: true`
    List {
        /// The collection.
        collection: String,
        /// The caller's filter.
        filter: Option<Rule>,
    },
    /// `create: answers`, `send: {…}`
    Create {
        /// The collection.
        collection: String,
        /// What is sent.
        send: serde_json::Map<String, serde_json::Value>,
    },
    /// `update: grades/1`, `send: {…}`
    Update {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
        /// What is sent.
        send: serde_json::Map<String, serde_json::Value>,
    },
    /// `delete: grades/1`
    Delete {
        /// The collection.
        collection: String,
        /// The key as text.
        key: String,
    },
    /// `change:` and a list of creations, updates and deletions that happen together or not at all
    Change(Vec<Ask>),
    /// `can: invoice.approve`, optionally `on: invoices` or `on: invoices/7`
    Can {
        /// The action.
        action: String,
        /// The collection.
        collection: Option<String>,
        /// The key as text.
        key: Option<String>,
    },
}

/// What must come out of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedVerdict {
    /// `is: allow`
    Allow,
    /// `is: deny`: forbidden, or out of reach.
    Deny,
    /// `is: hidden`: out of reach, answered like a missing record.
    Hidden,
    /// `is: [1, 2]`: a list shows exactly these keys, in this order of keys.
    Keys(Vec<String>),
}
