//! Request bodies: bounded in size and time, of the type they say they are.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;

/// The largest body taken, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// How long the whole body may take to arrive. Without a limit, a client that sends a byte a minute holds its
/// connection for ever.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Why a body cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Larger than [`MAX_BODY`].
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke in the middle of it.
    Broken,
    /// Not UTF-8.
    NotUtf8 {
        /// The first byte that is not, from 0.
        offset: usize,
    },
}

/// What a body says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json` or `application/…+json`.
    Json,
    /// `application/yaml` and its older names.
    Yaml,
    /// Anything else.
    Other,
}

/// What the `Content-Type` says; `None` where there is none. Any charset but UTF-8 is something else.
pub fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str();
    let Ok(text) = text else {
        return Some(MediaType::Other);
    };
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        if key.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Some(MediaType::Other);
        }
    }
    Some(match name.as_str() {
        "application/json" => MediaType::Json,
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => MediaType::Yaml,
        name if name.starts_with("application/") && name.ends_with("+json") => MediaType::Json,
        _ => MediaType::Other,
    })
}

/// Reads a body whole.
pub async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, BodyError> {
    // Said before it is sent: refused without reading it.
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(MAX_TIME, axum::body::to_bytes(body, MAX_BODY)).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

/// Reads a body whole, as text.
pub async fn read_text(headers: &HeaderMap, body: Body) -> Result<String, BodyError> {
    let bytes = read_body(headers, body).await?;
    String::from_utf8(bytes.into()).map_err(|error| BodyError::NotUtf8 {
        offset: error.utf8_error().valid_up_to(),
    })
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(value: &'static str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        media_type(&headers)
    }

    #[test]
    fn media_types_are_told_apart() {
        assert_eq!(media_type(&HeaderMap::new()), None);
        assert_eq!(typed("application/json"), Some(MediaType::Json));
        assert_eq!(
            typed("Application/JSON; charset=\"UTF-8\""),
            Some(MediaType::Json)
        );
        assert_eq!(typed("application/merge-patch+json"), Some(MediaType::Json));
        assert_eq!(typed("application/yaml"), Some(MediaType::Yaml));
        assert_eq!(typed("text/plain"), Some(MediaType::Other));
        assert_eq!(
            typed("application/json; charset=latin1"),
            Some(MediaType::Other)
        );
        assert_eq!(typed("application/jsonx"), Some(MediaType::Other));
    }

    #[tokio::test]
    async fn bodies_are_bounded_whether_announced_or_not() {
        let read = async |length: Option<&str>, size: usize| {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            }
            let body = Body::from(vec![b'x'; size]);
            read_body(&headers, body).await.map(|bytes| bytes.len())
        };
        assert_eq!(read(None, MAX_BODY).await, Ok(MAX_BODY));
        assert_eq!(read(None, MAX_BODY + 1).await, Err(BodyError::TooLarge));
        assert_eq!(read(Some("1048577"), 0).await, Err(BodyError::TooLarge));
        let text = read_text(&HeaderMap::new(), Body::from(&b"ab\xff"[..])).await;
        assert_eq!(text, Err(BodyError::NotUtf8 { offset: 2 }));
    }
}
