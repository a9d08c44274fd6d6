//! Crowds of bad connections at once (reliability R-23, threat V132): heads, bodies, handshakes and reads that take for
//! ever, and what HTTP/2 would allow a client to do to a server that speaks it. Ours does not, whatever a client offers.
//!
//! Ten of each kind at once; 1,200 of each with `VESTIBULE_SOAK=1`, within half a minute. The figures are printed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::lifecycle::write_certificate;
use super::process::Place;
use crate::support::database::soak;

const DISCOVERY: &str = "/realms/master/.well-known/openid-configuration";

/// What a bad client does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Opens it and says nothing.
    Silent,
    /// Sends its head letter by letter.
    SlowHead,
    /// Sends its body letter by letter.
    SlowBody,
    /// Asks a thousand times and reads no answer.
    SlowRead,
    /// Begins a TLS handshake.
    HalfHandshake,
    /// Opens streams of HTTP/2 and resets each at once (CVE-2023-44487).
    RapidReset,
    /// Never ends the headers of a stream (CVE-2024-27316).
    Continuation,
    /// Sends empty frames of a body.
    EmptyData,
    /// Opens a thousand streams whose bodies never come.
    ManyStreams,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Silent,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowRead,
        Self::HalfHandshake,
        Self::RapidReset,
        Self::Continuation,
        Self::EmptyData,
        Self::ManyStreams,
    ];

    /// How soon the server has to close it, with ten seconds or more for a busy machine.
    fn closed_within(self) -> Duration {
        match self {
            Self::Silent | Self::SlowHead | Self::HalfHandshake => Duration::from_secs(20),
            Self::SlowBody | Self::SlowRead => Duration::from_secs(50),
            Self::RapidReset | Self::Continuation | Self::EmptyData | Self::ManyStreams => {
                Duration::from_secs(15)
            }
        }
    }
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The headers of a request in HPACK's static table: `:method` (2 is GET, 3 is POST), https, a path, localhost.
fn request(method: u8) -> Vec<u8> {
    let path: &[u8] = match method {
        2 => b"/",
        _ => b"/realms/master/protocol/openid-connect/token",
    };
    let mut headers = vec![0x80 | method, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    headers.extend(path);
    headers.extend([0x01, 9]);
    headers.extend(b"localhost");
    headers
}

/// Writes until the server has enough of it, or the time is over; answers when it closed.
async fn write_until_closed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut chunks: impl FnMut(u32) -> Option<(Vec<u8>, Duration)>,
    stop: &AtomicBool,
) -> Option<Duration> {
    let began = Instant::now();
    let mut number = 0;
    let mut buffer = [0; 4096];
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let pause = match chunks(number) {
            Some((bytes, pause)) => {
                let written = tokio::time::timeout(Duration::from_secs(1), async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                });
                if let Ok(Err(_)) = written.await {
                    return Some(began.elapsed());
                }
                pause
            }
            None => Duration::from_millis(500),
        };
        number += 1;
        let read = tokio::time::timeout(pause, stream.read(&mut buffer)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            return Some(began.elapsed());
        }
    }
}

struct Target {
    http: String,
    https: String,
    tls: TlsConnector,
    stop: Arc<AtomicBool>,
}

impl Target {
    /// One bad connection to its end; answers after how long the server closed it.
    async fn suffer(&self, kind: Kind) -> Option<Duration> {
        let secure = matches!(
            kind,
            Kind::HalfHandshake
                | Kind::RapidReset
                | Kind::Continuation
                | Kind::EmptyData
                | Kind::ManyStreams
        );
        let address = if secure { &self.https } else { &self.http };
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let slowly = |start: Vec<u8>, drip: &'static [u8]| {
            move |number: u32| {
                let bytes = if number == 0 {
                    start.clone()
                } else {
                    drip.to_vec()
                };
                Some((bytes, Duration::from_secs(1)))
            }
        };
        match kind {
            Kind::Silent => write_until_closed(&mut tcp, |_| None, &self.stop).await,
            Kind::SlowHead => {
                let chunks = slowly(b"GET / HTTP/1.1\r\nX".to_vec(), b"x");
                write_until_closed(&mut tcp, chunks, &self.stop).await
            }
            Kind::SlowBody => {
                let head =
                    b"POST /realms/master/protocol/openid-connect/token HTTP/1.1\r\nHost: x\r\n\
                             Content-Length: 9999\r\n\r\n";
                write_until_closed(&mut tcp, slowly(head.to_vec(), b"a"), &self.stop).await
            }
            Kind::SlowRead => {
                let asking = format!("GET {DISCOVERY} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(1000);
                let _ =
                    tokio::time::timeout(Duration::from_secs(2), tcp.write_all(asking.as_bytes()))
                        .await;
                let began = Instant::now();
                while !self.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    // Nothing may be read here, so a byte now and then finds out whether anybody is there.
                    if began.elapsed() > Duration::from_secs(38)
                        && tcp.write_all(b"x").await.is_err()
                    {
                        return Some(began.elapsed());
                    }
                }
                None
            }
            Kind::HalfHandshake => {
                // The start of a ClientHello's record.
                let chunks = slowly(vec![22, 3, 1, 2, 0, 1, 0, 1, 252], b"");
                write_until_closed(&mut tcp, chunks, &self.stop).await
            }
            Kind::RapidReset | Kind::Continuation | Kind::EmptyData | Kind::ManyStreams => {
                let name = ServerName::try_from("localhost").unwrap();
                let mut tls = self.tls.connect(name, tcp).await.ok()?;
                assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
                let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
                start.extend(frame(SETTINGS, 0, 0, &[]));
                start.extend(frame(SETTINGS, 1, 0, &[]));
                tls.write_all(&start).await.ok()?;
                write_until_closed(&mut tls, |number| abuse(kind, number), &self.stop).await
            }
        }
    }
}

/// The next bytes of an abuse of HTTP/2.
fn abuse(kind: Kind, number: u32) -> Option<(Vec<u8>, Duration)> {
    let mut bytes = Vec::new();
    match kind {
        Kind::RapidReset => {
            for one in 0..50 {
                let stream = (number * 50 + one) * 2 + 1;
                let flags = END_STREAM | END_HEADERS;
                bytes.extend(frame(HEADERS, flags, stream, &request(2)));
                bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
            }
        }
        Kind::Continuation => {
            if number == 0 {
                bytes.extend(frame(HEADERS, 0, 1, &request(2)));
            }
            for _ in 0..20 {
                // A header that is not indexed: `x: aaa…`.
                let mut header = vec![0, 1, b'x', 100];
                header.extend([b'a'; 100]);
                bytes.extend(frame(CONTINUATION, 0, 1, &header));
            }
        }
        Kind::EmptyData => {
            if number == 0 {
                bytes.extend(frame(HEADERS, END_HEADERS, 1, &request(3)));
            }
            for _ in 0..50 {
                bytes.extend(frame(DATA, 0, 1, &[]));
            }
        }
        _ => {
            if number > 0 {
                return None;
            }
            for stream in 0..1000 {
                bytes.extend(frame(HEADERS, END_HEADERS, stream * 2 + 1, &request(3)));
            }
        }
    }
    Some((bytes, Duration::from_millis(20)))
}

/// What everybody else waits, in milliseconds, until told to stop.
async fn others(url: String, stop: Arc<AtomicBool>) -> Histogram<u64> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut waits = Histogram::new(3).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = http.get(format!("{url}{DISCOVERY}")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "an admin passphrase"),
        ];
        let token = http.post(format!("{url}/realms/master/protocol/openid-connect/token"));
        let answer = token.form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap();
        waits.record(took).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    waits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crowds_of_bad_connections_are_closed_and_others_are_served() {
    crate::support::app::install_tls();
    let place = Place::new();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let https = free.local_addr().unwrap().to_string();
    drop(free);
    let _ = write_certificate(&place.path(""));
    let (certificate, key) = (place.path("tls.crt"), place.path("tls.key"));
    let place = place
        .set("VESTIBULE_HTTPS_ADDR", &https)
        .set("VESTIBULE_TLS_CERT", certificate.display().to_string())
        .set("VESTIBULE_TLS_KEY", key.display().to_string());
    let server = tokio::task::block_in_place(|| place.serve());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&certificate).unwrap())
        .unwrap();
    let mut tls = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let url = place.url().replace("localhost", "127.0.0.1");
    let target = Arc::new(Target {
        http: url.replace("http://", ""),
        https,
        tls: TlsConnector::from(Arc::new(tls)),
        stop: Arc::default(),
    });
    let quiet = Arc::new(AtomicBool::new(false));
    let meanwhile = tokio::spawn(others(url, Arc::clone(&quiet)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (files, memory) = (server.open_files(), server.resident());

    let many = if soak() { 1200 } else { 10 };
    let arrive_within = Duration::from_secs(if soak() { 30 } else { 0 });
    let closed: Arc<Mutex<BTreeMap<Kind, Vec<Duration>>>> = Arc::default();
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..many {
        let arrives = arrive_within * u32::try_from(number).unwrap() / u32::try_from(many).unwrap();
        for kind in Kind::ALL {
            let (target, closed) = (Arc::clone(&target), Arc::clone(&closed));
            crowd.spawn(async move {
                tokio::time::sleep(arrives).await;
                if let Some(after) = target.suffer(kind).await {
                    closed.lock().entry(kind).or_default().push(after);
                }
            });
        }
    }
    let began = Instant::now();
    let (mut most_files, mut most_memory) = (0, 0);
    while began.elapsed() < arrive_within + Duration::from_secs(52) {
        most_files = most_files.max(server.open_files());
        most_memory = most_memory.max(server.resident());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    target.stop.store(true, Ordering::Relaxed);
    while crowd.join_next().await.is_some() {}
    quiet.store(true, Ordering::Relaxed);
    let waits = meanwhile.await.unwrap();

    eprintln!(
        "R-23: {} bad connections; others p50 {} ms, p99 {} ms; files {files} then {most_files}, memory {} then {} MiB",
        many * Kind::ALL.len(),
        waits.value_at_quantile(0.5),
        waits.value_at_quantile(0.99),
        memory / 1024 / 1024,
        most_memory / 1024 / 1024,
    );
    let closed = std::mem::take(&mut *closed.lock());
    for kind in Kind::ALL {
        let of_kind = closed.get(&kind).map_or(&[][..], Vec::as_slice);
        let latest = of_kind.iter().max();
        eprintln!(
            "R-23: {kind:?}: {} of {many} closed, the last after {latest:?}",
            of_kind.len()
        );
        assert_eq!(of_kind.len(), many, "{kind:?}");
        let within = kind.closed_within();
        assert!(
            latest.is_some_and(|latest| *latest < within),
            "{kind:?}: {latest:?}"
        );
    }
    let patience = if soak() { 500 } else { 3000 };
    assert!(waits.value_at_quantile(0.99) < patience, "others waited");
    assert!(
        most_files < files + many * Kind::ALL.len() + 50,
        "{most_files} files"
    );
    // A connection costs its buffers and not more, whatever is sent through it.
    let bound =
        memory + 128 * 1024 * 1024 + 128 * 1024 * u64::try_from(many * Kind::ALL.len()).unwrap();
    assert!(most_memory < bound, "{} MiB", most_memory / 1024 / 1024);
    let over = Instant::now();
    while server.open_files() > files + 10 {
        assert!(
            over.elapsed() < Duration::from_secs(90),
            "{} files stay open",
            server.open_files()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
