//! What commands print: text for people, or JSON for programs.

use std::io::Write;

use serde::Serialize;
use serde_json::Value as Json;

/// How to print.
#[derive(Clone, Copy)]
pub struct Output {
    /// As JSON.
    pub json: bool,
}

impl Output {
    /// Prints a result either way.
    pub fn result(self, json: impl FnOnce() -> Json, text: impl FnOnce() -> String) {
        if self.json {
            say(&json().to_string());
        } else {
            say(text().trim_end_matches('\n'));
        }
    }
}

/// Prints a line at once: whoever reads a pipe must not wait for the next one.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away needs no answer.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The same; tells whether anybody still reads.
pub fn try_say(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").is_ok()
}

/// Anything as JSON; what cannot be written (nothing of ours) is null.
pub fn json(value: impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// A field of a record as a cell; nothing where there is nothing.
pub fn cell(value: Option<&Json>) -> String {
    let text = match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
            items.join(", ")
        }
        Some(other) => other.to_string(),
    };
    portreeve_http::shown(&text).into_owned()
}

/// Rows in columns.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let cells = rows.iter().map(|row| row[place].chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    for row in [&head].into_iter().chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let rows = vec![
            vec!["anna".into(), "1".into()],
            vec!["bo".into(), "12".into()],
        ];
        assert_eq!(
            table(&["name", "no"], &rows),
            "name  no\nanna  1\nbo    12\n"
        );
    }
}
