//! Wrong passwords: how many are looked at, whom they shut out, and whom they must not.

use std::time::Duration;

use futures_util::future::join_all;

use super::signed_in;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

const WRONG: &str = "not the passphrase of anybody";

/// Wrong tries by somebody else, until the person is shut.
async fn shut(app: &TestApp, user: &User) {
    for _ in 0..6 {
        app.legacy
            .password_grant(&user.username, WRONG)
            .await
            .assert_error("invalid_grant");
    }
    app.legacy
        .password_grant(&user.username, &user.password)
        .await
        .assert_error("invalid_grant");
}

/// The browser as it is after signing out: it keeps what it is known by, and nothing else.
fn known(browser: &Browser) -> Browser {
    let mut kept = browser.cookies();
    kept.retain(|name, _| name.ends_with("_device"));
    assert_eq!(kept.len(), 1, "{:?}", browser.cookies().keys());
    let mut browser = browser.copy();
    browser.set_cookies(kept);
    browser
}

async fn try_in(app: &TestApp, browser: &Browser, user: &User, password: &str) -> Browser {
    let mut browser = browser.copy();
    browser.authorize(&app.rp).await.assert_page("login");
    browser.sign_in_with(user, password).await;
    browser
}

async fn gets_in(app: &TestApp, browser: &Browser, user: &User) -> bool {
    try_in(app, browser, user, &user.password)
        .await
        .got_a_code()
}

on_both!(of_many_wrong_passwords_at_once_five_are_looked_at);
/// V119: each try takes its slot before it is verified; the right password among them is refused once it is shut.
/// V121: the page and the grant share the slots.
async fn of_many_wrong_passwords_at_once_five_are_looked_at(app: TestApp) {
    let alice = app.user("alice").await;
    let wrong: Vec<String> = (0..24).map(|number| format!("{WRONG} {number}")).collect();
    let grants = wrong
        .iter()
        .map(|wrong| app.legacy.password_grant("alice", wrong));
    for answer in join_all(grants).await {
        assert!(matches!(answer.status, 400 | 503), "{}", answer.status);
    }
    let failed = |error: &str| {
        app.count(&format!(
            "SELECT count(*) AS value FROM events WHERE user_id = '{}' AND kind = 'LOGIN_ERROR' \
             AND error = '{error}'",
            alice.id
        ))
    };
    assert_eq!(failed("invalid_user_credentials"), 5);
    assert!(failed("user_temporarily_disabled") > 0);
    // Neither door takes the right one now, under whichever of the person's names.
    for name in ["alice", "ALICE", &alice.email] {
        app.legacy
            .password_grant(name, &alice.password)
            .await
            .assert_error("invalid_grant");
    }
    assert!(!gets_in(&app, &app.browser(), &alice).await);
    assert_eq!(failed("invalid_user_credentials"), 5);
    app.advance(Duration::from_secs(16 * 60));
    assert!(gets_in(&app, &app.browser(), &alice).await);
}

on_both!(of_many_browsers_that_try_at_once_five_are_looked_at);
/// V119: browsers with marks of their own making do not wait for each other, and share the person's slots all the same.
/// Once five were wrong the right password is refused too, among many others at once.
async fn of_many_browsers_that_try_at_once_five_are_looked_at(app: TestApp) {
    let alice = app.user("alice").await;
    let (browser, _) = signed_in(&app, &alice, &app.rp).await;
    let mark = known(&browser).cookies().into_keys().next();
    let mark = mark.expect("the cookie's name");
    let looked_at = || {
        app.count(&format!(
            "SELECT count(*) AS value FROM events WHERE user_id = '{}' AND kind = 'LOGIN_ERROR' \
             AND error = 'invalid_user_credentials'",
            alice.id
        ))
    };
    let mut browsers = Vec::new();
    for number in 0..28 {
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.assert_page("login");
        let mut cookies = browser.cookies();
        cookies.insert(mark.clone(), format!("{number:064}"));
        browser.set_cookies(cookies);
        browsers.push(browser);
    }
    let (first, second) = browsers.split_at_mut(14);
    let wrong = first
        .iter_mut()
        .map(|browser| browser.sign_in_with(&alice, WRONG));
    join_all(wrong).await;
    assert_eq!(looked_at(), 5);
    let mixed = second.iter_mut().enumerate().map(|(number, browser)| {
        let typed = if number % 3 == 0 {
            alice.password.as_str()
        } else {
            WRONG
        };
        browser.sign_in_with(&alice, typed)
    });
    join_all(mixed).await;
    assert_eq!(looked_at(), 5, "nothing more, right or wrong");
    assert!(browsers.iter().all(|browser| !browser.got_a_code()));
    app.advance(Duration::from_secs(16 * 60));
    assert!(gets_in(&app, &app.browser(), &alice).await);
}

on_both!(wrong_passwords_before_a_step_up_count_as_any_others);
/// V121: the page that asks somebody again shares the person's slots; in a browser that is known it shuts itself.
async fn wrong_passwords_before_a_step_up_count_as_any_others(app: TestApp) {
    let alice = app.user("alice").await;
    let again = [("prompt", "login")];
    let (known_browser, _) = signed_in(&app, &alice, &app.rp).await;
    let mut foreign = known_browser.copy();
    let mut cookies = foreign.cookies();
    cookies.retain(|name, _| !name.ends_with("_device"));
    foreign.set_cookies(cookies);
    let wrong = async |mut browser: Browser| {
        browser.authorize_with(&app.rp, &again).await;
        for _ in 0..5 {
            browser
                .assert_page("login")
                .sign_in_with(&alice, WRONG)
                .await;
        }
        browser.sign_in(&alice).await;
        assert!(!browser.got_a_code(), "the sixth try");
    };
    wrong(known_browser.copy()).await;
    let granted = app.legacy.password_grant("alice", &alice.password).await;
    assert_eq!(granted.status, 200, "elsewhere: {}", granted.body);
    wrong(foreign).await;
    app.legacy
        .password_grant("alice", &alice.password)
        .await
        .assert_error("invalid_grant");
    assert!(!gets_in(&app, &app.browser(), &alice).await);
}

on_both!(nobody_locks_a_person_out_of_the_browser_they_use);
/// V122: with a device cookie, though everybody else is shut, the network's limit is reached, and the realm has
/// Keycloak's protection, which locks the person at the mint. The lock of the others stays.
async fn nobody_locks_a_person_out_of_the_browser_they_use(app: TestApp) {
    let alice = app.user("alice").await;
    let (browser, _) = signed_in(&app, &alice, &app.rp).await;
    let home = known(&browser);
    for protected in [false, true] {
        app.change_realm(move |realm| realm.settings.brute_force_protected = protected)
            .await;
        shut(&app, &alice).await;
        assert_eq!(
            is_locked(&app, &alice).await,
            protected,
            "locked at the mint"
        );
        assert!(!gets_in(&app, &app.browser(), &alice).await);
        assert!(gets_in(&app, &home, &alice).await, "{protected}");
        assert!(!is_locked(&app, &alice).await, "unlocked at the mint");
        app.legacy
            .password_grant("alice", &alice.password)
            .await
            .assert_error("invalid_grant");
        app.advance(Duration::from_secs(3600));
    }
    // Somebody in the same network wears out what the network may try.
    for number in 0..35 {
        app.legacy
            .password_grant(&format!("nobody-{number}"), WRONG)
            .await
            .assert_error("invalid_grant");
    }
    assert!(!gets_in(&app, &app.browser(), &alice).await);
    assert!(gets_in(&app, &home, &alice).await);
}

on_both!(keycloaks_protection_shuts_what_a_person_holds_until_they_sign_in_where_they_are_known);
/// V122, as docs/threat-tests.md says it: without `bruteForceProtected` a stranger's wrong passwords touch nothing that
/// the person holds. With it the gate is shut for everything of theirs, as in Keycloak, until the lock is over or they
/// sign in with a browser that knows them; no session ends by it.
async fn keycloaks_protection_shuts_what_a_person_holds_until_they_sign_in_where_they_are_known(
    app: TestApp,
) {
    let alice = app.user("alice").await;
    let silent = [("prompt", "none")];
    for protected in [false, true] {
        app.change_realm(move |realm| realm.settings.brute_force_protected = protected)
            .await;
        let (mut browser, arrival) = signed_in(&app, &alice, &app.rp).await;
        let home = known(&browser);
        let tokens = arrival.exchange().await.assert_tokens();
        let refresh = tokens.refresh.clone().expect("a refresh token");
        shut(&app, &alice).await;
        let refreshed = app.rp.refresh(&refresh).await;
        let told = app.rp.userinfo(&tokens.access).await;
        browser.authorize_with(&app.rp, &silent).await;
        if protected {
            refreshed.assert_error("invalid_grant");
            assert_eq!(told.status, 401, "{}", told.body);
            browser.assert_error_to(&app.rp, "login_required");
            assert!(gets_in(&app, &home, &alice).await, "where she is known");
        } else {
            assert_eq!((refreshed.status, told.status), (200, 200));
            browser.assert_redirect_to(&app.rp);
        }
        // Nothing was used up, and no session has ended.
        let refreshed = app.rp.refresh(&refresh).await;
        assert_eq!(refreshed.status, 200, "{}", refreshed.body);
        browser
            .authorize_with(&app.rp, &silent)
            .await
            .assert_redirect_to(&app.rp);
        app.advance(Duration::from_secs(3600));
    }
    // Without such a browser it is over by itself.
    let (_, arrival) = signed_in(&app, &alice, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    shut(&app, &alice).await;
    app.rp.refresh(&refresh).await.assert_error("invalid_grant");
    app.advance(Duration::from_secs(1000));
    let refreshed = app.rp.refresh(&refresh).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
}

/// Whether the gate has the person as locked.
async fn is_locked(app: &TestApp, user: &User) -> bool {
    let id = user.id.clone();
    let (locked, now) = app
        .tx(move |tx| {
            let user = vestibule::user::rows::by_id(tx, &id)?.expect("the user");
            Ok((user.locked_until, tx.now()?))
        })
        .await;
    locked.is_some_and(|until| now < until)
}

on_both!(a_known_browser_has_tries_of_its_own_and_no_more_than_others);
/// V122: a copied device cookie is worth five tries, which are not those of the others, and locks nobody out.
async fn a_known_browser_has_tries_of_its_own_and_no_more_than_others(app: TestApp) {
    app.change_realm(|realm| realm.settings.brute_force_protected = true)
        .await;
    let alice = app.user("alice").await;
    let (browser, _) = signed_in(&app, &alice, &app.rp).await;
    let home = known(&browser);
    for _ in 0..5 {
        try_in(&app, &home, &alice, WRONG)
            .await
            .assert_page("login");
    }
    assert!(!gets_in(&app, &home, &alice).await, "the sixth");
    assert!(!is_locked(&app, &alice).await, "not locked at the mint");
    assert!(gets_in(&app, &app.browser(), &alice).await, "elsewhere");
    app.advance(Duration::from_secs(61));
    assert!(gets_in(&app, &home, &alice).await, "after a minute");
}

on_both!(a_device_cookie_is_of_one_person_and_ends_with_the_password);
/// V122: it helps nobody else, in no other realm, not changed, and not after a new password; an attacker's own is
/// worth nothing for somebody else. What is answered tells nothing (V052), and the cookie names nobody.
async fn a_device_cookie_is_of_one_person_and_ends_with_the_password(app: TestApp) {
    let alice = app.user("alice").await;
    let mallory = app.user("mallory").await;
    let (browser, _) = signed_in(&app, &alice, &app.rp).await;
    let home = known(&browser);
    let (browser, _) = signed_in(&app, &mallory, &app.rp).await;
    let attacker = known(&browser);
    shut(&app, &alice).await;
    assert!(!gets_in(&app, &attacker, &alice).await);

    let told = |browser: &Browser| {
        let page = browser.page();
        (
            browser.answer.status,
            page.text.clone(),
            browser.cookies().len(),
        )
    };
    let with = told(&try_in(&app, &attacker, &alice, WRONG).await);
    let nobody = User {
        username: "noone".to_owned(),
        ..alice.clone()
    };
    assert_eq!(with, told(&try_in(&app, &attacker, &nobody, WRONG).await));

    let mark = home.cookie("_device").expect("a mark");
    assert!(!mark.contains(alice.id.as_str()) && !mark.contains("alice"));
    for forged in [
        mark.replace(&mark[20..24], "AAAA"),
        mark[..60].to_owned(),
        format!("{}{mark}", "A"),
        "A".repeat(64),
        "x".to_owned(),
    ] {
        let mut browser = home.copy();
        let cookies = browser.cookies();
        let name = cookies.keys().next().expect("its name").clone();
        browser.set_cookies([(name, forged)].into());
        assert!(!gets_in(&app, &browser, &alice).await);
    }
    // Two people at one browser are both known there.
    let mut shared = home.copy();
    shared
        .authorize(&app.rp)
        .await
        .sign_in(&mallory)
        .await
        .assert_redirect_to(&app.rp);
    let shared = known(&shared);
    assert!(gets_in(&app, &shared, &alice).await);

    app.advance(Duration::from_secs(3600));
    app.set_password(&alice, "another passphrase of hers", false)
        .await;
    let alice = User {
        password: "another passphrase of hers".to_owned(),
        ..alice
    };
    shut(&app, &alice).await;
    for old in [&home, &shared] {
        assert!(!gets_in(&app, old, &alice).await);
    }
}

on_both!(nobody_takes_the_address_of_another_as_user_name);
/// V122: user names and addresses are one set of names, by their folded form.
async fn nobody_takes_the_address_of_another_as_user_name(app: TestApp) {
    use vestibule::user::rows::{self, Conflict};
    let alice = app.user("alice").await;
    let mallory = app.user("mallory").await;
    for name in [
        alice.email.clone(),
        alice.email.to_uppercase(),
        alice.email.replace("people", "\u{ff50}eople"),
    ] {
        let id = mallory.id.clone();
        let refused = app
            .tx(move |tx| {
                let mut user = rows::by_id(tx, &id)?.expect("the user");
                user.username = name;
                rows::update(tx, &user, true)
            })
            .await;
        assert_eq!(refused, Err(Conflict::Username));
    }
    let id = mallory.id.clone();
    let refused = app
        .tx(move |tx| {
            let mut user = rows::by_id(tx, &id)?.expect("the user");
            user.email = Some("ALICE".to_owned());
            rows::update(tx, &user, true)
        })
        .await;
    assert_eq!(refused, Err(Conflict::Email));
    assert!(gets_in(&app, &app.browser(), &alice).await);
}
