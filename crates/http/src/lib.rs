//! Kit for faces: what every wire protocol needs of HTTP and none of them should write twice.
//!
//! Request ids, the bearer token, the client's address, bodies with limits, strict JSON and query strings, the guard
//! around a router, problem details and the writer that turns records into bytes as the store pushes them.
//!
//! It must not know what is asked: no collection, no rule, no account. Whatever is refused here is an enum that a face
//! maps to its own wire format; only the guard, which stands in front of every face, answers by itself. To add a
//! limit: a variant in the enum of its module, and every face's error map fails to compile until it says what to
//! answer.

mod bearer;
mod body;
mod cookies;
mod events;
mod guard;
mod headers;
mod json;
mod limits;
mod loopback;
mod nearest;
mod origin;
mod peer;
mod problem;
mod query;
mod request_id;
mod shown;
mod sink;

pub use bearer::{MalformedToken, bearer};
pub use body::{BodyError, MAX_BODY, MediaType, media_type, read_body, read_text};
pub use cookies::{MalformedCookie, SameSite, SessionCookie};
pub use events::{Events, Gone, event_stream, write_event, write_keep_alive};
pub use guard::{Guard, guarded};
pub use headers::{DECISION_ID, bytes_response};
pub use json::{JsonError, MAX_DEPTH, parse_json};
pub use limits::RateLimit;
pub use loopback::{ForeignSite, check_loopback};
pub use nearest::{did_you_mean, nearest};
pub use origin::{CrossSite, check_same_origin, check_site};
pub use peer::{BadForward, Peer, Proxies, peer};
pub use problem::{Problem, internal_problem};
pub use query::{Pairs, QueryError, pairs};
pub use request_id::{REQUEST_ID, RequestIds, request_id};
pub use shown::shown;
pub use sink::JsonSink;
