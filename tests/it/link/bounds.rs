//! What a link never does: open another page or a session; and what ends with it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vestibule::link::{Purpose, Sender, State};
use vestibule::mail::verify_code;
use vestibule::user::waiting::{self, ResetProof};
use vestibule::web::texts::Locale;

use super::ended::call;
use super::redeem::{at_the_gate, invited, onwards};
use super::{NEW, look, mails, send, send_with, settled, states};
use crate::support::app::TestApp;
use crate::support::database::on_both;

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
    pairs.retain(|(name, _)| name != "accept");
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

on_both!(a_link_that_asks_for_nothing_ends_with_its_press_and_leads_on);
/// `execute-actions-email` with an empty list, with `null` and with no body at all is 204 and a mail, as in Keycloak.
async fn a_link_that_asks_for_nothing_ends_with_its_press_and_leads_on(app: TestApp) {
    app.mailbox().await;
    for (name, body) in [
        ("alice", Some(json!([]))),
        ("bob", Some(json!(null))),
        ("carol", None),
    ] {
        let user = app.user(name).await;
        let before = app.password_hash(&user).await;
        let path = format!("/users/{}/execute-actions-email?persist=true", user.id);
        assert_eq!(call(&app, Method::PUT, &path, body).await.0, 204);
        let url = mails(&app, &user, 1).await.remove(0).url;
        settled(&app, &user).await;
        let mut browser = app.browser();
        browser
            .open(url.clone())
            .await
            .assert_page("link")
            .assert_text("There is nothing left to do for your account");
        assert_eq!(states(&app, &user).await, [State::Sent]);
        browser.press("open").await.assert_page("message");
        assert_eq!(onwards(&browser), format!("{}/account/", app.issuer()));
        assert_eq!(states(&app, &user).await, [State::Committed]);
        assert_eq!(app.events(&user, "LINK_REDEEMED"), 1);
        assert_eq!(app.token_rows(&user.id), 0, "a mailbox signs nobody in");
        assert!(app.waiting(&user).await.is_empty());
        assert_eq!(app.password_hash(&user).await, before);
        app.browser()
            .open(url)
            .await
            .assert_page("message")
            .assert_text("It was used already");
    }
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
/// V040 and the token oracle, before and after: with another link of hers that somebody has opened, and a code in the
/// mail.
async fn a_link_ends_everything_older(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    super::super::gate::stock(&app, &alice).await;
    let held = app.ledger.of(&alice);
    send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| new.actions = vec!["UPDATE_PASSWORD".into()],
    )
    .await;
    mails(&app, &alice, 1).await;
    send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let mailed = mails(&app, &alice, 2).await;
    settled(&app, &alice).await;
    let mut elsewhere = at_the_gate(&app, &mailed[1].url).await;
    let (keyring, entropy) = (
        std::sync::Arc::clone(&app.engine().keyring),
        app.engine().entropy,
    );
    let id = alice.id.clone();
    app.tx(move |tx| {
        let tools = vestibule::mail::Tools {
            keyring: &keyring,
            entropy: &entropy,
        };
        let user = vestibule::user::rows::by_id(tx, &id)?.expect("alice");
        verify_code::issue(tx, tools, &user, Locale::ENGLISH)
    })
    .await;
    let codes = "SELECT count(*) AS value FROM email_codes";
    assert_eq!(app.count(codes), 1);
    let mut browser = at_the_gate(&app, &mailed[0].url).await;
    browser.set_new_password(NEW).await.assert_page("message");
    app.assert_nothing_opens(&alice, &held).await;
    assert_eq!(
        states(&app, &alice).await,
        [State::Revoked, State::Committed]
    );
    assert_eq!(app.count(codes), 0, "the code in the mail");
    let hash = app.password_hash(&alice).await;
    elsewhere
        .set_new_password("too late for that")
        .await
        .assert_page("message");
    assert_eq!(app.password_hash(&alice).await, hash);
    let sessions = format!(
        "SELECT count(*) AS value FROM sessions WHERE user_id = '{}'",
        alice.id
    );
    assert_eq!(app.count(&sessions), 1, "the session of this browser");
    let mailbox = app.mailbox().await;
    for _ in 0..200 {
        let mails = mailbox.to(&alice.email);
        if mails
            .iter()
            .any(|mail| mail.subject.contains("password was changed"))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody told her");
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

on_both!(an_administrators_link_revives_no_password_that_a_mailbox_has_ended);
/// `persist=true` for what waits already: its proof, its date and its reason stay as they were meant.
async fn an_administrators_link_revives_no_password_that_a_mailbox_has_ended(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let path = format!("/users/{}", alice.id);
    let shut = json!({ "requiredActions": ["UPDATE_PASSWORD"], "compromised": true });
    let (status, said) = call(&app, Method::PUT, &path, Some(shut)).await;
    assert_eq!(status, 204, "{said}");
    app.database()
        .execute("UPDATE required_actions SET reason = 'a leak'");
    let rows = async || {
        let id = alice.id.clone();
        app.tx(move |tx| waiting::of_user(tx, &id)).await
    };
    let meant = rows().await;
    assert_eq!(meant[0].reset_proof, ResetProof::Mailbox);
    let path = format!("{path}/execute-actions-email?persist=true");
    let actions = json!(["UPDATE_PASSWORD", "TERMS_AND_CONDITIONS"]);
    let (status, said) = call(&app, Method::PUT, &path, Some(actions)).await;
    assert_eq!(status, 204, "{said}");
    let mut now = rows().await;
    assert_eq!(now.remove(0).action, "TERMS_AND_CONDITIONS");
    assert_eq!(now, meant);
    let mut thief = app.browser();
    thief
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("login")
        .assert_text("This password no longer works");
    app.assert_no_tokens_for(&alice).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &url)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("terms");
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

on_both!(two_links_in_one_browser_never_mix);
/// V041, V058: each page and each flow is of its own link, whatever else is posted.
async fn two_links_in_one_browser_never_mix(app: TestApp) {
    let (alice, mut of_alice) = invited(&app, "alice").await;
    let (bob, of_bob) = invited(&app, "bob").await;
    let foreign = [
        ("username", "bob"),
        ("user_id", bob.id.as_str()),
        ("sub", bob.id.as_str()),
        ("email", "bob@people.example"),
    ];
    // From the first look on.
    of_alice.query_pairs_mut().extend_pairs(foreign);
    let mut first = app.browser();
    first
        .open(of_alice)
        .await
        .assert_page("link")
        .assert_text("alice");
    let mut second = first.tab();
    second
        .open(of_bob)
        .await
        .assert_page("link")
        .assert_text("bob");
    let press = first.page().form_with("open").clone();
    let mut pairs = press.pairs(Some("open"));
    pairs.extend(foreign.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut action = press.action.clone();
    action.query_pairs_mut().extend_pairs(foreign);
    first
        .post(&action, &pairs)
        .await
        .assert_page("update-password");
    second.press("open").await.assert_page("update-password");
    let form = first.page().form_with("password-new").clone();
    let mut pairs = form.pairs(None);
    pairs.retain(|(name, _)| !name.starts_with("password"));
    for (name, value) in [
        ("password-new", "the passphrase of alice alone"),
        ("password-confirm", "the passphrase of alice alone"),
        ("username", "bob"),
        ("user_id", bob.id.as_str()),
        ("email", "bob@people.example"),
        ("realm", "master"),
    ] {
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let mut action = form.action.clone();
    action.query_pairs_mut().extend_pairs(foreign);
    let mut cookies = first.cookies();
    cookies.insert("username".into(), "bob".into());
    cookies.insert("user_id".into(), bob.id.as_str().into());
    first.set_cookies(cookies);
    let json = format!(
        "{{\"username\":\"bob\",\"password-new\":\"{NEW}\",\"password-confirm\":\"{NEW}\"}}"
    );
    first
        .send(
            reqwest::Method::POST,
            &action,
            Some(("application/json", json)),
        )
        .await;
    for user in [&alice, &bob] {
        assert_eq!(states(&app, user).await, [State::Opened], "JSON is no form");
    }
    first.post(&action, &pairs).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
    assert_eq!(states(&app, &bob).await, [State::Opened]);
    assert_eq!(app.password_hash(&bob).await, None);
    second.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &bob).await, [State::Committed]);
    for (user, password) in [(&alice, "the passphrase of alice alone"), (&bob, NEW)] {
        let mut browser = app.browser();
        browser
            .authorize(&app.rp)
            .await
            .sign_in_with(user, password)
            .await
            .assert_redirect_to(&app.rp);
    }
}

on_both!(a_link_whose_mail_is_in_doubt_works);
/// Nobody knows whether the mail went out, so whoever has it gets in; its life has an end all the same.
async fn a_link_whose_mail_is_in_doubt_works(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    app.database().execute(
        "UPDATE links SET sent_at = NULL, expires_at = created_at + 2 * lifespan * 1000000; \
         UPDATE outbox SET state = 'in_doubt'",
    );
    assert_eq!(states(&app, &alice).await, [State::Created]);
    app.advance(Duration::from_secs(8 * 24 * 3600));
    at_the_gate(&app, &url).await;
    app.advance(Duration::from_secs(7 * 24 * 3600));
    app.browser().open(url).await.assert_page("link-expired");
}

on_both!(what_was_taken_back_or_replaced_says_so);
async fn what_was_taken_back_or_replaced_says_so(app: TestApp) {
    let (alice, url) = invited(&app, "alice").await;
    let mut waiting = app.browser();
    waiting.open(url.clone()).await.assert_page("link");
    send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    waiting
        .press("open")
        .await
        .assert_page("message")
        .assert_text("A newer mail took its place");
    assert_eq!(app.events(&alice, "LINK_REJECTED"), 1);
    let newest = mails(&app, &alice, 2).await.remove(0).url;
    settled(&app, &alice).await;
    let mut gate = at_the_gate(&app, &newest).await;
    app.disable(&alice).await;
    app.browser()
        .open(newest)
        .await
        .assert_page("message")
        .assert_text("It was taken back, or your account has changed since");
    gate.set_new_password(NEW).await.assert_page("error");
    assert_eq!(app.password_hash(&alice).await, None);
}
