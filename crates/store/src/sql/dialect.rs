//! Every piece of SQL that differs between databases. Decided by the parity table: text by code point, ASCII case
//! folding only, `instr` and `substr` and never LIKE, decimals and times as integers, nulls last.

use portreeve_model::{DatePart, FieldType, MICROS, TextOp};

/// Which database the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The embedded database.
    Sqlite,
}

impl Dialect {
    /// A name of a table or column.
    pub fn name(self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// The n-th parameter, counted from 1.
    pub fn parameter(self, number: usize) -> String {
        match self {
            Self::Sqlite => format!("?{number}"),
        }
    }

    /// The type of a column. Decimals and times are integers, booleans 0 and 1.
    pub fn column_type(self, ty: FieldType) -> &'static str {
        match self {
            Self::Sqlite => match ty {
                FieldType::Text | FieldType::Json | FieldType::Uuid => "TEXT",
                FieldType::Float => "REAL",
                FieldType::Integer
                | FieldType::Decimal(_)
                | FieldType::Boolean
                | FieldType::Timestamp
                | FieldType::Datetime => "INTEGER",
            },
        }
    }

    /// Text search; both sides are expressions. Null where one of them is null.
    pub fn text_search(
        self,
        op: TextOp,
        negated: bool,
        ignore_case: bool,
        value: &str,
        needle: &str,
    ) -> String {
        let fold = |text: &str| {
            // Without ICU, which is not linked in, lower() folds A to Z and nothing else.
            if ignore_case {
                format!("lower({text})")
            } else {
                text.to_owned()
            }
        };
        let (value, needle) = (fold(value), fold(needle));
        match self {
            Self::Sqlite => match op {
                TextOp::Contains => format!(
                    "instr({value}, {needle}) {} 0",
                    if negated { "=" } else { ">" }
                ),
                TextOp::StartsWith => {
                    format!(
                        "substr({value}, 1, length({needle})) {} {needle}",
                        if negated { "<>" } else { "=" }
                    )
                }
                // Where the needle is longer, the start is zero or negative and substr gives less than the needle's
                // length, which is never equal to it.
                TextOp::EndsWith => format!(
                    "substr({value}, length({value}) - length({needle}) + 1) {} {needle}",
                    if negated { "<>" } else { "=" }
                ),
            },
        }
    }

    /// A regular expression tried on a text. Null where the text is null.
    pub fn matches(self, negated: bool, pattern: &str, value: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "{}portreeve_matches({pattern}, {value})",
                if negated { "NOT " } else { "" }
            ),
        }
    }

    /// The rows of a JSON list, as something to stand after IN.
    pub fn json_list(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
        }
    }

    /// A part of a moment in microseconds since 1970. Division must round down before 1970 too.
    pub fn date_part(self, part: DatePart, micros: &str) -> String {
        match self {
            Self::Sqlite => {
                let floor = |by: i64| format!("({micros} / {by} - ({micros} % {by} < 0))");
                let day = 86_400 * MICROS;
                let in_day = || format!("(({micros} % {day} + {day}) % {day})");
                let civil = |format: &str| {
                    format!(
                        "CAST(strftime('{format}', {}, 'unixepoch') AS INTEGER)",
                        floor(MICROS)
                    )
                };
                match part {
                    DatePart::Year => civil("%Y"),
                    DatePart::Month => civil("%m"),
                    DatePart::Day => civil("%d"),
                    DatePart::Hour => format!("({} / {})", in_day(), 3_600 * MICROS),
                    DatePart::Minute => format!("({} / {} % 60)", in_day(), 60 * MICROS),
                    DatePart::Second => format!("({} / {} % 60)", in_day(), MICROS),
                    // 1970-01-01 was a Thursday, the fourth day.
                    DatePart::Weekday => format!("((({} + 3) % 7 + 7) % 7 + 1)", floor(day)),
                }
            }
        }
    }

    /// One part of an order, nulls last either way.
    pub fn order(self, term: &str, descending: bool, nullable: bool) -> String {
        match self {
            // Nulls are smallest here, so a descending order has them last anyway.
            Self::Sqlite => match (descending, nullable) {
                (true, _) => format!("{term} DESC"),
                (false, true) => format!("{term} NULLS LAST"),
                (false, false) => term.to_owned(),
            },
        }
    }
}
