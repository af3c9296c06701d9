//! The query string, strictly: what cannot be read is an error with its place, never dropped.

use std::borrow::Cow;

/// Why a query string cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits behind it.
    BadEscape {
        /// Its place in the query string, from 1.
        column: usize,
    },
    /// A name or value that is no UTF-8 once decoded.
    NotUtf8 {
        /// Where it begins, from 1.
        column: usize,
    },
    /// A NUL character.
    Nul {
        /// Where the name or value begins, from 1.
        column: usize,
    },
}

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadEscape { column } => write!(
                f,
                "the '%' at column {column} of the query string needs two hexadecimal digits; write a percent sign as %25"
            ),
            Self::NotUtf8 { column } => write!(
                f,
                "the text at column {column} of the query string is not UTF-8; encode text as UTF-8 before escaping it"
            ),
            Self::Nul { column } => write!(
                f,
                "the text at column {column} of the query string contains a NUL character; leave it out"
            ),
        }
    }
}

impl std::error::Error for QueryError {}

/// The decoded pairs of a query string.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    text: &'a str,
    at: usize,
}

/// The decoded name-value pairs of a query string, in order. A name without `=` has an empty value.
pub fn pairs(query: &str) -> Pairs<'_> {
    Pairs { text: query, at: 0 }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.at >= self.text.len() {
                return None;
            }
            let start = self.at;
            let rest = &self.text[start..];
            let part = rest.split_once('&').map_or(rest, |(part, _)| part);
            self.at = start + part.len() + 1;
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let pair = decode(name, start)
                .and_then(|read| Ok((read, decode(value, start + name.len() + 1)?)));
            return Some(pair);
        }
    }
}

fn decode(text: &str, start: usize) -> Result<Cow<'_, str>, QueryError> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+' | 0)) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |place| bytes.get(place).and_then(|b| (*b as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                    return Err(QueryError::BadEscape {
                        column: start + at + 1,
                    });
                };
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            other => out.push(other),
        }
        at += 1;
    }
    if out.contains(&0) {
        return Err(QueryError::Nul { column: start + 1 });
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| QueryError::NotUtf8 { column: start + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Vec<(String, String)>, QueryError> {
        pairs(query)
            .map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned())))
            .collect()
    }

    #[test]
    fn pairs_are_decoded_and_what_cannot_be_is_told() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("&&"), Ok(vec![]));
        assert_eq!(
            read("filter=score+%3E%3D+7&x=%C3%A9%25&y&z=a=b&"),
            Ok(vec![
                pair("filter", "score >= 7"),
                pair("x", "é%"),
                pair("y", ""),
                pair("z", "a=b")
            ])
        );
        assert_eq!(read("a=%"), Err(QueryError::BadEscape { column: 3 }));
        assert_eq!(read("a=b&c=d%4"), Err(QueryError::BadEscape { column: 8 }));
        assert_eq!(read("a=%zz"), Err(QueryError::BadEscape { column: 3 }));
        assert_eq!(read("a=%ff"), Err(QueryError::NotUtf8 { column: 3 }));
        assert_eq!(read("a%00=1"), Err(QueryError::Nul { column: 1 }));
    }
}
