//! The page of security cases names tests: each of them has to be there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::workspace;

/// The names between back quotes that are names of functions.
fn named(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let function = |name: &&str| {
        name.contains('_')
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    quoted.filter(function).map(str::to_owned).collect()
}

/// The functions that stand behind an attribute which makes tests of them.
fn tests_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            test = true;
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut test) {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

fn all_tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" {
            all_tests(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.extend(tests_in(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_test_that_the_page_of_security_cases_names_is_there() {
    let page = workspace::root().join("docs/reference/security-cases.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut known = BTreeSet::new();
    for folder in ["crates", "xtask"] {
        all_tests(&workspace::root().join(folder), &mut known);
    }
    let named = named(&page);
    let missing: Vec<&String> = named.difference(&known).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    assert!(named.len() > 100, "{}", named.len());
    // Each case once, in order.
    let rows = page.lines().filter(|line| line.starts_with("| T"));
    let cases: Vec<&str> = rows.map(|line| &line[2..5]).collect();
    let all: Vec<String> = (1..=68).map(|number| format!("T{number:02}")).collect();
    assert_eq!(cases, all);
}
