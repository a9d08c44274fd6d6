//! How fast a mailing leaves: the real binary, everybody of an audience, and a mail server that answers at once.
//!
//! `VESTIBULE_SOAK=1` mails 20,000 people and prints figures; without it 300 are mailed, and it is only looked whether
//! each of them got one mail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::json;

use super::{Api, smtp};
use crate::operations::process::Place;
use crate::support::database::soak;
use crate::support::services;

/// A mail server that does as little as one can.
struct Sink {
    port: u16,
    to: Arc<Mutex<BTreeMap<String, usize>>>,
    mails: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            to: Arc::default(),
            mails: Arc::default(),
            connections: Arc::default(),
        };
        let (to, mails, connections) = (
            Arc::clone(&sink.to),
            Arc::clone(&sink.mails),
            Arc::clone(&sink.connections),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (to, mails) = (Arc::clone(&to), Arc::clone(&mails));
                connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || drop(serve(&stream, &to, &mails)));
            }
        });
        sink
    }
}

fn serve(
    stream: &TcpStream,
    to: &Mutex<BTreeMap<String, usize>>,
    mails: &AtomicUsize,
) -> std::io::Result<()> {
    use std::io::{BufRead as _, BufReader, Write as _};
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(64 * 1024, stream);
    let mut output = stream;
    output.write_all(b"220 sink\r\n")?;
    let (mut line, mut recipient) = (String::new(), String::new());
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
            Some("RCPT") => {
                line.trim_end().clone_into(&mut recipient);
                b"250 ok\r\n"
            }
            Some("DATA") => {
                output.write_all(b"354 go on\r\n")?;
                while line != ".\r\n" {
                    line.clear();
                    if input.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                }
                *to.lock().entry(recipient.clone()).or_default() += 1;
                mails.fetch_add(1, Ordering::SeqCst);
                b"250 taken\r\n"
            }
            Some("QUIT") => {
                output.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        output.write_all(answer)?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailing_leaves_as_fast_as_its_server_takes_it() {
    mail_everybody("SQLite", Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailing_leaves_as_fast_as_its_server_takes_it_on_postgres() {
    let Some(server) = services::postgres_url() else {
        return;
    };
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = format!("throughput_{}", std::process::id());
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    mail_everybody(
        "PostgreSQL",
        Place::new().set("VESTIBULE_DATABASE_URL", url.to_string()),
    )
    .await;
    client
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
}

async fn mail_everybody(database: &str, place: Place) {
    let count = if soak() { 20_000 } else { 300 };
    let mut csv = String::from("email,firstName,locale\n");
    for number in 0..count {
        writeln!(csv, "person{number}@people.example,Person {number},en").unwrap();
    }
    std::fs::write(place.path("people.csv"), csv).unwrap();
    let sink = Sink::start();
    let server = tokio::task::block_in_place(|| place.serve());
    let api = Api::new(&place.url(), ("admin", "an admin passphrase"));
    api.realm("harbour", &smtp(sink.port)).await;
    let file = std::fs::read(place.path("people.csv")).unwrap();
    let url = format!("{}/admin/realms/harbour/user-imports", api.base);
    let import = api
        .http
        .post(url)
        .bearer_auth(api.token().await)
        .header("content-type", "text/csv")
        .body(file);
    let import: serde_json::Value = import.send().await.unwrap().json().await.unwrap();
    let path = format!("/harbour/user-imports/{}", import["id"].as_str().unwrap());
    loop {
        let shown = api.call(Method::GET, &path, json!(null)).await.body;
        if shown["state"] == "done" {
            break;
        }
        assert_ne!(shown["state"], "failed", "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (began, processor) = (Instant::now(), server.processor_time());
    let body = json!({ "name": "Welcome", "kind": "pre-registration", "audience": { "email": "people.example" } });
    let started = api.call(Method::POST, "/harbour/campaigns", body).await;
    Api::fine(&started);
    let mut most = 0;
    while sink.mails.load(Ordering::SeqCst) < count {
        most = most.max(server.resident());
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "it takes too long"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (took, used) = (began.elapsed(), server.processor_time() - processor);
    let path = format!(
        "/harbour/campaigns/{}",
        started.body["id"].as_str().unwrap()
    );
    for _ in 0..300 {
        let shown = api.call(Method::GET, &path, json!(null)).await.body;
        if shown["state"] == "done" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let to = sink.to.lock();
    assert_eq!(to.len(), count);
    assert!(
        to.values().all(|mails| *mails == 1),
        "somebody was mailed twice"
    );
    #[expect(clippy::cast_precision_loss, reason = "thousands of mails")]
    let rate = count as f64 / took.as_secs_f64();
    eprintln!(
        "{database}: {count} mails in {:.2} s, {rate:.0}/s, {:.0} us of the server's processor time each, at most {} MiB, {} connections",
        took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap()),
        most / (1024 * 1024),
        sink.connections.load(Ordering::SeqCst),
    );
}
