//! A link on a phone when things are not as they should be: a week late, after a mail scanner, in the browser of
//! somebody else. Pictures of each page at the width of a phone, of the narrowest phone and of a desk, to be looked at.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vestibule::link::{Purpose, Sender, State};

use super::harbour::{CLIENT, Harbour};
use super::links::{NEW, arrives, link_in_the_mailbox, phone, two_presses};
use super::playground::Visitor;
use crate::link::ended::call;
use crate::link::{mails, send, settled, states};
use crate::support::app::{TestApp, User};
use crate::support::chromium::Options;

/// A phone, the narrowest phone that is still sold, and a desk.
const SIZES: [(&str, (u32, u32)); 3] = [
    ("desk", (1280, 900)),
    ("narrow", (320, 568)),
    ("phone", (390, 844)),
];

/// What reaches over the sides of the page.
const OVER_THE_SIDES: &str = "
    const over = [...document.querySelectorAll('body *')].filter((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
    });
    return [document.documentElement.scrollWidth > innerWidth, over.map((element) => element.outerHTML)];
";

/// Whether the button is there without scrolling.
const BUTTON_IN_SIGHT: &str = "
    return document.querySelector('.primary').getBoundingClientRect().bottom <= innerHeight;
";

/// Pictures in every size, and on none does anything reach over the sides. The page is a phone's again afterwards.
async fn looked_at(visitor: &mut Visitor, what: &str) {
    for (name, size) in SIZES {
        visitor.browser.resize(size).await;
        visitor.picture(&format!("{what}-{name}")).await;
        let over = visitor.browser.execute(OVER_THE_SIDES).await;
        assert_eq!(over, json!([false, []]), "{what}, {name}");
    }
    assert_eq!(visitor.browser.csp_violations().await, Vec::<String>::new());
}

/// Pictures of a page whose one button a phone shows without scrolling.
async fn looked_at_with_its_button(visitor: &mut Visitor, what: &str) {
    looked_at(visitor, what).await;
    let in_sight = visitor.browser.execute(BUTTON_IN_SIGHT).await;
    assert_eq!(in_sight, json!(true), "{what}");
}

async fn assert_says(visitor: &Visitor, words: &[&str]) {
    let text = visitor.browser.text().await;
    for words in words {
        assert!(text.contains(words), "no “{words}” in: {text}");
    }
}

/// A school whose people speak that language, with its app.
async fn school(language: &'static str) -> (TestApp, Harbour) {
    let app = TestApp::start().await;
    app.change_realm(move |realm| {
        realm.settings.display_name = Some("Rosewood School".into());
        realm.settings.internationalization_enabled = true;
        realm.settings.supported_locales = Some(vec!["en".into(), "de".into()]);
        realm.settings.default_locale = Some(language.into());
    })
    .await;
    app.mailbox().await;
    let harbour = Harbour::of(&app).await;
    (app, harbour)
}

async fn named(app: &TestApp, user: &User, first_name: &'static str) {
    app.change_user(user, move |user| user.first_name = Some(first_name.into()))
        .await;
}

/// Somebody without a password whom an administrator has mailed a link to the app.
async fn invited(app: &TestApp, username: &str, first_name: &'static str) -> User {
    let user = app.user(username).without_password().await;
    named(app, &user, first_name).await;
    let path = format!("/users/{}/pre-registration", user.id);
    let body = json!({ "client_id": CLIENT });
    let (status, said) = call(app, Method::POST, &path, Some(body)).await;
    assert!(status < 300, "{status} {said}");
    mails(app, &user, 1).await;
    settled(app, &user).await;
    // A press within ten seconds of the mail would be taken for a machine's.
    app.advance(Duration::from_secs(60));
    user
}

/// How the pages of an expired link begin, and how the fresh one's mail does, in each language.
const EXPIRED: [(&str, &str, [&str; 4]); 2] = [
    (
        "en",
        "expired-en",
        [
            "This link has expired",
            "Look into your mailbox",
            "A fresh link was mailed to p•••@people.example",
            "Set your password",
        ],
    ),
    (
        "de",
        "expired-de",
        [
            "Dieser Link ist abgelaufen",
            "Sehen Sie in Ihr Postfach",
            "wurde ein neuer Link an p•••@people.example geschickt",
            "Legen Sie Ihr Passwort fest",
        ],
    ),
];

#[actix_web::test]
async fn a_week_late_one_press_mails_a_fresh_link_and_two_lead_into_the_app() {
    for (language, name, [expired, sent, lately, subject]) in EXPIRED {
        let Some(mut visitor) = Visitor::at(name, phone(language)).await else {
            return;
        };
        let (app, harbour) = school(language).await;
        let paul = invited(&app, "paul", "Paul").await;
        let old = link_in_the_mailbox(&mut visitor, &harbour.url).await;
        app.advance(Duration::from_secs(8 * 24 * 3600));

        visitor.browser.goto(&old).await;
        visitor.is_at("link-expired").await;
        assert_says(&visitor, &[expired, "p•••@people.example"]).await;
        looked_at_with_its_button(&mut visitor, "expired").await;
        visitor.press("renew").await;
        assert_eq!(visitor.presses(), 1);
        visitor.is_at("message").await;
        assert_says(&visitor, &[sent, "p•••@people.example"]).await;
        looked_at(&mut visitor, "renewed").await;
        visitor.browser.reload().await;
        visitor.is_at("message").await;
        let newest = mails(&app, &paul, 2).await.remove(0);
        settled(&app, &paul).await;
        assert!(newest.subject.contains(subject), "{}", newest.subject);

        // Impatient, at the old link again: told where to look, and mailed nothing more.
        visitor.browser.goto(&old).await;
        visitor.is_at("link-expired").await;
        visitor.press("renew").await;
        visitor.is_at("message").await;
        assert_says(&visitor, &[sent, lately]).await;
        looked_at(&mut visitor, "renewed-lately").await;
        assert_eq!(mails(&app, &paul, 2).await.len(), 2);

        let fresh = link_in_the_mailbox(&mut visitor, &harbour.url).await;
        assert_ne!(fresh, old);
        two_presses(&mut visitor, &harbour.url, (&fresh, "Paul")).await;
        assert_eq!(
            states(&app, &paul).await,
            [State::Revoked, State::Committed]
        );
        for link in [&old, &fresh] {
            visitor.browser.goto(link).await;
            visitor.is_at("message").await;
            looked_at_with_its_button(&mut visitor, "over").await;
        }
    }
}

/// Whose sessions there are in realm `t1`.
fn sessions(app: &TestApp) -> Vec<String> {
    app.sql(
        "SELECT user_id AS value FROM sessions \
         WHERE realm_id = (SELECT id FROM realms WHERE name = 't1')",
    )
}

/// Names as long as people have them, and a sentence of the page in each language.
const OTHERS: [(&str, &str, (&str, &str), &str); 2] = [
    (
        "en",
        "other-en",
        ("nora", "paul"),
        "You are signed in as nora here, and this link is for paul.",
    ),
    (
        "de",
        "other-de",
        (
            "wilhelmine-charlotte.von-hohenlohe-schillingsfuerst",
            "maximilian.oberberger-klosterneuburg-freudenthal",
        ),
        "angemeldet, und dieser Link ist für maximilian.oberberger-klosterneuburg-freudenthal.",
    ),
];

#[actix_web::test]
async fn in_the_browser_of_somebody_else_the_link_says_so_and_leads_its_own_person_into_the_app() {
    for (language, name, (first, second), sentence) in OTHERS {
        let Some(mut visitor) = Visitor::at(name, phone(language)).await else {
            return;
        };
        let (app, harbour) = school(language).await;
        let nora = app.user(first).await;
        named(&app, &nora, "Nora").await;
        visitor
            .browser
            .goto(&format!("{}/sign-in", harbour.url))
            .await;
        visitor.signs_in(&nora.username, &nora.password).await;
        arrives(&mut visitor, &harbour.url, "Nora").await;

        let paul = invited(&app, second, "Paul").await;
        let link = link_in_the_mailbox(&mut visitor, &harbour.url).await;
        visitor.browser.goto(&link).await;
        visitor.is_at("link").await;
        assert_says(&visitor, &[sentence]).await;
        looked_at_with_its_button(&mut visitor, "link").await;
        // Looking at it has signed nobody out, and neither does the first press.
        let account = format!("{}/account/", app.issuer());
        visitor.browser.goto(&account).await;
        visitor.is_at("account").await;
        assert_says(&visitor, &["Nora"]).await;

        let before = visitor.presses();
        visitor.browser.goto(&link).await;
        visitor.press("open").await;
        visitor.is_at("update-password").await;
        assert_eq!(visitor.browser.focused().await, "password-new");
        looked_at(&mut visitor, "password").await;
        assert_eq!(sessions(&app), [nora.id.as_str()]);
        visitor.sets(NEW).await;
        arrives(&mut visitor, &harbour.url, "Paul").await;
        assert_eq!(visitor.presses() - before, 2);
        assert!(!visitor.browser.text().await.contains("Nora"));
        assert_eq!(sessions(&app), [paul.id.as_str()]);
        visitor.browser.goto(&account).await;
        assert_says(&visitor, &["Paul"]).await;
        looked_at(&mut visitor, "account").await;

        // Nothing of the first one's has changed but that this browser is no longer theirs.
        let Some(at_home) = Visitor::at("at-home", Options::default()).await else {
            return;
        };
        at_home
            .browser
            .goto(&format!("{}/sign-in", harbour.url))
            .await;
        at_home.signs_in(&nora.username, &nora.password).await;
        at_home.has_arrived_at(&harbour.url, "Nora").await;
    }
}

/// A link that proves an address takes its own person's password, not that of whoever is signed in.
#[actix_web::test]
async fn in_the_browser_of_somebody_else_an_address_is_proved_by_its_own_person() {
    for (language, name, sentence) in [
        (
            "en",
            "address-en",
            "To go on, sign in as paul; nora stays signed in until then.",
        ),
        (
            "de",
            "address-de",
            "melden Sie sich als paul an; bis dahin bleibt nora angemeldet.",
        ),
    ] {
        let Some(mut visitor) = Visitor::at(name, phone(language)).await else {
            return;
        };
        let (app, harbour) = school(language).await;
        let nora = app.user("nora").await;
        named(&app, &nora, "Nora").await;
        let paul = app.user("paul").unverified().await;
        visitor
            .browser
            .goto(&format!("{}/sign-in", harbour.url))
            .await;
        visitor.signs_in(&nora.username, &nora.password).await;
        arrives(&mut visitor, &harbour.url, "Nora").await;
        send(&app, &paul, Purpose::VerifyEmail, Sender::Administrator).await;
        mails(&app, &paul, 1).await;
        settled(&app, &paul).await;
        let link = link_in_the_mailbox(&mut visitor, &harbour.url).await;
        visitor.browser.goto(&link).await;
        visitor.is_at("link").await;
        assert_says(&visitor, &[sentence]).await;
        looked_at_with_its_button(&mut visitor, "link").await;
        visitor.press("open").await;
        visitor.is_at("login").await;
        looked_at_with_its_button(&mut visitor, "sign-in").await;
        assert_eq!(sessions(&app), [nora.id.as_str()]);
        visitor.signs_in(&paul.username, &paul.password).await;
        for _ in 0..40 {
            if visitor.browser.url().await.path().ends_with("/account/") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        visitor.is_at("account").await;
        looked_at(&mut visitor, "confirmed").await;
        assert_eq!(sessions(&app), [paul.id.as_str()]);
    }
}

/// V037: twenty GETs and HEADs by a program that follows redirects and keeps cookies, and a browser that runs the page's
/// scripts and waits, have no effect; on the phone it is two presses as ever.
#[actix_web::test]
async fn after_scanners_of_every_kind_two_presses_lead_into_the_app() {
    let Some(mut visitor) = Visitor::at("scanned", phone("en")).await else {
        return;
    };
    let (app, harbour) = school("en").await;
    let paul = invited(&app, "paul", "Paul").await;
    let link = link_in_the_mailbox(&mut visitor, &harbour.url).await;
    let before = app.dump();
    for number in 0..20 {
        let scanner = reqwest::Client::builder()
            .cookie_store(true)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        for method in [Method::HEAD, Method::GET] {
            let answer = scanner.request(method.clone(), &link).send();
            let answer = answer.await.expect("an answer");
            assert_eq!(answer.status(), 200, "{method}, {number}");
            let text = answer.text().await.expect("a page");
            assert!(text.contains("name=\"open\"") || method == Method::HEAD);
        }
    }
    let Some(scanner) = Visitor::at("scanner", Options::default()).await else {
        return;
    };
    for _ in 0..2 {
        scanner.browser.goto(&link).await;
        scanner.is_at("link").await;
        // What runs by itself in a page has run by then.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        scanner.is_at("link").await;
    }
    assert!(before == app.dump(), "looking at a link has written");
    assert_eq!(states(&app, &paul).await, [State::Sent]);
    assert_eq!(app.events(&paul, "LINK_OPENED"), 0);
    two_presses(&mut visitor, &harbour.url, (&link, "Paul")).await;
    assert_eq!(states(&app, &paul).await, [State::Committed]);
}

#[actix_web::test]
async fn the_page_for_the_typed_code_fits_every_phone() {
    for (language, name) in [("en", "code-en"), ("de", "code-de")] {
        let Some(mut visitor) = Visitor::at(name, phone(language)).await else {
            return;
        };
        let (app, _harbour) = school(language).await;
        let paul = invited(&app, "paul", "Paul").await;
        visitor
            .browser
            .goto(&format!("{}/login-actions/link", app.issuer()))
            .await;
        visitor.is_at("link-code").await;
        assert_eq!(visitor.browser.focused().await, "username");
        looked_at_with_its_button(&mut visitor, "code").await;
        visitor.browser.fill("username", &paul.email).await;
        visitor.browser.fill("code", "00000-00000").await;
        visitor.press("confirm").await;
        visitor.is_at("link-code").await;
        looked_at_with_its_button(&mut visitor, "code-wrong").await;
        let code = mails(&app, &paul, 1).await.remove(0).code;
        visitor.browser.fill("username", &paul.email).await;
        visitor.browser.fill("code", &code).await;
        visitor.press("confirm").await;
        visitor.is_at("link").await;
        looked_at_with_its_button(&mut visitor, "link").await;
    }
}
