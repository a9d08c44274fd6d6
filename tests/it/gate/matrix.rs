//! Every grant times every state of the person: no cell gives a token. A grant or an action that is added to the
//! server is added to a list here and is covered.

use super::stock;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;
use crate::support::oracle::Credentials;

/// A state in which nothing may be issued.
#[derive(Clone, Copy, Debug)]
enum State {
    /// This action waits.
    Gated(&'static str),
    Disabled,
    Locked,
    Deleted,
    /// The realm wants a proved address and this person's is not.
    Unverified,
    /// An administrator's temporary password that is past its time.
    ExpiredTemporaryPassword,
}

const STATES: [State; 10] = [
    State::Gated("UPDATE_PASSWORD"),
    State::Gated("TERMS_AND_CONDITIONS"),
    State::Gated("UPDATE_PROFILE"),
    State::Gated("VERIFY_EMAIL"),
    State::Gated("AN_ACTION_OF_A_NEWER_NODE"),
    State::Disabled,
    State::Locked,
    State::Deleted,
    State::Unverified,
    State::ExpiredTemporaryPassword,
];

async fn bring_into(app: &TestApp, user: &User, state: State) {
    match state {
        State::Gated(action) => app.require(user, action).await,
        State::Disabled => app.disable(user).await,
        State::Locked => app.lock(user).await,
        State::Deleted => app.delete(user).await,
        State::Unverified => {
            app.change_realm(|realm| realm.settings.verify_email = true)
                .await;
            app.change_user(user, |user| user.email_verified = false)
                .await;
        }
        State::ExpiredTemporaryPassword => {
            app.set_password(user, &user.password, true).await;
            // The flag that came with it is taken away, so that it is the password's end that denies.
            app.database().execute(&format!(
                "UPDATE credentials SET expires_at = 1 WHERE user_id = '{0}'; \
                 DELETE FROM required_actions WHERE user_id = '{0}'",
                user.id
            ));
        }
    }
}

on_both!(no_grant_gives_anything_in_any_state_that_forbids_it);
/// V009, V022, V023, V024, V028: all cells deny, by `invalid_grant`, and no row is added.
async fn no_grant_gives_anything_in_any_state_that_forbids_it(app: TestApp) {
    for (number, state) in STATES.into_iter().enumerate() {
        let user = app.user(&format!("user-{number}")).await;
        stock(&app, &user).await;
        bring_into(&app, &user, state).await;
        let held = app.ledger.of(&user);
        let rows = app.token_rows(&user.id);
        deny(&app, &user, &held, state).await;
        assert!(app.token_rows(&user.id) <= rows, "{state:?}");
        // The order of the grants does not matter: once more, after all of them.
        deny(&app, &user, &held, state).await;
        app.assert_no_tokens_for(&user).await;
        if matches!(state, State::Unverified) {
            app.change_realm(|realm| realm.settings.verify_email = false)
                .await;
        }
    }
}

/// Code, refresh, offline and password: each refused.
async fn deny(app: &TestApp, user: &User, held: &Credentials, state: State) {
    for (rp, refresh) in &held.refresh {
        let answer = rp.refresh(refresh).await;
        answer.assert_error("invalid_grant");
        if let State::Gated(action) = state {
            assert_eq!(
                answer.text("error_description"),
                "Account is not fully set up",
                "{state:?}"
            );
            assert_eq!(
                answer.body["required_actions"],
                serde_json::json!([action]),
                "{state:?}"
            );
            assert!(
                answer
                    .text("continue_uri")
                    .starts_with(&format!("{}/login-actions/required-action?", app.issuer())),
                "{}",
                answer.body
            );
        }
    }
    let (code, asked) = held.codes.last().expect("a code not yet redeemed");
    let answer = asked.rp.redeem(code, &asked.verifier).await;
    answer.assert_error("invalid_grant");
    for legacy in [app.legacy.clone(), app.legacy.with_scope("offline_access")] {
        let answer = legacy.password_grant(&user.username, &user.password).await;
        assert!(
            (400..=401).contains(&answer.status) && answer.text("error") == "invalid_grant",
            "{state:?}: {} {}",
            answer.status,
            answer.body
        );
    }
}

on_both!(a_right_password_alone_is_told_what_waits);
/// V028: somebody who has not proved the credentials learns nothing of the gate.
async fn a_right_password_alone_is_told_what_waits(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    app.user("bob").await;
    let right = app.legacy.password_grant("alice", &alice.password).await;
    assert_eq!(
        right.text("error_description"),
        "Account is not fully set up"
    );
    let gated = app.legacy.password_grant("alice", "wrong").await;
    let free = app.legacy.password_grant("bob", "wrong").await;
    let nobody = app.legacy.password_grant("nobody", "wrong").await;
    assert_eq!((gated.status, &gated.body), (free.status, &free.body));
    assert_eq!((gated.status, &gated.body), (nobody.status, &nobody.body));
}

on_both!(a_refused_refresh_works_again_once_the_other_action_is_done);
/// V022: for other actions a gated refresh is neither consumed nor its family ended; a public client's rotates.
async fn a_refused_refresh_works_again_once_the_other_action_is_done(app: TestApp) {
    for action in ["TERMS_AND_CONDITIONS", "UPDATE_PROFILE"] {
        let user = app.user(&action.to_lowercase()).await;
        stock(&app, &user).await;
        app.require(&user, action).await;
        let held = app.ledger.of(&user);
        for (rp, refresh) in &held.refresh {
            rp.refresh(refresh).await.assert_error("invalid_grant");
        }
        finish_action(&app, &user).await;
        for (rp, refresh) in &held.refresh {
            let answer = rp.refresh(refresh).await;
            assert_eq!(answer.status, 200, "{action}: {}", answer.body);
        }
    }
}

async fn finish_action(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.sign_in(user).await;
    match browser.page().marker.as_deref() {
        Some("terms") => browser.press("accept").await,
        Some("update-profile") => {
            let fields = [("firstName", "Ada"), ("lastName", "Byron")];
            browser.fill_in(&fields).await
        }
        other => panic!("{other:?} is no page of these actions"),
    };
    browser.assert_redirect_to(&app.rp);
    browser
}

on_both!(an_action_that_this_server_does_not_know_gates);
/// V190: an older node beside a newer one.
async fn an_action_that_this_server_does_not_know_gates(app: TestApp) {
    let alice = app.user("alice").action("AN_ACTION_OF_A_NEWER_NODE").await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.sign_in(&alice).await;
    assert!(!browser.got_a_code(), "{browser}");
    let shown = browser.page().marker.clone().unwrap_or_default();
    assert!(["message", "error"].contains(&shown.as_str()), "{browser}");
    app.assert_no_tokens_for(&alice).await;
}

on_both!(several_actions_come_one_after_the_other_with_the_password_first);
/// The gate table of the contract: `UPDATE_PASSWORD` first, the others in the realm's order, then consent.
async fn several_actions_come_one_after_the_other_with_the_password_first(app: TestApp) {
    let alice = app
        .user("alice")
        .action("UPDATE_PROFILE")
        .action("TERMS_AND_CONDITIONS")
        .force_password_reset()
        .await;
    let mut browser = app.browser();
    browser
        .authorize(&app.consenting)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-password")
        .set_new_password(super::NEW)
        .await
        .assert_page("terms");
    app.assert_no_tokens_for(&alice).await;
    browser.press("accept").await.assert_page("update-profile");
    app.assert_no_tokens_for(&alice).await;
    browser
        .fill_in(&[("firstName", "Ada"), ("lastName", "Byron")])
        .await
        .assert_page("consent");
    browser
        .press("accept")
        .await
        .assert_redirect_to(&app.consenting)
        .exchange()
        .await
        .assert_tokens();
}

on_both!(terms_that_are_declined_open_nothing);
async fn terms_that_are_declined_open_nothing(app: TestApp) {
    let alice = app.user("alice").action("TERMS_AND_CONDITIONS").await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("terms")
        .press("cancel")
        .await
        .assert_error_to(&app.rp, "access_denied");
    assert_eq!(app.waiting(&alice).await, ["TERMS_AND_CONDITIONS"]);
    app.assert_no_tokens_for(&alice).await;
}
