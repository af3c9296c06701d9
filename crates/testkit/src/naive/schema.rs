//! What the document declares about collections, found by name again each time, and the records of a [`World`].

use std::collections::BTreeMap;

use portreeve_model::{CollectionName, FieldType, KeySource, Value};
use portreeve_policy::{
    Document, FieldDefinition, ReferenceDefinition, RelationDefinition, RelationVia,
};

use super::{Record, World};

/// The accounts: a system collection with fields of its own.
pub const USERS: &str = "users";

const USER_FIELDS: [(&str, FieldType); 9] = [
    ("id", FieldType::Text),
    ("key", FieldType::Text),
    ("number", FieldType::Integer),
    ("username", FieldType::Text),
    ("email", FieldType::Text),
    ("status", FieldType::Text),
    ("confirmed", FieldType::Boolean),
    ("provider", FieldType::Text),
    ("created", FieldType::Timestamp),
];

/// A collection as declared, its key among its fields.
#[derive(Clone, Debug)]
pub struct Collection {
    pub name: String,
    pub namespace: String,
    pub system: bool,
    pub key: String,
    pub key_type: FieldType,
    pub key_source: KeySource,
    pub fields: Vec<FieldDefinition>,
    pub relations: Vec<RelationDefinition>,
}

impl Collection {
    /// The collection people mean by `grades`, `main/grades` or `shop/orders`.
    pub fn named(document: &Document, name: &str) -> Option<Self> {
        let name = CollectionName::parse(name).ok()?;
        let declared = document.collections.iter().find(|c| c.name == name);
        let mut collection = Self {
            name: name.to_string(),
            namespace: name.namespace().into(),
            system: false,
            key: "id".into(),
            key_type: FieldType::Text,
            key_source: KeySource::Given,
            fields: vec![],
            relations: vec![],
        };
        if collection.name == USERS {
            collection.system = true;
            collection
                .fields
                .extend(USER_FIELDS.iter().map(|(name, ty)| plain(name, *ty)));
        } else {
            let declared = declared?;
            collection.key.clone_from(&declared.key);
            collection.key_type = declared.key_type;
            collection.key_source = declared.key_source;
            collection
                .fields
                .push(plain(&declared.key, declared.key_type));
        }
        if let Some(declared) = declared {
            collection.fields.extend(declared.fields.iter().cloned());
            collection.relations = declared.relations.clone();
        }
        Some(collection)
    }

    pub fn field(&self, name: &str) -> Option<&FieldDefinition> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub fn relation(&self, name: &str) -> Option<&RelationDefinition> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Where the field of that name points.
    pub fn reference(&self, name: &str) -> Option<&ReferenceDefinition> {
        self.field(name)?.to.as_ref()
    }

    /// The type of the field of that name; a relation has that of what it holds.
    pub fn type_of(&self, document: &Document, name: &str) -> Option<FieldType> {
        let field = self.field(name)?;
        match &field.to {
            None => field.ty,
            Some(to) if to.by_number => Some(FieldType::Integer),
            Some(to) => Some(Self::named(document, &to.collection.to_string())?.key_type),
        }
    }
}

fn plain(name: &str, ty: FieldType) -> FieldDefinition {
    FieldDefinition {
        name: name.into(),
        ty: Some(ty),
        to: None,
        required: false,
        unique: false,
        default: None,
        self_writable: false,
        kept: None,
        existing: None,
        place: portreeve_policy::Place::default(),
    }
}

/// The field's value; null where nothing is stored.
pub fn field_of(record: &Record, field: &str) -> Value {
    record.get(field).cloned().unwrap_or(Value::Null)
}

/// A key as it stands in a URL.
pub fn key_text(key: &Value) -> String {
    match key {
        Value::Null => String::new(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Text(text) => text.clone(),
    }
}

impl World {
    /// All records of a collection.
    pub(crate) fn all(&self, collection: &str) -> &BTreeMap<String, Record> {
        static NOTHING: BTreeMap<String, Record> = BTreeMap::new();
        if collection == USERS {
            &self.users
        } else {
            self.records.get(collection).unwrap_or(&NOTHING)
        }
    }

    pub(crate) fn record(&self, collection: &str, key: &str) -> Option<&Record> {
        self.all(collection).get(key)
    }

    /// The record that a to-one field's value names.
    pub(crate) fn referred(&self, to: &ReferenceDefinition, value: &Value) -> Option<&Record> {
        let target = Collection::named(&self.document, &to.collection.to_string())?;
        let by = pointed_at(to, &target);
        self.all(&target.name)
            .values()
            .find(|record| !value.is_null() && field_of(record, &by) == *value)
    }

    /// The records a to-many relation leads to, each once, with the junction's records that lead there.
    pub(crate) fn related(
        &self,
        from: &Collection,
        record: &Record,
        relation: &RelationDefinition,
    ) -> Vec<(&Record, Vec<&Record>)> {
        let target = self.collection(&relation.target.to_string());
        let mut found = vec![];
        for candidate in self.all(&target.name).values() {
            match &relation.via {
                RelationVia::Field(field) => {
                    if self.points(&target, candidate, field, from, record) {
                        found.push((candidate, vec![]));
                    }
                }
                RelationVia::Through {
                    junction,
                    from: near,
                    to: far,
                } => {
                    let junction = self.collection(&junction.to_string());
                    let between: Vec<&Record> = self
                        .all(&junction.name)
                        .values()
                        .filter(|middle| self.points(&junction, middle, near, from, record))
                        .filter(|middle| self.points(&junction, middle, far, &target, candidate))
                        .collect();
                    if !between.is_empty() {
                        found.push((candidate, between));
                    }
                }
            }
        }
        found
    }

    /// The field of the record at the near end of a to-many relation that others hold: its key, or its number.
    pub(crate) fn held(&self, from: &Collection, relation: &RelationDefinition) -> String {
        let (holder, field) = match &relation.via {
            RelationVia::Field(field) => (&relation.target, field),
            RelationVia::Through { junction, from, .. } => (junction, from),
        };
        match self.collection(&holder.to_string()).reference(field) {
            Some(to) => pointed_at(to, from),
            None => from.key.clone(),
        }
    }

    /// Whether `field` of `pointing` names the record `target`.
    fn points(
        &self,
        of: &Collection,
        pointing: &Record,
        field: &str,
        into: &Collection,
        target: &Record,
    ) -> bool {
        let Some(to) = of.reference(field) else {
            return false;
        };
        let value = field_of(pointing, field);
        to.collection.to_string() == into.name
            && !value.is_null()
            && value == field_of(target, &pointed_at(to, into))
    }

    /// A collection that the document itself refers to.
    pub(crate) fn collection(&self, name: &str) -> Collection {
        Collection::named(&self.document, name)
            .unwrap_or_else(|| panic!("the document has no collection '{name}'"))
    }
}

/// The target's field whose values a to-one field holds.
fn pointed_at(to: &ReferenceDefinition, target: &Collection) -> String {
    if to.by_number {
        "number".into()
    } else {
        target.key.clone()
    }
}
