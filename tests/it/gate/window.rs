//! The five minutes: counted from the moment the old password was verified, by the transaction's clock.

use std::time::Duration;

use super::{NEW, at_the_gate};
use crate::support::app::{TestApp, User};
use crate::support::database::{on_both, on_postgres};

/// Who waits for a lock in PostgreSQL.
const WAITING: &str = "SELECT count(*) AS value FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Moves time to so many seconds after the person's newest proof.
async fn advance_to(app: &TestApp, user: &User, seconds: i64) {
    let proved: i64 = app.count(&format!(
        "SELECT max(proved_at) AS value FROM flows WHERE user_id = '{}'",
        user.id
    ));
    let now = app.tx(|tx| tx.now()).await.micros();
    let by = proved + seconds * 1_000_000 - now;
    app.advance(Duration::from_micros(
        by.try_into().expect("a time to come"),
    ));
}

on_both!(a_new_password_is_taken_at_four_minutes_fifty_nine);
/// V019, P2.
async fn a_new_password_is_taken_at_four_minutes_fifty_nine(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    advance_to(&app, &alice, 299).await;
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
}

on_both!(a_new_password_is_refused_at_five_minutes_and_one_second);
/// V019, P2: nothing changes, the page says so, and the old password leads to the gate again.
async fn a_new_password_is_refused_at_five_minutes_and_one_second(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let before = app.password_hash(&alice).await;
    let mut browser = at_the_gate(&app, &alice).await;
    advance_to(&app, &alice, 301).await;
    browser.set_new_password(NEW).await.assert_page("login");
    assert_eq!(app.password_hash(&alice).await, before);
    assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"]);
    let told = browser.page().text.to_lowercase();
    assert!(
        told.contains("ran out") && told.contains("nothing was changed"),
        "the page says what happened: {told}"
    );
    browser.sign_in(&alice).await.assert_page("update-password");
    app.assert_no_tokens_for(&alice).await;
    browser
        .set_new_password("yet another passphrase")
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(reloading_the_page_never_extends_the_window);
/// V019.
async fn reloading_the_page_never_extends_the_window(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let before = app.password_hash(&alice).await;
    let mut browser = at_the_gate(&app, &alice).await;
    for minute in 1..=4 {
        advance_to(&app, &alice, minute * 60).await;
        browser.reload().await.assert_page("update-password");
        browser.set_new_password("short").await;
        browser.assert_page("update-password");
    }
    advance_to(&app, &alice, 301).await;
    browser.set_new_password(NEW).await.assert_page("login");
    assert_eq!(app.password_hash(&alice).await, before);
}

on_both!(another_tab_never_extends_the_first_ones_window);
/// V019: each flow has the deadline of its own proof.
async fn another_tab_never_extends_the_first_ones_window(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let before = app.password_hash(&alice).await;
    let mut first = at_the_gate(&app, &alice).await;
    advance_to(&app, &alice, 120).await;
    let mut second = first.tab();
    second
        .authorize(&app.foreign)
        .await
        .assert_page("login")
        .sign_in(&alice)
        .await
        .assert_page("update-password");
    app.advance(Duration::from_secs(181));
    first.reload().await.assert_page("login");
    assert_eq!(app.password_hash(&alice).await, before);
    second
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.foreign);
}

on_both!(the_realm_says_how_long_the_window_is);
/// `accessCodeLifespanUserAction`.
async fn the_realm_says_how_long_the_window_is(app: TestApp) {
    app.change_realm(|realm| realm.settings.access_code_lifespan_user_action = 60)
        .await;
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    advance_to(&app, &alice, 61).await;
    browser.set_new_password(NEW).await.assert_page("login");
}

on_both!(a_temporary_password_that_died_is_not_revived_by_a_longer_lifespan);
/// V188.
async fn a_temporary_password_that_died_is_not_revived_by_a_longer_lifespan(app: TestApp) {
    let theo = app.user("theo").temporary_password("hand-me-over-1").await;
    app.advance(Duration::from_secs(14 * 24 * 3600 + 1));
    app.change_realm(|realm| {
        realm
            .settings
            .attributes
            .insert("temporaryPasswordLifespan".into(), "31536000".into());
    })
    .await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&theo)
        .await
        .assert_page("login");
    app.assert_no_tokens_for(&theo).await;
}

on_both!(a_stored_lifespan_that_is_no_number_never_means_for_ever);
async fn a_stored_lifespan_that_is_no_number_never_means_for_ever(app: TestApp) {
    for (name, lifespan) in [("theo", "-5"), ("thea", "soon")] {
        app.change_realm(|realm| {
            realm
                .settings
                .attributes
                .insert("temporaryPasswordLifespan".into(), lifespan.into());
        })
        .await;
        let user = app.user(name).temporary_password("hand-me-over-1").await;
        app.advance(Duration::from_secs(61));
        let mut browser = app.browser();
        browser
            .authorize(&app.rp)
            .await
            .sign_in(&user)
            .await
            .assert_page("login");
    }
}

on_postgres!(a_submit_that_waited_on_a_lock_across_the_end_is_refused);
/// V189: the clock is read after the lock was had, whichever lock of the row the other holds.
async fn a_submit_that_waited_on_a_lock_across_the_end_is_refused(app: TestApp) {
    for (name, lock) in [("alice", "FOR UPDATE"), ("bea", "FOR SHARE")] {
        let user = app.user(name).force_password_reset().await;
        let before = app.password_hash(&user).await;
        let mut browser = at_the_gate(&app, &user).await;
        advance_to(&app, &user, 270).await;
        let holder = app.database().connect().await;
        holder
            .batch_execute(&format!(
                "BEGIN; SELECT id FROM users WHERE id = '{}' {lock}",
                user.id
            ))
            .await
            .expect("the lock");
        let release = async {
            let asked = std::time::Instant::now();
            while app.count(WAITING) == 0 {
                let patience = Duration::from_secs(20);
                assert!(asked.elapsed() < patience, "nobody waits on {lock}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            app.advance(Duration::from_secs(31));
            holder.batch_execute("COMMIT").await.expect("the end");
        };
        tokio::join!(
            async {
                browser.set_new_password(NEW).await;
            },
            release
        );
        browser.assert_page("login");
        assert_eq!(app.password_hash(&user).await, before, "{lock}");
        app.assert_no_tokens_for(&user).await;
    }
}

on_postgres!(a_token_request_that_waited_for_a_flag_is_refused);
/// V183: a code and a refresh token, with and without rotation, whose grant meets a flag that is being set: it waits
/// for the flag, gets nothing, and what it showed is worth nothing after the flag is gone.
async fn a_token_request_that_waited_for_a_flag_is_refused(app: TestApp) {
    for (name, rotates, by_code) in [
        ("ann", false, true),
        ("bea", false, false),
        ("cleo", true, false),
    ] {
        app.change_realm(move |realm| realm.settings.revoke_refresh_token = rotates)
            .await;
        let user = app.user(name).await;
        let mut browser = app.browser();
        let arrival = browser
            .authorize(&app.rp)
            .await
            .sign_in(&user)
            .await
            .assert_redirect_to(&app.rp);
        let refresh = match by_code {
            true => String::new(),
            false => arrival
                .exchange()
                .await
                .assert_tokens()
                .refresh
                .expect("one"),
        };
        let ask = async || match by_code {
            true => app.rp.redeem(arrival.code(), &arrival.asked.verifier).await,
            false => app.rp.refresh(&refresh).await,
        };
        let (locked, is_locked) = tokio::sync::oneshot::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let id = user.id.clone();
        let flag = app.tx(move |tx| {
            use vestibule::action::assign::{self, Setting};
            use vestibule::store::dialect::{Lock, lock_user};
            lock_user(tx, &id, Lock::Update)?;
            locked.send(()).expect("somebody who waits");
            may_go.recv().expect("a sign");
            assign::set(tx, &id, "UPDATE_PASSWORD", &Setting::by("admin"))
        });
        let meet = async {
            is_locked.await.expect("the lock");
            let release = async {
                let asked = std::time::Instant::now();
                while app.count(WAITING) == 0 {
                    assert!(asked.elapsed() < Duration::from_secs(20), "nobody waits");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                go.send(()).expect("the flag");
            };
            tokio::join!(ask(), release).0
        };
        let (_, answer) = tokio::join!(flag, meet);
        answer.assert_error("invalid_grant");
        app.waive(&user, "UPDATE_PASSWORD").await;
        ask().await.assert_error("invalid_grant");
    }
}
