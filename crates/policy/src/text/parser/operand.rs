//! Operands: literals, paths, variables, functions.

use portreeve_model::{DatePart, Literal, Operand, Path, Variable};

use super::{Parsed, Parser};
use crate::suggestion;
use crate::text::lexer::{Token, shown};
use crate::text::{MAX_SPAN, REQUEST, RuleError, UNITS, is_keyword, is_reserved};

const VARIABLES: [&str; 6] = ["$user", "$now", "$request", "$claims", "$old", "$new"];

/// What is written with parentheses and gives a value.
pub(super) const FUNCTIONS: [&str; 8] = [
    "count", "year", "month", "day", "hour", "minute", "second", "weekday",
];

pub(in crate::text) fn date_part(word: &str) -> Option<DatePart> {
    DatePart::ALL.into_iter().find(|part| part.word() == word)
}

/// Whether `word` before a parenthesis is a function and not a named rule.
pub(super) fn begins_function(word: &str) -> bool {
    FUNCTIONS.contains(&word)
}

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Parsed<Operand> {
        let start = self.start;
        match self.token {
            Token::Word(word) => return self.word_operand(word),
            Token::Variable(head, _) => return self.variable(head),
            Token::Symbol(sign @ ("-" | "+")) => {
                return self.fail(format!(
                    "'{sign}' stands where an operand is expected; a negative number has its sign right before it, a positive one none"
                ));
            }
            Token::Symbol("(") => {
                return self.fail(
                    "'(' stands where an operand is expected; parentheses group conditions, not operands",
                );
            }
            Token::Symbol(_) | Token::End => {
                return self.expected("a field, a value or a variable");
            }
            _ => {}
        }
        Ok(match self.bump()? {
            Token::Text(text) => Operand::Literal(Literal::Text(text)),
            Token::Number(number) => Operand::Literal(Literal::Number(number.to_owned())),
            Token::Parameter(name) => Operand::Parameter(name),
            Token::Path(names) => {
                if self.at_symbol("(") {
                    return self.not_a_function(start, &names.join("."));
                }
                Operand::Path(Path(names))
            }
            _ => return self.expected("a field, a value or a variable"),
        })
    }

    fn word_operand(&mut self, word: &str) -> Parsed<Operand> {
        let start = self.start;
        for (keyword, literal) in [
            ("true", Literal::Boolean(true)),
            ("false", Literal::Boolean(false)),
            ("null", Literal::Null),
        ] {
            if is_keyword(word, keyword) {
                self.bump()?;
                return Ok(Operand::Literal(literal));
            }
        }
        if is_reserved(word) {
            return self.expected("a field, a value or a variable");
        }
        self.bump()?;
        if !self.at_symbol("(") {
            return Ok(Operand::Path(Path(vec![word.to_owned()])));
        }
        if word == "count" {
            self.bump()?;
            let relation = self.path("the name of a relation")?;
            self.close(word)?;
            return Ok(Operand::Count(relation));
        }
        let Some(part) = date_part(word) else {
            return self.not_a_function(start, word);
        };
        let inner = self.nested(|parser| {
            parser.bump()?;
            parser.operand()
        })?;
        self.close(word)?;
        Ok(Operand::Part(part, Box::new(inner)))
    }

    fn not_a_function<T>(&self, offset: usize, word: &str) -> Parsed<T> {
        Err(RuleError {
            offset,
            message: format!(
                "'{}' is not a function of operands{}",
                shown(word),
                suggestion(word, FUNCTIONS)
            ),
        })
    }

    fn variable(&mut self, head: &str) -> Parsed<Operand> {
        let start = self.start;
        let fail = |message: String| {
            Err(RuleError {
                offset: start,
                message,
            })
        };
        let written = self.word();
        let Token::Variable(_, names) = self.bump()? else {
            return self.expected("a variable");
        };
        let variable = match head {
            "user" => Variable::User(names),
            "claims" if !names.is_empty() => Variable::Claims(names),
            "old" if !names.is_empty() => return Ok(Operand::Old(Path(names))),
            "new" if !names.is_empty() => return Ok(Operand::New(Path(names))),
            "claims" | "old" | "new" => {
                let what = if head == "claims" { "claim" } else { "field" };
                return fail(format!(
                    "'${head}' alone has no value; the name of a {what} is expected, such as ${head}.name"
                ));
            }
            "now" if names.is_empty() => Variable::Now {
                offset: self.span()?,
            },
            "now" => {
                return fail(format!(
                    "'{written}' is not a variable; $now has no parts, and year($now) and its kin take them"
                ));
            }
            "request" => match names.as_slice() {
                [name] if REQUEST.contains(&name.as_str()) => Variable::Request(name.clone()),
                _ => {
                    return fail(format!(
                        "'{written}' is not something a request has{}",
                        suggestion(&shown(&names.join(".")), REQUEST)
                    ));
                }
            },
            _ => {
                // What others call the one who asks.
                const ME: [&str; 6] = ["me", "self", "uid", "auth", "account", "current_user"];
                let meant = if ME.contains(&head.to_ascii_lowercase().as_str()) {
                    "; did you mean '$user'?".to_owned()
                } else {
                    suggestion(&shown(&format!("${head}")), VARIABLES)
                };
                return fail(format!("'${}' is not a variable{meant}", shown(head)));
            }
        };
        Ok(Operand::Variable(variable))
    }

    // What is added to `$now`: `- 1 day`, also without spaces.
    fn span(&mut self) -> Parsed<i64> {
        // A minus right before the digits is the operator itself, unless there was one already.
        let (negative, signed) = match self.token {
            Token::Symbol("-") => (true, false),
            Token::Symbol("+") => (false, false),
            Token::Number(number) if number.starts_with('-') => (true, true),
            _ => return Ok(0),
        };
        if !signed {
            self.bump()?;
        }
        let start = self.start;
        let Token::Number(number) = self.token else {
            return self.expected("a number with a unit of time, such as 90 minutes,");
        };
        let digits = if signed { &number[1..] } else { number };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.fail(format!(
                "'{}' is not a whole number; use a smaller unit, such as 90 minutes for 1.5 hours",
                shown(number)
            ));
        }
        self.bump()?;
        let unit = match self.token {
            Token::Word(word) => word,
            _ => {
                return self.expected("a unit of time (seconds, minutes, hours, days or weeks)");
            }
        };
        let singular = unit.strip_suffix('s').unwrap_or(unit);
        let Some((_, micros)) = UNITS.iter().find(|(name, _)| *name == singular) else {
            let units = ["seconds", "minutes", "hours", "days", "weeks"];
            let hint = match unit {
                "month" | "months" | "year" | "years" => {
                    "; months and years differ in length, use days or weeks".to_owned()
                }
                _ => suggestion(unit, units),
            };
            return self.fail(format!("'{}' is not a unit of time{hint}", shown(unit)));
        };
        self.bump()?;
        let span = digits.parse::<i64>().ok();
        let span = span.and_then(|amount| amount.checked_mul(*micros));
        match span.filter(|span| *span <= MAX_SPAN) {
            Some(span) if negative => Ok(-span),
            Some(span) => Ok(span),
            None => Err(RuleError {
                offset: start,
                message: format!(
                    "a span of {} {unit} is more than 10,000 years, the most that $now can be moved by",
                    shown(digits)
                ),
            }),
        }
    }
}
