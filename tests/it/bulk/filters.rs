//! Statuses and filters of the list of people: in SQL, counted as they are listed, streamed when they are many.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{operator, people};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// The user names that a query finds, after comparing with what it counts.
async fn found(app: &TestApp, query: &str) -> Vec<String> {
    let admin = operator(app);
    let list = admin.get(&format!("/users?{query}")).await;
    assert_eq!(list.status, 200, "{query}: {}", list.body);
    let names: Vec<String> = list
        .body
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| user["username"].as_str().expect("a name").to_owned())
        .collect();
    let count = admin.get(&format!("/users/count?{query}")).await;
    assert_eq!(count.body, json!(names.len()), "{query}");
    names
}

on_both!(a_status_is_the_first_that_holds_and_is_found_as_it_is_shown);
async fn a_status_is_the_first_that_holds_and_is_found_as_it_is_shown(app: TestApp) {
    app.user("st-active").await;
    app.user("st-flagged").force_password_reset().await;
    app.user("st-waiting").without_password().await;
    // What comes first in the order hides what comes later.
    app.user("st-off").without_password().disabled().await;
    let locked = app.user("st-locked").force_password_reset().await;
    app.lock(&locked).await;
    for (status, name) in [
        ("ACTIVE", "st-active"),
        ("PASSWORD_RESET_REQUIRED", "st-flagged"),
        ("AWAITING_FIRST_PASSWORD", "st-waiting"),
        ("DISABLED", "st-off"),
        ("LOCKED", "st-locked"),
    ] {
        let query = format!("username=st-&status={status}");
        assert_eq!(found(&app, &query).await, [name], "{status}");
        let shown = operator(&app).get(&format!("/users?{query}")).await.body;
        assert_eq!(shown[0]["status"], status);
    }
    // Locks end by themselves.
    app.advance(Duration::from_secs(3601));
    assert!(found(&app, "username=st-&status=LOCKED").await.is_empty());
    assert_eq!(
        found(&app, "username=st-&status=PASSWORD_RESET_REQUIRED").await,
        ["st-flagged", "st-locked"]
    );
    for (wrong, said) in [
        ("status=ASLEEP", "Unknown"),
        ("mailState=lost", "Unknown"),
        ("neverSignedIn=maybe", "true or false"),
        ("hasPassword=0", "true or false"),
    ] {
        let answer = operator(&app).get(&format!("/users?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text("error").contains(said), "{}", answer.body);
    }
}

on_both!(filters_combine_and_attributes_are_compared_in_the_database);
async fn filters_combine_and_attributes_are_compared_in_the_database(app: TestApp) {
    for (name, dept) in [("at-ann", "IT"), ("at-bob", "it"), ("at-cid", "Verkäufe")] {
        let user = app.user(name).await;
        app.change_user(&user, move |user| {
            user.attributes
                .insert("dept".into(), vec!["other".into(), dept.into()]);
        })
        .await;
    }
    // A value that PostgreSQL cannot unpack must not break everybody's search.
    let odd = app.user("at-odd").await;
    app.change_user(&odd, |user| {
        user.attributes
            .insert("dept".into(), vec!["\u{0}".into(), "it".into()]);
    })
    .await;
    let named = |names: Vec<String>| -> BTreeSet<String> {
        names.into_iter().filter(|name| name != "at-odd").collect()
    };
    let it: BTreeSet<String> = ["at-ann".to_owned(), "at-bob".to_owned()].into();
    assert_eq!(named(found(&app, "q=dept:it").await), it);
    assert_eq!(found(&app, "q=dept:VERK%C3%84UFE").await, ["at-cid"]);
    assert_eq!(found(&app, "q=dept:it%20username:at-bob").await, ["at-bob"]);
    assert!(found(&app, "q=dept:i").await.is_empty());
    assert!(found(&app, "q=de%22pt:it").await.is_empty());
    assert_eq!(
        found(&app, "q=email:at-ann@people.example").await,
        ["at-ann"]
    );
    assert_eq!(found(&app, "q=lastName:AT-ANN").await, ["at-ann"]);
}

on_both!(who_never_signed_in_and_on_whom_what_waits_is_found);
async fn who_never_signed_in_and_on_whom_what_waits_is_found(app: TestApp) {
    let here = app.user("ns-here").await;
    app.user("ns-never").force_password_reset().await;
    app.tx(move |tx| {
        let now = tx.now()?;
        vestibule::user::rows::note_sign_in(tx, &here.id, now)
    })
    .await;
    assert_eq!(
        found(&app, "username=ns-&neverSignedIn=true").await,
        ["ns-never"]
    );
    assert_eq!(
        found(&app, "username=ns-&neverSignedIn=false").await,
        ["ns-here"]
    );
    assert_eq!(
        found(&app, "username=ns-&pendingAction=update_password").await,
        ["ns-never"]
    );
}

on_both!(a_mail_state_is_that_of_the_newest_mail);
async fn a_mail_state_is_that_of_the_newest_mail(app: TestApp) {
    let mail = |user: &str, number: i64, state: &str| {
        let blank = match app.kind() {
            crate::support::database::Kind::Sqlite => "x''",
            crate::support::database::Kind::Postgres => "'\\x'::bytea",
        };
        app.database().execute(&format!(
            "INSERT INTO outbox (id, realm_id, user_id, recipient, template, locale, bulk, content_sealed, state, \
             attempts, not_before, lease_until, created_at, expires_at) SELECT 'm{number}', realm_id, id, email, \
             'test', 'en', FALSE, {blank}, '{state}', 1, 9000000000000000, 0, {number}, 9000000000000000 FROM users \
             WHERE username = '{user}'"
        ));
    };
    for name in ["ms-none", "ms-bounced", "ms-mended", "ms-waits"] {
        app.user(name).await;
    }
    mail("ms-bounced", 1, "sent");
    mail("ms-bounced", 2, "bounced");
    mail("ms-mended", 3, "bounced");
    mail("ms-mended", 4, "sent");
    mail("ms-waits", 5, "leased");
    for (state, name) in [
        ("bounced", "ms-bounced"),
        ("sent", "ms-mended"),
        ("queued", "ms-waits"),
        ("none", "ms-none"),
    ] {
        let query = format!("username=ms-&mailState={state}");
        assert_eq!(found(&app, &query).await, [name], "{state}");
    }
    assert!(found(&app, "mailState=in_doubt").await.is_empty());
}

on_both!(everybody_is_streamed_once_and_in_order);
/// More than two portions, so that their seams are in it.
async fn everybody_is_streamed_once_and_in_order(app: TestApp) {
    people(&app, "all", 1203).await;
    let admin = operator(&app);
    let request = admin
        .send(reqwest::Method::GET, "/users?username=all&max=-1")
        .await;
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(
        answer.content_length().is_none(),
        "a list of everybody is sent as it is made"
    );
    let all: Vec<Value> = answer.json().await.expect("one JSON list");
    let names: Vec<&str> = all
        .iter()
        .map(|user| user["username"].as_str().expect("a name"))
        .collect();
    let wanted: Vec<String> = (0..1203).map(|number| format!("all{number:04}")).collect();
    assert_eq!(names, wanted);
    let none = admin
        .get("/users?username=nobody-of-that-name&max=-1")
        .await;
    assert_eq!(none.body, json!([]));
}
