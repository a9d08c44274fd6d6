//! Single mails of which nobody knows whether they went out: listed, and sent again because a person says so.

use std::time::Duration;

use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use reqwest::Method;
use serde_json::{Value, json};
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{Clock, Entropy};
use vestibule::link::{self, NewLink, Purpose, Sender};
use vestibule::mail::Tools;
use vestibule::realm;
use vestibule::store::{Location, Store, StoreError};
use vestibule::user::audience::Audience;

use super::campaigns::{start, sums, until};
use super::commands::{address, shop};
use super::outcomes::door;
use super::{Admin, operator, people, with_prefix};
use crate::link::NEW;
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

/// Asks the person for a new password by mail.
async fn ask(admin: &Admin<'_>, user: &User) {
    let path = format!("/users/{}/execute-actions-email", user.id);
    let body = json!(["UPDATE_PASSWORD"]);
    let answer = admin.call(Method::PUT, &path, Some(body)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// The one mail to the person, once it stands there.
async fn mail(admin: &Admin<'_>, user: &User, state: &str) -> Value {
    let path = format!("/mails?state={state}&user={}", user.id);
    let list = admin
        .wait_for(&path, |list| {
            list.as_array().is_some_and(|list| list.len() == 1)
        })
        .await;
    list[0].clone()
}

async fn resend(admin: &Admin<'_>, mail: &Value) -> (u16, String) {
    let path = format!("/mails/{}/resend", mail["id"].as_str().unwrap());
    let answer = admin.call(Method::POST, &path, None).await;
    (answer.status, answer.body.to_string())
}

fn as_admin<'a>(app: &'a TestApp, user: &User) -> Admin<'a> {
    Admin {
        app,
        realm: "t1",
        username: user.username.clone(),
        password: user.password.clone(),
    }
}

on_both!(a_single_mail_in_doubt_is_listed_and_sent_again);
async fn a_single_mail_in_doubt_is_listed_and_sent_again(app: TestApp) {
    let admin = operator(&app);
    let (ledger, door) = door(&app).await;
    door.hang_up_on("sd-bob");
    let bob = app.user("sd-bob").await;
    let eve = app.user("sd-eve").await;
    ask(&admin, &bob).await;
    let doubtful = mail(&admin, &bob, "inDoubt").await;
    let first = ledger.arrivals().remove(0);
    assert_eq!(doubtful["email"], "sd-bob@people.example");
    assert_eq!(doubtful["purpose"], "link");
    assert_eq!(
        doubtful["messageId"],
        format!("<{}>", first.message_id()),
        "by which the mail server's log knows it"
    );
    let token = first.link();
    let token = token.rsplit('/').next().unwrap();
    assert!(!doubtful.to_string().contains(token));
    ask(&admin, &eve).await;
    let taken = mail(&admin, &eve, "sent").await;
    let all = admin.get("/mails?max=-1").await.body;
    assert_eq!(all, json!([taken, doubtful]), "the newest first");
    assert_eq!(
        admin.get("/mails?first=1&max=5").await.body,
        json!([doubtful])
    );
    let wrong = admin.get("/mails?state=lost").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.to_string().contains("inDoubt"), "{}", wrong.body);

    // Who may look may not send, and nobody sends to whom they do not outrank.
    let viewer = app
        .user("sd-viewer")
        .client_role("realm-management", "view-users")
        .await;
    let viewer = as_admin(&app, &viewer);
    assert_eq!(viewer.get("/mails?state=inDoubt").await.status, 200);
    assert_eq!(resend(&viewer, &doubtful).await.0, 403);
    let nobody = as_admin(&app, &eve);
    assert_eq!(nobody.get("/mails").await.status, 403);

    let (status, why) = resend(&admin, &taken).await;
    assert_eq!(status, 409, "{why}");
    assert!(why.contains("only a mail in doubt"), "{why}");
    let none = json!({ "id": "none" });
    assert_eq!(resend(&admin, &none).await.0, 404);
    door.be_kind();
    assert_eq!(resend(&admin, &doubtful).await.0, 204);
    mail(&admin, &bob, "sent").await;
    assert_eq!(resend(&admin, &doubtful).await.0, 409, "once");
    let mut came = ledger.arrivals();
    came.retain(|mail| mail.to == bob.email);
    assert_eq!(came.len(), 2);
    assert_eq!(came[0].message_id(), came[1].message_id());
    assert_eq!(came[0].link(), came[1].link());
    assert_eq!(app.events(&bob, "ADMIN_MAIL_RESEND"), 1);
    assert_eq!(
        app.events(&bob, "MAIL_SENT"),
        1,
        "one of the two was known of"
    );
    app.advance(Duration::from_secs(60));
    let mut browser = app.browser();
    browser.open_path(&came[1].link()).await.press("open").await;
    browser.assert_page("update-password");
    browser.set_new_password(NEW).await;
    assert_eq!(app.events(&bob, "LINK_REDEEMED"), 1);
}

on_both!(what_must_not_be_sent_again_is_refused_with_a_reason);
async fn what_must_not_be_sent_again_is_refused_with_a_reason(app: TestApp) {
    let admin = operator(&app);
    let (ledger, door) = door(&app).await;
    door.hang_up_on("ma-");
    let chief = app
        .user("ma-chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let clerk = app
        .user("ma-clerk")
        .client_role("realm-management", "manage-users")
        .await;
    ask(&admin, &chief).await;
    let doubtful = mail(&admin, &chief, "inDoubt").await;
    assert_eq!(resend(&as_admin(&app, &clerk), &doubtful).await.0, 403);
    mail(&admin, &chief, "inDoubt").await;
    app.advance(Duration::from_secs(13 * 3600));
    let (status, why) = resend(&admin, &doubtful).await;
    assert_eq!(status, 409, "{why}");
    assert!(
        why.contains("expired") && why.contains("send a new one"),
        "{why}"
    );
    mail(&admin, &chief, "inDoubt").await;
    assert_eq!(ledger.count(), 1, "nothing was sent");
}

on_both!(one_mail_of_a_mailing_is_sent_again_and_counted_there);
async fn one_mail_of_a_mailing_is_sent_again_and_counted_there(app: TestApp) {
    let admin = operator(&app);
    let (ledger, door) = door(&app).await;
    door.hang_up_on("om0001");
    door.hang_up_on("om0002");
    people(&app, "om", 4).await;
    let body =
        json!({ "name": "Welcome", "kind": "pre-registration", "audience": with_prefix("om") });
    let id = start(&app, body).await;
    let path = format!("/campaigns/{id}");
    let shown = until(&app, &id, "done").await;
    assert_eq!(shown["funnel"]["inDoubt"], 2, "{shown}");
    door.be_kind();
    let list = admin.get("/mails?state=inDoubt").await.body;
    assert_eq!(list[0]["campaign"], id.as_str(), "{list}");
    assert_eq!(resend(&admin, &list[0]).await.0, 204);
    let shown = admin
        .wait_for(&path, |shown| {
            shown["state"] == "done" && shown["funnel"]["sent"] == 3
        })
        .await;
    assert_eq!((&shown["funnel"]["inDoubt"], sums(&shown)), (&json!(1), 4));
    assert_eq!(ledger.count(), 5);
    // A mailing that was stopped for good, its links ended, sends nothing more.
    let stop = format!("{path}/cancel?revokeLinks=true");
    assert_eq!(admin.call(Method::POST, &stop, None).await.status, 204);
    let (status, why) = resend(&admin, &list[1]).await;
    assert_eq!(status, 409, "{why}");
    assert!(why.contains("cancelled"), "{why}");
}

#[test]
fn the_host_lists_and_sends_single_mails_again() {
    let (place, mailbox) = shop(1);
    let key = MasterKey::load(&place.path("master.key")).expect("the key");
    let keyring = Keyring::new(key);
    let file = place.path("v.db");
    let store =
        Store::connect(&Location::Sqlite(file.clone()), Clock::system(), 1).expect("the store");
    let queued = store
        .tx(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let everybody = Audience::default();
            let ids = vestibule::user::search::ids(tx, &shop.id, &everybody, ("", 1))?;
            let tools = Tools {
                keyring: &keyring,
                entropy: &Entropy,
            };
            let new = NewLink::of(
                &shop,
                &ids[0],
                Purpose::PreRegistration,
                Sender::Administrator,
            );
            Ok::<_, StoreError>(link::create(tx, tools, &new)?.expect("a link"))
        })
        .unwrap();
    drop(store);
    let id = queued.mail.as_str();
    // As its node left it that died between the content and the answer.
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    diesel::sql_query("UPDATE outbox SET state = 'in_doubt'")
        .execute(&mut connection)
        .unwrap();
    drop(connection);

    let shown = place.run(&["mail", "in-doubt", "--realm", "shop"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(
        shown.out.contains(id) && shown.out.contains(&address(0)),
        "{}",
        shown.out
    );
    let list = place
        .run(&["mail", "in-doubt", "--realm", "shop", "--json"])
        .json();
    assert_eq!(list[0]["state"], "inDoubt", "{list}");
    place
        .run(&["mail", "in-doubt", "--realm", "nowhere"])
        .refused(2, "there is no realm");
    place
        .run(&["mail", "resend", "--realm", "shop", "none"])
        .refused(2, "vestibule mail in-doubt --realm shop");
    assert!(mailbox.to(&address(0)).is_empty());
    let sent = place.run(&["mail", "resend", "--realm", "shop", id]);
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    assert_eq!(sent.out.trim(), format!("{id} sent"));
    let mails = mailbox.to(&address(0));
    assert_eq!(mails.len(), 1);
    let raw = String::from_utf8_lossy(&mails[0].raw).into_owned();
    assert!(raw.contains(&format!("<{id}@")), "its Message-ID: {raw}");
    place
        .run(&["mail", "resend", "--realm", "shop", id])
        .refused(1, "only a mail in doubt is sent again");
    let none = place
        .run(&["mail", "in-doubt", "--realm", "shop", "--json"])
        .json();
    assert_eq!(none, json!([]));
}
