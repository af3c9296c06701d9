//! What a share shows: "its creator's present decision ∧ its role or field list ∧ that record and what it relates to; no
//! anonymous, everyone, fallback".

use portreeve_model::Value;
use portreeve_policy::{ReferenceDefinition, RelationVia};

use super::schema::{Collection, field_of};
use super::{Record, Referee};

/// What a subject sees through, who is its creator.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The collection of the record.
    pub collection: String,
    /// The record's key as text.
    pub key: String,
    /// The role that narrows it, or
    pub role: Option<String>,
    /// the fields it shows.
    pub fields: Vec<String>,
}

impl Referee<'_> {
    fn root<'s>(&self, share: &'s Share) -> Option<(Collection, &Record, &'s Share)> {
        let collection = Collection::named(&self.world.document, &share.collection)?;
        let record = self.world.record(&collection.name, &share.key)?;
        Some((collection, record, share))
    }

    /// Whether nothing of the kind is shown, whatever the records are.
    pub fn is_outside(&self, action: &str, collection: &Collection) -> bool {
        let Some(share) = &self.subject.share else {
            return false;
        };
        let Some(root) = Collection::named(&self.world.document, &share.collection) else {
            return true;
        };
        let shut = |action| self.owner_layer(action, &root).is_shut();
        !action.starts_with("data.read.")
            || shut("data.read.one")
            || shut("data.share")
            || collection.name != root.name
                && (share.role.is_none() || !self.leads_to(&root, collection))
    }

    fn leads_to(&self, root: &Collection, collection: &Collection) -> bool {
        let named = |name: &portreeve_model::CollectionName| name.to_string() == collection.name;
        root.fields
            .iter()
            .filter_map(|field| field.to.as_ref())
            .any(|to| named(&to.collection)) || root.relations.iter().any(|relation| {
            named(&relation.target)
                || matches!(&relation.via, RelationVia::Through { junction, .. } if named(junction))
        })
    }

    /// Whether a share shows a record; true where there is none.
    pub fn shares(&self, collection: &Collection, record: &Record) -> bool {
        let Some(share) = &self.subject.share else {
            return true;
        };
        let Some((root, shared, share)) = self.root(share) else {
            return false;
        };
        let alive = ["data.read.one", "data.share"]
            .iter()
            .all(|action| self.layer_reaches(&self.owner_layer(action, &root), &root, shared));
        let itself = collection.name == root.name && record[&root.key] == shared[&root.key];
        alive && (itself || share.role.is_some() && self.relates(&root, shared, collection, record))
    }

    /// Whether it shows a field of what it shows.
    pub fn shares_field(&self, collection: &Collection, field: &str) -> bool {
        self.subject.share.as_ref().is_none_or(|share| {
            share.role.is_some()
                || field == collection.key
                || share.fields.iter().any(|name| name == "*" || name == field)
        })
    }

    fn relates(
        &self,
        root: &Collection,
        shared: &Record,
        collection: &Collection,
        record: &Record,
    ) -> bool {
        let same = |a: &Value, b: &Value| !a.is_null() && a == b;
        let held = |to: &ReferenceDefinition| self.held(to);
        let named = |name: &portreeve_model::CollectionName| name.to_string() == collection.name;
        let to_one = root.fields.iter().any(|field| {
            field.to.as_ref().is_some_and(|to| {
                let there = field_of(record, &held(to));
                named(&to.collection) && same(&field_of(shared, &field.name), &there)
            })
        });
        let to_many = root.relations.iter().any(|relation| match &relation.via {
            RelationVia::Field(field) => {
                named(&relation.target)
                    && collection.reference(field).is_some_and(|to| {
                        same(&field_of(record, field), &field_of(shared, &held(to)))
                    })
            }
            RelationVia::Through { junction, from, to } => {
                let Some(between) = Collection::named(&self.world.document, &junction.to_string())
                else {
                    return false;
                };
                let (Some(near), Some(far)) = (between.reference(from), between.reference(to))
                else {
                    return false;
                };
                let own = field_of(shared, &held(near));
                let leads = |link: &Record| same(&field_of(link, from), &own);
                named(junction) && leads(record)
                    || named(&relation.target)
                        && self.world.all(&between.name).values().any(|link| {
                            let there = field_of(record, &held(far));
                            leads(link) && same(&field_of(link, to), &there)
                        })
            }
        });
        to_one || to_many
    }

    // The field of its target that a reference holds.
    fn held(&self, to: &ReferenceDefinition) -> String {
        if to.by_number {
            return "number".into();
        }
        let target = Collection::named(&self.world.document, &to.collection.to_string());
        let key = target.map_or_else(String::new, |target| target.key);
        to.by_field.clone().unwrap_or(key)
    }
}
