//! Reminders: who has not come is written to once more, with a link that works.

use std::time::Duration;

use serde_json::json;
use vestibule::demo::mailbox::Received;

use super::campaigns::{start, until, words};
use super::{people, quiet, with_prefix};
use crate::link::NEW;
use crate::link::redeem::{at_the_gate, onwards};
use crate::support::app::TestApp;
use crate::support::database::on_both;
use crate::support::mailbox::Mailbox;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn link(mail: &Received) -> String {
    words(mail)
        .split_whitespace()
        .find(|word| word.contains("/login-actions/link/"))
        .expect("a link")
        .to_owned()
}

/// The links that were mailed to one of [`people`], newest first.
fn links(mailbox: &Mailbox, name: &str) -> Vec<String> {
    let mails = mailbox.to(&format!("{name}@people.example"));
    mails.iter().map(|mail| link(mail)).collect()
}

on_both!(who_has_not_come_is_reminded_with_the_same_link);
async fn who_has_not_come_is_reminded_with_the_same_link(app: TestApp) {
    let mailbox = app.mailbox().await;
    let ids = people(&app, "re", 2).await;
    let body = json!({ "name": "Come", "kind": "pre-registration", "audience": with_prefix("re"),
        "remindAfterDays": 3 });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    mailbox.expect("re0001@people.example").await;
    let first = links(&mailbox, "re0001")[0].clone();
    let came = ids[0].clone();
    app.advance(Duration::from_secs(60));
    app.tx(move |tx| {
        let now = tx.now()?;
        vestibule::user::rows::note_sign_in(tx, &came, now)
    })
    .await;
    app.advance(3 * DAY);
    let shown = until(&app, &id, "done").await;
    assert_eq!(shown["funnel"]["signedIn"], 1, "{shown}");
    assert_eq!(links(&mailbox, "re0000").len(), 1, "has come");
    let mailed = links(&mailbox, "re0001");
    assert_eq!(
        mailed,
        [first.clone(), first],
        "the same link while it lives"
    );
}

on_both!(who_has_not_come_gets_a_fresh_working_link_where_the_first_has_expired);
async fn who_has_not_come_gets_a_fresh_working_link_where_the_first_has_expired(app: TestApp) {
    let mailbox = app.mailbox().await;
    let ids = people(&app, "fr", 2).await;
    let body = json!({ "name": "Late", "kind": "pre-registration", "audience": with_prefix("fr"),
        "lifespan": 3600, "remindAfterDays": 1 });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    mailbox.expect("fr0001@people.example").await;
    let first = links(&mailbox, "fr0001")[0].clone();
    let came = ids[0].clone();
    app.advance(Duration::from_secs(60));
    app.tx(move |tx| {
        let now = tx.now()?;
        vestibule::user::rows::note_sign_in(tx, &came, now)
    })
    .await;
    app.advance(DAY);
    until(&app, &id, "done").await;
    assert_eq!(links(&mailbox, "fr0000").len(), 1, "has come");
    let mailed = links(&mailbox, "fr0001");
    assert_eq!(mailed.len(), 2);
    assert_ne!(mailed[0], first, "a fresh link");

    // A press within ten seconds of the mail would be taken for a machine's.
    app.advance(Duration::from_secs(11));
    let mut browser = app.browser();
    let open = |link: &str| url::Url::parse(link).expect("an address");
    browser.open(open(&first)).await.assert_page("message");
    let mut browser = at_the_gate(&app, &open(&mailed[0])).await;
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(onwards(&browser), format!("{}/account/", app.issuer()));
    let shown = super::operator(&app)
        .get(&format!("/campaigns/{id}"))
        .await
        .body;
    let funnel = &shown["funnel"];
    assert_eq!(
        (&funnel["opened"], &funnel["passwordSet"]),
        (&json!(1), &json!(1)),
        "{shown}"
    );
    assert_eq!(funnel["signedIn"], 2, "{shown}");
}

on_both!(nobody_is_reminded_who_was_disabled_meanwhile);
/// Whether the first link lives or has expired.
async fn nobody_is_reminded_who_was_disabled_meanwhile(app: TestApp) {
    let mailbox = app.mailbox().await;
    for (prefix, lifespan) in [("dl", 7 * 24 * 3600), ("dx", 3600)] {
        let off = app.user(&format!("{prefix}-off")).without_password().await;
        app.user(&format!("{prefix}-on")).without_password().await;
        let body = json!({ "name": "Off", "kind": "pre-registration", "audience": with_prefix(prefix),
            "lifespan": lifespan, "remindAfterDays": 1 });
        let id = start(&app, body).await;
        until(&app, &id, "reminding").await;
        app.disable(&off).await;
        app.advance(DAY + Duration::from_secs(60));
        until(&app, &id, "done").await;
        assert_eq!(
            links(&mailbox, &format!("{prefix}-off")).len(),
            1,
            "{prefix}"
        );
        assert_eq!(
            links(&mailbox, &format!("{prefix}-on")).len(),
            2,
            "{prefix}"
        );
    }
}

on_both!(nobody_is_reminded_in_quiet_hours);
async fn nobody_is_reminded_in_quiet_hours(app: TestApp) {
    let mailbox = app.mailbox().await;
    people(&app, "qr", 1).await;
    let body = json!({ "name": "Quiet", "kind": "pre-registration", "audience": with_prefix("qr"),
        "lifespan": 3600, "remindAfterDays": 1, "quietHours": quiet(&app, (3600, 2 * 3600)) });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    assert_eq!(links(&mailbox, "qr0000").len(), 1);
    // The time to remind has come, and it is quiet.
    app.advance(DAY + Duration::from_secs(5400));
    let path = format!("/campaigns/{id}");
    super::operator(&app)
        .wait_for(&path, |shown| shown["reason"] == "quiet-hours")
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(links(&mailbox, "qr0000").len(), 1, "not in quiet hours");
    app.advance(Duration::from_secs(3600));
    until(&app, &id, "done").await;
    assert_eq!(links(&mailbox, "qr0000").len(), 2);
}
