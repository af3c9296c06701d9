//! The headers every answer carries.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

/// The header that names the decision behind an answer, where its body must not differ from another's.
pub static DECISION_ID: HeaderName = HeaderName::from_static("portreeve-decision-id");

/// An answer made of bytes that are already there.
pub fn bytes_response(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Body>,
) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Adds what protects an answer in a browser and in caches, unless a face has said otherwise.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let defaults = [
        // Answers depend on who asks: nothing between us and him may keep one (catalogue T59, T64).
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Data that a browser is made to show as a page can run nothing, load nothing and be framed nowhere.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    headers.reserve(defaults.len() + 1);
    for (name, value) in defaults {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}
