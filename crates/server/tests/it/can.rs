//! `can`.

use crate::program::Place;

#[test]
fn the_exit_code_is_the_answer() {
    let place = Place::filled();
    for (arguments, code, said) in [
        (&["anna", "data.read", "grades/1"][..], 0, "allow\n"),
        (&["anna", "data.read", "grades/2"], 1, "deny\n"),
        (&["anna", "data.read", "grades/99"], 1, "deny\n"),
        (
            &["anna", "list", "grades"],
            0,
            "allow, on some records or with some values\n",
        ),
        (
            &[
                "anna",
                "data.update",
                "grades/1",
                "--send",
                "{\"score\": 100}",
            ],
            1,
            "deny\n",
        ),
        (&["anonymous", "list", "grades"], 1, "deny\n"),
        (&["anna", "policy.apply"], 1, "deny\n"),
    ] {
        let ran = place.run(&[&["can"], arguments].concat());
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (code, said, ""),
            "{arguments:?}"
        );
    }
    let json = place
        .run(&["can", "anna", "read", "grades/1", "--json"])
        .good()
        .json();
    assert_eq!(json["decision"], "allow");
}

#[test]
fn an_explanation_names_what_failed_and_what_would_help() {
    let place = Place::filled();
    let ran = place.run(&[
        "can",
        "anna",
        "data.update",
        "grades/1",
        "--send",
        "{\"score\": 100}",
        "--explain",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert!(
        ran.out.starts_with("deny: ") && ran.out.contains("add to role 'student'"),
        "{}",
        ran.out
    );
    let ran = place.run(&["can", "anna", "read", "grades/2", "--explain"]);
    assert!(ran.out.contains("student = $user is false"), "{}", ran.out);
    let ran = place.run(&["can", "anna", "read", "grades/99", "--explain"]);
    assert!(
        ran.out.contains("no record '99' in 'grades'") && ran.code == 1,
        "{}",
        ran.out
    );
    let json = place
        .run(&["can", "anna", "read", "grades/1", "--explain", "--json"])
        .good()
        .json();
    assert_eq!(
        (&json["decision"], &json["settled_by"][0]["role"]),
        (&"allow".into(), &"student".into())
    );
}

#[test]
fn slips_are_errors_and_no_denials() {
    let place = Place::filled();
    place
        .run(&["can", "anna", "data.raed", "grades/1"])
        .failed(&["no action 'data.raed'", "did you mean"]);
    place
        .run(&["can", "ana", "read", "grades/1"])
        .failed(&["no user 'ana'"]);
    place
        .run(&["can", "anna", "read", "grade/1"])
        .failed(&["no collection 'grade'", "'grades'"]);
    place
        .run(&["can", "anna", "update", "grades/1", "--send", "[]"])
        .failed(&["JSON object"]);
    place
        .run(&["can", "anna", "update", "grades/1", "--send", "{"])
        .failed(&["not JSON"]);
    // To somebody who may change grades at all; to others the denial comes first.
    let create = ["user", "create", "root", "--role", "admin", "--no-password"];
    place.run(&create).good();
    place
        .run(&[
            "can",
            "root",
            "update",
            "grades/1",
            "--send",
            "{\"skore\": 1}",
        ])
        .failed(&["no field 'skore'"]);
}
