//! A server of one test's own, a child of its process.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::Settings;
use super::cluster::Cluster;
use super::programs::Programs;

/// A server that may be stopped and killed.
pub struct Private {
    cluster: Cluster,
    child: Option<Child>,
    killed: bool,
    /// Locked for as long as we live, so that nobody takes the files for left behind.
    _alive: File,
}

impl Private {
    /// Makes one and starts it.
    pub fn start(programs: &Programs, settings: Settings) -> Result<Self, String> {
        let (cluster, alive) = Cluster::create(programs, settings)?;
        let mut private = Self {
            cluster,
            child: None,
            killed: false,
            _alive: alive,
        };
        private.run()?;
        Ok(private)
    }

    pub fn authority(&self) -> PathBuf {
        self.cluster.authority()
    }

    pub fn url(&self) -> String {
        self.cluster.url.clone()
    }

    /// Starts it. One that was killed still holds its memory until the last of its processes has noticed: then a start
    /// fails at once and is tried again.
    pub fn run(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "it runs already");
        let mut tries = if self.killed { 50 } else { 1 };
        loop {
            let mut child = self.spawn()?;
            let id = child.id();
            let ready = self
                .cluster
                .wait(Some(id), || !matches!(child.try_wait(), Ok(None)));
            let Err(problem) = ready else {
                self.child = Some(child);
                self.killed = false;
                return Ok(());
            };
            let _ = child.kill();
            let _ = child.wait();
            tries -= 1;
            if tries == 0 {
                return Err(problem);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn spawn(&self) -> Result<Child, String> {
        let log = || {
            let file = File::options()
                .create(true)
                .append(true)
                .open(self.cluster.folder.join("log"));
            file.map(Stdio::from).map_err(|error| error.to_string())
        };
        let mut postgres = self.cluster.command("postgres");
        postgres
            .arg("-D")
            .arg(self.cluster.data())
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?);
        postgres
            .spawn()
            .map_err(|error| format!("postgres does not run: {error}"))
    }

    /// Stops it in order: connections are cut, everything is on the disk.
    pub fn stop(&mut self) -> Result<(), String> {
        self.signal("-INT")
    }

    /// Stops it at once, leaving recovery to the next start.
    pub fn stop_immediate(&mut self) -> Result<(), String> {
        self.signal("-QUIT")
    }

    /// Kills its first process.
    pub fn kill(&mut self) -> Result<(), String> {
        let mut child = self.running()?;
        self.killed = true;
        let killed = child.kill().and_then(|()| child.wait());
        killed.map(drop).map_err(|error| error.to_string())
    }

    // The process is our child and not waited for yet: its number is nobody else's.
    fn signal(&mut self, signal: &str) -> Result<(), String> {
        let mut child = self.running()?;
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        sent.and_then(|_| child.wait())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn running(&mut self) -> Result<Child, String> {
        self.child
            .take()
            .ok_or_else(|| "the server does not run".to_owned())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.stop_immediate();
        }
        self.cluster.remove();
    }
}
