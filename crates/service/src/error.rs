//! What can go wrong, with stable codes and without status codes: each face maps these to its own wire format.

use portreeve_gate::{Refused, RefusedAt};
use portreeve_policy::Problem;
use portreeve_store::{OpenError, StoreError};

use crate::{Dropped, codes};

/// Why an operation did not happen. The text is for whoever asked: it names what he sent and nothing he may not know.
/// Sources are for the log only.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing, or it is out of reach: the same answer for both.
    #[error("there is no such collection or record")]
    NotFound,
    /// It can be seen, and this may not be done.
    #[error("you may not do this here")]
    Forbidden,
    /// A field that does not exist for the caller.
    #[error("{0}")]
    UnknownField(String),
    /// A filter, sort, search or cursor that cannot be understood.
    #[error("{0}")]
    BadQuery(String),
    /// A value that does not fit its field.
    #[error("{field}: {message}")]
    BadValue {
        /// The field as sent.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Another record has a value that must be its own.
    #[error("{}", conflict(.fields))]
    Conflict {
        /// The fields, where the caller may know them.
        fields: Vec<String>,
    },
    /// What would be stored lacks something, or does not fit, that the caller knows nothing of.
    #[error("the record cannot be stored like this")]
    Incomplete,
    /// The record is not as the request says it has to be.
    #[error("the record is not as the condition of the request wants it to be")]
    Unmet,
    /// Some of the selected records may not be changed.
    #[error("{count} of the selected records may not be changed by you")]
    Partly {
        /// How many.
        count: usize,
    },
    /// More records at once than may be.
    #[error("{0}")]
    TooMany(String),
    /// Every record would be changed, and nothing says that this is meant.
    #[error("this would change every record of the collection; give a condition that chooses some")]
    Unconditional,
    /// One of several things that were asked cannot be done, so none was.
    #[error("{place}: {error}")]
    At {
        /// Where in the request it stands.
        place: String,
        /// What is wrong with it.
        error: Box<ServiceError>,
    },
    /// Other records point at this one.
    #[error("other records point at this one, or the one it points at is not there")]
    Referenced,
    /// The policy or the caller's rights have changed since it was admitted.
    #[error("rights have changed in this moment; ask again")]
    PolicyChanged,
    /// Name or password is wrong, or the account may not sign in: the same answer for all.
    #[error("name or password is wrong")]
    WrongCredentials,
    /// A share is unknown, cannot be opened now, or the password is wrong: the same answer for all.
    #[error("there is no share to be opened like this")]
    ShareNotOpened,
    /// The session is unknown, has ended or is malformed.
    #[error("the session is unknown or has ended; sign in again")]
    InvalidToken,
    /// Too many attempts, or requests, in too short a time.
    #[error("too many attempts in too short a time; try again in {seconds} s")]
    Throttled {
        /// In how many seconds it is worth trying again.
        seconds: u64,
    },
    /// Too much is waiting.
    #[error("too much at once; try again in a moment")]
    Busy,
    /// A table that was there before has changed in this moment: to be tried again like [`ServiceError::Busy`].
    #[error("a table has changed")]
    TablesChanged,
    /// The database server cannot be reached.
    #[error("the database cannot be reached; try again in a moment")]
    Unavailable,
    /// The connection to the database broke in the moment of the commit.
    #[error("the connection to the database broke: look whether it was done before you repeat it")]
    OutcomeUnknown,
    /// The caller has as many subscriptions as he may have.
    #[error("there are {0} subscriptions of yours already; end one first")]
    TooManySubscriptions(usize),
    /// A read took longer than it may.
    #[error("this takes too long; ask for less at once")]
    TooSlow,
    /// A sum is too large or too small for its type.
    #[error("a sum is too large or too small for its type")]
    OutOfRange,
    /// No administrator exists yet, and this is not development.
    #[error("there is no administrator yet: finish the setup with the code the server has printed")]
    SetupRequired,
    /// The setup code is wrong.
    #[error("the setup code is wrong")]
    WrongSetupCode,
    /// Nothing to set up, or no more attempts.
    #[error("{0}")]
    SetupClosed(&'static str),
    /// A code from a mail is unknown, used, over or void: the same answer for all.
    #[error("the code is not good (any more); ask for another one")]
    InvalidCode,
    /// No way for mail to go out is configured.
    #[error(
        "this server sends no mail; whoever runs it finds the section [mail] of the configuration described"
    )]
    MailOff,
    /// Something that was sent does not fit.
    #[error("{what}: {message}")]
    Invalid {
        /// What: `username`, `password`, …
        what: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// An account with that name, address or key exists.
    #[error("there is an account with this username or e-mail address already")]
    UserExists,
    /// Nobody can sign up here.
    #[error("nobody can sign up here; an administrator makes accounts")]
    RegistrationClosed,
    /// There is no such account.
    #[error("there is no user '{0}'")]
    UnknownUser(String),
    /// There is no such role.
    #[error("there is no role '{name}'{hint}")]
    UnknownRole {
        /// As sent.
        name: String,
        /// `; did you mean …?` or nothing.
        hint: String,
    },
    /// There is no such profile.
    #[error("there is no profile '{name}'{hint}")]
    UnknownProfile {
        /// As sent.
        name: String,
        /// `; did you mean …?` or nothing.
        hint: String,
    },
    /// There is no such collection. For administrators only; everybody else is told [`ServiceError::NotFound`].
    #[error("there is no collection '{name}'{hint}")]
    UnknownCollection {
        /// As sent.
        name: String,
        /// `; did you mean …?` or nothing.
        hint: String,
    },
    /// There is no such action.
    #[error("there is no action '{name}'{hint}")]
    UnknownAction {
        /// As sent.
        name: String,
        /// `; did you mean …?` or nothing.
        hint: String,
    },
    /// Something of that name is there already.
    #[error("there is {0} already")]
    Exists(String),
    /// The access document has problems.
    #[error("{}", problems(.0))]
    BadPolicy(Vec<Problem>),
    /// Something in the policy names what would fall away.
    #[error("{what} is named by {}", .named_by.join(", "))]
    NamedByPolicy {
        /// What would fall away.
        what: String,
        /// What names it: `roles.student.permissions[2].rows`.
        named_by: Vec<String>,
    },
    /// A role or profile that would fall away is held.
    #[error("{what} cannot fall away while {} it", held_by(.holders))]
    Held {
        /// `role 'student'`
        what: String,
        /// Who.
        holders: Vec<String>,
    },
    /// Data would be lost, and nobody has confirmed it.
    #[error("{}", unconfirmed(.0))]
    DropsUnconfirmed(Vec<Dropped>),
    /// Collections cannot be changed like that while they hold data.
    #[error("{0}")]
    BadChange(String),
    /// It would hand out, author or touch more than the caller holds.
    #[error("this goes beyond your own rights{}", .0.as_ref().map(|what| format!(": {what}")).unwrap_or_default())]
    Beyond(Option<String>),
    /// A built-in role stays as it is.
    #[error("{0}")]
    BuiltIn(String),
    /// Nobody would be left to administer.
    #[error("this would leave no active administrator")]
    LastAdministrator,
    /// A line of a file could not be loaded.
    #[error(transparent)]
    NotLoaded(Box<crate::LoadError>),
    /// Opened for reading only.
    #[error("the data folder is open for reading only")]
    ReadOnly,
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(OpenError),
    /// Another process has it.
    #[error(transparent)]
    Locked(OpenError),
    /// Something of ours went wrong. The source is for the log.
    #[error("something went wrong on our side; the log says more")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServiceError {
    /// The stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => codes::NOT_FOUND,
            Self::Forbidden => codes::FORBIDDEN,
            Self::UnknownField(_) => codes::UNKNOWN_FIELD,
            Self::BadQuery(_) => codes::BAD_QUERY,
            Self::BadValue { .. } => codes::BAD_VALUE,
            Self::Conflict { .. } => codes::CONFLICT,
            Self::Incomplete => codes::INCOMPLETE,
            Self::Unmet => codes::UNMET,
            Self::Partly { .. } => codes::PARTLY_FORBIDDEN,
            Self::TooMany(_) => codes::TOO_MANY,
            Self::Unconditional => codes::UNCONDITIONAL,
            Self::At { error, .. } => error.code(),
            Self::Referenced => codes::REFERENCED,
            Self::PolicyChanged => codes::POLICY_CHANGED,
            Self::WrongCredentials => codes::WRONG_CREDENTIALS,
            Self::ShareNotOpened => codes::SHARE_NOT_OPENED,
            Self::InvalidToken => codes::INVALID_TOKEN,
            Self::Throttled { .. } => codes::THROTTLED,
            Self::Busy | Self::TablesChanged => codes::BUSY,
            Self::Unavailable => codes::UNAVAILABLE,
            Self::OutcomeUnknown => codes::OUTCOME_UNKNOWN,
            Self::TooManySubscriptions(_) => codes::TOO_MANY_SUBSCRIPTIONS,
            Self::TooSlow => codes::TOO_SLOW,
            Self::OutOfRange => codes::OUT_OF_RANGE,
            Self::SetupRequired => codes::SETUP_REQUIRED,
            Self::WrongSetupCode => codes::WRONG_SETUP_CODE,
            Self::SetupClosed(_) => codes::SETUP_CLOSED,
            Self::InvalidCode => codes::INVALID_CODE,
            Self::MailOff => codes::MAIL_OFF,
            Self::Invalid { .. } => codes::INVALID,
            Self::UserExists => codes::USER_EXISTS,
            Self::RegistrationClosed => codes::REGISTRATION_CLOSED,
            Self::UnknownUser(_) => codes::UNKNOWN_USER,
            Self::UnknownRole { .. } => codes::UNKNOWN_ROLE,
            Self::UnknownProfile { .. } => codes::UNKNOWN_PROFILE,
            Self::UnknownCollection { .. } => codes::UNKNOWN_COLLECTION,
            Self::UnknownAction { .. } => codes::UNKNOWN_ACTION,
            Self::Exists(_) => codes::EXISTS,
            Self::BadPolicy(_) => codes::BAD_POLICY,
            Self::NamedByPolicy { .. } => codes::NAMED_BY_POLICY,
            Self::Held { .. } => codes::HELD,
            Self::DropsUnconfirmed(_) => codes::DROPS_UNCONFIRMED,
            Self::BadChange(_) => codes::BAD_CHANGE,
            Self::Beyond(_) => codes::BEYOND_OWN_RIGHTS,
            Self::BuiltIn(_) => codes::BUILT_IN,
            Self::LastAdministrator => codes::LAST_ADMINISTRATOR,
            Self::NotLoaded(_) => codes::NOT_LOADED,
            Self::ReadOnly => codes::READ_ONLY,
            Self::DataFolder(_) => codes::DATA_FOLDER,
            Self::Locked(_) => codes::LOCKED,
            Self::Internal(_) => codes::INTERNAL,
        }
    }

    /// Whether asking once more with a freshly admitted caller may succeed.
    pub fn is_policy_changed(&self) -> bool {
        matches!(self, Self::PolicyChanged)
    }

    pub(crate) fn at(self, place: &str) -> Self {
        if place.is_empty() {
            return self;
        }
        Self::At {
            place: place.to_owned(),
            error: Box::new(self),
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            message: message.into(),
        }
    }

    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<Refused> for ServiceError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::NotFound,
            Refused::Forbidden => Self::Forbidden,
            Refused::Beyond(what) => Self::Beyond(what),
            Refused::UnknownField(message) => Self::UnknownField(message),
            Refused::BadQuery(message) => Self::BadQuery(message),
            Refused::BadValue { field, message } => Self::BadValue { field, message },
            Refused::TooMany(_) => Self::TooMany(refused.to_string()),
            Refused::Unconditional => Self::Unconditional,
        }
    }
}

impl From<RefusedAt> for ServiceError {
    fn from(RefusedAt { place, refused }: RefusedAt) -> Self {
        Self::from(refused).at(&place)
    }
}

// Where no collection is known that could name the fields. Record operations translate those themselves.
impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unique { .. } => Self::Conflict { fields: vec![] },
            StoreError::ForeignKey => Self::Referenced,
            StoreError::Busy | StoreError::Again => Self::Busy,
            StoreError::SchemaChanged => Self::TablesChanged,
            StoreError::Unavailable => Self::Unavailable,
            StoreError::Unknown => Self::OutcomeUnknown,
            StoreError::TooSlow => Self::TooSlow,
            StoreError::OutOfRange => Self::OutOfRange,
            StoreError::ReadOnly => Self::ReadOnly,
            StoreError::VersionChanged => Self::PolicyChanged,
            StoreError::LastAdministrator => Self::LastAdministrator,
            StoreError::Beyond => Self::Beyond(None),
            StoreError::NameIsAddress => Self::invalid(
                "username",
                "must not contain '@', unless it is the account's own e-mail address",
            ),
            StoreError::Held { what, holders } => Self::Held { what, holders },
            StoreError::Schema(message) => Self::BadChange(message),
            StoreError::AdministratorExists => {
                Self::SetupClosed("there is an administrator already")
            }
            other => Self::internal(other),
        }
    }
}

impl From<OpenError> for ServiceError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse { .. } => Self::Locked(error),
            other => Self::DataFolder(other),
        }
    }
}

fn conflict(fields: &[String]) -> String {
    match fields {
        [] => "another record has this value already".into(),
        fields => format!(
            "another record has this value already: {}",
            fields.join(", ")
        ),
    }
}

fn problems(problems: &[Problem]) -> String {
    match problems {
        [] => "the access document has a problem".into(),
        [one] => one.to_string(),
        [first, ..] => format!(
            "{} problems in the access document, the first: {first}",
            problems.len()
        ),
    }
}

fn held_by(holders: &[String]) -> String {
    match holders {
        [] => "somebody holds".into(),
        [one] => format!("{one} holds"),
        many => format!("{} hold", few(many)),
    }
}

fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn unconfirmed(drops: &[Dropped]) -> String {
    let named: Vec<String> = drops
        .iter()
        .map(|drop| match &drop.field {
            Some(field) => format!("the field '{field}' of '{}'", drop.collection),
            None => format!("the collection '{}'", drop.collection),
        })
        .collect();
    format!(
        "data would be lost, so it has to be confirmed: {}",
        few(&named)
    )
}
