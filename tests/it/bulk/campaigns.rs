//! Mailings over real SMTP: nobody twice, nobody lost, steered while they run, and counted to the end.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::demo::mailbox::Received;

use super::{operator, people, with_prefix};
use crate::support::app::TestApp;
use crate::support::database::on_both;

pub(super) fn sums(shown: &Value) -> i64 {
    ["queued", "sent", "bounced", "inDoubt", "skipped", "failed"]
        .iter()
        .map(|name| shown["funnel"][name].as_i64().expect("a number"))
        .sum()
}

/// The plain text of a mail.
pub(super) fn words(mail: &Received) -> String {
    mail.text.clone().expect("a part of plain text")
}

pub(super) async fn start(app: &TestApp, body: Value) -> String {
    let answer = operator(app).post("/campaigns", body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.body["id"].as_str().expect("an id").to_owned()
}

pub(super) async fn until(app: &TestApp, id: &str, state: &str) -> Value {
    operator(app)
        .wait_for(&format!("/campaigns/{id}"), |shown| shown["state"] == state)
        .await
}

on_both!(everybody_of_an_audience_is_mailed_once_and_counted);
async fn everybody_of_an_audience_is_mailed_once_and_counted(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    people(&app, "ca", 130).await;
    // Read again when their turn comes: one is switched off, one has no address, one has come already.
    let off = app.user("ca-off").without_password().disabled().await;
    let silent = app.user("ca-silent").without_password().await;
    app.change_user(&silent, |user| user.email = None).await;
    let here = app.user("ca-here").without_password().await;
    app.tx(move |tx| {
        let now = tx.now()?;
        vestibule::user::rows::note_sign_in(tx, &here.id, now)
    })
    .await;
    let body = |dry: bool| {
        json!({ "name": "Welcome", "kind": "pre-registration", "audience": with_prefix("ca"),
        "message": "Hello =1+1", "dryRun": dry })
    };
    let preview = admin.post("/campaigns", body(true)).await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert_eq!(preview.body["total"], 133);
    let samples = preview.body["samples"].as_array().expect("samples");
    assert_eq!(samples.len(), 3);
    assert!(samples[0]["text"].as_str().unwrap().contains("Hello =1+1"));
    assert!(!samples[0]["subject"].as_str().unwrap().contains("TEST"));
    assert_eq!(app.count("SELECT count(*) AS value FROM links"), 0);

    let id = start(&app, body(false)).await;
    let shown = until(&app, &id, "done").await;
    assert_eq!(shown["funnel"]["total"], 133, "{shown}");
    assert_eq!(
        (&shown["funnel"]["sent"], &shown["funnel"]["skipped"]),
        (&json!(130), &json!(3))
    );
    assert_eq!(sums(&shown), 133);
    for number in 0..130 {
        let to = format!("ca{number:04}@people.example");
        assert_eq!(mailbox.to(&to).len(), 1, "{to}");
    }
    assert!(mailbox.to(&off.email).is_empty());
    let skipped = admin
        .get(&format!("/campaigns/{id}/recipients?state=skipped&max=-1"))
        .await
        .body;
    let why: BTreeSet<&str> = skipped
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["reason"].as_str().unwrap())
        .collect();
    assert_eq!(why, ["disabled", "no-address", "signed-in"].into());

    let request = admin
        .send(
            Method::GET,
            &format!("/campaigns/{id}/recipients?format=csv"),
        )
        .await;
    let file = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(file.lines().count(), 134, "a header and everybody");
    assert!(file.starts_with("username,email,state"));
    let some = admin
        .get(&format!("/campaigns/{id}/recipients?first=10&max=5"))
        .await;
    assert_eq!(some.body.as_array().unwrap().len(), 5);
}

on_both!(a_mailing_rests_goes_on_and_stops_when_it_is_told);
async fn a_mailing_rests_goes_on_and_stops_when_it_is_told(app: TestApp) {
    let admin = operator(&app);
    app.mailbox().await;
    people(&app, "ps", 60).await;
    let body = json!({ "name": "Slow", "kind": "password-reset", "audience": with_prefix("ps"), "ratePerSecond": 5 });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}");
    admin
        .wait_for(&path, |shown| shown["funnel"]["sent"].as_i64() > Some(0))
        .await;
    let post = async |tail: &str| {
        admin
            .call(Method::POST, &format!("{path}/{tail}"), None)
            .await
            .status
    };
    assert_eq!(post("pause").await, 204);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let one = admin.get(&path).await.body;
    assert_eq!(
        (&one["state"], &one["reason"]),
        (&json!("paused"), &json!("administrator"))
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let two = admin.get(&path).await.body;
    assert_eq!(one["funnel"]["sent"], two["funnel"]["sent"], "it rests");
    assert_eq!(sums(&two), 60);
    assert_eq!(post("resume").await, 204);
    assert_eq!(post("resume").await, 409);
    let before = two["funnel"]["sent"].as_i64();
    admin
        .wait_for(&path, |shown| shown["funnel"]["sent"].as_i64() > before)
        .await;
    assert_eq!(post("cancel").await, 204);
    let at = admin.get(&path).await.body["funnel"]["sent"]
        .as_i64()
        .unwrap();
    let end = admin
        .wait_for(&path, |shown| shown["funnel"]["queued"] == 0)
        .await;
    let sent = end["funnel"]["sent"].as_i64().unwrap();
    assert!(sent - at <= 8, "{at} and then {sent}");
    assert_eq!((&end["state"], sums(&end)), (&json!("cancelled"), 60));
    assert_eq!(post("pause").await, 409);
    assert_eq!(post("cancel").await, 409);
}

on_both!(a_test_goes_to_the_caller_alone);
async fn a_test_goes_to_the_caller_alone(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    people(&app, "te", 3).await;
    let later = app.store().clock().now().plus_seconds(3600).millis();
    let body = json!({ "name": "Later", "kind": "password-reset", "audience": with_prefix("te"), "startAt": later });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}/test-send");
    let refused = admin.call(Method::POST, &path, None).await;
    assert_eq!(
        refused.status, 400,
        "the operator has no address: {}",
        refused.body
    );
    let chief = app
        .user("te-chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let admin = super::Admin {
        app: &app,
        realm: "t1",
        username: chief.username.clone(),
        password: chief.password.clone(),
    };
    let sent = admin.call(Method::POST, &path, None).await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    let mail = mailbox.expect(&chief.email).await;
    assert!(mail.subject.starts_with("[TEST] "), "{}", mail.subject);
    assert!(mailbox.to("te0000@people.example").is_empty());
    assert_eq!(
        admin.get(&format!("/campaigns/{id}")).await.body["state"],
        "scheduled"
    );
    app.advance(Duration::from_secs(3601));
    let shown = until(&app, &id, "done").await;
    assert_eq!(shown["funnel"]["sent"], 4, "{shown}");
}

on_both!(what_is_in_doubt_is_sent_again_as_the_same_mail_with_the_same_link);
async fn what_is_in_doubt_is_sent_again_as_the_same_mail_with_the_same_link(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    people(&app, "do", 5).await;
    let body =
        json!({ "name": "Doubt", "kind": "pre-registration", "audience": with_prefix("do") });
    let id = start(&app, body).await;
    until(&app, &id, "done").await;
    let first = mailbox.expect("do0002@people.example").await;
    assert!(words(&first).contains("/login-actions/link/"));
    let path = format!("/campaigns/{id}/resend-in-doubt");
    let none = admin.call(Method::POST, &path, None).await;
    assert_eq!(none.body["count"], 0);

    let body = json!({ "name": "Doubt", "kind": "pre-registration", "audience": with_prefix("do"),
        "startAt": app.store().clock().now().plus_seconds(600).millis() });
    let id = start(&app, body).await;
    // The mail server is away, so what is handed over stays; one of the mails was on its way when its node died.
    app.change_realm(|realm| {
        realm.settings.smtp_server.insert("port".into(), "1".into());
    })
    .await;
    app.advance(Duration::from_secs(601));
    admin
        .wait_for(&format!("/campaigns/{id}"), |shown| {
            shown["funnel"]["total"] == 5 && shown["state"] == "paused"
        })
        .await;
    let begun =
        format!("SELECT count(*) AS value FROM outbox WHERE batch = '{id}' AND state <> 'queued'");
    while app.count(&begun) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.database().execute(&format!(
        "UPDATE outbox SET state = 'in_doubt', lease_token = NULL WHERE batch = '{id}' AND state = 'queued' \
         AND recipient = 'do0002@people.example'"
    ));
    app.mailbox().await;
    app.advance(Duration::from_secs(61));
    let shown = until(&app, &id, "done").await;
    assert_eq!(
        (&shown["funnel"]["sent"], &shown["funnel"]["inDoubt"]),
        (&json!(4), &json!(1)),
        "{shown}"
    );
    assert_eq!(
        mailbox.to("do0002@people.example").len(),
        1,
        "never by itself"
    );
    let mail_id = app.sql(&format!(
        "SELECT id AS value FROM outbox WHERE batch = '{id}' AND state = 'in_doubt'"
    ));
    let path = format!("/campaigns/{id}/resend-in-doubt");
    let one = admin.call(Method::POST, &path, None).await;
    assert_eq!(one.body["count"], 1, "{}", one.body);
    let shown = admin
        .wait_for(&format!("/campaigns/{id}"), |shown| {
            shown["funnel"]["sent"] == 5
        })
        .await;
    assert_eq!(sums(&shown), 5);
    let again = mailbox.to("do0002@people.example");
    assert_eq!(again.len(), 2);
    assert!(
        String::from_utf8_lossy(&again[0].raw).contains(&mail_id[0]),
        "the Message-ID is that of the mail in doubt"
    );
}

on_both!(what_is_in_doubt_of_a_cancelled_mailing_is_not_sent_again);
async fn what_is_in_doubt_of_a_cancelled_mailing_is_not_sent_again(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    people(&app, "cd", 2).await;
    let body = json!({ "name": "Over", "kind": "pre-registration", "audience": with_prefix("cd") });
    let id = start(&app, body).await;
    until(&app, &id, "done").await;
    let post = async |tail: &str| {
        let path = format!("/campaigns/{id}/{tail}");
        admin.call(Method::POST, &path, None).await
    };
    assert_eq!(post("cancel?revokeLinks=true").await.status, 204);
    app.database().execute(&format!(
        "UPDATE outbox SET state = 'in_doubt', settled_at = NULL WHERE batch = '{id}' \
         AND recipient = 'cd0000@people.example'"
    ));
    let refused = post("resend-in-doubt").await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let text = refused.body.to_string();
    assert!(
        text.contains("cancelled") && text.contains("a new campaign"),
        "{text}"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    let doubtful = "SELECT recipient AS value FROM outbox WHERE state = 'in_doubt'";
    assert_eq!(app.sql(doubtful), ["cd0000@people.example"]);
    assert_eq!(mailbox.to("cd0000@people.example").len(), 1);
    let events = "SELECT count(*) AS value FROM events WHERE kind = 'ADMIN_CAMPAIGN_RESEND'";
    assert_eq!(app.count(events), 0);
}

on_both!(a_mailing_that_waits_for_the_mail_server_can_be_told_to_try);
async fn a_mailing_that_waits_for_the_mail_server_can_be_told_to_try(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    people(&app, "tr", 2).await;
    // A server that does not answer, and whose settings stay as they are.
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = away.local_addr().expect("its address").port();
    drop(away);
    app.change_realm(move |realm| {
        let port = port.to_string();
        realm
            .settings
            .smtp_server
            .insert("port".into(), port.into());
    })
    .await;
    let body = json!({ "name": "Away", "kind": "pre-registration", "audience": with_prefix("tr") });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}");
    until(&app, &id, "paused").await;
    let probe = "SELECT probe_at AS value FROM mail_pauses";
    let resume = format!("{path}/resume");
    assert_eq!(admin.call(Method::POST, &resume, None).await.status, 204);
    // Tried, and found away still.
    let soon = app.store().clock().now().plus_seconds(30).micros();
    for _ in 0..200 {
        if app.sql(probe)[0].parse::<i64>().expect("a time") > soon {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(admin.get(&path).await.body["state"], "paused");
    // Back, without a word to this server.
    let port = mailbox.port().to_string();
    app.change_realm(move |realm| {
        realm
            .settings
            .smtp_server
            .insert("port".into(), port.into());
    })
    .await;
    assert_eq!(admin.call(Method::POST, &resume, None).await.status, 204);
    let shown = until(&app, &id, "done").await;
    assert_eq!(shown["funnel"]["sent"], 2, "{shown}");
    assert_eq!(admin.call(Method::POST, &resume, None).await.status, 409);
}

on_both!(a_request_that_cannot_be_is_refused_with_what_to_do);
async fn a_request_that_cannot_be_is_refused_with_what_to_do(app: TestApp) {
    let admin = operator(&app);
    let fine = json!({ "name": "x", "kind": "password-reset", "audience": {} });
    let no_mail = admin.post("/campaigns", fine.clone()).await;
    assert_eq!(no_mail.status, 500, "{}", no_mail.body);
    app.mailbox().await;
    for (field, value, word) in [
        ("kind", json!("newsletter"), "password-reset"),
        ("audience", json!({ "nobody": 1 }), "Unrecognized field"),
        ("ratePerSecond", json!(0), "at least 1"),
        ("lifespan", json!(0), "at least 1"),
        ("lifespan", json!(99_999_999_999_i64), "a year"),
        ("locale", json!("tlh"), "language"),
        (
            "quietHours",
            json!({ "from": "22:00", "to": "07:00", "timeZone": "Mars" }),
            "time zone",
        ),
        ("stopAtBounceRate", json!(5), "0.05"),
        ("startAt", json!("soon"), "2027"),
        ("clientId", json!("nope"), "Client doesn't exist"),
        ("surprise", json!(1), "Unrecognized field"),
    ] {
        let mut body = fine.clone();
        body[field] = value;
        let refused = admin.post("/campaigns", body).await;
        assert_eq!(refused.status, 400, "{field}: {}", refused.body);
        assert!(
            refused.body.to_string().contains(word),
            "{field}: {}",
            refused.body
        );
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM campaigns"), 0);
    let missing = admin.get("/campaigns/nope").await;
    assert_eq!(missing.status, 404);
}

on_both!(nobody_renews_a_link_of_a_mailing_that_was_stopped);
async fn nobody_renews_a_link_of_a_mailing_that_was_stopped(app: TestApp) {
    use vestibule::link::{self, Renewed};
    let admin = operator(&app);
    app.mailbox().await;
    let ids = people(&app, "nr", 2).await;
    let body = json!({ "name": "Wrong list", "kind": "pre-registration", "audience": with_prefix("nr"),
        "lifespan": 60, "remindAfterDays": 1 });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    app.advance(Duration::from_secs(61));
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let renew = async |user: vestibule::kernel::UserId| {
        let keyring = std::sync::Arc::clone(&keyring);
        app.tx(move |tx| {
            let realm = vestibule::realm::rows::by_name(tx, "t1")?.expect("the realm");
            let tools = vestibule::mail::Tools {
                keyring: &keyring,
                entropy: &entropy,
            };
            let sent = link::of_user(tx, &user)?;
            link::renew(tx, tools, (&realm, &sent[0].id))
        })
        .await
    };
    assert_eq!(renew(ids[0].clone()).await, Renewed::Mailed);
    let cancelled = admin
        .call(Method::POST, &format!("/campaigns/{id}/cancel"), None)
        .await;
    assert_eq!(cancelled.status, 204, "{}", cancelled.body);
    assert_eq!(renew(ids[1].clone()).await, Renewed::Never);
}

on_both!(who_stops_a_mailing_takes_back_the_links_of_those_they_may_manage);
/// V137: an administrator's link is not ended by somebody with fewer powers, in a mailing as by itself.
async fn who_stops_a_mailing_takes_back_the_links_of_those_they_may_manage(app: TestApp) {
    app.mailbox().await;
    app.user("sp-plain").without_password().await;
    app.user("sp-chief")
        .without_password()
        .client_role("realm-management", "realm-admin")
        .await;
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let body =
        json!({ "name": "Welcome", "kind": "pre-registration", "audience": with_prefix("sp-") });
    let id = start(&app, body).await;
    until(&app, &id, "done").await;
    let live = || {
        app.sql(&format!(
            "SELECT username AS value FROM links JOIN users ON users.id = links.user_id \
             WHERE campaign_id = '{id}' AND revoked_at IS NULL ORDER BY username"
        ))
    };
    assert_eq!(live(), ["sp-chief", "sp-plain"]);
    let path = format!("/campaigns/{id}/cancel?revokeLinks=true");
    let lesser = super::Admin {
        app: &app,
        realm: "t1",
        username: clerk.username.clone(),
        password: clerk.password.clone(),
    };
    let answer = lesser.call(Method::POST, &path, None).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(live(), ["sp-chief"]);
    let answer = operator(&app).call(Method::POST, &path, None).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(live(), Vec::<String>::new());
}
