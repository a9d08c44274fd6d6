//! Whose realm it is: nothing of another one is reached, and nothing at all without a token.

use reqwest::Method;
use vestibule::oidc::provision::MANAGEMENT_ROLES;
use vestibule::oidc::routes;

use super::routes as all;
use super::{Answer, World, body, call, facts, filled, holes, manager, operator, token};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// What stands for a thing that is nowhere.
fn unknown(kind: &str) -> String {
    match kind {
        "role" | "role of a client" => "role-of-nowhere".to_owned(),
        _ => "01900000-0000-7000-8000-000000000000".to_owned(),
    }
}

/// Somebody who manages all of `t1` and nothing else: of the realm itself, and of master.
async fn managers(app: &TestApp) -> [String; 2] {
    let (_, own) = manager(app, "chief", &["realm-admin"]).await;
    let mut above = app.user_of("master", "chief-of-t1");
    for role in MANAGEMENT_ROLES {
        above = above.client_role("t1-realm", role);
    }
    let above = above.await;
    let above = token(app, "master", "chief-of-t1", &above.password).await;
    [own, above]
}

on_both!(an_id_of_another_realm_is_as_unknown_as_one_that_never_was);
/// V135: each kind of id in each place of each route, for who manages `t1` from inside and from `master`. That the
/// things are there, and the calls right, is shown at the end in their own realm.
async fn an_id_of_another_realm_is_as_unknown_as_one_that_never_was(app: TestApp) {
    app.make_realm("t2").await;
    let here = World::build(&app, "t1").await;
    let there = World::build(&app, "t2").await;
    let managers = managers(&app).await;
    let before = facts(&app);
    let mut asked = 0;
    for (method, pattern) in all() {
        for (place, kind) in holes(&pattern).into_iter().enumerate() {
            if ["alias", "purpose"].contains(&kind) {
                continue; // The same names in all realms.
            }
            // Only this hole is filled from elsewhere.
            let path = |with: &str| {
                filled(&pattern, "t1", |at, kind| match at == place {
                    true => with.to_owned(),
                    false => here.thing(kind),
                })
            };
            let body = body(&method, &pattern, &here);
            for token in &managers {
                let of =
                    async |id: &str| call(&app, token, (&method, &path(id)), body.as_ref()).await;
                let foreign = of(&there.thing(kind)).await;
                let never = of(&unknown(kind)).await;
                assert_eq!(foreign, never, "{method} {pattern} with a {kind}");
                // An unknown person has no wrong passwords, and is answered so, as by Keycloak.
                let lenient = pattern.contains("/attack-detection/");
                let expected = match (lenient, method == Method::GET) {
                    (false, _) => 404,
                    (true, true) => 200,
                    (true, false) => 204,
                };
                assert_eq!(foreign.status, expected, "{method} {pattern}: {foreign:?}");
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "{asked} calls");
    assert_eq!(facts(&app), before);

    let master = operator(&app).await;
    for (method, pattern) in all() {
        if holes(&pattern).is_empty() {
            continue;
        }
        let path = filled(&pattern, "t2", |_, kind| there.thing(kind));
        let body = body(&method, &pattern, &there);
        let answer = call(&app, &master, (&method, &path), body.as_ref()).await;
        // The operator has no address to which a test could go; what has ended is a conflict.
        let fine = matches!(answer.status, 200..=299 | 409)
            || (pattern.ends_with("/test-send") && answer.status == 400);
        assert!(fine, "{method} {pattern}: {answer:?}");
    }
}

on_both!(another_realm_is_as_unknown_as_one_that_never_was);
/// V135: below the realm's own name, whatever comes after it.
async fn another_realm_is_as_unknown_as_one_that_never_was(app: TestApp) {
    app.make_realm("t2").await;
    let there = World::build(&app, "t2").await;
    let managers = managers(&app).await;
    let before = facts(&app);
    for (method, pattern) in all() {
        if !pattern.contains("{realm}") {
            continue;
        }
        let body = body(&method, &pattern, &there);
        for token in &managers {
            let of = async |realm: &str| {
                let path = filled(&pattern, realm, |_, kind| there.thing(kind));
                call(&app, token, (&method, &path), body.as_ref()).await
            };
            let foreign = of("t2").await;
            assert_eq!(foreign, of("nowhere").await, "{method} {pattern}");
            assert_eq!(foreign.status, 404, "{method} {pattern}: {foreign:?}");
        }
    }
    assert_eq!(facts(&app), before);
}

on_both!(without_a_token_that_stands_nothing_is_answered);
/// V142: no token, one that is none, one of a session that has ended, and one that is for something else: 401 for
/// every route, with the same bytes.
async fn without_a_token_that_stands_nothing_is_answered(app: TestApp) {
    let world = World::build(&app, "t1").await;
    let (chief, ended) = manager(&app, "chief", &["realm-admin"]).await;
    let tokens = app.legacy.password_grant("chief", &chief.password).await;
    let id = chief.id.clone();
    app.tx(move |tx| vestibule::session::rows::delete_of_user(tx, &id))
        .await;
    let refused = |answer: &Answer| {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(
            answer.json(),
            serde_json::json!({ "error": "HTTP 401 Unauthorized" })
        );
    };
    for (method, pattern) in all() {
        let path = filled(&pattern, "t1", |_, kind| world.thing(kind));
        let body = body(&method, &pattern, &world);
        for token in [
            "",
            "none.at.all",
            &ended,
            tokens.text("id_token"),
            tokens.text("refresh_token"),
        ] {
            refused(&call(&app, token, (&method, &path), body.as_ref()).await);
        }
        refused(&call(&app, "", (&method, &path), None).await);
    }
}

/// What is for everybody: documents, and pages that begin something.
const PUBLIC: [&str; 6] = [
    "/.well-known/",
    "/protocol/openid-connect/certs",
    "/protocol/openid-connect/auth",
    "/protocol/openid-connect/logout",
    "/resources/",
    "/login-actions/",
];

on_both!(whoever_shows_nothing_gets_public_documents_and_pages_that_begin_something);
/// V142: every other route of the protocol refuses, or sends the browser to sign in.
async fn whoever_shows_nothing_gets_public_documents_and_pages_that_begin_something(app: TestApp) {
    for entry in routes::table() {
        let path = entry.path.replace("{realm}", "t1").replace("{token}", "x");
        let url = app.here(&format!("{}{path}", app.public_url()));
        let method: Method = entry.method.as_str().parse().expect("a method");
        let request = app.http.request(method.clone(), url);
        let form = [
            ("grant_type", "password"),
            ("username", "admin"),
            ("token", "x"),
        ];
        let request = match method.as_str() {
            "POST" => request.form(&form),
            _ => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").cloned();
        let location = location.map_or_else(String::new, |to| to.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap_or_default();
        let public = PUBLIC.iter().any(|part| path.contains(part))
            || entry.path == "/realms/{realm}"
            || method == Method::OPTIONS;
        let asks_who =
            text.contains("name=\"password\"") || location.contains("/login-actions/authenticate?");
        assert!(
            public || asks_who || status >= 400,
            "{method} {path}: {status} {text}"
        );
        for sign in ["access_token\":", "code="] {
            assert!(
                !text.contains(sign) && !location.contains(sign),
                "{path}: {text}"
            );
        }
        if public && status == 200 && path.contains("/login-actions/") {
            assert!(!text.contains("password-new"), "{path}: {text}");
        }
    }
}
