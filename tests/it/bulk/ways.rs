//! V040: however an administrator gives somebody another password, or takes the one there is away, everything that the
//! person had before is dead on both nodes at once: sessions, tokens, codes, links.

use reqwest::Method;
use serde_json::json;
use vestibule::import::{IfExists, Options};
use vestibule::link::State;

use super::operator;
use crate::gate::stock;
use crate::import::import;
use crate::link::{settled, states};
use crate::support::app::{TestApp, User};
use crate::support::database::{on_both, on_postgres};

#[derive(Clone, Copy, Debug)]
enum Way {
    Permanent,
    Temporary,
    Import,
    ImportTemporary,
    Compromised,
    CompromisedCohort,
    Cohort,
}

impl Way {
    const ALL: [Self; 7] = [
        Self::Permanent,
        Self::Temporary,
        Self::Import,
        Self::ImportTemporary,
        Self::Compromised,
        Self::CompromisedCohort,
        Self::Cohort,
    ];

    async fn go(self, app: &TestApp, user: &User) {
        let admin = operator(app);
        let of = |path: &str| format!("/users/{}{path}", user.id);
        let set = |temporary: bool| json!({ "type": "password", "value": "what the desk has set", "temporary": temporary });
        let filter = json!({ "username": user.username });
        let answer = match self {
            Self::Permanent => {
                let body = Some(set(false));
                admin.call(Method::PUT, &of("/reset-password"), body).await
            }
            Self::Temporary => {
                let body = Some(set(true));
                admin.call(Method::PUT, &of("/reset-password"), body).await
            }
            Self::Import | Self::ImportTemporary => {
                let options = Options {
                    if_exists: IfExists::Update,
                    overwrite_passwords: true,
                    ..Options::default()
                };
                let temporary = matches!(self, Self::ImportTemporary);
                let file = format!(
                    "username,email,password,temporary\n{},{},what the file has set,{temporary}\n",
                    user.username, user.email
                );
                let report = import(app, &options, file).await;
                assert_eq!(report.rows.len(), 1);
                return;
            }
            Self::Compromised => {
                let body = json!({ "forcePasswordReset": true, "compromised": true });
                admin.call(Method::PUT, &of(""), Some(body)).await
            }
            Self::CompromisedCohort | Self::Cohort => {
                let compromised = matches!(self, Self::CompromisedCohort);
                let body = json!({
                    "filter": filter, "add": ["UPDATE_PASSWORD"], "compromised": compromised,
                });
                admin.post("/users/required-actions", body).await
            }
        };
        assert!(
            answer.status < 300,
            "{self:?}: {} {}",
            answer.status,
            answer.body
        );
    }
}

/// Somebody who has everything that can be had, and a link in the mail.
async fn somebody(app: &TestApp, at: &TestApp, way: Way) -> User {
    let user = app.user(&format!("way-{way:?}").to_lowercase()).await;
    stock(at, &user).await;
    let path = format!("/users/{}/execute-actions-email", user.id);
    let sent = operator(app)
        .call(Method::PUT, &path, Some(json!(["TERMS_AND_CONDITIONS"])))
        .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    settled(app, &user).await;
    assert_eq!(states(app, &user).await, [State::Sent]);
    user
}

on_both!(however_a_password_is_replaced_everything_older_is_dead);
async fn however_a_password_is_replaced_everything_older_is_dead(app: TestApp) {
    app.mailbox().await;
    for way in Way::ALL {
        let user = somebody(&app, &app, way).await;
        let older = app.ledger.of(&user);
        way.go(&app, &user).await;
        eprintln!("{way:?}");
        app.assert_nothing_opens(&user, &older).await;
        // A flag alone asks for what the link leads to; every other way takes the link's ground away.
        if !matches!(way, Way::Cohort) {
            assert_eq!(states(&app, &user).await, [State::Revoked], "{way:?}");
        }
    }
}

on_postgres!(what_one_node_replaces_is_dead_on_the_other);
async fn what_one_node_replaces_is_dead_on_the_other(app: TestApp) {
    app.mailbox().await;
    let other = app.second_node().await.expect("a second node");
    for way in [Way::Permanent, Way::Import, Way::CompromisedCohort] {
        let user = somebody(&app, &other, way).await;
        let older = other.ledger.of(&user);
        way.go(&app, &user).await;
        eprintln!("{way:?}");
        other.assert_nothing_opens(&user, &older).await;
    }
}
