//! `docs/reference/rules.md` is read by people and by this test.

use portreeve_policy::{parse_rule, print_rule, rule_from_json, rule_to_json};
use serde_json::Value;

// The lines of the fenced blocks, in order: language, number of its first line, lines.
fn blocks(page: &str) -> Vec<(&str, usize, Vec<&str>)> {
    let mut blocks = vec![];
    let mut open: Option<(&str, usize, Vec<&str>)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language, number + 1, vec![])),
            (None, Some((_, _, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn every_rule_on_the_page_is_one_and_means_what_the_json_beside_it_does() {
    let page = include_str!("../../../../docs/reference/rules.md");
    let blocks = blocks(page);
    let mut rules = 0;
    for (place, (language, line, lines)) in blocks.iter().enumerate() {
        if *language != "rule" {
            continue;
        }
        let trees: Vec<_> = (*line..)
            .zip(lines)
            .map(|(line, text)| match parse_rule(text) {
                Ok(rule) => rule,
                Err(error) => panic!("rules.md:{line}:{}: {error}", error.offset + 1),
            })
            .collect();
        rules += trees.len();
        let Some(("json", line, twins)) = blocks.get(place + 1) else {
            panic!("rules.md:{line}: a block of JSON with the same rules is expected after it");
        };
        assert_eq!(
            trees.len(),
            twins.len(),
            "rules.md:{line}: one line for each rule"
        );
        for (line, (tree, twin)) in (*line..).zip(trees.iter().zip(twins)) {
            let json: Value = serde_json::from_str(twin)
                .unwrap_or_else(|error| panic!("rules.md:{line}: {error}"));
            let read = rule_from_json(&json);
            assert_eq!(
                read.as_ref(),
                Ok(tree),
                "rules.md:{line} should be {}",
                rule_to_json(tree)
            );
        }
    }
    assert!(rules > 60, "only {rules} rules were found");
}

#[test]
fn every_refusal_on_the_page_is_one() {
    let page = include_str!("../../../../docs/reference/rules.md");
    let mut refusals = 0;
    for (language, line, lines) in blocks(page) {
        if language != "refused" {
            continue;
        }
        for (line, text) in (line..).zip(lines) {
            let (rule, message) = text
                .split_once("  # ")
                .expect("the message follows the rule");
            match parse_rule(rule.trim_end()) {
                Ok(rule) => panic!("rules.md:{line}: it is read as {}", print_rule(&rule)),
                Err(error) => assert_eq!(error.message, message, "rules.md:{line}"),
            }
            refusals += 1;
        }
    }
    assert!(refusals > 5, "only {refusals} refusals were found");
}
