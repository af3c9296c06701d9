//! What stands around every face: the request id, development mode's door, the protecting headers, and the net under
//! whatever goes wrong inside.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::headers::secure;
use crate::peer::{BadForward, Client};
use crate::{
    DECISION_ID, ForeignSite, Problem, Proxies, REQUEST_ID, RequestIds, check_loopback,
    internal_problem, request_id,
};

/// The settings of the guard.
#[derive(Debug)]
pub struct Guard {
    /// Answer this machine's own pages and programs only: development mode.
    pub loopback_only: bool,
    /// Proxies in front of us.
    pub proxies: Proxies,
    /// Makes request ids.
    pub ids: RequestIds,
}

/// Puts the guard around a router, its fallbacks included.
pub fn guarded(router: Router, guard: Guard) -> Router {
    router.layer(axum::middleware::from_fn_with_state(Arc::new(guard), run))
}

async fn run(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let id = guard.ids.of(request.headers());
    request.headers_mut().insert(&REQUEST_ID, id.clone());
    let foreign = guard
        .loopback_only
        .then(|| check_loopback(request.uri(), request.headers()).err())
        .flatten();
    let client = guard
        .proxies
        .client(request.extensions(), request.headers());
    let mut response = match (foreign, client) {
        (Some(foreign), _) => foreign_problem(foreign).into_response(),
        // Nobody's address is no address to judge by.
        (None, Err(BadForward)) => bad_forward().into_response(),
        (None, Ok(client)) => {
            if let Some(client) = client {
                request.extensions_mut().insert(Client(client));
            }
            answer(request, next).await
        }
    };
    if response.status().is_server_error() && response.status() != StatusCode::SERVICE_UNAVAILABLE {
        // Whatever a handler wanted to say about its failure stays inside.
        response = internal_problem(id.to_str().unwrap_or_default()).into_response();
    }
    secure(response.headers_mut());
    response.headers_mut().insert(&REQUEST_ID, id);
    response
}

async fn answer(request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        let id = request.headers().get(&REQUEST_ID).cloned();
        return caught(
            next.run(request),
            id.as_ref().and_then(|id| id.to_str().ok()),
        )
        .await;
    }
    // The query string stays out of the log: filters hold people's data.
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let id = request_id(request.headers()).to_owned();
    let start = Instant::now();
    let response = caught(next.run(request), Some(&id)).await;
    tracing::debug!(
        request_id = %id,
        decision_id = response.headers().get(&DECISION_ID).and_then(|id| id.to_str().ok()),
        method = %method,
        path = %crate::shown(&path),
        status = response.status().as_u16(),
        micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    response
}

// A panic in a handler is this request's failure and nobody else's.
async fn caught(running: impl Future<Output = Response>, id: Option<&str>) -> Response {
    let mut running = pin!(running);
    let caught = std::future::poll_fn(|context| {
        // The future is dropped after a panic and never polled again, so nothing half changed is seen.
        match std::panic::catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
            Err(_) => Poll::Ready(None),
        }
    })
    .await;
    caught.unwrap_or_else(|| {
        tracing::error!(
            request_id = id.unwrap_or_default(),
            "a handler panicked; its message stands above this line"
        );
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

fn foreign_problem(foreign: ForeignSite) -> Problem {
    let detail = match foreign {
        ForeignSite::Host => {
            "Development mode answers under localhost, 127.0.0.1 and [::1] only; use one of these names, or serve without --dev."
        }
        ForeignSite::Origin => {
            "Development mode does not answer pages of other sites; open the page from localhost, or serve without --dev."
        }
    };
    Problem::new(
        StatusCode::FORBIDDEN,
        "foreign_site",
        "Another site's request",
        detail,
    )
}

fn bad_forward() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_forwarded_for",
        "The proxy does not say for whom it asks",
        "The proxy's X-Forwarded-For must end with the address of its client.",
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{HeaderMap, header};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(
        loopback_only: bool,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, String) {
        async fn boom() -> &'static str {
            panic!("as planned")
        }
        let router = Router::new()
            .route("/good", get(|| async { "good" }))
            .route("/boom", get(boom))
            .route(
                "/leak",
                get(|| async { (StatusCode::BAD_GATEWAY, "secret") }),
            );
        let guard = Guard {
            loopback_only,
            proxies: Proxies(vec!["10.0.0.0/8".parse().unwrap()]),
            ids: RequestIds::new(1),
        };
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = guarded(router, guard).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (
            parts.status,
            parts.headers,
            String::from_utf8(bytes.into()).unwrap(),
        )
    }

    #[tokio::test]
    async fn every_answer_is_protected_and_numbered() {
        for path in ["/good", "/missing", "/boom", "/leak"] {
            let (_, headers, _) = ask(false, path, &[("x-request-id", "mine-1")]).await;
            assert_eq!(headers[&REQUEST_ID], "mine-1", "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'"));
        }
        let (_, headers, _) = ask(false, "/good", &[]).await;
        assert_eq!(headers[&REQUEST_ID], "00000001-000000000001");
    }

    #[tokio::test]
    async fn a_failure_shows_nothing_but_the_request_id() {
        for path in ["/boom", "/leak"] {
            let (status, _, body) = ask(false, path, &[("x-request-id", "mine-2")]).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(body.contains("\"request_id\":\"mine-2\""), "{body}");
            assert!(
                !body.contains("secret") && !body.contains("planned"),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_proxy_says_for_whom_it_asks_or_is_refused_t56() {
        let ask = async |from: &str, forwarded: &str| {
            let router = Router::new().route(
                "/who",
                get(|request: Request| async move {
                    crate::peer(request.extensions()).map_or_else(String::new, |ip| ip.to_string())
                }),
            );
            let guard = Guard {
                loopback_only: false,
                proxies: Proxies(vec!["10.0.0.0/8".parse().unwrap()]),
                ids: RequestIds::new(1),
            };
            let mut request = Request::builder()
                .uri("/who")
                .header("x-forwarded-for", forwarded)
                .body(Body::empty())
                .unwrap();
            request
                .extensions_mut()
                .insert(crate::Peer(from.parse().unwrap()));
            let response = guarded(router, guard).oneshot(request).await.unwrap();
            let status = response.status();
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
                .await
                .unwrap();
            (status, String::from_utf8(bytes.into()).unwrap())
        };
        assert_eq!(ask("10.0.0.1", "192.0.2.1").await.1, "192.0.2.1");
        assert_eq!(ask("192.0.2.9", "192.0.2.1").await.1, "192.0.2.9");
        let (status, body) = ask("10.0.0.1", "nobody").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("bad_forwarded_for"), "{body}");
    }

    #[tokio::test]
    async fn development_mode_answers_loopback_only() {
        let (status, ..) = ask(true, "/good", &[("host", "localhost:7600")]).await;
        assert_eq!(status, StatusCode::OK);
        let (status, _, body) = ask(true, "/good", &[("host", "evil.test")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body.contains("foreign_site"), "{body}");
        let (status, ..) = ask(true, "/good", &[("origin", "https://evil.test")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let (status, ..) = ask(false, "/good", &[("host", "evil.test")]).await;
        assert_eq!(status, StatusCode::OK);
    }
}
