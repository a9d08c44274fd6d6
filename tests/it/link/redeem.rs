//! From the mail through the link and the gate into the app.

use std::time::Duration;

use vestibule::link::{Purpose, Sender, State};

use super::{NEW, look, mails, send, send_with, settled, states};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

/// A person without a password to whom a link of that purpose was mailed.
async fn invited(app: &TestApp, name: &str) -> (User, url::Url) {
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
async fn at_the_gate(app: &TestApp, url: &url::Url) -> Browser {
    let mut browser = app.browser();
    browser.open(url.clone()).await.assert_page("link");
    browser.press("open").await.assert_page("update-password");
    browser
}

/// Where the page leads by itself.
fn onwards(browser: &Browser) -> String {
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
        .assert_text("Choose the password of your account.");
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
/// V037 and P5: scanners fetch by GET and HEAD, again and again, from anywhere.
async fn what_only_looks_changes_nothing_and_uses_nothing_up(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let before = app.dump();
    for _ in 0..20 {
        let mut scanner = app.browser();
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
    let mut browsers = Vec::new();
    for _ in 0..12 {
        browsers.push(at_the_gate(&app, &url).await);
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
        .open(url)
        .await
        .assert_page("link-expired")
        .assert_text("a•••@people.example");
    browser
        .press("renew")
        .await
        .assert_page("link-expired")
        .assert_text("A fresh link is on its way");
    browser
        .press("renew")
        .await
        .assert_text("A fresh link was mailed a few minutes ago");
    let fresh = mails(&app, &alice, 2).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &fresh)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert_eq!(
        states(&app, &alice).await,
        [State::Expired, State::Committed]
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

on_both!(a_link_of_another_realm_is_as_unknown_as_one_that_never_was);
/// V043, V042.
async fn a_link_of_another_realm_is_as_unknown_as_one_that_never_was(app: TestApp) {
    app.make_realm("t2").await;
    let (_, url) = invited(&app, "alice").await;
    let elsewhere = |url: &url::Url| {
        let other = url.as_str().replace("/realms/t1/", "/realms/t2/");
        url::Url::parse(&other).expect("an address")
    };
    let token = url.path_segments().unwrap().next_back().unwrap().to_owned();
    let mut forged = token.clone();
    forged.replace_range(40..44, "AAAA");
    let mut seen = Vec::new();
    for url in [
        elsewhere(&url),
        url::Url::parse(&url.as_str().replace(&token, &forged)).expect("an address"),
        url::Url::parse(&url.as_str().replace(&token, &"A".repeat(64))).expect("an address"),
        url::Url::parse(&url.as_str().replace(&token, "x")).expect("an address"),
    ] {
        let mut browser = app.browser();
        browser
            .open(url)
            .await
            .assert_page("message")
            .assert_text("There is no such link");
        seen.push(browser.page().text.replace("t2", "t1"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
}

on_both!(each_link_opens_its_own_pages_and_no_session);
/// V181, V016 and the links that set no password: with its last action they end and lead to signing in.
async fn each_link_opens_its_own_pages_and_no_session(app: TestApp) {
    app.mailbox().await;
    let alice = app
        .user("alice")
        .action("UPDATE_PASSWORD")
        .action("UPDATE_PROFILE")
        .await;
    let made = send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| {
            new.actions = vec!["TERMS_AND_CONDITIONS".into()];
        },
    )
    .await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = app.browser();
    browser.open(url.clone()).await.assert_page("link");
    browser.press("open").await.assert_page("terms");
    assert_eq!(app.token_rows(&alice.id), 0);
    // The flow's page takes no new password, whatever is posted to it.
    let form = browser.page().form_with("accept").clone();
    let mut pairs = form.pairs(None);
    for field in ["password-new", "password-confirm"] {
        pairs.push((field.to_owned(), NEW.to_owned()));
    }
    let before = app.password_hash(&alice).await;
    browser.post(&form.action, &pairs).await;
    assert_eq!(app.password_hash(&alice).await, before);
    let mut browser = app.browser();
    browser.open(url).await;
    browser.press("open").await.assert_page("terms");
    browser.press("accept").await.assert_page("message");
    assert_eq!(onwards(&browser), format!("{}/account/", app.issuer()));
    assert_eq!(look(&app, &made.id).await.1, State::Committed);
    assert_eq!(app.token_rows(&alice.id), 0, "a mailbox signs nobody in");
    assert_eq!(
        app.waiting(&alice).await,
        ["UPDATE_PASSWORD", "UPDATE_PROFILE"]
    );
    browser
        .open_path("/realms/t1/account/")
        .await
        .assert_page("login");
}

on_both!(what_is_left_after_the_password_waits_on_the_person);
async fn what_is_left_after_the_password_waits_on_the_person(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| {
            new.actions = ["TERMS_AND_CONDITIONS", "VERIFY_EMAIL", "UPDATE_PASSWORD"]
                .map(str::to_owned)
                .to_vec();
        },
    )
    .await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = at_the_gate(&app, &url).await;
    browser.set_new_password(NEW).await.assert_page("terms");
    // The mailbox is proved by then; the terms wait on the person, in this browser and everywhere.
    assert_eq!(app.waiting(&alice).await, ["TERMS_AND_CONDITIONS"]);
    assert_eq!(app.token_rows(&alice.id), 0);
    app.assert_no_tokens_for(&alice).await;
    browser.press("accept").await.assert_page("message");
    assert_eq!(onwards(&browser), format!("{}/account/", app.issuer()));
    browser
        .open_path("/realms/t1/account/")
        .await
        .assert_page("account")
        .assert_text("alice@people.example");
    browser.press("confirmLogout").await.assert_page("message");
    browser
        .open_path("/realms/t1/account/")
        .await
        .assert_page("login");
}

on_both!(a_link_ends_everything_older);
/// V040 and the token oracle, before and after.
async fn a_link_ends_everything_older(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    super::super::gate::stock(&app, &alice).await;
    let held = app.ledger.of(&alice);
    send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = at_the_gate(&app, &url).await;
    browser.set_new_password(NEW).await.assert_page("message");
    app.assert_nothing_opens(&alice, &held).await;
    assert_eq!(app.token_rows(&alice.id), 1, "the session of this browser");
    let notice = app.mailbox().await.expect(&alice.email).await;
    assert!(
        notice.subject.contains("password was changed") || notice.subject.contains("new password")
    );
}

on_both!(only_a_mailed_link_opens_what_only_a_mailbox_may);
/// `resetProof=mailbox`: the old password is dead, in a flow that began before the flag as well.
async fn only_a_mailed_link_opens_what_only_a_mailbox_may(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").force_password_reset().await;
    let mut early = super::super::gate::at_the_gate(&app, &alice).await;
    let id = alice.id.clone();
    app.tx(move |tx| {
        let setting = vestibule::action::assign::Setting {
            reset_proof: vestibule::user::waiting::ResetProof::Mailbox,
            ..vestibule::action::assign::Setting::by("admin")
        };
        vestibule::action::assign::set(tx, &id, "UPDATE_PASSWORD", &setting)
    })
    .await;
    early
        .set_new_password("too late for that")
        .await
        .assert_page("login");
    let mut late = app.browser();
    late.authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("login")
        .assert_text("This password no longer works");
    app.assert_no_tokens_for(&alice).await;
    send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &url)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert!(app.waiting(&alice).await.is_empty());
}

on_both!(a_locked_person_gets_in_by_a_link);
/// V192: wrong passwords never lock the way by link.
async fn a_locked_person_gets_in_by_a_link(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    app.lock(&alice).await;
    send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &url)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert_eq!(app.token_rows(&alice.id), 1);
}

on_both!(a_switched_off_realm_suspends_a_link);
async fn a_switched_off_realm_suspends_a_link(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    app.change_realm(|realm| realm.enabled = false).await;
    app.browser().open(url.clone()).await.assert_page("error");
    app.change_realm(|realm| realm.enabled = true).await;
    at_the_gate(&app, &url).await;
    assert_eq!(states(&app, &alice).await, [State::Opened]);
}

on_both!(a_machine_that_presses_is_told_from_a_person);
async fn a_machine_that_presses_is_told_from_a_person(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").without_password().await;
    let made = send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &url).await;
    assert!(look(&app, &made.id).await.0.automated);
    app.advance(Duration::from_secs(60));
    at_the_gate(&app, &url).await;
    assert!(!look(&app, &made.id).await.0.automated);
    at_the_gate(&app, &url).await;
    assert_eq!(app.events(&alice, "LINK_OPENED"), 2);
}
