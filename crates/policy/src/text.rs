//! The rule language as text and as JSON: one tree, read from and printed back in either form.
//!
//! What either form reads, the other can say: the limits are those of the tree, and they are checked in one place.

mod json;
mod lexer;
mod limits;
mod parser;
mod printer;

pub use json::{rule_from_json, rule_to_json};
pub use parser::{parse_operand, parse_rule};
pub use printer::{print_operand, print_rule};

/// Why a text is no rule, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Byte offset into the text; 0 for JSON.
    pub offset: usize,
    /// One sentence that names the offending word and the fix.
    pub message: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}

// Words that mean something wherever they stand; a name spelt so goes into back quotes.
const RESERVED: [&str; 12] = [
    "and", "or", "not", "in", "is", "null", "between", "true", "false", "some", "every", "none",
];

// What `$request.` knows.
const REQUEST: [&str; 4] = ["ip", "method", "face", "operation"];

// The units of `$now - 1 day` in microseconds, the largest first, so that the printer takes the largest that fits.
const UNITS: [(&str, i64); 6] = [
    ("week", 604_800 * portreeve_model::MICROS),
    ("day", 86_400 * portreeve_model::MICROS),
    ("hour", 3_600 * portreeve_model::MICROS),
    ("minute", 60 * portreeve_model::MICROS),
    ("second", portreeve_model::MICROS),
    ("microsecond", 1),
];

// Ten thousand years: a clock's reading plus this still fits its type.
const MAX_SPAN: i64 = 3_652_500 * 86_400 * portreeve_model::MICROS;

// Whether `word` is the keyword: in small or in capital letters, as SQL is often written, but not mixed.
fn is_keyword(word: &str, keyword: &str) -> bool {
    word == keyword
        || (word.eq_ignore_ascii_case(keyword) && !word.bytes().any(|b| b.is_ascii_lowercase()))
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|keyword| is_keyword(word, keyword))
}

// How many bytes at the start of `text` are a name that needs no back quotes. A dash belongs to it only between
// letters or digits, so that neither `a -1` nor a dash at the end is swallowed.
fn plain_name(text: &str, dashes: bool) -> usize {
    let bytes = text.as_bytes();
    let starts = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
    if !bytes.first().is_some_and(starts) {
        return 0;
    }
    let mut end = 1;
    while let Some(&byte) = bytes.get(end) {
        let dash =
            dashes && byte == b'-' && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
        if !byte.is_ascii_alphanumeric() && byte != b'_' && !dash {
            break;
        }
        end += 1;
    }
    end
}
