//! Reads the text form: recursive descent with one token ahead, each token read once.

use portreeve_model::{CompareOp, List, Literal, Operand, Path, Quantifier, Rule, TextOp};

use super::lexer::{Lexer, Spanned, Token, shown};
use super::limits::{self, MAX_RULE_BYTES, MAX_RULE_DEPTH};
use super::{RuleError, is_keyword, is_reserved};

mod complaint;
mod operand;

pub(super) use operand::date_part;

/// Reads a rule: `student = $user and deadline > $now`.
///
/// At most 64 KiB long, nested 64 deep and of 4,096 parts.
pub fn parse_rule(text: &str) -> Result<Rule, RuleError> {
    let mut parser = Parser::new(text)?;
    if parser.token == Token::End {
        return parser
            .fail("the rule is empty; a condition is expected, or 'true' for every record");
    }
    let rule = parser.any()?;
    if parser.token != Token::End {
        return Err(parser.surplus(None));
    }
    limits::check(&rule).map_err(|message| RuleError { offset: 0, message })?;
    Ok(rule)
}

/// Reads an operand that stands alone, such as a preset: `$user`, `$now + 7 days`, `'draft'`.
pub fn parse_operand(text: &str) -> Result<Operand, RuleError> {
    let mut parser = Parser::new(text)?;
    let operand = parser.operand()?;
    if parser.token != Token::End {
        let word = parser.word();
        return parser.fail(format!(
            "'{word}' follows a complete value; one value is expected here, not a condition"
        ));
    }
    limits::check_operand(&operand).map_err(|message| RuleError { offset: 0, message })?;
    Ok(operand)
}

/// The operators that are words, with what they read to.
const TEXT_OPS: [(&str, TextOp, bool); 6] = [
    ("contains", TextOp::Contains, false),
    ("starts_with", TextOp::StartsWith, false),
    ("ends_with", TextOp::EndsWith, false),
    ("icontains", TextOp::Contains, true),
    ("istarts_with", TextOp::StartsWith, true),
    ("iends_with", TextOp::EndsWith, true),
];

const QUANTIFIERS: [Quantifier; 3] = [Quantifier::Some, Quantifier::Every, Quantifier::None];

const COMPARISONS: [CompareOp; 6] = [
    CompareOp::Equal,
    CompareOp::NotEqual,
    CompareOp::Less,
    CompareOp::LessOrEqual,
    CompareOp::Greater,
    CompareOp::GreaterOrEqual,
];

pub(super) fn text_op(word: &str) -> Option<(TextOp, bool)> {
    let found = TEXT_OPS.iter().find(|(name, ..)| *name == word)?;
    Some((found.1, found.2))
}

pub(super) fn text_word(op: TextOp, ignore_case: bool) -> &'static str {
    let found = TEXT_OPS
        .iter()
        .find(|(_, o, i)| (*o, *i) == (op, ignore_case));
    found.map_or("contains", |(name, ..)| name)
}

pub(super) fn comparison(symbol: &str) -> Option<CompareOp> {
    COMPARISONS.into_iter().find(|op| op.symbol() == symbol)
}

pub(super) fn quantifier(word: &str) -> Option<Quantifier> {
    QUANTIFIERS
        .into_iter()
        .find(|quantifier| is_keyword(word, quantifier.word()))
}

/// Whether `name(` is something of the language itself and not a named rule.
pub(super) fn means_something_before_parenthesis(name: &str) -> bool {
    name == "sent" || operand::begins_function(name)
}

/// Why a comparison with null is refused.
pub(super) const NULL_COMPARED: &str =
    "a comparison with null is never true; write 'is null' or 'is not null'";

// What the last condition was, which says what is wrong with a word behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    // A path alone, which might have meant to be compared.
    Bare,
    Group,
    Named,
    Other,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    start: usize,
    end: usize,
    depth: usize,
    last: Last,
    // The word that began the last path, if it was one plain word.
    before: &'a str,
}

type Parsed<T> = Result<T, RuleError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        if text.len() > MAX_RULE_BYTES {
            return Err(RuleError {
                offset: MAX_RULE_BYTES,
                message: limits::too_long(text.len()),
            });
        }
        let mut lexer = Lexer::new(text);
        let Spanned { token, start, end } = lexer.next()?;
        Ok(Self {
            lexer,
            token,
            start,
            end,
            depth: 0,
            last: Last::Other,
            before: "",
        })
    }

    fn bump(&mut self) -> Parsed<Token<'a>> {
        let next = self.lexer.next()?;
        (self.start, self.end) = (next.start, next.end);
        Ok(std::mem::replace(&mut self.token, next.token))
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(self.error(message))
    }

    fn error(&self, message: impl Into<String>) -> RuleError {
        RuleError {
            offset: self.start,
            message: message.into(),
        }
    }

    // The present token as it is written.
    fn word(&self) -> String {
        shown(self.lexer.slice(self.start, self.end))
    }

    // "'x' stands" or "the rule ends", as the beginning of "… where y is expected".
    fn found(&self) -> String {
        match &self.token {
            Token::End => "the rule ends".to_owned(),
            Token::Text(_) => format!("the text {} stands", self.word()),
            _ => format!("'{}' stands", self.word()),
        }
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let hint = match self.token {
            // It stood there as a name.
            Token::Word("and" | "or" | "not") => "",
            Token::Word(word) if is_reserved(word) => {
                "; a name spelt like a keyword goes into back quotes"
            }
            _ => "",
        };
        self.fail(format!("{} where {what} is expected{hint}", self.found()))
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(s) if s == symbol)
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Word(word) if is_keyword(word, keyword))
    }

    fn take_symbol(&mut self, symbol: &str) -> Parsed<bool> {
        let found = self.at_symbol(symbol);
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    fn take_keyword(&mut self, keyword: &str) -> Parsed<bool> {
        let found = self.at_keyword(keyword);
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    // Everything that recurses passes here, so that no text can use up the stack.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_RULE_DEPTH {
            return self.fail(limits::too_deep());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Parsed<Rule> {
        let first = self.all()?;
        if !self.at_keyword("or") {
            return Ok(first);
        }
        let mut rules = vec![first];
        while self.take_keyword("or")? {
            rules.push(self.all()?);
        }
        Ok(Rule::Any(rules))
    }

    fn all(&mut self) -> Parsed<Rule> {
        let first = self.unary()?;
        if !self.at_keyword("and") {
            return Ok(first);
        }
        let mut rules = vec![first];
        while self.take_keyword("and")? {
            rules.push(self.unary()?);
        }
        Ok(Rule::All(rules))
    }

    fn unary(&mut self) -> Parsed<Rule> {
        if self.at_keyword("not") {
            return self.nested(|parser| {
                parser.bump()?;
                Ok(Rule::Not(Box::new(parser.unary()?)))
            });
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed<Rule> {
        self.last = Last::Other;
        if self.at_symbol("(") {
            let rule = self.group()?;
            self.last = Last::Group;
            return Ok(rule);
        }
        let Token::Word(word) = self.token else {
            if let Token::Path(names) = &self.token {
                let names = names.clone();
                return self.after_path(names);
            }
            if matches!(self.token, Token::End | Token::Symbol(_)) {
                return self.expected("a condition");
            }
            let start = self.start;
            let operand = self.operand()?;
            return self.tail(operand, start);
        };
        let start = self.start;
        if let Some(quantifier) = quantifier(word) {
            self.bump()?;
            return self.quantified(quantifier);
        }
        if is_keyword(word, "true") || is_keyword(word, "false") {
            let value = is_keyword(word, "true");
            self.bump()?;
            if self.at_tail() {
                return self.tail(Operand::Literal(Literal::Boolean(value)), start);
            }
            return Ok(Rule::Constant(value));
        }
        if is_reserved(word) && !is_keyword(word, "null") {
            return self.expected("a condition");
        }
        if is_keyword(word, "null") || operand::begins_function(word) {
            let operand = self.operand()?;
            return self.tail(operand, start);
        }
        self.after_path(vec![word.to_owned()])
    }

    // A path has been seen and not yet taken: a condition on it, or a rule of that name.
    fn after_path(&mut self, mut names: Vec<String>) -> Parsed<Rule> {
        let start = self.start;
        let plain = matches!(self.token, Token::Word(_));
        self.before = match self.bump()? {
            Token::Word(word) => word,
            _ => "",
        };
        if !self.at_symbol("(") {
            return self.tail(Operand::Path(Path(names)), start);
        }
        if names.len() > 1 {
            return self.fail(format!(
                "'(' follows the path '{}'; the name of a rule has no dots, and 'some', 'every' or 'none' comes before a relation",
                shown(&names.join("."))
            ));
        }
        let name = names.remove(0);
        if plain && name == "sent" {
            return self.sent();
        }
        self.bump()?;
        let arguments = self.operands("an argument")?;
        self.last = Last::Named;
        Ok(Rule::Named { name, arguments })
    }

    fn sent(&mut self) -> Parsed<Rule> {
        self.bump()?;
        let start = self.start;
        let mut names = self.path("the name of a field")?.0;
        let Some(name) = names.pop().filter(|_| names.is_empty()) else {
            return Err(RuleError {
                offset: start,
                message: "'sent' takes a field of the record itself; its name has no dots".into(),
            });
        };
        self.close("sent")?;
        Ok(Rule::Sent(name))
    }

    // `( rule )`.
    fn group(&mut self) -> Parsed<Rule> {
        let open = self.start;
        self.nested(|parser| {
            parser.bump()?;
            let rule = parser.any()?;
            if !parser.at_symbol(")") {
                return Err(parser.surplus(Some(open)));
            }
            Ok(rule)
        })
        .and_then(|rule| {
            self.bump()?;
            Ok(rule)
        })
    }

    fn quantified(&mut self, quantifier: Quantifier) -> Parsed<Rule> {
        let word = quantifier.word();
        if !matches!(self.token, Token::Word(_) | Token::Path(_)) {
            return self.fail(format!(
                "{} after '{word}' where the name of a relation is expected; a field called {word} goes into back quotes",
                self.found()
            ));
        }
        let relation = self.path("the name of a relation")?;
        if !self.at_symbol("(") {
            return self.expected(&format!(
                "'(' with the condition on the records of '{}'",
                shown(&relation.to_string())
            ));
        }
        let rule = Box::new(self.group()?);
        self.last = Last::Other;
        Ok(Rule::Quantified {
            quantifier,
            relation,
            rule,
        })
    }

    fn path(&mut self, what: &str) -> Parsed<Path> {
        let names = match &self.token {
            Token::Word(word) if !is_reserved(word) => vec![(*word).to_owned()],
            Token::Path(names) => names.clone(),
            _ => return self.expected(what),
        };
        self.bump()?;
        Ok(Path(names))
    }

    fn close(&mut self, of: &str) -> Parsed<()> {
        if self.take_symbol(")")? {
            return Ok(());
        }
        self.expected(&format!("')' to close '{of}('"))
    }

    fn at_tail(&self) -> bool {
        match self.token {
            Token::Symbol(symbol) => comparison(symbol).is_some(),
            Token::Word(word) => {
                ["in", "is", "not", "between"]
                    .iter()
                    .any(|keyword| is_keyword(word, keyword))
                    || word == "matches"
                    || text_op(word).is_some()
            }
            _ => false,
        }
    }

    // What is said about an operand that has been read.
    fn tail(&mut self, operand: Operand, start: usize) -> Parsed<Rule> {
        if let Token::Symbol(symbol) = self.token
            && let Some(op) = comparison(symbol)
        {
            return self.compare(operand, op);
        }
        if !self.at_tail() {
            return self.bare(operand, start);
        }
        if self.at_keyword("is") {
            return self.is_null(operand);
        }
        let negated = self.take_keyword("not")?;
        let rule = match self.token {
            Token::Word(word) if is_keyword(word, "in") => self.list(operand)?,
            Token::Word(word) if is_keyword(word, "between") => self.between(operand)?,
            Token::Word("matches") => self.matches(operand)?,
            Token::Word(word) => {
                let Some((op, ignore_case)) = text_op(word) else {
                    return Err(self.wrong_operator(word));
                };
                self.bump()?;
                Rule::Text {
                    operand,
                    op,
                    ignore_case,
                    needle: self.operand()?,
                }
            }
            _ => return self.expected("in, between, contains or a kin of it, or matches"),
        };
        Ok(if negated {
            Rule::Not(Box::new(rule))
        } else {
            rule
        })
    }

    // A field alone is a condition if it is a truth value; what else stands alone lacks its operator.
    fn bare(&mut self, operand: Operand, start: usize) -> Parsed<Rule> {
        if matches!(operand, Operand::Path(_) | Operand::Parameter(_)) {
            self.last = Last::Bare;
            return Ok(Rule::Compare {
                left: operand,
                op: CompareOp::Equal,
                right: Operand::Literal(Literal::Boolean(true)),
            });
        }
        if !matches!(self.token, Token::End | Token::Symbol(")" | ","))
            && !self.at_keyword("and")
            && !self.at_keyword("or")
        {
            self.last = Last::Bare;
            return Err(self.surplus(None));
        }
        Err(RuleError {
            offset: start,
            message: format!(
                "{} alone is no condition; an operator is expected after it, such as '= true' or 'is not null'",
                shown(&super::print_operand(&operand))
            ),
        })
    }

    fn compare(&mut self, left: Operand, op: CompareOp) -> Parsed<Rule> {
        let start = self.start;
        self.bump()?;
        let right = self.operand()?;
        let null = Operand::Literal(Literal::Null);
        if left == null || right == null {
            return Err(RuleError {
                offset: start,
                message: NULL_COMPARED.into(),
            });
        }
        Ok(Rule::Compare { left, op, right })
    }

    fn is_null(&mut self, operand: Operand) -> Parsed<Rule> {
        self.bump()?;
        let negated = self.take_keyword("not")?;
        if !self.take_keyword("null")? {
            let after = if negated { "is not" } else { "is" };
            return self.fail(format!(
                "{} after '{after}' where null is expected; compare with other values by = or <>",
                self.found()
            ));
        }
        let rule = Rule::IsNull(operand);
        Ok(if negated {
            Rule::Not(Box::new(rule))
        } else {
            rule
        })
    }

    fn list(&mut self, operand: Operand) -> Parsed<Rule> {
        self.bump()?;
        let list = match &self.token {
            Token::Symbol("(") => {
                self.bump()?;
                List::Items(self.operands("a value")?)
            }
            Token::Variable("old" | "new", _) => {
                return self.fail(format!(
                    "'{}' is not a list; $old and $new are compared with = or <>",
                    self.word()
                ));
            }
            Token::Variable(..) => match self.operand()? {
                Operand::Variable(variable) => List::Variable(variable),
                _ => return self.expected("a list"),
            },
            _ => {
                return self.fail(format!(
                    "{} after 'in' where a list in parentheses or $user.roles is expected; compare with one value by =",
                    self.found()
                ));
            }
        };
        Ok(Rule::In { operand, list })
    }

    // Operands up to the closing parenthesis; the opening one has been taken.
    fn operands(&mut self, what: &str) -> Parsed<Vec<Operand>> {
        let mut operands = vec![];
        if self.take_symbol(")")? {
            return Ok(operands);
        }
        loop {
            operands.push(self.operand()?);
            if self.take_symbol(")")? {
                return Ok(operands);
            }
            if !self.take_symbol(",")? {
                return self.expected(&format!("',' or ')' after {what}"));
            }
        }
    }

    fn between(&mut self, operand: Operand) -> Parsed<Rule> {
        self.bump()?;
        let low = self.operand()?;
        if !self.take_keyword("and")? {
            return self.expected("'and' with the upper end of 'between'");
        }
        let high = self.operand()?;
        Ok(Rule::Between { operand, low, high })
    }

    fn matches(&mut self, operand: Operand) -> Parsed<Rule> {
        self.bump()?;
        let Token::Text(_) = self.token else {
            return self.expected("a regular expression in single quotes");
        };
        match self.bump()? {
            Token::Text(pattern) => Ok(Rule::Matches { operand, pattern }),
            _ => self.expected("a regular expression in single quotes"),
        }
    }
}
