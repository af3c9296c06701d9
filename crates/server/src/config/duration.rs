//! Times as people write them: `30d`, `12h`, `15m`, `10s`, and `never` for what has no end.

use serde::{Deserialize, Deserializer};

/// A time in microseconds; none for `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub Option<i64>);

/// `never`.
pub const NEVER: Duration = Duration(None);

const MICROS: i64 = 1_000_000;
const LONGEST: i64 = 3_650 * 24 * 60 * 60 * MICROS;

impl Duration {
    fn parse(text: &str) -> Option<Self> {
        if text == "never" {
            return Some(Self(None));
        }
        let unit = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return None,
        };
        let number = &text[..text.len() - 1];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros = number
            .parse::<i64>()
            .ok()?
            .checked_mul(unit)?
            .checked_mul(MICROS)?;
        (micros <= LONGEST).then_some(Self(Some(micros)))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "write a time as 30d, 12h, 15m or 10s (ten years at most), or never",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        let micros = |text: &str| Duration::parse(text).map(|duration| duration.0);
        assert_eq!(micros("10s"), Some(Some(10 * MICROS)));
        assert_eq!(micros("2d"), Some(Some(2 * 86_400 * MICROS)));
        assert_eq!(micros("0s"), Some(Some(0)));
        assert_eq!(micros("never"), Some(None));
        for bad in [
            "",
            "d",
            "10",
            "-1d",
            "1.5h",
            "1 d",
            "1w",
            "9999999999999d",
            "4000d",
            "é",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
