//! One server for all test processes of a target folder.
//!
//! Every test may be a process of its own, so the server outlives the one that started it. A shell beside it stops it and
//! takes its files away once nobody has used it for half an hour, or once its file `url` is gone, which is how it is
//! told to.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Settings;
use super::cluster::{Cluster, is_alive};
use super::programs::Programs;

/// In the target folder: names the folder of the server, and is locked while one looks for it. `cargo xtask test` reads it
/// to stop the server at the end.
const PLACE: &str = "portreeve-postgres";

/// Longer than any test may take (`.config/nextest.toml`): each makes its database before it uses it.
const IDLE_MINUTES: &str = "30";

// $1 the program, $2 the folder, $3 the minutes. Its standard input is the locked file that says the server lives.
const KEEPER: &str = r#"
"$1" -D "$2/data" </dev/null >>"$2/log" 2>&1 &
server=$!
while sleep 1; do
    kill -0 "$server" 2>/dev/null || break
    [ -e "$2/url" ] || break
    [ -z "$(find "$2/used" -mmin "+$3")" ] || break
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$2"
"#;

/// A server that runs.
pub struct Shared {
    /// Where it is.
    pub url: String,
    /// What [`note_use`] wants.
    pub used: PathBuf,
}

/// Finds it or starts it.
pub fn server(programs: &Programs) -> Result<Shared, String> {
    let place = target().join(PLACE);
    find(programs, &place).map_err(|problem| format!("{}: {problem}", place.display()))
}

/// Tells the shell beside the server that it is used.
pub fn note_use(used: &Path) {
    // Whoever finds the server gone learns it from the server.
    let _ = fs::write(used, "used");
}

pub fn find(programs: &Programs, place: &Path) -> Result<Shared, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(place)
        .map_err(text)?;
    // Given back when the file is closed.
    file.lock().map_err(text)?;
    let mut known = String::new();
    file.read_to_string(&mut known).map_err(text)?;
    let folder = PathBuf::from(known.trim());
    if is_alive(&folder)
        && let Ok(url) = fs::read_to_string(folder.join("url"))
    {
        let used = folder.join("used");
        note_use(&used);
        return Ok(Shared { url, used });
    }
    let (cluster, alive) = Cluster::create(programs, Settings::default())?;
    if let Err(problem) = start(programs, &cluster, alive) {
        cluster.remove();
        return Err(problem);
    }
    file.rewind().map_err(text)?;
    file.set_len(0).map_err(text)?;
    write!(file, "{}", cluster.folder.display()).map_err(text)?;
    Ok(Shared {
        used: cluster.folder.join("used"),
        url: cluster.url,
    })
}

fn start(programs: &Programs, cluster: &Cluster, alive: File) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    for (name, content) in [("url", cluster.url.as_str()), ("used", "used"), ("log", "")] {
        let file = cluster.folder.join(name);
        fs::write(&file, content).map_err(text)?;
        cluster.give(&file).map_err(text)?;
    }
    let mut shell = cluster.as_owner(Command::new("sh"));
    shell
        .args(["-c", KEEPER, "sh"])
        .arg(programs.path("postgres"))
        .arg(&cluster.folder)
        .arg(IDLE_MINUTES)
        .stdin(Stdio::from(alive))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What ends the tests at the terminal does not end the server of the others.
        .process_group(0);
    let mut shell = shell
        .spawn()
        .map_err(|error| format!("no shell to run the server: {error}"))?;
    cluster.wait(None, || !matches!(shell.try_wait(), Ok(None)))
}

// What the environment names, as for the statistics; else where cargo keeps a note at the top of what a test's program
// lies in.
fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    if let Some(named) = named.filter(|folder| folder.is_absolute() && folder.is_dir()) {
        return named;
    }
    let program = std::env::current_exe().unwrap_or_default();
    let found = program
        .ancestors()
        .find(|folder| folder.join(".rustc_info.json").is_file());
    match found {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir(),
    }
}
