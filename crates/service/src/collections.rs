//! Collections: what a caller knows of them, and how they come, change and go. A change here is a change of the
//! policy document like any other: planned, checked as a whole and applied at once.

use std::sync::Arc;

use portreeve_gate::{Caller, Eyes, Rename};
use portreeve_model::{Collection, CollectionId, CollectionName, FieldId, KeySource, Via};
use portreeve_policy::{
    Access, CollectionDefinition, Document, Problem, READ_MANY, collection_from_json,
    collection_to_json, suggestion,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::me::{OverflowRights, Possible};
use crate::{Applied, Portreeve, ServiceError};

/// A collection as a caller knows it.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionView {
    /// Its name.
    pub name: String,
    /// The name of its key field.
    pub key: String,
    /// How a new record comes by its key.
    pub key_source: KeySource,
    /// One of the product's own: read as records, written by operations of its own.
    pub system: bool,
    /// The fields he can read or write.
    pub fields: Vec<FieldView>,
    /// Undeclared fields, where he can read or write any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<OverflowRights>,
    /// The relations to many records he can follow.
    pub relations: Vec<RelationView>,
}

/// A field as a caller knows it.
#[derive(Clone, Debug, Serialize)]
pub struct FieldView {
    /// Its name.
    pub name: String,
    /// Its type, as documents name it.
    #[serde(rename = "type")]
    pub ty: String,
    /// Whether it must have a value.
    pub required: bool,
    /// Whether no two records share a value.
    pub unique: bool,
    /// Where it points, as far as he knows the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether he may read it.
    pub read: Possible,
    /// Whether he may send it with a new record.
    pub create: Possible,
    /// Whether he may change it.
    pub update: Possible,
}

/// A relation to many records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelationView {
    /// Its name.
    pub name: String,
    /// Where it leads.
    pub to: String,
}

/// One change of a collection, in the words of the access file.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlterCollection {
    /// A new field.
    AddField {
        /// Its name.
        name: String,
        /// `"text"`, `{"to": "users"}` …
        field: Json,
    },
    /// A field and its data go.
    DropField {
        /// Its name.
        name: String,
    },
    /// A field keeps its data under another name.
    RenameField {
        /// Its name.
        name: String,
        /// The name it gets.
        to: String,
    },
    /// A new index.
    AddIndex {
        /// Its fields, in order.
        fields: Vec<String>,
    },
    /// An index goes.
    DropIndex {
        /// Its fields, in order.
        fields: Vec<String>,
    },
    /// A new relation to many records.
    AddRelation {
        /// Its name.
        name: String,
        /// `{"many": "answers", "by": "question"}` …
        relation: Json,
    },
    /// A relation goes; its records stay.
    DropRelation {
        /// Its name.
        name: String,
    },
    /// Undeclared fields are kept from now on, or go with their data.
    SetOverflow {
        /// Whether they are kept.
        overflow: bool,
    },
}

impl Portreeve {
    /// The collections a caller knows, in order of name.
    pub fn collections<'a>(&self, eyes: impl Into<Eyes<'a>>) -> Vec<CollectionView> {
        let caller = eyes.into();
        let catalog = caller.snapshot().catalog();
        let known = catalog
            .iter()
            .filter(|collection| self.gate.knows(caller, collection.id));
        let mut views: Vec<_> = known
            .map(|collection| self.view(caller, collection))
            .collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// One collection; one that the caller does not know is [`ServiceError::NotFound`].
    pub fn collection<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        name: &CollectionName,
    ) -> Result<CollectionView, ServiceError> {
        let caller = eyes.into();
        let found = caller.snapshot().catalog().find(name);
        let known = found.filter(|collection| self.gate.knows(caller, collection.id));
        known
            .map(|collection| self.view(caller, collection))
            .ok_or(ServiceError::NotFound)
    }

    fn view(&self, caller: Eyes<'_>, collection: &Arc<Collection>) -> CollectionView {
        let catalog = caller.snapshot().catalog();
        let mut fields = vec![];
        for rights in self.field_rights(caller, collection) {
            let Some(id) = collection.find_field(&rights.name) else {
                continue;
            };
            let declared = collection.field(id);
            let to = declared
                .relation
                .filter(|to| self.gate.knows(caller, to.target))
                .map(|to| catalog.get(to.target).name.to_string());
            fields.push(FieldView {
                name: rights.name,
                ty: declared.ty.name(),
                required: !declared.nullable,
                unique: declared.unique,
                to,
                read: rights.read,
                create: rights.create,
                update: rights.update,
            });
        }
        let followed = collection.relations.iter().filter(|relation| {
            let there = match relation.via {
                Via::Field(field) => self.reads(caller, relation.target, &[field]),
                Via::Through {
                    junction,
                    near,
                    far,
                } => self.reads(caller, junction, &[near, far]),
            };
            there && self.reads(caller, relation.target, &[])
        });
        CollectionView {
            name: collection.name.to_string(),
            key: collection.key_field().name.to_string(),
            key_source: collection.key_source,
            system: collection.system,
            fields,
            overflow: self.overflow_rights(caller, collection),
            relations: followed
                .map(|relation| RelationView {
                    name: relation.name.to_string(),
                    to: catalog.get(relation.target).name.to_string(),
                })
                .collect(),
        }
    }

    fn reads(&self, caller: Eyes<'_>, id: CollectionId, fields: &[FieldId]) -> bool {
        let rights = self.gate.record_rights(caller, id, READ_MANY);
        let collection = caller.snapshot().catalog().get(id);
        rights.allows_something()
            && fields
                .iter()
                .all(|field| *rights.field(collection, *field) != Access::Never)
    }

    /// Makes a collection from a definition in the shape of the access file.
    pub async fn create_collection(
        &self,
        caller: &Caller,
        name: &CollectionName,
        definition: &Json,
    ) -> Result<Applied, ServiceError> {
        let mut document = self.document(caller).await?;
        let known = caller.snapshot().catalog().find(name).is_some();
        if known || document.collections.iter().any(|one| one.name == *name) {
            return Err(ServiceError::Exists(format!("a collection '{name}'")));
        }
        let text = name.to_string();
        let definition =
            collection_from_json(&text, definition).map_err(ServiceError::BadPolicy)?;
        document.collections.push(definition);
        let plan = self.plan(caller, &document).await?;
        self.apply(caller, plan, false).await
    }

    /// Changes a collection: all changes or none. Fields go with their data only where `confirm_drops` says so.
    pub async fn alter_collection(
        &self,
        caller: &Caller,
        name: &CollectionName,
        changes: &[AlterCollection],
        confirm_drops: bool,
    ) -> Result<Applied, ServiceError> {
        let mut document = self.document(caller).await?;
        let users = CollectionName::main("users");
        if *name == users && !document.collections.iter().any(|one| one.name == users) {
            // Nobody has given accounts own columns yet.
            let empty = Json::Object(Map::new());
            let declared =
                collection_from_json("users", &empty).map_err(ServiceError::BadPolicy)?;
            document.collections.push(declared);
        }
        let place = position(&document, name)?;
        let mut altered = Altered::of(&document.collections[place]);
        for change in changes {
            altered.apply(change)?;
        }
        let text = name.to_string();
        document.collections[place] =
            collection_from_json(&text, &altered.json()).map_err(ServiceError::BadPolicy)?;
        let planned = self.plan_renaming(caller, &document, altered.renames).await;
        let plan = planned.map_err(|error| named_by(error, changes, &text))?;
        self.apply(caller, plan, confirm_drops).await
    }

    /// Takes a collection and its records away, where `confirm_drops` says so and nothing names it.
    pub async fn drop_collection(
        &self,
        caller: &Caller,
        name: &CollectionName,
        confirm_drops: bool,
    ) -> Result<Applied, ServiceError> {
        let mut document = self.document(caller).await?;
        let place = position(&document, name)?;
        document.collections.remove(place);
        let planned = self.plan(caller, &document).await;
        let plan = planned.map_err(|error| named_by(error, &[], &name.to_string()))?;
        self.apply(caller, plan, confirm_drops).await
    }
}

fn position(document: &Document, name: &CollectionName) -> Result<usize, ServiceError> {
    let found = document
        .collections
        .iter()
        .position(|one| one.name == *name);
    found.ok_or_else(|| {
        let names: Vec<String> = document
            .collections
            .iter()
            .map(|one| one.name.to_string())
            .collect();
        let name = name.to_string();
        let hint = suggestion(&name, names.iter().map(String::as_str));
        ServiceError::UnknownCollection { name, hint }
    })
}

// What is taken away or renamed leaves its name behind in permissions, rules and relations: those are the problems of
// the new document, since the old one had none.
fn named_by(error: ServiceError, changes: &[AlterCollection], collection: &str) -> ServiceError {
    let ServiceError::BadPolicy(problems) = error else {
        return error;
    };
    let gone: Vec<String> = changes
        .iter()
        .filter_map(|change| match change {
            AlterCollection::DropField { name } | AlterCollection::RenameField { name, .. } => {
                Some(format!("the field '{name}' of '{collection}'"))
            }
            AlterCollection::DropRelation { name } => {
                Some(format!("the relation '{name}' of '{collection}'"))
            }
            _ => None,
        })
        .collect();
    let what = match (changes, gone.as_slice()) {
        ([], _) => format!("the collection '{collection}'"),
        (_, []) => return ServiceError::BadPolicy(problems),
        (_, gone) => gone.join(" or "),
    };
    let mut named_by: Vec<String> = vec![];
    for Problem { place, .. } in problems {
        if !named_by.contains(&place.path) {
            named_by.push(place.path);
        }
    }
    ServiceError::NamedByPolicy { what, named_by }
}

// A definition in the shape of the access file, being changed.
struct Altered {
    body: Map<String, Json>,
    fields: Map<String, Json>,
    relations: Map<String, Json>,
    indexes: Vec<Vec<String>>,
    key: String,
    collection: CollectionName,
    renames: Vec<Rename>,
}

impl Altered {
    fn of(definition: &CollectionDefinition) -> Self {
        let Json::Object(mut body) = collection_to_json(definition) else {
            unreachable!("a collection is written as an object")
        };
        let mut section = |name: &str| match body.remove(name) {
            Some(Json::Object(entries)) => entries,
            _ => Map::new(),
        };
        let (fields, relations) = (section("fields"), section("relations"));
        body.remove("indexes");
        Self {
            body,
            fields,
            relations,
            indexes: definition.indexes.clone(),
            key: definition.key.clone(),
            collection: definition.name.clone(),
            renames: vec![],
        }
    }

    fn json(&self) -> Json {
        let mut body = self.body.clone();
        body.insert("fields".into(), Json::Object(self.fields.clone()));
        body.insert("relations".into(), Json::Object(self.relations.clone()));
        body.insert(
            "indexes".into(),
            self.indexes.iter().cloned().map(Json::from).collect(),
        );
        Json::Object(body)
    }

    fn apply(&mut self, change: &AlterCollection) -> Result<(), ServiceError> {
        match change {
            AlterCollection::AddField { name, field } => {
                self.vacant(name)?;
                self.fields.insert(name.clone(), field.clone());
            }
            AlterCollection::DropField { name } => {
                self.field(name)?;
                self.fields.shift_remove(name);
                // An index cannot outlive its field, and holds no data of its own.
                self.indexes.retain(|index| !index.contains(name));
            }
            AlterCollection::RenameField { name, to } => {
                self.field(name)?;
                self.vacant(to)?;
                let renamed =
                    std::mem::take(&mut self.fields)
                        .into_iter()
                        .map(|(field, definition)| {
                            if field == *name {
                                (to.clone(), definition)
                            } else {
                                (field, definition)
                            }
                        });
                self.fields = renamed.collect();
                for field in self
                    .indexes
                    .iter_mut()
                    .flatten()
                    .filter(|field| *field == name)
                {
                    field.clone_from(to);
                }
                self.rename(name, to);
            }
            AlterCollection::AddIndex { fields } => {
                if self.indexes.contains(fields) {
                    return Err(ServiceError::Exists("such an index".into()));
                }
                self.indexes.push(fields.clone());
            }
            AlterCollection::DropIndex { fields } => {
                let before = self.indexes.len();
                self.indexes.retain(|index| index != fields);
                if self.indexes.len() == before {
                    return Err(ServiceError::invalid("fields", "there is no such index"));
                }
            }
            AlterCollection::AddRelation { name, relation } => {
                self.vacant(name)?;
                self.relations.insert(name.clone(), relation.clone());
            }
            AlterCollection::SetOverflow { overflow } => {
                self.body.insert("overflow".into(), (*overflow).into());
            }
            AlterCollection::DropRelation { name } => {
                if self.relations.shift_remove(name).is_none() {
                    let hint = suggestion(name, self.relations.keys().map(String::as_str));
                    let message = format!("there is no relation '{name}'{hint}");
                    return Err(ServiceError::invalid("name", message));
                }
            }
        }
        Ok(())
    }

    // Renamed twice in one go, data goes from the first name to the last.
    fn rename(&mut self, from: &str, to: &str) {
        match self.renames.iter_mut().find(|rename| rename.to == from) {
            Some(earlier) => earlier.to = to.into(),
            None => self.renames.push(Rename {
                collection: self.collection.clone(),
                from: from.into(),
                to: to.into(),
            }),
        }
    }

    fn vacant(&self, name: &str) -> Result<(), ServiceError> {
        if self.fields.contains_key(name) || self.relations.contains_key(name) || self.key == name {
            return Err(ServiceError::Exists(format!(
                "a field or relation '{name}'"
            )));
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Result<(), ServiceError> {
        if self.fields.contains_key(name) {
            return Ok(());
        }
        let message = if self.key == name {
            format!("'{name}' is the key and stays as it is")
        } else {
            let hint = suggestion(name, self.fields.keys().map(String::as_str));
            format!("there is no field '{name}'{hint}")
        };
        Err(ServiceError::invalid("name", message))
    }
}
