//! Aggregates as one statement: the records with what is asked of each in the inner SELECT, their groups in the outer.

use portreeve_gate::{AggregatePlan, Measure};
use portreeve_model::{AggregateFunction, Catalog};

use super::dialect::Dialect;
use super::fragment::{BoundSlot, Fragment};
use super::lower::{Lowering, Role};
use super::select::{Node, Place, ReadStatement};

/// Builds the statement of a plan.
pub(crate) fn aggregate(
    dialect: Dialect,
    catalog: &Catalog,
    plan: &AggregatePlan,
) -> ReadStatement {
    let mut lowering = Lowering::new(dialect, catalog, &[]);
    let scope = lowering.scope(plan.collection());
    let mut inner = vec![];
    let mut outer = vec![];
    // Grouped by the names of columns: what a group is made by is worked out once for each record.
    for (place, term) in plan.groups().iter().enumerate() {
        let value = lowering.scalar(term, &scope);
        inner.push(format!(
            "{} AS g{place}",
            dialect.grouped(term.ty(), &value)
        ));
        outer.push(format!("g{place}"));
    }
    for (place, measure) in plan.measures().iter().enumerate() {
        outer.push(match measure {
            Measure::Records => "count(*)".into(),
            Measure::Values { function, of } => {
                let value = lowering.scalar(of, &scope);
                inner.push(format!("{} AS v{place}", dialect.grouped(of.ty(), &value)));
                let value = format!("v{place}");
                match function {
                    AggregateFunction::Count => format!("count({value})"),
                    AggregateFunction::CountDistinct => format!("count(DISTINCT {value})"),
                    AggregateFunction::Sum => dialect.sum(of.ty(), &value),
                    AggregateFunction::Avg => dialect.average(of.ty(), &value),
                    AggregateFunction::Min => dialect.extreme(false, of.ty(), &value),
                    AggregateFunction::Max => dialect.extreme(true, of.ty(), &value),
                }
            }
        });
    }
    if inner.is_empty() {
        inner.push("1 AS v0".into());
    }
    let held = lowering.is_true(plan.condition(), &scope, Role::Finds);
    let columns: Vec<String> = outer
        .iter()
        .enumerate()
        .map(|(place, sql)| format!("{sql} AS c{place}"))
        .collect();
    let mut sql = format!(
        "SELECT {} FROM (SELECT {} FROM {}{}) AS r",
        columns.join(", "),
        inner.join(", "),
        scope.table(&lowering),
        held.clause()
    );
    let groups = plan.groups().len();
    if groups > 0 {
        let names: Vec<String> = (0..groups).map(|place| format!("g{place}")).collect();
        sql.push_str(&format!(" GROUP BY {}", names.join(", ")));
        let mut order: Vec<String> = plan
            .order()
            .iter()
            .map(|by| dialect.order(&format!("c{}", by.place), by.descending, true))
            .collect();
        order.extend((0..groups).map(|place| dialect.order(&format!("c{place}"), false, true)));
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    let (limit, offset) = (
        lowering.parameter(BoundSlot::Limit),
        lowering.parameter(BoundSlot::Offset),
    );
    sql.push_str(&format!(" LIMIT {limit} OFFSET {offset}"));
    let node = Node {
        fragment: Fragment {
            sql,
            slots: lowering.into_slots(),
        },
        places: (0..outer.len()).map(Place::Column).collect(),
        types: plan.types().map(Some).collect(),
        last: vec![],
        parent: (0, portreeve_model::FieldType::Integer),
        expansions: vec![],
    };
    ReadStatement {
        rows: Some(node),
        walk: None,
        total: None,
    }
}
