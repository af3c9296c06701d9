//! The rule language: text and JSON are two spellings of one tree, no input brings the reader down, every refusal
//! helps, and the reference page is true.

mod language {
    mod messages;
    mod page;
    pub mod trees;
}

use language::trees;
use portreeve_model::{CompareOp, Literal, Operand, Path, Rule};
use portreeve_policy::{
    parse_operand, parse_rule, print_operand, print_rule, rule_from_json, rule_to_json,
};
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};

const CASES: u32 = 2000;

fn config() -> Config {
    Config {
        cases: CASES,
        // A failure is printed with its tree; a file of seeds would only be another thing to keep.
        failure_persistence: None,
        ..Config::default()
    }
}

fn parsed(text: &str) -> Rule {
    parse_rule(text).unwrap_or_else(|error| panic!("{text}\n{}: {}", error.offset, error.message))
}

// What must hold of everything that was read, whatever it was read from.
fn check_read(rule: &Rule) {
    let text = print_rule(rule);
    assert_eq!(&parsed(&text), rule, "{text}");
    let json = rule_to_json(rule);
    assert_eq!(rule_from_json(&json).as_ref(), Ok(rule), "{json}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn text_brings_the_same_tree_back(rule in trees::rule()) {
        let text = print_rule(&rule);
        prop_assert_eq!(parse_rule(&text), Ok(rule), "{}", text);
    }

    #[test]
    fn json_brings_the_same_tree_back(rule in trees::rule()) {
        let json = rule_to_json(&rule);
        prop_assert_eq!(rule_from_json(&json), Ok(rule.clone()), "{}", &json);
        // Also by way of a file: numbers must survive the JSON reader.
        let read: Value = serde_json::from_str(&json.to_string()).expect("JSON was written");
        prop_assert_eq!(rule_from_json(&read), Ok(rule), "{}", &json);
    }

    #[test]
    fn an_operand_alone_is_brought_back(operand in trees::operand()) {
        let text = print_operand(&operand);
        prop_assert_eq!(parse_operand(&text), Ok(operand), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read_or_refused(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_or_refused(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_of_the_language_are_read_or_refused(text in trees::words()) {
        read_or_refused(&text);
    }

    #[test]
    fn a_damaged_rule_is_read_or_refused(
        rule in trees::rule(), at in any::<prop::sample::Index>(), length in 0..4_usize, other in trees::words(),
    ) {
        let characters: Vec<char> = print_rule(&rule).chars().collect();
        let at = at.index(characters.len());
        let mut text: String = characters[..at].iter().collect();
        text.push_str(&other);
        text.extend(characters.iter().skip(at + length));
        read_or_refused(&text);
    }

    #[test]
    fn any_json_is_read_or_refused(json in trees::json()) {
        match rule_from_json(&json) {
            Ok(rule) => check_read(&rule),
            Err(error) => prop_assert!(is_helpful(&error.message), "{}\n{}", json, error.message),
        }
    }
}

// Found by damaged rules: one spelling took what the other one refused.
#[test]
fn what_is_empty_is_the_same_in_both_spellings() {
    for text in [
        "x matches ''",
        "not x matches ''",
        "x = ''",
        "x contains ''",
        "x in ('')",
        "x between '' and ''",
        "some answers (text matches '')",
        "owner('')",
    ] {
        check_read(&parsed(text));
    }
}

#[test]
fn the_number_of_cases_is_told() {
    portreeve_testkit::stats::note(&format!("rule language: {} property cases", 8 * CASES));
}

fn read_or_refused(text: &str) {
    let _ = parse_operand(text);
    match parse_rule(text) {
        Ok(rule) => check_read(&rule),
        Err(error) => {
            assert!(text.is_char_boundary(error.offset), "{text}: {error:?}");
            assert!(is_helpful(&error.message), "{text}: {error:?}");
        }
    }
}

// As far as a machine can tell: a sentence that names something and is not overlong.
fn is_helpful(message: &str) -> bool {
    let words = message.split_whitespace().count();
    (4..60).contains(&words) && !message.ends_with(['.', ' ', ';', ','])
}

#[test]
fn parentheses_stand_only_where_they_change_the_tree() {
    let table = [
        ("a = 1 and b = 2 or c = 3", "a = 1 and b = 2 or c = 3"),
        ("(a = 1 and b = 2) or (c = 3)", "a = 1 and b = 2 or c = 3"),
        ("a = 1 and (b = 2 or c = 3)", "a = 1 and (b = 2 or c = 3)"),
        ("(a = 1 and b = 2) and c = 3", "(a = 1 and b = 2) and c = 3"),
        ("(a = 1 or b = 2) or c = 3", "(a = 1 or b = 2) or c = 3"),
        ("not (a = 1)", "not a = 1"),
        ("not (a = 1 and b = 2)", "not (a = 1 and b = 2)"),
        ("not not (a = 1)", "not not a = 1"),
        ("not a is null", "a is not null"),
        ("not (a in (1))", "a not in (1)"),
        ("not (a not in (1))", "not a not in (1)"),
        (
            "not a between 1 and 2 and b = 1",
            "a not between 1 and 2 and b = 1",
        ),
        ("not a contains 'x'", "a not contains 'x'"),
        ("not a matches 'x'", "a not matches 'x'"),
        ("not some a (b = 1)", "not some a (b = 1)"),
        ("some a ((b = 1 or c = 2))", "some a (b = 1 or c = 2)"),
    ];
    for (read, printed) in table {
        assert_eq!(print_rule(&parsed(read)), printed, "{read}");
    }
}

#[test]
fn other_spellings_mean_the_same() {
    let table = [
        ("NOT a AND b OR TRUE", "not a = true and b = true or true"),
        (
            "a IS NOT NULL and b NOT IN (1) and c BETWEEN 1 AND FALSE",
            "a is not null and b not in (1) and c between 1 and false",
        ),
        ("active and :flag", "active = true and :flag = true"),
        ("a!=1", "a <> 1"),
        ("a=-1", "a = -1"),
        ("due<$now-1 day", "due < $now - 1 day"),
        ("due<$now -1 days", "due < $now - 1 day"),
        ("due<$now+ 24 hours", "due < $now + 1 day"),
        ("due < $now + 5400 seconds", "due < $now + 90 minutes"),
        ("due < $now - 0 weeks", "due < $now"),
        (
            "due < $now + 1500000 microseconds",
            "due < $now + 1500000 microseconds",
        ),
        ("true = a", "true = a"),
        ("\n a\t= 1\r\n", "a = 1"),
        ("first-name = 'O''Neill'", "first-name = 'O''Neill'"),
        (
            "`in`.`out` = 1 and `a` = 2 and `some` = 3",
            "in.out = 1 and a = 2 and `some` = 3",
        ),
        (
            "`count`(a) and `sent`(b) and owner()",
            "`count`(a) and `sent`(b) and owner()",
        ),
        (
            "count = 3 and year is null and sent",
            "count = 3 and year is null and sent = true",
        ),
        (
            "$claims.`https://example.org/roles`.x = 1",
            "$claims.`https://example.org/roles`.x = 1",
        ),
    ];
    for (read, printed) in table {
        assert_eq!(print_rule(&parsed(read)), printed, "{read}");
        check_read(&parsed(read));
    }
}

#[test]
fn json_has_a_few_spellings_of_its_own() {
    let table = [
        (json!(true), "true"),
        (json!({"and": [{"=": [{"field": "a"}, 1]}]}), "a = 1"),
        (json!({"!=": [{"field": "a"}, 1.5]}), "a <> 1.5"),
        (
            json!({"=": [{"field": "a"}, {"number": "12.50"}]}),
            "a = 12.50",
        ),
        (
            json!({"=": [{"field": "First name"}, "x"]}),
            "`First name` = 'x'",
        ),
        (
            json!({"=": [{"field": "a.`b.c`.and"}, "$user"]}),
            "a.`b.c`.and = '$user'",
        ),
        (
            json!({"=": [{"field": "and"}, {"var": "$now-1 day"}]}),
            "`and` = $now - 1 day",
        ),
        (json!({"sent": "and"}), "sent(`and`)"),
    ];
    for (json, text) in table {
        let rule = rule_from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(print_rule(&rule), text);
        check_read(&rule);
    }
}

#[test]
fn numbers_keep_their_digits_in_json() {
    let table = [
        ("12", json!(12)),
        ("-0.5", json!(-0.5)),
        ("12.50", json!({"number": "12.50"})),
        ("-0", json!({"number": "-0"})),
        ("007", json!({"number": "007"})),
        ("1e3", json!({"number": "1e3"})),
        ("3.4e+57", json!({"number": "3.4e+57"})),
        ("9223372036854775807", json!(i64::MAX)),
        (
            "9223372036854775808",
            json!({"number": "9223372036854775808"}),
        ),
        (
            "0.1234567890123456",
            json!({"number": "0.1234567890123456"}),
        ),
    ];
    for (text, json) in table {
        let rule = parsed(&format!("a = {text}"));
        assert_eq!(rule_to_json(&rule), json!({"=": [{"field": "a"}, json]}));
        check_read(&rule);
    }
}

#[test]
fn what_only_the_program_makes_is_printed_and_not_read() {
    let value = Operand::Literal(Literal::Caller(3));
    let left = Operand::Path(Path::parse("a"));
    let rule = Rule::Compare {
        left,
        op: CompareOp::Equal,
        right: value,
    };
    assert_eq!(print_rule(&rule), "a = ?3");
    assert!(parse_rule("a = ?3").is_err());
    assert!(rule_from_json(&rule_to_json(&rule)).is_err());
}

#[test]
fn an_operand_may_stand_alone_and_a_condition_is_none() {
    assert_eq!(
        parse_operand(" a.b "),
        Ok(Operand::Path(Path::parse("a.b")))
    );
    assert_eq!(parse_operand("null"), Ok(Operand::Literal(Literal::Null)));
    assert!(parse_operand("a = 1").is_err());
    assert!(parse_operand("").is_err());
}

#[test]
fn size_has_limits() {
    let message = |text: &str| parse_rule(text).expect_err("it is too large").message;
    let deep = "nested deeper than 64";
    for open in ["(", "not ", "some a (", "year("] {
        let text = open.repeat(65_536 / open.len());
        assert!(message(&text).contains(deep), "{open}");
        // Without the operand behind them, sixty-four are read to the end and then something else is missing.
        assert!(!message(&open.repeat(64)).contains(deep), "{open}");
        assert!(message(&open.repeat(65)).contains(deep), "{open}");
    }
    let within = format!("{}a{}", "(".repeat(64), ")".repeat(64));
    assert_eq!(parsed(&within), parsed("a"));
    // The depth of the tree counts even where the text has fewer parentheses.
    let steps = |n: usize| format!("{}a{}", "some a (b and ".repeat(n), ")".repeat(n));
    check_read(&parsed(&steps(31)));
    assert!(message(&steps(32)).contains(deep));

    let list = |n: usize| format!("a in ({}1)", "1,".repeat(n - 1));
    check_read(&parsed(&list(4094)));
    assert!(message(&list(4095)).contains("more than 4096"));

    let path = |n: usize| format!("{}a is null", "a.".repeat(n - 1));
    check_read(&parsed(&path(64)));
    assert!(message(&path(65)).contains("65 names"));
    let steps = vec![path(64); 65].join(" or ");
    assert!(message(&steps).contains("more than 4096"));

    let long = |n: usize| format!("a = '{}'", "x".repeat(n));
    check_read(&parsed(&long(65_536 - 6)));
    assert!(message(&long(65_536 - 5)).contains("65537 bytes"));
    // What would be too long when printed could be stored and never read again.
    assert!(message(&format!("a='{}'", "x".repeat(65_536 - 5))).contains("65537 bytes"));
}

#[test]
fn json_has_the_same_limits() {
    let message = |json: &Value| rule_from_json(json).expect_err("it is too large").message;
    let nested = |n: usize| (1..n).fold(json!({"=": [1, 1]}), |rule, _| json!({"not": rule}));
    check_read(&rule_from_json(&nested(64)).expect("sixty-four levels are allowed"));
    assert!(message(&nested(65)).contains("nested deeper than 64"));
    assert!(message(&nested(100)).contains("nested deeper than 64"));
    let list = |n: usize| json!({"in": [{"field": "a"}, vec![1; n]]});
    check_read(&rule_from_json(&list(4094)).expect("4,096 nodes are allowed"));
    assert!(message(&list(4095)).contains("more than 4096"));
    let long = |n: usize| json!({"=": [{"field": "a"}, "x".repeat(n)]});
    check_read(&rule_from_json(&long(65_536 - 6)).expect("64 KiB are allowed"));
    assert!(message(&long(65_536 - 5)).contains("65537 bytes"));
    // A quote is written twice in text.
    assert!(rule_from_json(&json!({"=": [{"field": "a"}, "'".repeat(40_000)]})).is_err());
}
