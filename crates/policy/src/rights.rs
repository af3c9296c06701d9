//! What a caller may do in one cell (an action on a collection) at one moment, and the conditions that follow.

use std::sync::{Arc, OnceLock};

use portreeve_model::{Collection, CollectionId, Condition, FieldId};

use crate::roleset::next_id;
use crate::{Access, ActionId, Body, FieldSet};

/// The statements for one action on one collection, in layers that must all allow: the owner's, then a narrowing's.
#[derive(Debug)]
pub struct Rights {
    id: u64,
    collection: CollectionId,
    action: ActionId,
    layers: Vec<Layer>,
    reach: OnceLock<Access>,
    fields: OnceLock<Box<[Access]>>,
}

/// One decision's statements: its allows in their fixed order, its denies.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// The allows in order of binding, profile, role and position.
    pub allows: Vec<Grant>,
    /// The denies.
    pub denies: Vec<Grant>,
}

/// A statement and whose it is.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What it says.
    pub body: Arc<Body>,
    /// The role it belongs to.
    pub role: Arc<str>,
    /// Its place in the role; [`crate::IMPLICIT`] for what `administrator` and `implicit_allow` add.
    pub position: u16,
    /// Whether it is an administrator's, whom no deny limits.
    pub administrator: bool,
}

impl Layer {
    /// Allows, then denies.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.allows.iter().chain(&self.denies)
    }

    /// Whether an administrator's role is in force.
    pub fn administrator(&self) -> bool {
        self.allows.iter().any(|grant| grant.administrator)
    }

    /// Whether something allows and nothing denies outright.
    pub fn allows_something(&self) -> bool {
        self.administrator()
            || (!self.allows.is_empty() && !self.denies.iter().any(Grant::denies_all))
    }

    /// The denies that count: none against an administrator.
    pub fn effective_denies(&self) -> &[Grant] {
        if self.administrator() {
            &[]
        } else {
            &self.denies
        }
    }

    /// The allows that count: an administrator's alone where there is one, so that nothing else has to be asked.
    pub fn effective_allows(&self) -> Vec<&Grant> {
        match self.allows.iter().find(|grant| grant.administrator) {
            Some(grant) => vec![grant],
            None => self.allows.iter().collect(),
        }
    }

    fn reach(&self) -> Access {
        if !self.allows_something() {
            return Access::Never;
        }
        let allows = self.effective_allows();
        let mut all = vec![];
        if !allows.iter().any(|grant| grant.body.rows.is_none()) {
            all.push(any_rows(&allows));
        }
        for deny in self
            .effective_denies()
            .iter()
            .filter(|deny| deny.body.fields.is_all())
        {
            all.push(not_rows(&deny.body));
        }
        when_all(all)
    }

    // Where a field may be read, on records in reach.
    fn field(&self, field: FieldId) -> Access {
        if !self.allows_something() {
            return Access::Never;
        }
        let allows = self.effective_allows();
        let granting: Vec<&Grant> = allows
            .iter()
            .copied()
            .filter(|grant| grant.body.fields.contains(field))
            .collect();
        if granting.is_empty() {
            return Access::Never;
        }
        let mut all = vec![];
        // What every allow grants is readable wherever the record is in reach: the column stays bare.
        if granting.len() < allows.len() && !granting.iter().any(|grant| grant.body.rows.is_none())
        {
            all.push(any_rows(&granting));
        }
        for deny in self.effective_denies() {
            // With a check, it is the write that is judged and not the field.
            if let FieldSet::Only(fields) = &deny.body.fields
                && fields.contains(&field)
                && deny.body.check.is_none()
            {
                if deny.body.rows.is_none() {
                    return Access::Never;
                }
                all.push(not_rows(&deny.body));
            }
        }
        when_all(all)
    }
}

impl Grant {
    /// Whether it denies whoever allows, on every record and field.
    pub fn denies_all(&self) -> bool {
        self.body.rows.is_none() && self.body.fields.is_all() && self.body.check.is_none()
    }
}

impl Rights {
    /// Puts layers together.
    pub fn new(collection: CollectionId, action: ActionId, layers: Vec<Layer>) -> Self {
        Self {
            id: next_id(),
            collection,
            action,
            layers,
            reach: OnceLock::new(),
            fields: OnceLock::new(),
        }
    }

    /// No rights at all.
    pub fn nothing(collection: CollectionId, action: ActionId) -> Self {
        Self::new(collection, action, vec![Layer::default()])
    }

    /// Distinguishes this value from every other; a key for what is derived from it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The collection it is about.
    pub fn collection(&self) -> CollectionId {
        self.collection
    }

    /// The action it is about.
    pub fn action(&self) -> ActionId {
        self.action
    }

    /// The layers; all must allow.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether something is allowed at all.
    pub fn allows_something(&self) -> bool {
        self.layers.iter().all(Layer::allows_something)
    }

    /// Which records are in reach.
    pub fn reach(&self) -> &Access {
        self.reach
            .get_or_init(|| join(self.layers.iter().map(Layer::reach)))
    }

    /// Where a field may be read, on records in reach. The key is readable wherever the record is.
    pub fn field(&self, collection: &Collection, field: FieldId) -> &Access {
        let fields = self.fields.get_or_init(|| {
            collection
                .field_ids()
                .map(|field| {
                    if field == collection.key {
                        return if self.allows_something() {
                            Access::Always
                        } else {
                            Access::Never
                        };
                    }
                    join(self.layers.iter().map(|layer| layer.field(field)))
                })
                .collect()
        });
        &fields[field.index()]
    }
}

fn join(accesses: impl Iterator<Item = Access>) -> Access {
    let mut all = vec![];
    for access in accesses {
        match access {
            Access::Never => return Access::Never,
            Access::Always => {}
            Access::When(condition) => all.push((*condition).clone()),
        }
    }
    when_all(all)
}

fn when_all(mut all: Vec<Condition>) -> Access {
    match all.len() {
        0 => Access::Always,
        1 => Access::When(Arc::new(all.remove(0))),
        _ => Access::When(Arc::new(Condition::All(all))),
    }
}

/// Some allow's rows hold. Judged by "is true", as every allow is.
pub(crate) fn any_rows(grants: &[&Grant]) -> Condition {
    let mut any: Vec<Condition> = vec![];
    for grant in grants {
        let rows = rows_of(&grant.body);
        if !any.contains(&rows) {
            any.push(rows);
        }
    }
    if any.len() == 1 {
        any.remove(0)
    } else {
        Condition::Any(any)
    }
}

/// A deny's rows are false. Judged by "is true", so an unknown row rule denies.
pub(crate) fn not_rows(body: &Body) -> Condition {
    Condition::Not(Box::new(rows_of(body)))
}

pub(crate) fn rows_of(body: &Body) -> Condition {
    body.rows
        .as_ref()
        .map_or(Condition::Constant(true), |rows| (**rows).clone())
}

impl Rights {
    /// Both must allow: an owner's rights and what narrows them. Presets come from the owner's.
    pub fn narrowed(owner: &Self, narrowing: &Self) -> Self {
        let layers = owner
            .layers
            .iter()
            .chain(&narrowing.layers)
            .cloned()
            .collect();
        Self::new(owner.collection, owner.action, layers)
    }
}
