//! Reliability R-05, its last half sentence: while mail servers hang, everybody else is served as before.
//!
//! `VESTIBULE_SOAK=1` asks longer and prints what the hanging servers did to the slowest hundredth of the requests.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Api, smtp};
use crate::operations::process::Place;
use crate::support::database::soak;

/// After which words of ours a server says nothing more.
#[derive(Clone, Copy)]
enum Silent {
    /// It takes the connection, and that is all.
    Always,
    /// Its TLS never begins.
    StartTls,
    /// It has the whole mail and does not say so.
    Content,
}

impl Silent {
    const ALL: [(&'static str, Self); 3] = [
        ("banner", Self::Always),
        ("tls", Self::StartTls),
        ("content", Self::Content),
    ];
}

/// A mail server that hangs, or with `None` one that does not.
struct Server {
    port: u16,
    /// Connections on which nothing more will be said, or mails that were taken.
    reached: Arc<AtomicUsize>,
}

impl Server {
    fn start(silent: Option<Silent>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            reached: Arc::default(),
        };
        let reached = Arc::clone(&server.reached);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let reached = Arc::clone(&reached);
                std::thread::spawn(move || drop(converse(&stream, silent, &reached)));
            }
        });
        server
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

fn converse(
    stream: &TcpStream,
    silent: Option<Silent>,
    reached: &AtomicUsize,
) -> std::io::Result<()> {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut input = BufReader::new(stream);
    let mut output = stream;
    let hang = |input: &mut BufReader<&TcpStream>| {
        reached.fetch_add(1, Ordering::SeqCst);
        input.read_to_end(&mut Vec::new()).map(drop)
    };
    if matches!(silent, Some(Silent::Always)) {
        return hang(&mut input);
    }
    output.write_all(b"220 here\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.get(..4) {
            Some("EHLO") if matches!(silent, Some(Silent::StartTls)) => {
                output.write_all(b"250-here\r\n250 STARTTLS\r\n")?;
            }
            Some("STAR") => {
                output.write_all(b"220 begin\r\n")?;
                return hang(&mut input);
            }
            Some("DATA") => {
                output.write_all(b"354 go on\r\n")?;
                while line != ".\r\n" {
                    line.clear();
                    if input.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                }
                if silent.is_some() {
                    return hang(&mut input);
                }
                reached.fetch_add(1, Ordering::SeqCst);
                output.write_all(b"250 taken\r\n")?;
            }
            _ => output.write_all(b"250 ok\r\n")?,
        }
    }
}

/// What people and apps ask for: the slowest hundredth of each kind, in microseconds.
async fn ask(api: &Api, rounds: usize) -> BTreeMap<&'static str, u128> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let realm = format!("{}/realms/quiet", api.base);
    let mut took: BTreeMap<&str, Vec<u128>> = BTreeMap::new();
    for _ in 0..rounds {
        let sign_in = format!(
            "{realm}/protocol/openid-connect/auth?client_id=account-page&response_type=code&scope=openid\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256"
        );
        let token = [
            ("grant_type", "client_credentials"),
            ("client_id", "worker"),
            ("client_secret", "a worker's secret"),
        ];
        let requests = [
            (
                "keys",
                http.get(format!("{realm}/protocol/openid-connect/certs")),
            ),
            ("sign-in page", http.get(sign_in)),
            (
                "service token",
                http.post(format!("{realm}/protocol/openid-connect/token"))
                    .form(&token),
            ),
        ];
        for (kind, request) in requests {
            let began = Instant::now();
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert_eq!(status, 200, "{kind}: {text}");
            took.entry(kind)
                .or_default()
                .push(began.elapsed().as_micros());
        }
    }
    let hundredth = |mut all: Vec<u128>| {
        all.sort_unstable();
        all[all.len() * 99 / 100]
    };
    took.into_iter()
        .map(|(kind, all)| (kind, hundredth(all)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_mail_servers_hang_everybody_else_is_served() {
    let rounds = if soak() { 4000 } else { 150 };
    let place = Place::new();
    let _server = tokio::task::block_in_place(|| place.serve());
    let api = Api::new(&place.url(), ("admin", "an admin passphrase"));
    let healthy = Server::start(None);
    api.realm("quiet", &smtp(healthy.port)).await;
    for client in [
        json!({ "clientId": "account-page", "publicClient": true, "redirectUris": ["https://app.example/cb"] }),
        json!({ "clientId": "worker", "secret": "a worker's secret", "serviceAccountsEnabled": true,
                "standardFlowEnabled": false }),
    ] {
        Api::fine(&api.call(Method::POST, "/quiet/clients", client).await);
    }
    ask(&api, 50).await;
    let before = ask(&api, rounds).await;

    let mut servers = Vec::new();
    for (name, silent) in Silent::ALL {
        let server = Server::start(Some(silent));
        let mut settings = smtp(server.port);
        settings["starttls"] = json!(matches!(silent, Silent::StartTls));
        api.realm(name, &settings).await;
        for number in 0..20 {
            api.invite(name, &format!("person{number}@people.example"))
                .await;
        }
        servers.push((name, server));
    }
    for (name, server) in &servers {
        let began = Instant::now();
        while server.reached() == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "{name}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let during = ask(&api, rounds).await;
    // The mail of a realm whose server is well goes out beside them.
    let mails = healthy.reached();
    api.invite("quiet", "alice@people.example").await;
    let began = Instant::now();
    while healthy.reached() == mails {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "one realm's hanging server holds up another realm's mail"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (kind, before) in &before {
        eprintln!(
            "{kind}: p99 {before} us before, {} us while {} connections to mail servers hang",
            during[kind],
            servers
                .iter()
                .map(|(_, server)| server.reached())
                .sum::<usize>(),
        );
        // Not a figure but a stop: whoever waits for one of those servers waits ten seconds and more.
        assert!(during[kind] < before + 2_000_000, "{kind}: {during:?}");
    }
}
