//! The parameters of aggregates.

use portreeve_model::{Aggregate, AggregateFunction, AggregateQuery, CollectionName, SortGroups};
use portreeve_service::AggregateRequest;

use super::Parameters;
use super::list::{MAX_LIMIT, MAX_OFFSET, filter, operand, search};
use crate::error::Failure;

pub(crate) const AGGREGATES: &[&str] = &[
    "group",
    "count",
    "count_distinct",
    "sum",
    "avg",
    "min",
    "max",
    "filter",
    "search",
    "sort",
    "limit",
    "offset",
];

/// Reads the parameters of aggregates.
pub(crate) fn aggregates(
    collection: CollectionName,
    query: &str,
) -> Result<AggregateRequest, Failure> {
    let mut parameters = Parameters::read(query, AGGREGATES)?;
    let mut values = vec![];
    let filter = parameters
        .take("filter")
        .map(|text| filter(&text, &mut values))
        .transpose()?;
    let search = parameters
        .take("search")
        .map(|text| search(&text, &mut values))
        .transpose()?;
    let group = match parameters.take("group") {
        Some(text) => text
            .split(',')
            .map(|item| operand("group", item))
            .collect::<Result<_, _>>()?,
        None => vec![],
    };
    let mut aggregates = vec![];
    for function in AggregateFunction::ALL {
        if let Some(text) = parameters.take(function.word()) {
            for item in text.split(',') {
                aggregates.push(aggregate(function, item)?);
            }
        }
    }
    let sort = match parameters.take("sort") {
        Some(text) => text.split(',').map(sorted).collect::<Result<_, _>>()?,
        None => vec![],
    };
    let limit = match parameters.take_number("limit", MAX_LIMIT)? {
        Some(0) => {
            let message = format!("is a whole number from 1 to {MAX_LIMIT}");
            return Err(Failure::parameter("limit", message));
        }
        limit => u32::try_from(limit.unwrap_or(MAX_LIMIT)).unwrap_or(1),
    };
    let offset = parameters.take_number("offset", MAX_OFFSET)?.unwrap_or(0);
    let query = AggregateQuery {
        collection,
        filter,
        search,
        group,
        aggregates,
        sort,
    };
    Ok(AggregateRequest {
        query,
        values,
        limit,
        offset,
    })
}

// `count=true` counts records; everything else is asked of a field.
fn aggregate(function: AggregateFunction, item: &str) -> Result<Aggregate, Failure> {
    let of = match (function, item) {
        (AggregateFunction::Count, "true") => None,
        _ => Some(operand(function.word(), item)?),
    };
    Ok(Aggregate { function, of })
}

// Which columns there are, the gate knows.
fn sorted(item: &str) -> Result<SortGroups, Failure> {
    let (descending, column) = match item.strip_prefix('-') {
        Some(column) => (true, column),
        None => (false, item),
    };
    if column.is_empty() {
        let message = "has an empty name; write columns of the answer: -count,course.title";
        return Err(Failure::parameter("sort", message));
    }
    Ok(SortGroups {
        column: portreeve_http::shown(column).into_owned(),
        descending,
    })
}

#[cfg(test)]
mod tests {
    use portreeve_model::{Literal, Operand, Path};

    use super::*;

    fn read(query: &str) -> Result<AggregateRequest, Failure> {
        aggregates(CollectionName::main("grades"), query)
    }

    #[test]
    fn what_is_asked_for_keeps_its_order() {
        let request = read("group=course.title,year(due)&max=score,due&count=true,score&sort=-count,course.title&filter=score+%3E+7&search=x&offset=3")
            .ok()
            .unwrap();
        let query = &request.query;
        assert_eq!(query.group[0], Operand::Path(Path::parse("course.title")));
        let words: Vec<&str> = query
            .aggregates
            .iter()
            .map(|aggregate| aggregate.function.word())
            .collect();
        assert_eq!(words, ["count", "count", "max", "max"]);
        assert_eq!(query.aggregates[0].of, None);
        assert!(query.sort[0].descending && query.sort[1].column == "course.title");
        assert_eq!(query.search, Some(Literal::Caller(1)));
        assert_eq!((request.limit, request.offset), (1_000, 3));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bad in [
            "count=",
            "sum=",
            "sum=a,",
            "group=a b",
            "group=year(a",
            "group=a%20or%20b",
            "sort=-&count=true",
            "limit=0",
            "limit=1001",
            "total=true",
            "sum=a&sum=b",
            "having=count",
            "filter=",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
