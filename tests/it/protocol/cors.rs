//! Which scripts may read what.

use reqwest::Method;

use super::{change_client, signed_in};
use crate::support::app::TestApp;
use crate::support::database::on_both;
use crate::support::seed::SECRET;

const ORIGINS: [(&str, bool); 6] = [
    ("https://rp.example", true),
    ("https://foreign.example", false),
    ("https://evil.example", false),
    ("https://rp.example.evil.example", false),
    ("http://rp.example", false),
    ("null", false),
];

#[track_caller]
fn assert_readable(answer: &reqwest::Response, origin: &str, readable: bool) {
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map(|value| value.to_str().expect("ASCII").to_owned())
    };
    let expected = readable.then(|| origin.to_owned());
    let at = format!("{} from {origin}", answer.url());
    assert_eq!(header("access-control-allow-origin"), expected, "{at}");
    assert_eq!(header("access-control-allow-credentials"), None, "{at}");
}

on_both!(scripts_of_the_clients_own_origins_alone_read_its_answers);
/// V117: the token endpoint, userinfo and revocation.
async fn scripts_of_the_clients_own_origins_alone_read_its_answers(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    for (origin, ours) in ORIGINS {
        let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", arrival.code()),
            ("redirect_uri", &app.rp.redirect_uri),
            ("code_verifier", &arrival.asked.verifier),
            ("client_id", "rp"),
            ("client_secret", SECRET),
        ];
        let request = app.http.post(app.rp.endpoint("token")).form(&form);
        let answer = request
            .header("origin", origin)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_readable(&answer, origin, ours);

        let request = app
            .http
            .get(app.rp.endpoint("userinfo"))
            .bearer_auth(&access);
        let answer = request
            .header("origin", origin)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_readable(&answer, origin, ours);

        let form = [
            ("token", "x"),
            ("client_id", "rp"),
            ("client_secret", SECRET),
        ];
        let request = app.http.post(app.rp.endpoint("revoke")).form(&form);
        let answer = request
            .header("origin", origin)
            .send()
            .await
            .expect("an answer");
        assert_readable(&answer, origin, ours);
    }
}

on_both!(no_script_reads_a_page_or_an_answer_of_nobody);
/// V117: pages, and the token endpoint where no client was authenticated.
async fn no_script_reads_a_page_or_an_answer_of_nobody(app: TestApp) {
    for (origin, _) in ORIGINS {
        for path in [
            "auth?client_id=rp&response_type=code&redirect_uri=https%3A%2F%2Frp.example%2Fcb",
            "auth?client_id=rp&response_type=code&redirect_uri=https%3A%2F%2Frp.example%2Fcb&prompt=none",
            "logout",
        ] {
            let request = app.http.get(app.rp.endpoint(path)).header("origin", origin);
            assert_readable(&request.send().await.expect("an answer"), origin, false);
        }
        for form in [
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "rp"),
                ("client_secret", "wrong"),
            ][..],
            &[("client_id", "rp")],
        ] {
            let request = app.http.post(app.rp.endpoint("token")).form(form);
            let answer = request
                .header("origin", origin)
                .send()
                .await
                .expect("an answer");
            assert_readable(&answer, origin, false);
        }
        let request = app
            .http
            .get(app.rp.endpoint("userinfo"))
            .bearer_auth("nonsense");
        let answer = request
            .header("origin", origin)
            .send()
            .await
            .expect("an answer");
        assert_readable(&answer, origin, false);
    }
}

/// What scripts may read, where the client allows it.
const READABLE: [&str; 3] = ["/token", "/userinfo", "/revoke"];

/// What everybody may read, and is the same for everybody.
const DOCUMENTS: [&str; 2] = ["/.well-known/", "/certs"];

on_both!(no_other_route_lets_a_script_of_another_origin_read_anything);
/// V117: whatever is asked and however: pages and their steps, introspection, the whole admin API with a token that
/// opens it. Preflights are answered where a script may have business, and let nobody send credentials.
async fn no_other_route_lets_a_script_of_another_origin_read_anything(app: TestApp) {
    let carol = app
        .user("carol")
        .client_role("realm-management", "view-users")
        .await;
    let mut admin_cli = app.legacy.clone();
    (admin_cli.client_id, admin_cli.secret) = ("admin-cli".to_owned(), None);
    let granted = admin_cli.password_grant("carol", &carol.password).await;
    let token = granted.text("access_token");
    let mut paths: Vec<(Method, String)> = vestibule::oidc::routes::table()
        .iter()
        .map(|entry| {
            (
                entry.method.as_str().parse().unwrap(),
                entry.path.to_owned(),
            )
        })
        .collect();
    let admin = vestibule::admin::table();
    paths.extend(admin.iter().map(|entry| {
        let path = format!("/admin/realms{}", entry.path);
        (entry.method.as_str().parse().unwrap(), path)
    }));
    assert!(paths.len() > 130, "{} routes", paths.len());
    for (method, pattern) in paths {
        if READABLE.iter().any(|path| pattern.ends_with(path)) {
            continue;
        }
        let path = pattern
            .replace("{realm}", "t1")
            .replace("{user}", carol.id.as_str());
        let url = app.here(&format!("{}{path}", app.public_url()));
        for asked in [method, Method::OPTIONS] {
            for origin in ["https://rp.example", "https://evil.example", "null"] {
                let request = app
                    .http
                    .request(asked.clone(), &url)
                    .header("origin", origin);
                let request = match path.starts_with("/admin") {
                    true => request.bearer_auth(token),
                    false => request,
                };
                let request = match asked == Method::OPTIONS {
                    true => request.header("access-control-request-method", "POST"),
                    false => request,
                };
                let answer = request.send().await.expect("an answer");
                let document = DOCUMENTS.iter().any(|part| pattern.contains(part));
                if document || pattern == "/realms/{realm}" {
                    let allowed = answer.headers().get("access-control-allow-origin");
                    assert!(allowed.is_none_or(|origin| origin == "*"), "{pattern}");
                    let with = answer.headers().get("access-control-allow-credentials");
                    assert_eq!(with, None, "{pattern}");
                } else {
                    assert_readable(&answer, origin, false);
                }
            }
        }
    }
}

on_both!(a_star_among_the_origins_opens_nothing_and_a_plus_the_clients_own);
/// V117: `+` stands for the origins of the redirect URIs, and nothing stands for every origin.
async fn a_star_among_the_origins_opens_nothing_and_a_plus_the_clients_own(app: TestApp) {
    for (entry, own) in [("+", true), ("*", false), ("https://*.example", false)] {
        change_client(&app, "svc", move |client| {
            client.settings.redirect_uris = vec!["https://rp.example/cb".to_owned()];
            client.settings.web_origins = vec![entry.to_owned()];
        })
        .await;
        for (origin, ours) in ORIGINS {
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", "svc"),
                ("client_secret", SECRET),
            ];
            let request = app.http.post(app.service.endpoint("token")).form(&form);
            let request = request.header("origin", origin);
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            assert_readable(&answer, origin, own && ours);
        }
    }
}
