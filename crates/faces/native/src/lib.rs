//! The native face: our own REST API under `/v1`, which the console and the command line use.
//!
//! A request is decoded (`decode`), one method of [`Portreeve`] is called, and what comes back is encoded (`encode`) or
//! turned into a problem (`error`). This crate must not know SQL, rules or rights; whatever it does not understand is
//! an error that names the nearest word it does.
//!
//! To add an endpoint: a file for its noun with one function per method, a line in [`router`], an example in
//! `docs/reference/api.md`. To add an error: an entry in `error/catalogue.rs` and a row in `docs/reference/errors.md`.

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
mod sessions;
mod setup;
mod sign_in;
mod simulation;
mod subscribe;
mod templates;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use portreeve_http::{Guard, Proxies, RequestIds, guarded};
use portreeve_service::Portreeve;

use ask::{delete, get, patch, post, put};
pub use error::{CODES, Code};

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
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    let router = router
        .fallback(ask::no_route)
        .method_not_allowed_fallback(ask::no_method)
        .with_state(portreeve);
    guarded(router, guard)
}

type Routes = Vec<(&'static str, MethodRouter<Arc<Portreeve>>)>;

// Names of operations are what `$request.operation` and `via:` see.
fn routes() -> Routes {
    vec![
        ("/healthz", get("health", health::show)),
        ("/errors/{code}", get("errors.one", errors::show)),
        ("/v1/setup", post("setup", setup::setup)),
        ("/v1/auth/sign-in", post("auth.sign-in", sign_in::sign_in)),
        (
            "/v1/auth/sign-out",
            post("auth.sign-out", sign_in::sign_out),
        ),
        (
            "/v1/auth/forgot-password",
            post("auth.forgot-password", flows::forgot_password),
        ),
        (
            "/v1/auth/reset-password",
            post("auth.reset-password", flows::reset_password),
        ),
        (
            "/v1/auth/send-confirmation",
            post("auth.send-confirmation", flows::send_confirmation),
        ),
        ("/v1/auth/confirm", post("auth.confirm", flows::confirm)),
        (
            "/v1/auth/accept-invitation",
            post("auth.accept-invitation", flows::accept_invitation),
        ),
        ("/v1/auth/refresh", post("auth.refresh", sign_in::refresh)),
        ("/v1/me/email", post("me.change-email", flows::change_email)),
        (
            "/v1/invitations",
            post("invitations.create", invitations::create),
        ),
        ("/v1/templates", get("templates.list", templates::list)),
        (
            "/v1/templates/{template}",
            get("templates.one", templates::one)
                .merge(put("templates.put", templates::put))
                .merge(delete("templates.delete", templates::delete)),
        ),
        ("/v1/dev/mails", get("dev.mails", development::mails)),
        (
            "/v1/sessions",
            get("sessions.list", sessions::list)
                .merge(delete("sessions.end-all", sessions::end_all)),
        ),
        (
            "/v1/sessions/{session}",
            delete("sessions.end", sessions::end),
        ),
        (
            "/v1/auth/register",
            post("auth.register", register::register),
        ),
        (
            "/v1/me",
            get("me", me::show)
                .merge(patch("me.update", me::update))
                .merge(delete("me.delete", me::delete)),
        ),
        ("/v1/me/password", post("me.password", me::password)),
        (
            "/v1/users",
            get("users.list", users::list).merge(post("users.create", users::create)),
        ),
        (
            "/v1/users/{user}",
            get("users.one", users::one)
                .merge(patch("users.update", users::update))
                .merge(delete("users.delete", users::delete)),
        ),
        (
            "/v1/users/{user}/password",
            post("users.set-password", users::set_password),
        ),
        (
            "/v1/users/{user}/bindings",
            get("bindings.list", bindings::list).merge(post("bindings.create", bindings::create)),
        ),
        (
            "/v1/bindings/{id}",
            patch("bindings.change", bindings::change)
                .merge(delete("bindings.delete", bindings::delete)),
        ),
        (
            "/v1/roles",
            get("roles.list", authoring::roles).merge(post("roles.create", authoring::create_role)),
        ),
        (
            "/v1/roles/{role}",
            get("roles.one", authoring::role)
                .merge(put("roles.put", authoring::put_role))
                .merge(patch("roles.change", authoring::change_role))
                .merge(delete("roles.delete", authoring::delete_role)),
        ),
        (
            "/v1/profiles",
            get("profiles.list", authoring::profiles)
                .merge(post("profiles.create", authoring::create_profile)),
        ),
        (
            "/v1/profiles/{profile}",
            get("profiles.one", authoring::profile)
                .merge(put("profiles.put", authoring::put_profile))
                .merge(patch("profiles.change", authoring::change_profile))
                .merge(delete("profiles.delete", authoring::delete_profile)),
        ),
        (
            "/v1/registration",
            get("registration.show", authoring::registration)
                .merge(put("registration.put", authoring::set_registration)),
        ),
        (
            "/v1/users/{user}/sessions",
            get("users.sessions", sessions::list_of)
                .merge(delete("users.end-sessions", sessions::end_all_of)),
        ),
        (
            "/v1/users/{user}/sessions/{session}",
            delete("users.end-session", sessions::end_of),
        ),
        (
            "/v1/users/{user}/rights",
            get("users.rights", insight::rights),
        ),
        (
            "/v1/collections",
            get("collections.list", collections::list)
                .merge(post("collections.create", collections::create)),
        ),
        (
            "/v1/collections/{collection}",
            get("collections.one", collections::one)
                .merge(patch("collections.alter", collections::alter))
                .merge(delete("collections.delete", collections::delete)),
        ),
        (
            "/v1/records/{collection}",
            get("records.list", records::list)
                .merge(post("records.create", records::create))
                .merge(patch("records.update-many", batches::update))
                .merge(delete("records.delete-many", batches::delete)),
        ),
        (
            "/v1/records/{collection}/{key}",
            get("records.one", records::one)
                .merge(put("records.put", records::put))
                .merge(patch("records.update", records::update))
                .merge(delete("records.delete", records::delete)),
        ),
        (
            "/v1/aggregates/{collection}",
            get("records.aggregate", aggregates::list),
        ),
        ("/v1/audit", get("audit.list", records::audit)),
        ("/v1/subscribe", get("subscribe", subscribe::subscribe)),
        ("/v1/changes", post("changes", batches::changes)),
        ("/v1/check", post("check", check::check)),
        ("/v1/explain", post("explain", check::explain)),
        ("/v1/who-can", post("who-can", insight::who_can)),
        ("/v1/access", get("access.show", access::show)),
        ("/v1/access/plan", post("access.plan", access::plan)),
        ("/v1/access/apply", post("access.apply", access::apply)),
    ]
}
