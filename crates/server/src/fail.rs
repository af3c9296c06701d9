//! Failures: one clear line each on stderr, no panic, no backtrace, and the exit code.

use std::process::ExitCode;

use portreeve_service::{BackupError, Problem, ServiceError};
use serde_json::json;

use crate::output::Output;

/// Denied, or a test failed.
pub const NO: u8 = 1;
/// An error.
pub const ERROR: u8 = 2;

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct Failure {
    code: String,
    // One line each.
    lines: Vec<String>,
    problems: Vec<Problem>,
}

impl Failure {
    /// A failure with one line to say.
    pub fn error(code: &str, line: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            lines: vec![line.into()],
            problems: vec![],
        }
    }

    /// All that is wrong with a file.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let lines = problems.iter().map(ToString::to_string).collect();
        Self {
            code: portreeve_service::codes::BAD_POLICY.into(),
            lines,
            problems,
        }
    }

    /// The same with a line after it that says what to do.
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// What kind of failure it is.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// All there is to say, on one line.
    pub fn line(&self) -> String {
        self.lines.join("; ")
    }

    /// Tells it and gives the exit code.
    pub fn print(self, output: Output) -> ExitCode {
        if output.json {
            let problems: Vec<_> = self
                .problems
                .iter()
                .map(|problem| {
                    json!({
                        "file": &*problem.place.file,
                        "line": problem.place.line,
                        "column": problem.place.column,
                        "path": problem.place.path,
                        "code": problem.code,
                        "message": problem.message,
                    })
                })
                .collect();
            let mut error = json!({ "code": self.code, "message": self.lines.join("\n") });
            if !problems.is_empty() {
                error["problems"] = problems.into();
            }
            eprintln!("{}", json!({ "error": error }));
        } else if self.problems.is_empty() {
            for line in &self.lines {
                eprintln!("portreeve: {line}");
            }
        } else {
            // As compilers print them, so that editors find the place.
            for line in &self.lines {
                eprintln!("{line}");
            }
        }
        ExitCode::from(ERROR)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let code = error.code();
        match error {
            ServiceError::BadPolicy(problems) if !problems.is_empty() => Self::problems(problems),
            ServiceError::Internal(cause) => {
                // Whoever types commands has nobody else's log to read.
                let mut line = format!("something went wrong: {cause}");
                let mut source = cause.source();
                while let Some(deeper) = source {
                    line.push_str(&format!(": {deeper}"));
                    source = deeper.source();
                }
                Self::error(code, line)
            }
            other => Self::error(code, other.to_string()),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::error(error.code(), error.to_string())
    }
}
