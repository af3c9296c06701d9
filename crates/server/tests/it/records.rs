//! `load`.

use crate::program::{ACCESS, LINES, Place};

#[test]
fn lines_are_loaded_from_a_file_or_a_pipe() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place.run(&["apply", "access.yaml"]).good();
    let ran = place.pipe(&["load", "-"], LINES).good();
    assert_eq!(ran.out, "loaded 2 users and 2 records\n");
    place.run(&["can", "anna", "read", "grades/1"]).good();
}

#[test]
fn a_bad_line_is_named_and_the_rest_can_be_loaded_later() {
    let place = Place::new();
    place.write("access.yaml", ACCESS);
    place.run(&["apply", "access.yaml"]).good();
    place.write(
        "lines.ndjson",
        &LINES.replace("\"score\": 90", "\"score\": \"A\""),
    );
    place.run(&["load", "lines.ndjson"]).failed(&[
        "line 3",
        "score",
        "2 lines before it are loaded",
    ]);
    place.write("lines.ndjson", LINES);
    let ran = place
        .run(&["load", "lines.ndjson", "--skip", "2", "--json"])
        .good();
    assert_eq!(ran.json()["records"], 2);
    place
        .run(&["load", "nowhere.ndjson"])
        .failed(&["there is no file nowhere.ndjson"]);
}
