//! Bounces that come after a mail was taken: matched, counted, and a reason to stop a mailing.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::campaigns::{start, sums, until};
use super::{Admin, operator, people, with_prefix};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// Posts the report that a mail came back; answers how many mails that was.
async fn bounce(admin: &Admin<'_>, mail: &str) -> Value {
    let report = format!(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Message-ID: <{mail}@127.0.0.1>\r\n\r\n--b--\r\n"
    );
    let request = admin.send(Method::POST, "/mail/bounces").await;
    let request = request
        .header("Content-Type", "message/rfc822")
        .body(report);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["count"].clone()
}

/// The ids of the mailing's mails that were taken and did not come back.
fn taken(app: &TestApp, id: &str) -> Vec<String> {
    app.sql(&format!(
        "SELECT id AS value FROM outbox WHERE batch = '{id}' AND state = 'sent'"
    ))
}

async fn resume(admin: &Admin<'_>, id: &str) {
    let path = format!("/campaigns/{id}/resume");
    assert_eq!(admin.call(Method::POST, &path, None).await.status, 204);
}

on_both!(bounces_that_come_later_are_matched_and_stop_a_mailing);
async fn bounces_that_come_later_are_matched_and_stop_a_mailing(app: TestApp) {
    let admin = operator(&app);
    app.mailbox().await;
    people(&app, "bo", 60).await;
    let body = json!({ "name": "Old list", "kind": "pre-registration", "audience": with_prefix("bo"),
        "ratePerSecond": 5, "stopAtBounceRate": 0.1 });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}");
    admin
        .wait_for(&path, |shown| shown["funnel"]["sent"].as_i64() >= Some(20))
        .await;
    let sent = taken(&app, &id);
    for mail in &sent[..4] {
        assert_eq!(bounce(&admin, mail).await, 1);
    }
    assert_eq!(bounce(&admin, &sent[0]).await, 0, "known already");
    assert_eq!(bounce(&admin, "0199-not-ours").await, 0);
    let shown = until(&app, &id, "paused").await;
    assert_eq!(shown["reason"], "bounce-rate", "{shown}");
    assert_eq!(shown["funnel"]["bounced"], 4);
    let found = admin
        .get("/users/count?username=bo&mailState=bounced")
        .await;
    assert_eq!(found.body, 4);
    let wrong = admin.send(Method::POST, "/mail/bounces").await;
    let wrong = wrong.body("hello").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    // Somebody looks at it and lets it go on all the same.
    resume(&admin, &id).await;
    let shown = until(&app, &id, "done").await;
    assert_eq!((&shown["funnel"]["sent"], sums(&shown)), (&json!(56), 60));
}

on_both!(a_mailing_that_goes_on_after_bounces_is_judged_anew);
async fn a_mailing_that_goes_on_after_bounces_is_judged_anew(app: TestApp) {
    let admin = operator(&app);
    app.mailbox().await;
    people(&app, "an", 120).await;
    let body = json!({ "name": "Old list", "kind": "pre-registration", "audience": with_prefix("an"),
        "ratePerSecond": 8, "stopAtBounceRate": 0.1 });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}");
    admin
        .wait_for(&path, |shown| shown["funnel"]["sent"].as_i64() >= Some(20))
        .await;
    for mail in &taken(&app, &id)[..4] {
        bounce(&admin, mail).await;
    }
    until(&app, &id, "paused").await;
    // Until what was on its way has arrived.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let old = taken(&app, &id);
    resume(&admin, &id).await;
    let enough = i64::try_from(old.len()).unwrap() + 25;
    admin
        .wait_for(&path, |shown| {
            shown["funnel"]["sent"].as_i64() >= Some(enough)
        })
        .await;
    // Those of before come back late: a person knew of them and went on.
    for mail in &old[..8] {
        assert_eq!(bounce(&admin, mail).await, 1);
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let shown = admin.get(&path).await.body;
    assert_eq!(
        (&shown["state"], &shown["funnel"]["bounced"]),
        (&json!("running"), &json!(12)),
        "{shown}"
    );
    let old: BTreeSet<String> = old.into_iter().collect();
    let fresh = taken(&app, &id);
    for mail in fresh.iter().filter(|mail| !old.contains(*mail)).take(8) {
        assert_eq!(bounce(&admin, mail).await, 1);
    }
    let shown = until(&app, &id, "paused").await;
    assert_eq!(shown["reason"], "bounce-rate", "it stops again: {shown}");
}
