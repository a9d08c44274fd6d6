//! What the gate leaves in the audit trail.

use std::time::Duration;

use super::{NEW, at_the_gate};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(the_gate_is_written_down_when_it_opens_and_when_it_is_passed);
async fn the_gate_is_written_down_when_it_opens_and_when_it_is_passed(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    assert_eq!(app.events(&alice, "GATE_OPENED"), 1);
    assert_eq!(app.events(&alice, "GATE_PASSED"), 0);
    assert_eq!(app.events(&alice, "LOGIN"), 0, "nobody is signed in yet");
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
    for (kind, times) in [
        ("GATE_OPENED", 1),
        ("GATE_PASSED", 1),
        ("UPDATE_PASSWORD", 1),
        ("LOGIN", 1),
        ("GATE_EXPIRED", 0),
        ("GATE_BLOCKED", 0),
    ] {
        assert_eq!(app.events(&alice, kind), times, "{kind}");
    }
}

on_both!(a_window_that_ran_out_is_written_down);
async fn a_window_that_ran_out_is_written_down(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    app.advance(Duration::from_secs(301));
    browser.set_new_password(NEW).await.assert_page("login");
    assert_eq!(app.events(&alice, "GATE_EXPIRED"), 1);
    assert_eq!(app.events(&alice, "UPDATE_PASSWORD"), 0);
    assert_eq!(app.events(&alice, "GATE_PASSED"), 0);
}

on_both!(a_grant_that_the_gate_stopped_is_written_down_with_its_actions);
async fn a_grant_that_the_gate_stopped_is_written_down_with_its_actions(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let answer = app
        .legacy
        .password_grant(&alice.username, &alice.password)
        .await;
    answer.assert_error("invalid_grant");
    assert_eq!(app.events(&alice, "GATE_BLOCKED"), 1);
    let details = app.sql("SELECT details AS value FROM events WHERE kind = 'GATE_BLOCKED'");
    let details: serde_json::Value = serde_json::from_str(&details[0]).expect("JSON");
    assert_eq!(details["grant"], "password");
    assert_eq!(
        details["required_actions"],
        serde_json::json!(["UPDATE_PASSWORD"])
    );
    let wrong = app.legacy.password_grant(&alice.username, "wrong").await;
    wrong.assert_error("invalid_grant");
    assert_eq!(
        app.events(&alice, "GATE_BLOCKED"),
        1,
        "that was the password"
    );
}

on_both!(no_event_holds_a_password_a_code_or_a_token);
/// V171, as far as the audit trail goes.
async fn no_event_holds_a_password_a_code_or_a_token(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    let tokens = browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    let held = app.ledger.of(&alice);
    let trail = app.sql("SELECT details AS value FROM events").join("\n");
    let cookies = held.cookies.iter().flat_map(|cookies| cookies.values());
    let codes = held.codes.iter().map(|(code, _)| code);
    for secret in cookies
        .chain(codes)
        .chain(&held.passwords)
        .chain([&tokens.access, &tokens.id])
    {
        assert!(!trail.contains(secret.as_str()), "{secret} is in {trail}");
    }
}
