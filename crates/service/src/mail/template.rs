//! The words of mails: templates, as data. A built-in one for each kind of mail; a stored one takes its place.
//!
//! What a template may say is little, so that no text can do more than be a text: the value of a variable, and whether one
//! is there. Both are checked when it is stored, by line and name. There are no quotes, no sums and no loops in it, so it
//! comes to about what it is long, and HTML is escaped always.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use portreeve_policy::suggestion;

use crate::ServiceError;

/// A kind of mail: its name and its built-in words.
#[derive(Clone, Copy, Debug)]
pub struct TemplateText {
    /// What it is called.
    pub name: &'static str,
    /// One line.
    pub subject: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The same as HTML.
    pub html: &'static str,
    /// What it may name.
    pub variables: &'static [&'static str],
}

impl TemplateText {
    /// Set a new password.
    pub const RESET: &'static str = "reset";
    /// Confirm one's address.
    pub const CONFIRM: &'static str = "confirm";
    /// Confirm a new address, which takes the place of the old one then.
    pub const CHANGE: &'static str = "change";
    /// Word to the old address that another one is to take its place.
    pub const CHANGING: &'static str = "changing";
    /// Come in.
    pub const INVITE: &'static str = "invite";

    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.name == name)
    }
}

const WITH_CODE: &[&str] = &[
    "code",
    "url",
    "expires",
    "lifetime",
    "server.name",
    "server.url",
    "user.id",
    "user.key",
    "user.name",
    "user.username",
    "user.email",
];

/// The kinds of mail there are.
pub const TEMPLATES: &[TemplateText] = &[
    TemplateText {
        name: TemplateText::RESET,
        subject: "Set a new password for {{ server.name }}",
        text: include_str!("words/reset.txt"),
        html: include_str!("words/reset.html"),
        variables: WITH_CODE,
    },
    TemplateText {
        name: TemplateText::CONFIRM,
        subject: "Confirm your address for {{ server.name }}",
        text: include_str!("words/confirm.txt"),
        html: include_str!("words/confirm.html"),
        variables: WITH_CODE,
    },
    TemplateText {
        name: TemplateText::CHANGE,
        subject: "Confirm your new address for {{ server.name }}",
        text: include_str!("words/change.txt"),
        html: include_str!("words/change.html"),
        variables: &[
            "code",
            "url",
            "expires",
            "lifetime",
            "address",
            "server.name",
            "server.url",
            "user.id",
            "user.key",
            "user.name",
            "user.username",
            "user.email",
        ],
    },
    TemplateText {
        name: TemplateText::CHANGING,
        subject: "Your address for {{ server.name }} is about to change",
        text: include_str!("words/changing.txt"),
        html: include_str!("words/changing.html"),
        variables: &[
            "address",
            "server.name",
            "server.url",
            "user.id",
            "user.key",
            "user.name",
            "user.username",
            "user.email",
        ],
    },
    TemplateText {
        name: TemplateText::INVITE,
        subject: "You are invited to {{ server.name }}",
        text: include_str!("words/invite.txt"),
        html: include_str!("words/invite.html"),
        variables: WITH_CODE,
    },
];

/// What a mail says of whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    values: BTreeMap<&'static str, Option<String>>,
}

impl Words {
    pub fn say(mut self, name: &'static str, value: Option<String>) -> Self {
        self.values.insert(name, value);
        self
    }

    fn context(&self) -> Value {
        let mut top: BTreeMap<&str, Value> = BTreeMap::new();
        let mut nested: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for (name, value) in &self.values {
            let value = value.as_deref().map_or(Value::from(()), Value::from);
            match name.split_once('.') {
                None => {
                    top.insert(name, value);
                }
                Some((object, member)) => {
                    nested.entry(object).or_default().insert(member, value);
                }
            }
        }
        for (object, members) in nested {
            top.insert(object, Value::from_pairs(members));
        }
        Value::from_pairs(top)
    }

    /// The subject, the text and the HTML of a template.
    pub fn fill(
        &self,
        subject: &str,
        text: &str,
        html: Option<&str>,
    ) -> Result<(String, String, Option<String>), minijinja::Error> {
        let environment = environment();
        let context = self.context();
        let fill =
            |name: &str, source: &str| environment.render_named_str(name, source, context.clone());
        let subject = one_line(&fill("subject", subject)?);
        let html = html.map(|html| fill("html", html)).transpose()?;
        Ok((subject, fill("text", text)?, html))
    }
}

// What stands for a value may have any characters; a header has one line.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

// Only what has to be: addresses are to be read and found in HTML too.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out.into()
}

// Knows no filter, function, file or other template.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment.set_formatter(|out, state, value| {
        let text = match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None if value.is_none() => return Ok(()),
            None => Cow::Owned(value.to_string()),
        };
        let text = match state.auto_escape() {
            AutoEscape::Html => escaped(&text),
            _ => text,
        };
        out.write_str(&text).map_err(minijinja::Error::from)
    });
    environment
}

const LONGEST_SUBJECT: usize = 200;
const LONGEST_TEXT: usize = 64 * 1024;

/// Whether somebody's own words for a kind of mail can be used. `part` is `subject`, `text` or `html`.
pub(crate) fn check_template(
    kind: &TemplateText,
    part: &'static str,
    source: &str,
) -> Result<(), ServiceError> {
    let wrong = |message: String| Err(ServiceError::invalid(part, message));
    let longest = if part == "subject" {
        LONGEST_SUBJECT
    } else {
        LONGEST_TEXT
    };
    if source.len() > longest {
        return wrong(format!("must not be longer than {longest} bytes"));
    }
    if source.trim().is_empty() {
        return wrong("must not be empty".into());
    }
    if part == "subject" && source.chars().any(char::is_control) {
        return wrong("must be one line".into());
    }
    if source.contains('\0') {
        return wrong("must not contain NUL".into());
    }
    if let Err((line, message)) = look(kind, source) {
        return wrong(format!("line {line}: {message}"));
    }
    match environment().template_from_named_str(part, source) {
        Ok(_) => Ok(()),
        Err(error) => {
            let what = match error.kind() {
                ErrorKind::SyntaxError => {
                    error.detail().unwrap_or("cannot be understood").to_owned()
                }
                other => other.to_string(),
            };
            wrong(format!("line {}: {what}", error.line().unwrap_or(1)))
        }
    }
}

/// What may stand between braces beside variables.
const TAGS: [&str; 4] = ["if", "elif", "else", "endif"];
const OPERATORS: [&str; 3] = ["not", "and", "or"];

// Every expression and tag, before the engine sees them: nothing but names, words between them and brackets. Without quotes
// in it, what ends an expression for us ends it for the engine too.
fn look(kind: &TemplateText, source: &str) -> Result<(), (usize, String)> {
    let mut rest = source;
    while let Some(start) = rest.find('{') {
        let line = 1 + source[..source.len() - rest.len() + start]
            .matches('\n')
            .count();
        let opened = &rest[start..];
        let (end, tag) = match opened.as_bytes().get(1) {
            Some(b'{') => ("}}", false),
            Some(b'%') => ("%}", true),
            Some(b'#') => {
                let Some(end) = opened.find("#}") else {
                    return Err((line, "'{#' has no '#}'".into()));
                };
                rest = &opened[end + 2..];
                continue;
            }
            _ => {
                rest = &opened[1..];
                continue;
            }
        };
        let inside = &opened[2..];
        let Some(length) = inside.find(end) else {
            return Err((line, format!("'{}' has no '{end}'", &opened[..2])));
        };
        let expression = inside[..length].trim_matches('-').trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.() \n\r\t".contains(c);
        if let Some(other) = expression.chars().find(|c| !allowed(*c)) {
            return Err((
                line,
                format!(
                    "'{other}' cannot stand between braces; there are names of variables, if, not, and, or"
                ),
            ));
        }
        look_at(kind, tag, expression).map_err(|problem| (line, problem))?;
        rest = &inside[length + 2..];
    }
    Ok(())
}

fn look_at(kind: &TemplateText, tag: bool, expression: &str) -> Result<(), String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut after_variable = false;
    for (place, word) in spaced.split_whitespace().enumerate() {
        let first = tag && place == 0;
        if first && !TAGS.contains(&word) {
            return Err(format!(
                "there is no '{word}'; there are if, elif, else, endif"
            ));
        }
        if first || OPERATORS.contains(&word) || word == ")" {
            after_variable = word == ")";
        } else if word == "(" {
            if after_variable {
                return Err("there are no functions".into());
            }
        } else if kind.variables.contains(&word) {
            after_variable = true;
        } else {
            let hint = suggestion(word, kind.variables.iter().copied());
            let name = kind.name;
            return Err(format!("there is no variable '{word}' in '{name}'{hint}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset() -> &'static TemplateText {
        TemplateText::find(TemplateText::RESET).unwrap()
    }

    fn words(url: Option<&str>) -> Words {
        let mut words = Words::default();
        for name in WITH_CODE {
            words = words.say(name, Some(format!("<{name}>")));
        }
        words
            .say("address", Some("new@a.example".into()))
            .say("url", url.map(Into::into))
    }

    #[test]
    fn what_is_built_in_can_be_stored_and_filled() {
        for kind in TEMPLATES {
            for (part, source) in [
                ("subject", kind.subject),
                ("text", kind.text),
                ("html", kind.html),
            ] {
                if let Err(error) = check_template(kind, part, source) {
                    panic!("{} {part}: {error}", kind.name);
                }
            }
            for url in [None, Some("https://a.example/?a=b&code=c")] {
                let filled = words(url).fill(kind.subject, kind.text, Some(kind.html));
                let (subject, text, html) = filled.unwrap();
                let html = html.unwrap();
                assert!(subject.contains("<server.name>"), "{subject}");
                assert!(!html.contains("<user"), "{html}");
                if kind.variables.contains(&"code") {
                    match url {
                        Some(url) => {
                            assert!(text.contains(url), "{text}");
                            assert!(html.contains("?a=b&amp;code=c"), "{html}");
                        }
                        None => assert!(text.contains("<code>") && html.contains("&lt;code&gt;")),
                    }
                }
                assert!(!text.contains("none") && !text.contains("None"), "{text}");
            }
        }
    }

    fn wrong(part: &'static str, source: &str) -> String {
        check_template(reset(), part, source)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_a_template_cannot_do_is_told_with_its_line() {
        for (source, said) in [
            (
                "Hello\n{{ user.nme }}",
                "line 2: there is no variable 'user.nme' in 'reset'; did you mean 'user.name'?",
            ),
            ("{{ address }}", "there is no variable 'address'"),
            ("{{ password }}", "there is no variable"),
            ("{{ user }}", "there is no variable 'user'"),
            ("{{ code * 100000000 }}", "'*' cannot stand"),
            ("{{ code ~ code }}", "'~' cannot stand"),
            ("{{ \"}}\" * 100000000 }}", "'\"' cannot stand"),
            ("{{ code | safe }}", "'|' cannot stand"),
            ("{{ user['id'] }}", "'[' cannot stand"),
            ("{% for x in code %}{% endfor %}", "there is no 'for'"),
            ("{% set x = code %}", "'=' cannot stand"),
            ("{% include code %}", "there is no 'include'"),
            ("{% raw %}{{ x }}{% endraw %}", "there is no 'raw'"),
            ("\n\n{% if url %}", "line 3"),
            ("{{ code", "line 1: '{{' has no '}}'"),
            ("{# note", "'{#' has no '#}'"),
            ("{{ code() }}", "line 1: there are no functions"),
            ("{{ (code)(url) }}", "line 1: there are no functions"),
            ("", "empty"),
            ("a\0b", "NUL"),
            (&"x".repeat(LONGEST_TEXT + 1), "longer"),
        ] {
            let error = wrong("text", source);
            let start = source.chars().take(30).collect::<String>();
            assert!(
                error.starts_with("text: ") && error.contains(said),
                "{start}: {error}"
            );
        }
        assert!(wrong("subject", "Hello\r\nBcc: x@y.example").contains("one line"));
        assert!(wrong("subject", &"x".repeat(201)).contains("200"));
    }

    #[test]
    fn what_a_template_can_do() {
        let source = "{# note #}{ {%- if url and (not code) or user.email -%} { {{- user.name -}} } {% else %}-{% endif %}";
        assert!(check_template(reset(), "text", source).is_ok());
        let (_, text, _) = words(None).fill("x", source, None).unwrap();
        assert_eq!(text, "{{<user.name>} ");
    }

    #[test]
    fn values_cannot_add_lines_to_a_subject_or_tags_to_html() {
        let words = Words::default()
            .say(
                "user.name",
                Some("A\r\nBcc: x@y.example\n<b>{{ code }}".into()),
            )
            .say("code", Some("secret".into()));
        let filled = words.fill(
            "Dear {{ user.name }}",
            "{{ user.name }}",
            Some("{{ user.name }}"),
        );
        let (subject, _, html) = filled.unwrap();
        assert_eq!(subject, "Dear A Bcc: x@y.example <b>{{ code }}");
        assert!(html.unwrap().contains("&lt;b&gt;{{ code }}"));
    }
}
