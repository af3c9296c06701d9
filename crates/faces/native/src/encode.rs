//! What goes out.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use portreeve_http::bytes_response;
use portreeve_model::EntityTag;
use portreeve_service::Portreeve;
use serde::Serialize;

/// The header that says by which version of the policy an answer was made.
static POLICY_VERSION: HeaderName = HeaderName::from_static("portreeve-policy-version");

const JSON: &str = "application/json";

/// An answer of JSON bytes.
pub(crate) fn json_bytes(portreeve: &Portreeve, status: StatusCode, bytes: Vec<u8>) -> Response {
    with_policy_version(portreeve, bytes_response(status, JSON, bytes))
}

/// An answer with the version of the policy it was made by.
pub(crate) fn with_policy_version(portreeve: &Portreeve, mut response: Response) -> Response {
    let version = HeaderValue::from(portreeve.policy_version());
    response.headers_mut().insert(&POLICY_VERSION, version);
    response
}

/// An answer that is this value.
pub(crate) fn json(portreeve: &Portreeve, status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_bytes(portreeve, status, bytes),
        // Texts, numbers and lists of ours can always be written; if not, the guard answers.
        Err(_) => bytes_response(StatusCode::INTERNAL_SERVER_ERROR, JSON, Body::empty()),
    }
}

/// `{"data": …}`
pub(crate) fn data(portreeve: &Portreeve, status: StatusCode, value: &impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Data<'a, T> {
        data: &'a T,
    }
    json(portreeve, status, &Data { data: value })
}

/// An answer without a body.
pub(crate) fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An answer without a body to what will be done later, if there is something to do.
pub(crate) fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// The same with the place of what was made: `/v1/records/`, then segments.
pub(crate) fn located(mut response: Response, base: &str, segments: &[&str]) -> Response {
    let mut location = base.to_owned();
    for segment in segments {
        location.push('/');
        push_segment(&mut location, segment);
    }
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The same with the tag of the record as the caller reads it, where he may.
pub(crate) fn tagged(mut response: Response, tag: Option<EntityTag>) -> Response {
    let text = tag.map(|tag| format!("\"{}\"", tag.text()));
    if let Some(tag) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

// RFC 3986: everything but the unreserved characters is escaped, a slash too.
fn push_segment(out: &mut String, segment: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        let response = located(nothing(), "/v1/records", &["shop/orders", "a b/é"]);
        assert_eq!(
            response.headers()[header::LOCATION],
            "/v1/records/shop%2Forders/a%20b%2F%C3%A9"
        );
    }
}
