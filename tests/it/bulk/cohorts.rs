//! Cohort actions: few at once, many as a job that survives its node, is stopped, and is undone.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::admin::users::cohort::{chunk, rows};

use super::{Admin, operator, people, with_prefix};
use crate::gate::stock;
use crate::support::app::TestApp;
use crate::support::database::on_both;

fn flagged(app: &TestApp, prefix: &str) -> i64 {
    app.count(&format!(
        "SELECT count(*) AS value FROM required_actions JOIN users ON users.id = user_id \
         WHERE action = 'UPDATE_PASSWORD' AND username LIKE '{prefix}%'"
    ))
}

async fn done(admin: &Admin<'_>, id: &str) -> Value {
    admin
        .wait_for(&format!("/jobs/{id}"), |job| {
            job["state"] == "done" || job["state"] == "failed"
        })
        .await
}

on_both!(a_hundred_are_done_at_once_and_more_become_a_job);
async fn a_hundred_are_done_at_once_and_more_become_a_job(app: TestApp) {
    let admin = operator(&app);
    people(&app, "few", 100).await;
    people(&app, "many", 2345).await;
    let order = |prefix: &str, dry: bool| {
        json!({ "filter": with_prefix(prefix), "add": ["UPDATE_PASSWORD"],
        "reason": "a leak", "dryRun": dry })
    };
    let few = admin
        .post("/users/required-actions", order("few", false))
        .await;
    assert_eq!((few.status, &few.body["count"]), (200, &json!(100)));
    assert_eq!(flagged(&app, "few"), 100);

    let preview = admin
        .post("/users/required-actions", order("many", true))
        .await;
    assert_eq!(preview.body, json!({ "count": 2345, "skipped": 0 }));
    assert_eq!(flagged(&app, "many"), 0, "a dry run changes nothing");

    let request = admin.send(Method::POST, "/users/required-actions").await;
    let answer = request
        .json(&order("many", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 202);
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    let id = body["id"].as_str().expect("an id").to_owned();
    assert!(place.ends_with(&format!("/admin/realms/t1/jobs/{id}")));
    let job = done(&admin, &id).await;
    assert_eq!(
        (&job["state"], &job["done"], &job["total"], &job["reason"]),
        (&json!("done"), &json!(2345), &json!(2345), &json!("a leak"))
    );
    assert_eq!(flagged(&app, "many"), 2345);
    let events = "SELECT count(*) AS value FROM events WHERE kind = 'ADMIN_USER_REQUIRED_ACTIONS'";
    assert_eq!(app.count(events), 2445, "one event tells of each person");
    // The tokens of everybody are from before the flag, and the gate says so.
    let stale =
        "SELECT count(*) AS value FROM users WHERE username LIKE 'many%' AND not_before = 0";
    assert_eq!(app.count(stale), 0);
}

on_both!(an_undo_puts_back_what_waited_and_touches_nothing_that_happened_since);
async fn an_undo_puts_back_what_waited_and_touches_nothing_that_happened_since(app: TestApp) {
    let admin = operator(&app);
    let fresh = app.user("un-fresh").await;
    let earlier = app.user("un-earlier").force_password_reset().await;
    let terms = app.user("un-terms").action("TERMS_AND_CONDITIONS").await;
    let finished = app.user("un-done").await;
    let order = json!({ "filter": with_prefix("un-"), "add": ["UPDATE_PASSWORD"],
        "remove": ["TERMS_AND_CONDITIONS"], "resetProof": "mailbox" });
    let answer = admin.post("/users/required-actions", order).await;
    assert_eq!(answer.body["count"], 4, "{}", answer.body);
    assert!(app.waiting(&terms).await == ["UPDATE_PASSWORD"]);
    // One of them sets a new password meanwhile; then an administrator flags that person for a reason of his own.
    app.set_password(&finished, "a passphrase of their own", false)
        .await;
    assert!(app.waiting(&finished).await.is_empty());

    let id = answer.body["id"].as_str().unwrap().to_owned();
    let undone = admin
        .call(Method::POST, &format!("/jobs/{id}/undo"), None)
        .await;
    assert_eq!((undone.status, &undone.body["count"]), (200, &json!(4)));
    assert!(app.waiting(&fresh).await.is_empty());
    assert_eq!(app.waiting(&earlier).await, ["UPDATE_PASSWORD"]);
    assert_eq!(app.waiting(&terms).await, ["TERMS_AND_CONDITIONS"]);
    assert!(app.waiting(&finished).await.is_empty());
    let proof = format!(
        "SELECT reset_proof AS value FROM required_actions WHERE user_id = '{}'",
        earlier.id
    );
    assert_eq!(app.sql(&proof), ["password"], "as it was before");
    let again = undone.body["id"].as_str().unwrap();
    let refused = admin
        .call(Method::POST, &format!("/jobs/{again}/undo"), None)
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

on_both!(compromised_ends_sessions_and_leaves_the_mailbox_alone_as_a_way);
async fn compromised_ends_sessions_and_leaves_the_mailbox_alone_as_a_way(app: TestApp) {
    let admin = operator(&app);
    let alice = app.user("co-alice").await;
    let held = app
        .legacy
        .password_grant("co-alice", &alice.password)
        .await
        .text("refresh_token")
        .to_owned();
    let order =
        json!({ "filter": with_prefix("co-"), "add": ["UPDATE_PASSWORD"], "compromised": true });
    let answer = admin.post("/users/required-actions", order).await;
    assert_eq!(answer.body["count"], 1, "{}", answer.body);
    assert_eq!(app.token_rows(&alice.id), 0);
    app.assert_no_tokens_for(&alice).await;
    assert!(!held.is_empty());
    let proof = "SELECT reset_proof AS value FROM required_actions";
    assert_eq!(app.sql(proof), ["mailbox"]);
}

on_both!(everybody_of_an_order_is_told_at_every_address_that_counts);
/// By mail, in one go for all: the address of now, and the one that was replaced lately.
async fn everybody_of_an_order_is_told_at_every_address_that_counts(app: TestApp) {
    let mailbox = app.mailbox().await;
    let moved = app.user("te-moved").await;
    let stayed = app.user("te-stayed").action("TERMS_AND_CONDITIONS").await;
    let silent = app.user("te-silent").await;
    app.change_user(&silent, |user| user.email = None).await;
    let id = moved.id.clone();
    app.tx(move |tx| {
        use vestibule::user::former::{Standing, keep};
        keep(
            tx,
            "former",
            &id,
            ("before@people.example", Standing::Shuts),
        )
    })
    .await;
    let order = json!({ "filter": with_prefix("te-"), "add": ["UPDATE_PASSWORD"],
        "remove": ["TERMS_AND_CONDITIONS"] });
    let answer = operator(&app).post("/users/required-actions", order).await;
    assert_eq!(answer.body["count"], 3, "{}", answer.body);
    for (address, mails) in [
        (moved.email.as_str(), 1),
        ("before@people.example", 1),
        // One that a new password is asked for, one that the terms are not any more.
        (stayed.email.as_str(), 2),
    ] {
        mailbox.expect(address).await;
        for _ in 0..100 {
            if mailbox.to(address).len() == mails {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(mailbox.to(address).len(), mails, "{address}");
    }
    let all = app.count("SELECT count(*) AS value FROM outbox");
    assert_eq!(all, 4);
}

on_both!(notices_of_an_order_leave_at_a_pace);
/// Twenty a second, and few of them in the outbox at a time, so that other mail does not wait behind them.
async fn notices_of_an_order_leave_at_a_pace(app: TestApp) {
    let mailbox = app.mailbox().await;
    people(&app, "no", 130).await;
    let order = json!({ "filter": with_prefix("no"), "add": ["UPDATE_PASSWORD"] });
    let started = std::time::Instant::now();
    let answer = operator(&app).post("/users/required-actions", order).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let of = |states: &str| {
        app.count(&format!(
            "SELECT count(*) AS value FROM outbox WHERE template = 'password-reset-required' AND state IN ({states})"
        ))
    };
    let mut seen: Vec<(Duration, i64)> = Vec::new();
    loop {
        let waits = of("'queued', 'held', 'leased', 'sending'");
        assert!(waits <= 40, "{waits} wait in the outbox");
        let sent = of("'sent'");
        seen.push((started.elapsed(), sent));
        if sent == 130 || started.elapsed() > Duration::from_secs(60) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen.last().unwrap().1, 130, "everybody is told");
    for (place, (at, count)) in seen.iter().enumerate() {
        let later = seen[place..]
            .iter()
            .take_while(|(then, _)| then.saturating_sub(*at) <= Duration::from_secs(2))
            .last()
            .unwrap();
        let within = later.1 - count;
        assert!(within <= 61, "{within} mails within two seconds");
    }
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    for number in 0..130 {
        let to = format!("no{number:04}@people.example");
        assert_eq!(mailbox.to(&to).len(), 1, "{to}");
    }
    for _ in 0..100 {
        if app.count("SELECT count(*) AS value FROM mail_paces") == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM mail_paces"), 0);
    let left = "SELECT count(*) AS value FROM cohort_jobs WHERE telling";
    assert_eq!(app.count(left), 0);
}

on_both!(the_caller_and_the_last_free_administrator_are_left_out_unless_named);
async fn the_caller_and_the_last_free_administrator_are_left_out_unless_named(app: TestApp) {
    let manager = |name: &'static str| {
        app.user(name)
            .client_role("realm-management", "realm-admin")
    };
    let caller = manager("la-caller").await;
    let other = manager("la-other").await;
    app.user("la-plain").await;
    let admin = Admin {
        app: &app,
        realm: "t1",
        username: caller.username.clone(),
        password: caller.password.clone(),
    };
    let order = |filter: Value| json!({ "filter": filter, "add": ["TERMS_AND_CONDITIONS"] });
    app.database()
        .execute("UPDATE realm_required_actions SET enabled = TRUE");
    app.tx(|tx| {
        let realm = vestibule::realm::rows::by_name(tx, "t1")?.unwrap();
        vestibule::realm::rows::touch(tx, &realm.id)
    })
    .await;
    let answer = admin
        .post("/users/required-actions", order(with_prefix("la-")))
        .await;
    assert_eq!(
        (&answer.body["count"], &answer.body["skipped"]),
        (&json!(2), &json!(1)),
        "{}",
        answer.body
    );
    assert!(app.waiting(&caller).await.is_empty());
    assert_eq!(app.waiting(&other).await, ["TERMS_AND_CONDITIONS"]);
    // Now the caller is the last one who is free; the operator of the server finds them by a filter.
    let by_filter = operator(&app)
        .post("/users/required-actions", order(with_prefix("la-caller")))
        .await;
    assert_eq!(by_filter.body["count"], 0, "{}", by_filter.body);
    assert!(app.waiting(&caller).await.is_empty());
    let by_id = json!({ "ids": [caller.id.as_str()] });
    let by_id = operator(&app)
        .post("/users/required-actions", order(by_id))
        .await;
    assert_eq!(by_id.body["count"], 1, "{}", by_id.body);
    assert_eq!(app.waiting(&caller).await, ["TERMS_AND_CONDITIONS"]);
}

on_both!(nobody_touches_whom_they_do_not_outrank);
/// Threat V137, for many at once.
async fn nobody_touches_whom_they_do_not_outrank(app: TestApp) {
    let clerk = app
        .user("or-clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let chief = app
        .user("or-chief")
        .client_role("realm-management", "realm-admin")
        .await;
    app.user("or-plain").await;
    let admin = Admin {
        app: &app,
        realm: "t1",
        username: clerk.username.clone(),
        password: clerk.password.clone(),
    };
    let order = |filter: Value| json!({ "filter": filter, "add": ["UPDATE_PASSWORD"] });
    let answer = admin
        .post("/users/required-actions", order(with_prefix("or-")))
        .await;
    assert_eq!(
        (&answer.body["count"], &answer.body["skipped"]),
        (&json!(1), &json!(2)),
        "{}",
        answer.body
    );
    let by_id = json!({ "ids": [chief.id.as_str()] });
    let refused = admin.post("/users/required-actions", order(by_id)).await;
    assert_eq!(refused.status, 403);
    assert!(app.waiting(&chief).await.is_empty());
}

on_both!(a_job_whose_node_died_goes_on_and_its_ghost_changes_nothing);
/// A node takes the job, does one chunk and is heard of no more; when its lease has ended another one goes on, and
/// what the first one tries then does nothing.
async fn a_job_whose_node_died_goes_on_and_its_ghost_changes_nothing(app: TestApp) {
    let admin = operator(&app);
    people(&app, "gh", 2500).await;
    let body = json!({ "filter": with_prefix("gh"), "add": ["UPDATE_PASSWORD"] });
    let order = admin.post("/users/required-actions", body).await;
    let id = order.body["id"].as_str().expect("a job").to_owned();
    let ghost = id.clone();
    // Whoever holds the lease now, the ghost takes it over as if it had been first, and does nothing with it.
    app.database().execute(&format!(
        "UPDATE cohort_jobs SET lease_token = 'ghost', lease_until = lease_until + 1000000 WHERE id = '{id}'"
    ));
    let held = app.tx(move |tx| rows::hold(tx, &ghost, "ghost", 15)).await;
    let before = flagged(&app, "gh");
    if held.is_some() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(before < 2500, "the ghost came too late to show anything");
        assert_eq!(flagged(&app, "gh"), before, "nobody works on what is held");
        app.advance(Duration::from_secs(16));
    }
    let job = done(&admin, &id).await;
    assert_eq!(
        (&job["state"], &job["done"]),
        (&json!("done"), &json!(2500))
    );
    assert_eq!(flagged(&app, "gh"), 2500);
    let late = id.clone();
    let held = app.tx(move |tx| rows::hold(tx, &late, "ghost", 15)).await;
    assert!(held.is_none(), "the ghost's lease is gone");
    let each = "SELECT count(*) AS value FROM events WHERE kind = 'ADMIN_USER_REQUIRED_ACTIONS'";
    assert_eq!(app.count(each), 2500, "each of them once");
}

on_both!(a_job_is_stopped_and_what_it_did_is_undone);
async fn a_job_is_stopped_and_what_it_did_is_undone(app: TestApp) {
    let admin = operator(&app);
    people(&app, "ca", 1500).await;
    let body =
        json!({ "filter": with_prefix("ca"), "add": ["UPDATE_PASSWORD"], "compromised": true });
    let order = admin.post("/users/required-actions", body).await;
    let id = order.body["id"].as_str().expect("a job").to_owned();
    let cancelled = admin
        .call(Method::POST, &format!("/jobs/{id}/cancel"), None)
        .await;
    assert!(
        cancelled.status == 204 || cancelled.status == 409,
        "{}",
        cancelled.body
    );
    let job = admin
        .wait_for(&format!("/jobs/{id}"), |job| {
            job["state"] == "cancelled" || job["state"] == "done"
        })
        .await;
    let hit = flagged(&app, "ca");
    assert_eq!(json!(hit), job["done"], "the count is what was done");
    assert!(hit % chunk::SIZE == 0 || hit == 1500, "whole chunks: {hit}");
    let undone = admin
        .call(Method::POST, &format!("/jobs/{id}/undo"), None)
        .await;
    assert!(
        undone.status == 200 || undone.status == 202,
        "{}",
        undone.body
    );
    let undo = undone.body["id"].as_str().unwrap().to_owned();
    done(&admin, &undo).await;
    assert_eq!(flagged(&app, "ca"), 0);
}

on_both!(an_order_ends_when_its_author_may_no_longer_give_it);
async fn an_order_ends_when_its_author_may_no_longer_give_it(app: TestApp) {
    let clerk = app
        .user("au-clerk")
        .client_role("realm-management", "manage-users")
        .await;
    people(&app, "au", 300).await;
    let admin = Admin {
        app: &app,
        realm: "t1",
        username: clerk.username.clone(),
        password: clerk.password.clone(),
    };
    let body = json!({ "filter": with_prefix("au0"), "add": ["UPDATE_PASSWORD"] });
    // Nobody may begin before the clerk is gone: another node has the job for a while.
    let order = admin.post("/users/required-actions", body).await;
    let id = order.body["id"].as_str().expect("a job").to_owned();
    app.database().execute(&format!(
        "UPDATE cohort_jobs SET lease_token = 'gone', place = '', done = 0, state = 'running' WHERE id = '{id}'"
    ));
    app.disable(&clerk).await;
    app.advance(Duration::from_secs(16));
    let job = done(&operator(&app), &id).await;
    assert_eq!(job["state"], "failed", "{job}");
    assert!(
        job["error"]
            .as_str()
            .unwrap()
            .contains("another administrator")
    );
}

on_both!(nobody_stops_the_order_of_a_superior);
/// V137: an order of somebody with more powers is stopped by them, and by who has as many.
async fn nobody_stops_the_order_of_a_superior(app: TestApp) {
    let manager = |name: &'static str, role: &'static str| {
        app.user(name).client_role("realm-management", role)
    };
    let clerk = manager("su-clerk", "manage-users").await;
    let other = manager("su-other", "manage-users").await;
    let chief = manager("su-chief", "realm-admin").await;
    people(&app, "su0", 150).await;
    let admin = |user: &crate::support::app::User| Admin {
        app: &app,
        realm: "t1",
        username: user.username.clone(),
        password: user.password.clone(),
    };
    for (author, callers) in [
        (&chief, [(&clerk, 403), (&chief, 204)]),
        (&clerk, [(&other, 204), (&clerk, 409)]),
        (&clerk, [(&chief, 204), (&clerk, 409)]),
    ] {
        let order = json!({ "filter": with_prefix("su0"), "add": ["UPDATE_PASSWORD"], "compromised": true });
        let answer = admin(author).post("/users/required-actions", order).await;
        let id = answer.body["id"].as_str().expect("a job").to_owned();
        // Somebody works on it, and is busy with something else for a while.
        app.database().execute(&format!(
            "UPDATE cohort_jobs SET state = 'running', lease_token = 'busy', lease_until = 9000000000000000 \
             WHERE id = '{id}'"
        ));
        for (caller, status) in callers {
            let path = format!("/jobs/{id}/cancel");
            let answer = admin(caller).call(Method::POST, &path, None).await;
            assert_eq!(
                answer.status, status,
                "{}: {}",
                caller.username, answer.body
            );
        }
    }
}

on_both!(what_an_order_takes_back_revives_nothing);
/// V178: a flag that is taken by an order, by its undo, and one that is put off to later: what was had before stays
/// dead.
async fn what_an_order_takes_back_revives_nothing(app: TestApp) {
    let admin = operator(&app);
    for way in ["remove", "undo", "later"] {
        let alice = app.user(&format!("{way}-alice")).await;
        stock(&app, &alice).await;
        let stolen = app.ledger.of(&alice).without_password(&alice.password);
        let order = |name: &str| json!({ "filter": with_prefix(way), name: ["UPDATE_PASSWORD"] });
        let given = admin.post("/users/required-actions", order("add")).await;
        assert_eq!(given.body["count"], 1, "{}", given.body);
        assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"]);
        match way {
            "remove" => {
                let taken = admin.post("/users/required-actions", order("remove")).await;
                assert_eq!(taken.body["count"], 1, "{}", taken.body);
            }
            "undo" => {
                let id = given.body["id"].as_str().expect("an id");
                let path = format!("/jobs/{id}/undo");
                let undone = admin.call(Method::POST, &path, None).await;
                assert_eq!(undone.status, 200, "{}", undone.body);
            }
            _ => {
                let later = app.tx(|tx| tx.now()).await.plus_seconds(3600);
                let mut order = order("add");
                order["dueAt"] = json!(later.millis());
                let put_off = admin.post("/users/required-actions", order).await;
                assert_eq!(put_off.body["count"], 1, "{}", put_off.body);
            }
        }
        let waits = app.waiting(&alice).await;
        assert_eq!(waits.is_empty(), way != "later", "{way}: {waits:?}");
        app.assert_nothing_opens(&alice, &stolen).await;
        // Not because the person was still shut.
        let tokens = app
            .legacy
            .password_grant(&alice.username, &alice.password)
            .await;
        assert_eq!(tokens.status, 200, "{way}: {}", tokens.body);
    }
}
