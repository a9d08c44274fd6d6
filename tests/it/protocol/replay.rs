//! Codes and refresh tokens shown again: by many at once, on two nodes, by others, and while they are revoked.
//!
//! In CI 100 tries at once; with `VESTIBULE_SOAK=1` 10,000 of a code and 1,000 of a refresh token, 500 at once.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use super::signed_in;
use crate::support::app::{TestApp, User};
use crate::support::database::{on_both, on_postgres, soak};
use crate::support::rp::{JsonAnswer, RelyingParty};

/// Tries at once, as many in the long form as it says. A server that is busy is asked again, as `Retry-After` has it.
async fn many(in_the_long_form: usize, ask: impl AsyncFn(usize) -> JsonAnswer) -> Vec<JsonAnswer> {
    let (tries, at_once) = if soak() {
        (in_the_long_form, 500)
    } else {
        (100, 100)
    };
    let ask = &ask;
    let asked = stream::iter(0..tries).map(|turn| async move {
        let mut answer = ask(turn).await;
        while answer.status == 503 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            answer = ask(turn).await;
        }
        answer
    });
    asked.buffer_unordered(at_once).collect().await
}

/// The one answer that is 200; every other one is `invalid_grant`.
#[track_caller]
fn winner(answers: &[JsonAnswer]) -> &JsonAnswer {
    let mut winners = Vec::new();
    for answer in answers {
        if answer.status == 200 {
            winners.push(answer);
        } else {
            answer.assert_error("invalid_grant");
        }
    }
    assert_eq!(winners.len(), 1, "winners of {}", answers.len());
    winners[0]
}

/// That what somebody won is over, because others came as well.
async fn assert_ended(rp: &RelyingParty, won: &JsonAnswer) {
    let refreshed = rp.refresh(won.text("refresh_token")).await;
    refreshed.assert_error("invalid_grant");
    assert_eq!(rp.userinfo(won.text("access_token")).await.status, 401);
}

on_both!(a_hundred_redemptions_of_one_code_have_one_winner);
/// V078: and the replays end what the winner got, also where that hangs on a session of its own.
async fn a_hundred_redemptions_of_one_code_have_one_winner(app: TestApp) {
    let bob = app.user("bob").await;
    for rp in [app.rp.clone(), app.rp.with_scope("offline_access")] {
        let (_, arrival) = signed_in(&app, &bob, &rp).await;
        let answers = many(10_000, async |_| {
            rp.redeem(arrival.code(), &arrival.asked.verifier).await
        });
        assert_ended(&rp, winner(&answers.await)).await;
    }
}

on_postgres!(two_nodes_redeem_one_code_once);
/// V078.
async fn two_nodes_redeem_one_code_once(app: TestApp) {
    let other = app.second_node().await.expect("a second node");
    let bob = app.user("bob").await;
    for scope in ["phone", "offline_access"] {
        let nodes = [app.rp.with_scope(scope), other.rp.with_scope(scope)];
        let (_, arrival) = signed_in(&app, &bob, &nodes[0]).await;
        let answers = many(10_000, async |turn| {
            let rp = &nodes[turn % 2];
            rp.redeem(arrival.code(), &arrival.asked.verifier).await
        })
        .await;
        for rp in &nodes {
            assert_ended(rp, winner(&answers)).await;
        }
    }
}

on_both!(a_replay_of_a_code_ends_the_offline_tokens_too);
/// V078: whoever shows it again, and also once the browser's session is over.
async fn a_replay_of_a_code_ends_the_offline_tokens_too(app: TestApp) {
    let bob = app.user("bob").await;
    let rp = app.rp.with_scope("offline_access");
    for (thief, signs_out) in [(&rp, false), (&app.foreign, false), (&rp, true)] {
        let (mut browser, arrival) = signed_in(&app, &bob, &rp).await;
        let first = rp.redeem(arrival.code(), &arrival.asked.verifier).await;
        assert_eq!(first.status, 200, "{}", first.body);
        if signs_out {
            let logout = "/realms/t1/protocol/openid-connect/logout";
            browser.open_path(logout).await.press("confirmLogout").await;
        }
        let kept = rp.refresh(first.text("refresh_token")).await;
        assert_eq!(kept.status, 200, "{}", kept.body);
        let again = thief.redeem(arrival.code(), &arrival.asked.verifier).await;
        again.assert_error("invalid_grant");
        for won in [&first, &kept] {
            assert_ended(&rp, won).await;
        }
    }
}

/// Tokens of a person at an application.
async fn refresh_token(app: &TestApp, bob: &User, rp: &RelyingParty) -> String {
    let (_, arrival) = signed_in(app, bob, rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    tokens.refresh.expect("a refresh token")
}

on_both!(a_hundred_uses_of_one_refresh_token_have_one_winner);
/// V079: and the family ends.
async fn a_hundred_uses_of_one_refresh_token_have_one_winner(app: TestApp) {
    let bob = app.user("bob").await;
    let refresh = refresh_token(&app, &bob, &app.native).await;
    let answers = many(1_000, async |_| app.native.refresh(&refresh).await).await;
    assert_ended(&app.native, winner(&answers)).await;
}

on_postgres!(two_nodes_take_one_refresh_token_once);
/// V079.
async fn two_nodes_take_one_refresh_token_once(app: TestApp) {
    let other = app.second_node().await.expect("a second node");
    let bob = app.user("bob").await;
    let nodes = [&app.native, &other.native];
    let refresh = refresh_token(&app, &bob, &app.native).await;
    let answers = many(1_000, async |turn| nodes[turn % 2].refresh(&refresh).await).await;
    for rp in nodes {
        assert_ended(rp, winner(&answers)).await;
    }
}

on_both!(a_refresh_token_that_another_client_shows_is_refused_and_lives);
/// V079: rotating or not; nobody ends a stranger's tokens by showing them.
async fn a_refresh_token_that_another_client_shows_is_refused_and_lives(app: TestApp) {
    let bob = app.user("bob").await;
    for (owner, thieves) in [
        (&app.rp, [&app.foreign, &app.native]),
        (&app.native, [&app.foreign, &app.rp]),
    ] {
        let refresh = refresh_token(&app, &bob, owner).await;
        for thief in thieves {
            thief.refresh(&refresh).await.assert_error("invalid_grant");
        }
        let answer = owner.refresh(&refresh).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Waits until somebody waits for a lock.
async fn somebody_waits(app: &TestApp) {
    let asked = Instant::now();
    while app.count(
        "SELECT count(*) AS value FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    ) == 0
    {
        assert!(asked.elapsed() < Duration::from_secs(20), "nobody waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_postgres!(a_refresh_that_meets_a_revocation_gives_nothing_that_lives);
/// V079, V084: held up where the gate locks the person's row, after its token was found; then the token is revoked, or
/// its code shown again.
async fn a_refresh_that_meets_a_revocation_gives_nothing_that_lives(app: TestApp) {
    let bob = app.user("bob").await;
    for replay in [false, true] {
        let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
        let first = app.rp.redeem(arrival.code(), &arrival.asked.verifier).await;
        let refresh = first.text("refresh_token");
        let holder = app.database().connect().await;
        let lock = format!("SELECT id FROM users WHERE id = '{}' FOR UPDATE", bob.id);
        let held = holder.batch_execute(&format!("BEGIN; {lock}")).await;
        held.expect("the lock");
        let revoke = async {
            somebody_waits(&app).await;
            if replay {
                let again = app.rp.redeem(arrival.code(), &arrival.asked.verifier).await;
                again.assert_error("invalid_grant");
            } else {
                let answer = app.rp.post("revoke", &[("token", refresh)]).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
            holder.batch_execute("COMMIT").await.expect("the end");
        };
        let (renewed, ()) = tokio::join!(app.rp.refresh(refresh), revoke);
        let access = renewed.text("access_token");
        assert_eq!(renewed.status, 200, "{}", renewed.body);
        assert_eq!(app.rp.userinfo(access).await.status, 401, "{replay}");
        assert_eq!(app.rp.introspect(access).await.body["active"], false);
        app.rp.refresh(refresh).await.assert_error("invalid_grant");
    }
}
