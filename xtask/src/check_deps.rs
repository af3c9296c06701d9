//! `cargo xtask check-deps`: holds the crates against the table of allowed dependencies in ARCHITECTURE.md.
//!
//! The page is the rule, not a description of it: what the table does not allow does not build in CI.

mod rules;
mod table;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;
use rules::{Dependency, Kind, Member};
use table::Table;

/// Reads the page and the manifests, and fails with every edge that is not allowed.
pub fn run() -> Result<()> {
    let page = workspace::root().join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&page)
        .with_context(|| format!("cannot read {}", page.display()))?;
    let table = Table::parse(&text).context("ARCHITECTURE.md")?;
    let members = members(&workspace::metadata()?)?;

    let violations = rules::violations(&table, &members);
    if !violations.is_empty() {
        bail!(
            "{} against the table in ARCHITECTURE.md\n  {}",
            violations.len(),
            violations.join("\n  ")
        );
    }
    println!(
        "check-deps: {} crates, {} dependencies, all allowed by ARCHITECTURE.md",
        members.len(),
        members
            .iter()
            .map(|member| member.dependencies.len())
            .sum::<usize>()
    );
    Ok(())
}

fn members(metadata: &Value) -> Result<Vec<Member>> {
    let root = metadata["workspace_root"]
        .as_str()
        .context("`cargo metadata` names no workspace root")?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;
    packages
        .iter()
        .map(|package| member(package, Path::new(root)))
        .collect()
}

fn member(package: &Value, root: &Path) -> Result<Member> {
    let name = package["name"].as_str().context("a package has no name")?;
    let manifest = package["manifest_path"]
        .as_str()
        .with_context(|| format!("{name} has no manifest"))?;
    let folder = Path::new(manifest)
        .parent()
        .with_context(|| format!("{name} has no folder"))?;
    let folder = workspace::relative(folder, root)?;
    let dependencies = package["dependencies"]
        .as_array()
        .with_context(|| format!("{name} has no list of dependencies"))?
        .iter()
        .map(|dependency| {
            Ok(Dependency {
                // The real name: a rename in a manifest must not hide a driver.
                name: dependency["name"]
                    .as_str()
                    .with_context(|| format!("{name} has a dependency without a name"))?
                    .to_owned(),
                kind: match dependency["kind"].as_str() {
                    None => Kind::Normal,
                    Some("build") => Kind::Build,
                    Some("dev") => Kind::Dev,
                    Some(other) => bail!("{name} has a dependency of an unknown kind, `{other}`"),
                },
            })
        })
        .collect::<Result<_>>()?;
    Ok(Member {
        name: name.to_owned(),
        key: folder.strip_prefix("crates/").unwrap_or(&folder).to_owned(),
        dependencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_keyed_by_folder_and_dependencies_keep_their_real_names() {
        let metadata = json!({
            "workspace_root": "/w",
            "packages": [{
                "name": "portreeve-native",
                "manifest_path": "/w/crates/faces/native/Cargo.toml",
                "dependencies": [
                    { "name": "rusqlite", "rename": "harmless", "kind": null },
                    { "name": "portreeve-testkit", "rename": null, "kind": "dev" },
                ],
            }],
        });
        let members = members(&metadata).unwrap();
        assert_eq!(members[0].key, "faces/native");
        assert_eq!(members[0].dependencies[0].name, "rusqlite");
        assert_eq!(members[0].dependencies[0].kind, Kind::Normal);
        assert_eq!(members[0].dependencies[1].kind, Kind::Dev);
    }

    /// The check itself, as a test: whoever runs only the tests still learns of a wrong arrow.
    #[test]
    fn this_workspace_keeps_to_its_own_table() {
        run().unwrap();
    }
}
