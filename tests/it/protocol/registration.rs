//! Addresses that somebody registers for a client: what a browser would run or read locally is refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::database::{ADMIN, on_both};

/// What no address of a client may be, in the spellings that browsers take for the same.
const DANGEROUS: [&str; 14] = [
    "javascript:alert(1)",
    "JaVaScRiPt://app.example/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://app.example/1",
    "file:///etc/passwd",
    "about:blank",
    "filesystem:https://app.example/x",
    " javascript://app.example/",
    "\u{1}javascript://app.example/",
    "java\tscript://app.example/",
    "java\r\nscript://app.example/",
    "\u{a0}javascript://app.example/",
    "https://app.example/\u{1}",
];

/// A client whose address of that name is this one.
fn with(field: &str, uri: &str) -> Value {
    let client = |field: &str, value: Value| json!({ "clientId": "new", field: value });
    match field {
        "redirectUris" => client(field, json!(["https://app.example/cb", uri])),
        "rootUrl" | "baseUrl" => client(field, json!(uri)),
        "post.logout.redirect.uris" => {
            let list = format!("https://app.example/bye##{uri}");
            client("attributes", json!({ field: list }))
        }
        attribute => client("attributes", json!({ attribute: uri })),
    }
}

on_both!(what_a_browser_would_run_can_be_registered_nowhere);
/// V063: in a new client and in one that is there, in each field that is an address, as it is and before a wildcard.
async fn what_a_browser_would_run_can_be_registered_nowhere(app: TestApp) {
    let mut cli = app.legacy.in_realm("master");
    (cli.client_id, cli.secret) = ("admin-cli".to_owned(), None);
    let token = cli.password_grant(ADMIN.0, ADMIN.1).await;
    let token = token.text("access_token").to_owned();
    let known = app.sql("SELECT id AS value FROM clients WHERE client_id = 'rp'");
    let call = async |method: Method, path: &str, body: &Value| {
        let url = format!("{}/admin/realms/t1/clients{path}", app.public_url());
        let request = app.http.request(method, app.here(&url));
        let answer = request.bearer_auth(&token).json(body).send().await;
        answer.expect("an answer").status().as_u16()
    };
    let there = format!("/{}", known[0]);
    let clients = || {
        let mut contents = app.database().contents();
        contents.retain(|(column, _)| column.starts_with("clients."));
        contents
    };
    let before = clients();
    for field in [
        "redirectUris",
        "rootUrl",
        "baseUrl",
        "post.logout.redirect.uris",
        "backchannel.logout.url",
        "frontchannel.logout.url",
        "initiate.login.uri",
        "logoUri",
        "policyUri",
        "tosUri",
    ] {
        let lists = ["redirectUris", "post.logout.redirect.uris"].contains(&field);
        let wildcards = DANGEROUS.iter().take(13).map(|uri| format!("{uri}*"));
        let wildcards: Vec<String> = wildcards.filter(|_| lists).collect();
        let plain = DANGEROUS.iter().map(|uri| (*uri).to_owned());
        for uri in plain.chain(wildcards) {
            let at = format!("{field}: {uri:?}");
            let body = with(field, &uri);
            assert_eq!(call(Method::POST, "", &body).await, 400, "{at}");
            let mut change = body;
            change["clientId"] = json!("rp");
            assert_eq!(call(Method::PUT, &there, &change).await, 400, "{at}");
        }
    }
    assert_eq!(clients(), before, "nothing was stored");
    let fine = with("redirectUris", "com.example.app:/cb");
    assert_eq!(call(Method::POST, "", &fine).await, 201);
}

on_both!(a_client_that_shall_not_prove_itself_by_a_secret_gets_none);
/// V086: none is made up for it; with the method that this server has, it gets one.
async fn a_client_that_shall_not_prove_itself_by_a_secret_gets_none(app: TestApp) {
    let mut cli = app.legacy.in_realm("master");
    (cli.client_id, cli.secret) = ("admin-cli".to_owned(), None);
    let token = cli.password_grant(ADMIN.0, ADMIN.1).await;
    let token = token.text("access_token").to_owned();
    let clients = app.here(&format!("{}/admin/realms/t1/clients", app.public_url()));
    let secrets = "SELECT client_id AS value FROM clients WHERE client_id IN ('jwt', 'secret') \
                   AND secret_digest IS NOT NULL";
    for (client_id, method) in [("jwt", "client-jwt"), ("secret", "client-secret")] {
        let body = json!({ "clientId": client_id, "clientAuthenticatorType": method });
        let request = app.http.post(&clients).bearer_auth(&token).json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{client_id}");
    }
    assert_eq!(app.sql(secrets), ["secret"]);
}
