//! The declaration of a route, as data.

use crate::error::{Code, codes};
use crate::route::Rule;

/// What a route says of itself.
#[derive(Clone, Debug)]
pub struct Declared {
    /// `GET`, …
    pub method: &'static str,
    /// The path, with its segments that vary in braces.
    pub path: &'static str,
    /// The name of the operation, which `$request.operation` and `via:` see, and which logs and metrics count by.
    pub operation: &'static str,
    /// Who may use it.
    pub rule: Rule,
    /// What it does, in one line.
    pub about: &'static str,
    /// The query parameters it takes.
    pub query: &'static [&'static str],
    /// The body it takes.
    pub body: Option<Body>,
    /// What it answers when all is well.
    pub gives: Vec<Gives>,
    /// Errors of its own.
    pub codes: Vec<&'static Code>,
    /// Whether it changes something.
    pub writes: bool,
    /// Whether it may be asked through another one's eyes. Such a route takes `Eyes`, and can do nothing but look.
    pub looks: bool,
    /// The budget it is counted against, beside that of the account.
    pub throttled: Option<&'static str>,
    pub(crate) denied_as: Option<&'static str>,
}

/// A body that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its shape, in the notation of `docs/reference/openapi.json`'s generator.
    pub shape: &'static str,
    /// An example: JSON.
    pub example: &'static str,
    /// Whether it is an access document, which may be YAML.
    pub document: bool,
}

/// An answer that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gives {
    /// Its status.
    pub status: u16,
    /// The shape of its body; empty where there is none.
    pub shape: &'static str,
    /// Its type.
    pub media: &'static str,
}

impl Declared {
    pub(crate) fn new(
        method: &'static str,
        path: &'static str,
        operation: &'static str,
        rule: Rule,
    ) -> Self {
        Self {
            method,
            path,
            operation,
            rule,
            about: "",
            query: &[],
            body: None,
            gives: vec![],
            codes: vec![],
            writes: false,
            looks: false,
            throttled: None,
            denied_as: None,
        }
    }

    /// The action of the policy that a denial is remembered as.
    pub fn action(&self) -> Option<&'static str> {
        self.denied_as.or_else(|| self.rule.action())
    }

    /// The segments of the path that vary.
    pub fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether it looks at who asks.
    pub fn knows_caller(&self) -> bool {
        !matches!(self.rule, Rule::Holder(_) | Rule::Development) && self.path.starts_with("/v1/")
    }

    /// Every error it can answer with: its own, and those that follow from what it is.
    pub fn errors(&self) -> Vec<&'static Code> {
        let mut all = codes::OF_EVERY_ROUTE.to_vec();
        let mut add = |more: &[&'static Code]| all.extend_from_slice(more);
        add(&self.codes);
        if !self.query.is_empty() {
            add(codes::OF_PARAMETERS);
        }
        if self.body.is_some() {
            add(codes::OF_BODIES);
        }
        if self.knows_caller() {
            add(codes::OF_CALLERS);
        }
        if self.rule.wants_account() {
            add(codes::OF_ACCOUNTS);
        }
        if matches!(self.rule, Rule::Records(..)) {
            add(codes::OF_RECORDS);
        }
        if self.throttled.is_some() {
            add(codes::OF_BUDGETS);
        }
        if self.writes {
            add(codes::OF_CHANGES);
        }
        if self.segments().next().is_some() {
            add(codes::OF_NAMES);
        }
        all.sort_by_key(|code| (code.status, code.code));
        all.dedup();
        all
    }
}
