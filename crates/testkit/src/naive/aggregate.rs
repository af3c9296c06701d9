//! Aggregates, worked out record by record. "Every operand resolves like a filter's": a field the caller may not read
//! is unknown, one he may read on some records only is null on the others.

use std::cmp::Ordering;

use portreeve_model::{AggregateFunction, FieldType, Operand, Rule, Value};

use super::predicate::{At, order};
use super::schema::Collection;
use super::{Answer, Record, Referee, Subject, World};

/// Numbers about groups of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregates {
    /// The collection.
    pub collection: String,
    /// The caller's filter.
    pub filter: Option<Rule>,
    /// What the records of a group have in common.
    pub group: Vec<Operand>,
    /// What is asked of each group.
    pub aggregates: Vec<(AggregateFunction, Option<Operand>)>,
}

/// One row for each group, in the order of what the groups have in common, nulls last. Otherwise the refusal.
pub fn aggregate(
    world: &World,
    subject: &Subject,
    asked: &Aggregates,
) -> Result<Vec<Vec<Value>>, Answer> {
    let referee = Referee { world, subject };
    let Some(collection) = Collection::named(&world.document, &asked.collection) else {
        return Err(Answer::NotFound);
    };
    referee.aggregate(&collection, asked)
}

impl Referee<'_> {
    fn aggregate(
        &self,
        collection: &Collection,
        asked: &Aggregates,
    ) -> Result<Vec<Vec<Value>>, Answer> {
        let mut action = "data.read.many";
        if self.decision(action, collection).is_shut() {
            // "`.count` alone counts unfiltered only."
            let counts = |(function, of): &(AggregateFunction, Option<Operand>)| {
                *function == AggregateFunction::Count && of.is_none()
            };
            let plain = asked.filter.is_none() && asked.group.is_empty();
            action = "data.read.count";
            if !plain
                || !asked.aggregates.iter().all(counts)
                || self.decision(action, collection).is_shut()
            {
                return Err(self.shut_out(collection));
            }
        }
        let named = asked.aggregates.iter().filter_map(|(_, of)| of.as_ref());
        let known = asked
            .group
            .iter()
            .chain(named)
            .all(|operand| self.may_use(operand, collection))
            && asked
                .filter
                .as_ref()
                .is_none_or(|filter| self.may_name(filter, collection));
        if !known {
            return Err(Answer::Invalid);
        }
        let mut groups: Vec<(Vec<Value>, Vec<&Record>)> = vec![];
        if asked.group.is_empty() {
            groups.push((vec![], vec![]));
        }
        for record in self.world.all(&collection.name).values() {
            let at = At::operand_of_caller(collection, record);
            let wanted = asked.filter.as_ref();
            if !self.reaches(action, collection, record)
                || wanted.is_some_and(|filter| self.truth(filter, &at) != Some(true))
            {
                continue;
            }
            let common: Vec<Value> = asked
                .group
                .iter()
                .map(|operand| self.value(operand, FieldType::Text, &at))
                .collect();
            match groups.iter_mut().find(|(known, _)| *known == common) {
                Some((_, records)) => records.push(record),
                None => groups.push((common, vec![record])),
            }
        }
        groups.sort_by(|(a, _), (b, _)| {
            let places = a.iter().zip(b);
            places.fold(Ordering::Equal, |so_far, (a, b)| {
                so_far.then_with(|| nulls_last(a, b))
            })
        });
        let rows = groups.into_iter().map(|(mut row, records)| {
            for (function, of) in &asked.aggregates {
                row.push(self.made_of(*function, of.as_ref(), collection, &records));
            }
            row
        });
        Ok(rows.collect())
    }

    fn made_of(
        &self,
        function: AggregateFunction,
        of: Option<&Operand>,
        collection: &Collection,
        records: &[&Record],
    ) -> Value {
        let number = |count: usize| Value::Integer(i64::try_from(count).expect("a small world"));
        let Some(operand) = of else {
            return number(records.len());
        };
        let mut ty = FieldType::Integer;
        let mut values = vec![];
        for record in records {
            let at = At::operand_of_caller(collection, record);
            ty = self.type_of(operand, &at).expect("a typed operand");
            let value = self.value(operand, ty, &at);
            if !value.is_null() {
                values.push(value);
            }
        }
        values.sort_by(nulls_last);
        match function {
            AggregateFunction::Count => number(values.len()),
            AggregateFunction::CountDistinct => {
                values.dedup();
                number(values.len())
            }
            AggregateFunction::Min => values.first().cloned().unwrap_or(Value::Null),
            AggregateFunction::Max => values.last().cloned().unwrap_or(Value::Null),
            AggregateFunction::Sum | AggregateFunction::Avg if values.is_empty() => Value::Null,
            AggregateFunction::Sum => Value::Integer(total(&values)),
            AggregateFunction::Avg => {
                let parts = match ty {
                    FieldType::Decimal(scale) => 10_i64.pow(u32::from(scale)),
                    _ => 1,
                };
                let count = i64::try_from(values.len()).expect("a small world");
                Value::Float(total(&values) as f64 / (count * parts) as f64)
            }
        }
    }
}

fn total(values: &[Value]) -> i64 {
    values.iter().filter_map(Value::as_integer).sum()
}

fn nulls_last(a: &Value, b: &Value) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => order(a, b).expect("values of one type"),
        (a, b) => a.cmp(&b),
    }
}
