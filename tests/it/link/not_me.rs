//! “This was not me”: the link in a notice closes the account, and does nothing else.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;
use vestibule::link::{Purpose, Sender};

use super::ended::call;
use super::redeem::at_the_gate;
use super::{NEW, mails, send, settled};
use crate::gate::stock;
use crate::protocol::change_client;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;
use crate::support::oracle::Credentials;

/// What a thief sets who knows the old password.
pub const STOLEN: &str = "the thief's own passphrase";

/// The words of the link in an English notice.
pub const NOT_ME: &str = "This was not me:";

/// The link in the newest notice to an address, once there are `count` mails to it.
pub async fn link_in_notice(app: &TestApp, (address, label): (&str, &str), count: usize) -> Url {
    let text = newest(app, address, count).await;
    let (_, after) = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no link in: {text}"));
    let link = after.split_whitespace().next().expect("an address");
    Url::parse(link).expect("an address")
}

/// The newest mail's text, once there are `count` mails to an address.
pub async fn newest(app: &TestApp, address: &str, count: usize) -> String {
    let mailbox = app.mailbox().await;
    for _ in 0..200 {
        let found = mailbox.to(address);
        if found.len() >= count {
            return found[0].text.clone().expect("a text");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not {count} mails to {address}");
}

/// The newest link that sets a password, once there are `count` mails with one.
pub async fn way_back(app: &TestApp, user: &User, count: usize) -> Url {
    let url = mails(app, user, count).await.remove(0).url;
    settled(app, user).await;
    url
}

/// A thief who knows the password sets his own at the gate, and signs in everywhere. The ledger knows all of it.
pub async fn stolen(app: &TestApp, user: &User, (old, new): (&str, &str)) -> Browser {
    app.force_password_reset(user).await;
    let mut thief = app.browser();
    thief.authorize(&app.rp).await;
    thief
        .sign_in_with(user, old)
        .await
        .assert_page("update-password");
    thief
        .set_new_password(new)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    let with_the_new_one = User {
        password: new.to_owned(),
        ..user.clone()
    };
    stock(app, &with_the_new_one).await
}

/// Opens the link and presses the button.
pub async fn presses(app: &TestApp, link: &Url) -> Browser {
    let mut browser = app.browser();
    browser.open(link.clone()).await.assert_page("link");
    browser.press("open").await.assert_page("message");
    browser
}

/// The sessions of a person.
pub fn sessions(app: &TestApp, user: &User) -> i64 {
    let of = format!("FROM sessions WHERE user_id = '{}'", user.id);
    app.count(&format!("SELECT count(*) AS value {of}"))
}

/// That everything that was ever held opens nothing, and that no old password leads on.
pub async fn assert_closed(app: &TestApp, user: &User, held: &Credentials) {
    assert_eq!(sessions(app, user), 0);
    assert_eq!(app.waiting(user).await, ["UPDATE_PASSWORD"]);
    app.assert_nothing_opens(user, held).await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    let newest = held.passwords.last().expect("a password").clone();
    browser
        .sign_in_with(user, &newest)
        .await
        .assert_page("login")
        .assert_text("This password no longer works");
}

async fn put(app: &TestApp, user: &User, tail: &str, body: Value) {
    let path = format!("/users/{}{tail}", user.id);
    let (status, said) = call(app, Method::PUT, &path, Some(body)).await;
    assert_eq!(status, 204, "{said}");
}

on_both!(notices_of_what_a_thief_could_have_done_carry_the_link_and_no_others);
async fn notices_of_what_a_thief_could_have_done_carry_the_link_and_no_others(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let mut count = 0;
    let password =
        |temporary: bool| json!({ "type": "password", "value": NEW, "temporary": temporary });
    for (tail, body, carries) in [
        ("", json!({ "forcePasswordReset": true }), false),
        ("", json!({ "forcePasswordReset": false }), false),
        ("/reset-password", password(true), true),
        ("/reset-password", password(false), true),
    ] {
        put(&app, &alice, tail, body.clone()).await;
        count += 1;
        let text = newest(&app, &alice.email, count).await;
        assert_eq!(text.contains("This was not me"), carries, "{text}");
        assert_eq!(text.contains("/login-actions/link/"), carries, "{text}");
    }
    // An address that is changed is told of at both, each with a link of its own.
    put(&app, &alice, "", json!({ "email": "alice@new.example" })).await;
    let old = link_in_notice(&app, (&alice.email, NOT_ME), count + 1).await;
    let new = link_in_notice(&app, ("alice@new.example", NOT_ME), 1).await;
    assert_ne!(old, new);
    // A password that a person sets, at both as well.
    let bob = app.user("bob").await;
    stolen(&app, &bob, (&bob.password, STOLEN)).await;
    link_in_notice(&app, (&bob.email, NOT_ME), 1).await;
}

on_both!(what_only_looks_closes_nothing);
/// V037 for the link of a notice: twenty looks of each kind write nothing, and the link is as good as before.
async fn what_only_looks_closes_nothing(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    settled(&app, &alice).await;
    let before = app.dump();
    for _ in 0..20 {
        let mut scanner = app.browser();
        let answer = scanner.send(Method::HEAD, &link, None).await;
        assert_eq!(answer.status, 303);
        scanner
            .open(link.clone())
            .await
            .assert_page("link")
            .assert_text("Was this not you?")
            .assert_text("alice")
            .assert_text("The password of your account was changed on")
            .assert_text("Close the account for now");
        let page = scanner.page().url.clone();
        let token = link.path_segments().unwrap().next_back().unwrap();
        assert!(
            !page.as_str().contains(token),
            "it has left the address bar"
        );
        let answer = scanner.send(Method::HEAD, &page, None).await;
        assert_eq!(answer.status, 200);
        scanner.reload().await.assert_page("link");
    }
    assert_eq!(app.dump(), before, "nothing was written");
    presses(&app, &link).await;
    assert_eq!(sessions(&app, &alice), 0);
}

on_both!(the_press_closes_the_account_and_the_mailed_link_opens_it_to_its_owner);
/// All that the owner and the thief ever held is dead, the thief's new password included; then from the mail into the
/// app.
async fn the_press_closes_the_account_and_the_mailed_link_opens_it_to_its_owner(app: TestApp) {
    change_client(&app, "rp", |client| {
        client.settings.base_url = Some("https://rp.example/home".to_owned());
    })
    .await;
    app.mailbox().await;
    let alice = app.user("alice").await;
    stock(&app, &alice).await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let held = app.ledger.of(&alice);
    assert!(held.passwords.contains(&STOLEN.to_owned()));
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    presses(&app, &link)
        .await
        .assert_text("The account is closed")
        .assert_text("a•••@people.example");
    assert_closed(&app, &alice, &held).await;
    for (kind, count) in [
        ("ACCOUNT_CLOSED_BY_OWNER", 1),
        ("LINK_REDEEMED", 1),
        ("UPDATE_EMAIL", 0),
    ] {
        assert_eq!(app.events(&alice, kind), count, "{kind}");
    }
    let row = "SELECT source || ' ' || reset_proof AS value FROM required_actions";
    assert_eq!(app.sql(row), ["not-me mailbox"]);
    let back = way_back(&app, &alice, 1).await;
    let mut owner = at_the_gate(&app, &back).await;
    owner.set_new_password(NEW).await.assert_page("message");
    assert_eq!(super::redeem::onwards(&owner), "https://rp.example/home");
    owner
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    app.assert_nothing_opens(&alice, &held).await;
    // Pressed once, it says so wherever it is opened; the button that another browser still shows does nothing.
    let after = app.password_hash(&alice).await;
    app.browser()
        .open(link)
        .await
        .assert_page("message")
        .assert_text("The account was closed with it already");
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 1);
    assert_eq!(app.password_hash(&alice).await, after);
    assert!(app.waiting(&alice).await.is_empty());
}

on_both!(it_closes_after_the_thief_has_changed_the_password_again);
/// A new password gives a new epoch, which ends every other link and not this one.
async fn it_closes_after_the_thief_has_changed_the_password_again(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let first = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let again = "another passphrase of the thief";
    stolen(&app, &alice, (STOLEN, again)).await;
    let second = link_in_notice(&app, (&alice.email, NOT_ME), 2).await;
    let held = app.ledger.of(&alice);
    presses(&app, &first).await;
    assert_closed(&app, &alice, &held).await;
    let back = way_back(&app, &alice, 1).await;
    // The second one closes what is closed, and takes the place of the first way back.
    presses(&app, &second).await;
    assert_closed(&app, &alice, &held).await;
    let newer = way_back(&app, &alice, 2).await;
    app.browser().open(back).await.assert_page("message");
    at_the_gate(&app, &newer)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 2);
}

on_both!(of_many_presses_at_once_one_closes);
async fn of_many_presses_at_once_one_closes(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let other = app.second_node().await;
    let mut browsers = Vec::new();
    for number in 0..8 {
        let node = other.as_ref().filter(|_| number % 2 == 1).unwrap_or(&app);
        let mut browser = node.browser();
        browser.open(link.clone()).await.assert_page("link");
        browsers.push(browser);
    }
    let tries = browsers.iter_mut().map(|browser| async move {
        browser.press("open").await;
        let text = &browser.page().text;
        let busy = browser.answer.status == 503;
        assert!(
            busy || text.contains("The account"),
            "it is closed, or was: {text}"
        );
    });
    futures_util::future::join_all(tries).await;
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 1);
    assert_eq!(app.events(&alice, "LINK_REDEEMED"), 1);
    way_back(&app, &alice, 1).await;
}

on_both!(an_expired_one_says_what_to_do_and_is_never_renewed);
async fn an_expired_one_says_what_to_do_and_is_never_renewed(app: TestApp) {
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    settled(&app, &alice).await;
    let mut early = app.browser();
    early.open(link.clone()).await.assert_page("link");
    app.advance(Duration::from_secs(7 * 24 * 3600 + 1));
    let mut browser = app.browser();
    browser
        .open(link)
        .await
        .assert_page("message")
        .assert_text("This link has expired")
        .assert_text("Forgot your password?");
    assert!(
        browser
            .answer
            .body
            .contains("/login-actions/reset-credentials"),
        "a way on"
    );
    let handle = |browser: &Browser| {
        let pairs: Vec<(String, String)> = browser.page().url.query_pairs().into_owned().collect();
        pairs.into_iter().find(|(name, _)| name == "h").expect("h")
    };
    let page = Url::parse(&format!("{}/login-actions/link", app.issuer())).expect("an address");
    let renew = [handle(&browser), ("renew".to_owned(), String::new())];
    browser.post(&page, &renew).await.assert_page("message");
    early.press("open").await.assert_page("message");
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 0);
    assert!(app.waiting(&alice).await.is_empty());
    let links = "SELECT count(*) AS value FROM links WHERE purpose <> 'not-me'";
    assert_eq!(app.count(links), 0, "nothing was mailed in its place");
}

on_both!(it_is_worth_nothing_as_another_kind_of_link_and_no_other_is_worth_it);
/// V032, V042, V043: not in another realm, not as a link that opens something, not by a code, not for somebody else.
async fn it_is_worth_nothing_as_another_kind_of_link_and_no_other_is_worth_it(app: TestApp) {
    app.make_realm("t2").await;
    app.mailbox().await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    send(&app, &bob, Purpose::ForgottenPassword, Sender::Person).await;
    let of_bob = mails(&app, &bob, 1).await.remove(0);
    settled(&app, &bob).await;
    let unknown = async |url: Url| {
        app.browser()
            .open(url)
            .await
            .assert_page("message")
            .assert_text("There is no such link");
    };
    let elsewhere = link.as_str().replace("/realms/t1/", "/realms/t2/");
    unknown(Url::parse(&elsewhere).expect("an address")).await;
    // The purpose is part of what the token is made of: a row that says another one has another token.
    let set = |to: &str, from: &str| {
        app.database().execute(&format!(
            "UPDATE links SET purpose = '{to}' WHERE purpose = '{from}'"
        ));
    };
    for other in [
        "pre-registration",
        "forgotten-password",
        "actions",
        "verify-email",
        "update-email",
        "closed-account",
    ] {
        set(other, "not-me");
        unknown(link.clone()).await;
        set("not-me", other);
        if other == "forgotten-password" {
            // Bob's was turned as well.
            unknown(of_bob.url.clone()).await;
            let bobs = format!(
                "purpose = 'forgotten-password' WHERE user_id = '{}'",
                bob.id
            );
            app.database().execute(&format!("UPDATE links SET {bobs}"));
        }
    }
    // And so is the person: as bob's it is unknown, and bob's is as hers.
    let swap = |to: &User, from: &User| {
        app.database().execute(&format!(
            "UPDATE links SET user_id = '{}' WHERE user_id = '{}'",
            to.id, from.id
        ));
    };
    swap(&bob, &alice);
    unknown(link.clone()).await;
    app.database().execute(&format!(
        "UPDATE links SET user_id = '{}' WHERE purpose = 'not-me'",
        alice.id
    ));
    // It has no code: what was derived for others opens theirs, and hers nothing.
    let mut typed = app.browser();
    typed.open_path("/realms/t1/login-actions/link").await;
    typed
        .fill_in(&[("username", &alice.email), ("code", &of_bob.code)])
        .await
        .assert_page("link-code");
    let wrong = "SELECT sum(wrong_codes) AS value FROM links WHERE purpose = 'not-me'";
    assert_eq!(app.count(wrong), 0, "no code of it is even looked at");
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 0);
    presses(&app, &link).await;
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 1);
    assert!(app.waiting(&bob).await.is_empty());
    at_the_gate(&app, &of_bob.url).await;
}

on_both!(it_asks_for_its_own_form_in_its_own_browser);
/// As every link's page: no other site presses the button, and no browser that has not opened the link.
async fn it_asks_for_its_own_form_in_its_own_browser(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let mut browser = app.browser();
    browser.open(link).await.assert_page("link");
    let form = browser.page().form_with("h").clone();
    let pairs = form.pairs(Some("open"));
    app.browser()
        .post(&form.action, &pairs)
        .await
        .assert_page("message")
        .assert_text("Your browser has forgotten this link");
    let foreign = app
        .http
        .post(app.here(form.action.as_str()))
        .header("origin", "https://evil.example")
        .header("sec-fetch-site", "cross-site")
        .form(&pairs)
        .send()
        .await
        .expect("an answer");
    assert!(foreign.status().is_client_error(), "{}", foreign.status());
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 0);
    browser
        .press("open")
        .await
        .assert_text("The account is closed");
}

on_both!(where_no_mail_goes_out_any_more_it_closes_and_says_whom_to_ask);
async fn where_no_mail_goes_out_any_more_it_closes_and_says_whom_to_ask(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let held = app.ledger.of(&alice);
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    settled(&app, &alice).await;
    app.change_realm(|realm| realm.settings.smtp_server.clear())
        .await;
    app.browser()
        .open(link.clone())
        .await
        .assert_text("We cannot mail you a link by ourselves");
    presses(&app, &link)
        .await
        .assert_text("Tell the people who run");
    assert_closed(&app, &alice, &held).await;
}

on_both!(somebody_switched_off_is_not_touched_and_what_an_administrator_takes_back_is_dead);
async fn somebody_switched_off_is_not_touched_and_what_an_administrator_takes_back_is_dead(
    app: TestApp,
) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    settled(&app, &alice).await;
    app.disable(&alice).await;
    let over = async || {
        app.browser()
            .open(link.clone())
            .await
            .assert_page("message")
            .assert_text("It does nothing any more");
    };
    over().await;
    app.change_user(&alice, |user| user.enabled = true).await;
    app.browser().open(link.clone()).await.assert_page("link");
    let path = format!("/users/{}/links", alice.id);
    let (_, links) = call(&app, Method::GET, &path, None).await;
    assert_eq!(links[0]["purpose"], "not-me");
    let id = links[0]["id"].as_str().expect("an id");
    let (status, said) = call(&app, Method::DELETE, &format!("/links/{id}"), None).await;
    assert_eq!(status, 204, "{said}");
    over().await;
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 0);
}
