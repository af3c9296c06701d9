//! Stores a policy and reads it back: tables, roles, profiles and definitions, the version and the audit, all in one
//! transaction.

use std::collections::BTreeSet;

use portreeve_gate::{ApplyPolicy, Authorized, Principal};
use portreeve_model::{Clock, Entropy, new_uuid};
use portreeve_policy::{
    Document, Problem, Registration, action_from_json, action_to_json, build_catalog,
    collection_from_json, collection_to_json, profile_from_json, profile_to_json, role_from_json,
    role_to_json, rule_definition_from_json, rule_definition_to_json,
};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value as Json;

use super::failure;
use super::writer::Writing;
use crate::sql::ddl::{self, Step};
use crate::sql::dialect::Dialect;
use crate::{StoreError, StoredPolicy};

const COLLECTION: &str = "collection";
const RULE: &str = "rule";
const ACTION: &str = "action";
const REGISTRATION: &str = "registration";

/// Puts a policy in force. Runs with foreign keys off; they are checked before it ends.
pub(crate) fn apply(
    writing: &Writing<'_>,
    authorized: &Authorized<ApplyPolicy>,
) -> Result<u64, StoreError> {
    writing.check_versions(authorized)?;
    let (operation, connection) = (authorized.operation(), writing.connection);
    let (document, version) = (&*operation.document, operation.compiled.version());
    if operation.planned_on != writing.shared.version() || version <= operation.planned_on {
        return Err(StoreError::VersionChanged);
    }
    // What the tables are now is what was stored with them, whatever the caller's snapshot says.
    let collections = parts(definitions(connection, COLLECTION)?, collection_from_json)?;
    let old = build_catalog(&collections).map_err(|problems| unreadable(&problems))?;
    let steps = ddl::plan(
        Dialect::Sqlite,
        &old,
        operation.compiled.catalog(),
        &operation.drops,
        &operation.renames,
        authorized.context().now,
    );
    run(connection, &steps.map_err(StoreError::Schema)?)?;
    check_references(connection)?;
    store(connection, document, writing.clock, writing.entropy)?;
    connection
        .execute(
            "UPDATE portreeve_policy SET version = ?1",
            [i64::try_from(version).unwrap_or(i64::MAX)],
        )
        .map_err(failure)?;
    let actor = actor(authorized.principal());
    audit(
        connection,
        authorized.context().now,
        actor.as_deref(),
        "policy.apply",
        &version.to_string(),
        Some(&operation.summary),
    )?;
    Ok(version)
}

/// Who is written into the audit trail.
pub(crate) fn actor(principal: &Principal) -> Option<String> {
    match principal {
        Principal::User(id) => Some(id.to_string()),
        Principal::Anonymous => None,
        Principal::Operator => Some("operator".into()),
    }
}

/// A row of the audit trail.
pub(crate) fn audit(
    connection: &Connection,
    at: i64,
    actor: Option<&str>,
    action: &str,
    target: &str,
    detail: Option<&Json>,
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("INSERT INTO portreeve_audit (at, actor, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5)")
        .map_err(failure)?;
    statement
        .execute((at, actor, action, target, detail.map(Json::to_string)))
        .map(drop)
        .map_err(failure)
}

fn run(connection: &Connection, steps: &[Step]) -> Result<(), StoreError> {
    for step in steps {
        match step {
            Step::Run(sql) => connection.execute_batch(sql).map_err(failure)?,
            Step::Require { sql, message } => {
                let count: i64 = connection
                    .query_row(sql, [], |row| row.get(0))
                    .map_err(failure)?;
                if count > 0 {
                    return Err(StoreError::Schema(
                        message.replace("{count}", &count.to_string()),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn check_references(connection: &Connection) -> Result<(), StoreError> {
    let broken: Option<(String, i64)> = connection
        .query_row(
            "SELECT \"table\", fkid FROM pragma_foreign_key_check LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(failure)?;
    let Some((table, reference)) = broken else {
        return Ok(());
    };
    let field: String = connection
        .query_row(
            "SELECT \"from\" FROM pragma_foreign_key_list(?1) WHERE id = ?2",
            (&table, reference),
            |row| row.get(0),
        )
        .map_err(failure)?;
    Err(StoreError::Schema(format!(
        "'{table}.{field}' has values that point at no record; correct them before it becomes a relation"
    )))
}

// Only what differs is written: a policy may have ten thousand roles, and usually one of them changes.
fn store(
    connection: &Connection,
    document: &Document,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let definitions =
        |kind: &'static str, list: Vec<(String, Json)>| store_definitions(connection, kind, list);
    definitions(
        COLLECTION,
        document
            .collections
            .iter()
            .map(|one| (one.name.to_string(), collection_to_json(one)))
            .collect(),
    )?;
    definitions(
        RULE,
        document
            .rules
            .iter()
            .map(|one| (one.name.clone(), rule_definition_to_json(one)))
            .collect(),
    )?;
    definitions(
        ACTION,
        document
            .actions
            .iter()
            .map(|one| (one.name.clone(), action_to_json(one)))
            .collect(),
    )?;
    definitions(
        REGISTRATION,
        vec![(
            "roles".into(),
            Json::from(document.registration.roles.clone()),
        )],
    )?;
    let roles = document.roles.iter().map(|role| Named {
        key: &role.key,
        label: &role.label,
        description: &role.description,
        definition: role_to_json(role).to_string(),
    });
    store_named(connection, "portreeve_roles", roles, clock, entropy)?;
    let profiles = document.profiles.iter().map(|profile| Named {
        key: &profile.key,
        label: &profile.label,
        description: &profile.description,
        definition: profile_to_json(profile).to_string(),
    });
    store_named(connection, "portreeve_profiles", profiles, clock, entropy)
}

fn store_definitions(
    connection: &Connection,
    kind: &str,
    list: Vec<(String, Json)>,
) -> Result<(), StoreError> {
    let mut upsert = connection
        .prepare_cached(
            "INSERT INTO portreeve_definitions (kind, name, position, definition) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, name) DO UPDATE SET position = excluded.position, definition = excluded.definition
             WHERE position <> excluded.position OR definition <> excluded.definition",
        )
        .map_err(failure)?;
    let mut kept = BTreeSet::new();
    for (position, (name, definition)) in list.into_iter().enumerate() {
        upsert
            .execute((kind, &name, place(position), definition.to_string()))
            .map_err(failure)?;
        kept.insert(name);
    }
    let known = names(
        connection,
        "SELECT name FROM portreeve_definitions WHERE kind = ?1",
        &[&kind],
    )?;
    for name in known.iter().filter(|name| !kept.contains(*name)) {
        connection
            .execute(
                "DELETE FROM portreeve_definitions WHERE kind = ?1 AND name = ?2",
                (kind, name),
            )
            .map_err(failure)?;
    }
    Ok(())
}

struct Named<'a> {
    key: &'a str,
    label: &'a str,
    description: &'a str,
    definition: String,
}

fn store_named<'a>(
    connection: &Connection,
    table: &str,
    list: impl Iterator<Item = Named<'a>>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let update = format!(
        "UPDATE {table} SET label = ?2, description = ?3, definition = ?4, position = ?5 WHERE key = ?1
         AND (label <> ?2 OR description <> ?3 OR definition <> ?4 OR position <> ?5)"
    );
    let insert = format!(
        "INSERT INTO {table} (key, label, description, definition, position, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    );
    let known: BTreeSet<String> = names(connection, &format!("SELECT key FROM {table}"), &[])?
        .into_iter()
        .collect();
    let mut kept = BTreeSet::new();
    let mut update = connection.prepare(&update).map_err(failure)?;
    let mut insert = connection.prepare(&insert).map_err(failure)?;
    for (position, one) in list.enumerate() {
        let position = place(position);
        if known.contains(one.key) {
            update
                .execute((
                    one.key,
                    one.label,
                    one.description,
                    &one.definition,
                    position,
                ))
                .map_err(failure)?;
        } else {
            let id = new_uuid(clock, entropy).hyphenated().to_string();
            insert
                .execute((
                    one.key,
                    one.label,
                    one.description,
                    &one.definition,
                    position,
                    id,
                ))
                .map_err(failure)?;
        }
        kept.insert(one.key.to_owned());
    }
    for key in known.difference(&kept) {
        connection
            .execute(&format!("DELETE FROM {table} WHERE key = ?1"), [key])
            .map_err(failure)?;
    }
    Ok(())
}

fn place(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn names(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    let rows = statement
        .query_map(parameters, |row| row.get(0))
        .map_err(failure)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failure)
}

/// The policy as stored.
pub(crate) fn load(connection: &Connection) -> Result<StoredPolicy, StoreError> {
    let version: i64 = connection
        .query_row("SELECT version FROM portreeve_policy", [], |row| row.get(0))
        .map_err(failure)?;
    let mut document = Document::default();
    let named = |table: &str| -> Result<Vec<(String, Json)>, StoreError> {
        let sql = format!("SELECT key, definition FROM {table} ORDER BY position");
        let mut statement = connection.prepare_cached(&sql).map_err(failure)?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(failure)?;
        parsed(rows.collect::<rusqlite::Result<_>>().map_err(failure)?)
    };
    document.collections = parts(definitions(connection, COLLECTION)?, collection_from_json)?;
    document.rules = parts(definitions(connection, RULE)?, rule_definition_from_json)?;
    document.actions = parts(definitions(connection, ACTION)?, action_from_json)?;
    if let Some((_, roles)) = definitions(connection, REGISTRATION)?.into_iter().next() {
        let roles = serde_json::from_value(roles)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        document.registration = Registration { roles };
    }
    document.roles = parts(named("portreeve_roles")?, role_from_json)?;
    document.profiles = parts(named("portreeve_profiles")?, profile_from_json)?;
    Ok(StoredPolicy {
        document,
        version: u64::try_from(version).unwrap_or(0),
    })
}

fn definitions(connection: &Connection, kind: &str) -> Result<Vec<(String, Json)>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT name, definition FROM portreeve_definitions WHERE kind = ?1 ORDER BY position",
        )
        .map_err(failure)?;
    let rows = statement
        .query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failure)?;
    parsed(rows.collect::<rusqlite::Result<_>>().map_err(failure)?)
}

fn parsed(rows: Vec<(String, String)>) -> Result<Vec<(String, Json)>, StoreError> {
    rows.into_iter()
        .map(|(name, text)| match serde_json::from_str(&text) {
            Ok(json) => Ok((name, json)),
            Err(error) => Err(StoreError::Corrupt(format!(
                "the definition of '{name}' is no JSON: {error}"
            ))),
        })
        .collect()
}

fn parts<T>(
    rows: Vec<(String, Json)>,
    read: impl Fn(&str, &Json) -> Result<T, Vec<Problem>>,
) -> Result<Vec<T>, StoreError> {
    rows.iter()
        .map(|(name, json)| read(name, json).map_err(|problems| unreadable(&problems)))
        .collect()
}

fn unreadable(problems: &[Problem]) -> StoreError {
    let first = problems
        .first()
        .map_or_else(String::new, |problem| problem.message.clone());
    StoreError::Corrupt(format!("the stored policy cannot be read: {first}"))
}
