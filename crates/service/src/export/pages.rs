//! All records of a collection, page by page in the order of their keys.

use std::sync::Arc;

use portreeve_gate::{Caller, ListRequest, take_literals};
use portreeve_model::{
    Cells, Collection, Columns, Page, Query, RecordSink, Value, write_json_record,
};
use portreeve_policy::parse_rule;
use serde_json::Value as Json;

use super::Row;
use crate::{Portreeve, ServiceError};

/// How many records are read at once.
const PAGE: u32 = 500;

/// Where a collection goes on.
pub(crate) struct Pages {
    collection: Arc<Collection>,
    filter: Option<String>,
    after: Option<Vec<Value>>,
    done: bool,
}

impl Pages {
    /// All records, or those that fit a filter.
    pub fn of(collection: &Arc<Collection>, filter: Option<String>) -> Self {
        Self {
            collection: Arc::clone(collection),
            filter,
            after: None,
            done: false,
        }
    }

    /// The next of them; none at the end.
    pub async fn next(
        &mut self,
        portreeve: &Portreeve,
        caller: &Caller,
    ) -> Result<Option<Vec<Row>>, ServiceError> {
        if self.done {
            return Ok(None);
        }
        let mut values = vec![];
        let filter = match &self.filter {
            None => None,
            Some(text) => {
                let rule =
                    parse_rule(text).map_err(|error| ServiceError::internal(error.message))?;
                Some(take_literals(rule, &mut values))
            }
        };
        let (page, cursor) = match self.after.take() {
            None => (Page::Offset, vec![]),
            Some(last) => {
                let first = values.len();
                (
                    Page::After {
                        first,
                        nulls: vec![],
                    },
                    last,
                )
            }
        };
        let request = ListRequest {
            query: Query {
                collection: self.collection.name.clone(),
                fields: None,
                filter,
                search: None,
                sort: vec![],
                page,
                total: false,
                expand: vec![],
            },
            values,
            cursor,
            limit: PAGE,
            offset: 0,
        };
        let (rows, outcome) = portreeve.list(caller, request, Rows::default()).await?;
        self.done = !outcome.more;
        self.after = outcome.last;
        rows.all().map(Some)
    }
}

impl Rows {
    /// All of them.
    pub fn all(self) -> Result<Vec<Row>, ServiceError> {
        if self.broken {
            return Err(ServiceError::internal("a record is no JSON object"));
        }
        Ok(self.list)
    }
}

/// Records as JSON objects.
#[derive(Default)]
pub(crate) struct Rows {
    list: Vec<Row>,
    bytes: Vec<u8>,
    broken: bool,
}

impl RecordSink for Rows {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        self.bytes.clear();
        write_json_record(&mut self.bytes, columns, cells);
        match serde_json::from_slice(&self.bytes) {
            Ok(Json::Object(row)) => self.list.push(row),
            _ => self.broken = true,
        }
    }

    fn reset(&mut self) {
        self.list.clear();
    }
}
