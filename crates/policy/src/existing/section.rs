//! `existing:` of a document: which tables of the database are collections, and what they are called.

use super::FoundTable;
use crate::{Place, Problem, suggestion};

/// Which tables that were there before are collections, and what they are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExistingSection {
    /// `names:`.
    pub names: NameMode,
    /// `tables:`; empty is all of them.
    pub tables: Vec<TablePattern>,
    /// `except:`.
    pub except: Vec<TablePattern>,
}

/// What tables and columns are called here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameMode {
    /// As the database calls them.
    #[default]
    AsIs,
    /// `InvoiceLine` becomes `invoice_line`.
    SnakeCase,
}

/// A table's name, with `*` for any characters and `?` for one; `sales.*` names those of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct TablePattern {
    /// As it was written.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl TablePattern {
    fn matches(&self, table: &FoundTable) -> bool {
        let (text, pattern) = (&table.name, self.text.as_bytes());
        let qualified = table
            .schema
            .as_ref()
            .map(|schema| format!("{schema}.{text}"));
        // A bare name is one of the schema everybody means.
        let plain = matches!(table.schema.as_deref(), None | Some("public"));
        plain && glob(pattern, text.as_bytes())
            || qualified.is_some_and(|qualified| glob(pattern, qualified.as_bytes()))
            || self.text == "*"
    }
}

impl ExistingSection {
    /// The tables it names; a pattern that names none is a problem.
    pub(super) fn select<'f>(
        &self,
        tables: &[&'f FoundTable],
    ) -> Result<Vec<&'f FoundTable>, Vec<Problem>> {
        let mut problems = vec![];
        for pattern in self.tables.iter().chain(&self.except) {
            if !tables.iter().any(|table| pattern.matches(table)) {
                let known: Vec<String> = tables.iter().map(|table| table.shown()).collect();
                let near = suggestion(&pattern.text, known.iter().map(String::as_str));
                problems.push(Problem {
                    place: pattern.place.clone(),
                    code: "unknown_table",
                    message: format!("no table of the database is named '{}'{near}", pattern.text),
                });
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let named = |patterns: &[TablePattern], table: &FoundTable| {
            patterns.iter().any(|pattern| pattern.matches(table))
        };
        Ok(tables
            .iter()
            .copied()
            .filter(|table| self.tables.is_empty() || named(&self.tables, table))
            .filter(|table| !named(&self.except, table))
            .collect())
    }
}

// Goes back to the last star where the rest does not fit: no more steps than the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                place += 1;
            }
            Some(byte) if *byte == text[place] => {
                at += 1;
                place += 1;
            }
            _ => match &mut star {
                Some((star_at, star_place)) => {
                    *star_place += 1;
                    at = *star_at + 1;
                    place = *star_place;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_tables() {
        for (pattern, text, matches) in [
            ("*", "anything", true),
            ("inv*", "invoice", true),
            ("inv*", "Invoice", false),
            ("*_line", "invoice_line", true),
            ("*e*e*", "employee", true),
            ("tm?", "tmp", true),
            ("tm?", "tmpx", false),
            ("", "", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
    }
}
