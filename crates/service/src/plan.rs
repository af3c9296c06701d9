//! What putting a document in force would change, part by part.

mod accounts;
mod people;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portreeve_gate::{AccountRebinding, Drop, Rename};
use portreeve_policy::{
    Binding, CollectionDefinition, Document, FieldDefinition, Note, Snapshot, TemplateDefinition,
    action_to_json, collection_to_json, existing_to_json, profile_to_json, role_to_json,
    rule_definition_to_json,
};
use serde::Serialize;
use serde_json::Value as Json;

pub use people::Effect;

/// A planned change of policy, bound to the version it was planned against.
#[derive(Clone)]
pub struct Plan {
    /// What changes. Empty: nothing.
    pub changes: Vec<Change>,
    /// What falls away with its data, and so has to be confirmed.
    pub drops: Vec<Dropped>,
    /// What of tables that were there before their collections do not show: columns left out, foreign keys that are no
    /// relations.
    pub notes: Vec<Note>,
    /// Who gains and who loses what; for administrators.
    pub people: Vec<Effect>,
    /// The version it was planned against.
    pub planned_on: u64,
    pub(crate) document: Arc<Document>,
    pub(crate) compiled: Arc<Snapshot>,
    pub(crate) gate_drops: Vec<Drop>,
    pub(crate) renames: Vec<Rename>,
    pub(crate) bindings: Vec<AccountRebinding>,
    pub(crate) templates: Vec<TemplateDefinition>,
    // All bindings of each account that is bound to something else, before and after.
    pub(crate) rebound: HashMap<String, [Vec<Binding>; 2]>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Whether it comes, changes or goes.
    pub change: ChangeKind,
    /// What it is.
    pub part: Part,
    /// Its name; a field's after its collection's: `grades.score`.
    pub name: String,
    /// What about it, line by line; empty where the name says all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
}

/// Whether a part comes, changes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Create,
    /// It is there and becomes another.
    Change,
    /// It goes.
    Delete,
}

/// A part of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A collection as a whole.
    Collection,
    /// A field.
    Field,
    /// A relation to many records.
    Relation,
    /// An index, named by its fields.
    Index,
    /// An action of the application's own.
    Action,
    /// A named rule.
    Rule,
    /// A role.
    Role,
    /// A profile.
    Profile,
    /// Which tables that were there before are collections.
    Existing,
    /// What new accounts get.
    Registration,
    /// What an account is bound to, named by the account.
    Bindings,
    /// The words of a kind of mail.
    Template,
}

/// Data that would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The collection.
    pub collection: String,
    /// The field; the whole collection where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Plan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes as JSON, for the audit and for programs.
    pub fn to_json(&self) -> Json {
        serde_json::json!({
            "planned_on": self.planned_on,
            "changes": self.changes,
            "drops": self.drops,
        })
    }

    /// The same with who gains and who loses what, for whoever decides about it.
    pub fn to_review(&self) -> Json {
        let mut json = self.to_json();
        json["people"] = serde_json::json!(self.people);
        json
    }
}

impl Change {
    /// Whether it is about who may do what, and does not only add to ordinary collections. Permissions and rules speak of
    /// data by name, so that another name, another type or another default puts other data under them.
    pub(crate) fn concerns_rights(&self) -> bool {
        match self.part {
            Part::Index => false,
            Part::Collection | Part::Field | Part::Relation => {
                let accounts = self.name == "users" || self.name.starts_with("users.");
                accounts || self.change != ChangeKind::Create
            }
            Part::Action
            | Part::Rule
            | Part::Role
            | Part::Profile
            | Part::Existing
            | Part::Registration => true,
            // Judged one by one.
            Part::Bindings | Part::Template => false,
        }
    }

    /// Whether it is about collections: their tables, or which of those of others they are.
    pub(crate) fn concerns_tables(&self) -> bool {
        matches!(
            self.part,
            Part::Collection | Part::Field | Part::Relation | Part::Index | Part::Existing
        )
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Collection => "collection",
            Self::Field => "field",
            Self::Relation => "relation",
            Self::Index => "index",
            Self::Action => "action",
            Self::Rule => "rule",
            Self::Role => "role",
            Self::Profile => "profile",
            Self::Existing => "existing",
            Self::Registration => "registration",
            Self::Bindings => "bindings",
            Self::Template => "template",
        })
    }
}

/// What changes from one document to another, and what data falls away.
#[derive(Default)]
pub(crate) struct Difference {
    pub changes: Vec<Change>,
    pub drops: Vec<Drop>,
}

impl Difference {
    /// Compares by what the documents say; places and tests do not count.
    pub fn between(old: &Document, new: &Document, renames: &[Rename]) -> Self {
        let mut difference = Self::default();
        difference.collections(old, new, renames);
        difference.parts(
            Part::Action,
            &old.actions,
            &new.actions,
            |one| one.name.clone(),
            action_to_json,
        );
        difference.parts(
            Part::Rule,
            &old.rules,
            &new.rules,
            |one| one.name.clone(),
            rule_definition_to_json,
        );
        difference.parts(
            Part::Role,
            &old.roles,
            &new.roles,
            |one| one.key.clone(),
            role_to_json,
        );
        difference.parts(
            Part::Profile,
            &old.profiles,
            &new.profiles,
            |one| one.key.clone(),
            profile_to_json,
        );
        if existing_to_json(&old.existing) != existing_to_json(&new.existing) {
            let what = what_changed(
                &existing_to_json(&old.existing),
                &existing_to_json(&new.existing),
            );
            difference.add(ChangeKind::Change, Part::Existing, "tables", what);
        }
        if old.registration != new.registration {
            let roles = |roles: &[String]| format!("[{}]", roles.join(", "));
            let (before, after) = (
                roles(&old.registration.roles),
                roles(&new.registration.roles),
            );
            let what = vec![format!("roles: {before} becomes {after}")];
            difference.add(ChangeKind::Change, Part::Registration, "registration", what);
        }
        difference
    }

    fn add(&mut self, change: ChangeKind, part: Part, name: &str, what: Vec<String>) {
        self.changes.push(Change {
            change,
            part,
            name: name.into(),
            what,
        });
    }

    // Any part whose JSON says all there is to it.
    fn parts<T>(
        &mut self,
        part: Part,
        old: &[T],
        new: &[T],
        name: impl Fn(&T) -> String,
        json: impl Fn(&T) -> Json,
    ) {
        let by_name = |all: &[T]| -> BTreeMap<String, Json> {
            all.iter().map(|one| (name(one), json(one))).collect()
        };
        let (old, new) = (by_name(old), by_name(new));
        for (name, after) in &new {
            match old.get(name) {
                None => self.add(ChangeKind::Create, part, name, vec![]),
                Some(before) if before != after => {
                    self.add(ChangeKind::Change, part, name, what_changed(before, after));
                }
                Some(_) => {}
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.add(ChangeKind::Delete, part, name, vec![]);
        }
    }

    fn collections(&mut self, old: &Document, new: &Document, renames: &[Rename]) {
        let by_name = |document: &Document| -> BTreeMap<String, CollectionDefinition> {
            let bare = document.clone().without_places();
            // Tables that were there before are no part of what is planned.
            bare.collections
                .into_iter()
                .filter(|one| one.existing.is_none())
                .map(|one| (one.name.to_string(), one))
                .collect()
        };
        let (old, new) = (by_name(old), by_name(new));
        for (name, after) in &new {
            match old.get(name) {
                None if name == "users" => {
                    // The accounts are always there; declaring them adds own columns only.
                    let before = CollectionDefinition {
                        fields: vec![],
                        relations: vec![],
                        indexes: vec![],
                        ..after.clone()
                    };
                    self.collection(&before, after, renames);
                }
                None => {
                    let count = after.fields.len();
                    let what = vec![format!(
                        "{count} field{}",
                        if count == 1 { "" } else { "s" }
                    )];
                    self.add(ChangeKind::Create, Part::Collection, name, what);
                }
                Some(before) => self.collection(before, after, renames),
            }
        }
        for (name, before) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
            if name == "users" {
                let nothing = CollectionDefinition {
                    fields: vec![],
                    relations: vec![],
                    indexes: vec![],
                    ..before.clone()
                };
                self.collection(before, &nothing, renames);
            } else {
                self.drops.push(Drop {
                    collection: before.name.clone(),
                    field: None,
                });
                self.add(
                    ChangeKind::Delete,
                    Part::Collection,
                    name,
                    vec!["with its records".into()],
                );
            }
        }
    }

    fn collection(
        &mut self,
        before: &CollectionDefinition,
        after: &CollectionDefinition,
        renames: &[Rename],
    ) {
        let collection = after.name.to_string();
        if (&before.key, before.key_type, before.key_source)
            != (&after.key, after.key_type, after.key_source)
        {
            let what = vec!["another key".into()];
            self.add(ChangeKind::Change, Part::Collection, &collection, what);
        }
        let renamed_from = |name: &str| {
            let found = renames
                .iter()
                .find(|rename| rename.collection == after.name && rename.to == name);
            found.map(|rename| rename.from.as_str())
        };
        let find = |fields: &[FieldDefinition], name: &str| {
            fields.iter().find(|field| field.name == name).cloned()
        };
        for field in &after.fields {
            let name = format!("{collection}.{}", field.name);
            if let Some(from) = renamed_from(&field.name) {
                let what = vec![format!("was '{from}'; keeps its data")];
                self.add(ChangeKind::Change, Part::Field, &name, what);
                continue;
            }
            match find(&before.fields, &field.name) {
                None => self.add(ChangeKind::Create, Part::Field, &name, vec![]),
                Some(known) if known != *field => {
                    let what = field_changes(&known, field);
                    self.add(ChangeKind::Change, Part::Field, &name, what);
                }
                Some(_) => {}
            }
        }
        for field in &before.fields {
            let renamed = renames
                .iter()
                .any(|rename| rename.collection == after.name && rename.from == field.name);
            if !renamed && find(&after.fields, &field.name).is_none() {
                self.drops.push(Drop {
                    collection: after.name.clone(),
                    field: Some(field.name.clone()),
                });
                let name = format!("{collection}.{}", field.name);
                self.add(
                    ChangeKind::Delete,
                    Part::Field,
                    &name,
                    vec!["with its data".into()],
                );
            }
        }
        for relation in &after.relations {
            let name = format!("{collection}.{}", relation.name);
            match before
                .relations
                .iter()
                .find(|known| known.name == relation.name)
            {
                None => self.add(ChangeKind::Create, Part::Relation, &name, vec![]),
                Some(known) if known != relation => {
                    self.add(
                        ChangeKind::Change,
                        Part::Relation,
                        &name,
                        vec!["leads elsewhere".into()],
                    );
                }
                Some(_) => {}
            }
        }
        for relation in &before.relations {
            if !after
                .relations
                .iter()
                .any(|known| known.name == relation.name)
            {
                let name = format!("{collection}.{}", relation.name);
                self.add(ChangeKind::Delete, Part::Relation, &name, vec![]);
            }
        }
        let index_name = |index: &[String]| format!("{collection}.({})", index.join(", "));
        for index in after
            .indexes
            .iter()
            .filter(|index| !before.indexes.contains(index))
        {
            self.add(ChangeKind::Create, Part::Index, &index_name(index), vec![]);
        }
        for index in before
            .indexes
            .iter()
            .filter(|index| !after.indexes.contains(index))
        {
            self.add(ChangeKind::Delete, Part::Index, &index_name(index), vec![]);
        }
        debug_assert!(
            collection_to_json(before) == collection_to_json(after) || !self.changes.is_empty(),
            "a change of '{collection}' was not noticed"
        );
    }
}

fn field_changes(before: &FieldDefinition, after: &FieldDefinition) -> Vec<String> {
    let mut what = vec![];
    let mut flag = |name: &str, before: bool, after: bool| {
        if before != after {
            what.push(if after {
                format!("becomes {name}")
            } else {
                format!("no longer {name}")
            });
        }
    };
    flag("required", before.required, after.required);
    flag("unique", before.unique, after.unique);
    flag("self_writable", before.self_writable, after.self_writable);
    let ty = |field: &FieldDefinition| field.ty.map(|ty| ty.name());
    if ty(before) != ty(after) {
        let name = |ty: Option<String>| ty.unwrap_or_else(|| "a relation".into());
        what.push(format!(
            "type: {} becomes {}",
            name(ty(before)),
            name(ty(after))
        ));
    }
    if before.to != after.to {
        what.push("points elsewhere, or is deleted otherwise".into());
    }
    if before.default != after.default {
        let show = |default: &Option<Json>| default.as_ref().map_or("none".into(), Json::to_string);
        what.push(format!(
            "default: {} becomes {}",
            show(&before.default),
            show(&after.default)
        ));
    }
    what
}

// Two objects key by key; lists as what came and what went.
fn what_changed(before: &Json, after: &Json) -> Vec<String> {
    let (Json::Object(old), Json::Object(new)) = (before, after) else {
        return vec![format!("{before} becomes {after}")];
    };
    let mut what = vec![];
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys {
        match (old.get(key), new.get(key)) {
            (before, after) if before == after => {}
            (Some(Json::Array(before)), Some(Json::Array(after))) => {
                lists(key, before, after, &mut what);
            }
            (None, Some(Json::Array(after))) => lists(key, &[], after, &mut what),
            (Some(Json::Array(before)), None) => lists(key, before, &[], &mut what),
            (Some(before), Some(after)) => what.push(format!("{key}: {before} becomes {after}")),
            (None, Some(after)) => what.push(format!("{key}: {after}")),
            (Some(before), None) => what.push(format!("{key}: no longer {before}")),
            (None, None) => {}
        }
    }
    what
}

fn lists(key: &str, before: &[Json], after: &[Json], what: &mut Vec<String>) {
    let mut remaining: Vec<&Json> = before.iter().collect();
    let mut added = vec![];
    for item in after {
        match remaining.iter().position(|known| *known == item) {
            Some(place) => {
                remaining.remove(place);
            }
            None => added.push(item),
        }
    }
    if added.is_empty() && remaining.is_empty() {
        what.push(format!("{key}: another order"));
    }
    what.extend(remaining.iter().map(|item| format!("- {item}")));
    what.extend(added.iter().map(|item| format!("+ {item}")));
}
