//! What is not allowed, given the table and the manifests. Pure, so that every rule has a test.

use super::table::{Table, matches};

/// One crate of the workspace.
#[derive(Debug)]
pub struct Member {
    /// The package's name.
    pub name: String,
    /// Its folder, as the table names it.
    pub key: String,
    /// Its declared dependencies.
    pub dependencies: Vec<Dependency>,
}

/// One declared dependency.
#[derive(Debug)]
pub struct Dependency {
    /// The name of the package used.
    pub name: String,
    /// Which section it stands in.
    pub kind: Kind,
}

/// The section of the manifest a dependency stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[dependencies]`
    Normal,
    /// `[build-dependencies]`
    Build,
    /// `[dev-dependencies]`
    Dev,
}

/// Where everybody's tests may get their world from.
const TESTKIT: &str = "testkit";

/// Never shipped, hence not part of `all`: who wants one of these names it.
const NOT_SHIPPED: &[&str] = &[TESTKIT, "benches", "xtask"];

/// Knowing a driver is `store`'s alone, in tests too: a second user of one is a second place where SQL is written. The
/// benchmarks are the exception: what `store` is held against is SQL by hand.
const DRIVERS: &[&str] = &[
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "deadpool-postgres",
];
const DRIVER_OWNER: &str = "store";
const DRIVER_FLOOR: &str = "benches";

/// `policy` is a function and `model` is data. I/O, a runtime or a source of randomness in their manifests would be the
/// end of that. Their tests may have them.
const PURE: &[&str] = &["model", "policy"];
const IMPURE: &[&str] = &[
    "tokio",
    "axum",
    "hyper",
    "reqwest",
    "rusqlite",
    "rand",
    "getrandom",
];

/// Everything that is wrong, one sentence each, in the order of the crates.
pub fn violations(table: &Table, members: &[Member]) -> Vec<String> {
    let mut found = stale_rows(table, members);
    for member in members {
        let name = &member.name;
        let row = table.row(&member.key);
        if row.is_none() {
            found.push(format!(
                "{name}: its folder `{}` has no row in the table",
                member.key
            ));
        }
        for dependency in &member.dependencies {
            let used = &dependency.name;
            let ours = members.iter().find(|other| other.name == *used);
            if let (Some(row), Some(ours)) = (row, ours)
                && ours.key != member.key
                && !(dependency.kind == Kind::Dev && ours.key == TESTKIT)
                && !allowed(&row.may_use, &ours.key)
            {
                found.push(format!(
                    "{name} -> {used}: the row of `{}` does not allow `{}`",
                    row.pattern, ours.key
                ));
            }
            let knows_drivers = [DRIVER_OWNER, DRIVER_FLOOR].contains(&member.key.as_str());
            if DRIVERS.contains(&used.as_str()) && !knows_drivers {
                found.push(format!(
                    "{name} -> {used}: only `{DRIVER_OWNER}` may know a database driver"
                ));
            } else if PURE.contains(&member.key.as_str())
                && IMPURE.contains(&used.as_str())
                && dependency.kind != Kind::Dev
            {
                found.push(format!(
                    "{name} -> {used}: `{}` has no I/O, no runtime and no randomness",
                    member.key
                ));
            }
        }
    }
    found
}

fn allowed(may_use: &[String], key: &str) -> bool {
    may_use.iter().any(|entry| match entry.as_str() {
        "all" => !NOT_SHIPPED.contains(&key),
        pattern => matches(pattern, key),
    })
}

/// A name in the table that no crate bears is a typing error or a crate that has gone; either way the row means nothing.
fn stale_rows(table: &Table, members: &[Member]) -> Vec<String> {
    let exists = |pattern: &str| members.iter().any(|member| matches(pattern, &member.key));
    let mut found = Vec::new();
    for row in table.rows() {
        if !exists(&row.pattern) {
            found.push(format!("the table's row `{}` names no crate", row.pattern));
        }
        for entry in &row.may_use {
            if entry != "all" && !exists(entry) {
                found.push(format!(
                    "the table's row `{}` allows `{entry}`, which names no crate",
                    row.pattern
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<!-- check-deps:begin -->
| crate | may use, of ours | notable others |
| --- | --- | --- |
| model | – | |
| policy | model | |
| store | model, policy | |
| faces/* | model | |
| server | all | |
| testkit | all | |
| benches | all, testkit | |
<!-- check-deps:end -->";

    /// `key` with its dependencies written as `name`, `dev:name` or `build:name`.
    fn member(key: &str, dependencies: &[&str]) -> Member {
        Member {
            name: name(key),
            key: key.to_owned(),
            dependencies: dependencies
                .iter()
                .map(|text| match text.split_once(':') {
                    None => (Kind::Normal, *text),
                    Some(("dev", name)) => (Kind::Dev, name),
                    Some((_, name)) => (Kind::Build, name),
                })
                .map(|(kind, name)| Dependency {
                    name: name.to_owned(),
                    kind,
                })
                .collect(),
        }
    }

    fn name(key: &str) -> String {
        format!("portreeve-{}", key.rsplit('/').next().unwrap_or(key))
    }

    /// The violations when `changed` takes the place of the crate with its key in a workspace that is in order.
    fn with(changed: Member) -> Vec<String> {
        let mut members = vec![
            member("model", &["serde"]),
            member("policy", &["portreeve-model", "dev:portreeve-testkit"]),
            member("store", &["portreeve-policy", "rusqlite"]),
            member("faces/native", &["portreeve-model", "axum"]),
            member("faces/kuzzle", &[]),
            member("server", &["portreeve-store", "portreeve-native"]),
            member("testkit", &["portreeve-store"]),
            member("benches", &["portreeve-testkit"]),
        ];
        members.retain(|member| member.key != changed.key);
        members.push(changed);
        violations(&Table::parse(PAGE).unwrap(), &members)
    }

    #[test]
    fn a_workspace_in_order_has_no_violations() {
        assert!(with(member("model", &["serde", "uuid"])).is_empty());
    }

    #[test]
    fn an_edge_outside_the_row_is_named() {
        assert_eq!(
            with(member("policy", &["portreeve-store"])),
            ["portreeve-policy -> portreeve-store: the row of `policy` does not allow `store`"]
        );
    }

    #[test]
    fn a_build_or_test_dependency_is_an_edge_too_but_testkit_is_open_to_tests() {
        assert_eq!(with(member("policy", &["build:portreeve-store"])).len(), 1);
        assert_eq!(with(member("policy", &["dev:portreeve-store"])).len(), 1);
        assert_eq!(with(member("policy", &["portreeve-testkit"])).len(), 1);
        assert!(with(member("policy", &["dev:portreeve-testkit"])).is_empty());
    }

    #[test]
    fn all_means_what_is_shipped() {
        assert_eq!(with(member("server", &["portreeve-testkit"])).len(), 1);
        assert!(with(member("testkit", &["portreeve-native", "portreeve-server"])).is_empty());
    }

    #[test]
    fn one_face_may_not_use_another() {
        assert_eq!(
            with(member("faces/kuzzle", &["portreeve-native"])),
            [
                "portreeve-kuzzle -> portreeve-native: the row of `faces/*` does not allow `faces/native`"
            ]
        );
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        assert_eq!(
            with(member("mail", &[])),
            ["portreeve-mail: its folder `mail` has no row in the table"]
        );
    }

    #[test]
    fn only_store_and_the_floors_may_know_a_driver_and_tests_are_no_exception() {
        for driver in DRIVERS {
            assert_eq!(with(member("server", &[driver])).len(), 1, "{driver}");
            assert_eq!(
                with(member("testkit", &[&format!("dev:{driver}")])).len(),
                1,
                "{driver}"
            );
            assert!(with(member("store", &[driver])).is_empty(), "{driver}");
            assert!(with(member("benches", &[driver])).is_empty(), "{driver}");
        }
    }

    #[test]
    fn model_and_policy_stay_pure_and_are_told_once() {
        for key in PURE {
            for crate_name in IMPURE {
                assert_eq!(
                    with(member(key, &[crate_name])).len(),
                    1,
                    "{key} -> {crate_name}"
                );
            }
        }
        assert!(with(member("policy", &["dev:tokio"])).is_empty());
    }

    #[test]
    fn a_row_or_an_entry_that_names_no_crate_is_stale() {
        let table = Table::parse(&PAGE.replace("| store | model, policy", "| store | modle"));
        let found = violations(
            &table.unwrap(),
            &[member("model", &[]), member("policy", &[])],
        );
        assert!(
            found.contains(&"the table's row `store` names no crate".to_owned()),
            "{found:?}"
        );
        assert!(
            found.contains(
                &"the table's row `store` allows `modle`, which names no crate".to_owned()
            ),
            "{found:?}"
        );
    }
}
