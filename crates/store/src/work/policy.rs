//! Stores a policy and reads it back: tables, roles, profiles and definitions, the version and the audit, all in one
//! transaction.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_gate::{ApplyPolicy, Authorized, Judged};
use portreeve_model::{Catalog, FieldType, new_uuid};
use portreeve_policy::{
    CollectionDefinition, Context, Document, Problem, Registration, action_from_json,
    action_to_json, build_catalog, collection_from_json, collection_to_json, existing_from_json,
    existing_to_json, profile_from_json, profile_to_json, role_from_json, role_to_json,
    rule_definition_from_json, rule_definition_to_json,
};
use serde_json::Value as Json;

use super::access::{keeping_administrator, refuse_policy_without_held};
use super::audit::{Audited, By, audit};
use super::{Connection, Row, Transaction, check_versions, rebinding, templates};
use crate::sql::binding::Binding;
use crate::sql::convert::convert;
use crate::sql::ddl::{self, Conversion, Step};
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::{Stale, StoreError, StoredPolicy};

const COLLECTION: &str = "collection";
const EXISTING: &str = "existing";
const RULE: &str = "rule";
const ACTION: &str = "action";
const REGISTRATION: &str = "registration";

/// Puts a policy in force. On SQLite it runs with foreign keys off; they are checked before it ends.
pub(crate) async fn apply<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<ApplyPolicy>>,
) -> Result<(u64, Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().operation();
    let authority = authorized.operation().authority();
    let by = By::caller(authorized);
    let (document, version) = (&*operation.document, operation.compiled.version());
    // The snapshot's version is the one in force.
    if operation.planned_on != authorized.snapshot().version() || version <= operation.planned_on {
        return Err(StoreError::VersionChanged);
    }
    // What the tables are now is what was stored with them, whatever the caller's snapshot says.
    let mut collections = parts(
        definitions(transaction, COLLECTION).await?,
        collection_from_json,
    )?;
    // What was there before is not stored, and may be pointed at.
    let existing = |one: &&CollectionDefinition| one.existing.is_some();
    collections.extend(document.collections.iter().filter(existing).cloned());
    let old = build_catalog(&collections).map_err(|problems| unreadable(&problems))?;
    let steps = ddl::plan(
        transaction.dialect(),
        &old,
        operation.compiled.catalog(),
        &operation.drops,
        &operation.renames,
        authorized.context().now,
    );
    let steps = steps.map_err(StoreError::Schema)?;
    let put = async {
        run(transaction, &steps).await?;
        if transaction.dialect() == Dialect::Sqlite {
            check_references(transaction, operation.compiled.catalog()).await?;
        }
        store(transaction, document).await?;
        templates::apply(transaction, &by, &operation.templates).await?;
        let stale = rebinding::apply(transaction, &by, authority, &operation.bindings).await?;
        // By what they are bound to from now on.
        let (before, after) = (authorized.snapshot(), &operation.compiled);
        refuse_policy_without_held(transaction, before, after).await?;
        super::shares::fit(transaction, &by, after, &operation.drops).await?;
        Ok(stale)
    };
    let policies = (&**authorized.snapshot(), &*operation.compiled);
    let stale = keeping_administrator(transaction, policies, authorized.context().now, put).await?;
    transaction
        .execute(
            "UPDATE portreeve_policy SET version = ?1",
            &[i64::try_from(version).unwrap_or(i64::MAX).into()],
        )
        .await?;
    let done = Audited {
        action: "policy.apply",
        target: &version.to_string(),
        after: Some(&operation.summary),
        ..Audited::default()
    };
    audit(transaction, &by, done).await?;
    let stale = Stale {
        policy: Some(version),
        ..stale
    };
    Ok((version, stale))
}

async fn run<X: Transaction>(transaction: &X, steps: &[Step]) -> Result<(), StoreError> {
    let context = Context::default();
    for step in steps {
        match step {
            Step::Run(sql) => transaction.change_tables(sql).await?,
            Step::Convert(conversion) => convert_column(transaction, conversion).await?,
            Step::Require { sql, message } => {
                let fragment = Fragment {
                    sql: sql.clone(),
                    slots: vec![],
                };
                let rows = transaction
                    .rows(&fragment, &Binding::new(&context), &[FieldType::Integer])
                    .await?;
                let count = rows
                    .first()
                    .and_then(|row| row[0].as_integer())
                    .unwrap_or(0);
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

async fn convert_column<X: Transaction>(
    transaction: &X,
    conversion: &Conversion,
) -> Result<(), StoreError> {
    let context = Context::default();
    let types = [conversion.key, conversion.from];
    let (mut misfits, mut last) = (0_usize, None);
    // A page at a time: there may be more of them than there is memory.
    loop {
        let page = match &last {
            None => &conversion.first,
            Some(_) => &conversion.next,
        };
        let binding = Binding {
            key: last.as_ref(),
            ..Binding::new(&context)
        };
        let rows = transaction.rows(page, &binding, &types).await?;
        for row in &rows {
            let Some(value) = convert(&row[1], conversion.from, conversion.to) else {
                misfits += 1;
                continue;
            };
            let assigned = [(conversion.field, value)];
            let binding = Binding {
                assigned: &assigned,
                key: Some(&row[0]),
                ..Binding::new(&context)
            };
            transaction.run(&conversion.write, &binding).await?;
        }
        match rows.into_iter().next_back() {
            Some(mut row) => last = Some(row.swap_remove(0)),
            None => break,
        }
    }
    if misfits > 0 {
        return Err(StoreError::Schema(
            conversion.message.replace("{count}", &misfits.to_string()),
        ));
    }
    Ok(())
}

// Only of our own tables: what stands in other people's is not for us to judge, and may be much.
async fn check_references<X: Transaction>(
    transaction: &X,
    catalog: &Catalog,
) -> Result<(), StoreError> {
    let mut found = None;
    let ours = catalog.iter().filter(|one| one.existing.is_none());
    for collection in ours {
        let sql = "SELECT \"table\", fkid FROM pragma_foreign_key_check(?1) LIMIT 1";
        let table = transaction.dialect().bare_table(collection);
        let rows = transaction.ask(sql, &[table.into()]).await?;
        found = found.or(rows.into_iter().next());
    }
    let Some(row) = found else {
        return Ok(());
    };
    let (table, reference) = (row.text(0)?, row.integer(1)?);
    let sql = "SELECT \"from\" FROM pragma_foreign_key_list(?1) WHERE id = ?2";
    let rows = transaction
        .ask(sql, &[table.into(), reference.into()])
        .await?;
    let field = rows.first().map_or(Ok("?"), |row| row.text(0))?;
    Err(StoreError::Schema(format!(
        "'{table}.{field}' has values that point at no record; correct them before it becomes a relation"
    )))
}

// Only what differs is written: a policy may have ten thousand roles, and usually one of them changes.
async fn store<X: Transaction>(transaction: &X, document: &Document) -> Result<(), StoreError> {
    let collections = document
        .declared()
        .map(|one| (one.name.to_string(), collection_to_json(one)));
    store_definitions(transaction, COLLECTION, collections.collect()).await?;
    let existing = existing_to_json(&document.existing);
    store_definitions(transaction, EXISTING, vec![("tables".into(), existing)]).await?;
    let rules = document
        .rules
        .iter()
        .map(|one| (one.name.clone(), rule_definition_to_json(one)));
    store_definitions(transaction, RULE, rules.collect()).await?;
    let actions = document
        .actions
        .iter()
        .map(|one| (one.name.clone(), action_to_json(one)));
    store_definitions(transaction, ACTION, actions.collect()).await?;
    store_registration(transaction, &document.registration.roles).await?;
    let roles = document.roles.iter().map(|role| Named {
        key: &role.key,
        label: &role.label,
        description: &role.description,
        definition: role_to_json(role).to_string(),
    });
    store_named(transaction, "portreeve_roles", roles.collect()).await?;
    let profiles = document.profiles.iter().map(|profile| Named {
        key: &profile.key,
        label: &profile.label,
        description: &profile.description,
        definition: profile_to_json(profile).to_string(),
    });
    store_named(transaction, "portreeve_profiles", profiles.collect()).await
}

pub(super) async fn store_registration<X: Transaction>(
    transaction: &X,
    roles: &[String],
) -> Result<(), StoreError> {
    let list = vec![("roles".into(), Json::from(roles))];
    store_definitions(transaction, REGISTRATION, list).await
}

async fn store_definitions<X: Transaction>(
    transaction: &X,
    kind: &str,
    list: Vec<(String, Json)>,
) -> Result<(), StoreError> {
    // Named by its table, or a definition of the row that is there would be meant.
    let upsert =
        "INSERT INTO portreeve_definitions (kind, name, position, definition) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, name) DO UPDATE SET position = excluded.position, definition = excluded.definition
         WHERE portreeve_definitions.position <> excluded.position
            OR portreeve_definitions.definition <> excluded.definition";
    let mut kept = BTreeSet::new();
    for (position, (name, definition)) in list.into_iter().enumerate() {
        let definition = definition.to_string();
        let parameters = [
            kind.into(),
            (&name).into(),
            place(position).into(),
            (&definition).into(),
        ];
        transaction.execute(upsert, &parameters).await?;
        kept.insert(name);
    }
    let sql = "SELECT name FROM portreeve_definitions WHERE kind = ?1";
    for row in transaction.ask(sql, &[kind.into()]).await? {
        let name = row.text(0)?;
        if !kept.contains(name) {
            let sql = "DELETE FROM portreeve_definitions WHERE kind = ?1 AND name = ?2";
            transaction
                .execute(sql, &[kind.into(), name.into()])
                .await?;
        }
    }
    Ok(())
}

struct Named<'a> {
    key: &'a str,
    label: &'a str,
    description: &'a str,
    definition: String,
}

async fn store_named<X: Transaction>(
    transaction: &X,
    table: &str,
    list: Vec<Named<'_>>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT \"key\", label, description, definition, position FROM {table}");
    let mut known = BTreeMap::new();
    for row in transaction.ask(&sql, &[]).await? {
        known.insert(row.text(0)?.to_owned(), row);
    }
    let update = format!(
        "UPDATE {table} SET label = ?2, description = ?3, definition = ?4, position = ?5 WHERE \"key\" = ?1"
    );
    let insert = format!(
        "INSERT INTO {table} (\"key\", label, description, definition, position, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    );
    for (position, one) in list.iter().enumerate() {
        let position = place(position);
        let id;
        let mut parameters = vec![
            one.key.into(),
            one.label.into(),
            one.description.into(),
            (&one.definition).into(),
            position.into(),
        ];
        match known.remove(one.key) {
            Some(row) if one.is(&row, position)? => {}
            Some(_) => {
                transaction.execute(&update, &parameters).await?;
            }
            None => {
                id = new_uuid(transaction.clock(), transaction.entropy())
                    .hyphenated()
                    .to_string();
                parameters.push((&id).into());
                transaction.execute(&insert, &parameters).await?;
            }
        }
    }
    for key in known.keys() {
        let sql = format!("DELETE FROM {table} WHERE \"key\" = ?1");
        transaction.execute(&sql, &[key.into()]).await?;
    }
    Ok(())
}

impl Named<'_> {
    fn is(&self, row: &Row, position: i64) -> Result<bool, StoreError> {
        Ok(row.text(1)? == self.label
            && row.text(2)? == self.description
            && row.text(3)? == self.definition
            && row.integer(4)? == position)
    }
}

fn place(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// The policy as stored.
pub(crate) async fn load<C: Connection>(connection: &C) -> Result<StoredPolicy, StoreError> {
    let rows = connection
        .ask("SELECT version FROM portreeve_policy", &[])
        .await?;
    let version = rows.first().ok_or(StoreError::Gone)?.unsigned(0)?;
    let mut document = Document {
        collections: parts(
            definitions(connection, COLLECTION).await?,
            collection_from_json,
        )?,
        rules: parts(
            definitions(connection, RULE).await?,
            rule_definition_from_json,
        )?,
        actions: parts(definitions(connection, ACTION).await?, action_from_json)?,
        ..Document::default()
    };
    let existing = definitions(connection, EXISTING).await?;
    if let Some((_, section)) = existing.into_iter().next() {
        document.existing =
            existing_from_json(&section).map_err(|problems| unreadable(&problems))?;
    }
    let registration = definitions(connection, REGISTRATION).await?;
    if let Some((_, roles)) = registration.into_iter().next() {
        let roles = serde_json::from_value(roles)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        document.registration = Registration { roles };
    }
    let roles = "SELECT \"key\", definition FROM portreeve_roles ORDER BY position";
    document.roles = parts(parsed(connection.ask(roles, &[]).await?)?, role_from_json)?;
    let profiles = "SELECT \"key\", definition FROM portreeve_profiles ORDER BY position";
    document.profiles = parts(
        parsed(connection.ask(profiles, &[]).await?)?,
        profile_from_json,
    )?;
    Ok(StoredPolicy { document, version })
}

async fn definitions<C: Connection>(
    connection: &C,
    kind: &str,
) -> Result<Vec<(String, Json)>, StoreError> {
    let sql =
        "SELECT name, definition FROM portreeve_definitions WHERE kind = ?1 ORDER BY position";
    parsed(connection.ask(sql, &[kind.into()]).await?)
}

pub(super) fn parsed(rows: Vec<Row>) -> Result<Vec<(String, Json)>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let (name, text) = (row.text(0)?, row.text(1)?);
            match serde_json::from_str(text) {
                Ok(json) => Ok((name.to_owned(), json)),
                Err(error) => Err(StoreError::Corrupt(format!(
                    "the definition of '{name}' is no JSON: {error}"
                ))),
            }
        })
        .collect()
}

pub(super) fn parts<T>(
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
