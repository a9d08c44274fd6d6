//! Many at once: submits of one form, and flows of one browser.

use futures_util::future::join_all;

use super::{NEW, at_the_gate};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(of_two_hundred_submits_at_once_one_wins);
/// P3, lesson 3: one hash, one audit event, one code.
async fn of_two_hundred_submits_at_once_one_wins(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let gate = at_the_gate(&app, &alice).await;
    let mut browsers: Vec<_> = (0..200)
        .map(|number| {
            let mut browser = gate.clone();
            browser.set_cookies(gate.cookies());
            (number, browser.copy(), browser.page().clone())
        })
        .collect();
    join_all(browsers.iter_mut().map(|(number, browser, page)| {
        browser.page = Some(page.clone());
        async move {
            let new = format!("{NEW} of number {number}");
            browser.set_new_password(&new).await;
        }
    }))
    .await;
    let winners = browsers
        .iter()
        .filter(|(_, browser, _)| browser.got_a_code())
        .count();
    assert_eq!(winners, 1, "one gets the code");
    assert_eq!(app.events(&alice, "UPDATE_PASSWORD"), 1);
    assert_eq!(app.events(&alice, "GATE_PASSED"), 1);
    let codes = format!(
        "SELECT count(*) AS value FROM codes WHERE user_id = '{}'",
        alice.id
    );
    assert_eq!(app.count(&codes), 1);
    assert_eq!(
        app.count(&codes.replace("codes", "sessions")),
        1,
        "one session"
    );
    assert_eq!(
        app.count(&codes.replace("codes", "password_history")),
        1,
        "one change"
    );
    let (number, _, _) = browsers
        .iter()
        .find(|(_, browser, _)| browser.got_a_code())
        .expect("the winner");
    app.browser()
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, &format!("{NEW} of number {number}"))
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(twenty_flows_of_one_browser_live_side_by_side);
/// A new flow never ends another tab's, and what is signed in in one tab leads on in the others.
async fn twenty_flows_of_one_browser_live_side_by_side(app: TestApp) {
    let bob = app.user("bob").await;
    let browser = app.browser();
    let mut tabs = Vec::new();
    for number in 0..20 {
        let mut tab = browser.tab();
        let rp = if number % 2 == 0 {
            &app.rp
        } else {
            &app.foreign
        };
        tab.authorize(rp).await.assert_page("login");
        tabs.push((tab, rp));
    }
    for (tab, rp) in &mut tabs {
        tab.sign_in(&bob)
            .await
            .assert_redirect_to(rp)
            .exchange()
            .await
            .assert_tokens();
    }
    let sessions = format!(
        "SELECT count(*) AS value FROM sessions WHERE user_id = '{}'",
        bob.id
    );
    assert_eq!(app.count(&sessions), 1, "one browser, one session");
}

on_both!(twenty_tabs_reach_the_gate_and_the_first_to_finish_leads_all_on);
/// Each tab reaches its own page by one sign-in; a page that another tab made stale loses nothing but what was typed.
async fn twenty_tabs_reach_the_gate_and_the_first_to_finish_leads_all_on(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let browser = app.browser();
    let mut tabs = Vec::new();
    for _ in 0..20 {
        let mut tab = browser.tab();
        tab.authorize(&app.rp).await.assert_page("login");
        tabs.push(tab);
    }
    for tab in &mut tabs {
        tab.sign_in(&alice).await.assert_page("update-password");
    }
    let mut first = tabs.remove(7);
    first
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    for tab in &mut tabs {
        tab.set_new_password("another new passphrase").await;
        tab.assert_redirect_to(&app.rp);
    }
    assert_eq!(
        app.events(&alice, "UPDATE_PASSWORD"),
        1,
        "the first to finish set it"
    );
}
