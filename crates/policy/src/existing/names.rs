//! Names for what other people have named.

use std::collections::BTreeSet;

use super::NameMode;

/// The longest name there is.
const LONGEST: usize = 63;

/// Names that are taken in one space of names.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Gives each its name; those that need no change first, so that what is odd makes room for what is not.
    pub fn give<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        mode: NameMode,
    ) -> Vec<String> {
        let texts: Vec<&str> = texts.collect();
        let unchanged = |place: &usize| identifier(texts[*place], mode) == texts[*place];
        let order: Vec<usize> = (0..texts.len())
            .filter(unchanged)
            .chain((0..texts.len()).filter(|place| !unchanged(place)))
            .collect();
        let mut given = vec![String::new(); texts.len()];
        for place in order {
            given[place] = self.free(&identifier(texts[place], mode));
        }
        given
    }

    /// This name, or the same with the first number that makes it a free one.
    pub fn free(&mut self, name: &str) -> String {
        let free = numbered(name, |name| !self.0.contains(name));
        self.0.insert(free.clone());
        free
    }

    /// Takes a name, if it is free.
    pub fn take(&mut self, name: &str) -> bool {
        self.0.insert(name.to_owned())
    }
}

/// This name, or the same with the first number that makes it a free one.
pub(super) fn numbered(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    if is_free(name) {
        return name.to_owned();
    }
    let mut number = 2;
    loop {
        let suffix = format!("_{number}");
        let kept = name.len().min(LONGEST - suffix.len());
        let numbered = format!("{}{suffix}", &name[..kept]);
        if is_free(&numbered) {
            return numbered;
        }
        number += 1;
    }
}

/// What somebody who knows the document's mode expects a name to become: a note is due where it becomes another.
pub(super) fn expected(text: &str, mode: NameMode) -> String {
    match mode {
        NameMode::AsIs => text.to_owned(),
        NameMode::SnakeCase => snake_case(text),
    }
}

/// A name of letters, digits and underscores.
pub(super) fn identifier(text: &str, mode: NameMode) -> String {
    let mut name: String = expected(text, mode)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name.truncate(LONGEST);
    name
}

/// `SupportRepId` as `support_rep_id`, `HTTPServer` as `http_server`, `Order Details` as `order_details`.
fn snake_case(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    for (place, c) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| characters[place]);
        let after = characters.get(place + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins {
            out.push('_');
        }
        if *c == ' ' || *c == '-' {
            out.push('_');
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_case_becomes_snake_case() {
        for (from, to) in [
            ("SupportRepId", "support_rep_id"),
            ("InvoiceLine", "invoice_line"),
            ("artist_id", "artist_id"),
            ("HTTPServer", "http_server"),
            ("CustomerID", "customer_id"),
            ("Order Details", "order_details"),
            ("Address2Line", "address2_line"),
            ("ÄrgerLevel", "_rger_level"),
        ] {
            assert_eq!(identifier(from, NameMode::SnakeCase), to, "{from}");
        }
    }

    #[test]
    fn what_is_no_name_becomes_one_and_stays_the_only_one() {
        let mut names = Names::default();
        let texts = ["a b", "a_b", "a-b", "1st", "", "größe"];
        let given = names.give(texts.into_iter(), NameMode::AsIs);
        assert_eq!(given, ["a_b_2", "a_b", "a_b_3", "_1st", "_", "gr__e"]);
        let long = "x".repeat(80);
        let first = names.free(&identifier(&long, NameMode::AsIs));
        let second = names.free(&identifier(&long, NameMode::AsIs));
        assert_eq!((first.len(), second.len()), (63, 63));
        assert_ne!(first, second);
    }
}
