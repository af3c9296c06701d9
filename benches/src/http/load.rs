//! The load: keep-alive connections that each send the next request when the last one is answered. Requests are bytes
//! made beforehand, answers are looked at no more than it takes to find their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::processor_time;
use crate::report::percentile;

/// Two threads, as the reference measurements had.
const THREADS: usize = 2;

/// What to send, and where.
#[derive(Clone)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// The server's process.
    pub pid: u32,
    /// The requests, in turn.
    pub requests: Arc<[Vec<u8>]>,
    /// The status every answer must have.
    pub status: u16,
    /// How many connections.
    pub connections: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Answers per second.
    pub rate: f64,
    /// The server's processor time for each, in seconds.
    pub processor: f64,
    /// Half of the answers took less, in seconds.
    pub middle: f64,
    /// All but one in a hundred took less.
    pub slow: f64,
}

/// A request without a body.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A request with a JSON body.
pub fn post(path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let token = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{token}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends for so long, after a while of warming up that does not count.
pub fn run(load: &Load, time: Duration) -> Result<Measured> {
    let warm = Duration::from_millis(300).min(time / 4);
    drive(load, warm)?;
    let before = processor_time(load.pid)?;
    let start = Instant::now();
    let mut latencies = drive(load, time)?;
    let elapsed = start.elapsed().as_secs_f64();
    let processor = processor_time(load.pid)? - before;
    let count = latencies.len() as f64;
    ensure!(count > 0.0, "nothing was answered");
    Ok(Measured {
        rate: count / elapsed,
        processor: processor / count,
        middle: percentile(&mut latencies, 0.5),
        slow: percentile(&mut latencies, 0.99),
    })
}

// How long each answer took, in seconds.
fn drive(load: &Load, time: Duration) -> Result<Vec<f64>> {
    let deadline = Instant::now() + time;
    let threads: Vec<_> = (0..THREADS.min(load.connections))
        .map(|thread| {
            let load = load.clone();
            std::thread::spawn(move || connections(&load, thread, deadline))
        })
        .collect();
    let mut latencies = vec![];
    for thread in threads {
        match thread.join() {
            Ok(measured) => latencies.extend(measured?),
            Err(_) => bail!("a thread of the load died"),
        }
    }
    Ok(latencies)
}

fn connections(load: &Load, thread: usize, deadline: Instant) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let tasks: Vec<_> = (thread..load.connections)
            .step_by(THREADS)
            .map(|place| tokio::spawn(connection(load.clone(), place, deadline)))
            .collect();
        let mut latencies = vec![];
        for task in tasks {
            latencies.extend(task.await??);
        }
        Ok(latencies)
    })
}

async fn connection(load: Load, place: usize, deadline: Instant) -> Result<Vec<f64>> {
    let mut connection = Connection::open(load.address).await?;
    let mut latencies = vec![];
    // Each connection begins elsewhere, so that they do not ask for the same at the same time.
    let first = place * load.requests.len() / load.connections;
    for request in load.requests.iter().cycle().skip(first) {
        let start = Instant::now();
        if start >= deadline {
            break;
        }
        let answer = connection.ask(request).await?;
        if answer.status != load.status {
            let body = String::from_utf8_lossy(answer.body);
            bail!(
                "an answer has the status {}, not {}: {body}",
                answer.status,
                load.status
            );
        }
        latencies.push(start.elapsed().as_secs_f64());
    }
    Ok(latencies)
}

/// One request, one answer, with its body.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        let answer = connection.ask(request).await?;
        Ok((
            answer.status,
            String::from_utf8_lossy(answer.body).into_owned(),
        ))
    })
}

/// One that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut seen = 0;
        let head = loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server hung up");
            let from = seen.max(3) - 3;
            if let Some(end) = self.buffer[from..]
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
            {
                break from + end;
            }
            seen = self.buffer.len();
        };
        let (status, length) = parse(&self.buffer[..head])?;
        let body = head + 4;
        while self.buffer.len() < body + length {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server hung up within an answer");
        }
        Ok(Answer {
            status,
            body: &self.buffer[body..body + length],
        })
    }
}

// Status and length of the body.
fn parse(head: &[u8]) -> Result<(u16, usize)> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines
        .next()
        .and_then(|line| std::str::from_utf8(line.get(9..12)?).ok()?.parse().ok())
        .context("an answer without a status")?;
    if matches!(status, 204 | 304) {
        return Ok((status, 0));
    }
    const NAME: &[u8] = b"content-length:";
    for line in lines {
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            let value = std::str::from_utf8(value.trim_ascii())?;
            return Ok((status, value.parse()?));
        }
    }
    bail!("an answer that does not say how long it is");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_length_are_found() {
        let head =
            b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 17\r\n";
        assert_eq!(parse(head).unwrap(), (201, 17));
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
        assert_eq!(parse(b"HTTP/1.1 204 No Content").unwrap(), (204, 0));
    }
}
