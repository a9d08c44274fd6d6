//! A minimal HTTP/1.1 client over one kept-alive TCP connection (RFC 9112).
//!
//! The generator shares its cores with the server, so it must cost next to nothing: a request is
//! a slice of bytes made beforehand, an answer is looked at where it arrived. It reads bodies by
//! `Content-Length`, in chunks and up to the end of the connection, and follows no redirect.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The most header lines an answer may have.
const MAX_HEADERS: usize = 64;
/// The most bytes an answer may have.
const MAX_ANSWER: usize = 16 << 20;

/// One connection to one address, opened when it is first needed and whenever the server ended it.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

/// An answer, borrowed from its connection until the next request.
pub struct Answer<'c> {
    /// The status code.
    pub status: u16,
    head: &'c [u8],
    /// The body without its framing.
    pub body: &'c [u8],
}

/// Where the body of an answer ends.
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// What the first look at an answer's head finds.
struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    closes: bool,
}

impl Connection {
    /// A connection that is opened by its first request.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::with_capacity(16 << 10),
            body: Vec::new(),
        }
    }

    /// Sends a complete request and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP/1.1. The next request opens a new one.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)
                    .await
                    .context("connecting")?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream
            .write_all(request)
            .await
            .context("sending the request")?;
        self.buffer.clear();
        let head = loop {
            ensure!(
                self.fill(&mut stream).await? > 0,
                "the connection ended before an answer"
            );
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
        };
        let closes = head.closes || matches!(head.framing, Framing::UntilClosed);
        let (head_bytes, body) = match head.framing {
            Framing::Length(length) => {
                let end = head.length.saturating_add(length);
                while self.buffer.len() < end {
                    ensure!(
                        self.fill(&mut stream).await? > 0,
                        "the connection ended in a body"
                    );
                }
                let body = self.buffer.get(head.length..end);
                (self.buffer.get(..head.length), body)
            }
            Framing::Chunked => {
                self.read_chunks(&mut stream, head.length).await?;
                (self.buffer.get(..head.length), Some(self.body.as_slice()))
            }
            Framing::UntilClosed => {
                while self.fill(&mut stream).await? > 0 {}
                (
                    self.buffer.get(..head.length),
                    self.buffer.get(head.length..),
                )
            }
        };
        if !closes {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: head.status,
            head: head_bytes.unwrap_or_default(),
            body: body.unwrap_or_default(),
        })
    }

    /// Reads what has arrived behind what is there; 0 is the end of the connection.
    async fn fill(&mut self, stream: &mut TcpStream) -> Result<usize> {
        ensure!(
            self.buffer.len() < MAX_ANSWER,
            "the answer is longer than {MAX_ANSWER} bytes"
        );
        stream
            .read_buf(&mut self.buffer)
            .await
            .context("reading the answer")
    }

    /// Takes a chunked body (RFC 9112 section 7.1) that starts at `position` into `self.body`.
    async fn read_chunks(&mut self, stream: &mut TcpStream, mut position: usize) -> Result<()> {
        self.body.clear();
        loop {
            let rest = self.buffer.get(position..).unwrap_or_default();
            let parsed = httparse::parse_chunk_size(rest)
                .map_err(|_| anyhow::anyhow!("a chunk without a size"))?;
            let httparse::Status::Complete((line, size)) = parsed else {
                ensure!(
                    self.fill(stream).await? > 0,
                    "the connection ended between chunks"
                );
                continue;
            };
            let start = position + line;
            let end = start.saturating_add(usize::try_from(size)?);
            // Behind each chunk, the last one included, stands a line end; trailers are not used.
            while self.buffer.len() < end.saturating_add(2) {
                ensure!(
                    self.fill(stream).await? > 0,
                    "the connection ended in a chunk"
                );
            }
            if size == 0 {
                ensure!(
                    self.buffer.get(end..end + 2) == Some(b"\r\n"),
                    "trailers are not read"
                );
                return Ok(());
            }
            self.body
                .extend_from_slice(self.buffer.get(start..end).unwrap_or_default());
            position = end + 2;
        }
    }
}

/// Reads status and framing as soon as the whole head is there.
fn parse_head(buffer: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(buffer).context("an answer's head")?
    else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut framing = Framing::UntilClosed;
    let mut closes = response.version == Some(0);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(std::str::from_utf8(header.value)?.trim().parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    match status {
        204 | 304 => framing = Framing::Length(0),
        100..=199 => bail!("an interim answer {status}, which nothing asked for"),
        _ => {}
    }
    Ok(Some(Head {
        status,
        length,
        framing,
        closes,
    }))
}

impl Answer<'_> {
    /// Every value of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        if response.parse(self.head).is_err() {
            return Vec::new();
        }
        let named = response
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        named
            .map(|header| String::from_utf8_lossy(header.value).into_owned())
            .collect()
    }

    /// The body as text, cut to what fits a message; of a page what stands below its head.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(self.body);
        let start = text.find("<main").unwrap_or_default();
        text.get(start..)
            .unwrap_or_default()
            .chars()
            .take(600)
            .collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(self.body).with_context(|| format!("not JSON: {}", self.excerpt()))
    }
}

/// The bytes of a request; `Content-Length` is added where there is a body or a POST.
pub fn request(
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        // Writing into a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !body.is_empty() || method != "GET" {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of a POST of a form.
pub fn post_form(
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    fields: &[(&str, &str)],
) -> Vec<u8> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    request("POST", host, path, &all, body.as_bytes())
}
