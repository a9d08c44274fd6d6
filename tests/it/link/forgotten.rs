//! A forgotten password: the same answer for everybody, and a link for who has an address.

use std::time::Duration;

use vestibule::link::{Purpose, Sender, State};

use super::{NEW, mails, send_with, settled, states};
use crate::protocol::enumeration::told;
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;

pub(super) const PAGE: &str = "/realms/t1/login-actions/reset-credentials";

pub(super) async fn allow(app: &TestApp) {
    app.mailbox().await;
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
}

/// What is answered to a wish for a link by that name: to the form, and on the page that it leads to.
async fn answered(app: &TestApp, name: &str) -> (String, String) {
    let mut browser = app.browser();
    browser.open_path(PAGE).await.assert_page("forgot-password");
    let mut form = browser.page().form_with("username").clone();
    form.fill("username", name);
    let posted = (FORM, encode(&form.pairs(None)));
    let answer = browser
        .send(reqwest::Method::POST, &form.action, Some(posted))
        .await;
    browser.open(answer.location().expect("a way on")).await;
    browser.assert_page("message");
    let word = "nothing to be masked";
    (told(&answer, word), told(&browser.answer, word))
}

/// Asks for a link by that name, and answers what is shown.
async fn asks(app: &TestApp, name: &str) -> Browser {
    let mut browser = app.browser();
    browser.open_path(PAGE).await.assert_page("forgot-password");
    browser
        .fill_in(&[("username", name)])
        .await
        .assert_page("message");
    browser
}

/// Waits until every wish was looked at.
pub(super) async fn looked_at(app: &TestApp) {
    for _ in 0..100 {
        if app.count("SELECT count(*) AS value FROM link_requests") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("wishes wait");
}

fn mails_to(app: &TestApp, user: &User) -> i64 {
    app.count(&format!(
        "SELECT count(*) AS value FROM outbox WHERE user_id = '{}' AND template = 'link'",
        user.id
    ))
}

on_both!(the_sign_in_page_leads_to_a_link_and_the_link_into_the_app);
async fn the_sign_in_page_leads_to_a_link_and_the_link_into_the_app(app: TestApp) {
    let alice = app.user("alice").await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    assert!(!browser.page().text.contains("Forgot your password?"));
    browser.open_path(PAGE).await.assert_page("error");
    allow(&app).await;
    browser.authorize(&app.rp).await.assert_page("login");
    let forgot = browser
        .page()
        .links()
        .into_iter()
        .find(|link| link.path().ends_with("reset-credentials"))
        .expect("a link");
    browser.open(forgot).await.assert_page("forgot-password");
    browser
        .fill_in(&[("username", "Alice@People.example")])
        .await
        .assert_page("message");
    let mail = mails(&app, &alice, 1).await.remove(0);
    assert!(mail.text.contains("30 minutes"), "{}", mail.text);
    settled(&app, &alice).await;
    // In another browser than the one that asked.
    let mut phone = app.browser();
    phone.open(mail.url).await.assert_page("link");
    phone.press("open").await.assert_page("update-password");
    phone.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
    phone.authorize(&app.rp).await.assert_redirect_to(&app.rp);
}

on_both!(everybody_is_answered_alike);
/// V052: unknown, known, disabled, gated, without a password, locked; status, headers and body.
async fn everybody_is_answered_alike(app: TestApp) {
    allow(&app).await;
    app.user("known").await;
    app.user("disabled").disabled().await;
    app.user("gated").force_password_reset().await;
    app.user("bare").without_password().await;
    let locked = app.user("locked").await;
    app.lock(&locked).await;
    let mut seen = Vec::new();
    for name in ["nobody", "known", "disabled", "gated", "bare", "locked"] {
        seen.push(answered(&app, name).await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "one answer for all: {seen:#?}");
    looked_at(&app).await;
    let mailed = app.sql(
        "SELECT u.username AS value FROM links l JOIN users u ON u.id = l.user_id ORDER BY u.username",
    );
    assert_eq!(mailed, ["gated", "known", "locked"]);
}

on_both!(who_has_no_password_gets_a_first_one_where_the_realm_allows_it);
async fn who_has_no_password_gets_a_first_one_where_the_realm_allows_it(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").without_password().await;
    asks(&app, "alice").await;
    looked_at(&app).await;
    assert_eq!(mails_to(&app, &alice), 0);
    app.change_realm(|realm| {
        let attributes = &mut realm.settings.attributes;
        attributes.insert("preRegistrationSelfService".into(), "true".into());
    })
    .await;
    asks(&app, "alice").await;
    let mail = mails(&app, &alice, 1).await.remove(0);
    assert!(
        mail.subject.contains("Set your password"),
        "{}",
        mail.subject
    );
}

on_both!(mails_are_few_and_what_was_mailed_works_on);
/// V053: one mail a minute and five an hour to one person, and V186: nothing that was mailed dies of it.
async fn mails_are_few_and_what_was_mailed_works_on(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| {
            new.actions = vec!["UPDATE_PASSWORD".into()];
            new.campaign = Some("spring".into());
        },
    )
    .await;
    let campaign = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(answered(&app, "alice").await);
        seen.push(answered(&app, "alice@people.example").await);
    }
    looked_at(&app).await;
    assert_eq!(mails_to(&app, &alice), 2, "one mail in a minute");
    for _ in 0..6 {
        app.advance(Duration::from_secs(61));
        seen.push(answered(&app, "alice").await);
        looked_at(&app).await;
    }
    assert_eq!(mails_to(&app, &alice), 6, "five mails in an hour");
    seen.dedup();
    assert_eq!(
        seen.len(),
        1,
        "a mail or none, the answer is one: {seen:#?}"
    );
    settled(&app, &alice).await;
    app.browser().open(campaign).await.assert_page("link");
}

on_both!(one_address_gets_few_mails_however_many_people_have_it);
/// V053: the limits are the mailbox's.
async fn one_address_gets_few_mails_however_many_people_have_it(app: TestApp) {
    allow(&app).await;
    app.change_realm(|realm| {
        realm.settings.duplicate_emails_allowed = true;
        realm.settings.login_with_email_allowed = false;
    })
    .await;
    let names = ["ada", "bea", "cleo", "dora"];
    for name in names {
        let user = app.user(name).await;
        let email = match name {
            "bea" => "ALL@people.example",
            _ => "all@people.example",
        };
        app.database().execute(&format!(
            "UPDATE users SET email = '{email}' WHERE id = '{}'",
            user.id
        ));
    }
    for name in names {
        asks(&app, name).await;
    }
    looked_at(&app).await;
    let mails = "SELECT count(*) AS value FROM outbox";
    assert_eq!(app.count(mails), 1, "one in a minute");
    for round in 0..8 {
        app.advance(Duration::from_secs(61));
        asks(&app, names[round % 4]).await;
        looked_at(&app).await;
    }
    assert_eq!(app.count(mails), 5, "five in an hour");
}

on_both!(a_place_that_asks_too_often_is_answered_as_ever_and_mails_nobody);
async fn a_place_that_asks_too_often_is_answered_as_ever_and_mails_nobody(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    for number in 0..20 {
        asks(&app, &format!("nobody{number}")).await;
    }
    asks(&app, "alice").await;
    looked_at(&app).await;
    assert_eq!(mails_to(&app, &alice), 0);
}

on_both!(only_the_stored_address_is_written_to);
/// V030: lists, copies, other fields and types, and look-alikes.
async fn only_the_stored_address_is_written_to(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let url = url::Url::parse(&format!("{}{PAGE}", app.public_url())).expect("an address");
    for typed in [
        "alice@people.example,eve@evil.example",
        "alice@people.example;eve@evil.example",
        "alice@people.example\r\nBcc: eve@evil.example",
        "[\"alice@people.example\",\"eve@evil.example\"]",
        "alice@peop1e.example",
    ] {
        let pairs = [("username".to_owned(), typed.to_owned())];
        app.browser()
            .post(&url, &pairs)
            .await
            .assert_page("message");
    }
    for names in [["username", "username"], ["username[]", "username[]"]] {
        let pairs: Vec<_> = names
            .iter()
            .zip(["alice@people.example", "eve@evil.example"])
            .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
            .collect();
        app.browser()
            .post(&url, &pairs)
            .await
            .assert_page("forgot-password");
    }
    // The same as JSON, which is no form, and in a field that is not ours.
    let json = "{\"username\":[\"alice@people.example\",\"eve@evil.example\"]}";
    app.browser()
        .send(
            reqwest::Method::POST,
            &url,
            Some(("application/json", json.to_owned())),
        )
        .await;
    for field in ["email", "user[email][]", "login", "to", "cc"] {
        let pairs = [(field.to_owned(), "alice@people.example".to_owned())];
        app.browser()
            .post(&url, &pairs)
            .await
            .assert_page("forgot-password");
    }
    looked_at(&app).await;
    assert_eq!(app.count("SELECT count(*) AS value FROM outbox"), 0);
    // Letters that look alike or fold into alice's: whoever they find is written to at the stored address.
    for typed in [
        "\u{430}lice@people.example",
        "\u{ff41}lice@people.example",
        "al\u{131}ce@people.example",
        "al\u{130}ce@people.example",
        "alice@people\u{ff0e}example",
        "alice\u{200b}@people.example",
    ] {
        let pairs = [
            ("username".to_owned(), typed.to_owned()),
            ("to".to_owned(), "eve@evil.example".to_owned()),
            ("cc".to_owned(), "eve@evil.example".to_owned()),
        ];
        app.browser()
            .post(&url, &pairs)
            .await
            .assert_page("message");
    }
    looked_at(&app).await;
    let others = "SELECT recipient AS value FROM outbox WHERE recipient <> 'alice@people.example'";
    assert!(app.sql(others).is_empty(), "{:?}", app.sql(others));
    settled(&app, &alice).await;
    app.database()
        .execute("DELETE FROM outbox; DELETE FROM throttles");
    asks(&app, "ALICE@people.example").await;
    looked_at(&app).await;
    mails(&app, &alice, 1).await;
    let to = app.sql("SELECT recipient AS value FROM outbox");
    assert_eq!(to, ["alice@people.example"]);
}

on_both!(a_temporary_password_past_its_time_points_here);
async fn a_temporary_password_past_its_time_points_here(app: TestApp) {
    allow(&app).await;
    let alice = app
        .user("alice")
        .expired_temporary_password("temporary words")
        .await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("login")
        .assert_text("Choose “Forgot your password?” to get a link by mail.");
}

on_both!(the_mail_speaks_the_language_of_the_page_where_the_person_has_none);
async fn the_mail_speaks_the_language_of_the_page_where_the_person_has_none(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    app.change_user(&bob, |user| {
        user.attributes.insert("locale".into(), vec!["en".into()]);
    })
    .await;
    for user in [&alice, &bob] {
        let mut browser = app.browser();
        browser
            .headers
            .push(("accept-language".into(), "de".into()));
        browser.open_path(PAGE).await.assert_page("forgot-password");
        browser
            .fill_in(&[("username", &user.username)])
            .await
            .assert_page("message");
    }
    let german = mails(&app, &alice, 1).await.remove(0);
    assert!(
        german.subject.contains("neues Passwort"),
        "{}",
        german.subject
    );
    let english = mails(&app, &bob, 1).await.remove(0);
    assert!(
        english.subject.contains("new password"),
        "{}",
        english.subject
    );
}
