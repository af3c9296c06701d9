//! The PostgreSQL that tests need: there before them, gone after them. `portreeve_testkit::postgres` starts it when the first
//! test asks for it; here it is installed where it is missing, and told to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Where Debian keeps the programs of a server.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Read by Debian's packages when they are installed.
const CLUSTER_SETTINGS: &str = "/etc/postgresql-common/createcluster.conf";
/// Longer than a server takes that need not write anything down.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes sure that there is one, or says how to get it.
pub fn prepare() -> Result<()> {
    let given = std::env::var_os("TEST_POSTGRES_URL").is_some_and(|url| !url.is_empty());
    if given || is_installed() {
        return Ok(());
    }
    if !is_debian() {
        bail!(
            "the tests need PostgreSQL, and there is none. Install its server (macOS: `brew install postgresql`) so that `initdb` \
             is on PATH, or set TEST_POSTGRES_URL to a server whose account may create databases"
        );
    }
    if !is_root() {
        bail!(
            "the tests need PostgreSQL, and there is none. Install it (`sudo apt-get install postgresql`), run this task as root, \
             which installs it, or set TEST_POSTGRES_URL to a server whose account may create databases"
        );
    }
    println!("── PostgreSQL is not installed: installing Debian's");
    install().context("PostgreSQL cannot be installed. Install it yourself, or set TEST_POSTGRES_URL to a server whose account may create databases")?;
    if !is_installed() {
        bail!("PostgreSQL was installed, but there is no `initdb` in {DEBIAN}/*/bin");
    }
    Ok(())
}

/// Ends the server that the tests of this target folder have shared, and waits until its files are gone.
pub fn end(target: &Path) {
    let place = target.join("portreeve-postgres");
    let Ok(folder) = fs::read_to_string(&place) else {
        return;
    };
    let folder = PathBuf::from(folder.trim());
    // The shell beside the server looks for this file.
    if fs::remove_file(folder.join("url")).is_err() {
        return;
    }
    let begin = Instant::now();
    while folder.exists() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    if folder.exists() {
        println!("the tests' PostgreSQL in {} does not end", folder.display());
    }
}

fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .any(|folder| folder.join("initdb").is_file())
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

// Debian's package makes a cluster of its own and starts it with the machine, unless it is told before.
fn install() -> Result<()> {
    if !has_lists() {
        apt(&["update"])?;
    }
    // Lists may be there and name what the mirror no longer has.
    if get("postgresql-common").is_err() {
        apt(&["update"])?;
        get("postgresql-common")?;
    }
    let settings = fs::read_to_string(CLUSTER_SETTINGS)
        .with_context(|| format!("cannot read {CLUSTER_SETTINGS}"))?;
    fs::write(CLUSTER_SETTINGS, without_cluster(&settings))
        .with_context(|| format!("cannot write {CLUSTER_SETTINGS}"))?;
    let installed = get("postgresql");
    // What was said for this installation is not to hold for a later one.
    fs::write(CLUSTER_SETTINGS, settings)
        .with_context(|| format!("cannot write {CLUSTER_SETTINGS}"))?;
    installed
}

fn without_cluster(settings: &str) -> String {
    let mut text: String = settings
        .lines()
        .filter(|line| !line.trim_start().starts_with("create_main_cluster"))
        .map(|line| format!("{line}\n"))
        .collect();
    text.insert_str(0, "create_main_cluster = false\n");
    text
}

fn has_lists() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten();
    lists.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with("Release") || name.contains("_Packages")
    })
}

fn get(package: &str) -> Result<()> {
    apt(&["install", "--yes", "--no-install-recommends", package])
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    workspace::run(&format!("apt-get {}", arguments.join(" ")), &mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cluster_is_made_whatever_the_settings_said() {
        let settings =
            "# main\n#create_main_cluster = true\n create_main_cluster = true\nssl = on\n";
        assert_eq!(
            without_cluster(settings),
            "create_main_cluster = false\n# main\n#create_main_cluster = true\nssl = on\n"
        );
    }

    #[test]
    fn a_target_folder_without_a_server_is_left_as_it_is() {
        let folder = std::env::temp_dir().join(format!("xtask-postgres-{}", std::process::id()));
        let gone = folder.join("gone");
        fs::create_dir_all(&folder).unwrap();
        end(&folder);
        fs::write(
            folder.join("portreeve-postgres"),
            gone.display().to_string(),
        )
        .unwrap();
        end(&folder);
        assert!(folder.join("portreeve-postgres").exists() && !gone.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
