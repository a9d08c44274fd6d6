//! The forms that belong to no flow: a link's button, the wish for a fresh one, the typed code, a forgotten password,
//! the confirmation of signing out, and another address. What is malformed does nothing (threat V015).

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;

use super::forgotten::{PAGE, allow, looked_at};
use super::mails;
use super::redeem::invited;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;

/// A form, filled in as it should be.
struct Filled {
    what: &'static str,
    browser: Browser,
    url: url::Url,
    pairs: Vec<(String, String)>,
    /// The field without which it says nothing.
    key: &'static str,
    /// The page that the form leads to.
    leads_to: &'static str,
}

impl Filled {
    fn of(
        what: &'static str,
        (browser, key): (&Browser, &'static str),
        fields: &[(&str, &str)],
        leads_to: &'static str,
    ) -> Self {
        let mut form = browser.page().form_with(key).clone();
        for (name, value) in fields {
            form.fill(name, value);
        }
        Self {
            what,
            browser: browser.clone(),
            url: form.action.clone(),
            pairs: form.pairs(None),
            key,
            leads_to,
        }
    }

    /// The form in every way that is none, with the content type.
    fn malformed(&self) -> Vec<(&'static str, &'static str, String)> {
        let good = encode(&self.pairs);
        let object: serde_json::Map<_, _> = self
            .pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let keyed = |value: Option<&str>| {
            let mut pairs = self.pairs.clone();
            pairs.retain(|(name, _)| name != self.key);
            pairs.extend(value.map(|value| (self.key.to_owned(), value.to_owned())));
            encode(&pairs)
        };
        let json = serde_json::Value::Object(object).to_string();
        vec![
            ("an empty body", FORM, String::new()),
            ("the form as text/plain", "text/plain", good.clone()),
            ("the form without a type", "", good.clone()),
            (
                "the form as multipart/form-data",
                "multipart/form-data; boundary=x",
                good.clone(),
            ),
            ("the same as JSON", "application/json", json),
            ("every field twice", FORM, format!("{good}&{good}")),
            ("its key left out", FORM, keyed(None)),
            ("its key empty", FORM, keyed(Some(""))),
        ]
    }
}

/// Everything that is stored but for the counts of tries, by column.
fn stored(app: &TestApp) -> BTreeMap<String, Vec<String>> {
    let counts = |column: &str| column.starts_with("throttles.") || column == "links.wrong_codes";
    let contents = app.database().contents().into_iter();
    let kept = contents.filter(|(column, _)| !counts(column));
    // A row that was written stands elsewhere in its table.
    kept.map(|(column, mut values)| {
        values.sort();
        (column, values)
    })
    .collect()
}

/// Sends one request with a browser's cookies, as its page would; the status of the answer.
async fn send(
    app: &TestApp,
    (method, form): (Method, &Filled),
    (kind, body): (&str, String),
) -> u16 {
    let cookies = form.browser.cookies();
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let request = app
        .http
        .request(method, app.here(form.url.as_str()))
        .header("cookie", pairs.collect::<Vec<_>>().join("; "))
        .header("origin", app.public_url())
        .header("content-type", kind)
        .body(body);
    request.send().await.expect("an answer").status().as_u16()
}

/// Waits until nothing is under way that was asked for.
async fn quiet(app: &TestApp) {
    looked_at(app).await;
    let under_way =
        "SELECT count(*) AS value FROM outbox WHERE state IN ('queued', 'leased', 'sending')";
    for _ in 0..200 {
        if app.count(under_way) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("mails are still under way");
}

/// Somebody before each of the forms.
async fn everywhere(app: &TestApp) -> Vec<Filled> {
    allow(app).await;
    let (_, expired) = invited(app, "erin").await;
    app.advance(Duration::from_secs(7 * 24 * 3600));
    let (alice, link) = invited(app, "alice").await;
    let code = mails(app, &alice, 1).await.remove(0).code;
    let bob = app.user("bob").await;
    let mut pressing = app.browser();
    pressing.open(link).await.assert_page("link");
    let mut renewing = app.browser();
    renewing.open(expired).await.assert_page("link-expired");
    let mut typing = app.browser();
    typing
        .open_path("/realms/t1/login-actions/link")
        .await
        .assert_page("link-code");
    let mut forgetting = app.browser();
    forgetting
        .open_path(PAGE)
        .await
        .assert_page("forgot-password");
    let mut leaving = app.browser();
    leaving
        .authorize(&app.rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp);
    leaving
        .open_path("/realms/t1/protocol/openid-connect/logout")
        .await
        .assert_page("logout");
    let carol = app.user("carol").await;
    let mut moving = app.browser();
    moving
        .authorize(&app.rp)
        .await
        .sign_in(&carol)
        .await
        .assert_redirect_to(&app.rp);
    moving
        .open_path("/realms/t1/account/email")
        .await
        .assert_page("change-email");
    let typed = [("username", alice.email.as_str()), ("code", code.as_str())];
    vec![
        Filled::of("to open", (&pressing, "h"), &[], "update-password"),
        Filled::of("to renew", (&renewing, "h"), &[], "message"),
        Filled::of("to type a code", (&typing, "code"), &typed, "link"),
        Filled::of(
            "to ask for a link",
            (&forgetting, "username"),
            &[("username", "bob")],
            "message",
        ),
        Filled::of("to sign out", (&leaving, "flow"), &[], "message"),
        Filled::of(
            "to change the address",
            (&moving, "flow"),
            &[("email", "carol@new.example")],
            "message",
        ),
    ]
}

on_both!(a_malformed_form_of_a_link_does_nothing);
/// V015: empty, of another type, as JSON, with doubled fields, without its key, by another method: nothing is stored.
async fn a_malformed_form_of_a_link_does_nothing(app: TestApp) {
    let forms = everywhere(&app).await;
    for mut form in forms {
        let before = stored(&app);
        for (name, kind, body) in form.malformed() {
            let status = send(&app, (Method::POST, &form), (kind, body)).await;
            assert!(
                [200, 303].contains(&status) || (400..500).contains(&status),
                "{}: {name}: {status}",
                form.what
            );
        }
        for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let body = encode(&form.pairs);
            send(&app, (method, &form), (FORM, body)).await;
        }
        let mut after = stored(&app);
        after.retain(|column, values| before.get(column) != Some(values));
        assert!(after.is_empty(), "{}: {after:#?}", form.what);
        // As it should be, it does what it is for.
        form.browser.post(&form.url, &form.pairs).await;
        form.browser.assert_page(form.leads_to);
        quiet(&app).await;
    }
}
