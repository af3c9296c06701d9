//! Where in the text of a document a character of a scalar stands.

use std::cell::OnceCell;

use saphyr_parser::ScalarStyle;

use super::node::Mark;

/// Beyond this column only the scalar's start is told: counting along a line of megabytes, once for each problem in
/// it, would let a small document cost minutes.
const MAX_COLUMN: u32 = 10_000;

/// The text behind the nodes' marks; empty for stored parts.
pub(super) struct Source<'s> {
    text: &'s str,
    /// Where each line begins; found when the first problem needs it.
    lines: OnceCell<Vec<usize>>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self {
            text,
            lines: OnceCell::new(),
        }
    }

    /// The place of the character at byte `offset` of a scalar's `text`, which begins at `start`. Folding changes
    /// white space only, so the other characters are counted, in the scalar's text and then in the source.
    pub(super) fn position(
        &self,
        start: Mark,
        style: ScalarStyle,
        text: &str,
        offset: usize,
    ) -> Mark {
        let Some(rest) = self.from(start) else {
            return start;
        };
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let wanted = before.chars().filter(|c| !is_space(*c)).count();
        let at_space = after.chars().next().is_none_or(is_space);
        let mut cursor = Cursor { rest, mark: start };
        // The reader marks a block scalar where its content begins, the others where their quote does.
        if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            cursor.advance(1);
        }
        let mut found = 0;
        loop {
            if found == wanted && at_space {
                return cursor.mark;
            }
            let Some((width, space)) = cursor.next(style) else {
                return cursor.mark;
            };
            if !space {
                if found == wanted {
                    return cursor.mark;
                }
                found += 1;
            }
            cursor.advance(width);
        }
    }

    /// The text from a place on.
    fn from(&self, start: Mark) -> Option<&'s str> {
        if start.column > MAX_COLUMN {
            return None;
        }
        let lines = self.lines.get_or_init(|| {
            let bytes = self.text.as_bytes();
            let ends = bytes.iter().enumerate().filter(|(place, byte)| match byte {
                b'\n' => true,
                b'\r' => bytes.get(place + 1) != Some(&b'\n'),
                _ => false,
            });
            std::iter::once(0)
                .chain(ends.map(|(place, _)| place + 1))
                .collect()
        });
        let line = usize::try_from(start.line).ok()?.checked_sub(1)?;
        let rest = &self.text[*lines.get(line)?..];
        let column = usize::try_from(start.column).ok()?.checked_sub(1)?;
        let (place, _) = rest.char_indices().nth(column)?;
        Some(&rest[place..])
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

struct Cursor<'s> {
    rest: &'s str,
    mark: Mark,
}

impl Cursor<'_> {
    fn advance(&mut self, characters: usize) {
        for _ in 0..characters {
            let mut rest = self.rest.chars();
            let Some(character) = rest.next() else {
                return;
            };
            self.rest = rest.as_str();
            let breaks = character == '\n' || character == '\r' && !self.rest.starts_with('\n');
            if breaks {
                self.mark = Mark {
                    line: self.mark.line + 1,
                    column: 1,
                };
            } else {
                self.mark.column += 1;
            }
        }
    }

    /// How many characters of the source make the next one of the scalar, and whether that is white space. `None` at
    /// the end of the scalar.
    fn next(&self, style: ScalarStyle) -> Option<(usize, bool)> {
        let mut rest = self.rest.chars();
        let character = rest.next()?;
        let following = rest.next();
        match (style, character) {
            (ScalarStyle::SingleQuoted, '\'') => (following == Some('\'')).then_some((2, false)),
            (ScalarStyle::DoubleQuoted, '"') => None,
            (ScalarStyle::DoubleQuoted, '\\') => {
                let digits = match following? {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    '\n' | '\r' => return Some((1, true)),
                    other => return Some((2, matches!(other, 't' | 'n' | 'r' | ' ' | '\t'))),
                };
                let escape = rest.as_str().get(..digits)?;
                let decoded = u32::from_str_radix(escape, 16)
                    .ok()
                    .and_then(char::from_u32)?;
                Some((2 + digits, is_space(decoded)))
            }
            _ => Some((1, is_space(character))),
        }
    }
}
