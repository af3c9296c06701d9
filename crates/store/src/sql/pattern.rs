//! Regular expressions for PostgreSQL. Ours are compiled at load by a library whose dialect PostgreSQL does not share,
//! so what it made of them (literals, classes of code points, repetitions) is written down anew in PostgreSQL's words.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// So many repetitions PostgreSQL takes in one pair of braces.
const MOST: u32 = 255;

/// The same expression for PostgreSQL's `~`. What cannot be said there matches nothing; loading a policy has made sure
/// that the expression itself is one.
pub(crate) fn postgres(regex: &str) -> String {
    let mut out = String::from("***:");
    match regex_syntax::Parser::new().parse(regex) {
        Ok(hir) => write(&mut out, &hir),
        Err(_) => out.push_str("(?!)"),
    }
    out
}

fn write(out: &mut String, hir: &Hir) {
    match hir.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => text.chars().for_each(|one| character(out, one)),
            Err(_) => out.push_str("(?!)"),
        },
        HirKind::Class(class) => self::class(out, class),
        HirKind::Look(look) => self::look(out, *look),
        HirKind::Repetition(repetition) => repeat(out, repetition),
        // Which group matched what is nobody's question.
        HirKind::Capture(capture) => group(out, &capture.sub),
        HirKind::Concat(parts) => parts.iter().for_each(|part| match part.kind() {
            HirKind::Alternation(_) => group(out, part),
            _ => write(out, part),
        }),
        HirKind::Alternation(parts) => {
            out.push_str("(?:");
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    out.push('|');
                }
                write(out, part);
            }
            out.push(')');
        }
    }
}

fn group(out: &mut String, hir: &Hir) {
    out.push_str("(?:");
    write(out, hir);
    out.push(')');
}

fn repeat(out: &mut String, repetition: &Repetition) {
    let times = |out: &mut String, min: u32, max: Option<u32>| {
        group(out, &repetition.sub);
        match (min, max) {
            (0, None) => out.push('*'),
            (1, None) => out.push('+'),
            (0, Some(1)) => out.push('?'),
            (min, None) => out.push_str(&format!("{{{min},}}")),
            (min, Some(max)) => out.push_str(&format!("{{{min},{max}}}")),
        }
    };
    let (mut min, mut max) = (repetition.min, repetition.max);
    // More than fits between braces is said in several pieces.
    while min > MOST {
        times(out, MOST, Some(MOST));
        min -= MOST;
        max = max.map(|max| max - MOST);
    }
    while let Some(most) = max.filter(|max| *max > MOST) {
        times(out, min, Some(MOST));
        max = Some(most - MOST);
        min = 0;
    }
    times(out, min, max);
}

fn class(out: &mut String, class: &Class) {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        Class::Bytes(class) => class
            .iter()
            .map(|range| (char::from(range.start()), char::from(range.end())))
            .collect(),
    };
    // Text holds no NUL, and PostgreSQL takes none.
    let ranges: Vec<(char, char)> = ranges
        .into_iter()
        .filter(|(_, end)| *end > '\0')
        .map(|(start, end)| (start.max('\u{1}'), end))
        .collect();
    if ranges.is_empty() {
        out.push_str("(?!)");
        return;
    }
    out.push('[');
    for (start, end) in ranges {
        code_point(out, start);
        if end > start {
            out.push('-');
            code_point(out, end);
        }
    }
    out.push(']');
}

fn code_point(out: &mut String, one: char) {
    out.push_str(&format!("\\U{:08x}", u32::from(one)));
}

fn character(out: &mut String, one: char) {
    if one.is_ascii_alphanumeric() || one == ' ' || one == '_' {
        out.push(one);
    } else if one == '\0' {
        out.push_str("(?!)");
    } else {
        code_point(out, one);
    }
}

// Assertions. `~` knows no lines here: `^` and `$` are written as what stands beside them.
fn look(out: &mut String, look: Look) {
    const ASCII_WORD: &str = "[0-9A-Za-z_]";
    let unicode_word = || {
        let mut word = String::new();
        if let Ok(hir) = regex_syntax::Parser::new().parse(r"\w") {
            write(&mut word, &hir);
        }
        word
    };
    match look {
        Look::Start => out.push_str("\\A"),
        Look::End => out.push_str("\\Z"),
        Look::StartLF => out.push_str("(?<![^\\U0000000a])"),
        Look::EndLF => out.push_str("(?![^\\U0000000a])"),
        Look::StartCRLF => {
            out.push_str("(?:(?<![^\\U0000000a\\U0000000d])(?:(?<!\\U0000000d)|(?!\\U0000000a)))");
        }
        Look::EndCRLF => {
            out.push_str("(?:(?![^\\U0000000a\\U0000000d])(?:(?<!\\U0000000d)|(?!\\U0000000a)))");
        }
        Look::WordAscii => boundary(out, ASCII_WORD, true),
        Look::WordAsciiNegate => boundary(out, ASCII_WORD, false),
        Look::WordUnicode => boundary(out, &unicode_word(), true),
        Look::WordUnicodeNegate => boundary(out, &unicode_word(), false),
        Look::WordStartAscii => edge(out, ASCII_WORD, true),
        Look::WordEndAscii => edge(out, ASCII_WORD, false),
        Look::WordStartUnicode => edge(out, &unicode_word(), true),
        Look::WordEndUnicode => edge(out, &unicode_word(), false),
        Look::WordStartHalfAscii => out.push_str(&format!("(?<!{ASCII_WORD})")),
        Look::WordEndHalfAscii => out.push_str(&format!("(?!{ASCII_WORD})")),
        Look::WordStartHalfUnicode => out.push_str(&format!("(?<!{})", unicode_word())),
        Look::WordEndHalfUnicode => out.push_str(&format!("(?!{})", unicode_word())),
    }
}

fn boundary(out: &mut String, word: &str, wanted: bool) {
    out.push_str(&if wanted {
        format!("(?:(?<!{word})(?={word})|(?<={word})(?!{word}))")
    } else {
        format!("(?:(?<!{word})(?!{word})|(?<={word})(?={word}))")
    });
}

fn edge(out: &mut String, word: &str, start: bool) {
    out.push_str(&if start {
        format!("(?<!{word})(?={word})")
    } else {
        format!("(?<={word})(?!{word})")
    });
}
