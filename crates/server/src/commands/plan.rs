//! `portreeve plan FILE`

use std::path::Path;
use std::process::ExitCode;

use portreeve_service::{ChangeKind, Effect, Plan};

use crate::cli::Data;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::Output;
use crate::wiring::{Mode, document, open};

/// Shows what putting an access file in force would change.
pub async fn run(file: &Path, data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let document = document(file)?;
    let portreeve = open(&Config::load(data)?, Mode::Read).await?;
    let plan = portreeve.plan(&portreeve.operator(), &document).await?;
    output.result(
        || {
            let mut json = plan.to_review();
            let notes = plan.notes.iter().map(ToString::to_string);
            json["notes"] = notes.collect();
            json
        },
        || {
            let mut text = text(&plan);
            if !plan.drops.is_empty() {
                text.push_str("data would be lost: apply it with --confirm-drops\n");
            }
            for note in &plan.notes {
                text.push_str(&format!("note: {note}\n"));
            }
            text
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// A plan for people.
pub fn text(plan: &Plan) -> String {
    if plan.is_empty() {
        return "no changes\n".into();
    }
    let mut text = String::new();
    let mut counts = [0; 3];
    for change in &plan.changes {
        let (sign, place) = match change.change {
            ChangeKind::Create => ('+', 0),
            ChangeKind::Change => ('~', 1),
            ChangeKind::Delete => ('-', 2),
        };
        counts[place] += 1;
        text.push_str(&format!("{sign} {} {}\n", change.part, change.name));
        for line in &change.what {
            text.push_str(&format!("    {line}\n"));
        }
    }
    let [created, changed, deleted] = counts;
    text.push_str(&format!(
        "{created} to create, {changed} to change, {deleted} to delete\n"
    ));
    for effect in &plan.people {
        text.push_str(&people(effect));
    }
    text
}

fn people(effect: &Effect) -> String {
    let mut who = effect.who.join(", ");
    let rest = effect.count - effect.who.len();
    if rest > 0 {
        who.push_str(&format!(" and {rest} more"));
    }
    let mut text = String::new();
    for (verb, lines) in [
        ("gains", &effect.gains),
        ("loses", &effect.loses),
        ("within other limits", &effect.changes),
    ] {
        if !lines.is_empty() {
            text.push_str(&format!("{who}: {verb} {}\n", lines.join(", ")));
        }
    }
    text
}
