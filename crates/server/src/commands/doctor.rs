//! `portreeve doctor`

mod configuration;

use std::process::ExitCode;

use portreeve_service::{Diagnosis, Finding, Severity, codes};

use crate::cli::Data;
use crate::config::Config;
use crate::fail::{Failure, NO};
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Looks for what is wrong or wider than anybody means.
pub async fn run(data: &Data, output: Output) -> Result<ExitCode, Failure> {
    let config = Config::load(data)?;
    let found = configuration::look(&config, data.config.as_deref());
    let diagnosis = match open(&config, Mode::Read).await {
        Ok(portreeve) => {
            let diagnosis = portreeve.diagnose(&portreeve.operator()).await?;
            diagnosis.with(found)
        }
        // What cannot be put in force is what there is to say.
        Err(failure) if failure.code() == codes::BAD_POLICY => {
            let unreadable = Finding {
                id: "policy-unreadable",
                severity: Severity::Error,
                place: "policy".into(),
                why: failure.line(),
                fix: "put the tables back as they were, or apply a corrected access file".into(),
            };
            Diagnosis::default().with(found).with(vec![unreadable])
        }
        Err(other) => return Err(other),
    };
    output.result(|| output::json(&diagnosis), || text(&diagnosis));
    let grave = |finding: &Finding| finding.severity > Severity::Notice;
    Ok(if diagnosis.findings.iter().any(grave) {
        ExitCode::from(NO)
    } else {
        ExitCode::SUCCESS
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    let mut counts = [0; 3];
    for finding in &diagnosis.findings {
        let (word, place) = match finding.severity {
            Severity::Error => ("error", 0),
            Severity::Warning => ("warning", 1),
            Severity::Notice => ("notice", 2),
        };
        counts[place] += 1;
        text.push_str(&format!(
            "{word}: {} at {}\n    {}\n    fix: {}\n",
            finding.id, finding.place, finding.why, finding.fix
        ));
    }
    let [errors, warnings, notices] = counts;
    text.push_str(&format!(
        "{errors} errors, {warnings} warnings, {notices} notices\n"
    ));
    if !diagnosis.administrators.is_empty() {
        let rows: Vec<Vec<String>> = diagnosis
            .administrators
            .iter()
            .map(|one| {
                let active = if one.active { "yes" } else { "no" };
                vec![
                    one.name.clone(),
                    one.binding.to_string(),
                    active.into(),
                    one.seen.clone().unwrap_or_else(|| "no session left".into()),
                ]
            })
            .collect();
        text.push_str(&output::table(
            &["administrator", "by", "active", "last seen"],
            &rows,
        ));
    }
    text
}
