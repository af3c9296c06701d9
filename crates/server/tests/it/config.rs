//! `config check`, and what wins over what.

use crate::program::Place;

#[test]
fn a_right_file_is_shown_as_it_is_understood() {
    let place = Place::new();
    place.write(
        "portreeve.toml",
        "[server]\nlisten = \"127.0.0.1:8000\"\n[data]\nfolder = \"d\"\n",
    );
    let ran = place.run(&["config", "check", "portreeve.toml"]).good();
    assert!(
        ran.out.contains("server.listen = \"127.0.0.1:8000\""),
        "{}",
        ran.out
    );
    let json = place
        .run(&["config", "check", "portreeve.toml", "--json"])
        .good()
        .json();
    assert_eq!(json["data"]["synchronous"], "full");
    // A path in the file begins where the file stands.
    std::fs::create_dir(place.folder.join("deep")).unwrap();
    place.write("deep/portreeve.toml", "[data]\nfolder = \"d\"\n");
    let json = place
        .run(&["config", "check", "deep/portreeve.toml", "--json"])
        .good()
        .json();
    assert_eq!(json["data"]["folder"], "deep/d");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let place = Place::new();
    place.write(
        "portreeve.toml",
        "[server]\nlisten = \"127.0.0.1:8000\"\n\n[data]\nfoldr = \"d\"\n",
    );
    place.run(&["config", "check", "portreeve.toml"]).failed(&[
        "portreeve.toml:5:1",
        "no setting 'foldr'",
        "did you mean 'folder'?",
    ]);
    place
        .run(&["serve", "--config", "portreeve.toml"])
        .failed(&["portreeve.toml:5:1"]);
    place
        .run(&["config", "check", "nowhere.toml"])
        .failed(&["there is no file nowhere.toml"]);
    place.write("bad.toml", "[server\n");
    place
        .run(&["config", "check", "bad.toml"])
        .failed(&["bad.toml:1:"]);
    place.write("access.toml", "[access]\nfile = \"nowhere.yaml\"\n");
    place
        .run(&["config", "check", "access.toml"])
        .failed(&["no file nowhere.yaml"]);
    let ran = place
        .command(&["config", "check"])
        .env("PORTREEVE_LISTN", "1")
        .output()
        .unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(err.contains("did you mean 'PORTREEVE_LISTEN'?"), "{err}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let place = Place::new();
    place.write("portreeve.toml", "[data]\nfolder = \"from-file\"\n");
    let made = |name: &str| place.folder.join(name).join("portreeve.db").exists();
    place.run(&["init", "--config", "portreeve.toml"]).good();
    assert!(made("from-file"));
    let with_environment = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env("PORTREEVE_CONFIG", "portreeve.toml")
            .env("PORTREEVE_DATA", "from-environment");
        assert!(command.output().unwrap().status.success());
    };
    with_environment(&["init"]);
    assert!(made("from-environment") && !made("from-flag"));
    with_environment(&["init", "--data", "from-flag"]);
    assert!(made("from-flag"));
}

#[test]
fn a_command_line_that_makes_no_sense_is_told() {
    let place = Place::new();
    for arguments in [
        &["sreve"][..],
        &["serve", "--lisen", "1"],
        &["serve", "--listen", "nowhere"],
        &[],
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.err.is_empty());
    }
    assert!(place.run(&["--help"]).good().out.contains("Exit codes: 0"));
}
