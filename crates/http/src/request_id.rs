//! Request ids: every request has one, from the first log line to the answer's header.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header a request id comes and goes in.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids: unique across restarts by the seed, within one by the count. They need not be unpredictable.
#[derive(Debug)]
pub struct RequestIds {
    seed: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// A maker of ids that begin with this seed.
    pub fn new(seed: u32) -> Self {
        Self {
            seed,
            next: AtomicU64::new(1),
        }
    }

    /// The id of a request: its own where it brought a sane one, otherwise a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let mut sent = headers.get_all(&REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_sane(id.as_bytes()) => id.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [b'-'; 21];
        hex(u64::from(self.seed), &mut text[..8]);
        hex(count, &mut text[9..]);
        // Hexadecimal digits and a dash always are a header value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// The id the guard has settled on; empty in front of the guard.
pub fn request_id(headers: &HeaderMap) -> &str {
    headers
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
}

// What goes into logs and back into headers must not be able to forge either.
fn is_sane(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

// The lowest digits of `number`, as many as fit.
fn hex(mut number: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in out.iter_mut().rev() {
        *byte = DIGITS[usize::from((number & 15) as u8)];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_when_sane_and_made_otherwise() {
        let ids = RequestIds::new(0xabcd);
        let mut headers = HeaderMap::new();
        assert_eq!(ids.of(&headers), "0000abcd-000000000001");
        assert_eq!(ids.of(&headers), "0000abcd-000000000002");
        headers.insert(&REQUEST_ID, HeaderValue::from_static("a-b_c.9"));
        assert_eq!(ids.of(&headers), "a-b_c.9");
        headers.append(&REQUEST_ID, HeaderValue::from_static("second"));
        assert_eq!(ids.of(&headers), "0000abcd-000000000003");
        for bad in ["", "a b", "a\"b", "${jndi}", &"x".repeat(65)] {
            headers.insert(&REQUEST_ID, HeaderValue::from_str(bad).unwrap());
            assert_ne!(ids.of(&headers), bad);
        }
    }
}
