//! Reads nodes as what is expected of them. Every method reports what is wrong and returns `None`, so that reading
//! goes on and finds all problems at once.

use portreeve_model::{CollectionName, Operand, Rule, check_identifier};
use saphyr_parser::ScalarStyle;
use serde_json::Value as Json;

use super::FieldValue;
use super::node::{Entry, Kind, Mark, Node};
use super::position::Source;
use super::report::{Report, short, shown};
use crate::{Problem, nearest, parse_operand, parse_rule, rule_from_json, suggestion};

pub(super) struct Reader<'s> {
    report: Report,
    source: Source<'s>,
}

/// The entries of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    pub(super) mark: Mark,
    entries: &'n [Entry],
    /// The known keys that unknown ones were likely meant to be.
    meant: Vec<String>,
}

impl<'n> Fields<'n> {
    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether none of these keys is there, not even misspelt, which was reported then.
    pub(super) fn lacks(&self, keys: &[&str]) -> bool {
        let there = |key: &&str| self.has(key) || self.meant.iter().any(|meant| meant == key);
        !keys.iter().any(there)
    }
}

impl<'s> Reader<'s> {
    pub(super) fn new(report: Report, source: &'s str) -> Self {
        Self {
            report,
            source: Source::new(source),
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        self.report.finish(value)
    }

    pub(super) fn place(&self, mark: Mark) -> crate::Place {
        self.report.place(mark)
    }

    pub(super) fn problem(&mut self, mark: Mark, code: &'static str, message: impl Into<String>) {
        self.report.problem(mark, code, message.into());
    }

    pub(super) fn is_full(&self) -> bool {
        self.report.is_full()
    }

    /// Reports something about one key of a mapping, at that key.
    pub(super) fn problem_of(
        &mut self,
        entry: &Entry,
        code: &'static str,
        message: impl Into<String>,
    ) {
        self.inside(&entry.key, |reader| {
            reader.problem(entry.mark, code, message)
        });
    }

    /// Runs `read` with the path one key longer.
    pub(super) fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.report.enter(key);
        let result = read(self);
        self.report.leave(length);
        result
    }

    fn inside_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.report.enter_index(index);
        let result = read(self);
        self.report.leave(length);
        result
    }

    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let found = match &node.kind {
            Kind::Bad => return,
            Kind::Null => "nothing".into(),
            Kind::Boolean(boolean) => boolean.to_string(),
            Kind::Number(number) => format!("the number {number}"),
            Kind::Text(text, _) => format!("the text {}", shown(text)),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        };
        let hint = match &node.kind {
            Kind::Boolean(_) | Kind::Number(_) if expected == "a text" => {
                "; put it in quotes to have it as a text"
            }
            _ => "",
        };
        self.problem(
            node.mark,
            "wrong_type",
            format!("expected {expected}, found {found}{hint}"),
        );
    }

    /// A mapping whose keys are chosen by the author.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Entry]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        self.wrong_type(node, expected);
        None
    }

    /// A section that may be left empty: `roles:` without anything below it.
    pub(super) fn section<'n>(&mut self, node: &'n Node, expected: &str) -> &'n [Entry] {
        match &node.kind {
            Kind::Null => &[],
            _ => self.entries(node, expected).unwrap_or(&[]),
        }
    }

    /// A mapping with fixed keys; each other key is reported.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        let expected = format!("a mapping with {}", either(known));
        let entries = self.entries(node, &expected)?;
        let mut meant = vec![];
        for entry in entries {
            if self.is_full() {
                break;
            }
            if !known.contains(&entry.key.as_str()) {
                let word = short(&entry.key);
                meant.extend(nearest(&word, known.iter().copied()).map(str::to_owned));
                let near = suggestion(&word, known.iter().copied());
                let message = format!("unknown key {}{near}", shown(&entry.key));
                self.problem_of(entry, "unknown_key", message);
            }
        }
        Some(Fields {
            mark: node.mark,
            entries,
            meant,
        })
    }

    /// The same, where nothing at all is as good as `{}`.
    pub(super) fn body<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        match node.kind {
            Kind::Null => Some(Fields {
                mark: node.mark,
                entries: &[],
                meant: vec![],
            }),
            _ => self.fields(node, known),
        }
    }

    /// Reads the value of one key, if it is there.
    pub(super) fn get<'n, T>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        read: impl FnOnce(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let entry = fields.entry(key)?;
        self.inside(key, |reader| read(reader, &entry.value))
    }

    /// Reads the value of a key that must be there.
    pub(super) fn need<'n, T>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        read: impl FnOnce(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<T> {
        if fields.lacks(&[key]) {
            self.problem(
                fields.mark,
                "missing_key",
                format!("the key '{key}' is missing"),
            );
        }
        self.get(fields, key, read)
    }

    /// Every item of a list, read by `read`.
    pub(super) fn list<'n, T>(
        &mut self,
        node: &'n Node,
        expected: &str,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Kind::List(items) = &node.kind else {
            self.wrong_type(node, expected);
            return None;
        };
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                break;
            }
            if let Some(item) = self.inside_index(index, |reader| read(reader, item)) {
                all.push(item);
            }
        }
        Some(all)
    }

    /// A list of texts, or one text alone, each read by `read`.
    pub(super) fn texts<'n>(
        &mut self,
        node: &'n Node,
        expected: &str,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<&'n str>,
    ) -> Option<Vec<String>> {
        match &node.kind {
            Kind::Text(..) => read(self, node).map(|text| vec![text.to_owned()]),
            _ => self.list(node, expected, |reader, node| {
                read(reader, node).map(str::to_owned)
            }),
        }
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.kind {
            Kind::Text(text, _) => Some(text),
            _ => {
                self.wrong_type(node, "a text");
                None
            }
        }
    }

    pub(super) fn owned_text(&mut self, node: &Node) -> Option<String> {
        self.text(node).map(str::to_owned)
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Boolean(boolean) => Some(*boolean),
            _ => {
                self.wrong_type(node, "true or false");
                None
            }
        }
    }

    /// One word out of a few.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let near = suggestion(&short(text), words.iter().map(|(word, _)| *word));
        self.problem(
            node.mark,
            "bad_value",
            format!("unknown word {}{near}", shown(text)),
        );
        None
    }

    /// A name; `dashes` as in [`check_identifier`].
    pub(super) fn name<'n>(&mut self, node: &'n Node, dashes: bool) -> Option<&'n str> {
        let text = self.text(node)?;
        self.check_name(text, dashes, node.mark).then_some(text)
    }

    pub(super) fn check_name(&mut self, text: &str, dashes: bool, mark: Mark) -> bool {
        match check_identifier(text, dashes) {
            Ok(()) => true,
            Err(_) if text.len() > 63 => {
                let message = format!("the name {} is longer than 63 bytes", shown(text));
                self.problem(mark, "bad_name", message);
                false
            }
            Err(error) => {
                self.problem(mark, "bad_name", error.0);
                false
            }
        }
    }

    pub(super) fn field_name<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        self.name(node, false)
    }

    pub(super) fn dashed_name<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        self.name(node, true)
    }

    pub(super) fn field_names(&mut self, node: &Node) -> Option<Vec<String>> {
        self.texts(node, "a list of field names (texts)", Self::field_name)
    }

    /// Names of roles or profiles.
    pub(super) fn dashed_names(&mut self, node: &Node) -> Option<Vec<String>> {
        self.texts(node, "a list of names (texts)", Self::dashed_name)
    }

    pub(super) fn collection(&mut self, node: &Node) -> Option<CollectionName> {
        let text = self.text(node)?;
        self.check_collection(text, node.mark)
    }

    pub(super) fn check_collection(&mut self, text: &str, mark: Mark) -> Option<CollectionName> {
        let error = match CollectionName::parse(text) {
            Ok(name) => return Some(name),
            Err(_) if text.len() > 200 => format!("{} is no name of a collection", shown(text)),
            Err(error) => error.0,
        };
        self.problem(mark, "bad_name", error);
        None
    }

    pub(super) fn collection_text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = self.text(node)?;
        self.check_collection(text, node.mark).map(|_| text)
    }

    /// A collection or all of a namespace: `grades`, `shop/orders`, `shop/*`.
    pub(super) fn scope<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = self.text(node)?;
        match text.strip_suffix("/*") {
            Some(namespace) => self.check_name(namespace, true, node.mark).then_some(text),
            None => self.check_collection(text, node.mark).map(|_| text),
        }
    }

    /// `restricted_to:`
    pub(super) fn scopes(&mut self, node: &Node) -> Option<Vec<String>> {
        self.texts(node, "a list of collections (texts)", |reader, node| {
            let text = reader.text(node)?;
            if text == "*" {
                let message = "'*' restricts nothing; leave 'restricted_to' out";
                reader.problem(node.mark, "bad_value", message);
                return None;
            }
            reader.scope(node)
        })
    }

    /// The dotted name of an action, as declared.
    pub(super) fn check_action(&mut self, text: &str, mark: Mark) -> bool {
        let segment = |segment: &str| {
            !segment.is_empty()
                && segment
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_-:/".contains(c))
        };
        let good = text.len() <= 200 && text.split('.').all(segment);
        if !good {
            let hint = match text.strip_suffix(".*") {
                Some(prefix) if prefix.split('.').all(segment) => {
                    format!("; write '{prefix}', which covers all that begins with it")
                }
                _ => ": use letters, digits, '_' and '-', joined by dots".into(),
            };
            self.problem(
                mark,
                "bad_name",
                format!("{} is not an action{hint}", shown(text)),
            );
        }
        good
    }

    /// A rule as text, as JSON form, or `true`, `false`.
    pub(super) fn rule(&mut self, node: &Node) -> Option<Rule> {
        match &node.kind {
            Kind::Boolean(boolean) => Some(Rule::Constant(*boolean)),
            Kind::Text(text, style) => match parse_rule(text) {
                Ok(rule) => Some(rule),
                Err(error) => {
                    let mark = self.position(node.mark, text, *style, error.offset);
                    self.problem(mark, "bad_rule", error.message);
                    None
                }
            },
            Kind::Map(_) => match rule_from_json(&node.to_json()) {
                Ok(rule) => Some(rule),
                Err(error) => {
                    self.problem(node.mark, "bad_rule", error.message);
                    None
                }
            },
            _ => {
                self.wrong_type(node, "a rule (a text, a mapping, true or false)");
                None
            }
        }
    }

    fn position(&self, start: Mark, text: &str, style: Option<ScalarStyle>, offset: usize) -> Mark {
        style.map_or(start, |style| {
            self.source.position(start, style, text, offset)
        })
    }

    /// The value of a preset or default.
    pub(super) fn field_value(&mut self, node: &Node) -> Option<FieldValue> {
        let Kind::Text(text, style) = &node.kind else {
            return self.json(node).map(FieldValue::Json);
        };
        if let Some(literal) = text.strip_prefix("$$") {
            return Some(FieldValue::Json(Json::String(format!("${literal}"))));
        }
        if !text.starts_with('$') {
            return Some(FieldValue::Json(Json::String(text.clone())));
        }
        let why = match parse_operand(text) {
            Ok(Operand::Variable(variable)) => return Some(FieldValue::Variable(variable)),
            Ok(_) => format!("{} is not a variable", shown(text)),
            Err(error) => {
                let mark = self.position(node.mark, text, *style, error.offset);
                let message = format!(
                    "{}; a text that begins with '$' is written '$$…'",
                    error.message
                );
                self.problem(mark, "bad_value", message);
                return None;
            }
        };
        let message = format!(
            "{why}: write $user, $now, $request or $claims, or '$$…' for a text that begins with '$'"
        );
        self.problem(node.mark, "bad_value", message);
        None
    }

    /// `presets:`, `defaults:`
    pub(super) fn field_values(&mut self, node: &Node) -> Option<Vec<(String, FieldValue)>> {
        let entries = self.entries(node, "a mapping of fields to values")?;
        let mut values = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.is_full() {
                break;
            }
            self.inside(&entry.key, |reader| {
                reader.check_name(&entry.key, false, entry.mark);
                if let Some(value) = reader.field_value(&entry.value) {
                    values.push((entry.key.clone(), value));
                }
            });
        }
        Some(values)
    }

    /// Any value.
    pub(super) fn json(&mut self, node: &Node) -> Option<Json> {
        match node.kind {
            Kind::Bad => None,
            _ => Some(node.to_json()),
        }
    }

    /// A mapping of any values.
    pub(super) fn json_map(&mut self, node: &Node) -> Option<serde_json::Map<String, Json>> {
        self.entries(node, "a mapping")?;
        match node.to_json() {
            Json::Object(map) => Some(map),
            _ => None,
        }
    }

    /// A moment, in microseconds since 1970.
    pub(super) fn timestamp(&mut self, node: &Node) -> Option<i64> {
        let text = self.text(node)?;
        match portreeve_model::timestamp(&short(text)) {
            Ok(micros) => Some(micros),
            Err(error) => {
                self.problem(node.mark, "bad_value", error.0);
                None
            }
        }
    }
}

/// `'a', 'b' or 'c'`
pub(super) fn either(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("'{one}'"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("'{word}'")).collect();
            format!("{} or '{last}'", first.join(", "))
        }
    }
}
