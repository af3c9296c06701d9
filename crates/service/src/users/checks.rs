//! What may be said of an account, before anything is looked at.

use portreeve_policy::SYSTEM_COLLECTIONS;
use serde_json::{Map, Value as Json};

use super::RESERVED_KEYS;
use crate::ServiceError;

const MAX_NAME_BYTES: usize = 254;

/// What says of a name what it is of.
const NAMING: [&str; 7] = [
    "role:",
    "profile:",
    "user:",
    "key:",
    "number:",
    "username:",
    "email:",
];

// Of two names that look alike one would be taken for the other: zero width, marks of direction, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

pub(crate) fn check_name(what: &str, name: &str) -> Result<(), ServiceError> {
    let wrong = |message: &str| Err(ServiceError::invalid(what, message));
    if name.is_empty() {
        return wrong("must not be empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return wrong("must not be longer than 254 bytes");
    }
    if name.chars().any(char::is_control) {
        return wrong("must not contain control characters");
    }
    if name.trim() != name {
        return wrong("must not begin or end with a space");
    }
    if name.chars().any(is_invisible) {
        return wrong(
            "must not contain characters that cannot be seen, or that turn the direction of writing",
        );
    }
    // They stand before names and roles where both can be named.
    if let Some(prefix) = NAMING.iter().find(|prefix| {
        let begin = name.get(..prefix.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    }) {
        return Err(ServiceError::invalid(
            what,
            format!("must not begin with '{prefix}'"),
        ));
    }
    if RESERVED_KEYS
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
    {
        return Err(ServiceError::invalid(
            what,
            format!("'{name}' is reserved; choose another"),
        ));
    }
    Ok(())
}

pub(crate) fn check_email(email: &str) -> Result<(), ServiceError> {
    check_name("email", email)?;
    let good = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    if !good || email.contains(char::is_whitespace) {
        return Err(ServiceError::invalid("email", "is not an e-mail address"));
    }
    Ok(())
}

/// Own columns are what the product's own are not: those have words of their own, and the rest nobody sends.
pub(crate) fn own_columns(sent: &Map<String, Json>) -> Result<(), ServiceError> {
    let ours: &[_] = SYSTEM_COLLECTIONS
        .iter()
        .find(|(name, _)| *name == "users")
        .map_or(&[], |(_, columns)| columns);
    match sent
        .keys()
        .find(|name| ours.iter().any(|(column, ..)| column == name))
    {
        None => Ok(()),
        Some(name) => Err(ServiceError::UnknownField(format!(
            "'users' has no own field '{name}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::NewUser;
    use super::*;

    fn named(username: &str) -> NewUser {
        NewUser {
            username: Some(username.into()),
            ..NewUser::default()
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in RESERVED_KEYS {
            assert!(named(name).check().is_err(), "{name}");
        }
        for name in [
            "",
            " anna",
            "anna\n",
            "Public",
            "role:admin",
            "Role:admin",
            "profile:x",
            "key:1",
            "email:bo@school.example",
            "an\u{200b}na",
            "\u{202e}anna",
            "\u{feff}anna",
            &"x".repeat(255),
        ] {
            assert!(named(name).check().is_err(), "{name:?}");
        }
        for name in ["anna", "Anna Å", "o'neil", &"x".repeat(254)] {
            assert!(named(name).check().is_ok(), "{name:?}");
        }
        let own = NewUser {
            email: Some("Anna@school.example".into()),
            ..named("anna@school.example")
        };
        assert!(own.check().is_ok());
    }
}
