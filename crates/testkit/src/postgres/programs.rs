//! PostgreSQL's programs on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian and its relatives keep the programs of a server, which are on nobody's PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A folder with the programs of one version.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those of a server: the ones on PATH, or else the newest of Debian's.
    pub fn find() -> Option<Self> {
        let whole = |folder: &PathBuf| {
            ["initdb", "postgres", "psql"]
                .iter()
                .all(|name| folder.join(name).is_file())
        };
        on_path("initdb")
            .into_iter()
            .chain(debian(Path::new(DEBIAN)))
            .find(whole)
            .map(|folder| Self { folder })
    }

    /// Those that talk to a server that is elsewhere.
    pub fn client() -> Option<Self> {
        Self::find().or_else(|| {
            let folder = on_path("psql").pop()?;
            Some(Self { folder })
        })
    }

    /// The path of one of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// One of them, without what the environment says about some other server.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }
}

// What is on PATH may be a link to where the others are: both folders are worth a look.
fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    let Some(program) = found.into_iter().find(|program| program.is_file()) else {
        return vec![];
    };
    let real = std::fs::canonicalize(&program);
    [Some(program), real.ok()]
        .into_iter()
        .flatten()
        .filter_map(|program| program.parent().map(Path::to_owned))
        .collect()
}

/// The folders of all versions, the newest first.
fn debian(below: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(below)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number_and_other_folders_are_left_out() {
        let folder = std::env::temp_dir().join(format!("testkit-versions-{}", std::process::id()));
        for name in ["9", "15", "17", "common"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let found = debian(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let expected = ["17", "15", "9"].map(|version| folder.join(version).join("bin"));
        assert_eq!(found, expected);
    }
}
