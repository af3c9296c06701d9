//! Runs record writes: asserts the versions, writes an attempt, asks the probes of what is stored, and lets the
//! template judge. Whatever is not accepted is undone.

use std::sync::Arc;

use portreeve_gate::{Authorized, Create, Delete, Update};
use portreeve_model::{Collection, FieldDefault, FieldId, KeySource, Value, new_uuid};
use portreeve_policy::{
    Access, Context, Judgement, Link, Record, WriteDenial, WriteSession, WriteTemplate,
};
use rusqlite::Row;

use super::values::{Binding, bind, value};
use super::writer::{Part, StatementKey, Undo, Writing};
use super::{constraint, failure};
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::sql::write;
use crate::{StoreError, Stored, WriteOutcome};

const DIALECT: Dialect = Dialect::Sqlite;

/// Creates a record.
pub(crate) fn create(
    writing: &Writing<'_>,
    authorized: &Authorized<Create>,
) -> Result<WriteOutcome, StoreError> {
    writing.check_versions(authorized)?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let template = operation.template();
    let job = Job {
        writing,
        template,
        context,
        catalog: authorized.snapshot().catalog(),
        old: None,
        key: None,
    };
    job.attempts(template.create(operation.values(), context))
}

/// Changes a record.
pub(crate) fn update(
    writing: &Writing<'_>,
    authorized: &Authorized<Update>,
) -> Result<WriteOutcome, StoreError> {
    writing.check_versions(authorized)?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let (template, catalog) = (operation.template(), authorized.snapshot().catalog());
    let collection = template.collection();
    let key = StatementKey {
        template: template.id(),
        part: Part::Before,
        fields: vec![],
    };
    let before = writing.statement(&key, || {
        write::look(
            DIALECT,
            catalog,
            collection,
            template.probes_old(),
            template.sent(),
        )
    });
    let binding = Binding {
        key: Some(operation.key()),
        ..Binding::new(context)
    };
    let Some((old, truths)) = look(
        writing,
        &before,
        &binding,
        collection,
        template.probes_old().len(),
    )?
    else {
        return Ok(WriteOutcome::NotFound);
    };
    let session = match template.update(operation.values(), context, &old, truths) {
        Ok(session) => session,
        Err(denial) => return Ok(denied(denial)),
    };
    let job = Job {
        writing,
        template,
        context,
        catalog,
        old: Some(&old),
        key: Some(operation.key()),
    };
    job.attempts(session)
}

/// Deletes a record.
pub(crate) fn delete(
    writing: &Writing<'_>,
    authorized: &Authorized<Delete>,
) -> Result<WriteOutcome, StoreError> {
    writing.check_versions(authorized)?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let (template, catalog) = (operation.template(), authorized.snapshot().catalog());
    let (collection, probes) = (template.collection(), template.probes());
    let binding = Binding {
        key: Some(operation.key()),
        ..Binding::new(context)
    };
    let key = |part| StatementKey {
        template: template.id(),
        part,
        fields: vec![],
    };
    // Where nothing has to be asked and it is allowed, the deletion itself tells whether there was such a record.
    if !probes.is_empty() || template.judge(&[]).is_err() {
        let before = writing.statement(&key(Part::Before), || {
            write::look(DIALECT, catalog, collection, probes, &[])
        });
        let Some((_, truths)) = look(writing, &before, &binding, collection, probes.len())? else {
            return Ok(WriteOutcome::NotFound);
        };
        if let Err(denial) = template.judge(&truths) {
            return Ok(denied(denial));
        }
    }
    let fragment = writing.statement(&key(Part::Write), || write::delete(DIALECT, collection));
    let mut statement = writing
        .connection
        .prepare_cached(&fragment.sql)
        .map_err(failure)?;
    bind(&mut statement, &fragment.slots, &binding)?;
    let deleted = statement
        .raw_execute()
        .map_err(|error| constraint(error, collection, &[]))?;
    Ok(if deleted == 0 {
        WriteOutcome::NotFound
    } else {
        WriteOutcome::Deleted
    })
}

fn denied(denial: WriteDenial) -> WriteOutcome {
    match denial {
        WriteDenial::NotFound => WriteOutcome::NotFound,
        WriteDenial::Forbidden => WriteOutcome::Forbidden,
    }
}

// A write of a record, with everything its attempts have in common.
struct Job<'a> {
    writing: &'a Writing<'a>,
    template: &'a Arc<WriteTemplate>,
    context: &'a Context,
    catalog: &'a portreeve_model::Catalog,
    old: Option<&'a Record>,
    key: Option<&'a Value>,
}

fn is_constraint(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unique { .. }
            | StoreError::ForeignKey
            | StoreError::NotNull { .. }
            | StoreError::Check
    )
}

impl Job<'_> {
    fn attempts(&self, mut session: WriteSession<'_>) -> Result<WriteOutcome, StoreError> {
        // What no attempt's judgement is about: a link out of reach, a value the database does not take. Such an
        // attempt carries nothing, and the next one is tried.
        let mut invalid: Option<Result<WriteOutcome, StoreError>> = None;
        let judged = !self.template.probes_new().is_empty();
        let write_all = |undo: Option<&Undo<'_>>| -> Result<WriteOutcome, StoreError> {
            while let Some(assignments) = session.next_attempt() {
                if let Some(field) = self.bad_link(&session)? {
                    invalid.get_or_insert(Ok(WriteOutcome::BadLink { field }));
                    continue;
                }
                // Where nothing is asked of the stored record, an attempt is judged before it is written.
                if !judged {
                    match session.judge(&[]) {
                        Judgement::Accepted => {}
                        Judgement::TryNext => continue,
                        Judgement::Denied => return Ok(WriteOutcome::Forbidden),
                    }
                }
                let (record, truths) = match self.write(assignments) {
                    Ok(written) => written,
                    // A statement that fails leaves nothing behind, so there is nothing to undo.
                    Err(error) if is_constraint(&error) => {
                        let outcome = self.explained(error, &session);
                        invalid.get_or_insert(outcome);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let judgement = if judged {
                    session.judge(&truths)
                } else {
                    Judgement::Accepted
                };
                match (judgement, undo) {
                    (Judgement::Accepted, _) => return Ok(self.stored(&session, record, &truths)),
                    (judgement, Some(undo)) => {
                        undo.now()?;
                        if judgement == Judgement::Denied {
                            return Ok(WriteOutcome::Forbidden);
                        }
                    }
                    // Judged before it was written.
                    (_, None) => return Ok(WriteOutcome::Forbidden),
                }
            }
            invalid.unwrap_or(Ok(WriteOutcome::Forbidden))
        };
        if judged {
            self.writing.undoable(|undo| write_all(Some(undo)))
        } else {
            write_all(None)
        }
    }

    // The first relation the present attempt writes as sent whose target is out of reach.
    fn bad_link(&self, session: &WriteSession<'_>) -> Result<Option<FieldId>, StoreError> {
        for (link, value) in session.links() {
            // Where every target is in reach, the foreign key tells whether there is one.
            let reached = match &link.reach {
                Access::Always => true,
                Access::Never => false,
                Access::When(condition) => self.target_exists(link, value, Some(condition))?,
            };
            if !reached {
                return Ok(Some(link.field));
            }
        }
        Ok(None)
    }

    // A foreign key that failed, told by the relation that was sent.
    fn explained(
        &self,
        error: StoreError,
        session: &WriteSession<'_>,
    ) -> Result<WriteOutcome, StoreError> {
        if matches!(error, StoreError::ForeignKey) {
            for (link, value) in session.links() {
                if !self.target_exists(link, value, None)? {
                    return Ok(WriteOutcome::BadLink { field: link.field });
                }
            }
        }
        Err(error)
    }

    // Writes an attempt, and gives the record and the truth of the probes.
    fn write(
        &self,
        mut assignments: Vec<(FieldId, Value)>,
    ) -> Result<(Record, Vec<bool>), StoreError> {
        let (template, collection) = (self.template, self.template.collection());
        if self.old.is_none() {
            self.complete(&mut assignments)?;
        }
        assignments.sort_by_key(|(field, _)| *field);
        let fields: Vec<FieldId> = assignments.iter().map(|(field, _)| *field).collect();
        let binding = Binding {
            key: self.key,
            assigned: &assignments,
            ..Binding::new(self.context)
        };
        // An update of nothing has nothing to run, and is judged all the same.
        if self.old.is_none() || !fields.is_empty() {
            let key = StatementKey {
                template: template.id(),
                part: Part::Write,
                fields,
            };
            let fragment = self.writing.statement(&key, || {
                let make = if self.old.is_none() {
                    write::insert
                } else {
                    write::update
                };
                make(DIALECT, collection, &key.fields)
            });
            let mut statement = self
                .writing
                .connection
                .prepare_cached(&fragment.sql)
                .map_err(failure)?;
            bind(&mut statement, &fragment.slots, &binding)?;
            let written = statement.raw_execute();
            written.map_err(|error| constraint(error, collection, template.sent()))?;
        }
        // Tables are strict and have no triggers: what was bound is what is stored.
        let mut record = match self.old {
            Some(old) => old.clone(),
            None => Record(vec![Value::Null; collection.fields.len()]),
        };
        for (field, value) in assignments {
            record.0[field.index()] = value;
        }
        if self.old.is_none() && record.get(collection.key).is_null() {
            record.0[collection.key.index()] =
                Value::Integer(self.writing.connection.last_insert_rowid());
        }
        let truths = self.truths(record.get(collection.key))?;
        Ok((record, truths))
    }

    // The probes, asked of the record as it is in the database.
    fn truths(&self, key: &Value) -> Result<Vec<bool>, StoreError> {
        let (template, collection) = (self.template, self.template.collection());
        let probes = template.probes_new();
        if probes.is_empty() {
            return Ok(vec![]);
        }
        let statement = StatementKey {
            template: template.id(),
            part: Part::After,
            fields: vec![],
        };
        let fragment = self.writing.statement(&statement, || {
            write::probe(DIALECT, self.catalog, collection, probes, template.sent())
        });
        let binding = Binding {
            key: Some(key),
            old: self.old,
            ..Binding::new(self.context)
        };
        let mut statement = self
            .writing
            .connection
            .prepare_cached(&fragment.sql)
            .map_err(failure)?;
        bind(&mut statement, &fragment.slots, &binding)?;
        let mut rows = statement.raw_query();
        let row = rows.next().map_err(failure)?;
        let row = row
            .ok_or_else(|| StoreError::Corrupt("a record that was written is not there".into()))?;
        truths(row, 0, probes.len())
    }

    // What a new record has that nobody sent: its key, the collection's defaults.
    fn complete(&self, assignments: &mut Vec<(FieldId, Value)>) -> Result<(), StoreError> {
        let collection = self.template.collection();
        let given = |assignments: &[(FieldId, Value)], field| {
            assignments.iter().any(|(known, _)| *known == field)
        };
        let key = collection.key;
        if assignments
            .iter()
            .any(|(field, value)| *field == key && value.is_null())
        {
            assignments.retain(|(field, _)| *field != key);
        }
        if !given(assignments, key) {
            match collection.key_source {
                KeySource::Sequence => {}
                KeySource::Uuid => {
                    let uuid = new_uuid(self.writing.clock, self.writing.entropy);
                    assignments.push((key, Value::Text(uuid.hyphenated().to_string())));
                }
                KeySource::Given => return Err(StoreError::NotNull { field: key }),
            }
        }
        for field in collection.field_ids().filter(|field| *field != key) {
            let value = match &collection.field(field).default {
                None => continue,
                Some(FieldDefault::Value(value)) => value.clone(),
                Some(FieldDefault::Now) => Value::Integer(self.context.now),
            };
            if !given(assignments, field) {
                assignments.push((field, value));
            }
        }
        Ok(())
    }

    fn target_exists(
        &self,
        link: &Link,
        value: &Value,
        reach: Option<&portreeve_model::Condition>,
    ) -> Result<bool, StoreError> {
        let target = self.catalog.get(link.target);
        // Which of the two statements: with the reach, or the bare question.
        let fields = if reach.is_some() {
            vec![link.field]
        } else {
            vec![link.field, link.field]
        };
        let key = StatementKey {
            template: self.template.id(),
            part: Part::Link,
            fields,
        };
        let fragment = self.writing.statement(&key, || {
            write::link(DIALECT, self.catalog, target, link.by, reach)
        });
        let binding = Binding {
            key: Some(value),
            ..Binding::new(self.context)
        };
        let mut statement = self
            .writing
            .connection
            .prepare_cached(&fragment.sql)
            .map_err(failure)?;
        bind(&mut statement, &fragment.slots, &binding)?;
        let mut rows = statement.raw_query();
        Ok(rows.next().map_err(failure)?.is_some())
    }

    fn stored(&self, session: &WriteSession<'_>, record: Record, truths: &[bool]) -> WriteOutcome {
        let collection = self.template.collection();
        let readable = session.shown(truths);
        let key = record.get(collection.key).clone();
        let shown = record
            .0
            .into_iter()
            .enumerate()
            .map(|(place, value)| (FieldId::at(place), value))
            .filter(|(field, _)| readable.contains(field) || self.template.sent().contains(field))
            .collect();
        WriteOutcome::Stored(Stored { key, shown })
    }
}

// Runs a statement that gives all columns and then probes.
fn look(
    writing: &Writing<'_>,
    fragment: &Fragment,
    binding: &Binding<'_>,
    collection: &Collection,
    probes: usize,
) -> Result<Option<(Record, Vec<bool>)>, StoreError> {
    let mut statement = writing
        .connection
        .prepare_cached(&fragment.sql)
        .map_err(failure)?;
    bind(&mut statement, &fragment.slots, binding)?;
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(failure)? else {
        return Ok(None);
    };
    let mut values = Vec::with_capacity(collection.fields.len());
    for (place, field) in collection.fields.iter().enumerate() {
        values.push(value(row.get_ref(place).map_err(failure)?, field.ty)?);
    }
    let truths = truths(row, values.len(), probes)?;
    Ok(Some((Record(values), truths)))
}

// A probe that is null is not true.
fn truths(row: &Row<'_>, first: usize, count: usize) -> Result<Vec<bool>, StoreError> {
    (first..first + count)
        .map(|place| Ok(row.get::<_, Option<bool>>(place).map_err(failure)? == Some(true)))
        .collect()
}
