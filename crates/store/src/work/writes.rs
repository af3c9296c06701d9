//! Runs record writes: asserts the versions, writes an attempt, asks the probes of what is stored, and lets the
//! template judge. Whatever is not accepted is undone.

use std::sync::Arc;

use portreeve_gate::{Authorized, Create, Delete, DeleteUser, Update, UpdateUser, UserCreation};
use portreeve_model::{Collection, FieldDefault, FieldId, FieldType, KeySource, Value, new_uuid};
use portreeve_policy::{
    Access, Context, DeleteTemplate, Judgement, Link, Record, WriteDenial, WriteSession,
    WriteTemplate, keep,
};

use super::{Part, StatementKey, Transaction, check_versions, finish};
use crate::sql::binding::Binding;
use crate::sql::fragment::Fragment;
use crate::sql::write;
use crate::{StoreError, Stored, WriteOutcome};

/// Creates a record.
pub(crate) async fn create<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Create>,
) -> Result<WriteOutcome, StoreError> {
    check_versions(transaction, authorized).await?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let template = operation.template();
    hold(transaction, template, authorized.snapshot().catalog()).await?;
    let job = Job {
        transaction,
        template,
        context,
        catalog: authorized.snapshot().catalog(),
        sent: operation.values(),
        old: None,
        key: None,
        own: None,
    };
    job.attempts(template.create(operation.values(), context))
        .await
}

/// Makes an account's record; what it has of its own making is `own`.
pub(super) async fn create_user<X: Transaction>(
    transaction: &X,
    operation: &UserCreation,
    context: &Context,
    catalog: &portreeve_model::Catalog,
    own: &Own,
) -> Result<WriteOutcome, StoreError> {
    let template = operation.template();
    hold(transaction, template, catalog).await?;
    let job = Job {
        transaction,
        template,
        context,
        catalog,
        sent: operation.values(),
        old: None,
        key: None,
        own: Some(own),
    };
    job.attempts(template.create(operation.values(), context))
        .await
}

/// Changes a record.
pub(crate) async fn update<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Update>,
) -> Result<WriteOutcome, StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let what = Changing {
        template: operation.template(),
        key: operation.key(),
        values: operation.values(),
        context: authorized.context(),
        catalog: authorized.snapshot().catalog(),
        own: None,
    };
    what.update(transaction, true).await
}

/// Changes an account's record; `contained` says whether nothing about the account is beyond the writer.
pub(super) async fn update_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<UpdateUser>,
    own: &Own,
) -> Result<WriteOutcome, StoreError> {
    let operation = authorized.operation();
    let what = Changing {
        template: operation.template(),
        key: operation.key(),
        values: operation.values(),
        context: authorized.context(),
        catalog: authorized.snapshot().catalog(),
        own: Some(own),
    };
    let contained = operation.touch().contained;
    what.update(transaction, contained).await
}

// A change of a record, with all it takes.
struct Changing<'a> {
    template: &'a Arc<WriteTemplate>,
    key: &'a Value,
    values: &'a [(FieldId, Value)],
    context: &'a Context,
    catalog: &'a portreeve_model::Catalog,
    own: Option<&'a Own>,
}

impl Changing<'_> {
    async fn update<X: Transaction>(
        &self,
        transaction: &X,
        contained: bool,
    ) -> Result<WriteOutcome, StoreError> {
        let Self {
            template,
            context,
            catalog,
            ..
        } = *self;
        let collection = template.collection();
        hold(transaction, template, catalog).await?;
        let key = StatementKey {
            template: template.id(),
            part: Part::Before,
            fields: vec![],
        };
        let before = transaction.statements().get(&key, || {
            write::look(
                transaction.dialect(),
                catalog,
                collection,
                template.probes_old(),
                template.sent(),
            )
        });
        let binding = Binding {
            key: Some(self.key),
            ..Binding::new(context)
        };
        let probes = template.probes_old().len();
        let Some((old, truths)) = look(transaction, &before, &binding, collection, probes).await?
        else {
            return Ok(WriteOutcome::NotFound);
        };
        let session = match template.update(self.values, context, &old, truths) {
            Ok(session) => session,
            Err(denial) => return Ok(denied(denial)),
        };
        if !contained {
            return Ok(WriteOutcome::Forbidden);
        }
        let job = Job {
            transaction,
            template,
            context,
            catalog,
            sent: self.values,
            old: Some(&old),
            key: Some(self.key),
            own: self.own,
        };
        job.attempts(session).await
    }
}

/// Deletes a record.
pub(crate) async fn delete<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Delete>,
) -> Result<WriteOutcome, StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let (template, key) = (operation.template(), operation.key());
    let catalog = authorized.snapshot().catalog();
    let context = authorized.context();
    delete_judged(transaction, template, key, context, catalog, true).await
}

/// Deletes an account's record.
pub(super) async fn delete_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<DeleteUser>,
) -> Result<WriteOutcome, StoreError> {
    let operation = authorized.operation();
    let (template, key) = (operation.template(), operation.key());
    let catalog = authorized.snapshot().catalog();
    let (context, contained) = (authorized.context(), operation.touch().contained);
    delete_judged(transaction, template, key, context, catalog, contained).await
}

async fn delete_judged<X: Transaction>(
    transaction: &X,
    template: &DeleteTemplate,
    key: &Value,
    context: &Context,
    catalog: &portreeve_model::Catalog,
    contained: bool,
) -> Result<WriteOutcome, StoreError> {
    let (collection, probes) = (template.collection(), template.probes());
    let binding = Binding {
        key: Some(key),
        ..Binding::new(context)
    };
    let statement = |part| StatementKey {
        template: template.id(),
        part,
        fields: vec![],
    };
    // Where nothing has to be asked and it is allowed, the deletion itself tells whether there was such a record.
    if !contained || !probes.is_empty() || template.judge(&[]).is_err() {
        if let Some(denial) = judged(transaction, template, key, context, catalog).await? {
            return Ok(denied(denial));
        }
        if !contained {
            return Ok(WriteOutcome::Forbidden);
        }
    }
    let fragment = transaction.statements().get(&statement(Part::Write), || {
        write::delete(transaction.dialect(), collection)
    });
    let deleted = transaction
        .write(&fragment, &binding, collection, &[])
        .await?;
    Ok(if deleted == 0 {
        WriteOutcome::NotFound
    } else {
        WriteOutcome::Deleted
    })
}

/// Why a record may not be deleted, or whatever else the template is about, as it is now; none where it may.
pub(super) async fn judged<X: Transaction>(
    transaction: &X,
    template: &DeleteTemplate,
    key: &Value,
    context: &Context,
    catalog: &portreeve_model::Catalog,
) -> Result<Option<WriteDenial>, StoreError> {
    let (collection, probes) = (template.collection(), template.probes());
    let binding = Binding {
        key: Some(key),
        ..Binding::new(context)
    };
    let statement = StatementKey {
        template: template.id(),
        part: Part::Before,
        fields: vec![],
    };
    let before = transaction.statements().get(&statement, || {
        write::look(transaction.dialect(), catalog, collection, probes, &[])
    });
    let found = look(transaction, &before, &binding, collection, probes.len()).await?;
    Ok(match found {
        None => Some(WriteDenial::NotFound),
        Some((_, truths)) => template.judge(&truths).err(),
    })
}

fn denied(denial: WriteDenial) -> WriteOutcome {
    match denial {
        WriteDenial::NotFound => WriteOutcome::NotFound,
        WriteDenial::Forbidden => WriteOutcome::Forbidden,
    }
}

// A write of a record, with everything its attempts have in common.
struct Job<'a, X> {
    transaction: &'a X,
    template: &'a Arc<WriteTemplate>,
    context: &'a Context,
    catalog: &'a portreeve_model::Catalog,
    sent: &'a [(FieldId, Value)],
    old: Option<&'a Record>,
    key: Option<&'a Value>,
    own: Option<&'a Own>,
}

/// What a record of the product's own has that nobody sends.
#[derive(Default)]
pub(super) struct Own {
    /// Fields that no write changes, whatever is sent or preset.
    pub lasting: Vec<FieldId>,
    /// What a new record has in them.
    pub given: Vec<(FieldId, Value)>,
    /// What a new record has in others, where nobody says otherwise.
    pub usual: Vec<(FieldId, Value)>,
}

pub(super) fn is_constraint(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unique { .. }
            | StoreError::ForeignKey
            | StoreError::NotNull { .. }
            | StoreError::Misfit { .. }
            | StoreError::Check
    )
}

impl<X: Transaction> Job<'_, X> {
    async fn attempts(&self, session: WriteSession<'_>) -> Result<WriteOutcome, StoreError> {
        let judged = !self.template.probes_new().is_empty();
        if !judged {
            return self.tries(session, judged).await;
        }
        self.transaction.mark().await?;
        let result = self.tries(session, judged).await;
        finish(self.transaction, result).await
    }

    async fn tries(
        &self,
        mut session: WriteSession<'_>,
        judged: bool,
    ) -> Result<WriteOutcome, StoreError> {
        // What no attempt's judgement is about: a link out of reach, a value the database does not take. Such an
        // attempt carries nothing, and the next one is tried.
        let mut invalid: Option<Result<WriteOutcome, StoreError>> = None;
        while let Some(assignments) = session.next_attempt() {
            if let Some(field) = self.bad_link(&session).await? {
                invalid.get_or_insert(Ok(WriteOutcome::BadLink { field }));
                continue;
            }
            if let Some(name) = session.overfull() {
                let name = name.to_owned();
                invalid.get_or_insert(Ok(WriteOutcome::Overfull { name }));
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
            let (record, truths) = match self.write(assignments).await {
                Ok(written) => written,
                // A statement that fails leaves nothing behind, so there is nothing to undo.
                Err(error) if is_constraint(&error) => {
                    let outcome = self.explained(error, &session).await;
                    invalid.get_or_insert(outcome);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !judged {
                return Ok(self.stored(record, &truths));
            }
            match session.judge(&truths) {
                Judgement::Accepted => return Ok(self.stored(record, &truths)),
                Judgement::TryNext => self.transaction.undo().await?,
                Judgement::Denied => {
                    self.transaction.undo().await?;
                    return Ok(WriteOutcome::Forbidden);
                }
            }
        }
        invalid.unwrap_or(Ok(WriteOutcome::Forbidden))
    }

    // The first relation the present attempt writes as sent whose target is out of reach.
    async fn bad_link(&self, session: &WriteSession<'_>) -> Result<Option<FieldId>, StoreError> {
        for (link, value) in session.links() {
            // Where every target is in reach, the foreign key tells whether there is one.
            let reached = match &link.reach {
                Access::Always => true,
                Access::Never => false,
                Access::When(condition) => self.target_exists(link, value, Some(condition)).await?,
            };
            if !reached {
                return Ok(Some(link.field));
            }
        }
        Ok(None)
    }

    // A foreign key that failed, told by the relation that was sent.
    async fn explained(
        &self,
        error: StoreError,
        session: &WriteSession<'_>,
    ) -> Result<WriteOutcome, StoreError> {
        if matches!(error, StoreError::ForeignKey) {
            for (link, value) in session.links() {
                if !self.target_exists(link, value, None).await? {
                    return Ok(WriteOutcome::BadLink { field: link.field });
                }
            }
        }
        Err(error)
    }

    // Writes an attempt, and gives the record and the truth of the probes.
    async fn write(
        &self,
        mut assignments: Vec<(FieldId, Value)>,
    ) -> Result<(Record, Vec<bool>), StoreError> {
        let (template, collection) = (self.template, self.template.collection());
        keep(collection, &mut assignments, self.old, self.context);
        if let Some(own) = self.own {
            assignments.retain(|(field, _)| !own.lasting.contains(field));
        }
        if let (Some(own), None) = (self.own, self.old) {
            assignments.extend(own.given.iter().cloned());
            for (field, value) in &own.usual {
                if !assignments.iter().any(|(known, _)| known == field) {
                    assignments.push((*field, value.clone()));
                }
            }
        }
        if self.old.is_none() {
            complete(self.transaction, collection, self.context, &mut assignments)?;
        }
        assignments.sort_by_key(|(field, _)| *field);
        let fields: Vec<FieldId> = assignments.iter().map(|(field, _)| *field).collect();
        let binding = Binding {
            key: self.key,
            assigned: &assignments,
            ..Binding::new(self.context)
        };
        let mut made = None;
        // An update of nothing has nothing to run, and is judged all the same.
        if self.old.is_none() || !fields.is_empty() {
            let key = StatementKey {
                template: template.id(),
                part: Part::Write,
                fields,
            };
            let dialect = self.transaction.dialect();
            let fragment = self.transaction.statements().get(&key, || {
                let make = if self.old.is_none() {
                    write::insert
                } else {
                    write::update
                };
                make(dialect, collection, &key.fields)
            });
            let sent = template.sent();
            if self.old.is_none() {
                made = self
                    .transaction
                    .insert(&fragment, &binding, collection, sent)
                    .await?;
            } else {
                self.transaction
                    .write(&fragment, &binding, collection, sent)
                    .await?;
            }
        }
        if collection.existing.is_some() {
            return self.reread(&assignments, made).await;
        }
        // Tables of our own have no triggers: what was bound is what is stored.
        let mut record = match self.old {
            Some(old) => old.clone(),
            None => Record(vec![Value::Null; collection.fields.len()]),
        };
        for (field, value) in assignments {
            record.0[field.index()] = value;
        }
        if let Some(made) = made {
            record.0[collection.key.index()] = made;
        }
        let truths = self.truths(record.get(collection.key)).await?;
        Ok((record, truths))
    }

    // A table that was there before may have triggers, defaults and types that make something else of what was bound.
    async fn reread(
        &self,
        assignments: &[(FieldId, Value)],
        made: Option<Value>,
    ) -> Result<(Record, Vec<bool>), StoreError> {
        let (template, collection) = (self.template, self.template.collection());
        let mut names = match self.old {
            Some(old) => old.clone(),
            None => Record(vec![Value::Null; collection.fields.len()]),
        };
        for (field, value) in assignments {
            names.0[field.index()] = value.clone();
        }
        names.compose_key(collection);
        if let Some(made) = made {
            names.0[collection.key.index()] = made;
        }
        let statement = StatementKey {
            template: template.id(),
            part: Part::After,
            fields: vec![],
        };
        let (dialect, probes) = (self.transaction.dialect(), template.probes_new());
        let fragment = self.transaction.statements().get(&statement, || {
            write::look(dialect, self.catalog, collection, probes, template.sent())
        });
        let binding = Binding {
            key: Some(names.get(collection.key)),
            old: self.old,
            ..Binding::new(self.context)
        };
        look(
            self.transaction,
            &fragment,
            &binding,
            collection,
            probes.len(),
        )
        .await?
        .ok_or_else(|| StoreError::Corrupt("a record that was written is not there".into()))
    }

    // The probes, asked of the record as it is in the database.
    async fn truths(&self, key: &Value) -> Result<Vec<bool>, StoreError> {
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
        let dialect = self.transaction.dialect();
        let fragment = self.transaction.statements().get(&statement, || {
            write::probe(dialect, self.catalog, collection, probes, template.sent())
        });
        let binding = Binding {
            key: Some(key),
            old: self.old,
            ..Binding::new(self.context)
        };
        let types = vec![FieldType::Boolean; probes.len()];
        let rows = self.transaction.rows(&fragment, &binding, &types).await?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Corrupt("a record that was written is not there".into()))?;
        Ok(row.iter().map(holds).collect())
    }

    async fn target_exists(
        &self,
        link: &Link,
        value: &Value,
        reach: Option<&portreeve_model::Condition>,
    ) -> Result<bool, StoreError> {
        let link = (&**self.template, link);
        points_at(
            self.transaction,
            self.catalog,
            self.context,
            link,
            value,
            reach,
        )
        .await
    }

    fn stored(&self, record: Record, truths: &[bool]) -> WriteOutcome {
        let sight = self.template.sight_new(truths);
        WriteOutcome::Stored(Stored::of(self.template, self.sent, record, sight))
    }
}

/// Whether a link of a template leads to a record, within this reach where there is one.
pub(super) async fn points_at<X: Transaction>(
    transaction: &X,
    catalog: &portreeve_model::Catalog,
    context: &Context,
    (template, link): (&WriteTemplate, &Link),
    value: &Value,
    reach: Option<&portreeve_model::Condition>,
) -> Result<bool, StoreError> {
    // Which of the two statements: with the reach, or the bare question.
    let fields = match reach {
        Some(_) => vec![link.field],
        None => vec![link.field, link.field],
    };
    let key = StatementKey {
        template: template.id(),
        part: Part::Link,
        fields,
    };
    let (dialect, target) = (transaction.dialect(), catalog.get(link.target));
    let fragment = transaction.statements().get(&key, || {
        write::link(dialect, catalog, target, link.by, reach)
    });
    let binding = Binding {
        key: Some(value),
        ..Binding::new(context)
    };
    let types = [FieldType::Integer];
    let rows = transaction.rows(&fragment, &binding, &types).await?;
    Ok(!rows.is_empty())
}

/// Keeps still what a write is judged by.
pub(super) async fn hold<X: Transaction>(
    transaction: &X,
    template: &WriteTemplate,
    catalog: &portreeve_model::Catalog,
) -> Result<(), StoreError> {
    let written = [template.collection().id];
    transaction
        .hold(catalog, &written, template.looks_into())
        .await
}

// What a new record has that nobody sent: its key, the collection's defaults.
pub(super) fn complete<X: Transaction>(
    transaction: &X,
    collection: &Collection,
    context: &Context,
    assignments: &mut Vec<(FieldId, Value)>,
) -> Result<(), StoreError> {
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
    // A key that is made of columns comes with them.
    if !given(assignments, key) && collection.is_column(key) {
        match collection.key_source {
            KeySource::Sequence => {}
            KeySource::Uuid => {
                let uuid = new_uuid(transaction.clock(), transaction.entropy());
                assignments.push((key, Value::Text(uuid.hyphenated().to_string())));
            }
            KeySource::Given => return Err(StoreError::NotNull { field: key }),
        }
    }
    for field in collection.field_ids().filter(|field| *field != key) {
        let value = match &collection.field(field).default {
            None => continue,
            Some(FieldDefault::Value(value)) => value.clone(),
            Some(FieldDefault::Now) => Value::Integer(context.now),
        };
        if !given(assignments, field) {
            assignments.push((field, value));
        }
    }
    Ok(())
}

// Runs a statement that gives all columns and then probes.
pub(super) async fn look<X: Transaction>(
    transaction: &X,
    fragment: &Fragment,
    binding: &Binding<'_>,
    collection: &Collection,
    probes: usize,
) -> Result<Option<(Record, Vec<bool>)>, StoreError> {
    let types: Vec<FieldType> = collection
        .fields
        .iter()
        .map(|field| field.ty)
        .chain(std::iter::repeat_n(FieldType::Boolean, probes))
        .collect();
    let rows = transaction.rows(fragment, binding, &types).await?;
    let Some(mut values) = rows.into_iter().next() else {
        return Ok(None);
    };
    let truths = values.split_off(collection.fields.len());
    Ok(Some((Record(values), truths.iter().map(holds).collect())))
}

// A probe that is null is not true.
fn holds(truth: &Value) -> bool {
    *truth == Value::Boolean(true)
}
