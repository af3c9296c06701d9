//! A permission compiled for one collection. Equal bodies are shared across roles.

use std::sync::Arc;

use portreeve_model::{Condition, FieldId, Slot};

use crate::{Effect, FaceScope};

/// What a permission says, without where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Body {
    /// Allow or deny.
    pub effect: Effect,
    /// On which records; `None` is all.
    pub rows: Option<Arc<Condition>>,
    /// Which fields.
    pub fields: FieldSet,
    /// What a write must leave behind (allow) or must not (deny).
    pub check: Option<Arc<Condition>>,
    /// Values a write always gets.
    pub presets: Vec<(FieldId, Slot)>,
    /// Values a write gets where it does not say.
    pub defaults: Vec<(FieldId, Slot)>,
    /// When it applies.
    pub when: Option<Arc<Condition>>,
    /// Through which face it applies.
    pub via: Option<FaceScope>,
}

/// A set of fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldSet {
    /// Every field. A deny that names no fields is one too.
    All,
    /// These, sorted.
    Only(Arc<[FieldId]>),
}

impl FieldSet {
    /// Whether the field is in the set.
    pub fn contains(&self, field: FieldId) -> bool {
        match self {
            Self::All => true,
            Self::Only(fields) => fields.binary_search(&field).is_ok(),
        }
    }

    /// Whether this is every field.
    pub fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

impl Body {
    /// A body that says no more than its effect.
    pub fn plain(effect: Effect) -> Self {
        Self {
            effect,
            rows: None,
            fields: FieldSet::All,
            check: None,
            presets: vec![],
            defaults: vec![],
            when: None,
            via: None,
        }
    }

    /// Whether it applies at some times, addresses or faces only.
    pub fn is_conditional(&self) -> bool {
        self.when.is_some() || self.via.is_some()
    }

    /// Whether this is an allow of no fields, which is no allow; it covers its cell all the same, so that
    /// `implicit_allow` does not.
    pub fn grants_nothing(&self) -> bool {
        self.effect == Effect::Allow
            && matches!(&self.fields, FieldSet::Only(fields) if fields.is_empty())
    }

    /// Whether it says no more than its effect.
    pub fn is_plain(&self) -> bool {
        self.rows.is_none()
            && self.fields.is_all()
            && self.check.is_none()
            && self.presets.is_empty()
            && self.defaults.is_empty()
            && !self.is_conditional()
    }
}
