//! A standing question: which changes of a collection a caller is told of, and what of them.

use std::sync::Arc;

use portreeve_model::{Collection, Columns, Condition, FieldId, Literal, Page, Query, Value};
use portreeve_policy::{Access, Context, SUBSCRIBE};

use crate::{Authorized, Caller, Gate, ListRequest, ReadPlan, Refused, Selected};

/// What a subscription is asked for: a list without order and pages.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// Collection, fields and filter; sort, page, search, total and expansion stay empty.
    pub query: Query,
    /// What the query's [`Literal::Caller`] stand for.
    pub values: Vec<Literal>,
}

/// Be told of changes. The conditions are judged in memory, over each record before and after its change.
pub struct Subscribe {
    plan: Arc<ReadPlan>,
    own: Condition,
    values: Vec<Value>,
    columns: Arc<Columns>,
    fields: Vec<(FieldId, Option<Arc<Condition>>)>,
}

impl Subscribe {
    /// The collection.
    pub fn collection(&self) -> &Arc<Collection> {
        self.plan.collection()
    }

    /// Which records, in two parts that must both be true: what may be read and is asked for, and what may be
    /// subscribed to.
    pub fn conditions(&self) -> [&Condition; 2] {
        [self.plan.condition(), &self.own]
    }

    /// What is told of a record, in the order of [`Subscribe::fields`].
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The fields that are told; where there is a condition, only on records on which it is true.
    pub fn fields(&self) -> &[(FieldId, Option<Arc<Condition>>)] {
        &self.fields
    }

    /// The values of `Slot::Caller`.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

impl Gate {
    /// A subscription: what the caller may read in lists and may subscribe to as well. System collections have no
    /// change feed, whoever asks.
    pub fn subscribe(
        &self,
        caller: &Caller,
        request: SubscribeRequest,
    ) -> Result<Authorized<Subscribe>, Refused> {
        let id = Self::find(caller, &request.query.collection)?;
        let rights = self.rights(caller, id, SUBSCRIBE);
        let own = match rights.reach() {
            Access::Never => return Err(self.refuse(caller, id)),
            Access::Always => Condition::Constant(true),
            Access::When(condition) => (**condition).clone(),
        };
        let collection = caller.snapshot.catalog().get(id);
        if collection.system {
            return Err(Refused::BadQuery(format!(
                "'{}' is one of the product's own collections, whose changes are not told; subscribe to another",
                collection.name
            )));
        }
        if collection.is_list_only() {
            return Err(Refused::BadQuery(format!(
                "the records of '{}' have no key, so nobody can be told which of them has changed",
                collection.name
            )));
        }
        let query = Query {
            sort: vec![],
            search: None,
            page: Page::Offset,
            total: false,
            expand: vec![],
            ..request.query
        };
        // The same resolution and the same plan as a list's: what is told is what the list shows.
        let read = self.list(
            caller,
            ListRequest {
                query,
                values: request.values,
                cursor: vec![],
                limit: 1,
                offset: 0,
            },
        )?;
        let plan = Arc::clone(read.operation().plan());
        let mut fields = vec![];
        let mut list = vec![];
        for (selected, column) in plan.select().iter().zip(&plan.columns().list) {
            if let Selected::Field { field, mask } = selected {
                fields.push((*field, mask.clone()));
                list.push(column.clone());
            }
        }
        let subscribe = Subscribe {
            own,
            values: read.operation().values().to_vec(),
            columns: Arc::new(Columns { list }),
            fields,
            plan,
        };
        Ok(self.proof(caller, subscribe))
    }
}

impl Authorized<Subscribe> {
    /// Whether this one, authorized later for the same caller and request, tells the same of every record. Where it
    /// does not, what was told before no longer is what a list shows.
    pub fn tells_the_same(&self, later: &Self) -> bool {
        let (old, new) = (self.operation(), later.operation());
        same_caller(self.context(), later.context())
            && same_catalog(self, later)
            && old.plan.condition() == new.plan.condition()
            && old.own == new.own
            && old.columns == new.columns
            && old.fields == new.fields
            && old.values == new.values
    }
}

fn same_caller(old: &Context, new: &Context) -> bool {
    old.user == new.user && old.roles == new.roles && old.claims == new.claims
}

// Conditions name collections and fields by their places, which mean something in one catalog only.
fn same_catalog(old: &Authorized<Subscribe>, new: &Authorized<Subscribe>) -> bool {
    let (old, new) = (old.snapshot().catalog(), new.snapshot().catalog());
    Arc::ptr_eq(old, new)
        || (old.len() == new.len()
            && old
                .iter()
                .zip(new.iter())
                .all(|(old, new)| Arc::ptr_eq(old, new) || old.same_shape(new)))
}
