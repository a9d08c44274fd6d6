//! Links that administrators send to one person: Keycloak's calls with Keycloak's words, and ours.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Admin, operator};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(keycloaks_calls_answer_in_keycloaks_words);
async fn keycloaks_calls_answer_in_keycloaks_words(app: TestApp) {
    let admin = operator(&app);
    let alice = app.user("kc-alice").await;
    let off = app.user("kc-off").disabled().await;
    let silent = app.user("kc-silent").await;
    app.change_user(&silent, |user| user.email = None).await;
    let put = async |user: &vestibule::kernel::UserId, tail: &str, body: Option<Value>| {
        let answer = admin
            .call(Method::PUT, &format!("/users/{user}/{tail}"), body)
            .await;
        let text = answer.body["errorMessage"].as_str().unwrap_or_default();
        (answer.status, text.to_owned())
    };
    let actions = Some(json!(["UPDATE_PASSWORD"]));
    let execute = "execute-actions-email";
    let (status, text) = put(&alice.id, execute, actions.clone()).await;
    assert_eq!(status, 500, "no SMTP is configured");
    assert!(
        text.starts_with("Failed to send execute actions email: "),
        "{text}"
    );
    let (status, text) = put(&alice.id, "send-verify-email", None).await;
    assert_eq!(
        (status, text.as_str()),
        (500, "Failed to send verify email")
    );

    let mailbox = app.mailbox().await;
    let at = |query: &str| format!("{execute}?{query}");
    for (user, tail, body, wanted) in [
        (
            &silent.id,
            execute.to_owned(),
            actions.clone(),
            "User email missing",
        ),
        (
            &silent.id,
            "send-verify-email".to_owned(),
            None,
            "User email missing",
        ),
        (
            &off.id,
            execute.to_owned(),
            actions.clone(),
            "User is disabled",
        ),
        (
            &alice.id,
            execute.to_owned(),
            Some(json!(["UPDATE_PASSWORD", "NOPE"])),
            "Provided invalid required actions",
        ),
        (
            &alice.id,
            at("client_id=nope"),
            actions.clone(),
            "Client doesn't exist",
        ),
        (
            &alice.id,
            at("redirect_uri=https://x.example/"),
            actions.clone(),
            "Client id missing",
        ),
        (
            &alice.id,
            at(&format!(
                "client_id={}&redirect_uri=https://evil.example/",
                app.rp.client_id
            )),
            actions.clone(),
            "Invalid redirect uri.",
        ),
    ] {
        let found = put(user, &tail, body).await;
        assert_eq!(found, (400, wanted.to_owned()), "{tail}");
    }
    for slip in ["lifespan=0", "lifespan=99999999999999", "persist=maybe"] {
        let refused = put(&alice.id, &at(slip), actions.clone()).await;
        assert_eq!(refused.0, 400, "{slip}: {}", refused.1);
    }
    assert_eq!(
        put(&alice.id, &at("lifespan=abc"), actions.clone()).await.0,
        404
    );
    assert!(
        mailbox.to(&alice.email).is_empty(),
        "nothing was mailed yet"
    );

    assert_eq!(
        put(&alice.id, &at("lifespan=600"), actions.clone()).await.0,
        204
    );
    let mail = mailbox.expect(&alice.email).await;
    let text = mail.text.clone().unwrap_or_default();
    assert!(text.contains("/login-actions/link/"), "{text}");
    assert!(
        app.waiting(&alice).await.is_empty(),
        "the actions are on the link"
    );
    assert_eq!(put(&alice.id, &at("persist=true"), actions).await.0, 204);
    assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"]);
    assert_eq!(put(&alice.id, "reset-password-email", None).await.0, 204);
    assert_eq!(put(&alice.id, "send-verify-email", None).await.0, 204);

    let links = admin.get(&format!("/users/{}/links", alice.id)).await.body;
    let states: Vec<(&str, &str)> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| {
            (
                link["purpose"].as_str().unwrap(),
                link["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states[0].0, "verify-email");
    assert_eq!(states[2], ("actions", "superseded"), "{links}");
    let id = links[0]["id"].as_str().unwrap();
    let of_nobody = format!("/users/{id}/links/{id}");
    let elsewhere = admin.call(Method::DELETE, &of_nobody, None).await;
    assert_eq!(elsewhere.status, 404);
    let gone = admin
        .call(
            Method::DELETE,
            &format!("/users/{}/links/{id}", alice.id),
            None,
        )
        .await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let again = admin
        .call(Method::DELETE, &format!("/links/{id}"), None)
        .await;
    assert_eq!(again.status, 409);
    let other = admin.call(Method::DELETE, "/links/nope", None).await;
    assert_eq!(other.status, 404);
}

on_both!(a_link_is_handed_out_to_whom_it_gains_nothing);
/// `send: false`: a stronger role, every power of the person, and no password to be taken over.
async fn a_link_is_handed_out_to_whom_it_gains_nothing(app: TestApp) {
    let clerk = app
        .user("ho-clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let chief = app
        .user("ho-chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let new = app.user("ho-new").without_password().await;
    let powerful = app
        .user("ho-powerful")
        .without_password()
        .client_role("realm-management", "realm-admin")
        .await;
    let known = app.user("ho-known").await;
    let by = |user: &crate::support::app::User| Admin {
        app: &app,
        realm: "t1",
        username: user.username.clone(),
        password: user.password.clone(),
    };
    let ask = |user: &crate::support::app::User| format!("/users/{}/pre-registration", user.id);
    let quietly = json!({ "send": false });
    assert_eq!(
        by(&clerk).post(&ask(&new), quietly.clone()).await.status,
        403
    );
    assert_eq!(
        by(&clerk)
            .post(&ask(&powerful), quietly.clone())
            .await
            .status,
        403
    );
    let taken = by(&chief).post(&ask(&known), quietly.clone()).await;
    assert_eq!(taken.status, 409, "{}", taken.body);
    let given = by(&chief).post(&ask(&new), quietly).await;
    assert_eq!(given.status, 200, "{}", given.body);
    let link = given.body["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/login-actions/link/", app.issuer())));
    assert_eq!(
        given.body["code"].as_str().unwrap().replace('-', "").len(),
        10
    );
    let week = 7 * 24 * 3600 * 1000;
    let left = given.body["expiresAt"].as_i64().unwrap() - app.store().clock().now().millis();
    assert!((week - 60_000..=week).contains(&left), "{left}");
    assert_eq!(app.events(&new, "ADMIN_LINK_REVEAL"), 1);
    for table in ["links", "events", "outbox"] {
        let rows = app.database().rows(&match table {
            "links" => {
                "SELECT COALESCE(redirect_uri, '') || actions AS value FROM links".to_owned()
            }
            "events" => "SELECT details AS value FROM events".to_owned(),
            _ => "SELECT recipient AS value FROM outbox".to_owned(),
        });
        let token = link.rsplit('/').next().unwrap();
        assert!(rows.iter().all(|row| !row.contains(token)), "{table}");
    }

    // Its time passes, and the person is found by what is the matter.
    let found = |status: &'static str| {
        let admin = operator(&app);
        async move {
            admin
                .get(&format!("/users?username=ho-new&status={status}"))
                .await
                .body
        }
    };
    assert_eq!(
        found("AWAITING_FIRST_PASSWORD")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.advance(Duration::from_secs(7 * 24 * 3600 + 1));
    assert_eq!(found("AWAITING_FIRST_PASSWORD").await, json!([]));
    let expired = found("LINK_EXPIRED").await;
    assert_eq!(expired[0]["status"], "LINK_EXPIRED", "{expired}");
}

on_both!(a_new_person_is_invited_in_the_call_that_makes_them);
async fn a_new_person_is_invited_in_the_call_that_makes_them(app: TestApp) {
    let admin = operator(&app);
    let mailbox = app.mailbox().await;
    let body = json!({ "username": "in-vited", "email": "in-vited@people.example", "preRegistration": true,
        "sendInstructions": true, "message": "Welcome <b>aboard</b>" });
    let made = admin.post("/users", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mail = mailbox.expect("in-vited@people.example").await;
    let text = mail.text.clone().unwrap_or_default();
    assert!(text.contains("Welcome <b>aboard</b>"), "{text}");
    let html = mail.html.clone().unwrap_or_default();
    assert!(!html.contains("<b>aboard"), "{html}");
    assert!(html.contains("&lt;b&gt;aboard"), "{html}");
    assert_eq!(mailbox.to("in-vited@people.example").len(), 1, "one mail");
    let shown = admin.get("/users?username=in-vited").await.body;
    assert_eq!(shown[0]["enabled"], true);
    assert_eq!(shown[0]["status"], "AWAITING_FIRST_PASSWORD");
    let body = json!({ "username": "in-silent", "preRegistration": true });
    let refused = admin.post("/users", body).await;
    assert_eq!(
        (refused.status, refused.text("errorMessage")),
        (400, "User email missing")
    );
    assert_eq!(admin.get("/users?username=in-silent").await.body, json!([]));
}
