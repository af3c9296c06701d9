//! Every code this face answers with: its status, what it means, what to do about it. `docs/reference/errors.md` says
//! the same, and a test holds the two together.

/// An error code and what is to be known about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// What programs match on. Never renamed, never used for something else.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What it means, in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($name:ident: $code:literal, $status:literal, $title:literal, $fix:literal;)*) => {
        $(pub(crate) static $name: Code = Code { code: $code, status: $status, title: $title, fix: $fix };)*

        /// All codes, in the order of their statuses.
        pub static CODES: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    BAD_BODY: "bad_body", 400, "The body cannot be understood",
        "Send the members the route knows, each with its type; `member` says which one is wrong.";
    BAD_CONDITION: "bad_condition", 400, "A condition on the record cannot be understood",
        "Send If-Match or If-None-Match as `header` needs it, with tags as ETag gives them.";
    BAD_FORWARDED_FOR: "bad_forwarded_for", 400, "The proxy does not say for whom it asks",
        "The proxy's X-Forwarded-For must end with the address of its client.";
    BAD_PARAMETER: "bad_parameter", 400, "A query parameter cannot be understood",
        "Correct the parameter that `parameter` names.";
    BAD_QUERY: "bad_query", 400, "The filter, sort or search cannot be understood",
        "Correct the place that `column` points at, where there is one; the rule language is described in rules.md.";
    BAD_QUERY_STRING: "bad_query_string", 400, "The query string cannot be decoded",
        "Encode names and values as UTF-8 and escape what is not a letter or digit as %XX.";
    BAD_SIMULATION: "bad_simulation", 400, "This cannot be asked through another one's eyes",
        "Send Portreeve-Simulate with reads only: 'user:' and a name, 'role:' and keys, or 'anonymous'.";
    BROKEN_BODY: "broken_body", 400, "The body broke off",
        "Send the request again.";
    INVALID_JSON: "invalid_json", 400, "The body is not the JSON we take",
        "Correct the place that `line` and `column` point at: one value, no name twice, no NUL, at most 64 levels.";
    UNKNOWN_FIELD: "unknown_field", 400, "There is no such field for you",
        "Use a field that GET /v1/collections/{name} shows you.";
    UNKNOWN_MEMBER: "unknown_member", 400, "The body has a member the route does not know",
        "Leave it out, or write it as `suggestion` says.";
    UNKNOWN_PARAMETER: "unknown_parameter", 400, "There is no such query parameter",
        "Leave it out, or write it as `suggestion` says.";
    INVALID_TOKEN: "invalid_token", 401, "The token is not good",
        "Sign in again and send Authorization: Bearer and the token; leave the header out to ask as nobody.";
    UNAUTHENTICATED: "unauthenticated", 401, "An account is needed here",
        "Sign in with POST /v1/auth/sign-in and send Authorization: Bearer and the token.";
    WRONG_CREDENTIALS: "wrong_credentials", 401, "Name or password is wrong",
        "Check both; an administrator can set a new password.";
    SHARE_NOT_OPENED: "share_not_opened", 401, "The share cannot be opened like this",
        "Check its id and password with whoever has given you them; a share that has ended, or was opened as often as it may be, is answered the same.";
    BEYOND_OWN_RIGHTS: "beyond_own_rights", 403, "It goes beyond your own rights",
        "Hand out, author and take away what you hold yourself; an administrator can do more.";
    FORBIDDEN: "forbidden", 403, "You may not do this",
        "Ask an administrator for the permission; POST /v1/explain shows what is missing.";
    CROSS_SITE: "cross_site", 403, "Another site's page asks with this site's cookie",
        "Ask from a page of this site, or send the token as Authorization: Bearer instead of the cookie.";
    FOREIGN_SITE: "foreign_site", 403, "Another site's request",
        "Development mode answers this machine only: use localhost, 127.0.0.1 or [::1], or serve without --dev.";
    INVALID_CODE: "invalid_code", 403, "The code is not good",
        "Ask for another one: a code is good once, for a while, and only as long as address and password stay the same.";
    PARTLY_FORBIDDEN: "partly_forbidden", 403, "Some of the selected records may not be changed by you",
        "Choose fewer, or send narrow to leave those as they are; nothing was changed.";
    REGISTRATION_CLOSED: "registration_closed", 403, "Nobody can sign up here",
        "Ask an administrator for an account; whoever runs the server opens registration in its configuration.";
    WRONG_SETUP_CODE: "wrong_setup_code", 403, "The setup code is wrong",
        "Copy the code the server has printed at its start.";
    NOT_FOUND: "not_found", 404, "There is no such collection or record for you",
        "Check the collection's name and the record's key; what is out of your reach is answered the same.";
    UNKNOWN_COLLECTION: "unknown_collection", 404, "There is no such collection",
        "Use a name that GET /v1/collections shows.";
    UNKNOWN_ROUTE: "unknown_route", 404, "There is no such route",
        "See docs/reference/api.md for the routes.";
    UNKNOWN_USER: "unknown_user", 404, "There is no such account",
        "Use an id, key, name or e-mail address that GET /v1/users shows.";
    METHOD_NOT_ALLOWED: "method_not_allowed", 405, "The route does not have this method",
        "Use one of the methods in the Allow header.";
    SLOW_BODY: "slow_body", 408, "The body did not arrive in time",
        "Send the whole body within 30 seconds.";
    BAD_CHANGE: "bad_change", 409, "Collections cannot be changed like that",
        "Do what the message says first; the data that is there stands in the way.";
    BUILT_IN: "built_in", 409, "A built-in role stays",
        "Make a role of your own, and bind people to that.";
    CONFLICT: "conflict", 409, "Another record has this value",
        "Send a value that no other record has in the named fields.";
    DROPS_UNCONFIRMED: "drops_unconfirmed", 409, "Data would be lost",
        "Look at `drops`; if they are meant, send the same again with confirm_drops.";
    EXISTS: "exists", 409, "It is there already",
        "Choose another name, or change the one that is there.";
    HELD: "held", 409, "Somebody holds what would fall away",
        "Take it from those in `holders` first.";
    LAST_ADMINISTRATOR: "last_administrator", 409, "Nobody would be left to administer",
        "Make another administrator first.";
    MAIL_OFF: "mail_off", 409, "This server sends no mail",
        "Whoever runs the server names a mail server in the section [mail] of its configuration.";
    NAMED_BY_POLICY: "named_by_policy", 409, "The policy names what would fall away",
        "Change what `named_by` lists first, or in the same document.";
    POLICY_CHANGED: "policy_changed", 409, "Rights changed in this moment",
        "Ask again; nothing was changed.";
    REFERENCED: "referenced", 409, "Records depend on each other",
        "Change or delete the records that point at this one first; check that those it points at are there.";
    SETUP_CLOSED: "setup_closed", 409, "There is nothing to set up",
        "Sign in as the administrator there is; after too many wrong codes, start the server again.";
    USER_EXISTS: "user_exists", 409, "There is such an account",
        "Choose another username, e-mail address and key.";
    PRECONDITION_FAILED: "precondition_failed", 412, "The record is not as the request wants it",
        "Read it again and decide anew; nothing was changed.";
    BODY_TOO_LARGE: "body_too_large", 413, "The body is too large",
        "Send at most 1 MiB at once.";
    UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type", 415, "The body's type is not understood here",
        "Send Content-Type: application/json; access documents may be application/yaml too.";
    BAD_POLICY: "bad_policy", 422, "The access document has problems",
        "Correct each of `errors`; line and column say where.";
    BAD_VALUE: "bad_value", 422, "A value does not fit its field",
        "Send `field` with a value of its type.";
    INCOMPLETE: "incomplete", 422, "The record cannot be stored like this",
        "Send more of its fields; which are needed, an administrator can say.";
    INVALID: "invalid", 422, "Something sent does not fit",
        "Correct what `member` names.";
    NOT_LOADED: "not_loaded", 422, "A line could not be loaded",
        "Correct the line the message names.";
    OUT_OF_RANGE: "out_of_range", 422, "A sum is out of range",
        "Sum fewer records at once: a narrower filter, or more to group by.";
    TOO_MANY_RECORDS: "too_many_records", 422, "Too many records at once",
        "Do it in several requests; nothing was changed.";
    TOO_SLOW: "too_slow", 422, "The read takes too long",
        "Ask for less at once: a narrower filter, fewer relations, an indexed sort, a cursor instead of an offset.";
    UNCONDITIONAL_CHANGE: "unconditional_change", 422, "Every record of the collection would be changed",
        "Send a filter that chooses some; nothing was changed.";
    UNKNOWN_ACTION: "unknown_action", 422, "There is no such action",
        "Use one of the built-in actions or one the policy declares under actions:.";
    UNKNOWN_PROFILE: "unknown_profile", 422, "There is no such profile",
        "Use a profile the policy declares.";
    UNKNOWN_ROLE: "unknown_role", 422, "There is no such role",
        "Use a role the policy declares.";
    TOO_MANY_SUBSCRIPTIONS: "too_many_subscriptions", 429, "You have as many subscriptions as you may have",
        "Close one of them first; each connection to /v1/subscribe is one.";
    THROTTLED: "throttled", 429, "Too many in too short a time",
        "Ask again after the time in Retry-After.";
    INTERNAL: "internal", 500, "Internal error",
        "Whoever runs the server finds the cause in its log under `request_id`.";
    BUSY: "busy", 503, "Too much at once",
        "Ask again after the time in Retry-After.";
    UNAVAILABLE: "unavailable", 503, "The database cannot be reached",
        "Ask again after the time in Retry-After; nothing was done.";
    OUTCOME_UNKNOWN: "outcome_unknown", 503, "The database broke off in the moment of the commit",
        "Look whether it was done before you repeat it.";
    READ_ONLY: "read_only", 503, "Open for reading only",
        "Send changes to the server that has the data folder open for writing.";
    SETUP_REQUIRED: "setup_required", 503, "Not set up yet",
        "Send the code the server has printed to POST /v1/setup; nothing else works before.";
}
