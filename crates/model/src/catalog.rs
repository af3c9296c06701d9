//! The catalog: collections, their fields and relations, as one immutable value.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CollectionName, ExistingColumn, ExistingTable, FieldType, Value};

/// A collection's place in its [`Catalog`]; meaningless outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CollectionId(pub u32);

/// A field's place in its [`Collection`]; meaningless outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldId(pub u16);

/// All collections of one policy version.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    collections: Vec<Arc<Collection>>,
    by_name: HashMap<CollectionName, CollectionId>,
}

/// A table seen as a collection of records.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its place in the catalog.
    pub id: CollectionId,
    /// How people name it.
    pub name: CollectionName,
    /// The table that holds it.
    pub table: String,
    /// One of the product's own (`users`, `roles` …): readable under rules, written by typed operations only.
    pub system: bool,
    /// The field whose value names a record.
    pub key: FieldId,
    /// How a new record comes by its key.
    pub key_source: KeySource,
    /// The fields, the key among them.
    pub fields: Vec<Field>,
    /// The relations that lead to many records.
    pub relations: Vec<ToMany>,
    /// Further indexes, as lists of fields.
    pub indexes: Vec<Vec<FieldId>>,
    /// The table, where it was there before; `None` for one of our own making.
    pub existing: Option<ExistingTable>,
}

/// How a new record comes by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The database makes it. In tables of our own making it counts up, and a number is never used twice.
    Sequence,
    /// A UUID (version 7) is made unless one is sent.
    Uuid,
    /// The writer must send it.
    Given,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, also the column's in a table of our own making.
    pub name: Arc<str>,
    /// What it holds.
    pub ty: FieldType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether no two records may share a value.
    pub unique: bool,
    /// The value of a new record that does not say.
    pub default: Option<FieldDefault>,
    /// Where it points, if it names a record of another collection.
    pub relation: Option<ToOne>,
    /// `users` only: whether the account's owner may write it even though rules read it.
    pub self_writable: bool,
    /// What the store itself keeps in it, where it does.
    pub kept: Option<Kept>,
    /// The column, where its table was there before.
    pub existing: Option<ExistingColumn>,
}

/// What the store keeps of each write, in fields that nobody else writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// When the record was made.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
    /// The user who made it; null for nobody and for the command line.
    CreatedBy,
    /// The user who last changed it.
    UpdatedBy,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::CreatedBy,
        Self::UpdatedBy,
    ];

    /// As written, and what its field is called unless said.
    pub fn word(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::CreatedBy => "created_by",
            Self::UpdatedBy => "updated_by",
        }
    }

    /// Whether it is a user, and not a moment.
    pub fn is_user(self) -> bool {
        matches!(self, Self::CreatedBy | Self::UpdatedBy)
    }
}

/// The value of a field that was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldDefault {
    /// Always this.
    Value(Value),
    /// The moment of writing.
    Now,
}

/// A field that names a record of another collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToOne {
    /// The collection it points into.
    pub target: CollectionId,
    /// The target's field it holds: its key, or `number` for users where declared so.
    pub by: FieldId,
    /// What happens to this record when the target is deleted.
    pub on_delete: OnDelete,
}

/// What happens to a record when one it points at is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The deletion is refused.
    Restrict,
    /// The field becomes null.
    SetNull,
    /// The record is deleted too.
    Cascade,
}

/// A relation that leads to many records.
#[derive(Clone, Debug, PartialEq)]
pub struct ToMany {
    /// Its name, beside the field names.
    pub name: Arc<str>,
    /// The collection it leads to.
    pub target: CollectionId,
    /// How it gets there.
    pub via: Via,
}

/// How a to-many relation gets to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// One-to-many: the target's field names this record.
    Field(FieldId),
    /// Many-to-many: a junction names this record in `near` and the target in `far`.
    Through {
        /// The collection between.
        junction: CollectionId,
        /// Its field that names this record.
        near: FieldId,
        /// Its field that names the target.
        far: FieldId,
    },
}

impl Catalog {
    /// Puts collections together; each one's `id` is set to its place.
    pub fn new(collections: Vec<Collection>) -> Self {
        let mut catalog = Self::default();
        for (place, mut collection) in collections.into_iter().enumerate() {
            let id = CollectionId(u32::try_from(place).expect("fewer than 2^32 collections"));
            collection.id = id;
            catalog.by_name.insert(collection.name.clone(), id);
            catalog.collections.push(Arc::new(collection));
        }
        catalog
    }

    /// The collection at `id`.
    pub fn get(&self, id: CollectionId) -> &Arc<Collection> {
        &self.collections[id.0 as usize]
    }

    /// The collection of that name.
    pub fn find(&self, name: &CollectionName) -> Option<&Arc<Collection>> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// The collection of that name, written `grades` or `shop/orders`.
    pub fn find_text(&self, name: &str) -> Option<&Arc<Collection>> {
        self.find(&CollectionName::parse(name).ok()?)
    }

    /// Whether a relation points at an account by its number: there a bare `$user` is the number.
    pub fn is_users_number(&self, relation: &ToOne) -> bool {
        let target = self.get(relation.target);
        target.system && relation.by != target.key
    }

    /// All collections, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.collections.iter()
    }

    /// How many collections there are.
    pub fn len(&self) -> usize {
        self.collections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }
}

impl Collection {
    /// The field at `id`.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[usize::from(id.0)]
    }

    /// The declared field of that name: where undeclared ones are kept has no name.
    pub fn find_field(&self, name: &str) -> Option<FieldId> {
        self.fields
            .iter()
            .position(|field| &*field.name == name && field.ty != FieldType::Overflow)
            .map(FieldId::at)
    }

    /// The to-many relation of that name, with its place in `relations`.
    pub fn find_relation(&self, name: &str) -> Option<(usize, &ToMany)> {
        self.relations
            .iter()
            .enumerate()
            .find(|(_, relation)| &*relation.name == name)
    }

    /// The ids of all fields.
    pub fn field_ids(&self) -> impl Iterator<Item = FieldId> + Clone + use<> {
        (0..self.fields.len()).map(FieldId::at)
    }

    /// Whether a record laid out by the one can be read by the other: the same name, key and fields in the same places.
    pub fn same_shape(&self, other: &Self) -> bool {
        let fields = |collection: &Self| {
            let fields = collection.fields.iter();
            fields
                .map(|field| (Arc::clone(&field.name), field.ty))
                .collect::<Vec<_>>()
        };
        self.name == other.name && self.key == other.key && fields(self) == fields(other)
    }

    /// The key field.
    pub fn key_field(&self) -> &Field {
        self.field(self.key)
    }
}

impl FieldId {
    /// The id of the field at this place.
    pub fn at(place: usize) -> Self {
        Self(u16::try_from(place).expect("fewer than 65,536 fields"))
    }

    /// Its place.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
