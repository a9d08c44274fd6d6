//! The list of audit events and its filters.

use reqwest::Method;
use serde_json::Value;
use vestibule::kernel::{Entropy, Timestamp, UserId};
use vestibule::realm;
use vestibule::store::events::{self, Event};

use super::{call, operator};
use crate::support::app::TestApp;
use crate::support::database::on_both;

const DAY: i64 = 86_400;

/// Noon twenty days ago (UTC), in seconds: the day of the first event.
fn noon(app: &TestApp) -> i64 {
    let now = app.store().clock().now().seconds();
    (now - now.rem_euclid(DAY)) + DAY / 2 - 20 * DAY
}

/// The date so many days after that of the first event.
fn date(app: &TestApp, later: i64) -> String {
    let at = chrono::DateTime::from_timestamp(noon(app) + later * DAY, 0);
    at.expect("a time").format("%Y-%m-%d").to_string()
}

/// One event a day, by what tells them apart.
const RECORDED: [(&str, &str, &str, &str); 4] = [
    ("LOGIN", "u-ann", "app", "192.0.2.1"),
    ("LOGIN_ERROR", "u-ann", "app", "192.0.2.2"),
    ("LOGIN", "u-ben", "other-app", "192.0.2.1"),
    ("GATE_OPENED", "u-ben", "app", "2001:db8::1"),
];

async fn record(app: &TestApp) {
    let noon = noon(app);
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, "t1")?.expect("realm t1");
        for (day, (kind, user, client, from)) in (0..).zip(RECORDED) {
            let event = Event::new(&realm.id, kind)
                .user(&UserId::new(user))
                .client(client)
                .from(from);
            let at = Timestamp::from_seconds(noon + day * DAY);
            events::record(tx, &Entropy, at, event)?;
        }
        Ok(())
    })
    .await;
}

on_both!(every_filter_of_the_events_filters);
async fn every_filter_of_the_events_filters(app: TestApp) {
    record(&app).await;
    let admin = operator(&app).await;
    let noon = noon(&app);
    let (from, from_millis) = (date(&app, 2), (noon + 2 * DAY) * 1000);
    // The days of the events that are listed: 1 for the first.
    let days = async |query: &str| -> Vec<i64> {
        let path = format!("/realms/t1/events?dateTo={}&{query}", date(&app, 8));
        let answer = call(&app, &admin, (&Method::GET, &path), None).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let list: Vec<Value> = serde_json::from_str(&answer.text).unwrap();
        list.iter()
            .map(|event| (event["time"].as_i64().unwrap() / 1000 - noon) / DAY + 1)
            .collect()
    };
    for (query, expected) in [
        ("", vec![4, 3, 2, 1]),
        ("direction=desc", vec![4, 3, 2, 1]),
        ("direction=asc", vec![1, 2, 3, 4]),
        ("direction=asc&first=1&max=2", vec![2, 3]),
        ("type=LOGIN", vec![3, 1]),
        ("type=LOGIN&type=LOGIN_ERROR", vec![3, 2, 1]),
        ("type=LOGIN&max=1", vec![3]),
        // One of Keycloak's that nothing here records.
        ("type=REGISTER", vec![]),
        ("client=app", vec![4, 2, 1]),
        ("client=nobody", vec![]),
        ("user=u-ben", vec![4, 3]),
        ("ipAddress=192.0.2.1", vec![3, 1]),
        ("ipAddress=2001:db8::1", vec![4]),
        (&format!("dateFrom={from}"), vec![4, 3]),
        (&format!("dateFrom={from_millis}"), vec![4, 3]),
        (
            "type=LOGIN&client=app&user=u-ann&ipAddress=192.0.2.1",
            vec![1],
        ),
    ] {
        assert_eq!(days(query).await, expected, "{query}");
    }
    for (until, expected) in [
        // The day itself is in it, and so is the millisecond.
        (date(&app, 1), 2),
        (((noon + DAY) * 1000).to_string(), 2),
        (((noon + DAY) * 1000 - 1).to_string(), 1),
        (date(&app, -1), 0),
    ] {
        let first = date(&app, -5);
        let path = format!("/realms/t1/events?dateFrom={first}&dateTo={until}");
        let answer = call(&app, &admin, (&Method::GET, &path), None).await;
        let found = answer.json().as_array().map(Vec::len);
        assert_eq!(found, Some(expected), "{until}: {answer:?}");
    }
}

on_both!(a_filter_of_the_events_that_means_nothing_is_refused);
async fn a_filter_of_the_events_that_means_nothing_is_refused(app: TestApp) {
    let admin = operator(&app).await;
    let expected = "expected format is yyyy-MM-dd or an Epoch timestamp";
    for (query, says) in [
        ("type=NOPE", "Unknown type NOPE"),
        ("type=LOGIN&type=login", "Unknown type login"),
        ("direction=up", "asc or desc"),
        ("dateFrom=nope", expected),
        ("dateTo=2020-02-30", expected),
        ("dateTo=01.03.2020", expected),
    ] {
        let path = format!("/realms/t1/events?{query}");
        let answer = call(&app, &admin, (&Method::GET, &path), None).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(answer.text.contains(says), "{query}: {answer:?}");
    }
}
