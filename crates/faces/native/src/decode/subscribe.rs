//! The parameters of a subscription.

use portreeve_model::{CollectionName, Page, Query};
use portreeve_service::{ServiceError, SubscribeRequest};

use super::Parameters;
use super::list::{filter, path};
use crate::error::Failure;

pub(crate) const SUBSCRIBE: &[&str] = &["collection", "filter", "fields"];

/// Reads the parameters of a subscription.
pub(crate) fn subscribe(query: &str) -> Result<SubscribeRequest, Failure> {
    let mut parameters = Parameters::read(query, SUBSCRIBE)?;
    let Some(collection) = parameters.take("collection") else {
        let message = "is missing; name the collection whose changes are wanted";
        return Err(Failure::parameter("collection", message));
    };
    // What is no name cannot be there.
    let collection = CollectionName::parse(&collection).map_err(|_| ServiceError::NotFound)?;
    let mut values = vec![];
    let filter_text = parameters.take("filter");
    let filter = filter_text
        .as_deref()
        .map(|text| filter(text, &mut values))
        .transpose()?;
    let fields = parameters
        .take("fields")
        .as_deref()
        .map(fields)
        .transpose()?;
    let query = Query {
        collection,
        fields,
        filter,
        search: None,
        sort: vec![],
        page: Page::Offset,
        total: false,
        expand: vec![],
    };
    Ok(SubscribeRequest { query, values })
}

fn fields(text: &str) -> Result<Vec<String>, Failure> {
    let one = |item| {
        let mut names = path("fields", item)?;
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            _ => {
                let message =
                    "names a field of another record; a change shows the fields of its own";
                Err(Failure::parameter("fields", message))
            }
        }
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use portreeve_model::Literal;

    use super::*;

    #[test]
    fn a_collection_a_filter_and_fields_are_read_and_nothing_else() {
        let read = subscribe("collection=shop%2Forders&filter=label+%3D+'x'&fields=id,label");
        let request = read.ok().unwrap();
        assert_eq!(request.query.collection.to_string(), "shop/orders");
        assert_eq!(request.values, [Literal::Text("x".into())]);
        assert_eq!(
            request.query.fields,
            Some(vec!["id".into(), "label".into()])
        );
        for bad in [
            "",
            "filter=a+%3D+1",
            "collection=",
            "collection=a&collection=b",
            "collection=a%20b",
            "collection=a&limit=1",
            "collection=a&expand=b",
            "collection=a&sort=b",
            "collection=a&fields=",
            "collection=a&fields=b.c",
            "collection=a&filter=",
            "collection=a&filter=x+%3E",
        ] {
            assert!(subscribe(bad).is_err(), "{bad}");
        }
    }
}
