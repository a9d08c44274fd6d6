//! Whatever people call themselves, their realm or their app, and whatever an administrator writes: each of it goes
//! through the admin API, or is refused there, and arrives as the words of one mail to one person (threats V054 to
//! V056). Python's `email` package reads the mails, and the bytes of the conversation are looked at as they came.

use std::collections::BTreeSet;

use reqwest::Method;
use scraper::{Html, Selector};
use serde_json::{Value, json};

use super::{Api, smtp};
use crate::support::app::TestApp;
use crate::support::database::ADMIN;
use crate::support::mail_peer::{Arrived, MailPeer};

/// What is not a name. `HOST` stands for the host of the server under test.
pub(super) const HOSTILE: [&str; 26] = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "<a href=\"https://evil.example\">press here</a>",
    "{{7*7}}",
    "{{ 7 * 7 }}{% include \"base.html\" %}{ $realm }",
    "{% extends \"link.html\" %}{{ __tera_context }}",
    "Bob\r\nBcc: eve@evil.example\r\n\r\nhello",
    "Bob\nBcc: eve@evil.example",
    "Bob\rBcc: eve@evil.example",
    "a\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\nDATA\r\n",
    "a\n.\nQUIT\n",
    "a\r.\rQUIT\r",
    "a\n.\r\nb",
    ".\r\n..\r\n.",
    "\u{2028}.\u{2029}\u{85}.\u{b}\u{c}",
    "%0d%0aBcc: eve@evil.example",
    "\"quoted\" <eve@evil.example>, other@evil.example",
    "=?utf-8?Q?=0D=0ABcc:_eve@evil.example?=",
    "https://HOST.evil.example/login",
    "HOST.evil.example/login",
    "https://HOST@evil.example/",
    "\u{202e}elpmaxe\u{2066}\u{200b}\u{feff}\u{200f}",
    "-oQ/tmp -X/tmp/log",
    "\0\u{1}\u{7f}nul",
    "ä ö 漢字 🙂 \u{1F468}\u{200D}\u{1F469}",
    "--=_boundary--",
];

/// The headers of every mail with a `Reply-To`, each once.
const HEADERS: [&str; 10] = [
    "Auto-Submitted",
    "Content-Language",
    "Content-Type",
    "Date",
    "From",
    "MIME-Version",
    "Message-ID",
    "Reply-To",
    "Subject",
    "To",
];

async fn api_of(app: &TestApp) -> Api {
    Api::new(app.address(), ADMIN)
}

/// Makes the call; a refusal must say why.
async fn taken(api: &Api, method: Method, path: &str, body: Value) -> bool {
    let answer = api.call(method, path, body).await;
    if answer.status < 300 {
        return true;
    }
    let said = ["errorMessage", "error_description", "error"]
        .iter()
        .find_map(|name| answer.body[name].as_str());
    assert_eq!(answer.status, 400, "{path} {}", answer.body);
    assert!(said.is_some_and(|said| said.len() > 8), "{}", answer.body);
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_are_words_of_one_mail_to_one_person() {
    let peer = MailPeer::start(json!({ "tls": "none", "utf8": true }));
    let Some(peer) = peer else { return };
    let app = TestApp::start().await;
    let api = api_of(&app).await;
    let host = url::Url::parse(app.public_url()).unwrap();
    let host = host.host_str().unwrap().to_owned();
    let clients = api.call(Method::GET, "/t1/clients?clientId=rp", Value::Null);
    let client = clients.await.body[0]["id"].as_str().unwrap().to_owned();
    let long = "x<b>".repeat(2560);
    let corpus = HOSTILE.iter().map(|text| text.replace("HOST", &host));
    let (mut expected, mut held) = (0, BTreeSet::new());
    for (number, hostile) in corpus.chain([long]).enumerate() {
        let mut settings = smtp(peer.port);
        settings["replyTo"] = "help@harbour.example".into();
        for name in ["fromDisplayName", "replyToDisplayName"] {
            settings[name] = hostile.clone().into();
        }
        let plain = json!({ "smtpServer": smtp_with_reply(peer.port), "displayName": "Harbour" });
        Api::fine(&api.call(Method::PUT, "/t1", plain).await);
        for (what, body) in [
            ("senders", json!({ "smtpServer": settings })),
            ("realm", json!({ "displayName": hostile })),
        ] {
            if taken(&api, Method::PUT, "/t1", body).await {
                held.insert(what);
            }
        }
        let path = format!("/t1/clients/{client}");
        if taken(&api, Method::PUT, &path, json!({ "name": hostile })).await {
            held.insert("client");
        }
        let email = format!("person{number}@people.example");
        let mut person =
            json!({ "username": format!("person{number}"), "email": email, "enabled": true });
        for (field, value) in [
            ("firstName", hostile.clone()),
            ("username", format!("{number}{hostile}")),
        ] {
            let mut wanted = person.clone();
            wanted[field] = value.into();
            if taken(&api, Method::POST, "/t1/users", wanted.clone()).await {
                held.insert(field);
                let id = id_of(&api, &email).await;
                let path = format!("/t1/users/{id}");
                Api::fine(&api.call(Method::DELETE, &path, Value::Null).await);
                person = wanted;
            }
        }
        Api::fine(&api.call(Method::POST, "/t1/users", person).await);
        let id = id_of(&api, &email).await;
        let path = format!("/t1/users/{id}/pre-registration");
        let body = json!({ "message": hostile, "client_id": "rp" });
        if taken(&api, Method::POST, &path, body).await {
            held.insert("message");
            expected += 1;
            one_mail(&peer, expected, (&email, &hostile, &host)).await;
        }
        let body = json!({
            "name": format!("m{number}"), "kind": "pre-registration", "subject": hostile, "message": hostile,
            "audience": { "email": email }, "clientId": "rp",
        });
        if taken(&api, Method::POST, "/t1/campaigns", body).await {
            held.insert("subject");
            expected += 1;
            one_mail(&peer, expected, (&email, &hostile, &host)).await;
        }
    }
    // Where the API refuses, it does so for some of them and never for all.
    let all = [
        "client",
        "firstName",
        "message",
        "realm",
        "senders",
        "subject",
        "username",
    ];
    assert_eq!(held, BTreeSet::from(all));
    assert!(expected >= 2 * HOSTILE.len(), "{expected}");
    assert_eq!(peer.mails().len(), expected);
}

pub(super) fn smtp_with_reply(port: u16) -> Value {
    let mut settings = smtp(port);
    settings["replyTo"] = "help@harbour.example".into();
    settings
}

pub(super) async fn id_of(api: &Api, email: &str) -> String {
    let path = format!("/t1/users?exact=true&email={email}");
    let found = api.call(Method::GET, &path, Value::Null).await.body;
    found[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{email}: {found}"))
        .to_owned()
}

/// There is one mail more, and nothing in it is anything but words.
pub(super) async fn one_mail(
    peer: &MailPeer,
    count: usize,
    (email, hostile, host): (&str, &str, &str),
) {
    let mails = peer.expect(count).await;
    assert_eq!(mails.len(), count, "{hostile:?}");
    let mail = mails.last().unwrap();
    assert_envelope(mail, email);
    assert_wire(mail);
    let mut names = mail.header_names();
    names.sort_unstable();
    assert_eq!(names, HEADERS, "{hostile:?}");
    let parsed = &mail.0["parsed"];
    assert_eq!(parsed["defects"], json!([]), "{hostile:?}");
    assert_eq!(parsed["to"], json!([email]));
    assert_eq!(parsed["from"].as_array().unwrap().len(), 1, "{parsed}");
    assert_eq!(parsed["from"][0][1], "idp@harbour.example");
    let types = ["multipart/alternative", "text/plain", "text/html"];
    assert_eq!(parsed["types"], json!(types));
    for value in ["Subject", "From", "Reply-To"].map(|name| mail.headers(name)[0].to_owned()) {
        assert!(!value.chars().any(char::is_control), "{value:?}");
        assert!(!value.contains("49"), "{value:?}");
    }
    assert_text(mail.text(), hostile, host);
    assert_html(mail.html(), hostile, host);
}

fn assert_envelope(mail: &Arrived, email: &str) {
    assert_eq!(mail.0["mail_from"], "idp@harbour.example");
    assert_eq!(mail.0["rcpt_tos"], json!([email]));
}

/// What came over the wire for one mail: three commands, each once, and content without a bare CR or LF, of which no
/// line begins with a dot but the last one.
fn assert_wire(mail: &Arrived) {
    let wire = mail.wire();
    for (at, byte) in wire.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(wire.get(at + 1), Some(&b'\n'), "a bare CR"),
            b'\n' => assert_eq!(wire[at - 1], b'\r', "a bare LF"),
            _ => {}
        }
    }
    let wire = String::from_utf8(wire).unwrap();
    let lines: Vec<&str> = wire.split_terminator("\r\n").collect();
    let data = lines.iter().position(|line| *line == "DATA").unwrap();
    let (commands, content) = lines.split_at(data);
    let count = |verb: &str| {
        commands
            .iter()
            .filter(|line| line.starts_with(verb))
            .count()
    };
    assert_eq!(
        (count("MAIL FROM:"), count("RCPT TO:")),
        (1, 1),
        "{commands:?}"
    );
    let dots = content.iter().filter(|line| line.starts_with('.'));
    assert_eq!(dots.count(), 1, "{content:?}");
    assert_eq!(content.last(), Some(&"."));
    assert!(
        content
            .iter()
            .all(|line| line.len() <= 998 && line.is_ascii())
    );
    for line in &content[1..] {
        let verb = line.to_ascii_uppercase();
        let smuggled = ["MAIL FROM:", "RCPT TO:", "BCC:", "QUIT"];
        assert!(
            !smuggled.iter().any(|start| verb.starts_with(start)),
            "{line}"
        );
    }
}

/// Characters that nobody sees, and that change how others are read.
fn hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text part leads to our own host and to no other by any means a mail program has to find links.
fn assert_text(text: &str, hostile: &str, host: &str) {
    let mut note = text.lines().filter(|line| line.starts_with('|'));
    assert!(
        !note.any(|line| line.contains("49")),
        "a template was run: {text}"
    );
    assert!(!text.chars().any(hidden), "{hostile:?}");
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let authority = rest.split(['/', ' ', '\n', '\r']).next().unwrap();
        let name = authority.split(':').next().unwrap();
        assert!(
            name == host || name == "rp.example",
            "{hostile:?}: {authority}"
        );
    }
    for word in text.split_whitespace().filter(|word| word.contains(host)) {
        let after = &word[word.find(host).unwrap() + host.len()..];
        assert!(
            after.is_empty() || after.starts_with([':', '/']) || after == ".",
            "{hostile:?}: {word}"
        );
        assert!(!after.contains('@'), "{word}");
    }
}

/// The HTML part shows it as text.
fn assert_html(html: &str, hostile: &str, host: &str) {
    let page = Html::parse_document(html);
    let count = |what: &str| page.select(&Selector::parse(what).unwrap()).count();
    assert_eq!(
        count("script, img, iframe, object, form, input, link, base, b"),
        0,
        "{hostile:?}"
    );
    assert_eq!(
        (count("a"), count("title"), count("body")),
        (1, 1, 1),
        "{hostile:?}"
    );
    let link = page.select(&Selector::parse("a").unwrap()).next().unwrap();
    let target = link.value().attr("href").unwrap();
    assert!(target.contains(&format!("://{host}")), "{target}");
    for element in page.select(&Selector::parse("*").unwrap()) {
        assert!(
            !element
                .value()
                .attrs()
                .any(|(name, _)| name.starts_with("on"))
        );
    }
    let shown: String = page
        .select(&Selector::parse("blockquote").unwrap())
        .flat_map(|quote| quote.text().collect::<Vec<_>>())
        .collect();
    assert!(!shown.chars().any(hidden), "{hostile:?}");
    // The visible characters are all there, in their order, save the signs that take links apart.
    let bare = |text: &str| -> String {
        text.chars()
            .filter(|c| {
                !c.is_whitespace() && !c.is_control() && !hidden(*c) && !matches!(c, '[' | ']')
            })
            .take(2000)
            .collect()
    };
    assert_eq!(bare(&shown), bare(hostile), "{shown}");
}

/// Threat V055: an address is one recipient, or it is refused; quoting, comments, lists and line ends among them.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_address_is_refused_or_is_the_one_recipient() {
    let peer = MailPeer::start(json!({ "tls": "none", "utf8": true }));
    let Some(peer) = peer else { return };
    let app = TestApp::start().await;
    let api = api_of(&app).await;
    let put = json!({ "smtpServer": smtp_with_reply(peer.port) });
    Api::fine(&api.call(Method::PUT, "/t1", put).await);
    let long = format!("{}@people.example", "a".repeat(260));
    let mut expected: Vec<&str> = Vec::new();
    for (number, (address, recipient)) in [
        ("bob@people.example\r\nRCPT TO:<eve@evil.example>", None),
        (
            "bob@people.example\r\n.\r\nMAIL FROM:<eve@evil.example>",
            None,
        ),
        ("bob@people.example\nBcc: eve@evil.example", None),
        ("bob@people.example\r", None),
        ("bob\u{2028}@people.example", None),
        ("bob\u{85}@people.example", None),
        ("bob%0d%0aRCPT@people.example", None),
        ("bob@people.example,eve@evil.example", None),
        ("bob@people.example> SIZE=1", None),
        ("<bob@people.example>", None),
        ("Bob <bob@people.example>", None),
        ("\"a b\"@people.example", None),
        (
            "\"a>\\r\\nRCPT TO:<eve@evil.example>\"@people.example",
            None,
        ),
        ("bob(comment)@people.example", None),
        ("eve@evil.example@people.example", None),
        ("@evil.example:bob@people.example", None),
        ("bob@[127.0.0.1]", None),
        ("-oQ/tmp@people.example", None),
        ("bob＠people.example", None),
        (long.as_str(), None),
        (
            "o'neil+tag@people.example",
            Some("o'neil+tag@people.example"),
        ),
        ("a-oQ/tmp@people.example", Some("a-oQ/tmp@people.example")),
        ("Bob.Upper@People.EXAMPLE", Some("Bob.Upper@people.example")),
        ("jürgen@people.example", Some("jürgen@people.example")),
        ("bob@bücher.example", Some("bob@xn--bcher-kva.example")),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({
            "username": format!("person{number}"), "email": address, "enabled": true, "sendInstructions": true,
        });
        let accepted = taken(&api, Method::POST, "/t1/users", body).await;
        assert_eq!(accepted, recipient.is_some(), "{address:?}");
        if let Some(recipient) = recipient {
            expected.push(recipient);
            let mails = peer.expect(expected.len()).await;
            let mail = mails.last().unwrap();
            assert_envelope(mail, recipient);
        }
    }
    let mails = peer.mails();
    let got: Vec<Value> = mails
        .iter()
        .map(|mail| mail.0["rcpt_tos"].clone())
        .collect();
    let wanted: Vec<Value> = expected.iter().map(|to| json!([to])).collect();
    assert_eq!(got, wanted);
    // Nor does anything else that leads to a mail: the sender's settings.
    for field in ["from", "replyTo", "envelopeFrom"] {
        for address in [
            "a@b.example\r\nRCPT TO:<eve@evil.example>",
            "<x>",
            "\"a b\"@c.example",
        ] {
            let mut settings = smtp_with_reply(peer.port);
            settings[field] = address.into();
            let tried = api.try_mail("t1", &settings).await;
            assert!(matches!(tried.status, 400 | 500), "{field} {}", tried.body);
            let said = tried.body["errorMessage"].as_str().unwrap();
            assert!(
                said.contains(field) || said.contains("sender address"),
                "{said}"
            );
        }
    }
    assert_eq!(peer.mails().len(), expected.len());
}
