//! Whatever a link hangs on, the link ends with it: its campaign, its person, the administrator's mind.

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::import::{IfExists, Options};
use vestibule::link::{Purpose, Sender, State};

use super::redeem::{at_the_gate, invited};
use super::{NEW, mails, send_with, settled, states};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::{ADMIN, on_both};

/// A call of the administrator, its path below `/admin/realms/t1`.
pub async fn call(app: &TestApp, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut client = app.legacy.in_realm("master");
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    let granted = client.password_grant(ADMIN.0, ADMIN.1).await;
    let url = app.here(&format!("{}/admin/realms/t1{path}", app.public_url()));
    let mut request = app
        .http
        .request(method, url)
        .bearer_auth(granted.text("access_token"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// A link, its typed code, and browsers at each step of it.
struct Underway {
    link: url::Url,
    code: String,
    address: String,
    /// Shows the link's page.
    opened: Browser,
    /// Stands at the page for the password.
    gate: Browser,
}

async fn underway(app: &TestApp, user: &User, link: url::Url) -> Underway {
    let code = mails(app, user, 1).await.remove(0).code;
    let mut opened = app.browser();
    opened.open(link.clone()).await.assert_page("link");
    Underway {
        gate: at_the_gate(app, &link).await,
        address: user.email.clone(),
        link,
        code,
        opened,
    }
}

impl Underway {
    /// That no step of it leads any further, in any browser.
    async fn assert_over(mut self, app: &TestApp, says: &str) {
        app.browser()
            .open(self.link)
            .await
            .assert_page("message")
            .assert_text(says);
        self.opened
            .press("open")
            .await
            .assert_page("message")
            .assert_text(says);
        self.gate.set_new_password(NEW).await;
        let page = self.gate.page().marker.clone().unwrap_or_default();
        assert!(
            ["message", "error"].contains(&page.as_str()),
            "{}",
            self.gate
        );
        let mut typed = app.browser();
        typed.open_path("/realms/t1/login-actions/link").await;
        typed
            .fill_in(&[("username", &self.address), ("code", &self.code)])
            .await;
        let page = typed.page().marker.clone().unwrap_or_default();
        assert!(["message", "link-code"].contains(&page.as_str()), "{typed}");
    }
}

on_both!(a_cancelled_campaigns_links_are_dead);
/// V049: everybody's, at every step, in the moment of the call.
async fn a_cancelled_campaigns_links_are_dead(app: TestApp) {
    app.mailbox().await;
    let mut people = Vec::new();
    for name in ["camp-ann", "camp-ben"] {
        people.push(app.user(name).without_password().await);
    }
    let body = json!({
        "name": "Spring", "kind": "pre-registration", "audience": { "username": "camp-" },
    });
    let (status, made) = call(&app, Method::POST, "/campaigns", Some(body)).await;
    assert_eq!(status, 202, "{made}");
    let campaign = made["id"].as_str().expect("an id").to_owned();
    let mut begun = Vec::new();
    for user in &people {
        let link = mails(&app, user, 1).await.remove(0).url;
        settled(&app, user).await;
        begun.push(underway(&app, user, link).await);
    }
    // Everybody was mailed, so there is nothing to stop any more; the links can be called back all the same.
    let path = format!("/campaigns/{campaign}");
    for _ in 0..200 {
        if call(&app, Method::GET, &path, None).await.1["state"] == "done" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let cancel = format!("{path}/cancel");
    assert_eq!(call(&app, Method::POST, &cancel, None).await.0, 409);
    let with_links = format!("{cancel}?revokeLinks=true");
    let (status, said) = call(&app, Method::POST, &with_links, None).await;
    assert_eq!(status, 204, "{said}");
    for (user, begun) in people.iter().zip(begun) {
        assert_eq!(states(&app, user).await, [State::Revoked]);
        begun.assert_over(&app, "It was taken back").await;
        assert_eq!(app.password_hash(user).await, None);
    }
}

on_both!(an_address_that_an_administrator_changes_ends_the_link_mailed_to_the_old_one);
/// V038 by the API, at every step; and the old address is worth nothing with the code.
async fn an_address_that_an_administrator_changes_ends_the_link_mailed_to_the_old_one(
    app: TestApp,
) {
    let (alice, link) = invited(&app, "alice").await;
    let begun = underway(&app, &alice, link).await;
    let body = json!({ "email": "alice@new.example" });
    let path = format!("/users/{}", alice.id);
    let (status, said) = call(&app, Method::PUT, &path, Some(body)).await;
    assert_eq!(status, 204, "{said}");
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
    begun
        .assert_over(&app, "your account has changed since")
        .await;
    assert_eq!(app.password_hash(&alice).await, None);
}

on_both!(an_address_that_an_administrator_removes_ends_the_link_mailed_to_it);
/// V038: no address is another address, too.
async fn an_address_that_an_administrator_removes_ends_the_link_mailed_to_it(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let begun = underway(&app, &alice, link).await;
    let path = format!("/users/{}", alice.id);
    let (status, said) = call(&app, Method::PUT, &path, Some(json!({ "email": "" }))).await;
    assert_eq!(status, 204, "{said}");
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
    begun
        .assert_over(&app, "your account has changed since")
        .await;
    assert_eq!(app.password_hash(&alice).await, None);
}

on_both!(an_address_that_an_import_changes_ends_the_link_mailed_to_the_old_one);
/// V038 by a file.
async fn an_address_that_an_import_changes_ends_the_link_mailed_to_the_old_one(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let begun = underway(&app, &alice, link).await;
    let options = Options {
        if_exists: IfExists::Update,
        ..Options::default()
    };
    let file = "username,email\nalice,alice@new.example\n";
    let report = crate::import::import(&app, &options, file).await;
    assert_eq!(report.said(), ["2 updated"]);
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
    begun
        .assert_over(&app, "your account has changed since")
        .await;
    assert_eq!(app.password_hash(&alice).await, None);
}

on_both!(an_address_that_its_person_changes_ends_the_link_mailed_to_the_old_one);
/// V038: by the link that was mailed to the new one, while a forgotten password's is on its way in two browsers.
async fn an_address_that_its_person_changes_ends_the_link_mailed_to_the_old_one(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp);
    let what = (Purpose::ForgottenPassword, Sender::Person);
    send_with(&app, &alice, what, |_| {}).await;
    let link = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let begun = underway(&app, &alice, link).await;
    let before = app.password_hash(&alice).await;
    let what = (Purpose::UpdateEmail, Sender::Person);
    send_with(&app, &alice, what, |new| {
        new.new_address = Some("alice@new.example".into());
    })
    .await;
    let at_new = User {
        email: "alice@new.example".into(),
        ..alice.clone()
    };
    let url = mails(&app, &at_new, 1).await.remove(0).url;
    browser.open(url).await.assert_page("link");
    browser
        .press("open")
        .await
        .assert_page("message")
        .assert_text("Your address is confirmed");
    assert_eq!(
        states(&app, &alice).await,
        [State::Revoked, State::Committed]
    );
    begun
        .assert_over(&app, "your account has changed since")
        .await;
    assert_eq!(app.password_hash(&alice).await, before);
}

on_both!(a_campaign_sent_again_takes_the_place_of_the_earlier_one);
/// V039 for mailings: only the newest link of three works, and the older ones say why they do not.
async fn a_campaign_sent_again_takes_the_place_of_the_earlier_one(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("again-alice").without_password().await;
    let body = json!({
        "name": "Again", "kind": "pre-registration", "audience": { "username": "again-" },
    });
    for count in 1..=3 {
        let (status, made) = call(&app, Method::POST, "/campaigns", Some(body.clone())).await;
        assert_eq!(status, 202, "{made}");
        mails(&app, &alice, count).await;
        settled(&app, &alice).await;
    }
    let links = mails(&app, &alice, 3).await;
    assert_eq!(
        states(&app, &alice).await,
        [State::Superseded, State::Superseded, State::Sent]
    );
    for old in &links[1..] {
        app.browser()
            .open(old.url.clone())
            .await
            .assert_page("message")
            .assert_text("A newer mail took its place");
    }
    at_the_gate(&app, &links[0].url)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
}

on_both!(a_deleted_persons_links_are_gone);
/// V049: also for whoever is made anew under the same name and address.
async fn a_deleted_persons_links_are_gone(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let begun = underway(&app, &alice, link).await;
    let (status, said) = call(&app, Method::DELETE, &format!("/users/{}", alice.id), None).await;
    assert_eq!(status, 204, "{said}");
    assert_eq!(app.count("SELECT count(*) AS value FROM links"), 0);
    let again = app.user("alice").without_password().await;
    assert_ne!(again.id, alice.id);
    begun.assert_over(&app, "There is no such link").await;
    assert_eq!(app.password_hash(&again).await, None);
    assert!(states(&app, &again).await.is_empty());
}

on_both!(a_link_that_was_taken_back_is_dead_at_every_step);
/// V049: by the administrator, one by one; whoever sends another person's link back is refused.
async fn a_link_that_was_taken_back_is_dead_at_every_step(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let bob = app.user("bob").await;
    let begun = underway(&app, &alice, link).await;
    let (_, links) = call(
        &app,
        Method::GET,
        &format!("/users/{}/links", alice.id),
        None,
    )
    .await;
    let id = links[0]["id"].as_str().expect("an id").to_owned();
    let of_bob = format!("/users/{}/links/{id}", bob.id);
    assert_eq!(call(&app, Method::DELETE, &of_bob, None).await.0, 404);
    let (status, said) = call(&app, Method::DELETE, &format!("/links/{id}"), None).await;
    assert_eq!(status, 204, "{said}");
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
    begun.assert_over(&app, "It was taken back").await;
    assert_eq!(app.password_hash(&alice).await, None);
    // A new one works.
    let what = (Purpose::PreRegistration, Sender::Administrator);
    send_with(&app, &alice, what, |_| {}).await;
    let fresh = mails(&app, &alice, 2).await.remove(0).url;
    settled(&app, &alice).await;
    at_the_gate(&app, &fresh)
        .await
        .set_new_password(NEW)
        .await
        .assert_page("message");
}
