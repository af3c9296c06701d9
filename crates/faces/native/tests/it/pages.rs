//! The reference pages say what the code does.

use portreeve_native::{CODES, Declared, declared};

const ERRORS: &str = include_str!("../../../../../docs/reference/errors.md");
const API: &str = include_str!("../../../../../docs/reference/api.md");

#[test]
fn the_page_of_errors_lists_every_code_as_it_is() {
    let rows: Vec<Vec<&str>> = ERRORS
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for code in CODES {
        let name = format!("`{}`", code.code);
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("docs/reference/errors.md has no row for {name}"));
        let status = code.status.to_string();
        assert_eq!(
            row[1..],
            [&status, code.title, code.fix],
            "{name} in docs/reference/errors.md"
        );
    }
    assert_eq!(
        rows.len(),
        CODES.len(),
        "docs/reference/errors.md has a row for no code"
    );
}

#[test]
fn codes_stand_once_and_by_status() {
    for pair in CODES.windows(2) {
        assert!(
            pair[0].status <= pair[1].status,
            "{} stands after {}",
            pair[1].code,
            pair[0].code
        );
    }
    for (place, code) in CODES.iter().enumerate() {
        assert!(
            CODES[..place].iter().all(|known| known.code != code.code),
            "{}",
            code.code
        );
        assert!(code.fix.ends_with('.'), "{}", code.code);
    }
}

#[test]
fn the_page_of_the_api_has_every_route() {
    let rows: Vec<Vec<&str>> = API
        .lines()
        .filter(|line| line.starts_with("| `/"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for Declared { method, path, .. } in declared() {
        let here = rows.iter().any(|row| {
            row[0].split(", ").any(|named| named == format!("`{path}`"))
                && row.len() > 2
                && row[1]
                    .split(", ")
                    .any(|named| named.trim_matches('`') == method)
        });
        assert!(here, "docs/reference/api.md does not have {method} {path}");
    }
}
