//! Many people's forgotten passwords in one browser at the same time: each mail is of its own person (threat V058).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use url::Url;
use vestibule::password::{Hasher, Password, PasswordHash};

use super::site::{Operator, REALM, Site, address, client};
use crate::operations::process::Place;
use crate::support::browser::Browser;
use crate::support::database::{CHEAP, Kind, soak};
use crate::support::mailbox::Mailbox;

fn name(number: usize) -> String {
    format!("person{number:05}")
}

/// The links that were mailed, by the number of their person. The mailbox keeps few mails, so it is emptied all along.
async fn mailed(mailbox: &Mailbox, count: usize) -> BTreeMap<usize, Url> {
    let mut links = BTreeMap::new();
    let began = Instant::now();
    while links.len() < count {
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "{} of {count} mails",
            links.len()
        );
        for number in 0..count {
            if links.contains_key(&number) {
                continue;
            }
            let to = format!("{}@people.example", name(number));
            let Some(mail) = mailbox.to(&to).into_iter().next() else {
                continue;
            };
            let text = mail.text.clone().unwrap_or_default();
            let link = text
                .split_whitespace()
                .find(|word| word.contains("/login-actions/link/"))
                .expect("a link");
            assert_eq!(mail.envelope.to, [to], "one recipient");
            links.insert(number, Url::parse(link).expect("an address"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    links
}

/// V058: everybody asks at once, in tabs of one browser; then each link is opened and used there, two people's steps
/// taking turns. A thousand people with `VESTIBULE_SOAK=1`, 30 without.
fn each_mail_is_of_its_own_person(kind: Kind) {
    let count = if soak() { 1000 } else { 30 };
    let mailbox = Mailbox::start();
    let smtp = format!("smtp://127.0.0.1:{}?tls=none", mailbox.port());
    let settings = [
        ("VESTIBULE_SMTP_URL", smtp.as_str()),
        ("VESTIBULE_MAIL_FROM", "no-reply@t1.example"),
        ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let Some(site) = Site::on(kind, &settings) else {
        return;
    };
    let _servers: Vec<_> = site.places.iter().map(Place::serve).collect();
    Runtime::new().expect("a runtime").block_on(async {
        let http = client();
        let public_url = site.public_url();
        let addresses: Vec<String> = site.places.iter().map(address).collect();
        let operator = Operator::at(&http, &addresses[0]);
        operator
            .realm(json!({
                "resetPasswordAllowed": true,
                "attributes": { "preRegistrationSelfService": "true" },
            }))
            .await;
        let mut people = Vec::new();
        for number in 0..count {
            people.push(operator.person(&name(number)).await);
        }
        let mut one = Browser::at(&http, (&public_url, &addresses[0]));
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for number in 0..count {
            let mut tab = one.tab();
            // Networks of their own: one alone is heard twenty times an hour.
            let network = format!("10.{}.{}.1", number / 250, number % 250);
            tab.headers.push(("x-forwarded-for".into(), network));
            asking.spawn(async move {
                let page = format!("/realms/{REALM}/login-actions/reset-credentials");
                for _ in 0..100 {
                    tab.open_path(&page).await;
                    if tab.answer.status == 200 {
                        tab.fill_in(&[("username", &name(number))]).await;
                    }
                    if tab.answer.status == 200 {
                        tab.assert_page("message");
                        return;
                    }
                    assert_eq!(tab.answer.status, 503, "{tab}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                panic!("the server stays busy");
            });
        }
        let all = async { asking.join_all().await.len() };
        let (asked, links) = tokio::join!(all, mailed(&mailbox, count));
        assert_eq!(asked, count);
        eprintln!(
            "V058 {kind:?}: {count} wishes in one browser, all mailed after {:.1?}",
            began.elapsed()
        );
        for pair in (0..count).step_by(2) {
            // Of many opened links a browser keeps the newest eight, told by the order of its cookies (RFC 6265 section
            // 5.4). This one sends them by name, so the old ones go here.
            let mut cookies = one.cookies();
            cookies.retain(|name, _| !name.contains("link_"));
            one.set_cookies(cookies);
            let mut tabs: Vec<(usize, Browser)> = (pair..count.min(pair + 2))
                .map(|number| (number, one.tab()))
                .collect();
            for (number, tab) in &mut tabs {
                tab.open(links[number].clone())
                    .await
                    .assert_page("link")
                    .assert_text(&name(*number));
            }
            for (_, tab) in &mut tabs {
                tab.press("open").await.assert_page("update-password");
            }
            for (number, tab) in &mut tabs {
                tab.assert_text(&name(*number));
                tab.set_new_password(&format!("the passphrase of {}", name(*number)))
                    .await
                    .assert_page("message");
            }
        }
        let hasher = Hasher::new(CHEAP).expect("a hasher");
        for (number, person) in people.iter().enumerate() {
            let query =
                format!("SELECT secret AS value FROM credentials WHERE user_id = '{person}'");
            let stored = PasswordHash::parse(&site.database.rows(&query)[0]).expect("a hash");
            let own = Password::parse(&format!("the passphrase of {}", name(number)));
            let verdict = hasher.verify(own.expect("a password"), Some(&stored)).await;
            assert!(verdict.expect("nobody waits").matches, "{}", name(number));
        }
    });
}

#[test]
fn each_mail_is_of_its_own_person_on_sqlite() {
    each_mail_is_of_its_own_person(Kind::Sqlite);
}

#[test]
fn each_mail_is_of_its_own_person_on_postgres() {
    each_mail_is_of_its_own_person(Kind::Postgres);
}
