//! The undo of an order takes back what the order did, and nothing that anybody else has asked for.

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::import::{IfExists, Options};

use super::{Admin, operator, with_prefix};
use crate::gate::stock;
use crate::import::import;
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;
use crate::support::rp::JsonAnswer;

const RESET: &str = "UPDATE_PASSWORD";
const TERMS: &str = "TERMS_AND_CONDITIONS";

/// Gives an order to everybody of that prefix; answers its job.
async fn order(admin: &Admin<'_>, prefix: &str, what: Value) -> String {
    let mut order = json!({ "filter": with_prefix(prefix), "add": [RESET] });
    for (name, value) in what.as_object().expect("an object") {
        order[name] = value.clone();
    }
    let answer = admin.post("/users/required-actions", order).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["id"].as_str().expect("an id").to_owned()
}

async fn undo(admin: &Admin<'_>, job: &str) -> JsonAnswer {
    let path = format!("/jobs/{job}/undo");
    admin.call(Method::POST, &path, None).await
}

/// As [`undo`], where it has to be done; answers its own job.
async fn undone(admin: &Admin<'_>, job: &str) -> String {
    let answer = undo(admin, job).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["id"].as_str().expect("an id").to_owned()
}

async fn put(admin: &Admin<'_>, user: &User, tail: &str, body: Value) {
    let path = format!("/users/{}{tail}", user.id);
    let answer = admin.call(Method::PUT, &path, Some(body)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

fn proof(app: &TestApp, user: &User) -> Vec<String> {
    app.sql(&format!(
        "SELECT reset_proof AS value FROM required_actions WHERE user_id = '{}'",
        user.id
    ))
}

async fn gets_tokens(app: &TestApp, user: &User) -> bool {
    let answer = app
        .legacy
        .password_grant(&user.username, &user.password)
        .await;
    answer.status == 200
}

on_both!(an_undo_takes_nothing_that_somebody_else_has_asked_for);
/// V178: whatever flags somebody after an order still does so when the order is undone.
async fn an_undo_takes_nothing_that_somebody_else_has_asked_for(app: TestApp) {
    let admin = operator(&app);
    for way in ["compromised", "again", "temporary", "import", "persist"] {
        let alice = app.user(&format!("{way}-alice")).await;
        stock(&app, &alice).await;
        let job = order(&admin, way, json!({ "reason": "yearly change" })).await;
        match way {
            "compromised" => {
                let body = json!({ "compromised": true, "forcePasswordReset": true });
                put(&admin, &alice, "", body).await;
            }
            // It waits already, and now for this reason too.
            "again" => put(&admin, &alice, "", json!({ "forcePasswordReset": true })).await,
            "temporary" => {
                let body = json!({ "value": "what the desk has set", "temporary": true });
                put(&admin, &alice, "/reset-password", body).await;
            }
            "import" => {
                let options = Options {
                    if_exists: IfExists::Update,
                    require_password_reset: true,
                    ..Options::default()
                };
                let file = format!("username,email\n{},{}\n", alice.username, alice.email);
                assert_eq!(import(&app, &options, file).await.rows.len(), 1);
            }
            _ => {
                app.mailbox().await;
                let tail = "/execute-actions-email?persist=true";
                put(&admin, &alice, tail, json!([RESET])).await;
            }
        }
        let before = proof(&app, &alice);
        undone(&admin, &job).await;
        assert_eq!(app.waiting(&alice).await, [RESET], "{way}");
        assert_eq!(proof(&app, &alice), before, "{way}");
        app.assert_no_tokens_for(&alice).await;
    }
}

on_both!(an_undo_puts_no_milder_row_over_a_stricter_one);
/// V178: a flag of before the order comes back only over the order's own.
async fn an_undo_puts_no_milder_row_over_a_stricter_one(app: TestApp) {
    let admin = operator(&app);
    let alice = app.user("mild-alice").force_password_reset().await;
    let job = order(&admin, "mild-", json!({ "reason": "yearly change" })).await;
    let body = json!({ "compromised": true, "forcePasswordReset": true });
    put(&admin, &alice, "", body).await;
    undone(&admin, &job).await;
    assert_eq!(proof(&app, &alice), ["mailbox"]);
    app.assert_no_tokens_for(&alice).await;
    // An order that finds a stricter flag leaves it as it is; so does its undo.
    let job = order(&admin, "mild-", json!({})).await;
    undone(&admin, &job).await;
    assert_eq!(proof(&app, &alice), ["mailbox"]);
    app.assert_no_tokens_for(&alice).await;
}

on_both!(orders_over_one_another_are_undone_in_any_turn);
async fn orders_over_one_another_are_undone_in_any_turn(app: TestApp) {
    let admin = operator(&app);
    for (name, second) in [
        ("same", json!({})),
        ("hard", json!({ "compromised": true })),
    ] {
        for older_first in [true, false] {
            let prefix = format!("{name}-{older_first}");
            let alice = app.user(&format!("{prefix}-alice")).await;
            let older = order(&admin, &prefix, json!({ "reason": "yearly change" })).await;
            let newer = order(&admin, &prefix, second.clone()).await;
            let (first, last) = match older_first {
                true => (&older, &newer),
                false => (&newer, &older),
            };
            undone(&admin, first).await;
            assert_eq!(app.waiting(&alice).await, [RESET], "{prefix}");
            let wanted = match name == "hard" && older_first {
                true => "mailbox",
                false => "password",
            };
            assert_eq!(proof(&app, &alice), [wanted], "{prefix}");
            app.assert_no_tokens_for(&alice).await;
            // Nobody asks any more, and no order that was undone comes back with the other's undo.
            undone(&admin, last).await;
            assert!(app.waiting(&alice).await.is_empty(), "{prefix}");
            assert!(gets_tokens(&app, &alice).await, "{prefix}");
        }
    }
}

on_both!(an_order_is_undone_once);
/// V178: an order that was undone takes no later flag by a second undo.
async fn an_order_is_undone_once(app: TestApp) {
    let admin = operator(&app);
    let alice = app.user("once-alice").await;
    let job = order(&admin, "once-", json!({})).await;
    let by = undone(&admin, &job).await;
    assert!(gets_tokens(&app, &alice).await);
    let shown = admin.get(&format!("/jobs/{job}")).await;
    assert_eq!(shown.body["undoneBy"], json!(by));
    for later in ["order", "compromised"] {
        match later {
            "order" => drop(order(&admin, "once-", json!({})).await),
            _ => {
                let body = json!({ "compromised": true, "forcePasswordReset": true });
                put(&admin, &alice, "", body).await;
            }
        }
        let again = undo(&admin, &job).await;
        assert_eq!(again.status, 409, "{}", again.body);
        assert!(again.body.to_string().contains("undone already"));
        assert_eq!(app.waiting(&alice).await, [RESET], "{later}");
        app.assert_no_tokens_for(&alice).await;
    }
    // An undo that was stopped leaves its rest to another one; what is not the order's stays even so.
    let stop = format!("UPDATE cohort_jobs SET state = 'cancelled' WHERE id = '{by}'");
    app.database().execute(&stop);
    undone(&admin, &job).await;
    assert_eq!(proof(&app, &alice), ["mailbox"]);
    app.assert_no_tokens_for(&alice).await;
}

/// What the events of a job say of a person.
fn events(app: &TestApp, user: &User, job: &str) -> Vec<Value> {
    let rows = app.sql(&format!(
        "SELECT details AS value FROM events WHERE kind = 'ADMIN_USER_REQUIRED_ACTIONS' AND user_id = '{}'",
        user.id
    ));
    rows.iter()
        .map(|details| serde_json::from_str::<Value>(details).expect("JSON"))
        .filter(|details| details["job"] == job)
        .collect()
}

/// What the mails to a person have been about, sorted.
fn told(app: &TestApp, user: &User) -> Vec<String> {
    app.sql(&format!(
        "SELECT template AS value FROM outbox WHERE user_id = '{}' ORDER BY template",
        user.id
    ))
}

on_both!(an_undo_is_told_and_audited_as_what_it_did_to_each);
async fn an_undo_is_told_and_audited_as_what_it_did_to_each(app: TestApp) {
    let admin = operator(&app);
    app.mailbox().await;
    let fresh = app.user("each-fresh").await;
    let terms = app.user("each-terms").action(TERMS).await;
    let flagged = app.user("each-flagged").force_password_reset().await;
    let finished = app.user("each-finished").await;
    let what = json!({ "remove": [TERMS], "resetProof": "mailbox" });
    let job = order(&admin, "each-", what).await;
    app.set_password(&finished, "a passphrase of their own", false)
        .await;
    let by = undone(&admin, &job).await;
    let (demanded, waived) = ("password-reset-required", "action-waived");
    for (user, set, taken, mails) in [
        (&fresh, &[][..], &[RESET][..], &[waived, demanded][..]),
        (&terms, &[TERMS], &[RESET], &[waived, waived, demanded]),
        // The old password works again.
        (&flagged, &[RESET], &[], &[demanded, demanded]),
    ] {
        let said = events(&app, user, &by);
        assert_eq!(said.len(), 1, "{}", user.username);
        assert_eq!(said[0]["set"], json!(set), "{}", user.username);
        assert_eq!(said[0]["taken"], json!(taken), "{}", user.username);
        assert_eq!(said[0]["undoes"], json!(job));
        assert_eq!(told(&app, user), mails, "{}", user.username);
    }
    assert!(events(&app, &finished, &by).is_empty(), "nothing was done");
    assert!(!told(&app, &finished).contains(&waived.to_owned()));
}

on_both!(a_notice_of_an_order_is_true_for_who_reads_it);
/// Who has no password is not asked for the old one, and who is switched off is not asked to sign in.
async fn a_notice_of_an_order_is_true_for_who_reads_it(app: TestApp) {
    let mailbox = app.mailbox().await;
    let plain = app.user("true-plain").await;
    let newcomer = app.user("true-newcomer").without_password().await;
    let off = app.user("true-off").disabled().await;
    let admin = operator(&app);
    let job = order(&admin, "true-", json!({})).await;
    assert!(told(&app, &off).is_empty());
    for (user, says) in [
        (&plain, "Sign in as you always do"),
        (&newcomer, "Your account has no password."),
    ] {
        let mail = mailbox.expect(&user.email).await;
        let text = mail.text.clone().expect("a text");
        assert!(text.contains(says), "{text}");
    }
    assert_eq!(app.waiting(&off).await, [RESET], "flagged all the same");
    undone(&admin, &job).await;
    assert!(told(&app, &off).is_empty());
    let alone = app.user("alone-newcomer").without_password().await;
    put(&admin, &alone, "", json!({ "forcePasswordReset": true })).await;
    let mail = mailbox.expect(&alone.email).await;
    let text = mail.text.clone().expect("a text");
    assert!(text.contains("Your account has no password."), "{text}");
}
