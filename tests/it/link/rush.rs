//! Many browsers that have opened one link and send their passwords at the same moment, over kept connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use reqwest::{Client, Method, Response};
use tokio::task::JoinSet;
use url::Url;

use super::site::{REALM, Site, address};
use crate::operations::process::{Place, Server};
use crate::support::browser::{Browser, Cookies};

/// What the person reads whose password was set.
const WON: &str = "You are being taken onwards";

/// How many prepare at the same time: a press waits for the row of its person.
const PREPARING: usize = 4;

/// A browser of its own that has opened the link, pressed its button and typed a password of its own.
#[derive(Clone)]
pub struct Attempt {
    action: Url,
    cookies: Cookies,
    pairs: Vec<(String, String)>,
    pub password: String,
}

/// What a submit came to in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password is the person's now.
    Won,
    /// Another page; its bytes.
    Said(String),
    /// The connection ended before there was an answer.
    Gone,
}

/// Where a request goes: the public URL, and the address at which it is served.
#[derive(Clone)]
pub struct Node {
    http: Client,
    public_url: String,
    pub address: String,
}

impl Node {
    pub fn of(http: &Client, site: &Site, place: &Place) -> Self {
        Self {
            http: http.clone(),
            public_url: site.public_url(),
            address: address(place),
        }
    }

    /// A browser with the link's page open.
    async fn open(&self, link: &Url) -> Browser {
        let known = (self.public_url.as_str(), self.address.as_str());
        let mut browser = Browser::at(&self.http, known);
        browser.open(link.clone()).await.assert_page("link");
        browser
    }

    /// A browser of its own that has pressed the button of that page and typed a password.
    async fn prepare(&self, opened: &Browser, number: usize) -> Attempt {
        for _ in 0..100 {
            let mut browser = opened.copy();
            browser.page = opened.page.clone();
            browser.press("open").await;
            if browser.answer.status == 503 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            browser.assert_page("update-password");
            let password = format!("the passphrase of number {number}");
            let mut form = browser.page().form_with("password-new").clone();
            form.fill("password-new", &password)
                .fill("password-confirm", &password);
            return Attempt {
                action: form.action.clone(),
                cookies: browser.cookies(),
                pairs: form.pairs(None),
                password,
            };
        }
        panic!("the server stays busy");
    }

    /// So many of them, prepared by a few at a time and at each node in turn.
    pub async fn prepare_all(nodes: &[Self], link: &Url, count: usize) -> Vec<Attempt> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut working = JoinSet::new();
        for worker in 0..PREPARING {
            let (node, link) = (nodes[worker % nodes.len()].clone(), link.clone());
            let next = Arc::clone(&next);
            working.spawn(async move {
                let opened = node.open(&link).await;
                let mut made = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return made;
                    }
                    made.push(node.prepare(&opened, number).await);
                }
            });
        }
        working.join_all().await.into_iter().flatten().collect()
    }

    async fn send(
        &self,
        (method, url): (Method, &str),
        (cookies, body): (&Cookies, Option<&[(String, String)]>),
    ) -> Option<Response> {
        let cookies: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let target = url.replacen(&self.public_url, &self.address, 1);
        let mut request = self
            .http
            .request(method, target)
            .header("cookie", cookies.join("; "))
            .header("origin", &self.public_url);
        if let Some(pairs) = body {
            request = request.form(pairs);
        }
        request.send().await.ok()
    }

    /// Sends what was typed and goes where the answer leads. A server that is too busy has done nothing and is asked
    /// again; `busy` counts that.
    async fn submit(&self, attempt: &Attempt, busy: &AtomicUsize) -> Outcome {
        let mut cookies = attempt.cookies.clone();
        let mut next = (Method::POST, attempt.action.to_string());
        for _ in 0..1000 {
            let body = (next.0 == Method::POST).then_some(attempt.pairs.as_slice());
            let asked = (next.0.clone(), next.1.as_str());
            let Some(answer) = self.send(asked, (&cookies, body)).await else {
                return Outcome::Gone;
            };
            for set in answer.headers().get_all("set-cookie") {
                let set = set.to_str().expect("a cookie in ASCII");
                let pair = set.split(';').next().and_then(|pair| pair.split_once('='));
                let (name, value) = pair.expect("a cookie with a name");
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let status = answer.status().as_u16();
            let location = answer.headers().get("location");
            let location = location.map(|to| to.to_str().expect("a location").to_owned());
            let Ok(text) = answer.text().await else {
                return Outcome::Gone;
            };
            match (status, location) {
                (503, _) => {
                    busy.fetch_add(1, Ordering::Relaxed);
                    // What its `Retry-After` says.
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                (303, Some(to)) => next = (Method::GET, to),
                (200, _) if text.contains(WON) => return Outcome::Won,
                (status, _) => return Outcome::Said(format!("{status}\n{text}")),
            }
        }
        panic!("the server stays busy");
    }
}

/// What many submits at once came to.
pub struct Rush {
    /// In the order of the attempts.
    pub outcomes: Vec<Outcome>,
    /// How often a server was too busy and was asked again.
    pub busy: usize,
    pub took: Duration,
    /// How long answers took, in milliseconds.
    pub answers: Histogram<u64>,
    /// The most files that each process had open.
    pub open_files: Vec<usize>,
}

impl Rush {
    /// How many heard that their password is the person's.
    pub fn winners(&self) -> Vec<usize> {
        (0..self.outcomes.len())
            .filter(|number| self.outcomes[*number] == Outcome::Won)
            .collect()
    }
}

/// Sends all of them over so many connections, to each node in turn, all at the same moment; `meanwhile` begins with
/// the first of them.
pub async fn rush(
    (nodes, servers): (&[Node], &[Server<'_>]),
    attempts: Vec<Attempt>,
    connections: usize,
    meanwhile: impl Future<Output = ()>,
) -> Rush {
    let attempts = Arc::new(attempts);
    let next = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(Mutex::new(Histogram::new(3).expect("a histogram")));
    let ready = Arc::new(tokio::sync::Barrier::new(connections + 1));
    let mut working = JoinSet::new();
    for worker in 0..connections {
        let node = nodes[worker % nodes.len()].clone();
        let (attempts, next) = (Arc::clone(&attempts), Arc::clone(&next));
        let (busy, answers) = (Arc::clone(&busy), Arc::clone(&answers));
        let ready = Arc::clone(&ready);
        working.spawn(async move {
            // The connection is there before anything is sent.
            let page = format!("{}/realms/{REALM}/login-actions/link", node.public_url);
            node.send((Method::GET, &page), (&Cookies::new(), None))
                .await;
            ready.wait().await;
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(attempt) = attempts.get(number) else {
                    return done;
                };
                let began = Instant::now();
                let outcome = node.submit(attempt, &busy).await;
                let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                answers.lock().record(took).expect("milliseconds");
                done.push((number, outcome));
            }
        });
    }
    ready.wait().await;
    let began = Instant::now();
    let mut open_files = vec![0; servers.len()];
    let looking = async {
        while next.load(Ordering::Relaxed) < attempts.len() {
            for (most, server) in open_files.iter_mut().zip(servers) {
                *most = server.open_files().max(*most);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(looking, meanwhile);
    let mut outcomes: Vec<_> = working.join_all().await.into_iter().flatten().collect();
    outcomes.sort_by_key(|(number, _)| *number);
    let answers = answers.lock().clone();
    Rush {
        outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        busy: busy.load(Ordering::Relaxed),
        took: began.elapsed(),
        answers,
        open_files,
    }
}
