//! From the mail through the link and the gate into the app.

use std::time::Duration;

use vestibule::link::{Purpose, Sender, State};

use super::site::client_with;
use super::{NEW, mails, send_with, settled, states};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

/// A person without a password to whom a link of that purpose was mailed.
pub async fn invited(app: &TestApp, name: &str) -> (User, url::Url) {
    app.mailbox().await;
    let user = app.user(name).without_password().await;
    let client = app.rp.client_id.clone();
    let redirect_uri = app.rp.redirect_uri.clone();
    send_with(
        app,
        &user,
        (Purpose::PreRegistration, Sender::Administrator),
        move |new| {
            new.client_id = Some(client);
            new.redirect_uri = Some(redirect_uri);
        },
    )
    .await;
    let url = mails(app, &user, 1).await.remove(0).url;
    settled(app, &user).await;
    // A press within ten seconds of the mail would be taken for a machine's.
    app.advance(Duration::from_secs(11));
    (user, url)
}

/// A browser that has pressed the link's button and stands at the gate.
pub async fn at_the_gate(app: &TestApp, url: &url::Url) -> Browser {
    let mut browser = app.browser();
    browser.open(url.clone()).await.assert_page("link");
    browser.press("open").await.assert_page("update-password");
    browser
}

/// Where the page leads by itself.
pub fn onwards(browser: &Browser) -> String {
    let body = &browser.answer.body;
    let start = body.find("content=\"0; url=").expect("a way on") + "content=\"0; url=".len();
    let end = body[start..].find('"').expect("its end");
    body[start..start + end].replace("&amp;", "&")
}

on_both!(two_presses_lead_from_the_mail_into_the_app);
async fn two_presses_lead_from_the_mail_into_the_app(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    app.assert_no_tokens_for(&alice).await;
    let mut browser = app.browser();
    browser
        .open(url.clone())
        .await
        .assert_page("link")
        .assert_text("alice");
    assert!(
        !browser
            .answer
            .url
            .as_str()
            .contains(url.path_segments().unwrap().next_back().unwrap())
    );
    assert_eq!(states(&app, &alice).await, [State::Sent]);
    browser
        .press("open")
        .await
        .assert_page("update-password")
        .assert_text("Set your password");
    assert_eq!(states(&app, &alice).await, [State::Opened]);
    assert_eq!(app.token_rows(&alice.id), 0, "a link alone signs nobody in");
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(onwards(&browser), app.rp.redirect_uri);
    assert_eq!(states(&app, &alice).await, [State::Committed]);
    let amr = app.sql(&format!(
        "SELECT amr AS value FROM sessions WHERE user_id = '{}'",
        alice.id
    ));
    assert_eq!(amr.len(), 1);
    assert!(amr[0].contains("link") && amr[0].contains("pwd"), "{amr:?}");
    for (kind, count) in [
        ("LINK_OPENED", 1),
        ("LINK_REDEEMED", 1),
        ("UPDATE_PASSWORD", 1),
        ("LOGIN", 1),
    ] {
        assert_eq!(app.events(&alice, kind), count, "{kind}");
    }
    browser
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    // The mail has proved the address, too.
    let id = alice.id.clone();
    let stored = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await;
    assert!(stored.expect("alice").email_verified);
    // A replay, in this browser and in another one, with or without the page in between (threat V033).
    for mut again in [browser.tab(), app.browser()] {
        again
            .open(url.clone())
            .await
            .assert_page("message")
            .assert_text("It was used already");
    }
}

on_both!(what_only_looks_changes_nothing_and_uses_nothing_up);
/// V037 and P5: scanners fetch by GET and HEAD, again and again, from five addresses.
async fn what_only_looks_changes_nothing_and_uses_nothing_up(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let before = app.dump();
    for number in 0..20_u8 {
        let from = std::net::Ipv4Addr::new(127, 0, 0, 2 + number % 5);
        let http = client_with(|builder| builder.local_address(std::net::IpAddr::from(from)));
        let mut scanner = Browser::at(&http, (app.public_url(), app.address()));
        let answer = scanner.send(reqwest::Method::HEAD, &url, None).await;
        assert_eq!(answer.status, 303);
        scanner.open(url.clone()).await.assert_page("link");
        let page = scanner.page().url.clone();
        let answer = scanner.send(reqwest::Method::HEAD, &page, None).await;
        assert_eq!(answer.status, 200);
        scanner.reload().await.assert_page("link");
        let answer = scanner.send(reqwest::Method::OPTIONS, &url, None).await;
        assert!(answer.status >= 400);
    }
    assert_eq!(app.dump(), before, "nothing was written");
    // One browser that opens it over and over keeps a handful of handles, and the newest works.
    let mut browser = app.browser();
    for _ in 0..20 {
        browser.open(url.clone()).await.assert_page("link");
    }
    assert!(browser.cookies().len() <= 9, "{:?}", browser.cookies());
    browser.press("open").await.assert_page("update-password");
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
}

on_both!(of_many_at_once_one_sets_the_password);
/// V034, V035, P3 in short: one winner, one hash, one event; the others hear that the link was used.
async fn of_many_at_once_one_sets_the_password(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    // Two servers on one database, where the database can have two.
    let other = app.second_node().await;
    let mut browsers = Vec::new();
    for number in 0..24 {
        let node = other.as_ref().filter(|_| number % 2 == 1).unwrap_or(&app);
        browsers.push(at_the_gate(node, &url).await);
    }
    let tries = browsers
        .iter_mut()
        .enumerate()
        .map(|(number, browser)| async move {
            let password = format!("passphrase of number {number}");
            browser.set_new_password(&password).await;
            password
        });
    let passwords = futures_util::future::join_all(tries).await;
    let mut winners = Vec::new();
    for (browser, password) in browsers.iter().zip(passwords) {
        let text = &browser.page().text;
        if text.contains("You are being taken onwards") {
            winners.push(password);
        } else {
            let busy = browser.answer.status == 503;
            assert!(busy || text.contains("It was used already"), "{text}");
        }
    }
    assert_eq!(winners.len(), 1);
    for (kind, count) in [
        ("LINK_REDEEMED", 1),
        ("UPDATE_PASSWORD", 1),
        ("LINK_OPENED", 1),
    ] {
        assert_eq!(app.events(&alice, kind), count, "{kind}");
    }
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, &winners[0])
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(an_expired_link_says_so_at_once_and_mails_a_fresh_one);
async fn an_expired_link_says_so_at_once_and_mails_a_fresh_one(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    app.advance(Duration::from_secs(7 * 24 * 3600));
    let mut browser = app.browser();
    browser
        .open(url.clone())
        .await
        .assert_page("link-expired")
        .assert_text("a•••@people.example");
    browser
        .press("renew")
        .await
        .assert_page("message")
        .assert_text("A fresh link is on its way to a•••@people.example");
    browser.open(url).await.assert_page("link-expired");
    browser
        .press("renew")
        .await
        .assert_page("message")
        .assert_text("A fresh link was mailed to a•••@people.example a few minutes ago");
    let fresh = mails(&app, &alice, 2).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &fresh)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert_eq!(
        states(&app, &alice).await,
        [State::Revoked, State::Committed]
    );
}

on_both!(a_link_that_expires_while_somebody_types_sets_nothing);
/// V048: the commit itself asks for the time.
async fn a_link_that_expires_while_somebody_types_sets_nothing(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    app.advance(Duration::from_secs(7 * 24 * 3600 - 100));
    let mut browser = at_the_gate(&app, &url).await;
    browser.assert_text("You have 1 minute for this page");
    app.advance(Duration::from_secs(120));
    browser
        .set_new_password(NEW)
        .await
        .assert_page("message")
        .assert_text("Its time ran out");
    assert_eq!(app.password_hash(&alice).await, None);
}

on_both!(one_second_after_its_end_no_step_of_a_link_leads_on);
/// V048: the page that is open, its button and the typed code, shortly before the end and a second after it.
async fn one_second_after_its_end_no_step_of_a_link_leads_on(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let code = mails(&app, &alice, 1).await.remove(0).code;
    let mut browser = app.browser();
    browser.open(url).await.assert_page("link");
    let end = app.count("SELECT expires_at AS value FROM links");
    for (at, typed, pressed) in [
        (-20, "link", "update-password"),
        (1, "link-code", "link-expired"),
    ] {
        let now = app.tx(|tx| tx.now()).await.micros();
        let by = end + at * 1_000_000 - now;
        app.advance(Duration::from_micros(by.try_into().expect("to come")));
        let mut other = app.browser();
        other.open_path("/realms/t1/login-actions/link").await;
        other
            .fill_in(&[("username", &alice.email), ("code", &code)])
            .await
            .assert_page(typed);
        let mut again = browser.copy();
        again.page.clone_from(&browser.page);
        again.press("open").await.assert_page(pressed);
        assert_eq!(app.token_rows(&alice.id), 0);
    }
    assert_eq!(states(&app, &alice).await, [State::Expired]);
}

on_both!(the_five_minutes_start_at_the_press_and_a_new_press_starts_them_anew);
async fn the_five_minutes_start_at_the_press_and_a_new_press_starts_them_anew(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let mut browser = app.browser();
    browser.open(url.clone()).await.assert_page("link");
    app.advance(Duration::from_secs(3600));
    browser.press("open").await.assert_page("update-password");
    app.advance(Duration::from_secs(301));
    browser
        .set_new_password(NEW)
        .await
        .assert_page("message")
        .assert_text("The time to set a password ran out");
    assert_eq!(app.password_hash(&alice).await, None);
    at_the_gate(&app, &url)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
}

on_both!(somebody_else_stays_signed_in_until_the_password_is_set);
async fn somebody_else_stays_signed_in_until_the_password_is_set(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp);
    browser
        .open(url)
        .await
        .assert_page("link")
        .assert_text("You are signed in as bob here, and this link is for alice");
    browser.press("open").await.assert_page("update-password");
    browser
        .tab()
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp);
    assert_eq!(app.token_rows(&alice.id), 0);
    browser.set_new_password(NEW).await.assert_page("message");
    let whose = "SELECT user_id AS value FROM sessions";
    assert_eq!(app.sql(whose), [alice.id.as_str().to_owned()]);
}
