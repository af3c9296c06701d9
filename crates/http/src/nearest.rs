//! "Did you mean …?" for names of the wire format itself: parameters and members, which are no secret.

/// `; did you mean 'x'?`, or what there is.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("; did you mean '{near}'?"),
        None if known.is_empty() => String::new(),
        None => format!("; there is {}", known.join(", ")),
    }
}

/// The known word nearest to `word`, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A longer word is no slip of the finger, and need not be compared.
    if word.len() > 40 {
        return None;
    }
    let limit = 1 + word.chars().count() / 3;
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

// How many letters must be put in, left out or exchanged.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(!from.eq_ignore_ascii_case(to));
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["filter", "sort", "fields", "limit"];
        assert_eq!(nearest("filtre", &known), Some("filter"));
        assert_eq!(nearest("Sort", &known), Some("sort"));
        assert_eq!(nearest("feilds", &known), Some("fields"));
        assert_eq!(nearest("where", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
        assert_eq!(did_you_mean("limt", &known), "; did you mean 'limit'?");
        assert_eq!(
            did_you_mean("where", &known),
            "; there is filter, sort, fields, limit"
        );
    }
}
