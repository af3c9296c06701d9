//! What is said about a word that stands where an operator is expected.

use super::operand::FUNCTIONS;
use super::{Last, Parser, comparison};
use crate::text::RuleError;
use crate::text::lexer::{Token, shown};

impl Parser<'_> {
    // A token that does not go with the condition before it. `open` is where a parenthesis waits to be closed.
    pub(super) fn surplus(&self, open: Option<usize>) -> RuleError {
        match self.token {
            // `'O'Neill'`
            Token::Word(word) if self.lexer.slice(0, self.start).ends_with('\'') => self.error(format!(
                "'{}' follows a closing quote; a quote inside text is written twice: ''",
                shown(word)
            )),
            Token::Word(word) if self.last == Last::Bare => self.foreign_quantifier(word),
            Token::Word(word) => {
                let hint = crate::nearest(&shown(word), ["and", "or"])
                    .map(|near| format!("; did you mean '{near}'?"));
                self.error(format!(
                    "'{}' follows a complete condition{}",
                    shown(word),
                    hint.unwrap_or_else(|| "; 'and' or 'or' is expected between two".into())
                ))
            }
            Token::Symbol(symbol) if comparison(symbol).is_some() => self.error(match self.last {
                Last::Group => format!(
                    "'{symbol}' follows a condition in parentheses; an operand is compared without them"
                ),
                Last::Named => format!(
                    "'{symbol}' follows the named rule '{}', which is true or false by itself{}",
                    shown(self.before),
                    match crate::nearest(&shown(self.before), FUNCTIONS) {
                        Some(near) => format!("; did you mean '{near}'?"),
                        None => "; functions with a value are count, year and its kin".to_owned(),
                    }
                ),
                _ => format!("'{symbol}' follows a complete condition; join two comparisons by 'and'"),
            }),
            Token::Symbol("+" | "-") => self.error(format!(
                "'{}' follows a complete operand; rules have no arithmetic except on $now, such as $now - 1 day",
                self.word()
            )),
            Token::Number(number) if number.starts_with('-') => self.error(format!(
                "'{number}' follows a complete operand; rules have no arithmetic except on $now, such as $now - 1 day"
            )),
            Token::Symbol("(") => {
                self.error("'(' follows a complete condition; 'and' or 'or' is expected between two")
            }
            Token::Symbol(")") => self.error("')' closes nothing; its '(' is missing"),
            Token::End => match open {
                Some(open) => RuleError {
                    offset: open,
                    message: "this '(' is not closed; ')' is expected before the rule ends".into(),
                },
                None => self.error("the rule ends where an operator is expected"),
            },
            _ => self.error(format!(
                "{} follows a complete {}; an operator is expected between them",
                self.found().trim_end_matches(" stands"),
                if self.last == Last::Bare { "operand" } else { "condition" }
            )),
        }
    }

    // `any answers (…)`: a path that reads like a quantifier of another language, and a relation behind it.
    fn foreign_quantifier(&self, relation: &str) -> RuleError {
        const FOREIGN: [(&str, &str); 8] = [
            ("any", "some"),
            ("exists", "some"),
            ("exist", "some"),
            ("has", "some"),
            ("all", "every"),
            ("each", "every"),
            ("forall", "every"),
            ("no", "none"),
        ];
        let before = self.before.to_ascii_lowercase();
        if before == "not" {
            return self.error(format!(
                "'{}' is read as a field before '{}'; keywords are written small: not",
                self.before,
                shown(relation)
            ));
        }
        let quantifier = FOREIGN.iter().find(|(wrong, _)| *wrong == before);
        let quantifier = quantifier.map_or(before.as_str(), |(_, quantifier)| *quantifier);
        if super::quantifier(quantifier).is_none() {
            return self.wrong_operator(relation);
        }
        self.error(format!(
            "'{}' follows '{}', which is read as a field; for a relation write 'some', 'every' or 'none', such as {quantifier} {0} (…)",
            shown(relation),
            self.before
        ))
    }

    // A word that stands where an operator is expected.
    pub(super) fn wrong_operator(&self, word: &str) -> RuleError {
        const OPERATORS: [&str; 15] = [
            "in",
            "not in",
            "between",
            "is null",
            "is not null",
            "contains",
            "starts_with",
            "ends_with",
            "icontains",
            "istarts_with",
            "iends_with",
            "matches",
            "and",
            "or",
            "not",
        ];
        const FOREIGN: [(&str, &str); 20] = [
            ("like", "use contains, starts_with or ends_with"),
            ("ilike", "use icontains, istarts_with or iends_with"),
            ("glob", "use contains, starts_with or ends_with"),
            ("similar", "use contains, starts_with or ends_with"),
            ("has", "use 'contains' for text, 'some' for a relation"),
            ("includes", "use 'contains' for text, 'some' for a relation"),
            ("exists", "use 'is not null'"),
            ("isnull", "use 'is null'"),
            ("notnull", "use 'is not null'"),
            ("null", "use 'is null' or 'is not null'"),
            ("eq", "use '='"),
            ("equals", "use '='"),
            ("ne", "use '<>'"),
            ("neq", "use '<>'"),
            ("lt", "use '<'"),
            ("lte", "use '<='"),
            ("gt", "use '>'"),
            ("gte", "use '>='"),
            ("regex", "use 'matches'"),
            ("regexp", "use 'matches'"),
        ];
        let lower = word.to_ascii_lowercase();
        let hint = match FOREIGN.iter().find(|(wrong, _)| *wrong == lower) {
            Some((_, hint)) => format!("; {hint}"),
            None => match crate::nearest(&shown(word), OPERATORS) {
                Some(near) => format!("; did you mean '{near}'?"),
                None => "; there is =, <>, <, <=, >, >=, in, between, is null, contains and its kin, matches, and, or".into(),
            },
        };
        self.error(format!("'{}' is not an operator{hint}", shown(word)))
    }
}
