//! `portreeve rights USER`

use std::process::ExitCode;

use portreeve_service::{ActionPaths, Possible, UserRights};

use super::who_can::said;
use crate::cli::Data;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Shows what a user may do, and through what.
pub async fn run(user: &str, data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let portreeve = open(&Config::load(data)?, Mode::Read).await?;
    let rights = portreeve.user_rights(&portreeve.operator(), user).await?;
    output.result(|| output::json(&rights), || text(&rights));
    Ok(ExitCode::SUCCESS)
}

fn text(rights: &UserRights) -> String {
    let me = &rights.me;
    let roles = me.roles.join(", ");
    let mut text = format!(
        "roles in force: {}\n",
        if roles.is_empty() { "none" } else { &roles }
    );
    for collection in &me.collections {
        text.push_str(&format!("{}\n", collection.name));
        let paths = rights.paths.get(&collection.name);
        for (action, possible) in &collection.actions {
            let limited = match possible {
                Possible::Yes => "",
                _ => " (limited)",
            };
            text.push_str(&line(action, limited, paths));
        }
    }
    if !me.actions.is_empty() {
        text.push_str("beside records\n");
    }
    for action in &me.actions {
        text.push_str(&line(action, "", Some(&rights.action_paths)));
    }
    text
}

fn line(action: &str, limited: &str, paths: Option<&ActionPaths>) -> String {
    let paths = paths.and_then(|paths| paths.get(action));
    let paths = paths.map(|paths| said(paths)).unwrap_or_default();
    format!("  {action}{limited}: {paths}\n")
}
