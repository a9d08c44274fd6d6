//! Which scripts may read what.

use super::signed_in;
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
