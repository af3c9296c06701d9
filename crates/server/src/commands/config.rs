//! `portreeve config check [FILE] | schema`

use std::process::ExitCode;

use crate::cli;
use crate::config::{self, Config};
use crate::fail::Failure;
use crate::output::Output;
use crate::wiring::document;

/// Checks a configuration file, the environment, and the access file they name; or says what can be configured.
pub fn run(command: cli::Config, output: Output) -> Result<ExitCode, Failure> {
    let file = match command {
        cli::Config::Check { file } => file,
        cli::Config::Schema => {
            let schema = config::schema();
            let text = || serde_json::to_string_pretty(&schema).unwrap_or_default();
            output.result(|| schema.clone(), text);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let config = Config::read(file.as_deref())?;
    let development = config.server.development;
    config::faces(&config.sessions, &config.faces, development)?;
    config.data.clone().resolve(development)?;
    if let Some(access) = &config.access.file {
        let document = document(access)?;
        portreeve_policy::Snapshot::compile(&document, 1).map_err(Failure::problems)?;
    }
    config.mail.options(&config.server)?;
    output.result(
        || config.to_json(),
        || {
            let name = file
                .as_ref()
                .map_or("the default".into(), |file| file.display().to_string());
            let mut text = format!("{name} is right; it comes to\n");
            for (section, settings) in config.to_json().as_object().into_iter().flatten() {
                for (key, value) in settings.as_object().into_iter().flatten() {
                    text.push_str(&format!("  {section}.{key} = {value}\n"));
                }
            }
            text
        },
    );
    Ok(ExitCode::SUCCESS)
}
