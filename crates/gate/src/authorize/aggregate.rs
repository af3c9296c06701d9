//! Authorizes aggregates.

use std::sync::Arc;

use portreeve_model::{Aggregate, AggregateFunction, AggregateQuery, Page};
use portreeve_policy::{ActionId, READ_COUNT, READ_MANY};

use super::typed;
use crate::planner::Planner;
use crate::{AggregateRequest, Aggregates, Authorized, Eyes, Gate, Refused, Window};

#[derive(PartialEq, Eq, Hash, Clone)]
pub(super) struct AggregateKey {
    roles: super::RolesKey,
    query: Box<AggregateQuery>,
    action: ActionId,
}

impl Gate {
    /// Numbers about groups of records.
    pub fn aggregate<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        request: AggregateRequest,
    ) -> Result<Authorized<Aggregates>, Refused> {
        let caller = eyes.into().caller();
        let AggregateRequest {
            query,
            values,
            limit,
            offset,
        } = request;
        let collection = Self::find(caller, &query.collection)?;
        let mut rights = self.rights(caller, collection, READ_MANY);
        if !rights.allows_something() {
            // The right to count alone covers the whole collection's number and nothing finer.
            let plain = query.filter.is_none() && query.search.is_none() && query.group.is_empty();
            let count = |aggregate: &Aggregate| {
                aggregate.function == AggregateFunction::Count && aggregate.of.is_none()
            };
            rights = self.rights(caller, collection, READ_COUNT);
            if !plain || !query.aggregates.iter().all(count) || !rights.allows_something() {
                return Err(self.refuse(caller, collection));
            }
        }
        let key = AggregateKey {
            roles: Self::roles_key(caller),
            query: Box::new(query),
            action: rights.action(),
        };
        let known = self
            .aggregates
            .get(&key)
            .filter(|planned| self.unchanged(caller, &planned.depends));
        let planned = match known {
            Some(planned) => planned,
            None => {
                let planned = Planner::new(self, caller).aggregate(&key.query, &rights)?;
                let planned = Arc::new(planned);
                self.aggregates.put(key, Arc::clone(&planned));
                planned
            }
        };
        let values = typed(&planned.types, &values, &Page::Offset, vec![])?;
        let plan = Arc::clone(&planned.plan);
        let window = Window::Page { limit, offset };
        Ok(self.proof(
            caller,
            Aggregates {
                plan,
                values,
                window,
            },
        ))
    }
}
