//! `test`, `plan` and `apply`.

use crate::program::{ACCESS, Place};

#[test]
fn tests_that_pass_are_counted() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    let ran = place.run(&["test", "access.yaml"]).good();
    assert_eq!(ran.out, "1 tests: 2 expectations passed, 0 failed\n");
    assert_eq!(
        place.run(&["test", "access.yaml", "--json"]).good().json()["passed"],
        2
    );
}

#[test]
fn a_test_that_fails_is_named_with_its_place() {
    let place = Place::new();
    place.write("access.yaml", &ACCESS.replace("is: hidden", "is: allow"));
    let ran = place.run(&["test", "access.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let first = ran.out.lines().next().unwrap();
    assert!(
        first.starts_with("access.yaml:17:") && first.contains("students see their own"),
        "{first}"
    );
    assert!(
        ran.out
            .ends_with("1 tests: 1 expectations passed, 1 failed\n"),
        "{}",
        ran.out
    );
    let json = place.run(&["test", "access.yaml", "--json"]).json();
    assert_eq!(
        (&json["failed"], &json["failures"][0]["line"]),
        (&1.into(), &17.into())
    );
}

#[test]
fn all_that_is_wrong_with_a_file_is_told_with_place_and_nearest_word() {
    let place = Place::new();
    let wrong = ACCESS
        .replace("allow: data.read", "alow: data.read")
        .replace("note: text", "note: txt");
    place.write("access.yaml", &wrong);
    for arguments in [
        ["test", "access.yaml"],
        ["plan", "access.yaml"],
        ["apply", "access.yaml"],
    ] {
        let ran = place.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines.len(), 2, "{}", ran.err);
        assert!(
            lines.iter().all(|line| line.starts_with("access.yaml:")),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("did you mean 'allow'?"), "{}", ran.err);
    }
    let ran = place.run(&["test", "access.yaml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(json["error"]["problems"].as_array().unwrap().len(), 2);
    place.write(
        "access.yaml",
        &ACCESS.replace("student = $user", "studnet = $user"),
    );
    let ran = place.run(&["test", "access.yaml"]);
    assert!(
        ran.err.contains("did you mean 'student'?") && ran.code == 2,
        "{}",
        ran.err
    );
    place
        .run(&["test", "nowhere.yaml"])
        .failed(&["there is no file nowhere.yaml"]);
    std::fs::write(place.folder.join("binary.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    place
        .run(&["test", "binary.yaml"])
        .failed(&["not text in UTF-8"]);
}

#[test]
fn a_plan_shows_and_changes_nothing_and_applied_twice_is_applied_once() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place
        .run(&["plan", "access.yaml"])
        .failed(&["does not exist", "portreeve init"]);
    place.run(&["init"]).good();
    let planned = place.run(&["plan", "access.yaml"]).good();
    assert_eq!(
        planned.out,
        "+ collection grades\n    3 fields\n+ role student\n2 to create, 0 to change, 0 to delete\n"
    );
    assert_eq!(place.run(&["plan", "access.yaml"]).good().out, planned.out);
    let applied = place.run(&["apply", "access.yaml"]).good();
    assert!(
        applied.out.ends_with("applied; policy version 1\n"),
        "{}",
        applied.out
    );
    assert_eq!(
        place.run(&["apply", "access.yaml"]).good().out,
        "no changes\n"
    );
    assert_eq!(
        place.run(&["plan", "access.yaml"]).good().out,
        "no changes\n"
    );
    let json = place.run(&["apply", "access.yaml", "--json"]).good().json();
    assert_eq!(
        (&json["applied"], &json["policy_version"]),
        (&false.into(), &1.into())
    );
}

#[test]
fn data_goes_only_with_a_flag() {
    let place = Place::filled();
    place.write("access.yaml", &ACCESS.replace("      note: text\n", ""));
    let planned = place.run(&["plan", "access.yaml"]).good();
    assert!(
        planned
            .out
            .contains("- field grades.note\n    with its data\n"),
        "{}",
        planned.out
    );
    assert!(planned.out.contains("--confirm-drops"), "{}", planned.out);
    let refused = place.run(&["apply", "access.yaml"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(refused.err.contains("'note' of 'grades'") && refused.err.contains("--confirm-drops"));
    place
        .run(&["apply", "access.yaml", "--confirm-drops"])
        .good();
}
