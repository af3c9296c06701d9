//! All routes there are, each as its own file declares it.

use crate::route::{Declared, Route};
use crate::{
    access, aggregates, authoring, batches, bindings, check, collections, development, errors,
    flows, health, insight, invitations, me, records, register, sessions, setup, shares, sign_in,
    subscribe, templates, users,
};

/// Every route of this face.
pub(crate) fn all() -> Vec<Route> {
    [
        health::routes(),
        errors::routes(),
        setup::routes(),
        sign_in::routes(),
        register::routes(),
        flows::routes(),
        me::routes(),
        sessions::routes(),
        shares::routes(),
        invitations::routes(),
        templates::routes(),
        development::routes(),
        records::routes(),
        batches::routes(),
        aggregates::routes(),
        subscribe::routes(),
        check::routes(),
        insight::routes(),
        collections::routes(),
        users::routes(),
        bindings::routes(),
        authoring::routes(),
        access::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What every route of this face says of itself.
pub fn declared() -> Vec<Declared> {
    all().iter().map(|route| route.declared().clone()).collect()
}
