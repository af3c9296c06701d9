//! `If-Match` and `If-None-Match`: how a record has to be for a request to be done.

use axum::http::{HeaderMap, HeaderName, header};
use portreeve_model::EntityTag;
use portreeve_service::Precondition;

use crate::error::Failure;

/// What a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: any state of the record.
    Any,
    /// These states; those that are none of ours are left out, since no record is ever in one.
    These(Vec<EntityTag>),
}

/// The conditions of a read: whether a record with this tag is what the client has already.
pub(crate) fn known_already(headers: &HeaderMap, tag: EntityTag) -> Result<bool, Failure> {
    none(headers, &header::IF_MATCH, "a change of one record")?;
    Ok(match read(headers, &header::IF_NONE_MATCH, true)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => tags.contains(&tag),
    })
}

/// The condition of a change or deletion of a record.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Precondition, Failure> {
    none(headers, &header::IF_NONE_MATCH, "GET, and with PUT as *")?;
    matches(headers)
}

/// The condition of a record that is put.
pub(crate) fn put_condition(headers: &HeaderMap) -> Result<Precondition, Failure> {
    match (
        matches(headers)?,
        read(headers, &header::IF_NONE_MATCH, true)?,
    ) {
        (condition, None) => Ok(condition),
        (Precondition::None, Some(Tags::Any)) => Ok(Precondition::Absent),
        (Precondition::None, Some(Tags::These(_))) => Err(Failure::condition(
            &header::IF_NONE_MATCH,
            "is * here: make the record only if there is none",
        )),
        _ => Err(Failure::condition(
            &header::IF_NONE_MATCH,
            "does not go together with if-match",
        )),
    }
}

/// Refuses conditions where there is not one record they could be about.
pub(crate) fn no_condition(headers: &HeaderMap) -> Result<(), Failure> {
    none(headers, &header::IF_MATCH, "one record")?;
    none(headers, &header::IF_NONE_MATCH, "one record")
}

fn none(headers: &HeaderMap, name: &HeaderName, with: &str) -> Result<(), Failure> {
    if headers.contains_key(name) {
        let message = format!("goes with {with} only; leave it out");
        return Err(Failure::condition(name, message));
    }
    Ok(())
}

fn matches(headers: &HeaderMap) -> Result<Precondition, Failure> {
    Ok(match read(headers, &header::IF_MATCH, false)? {
        None => Precondition::None,
        Some(Tags::Any) => Precondition::Present,
        Some(Tags::These(tags)) => Precondition::Matches(tags),
    })
}

// A weak tag is as good as a strong one where it only spares the client an answer, and never where he changes something.
fn read(headers: &HeaderMap, name: &HeaderName, weak: bool) -> Result<Option<Tags>, Failure> {
    let mut found = None;
    for line in headers.get_all(name) {
        let text = line.to_str().unwrap_or("?");
        let read = if text.trim() == "*" {
            Some(Tags::Any)
        } else {
            list(text, weak).map(Tags::These)
        };
        let message = "is * or tags as ETag gives them, with commas between: \"…\", \"…\"";
        let read = read.ok_or_else(|| Failure::condition(name, message))?;
        found = Some(match (found, read) {
            (None, read) => read,
            (Some(Tags::These(mut all)), Tags::These(more)) => {
                all.extend(more);
                Tags::These(all)
            }
            _ => return Err(Failure::condition(name, message)),
        });
    }
    Ok(found)
}

fn list(text: &str, weak: bool) -> Option<Vec<EntityTag>> {
    let mut tags = vec![];
    let mut rest = text.trim();
    loop {
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        if weak || !is_weak {
            tags.extend(EntityTag::parse(tag));
        }
        rest = behind.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn tags_are_read_as_they_are_given() {
        let (one, two) = (EntityTag::of_json(b"1"), EntityTag::of_json(b"2"));
        let (a, b) = (one.text(), two.text());
        let read = |text: String| {
            let headers = headers(&[(&header::IF_MATCH, &text)]);
            condition(&headers).ok()
        };
        assert_eq!(condition(&HeaderMap::new()).ok(), Some(Precondition::None));
        assert_eq!(read("*".into()), Some(Precondition::Present));
        assert_eq!(
            read(format!("\"{a}\" ,\"{b}\"")),
            Some(Precondition::Matches(vec![one, two]))
        );
        // Weak tags and those of somebody else match nothing.
        assert_eq!(
            read(format!("W/\"{a}\", \"x,y\"")),
            Some(Precondition::Matches(vec![]))
        );
        for wrong in ["", a.as_str(), "\"", "\"a\",", "\"a\" \"b\"", "*, \"a\""] {
            assert_eq!(read(wrong.into()), None, "{wrong}");
        }
        let both = headers(&[
            (&header::IF_MATCH, &format!("\"{a}\"")),
            (&header::IF_MATCH, &format!("\"{b}\"")),
        ]);
        assert_eq!(
            condition(&both).ok(),
            Some(Precondition::Matches(vec![one, two]))
        );
    }

    #[test]
    fn each_method_has_its_conditions() {
        let tag = EntityTag::of_json(b"1");
        let text = format!("W/\"{}\"", tag.text());
        let if_none_match = headers(&[(&header::IF_NONE_MATCH, &text)]);
        assert_eq!(known_already(&if_none_match, tag).ok(), Some(true));
        let other = EntityTag::of_json(b"2");
        assert_eq!(known_already(&if_none_match, other).ok(), Some(false));
        assert!(condition(&if_none_match).is_err() && put_condition(&if_none_match).is_err());
        let any = headers(&[(&header::IF_NONE_MATCH, "*")]);
        assert_eq!(put_condition(&any).ok(), Some(Precondition::Absent));
        let both = headers(&[(&header::IF_NONE_MATCH, "*"), (&header::IF_MATCH, "*")]);
        assert!(put_condition(&both).is_err());
        let if_match = headers(&[(&header::IF_MATCH, "*")]);
        assert!(known_already(&if_match, tag).is_err() && no_condition(&if_match).is_err());
    }
}
