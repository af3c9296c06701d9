//! In which order lines have to stand, so that each points only at what was loaded before it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portreeve_model::{Catalog, Collection};
use serde_json::Value as Json;

use super::Row;
use super::line::is_users;
use crate::ServiceError;

/// A collection in its turn.
pub(super) struct Step {
    pub collection: Arc<Collection>,
    /// Its fields that point at collections of later steps, and so are told afterwards.
    pub later: Vec<String>,
    /// Its fields that point at its own records: the field, and the field they hold of the other record.
    own: Vec<(String, String)>,
    /// Those of them that can be told afterwards.
    pub nullable: Vec<String>,
}

/// The collections of our own making and the accounts, each after those it points at as far as that goes.
pub(super) fn steps(catalog: &Catalog) -> Result<Vec<Step>, ServiceError> {
    let mut left: Vec<&Arc<Collection>> = catalog
        .iter()
        .filter(|collection| collection.existing.is_none())
        .filter(|collection| !collection.system || is_users(collection))
        .collect();
    let mut steps = vec![];
    while !left.is_empty() {
        let ahead = |collection: &Collection| -> Vec<(String, bool)> {
            collection
                .fields
                .iter()
                .filter(|field| {
                    field.relation.is_some_and(|to| {
                        to.target != collection.id && left.iter().any(|one| one.id == to.target)
                    })
                })
                .map(|field| (field.name.to_string(), field.nullable))
                .collect()
        };
        let free = left.iter().position(|one| ahead(one).is_empty());
        // In a circle somebody has to begin: whoever can do without.
        let begins = || {
            left.iter()
                .position(|one| !is_users(one) && ahead(one).iter().all(|(_, nullable)| *nullable))
        };
        let Some(place) = free.or_else(begins) else {
            let stuck = left[0];
            let field = ahead(stuck).into_iter().next();
            return Err(no_lines(
                stuck,
                &field.map(|(name, _)| name).unwrap_or_default(),
            ));
        };
        let later = ahead(left[place]);
        let collection = Arc::clone(left.remove(place));
        steps.push(step(catalog, collection, later));
    }
    Ok(steps)
}

fn step(catalog: &Catalog, collection: Arc<Collection>, later: Vec<(String, bool)>) -> Step {
    let own = collection.fields.iter().filter_map(|field| {
        let to = field.relation.filter(|to| to.target == collection.id)?;
        let by = &catalog.get(to.target).field(to.by).name;
        Some((field.name.to_string(), by.to_string(), field.nullable))
    });
    let own: Vec<_> = own.collect();
    // Accounts are not changed by lines.
    let nullable = own
        .iter()
        .filter(|(.., nullable)| *nullable && !is_users(&collection))
        .map(|(name, ..)| name.clone())
        .collect();
    Step {
        later: later.into_iter().map(|(name, _)| name).collect(),
        own: own.into_iter().map(|(name, by, _)| (name, by)).collect(),
        nullable,
        collection,
    }
}

pub(super) fn no_lines(collection: &Collection, field: &str) -> ServiceError {
    ServiceError::invalid(
        format!("{}.{field}", collection.name),
        "leads in a circle of records that cannot do without each other, so they cannot be written one after the other; \
         use a backup",
    )
}

type Waiting = (Row, Vec<Row>);

/// Rows of one collection that wait for others of it.
pub(super) struct Held {
    pub later: Vec<String>,
    own: Vec<(String, String)>,
    // Values that others may hold of rows that are written, by field.
    written: HashMap<String, HashSet<String>>,
    waiting: HashMap<(String, String), Vec<Waiting>>,
}

impl Held {
    pub fn new(step: &Step) -> Self {
        Self {
            later: step.later.clone(),
            own: step.own.clone(),
            written: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// The row, if it can be written now.
    pub fn take(&mut self, row: Row, bindings: Vec<Row>) -> Vec<Waiting> {
        match self.waits_for(&row) {
            None => vec![(row, bindings)],
            Some(wanted) => {
                self.waiting
                    .entry(wanted)
                    .or_default()
                    .push((row, bindings));
                vec![]
            }
        }
    }

    /// Says that a row is written. Gives those that can be written now.
    pub fn written(&mut self, row: &Row) -> Vec<Waiting> {
        let fields: HashSet<String> = self.own.iter().map(|(_, by)| by.clone()).collect();
        let mut ready = vec![];
        for by in fields {
            let Some(value) = row.get(&by).map(Json::to_string) else {
                continue;
            };
            self.written
                .entry(by.clone())
                .or_default()
                .insert(value.clone());
            for (row, bindings) in self.waiting.remove(&(by, value)).unwrap_or_default() {
                ready.extend(self.take(row, bindings));
            }
        }
        ready
    }

    /// A row that waits for nothing that will still come, because it waits for itself by way of others.
    pub fn next_left(&mut self) -> Option<Waiting> {
        let wanted = self.waiting.keys().min()?.clone();
        let mut rows = self.waiting.remove(&wanted)?;
        let row = rows.pop()?;
        if !rows.is_empty() {
            self.waiting.insert(wanted, rows);
        }
        Some(row)
    }

    /// The fields of a row that point at what is not written.
    pub fn unmet(&self, row: &Row) -> Vec<String> {
        let unmet = self
            .own
            .iter()
            .filter(|(field, by)| !self.met(row, field, by));
        unmet.map(|(field, _)| field.clone()).collect()
    }

    fn waits_for(&self, row: &Row) -> Option<(String, String)> {
        let (field, by) = self
            .own
            .iter()
            .find(|(field, by)| !self.met(row, field, by))?;
        Some((by.clone(), row.get(field)?.to_string()))
    }

    // A row may point at itself.
    fn met(&self, row: &Row, field: &str, by: &str) -> bool {
        let Some(value) = row.get(field).filter(|value| !value.is_null()) else {
            return true;
        };
        row.get(by) == Some(value)
            || self
                .written
                .get(by)
                .is_some_and(|known| known.contains(&value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(id: i64, parent: Option<i64>) -> Row {
        match json!({ "id": id, "parent": parent }) {
            Json::Object(row) => row,
            _ => Row::new(),
        }
    }

    fn held() -> Held {
        Held {
            later: vec![],
            own: vec![("parent".into(), "id".into())],
            written: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    // The order in which they are written.
    fn run(held: &mut Held, rows: Vec<Row>) -> Vec<i64> {
        let mut order = vec![];
        for row in rows {
            let mut ready = held.take(row, vec![]);
            while let Some((row, _)) = ready.pop() {
                ready.extend(held.written(&row));
                order.push(row["id"].as_i64().expect("a number"));
            }
        }
        order
    }

    #[test]
    fn children_come_after_their_parents_whatever_their_order() {
        let mut held = held();
        let rows = vec![
            row(3, Some(2)),
            row(2, Some(1)),
            row(4, Some(4)),
            row(1, None),
        ];
        assert_eq!(run(&mut held, rows), [4, 1, 2, 3]);
        assert!(held.next_left().is_none());
    }

    #[test]
    fn circles_are_left_and_come_once_one_of_them_is_let_go() {
        let mut held = held();
        let rows = vec![
            row(1, Some(2)),
            row(2, Some(3)),
            row(3, Some(1)),
            row(9, Some(1)),
        ];
        assert_eq!(run(&mut held, rows), Vec::<i64>::new());
        let mut order = vec![];
        while let Some((mut left, _)) = held.next_left() {
            assert_eq!(held.unmet(&left), ["parent"]);
            left.remove("parent");
            order.extend(run(&mut held, vec![left]));
        }
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3, 9]);
        assert!(held.next_left().is_none());
    }
}
