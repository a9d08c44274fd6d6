//! What each purpose of a link leads to, whatever else waits on its person.

use vestibule::link::{Purpose, Sender};

use super::{NEW, mails, send_with, settled};
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

on_both!(whatever_waits_a_link_opens_the_pages_of_its_purpose_alone);
/// V181: each purpose with each action that may wait, and with one that nobody here can carry out. Nothing is signed
/// in before the password is set, and what waits beside it still waits then.
async fn whatever_waits_a_link_opens_the_pages_of_its_purpose_alone(app: TestApp) {
    app.mailbox().await;
    let waiting: [(&str, &[&str]); 5] = [
        ("UPDATE_PASSWORD", &["message"]),
        ("UPDATE_PROFILE", &["update-profile"]),
        // The mailbox is proved by then.
        ("VERIFY_EMAIL", &["message"]),
        ("TERMS_AND_CONDITIONS", &["terms"]),
        ("FROM_A_NEWER_NODE", &["error", "message"]),
    ];
    let mut all = Vec::new();
    for (purpose, page) in [
        (Purpose::PreRegistration, "update-password"),
        (Purpose::ForgottenPassword, "update-password"),
        (Purpose::Actions, "terms"),
        (Purpose::VerifyEmail, "login"),
        (Purpose::UpdateEmail, "login"),
    ] {
        for (action, then) in waiting {
            let name = format!("{}-{}", purpose.as_str(), action.to_lowercase());
            let user = app.user(&name).action(action);
            let user = match purpose {
                Purpose::PreRegistration => user.without_password().await,
                Purpose::VerifyEmail => user.unverified().await,
                _ => user.await,
            };
            let new_address = format!("new-{}", user.email);
            let mailed_to = User {
                email: match purpose {
                    Purpose::UpdateEmail => new_address.clone(),
                    _ => user.email.clone(),
                },
                ..user.clone()
            };
            let sender = match purpose {
                Purpose::ForgottenPassword | Purpose::UpdateEmail => Sender::Person,
                _ => Sender::Administrator,
            };
            send_with(&app, &user, (purpose, sender), move |new| match purpose {
                Purpose::Actions => new.actions = vec!["TERMS_AND_CONDITIONS".into()],
                Purpose::UpdateEmail => new.new_address = Some(new_address),
                _ => {}
            })
            .await;
            all.push((purpose, user, mailed_to, action, page, then));
        }
    }
    for (purpose, user, mailed_to, action, page, then) in all {
        let url = mails(&app, &mailed_to, 1).await.remove(0).url;
        settled(&app, &user).await;
        let mut browser = app.browser();
        browser.open(url).await.assert_page("link");
        assert_eq!(app.token_rows(&user.id), 0, "{}", user.username);
        browser.press("open").await.assert_page(page);
        assert_eq!(app.token_rows(&user.id), 0, "{}", user.username);
        match purpose {
            Purpose::Actions => {
                browser.press("accept").await.assert_page("message");
                let left = app.waiting(&user).await;
                let done = action == "TERMS_AND_CONDITIONS";
                assert_eq!(left.is_empty(), done, "{}: {left:?}", user.username);
                assert_eq!(app.token_rows(&user.id), 0, "{}", user.username);
            }
            Purpose::PreRegistration | Purpose::ForgottenPassword => {
                browser.set_new_password(NEW).await;
                let shown = browser.page().marker.clone().unwrap_or_default();
                assert!(
                    then.contains(&shown.as_str()),
                    "{}: {browser}",
                    user.username
                );
                let left = app.waiting(&user).await;
                let inside = then == ["message"];
                assert_eq!(left.is_empty(), inside, "{}: {left:?}", user.username);
                assert_eq!(app.token_rows(&user.id) == 1, inside, "{}", user.username);
                browser
                    .open_path("/realms/t1/account/")
                    .await
                    .assert_page(if inside { "account" } else { "login" });
            }
            Purpose::VerifyEmail | Purpose::UpdateEmail => {
                assert_eq!(app.waiting(&user).await, [action]);
            }
            // Those have tests of their own (`not_me`).
            Purpose::NotMe | Purpose::ClosedAccount => unreachable!("not in the list"),
        }
    }
}
