//! The sweep: every route there is, asked with everything a gated administrator holds. Routes come from the tables
//! that mount them, so a new one is covered by being there.

use reqwest::Method;

use crate::support::app::TestApp;
use crate::support::database::on_both;
use vestibule::{admin, oidc::routes};

/// What may answer a gated person: public documents, and the steps that lead through the gate or out of the session.
const OPEN: [&str; 10] = [
    "/.well-known/",
    "/protocol/openid-connect/certs",
    "/protocol/openid-connect/auth",
    "/protocol/openid-connect/logout",
    "/login-actions/authenticate",
    "/login-actions/required-action",
    "/resources/",
    // Answers 200 to everybody by RFC 7009, and ends tokens instead of giving them.
    "/protocol/openid-connect/revoke",
    "/login-actions/link",
    "/login-actions/reset-credentials",
];

/// The pages that a gated person's cookies may lead to anywhere else: to prove who they are, or to hear that it is no use.
const PAGES: [&str; 3] = ["login", "error", "message"];

/// The form of the account that a browser which may not send it is led back to, and that signs in first.
const FORM: &str = "/realms/t1/account/email";

/// Whether an answer gives a gated person nothing: a refusal, or to a browser a page that lets nobody in or the way to
/// one.
fn gives_nothing(status: u16, bearer: bool, (text, location): (&str, &str)) -> bool {
    let shown = PAGES
        .iter()
        .any(|page| text.contains(&format!("name=\"vestibule-page\" content=\"{page}\"")));
    let steps = [
        "/login-actions/authenticate?",
        "/login-actions/required-action?",
    ];
    let to_a_step = steps.iter().any(|step| location.contains(step));
    let back = status == 303 && (location.ends_with(FORM) || to_a_step);
    status >= 400 || (!bearer && (status == 200 && shown || back))
}

on_both!(only_the_allow_list_answers_a_gated_person);
/// V006, row 13, 14 and 18 of the oracle: with the token, with the cookies and with both.
async fn only_the_allow_list_answers_a_gated_person(app: TestApp) {
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    let carol = app
        .user("carol")
        .client_role("realm-management", "realm-admin")
        .await;
    let mut browser = app.browser();
    let tokens = browser
        .authorize(&app.rp)
        .await
        .sign_in(&carol)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    app.force_password_reset(&carol).await;

    let cookies: Vec<String> = browser
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut table: Vec<(String, String)> = routes::table()
        .iter()
        .map(|entry| (entry.method.to_string(), entry.path.to_owned()))
        .collect();
    let below = admin::table();
    assert!(below.len() > 60, "{} routes of the admin API", below.len());
    table.extend(below.iter().map(|entry| {
        (
            entry.method.to_string(),
            format!("/admin/realms{}", entry.path),
        )
    }));
    table.push(("GET".to_owned(), "/admin/serverinfo".to_owned()));

    for (method, pattern) in table {
        let path = filled(&pattern, carol.id.as_str());
        let open = OPEN.iter().any(|part| path.contains(part))
            || pattern == "/realms/{realm}"
            || method == "OPTIONS";
        for (content_type, bearer, cookie) in [
            ("application/json", true, true),
            ("application/x-www-form-urlencoded", true, true),
            ("application/json", true, false),
            ("application/json", false, true),
            ("application/x-www-form-urlencoded", false, true),
        ] {
            let method: Method = method.parse().expect("a method");
            let url = app.here(&format!("{}{path}", app.public_url()));
            let form = match bearer {
                true => format!(
                    "token={0}&access_token={0}&refresh_token={1}",
                    tokens.access,
                    tokens.refresh.as_deref().unwrap_or_default()
                ),
                false => "password-new=something".to_owned(),
            };
            let body = if content_type == "application/json" {
                "{}".to_owned()
            } else {
                form
            };
            let mut request = app.http.request(method.clone(), &url);
            if bearer {
                request = request.bearer_auth(&tokens.access);
            }
            if cookie {
                request = request.header("Cookie", cookies.join("; "));
            }
            let answer = request
                .header("Origin", app.public_url())
                .header("Content-Type", content_type)
                .body(if method == Method::GET {
                    String::new()
                } else {
                    body
                })
                .send()
                .await
                .expect("an answer");
            let status = answer.status().as_u16();
            let location = answer
                .headers()
                .get("Location")
                .map(|value| value.to_str().unwrap_or_default().to_owned())
                .unwrap_or_default();
            let text = answer.text().await.unwrap_or_default();
            assert!(status < 500, "{method} {pattern}: {status} {text}");
            assert!(
                !text.contains("\"access_token\"") && !location.contains("code="),
                "{method} {pattern} gave something: {text} {location}"
            );
            assert!(
                open || gives_nothing(status, bearer, (&text, &location)),
                "{method} {pattern} answered {status}: {text}"
            );
        }
    }
}

/// A pattern with something in its holes.
fn filled(pattern: &str, user: &str) -> String {
    let mut path = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (hole, tail) = after.split_once('}').unwrap_or((after, ""));
        path.push_str(before);
        path.push_str(match hole {
            "realm" => "t1",
            "id" | "user" => user,
            _ => "UPDATE_PASSWORD",
        });
        rest = tail;
    }
    path.push_str(rest);
    path
}
