//! Clients in the hands of somebody with few powers are worth few powers at the admin API, whoever signs in at them.

use reqwest::Method;
use serde_json::{Value, json};

use super::admin::{call, operator};
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;
use crate::support::rp::RelyingParty;

const LIST: (Method, &str) = (Method::GET, "/t1/users");

async fn token(rp: &RelyingParty, user: &User) -> String {
    let answer = rp.password_grant(&user.username, &user.password).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

fn at(app: &TestApp, like: &RelyingParty, client_id: &str) -> RelyingParty {
    let mut rp = like.in_realm("t1");
    rp.client_id = client_id.to_owned();
    if client_id == "admin-cli" {
        rp.secret = None;
    }
    assert_eq!(rp.issuer, app.issuer());
    rp
}

async fn client(app: &TestApp, token: &str, client_id: &str) -> (String, Value) {
    let path = format!("/t1/clients?clientId={client_id}");
    let found = call(app, token, (Method::GET, &path), None).await;
    let shown = found.body[0].clone();
    let id = shown["id"].as_str().expect("an id");
    (format!("/t1/clients/{id}"), shown)
}

/// Makes a client as that caller.
async fn make(app: &TestApp, token: &str, body: Value) {
    let made = call(app, token, (Method::POST, "/t1/clients"), Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

async fn lists(app: &TestApp, rp: &RelyingParty, user: &User) -> u16 {
    let token = token(rp, user).await;
    call(app, &token, LIST, None).await.status
}

on_both!(the_clients_of_administrators_are_changed_by_those_who_have_every_power);
/// V136: `admin-cli` and `security-admin-console`; their redirect URIs would be worth every administrator's powers.
async fn the_clients_of_administrators_are_changed_by_those_who_have_every_power(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-clients")
        .await;
    let chief = app
        .user("chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let cli = at(&app, &app.legacy, "admin-cli");
    for name in ["admin-cli", "security-admin-console"] {
        let (clerk, chief) = (token(&cli, &clerk).await, token(&cli, &chief).await);
        let (path, _) = client(&app, &chief, name).await;
        let secret = format!("{path}/client-secret");
        let evil =
            json!({ "redirectUris": ["https://evil.example/cb"], "standardFlowEnabled": true });
        for (method, path, body) in [
            (Method::PUT, &path, Some(&evil)),
            (Method::POST, &secret, None),
            (Method::DELETE, &path, None),
        ] {
            let answer = call(&app, &clerk, (method, path), body).await;
            assert_eq!(answer.status, 403, "{name} {path}: {}", answer.body);
        }
        let (_, shown) = client(&app, &chief, name).await;
        assert!(!shown.to_string().contains("evil"), "{shown}");
        let fine = json!({ "description": "by the chief" });
        for caller in [&chief, &operator(&app).await] {
            let answer = call(&app, caller, (Method::PUT, &path), Some(&fine)).await;
            assert_eq!(answer.status, 204, "{name}: {}", answer.body);
        }
    }
    assert_eq!(lists(&app, &cli, &chief).await, 200);
}

on_both!(whoever_manages_clients_gets_no_powers_by_an_administrators_sign_in);
/// V136: the attack itself. A client of the delegate's, an administrator with a session who opens its sign-in, and the
/// code in the delegate's hands.
async fn whoever_manages_clients_gets_no_powers_by_an_administrators_sign_in(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-clients")
        .await;
    let chief = app
        .user("chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let cli = at(&app, &app.legacy, "admin-cli");
    let trap = at(&app, &app.native, "trap");
    let by_clerk = token(&cli, &clerk).await;
    for attributes in [
        json!({}),
        json!({ "admin.powers": "" }),
        json!({ "admin.powers": null }),
        json!({ "admin.powers": "[[\"t1\",\"manage-users\"],[\"t1\",\"view-users\"]]" }),
    ] {
        let body = json!({ "clientId": "trap", "publicClient": true, "standardFlowEnabled": true,
            "directAccessGrantsEnabled": true, "redirectUris": [trap.redirect_uri], "attributes": attributes });
        make(&app, &by_clerk, body.clone()).await;
        let (path, _) = client(&app, &by_clerk, "trap").await;
        for again in [false, true] {
            if again {
                let answer = call(&app, &by_clerk, (Method::PUT, &path), Some(&body)).await;
                assert_eq!(answer.status, 204, "{}", answer.body);
            }
            let mut browser = app.browser();
            browser.authorize(&app.rp).await.sign_in(&chief).await;
            let arrival = browser
                .authorize_with(&trap, &[("prompt", "none")])
                .await
                .assert_redirect_to(&trap);
            let stolen = arrival.exchange().await.assert_tokens().access;
            let answer = call(&app, &stolen, LIST, None).await;
            assert_eq!(answer.status, 403, "{attributes}: {}", answer.body);
            let role = (Method::GET, "/t1/clients");
            let answer = call(&app, &stolen, role, None).await;
            assert_eq!(answer.status, 200, "what the clerk has: {}", answer.body);
        }
        let gone = call(&app, &by_clerk, (Method::DELETE, &path), None).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
}

on_both!(scripts_of_administrators_work_until_somebody_lesser_touches_their_client);
/// V136: a confidential client with the password grant and one with a service account, made by who has every power. A
/// delegate's change takes the powers of the people who sign in there, and an administrator's copy written back does
/// not give them back by accident; the attribute sent empty does.
async fn scripts_of_administrators_work_until_somebody_lesser_touches_their_client(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-clients")
        .await;
    let chief = app
        .user("chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let cli = at(&app, &app.legacy, "admin-cli");
    let script = at(&app, &app.legacy, "script");
    let secret = script.secret.clone();
    let by_chief = token(&cli, &chief).await;
    let body = json!({ "clientId": "script", "secret": secret, "directAccessGrantsEnabled": true,
        "serviceAccountsEnabled": true });
    make(&app, &by_chief, body).await;
    assert_eq!(lists(&app, &script, &chief).await, 200);
    let (path, shown) = client(&app, &by_chief, "script").await;
    assert_eq!(shown["attributes"].get("admin.powers"), None, "{shown}");

    // Its service account has powers of its own, which are guarded where they are given.
    let service = async || {
        let answer = script.token(&[("grant_type", "client_credentials")]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token = answer.text("access_token").to_owned();
        call(&app, &token, LIST, None).await.status
    };
    assert_eq!(service().await, 403);
    let (management, _) = client(&app, &by_chief, "realm-management").await;
    let role = format!("{management}/roles/manage-clients");
    let role = call(&app, &by_chief, (Method::GET, &role), None).await.body;
    let account = call(
        &app,
        &by_chief,
        (Method::GET, &format!("{path}/service-account-user")),
        None,
    )
    .await;
    let account = account.body["id"].as_str().expect("an id").to_owned();
    let id = management.rsplit('/').next().expect("an id");
    let map = format!("/t1/users/{account}/role-mappings/clients/{id}");
    let body = json!([role]);
    let mapped = call(&app, &by_chief, (Method::POST, &map), Some(&body)).await;
    assert_eq!(mapped.status, 204, "{}", mapped.body);

    let by_clerk = token(&cli, &clerk).await;
    let touched = json!({ "description": "by the clerk" });
    let answer = call(&app, &by_clerk, (Method::PUT, &path), Some(&touched)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(lists(&app, &script, &chief).await, 403);
    let (_, copy) = client(&app, &by_chief, "script").await;
    assert!(copy["attributes"]["admin.powers"].is_string(), "{copy}");
    let answer = call(&app, &by_chief, (Method::PUT, &path), Some(&copy)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(lists(&app, &script, &chief).await, 403);
    let answer = script.token(&[("grant_type", "client_credentials")]).await;
    let token = answer.text("access_token").to_owned();
    let clients = call(&app, &token, (Method::GET, "/t1/clients"), None).await;
    assert_eq!(clients.status, 200, "a service account: {}", clients.body);

    let approved = json!({ "attributes": { "admin.powers": "" } });
    let answer = call(&app, &by_chief, (Method::PUT, &path), Some(&approved)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(lists(&app, &script, &chief).await, 200);
}
