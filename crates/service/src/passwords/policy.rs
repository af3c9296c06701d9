//! Which passwords are taken: long enough, not among those that everybody tries first, and not the account's own name.
//! Nothing is asked of what they are made of, and they are compared as they are typed: no Unicode normalisation.

use crate::ServiceError;

const CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// Those that everybody tries first, with 8 or more characters, in small letters, in order.
const COMMON: &str = include_str!("common.txt");

/// Whether a password may be an account's that goes by these names.
pub(crate) fn check_password(password: &str, names: &[Option<&str>]) -> Result<(), ServiceError> {
    let wrong = |message: &str| Err(ServiceError::invalid("password", message));
    if !CHARACTERS.contains(&password.chars().count()) {
        return wrong("must have 8 to 128 characters");
    }
    if password.contains('\0') {
        return wrong("must not contain the character NUL");
    }
    let small = password.to_lowercase();
    if is_common(&small) {
        return wrong("is one of those that are tried first; choose another");
    }
    if names
        .iter()
        .flatten()
        .any(|name| name.to_lowercase() == small)
    {
        return wrong("must not be the account's own name or e-mail address");
    }
    Ok(())
}

// Looks for a line by halving; all of it is one text in the program, and nothing is built from it.
fn is_common(small: &str) -> bool {
    let (mut from, mut to) = (0, COMMON.len());
    while from < to {
        let middle = from + (to - from) / 2;
        let begin = COMMON[..middle].rfind('\n').map_or(0, |place| place + 1);
        let end = COMMON[middle..]
            .find('\n')
            .map_or(COMMON.len(), |place| middle + place);
        match COMMON[begin..end].cmp(small) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = end + 1,
            std::cmp::Ordering::Greater => to = begin,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_counted_in_characters() {
        let check = |password: &str| check_password(password, &[]);
        assert!(check("1b3d5f7").is_err());
        assert!(check("åäöåäöåä").is_ok());
        assert!(check(&"ö".repeat(128)).is_ok());
        assert!(check(&"ö".repeat(129)).is_err());
        assert!(check("long enough\0but").is_err());
    }

    #[test]
    fn each_line_of_the_list_is_found_and_nothing_else() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 3_000);
        assert!(lines.is_sorted());
        for line in &lines {
            assert!(line.chars().count() >= 8 && *line == line.to_lowercase());
            assert!(is_common(line), "{line}");
            assert!(!is_common(&format!("{line}\u{e5}")));
        }
        for other in ["", "!", "~~~~~~~~~~~", "password\n", "correct horse"] {
            assert!(!is_common(other), "{other:?}");
        }
    }

    #[test]
    fn what_everybody_tries_first_is_refused_however_it_is_written() {
        for password in ["password", "PassWord", "12345678", "Sunshine1"] {
            assert!(check_password(password, &[]).is_err(), "{password}");
        }
        let names = [Some("Wilhelmina"), None, Some("mina@school.example")];
        for password in ["wilhelmina", "MINA@school.example"] {
            assert!(check_password(password, &names).is_err(), "{password}");
        }
        assert!(check_password("wilhelmina-7", &names).is_ok());
    }
}
