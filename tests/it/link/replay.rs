//! A link is used once: nothing of its redemption does anything a second time, and half of one does nothing at all.

use std::time::{Duration, Instant};

use url::Url;
use vestibule::link::{Purpose, Sender, State};

use super::redeem::{at_the_gate, invited};
use super::{NEW, mails, send, send_with, settled, states};
use crate::gate::faults::{uncommittable, unwritable};
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, Cookies};
use crate::support::database::{on_both, on_postgres};
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
    /// The epoch, the names, the address, whether it is proved, and what was accepted.
    person: Vec<String>,
    waiting: Vec<String>,
}

async fn facts(app: &TestApp, user: &User) -> Facts {
    Facts {
        hash: app.password_hash(user).await,
        links: states(app, user).await,
        rows: app.token_rows(&user.id),
        redeemed: app.events(user, "LINK_REDEEMED"),
        changed: app.events(user, "UPDATE_PASSWORD"),
        person: app.sql(&format!(
            "SELECT auth_epoch || ' ' || first_name || ' ' || last_name || ' ' || email || ' ' || email_verified \
             || ' ' || attributes AS value FROM users WHERE id = '{}'",
            user.id
        )),
        waiting: app.waiting(user).await,
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
    for field in ["password-new", "password-confirm", "firstName", "lastName"] {
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
    nothing_more_comes_of(&app, (&alice, &link), &[opened, gate, done]).await;
    let mut thief = app.browser();
    thief
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, THEFT)
        .await
        .assert_page("login");
}

/// All addresses and forms of all steps with the cookies of each of them and with none.
async fn nothing_more_comes_of(app: &TestApp, (user, link): (&User, &Url), steps: &[Taken]) {
    let after = facts(app, user).await;
    let nothing = Cookies::new();
    let urls: Vec<&Url> = std::iter::once(link)
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
            assert_eq!(facts(app, user).await, after, "{url}: {again}");
        }
        for form in steps.iter().filter_map(|step| step.form.as_ref()) {
            let again = send_from(app, cookies, form).await;
            let page = again.page().marker.clone().unwrap_or_default();
            assert!(
                ["message", "error"].contains(&page.as_str()),
                "{}: {again}",
                form.action
            );
            assert_eq!(facts(app, user).await, after, "{}: {again}", form.action);
        }
    }
}

/// A person to whom a link for these actions was mailed.
async fn asked(app: &TestApp, name: &str, actions: &[&str]) -> (User, Url) {
    app.mailbox().await;
    let user = app.user(name).await;
    let actions: Vec<String> = actions.iter().map(|&action| action.to_owned()).collect();
    let what = (Purpose::Actions, Sender::Administrator);
    send_with(app, &user, what, |new| new.actions = actions).await;
    let url = mails(app, &user, 1).await.remove(0).url;
    settled(app, &user).await;
    (user, url)
}

/// Does what the page of an action asks for.
async fn act(browser: &mut Browser) {
    match browser.page().marker.as_deref() {
        Some("terms") => browser.press("accept").await,
        _ => {
            let names = [("firstName", "Ada"), ("lastName", "Byron")];
            browser.fill_in(&names).await
        }
    };
}

const LISTS: [&[&str]; 3] = [
    &["UPDATE_PROFILE"],
    &["TERMS_AND_CONDITIONS"],
    &["TERMS_AND_CONDITIONS", "UPDATE_PROFILE"],
];

on_both!(a_link_that_asks_for_actions_is_used_once);
/// V033, V034, V036 for links that set no password: looking uses nothing up, the last action ends the link, a second
/// browser that stands at its page is too late, and nothing that was sent does anything again.
async fn a_link_that_asks_for_actions_is_used_once(app: TestApp) {
    for (number, actions) in LISTS.into_iter().enumerate() {
        let (user, link) = asked(&app, &format!("person{number}"), actions).await;
        let before = facts(&app, &user).await;
        for _ in 0..5 {
            app.browser().open(link.clone()).await.assert_page("link");
        }
        assert_eq!(facts(&app, &user).await, before);
        let mut slow = app.browser();
        slow.open(link.clone()).await.assert_page("link");
        slow.press("open").await;
        let mut browser = app.browser();
        browser.open(link.clone()).await.assert_page("link");
        let mut steps = vec![taken(&browser, Some("open"))];
        browser.press("open").await;
        for _ in actions {
            steps.push(taken(&browser, Some("flow")));
            act(&mut browser).await;
        }
        browser
            .assert_page("message")
            .assert_text("You are being taken onwards");
        steps.push(taken(&browser, None));
        let after = facts(&app, &user).await;
        assert_eq!(after.links, [State::Committed], "{actions:?}");
        assert_eq!((after.redeemed, after.rows), (1, 0), "{actions:?}");
        assert_ne!(after.person, before.person, "{actions:?}");
        let form = slow.page().form_with("flow").clone();
        let mut late = send_from(&app, &slow.cookies(), &form).await;
        late.assert_page("message")
            .assert_text("It was used already");
        assert_eq!(facts(&app, &user).await, after, "{actions:?}");
        nothing_more_comes_of(&app, (&user, &link), &steps).await;
        app.browser()
            .open(link)
            .await
            .assert_page("message")
            .assert_text("It was used already");
    }
}

on_both!(a_link_that_proves_an_address_is_used_once);
/// V033, V034, V036 for an address: of two browsers that have pressed, the first to sign in proves it.
async fn a_link_that_proves_an_address_is_used_once(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().await;
    send(&app, &alice, Purpose::VerifyEmail, Sender::Administrator).await;
    let link = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let before = facts(&app, &alice).await;
    let mut browser = app.browser();
    for _ in 0..5 {
        browser.open(link.clone()).await.assert_page("link");
    }
    assert_eq!(facts(&app, &alice).await, before);
    let opened = taken(&browser, Some("open"));
    let mut slow = browser.copy();
    slow.open(link.clone()).await;
    slow.press("open").await.assert_page("login");
    browser.press("open").await.assert_page("login");
    browser.sign_in(&alice).await.assert_page("message");
    let after = facts(&app, &alice).await;
    assert_eq!(after.links, [State::Committed]);
    assert_eq!((after.redeemed, after.rows), (1, 1));
    assert_ne!(after.person, before.person);
    slow.sign_in(&alice).await;
    assert!(!slow.got_a_code(), "{slow}");
    assert_eq!(facts(&app, &alice).await.redeemed, 1);
    // With the cookies from before, with those of the session, and with none.
    let done = taken(&browser, None);
    nothing_more_comes_of(&app, (&alice, &link), &[opened, done]).await;
}

on_postgres!(a_link_taken_back_at_that_moment_changes_nothing);
/// V049, V036: whoever takes links back while somebody does what one asks for comes first or second, and never in
/// between. A campaign's links go without the lock of their person.
async fn a_link_taken_back_at_that_moment_changes_nothing(app: TestApp) {
    for (number, actions) in LISTS[..2].iter().enumerate() {
        let (user, link) = asked(&app, &format!("person{number}"), actions).await;
        let mut browser = app.browser();
        browser.open(link).await.assert_page("link");
        browser.press("open").await;
        let before = facts(&app, &user).await;
        let holder = app.database().connect().await;
        let revoke = format!(
            "BEGIN; UPDATE links SET revoked_at = 1 WHERE user_id = '{}'",
            user.id
        );
        holder.batch_execute(&revoke).await.expect("taken back");
        let release = async {
            let asked = Instant::now();
            let waits = "SELECT count(*) AS value FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while app.count(waits) == 0 {
                assert!(asked.elapsed() < Duration::from_secs(20), "nobody waits");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            holder.batch_execute("COMMIT").await.expect("the end");
        };
        tokio::join!(act(&mut browser), release);
        browser
            .assert_page("message")
            .assert_text("It was taken back");
        let after = facts(&app, &user).await;
        assert_eq!(after.links, [State::Revoked], "{actions:?}");
        let links = before.links.clone();
        assert_eq!(Facts { links, ..after }, before, "{actions:?}");
    }
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
