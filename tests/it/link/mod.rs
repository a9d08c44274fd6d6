//! Tests of one-time links: made, mailed, opened, used once, ended.
//!
//! Rows of the threat list are named in the doc comments of their tests.

mod account_address;
mod account_form;
mod address;
mod address_bar;
mod altered;
mod bounds;
mod canary;
mod code;
mod crawl;
mod create;
pub mod ended;
mod forgotten;
mod former;
mod forms;
mod guesses;
mod host;
mod kinds;
mod login;
mod many;
pub mod not_me;
mod parallel;
mod purposes;
mod realms;
pub mod redeem;
mod replay;
mod rush;
mod secrets;
mod site;
mod tap;
mod timing;

use vestibule::link::{self, Created, Link, LinkId, NewLink, Purpose, Sender, State};
use vestibule::realm;

use crate::support::app::{REALM, TestApp, User};

/// A passphrase that the built-in policy takes.
pub const NEW: &str = "a new passphrase";

/// Makes a link and queues its mail.
pub async fn send(app: &TestApp, user: &User, purpose: Purpose, sender: Sender) -> Created {
    send_with(app, user, (purpose, sender), |_| {}).await
}

/// The same, with more about it.
pub async fn send_with(
    app: &TestApp,
    user: &User,
    (purpose, sender): (Purpose, Sender),
    more: impl FnOnce(&mut NewLink<'_>) + Send + 'static,
) -> Created {
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let id = user.id.clone();
    let created = app
        .tx(move |tx| {
            let tools = vestibule::mail::Tools {
                keyring: &keyring,
                entropy: &entropy,
            };
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            let mut new = NewLink::of(&realm, &id, purpose, sender);
            more(&mut new);
            link::create(tx, tools, &new)
        })
        .await;
    app.engine().mailer.wake();
    created.expect("a link")
}

/// The link as stored, and where it stands.
pub async fn look(app: &TestApp, id: &LinkId) -> (Link, State) {
    let id = id.clone();
    app.tx(move |tx| {
        let link = link::by_id(tx, &id)?.expect("the link");
        let user = vestibule::user::rows::by_id(tx, &link.user_id)?.expect("its user");
        let now = tx.now()?;
        let state = link.state(&user, now);
        Ok((link, state))
    })
    .await
}

/// Where the person's links stand, oldest first, without those in notices.
pub async fn states(app: &TestApp, user: &User) -> Vec<State> {
    let id = user.id.clone();
    app.tx(move |tx| {
        let user = vestibule::user::rows::by_id(tx, &id)?.expect("the user");
        let now = tx.now()?;
        let links = link::of_user(tx, &id)?;
        Ok(links
            .iter()
            .rev()
            .filter(|link| link.purpose != Purpose::NotMe)
            .map(|link| link.state(&user, now))
            .collect())
    })
    .await
}

/// What a mail of a link gives its reader.
#[derive(Clone, Debug)]
pub struct Mailed {
    pub url: url::Url,
    pub code: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Waits until the person has `count` mails with a link, and answers them, newest first.
pub async fn mails(app: &TestApp, user: &User, count: usize) -> Vec<Mailed> {
    let mailbox = app.mailbox().await;
    for _ in 0..100 {
        let found: Vec<Mailed> = mailbox
            .to(&user.email)
            .iter()
            .filter_map(|mail| {
                let text = mail.text.clone()?;
                let url = text
                    .split_whitespace()
                    .find(|word| word.contains("/login-actions/link/"))?;
                Some(Mailed {
                    url: url::Url::parse(url).expect("an address"),
                    code: text
                        .lines()
                        .find_map(|line| line.strip_prefix("    "))?
                        .trim()
                        .to_owned(),
                    subject: mail.subject.clone(),
                    html: mail.html.clone()?,
                    text,
                })
            })
            .collect();
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not {count} mails to {}", user.email);
}

/// Gives a realm without a mail server one, and waits until what waited for it is settled.
pub async fn mail_begins(app: &TestApp, user: &User) {
    app.mailbox().await;
    for _ in 0..20 {
        // Once a minute the sender tries again whether the realm's mail can leave.
        app.advance(std::time::Duration::from_secs(61));
        app.engine().mailer.wake();
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        if under_way(app, user) == 0 {
            return;
        }
    }
    panic!("mails are still under way");
}

fn under_way(app: &TestApp, user: &User) -> i64 {
    app.count(&format!(
        "SELECT count(*) AS value FROM outbox WHERE user_id = '{}' AND state IN ('queued', 'leased', 'sending')",
        user.id
    ))
}

/// Waits until the mails of a person are no longer queued or under way.
pub async fn settled(app: &TestApp, user: &User) {
    for _ in 0..100 {
        if under_way(app, user) == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("mails are still under way");
}
