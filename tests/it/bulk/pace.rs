//! The pace of a mailing, measured at the mail server; on PostgreSQL with two nodes that share it.

use std::time::Duration;

use serde_json::json;

use super::{operator, people, quiet, with_prefix};
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
    let hours = quiet(&app, (-60, 3600));
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

on_both!(a_pace_of_one_domain_holds_and_others_pass);
/// Twenty a minute to each domain, however it is spelled: the second mail to one waits for three seconds, and those to
/// other domains do not wait behind it.
async fn a_pace_of_one_domain_holds_and_others_pass(app: TestApp) {
    let mailbox = app.mailbox().await;
    people(&app, "dps", 4).await;
    people(&app, "dpo", 12).await;
    for (prefix, address) in [
        ("dps0", "username || '@slow.example'"),
        // The same domain.
        ("dps0000", "username || '@Slow.Example'"),
        ("dpo", "username || '@' || username || '.example'"),
    ] {
        app.database().execute(&format!(
            "UPDATE users SET email = {address} WHERE username LIKE '{prefix}%'"
        ));
    }
    let body = json!({ "name": "Domains", "kind": "password-reset", "audience": with_prefix("dp"),
        "perDomainRatePerMinute": 20 });
    let answer = operator(&app).post("/campaigns", body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let sent_to = |prefix: &str| {
        let rows = app.sql(&format!(
            "SELECT settled_at AS value FROM outbox WHERE batch = '{id}' AND state = 'sent' \
             AND recipient LIKE '{prefix}%' ORDER BY settled_at"
        ));
        let times = rows.iter().map(|at| at.parse::<i64>().expect("a time"));
        times.collect::<Vec<_>>()
    };
    let started = std::time::Instant::now();
    while sent_to("dp").len() < 16 {
        assert!(started.elapsed() < Duration::from_secs(60), "never sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (slow, others) = (sent_to("dps"), sent_to("dpo"));
    assert_eq!((slow.len(), others.len()), (4, 12));
    let second = 1_000_000;
    assert!(
        slow[3] - slow[0] >= 8 * second,
        "three times three seconds: {slow:?}"
    );
    assert!(others[11] < slow[2], "the others pass: {others:?} {slow:?}");
    assert_eq!(mailbox.to("dps0000@Slow.Example").len(), 1);
    for number in 0..12 {
        let to = format!("dpo{number:04}@dpo{number:04}.example");
        assert_eq!(mailbox.to(&to).len(), 1, "{to}");
    }
}
