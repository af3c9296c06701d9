//! A mail server on loopback for tests: it speaks SMTP, keeps what it is given, and fails when it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Long enough for a machine that does much else; nothing waits this long when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

/// A moment of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The first word.
    Greeting,
    /// `AUTH`
    Auth,
    /// `MAIL FROM`
    Mail,
    /// `RCPT TO`
    Rcpt,
    /// `DATA`, before the text.
    Data,
    /// After the text.
    Text,
    /// `QUIT`
    Quit,
}

/// What goes wrong in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// It answers this number then, such as 451 or 550.
    Answer(At, u16),
    /// It hangs up then, without an answer. In [`At::Text`]: in the middle of the text.
    HangUp(At),
    /// It takes the whole mail, keeps it, and hangs up instead of saying so.
    Mute,
}

/// A mail that has been taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Name and password, where somebody has signed in.
    pub account: Option<(String, String)>,
    /// The text as it came, without the dots that were doubled.
    pub data: String,
}

impl Received {
    /// A header's value, put together where it goes over several lines.
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.data.split_once("\r\n\r\n")?;
        let mut found: Option<String> = None;
        for line in head.split("\r\n") {
            if line.starts_with([' ', '\t']) {
                if let Some(found) = &mut found {
                    found.push(' ');
                    found.push_str(line.trim());
                }
            } else if found.is_some() {
                break;
            } else if let Some((key, value)) = line.split_once(':')
                && key.eq_ignore_ascii_case(name)
            {
                found = Some(value.trim().to_owned());
            }
        }
        found
    }

    /// The names of all headers, in lower case.
    pub fn header_names(&self) -> Vec<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']));
        lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect()
    }

    /// The part of this type, decoded, with plain line ends.
    pub fn part(&self, kind: &str) -> Option<String> {
        part(&self.data, kind).map(|text| text.replace("\r\n", "\n"))
    }

    /// The plain text.
    pub fn text(&self) -> String {
        self.part("text/plain").unwrap_or_default()
    }

    /// The code in it.
    pub fn code(&self) -> String {
        let text = self.text();
        let start = text
            .find("prc_")
            .unwrap_or_else(|| panic!("no code in: {text}"));
        let rest = &text[start..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
        rest[..end.unwrap_or(rest.len())].to_owned()
    }
}

fn part(entity: &str, kind: &str) -> Option<String> {
    let (head, body) = entity.split_once("\r\n\r\n")?;
    let header = |name: &str| -> String {
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let lines = unfolded.split("\r\n");
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let content = header("Content-Type");
    if let Some((_, rest)) = content.split_once("boundary=") {
        let boundary = rest
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('"');
        let separator = format!("--{boundary}");
        let parts = body.split(separator.as_str()).skip(1);
        return parts
            .map(|inner| inner.trim_start_matches("\r\n"))
            .find_map(|inner| part(inner, kind));
    }
    if !content.to_ascii_lowercase().starts_with(kind) {
        return None;
    }
    let encoding = header("Content-Transfer-Encoding").to_ascii_lowercase();
    let bytes = match encoding.as_str() {
        "quoted-printable" => quoted_printable(body),
        "base64" => STANDARD
            .decode(body.split_whitespace().collect::<String>())
            .ok()?,
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8(bytes).ok()
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let text = text.replace("=\r\n", "");
    let mut bytes = text.bytes();
    let mut out = vec![];
    while let Some(byte) = bytes.next() {
        if byte != b'=' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        let digits = String::from_utf8_lossy(&digits).into_owned();
        out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
    }
    out
}

#[derive(Default)]
struct Kept {
    mails: Vec<Received>,
    connections: usize,
    failing: VecDeque<Failing>,
    always: Option<Failing>,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The server. It ends with its test.
pub struct SmtpSink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl SmtpSink {
    /// Starts one on a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let sink = Arc::downgrade(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(shared) = sink.upgrade() else { break };
                thread::spawn(move || {
                    // Whoever hangs up in the middle has had his reason.
                    let _ = talk(&stream, &shared);
                });
            }
        });
        Self { address, shared }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What goes wrong in the next connection that has not been told otherwise.
    pub fn fail_next(&self, failing: Failing) {
        self.shared.change(|kept| kept.failing.push_back(failing));
    }

    /// What goes wrong in every connection from now on; nothing again where there is nothing.
    pub fn fail_always(&self, failing: Option<Failing>) {
        self.shared.change(|kept| kept.always = failing);
    }

    /// What it has taken so far.
    pub fn mails(&self) -> Vec<Received> {
        self.shared.lock().mails.clone()
    }

    /// How many have connected.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Waits until it has taken so many, and gives them all.
    pub fn wait_for(&self, number: usize) -> Vec<Received> {
        self.wait(|kept| kept.mails.len() >= number);
        self.mails()
    }

    /// Waits until so many have connected.
    pub fn wait_for_connections(&self, number: usize) {
        self.wait(|kept| kept.connections >= number);
    }

    fn wait(&self, until: impl Fn(&Kept) -> bool) {
        let kept = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(kept, DEADLINE, |kept| !until(kept));
        let (kept, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            until(&kept),
            "{} mails after {DEADLINE:?}",
            kept.mails.len()
        );
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        // The listening thread wakes up and finds that nobody wants it any more.
        self.shared = Arc::default();
        let _ = TcpStream::connect(self.address);
    }
}

fn talk(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut failing = None;
    shared.change(|kept| {
        kept.connections += 1;
        failing = kept.failing.pop_front().or(kept.always);
    });
    let mut lines = BufReader::new(stream);
    let mut out = stream;
    let mut say = |line: &str| out.write_all(format!("{line}\r\n").as_bytes());
    let answer = |at: At| match failing {
        Some(Failing::Answer(when, code)) if when == at => Some(format!("{code} no")),
        _ => None,
    };
    let hangs_up = |at: At| failing == Some(Failing::HangUp(at));
    if hangs_up(At::Greeting) {
        return Ok(());
    }
    if let Some(no) = answer(At::Greeting) {
        return say(&no);
    }
    say("220 sink.example ESMTP")?;
    let mut mail = Received {
        from: String::new(),
        to: vec![],
        account: None,
        data: String::new(),
    };
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches("\r\n");
        let verb = line
            .split([' ', ':'])
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let at = match verb.as_str() {
            "AUTH" => Some(At::Auth),
            "MAIL" => Some(At::Mail),
            "RCPT" => Some(At::Rcpt),
            "DATA" => Some(At::Data),
            "QUIT" => Some(At::Quit),
            _ => None,
        };
        if let Some(at) = at {
            if hangs_up(at) {
                return Ok(());
            }
            if let Some(no) = answer(at) {
                say(&no)?;
                continue;
            }
        }
        let path = || {
            let path = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            path.map_or_else(String::new, |(path, _)| path.to_owned())
        };
        match verb.as_str() {
            "EHLO" => {
                say("250-sink.example")?;
                say("250-8BITMIME")?;
                say("250 AUTH PLAIN")?;
            }
            "AUTH" => {
                let token = line.split(' ').nth(2).unwrap_or_default();
                let plain = STANDARD.decode(token).unwrap_or_default();
                let plain = String::from_utf8_lossy(&plain).into_owned();
                let mut parts = plain.split('\0').skip(1).map(str::to_owned);
                mail.account = parts.next().zip(parts.next());
                say("235 welcome")?;
            }
            "MAIL" => {
                mail.from = path();
                say("250 so be it")?;
            }
            "RCPT" => {
                mail.to.push(path());
                say("250 so be it")?;
            }
            "DATA" => {
                say("354 go on")?;
                if hangs_up(At::Text) {
                    let mut some = [0];
                    lines.read_exact(&mut some)?;
                    return Ok(());
                }
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                if let Some(no) = answer(At::Text) {
                    say(&no)?;
                    continue;
                }
                shared.change(|kept| kept.mails.push(mail.clone()));
                if failing == Some(Failing::Mute) {
                    return Ok(());
                }
                say("250 taken")?;
                (mail.to, mail.data) = (vec![], String::new());
            }
            "RSET" | "NOOP" => say("250 so be it")?,
            "QUIT" => return say("221 farewell"),
            _ => say("502 no")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded() {
        let mail = Received {
            from: String::new(),
            to: vec![],
            account: None,
            data: "Subject: one\r\n two\r\nX: y\r\nContent-Type: multipart/alternative;\r\n boundary=\"b\"\r\n\r\n--b\r\n\
                   Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                   Gr=C3=BC=\r\n=C3=9Fe prc_a-b_c.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
                .into(),
        };
        assert_eq!(mail.header("subject").as_deref(), Some("one two"));
        assert_eq!(mail.header_names(), ["subject", "x", "content-type"]);
        assert_eq!(mail.text(), "Grüße prc_a-b_c.\n");
        assert_eq!(mail.code(), "prc_a-b_c");
        assert_eq!(mail.part("text/html").as_deref(), Some("<p>\n"));
        assert_eq!(mail.part("image/png"), None);
    }
}
