//! The parameters of a list, and of one record.

use portreeve_http::{JsonError, parse_json};
use portreeve_model::{
    CollectionName, Expand, Literal, Operand, Page, Path, Query, RecordQuery, Rule, SortBy,
};
use portreeve_service::{
    ListRequest, RuleError, parse_operand, parse_rule, rule_from_json, take_literals,
};

use super::cursor::read_cursor;
use super::{Parameters, stamp};
use crate::error::Failure;

pub(crate) const LIST: &[&str] = &[
    "filter", "sort", "fields", "expand", "limit", "offset", "cursor", "search", "total",
];
pub(crate) const ONE: &[&str] = &["fields", "expand"];

const DEFAULT_LIMIT: u32 = 50;
pub(super) const MAX_LIMIT: u64 = 1_000;
/// Whoever wants to go further uses a cursor, which costs the same everywhere.
pub(super) const MAX_OFFSET: u64 = 1_000_000_000;
const MAX_SEARCH_BYTES: usize = 200;
/// No name is longer, so a longer one is only shown in part.
const MAX_NAME_BYTES: usize = 63;
/// The gate has a lower limit, and a better message; this one keeps the tree from eating the stack.
const MAX_EXPAND_DEPTH: usize = 16;

/// A list that is asked for.
pub(crate) struct ListAsk {
    /// What the service is asked.
    pub request: ListRequest,
    /// What the next cursor belongs to.
    pub stamp: u64,
}

/// Reads the parameters of a list.
pub(crate) fn list(collection: CollectionName, query: &str) -> Result<ListAsk, Failure> {
    let mut parameters = Parameters::read(query, LIST)?;
    let (filter_text, sort_text) = (parameters.take("filter"), parameters.take("sort"));
    let search_text = parameters.take("search");
    let total = parameters.take_flag("total")?;
    let limit = match parameters.take_number("limit", MAX_LIMIT)? {
        None => DEFAULT_LIMIT,
        Some(0) if !total => {
            let message = "0 asks for no records, which makes sense with total=true only";
            return Err(Failure::parameter("limit", message));
        }
        Some(limit) => u32::try_from(limit).unwrap_or(DEFAULT_LIMIT),
    };
    let offset = parameters.take_number("offset", MAX_OFFSET)?;
    let cursor_text = parameters.take("cursor");
    if offset.is_some() && cursor_text.is_some() {
        let message = "cannot be used with offset; leave one of them out";
        return Err(Failure::parameter("cursor", message));
    }
    let (fields, expand) = choice(&mut parameters)?;

    let mut values = vec![];
    let filter = filter_text
        .as_deref()
        .map(|text| filter(text, &mut values))
        .transpose()?;
    let search = search_text
        .as_deref()
        .map(|text| search(text, &mut values))
        .transpose()?;
    let sort = sort_text
        .as_deref()
        .map(sort)
        .transpose()?
        .unwrap_or_default();

    let stamp = if limit == 0 {
        0
    } else {
        let parts = [
            sort_text.as_deref(),
            filter_text.as_deref(),
            search_text.as_deref(),
        ];
        stamp(&collection.to_string(), parts)
    };
    let (mut page, mut cursor) = (Page::Offset, vec![]);
    if let Some(text) = cursor_text {
        // A key that is made of columns adds them to the order; the gate counts them.
        let known = read_cursor(&text, stamp).filter(|values| values.len() > sort.len());
        let message = "does not belong to this list; use the one its last page has given, with the same sort, filter and search";
        cursor = known.ok_or_else(|| Failure::parameter("cursor", message))?;
        let nulls = cursor[..cursor.len() - 1]
            .iter()
            .map(|value| value.is_null())
            .collect();
        page = Page::After {
            first: values.len(),
            nulls,
        };
    }
    let query = Query {
        collection,
        fields,
        filter,
        search,
        sort,
        page,
        total,
        expand,
    };
    let offset = offset.unwrap_or(0);
    Ok(ListAsk {
        request: ListRequest {
            query,
            values,
            cursor,
            limit,
            offset,
        },
        stamp,
    })
}

/// Reads the parameters of one record.
pub(crate) fn one(collection: CollectionName, query: &str) -> Result<RecordQuery, Failure> {
    let mut parameters = Parameters::read(query, ONE)?;
    let (fields, expand) = choice(&mut parameters)?;
    Ok(RecordQuery {
        collection,
        fields,
        expand,
    })
}

/// A caller's filter, its values taken out.
pub(super) fn filter(text: &str, values: &mut Vec<Literal>) -> Result<Rule, Failure> {
    if text.trim_start().starts_with('{') {
        let json = parse_json(text.as_bytes()).map_err(
            |JsonError {
                 column, message, ..
             }| { Failure::filter(Some(column), message) },
        )?;
        return filter_json(&json, values);
    }
    let rule = parse_rule(text).map_err(|RuleError { offset, message }| {
        let before = text.get(..offset).unwrap_or(text);
        Failure::filter(Some(before.chars().count() + 1), message)
    })?;
    Ok(take_literals(rule, values))
}

pub(super) fn filter_json(
    json: &serde_json::Value,
    values: &mut Vec<Literal>,
) -> Result<Rule, Failure> {
    let rule = rule_from_json(json).map_err(|error| Failure::filter(None, error.message))?;
    Ok(take_literals(rule, values))
}

pub(super) fn search(text: &str, values: &mut Vec<Literal>) -> Result<Literal, Failure> {
    if text.is_empty() || text.len() > MAX_SEARCH_BYTES {
        let message = format!("is a text of 1 to {MAX_SEARCH_BYTES} bytes");
        return Err(Failure::parameter("search", message));
    }
    values.push(Literal::Text(text.into()));
    Ok(Literal::Caller(values.len() - 1))
}

fn sort(text: &str) -> Result<Vec<SortBy>, Failure> {
    let one = |item| {
        let (descending, name) = match str::strip_prefix(item, '-') {
            Some(name) => (true, name),
            None => (false, item),
        };
        Ok(SortBy {
            by: operand("sort", name)?,
            descending,
        })
    };
    text.split(',').map(one).collect()
}

// A field, or what is written as a call: `count(answers)`, `year(due)`.
pub(super) fn operand(parameter: &'static str, text: &str) -> Result<Operand, Failure> {
    if !text.contains('(') {
        return Ok(Operand::Path(Path(path(parameter, text)?)));
    }
    parse_operand(text).map_err(|RuleError { message, .. }| {
        let text = portreeve_http::shown(text);
        Failure::parameter(parameter, format!("has '{text}': {message}"))
    })
}

/// `course.title` as names.
pub(super) fn path(parameter: &'static str, text: &str) -> Result<Vec<String>, Failure> {
    text.split('.')
        .map(|name| checked(parameter, name))
        .collect()
}

fn checked(parameter: &'static str, name: &str) -> Result<String, Failure> {
    if name.is_empty() {
        let message =
            "has an empty name; write names with commas between them: id,score,course.title";
        return Err(Failure::parameter(parameter, message));
    }
    if name.len() > MAX_NAME_BYTES || name.contains(char::is_whitespace) {
        let message = format!(
            "has '{}', which is no name; write names with commas and no spaces between them",
            portreeve_http::shown(name)
        );
        return Err(Failure::parameter(parameter, message));
    }
    Ok(name.into())
}

// Which fields, and which relations with which of theirs. `None` is every readable field.
fn choice(parameters: &mut Parameters<'_>) -> Result<(Option<Vec<String>>, Vec<Expand>), Failure> {
    let mut expand = vec![];
    if let Some(text) = parameters.take("expand") {
        for item in text.split(',') {
            let names = path("expand", item)?;
            if names.len() > MAX_EXPAND_DEPTH {
                let message = format!("goes deeper than {MAX_EXPAND_DEPTH} relations");
                return Err(Failure::parameter("expand", message));
            }
            grow(&mut expand, names);
        }
    }
    let mut fields: Option<Vec<String>> = None;
    if let Some(text) = parameters.take("fields") {
        for item in text.split(',') {
            let mut names = path("fields", item)?;
            let field = names.pop().unwrap_or_default();
            match names.as_slice() {
                [] => fields.get_or_insert_default().push(field),
                way => choose(&mut expand, way, field)?,
            }
        }
    }
    Ok((fields, expand))
}

// `course.teacher` expands the course on the way.
fn grow(expand: &mut Vec<Expand>, names: Vec<String>) {
    let mut level = expand;
    for name in names {
        let place = level.iter().position(|known| known.relation == name);
        let place = place.unwrap_or_else(|| {
            level.push(Expand {
                relation: name,
                fields: None,
                expand: vec![],
            });
            level.len() - 1
        });
        level = &mut level[place].expand;
    }
}

fn choose(expand: &mut [Expand], way: &[String], field: String) -> Result<(), Failure> {
    let (first, rest) = way.split_first().unwrap_or((&field, &[]));
    let Some(known) = expand.iter_mut().find(|known| known.relation == *first) else {
        let way = way.join(".");
        let message = format!(
            "names a field of '{}', which is not expanded; add it to expand",
            portreeve_http::shown(&way)
        );
        return Err(Failure::parameter("fields", message));
    };
    if rest.is_empty() {
        known.fields.get_or_insert_default().push(field);
        return Ok(());
    }
    choose(&mut known.expand, rest, field)
}

#[cfg(test)]
mod tests {
    use portreeve_model::DatePart;

    use super::*;

    fn read(query: &str) -> Result<ListRequest, Failure> {
        list(CollectionName::main("grades"), query).map(|ask| ask.request)
    }

    fn good(query: &str) -> ListRequest {
        read(query).ok().unwrap_or_else(|| panic!("{query}"))
    }

    #[test]
    fn nothing_asked_is_the_first_fifty() {
        let request = good("");
        assert_eq!((request.limit, request.offset), (50, 0));
        assert_eq!(request.query.fields, None);
        assert!(!request.query.total && request.query.sort.is_empty());
    }

    #[test]
    fn filters_are_text_or_json_and_their_values_are_taken_out() {
        let text = good("filter=score+%3E+7+and+comment+contains+'x'");
        let json = good(
            "filter=%7B%22and%22%3A%5B%7B%22%3E%22%3A%5B%7B%22field%22%3A%22score%22%7D%2C7%5D%7D%2C%7B%22contains%22%3A%5B%7B%22field%22%3A%22comment%22%7D%2C%22x%22%5D%7D%5D%7D",
        );
        assert_eq!(text.query, json.query);
        assert_eq!(
            text.values,
            [Literal::Number("7".into()), Literal::Text("x".into())]
        );
        assert_eq!(text.values, json.values);
        let searched = good("search=x&filter=score+%3E+7");
        assert_eq!(searched.query.search, Some(Literal::Caller(1)));
    }

    #[test]
    fn fields_and_relations_make_a_tree() {
        let request = good(
            "fields=id,score,course.title,course.teacher.name&expand=course,course.teacher,answers",
        );
        assert_eq!(
            request.query.fields,
            Some(vec!["id".into(), "score".into()])
        );
        let [course, answers] = &request.query.expand[..] else {
            panic!()
        };
        assert_eq!(course.relation, "course");
        assert_eq!(course.fields, Some(vec!["title".into()]));
        assert_eq!(course.expand[0].fields, Some(vec!["name".into()]));
        assert_eq!(
            (answers.relation.as_str(), &answers.fields),
            ("answers", &None)
        );
        assert_eq!(good("fields=course.title&expand=course").query.fields, None);
    }

    #[test]
    fn sorts_are_names_with_a_sign() {
        let sort = good("sort=-score,course.title").query.sort;
        assert!(sort[0].descending && !sort[1].descending);
        assert_eq!(sort[1].by, Operand::Path(Path::parse("course.title")));
        let sort = good("sort=-count(answers),year(course.starts)").query.sort;
        assert_eq!(sort[0].by, Operand::Count(Path::parse("answers")));
        let starts = Operand::Path(Path::parse("course.starts"));
        assert_eq!(sort[1].by, Operand::Part(DatePart::Year, Box::new(starts)));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bad in [
            "filter=",
            "filter=score+%3E",
            "filter=%7B",
            "filter=%7B%7D",
            "filter=%7B%22caller%22%3A0%7D",
            "sort=",
            "sort=-",
            "sort=a,,b",
            "sort=a..b",
            "sort=a%20desc",
            "sort=sum(a)",
            "sort=year(a",
            "fields=course.title",
            "fields=a.b.c&expand=a",
            "fields=,",
            "expand=.",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "offset=1&cursor=x",
            "cursor=x",
            "search=",
            "total=yes",
            "page=2",
            "limit=1&limit=2",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(good("limit=0&total=true").limit, 0);
        let deep = format!("expand={}", vec!["a"; 30_000].join("."));
        assert!(read(&deep).is_err());
    }
}
