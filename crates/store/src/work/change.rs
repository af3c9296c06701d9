//! Runs changes of several records: answers what a [`ChangeRun`] wants to know, and undoes everything where it is
//! refused.

use std::collections::BTreeSet;

use portreeve_gate::{Authorized, Change, Mass, MassWhat};
use portreeve_model::{Catalog, Collection, CollectionId, FieldId, Value};
use portreeve_policy::{
    ChangeOutcome, ChangeRun, Context, Demand, Precondition, Record, Reply, Selection, Step, What,
    Write, WriteTemplate, keep,
};

use super::writes::{complete, is_constraint, look, points_at};
use super::{Part, StatementKey, Transaction, check_versions, finish};
use crate::sql::binding::Binding;
use crate::sql::fragment::Fragment;
use crate::sql::write;
use crate::{ChangeResult, StoreError};

/// Changes several records, all or none.
pub(crate) async fn change<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Change>,
) -> Result<ChangeResult, StoreError> {
    check_versions(transaction, authorized).await?;
    let job = Job {
        transaction,
        context: authorized.context(),
        catalog: authorized.snapshot().catalog(),
    };
    let outcome = job
        .undoable(authorized.operation().steps(), Selection::Named)
        .await?;
    Ok(ChangeResult::of(outcome))
}

/// Changes all records of a selection alike.
pub(crate) async fn mass<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Mass>,
) -> Result<ChangeResult, StoreError> {
    check_versions(transaction, authorized).await?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let catalog = authorized.snapshot().catalog();
    let step = |key| Step {
        what: match operation.what() {
            MassWhat::Update(write) => What::Update {
                write: write.clone(),
                key,
            },
            MassWhat::Delete(template) => What::Delete {
                template: std::sync::Arc::clone(template),
                key,
            },
        },
        fills: vec![],
        belongs: None,
        condition: Precondition::None,
    };
    let job = Job {
        transaction,
        context,
        catalog,
    };
    // Before any record is locked.
    job.hold(&[step(Value::Null)]).await?;
    let select = operation.select();
    let plan = select.plan();
    let fragment = write::keys(
        transaction.dialect(),
        catalog,
        plan.collection(),
        plan.condition(),
    );
    let binding = Binding {
        caller: select.values(),
        limit: i64::from(operation.most()) + 1,
        ..Binding::new(context)
    };
    let types = [plan.collection().key_field().ty];
    let keys = transaction.rows(&fragment, &binding, &types).await?;
    let most = usize::try_from(operation.most()).unwrap_or(usize::MAX);
    if keys.len() > most {
        return Ok(ChangeResult::TooMany(most));
    }
    let steps: Vec<Step> = keys.into_iter().flatten().map(step).collect();
    let selection = if operation.narrow() {
        Selection::Narrowed
    } else {
        Selection::Whole
    };
    Ok(ChangeResult::of(job.undoable(&steps, selection).await?))
}

struct Job<'a, X> {
    transaction: &'a X,
    context: &'a Context,
    catalog: &'a Catalog,
}

impl<X: Transaction> Job<'_, X> {
    async fn undoable(
        &self,
        steps: &[Step],
        selection: Selection,
    ) -> Result<ChangeOutcome<StoreError>, StoreError> {
        self.hold(steps).await?;
        self.transaction.mark().await?;
        let result = self.run(steps, selection).await;
        let result = match result {
            Ok(refused @ ChangeOutcome::Refused { .. }) => {
                self.transaction.undo().await.map(|()| refused)
            }
            other => other,
        };
        finish(self.transaction, result).await
    }

    // Keeps still what any of them is judged by.
    async fn hold(&self, steps: &[Step]) -> Result<(), StoreError> {
        let (mut written, mut looked_into) = (BTreeSet::new(), BTreeSet::new());
        // The steps of a selection share their template.
        let mut known = BTreeSet::new();
        let mut writes = |write: &Write| {
            if known.insert(write.template.id()) {
                written.insert(write.template.collection().id);
                looked_into.extend(write.template.looks_into().iter().copied());
            }
        };
        let mut deleted = BTreeSet::new();
        for step in steps {
            match &step.what {
                What::Create(write) | What::Update { write, .. } => writes(write),
                What::Delete { template, .. } => {
                    deleted.insert(template.collection().id);
                }
                What::Upsert { create, update, .. } => {
                    create.iter().chain(update).for_each(&mut writes);
                }
            }
        }
        // Who only deletes is judged by the beginning, and holds up nobody.
        if written.is_empty() {
            return Ok(());
        }
        written.extend(deleted);
        let written: Vec<CollectionId> = written.into_iter().collect();
        let looked_into: Vec<CollectionId> = looked_into.into_iter().collect();
        self.transaction
            .hold(self.catalog, &written, &looked_into)
            .await
    }

    async fn run(
        &self,
        steps: &[Step],
        selection: Selection,
    ) -> Result<ChangeOutcome<StoreError>, StoreError> {
        let mut run = ChangeRun::new(steps, self.context, selection);
        let mut reply = Reply::Done;
        loop {
            reply = match run.next(reply) {
                Demand::Nothing => return Ok(run.outcome()),
                Demand::Undo => {
                    self.transaction.undo().await?;
                    Reply::Done
                }
                demand => match self.meet(demand).await {
                    Ok(reply) => reply,
                    // A statement that fails leaves nothing behind.
                    Err(error) if is_constraint(&error) => Reply::Unstorable(error),
                    Err(error) => return Err(error),
                },
            };
        }
    }

    async fn meet(&self, demand: Demand<'_>) -> Result<Reply<StoreError>, StoreError> {
        Ok(match demand {
            Demand::Nothing | Demand::Undo => Reply::Done,
            Demand::Look {
                template,
                by,
                value,
            } => {
                let (collection, probes) = (template.collection(), template.probes_old());
                let other = (by != collection.key).then_some(by);
                let statement = key(template.id(), Part::Before, other.into_iter().collect());
                let dialect = self.transaction.dialect();
                let fragment = self.transaction.statements().get(&statement, || {
                    let sent = template.sent();
                    write::look_by(dialect, self.catalog, collection, by, probes, sent)
                });
                self.found(&fragment, value, None, collection, probes.len())
                    .await?
            }
            Demand::LookDelete {
                template,
                key: value,
            } => {
                let (collection, probes) = (template.collection(), template.probes());
                let statement = key(template.id(), Part::Before, vec![]);
                let dialect = self.transaction.dialect();
                let fragment = self.transaction.statements().get(&statement, || {
                    write::look(dialect, self.catalog, collection, probes, &[])
                });
                self.found(&fragment, value, None, collection, probes.len())
                    .await?
            }
            Demand::Reach {
                template,
                link,
                value,
                reach,
            } => {
                let (transaction, catalog) = (self.transaction, self.catalog);
                let link = (&**template, link);
                let holds =
                    points_at(transaction, catalog, self.context, link, value, reach).await?;
                Reply::Holds(holds)
            }
            Demand::Insert { template, values } => {
                let mut values = values.to_vec();
                let collection = template.collection();
                keep(collection, &mut values, None, self.context);
                complete(self.transaction, collection, self.context, &mut values)?;
                Reply::Inserted(self.insert(template, values).await?)
            }
            Demand::Update {
                template,
                key: of,
                values,
                old,
            } => {
                let mut values = values.to_vec();
                keep(template.collection(), &mut values, Some(old), self.context);
                // An update of nothing has nothing to run, and is judged all the same.
                if !values.is_empty() {
                    values.sort_by_key(|(field, _)| *field);
                    let fields = values.iter().map(|(field, _)| *field).collect();
                    let statement = key(template.id(), Part::Write, fields);
                    let collection = template.collection();
                    let dialect = self.transaction.dialect();
                    let fragment = self.transaction.statements().get(&statement, || {
                        write::update(dialect, collection, &statement.fields)
                    });
                    let binding = Binding {
                        key: Some(of),
                        assigned: &values,
                        ..Binding::new(self.context)
                    };
                    self.transaction
                        .write(&fragment, &binding, collection, template.sent())
                        .await?;
                }
                Reply::Done
            }
            Demand::Delete { template, key: of } => {
                let collection = template.collection();
                let statement = key(template.id(), Part::Write, vec![]);
                let dialect = self.transaction.dialect();
                let fragment = self
                    .transaction
                    .statements()
                    .get(&statement, || write::delete(dialect, collection));
                let binding = Binding {
                    key: Some(of),
                    ..Binding::new(self.context)
                };
                let deleted = self
                    .transaction
                    .write(&fragment, &binding, collection, &[])
                    .await?;
                if deleted > 0 {
                    return Ok(Reply::Done);
                }
                // The deletion of another may have taken it along; or something else keeps it, and then it is there.
                let probes = template.probes();
                let statement = key(template.id(), Part::Before, vec![]);
                let fragment = self.transaction.statements().get(&statement, || {
                    write::look(dialect, self.catalog, collection, probes, &[])
                });
                match self
                    .found(&fragment, of, None, collection, probes.len())
                    .await?
                {
                    Reply::Found(None) => Reply::Done,
                    _ => Reply::Holds(false),
                }
            }
            Demand::After {
                template,
                key: of,
                old,
            } => {
                let (collection, probes) = (template.collection(), template.probes_new());
                let statement = key(template.id(), Part::Final, vec![]);
                let dialect = self.transaction.dialect();
                let fragment = self.transaction.statements().get(&statement, || {
                    let (by, sent) = (collection.key, template.sent());
                    write::look_again(dialect, self.catalog, collection, by, probes, sent)
                });
                self.found(&fragment, of, old, collection, probes.len())
                    .await?
            }
        })
    }

    // The record a look finds, with the truth of its probes.
    async fn found(
        &self,
        fragment: &Fragment,
        key: &Value,
        old: Option<&Record>,
        collection: &Collection,
        probes: usize,
    ) -> Result<Reply<StoreError>, StoreError> {
        let binding = Binding {
            key: Some(key),
            old,
            ..Binding::new(self.context)
        };
        look(self.transaction, fragment, &binding, collection, probes)
            .await
            .map(Reply::Found)
    }

    async fn insert(
        &self,
        template: &WriteTemplate,
        mut values: Vec<(FieldId, Value)>,
    ) -> Result<Record, StoreError> {
        let collection = template.collection();
        values.sort_by_key(|(field, _)| *field);
        let fields = values.iter().map(|(field, _)| *field).collect();
        let statement = key(template.id(), Part::Write, fields);
        let dialect = self.transaction.dialect();
        let fragment = self.transaction.statements().get(&statement, || {
            write::insert(dialect, collection, &statement.fields)
        });
        let binding = Binding {
            assigned: &values,
            ..Binding::new(self.context)
        };
        let made = self
            .transaction
            .insert(&fragment, &binding, collection, template.sent())
            .await?;
        let mut record = blank(collection);
        for (field, value) in values {
            record.0[field.index()] = value;
        }
        record.compose_key(collection);
        if let Some(made) = made {
            record.0[collection.key.index()] = made;
        }
        Ok(record)
    }
}

fn blank(collection: &Collection) -> Record {
    Record(vec![Value::Null; collection.fields.len()])
}

fn key(template: u64, part: Part, fields: Vec<FieldId>) -> StatementKey {
    StatementKey {
        template,
        part,
        fields,
    }
}
