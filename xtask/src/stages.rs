//! A run of named stages: each is timed, a failed one does not hide the next, and the times are printed at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::workspace;

/// The stages so far.
#[derive(Default)]
pub struct Stages {
    done: Vec<Stage>,
}

struct Stage {
    name: String,
    time: Duration,
    failure: Option<String>,
}

impl Stages {
    /// Runs one stage, whatever became of the earlier ones: a broken unit test must not hide a broken doctest.
    pub fn run(&mut self, name: &str, command: &mut Command) {
        println!("── {name}");
        let start = Instant::now();
        let result = workspace::run(name, command);
        self.done.push(Stage {
            name: name.to_owned(),
            time: start.elapsed(),
            failure: result.err().map(|error| format!("{error:#}")),
        });
    }

    /// Prints the times and fails if any stage did.
    pub fn finish(self) -> Result<()> {
        print!("\n{}", self.times());
        let failures: Vec<String> = self
            .done
            .into_iter()
            .filter_map(|stage| stage.failure)
            .collect();
        if !failures.is_empty() {
            bail!("{}", failures.join("; "));
        }
        Ok(())
    }

    fn times(&self) -> String {
        let mut text = String::from("stage times\n");
        for stage in &self.done {
            let mark = if stage.failure.is_some() {
                "  FAILED"
            } else {
                ""
            };
            text.push_str(&format!(
                "  {:>8.1} s  {}{mark}\n",
                stage.time.as_secs_f64(),
                stage.name
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_fails_the_run_but_not_the_stages_after_it() {
        let cargo = || {
            let mut command = workspace::cargo();
            command.stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::null());
            command
        };
        let mut stages = Stages::default();
        stages.run("first", cargo().arg("--no-such-flag"));
        stages.run("second", cargo().arg("--version"));
        let times = stages.times();
        assert!(times.contains("first  FAILED"), "{times}");
        assert!(times.contains("second\n"), "{times}");
        let error = stages.finish().unwrap_err().to_string();
        assert!(error.contains("first failed"), "{error}");
        assert!(!error.contains("second"), "{error}");
    }
}
