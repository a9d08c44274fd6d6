//! The pace of a mailing, measured at the mail server; on PostgreSQL with two nodes that share it.

use std::time::Duration;

use serde_json::json;

use super::{operator, people, with_prefix};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(a_pace_is_kept_however_many_nodes_there_are);
/// Ten a second: in any two seconds there are no more than thirty mails, which is the pace and one second's burst.
async fn a_pace_is_kept_however_many_nodes_there_are(app: TestApp) {
    let _other = app.second_node().await;
    let mailbox = app.mailbox().await;
    people(&app, "pa", 70).await;
    let body = json!({ "name": "Pace", "kind": "password-reset", "audience": with_prefix("pa"), "ratePerSecond": 10 });
    let started = std::time::Instant::now();
    let answer = operator(&app).post("/campaigns", body).await;
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let mut seen: Vec<(Duration, i64)> = Vec::new();
    let sent =
        format!("SELECT count(*) AS value FROM outbox WHERE batch = '{id}' AND state = 'sent'");
    loop {
        let count = app.count(&sent);
        seen.push((started.elapsed(), count));
        if count == 70 || started.elapsed() > Duration::from_secs(40) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen.last().unwrap().1, 70, "everybody is mailed");
    for (place, (at, count)) in seen.iter().enumerate() {
        let later = seen[place..]
            .iter()
            .take_while(|(then, _)| then.saturating_sub(*at) <= Duration::from_secs(2))
            .last()
            .unwrap();
        assert!(
            later.1 - count <= 31,
            "{} mails within two seconds",
            later.1 - count
        );
    }
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    for number in 0..70 {
        assert_eq!(
            mailbox.to(&format!("pa{number:04}@people.example")).len(),
            1
        );
    }
}

on_both!(nothing_is_sent_in_quiet_hours);
async fn nothing_is_sent_in_quiet_hours(app: TestApp) {
    let mailbox = app.mailbox().await;
    people(&app, "qu", 2).await;
    // From a minute ago until an hour from now, as the clock on the wall says in Tokyo.
    let now = app.store().clock().now();
    let wall = |seconds: i64| {
        let at = now.plus_seconds(seconds + 9 * 3600);
        let minutes = at.seconds().rem_euclid(24 * 3600) / 60;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    let hours = json!({ "from": wall(-60), "to": wall(3600), "timeZone": "Asia/Tokyo" });
    let body = json!({ "name": "Quiet", "kind": "password-reset", "audience": with_prefix("qu"), "quietHours": hours });
    let admin = operator(&app);
    let answer = admin.post("/campaigns", body).await;
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let path = format!("/campaigns/{id}");
    admin
        .wait_for(&path, |shown| shown["reason"] == "quiet-hours")
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(mailbox.to("qu0000@people.example").is_empty());
    app.advance(Duration::from_secs(3660));
    admin
        .wait_for(&path, |shown| shown["state"] == "done")
        .await;
    assert_eq!(mailbox.to("qu0000@people.example").len(), 1);
}
