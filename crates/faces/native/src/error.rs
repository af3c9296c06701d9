//! What goes wrong, as problem details: one total map from the service's errors and this face's own to status, code
//! and members.

mod catalogue;
pub(crate) mod codes;

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt::Write as _;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_http::{
    BodyError, CrossSite, DECISION_ID, JsonError, MalformedCookie, MalformedToken, MediaType,
    Problem, QueryError, did_you_mean, nearest, shown,
};
use portreeve_service::{Portreeve, ServiceError};

use crate::ask::Received;
pub(crate) use catalogue::*;
pub use catalogue::{CODES, Code};

/// No detail is longer: what was sent may be in it.
const MAX_DETAIL: usize = 600;
/// What is shorter is sent as it is.
const SHORT_DETAIL: usize = 100;
/// How many problems of a document are told at once.
const MAX_ERRORS: usize = 100;

/// Why a request is not answered as asked.
pub(crate) enum Failure {
    /// The service says so.
    Service(ServiceError),
    /// The `Authorization` header is no bearer token.
    Token,
    /// The `Cookie` header holds no session.
    Cookie,
    /// A page of another site sends a cookie along.
    CrossSite,
    /// No token where one is needed.
    Unauthenticated,
    /// There is no such route.
    NoRoute,
    /// The route has other methods.
    NoMethod,
    /// The body cannot be taken.
    Body(BodyError),
    /// There is no body where one is needed.
    NoBody,
    /// The body is none of these.
    MediaType(&'static [MediaType]),
    /// The body is not the JSON we take.
    Json(JsonError),
    /// A member of the body is wrong: which, and why.
    Member(String, Cow<'static, str>),
    /// The body has a member that is not known.
    UnknownMember {
        name: String,
        known: &'static [&'static str],
        at: String,
    },
    /// The query string cannot be decoded.
    QueryString(QueryError),
    /// A query parameter is wrong: which, and why.
    Parameter(&'static str, Cow<'static, str>),
    /// There is no such query parameter.
    UnknownParameter {
        name: String,
        known: &'static [&'static str],
    },
    /// A condition on the record is wrong: which header, and why.
    Condition(String, Cow<'static, str>),
    /// `Portreeve-Simulate` cannot be understood, or not here.
    Simulation(&'static str),
    /// The filter is wrong, at this column.
    Filter {
        column: Option<usize>,
        message: String,
    },
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<MalformedToken> for Failure {
    fn from(_: MalformedToken) -> Self {
        Self::Token
    }
}

impl From<MalformedCookie> for Failure {
    fn from(_: MalformedCookie) -> Self {
        Self::Cookie
    }
}

impl From<CrossSite> for Failure {
    fn from(_: CrossSite) -> Self {
        Self::CrossSite
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::QueryString(error)
    }
}

impl Failure {
    /// Whether what was shown is no session, or none any more.
    pub fn is_dead_session(&self) -> bool {
        matches!(
            self,
            Self::Cookie | Self::Service(ServiceError::InvalidToken)
        )
    }

    pub fn member(name: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Member(name.into(), message.into())
    }

    pub fn unknown_member(at: &str, name: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownMember {
            name: name.into(),
            known,
            at: at.into(),
        }
    }

    pub fn parameter(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Parameter(name, message.into())
    }

    pub fn condition(name: &HeaderName, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Condition(name.as_str().into(), message.into())
    }

    pub fn unknown_parameter(name: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownParameter {
            name: name.into(),
            known,
        }
    }

    pub fn filter(column: Option<usize>, message: String) -> Self {
        Self::Filter { column, message }
    }

    /// The answer, with what only this request has.
    pub async fn answer(self, portreeve: &Portreeve, received: &Received) -> Response {
        let mut problem = self.problem();
        let mut decision = None;
        if let Self::Service(error) = &self {
            // A decision against a caller can be looked up: by an id in the body where he knows that something is
            // there, in a header where the body must be the same for what is not.
            if let Some(id) = received.remember(portreeve, error).await {
                let request_id = received.id();
                if problem.status() == StatusCode::FORBIDDEN {
                    tracing::info!(request_id, decision_id = %id, "forbidden");
                    problem = problem.with_text("decision_id", &id);
                } else {
                    // Anybody can ask for what is not there, as often as he likes: not worth a line each by default.
                    tracing::debug!(request_id, decision_id = %id, "not found");
                }
                decision = HeaderValue::from_str(&id).ok();
            } else if problem.status().is_server_error() {
                log(error, received.id());
            }
        }
        let wait = match &self {
            Self::Service(ServiceError::Throttled { seconds }) => Some(*seconds),
            _ if problem.status() == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        let mut response = problem.into_response();
        if let Some(id) = decision {
            response.headers_mut().insert(&DECISION_ID, id);
        }
        if let Some(seconds) = wait {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The problem.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Service(error) => service_problem(error),
            Self::Token => say(&INVALID_TOKEN, MalformedToken.to_string()),
            Self::Cookie => say(&INVALID_TOKEN, MalformedCookie.to_string()),
            Self::CrossSite => say(&CROSS_SITE, CROSS_SITE.fix),
            Self::Unauthenticated => say(&UNAUTHENTICATED, UNAUTHENTICATED.fix),
            Self::Simulation(message) => say(
                &BAD_SIMULATION,
                format!("The header Portreeve-Simulate {message}."),
            ),
            Self::NoRoute => say(&UNKNOWN_ROUTE, UNKNOWN_ROUTE.fix),
            Self::NoMethod => say(&METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED.fix),
            Self::Body(error) => body_problem(*error),
            Self::NoBody => say(&BAD_BODY, "The body is empty; send a JSON object."),
            Self::MediaType(wanted) if wanted.contains(&MediaType::Yaml) => say(
                &UNSUPPORTED_MEDIA_TYPE,
                "Send the document with Content-Type: application/yaml or application/json.",
            ),
            Self::MediaType(_) => say(
                &UNSUPPORTED_MEDIA_TYPE,
                "Send the body with Content-Type: application/json.",
            ),
            Self::Json(error) => say(&INVALID_JSON, format!("{error}. {}", INVALID_JSON.fix))
                .with_number("line", error.line)
                .with_number("column", error.column),
            Self::Member(name, message) => say(&BAD_BODY, format!("{} {message}.", quoted(name)))
                .with_text("member", &shown(name)),
            Self::UnknownMember { name, known, at } => {
                let place = if at.is_empty() {
                    String::new()
                } else {
                    format!(" in '{}'", shown(at))
                };
                let detail = format!(
                    "There is no member {}{place}{}",
                    quoted(name),
                    did_you_mean(name, known)
                );
                suggested(say(&UNKNOWN_MEMBER, detail), "member", name, known)
            }
            Self::QueryString(error) => say(&BAD_QUERY_STRING, error.to_string()),
            Self::Parameter(name, message) => {
                say(&BAD_PARAMETER, format!("'{name}' {message}.")).with_text("parameter", name)
            }
            Self::Condition(name, message) => {
                say(&BAD_CONDITION, format!("'{name}' {message}.")).with_text("header", name)
            }
            Self::UnknownParameter { name, known: [] } => {
                let detail = format!(
                    "This route has no query parameters; leave {} out.",
                    quoted(name)
                );
                say(&UNKNOWN_PARAMETER, detail).with_text("parameter", &shown(name))
            }
            Self::UnknownParameter { name, known } => {
                let detail = format!(
                    "There is no parameter {}{}",
                    quoted(name),
                    did_you_mean(name, known)
                );
                suggested(say(&UNKNOWN_PARAMETER, detail), "parameter", name, known)
            }
            Self::Filter { column, message } => {
                let problem = match column {
                    Some(column) => {
                        let detail = format!("{message} (column {column} of the filter)");
                        say(&BAD_QUERY, detail).with_number("column", *column)
                    }
                    None => say(&BAD_QUERY, message.clone()),
                };
                problem.with_text("parameter", "filter")
            }
        }
    }
}

// The whole of it: a new error of the service does not compile until its answer stands here.
fn service_problem(error: &ServiceError) -> Problem {
    let told = || error.to_string();
    match error {
        ServiceError::NotFound => say(&NOT_FOUND, NOT_FOUND.fix),
        ServiceError::Forbidden => say(&FORBIDDEN, FORBIDDEN.fix),
        ServiceError::UnknownField(_) => say(&UNKNOWN_FIELD, told()),
        ServiceError::BadQuery(_) => say(&BAD_QUERY, told()),
        ServiceError::BadValue { field, message } => {
            let detail = format!("{}: {message}", quoted(field));
            say(&BAD_VALUE, detail).with_text("field", &shown(field))
        }
        ServiceError::Conflict { fields } => {
            let problem = say(&CONFLICT, format!("{}. {}", told(), CONFLICT.fix));
            if fields.is_empty() {
                problem
            } else {
                problem.with_json("fields", &fields.clone().into())
            }
        }
        ServiceError::Incomplete => say(&INCOMPLETE, format!("{}. {}", told(), INCOMPLETE.fix)),
        ServiceError::Unmet => say(&PRECONDITION_FAILED, PRECONDITION_FAILED.fix),
        ServiceError::Partly { count } => {
            let detail = format!("{}. {}", told(), PARTLY_FORBIDDEN.fix);
            say(&PARTLY_FORBIDDEN, detail).with_number("count", *count)
        }
        ServiceError::TooMany(_) => say(&TOO_MANY_RECORDS, told()),
        ServiceError::Unconditional => say(&UNCONDITIONAL_CHANGE, UNCONDITIONAL_CHANGE.fix),
        ServiceError::At { place, error } => service_problem(error).with_text("at", &shown(place)),
        ServiceError::Referenced => say(&REFERENCED, format!("{}. {}", told(), REFERENCED.fix)),
        ServiceError::PolicyChanged => say(&POLICY_CHANGED, POLICY_CHANGED.fix),
        ServiceError::WrongCredentials => say(&WRONG_CREDENTIALS, WRONG_CREDENTIALS.fix),
        ServiceError::ShareNotOpened => say(&SHARE_NOT_OPENED, SHARE_NOT_OPENED.fix),
        ServiceError::InvalidToken => say(&INVALID_TOKEN, INVALID_TOKEN.fix),
        ServiceError::Throttled { .. } => say(&THROTTLED, format!("{}.", told())),
        ServiceError::Busy | ServiceError::TablesChanged => say(&BUSY, BUSY.fix),
        ServiceError::Unavailable => say(&UNAVAILABLE, UNAVAILABLE.fix),
        ServiceError::OutcomeUnknown => say(&OUTCOME_UNKNOWN, OUTCOME_UNKNOWN.fix),
        ServiceError::TooManySubscriptions(_) => say(
            &TOO_MANY_SUBSCRIPTIONS,
            format!("{}. {}", told(), TOO_MANY_SUBSCRIPTIONS.fix),
        ),
        ServiceError::TooSlow => say(&TOO_SLOW, TOO_SLOW.fix),
        ServiceError::OutOfRange => say(&OUT_OF_RANGE, OUT_OF_RANGE.fix),
        ServiceError::SetupRequired => say(&SETUP_REQUIRED, SETUP_REQUIRED.fix),
        ServiceError::InvalidCode => say(&INVALID_CODE, INVALID_CODE.fix),
        ServiceError::MailOff => say(&MAIL_OFF, MAIL_OFF.fix),
        ServiceError::WrongSetupCode => say(&WRONG_SETUP_CODE, WRONG_SETUP_CODE.fix),
        ServiceError::SetupClosed(_) => {
            say(&SETUP_CLOSED, format!("{}. {}", told(), SETUP_CLOSED.fix))
        }
        ServiceError::Invalid { what, message } => {
            let detail = format!("{}: {message}", quoted(what));
            say(&INVALID, detail).with_text("member", &shown(what))
        }
        ServiceError::RegistrationClosed => say(&REGISTRATION_CLOSED, REGISTRATION_CLOSED.fix),
        ServiceError::UserExists => say(&USER_EXISTS, format!("{}. {}", told(), USER_EXISTS.fix)),
        ServiceError::UnknownUser(name) => say(
            &UNKNOWN_USER,
            format!("There is no user {}. {}", quoted(name), UNKNOWN_USER.fix),
        ),
        ServiceError::UnknownRole { .. } => say(&UNKNOWN_ROLE, told()),
        ServiceError::UnknownProfile { .. } => say(&UNKNOWN_PROFILE, told()),
        ServiceError::UnknownCollection { .. } => say(&UNKNOWN_COLLECTION, told()),
        ServiceError::UnknownAction { .. } => say(&UNKNOWN_ACTION, told()),
        ServiceError::Exists(_) => say(&EXISTS, format!("{}. {}", told(), EXISTS.fix)),
        ServiceError::BadPolicy(problems) => {
            let errors = problems.iter().take(MAX_ERRORS).map(policy_error).collect();
            say(&BAD_POLICY, policy_detail(problems)).with_json("errors", &errors)
        }
        ServiceError::NamedByPolicy { named_by, .. } => {
            say(&NAMED_BY_POLICY, told()).with_json("named_by", &named_by.clone().into())
        }
        ServiceError::Held { holders, .. } => {
            say(&HELD, told()).with_json("holders", &holders.clone().into())
        }
        ServiceError::DropsUnconfirmed(drops) => {
            let drops = serde_json::to_value(drops).unwrap_or_default();
            say(
                &DROPS_UNCONFIRMED,
                format!("{}. {}", told(), DROPS_UNCONFIRMED.fix),
            )
            .with_json("drops", &drops)
        }
        ServiceError::BadChange(_) => say(&BAD_CHANGE, told()),
        ServiceError::Beyond(_) => say(&BEYOND_OWN_RIGHTS, told()),
        ServiceError::BuiltIn(_) => say(&BUILT_IN, told()),
        ServiceError::LastAdministrator => say(&LAST_ADMINISTRATOR, LAST_ADMINISTRATOR.fix),
        ServiceError::NotLoaded(_) => say(&NOT_LOADED, told()),
        ServiceError::ReadOnly => say(&READ_ONLY, READ_ONLY.fix),
        // Where the data lies is nothing for a client; the log has it.
        ServiceError::DataFolder(_) | ServiceError::Locked(_) | ServiceError::Internal(_) => {
            say(&INTERNAL, INTERNAL.fix)
        }
    }
}

fn body_problem(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge => say(&BODY_TOO_LARGE, BODY_TOO_LARGE.fix),
        BodyError::TooSlow => say(&SLOW_BODY, SLOW_BODY.fix),
        BodyError::Broken => say(&BROKEN_BODY, BROKEN_BODY.fix),
        BodyError::NotUtf8 { offset } => say(
            &BAD_BODY,
            format!("The body is not UTF-8 at byte {offset}; send it as UTF-8."),
        ),
    }
}

fn policy_detail(problems: &[portreeve_service::Problem]) -> String {
    let Some(first) = problems.first() else {
        return BAD_POLICY.fix.into();
    };
    let (line, column) = (first.place.line, first.place.column);
    // What came as JSON members has no lines.
    let place = match line {
        0 => first.place.path.clone(),
        _ => format!("line {line}, column {column}"),
    };
    match problems.len() {
        1 => format!("{} ({place})", first.message),
        many => format!("{many} problems, the first: {} ({place})", first.message),
    }
}

fn policy_error(problem: &portreeve_service::Problem) -> serde_json::Value {
    serde_json::json!({
        "line": problem.place.line,
        "column": problem.place.column,
        "path": problem.place.path,
        "code": problem.code,
        "message": problem.message,
    })
}

fn say(code: &'static Code, detail: impl Into<Cow<'static, str>>) -> Problem {
    let status = StatusCode::from_u16(code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Problem::new(status, code.code, code.title, bounded(detail.into()))
}

fn suggested(problem: Problem, member: &'static str, name: &str, known: &[&str]) -> Problem {
    let problem = problem.with_text(member, &shown(name));
    match nearest(name, known) {
        Some(near) => problem.with_text("suggestion", near),
        None => problem,
    }
}

fn quoted(name: &str) -> String {
    format!("'{}'", shown(name))
}

// Begins with a capital, and does not send back at length what was sent: what stands in quotes may be all of it.
fn bounded(detail: Cow<'static, str>) -> Cow<'static, str> {
    let small = detail.starts_with(|c: char| c.is_ascii_lowercase());
    if !small && detail.len() <= SHORT_DETAIL {
        return detail;
    }
    let mut text = String::with_capacity(detail.len().min(MAX_DETAIL + 8));
    for (place, part) in detail.split('\'').enumerate() {
        if place > 0 {
            text.push('\'');
        }
        let quoted = place % 2 == 1;
        text.push_str(&if quoted {
            shown(part)
        } else {
            Cow::Borrowed(part)
        });
        if text.len() > MAX_DETAIL {
            break;
        }
    }
    if text.len() > MAX_DETAIL {
        let cut = (0..=MAX_DETAIL).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    if small && let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Cow::Owned(text)
}

fn log(error: &ServiceError, request_id: &str) {
    let mut causes = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(causes, ": {error}");
        cause = error.source();
    }
    tracing::error!(request_id, "{error}{causes}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_begin_with_a_capital_and_show_little_of_what_was_sent() {
        let detail = |text: &str| bounded(text.to_owned().into()).into_owned();
        assert_eq!(detail("'score' is not good"), "'score' is not good");
        assert_eq!(detail("there is no role 'a'"), "There is no role 'a'");
        let long = "x".repeat(5_000);
        let short = detail(&format!("there is no role '{long}'; did you mean 'x'?"));
        assert!(
            short.len() < 120 && short.ends_with("; did you mean 'x'?"),
            "{short}"
        );
        assert!(detail(&long).len() < MAX_DETAIL + 8);
    }

    #[test]
    fn every_error_has_the_code_the_service_gives_it() {
        let text = || String::from("x");
        let errors = [
            ServiceError::NotFound,
            ServiceError::Forbidden,
            ServiceError::UnknownField(text()),
            ServiceError::BadQuery(text()),
            ServiceError::BadValue {
                field: text(),
                message: text(),
            },
            ServiceError::Conflict {
                fields: vec![text()],
            },
            ServiceError::Incomplete,
            ServiceError::Referenced,
            ServiceError::Unmet,
            ServiceError::Partly { count: 3 },
            ServiceError::TooMany(text()),
            ServiceError::Unconditional,
            ServiceError::At {
                place: text(),
                error: Box::new(ServiceError::Forbidden),
            },
            ServiceError::PolicyChanged,
            ServiceError::WrongCredentials,
            ServiceError::ShareNotOpened,
            ServiceError::InvalidToken,
            ServiceError::Throttled { seconds: 3 },
            ServiceError::Busy,
            ServiceError::TablesChanged,
            ServiceError::Unavailable,
            ServiceError::OutcomeUnknown,
            ServiceError::TooSlow,
            ServiceError::OutOfRange,
            ServiceError::SetupRequired,
            ServiceError::InvalidCode,
            ServiceError::MailOff,
            ServiceError::WrongSetupCode,
            ServiceError::SetupClosed("x"),
            ServiceError::Invalid {
                what: text(),
                message: text(),
            },
            ServiceError::UserExists,
            ServiceError::UnknownUser(text()),
            ServiceError::UnknownRole {
                name: text(),
                hint: text(),
            },
            ServiceError::UnknownProfile {
                name: text(),
                hint: text(),
            },
            ServiceError::UnknownCollection {
                name: text(),
                hint: text(),
            },
            ServiceError::UnknownAction {
                name: text(),
                hint: text(),
            },
            ServiceError::Exists(text()),
            ServiceError::BadPolicy(vec![]),
            ServiceError::NamedByPolicy {
                what: text(),
                named_by: vec![text()],
            },
            ServiceError::Held {
                what: text(),
                holders: vec![text()],
            },
            ServiceError::DropsUnconfirmed(vec![]),
            ServiceError::BadChange(text()),
            ServiceError::Beyond(Some(text())),
            ServiceError::BuiltIn(text()),
            ServiceError::LastAdministrator,
            ServiceError::ReadOnly,
            ServiceError::Internal("x".into()),
        ];
        for error in errors {
            assert_eq!(service_problem(&error).code(), error.code());
            assert!(CODES.iter().any(|code| code.code == error.code()));
        }
    }
}
