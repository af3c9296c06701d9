//! Which codes follow from what a route is, so that routes name only their own.

use super::catalogue::*;

type Codes = &'static [&'static Code];

/// What any request can meet.
pub(crate) const OF_EVERY_ROUTE: Codes = &[
    &BAD_FORWARDED_FOR,
    &BAD_QUERY_STRING,
    &BAD_SIMULATION,
    &UNKNOWN_PARAMETER,
    &FOREIGN_SITE,
    &INTERNAL,
];

/// Where there are query parameters.
pub(crate) const OF_PARAMETERS: Codes = &[&BAD_PARAMETER];

/// Where there is a body.
pub(crate) const OF_BODIES: Codes = &[
    &BAD_BODY,
    &BROKEN_BODY,
    &INVALID_JSON,
    &UNKNOWN_MEMBER,
    &SLOW_BODY,
    &BODY_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
];

/// Where it is looked who asks.
pub(crate) const OF_CALLERS: Codes = &[
    &INVALID_TOKEN,
    &CROSS_SITE,
    &THROTTLED,
    &BUSY,
    &UNAVAILABLE,
    &SETUP_REQUIRED,
];

/// Where nobody gets anything.
pub(crate) const OF_ACCOUNTS: Codes = &[&UNAUTHENTICATED, &FORBIDDEN];

/// Where records are read or written.
pub(crate) const OF_RECORDS: Codes = &[&FORBIDDEN, &NOT_FOUND];

/// Where attempts are counted.
pub(crate) const OF_BUDGETS: Codes = &[&THROTTLED];

/// Where something changes.
pub(crate) const OF_CHANGES: Codes = &[
    &POLICY_CHANGED,
    &BUSY,
    &UNAVAILABLE,
    &OUTCOME_UNKNOWN,
    &READ_ONLY,
];

/// Where the path names something.
pub(crate) const OF_NAMES: Codes = &[&NOT_FOUND];
