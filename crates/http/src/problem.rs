//! Problem details (RFC 9457).

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_model::write_json_text;

use crate::bytes_response;

/// An error as a client sees it: a status, a stable code to match on, and one sentence that names the fix.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    // Further members, already JSON: name, value.
    members: Vec<(&'static str, Vec<u8>)>,
}

impl Problem {
    /// A problem. `title` says what the code means and is the same for all problems of it; `detail` is about this
    /// request.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            members: vec![],
        }
    }

    /// The same with a further member that is a text.
    #[must_use]
    pub fn with_text(mut self, name: &'static str, text: &str) -> Self {
        let mut json = Vec::with_capacity(text.len() + 2);
        write_json_text(&mut json, text);
        self.members.push((name, json));
        self
    }

    /// The same with a further member that is a number.
    #[must_use]
    pub fn with_number(mut self, name: &'static str, number: usize) -> Self {
        self.members.push((name, number.to_string().into_bytes()));
        self
    }

    /// The same with a further member that is any JSON.
    #[must_use]
    pub fn with_json(mut self, name: &'static str, json: &serde_json::Value) -> Self {
        self.members.push((name, json.to_string().into_bytes()));
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its body.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"type\":\"/errors/");
        out.extend_from_slice(self.code.as_bytes());
        out.extend_from_slice(b"\",\"title\":");
        write_json_text(&mut out, self.title);
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.extend_from_slice(b",\"code\":");
        write_json_text(&mut out, self.code);
        out.extend_from_slice(b",\"detail\":");
        write_json_text(&mut out, &self.detail);
        for (name, json) in &self.members {
            out.push(b',');
            write_json_text(&mut out, name);
            out.push(b':');
            out.extend_from_slice(json);
        }
        out.push(b'}');
        out
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = bytes_response(self.status, "application/problem+json", self.to_json());
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750: a token that was sent and is no good is told apart from none.
            let challenge = if self.code == "invalid_token" {
                "Bearer error=\"invalid_token\""
            } else {
                "Bearer"
            };
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

/// What a client learns of an internal error: that there was one, and by which id its cause is found in the log.
pub fn internal_problem(request_id: &str) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        "The server could not finish this request. Whoever runs it finds the cause in its log under this request id.",
    )
    .with_text("request_id", request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_json_whatever_is_in_it() {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_query",
            "The query cannot be understood",
            "unknown word 'a\"b\n'",
        )
        .with_number("column", 7)
        .with_text("suggestion", "\\")
        .with_json("errors", &serde_json::json!([{ "line": 1 }]));
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/errors/invalid_query",
                "title": "The query cannot be understood",
                "status": 400,
                "code": "invalid_query",
                "detail": "unknown word 'a\"b\n'",
                "column": 7,
                "suggestion": "\\",
                "errors": [{ "line": 1 }],
            })
        );
    }
}
