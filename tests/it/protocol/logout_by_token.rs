//! Signing out by a refresh token, as the SDKs of Keycloak do.

use std::time::Duration;

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::on_both;
use crate::support::rp::{JsonAnswer, RelyingParty, Tokens};

const INVALID: &str = "Invalid refresh token";
const FOREIGN: &str = "Invalid refresh token. Token client and authorized client don't match";

async fn log_out(rp: &RelyingParty, token: &str) -> JsonAnswer {
    rp.post("logout", &[("refresh_token", token)]).await
}

async fn tokens_at(browser: &mut Browser, rp: &RelyingParty) -> Tokens {
    let arrival = browser.authorize(rp).await.assert_redirect_to(rp);
    arrival.exchange().await.assert_tokens()
}

fn refresh_of(tokens: &Tokens) -> &str {
    tokens.refresh.as_deref().expect("a refresh token")
}

async fn is_signed_in(browser: &Browser, rp: &RelyingParty) -> bool {
    let mut tab = browser.tab();
    tab.authorize_with(rp, &[("prompt", "none")])
        .await
        .got_a_code()
}

on_both!(a_client_signs_its_person_out_everywhere);
/// The session ends for every client; whoever asks twice hears the same.
async fn a_client_signs_its_person_out_everywhere(app: TestApp) {
    let bob = app.user("bob").await;
    for (nth, rp) in [(1, &app.rp), (2, &app.native)] {
        let (mut browser, arrival) = signed_in(&app, &bob, rp).await;
        let own = arrival.exchange().await.assert_tokens();
        let other = tokens_at(&mut browser, &app.foreign).await;
        for _ in 0..2 {
            let answer = log_out(rp, refresh_of(&own)).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        assert!(!is_signed_in(&browser, rp).await);
        for (rp, tokens) in [(rp, &own), (&app.foreign, &other)] {
            let refreshed = rp.refresh(refresh_of(tokens)).await;
            refreshed.assert_error("invalid_grant");
            assert_eq!(rp.userinfo(&tokens.access).await.status, 401);
        }
        assert_eq!(app.events(&bob, "LOGOUT"), nth, "one for both answers");
    }
    let by_clients =
        "SELECT count(*) AS value FROM events WHERE kind = 'LOGOUT' AND client_id IN ('rp', 'pub')";
    assert_eq!(app.count(by_clients), 2);
}

on_both!(a_client_ends_the_sessions_of_its_own_tokens_and_no_others);
/// V084, V099: another client's, another realm's, altered ones, other kinds; and by whom nobody knows.
async fn a_client_ends_the_sessions_of_its_own_tokens_and_no_others(app: TestApp) {
    app.make_realm("t2").await;
    let bob = app.user("bob").await;
    let carol = app.user_of("t2", "carol").await;
    let (browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let own = refresh_of(&tokens);
    let there = app.rp.in_realm("t2");
    let (elsewhere, arrival) = signed_in(&app, &carol, &there).await;
    let foreign = arrival.exchange().await.assert_tokens();

    for thief in [&app.native, &app.foreign] {
        let answer = log_out(thief, own).await;
        let answer = answer.assert_error("invalid_grant");
        assert_eq!(answer.text("error_description"), FOREIGN);
    }
    let (signed, _) = own.rsplit_once('.').expect("a signature");
    let (_, signature) = refresh_of(&foreign).rsplit_once('.').expect("a signature");
    let altered = format!("{signed}.{signature}");
    for token in [
        "x",
        "x.y.z",
        "",
        &altered,
        signed,
        refresh_of(&foreign),
        &tokens.access,
        &tokens.id,
    ] {
        let answer = log_out(&app.rp, token).await;
        let answer = answer.assert_error("invalid_grant");
        assert_eq!(answer.text("error_description"), INVALID, "{token}");
    }
    let refused = "SELECT count(*) AS value FROM events WHERE kind = 'LOGOUT_ERROR' AND error = 'invalid_token'";
    assert_eq!(app.count(refused), 10);

    let url = app.rp.endpoint("logout");
    for client in [
        &[][..],
        &[("client_id", "rp")],
        &[("client_id", "rp"), ("client_secret", "wrong")],
        &[("client_id", "nobody"), ("client_secret", "wrong")],
    ] {
        let form = [&[("refresh_token", own)][..], client].concat();
        let answer = app.http.post(&url).form(&form).send().await;
        let answer = JsonAnswer::read(answer.expect("an answer")).await;
        let said = (answer.status, answer.text("error"));
        assert_eq!(said, (401, "invalid_client"), "{client:?}");
    }
    let twice = app.rp.post("logout", &[("refresh_token", own); 2]).await;
    twice.assert_error("invalid_request");
    assert!(is_signed_in(&browser, &app.rp).await, "none ended anything");
    assert!(is_signed_in(&elsewhere, &there).await);
    assert_eq!(app.events(&bob, "LOGOUT"), 0);

    let secret = app.rp.secret.clone();
    let request = app.http.post(&url).basic_auth("rp", secret);
    let request = request.form(&[("refresh_token", own)]);
    let answer = request.header("origin", "https://rp.example").send().await;
    let answer = answer.expect("an answer");
    let readable = answer.headers()["access-control-allow-origin"].to_str();
    assert_eq!(readable.expect("ASCII"), "https://rp.example");
    assert_eq!(answer.status(), 204);
    assert!(!is_signed_in(&browser, &app.rp).await);
}

on_both!(a_token_that_is_worth_nothing_more_still_signs_out);
/// One that was exchanged, and one that was revoked.
async fn a_token_that_is_worth_nothing_more_still_signs_out(app: TestApp) {
    let bob = app.user("bob").await;
    let (browser, arrival) = signed_in(&app, &bob, &app.native).await;
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(app.native.refresh(refresh_of(&tokens)).await.status, 200);
    let answer = log_out(&app.native, refresh_of(&tokens)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert!(!is_signed_in(&browser, &app.native).await);

    let (browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let form = [("token", refresh_of(&tokens))];
    assert_eq!(app.rp.post("revoke", &form).await.status, 200);
    assert!(is_signed_in(&browser, &app.rp).await);
    let answer = log_out(&app.rp, refresh_of(&tokens)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert!(!is_signed_in(&browser, &app.rp).await);
}

on_both!(an_offline_token_ends_its_offline_session_alone);
async fn an_offline_token_ends_its_offline_session_alone(app: TestApp) {
    let bob = app.user("bob").await;
    let asking = app.rp.with_scope("offline_access");
    let (mut browser, arrival) = signed_in(&app, &bob, &asking).await;
    let offline = arrival.exchange().await.assert_tokens();
    let online = tokens_at(&mut browser, &app.foreign).await;
    let answer = log_out(&app.rp, refresh_of(&offline)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let refreshed = app.rp.refresh(refresh_of(&offline)).await;
    refreshed.assert_error("invalid_grant");
    assert!(is_signed_in(&browser, &app.foreign).await);

    let offline = tokens_at(&mut browser, &asking).await;
    let answer = log_out(&app.foreign, refresh_of(&online)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert!(!is_signed_in(&browser, &app.foreign).await);
    let refreshed = app.rp.refresh(refresh_of(&offline)).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
}

on_both!(who_has_to_set_a_password_first_can_be_signed_out);
async fn who_has_to_set_a_password_first_can_be_signed_out(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    app.force_password_reset(&bob).await;
    assert!(app.token_rows(&bob.id) > 0, "the session waits at the gate");
    let answer = log_out(&app.rp, refresh_of(&tokens)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let sessions = format!(
        "SELECT count(*) AS value FROM sessions WHERE user_id = '{}'",
        bob.id
    );
    assert_eq!(app.count(&sessions), 0);
    assert_eq!(
        app.waiting(&bob).await,
        ["UPDATE_PASSWORD"],
        "who waits, waits"
    );
}

on_both!(wrong_secrets_are_counted_here_as_at_the_token_endpoint);
/// Sixty in a minute, from one network, at either place.
async fn wrong_secrets_are_counted_here_as_at_the_token_endpoint(app: TestApp) {
    let mut guessing = app.rp.clone();
    guessing.secret = Some("wrong".to_owned());
    for _ in 0..60 {
        assert_eq!(log_out(&guessing, "x").await.status, 401);
    }
    assert_eq!(log_out(&guessing, "x").await.status, 429);
    assert_eq!(guessing.refresh("x").await.status, 429);
    app.advance(Duration::from_secs(120));
    assert_eq!(log_out(&guessing, "x").await.status, 401);
}
