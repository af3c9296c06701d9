//! The document as a whole, its collections, actions and named rules.

use portreeve_model::{CollectionName, FieldType, KeySource, OnDelete, Operand, Variable};
use serde_json::Value as Json;

use super::node::{self, Entry, Kind, Mark, Node};
use super::reader::{Fields, Reader};
use super::report::{Report, short, shown};
use super::{
    ActionDefinition, CollectionDefinition, Document, FieldDefinition, ReferenceDefinition,
    Registration, RelationDefinition, RelationVia, RuleDefinition,
};
use crate::{ExistingSection, NameMode, Problem, TablePattern, parse_operand, suggestion};

const DOCUMENT: &[&str] = &[
    "collections",
    "existing",
    "actions",
    "rules",
    "roles",
    "profiles",
    "registration",
    "bindings",
    "templates",
    "tests",
];
const COLLECTION: &[&str] = &[
    "key",
    "fields",
    "relations",
    "indexes",
    "bookkeeping",
    "overflow",
];
const KEY: &[&str] = &["name", "type", "source"];
const FIELD: &[&str] = &[
    "type",
    "to",
    "by",
    "on_delete",
    "required",
    "unique",
    "default",
    "self_writable",
];
const RELATION: &[&str] = &["many", "by", "through", "from", "to"];
const EXISTING: &[&str] = &["names", "tables", "except"];
const NAMED_RULE: &[&str] = &["parameters", "rule"];

/// The collection of the accounts, whose key and built-in fields are the product's.
pub(super) const USERS: &str = "users";

impl Document {
    /// Reads a document in YAML or JSON. `file` is what problems call it. Either everything is well formed or all
    /// that is wrong is told, in the order of the text; whether names lead somewhere is asked when it is compiled.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut report = Report::new(file, "");
        let Some(text) = node::prepare(text, &mut report) else {
            return report.finish(Self::default());
        };
        let root = node::parse(&text, &mut report);
        let mut reader = Reader::new(report, &text);
        let mut document = Self::default();
        if let Some(root) = root {
            reader.document(&root, &mut document);
        }
        reader.finish(document)
    }
}

impl Reader<'_> {
    fn document(&mut self, root: &Node, document: &mut Document) {
        let Some(fields) = self.body(root, DOCUMENT) else {
            return;
        };
        self.get(&fields, "collections", |reader, node| {
            document.collections = reader.all(
                node,
                "a mapping of collections",
                Self::collection_definition,
            );
            reader.refuse_second_names(node);
            Some(())
        });
        self.get(&fields, "existing", |reader, node| {
            document.existing = reader.existing_section(node)?;
            Some(())
        });
        self.get(&fields, "actions", |reader, node| {
            document.actions =
                reader.all(node, "a mapping of actions to descriptions", Self::action);
            Some(())
        });
        self.get(&fields, "rules", |reader, node| {
            document.rules = reader.all(node, "a mapping of names to rules", Self::named_rule);
            Some(())
        });
        self.get(&fields, "roles", |reader, node| {
            document.roles = reader.all(node, "a mapping of roles", Self::role);
            Some(())
        });
        self.get(&fields, "profiles", |reader, node| {
            document.profiles = reader.all(node, "a mapping of profiles", Self::profile);
            Some(())
        });
        self.get(&fields, "registration", |reader, node| {
            let fields = reader.body(node, &["roles"])?;
            if let Some(roles) = reader.get(&fields, "roles", Self::dashed_names) {
                document.registration = Registration { roles };
            }
            Some(())
        });
        self.get(&fields, "bindings", |reader, node| {
            document.bindings = reader.all(
                node,
                "a mapping of accounts to what they are bound to",
                Self::account_bindings,
            );
            Some(())
        });
        self.get(&fields, "templates", |reader, node| {
            document.templates = reader.all(node, "a mapping of kinds of mail", Self::template);
            Some(())
        });
        self.get(&fields, "tests", |reader, node| {
            document.tests = match node.kind {
                Kind::Null => vec![],
                _ => reader.list(node, "a list of tests", Self::test_case)?,
            };
            Some(())
        });
    }

    pub(super) fn existing_section(&mut self, node: &Node) -> Option<ExistingSection> {
        let fields = self.body(node, EXISTING)?;
        let names = self.get(&fields, "names", |reader, node| {
            let words = [
                ("as_is", NameMode::AsIs),
                ("snake_case", NameMode::SnakeCase),
            ];
            reader.word(node, &words)
        });
        let tables = self.get(&fields, "tables", Self::table_patterns);
        let except = self.get(&fields, "except", Self::table_patterns);
        Some(ExistingSection {
            names: names.unwrap_or_default(),
            tables: tables.unwrap_or_default(),
            except: except.unwrap_or_default(),
        })
    }

    fn table_patterns(&mut self, node: &Node) -> Option<Vec<TablePattern>> {
        let mut places = vec![];
        let texts = self.texts(node, "a list of table names (texts)", |reader, node| {
            let text = reader.text(node)?;
            if text.is_empty() {
                reader.problem(node.mark, "bad_value", "an empty text names no table");
                return None;
            }
            places.push(reader.place(node.mark));
            Some(text)
        })?;
        Some(
            texts
                .into_iter()
                .zip(places)
                .map(|(text, place)| TablePattern { text, place })
                .collect(),
        )
    }

    /// Every entry of a section, in order.
    fn all<T>(
        &mut self,
        node: &Node,
        expected: &str,
        mut read: impl FnMut(&mut Self, &str, Mark, &Node) -> Option<T>,
    ) -> Vec<T> {
        let mut all = vec![];
        for Entry { key, mark, value } in self.section(node, expected) {
            if self.is_full() {
                break;
            }
            all.extend(self.inside(key, |reader| read(reader, key, *mark, value)));
        }
        all
    }

    /// `grades` and `main/grades` are one collection.
    fn refuse_second_names(&mut self, node: &Node) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        for entry in entries {
            let plain = entry.key.strip_prefix("main/");
            if plain.is_some_and(|plain| entries.iter().any(|other| other.key == plain)) {
                let message = format!(
                    "{} is the same collection as {}",
                    shown(&entry.key),
                    shown(plain.unwrap_or_default())
                );
                self.problem_of(entry, "duplicate_key", message);
            }
        }
    }

    pub(super) fn collection_definition(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<CollectionDefinition> {
        let place = self.place(mark);
        let name = self.check_collection(key, mark);
        let users = name
            .as_ref()
            .is_some_and(|name| *name == CollectionName::main(USERS));
        let fields = self.body(node, COLLECTION)?;
        if let Some(entry) = fields.entry("key").filter(|_| users) {
            let message = "the accounts have a key of their own; leave 'key' out";
            self.problem_of(entry, "conflict", message);
        }
        let (key, key_type, key_source) = self
            .get(&fields, "key", Self::key)
            .unwrap_or_else(|| ("id".into(), FieldType::Uuid, KeySource::Uuid));
        let own = self.get(&fields, "fields", |reader, node| {
            Some(
                reader.all(node, "a mapping of fields", |reader, key, mark, node| {
                    reader.field_definition(key, mark, node, users)
                }),
            )
        });
        let mut own: Vec<FieldDefinition> = own.unwrap_or_default();
        let relations = self.get(&fields, "relations", |reader, node| {
            Some(reader.all(node, "a mapping of relations", Self::relation))
        });
        let relations: Vec<RelationDefinition> = relations.unwrap_or_default();
        self.refuse_shared_names(&fields, &key, &own);
        if let Some(entry) = fields.entry("bookkeeping").filter(|_| users) {
            let message = "accounts are kept by the product itself; leave 'bookkeeping' out";
            self.problem_of(entry, "conflict", message);
        }
        let taken: Vec<String> = std::iter::once(key.clone())
            .chain(own.iter().map(|field| field.name.clone()))
            .chain(relations.iter().map(|relation| relation.name.clone()))
            .collect();
        let kept = self.get(&fields, "bookkeeping", |reader, node| {
            reader.bookkeeping(node, &taken)
        });
        own.extend(kept.unwrap_or_default());
        if let Some(entry) = fields.entry("overflow").filter(|_| users) {
            let message = "accounts have declared fields only; leave 'overflow' out";
            self.problem_of(entry, "conflict", message);
        }
        // Last, where a collection looks for it.
        own.extend(self.get(&fields, "overflow", Self::overflow));
        let indexes = self.get(&fields, "indexes", |reader, node| {
            reader.list(node, "a list of lists of field names", Self::field_names)
        });
        Some(CollectionDefinition {
            name: name?,
            key,
            key_type,
            key_source,
            fields: own,
            relations,
            indexes: indexes.unwrap_or_default(),
            existing: None,
            place,
        })
    }

    /// Key, fields and relations share one space of names, since rules use them alike.
    fn refuse_shared_names(&mut self, fields: &Fields<'_>, key: &str, own: &[FieldDefinition]) {
        for section in ["fields", "relations"] {
            let Some(Node {
                kind: Kind::Map(entries),
                ..
            }) = fields.entry(section).map(|entry| &entry.value)
            else {
                continue;
            };
            for entry in entries {
                let taken = if entry.key == key {
                    "the key"
                } else if section == "relations" && own.iter().any(|f| f.name == entry.key) {
                    "a field"
                } else {
                    continue;
                };
                let message = format!("{} is already the name of {taken}", shown(&entry.key));
                self.inside(section, |reader| {
                    reader.problem_of(entry, "conflict", message)
                });
            }
        }
    }

    fn key(&mut self, node: &Node) -> Option<(String, FieldType, KeySource)> {
        let entries = self.entries(node, "a mapping such as { id: uuid }")?;
        if let [entry] = entries {
            self.check_name(&entry.key, false, entry.mark);
            self.refuse_overflow_name(&entry.key, entry.mark);
            let ty = self.inside(&entry.key, |reader| reader.field_type(&entry.value))?;
            return Some((entry.key.clone(), ty, default_source(ty)));
        }
        let fields = self.fields(node, KEY)?;
        let name = self.need(&fields, "name", Self::free_name);
        let ty = self.need(&fields, "type", Self::field_type);
        let source = self.get(&fields, "source", |reader, node| {
            let words = [
                ("sequence", KeySource::Sequence),
                ("uuid", KeySource::Uuid),
                ("given", KeySource::Given),
            ];
            reader.word(node, &words).map(|source| (source, node.mark))
        });
        let (name, ty) = (name?.to_owned(), ty?);
        let (source, mark) = source.unwrap_or((default_source(ty), node.mark));
        let fits = match source {
            KeySource::Sequence => ty == FieldType::Integer,
            KeySource::Uuid => matches!(ty, FieldType::Uuid | FieldType::Text),
            KeySource::Given => true,
        };
        if !fits {
            let needed = if source == KeySource::Uuid {
                "uuid or text"
            } else {
                "integer"
            };
            let message = format!("this source makes keys of type {needed}, not {ty}");
            self.inside("source", |reader| reader.problem(mark, "conflict", message));
        }
        Some((name, ty, source))
    }

    fn field_type(&mut self, node: &Node) -> Option<FieldType> {
        let text = self.text(node)?;
        let ty = FieldType::parse(text);
        if ty.is_none() {
            let near = suggestion(&short(text), FieldType::NAMES);
            let message = format!("unknown type {}{near}", shown(text));
            self.problem(node.mark, "bad_value", message);
        }
        ty
    }

    fn field_definition(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
        users: bool,
    ) -> Option<FieldDefinition> {
        let mut field = FieldDefinition {
            name: key.into(),
            ty: None,
            to: None,
            required: false,
            unique: false,
            default: None,
            self_writable: false,
            kept: None,
            existing: None,
            place: self.place(mark),
        };
        self.check_name(key, false, mark);
        self.refuse_overflow_name(key, mark);
        if let Kind::Text(..) = node.kind {
            field.ty = Some(self.field_type(node)?);
            return Some(field);
        }
        let Kind::Map(_) = node.kind else {
            self.wrong_type(node, "a type (a text) or a mapping with 'type' or 'to'");
            return None;
        };
        let fields = self.fields(node, FIELD)?;
        field.ty = self.get(&fields, "type", Self::field_type);
        field.required = self
            .get(&fields, "required", Self::boolean)
            .unwrap_or_default();
        field.unique = self
            .get(&fields, "unique", Self::boolean)
            .unwrap_or_default();
        field.self_writable = self
            .get(&fields, "self_writable", Self::boolean)
            .unwrap_or_default();
        field.default = self.get(&fields, "default", Self::field_default);
        let target = self.get(&fields, "to", Self::collection);
        let by_number = self.get(&fields, "by", |reader, node| {
            reader.word(node, &[("number", true)])
        });
        let on_delete = self.get(&fields, "on_delete", |reader, node| {
            let words = [
                ("restrict", OnDelete::Restrict),
                ("set_null", OnDelete::SetNull),
                ("cascade", OnDelete::Cascade),
            ];
            reader.word(node, &words)
        });
        if fields.lacks(&["type", "to"]) {
            self.problem(
                fields.mark,
                "missing_key",
                "the key 'type' or 'to' is missing",
            );
        }
        if let Some(entry) = fields.entry("type").filter(|_| fields.has("to")) {
            let message = "a field with 'to' takes its target's type; leave 'type' out";
            self.problem_of(entry, "conflict", message);
        }
        if let Some(entry) = fields.entry("self_writable").filter(|_| !users) {
            self.problem_of(
                entry,
                "conflict",
                "only fields of 'users' can be 'self_writable'",
            );
        }
        if !fields.has("to") {
            for entry in ["by", "on_delete"]
                .into_iter()
                .filter_map(|key| fields.entry(key))
            {
                let message = format!("'{}' goes with 'to' only", entry.key);
                self.problem_of(entry, "conflict", message);
            }
            return Some(field);
        }
        let target = target?;
        if let Some(entry) = fields.entry("by")
            && target != CollectionName::main(USERS)
        {
            let message =
                format!("only a relation to 'users' has 'by'; one to '{target}' holds its key");
            self.problem_of(entry, "conflict", message);
        }
        let on_delete = on_delete.unwrap_or(OnDelete::Restrict);
        if let Some(entry) = fields.entry("on_delete")
            && on_delete == OnDelete::SetNull
            && field.required
        {
            let message = "a required field cannot be set to null; write restrict or cascade";
            self.problem_of(entry, "conflict", message);
        }
        field.to = Some(ReferenceDefinition {
            collection: target,
            by_number: by_number.unwrap_or_default(),
            by_field: None,
            on_delete,
        });
        Some(field)
    }

    /// A value or `$now`. Another variable would be taken for a text, which nobody who writes one means.
    fn field_default(&mut self, node: &Node) -> Option<Json> {
        let json = self.json(node)?;
        if let Json::String(text) = &json {
            let variable = text.starts_with('$')
                && matches!(parse_operand(text), Ok(Operand::Variable(variable)) if variable != Variable::Now { offset: 0 });
            if variable {
                let message = format!(
                    "{} is no default: a column's default is a value or $now; a permission's presets and defaults take variables",
                    shown(text)
                );
                self.problem(node.mark, "bad_value", message);
            }
        }
        Some(json)
    }

    fn relation(&mut self, key: &str, mark: Mark, node: &Node) -> Option<RelationDefinition> {
        let place = self.place(mark);
        self.check_name(key, false, mark);
        self.refuse_overflow_name(key, mark);
        let fields = self.fields(node, RELATION)?;
        let target = self.need(&fields, "many", Self::collection);
        let via = if fields.has("through") {
            if let Some(entry) = fields.entry("by") {
                let message = "'by' and 'through' exclude each other";
                self.problem_of(entry, "conflict", message);
            }
            let junction = self.get(&fields, "through", Self::collection);
            let from = self.need(&fields, "from", Self::field_name);
            let to = self.need(&fields, "to", Self::field_name);
            RelationVia::Through {
                junction: junction?,
                from: from?.into(),
                to: to?.into(),
            }
        } else {
            for entry in ["from", "to"]
                .into_iter()
                .filter_map(|key| fields.entry(key))
            {
                let message = format!("'{}' goes with 'through' only", entry.key);
                self.problem_of(entry, "conflict", message);
            }
            if fields.lacks(&["by", "through"]) {
                self.problem(
                    fields.mark,
                    "missing_key",
                    "the key 'by' or 'through' is missing",
                );
            }
            RelationVia::Field(self.get(&fields, "by", Self::field_name)?.into())
        };
        Some(RelationDefinition {
            name: key.into(),
            target: target?,
            via,
            place,
        })
    }

    pub(super) fn action(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<ActionDefinition> {
        let place = self.place(mark);
        self.check_action(key, mark);
        let description = match node.kind {
            Kind::Null => String::new(),
            _ => self.owned_text(node)?,
        };
        Some(ActionDefinition {
            name: key.into(),
            description,
            place,
        })
    }

    pub(super) fn named_rule(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<RuleDefinition> {
        let place = self.place(mark);
        self.check_name(key, false, mark);
        // `{ rule: [owner, …] }` is a call in the JSON form of rules, not a definition.
        let long = matches!(&node.kind, Kind::Map(entries) if entries.iter().any(|entry| {
            entry.key == "parameters"
                || entry.key == "rule" && !matches!(entry.value.kind, Kind::List(_))
        }));
        let (parameters, rule) = if long {
            let fields = self.fields(node, NAMED_RULE)?;
            let parameters = self.get(&fields, "parameters", |reader, node| {
                reader.texts(node, "a list of names (texts)", Self::field_name)
            });
            (
                parameters.unwrap_or_default(),
                self.need(&fields, "rule", Self::rule)?,
            )
        } else {
            (vec![], self.rule(node)?)
        };
        Some(RuleDefinition {
            name: key.into(),
            parameters,
            rule,
            place,
        })
    }
}

pub(super) fn default_source(ty: FieldType) -> KeySource {
    match ty {
        FieldType::Integer => KeySource::Sequence,
        FieldType::Uuid => KeySource::Uuid,
        _ => KeySource::Given,
    }
}
