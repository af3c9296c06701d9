//! The codes of all errors: stable, for programs. A code is never renamed or used for something else.

/// There is no such thing, or it is out of the caller's reach.
pub const NOT_FOUND: &str = "not_found";
/// The caller can see it and may not do this.
pub const FORBIDDEN: &str = "forbidden";
/// A field that does not exist for the caller.
pub const UNKNOWN_FIELD: &str = "unknown_field";
/// A filter, sort, search or cursor that cannot be understood.
pub const BAD_QUERY: &str = "bad_query";
/// A value that does not fit its field.
pub const BAD_VALUE: &str = "bad_value";
/// A value that another record has already.
pub const CONFLICT: &str = "conflict";
/// What would be stored lacks something the caller knows nothing of.
pub const INCOMPLETE: &str = "incomplete";
/// The record is pointed at by others.
pub const REFERENCED: &str = "referenced";
/// The policy or the caller's rights changed meanwhile: sign on again and repeat.
pub const POLICY_CHANGED: &str = "policy_changed";
/// Name or password is wrong.
pub const WRONG_CREDENTIALS: &str = "wrong_credentials";
/// A share is unknown, cannot be opened now, or the password is wrong.
pub const SHARE_NOT_OPENED: &str = "share_not_opened";
/// The session token is unknown, ended or malformed.
pub const INVALID_TOKEN: &str = "invalid_token";
/// Too many attempts, or requests, in too short a time.
pub const THROTTLED: &str = "throttled";
/// Too much at once; try again.
pub const BUSY: &str = "busy";
/// The database cannot be reached.
pub const UNAVAILABLE: &str = "unavailable";
/// The database broke off in the moment of the commit.
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// No administrator exists yet.
pub const SETUP_REQUIRED: &str = "setup_required";
/// The setup code is wrong.
pub const WRONG_SETUP_CODE: &str = "wrong_setup_code";
/// There is nothing to set up, or too many codes were tried.
pub const SETUP_CLOSED: &str = "setup_closed";
/// A code from a mail is not good.
pub const INVALID_CODE: &str = "invalid_code";
/// The server sends no mail.
pub const MAIL_OFF: &str = "mail_off";
/// Something sent does not fit, such as a name or a password.
pub const INVALID: &str = "invalid";
/// An account with this name or address exists.
pub const USER_EXISTS: &str = "user_exists";
/// Nobody can sign up.
pub const REGISTRATION_CLOSED: &str = "registration_closed";
/// There is no such account.
pub const UNKNOWN_USER: &str = "unknown_user";
/// There is no such role.
pub const UNKNOWN_ROLE: &str = "unknown_role";
/// There is no such profile.
pub const UNKNOWN_PROFILE: &str = "unknown_profile";
/// There is no such collection.
pub const UNKNOWN_COLLECTION: &str = "unknown_collection";
/// There is no such action.
pub const UNKNOWN_ACTION: &str = "unknown_action";
/// Something of that name exists already.
pub const EXISTS: &str = "exists";
/// An access document with problems.
pub const BAD_POLICY: &str = "bad_policy";
/// A permission, rule or profile names what would fall away.
pub const NAMED_BY_POLICY: &str = "named_by_policy";
/// Somebody holds a role or profile that would fall away.
pub const HELD: &str = "held";
/// Data would be lost and nobody confirmed it.
pub const DROPS_UNCONFIRMED: &str = "drops_unconfirmed";
/// A change of collections that is not possible while they hold data.
pub const BAD_CHANGE: &str = "bad_change";
/// It would hand out, author or touch more than the caller holds.
pub const BEYOND_OWN_RIGHTS: &str = "beyond_own_rights";
/// A built-in role stays as it is.
pub const BUILT_IN: &str = "built_in";
/// Nobody would be left to administer.
pub const LAST_ADMINISTRATOR: &str = "last_administrator";
/// A line of a file could not be loaded.
pub const NOT_LOADED: &str = "not_loaded";
/// Opened for reading only.
pub const READ_ONLY: &str = "read_only";
/// The data folder cannot be used.
pub const DATA_FOLDER: &str = "data_folder";
/// Another process has the data folder.
pub const LOCKED: &str = "locked";
/// Something of ours went wrong.
pub const INTERNAL: &str = "internal";
/// A read took longer than it may.
pub const TOO_SLOW: &str = "too_slow";

/// A sum is too large or too small for its type.
pub const OUT_OF_RANGE: &str = "out_of_range";
/// The record is not as the condition of the request wants it to be.
pub const UNMET: &str = "precondition_failed";
/// Some of the selected records may not be changed.
pub const PARTLY_FORBIDDEN: &str = "partly_forbidden";
/// More records at once than may be.
pub const TOO_MANY: &str = "too_many_records";
/// Every record of a collection would be changed.
pub const UNCONDITIONAL: &str = "unconditional_change";

/// As many subscriptions as one may have.
pub const TOO_MANY_SUBSCRIPTIONS: &str = "too_many_subscriptions";

/// All of them.
pub const ALL: [&str; 50] = [
    THROTTLED,
    REGISTRATION_CLOSED,
    TOO_MANY_SUBSCRIPTIONS,
    UNMET,
    PARTLY_FORBIDDEN,
    TOO_MANY,
    UNCONDITIONAL,
    NOT_FOUND,
    FORBIDDEN,
    UNKNOWN_FIELD,
    BAD_QUERY,
    BAD_VALUE,
    CONFLICT,
    INCOMPLETE,
    REFERENCED,
    POLICY_CHANGED,
    WRONG_CREDENTIALS,
    SHARE_NOT_OPENED,
    INVALID_TOKEN,
    BUSY,
    UNAVAILABLE,
    OUTCOME_UNKNOWN,
    SETUP_REQUIRED,
    WRONG_SETUP_CODE,
    SETUP_CLOSED,
    INVALID_CODE,
    MAIL_OFF,
    INVALID,
    USER_EXISTS,
    UNKNOWN_USER,
    UNKNOWN_ROLE,
    UNKNOWN_PROFILE,
    UNKNOWN_COLLECTION,
    UNKNOWN_ACTION,
    EXISTS,
    BAD_POLICY,
    NAMED_BY_POLICY,
    HELD,
    DROPS_UNCONFIRMED,
    BAD_CHANGE,
    BEYOND_OWN_RIGHTS,
    BUILT_IN,
    LAST_ADMINISTRATOR,
    NOT_LOADED,
    READ_ONLY,
    DATA_FOLDER,
    LOCKED,
    INTERNAL,
    TOO_SLOW,
    OUT_OF_RANGE,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_code_is_used_twice() {
        let mut codes = ALL.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        let snake = |code: &&str| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(ALL.iter().all(snake));
    }
}
