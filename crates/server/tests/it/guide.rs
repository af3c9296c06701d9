//! Pages of the guide that are run as they stand: every `sh` block in order, in one shell, and what is said to come of it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::Place;

const PAGE: &str = include_str!("../../../../docs/guide/delegated-administrator.md");

/// A block of commands, and what is said to come of it.
struct Step {
    commands: String,
    said: Option<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```").filter(|word| !word.is_empty()) else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = block.join("\n");
        match language {
            "sh" => steps.push(Step {
                commands: text,
                said: None,
            }),
            "text" => {
                let step = steps.last_mut().expect("what comes of no commands");
                assert!(step.said.replace(text).is_none(), "said twice");
            }
            other => panic!("a block of {other} cannot be run"),
        }
    }
    steps
}

/// Whether a text is what a pattern says, where `…` is anything.
fn is(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn what_stands_for_anything_stands_for_anything() {
    assert!(is("a 12 c", "a … c") && is("abc", "…") && is("ac", "a…c") && is("a", "a"));
    assert!(!is("a 12 d", "a … c") && !is("ab", "a") && !is("c", "…c…d"));
}

#[test]
fn the_way_to_a_delegated_administrator_is_as_it_is_told() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let steps = steps(PAGE);
    assert!(steps.len() > 7 && steps.iter().all(|step| step.said.is_some()));
    let mut script = String::from("set -e\ntrap 'kill $SERVER 2>/dev/null || true' EXIT\n");
    for (number, step) in steps.iter().enumerate() {
        script.push_str(&format!("{}\nprintf '\\n=== {number}\\n'\n", step.commands));
    }
    // The page has the usual port, which somebody else may have here.
    let script = script.replace("localhost:7600", &format!("127.0.0.1:{port}"));
    place.write("page.sh", &script);
    let program = Path::new(env!("CARGO_BIN_EXE_portreeve"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .arg("page.sh")
        .current_dir(&place.folder)
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("PORTREEVE_LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PORTREEVE_") && name != "PORTREEVE_LISTEN" {
            command.env_remove(name);
        }
    }
    let ran = command.output().expect("a shell");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    let mut rest = out.as_str();
    for (number, step) in steps.iter().enumerate() {
        let end = format!("\n=== {number}\n");
        let Some((of_step, more)) = rest.split_once(&end) else {
            panic!("{}\ndid not come to an end: {rest}\n{told}", step.commands);
        };
        rest = more;
        // Answers end without a line end of their own.
        let plain = |text: &str| text.replace("}{", "}\n{").trim().to_owned();
        let said = step.said.as_deref().unwrap_or_default();
        assert!(
            is(&plain(of_step), said),
            "{}\nsaid:\n{}\nand not:\n{said}",
            step.commands,
            plain(of_step)
        );
    }
    assert!(ran.status.success(), "{told}");
}
