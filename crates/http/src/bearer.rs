//! `Authorization: Bearer …`.

use axum::http::{HeaderMap, header};

/// No token is this long; a longer one is not even looked at.
const MAX_TOKEN: usize = 4096;

/// Why the `Authorization` header is no bearer token. Holds nothing of the header: it may be somebody's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedToken;

impl std::fmt::Display for MalformedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the Authorization header must be: Bearer, one space, and the token")
    }
}

impl std::error::Error for MalformedToken {}

/// The token of a request; `None` where the request has no `Authorization` header at all. A header that is there and
/// not understood is an error, never the same as none: a typo must not turn into an anonymous request.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, MalformedToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(MalformedToken);
    }
    let text = value.to_str().map_err(|_| MalformedToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(MalformedToken)?;
    // RFC 6750: the scheme in any case, the token in the alphabet of base64 and base64url.
    let good = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= MAX_TOKEN
        && token.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
        });
    if good {
        Ok(Some(token))
    } else {
        Err(MalformedToken)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn only_a_whole_bearer_header_is_a_token() {
        assert_eq!(bearer(&with(&[])), Ok(None));
        assert_eq!(
            bearer(&with(&[b"Bearer ab.c-_~+/="])),
            Ok(Some("ab.c-_~+/="))
        );
        assert_eq!(bearer(&with(&[b"bearer abc"])), Ok(Some("abc")));
        for bad in [
            &b""[..],
            b"abc",
            b"Bearer",
            b"Bearer ",
            b"Bearer  abc",
            b"Bearer a b",
            b"Bearer a\xff",
            b"Bearer \"a\"",
            b"Basic YTpi",
        ] {
            assert_eq!(bearer(&with(&[bad])), Err(MalformedToken));
        }
        assert_eq!(
            bearer(&with(&[b"Bearer abc", b"Bearer abc"])),
            Err(MalformedToken)
        );
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
        assert_eq!(bearer(&with(&[long.as_bytes()])), Err(MalformedToken));
    }
}
