//! Builds the catalog from declared collections and the product's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve_model::{
    Catalog, Collection, CollectionId, CollectionName, ExistingKey, ExistingTable, Field,
    FieldDefault, FieldId, FieldType, KeySource, OnDelete, ToMany, ToOne, Value, Via,
};

use crate::{
    CollectionDefinition, ExistingDefinition, ExistingKeyDefinition, Place, Problem,
    ReferenceDefinition, RelationVia, suggestion,
};

/// A column of one of the product's own collections: name, type, nullable.
pub type SystemColumn = (&'static str, FieldType, bool);

/// The product's own collections: name and columns (name, type, nullable). The store's migrations make the tables.
/// Password hashes and token hashes are in no collection at all.
pub const SYSTEM_COLLECTIONS: &[(&str, &[SystemColumn])] = &[
    (
        "users",
        &[
            ("id", FieldType::Text, false),
            ("key", FieldType::Text, false),
            ("number", FieldType::Integer, false),
            ("username", FieldType::Text, true),
            ("email", FieldType::Text, true),
            ("status", FieldType::Text, false),
            ("confirmed", FieldType::Boolean, false),
            ("provider", FieldType::Text, false),
            ("created", FieldType::Timestamp, false),
        ],
    ),
    (
        "roles",
        &[
            ("id", FieldType::Text, false),
            ("key", FieldType::Text, false),
            ("label", FieldType::Text, false),
            ("description", FieldType::Text, false),
            ("definition", FieldType::Json, false),
        ],
    ),
    (
        "profiles",
        &[
            ("id", FieldType::Text, false),
            ("key", FieldType::Text, false),
            ("label", FieldType::Text, false),
            ("description", FieldType::Text, false),
            ("definition", FieldType::Json, false),
        ],
    ),
    (
        "bindings",
        &[
            ("id", FieldType::Text, false),
            ("user", FieldType::Text, false),
            ("role", FieldType::Text, true),
            ("profile", FieldType::Text, true),
            ("restricted_to", FieldType::Json, true),
            ("from", FieldType::Timestamp, true),
            ("until", FieldType::Timestamp, true),
            ("primary", FieldType::Boolean, false),
            ("granted_by", FieldType::Text, true),
            ("reason", FieldType::Text, true),
        ],
    ),
    (
        "sessions",
        &[
            ("id", FieldType::Text, false),
            ("user", FieldType::Text, false),
            ("created", FieldType::Timestamp, false),
            ("expires", FieldType::Timestamp, false),
            ("used", FieldType::Timestamp, false),
            ("idle_expires", FieldType::Timestamp, true),
            ("kind", FieldType::Text, false),
            ("face", FieldType::Text, true),
            ("address", FieldType::Text, true),
            ("agent", FieldType::Text, true),
            ("ends_with_roles", FieldType::Boolean, false),
        ],
    ),
    (
        "shares",
        &[
            ("id", FieldType::Text, false),
            ("name", FieldType::Text, false),
            ("collection", FieldType::Text, false),
            ("record", FieldType::Text, false),
            ("role", FieldType::Text, true),
            ("fields", FieldType::Json, true),
            ("protected", FieldType::Boolean, false),
            ("from", FieldType::Timestamp, true),
            ("until", FieldType::Timestamp, true),
            ("max_uses", FieldType::Integer, true),
            ("times_used", FieldType::Integer, false),
            ("created_by", FieldType::Text, false),
            ("created", FieldType::Timestamp, false),
        ],
    ),
    (
        "audit",
        &[
            ("id", FieldType::Integer, false),
            ("at", FieldType::Timestamp, false),
            ("actor", FieldType::Text, true),
            ("action", FieldType::Text, false),
            ("target", FieldType::Text, false),
            ("before", FieldType::Json, true),
            ("after", FieldType::Json, true),
            ("why", FieldType::Text, true),
            ("face", FieldType::Text, true),
            ("request", FieldType::Text, true),
        ],
    ),
    (
        "templates",
        &[
            ("name", FieldType::Text, false),
            ("subject", FieldType::Text, false),
            ("text", FieldType::Text, false),
            ("html", FieldType::Text, true),
            ("updated", FieldType::Timestamp, false),
        ],
    ),
];

/// The prefix of the product's own tables.
pub const SYSTEM_PREFIX: &str = "portreeve_";

/// Puts the declared collections and the system's together, or says all that is wrong with them.
pub fn build_catalog(definitions: &[CollectionDefinition]) -> Result<Catalog, Vec<Problem>> {
    let mut problems = vec![];
    let mut seen = BTreeSet::new();
    let mut own_user_fields = None;
    let mut declared = vec![];
    for definition in definitions {
        if !seen.insert(definition.name.clone()) {
            problems.push(problem(
                &definition.place,
                "duplicate_key",
                format!("'{}' is declared twice", definition.name),
            ));
            continue;
        }
        if definition.name == CollectionName::main("users") {
            own_user_fields = Some(definition);
        } else if SYSTEM_COLLECTIONS
            .iter()
            .any(|(name, _)| definition.name == CollectionName::main(name))
            || definition.name.name().starts_with(SYSTEM_PREFIX)
        {
            problems.push(problem(
                &definition.place,
                "reserved_name",
                format!(
                    "'{}' is a collection of the product's own; choose another name",
                    definition.name
                ),
            ));
        } else {
            declared.push(definition);
        }
    }
    // Names first, so that relations can point anywhere.
    let mut ids: BTreeMap<CollectionName, CollectionId> = BTreeMap::new();
    for (place, name) in SYSTEM_COLLECTIONS
        .iter()
        .map(|(name, _)| CollectionName::main(name))
        .chain(declared.iter().map(|definition| definition.name.clone()))
        .enumerate()
    {
        ids.insert(name, CollectionId(place as u32));
    }
    let mut collections: Vec<Collection> = SYSTEM_COLLECTIONS
        .iter()
        .map(|(name, columns)| system(name, columns))
        .collect();
    for definition in &declared {
        let mut fields = vec![field(&definition.key, definition.key_type, false)];
        fields[0].unique = true;
        let table = if let Some(existing) = &definition.existing {
            existing.table.clone()
        } else if definition.name.namespace() == portreeve_model::MAIN_NAMESPACE {
            definition.name.name().to_owned()
        } else {
            definition.name.to_string()
        };
        fields.extend(definition.fields.iter().map(|declared| Field {
            nullable: !declared.required,
            unique: declared.unique,
            existing: declared.existing.clone(),
            kept: declared.kept,
            ..field(&declared.name, declared.ty.unwrap_or(FieldType::Text), true)
        }));
        let existing = definition
            .existing
            .as_ref()
            .map(|existing| existing_table(definition, existing, &mut fields, &mut problems));
        collections.push(Collection {
            id: CollectionId(0),
            name: definition.name.clone(),
            table,
            system: false,
            key: FieldId(0),
            key_source: definition.key_source,
            fields,
            relations: vec![],
            indexes: vec![],
            existing,
        });
    }
    if let Some(definition) = own_user_fields {
        for declared in &definition.fields {
            if collections[0].find_field(&declared.name).is_some() {
                problems.push(problem(
                    &declared.place,
                    "reserved_name",
                    format!(
                        "accounts have a column '{}' already; choose another name",
                        declared.name
                    ),
                ));
                continue;
            }
            collections[0].fields.push(Field {
                nullable: !declared.required,
                unique: declared.unique,
                self_writable: declared.self_writable,
                ..field(&declared.name, declared.ty.unwrap_or(FieldType::Text), true)
            });
        }
        if let Some(required) = definition
            .fields
            .iter()
            .find(|field| field.required && field.default.is_none())
        {
            problems.push(problem(
                &required.place,
                "bad_value",
                format!("own column '{}' of accounts is required and has no default, so accounts made without it would fail; give it a default", required.name),
            ));
        }
    }
    // References next: a relation has its target's type.
    for definition in definitions {
        let Some(id) = ids
            .get(&definition.name)
            .copied()
            .filter(|_| seen.contains(&definition.name))
        else {
            continue;
        };
        if definition.name == CollectionName::main("users") || !collections[id.0 as usize].system {
            references(definition, id, &ids, &mut collections, &mut problems);
        }
    }
    // Field types that are relations to relations (a key that is itself a relation) do not occur: keys have own types.
    for definition in definitions {
        let Some(id) = ids.get(&definition.name).copied() else {
            continue;
        };
        if definition.name == CollectionName::main("users") || !collections[id.0 as usize].system {
            relations(definition, id, &ids, &mut collections, &mut problems);
            defaults_and_indexes(definition, &mut collections[id.0 as usize], &mut problems);
        }
    }
    if problems.is_empty() {
        Ok(Catalog::new(collections))
    } else {
        Err(problems)
    }
}

fn problem(place: &Place, code: &'static str, message: String) -> Problem {
    Problem {
        place: place.clone(),
        code,
        message,
    }
}

fn field(name: &str, ty: FieldType, nullable: bool) -> Field {
    Field {
        name: Arc::from(name),
        ty,
        nullable,
        unique: false,
        default: None,
        relation: None,
        self_writable: false,
        kept: None,
        existing: None,
    }
}

// What a table that was there before is called, and the key's part in its fields, of which it is the first.
fn existing_table(
    definition: &CollectionDefinition,
    existing: &ExistingDefinition,
    fields: &mut [Field],
    problems: &mut Vec<Problem>,
) -> ExistingTable {
    let key = match &existing.key {
        ExistingKeyDefinition::Column(column, _) => {
            fields[0].existing = Some(column.clone());
            ExistingKey::Column
        }
        ExistingKeyDefinition::Fields(names) => {
            let mut parts = vec![];
            for name in names {
                match fields[1..].iter().position(|field| *field.name == **name) {
                    Some(place) => parts.push(FieldId::at(place + 1)),
                    None => problems.push(problem(
                        &definition.place,
                        "unknown_field",
                        format!(
                            "the key of '{}' names '{name}', which is no field",
                            definition.name
                        ),
                    )),
                }
            }
            ExistingKey::Columns(parts)
        }
        ExistingKeyDefinition::Missing => {
            fields[0].nullable = true;
            fields[0].unique = false;
            ExistingKey::Missing
        }
    };
    ExistingTable {
        schema: existing.schema.clone(),
        table: existing.table.clone(),
        key,
    }
}

fn system(name: &str, columns: &[SystemColumn]) -> Collection {
    let mut fields: Vec<Field> = columns
        .iter()
        .map(|(name, ty, nullable)| field(name, *ty, *nullable))
        .collect();
    fields[0].unique = true;
    if matches!(name, "bindings" | "sessions") {
        fields[1].relation = Some(ToOne {
            target: CollectionId(0),
            by: FieldId(0),
            on_delete: OnDelete::Cascade,
        });
    }
    Collection {
        id: CollectionId(0),
        name: CollectionName::main(name),
        table: format!("{SYSTEM_PREFIX}{name}"),
        system: true,
        key: FieldId(0),
        key_source: KeySource::Given,
        fields,
        relations: vec![],
        indexes: vec![],
        existing: None,
    }
}

fn references(
    definition: &CollectionDefinition,
    id: CollectionId,
    ids: &BTreeMap<CollectionName, CollectionId>,
    collections: &mut [Collection],
    problems: &mut Vec<Problem>,
) {
    let mut names = BTreeSet::from([definition.key.clone()]);
    for declared in &definition.fields {
        if !names.insert(declared.name.clone()) {
            problems.push(problem(
                &declared.place,
                "duplicate_key",
                format!("'{}' has two fields '{}'", definition.name, declared.name),
            ));
            continue;
        }
        if let Some(to) = &declared.to {
            let pointing = Pointing {
                name: &declared.name,
                to,
                required: declared.required,
                place: &declared.place,
            };
            reference(&pointing, id, ids, collections, problems);
        }
    }
    if let Some(ExistingDefinition {
        key: ExistingKeyDefinition::Column(_, Some(to)),
        ..
    }) = &definition.existing
    {
        let pointing = Pointing {
            name: &definition.key,
            to,
            required: true,
            place: &definition.place,
        };
        reference(&pointing, id, ids, collections, problems);
    }
}

// A field that points somewhere.
struct Pointing<'a> {
    name: &'a str,
    to: &'a ReferenceDefinition,
    required: bool,
    place: &'a Place,
}

fn reference(
    pointing: &Pointing<'_>,
    id: CollectionId,
    ids: &BTreeMap<CollectionName, CollectionId>,
    collections: &mut [Collection],
    problems: &mut Vec<Problem>,
) {
    let (name, to) = (pointing.name, pointing.to);
    let mut fail = |code, message| problems.push(problem(pointing.place, code, message));
    let Some(target) = ids.get(&to.collection).copied() else {
        let known: Vec<String> = ids.keys().map(ToString::to_string).collect();
        let hint = suggestion(&to.collection.to_string(), known.iter().map(String::as_str));
        return fail(
            "unknown_collection",
            format!("there is no collection '{}'{hint}", to.collection),
        );
    };
    let users = to.collection == CollectionName::main("users");
    if collections[target.0 as usize].system && !users {
        return fail(
            "bad_value",
            format!(
                "'{name}' cannot point at '{}': of the product's own collections only users can be pointed at",
                to.collection
            ),
        );
    }
    if to.by_number && !users {
        return fail(
            "bad_value",
            format!(
                "'by: number' works for users only, and '{name}' points at '{}'",
                to.collection
            ),
        );
    }
    if to.on_delete == OnDelete::SetNull && pointing.required {
        fail(
            "conflict",
            format!(
                "'{name}' is required and cannot be set to null when its target is deleted; use 'restrict' or 'cascade'"
            ),
        );
    }
    let target_collection = &collections[target.0 as usize];
    let by = match &to.by_field {
        Some(by) => target_collection.find_field(by),
        None if to.by_number => target_collection.find_field("number"),
        None => Some(target_collection.key),
    };
    let Some(by) = by.filter(|by| target_collection.is_column(*by)) else {
        return fail(
            "bad_value",
            format!(
                "'{name}' cannot point at '{}': no single column names a record of it",
                to.collection
            ),
        );
    };
    let ty = target_collection.field(by).ty;
    let collection = &mut collections[id.0 as usize];
    if let Some(field) = collection.find_field(name) {
        let field = &mut collection.fields[field.index()];
        field.ty = ty;
        field.relation = Some(ToOne {
            target,
            by,
            on_delete: to.on_delete,
        });
    }
}

fn relations(
    definition: &CollectionDefinition,
    id: CollectionId,
    ids: &BTreeMap<CollectionName, CollectionId>,
    collections: &mut [Collection],
    problems: &mut Vec<Problem>,
) {
    for declared in &definition.relations {
        let mut fail = |code, message| problems.push(problem(&declared.place, code, message));
        if collections[id.0 as usize]
            .find_field(&declared.name)
            .is_some()
            || collections[id.0 as usize]
                .find_relation(&declared.name)
                .is_some()
        {
            fail(
                "duplicate_key",
                format!(
                    "'{}' has a field or relation '{}' already",
                    definition.name, declared.name
                ),
            );
            continue;
        }
        let Some(target) = ids.get(&declared.target).copied() else {
            let known: Vec<String> = ids.keys().map(ToString::to_string).collect();
            let hint = suggestion(
                &declared.target.to_string(),
                known.iter().map(String::as_str),
            );
            fail(
                "unknown_collection",
                format!("there is no collection '{}'{hint}", declared.target),
            );
            continue;
        };
        let pointing =
            |from: CollectionId, name: &str, at: CollectionId| -> Result<FieldId, String> {
                let collection = &collections[from.0 as usize];
                let Some(field) = collection.find_field(name) else {
                    let fields = collection.named_fields();
                    let hint = suggestion(name, fields.map(|field| &*collection.field(field).name));
                    return Err(format!("'{}' has no field '{name}'{hint}", collection.name));
                };
                match collection.field(field).relation {
                    Some(relation) if relation.target == at => Ok(field),
                    _ => Err(format!(
                        "'{}.{name}' does not point at '{}'",
                        collection.name, collections[at.0 as usize].name
                    )),
                }
            };
        let via = match &declared.via {
            RelationVia::Field(name) => pointing(target, name, id).map(Via::Field),
            RelationVia::Through { junction, from, to } => match ids.get(junction).copied() {
                None => Err(format!("there is no collection '{junction}'")),
                Some(junction) => pointing(junction, from, id).and_then(|near| {
                    pointing(junction, to, target).map(|far| Via::Through {
                        junction,
                        near,
                        far,
                    })
                }),
            },
        };
        match via {
            Ok(via) => {
                let relation = ToMany {
                    name: Arc::from(declared.name.as_str()),
                    target,
                    via,
                };
                collections[id.0 as usize].relations.push(relation);
            }
            Err(message) => fail("bad_relation", message),
        }
    }
}

fn defaults_and_indexes(
    definition: &CollectionDefinition,
    collection: &mut Collection,
    problems: &mut Vec<Problem>,
) {
    for declared in &definition.fields {
        let Some(id) = collection.find_field(&declared.name) else {
            continue;
        };
        let field = &mut collection.fields[id.index()];
        field.default = match &declared.default {
            None => None,
            Some(serde_json::Value::String(text)) if text == "$now" => {
                if field.ty != FieldType::Timestamp {
                    problems.push(problem(
                        &declared.place,
                        "wrong_type",
                        format!(
                            "'$now' is a timestamp, and '{}' is {}",
                            declared.name, field.ty
                        ),
                    ));
                }
                Some(FieldDefault::Now)
            }
            Some(json) => match Value::from_json(field.ty, json) {
                Ok(value) => Some(FieldDefault::Value(value)),
                Err(error) => {
                    problems.push(problem(
                        &declared.place,
                        "wrong_type",
                        format!("the default of '{}': {error}", declared.name),
                    ));
                    None
                }
            },
        };
    }
    for names in &definition.indexes {
        let mut index = vec![];
        for name in names {
            match collection.find_field(name) {
                Some(field) => index.push(field),
                None => {
                    let fields = collection.named_fields();
                    let hint = suggestion(name, fields.map(|field| &*collection.field(field).name));
                    problems.push(problem(
                        &definition.place,
                        "unknown_field",
                        format!(
                            "an index of '{}' names '{name}', which is no field{hint}",
                            definition.name
                        ),
                    ));
                }
            }
        }
        collection.indexes.push(index);
    }
}
