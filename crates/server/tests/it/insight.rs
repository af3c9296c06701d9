//! `who-can` and `rights`.

use crate::program::Place;

#[test]
fn who_can_names_everybody_and_the_way() {
    let place = Place::filled();
    let ran = place.run(&["who-can", "read", "grades/1"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    let of = |name: &str| {
        lines
            .iter()
            .find(|line| line.starts_with(&format!("{name}: ")))
    };
    let anna = of("anna").expect("it is her grade");
    assert!(
        anna.contains("role 'student' (permission 1) by a binding"),
        "{anna}"
    );
    // Whoever `can` denies it to is not among them.
    for name in ["anna", "bo", "anonymous"] {
        let can = place.run(&["can", name, "read", "grades/1"]).code == 0;
        assert_eq!(of(name).is_some(), can, "{name}: {}", ran.out);
    }
    assert!(of("anonymous").is_none());
    let json = place
        .run(&["who-can", "read", "grades/1", "--json"])
        .good()
        .json();
    assert_eq!(json["users"].as_array().map(Vec::len), Some(lines.len()));
    assert_eq!(json["users"][0]["paths"][0]["effect"], "allow");
    let nobody = place.run(&["who-can", "policy.apply"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (1, "nobody\n"));
}

#[test]
fn rights_show_what_and_through_what() {
    let place = Place::filled();
    let ran = place.run(&["rights", "anna"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for said in [
        "roles in force: student",
        "grades\n",
        "data.read.one (limited): role 'student' (permission 1) by a binding",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert!(!ran.out.contains("data.delete"), "{}", ran.out);
    let json = place.run(&["rights", "anna", "--json"]).good().json();
    let path = &json["paths"]["grades"]["data.read.one"][0];
    assert_eq!(
        (&path["role"], &path["through"][0]["by"]),
        (&"student".into(), &"role".into())
    );
}

#[test]
fn slips_are_errors() {
    let place = Place::filled();
    place
        .run(&["who-can", "data.raed", "grades"])
        .failed(&["no action 'data.raed'", "did you mean"]);
    place
        .run(&["who-can", "read", "grade"])
        .failed(&["no collection 'grade'", "'grades'"]);
    place
        .run(&["who-can", "read", "grades/99"])
        .failed(&["no such collection or record"]);
    place
        .run(&["who-can", "read", "grades", "--field", "skore"])
        .failed(&["no field 'skore'"]);
    place.run(&["rights", "ana"]).failed(&["no user 'ana'"]);
}

#[test]
fn the_guide_runs() {
    const GUIDE: &str = include_str!("../../../../docs/guide/who-can-see-what.md");
    let place = Place::filled();
    let blocks = GUIDE.split("```sh\n").skip(1);
    let commands: Vec<&str> = blocks
        .flat_map(|block| block.split_once("```").expect("a block ends").0.lines())
        .collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "portreeve", "{command}");
        let ran = place.run(&words[1..]);
        // The last one is a denial.
        let code = i32::from(words[1] == "can");
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{command}");
        if words[1..] == ["who-can", "read", "grades/1"] {
            assert!(GUIDE.contains(ran.out.trim()), "{}", ran.out);
        }
    }
}
