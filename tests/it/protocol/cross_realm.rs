//! Nothing of one realm is worth anything in another.

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::browser::Cookies;
use crate::support::database::on_both;

async fn kids(app: &TestApp, realm: &str) -> Vec<String> {
    let url = app.rp.in_realm(realm).endpoint("certs");
    let answer = app.http.get(url).send().await.expect("an answer");
    let keys: serde_json::Value = answer.json().await.expect("JSON");
    let keys = keys["keys"].as_array().expect("keys").clone();
    keys.iter()
        .map(|key| key["kid"].as_str().expect("a kid").to_owned())
        .collect()
}

on_both!(a_realms_tokens_and_codes_are_nothing_in_another);
/// V099, V103: clients, secrets and user names are the same in both.
async fn a_realms_tokens_and_codes_are_nothing_in_another(app: TestApp) {
    app.make_realm("t2").await;
    let bob = app.user("bob").await;
    app.user_of("t2", "bob").await;
    for rp in [&app.rp, &app.native] {
        let there = rp.in_realm("t2");
        let (mut browser, arrival) = signed_in(&app, &bob, rp).await;
        let tokens = arrival.exchange().await.assert_tokens();
        let refresh = tokens.refresh.clone().expect("a refresh token");
        // Both realms' caches know the client and have seen the token.
        assert_eq!(rp.userinfo(&tokens.access).await.status, 200);
        assert_eq!(there.userinfo(&tokens.access).await.status, 401);
        there.refresh(&refresh).await.assert_error("invalid_grant");
        if rp.secret.is_some() {
            for token in [&tokens.access, &refresh] {
                assert_eq!(rp.introspect(token).await.body["active"], true);
                assert_eq!(there.introspect(token).await.body["active"], false);
            }
        }
        for token in [&tokens.access, &refresh] {
            assert_eq!(there.post("revoke", &[("token", token)]).await.status, 200);
        }
        assert_eq!(
            rp.userinfo(&tokens.access).await.status,
            200,
            "not revoked from there"
        );
        let code = browser.authorize(rp).await.assert_redirect_to(rp);
        there
            .redeem(code.code(), &code.asked.verifier)
            .await
            .assert_error("invalid_grant");
        // And it was not even spent there.
        assert_eq!(
            rp.redeem(code.code(), &code.asked.verifier).await.status,
            200
        );
        assert_eq!(rp.userinfo(&tokens.access).await.status, 200);
    }
}

on_both!(what_acts_for_itself_or_administers_a_realm_does_so_there_alone);
/// V099: an administrator's token and a service's own, at the other realm's endpoints and at its logout.
async fn what_acts_for_itself_or_administers_a_realm_does_so_there_alone(app: TestApp) {
    app.make_realm("t2").await;
    let carol = app
        .user("carol")
        .client_role("realm-management", "realm-admin")
        .await;
    app.user_of("t2", "carol").await;
    let (mut browser, arrival) = signed_in(&app, &carol, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let ask = [("grant_type", "client_credentials"), ("scope", "openid")];
    let service = app
        .service
        .token(&ask)
        .await
        .text("access_token")
        .to_owned();
    let get = async |path: &str, token: &str| {
        let url = app.here(&format!("{}{path}", app.public_url()));
        let request = app.http.get(url).bearer_auth(token).send();
        request.await.expect("an answer").status().as_u16()
    };
    assert_eq!(get("/admin/realms/t1/users", &tokens.access).await, 200);
    for token in [&tokens.access, &service] {
        for path in ["", "/users", "/clients", "/keys"] {
            let status = get(&format!("/admin/realms/t2{path}"), token).await;
            assert!(matches!(status, 401 | 403 | 404), "{path}: {status}");
        }
    }
    let elsewhere = app.service.in_realm("t2");
    assert_eq!(app.service.introspect(&service).await.body["active"], true);
    assert_eq!(elsewhere.introspect(&service).await.body["active"], false);
    assert_eq!(elsewhere.userinfo(&service).await.status, 401);
    let revoked = elsewhere.post("revoke", &[("token", &service)]).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(app.service.introspect(&service).await.body["active"], true);

    let hint = [("id_token_hint", tokens.id.as_str())];
    let logout = app.http.get(app.rp.in_realm("t2").endpoint("logout"));
    let answer = logout.query(&hint).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    let silent = browser.authorize_with(&app.rp, &[("prompt", "none")]).await;
    silent.assert_redirect_to(&app.rp);
}

on_both!(a_realms_cookies_are_nothing_in_another);
/// V099, V103: as they are, and under the other realm's names.
async fn a_realms_cookies_are_nothing_in_another(app: TestApp) {
    app.make_realm("t2").await;
    let bob = app.user("bob").await;
    app.user_of("t2", "bob").await;
    let there = app.rp.in_realm("t2");
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    let none = ("prompt", "none");
    browser
        .authorize_with(&app.rp, &[none])
        .await
        .assert_redirect_to(&app.rp);
    let own = browser.cookies();
    browser
        .authorize_with(&there, &[none])
        .await
        .assert_error_to(&there, "login_required");
    let name = |cookies: &Cookies, end: &str| {
        cookies
            .keys()
            .find(|name| name.ends_with(end) && !own.contains_key(*name))
            .cloned()
    };
    let flow = name(&browser.cookies(), "_flow").expect("the other realm's flow cookie");
    let mut forged = Cookies::new();
    for (cookie, value) in &own {
        let (_, end) = cookie.rsplit_once('_').expect("a realm's tag");
        forged.insert(flow.replace("_flow", &format!("_{end}")), value.clone());
    }
    let mut attacker = app.browser();
    attacker.set_cookies(forged);
    attacker
        .authorize_with(&there, &[none])
        .await
        .assert_error_to(&there, "login_required");
    attacker.authorize(&there).await.assert_page("login");
}

on_both!(a_step_of_one_realm_is_no_step_of_another);
/// V103: the flow's handle at the other realm's URLs.
async fn a_step_of_one_realm_is_no_step_of_another(app: TestApp) {
    app.make_realm("t2").await;
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-password");
    let there = browser
        .page()
        .url
        .as_str()
        .replace("/realms/t1/", "/realms/t2/");
    let mut form = browser.page().form_with("password-new").clone();
    form.fill("password-new", "a new passphrase")
        .fill("password-confirm", "a new passphrase");
    form.action = form
        .action
        .as_str()
        .replace("/realms/t1/", "/realms/t2/")
        .parse()
        .expect("a URL");
    let hash = app.password_hash(&alice).await;
    let mut attacker = browser.copy();
    attacker
        .authorize(&app.rp.in_realm("t2"))
        .await
        .assert_page("login");
    attacker
        .open(there.parse().expect("a URL"))
        .await
        .assert_page("error");
    attacker.submit_form(form, None).await.assert_page("error");
    assert_eq!(app.password_hash(&alice).await, hash);
}

on_both!(two_realms_share_no_key);
/// V099.
async fn two_realms_share_no_key(app: TestApp) {
    app.make_realm("t2").await;
    let (one, two) = (kids(&app, "t1").await, kids(&app, "t2").await);
    assert!(!one.is_empty() && !two.is_empty());
    assert!(one.iter().all(|kid| !two.contains(kid)), "{one:?} {two:?}");
}
