//! What each management role sees, and what nobody ever does.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::oidc::provision::MANAGEMENT_ROLES;

use super::{World, call, filled, manager, operator, routes};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// Words that stand for a kind of knowledge, and the roles that have it.
const KNOWLEDGE: [(&str, &[&str]); 5] = [
    ("canary-person", &["manage-users", "view-users"]),
    ("canary-group", &["manage-users", "view-users"]),
    ("canary-client", &["manage-clients", "view-clients"]),
    ("canary-realm", &["manage-realm", "view-realm"]),
    (
        "canary-role",
        // Roles are handed out too, by people and to whom a provider brings.
        &[
            "manage-identity-providers",
            "manage-realm",
            "manage-users",
            "view-realm",
            "view-users",
        ],
    ),
];

/// What is told to nobody: not in any answer to a GET but the one place for a client's secret.
const SECRETS: [&str; 6] = [
    "canary-smtp-password",
    "canary-secret-of-the-client",
    "canary passphrase",
    "$argon2",
    "/login-actions/link/",
    "secret_digest",
];

/// Tells the canaries to the world.
async fn tell(app: &TestApp, world: &World) {
    let admin = operator(app).await;
    let user = world.thing("user");
    let client = world.thing("client");
    let smtp = json!({
        "host": "127.0.0.1", "port": "1", "from": "no-reply@t1.example", "auth": "true",
        "user": "canary-realm", "password": "canary-smtp-password",
    });
    let about = |name: &str| json!({ "note": [name] });
    let calls: [(Method, String, Value); 6] = [
        (Method::PUT, String::new(), json!({ "smtpServer": smtp })),
        (
            Method::PUT,
            format!("/users/{user}"),
            json!({
                "email": "canary-person@people.example", "lastName": "canary-person",
                "attributes": about("canary-person"),
            }),
        ),
        (
            Method::PUT,
            format!("/users/{user}/reset-password"),
            json!({ "type": "password", "value": "canary passphrase", "temporary": false }),
        ),
        (
            Method::PUT,
            format!("/clients/{client}"),
            json!({
                "secret": "canary-secret-of-the-client", "description": "canary-client",
                "redirectUris": ["https://canary-client.example/cb"],
            }),
        ),
        (
            Method::PUT,
            "/roles/role-of-t1".to_owned(),
            json!({ "name": "role-of-t1", "description": "canary-role", "attributes": about("canary-role") }),
        ),
        (
            Method::POST,
            "/groups".to_owned(),
            json!({ "name": "canary-group", "attributes": about("canary-group") }),
        ),
    ];
    for (method, path, body) in calls {
        let path = format!("/realms/t1{path}");
        let answer = call(app, &admin, (&method, &path), Some(&body)).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    }
}

on_both!(each_management_role_sees_its_own_part_and_nobody_a_secret);
/// V138, V139: every GET, also with each list in full, with each management role alone.
async fn each_management_role_sees_its_own_part_and_nobody_a_secret(app: TestApp) {
    let world = World::build(&app, "t1").await;
    tell(&app, &world).await;
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let looks: Vec<(Method, String)> = routes()
        .into_iter()
        .filter(|(method, _)| *method == Method::GET)
        .collect();
    assert!(looks.len() > 50, "{looks:?}");
    for role in MANAGEMENT_ROLES {
        let (_, token) = manager(&app, &format!("only-{role}"), &[role]).await;
        for (method, pattern) in &looks {
            let path = filled(pattern, "t1", |_, kind| world.thing(kind));
            let path = format!("{path}?briefRepresentation=false&max=100");
            let answer = call(&app, &token, (method, &path), None).await;
            assert!(
                matches!(answer.status, 200 | 403),
                "{role} {pattern}: {answer:?}"
            );
            for (canary, roles) in KNOWLEDGE {
                if answer.text.contains(canary) {
                    assert!(
                        roles.contains(&role),
                        "{role} sees {canary} at {pattern}: {answer:?}"
                    );
                    seen.entry(canary).or_default().insert(role);
                }
            }
            let may_see = |secret: &&str| {
                *secret == "canary-secret-of-the-client"
                    && role == "manage-clients"
                    && pattern.ends_with("/client-secret")
            };
            let told: Vec<&&str> = SECRETS
                .iter()
                .filter(|secret| answer.text.contains(**secret))
                .filter(|secret| !may_see(secret))
                .collect();
            assert!(
                told.is_empty(),
                "{role} is told {told:?} at {pattern}: {answer:?}"
            );
            if pattern.ends_with("/client-secret") {
                assert_eq!(answer.status == 200, role == "manage-clients", "{role}");
            }
        }
    }
    for (canary, roles) in KNOWLEDGE {
        let roles: BTreeSet<&str> = roles.iter().copied().collect();
        assert_eq!(seen.get(canary), Some(&roles), "who sees {canary}");
    }
}

on_both!(what_looks_like_a_placeholder_is_text);
/// V144: nothing of the environment, of a file or of a vault is put in its place, in an answer or on a page.
async fn what_looks_like_a_placeholder_is_text(app: TestApp) {
    let admin = operator(&app).await;
    let ada = app.user("ada").await;
    for text in [
        "${env:PATH}",
        "${env.PATH}",
        "$PATH",
        "${PATH}",
        "${vault.smtp}",
        "${file:/etc/passwd}",
        "{{ get_env(name=\"PATH\") }}",
        "{% include \"base.html\" %}",
        "%PATH%",
    ] {
        let realm = json!({ "displayName": text });
        let person = json!({ "email": "ada@people.example", "attributes": { "note": [text] } });
        let own = format!("/realms/t1/users/{}", ada.id);
        for (path, body, field) in [
            ("/realms/t1", realm, "/displayName"),
            (own.as_str(), person, "/attributes/note/0"),
        ] {
            let put = call(&app, &admin, (&Method::PUT, path), Some(&body)).await;
            assert_eq!(put.status, 204, "{text}: {put:?}");
            let shown = call(&app, &admin, (&Method::GET, path), None).await;
            let json = shown.json();
            assert_eq!(json.pointer(field), Some(&json!(text)), "{shown:?}");
        }
        let mut browser = app.browser();
        browser
            .authorize(&app.rp)
            .await
            .assert_page("login")
            .assert_text(text);
    }
}
