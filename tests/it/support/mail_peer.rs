//! A mail server that we did not write (`tests/peers/smtp`): a process that says in JSON lines what it was sent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::services;

/// A running server. It ends when the value is dropped.
pub struct MailPeer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
    stdin: ChildStdin,
    child: Child,
}

/// A mail as it came, and as Python's `email` package reads it.
pub struct Arrived(pub Value);

impl MailPeer {
    /// Starts one; `settings` are those of `sink.py`, with certificate and key where there is TLS. `None` where
    /// nobody has said where the program is.
    pub fn start(mut settings: Value) -> Option<Self> {
        let (program, tls) = (services::mail_peer()?, services::tls()?);
        settings["cert"] = json!(format!("{tls}/server.pem"));
        settings["key"] = json!(format!("{tls}/server.key"));
        let mut child = Command::new(&program)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdin = child.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("a line");
        let first: Value = serde_json::from_str(&first).expect("its port");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                kept.lock()
                    .push(serde_json::from_str(&line).expect("a JSON line"));
            }
        });
        Some(Self {
            port: u16::try_from(first["port"].as_u64().expect("a port")).expect("a port"),
            lines,
            stdin,
            child,
        })
    }

    /// Every mail so far.
    pub fn mails(&self) -> Vec<Arrived> {
        let lines = self.lines.lock();
        let mails = lines.iter().filter(|line| line["mail"].is_object());
        mails.map(|line| Arrived(line["mail"].clone())).collect()
    }

    /// The bytes of everything that came, mails and connections that ended.
    pub fn wire(&self) -> Vec<u8> {
        let lines = self.lines.lock();
        let wires = lines
            .iter()
            .flat_map(|line| [&line["mail"]["wire"], &line["connection"]["wire"]].map(bytes));
        wires.flatten().collect()
    }

    /// Waits until so many mails have come.
    pub async fn expect(&self, count: usize) -> Vec<Arrived> {
        for _ in 0..600 {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let came: Vec<Value> = self
            .mails()
            .iter()
            .map(|mail| mail.0["rcpt_tos"].clone())
            .collect();
        panic!("{} mails instead of {count}: {came:?}", came.len());
    }

    /// Takes every access token that it has seen as revoked from now on; answers how many those are.
    pub async fn refuse_seen_tokens(&mut self) -> u64 {
        writeln!(self.stdin, "{}", json!({ "refuse_seen_tokens": true })).expect("it listens");
        for _ in 0..600 {
            let lines = self.lines.lock().clone();
            if let Some(count) = lines.iter().find_map(|line| line["refused"].as_u64()) {
                return count;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the mail server does not answer");
    }
}

impl Drop for MailPeer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and only the wait matters.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().map_or_else(Vec::new, |text| {
        STANDARD.decode(text).expect("bytes in base64")
    })
}

impl Arrived {
    /// The commands and the content with its end, as they came.
    pub fn wire(&self) -> Vec<u8> {
        bytes(&self.0["wire"])
    }

    /// Every value of a header, decoded.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.0["parsed"]["headers"].as_array().expect("headers");
        all.iter()
            .filter(|header| {
                header[0]
                    .as_str()
                    .is_some_and(|found| found.eq_ignore_ascii_case(name))
            })
            .filter_map(|header| header[1].as_str())
            .collect()
    }

    /// The names of all headers, in their order.
    pub fn header_names(&self) -> Vec<&str> {
        let all = self.0["parsed"]["headers"].as_array().expect("headers");
        all.iter().filter_map(|header| header[0].as_str()).collect()
    }

    /// The part of plain text.
    pub fn text(&self) -> &str {
        self.0["parsed"]["text"].as_str().expect("a text part")
    }

    /// The HTML part.
    pub fn html(&self) -> &str {
        self.0["parsed"]["html"].as_str().expect("an HTML part")
    }
}
