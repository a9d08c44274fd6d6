//! What became of each: reminders count as first mails do, the list is safe in a spreadsheet, and the events alone tell
//! the same as the figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::oidc::provision;
use vestibule::realm;

use super::campaigns::{start, sums, until};
use super::{Admin, operator, people, with_prefix};
use crate::link::NEW;
use crate::support::app::{REALM, TestApp};
use crate::support::database::on_both;
use crate::support::seed;
use crate::support::sink::{Door, Ledger};

const DAY: Duration = Duration::from_secs(24 * 3600 + 60);

/// A mail server that does as it is told, to which realm `t1` sends from now on.
pub(super) async fn door(app: &TestApp) -> (Arc<Ledger>, Door) {
    let ledger = Arc::new(Ledger::default());
    let door = ledger.door();
    let port = door.port().to_string();
    app.change_realm(move |realm| {
        for (name, value) in [
            ("host", "127.0.0.1"),
            ("port", port.as_str()),
            ("from", "no-reply@t1.example"),
        ] {
            realm.settings.smtp_server.insert(name.into(), value.into());
        }
    })
    .await;
    (ledger, door)
}

on_both!(a_reminder_in_doubt_is_shown_and_sent_again);
async fn a_reminder_in_doubt_is_shown_and_sent_again(app: TestApp) {
    let admin = operator(&app);
    let (ledger, door) = door(&app).await;
    people(&app, "ri", 3).await;
    let body = json!({ "name": "Come", "kind": "pre-registration", "audience": with_prefix("ri"),
        "remindAfterDays": 1 });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    door.hang_up_on("ri0001");
    app.advance(DAY);
    let shown = until(&app, &id, "done").await;
    assert_eq!(
        (&shown["funnel"]["inDoubt"], &shown["funnel"]["sent"]),
        (&json!(1), &json!(2)),
        "{shown}"
    );
    let listed = admin
        .get(&format!("/campaigns/{id}/recipients?state=inDoubt"))
        .await
        .body;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["email"], "ri0001@people.example");
    assert!(listed[0]["remindedAt"].is_i64(), "{listed}");

    door.be_kind();
    let path = format!("/campaigns/{id}/resend-in-doubt");
    let again = admin.call(Method::POST, &path, None).await;
    assert_eq!(again.body["count"], 1, "{}", again.body);
    let shown = admin
        .wait_for(&format!("/campaigns/{id}"), |shown| {
            shown["state"] == "done" && shown["funnel"]["sent"] == 3
        })
        .await;
    assert_eq!(sums(&shown), 3);
    let mut came = ledger.arrivals();
    came.retain(|mail| mail.to.starts_with("ri0001"));
    let links: BTreeSet<String> = came.iter().map(|mail| mail.link()).collect();
    assert_eq!(
        (came.len(), links.len()),
        (3, 1),
        "one link, mailed three times"
    );
    assert_eq!(came[1].message_id(), came[2].message_id());
    assert_ne!(came[0].message_id(), came[1].message_id());
}

on_both!(reminders_that_are_refused_bounce_and_stop_the_mailing);
async fn reminders_that_are_refused_bounce_and_stop_the_mailing(app: TestApp) {
    let admin = operator(&app);
    let (_ledger, door) = door(&app).await;
    people(&app, "rr", 80).await;
    let body = json!({ "name": "Come", "kind": "pre-registration", "audience": with_prefix("rr"),
        "remindAfterDays": 1, "ratePerSecond": 20, "stopAtBounceRate": 0.9 });
    let id = start(&app, body).await;
    until(&app, &id, "reminding").await;
    door.refuse("rr");
    app.advance(DAY);
    let shown = until(&app, &id, "paused").await;
    assert_eq!(shown["reason"], "bounce-rate", "{shown}");
    let bounced = shown["funnel"]["bounced"].as_i64().unwrap();
    assert!((20..80).contains(&bounced), "{shown}");
    assert_eq!(sums(&shown), 80);
    let listed = admin
        .get(&format!("/campaigns/{id}/recipients?state=bounced"))
        .await
        .body;
    let why = listed[0]["reason"].as_str().unwrap_or_default();
    assert!(why.contains("no such user here"), "{listed}");

    // Whoever's reminder is called back was mailed all the same.
    let path = format!("/campaigns/{id}/cancel");
    assert_eq!(admin.call(Method::POST, &path, None).await.status, 204);
    let end = admin
        .wait_for(&format!("/campaigns/{id}"), |shown| {
            shown["funnel"]["queued"] == 0
        })
        .await;
    assert_eq!((sums(&end), &end["funnel"]["skipped"]), (80, &json!(0)));
    assert!(end["funnel"]["sent"].as_i64() > Some(0), "{end}");
}

/// Posts a report that a mail came back, with these words.
async fn came_back(admin: &Admin<'_>, mail: &str, words: &str) {
    let report = format!(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
         Action: failed\r\n{words}\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Message-ID: <{mail}@127.0.0.1>\r\n\r\n--b--\r\n"
    );
    let request = admin.send(Method::POST, "/mail/bounces").await;
    let request = request.header("Content-Type", "message/rfc822");
    let answer = request.body(report).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["count"], 1, "{answer}");
}

/// An event: its name, whom it is about, what else it says.
type Told = (String, String, Value);

fn events(app: &TestApp) -> Vec<Told> {
    let rows = app.sql(
        "SELECT kind || ' ' || COALESCE(user_id, '-') || ' ' || details AS value FROM events ORDER BY at, id",
    );
    let read = |row: &String| {
        let mut parts = row.splitn(3, ' ');
        let mut next = || parts.next().expect("a part").to_owned();
        let (kind, user, details) = (next(), next(), next());
        (kind, user, serde_json::from_str(&details).expect("JSON"))
    };
    rows.iter().map(read).collect()
}

/// Whom the events of that name are about that the question is true of.
fn whom(events: &[Told], kind: &str, of: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    events
        .iter()
        .filter(|(name, _, details)| name == kind && of(details))
        .map(|(_, user, _)| user.clone())
        .collect()
}

on_both!(the_events_alone_tell_the_funnel);
async fn the_events_alone_tell_the_funnel(app: TestApp) {
    let admin = operator(&app);
    let (ledger, door) = door(&app).await;
    people(&app, "ev", 8).await;
    door.refuse("ev0007");
    let body =
        json!({ "name": "Welcome", "kind": "pre-registration", "audience": with_prefix("ev") });
    let id = start(&app, body).await;
    until(&app, &id, "done").await;
    let mail_to = |number: usize| {
        let all = ledger.arrivals();
        let to = format!("ev{number:04}@people.example");
        all.into_iter().find(|mail| mail.to == to).expect("a mail")
    };
    // Pressed by a machine, at once; then, as people do, by one who stops there and one who goes on.
    app.browser()
        .open_path(&mail_to(2).link())
        .await
        .press("open")
        .await
        .assert_page("update-password");
    app.advance(Duration::from_secs(60));
    for number in [0, 1] {
        let mut browser = app.browser();
        browser.open_path(&mail_to(number).link()).await;
        browser.press("open").await.assert_page("update-password");
        if number == 0 {
            browser.set_new_password(NEW).await;
        }
    }
    let late = mail_to(6).message_id().replace("@127.0.0.1", "");
    came_back(
        &admin,
        &late,
        "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 <ev0006@people.example> ev0006 unknown",
    )
    .await;
    // Of another mail than the mailing's.
    let other = app.user("other").await;
    let path = format!("/users/{}/execute-actions-email", other.id);
    let sent = admin
        .call(Method::PUT, &path, Some(json!(["UPDATE_PASSWORD"])))
        .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    admin
        .wait_for("/users/count?username=other&mailState=sent", |count| {
            *count == 1
        })
        .await;

    let events = events(&app);
    let ours = |details: &Value| details["campaign"] == id.as_str();
    let of = |kind: &str| whom(&events, kind, ours);
    let total = of("LINK_ISSUED");
    let bounced = of("MAIL_BOUNCED");
    let sent: BTreeSet<String> = &of("MAIL_SENT") - &bounced;
    let queued = &(&total - &sent) - &bounced;
    let opened = whom(&events, "LINK_OPENED", |details| {
        ours(details) && details["automated"] == false
    });
    let automated = &of("LINK_OPENED") - &opened;
    let signed_in = &whom(&events, "LOGIN", |_| true) & &total;
    let shown = admin.get(&format!("/campaigns/{id}")).await.body;
    for (name, people, count) in [
        ("total", &total, 8),
        ("queued", &queued, 0),
        ("sent", &sent, 6),
        ("bounced", &bounced, 2),
        ("opened", &opened, 2),
        ("automated", &automated, 1),
        ("passwordSet", &of("LINK_REDEEMED"), 1),
        ("signedIn", &signed_in, 1),
    ] {
        assert_eq!(shown["funnel"][name], count, "{name}: {shown}");
        assert_eq!(people.len(), count, "{name}: {events:#?}");
    }

    // Each names the link that the mail carries, and none says where it went.
    let links = |kind: &str| -> BTreeSet<String> {
        let of_kind = events.iter().filter(|(name, ..)| name == kind);
        of_kind
            .map(|(_, user, details)| format!("{user} {}", details["link"]))
            .collect()
    };
    let issued = links("LINK_ISSUED");
    // With the one of “this was not me” in the notice of a new password.
    assert_eq!(issued.len(), 10);
    assert_eq!(&links("MAIL_SENT") | &links("MAIL_BOUNCED"), issued);
    let reasons: BTreeSet<&str> = events
        .iter()
        .filter(|(kind, ..)| kind == "MAIL_BOUNCED")
        .map(|(_, _, details)| details["reason"].as_str().expect("words"))
        .collect();
    assert_eq!(
        reasons,
        [
            "5.1.1 smtp; 550 <…> … unknown",
            "550 5.1.1 <…>: no such user here"
        ]
        .into()
    );
    let about_mails = events.iter().filter(|(kind, ..)| kind.starts_with("MAIL_"));
    for (kind, _, details) in about_mails {
        assert!(!details.to_string().contains('@'), "{kind} {details}");
    }
}

/// Names that begin a formula in some spreadsheet, each in its own way.
const NAMES: [&str; 8] = [
    "＝1+1",
    "＋2;x",
    "－3",
    "＠four",
    "five\t=5",
    "six;=cmd|' /C calc'!A0;y",
    "\"seven\",=7",
    "\u{200b}=8",
];

on_both!(a_list_of_recipients_is_safe_in_a_spreadsheet);
/// V147, for the list of a mailing's recipients, whatever separates its cells.
async fn a_list_of_recipients_is_safe_in_a_spreadsheet(app: TestApp) {
    let admin = operator(&app);
    let (ledger, _door) = door(&app).await;
    let (keyring, entropy) = (Arc::clone(&app.engine().keyring), app.engine().entropy);
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
        let tools = seed::tools(&keyring, &entropy);
        for (number, name) in NAMES.into_iter().enumerate() {
            let new = vestibule::user::User {
                email: Some(format!("csv{number}@people.example")),
                enabled: true,
                ..provision::blank_user(tx, tools, &realm, name)?
            };
            assert!(provision::create_user(tx, &realm, &new, &[])?.is_ok());
        }
        Ok(())
    })
    .await;
    let body = json!({ "name": "=1", "kind": "pre-registration", "audience": { "email": "csv" } });
    let id = start(&app, body).await;
    until(&app, &id, "done").await;
    let words = [
        "smtp;=HYPERLINK(1)",
        "=HYPERLINK(1)",
        "smtp; +1",
        "＝HYPERLINK(1)",
    ];
    for (mail, words) in ledger.arrivals().iter().zip(words) {
        let id = mail.message_id().replace("@127.0.0.1", "");
        came_back(&admin, &id, &format!("Diagnostic-Code: {words}")).await;
    }

    let path = format!("/campaigns/{id}/recipients?format=csv");
    let answer = admin.send(Method::GET, &path).await.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let file = answer.text().await.unwrap();
    let read = |separator: u8| -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader
            .delimiter(separator)
            .flexible(true)
            .has_headers(false);
        let records = reader.from_reader(file.as_bytes()).into_records();
        let cells = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
        records
            .map(|record| cells(record.expect("a row")))
            .collect()
    };
    for separator in [b',', b';', b'\t'] {
        for cell in read(separator).concat() {
            let seen = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
            assert!(
                !seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']),
                "{cell:?} of {file}"
            );
        }
    }
    // What is read back is what was stored, but for the apostrophes.
    let bare = |text: &str| text.replace('\'', "");
    let rows = read(b',');
    assert!(rows.iter().all(|row| row.len() == 9), "{rows:?}");
    let column = |number: usize| -> BTreeSet<String> {
        let cells = rows.iter().skip(1).map(|row| bare(&row[number]));
        cells.filter(|cell| !cell.is_empty()).collect()
    };
    assert_eq!(column(0), NAMES.map(bare).into());
    assert_eq!(column(3), words.map(bare).into());
    assert_eq!(rows.len(), 9);
}
