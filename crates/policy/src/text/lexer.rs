//! Splits a rule into words, each read once, and knows the words of other languages well enough to name ours.

use super::{RuleError, plain_name};

/// A word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// One plain name, perhaps a keyword.
    Word(&'a str),
    /// Names joined by dots or in back quotes: never a keyword.
    Path(Vec<String>),
    /// `$user.team` as `user` and `[team]`.
    Variable(&'a str, Vec<String>),
    /// `:field`.
    Parameter(String),
    /// `-12.50`, as written.
    Number(&'a str),
    /// `'text'`, without quotes.
    Text(String),
    /// An operator or a mark; `!=` is `<>`.
    Symbol(&'static str),
    /// Behind the last word.
    End,
}

/// A token and the bytes it came from.
pub(super) struct Spanned<'a> {
    pub(super) token: Token<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads tokens one after another.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

fn fail<T>(offset: usize, message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError {
        offset,
        message: message.into(),
    })
}

/// A piece of the rule as an error shows it.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = text.escape_debug().take(LONGEST).collect();
    // A quote inside the text needs no escape between our own quotes to be recognised.
    if shown.contains("\\'") {
        shown = shown.replace("\\'", "'");
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether `text` is one number and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    let token = Lexer::new(text).next();
    token.is_ok_and(|token| token.token == Token::Number(text))
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The bytes between two offsets, for error messages.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The next token; [`Token::End`] for ever once the text is used up.
    pub(super) fn next(&mut self) -> Result<Spanned<'a>, RuleError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        let start = self.at;
        let token = match self.rest().chars().next() {
            None => Token::End,
            Some('\'') => self.quoted('\'').map(Token::Text)?,
            Some('$') => self.variable()?,
            Some(':') => self.parameter()?,
            Some('`' | 'a'..='z' | 'A'..='Z' | '_') => self.word()?,
            Some('0'..='9') => self.number()?,
            Some('-') if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.number()?,
            Some(other) => self.symbol(other)?,
        };
        Ok(Spanned {
            token,
            start,
            end: self.at,
        })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn word(&mut self) -> Result<Token<'a>, RuleError> {
        let plain = plain_name(self.rest(), true);
        if plain > 0 && self.byte(plain) != Some(b'.') {
            let word = &self.rest()[..plain];
            self.at += plain;
            return Ok(Token::Word(word));
        }
        let mut names = vec![self.name()?];
        self.more_names(&mut names)?;
        Ok(Token::Path(names))
    }

    // The `.b.c` of `a.b.c`.
    fn more_names(&mut self, names: &mut Vec<String>) -> Result<(), RuleError> {
        while self.byte(0) == Some(b'.') {
            self.at += 1;
            if self.byte(0) != Some(b'`') && plain_name(self.rest(), true) == 0 {
                return fail(
                    self.at - 1,
                    "a name is expected right after '.'; one that does not begin with a letter goes into back quotes",
                );
            }
            names.push(self.name()?);
        }
        Ok(())
    }

    // One name, plain or in back quotes.
    fn name(&mut self) -> Result<String, RuleError> {
        if self.byte(0) != Some(b'`') {
            let plain = plain_name(self.rest(), true);
            let name = self.rest()[..plain].to_owned();
            self.at += plain;
            return Ok(name);
        }
        let start = self.at;
        let name = self.quoted('`')?;
        if name.is_empty() {
            return fail(start, "a name is expected between the back quotes");
        }
        Ok(name)
    }

    // What stands between two quotes; the quote itself is written twice.
    fn quoted(&mut self, quote: char) -> Result<String, RuleError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(length) = self.rest().find(quote) {
            text.push_str(&self.rest()[..length]);
            self.at += length + 1;
            if !self.rest().starts_with(quote) {
                return Ok(text);
            }
            text.push(quote);
            self.at += 1;
        }
        let (what, name) = if quote == '\'' {
            ("text", "a single quote")
        } else {
            ("name", "a back quote")
        };
        fail(
            start,
            format!(
                "the {what} {} is not closed; {name} ends it, and two of them stand for one inside",
                shown(self.slice(start, self.text.len()))
            ),
        )
    }

    fn variable(&mut self) -> Result<Token<'a>, RuleError> {
        let start = self.at;
        self.at += 1;
        // No dash in the first name: `$now-1 day` is a subtraction.
        let plain = plain_name(self.rest(), false);
        if plain == 0 {
            return fail(
                start,
                "'$' begins a variable: $user, $now, $request, $claims, $old or $new is expected",
            );
        }
        let head = &self.rest()[..plain];
        self.at += plain;
        let mut names = vec![];
        self.more_names(&mut names)?;
        Ok(Token::Variable(head, names))
    }

    fn parameter(&mut self) -> Result<Token<'a>, RuleError> {
        let start = self.at;
        self.at += 1;
        if self.byte(0) != Some(b'`') && plain_name(self.rest(), true) == 0 {
            return fail(
                start,
                "':' begins a parameter of a named rule and its name is expected right after it, such as :field",
            );
        }
        let name = self.name()?;
        if self.byte(0) == Some(b'.') {
            return fail(
                self.at,
                format!(
                    "the parameter ':{}' cannot be followed by '.'; pass the whole path as the argument",
                    shown(&name)
                ),
            );
        }
        Ok(Token::Parameter(name))
    }

    fn number(&mut self) -> Result<Token<'a>, RuleError> {
        let start = self.at;
        self.at += usize::from(self.byte(0) == Some(b'-'));
        self.digits();
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
            if self.byte(1 + sign).is_some_and(|b| b.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits();
            }
        }
        // Dates, versions and addresses look like numbers at first.
        let glued = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
        let tail: usize = self
            .rest()
            .chars()
            .take_while(|c| glued(*c))
            .map(char::len_utf8)
            .sum();
        if tail > 0 {
            let word = shown(self.slice(start, self.at + tail));
            return fail(
                start,
                format!(
                    "'{word}' is not a number; dates and other text stand in single quotes, units after a space"
                ),
            );
        }
        Ok(Token::Number(self.slice(start, self.at)))
    }

    fn digits(&mut self) {
        while self.byte(0).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token<'a>, RuleError> {
        // The longer before what it begins with.
        const SYMBOLS: [(&str, &str); 12] = [
            ("<>", "<>"),
            ("!=", "<>"),
            ("<=", "<="),
            (">=", ">="),
            ("(", "("),
            (")", ")"),
            (",", ","),
            ("=", "="),
            ("<", "<"),
            (">", ">"),
            ("+", "+"),
            ("-", "-"),
        ];
        const FOREIGN: [(&str, &str); 23] = [
            ("===", "use '='"),
            ("!==", "use '<>'"),
            ("==", "use '='"),
            ("=<", "use '<='"),
            ("=>", "use '>='"),
            ("=~", "use 'matches'"),
            ("!~", "use 'not' and 'matches'"),
            ("~", "use 'matches', 'contains' or 'icontains'"),
            ("&&", "use 'and'"),
            ("&", "use 'and'"),
            ("||", "use 'or'"),
            ("|", "use 'or'"),
            ("*", "rules have no arithmetic"),
            ("/", "rules have no arithmetic"),
            ("%", "rules have no arithmetic; use 'contains' for patterns"),
            ("[", "lists stand in parentheses: in (1, 2)"),
            ("]", "lists stand in parentheses: in (1, 2)"),
            ("{", "parentheses group conditions"),
            ("}", "parentheses group conditions"),
            ("@", "variables begin with '$', such as $user"),
            ("#", "rules have no comments"),
            (";", "a rule is one condition, joined by 'and' or 'or'"),
            ("?", "write the value itself"),
        ];
        let (rest, start) = (self.rest(), self.at);
        let foreign = FOREIGN.iter().find(|(wrong, _)| rest.starts_with(wrong));
        if let Some((wrong, hint)) = foreign {
            return fail(start, format!("'{wrong}' is not an operator; {hint}"));
        }
        let found = SYMBOLS
            .iter()
            .find(|(written, _)| rest.starts_with(written));
        if let Some((written, symbol)) = found {
            self.at += written.len();
            return Ok(Token::Symbol(symbol));
        }
        let message = match first {
            '!' => "'!' is not an operator; use 'not'".to_owned(),
            '"' | '“' | '”' | '„' | '‘' | '’' => {
                format!("{first} does not quote anything; text stands in single quotes: 'text'")
            }
            '.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => {
                "a digit is expected before '.'; write 0.5 rather than .5".to_owned()
            }
            '.' => "a name is expected right before '.'".to_owned(),
            other if other.is_alphabetic() => {
                let part = |c: char| c.is_alphanumeric() || c == '_';
                let before = self.text[..start].trim_end_matches(part).len();
                let behind = rest.len() - rest.trim_start_matches(part).len();
                let word = shown(self.slice(before, start + behind));
                return fail(
                    before,
                    format!(
                        "'{word}' has letters that a plain name has not; put it in back quotes: `{word}`"
                    ),
                );
            }
            other => format!(
                "'{}' means nothing in a rule; text stands in single quotes, unusual names in back quotes",
                other.escape_debug()
            ),
        };
        fail(start, message)
    }
}
