//! What the tests counted (`portreeve_testkit::stats` says in which form), as a matrix and as sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// In this order, and every other suite or store after them by name.
const SUITES: &[&str] = &[
    "corpus",
    "differential",
    "parity",
    "non-interference",
    "conformance",
    "kill -9",
    "chinook",
];
const STORES: &[&str] = &["memory", "SQLite", "PostgreSQL"];

/// Cases that hold, by suite and store.
type Matrix = BTreeMap<(String, String), u64>;

/// Everything the tests left in `folder`, ready to be printed.
pub fn report(folder: &Path) -> Result<String> {
    let mut text = String::new();
    if let Some(cases) = read(&folder.join("cases.tsv"))? {
        text.push_str("\ncases by suite and store\n");
        text.push_str(&table(&matrix(&cases)?));
    }
    if let Some(sentences) = read(&folder.join("lines.txt"))? {
        // Tests end in any order; two runs should be comparable.
        let sentences: BTreeSet<&str> = sentences.lines().collect();
        text.push_str("\nstatistics\n");
        for line in sentences {
            text.push_str(&format!("  {line}\n"));
        }
    }
    Ok(text)
}

fn read(file: &Path) -> Result<Option<String>> {
    if !file.exists() {
        return Ok(None);
    }
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(text))
}

fn matrix(lines: &str) -> Result<Matrix> {
    let mut matrix = Matrix::new();
    for line in lines.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [suite, store, number] = parts[..] else {
            bail!("not `suite`, `store`, `number`: {line:?}");
        };
        let number: u64 = number
            .parse()
            .with_context(|| format!("not a number: {line:?}"))?;
        *matrix
            .entry((suite.to_owned(), store.to_owned()))
            .or_default() += number;
    }
    Ok(matrix)
}

fn table(matrix: &Matrix) -> String {
    let suites = ordered(SUITES, matrix.keys().map(|(suite, _)| suite.as_str()));
    let mut stores = ordered(STORES, matrix.keys().map(|(_, store)| store.as_str()));
    // A store that nothing ran on is worth seeing.
    for (place, store) in STORES.iter().enumerate() {
        if !stores.contains(store) {
            stores.insert(place, store);
        }
    }
    let mut text = format!("  {:<18}", "");
    for store in &stores {
        text.push_str(&format!("{store:>12}"));
    }
    text.push('\n');
    for suite in suites {
        text.push_str(&format!("  {suite:<18}"));
        for store in &stores {
            let number = matrix.get(&(suite.to_owned(), (*store).to_owned()));
            let number = number.map_or("–".to_owned(), u64::to_string);
            text.push_str(&format!("{number:>12}"));
        }
        text.push('\n');
    }
    text
}

/// What is there: the known first, in their order.
fn ordered<'a>(known: &[&'a str], there: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut there: BTreeSet<&str> = there.collect();
    let mut order: Vec<&str> = known
        .iter()
        .filter(|name| there.remove(**name))
        .copied()
        .collect();
    order.extend(there);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_summed_and_suites_and_stores_keep_their_order() {
        let lines = "parity\tSQLite\t900\nfurther\tOther\t1\ncorpus\tmemory\t160\ncorpus\tSQLite\t3\ncorpus\tmemory\t37\n";
        assert_eq!(
            table(&matrix(lines).unwrap()),
            "                          memory      SQLite  PostgreSQL       Other\n\
             \x20 corpus                     197           3           –           –\n\
             \x20 parity                       –         900           –           –\n\
             \x20 further                      –           –           –           1\n"
        );
    }

    #[test]
    fn a_line_of_another_form_is_an_error_that_shows_it() {
        for line in ["corpus\tSQLite", "corpus\tSQLite\tmany", "a\tb\t1\t2"] {
            let error = format!("{:#}", matrix(line).unwrap_err());
            assert!(error.contains(&format!("{line:?}")), "{error}");
        }
    }

    #[test]
    fn sentences_are_printed_by_name_and_other_files_are_left_out() {
        let folder = std::env::temp_dir().join(format!("xtask-stats-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("lines.txt"),
            "parity: 900 worlds\nfaces: 1\nfaces: 1\n",
        )
        .unwrap();
        fs::write(folder.join("other.txt"), "not ours").unwrap();
        let text = report(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text, "\nstatistics\n  faces: 1\n  parity: 900 worlds\n");
    }

    #[test]
    fn no_statistics_is_no_error() {
        assert_eq!(report(Path::new("no-such-folder")).unwrap(), "");
    }
}
