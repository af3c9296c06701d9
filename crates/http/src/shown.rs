//! How much of what was sent an error message shows.

use std::borrow::Cow;

/// At most so many bytes of what was sent come back in an error.
const LIMIT: usize = 60;

/// `text` as an error message shows it: without control characters, and cut where it is long.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= LIMIT && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut short = String::with_capacity(LIMIT + 4);
    for character in text.chars() {
        let before = short.len();
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
        if short.len() > LIMIT - 3 {
            short.truncate(before);
            short.push('…');
            break;
        }
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_texts_are_shown_short_and_plain() {
        assert_eq!(shown("grades"), "grades");
        assert_eq!(shown("a\nb\0"), "a\\nb\\u{0}");
        for text in ["x".repeat(10_000), "é\u{7}".repeat(10_000)] {
            let short = shown(&text).into_owned();
            assert!(short.len() <= LIMIT && short.ends_with('…'), "{short}");
        }
    }
}
