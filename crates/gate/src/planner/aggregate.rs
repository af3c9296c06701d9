//! Aggregates: what the groups are made by and what is counted, summed and compared is resolved like the operands of a
//! filter. An unreadable field is an unknown one, and one that is readable on some records is null on the others, so
//! that what is hidden moves no number.

use std::sync::Arc;

use portreeve_model::{
    Aggregate, AggregateFunction, AggregateQuery, Collection, CollectionId, Column, ColumnKind,
    Columns, FieldType, Operand, Term,
};
use portreeve_policy::{ActionId, Resolver, Rights, print_operand, suggestion};

use super::{Planner, next_plan};
use crate::{AggregatePlan, Measure, OrderColumn, Refused};

const MAX_GROUPS: usize = 8;
const MAX_AGGREGATES: usize = 16;

/// A plan and what it was made from.
pub(crate) struct PlannedAggregate {
    pub plan: Arc<AggregatePlan>,
    pub types: Vec<Option<FieldType>>,
    pub depends: Vec<(CollectionId, ActionId, u64)>,
}

impl Planner<'_> {
    pub(crate) fn aggregate(
        self,
        query: &AggregateQuery,
        rights: &Rights,
    ) -> Result<PlannedAggregate, Refused> {
        if query.group.len() > MAX_GROUPS {
            return bad(format!("at most {MAX_GROUPS} things to group by"));
        }
        if query.aggregates.len() > MAX_AGGREGATES {
            return bad(format!("at most {MAX_AGGREGATES} aggregates at once"));
        }
        if query.group.is_empty() && query.aggregates.is_empty() {
            return bad("nothing is asked for; name an aggregate, or what to group by");
        }
        let snapshot = Arc::clone(&self.caller.snapshot);
        let collection = Arc::clone(snapshot.catalog().get(rights.collection()));
        let mut resolver = Resolver::for_caller(snapshot.catalog(), snapshot.rules(), &self);
        let (filter, search) = (query.filter.as_ref(), query.search.as_ref());
        let (condition, types) = self.found(&mut resolver, &collection, rights, filter, search)?;
        let mut columns = vec![];
        let mut groups = vec![];
        for operand in &query.group {
            let term = comparable(&mut resolver, &collection, operand)?;
            add(&mut columns, name(operand), term.ty())?;
            groups.push(term);
        }
        let mut measures = vec![];
        for aggregate in &query.aggregates {
            let measure = measure(&mut resolver, &collection, aggregate)?;
            add(&mut columns, aggregate_name(aggregate), measure.ty())?;
            measures.push(measure);
        }
        let mut order = vec![];
        for by in &query.sort {
            let place = columns
                .iter()
                .position(|column| *column.name == *by.column)
                .ok_or_else(|| no_column(&by.column, &columns))?;
            order.push(OrderColumn {
                place,
                descending: by.descending,
            });
        }
        let mut depends = self.depends.into_inner();
        depends.push((collection.id, rights.action(), rights.id()));
        let plan = AggregatePlan {
            id: next_plan(),
            collection,
            columns: Arc::new(Columns { list: columns }),
            groups,
            measures,
            condition,
            order,
        };
        Ok(PlannedAggregate {
            plan: Arc::new(plan),
            types,
            depends,
        })
    }
}

fn bad<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::BadQuery(message.into()))
}

// A column of the answer is called as it was asked for.
fn name(operand: &Operand) -> String {
    match operand {
        Operand::Path(path) => path.to_string(),
        other => print_operand(other),
    }
}

fn aggregate_name(aggregate: &Aggregate) -> String {
    let word = aggregate.function.word();
    match &aggregate.of {
        None => word.into(),
        Some(operand) => format!("{word}({})", name(operand)),
    }
}

fn add(columns: &mut Vec<Column>, name: String, ty: FieldType) -> Result<(), Refused> {
    if columns.iter().any(|column| *column.name == *name) {
        return bad(format!(
            "'{name}' would be two columns of the answer; ask for it once"
        ));
    }
    columns.push(Column {
        name: Arc::from(name),
        kind: ColumnKind::Scalar(ty),
    });
    Ok(())
}

fn no_column(wanted: &str, columns: &[Column]) -> Refused {
    let names = || columns.iter().map(|column| &*column.name);
    let known = names().collect::<Vec<_>>().join(", ");
    Refused::BadQuery(format!(
        "'{wanted}' is no column of this answer, which has {known}{}",
        suggestion(wanted, names())
    ))
}

fn term(
    resolver: &mut Resolver<'_>,
    collection: &Collection,
    operand: &Operand,
) -> Result<Term, Refused> {
    let term = resolver.operand(collection, operand);
    term.map_err(|error| Refused::BadQuery(error.0))
}

// Something whose values can be told to be the same.
fn comparable(
    resolver: &mut Resolver<'_>,
    collection: &Collection,
    operand: &Operand,
) -> Result<Term, Refused> {
    let term = term(resolver, collection, operand)?;
    if term.ty() == FieldType::Json {
        return bad(format!(
            "'{}' is json, whose values cannot be compared",
            name(operand)
        ));
    }
    Ok(term)
}

fn measure(
    resolver: &mut Resolver<'_>,
    collection: &Collection,
    aggregate: &Aggregate,
) -> Result<Measure, Refused> {
    let function = aggregate.function;
    let Some(operand) = &aggregate.of else {
        if function == AggregateFunction::Count {
            return Ok(Measure::Records);
        }
        return bad(format!("'{}' needs a field", function.word()));
    };
    let of = match function {
        AggregateFunction::Count => term(resolver, collection, operand)?,
        _ => comparable(resolver, collection, operand)?,
    };
    let ty = of.ty();
    let misfit = |needed: &str| {
        bad(format!(
            "{} needs {needed}, and '{}' is {ty}",
            function.word(),
            name(operand)
        ))
    };
    match function {
        AggregateFunction::Sum | AggregateFunction::Avg => match ty {
            FieldType::Integer | FieldType::Decimal(_) | FieldType::Float => {}
            _ => return misfit("numbers"),
        },
        AggregateFunction::Min | AggregateFunction::Max if !ty.is_ordered() => {
            return misfit("values that have an order");
        }
        _ => {}
    }
    Ok(Measure::Values { function, of })
}
