//! YAML and JSON as a tree of nodes that know where they stand. The YAML reader gives events; what may not be in a
//! document at all (anchors, tags, several documents, doubled keys, great depth) is refused here.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::Number;

use super::report::{Report, push_index, push_key, shown};

/// The longest document read, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The deepest nesting of a document.
const MAX_DEPTH: usize = 64;
/// The deepest nesting of a stored part, which stands a few levels down in a document.
const MAX_PART_DEPTH: usize = MAX_DEPTH - 4;

/// Line and column, both from 1; 0 where there is no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl From<&Marker> for Mark {
    fn from(marker: &Marker) -> Self {
        // The reader counts columns from 0.
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            line: number(marker.line()),
            column: number(marker.col() + 1),
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String, Option<ScalarStyle>),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something a problem was reported about already: whoever meets it stays silent.
    Bad,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Node {
    /// The node as JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.kind {
            Kind::Null | Kind::Bad => J::Null,
            Kind::Boolean(boolean) => J::Bool(*boolean),
            Kind::Number(number) => J::Number(number.clone()),
            Kind::Text(text, _) => J::String(text.clone()),
            Kind::List(items) => J::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => J::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }

    /// A tree without places from JSON.
    pub(super) fn from_json(json: &serde_json::Value, report: &mut Report) -> Option<Self> {
        Self::from_json_at(json, 0, report)
    }

    fn from_json_at(json: &serde_json::Value, depth: usize, report: &mut Report) -> Option<Self> {
        use serde_json::Value as J;
        if depth > MAX_PART_DEPTH {
            too_deep(Mark::default(), MAX_PART_DEPTH, report);
            return None;
        }
        let kind =
            match json {
                J::Null => Kind::Null,
                J::Bool(boolean) => Kind::Boolean(*boolean),
                J::Number(number) => Kind::Number(number.clone()),
                J::String(text) => text_kind(text, None, Mark::default(), report),
                J::Array(items) => {
                    let mut nodes = Vec::with_capacity(items.len());
                    for (index, item) in items.iter().enumerate() {
                        nodes.push(report.at_index(index, |report| {
                            Self::from_json_at(item, depth + 1, report)
                        })?);
                    }
                    Kind::List(nodes)
                }
                J::Object(map) => {
                    let mut entries = Vec::with_capacity(map.len());
                    for (key, value) in map {
                        let value = report.at(key, |report| {
                            refuse_nul(key, Mark::default(), report);
                            Self::from_json_at(value, depth + 1, report)
                        })?;
                        entries.push(Entry {
                            key: key.clone(),
                            mark: Mark::default(),
                            value,
                        });
                    }
                    Kind::Map(entries)
                }
            };
        Some(Self {
            mark: Mark::default(),
            kind,
        })
    }
}

/// Refuses what no document may be, and makes the text one that the YAML reader reads as is.
pub(super) fn prepare<'t>(text: &'t str, report: &mut Report) -> Option<Cow<'t, str>> {
    if text.len() > MAX_BYTES {
        report.problem(
            Mark::default(),
            "too_large",
            format!(
                "the document has {} bytes; at most {MAX_BYTES} are read",
                text.len()
            ),
        );
        return None;
    }
    if let Some(place) = text.find(|c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r')) {
        let character = text[place..].chars().next().unwrap_or_default();
        let before = &text[..place];
        let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let lines = before.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let mark = Mark {
            line: u32::try_from(lines + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before[line_start..].chars().count() + 1).unwrap_or(u32::MAX),
        };
        report.problem(
            mark,
            "syntax",
            format!(
                "the control character U+{:04X} cannot stand in a document",
                u32::from(character)
            ),
        );
        return None;
    }
    // In YAML a tab is no indentation, and the parser would read `\troles:` as a section without content: everything
    // would be missing, and applying it would take it away. JSON may be indented as it likes.
    let is_json = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with(['{', '[']);
    let tab = text
        .lines()
        .position(|line| line.starts_with('\t') && !line.trim().is_empty());
    if let Some(line) = tab.filter(|_| !is_json) {
        let mark = Mark {
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: 1,
        };
        report.problem(mark, "syntax", "a tab cannot indent; use spaces".into());
        return None;
    }
    Some(join_surrogates(text))
}

/// Reads a prepared text as one YAML document. `None` where there is no document, or none that can be read; the
/// report tells which.
pub(super) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    let mut builder = Builder {
        stack: vec![],
        root: None,
        documents: 0,
        report,
    };
    // The parser's own loader recurses and asserts; pulling events does neither.
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, Mark::from(&span.start)) {
                    return None;
                }
            }
            Err(error) => {
                let path = builder.path();
                // The reader looks ahead, and may meet these before there is an event to refuse.
                let (code, message) = if error.info().contains("unknown anchor") {
                    ("unsupported", ALIAS.into())
                } else if error.info().contains("recursion limit") {
                    ("too_deep", too_deep_message(MAX_DEPTH))
                } else {
                    (
                        "syntax",
                        format!("this is not valid YAML: {}", error.info()),
                    )
                };
                builder
                    .report
                    .problem_at(path, Mark::from(error.marker()), code, message);
                return None;
            }
        }
    }
    builder.root
}

const ALIAS: &str = "an alias (*name) cannot stand in a document; write the value out";

/// One mapping or sequence that is still open.
enum Frame {
    List {
        mark: Mark,
        items: Vec<Node>,
    },
    Map {
        mark: Mark,
        entries: Vec<Entry>,
        lines: HashMap<String, u32>,
        /// The key whose value comes next, and whether the value is kept.
        key: Option<(String, Mark, bool)>,
    },
}

struct Builder<'r> {
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    report: &'r mut Report,
}

impl Builder<'_> {
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match frame {
                Frame::List { items, .. } => push_index(&mut path, items.len()),
                Frame::Map {
                    key: Some((key, ..)),
                    ..
                } => push_key(&mut path, key),
                Frame::Map { .. } => {}
            }
        }
        path
    }

    fn problem(&mut self, mark: Mark, code: &'static str, message: impl Into<String>) {
        let path = self.path();
        self.report.problem_at(path, mark, code, message.into());
    }

    /// Takes one event; false where reading must stop.
    fn event(&mut self, event: Event<'_>, mark: Mark) -> bool {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problem(
                        mark,
                        "unsupported",
                        "a second document begins here; keep each in a file of its own",
                    );
                    return false;
                }
            }
            Event::Alias(_) => {
                self.problem(mark, "unsupported", ALIAS);
                self.done(Node {
                    mark,
                    kind: Kind::Bad,
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), mark);
                self.scalar(text, style, tag.is_some(), mark);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), mark);
                return self.open(
                    Frame::List {
                        mark,
                        items: vec![],
                    },
                    mark,
                );
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), mark);
                return self.open(
                    Frame::Map {
                        mark,
                        entries: vec![],
                        lines: HashMap::new(),
                        key: None,
                    },
                    mark,
                );
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { mark, items }) => {
                    self.done(Node {
                        mark,
                        kind: Kind::List(items),
                    });
                }
                Some(Frame::Map { mark, entries, .. }) => {
                    self.done(Node {
                        mark,
                        kind: Kind::Map(entries),
                    });
                }
                None => {}
            },
        }
        true
    }

    fn refuse_properties(&mut self, anchor: usize, tag: bool, mark: Mark) {
        if anchor > 0 {
            self.problem(
                mark,
                "unsupported",
                "an anchor (&name) cannot stand in a document; write each value out",
            );
        }
        if tag {
            self.problem(
                mark,
                "unsupported",
                "a tag (!name) cannot stand in a document; quote a text, leave other values bare",
            );
        }
    }

    fn open(&mut self, frame: Frame, mark: Mark) -> bool {
        if self.stack.len() >= MAX_DEPTH {
            let path = self.path();
            self.report
                .problem_at(path, mark, "too_deep", too_deep_message(MAX_DEPTH));
            return false;
        }
        self.stack.push(frame);
        true
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tagged: bool, mark: Mark) {
        if text.contains('\0') {
            self.problem(mark, "bad_value", NUL);
        }
        if self.expects_key() {
            self.key(text.into_owned(), mark);
            return;
        }
        let kind = if tagged || text.contains('\0') {
            Kind::Bad
        } else if style == ScalarStyle::Plain {
            plain(&text).unwrap_or_else(|message| {
                self.problem(mark, "bad_value", message);
                Kind::Bad
            })
        } else {
            Kind::Text(text.into_owned(), Some(style))
        };
        self.done(Node { mark, kind });
    }

    fn key(&mut self, text: String, mark: Mark) {
        let Some(Frame::Map { key, lines, .. }) = self.stack.last_mut() else {
            return;
        };
        let first = lines.get(&text).copied();
        lines.entry(text.clone()).or_insert(mark.line);
        *key = Some((text.clone(), mark, first.is_none()));
        if let Some(first) = first {
            let message = format!(
                "the key {} is here a second time; the first is in line {first}",
                shown(&text)
            );
            self.problem(mark, "duplicate_key", message);
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: None, .. }))
    }

    /// Puts a finished node where it belongs.
    fn done(&mut self, node: Node) {
        if self.expects_key() {
            self.problem(
                node.mark,
                "wrong_type",
                "a key must be a text, not a list or a mapping",
            );
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some((key, mark, true)) => entries.push(Entry {
                    key,
                    mark,
                    value: node,
                }),
                Some((_, _, false)) => {}
                None => *key = Some((String::new(), node.mark, false)),
            },
        }
    }
}

const NUL: &str = "a text must not contain the NUL character";

fn refuse_nul(text: &str, mark: Mark, report: &mut Report) -> bool {
    let nul = text.contains('\0');
    if nul {
        report.problem(mark, "bad_value", NUL.into());
    }
    nul
}

fn text_kind(text: &str, style: Option<ScalarStyle>, mark: Mark, report: &mut Report) -> Kind {
    if refuse_nul(text, mark, report) {
        Kind::Bad
    } else {
        Kind::Text(text.into(), style)
    }
}

fn too_deep(mark: Mark, limit: usize, report: &mut Report) {
    report.problem(mark, "too_deep", too_deep_message(limit));
}

fn too_deep_message(limit: usize) -> String {
    format!("nested more than {limit} levels deep")
}

/// What an unquoted scalar is, by the core schema of YAML 1.2: `yes`, `no`, `on` and `off` are texts.
fn plain(text: &str) -> Result<Kind, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Boolean(true),
        "false" | "False" | "FALSE" => Kind::Boolean(false),
        _ => match number(text)? {
            Some(number) => Kind::Number(number),
            None => Kind::Text(text.into(), Some(ScalarStyle::Plain)),
        },
    })
}

fn number(text: &str) -> Result<Option<Number>, String> {
    let too_large = || {
        Err(format!(
            "the number {} is out of range; put it in quotes to have it as a text",
            shown(text)
        ))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
                return Ok(None);
            }
            return match u64::from_str_radix(digits, radix) {
                Ok(number) => Ok(Some(number.into())),
                Err(_) => too_large(),
            };
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{} is no finite number", shown(text)));
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(None);
    }
    let plus = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        // Signed first, so that a number that fits both is held one way only.
        return match (plus.parse::<i64>(), plus.parse::<u64>()) {
            (Ok(number), _) => Ok(Some(number.into())),
            (_, Ok(number)) => Ok(Some(number.into())),
            _ => too_large(),
        };
    }
    if !is_float(unsigned) {
        return Ok(None);
    }
    match plus.parse().ok().and_then(Number::from_f64) {
        Some(number) => Ok(Some(number)),
        None => too_large(),
    }
}

/// `( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent && digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0
}

/// JSON writes characters beyond U+FFFF as two escapes (`\ud83d\ude00`), YAML as one. In a text that is JSON the two
/// are made one of equal meaning; columns after it in the same line are then two smaller.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let begins_like_json = text.trim_start().starts_with(['{', '[']);
    let has_pair = text.contains("\\ud") || text.contains("\\uD");
    if !begins_like_json
        || !has_pair
        || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
    {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    // In JSON a backslash only ever begins an escape.
    while let Some(place) = rest.find('\\') {
        joined.push_str(&rest[..place]);
        rest = &rest[place..];
        let unit = |from: usize| {
            let escape = rest.get(from..from + 6)?.strip_prefix("\\u")?;
            u16::from_str_radix(escape, 16).ok()
        };
        let pair = unit(0).zip(unit(6)).and_then(|(high, low)| {
            char::decode_utf16([high, low])
                .next()?
                .ok()
                .filter(|c| *c > '\u{ffff}')
        });
        let taken = match pair {
            Some(character) => {
                joined.push_str(&format!("\\U{:08X}", u32::from(character)));
                12
            }
            None => 2,
        };
        let (escape, after) = rest.split_at(taken);
        if pair.is_none() {
            joined.push_str(escape);
        }
        rest = after;
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}
