//! Writes accounts and records as the lines that [`Portreeve::load`] reads: what was exported from one store is the same
//! in another, ids and numbers included. Sessions stay where they are, and passwords unless they are asked for. Everything is read as the operator,
//! through the gate, page by page: not one moment, which is what a backup is for.

mod line;
mod order;
mod pages;

pub(crate) use pages::Rows;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_model::Collection;
use serde_json::{Map, Value as Json};

use crate::{Portreeve, ServiceError};
use order::{Held, Step};

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Accounts.
    pub users: usize,
    /// Records.
    pub records: usize,
    /// Collections that were left out: their tables were there before, and what is in them is not ours.
    pub left_out: Vec<String>,
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read, or not be written as lines.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Nobody takes the lines.
    #[error("cannot write the lines: {0}")]
    Write(#[from] std::io::Error),
}

pub(crate) use pages::Pages;

type Row = Map<String, Json>;

impl Portreeve {
    /// Writes all accounts and all records of collections of our own making, each after what it points at.
    pub async fn export(
        &self,
        caller: &Caller,
        out: &mut (dyn Write + Send),
    ) -> Result<Exported, ExportError> {
        self.export_with(caller, false, out).await
    }

    /// The same, with the hashes of passwords where that is wanted: whoever has these can try passwords as fast as he likes.
    pub async fn export_with(
        &self,
        caller: &Caller,
        passwords: bool,
        out: &mut (dyn Write + Send),
    ) -> Result<Exported, ExportError> {
        self.demand_administrator(caller)?;
        let catalog = Arc::clone(caller.snapshot().catalog());
        let mut exported = Exported {
            left_out: catalog
                .iter()
                .filter(|collection| collection.existing.is_some())
                .map(|collection| collection.name.to_string())
                .collect(),
            ..Exported::default()
        };
        let steps = order::steps(&catalog)?;
        for step in &steps {
            let mut writing = Writing {
                collection: Arc::clone(&step.collection),
                held: Held::new(step),
                later: vec![],
                passwords,
                out: &mut *out,
                exported: &mut exported,
            };
            self.step(caller, &mut writing).await?;
            let left = writing.finish(step)?;
            exported_later(out, &step.collection, left)?;
        }
        // What points at records that come after it.
        for step in steps.iter().filter(|step| !step.later.is_empty()) {
            self.point(caller, step, out).await?;
        }
        out.flush()?;
        Ok(exported)
    }

    async fn step(&self, caller: &Caller, writing: &mut Writing<'_>) -> Result<(), ExportError> {
        let collection = Arc::clone(&writing.collection);
        let mut pages = pages::Pages::of(&collection, None);
        while let Some(rows) = pages.next(self, caller).await? {
            let users = line::is_users(&collection);
            let mut hashes = if users && writing.passwords {
                self.hashes_of(&rows).await?
            } else {
                HashMap::new()
            };
            let mut bindings = if users {
                self.bindings_of(caller, &rows).await?
            } else {
                HashMap::new()
            };
            for mut row in rows {
                let id = row.get("id").and_then(Json::as_str);
                let bound = id.and_then(|id| bindings.remove(id));
                if let Some(hash) = id.and_then(|id| hashes.remove(id)) {
                    row.insert(line::HASH.into(), hash.into());
                }
                writing.take(row, bound.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    // The hashes of the passwords of the accounts of one page, by account. They are in no collection.
    async fn hashes_of(&self, users: &[Row]) -> Result<HashMap<String, String>, ServiceError> {
        let mut hashes = HashMap::new();
        for id in users.iter().filter_map(|user| user.get("id")?.as_str()) {
            let hash = self.store.system().kept_hash(id).await?;
            hashes.extend(hash.map(|hash| (id.to_owned(), hash)));
        }
        Ok(hashes)
    }

    // The bindings of the accounts of one page, by account.
    async fn bindings_of(
        &self,
        caller: &Caller,
        users: &[Row],
    ) -> Result<HashMap<String, Vec<Row>>, ServiceError> {
        let ids: Vec<String> = users
            .iter()
            .filter_map(|user| user.get("id").and_then(Json::as_str))
            .map(|id| format!("'{}'", id.replace('\'', "''")))
            .collect();
        let mut found: HashMap<String, Vec<Row>> = HashMap::new();
        let catalog = caller.snapshot().catalog();
        let Some(bindings) = catalog.find_text("bindings").filter(|_| !ids.is_empty()) else {
            return Ok(found);
        };
        let filter = format!("user in ({})", ids.join(", "));
        let mut pages = pages::Pages::of(bindings, Some(filter));
        while let Some(rows) = pages.next(self, caller).await? {
            for row in rows {
                if let Some(user) = row.get("user").and_then(Json::as_str) {
                    found.entry(user.to_owned()).or_default().push(row);
                }
            }
        }
        Ok(found)
    }

    // The second round for fields that had to wait.
    async fn point(
        &self,
        caller: &Caller,
        step: &Step,
        out: &mut (dyn Write + Send),
    ) -> Result<(), ExportError> {
        let mut pages = pages::Pages::of(&step.collection, None);
        while let Some(rows) = pages.next(self, caller).await? {
            let later = rows.into_iter().filter_map(|mut row| {
                let mut values: Row = step
                    .later
                    .iter()
                    .filter_map(|field| Some((field.clone(), row.remove(field)?)))
                    .filter(|(_, value)| !value.is_null())
                    .collect();
                if !values.is_empty() {
                    keep_as_it_was(&step.collection, &row, &mut values);
                }
                let key = row.remove(&*step.collection.key_field().name)?;
                (!values.is_empty()).then_some((key, values))
            });
            exported_later(out, &step.collection, later.collect())?;
        }
        Ok(())
    }
}

// The lines of one collection.
struct Writing<'a> {
    collection: Arc<Collection>,
    held: Held,
    // What had to be left out of a record's line, by key.
    later: Vec<(Json, Row)>,
    // Whether accounts come with the hashes of their passwords.
    passwords: bool,
    out: &'a mut (dyn Write + Send),
    exported: &'a mut Exported,
}

impl Writing<'_> {
    // Writes a row, and those that have waited for it, or lets it wait.
    fn take(&mut self, row: Row, bindings: Vec<Row>) -> Result<(), ExportError> {
        let mut ready = self.held.take(row, bindings);
        while let Some((row, bindings)) = ready.pop() {
            ready.extend(self.held.written(&row));
            self.write(row, &bindings)?;
        }
        Ok(())
    }

    fn write(&mut self, mut row: Row, bindings: &[Row]) -> Result<(), ExportError> {
        for field in &self.held.later {
            row.remove(field);
        }
        let line = if line::is_users(&self.collection) {
            self.exported.users += 1;
            line::user(row, bindings)
        } else {
            self.exported.records += 1;
            line::record(&self.collection, row)
        };
        Ok(writeln!(self.out, "{line}")?)
    }

    // Those that point at each other in a circle are written without pointing, and point afterwards.
    fn finish(mut self, step: &Step) -> Result<Vec<(Json, Row)>, ExportError> {
        while let Some((mut row, bindings)) = self.held.next_left() {
            let mut values = Row::new();
            for field in self.held.unmet(&row) {
                if !step.nullable.contains(&field) {
                    return Err(order::no_lines(&self.collection, &field).into());
                }
                if let Some(value) = row.remove(&field) {
                    values.insert(field, value);
                }
            }
            keep_as_it_was(&self.collection, &row, &mut values);
            let key = row.get(&*self.collection.key_field().name).cloned();
            self.later.push((key.unwrap_or_default(), values));
            self.take(row, bindings)?;
        }
        Ok(self.later)
    }
}

// To point at something afterwards is a change, and would be kept as one of now.
fn keep_as_it_was(collection: &Collection, row: &Row, values: &mut Row) {
    for field in &collection.fields {
        let said = field.kept.is_some() && !values.contains_key(&*field.name);
        if let Some(value) = row.get(&*field.name).filter(|_| said) {
            values.insert(field.name.to_string(), value.clone());
        }
    }
}

fn exported_later(
    out: &mut (dyn Write + Send),
    collection: &Collection,
    later: Vec<(Json, Row)>,
) -> Result<(), ExportError> {
    for (key, values) in later {
        writeln!(out, "{}", line::update(collection, key, values))?;
    }
    Ok(())
}
