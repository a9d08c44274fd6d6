//! What an administrator does to a person, the person hears by mail (hardening H022).

use reqwest::Method;
use serde_json::json;

use super::NEW;
use super::admin::{call, of, operator};
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

/// The mails there have been to a person, `purpose to reach`, sorted.
fn told(app: &TestApp, user: &User) -> Vec<String> {
    let mut rows = app.sql(&format!(
        "SELECT template || ' ' || recipient || CASE WHEN bulk THEN ' many' ELSE ' one' END AS value \
         FROM outbox WHERE user_id = '{}'",
        user.id
    ));
    rows.sort();
    rows
}

async fn put(app: &TestApp, user: &User, tail: &str, body: serde_json::Value) {
    let token = operator(app).await;
    let answer = call(app, &token, (Method::PUT, &of(user, tail)), Some(&body)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

on_both!(a_flag_set_and_taken_is_told_by_mail);
async fn a_flag_set_and_taken_is_told_by_mail(app: TestApp) {
    let mailbox = app.mailbox().await;
    let alice = app.user("alice").await;
    put(&app, &alice, "", json!({ "firstName": "Alice" })).await;
    assert!(
        told(&app, &alice).is_empty(),
        "nothing that concerns the gate"
    );
    put(&app, &alice, "", json!({ "forcePasswordReset": true })).await;
    assert_eq!(
        told(&app, &alice),
        ["password-reset-required alice@people.example one"]
    );
    let mail = mailbox.expect(&alice.email).await;
    assert!(mail.subject.contains("A new password is needed"));
    // Flagged as before: no news.
    put(&app, &alice, "", json!({ "forcePasswordReset": true })).await;
    assert_eq!(told(&app, &alice).len(), 1);
    put(&app, &alice, "", json!({ "requiredActions": [] })).await;
    assert_eq!(
        told(&app, &alice),
        [
            "action-waived alice@people.example one",
            "password-reset-required alice@people.example one"
        ]
    );
}

on_both!(a_password_set_by_an_administrator_is_told_by_mail_once);
async fn a_password_set_by_an_administrator_is_told_by_mail_once(app: TestApp) {
    app.mailbox().await;
    let (alice, bob, carol) = (
        app.user("alice").await,
        app.user("bob").force_password_reset().await,
        app.user("carol").await,
    );
    let temporary = json!({ "type": "password", "value": "handed over", "temporary": true });
    put(&app, &alice, "/reset-password", temporary.clone()).await;
    assert_eq!(
        told(&app, &alice),
        ["temporary-password-set alice@people.example one"]
    );
    let lasting = json!({ "type": "password", "value": NEW, "temporary": false });
    put(&app, &bob, "/reset-password", lasting).await;
    assert_eq!(app.waiting(&bob).await, Vec::<String>::new());
    assert_eq!(told(&app, &bob), ["password-set bob@people.example one"]);
    let all_at_once =
        json!({ "credentials": [temporary], "forcePasswordReset": true, "resetProof": "mailbox" });
    put(&app, &carol, "", all_at_once).await;
    // Nobody signs in with a temporary password where a mailed link alone sets the new one.
    assert_eq!(
        told(&app, &carol),
        ["password-reset-required carol@people.example one"]
    );
}

on_both!(where_the_old_password_is_dead_the_notice_says_so_and_never_the_opposite);
/// One by one and by an order: what the mail says is what the sign-in then does.
async fn where_the_old_password_is_dead_the_notice_says_so_and_never_the_opposite(app: TestApp) {
    let mailbox = app.mailbox().await;
    let (alice, bob, carol) = (
        app.user("alice").await,
        app.user("bob").await,
        app.user("carol").await,
    );
    let compromised = json!({ "forcePasswordReset": true, "compromised": true });
    put(&app, &alice, "", compromised).await;
    put(&app, &bob, "", json!({ "forcePasswordReset": true })).await;
    let token = operator(&app).await;
    let order = json!({
        "filter": { "usernames": ["carol"] }, "add": ["UPDATE_PASSWORD"], "compromised": true,
    });
    let cohort = (Method::POST, "/t1/users/required-actions");
    let answer = call(&app, &token, cohort, Some(&order)).await;
    assert_eq!(answer.body["count"], 1, "{}", answer.body);
    for (user, is_dead) in [(&alice, true), (&bob, false), (&carol, true)] {
        let mail = mailbox.expect(&user.email).await;
        let text = mail.text.clone().unwrap_or_default();
        assert_eq!(text.contains("Your old password no longer works"), is_dead);
        assert_eq!(text.contains("Sign in as you always do"), !is_dead);
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.sign_in(user).await;
        if is_dead {
            browser
                .assert_page("login")
                .assert_text("This password no longer works");
        } else {
            browser.assert_page("update-password");
        }
    }
    // Made compromised once it waits: told anew, and truly.
    put(
        &app,
        &bob,
        "",
        json!({ "forcePasswordReset": true, "compromised": true }),
    )
    .await;
    for _ in 0..100 {
        if mailbox.to(&bob.email).len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let newest = mailbox.expect(&bob.email).await;
    let text = newest.text.clone().unwrap_or_default();
    assert!(text.contains("Your old password no longer works"), "{text}");
}

on_both!(a_changed_address_is_told_to_the_former_one_as_well);
async fn a_changed_address_is_told_to_the_former_one_as_well(app: TestApp) {
    let mailbox = app.mailbox().await;
    let alice = app.user("alice").await;
    put(&app, &alice, "", json!({ "email": "new@people.example" })).await;
    assert_eq!(
        told(&app, &alice),
        [
            "email-changed alice@people.example one",
            "email-changed new@people.example one"
        ]
    );
    let mail = mailbox.expect("alice@people.example").await;
    assert!(mail.subject.contains("Your email address was changed"));
    // For three days, whatever is told is told to both; afterwards to the new address alone.
    put(&app, &alice, "", json!({ "forcePasswordReset": true })).await;
    assert_eq!(told(&app, &alice).len(), 4);
    app.advance(std::time::Duration::from_secs(73 * 3600));
    put(&app, &alice, "", json!({ "forcePasswordReset": false })).await;
    assert_eq!(
        told(&app, &alice)
            .iter()
            .filter(|mail| mail.starts_with("action-waived"))
            .collect::<Vec<_>>(),
        ["action-waived new@people.example one"]
    );
}

on_both!(a_cohort_and_a_longer_window_are_told_in_bulk);
async fn a_cohort_and_a_longer_window_are_told_in_bulk(app: TestApp) {
    app.mailbox().await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let nameless = app.user("nameless").await;
    app.change_user(&nameless, |user| user.email = None).await;
    let token = operator(&app).await;
    let cohort = "/t1/users/required-actions";
    let set =
        json!({ "filter": { "usernames": ["alice", "nameless"] }, "add": ["UPDATE_PASSWORD"] });
    let answer = call(&app, &token, (Method::POST, cohort), Some(&set)).await;
    assert_eq!(answer.body["count"], 2, "{}", answer.body);
    assert_eq!(
        told(&app, &alice),
        ["password-reset-required alice@people.example many"]
    );
    assert!(told(&app, &nameless).is_empty(), "there is no address");
    for (seconds, mails) in [(600, 2), (300, 2), (900, 3)] {
        let window = json!({ "accessCodeLifespanUserAction": seconds });
        let answer = call(&app, &token, (Method::PUT, "/t1"), Some(&window)).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert_eq!(told(&app, &alice).len(), mails, "{seconds}");
    }
    assert!(
        told(&app, &bob).is_empty(),
        "who waits for nothing hears nothing"
    );
    // Taken from both; only one of them had it.
    let take =
        json!({ "filter": { "usernames": ["alice", "bob"] }, "remove": ["UPDATE_PASSWORD"] });
    call(&app, &token, (Method::POST, cohort), Some(&take)).await;
    assert_eq!(
        told(&app, &alice),
        [
            "action-waived alice@people.example many",
            "password-reset-required alice@people.example many",
            "window-extended alice@people.example many",
            "window-extended alice@people.example many",
        ]
    );
    assert!(told(&app, &bob).is_empty());
}
