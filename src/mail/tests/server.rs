//! A mail server that does as it is told and writes down every byte.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What the server does where it would answer.
#[derive(Clone, Copy)]
pub enum Answer {
    Say(&'static str),
    /// The same, after so many milliseconds.
    Late(u64, &'static str),
    /// Says nothing, for as long as the client stays.
    Hang,
    /// Closes the connection.
    Drop,
}

use Answer::Say;

#[derive(Clone)]
pub struct Script {
    pub greeting: Answer,
    /// Extensions offered before TLS; `STARTTLS` is added where there is `tls`.
    pub offers: &'static [&'static str],
    pub auth: Answer,
    pub mail: Answer,
    pub rcpt: Answer,
    pub data: Answer,
    pub end: Answer,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// TLS from the first byte instead of by STARTTLS.
    pub implicit: bool,
    /// Sent in the clear right behind the answer to STARTTLS.
    pub injected: &'static str,
    /// Does not offer the STARTTLS it has.
    pub stripped: bool,
    /// Says nothing where TLS would begin.
    pub tls_hangs: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: Say("220 mail.test ready"),
            offers: &["AUTH PLAIN LOGIN"],
            auth: Say("235 welcome"),
            mail: Say("250 ok"),
            rcpt: Say("250 ok"),
            data: Say("354 go on"),
            end: Say("250 taken"),
            tls: None,
            implicit: false,
            injected: "",
            stripped: false,
            tls_hangs: false,
        }
    }
}

/// A mail as it came over the wire: dots still stuffed, without the end.
#[derive(Clone)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    pub wire: Vec<u8>,
}

impl Received {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8(self.wire.clone()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let found: Vec<&str> = head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        assert!(found.len() <= 1, "{name} is there twice");
        found.first().map(|value| (*value).to_owned())
    }

    /// The decoded parts: text and HTML.
    pub fn parts(&self) -> Vec<String> {
        use base64::Engine as _;
        let text = String::from_utf8(self.wire.clone()).unwrap();
        text.split("Content-Transfer-Encoding: base64")
            .skip(1)
            .map(|part| {
                let (_, body) = part.split_once("\r\n\r\n").unwrap();
                let body: String = body.split("--=_").next().unwrap().split("\r\n").collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(body);
                String::from_utf8(bytes.unwrap()).unwrap()
            })
            .collect()
    }
}

#[derive(Default)]
pub struct Seen {
    pub mails: Vec<Received>,
    pub commands: Vec<String>,
    pub connections: usize,
    pub open: usize,
    pub most_open: usize,
}

#[derive(Clone)]
pub struct Server {
    pub port: u16,
    pub script: Arc<Mutex<Script>>,
    pub seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            script: Arc::new(Mutex::new(script)),
            seen: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = own.clone();
                {
                    let mut seen = server.seen.lock();
                    seen.connections += 1;
                    seen.open += 1;
                    seen.most_open = seen.most_open.max(seen.open);
                }
                tokio::spawn(async move {
                    let _ = server.serve(socket).await;
                    server.seen.lock().open -= 1;
                });
            }
        });
        server
    }

    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock());
    }

    pub fn mails(&self) -> Vec<Received> {
        self.seen.lock().mails.clone()
    }

    pub fn commands(&self) -> Vec<String> {
        self.seen.lock().commands.clone()
    }

    fn script(&self) -> Script {
        self.script.lock().clone()
    }

    async fn serve(&self, mut socket: tokio::net::TcpStream) -> Option<()> {
        let script = self.script();
        if script.tls_hangs && script.implicit {
            return answer(&mut socket, Answer::Hang).await;
        }
        let acceptor = script.tls.clone().map(tokio_rustls::TlsAcceptor::from);
        if let (true, Some(acceptor)) = (script.implicit, &acceptor) {
            let mut socket = acceptor.accept(socket).await.ok()?;
            answer(&mut socket, script.greeting).await?;
            return self.talk(&mut socket, true).await.map(drop);
        }
        answer(&mut socket, script.greeting).await?;
        if self.talk(&mut socket, false).await? {
            if script.tls_hangs {
                return answer(&mut socket, Answer::Hang).await;
            }
            let mut socket = acceptor?.accept(socket).await.ok()?;
            self.talk(&mut socket, true).await?;
        }
        Some(())
    }

    /// Answers commands; `true` where TLS shall begin.
    async fn talk(
        &self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        tls: bool,
    ) -> Option<bool> {
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line(io).await?;
            let verb = line.split([' ', ':']).next().unwrap().to_uppercase();
            let script = self.script();
            let next = match verb.as_str() {
                "EHLO" => {
                    let mut lines = vec!["250-mail.test".to_owned()];
                    lines.extend(script.offers.iter().map(|offer| format!("250-{offer}")));
                    if script.tls.is_some() && !tls && !script.stripped {
                        lines.push("250-STARTTLS".into());
                    }
                    lines.push("250 HELP".into());
                    io.write_all(format!("{}\r\n", lines.join("\r\n")).as_bytes())
                        .await
                        .ok()?;
                    continue;
                }
                "STARTTLS" => {
                    let all = format!("220 go ahead\r\n{}", script.injected);
                    io.write_all(all.as_bytes()).await.ok()?;
                    return Some(true);
                }
                "AUTH" => script.auth,
                "MAIL" => {
                    from = line.clone();
                    to.clear();
                    script.mail
                }
                "RCPT" => {
                    to.push(line.clone());
                    script.rcpt
                }
                "DATA" => script.data,
                "QUIT" => {
                    answer(io, Say("221 bye")).await?;
                    return None;
                }
                _ => Say("250 ok"),
            };
            answer(io, next).await?;
            if verb == "DATA" && matches!(next, Say(text) if text.starts_with("354")) {
                let wire = until_end(io).await?;
                self.seen.lock().mails.push(Received {
                    from: from.clone(),
                    to: to.clone(),
                    wire,
                });
                answer(io, script.end).await?;
            }
        }
    }

    async fn line(&self, io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(io.read_u8().await.ok()?);
        }
        let line = String::from_utf8(line).unwrap().trim_end().to_owned();
        self.seen.lock().commands.push(line.clone());
        Some(line)
    }
}

async fn until_end(io: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    while !wire.ends_with(b"\r\n.\r\n") {
        wire.push(io.read_u8().await.ok()?);
    }
    wire.truncate(wire.len() - b".\r\n".len());
    Some(wire)
}

async fn answer(io: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: Answer) -> Option<()> {
    match answer {
        Say(text) => io.write_all(format!("{text}\r\n").as_bytes()).await.ok(),
        Answer::Late(millis, text) => {
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            io.write_all(format!("{text}\r\n").as_bytes()).await.ok()
        }
        Answer::Drop => None,
        Answer::Hang => {
            let mut rest = Vec::new();
            let _ = io.read_to_end(&mut rest).await;
            None
        }
    }
}
