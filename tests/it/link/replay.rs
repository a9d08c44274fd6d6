//! A link is used once: nothing of its redemption does anything a second time, and half of one does nothing at all.

use url::Url;
use vestibule::link::State;

use super::redeem::{at_the_gate, invited};
use super::{NEW, states};
use crate::gate::faults::{uncommittable, unwritable};
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, Cookies};
use crate::support::database::on_both;
use crate::support::html::Form;

/// What a thief types who has found what somebody else's browser sent.
const THEFT: &str = "the passphrase of a thief";

/// Everything about a person that a redemption changes.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    hash: Option<String>,
    links: Vec<State>,
    rows: i64,
    redeemed: i64,
    changed: i64,
    epoch: Vec<String>,
}

async fn facts(app: &TestApp, user: &User) -> Facts {
    Facts {
        hash: app.password_hash(user).await,
        links: states(app, user).await,
        rows: app.token_rows(&user.id),
        redeemed: app.events(user, "LINK_REDEEMED"),
        changed: app.events(user, "UPDATE_PASSWORD"),
        epoch: app.sql(&format!(
            "SELECT auth_epoch AS value FROM users WHERE id = '{}'",
            user.id
        )),
    }
}

/// A page as a browser had it, with everything that could be copied from there.
struct Taken {
    cookies: Cookies,
    url: Url,
    form: Option<Form>,
}

fn taken(browser: &Browser, control: Option<&str>) -> Taken {
    Taken {
        cookies: browser.cookies(),
        url: browser.page().url.clone(),
        form: control.map(|control| browser.page().form_with(control).clone()),
    }
}

/// Sends a form from a browser with these cookies, with the thief's words in it.
async fn send_from(app: &TestApp, cookies: &Cookies, form: &Form) -> Browser {
    let mut browser = app.browser();
    browser.set_cookies(cookies.clone());
    let mut form = form.clone();
    for field in ["password-new", "password-confirm"] {
        if form.field(field).is_some() {
            form.fill(field, THEFT);
        }
    }
    browser.submit_form(form, None).await;
    browser
}

on_both!(what_a_redemption_sent_does_nothing_in_another_browser_or_again);
/// V033: the link, the addresses in between, the cookies of each step and the forms of each step, all with all, before
/// the redemption without its cookies and after it with them.
async fn what_a_redemption_sent_does_nothing_in_another_browser_or_again(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let mut browser = app.browser();
    browser.open(link.clone()).await.assert_page("link");
    let opened = taken(&browser, Some("open"));
    browser.press("open").await.assert_page("update-password");
    let gate = taken(&browser, Some("password-new"));
    // Before it is done: the forms and addresses alone are worth nothing, and neither are those of an older step.
    let before = facts(&app, &alice).await;
    for cookies in [&Cookies::new(), &opened.cookies] {
        let form = gate.form.as_ref().expect("the form");
        let stranger = send_from(&app, cookies, form).await;
        assert_eq!(facts(&app, &alice).await, before, "{stranger}");
        let mut stranger = app.browser();
        stranger.set_cookies(cookies.clone());
        stranger.open(gate.url.clone()).await.assert_page("error");
    }
    let form = opened.form.as_ref().expect("the form");
    let mut stranger = send_from(&app, &Cookies::new(), form).await;
    stranger.assert_page("message");
    assert_eq!(facts(&app, &alice).await, before, "{stranger}");

    browser.set_new_password(NEW).await.assert_page("message");
    let done = taken(&browser, None);
    let after = facts(&app, &alice).await;
    assert_eq!((after.redeemed, after.changed, after.rows), (1, 1, 1));
    let steps = [opened, gate, done];
    let nothing = Cookies::new();
    let urls: Vec<&Url> = std::iter::once(&link)
        .chain(steps.iter().map(|step| &step.url))
        .collect();
    for cookies in std::iter::once(&nothing).chain(steps.iter().map(|step| &step.cookies)) {
        for url in &urls {
            let mut again = app.browser();
            again.set_cookies(cookies.clone());
            again.open((*url).clone()).await;
            let page = again.page().marker.clone().unwrap_or_default();
            assert!(
                ["message", "error"].contains(&page.as_str()),
                "{url}: {again}"
            );
            assert_eq!(facts(&app, &alice).await, after, "{url}: {again}");
        }
        for form in steps.iter().filter_map(|step| step.form.as_ref()) {
            let again = send_from(&app, cookies, form).await;
            let page = again.page().marker.clone().unwrap_or_default();
            assert!(
                ["message", "error"].contains(&page.as_str()),
                "{}: {again}",
                form.action
            );
            assert_eq!(facts(&app, &alice).await, after, "{}: {again}", form.action);
        }
    }
    let mut thief = app.browser();
    thief
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, THEFT)
        .await
        .assert_page("login");
}

on_both!(of_two_browsers_the_first_to_send_sets_the_password);
/// V034: opened in two browsers before either has typed; whichever sends first, the other hears that the link was used.
async fn of_two_browsers_the_first_to_send_sets_the_password(app: TestApp) {
    for (name, first) in [("alice", 0), ("anton", 1)] {
        let (user, link) = invited(&app, name).await;
        let mut browsers = [
            at_the_gate(&app, &link).await,
            at_the_gate(&app, &link).await,
        ];
        let quick = &mut browsers[first];
        quick
            .set_new_password(NEW)
            .await
            .assert_page("message")
            .assert_text("You are being taken onwards");
        let after = facts(&app, &user).await;
        let slow = &mut browsers[1 - first];
        slow.set_new_password(THEFT)
            .await
            .assert_page("message")
            .assert_text("It was used already");
        assert_eq!(facts(&app, &user).await, after);
    }
}

on_both!(a_link_ends_in_the_transaction_that_stores_the_password);
/// V036: whatever of it cannot be written, the link is not used and there is no password; and then it works once.
async fn a_link_ends_in_the_transaction_that_stores_the_password(app: TestApp) {
    let faults = [
        "UPDATE ON links",
        "INSERT ON credentials",
        "INSERT ON sessions",
        "INSERT ON events",
    ]
    .into_iter()
    .flat_map(|write| [unwritable(write), uncommittable(write)]);
    for (number, fault) in faults.enumerate() {
        let (alice, link) = invited(&app, &format!("alice{number}")).await;
        let mut browser = at_the_gate(&app, &link).await;
        let page = browser.page.clone();
        let before = facts(&app, &alice).await;
        assert_eq!(before.hash, None);

        fault.begin(&app);
        browser.set_new_password(THEFT).await;
        assert_eq!(browser.answer.status, 503, "{}: {browser}", fault.name);
        fault.end(&app);

        assert_eq!(facts(&app, &alice).await, before, "{}", fault.name);
        browser.page = page;
        browser.set_new_password(NEW).await.assert_page("message");
        let after = facts(&app, &alice).await;
        assert_eq!(
            (after.links.as_slice(), after.redeemed, after.changed),
            ([State::Committed].as_slice(), 1, 1),
            "{}",
            fault.name
        );
    }
}
