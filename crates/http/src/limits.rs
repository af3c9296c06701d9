//! How many requests are left, in the headers of draft-ietf-httpapi-ratelimit-headers.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Its name: letters, digits and dashes.
    pub name: &'static str,
    /// How many there are.
    pub limit: u32,
    /// In how many seconds.
    pub window: u64,
    /// How many are left.
    pub remaining: u32,
    /// In how many seconds all are back.
    pub reset: u64,
}

impl RateLimit {
    /// Says so in an answer.
    pub fn tell(&self, response: &mut Response) {
        let Self {
            name,
            limit,
            window,
            remaining,
            reset,
        } = self;
        let headers = [
            (&POLICY, format!("\"{name}\";q={limit};w={window}")),
            (&LEFT, format!("\"{name}\";r={remaining};t={reset}")),
        ];
        for (name, text) in headers {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_two_structured_fields() {
        let mut response = Response::new(axum::body::Body::empty());
        let limit = RateLimit {
            name: "sign-in",
            limit: 10,
            window: 60,
            remaining: 3,
            reset: 42,
        };
        limit.tell(&mut response);
        assert_eq!(
            response.headers()["ratelimit-policy"],
            "\"sign-in\";q=10;w=60"
        );
        assert_eq!(response.headers()["ratelimit"], "\"sign-in\";r=3;t=42");
    }
}
