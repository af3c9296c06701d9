//! The policy corpus through the compiled engine in memory. The same files run on the stores elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portreeve_policy::{Document, Snapshot, run_tests};
use portreeve_testkit::stats;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

fn run(paths: &[PathBuf]) -> (usize, usize) {
    let (mut tests, mut passed) = (0, 0);
    let mut failures = vec![];
    for path in paths {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(path).expect("a readable file");
        let document =
            Document::read(&name, &text).unwrap_or_else(|problems| panic!("{}", show(&problems)));
        let snapshot = Snapshot::compile(&document, 1)
            .unwrap_or_else(|problems| panic!("{name}: {}", show(&problems)));
        let report = run_tests(&document, &Arc::new(snapshot));
        assert!(report.tests > 0, "{name} has no tests");
        tests += report.tests;
        passed += report.passed;
        failures.extend(
            report
                .failures
                .iter()
                .map(|f| format!("{}: {}: {}", f.place, f.test, f.message)),
        );
    }
    assert!(
        failures.is_empty(),
        "{} of the corpus failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    (tests, passed)
}

fn show(problems: &[portreeve_policy::Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let (tests, expectations) = run(&files(&root));
    assert!(tests >= 150, "the corpus shrank to {tests} cases");
    stats::count("corpus", "memory", tests as u64);
    stats::note(&format!(
        "corpus: {tests} cases, {expectations} expectations"
    ));
}

#[test]
fn examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/school/access.yaml");
    let (tests, expectations) = run(&[root]);
    stats::count("corpus", "memory", tests as u64);
    stats::note(&format!(
        "school example: {tests} tests, {expectations} expectations"
    ));
}
