//! A link is of one realm: in another it is as unknown as one that never was (threats V042, V043).

use reqwest::Method;
use url::Url;
use vestibule::link::State;

use super::redeem::invited;
use super::{NEW, mails, states};
use crate::protocol::enumeration::told;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Cookies};
use crate::support::database::on_both;

/// The same address in realm `t2`.
fn moved(url: &Url) -> Url {
    let other = url.as_str().replace("/realms/t1/", "/realms/t2/");
    Url::parse(&other).expect("an address")
}

/// What stands before the names of a realm's cookies.
fn tag(browser: &Browser) -> String {
    let cookies = browser.cookies();
    let name = cookies.keys().next().expect("a cookie");
    let (tag, _) = name.split_once('_').expect("a tag");
    tag.to_owned()
}

on_both!(a_link_of_another_realm_is_as_unknown_as_one_that_never_was);
/// V043, V042: status, headers and body are the same, of the first answer and of the page that it leads to.
async fn a_link_of_another_realm_is_as_unknown_as_one_that_never_was(app: TestApp) {
    app.make_realm("t2").await;
    let (_, url) = invited(&app, "alice").await;
    let token = url.path_segments().unwrap().next_back().unwrap().to_owned();
    let mut forged = token.clone();
    forged.replace_range(40..44, "AAAA");
    let with = |other: &str| {
        let other = url.as_str().replace(&token, other);
        Url::parse(&other).expect("an address")
    };
    let mut seen = Vec::new();
    let mut texts = Vec::new();
    for url in [
        moved(&url),
        moved(&with(&forged)),
        moved(&with(&"A".repeat(64))),
        moved(&with("x")),
        with(&forged),
    ] {
        let mut browser = app.browser();
        let first = browser.send(Method::GET, &url, None).await;
        browser
            .open(url)
            .await
            .assert_page("message")
            .assert_text("There is no such link");
        seen.push((told(&first, &token), told(&browser.answer, &token)));
        texts.push(browser.page().text.replace("t2", "t1"));
    }
    // What is no token at all gets no handle, and another realm's pages have its name.
    seen.truncate(3);
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
}

on_both!(a_typed_code_of_another_realm_is_a_wrong_one);
/// V043.
async fn a_typed_code_of_another_realm_is_a_wrong_one(app: TestApp) {
    app.make_realm("t2").await;
    let (alice, _) = invited(&app, "alice").await;
    let code = mails(&app, &alice, 1).await.remove(0).code;
    let mut seen = Vec::new();
    for typed in [code.as_str(), "00000-00000"] {
        let mut browser = app.browser();
        browser.open_path("/realms/t2/login-actions/link").await;
        let mut form = browser.page().form_with("code").clone();
        form.fill("username", &alice.email).fill("code", typed);
        let body = crate::support::browser::encode(&form.pairs(None));
        let kind = crate::support::browser::FORM;
        let posted = (Method::POST, Some((kind, body)));
        let first = browser.send(posted.0, &form.action, posted.1).await;
        browser.submit_form(form, None).await;
        browser.assert_page("link-code");
        seen.push((told(&first, typed), told(&browser.answer, typed)));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(states(&app, &alice).await, [State::Sent]);
}

on_both!(what_a_link_gave_a_browser_is_nothing_in_another_realm);
/// V043: handle, cookies and the forms of both steps, the cookies under either realm's names.
async fn what_a_link_gave_a_browser_is_nothing_in_another_realm(app: TestApp) {
    app.make_realm("t2").await;
    let (alice, url) = invited(&app, "alice").await;
    let mut stranger = app.browser();
    stranger.open(moved(&url)).await.assert_page("message");
    let mut browser = app.browser();
    browser.open(url).await.assert_page("link");
    let link = browser.page().url.clone();
    let press = browser.page().form_with("open").clone();
    browser.press("open").await.assert_page("update-password");
    let mut gate = browser.page().form_with("password-new").clone();
    gate.fill("password-new", NEW).fill("password-confirm", NEW);
    let (own, other) = (tag(&browser), tag(&stranger));
    assert_ne!(own, other);
    let mut cookies = browser.cookies();
    let renamed: Cookies = cookies
        .iter()
        .map(|(name, value)| (name.replace(&own, &other), value.clone()))
        .collect();
    cookies.extend(renamed);
    let again = || {
        let mut again = app.browser();
        again.set_cookies(cookies.clone());
        again
    };
    again().open(moved(&link)).await.assert_page("message");
    let at_gate = moved(&browser.page().url);
    again().open(at_gate).await.assert_page("error");
    for (form, page) in [(press, "message"), (gate, "error")] {
        let pairs = form.pairs(None);
        let mut again = again();
        again
            .post(&moved(&form.action), &pairs)
            .await
            .assert_page(page);
    }
    assert_eq!(app.password_hash(&alice).await, None);
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
}
