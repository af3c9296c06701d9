//! Writes the text form with as few parentheses as bring the same tree back.

use std::fmt::Write;

use portreeve_model::{List, Literal, Operand, Path, Rule, Variable};

use super::parser::text_word;
use super::{UNITS, is_reserved, plain_name};

/// Writes a rule; reading the text gives the same tree again. Of what only the program itself makes, a caller's value is
/// written as `?1` and a list of one or no conditions as what it means.
pub fn print_rule(rule: &Rule) -> String {
    let mut printer = Printer(String::new());
    printer.rule(rule, Inside::Nothing);
    printer.0
}

/// Writes an operand.
pub fn print_operand(operand: &Operand) -> String {
    let mut printer = Printer(String::new());
    printer.operand(operand);
    printer.0
}

// What a condition stands in, which says whether it needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Any,
    All,
    Not,
}

struct Printer(String);

impl Printer {
    fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn rule(&mut self, rule: &Rule, inside: Inside) {
        match rule {
            Rule::Constant(value) => self.push(if *value { "true" } else { "false" }),
            Rule::All(rules) => {
                let grouped = matches!(inside, Inside::All | Inside::Not);
                self.joined(rules, " and ", "true", inside, Inside::All, grouped);
            }
            Rule::Any(rules) => {
                let grouped = inside != Inside::Nothing;
                self.joined(rules, " or ", "false", inside, Inside::Any, grouped);
            }
            Rule::Not(inner) => {
                if !self.said(inner, true) {
                    self.push("not ");
                    self.rule(inner, Inside::Not);
                }
            }
            Rule::Compare { left, op, right } => {
                self.operand(left);
                self.push(" ");
                self.push(op.symbol());
                self.push(" ");
                self.operand(right);
            }
            Rule::Quantified {
                quantifier,
                relation,
                rule,
            } => {
                self.push(quantifier.word());
                self.push(" ");
                self.path(relation);
                self.push(" (");
                self.rule(rule, Inside::Nothing);
                self.push(")");
            }
            Rule::Sent(name) => {
                self.push("sent(");
                self.word(name);
                self.push(")");
            }
            Rule::Named { name, arguments } => {
                // Without back quotes it would be read as the function.
                if super::parser::means_something_before_parenthesis(name) {
                    self.quoted(name, '`');
                } else {
                    self.word(name);
                }
                self.operands(arguments);
            }
            Rule::In { .. }
            | Rule::Between { .. }
            | Rule::IsNull(_)
            | Rule::Text { .. }
            | Rule::Matches { .. } => {
                self.said(rule, false);
            }
        }
    }

    fn joined(
        &mut self,
        rules: &[Rule],
        word: &str,
        empty: &str,
        outside: Inside,
        inside: Inside,
        grouped: bool,
    ) {
        if let [rule] = rules {
            return self.rule(rule, outside);
        }
        if rules.is_empty() {
            return self.push(empty);
        }
        self.push(if grouped { "(" } else { "" });
        for (place, rule) in rules.iter().enumerate() {
            self.push(if place == 0 { "" } else { word });
            self.rule(rule, inside);
        }
        self.push(if grouped { ")" } else { "" });
    }

    // The conditions that have their `not` in the middle; false for all others.
    fn said(&mut self, rule: &Rule, negated: bool) -> bool {
        let not = if negated { "not " } else { "" };
        match rule {
            Rule::IsNull(operand) => {
                self.operand(operand);
                let _ = write!(self.0, " is {not}null");
            }
            Rule::In { operand, list } => {
                self.operand(operand);
                let _ = write!(self.0, " {not}in ");
                match list {
                    List::Items(items) => self.operands(items),
                    List::Variable(variable) => self.variable(variable),
                }
            }
            Rule::Between { operand, low, high } => {
                self.operand(operand);
                let _ = write!(self.0, " {not}between ");
                self.operand(low);
                self.push(" and ");
                self.operand(high);
            }
            Rule::Text {
                operand,
                op,
                ignore_case,
                needle,
            } => {
                self.operand(operand);
                let _ = write!(self.0, " {not}{} ", text_word(*op, *ignore_case));
                self.operand(needle);
            }
            Rule::Matches { operand, pattern } => {
                self.operand(operand);
                let _ = write!(self.0, " {not}matches ");
                self.quoted(pattern, '\'');
            }
            _ => return false,
        }
        true
    }

    fn operands(&mut self, operands: &[Operand]) {
        self.push("(");
        for (place, operand) in operands.iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " });
            self.operand(operand);
        }
        self.push(")");
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Literal(Literal::Null) => self.push("null"),
            Operand::Literal(Literal::Boolean(value)) => {
                self.push(if *value { "true" } else { "false" });
            }
            Operand::Literal(Literal::Number(number)) => self.push(number),
            Operand::Literal(Literal::Text(text)) => self.quoted(text, '\''),
            Operand::Literal(Literal::Caller(index)) => {
                let _ = write!(self.0, "?{index}");
            }
            Operand::Path(path) => self.path(path),
            Operand::Old(path) => self.names("$old", &path.0),
            Operand::New(path) => self.names("$new", &path.0),
            Operand::Variable(variable) => self.variable(variable),
            Operand::Count(path) => {
                self.push("count(");
                self.path(path);
                self.push(")");
            }
            Operand::Part(part, inner) => {
                self.push(part.word());
                self.push("(");
                self.operand(inner);
                self.push(")");
            }
            Operand::Parameter(name) => {
                self.push(":");
                self.name(name);
            }
        }
    }

    fn variable(&mut self, variable: &Variable) {
        match variable {
            Variable::User(names) => self.names("$user", names),
            Variable::Claims(names) => self.names("$claims", names),
            Variable::Request(name) => {
                self.push("$request.");
                self.name(name);
            }
            Variable::Now { offset: 0 } => self.push("$now"),
            Variable::Now { offset } => {
                let sign = if *offset < 0 { '-' } else { '+' };
                let span = offset.unsigned_abs();
                let exact = UNITS
                    .iter()
                    .map(|(unit, micros)| (*unit, micros.unsigned_abs()))
                    .find(|(_, micros)| span.is_multiple_of(*micros));
                let (unit, micros) = exact.unwrap_or(("microsecond", 1));
                let amount = span / micros;
                let plural = if amount == 1 { "" } else { "s" };
                let _ = write!(self.0, "$now {sign} {amount} {unit}{plural}");
            }
        }
    }

    fn names(&mut self, head: &str, names: &[String]) {
        self.push(head);
        for name in names {
            self.push(".");
            self.name(name);
        }
    }

    fn path(&mut self, path: &Path) {
        if let [name] = path.0.as_slice() {
            return self.word(name);
        }
        for (place, name) in path.0.iter().enumerate() {
            self.push(if place == 0 { "" } else { "." });
            self.name(name);
        }
    }

    // A name that stands alone and so might be taken for a keyword.
    fn word(&mut self, name: &str) {
        if is_reserved(name) {
            self.quoted(name, '`');
        } else {
            self.name(name);
        }
    }

    fn name(&mut self, name: &str) {
        if !name.is_empty() && plain_name(name, true) == name.len() {
            self.push(name);
        } else {
            self.quoted(name, '`');
        }
    }

    fn quoted(&mut self, text: &str, quote: char) {
        self.0.push(quote);
        for character in text.chars() {
            self.0.push(character);
            if character == quote {
                self.0.push(quote);
            }
        }
        self.0.push(quote);
    }
}
