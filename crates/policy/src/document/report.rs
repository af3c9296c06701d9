//! Collects problems while a document is read, and knows where in it the reader is.

use std::sync::Arc;

use super::node::Mark;
use crate::{Place, Problem};

/// More than this many problems help nobody, and a hostile document could have millions.
const MAX_PROBLEMS: usize = 1000;

pub(super) struct Report {
    file: Arc<str>,
    path: String,
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(file: &str, path: &str) -> Self {
        Self {
            file: file.into(),
            path: path.into(),
            problems: vec![],
        }
    }

    /// Runs `read` one step further down.
    pub(super) fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.enter(key);
        let result = read(self);
        self.leave(length);
        result
    }

    pub(super) fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.enter_index(index);
        let result = read(self);
        self.leave(length);
        result
    }

    /// Goes one step down; what is returned leads back up.
    pub(super) fn enter(&mut self, key: &str) -> usize {
        let length = self.path.len();
        push_key(&mut self.path, key);
        length
    }

    pub(super) fn enter_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        push_index(&mut self.path, index);
        length
    }

    pub(super) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    /// The place of `mark` under the present path.
    pub(super) fn place(&self, mark: Mark) -> Place {
        Place {
            file: self.file.clone(),
            line: mark.line,
            column: mark.column,
            path: self.path.clone(),
        }
    }

    pub(super) fn problem(&mut self, mark: Mark, code: &'static str, message: String) {
        self.problem_at(self.path.clone(), mark, code, message);
    }

    pub(super) fn problem_at(
        &mut self,
        path: String,
        mark: Mark,
        code: &'static str,
        message: String,
    ) {
        if self.is_full() {
            return;
        }
        let (code, message) = if self.problems.len() == MAX_PROBLEMS {
            (
                "too_many",
                format!("more than {MAX_PROBLEMS} problems; the rest is not shown"),
            )
        } else {
            (code, message)
        };
        let place = Place {
            path,
            ..self.place(mark)
        };
        self.problems.push(Problem {
            place,
            code,
            message,
        });
    }

    /// Whether further problems are no longer kept, so that looking for them is in vain.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() > MAX_PROBLEMS
    }

    /// The value, if nothing was wrong, else all problems in the order of the text.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| {
            (
                problem.code == "too_many",
                problem.place.line,
                problem.place.column,
            )
        });
        Err(self.problems)
    }
}

/// A word of the document for a message: quoted, cut where it is long, nothing invisible.
pub(super) fn shown(word: &str) -> String {
    format!("'{}'", short(word))
}

/// The same without quotes, for the search of a near word.
pub(super) fn short(word: &str) -> String {
    let mut text: String = word.chars().take(60).collect();
    if text.len() < word.len() {
        text.push('…');
    }
    text.escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

pub(super) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let simple = |c: char| c.is_alphanumeric() || "_-./$*".contains(c);
    if !key.is_empty() && key.len() <= 80 && key.chars().all(simple) {
        path.push_str(key);
    } else {
        path.push_str(&shown(key));
    }
}

pub(super) fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}
