//! Processes: what the system says about one, and children that do not outlive this program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// The memory a process has in use, in bytes.
pub fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .context("no number in VmRSS")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0)
}

/// The processor time a process has used, its own and the system's for it, in seconds.
pub fn processor_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("no such process")?;
    // The name, in brackets, may hold anything; what comes after it is numbers.
    let (_, numbers) = stat.rsplit_once(')').context("no name in stat")?;
    let mut times = numbers.split_whitespace().skip(11).take(2);
    let mut next = || -> Result<f64> { Ok(times.next().context("no times in stat")?.parse()?) };
    Ok((next()? + next()?) / ticks_per_second())
}

// From the auxiliary vector, pairs of words: 17 is AT_CLKTCK.
fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        const PAIR: usize = 2 * size_of::<usize>();
        let vector = fs::read("/proc/self/auxv").unwrap_or_default();
        let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok();
        vector
            .chunks_exact(PAIR)
            .find(|pair| word(&pair[..PAIR / 2]) == Some(17))
            .and_then(|pair| word(&pair[PAIR / 2..]))
            .map_or(100.0, |ticks| ticks as f64)
    })
}

/// A child that is ended, by its own id, when this is dropped.
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts one whose output nobody looks at.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child })
    }

    /// Starts one that says something in its first line.
    pub fn start_and_listen(command: &mut Command) -> Result<(Self, String)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take();
        let running = Self { child };
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        Ok((running, line.trim().to_owned()))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end; what it says is shown only where it fails.
pub fn finish(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_counted_in_seconds() {
        let pid = std::process::id();
        let (before, start) = (processor_time(pid).unwrap(), std::time::Instant::now());
        while start.elapsed().as_millis() < 300 {
            std::hint::black_box(resident(pid).unwrap());
        }
        let used = processor_time(pid).unwrap() - before;
        assert!((0.02..2.0).contains(&used), "{used}");
    }
}
