//! For how long the work for many people is kept: as long as it is of use.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vestibule::app;
use vestibule::import::Options;

use super::campaigns::{start, until};
use super::{operator, people, with_prefix};
use crate::support::app::TestApp;
use crate::support::database::on_both;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rows(app: &TestApp, table: &str) -> i64 {
    app.count(&format!("SELECT count(*) AS value FROM {table}"))
}

on_both!(a_mailing_goes_ninety_days_after_its_end_unless_mails_are_in_doubt);
async fn a_mailing_goes_ninety_days_after_its_end_unless_mails_are_in_doubt(app: TestApp) {
    app.mailbox().await;
    people(&app, "re", 3).await;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let body =
            json!({ "name": name, "kind": "pre-registration", "audience": with_prefix("re") });
        let id = start(&app, body).await;
        until(&app, &id, "done").await;
        ids.push(id);
    }
    app.database().execute(&format!(
        "UPDATE outbox SET state = 'in_doubt', settled_at = NULL WHERE batch = '{}' AND recipient LIKE 're0001%'",
        ids[1]
    ));
    app.advance(89 * DAY);
    app::clean(app.store()).await.unwrap();
    assert_eq!(
        (rows(&app, "campaigns"), rows(&app, "campaign_recipients")),
        (2, 6)
    );
    app.advance(2 * DAY);
    app::clean(app.store()).await.unwrap();
    assert_eq!(
        app.sql("SELECT id AS value FROM campaigns"),
        [ids[1].clone()],
        "somebody has to decide about its mail first"
    );
    assert_eq!(rows(&app, "campaign_recipients"), 3);
    app.database()
        .execute("UPDATE outbox SET state = 'cancelled', settled_at = 1");
    app::clean(app.store()).await.unwrap();
    assert_eq!(
        (rows(&app, "campaigns"), rows(&app, "campaign_recipients")),
        (0, 0)
    );
}

on_both!(an_order_can_be_undone_for_ninety_days_and_then_goes);
async fn an_order_can_be_undone_for_ninety_days_and_then_goes(app: TestApp) {
    let admin = operator(&app);
    people(&app, "un", 3).await;
    let order = |action: &str| json!({ "filter": with_prefix("un"), "add": [action] });
    let mut ids = Vec::new();
    for action in ["UPDATE_PASSWORD", "UPDATE_PROFILE"] {
        let answer = admin.post("/users/required-actions", order(action)).await;
        assert_eq!(answer.body["count"], 3, "{}", answer.body);
        ids.push(answer.body["id"].as_str().unwrap().to_owned());
    }
    let undo = async |id: &str| {
        let path = format!("/jobs/{id}/undo");
        operator(&app).call(Method::POST, &path, None).await
    };
    app.advance(89 * DAY);
    app::clean(app.store()).await.unwrap();
    let undone = undo(&ids[0]).await;
    assert_eq!((undone.status, &undone.body["count"]), (200, &json!(3)));
    app.advance(2 * DAY - Duration::from_secs(3600));
    app::clean(app.store()).await.unwrap();
    let late = undo(&ids[1]).await;
    assert_eq!(late.status, 409, "{}", late.body);
    assert!(late.body.to_string().contains("90 days"), "{}", late.body);
    app.advance(DAY);
    app::clean(app.store()).await.unwrap();
    assert_eq!(rows(&app, "cohort_jobs"), 1, "the undo itself is younger");
    assert_eq!(rows(&app, "cohort_people"), 3, "and has people of its own");
    app.advance(90 * DAY);
    app::clean(app.store()).await.unwrap();
    for table in ["cohort_jobs", "cohort_people", "cohort_before"] {
        assert_eq!(rows(&app, table), 0, "{table}");
    }
}

on_both!(an_import_goes_ninety_days_after_its_end_or_its_last_sign_of_life);
async fn an_import_goes_ninety_days_after_its_end_or_its_last_sign_of_life(app: TestApp) {
    use crate::import::{import, job};
    import(&app, &Options::default(), "username\nada\nbob\n").await;
    // Begun on the command line, and nobody came back to it.
    job(&app, &Options::default()).await;
    app.advance(89 * DAY);
    app::clean(app.store()).await.unwrap();
    assert_eq!(
        (rows(&app, "import_jobs"), rows(&app, "import_rows")),
        (2, 2)
    );
    app.advance(2 * DAY);
    app::clean(app.store()).await.unwrap();
    assert_eq!(
        (rows(&app, "import_jobs"), rows(&app, "import_rows")),
        (0, 0)
    );
    assert_eq!(
        app.count("SELECT count(*) AS value FROM users WHERE username IN ('ada', 'bob')"),
        2,
        "its people stay"
    );
}
