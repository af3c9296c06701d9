//! The native face: our own REST API under `/v1`, which the console and the command line use.
//!
//! A request is decoded (`decode`), one method of [`Portreeve`] is called, and what comes back is encoded (`encode`) or
//! turned into a problem (`error`). This crate must not know SQL, rules or rights; whatever it does not understand is
//! an error that names the nearest word it does.
//!
//! To add an endpoint: a file for its noun with one function per method, a declaration in the file's `routes`, an example in
//! `docs/reference/api.md`; then `cargo xtask openapi`. To add an error: an entry in `error/catalogue.rs` and a row in `docs/reference/errors.md`.

mod access;
mod aggregates;
mod ask;
mod authoring;
mod batches;
mod bindings;
mod check;
mod collections;
mod decode;
mod denials;
mod development;
mod encode;
mod error;
mod errors;
mod flows;
mod health;
mod insight;
mod invitations;
mod me;
mod records;
mod register;
mod route;
mod routes;
mod sessions;
mod setup;
mod shares;
mod sign_in;
mod simulation;
mod subscribe;
mod templates;
mod users;

use std::sync::Arc;

use axum::Router;
use portreeve_http::{Guard, Proxies, RequestIds, guarded};
use portreeve_service::Portreeve;

pub use error::{CODES, Code};
pub use route::{Body, Declared, Gives, Rule};
pub use routes::declared;

/// The router of this face, the guard around it.
pub fn router(portreeve: Arc<Portreeve>) -> Router {
    router_behind(portreeve, Proxies::default())
}

/// The same behind these proxies.
pub fn router_behind(portreeve: Arc<Portreeve>, proxies: Proxies) -> Router {
    let guard = Guard {
        proxies,
        loopback_only: portreeve.development(),
        // The lower half of an id is unpredictable, so that ids of two runs differ.
        ids: RequestIds::new((portreeve.new_id().as_u128() & u128::from(u32::MAX)) as u32),
    };
    let mut router = Router::new();
    for route in routes::all() {
        let (path, methods) = route.into_router();
        router = router.route(path, methods);
    }
    let router = router
        .fallback(ask::no_route)
        .method_not_allowed_fallback(ask::no_method)
        .with_state(portreeve);
    guarded(router, guard)
}
