//! A token of one kind is worth nothing where another kind belongs, and loses nothing by being shown there.

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::redeem::invited;
use super::{NEW, mails};
use crate::gate::verify_email::mailed_code;
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::on_both;

const LOGOUT: &str = "/realms/t1/protocol/openid-connect/logout";

/// Every kind of token that this server gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Link,
    TypedCode,
    Handle,
    LinkCookie,
    AuthorizationCode,
    RefreshToken,
    AccessToken,
    IdToken,
    FormToken,
    FlowHandle,
    BrowserCookie,
    SessionCookie,
    EmailCode,
    RememberCookie,
    DeviceCookie,
    LogoutForm,
}

/// Every place that takes one.
const PLACES: [(Kind, &str); 15] = [
    (Kind::Link, "the path of a link"),
    (Kind::Handle, "the handle of a page"),
    (Kind::Handle, "the handle of a press"),
    (Kind::LinkCookie, "the cookie of a handle"),
    (Kind::TypedCode, "the page for typed codes"),
    (Kind::AuthorizationCode, "the code grant"),
    (Kind::RefreshToken, "the refresh grant"),
    (Kind::AccessToken, "the userinfo endpoint"),
    (Kind::FormToken, "the form of the sign-in page"),
    (Kind::FlowHandle, "the address of the sign-in page"),
    (Kind::SessionCookie, "the session cookie"),
    (Kind::EmailCode, "the page for an address"),
    (Kind::RememberCookie, "the remembering cookie"),
    (Kind::IdToken, "the hint of a logout"),
    (Kind::LogoutForm, "the form of a logout"),
];

/// The people and browsers that the tokens are of.
struct Scene {
    app: TestApp,
    /// Has opened alice's link.
    invited: Browser,
    /// Stands at the sign-in page.
    visitor: Browser,
    /// Has to prove an address.
    proving: Browser,
    /// Is about to sign out.
    leaving: Browser,
    /// The code's verifier.
    verifier: String,
    /// The name of the session cookie.
    session: String,
    /// The name of the remembering cookie.
    remember: String,
    /// The name of the link's cookie.
    link: String,
    tokens: Vec<(Kind, String)>,
}

fn cookie_named(browser: &Browser, part: &str) -> (String, String) {
    let cookies = browser.cookies();
    let mut found = cookies.into_iter().filter(|(name, _)| name.contains(part));
    found.next().expect("the cookie")
}

fn query_of(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    let (_, value) = pairs.find(|(known, _)| known == name).expect("it");
    value.into_owned()
}

async fn scene(app: TestApp) -> Scene {
    let (alice, link) = invited(&app, "alice").await;
    let code = mails(&app, &alice, 1).await.remove(0).code;
    let mut opened = app.browser();
    opened.open(link.clone()).await.assert_page("link");
    let handle = query_of(&opened.page().url, "h");
    let (link_cookie_name, link_cookie) = cookie_named(&opened, "link_");
    let bob = app.user("bob").await;
    let mut signed_in = app.browser();
    signed_in.authorize(&app.rp).await;
    let mut form = signed_in.page().form_with("password").clone();
    form.fill("rememberMe", "on")
        .fill("username", &bob.username)
        .fill("password", &bob.password);
    let tokens = signed_in
        .submit_form(form, Some("login"))
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    let arrival = signed_in
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp);
    let (session_name, session) = cookie_named(&signed_in, "_sid");
    let (remember_name, remember) = cookie_named(&signed_in, "_remember");
    let (_, device) = cookie_named(&signed_in, "_device");
    let mut leaving = app.browser();
    leaving
        .authorize(&app.rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp);
    leaving.open_path(LOGOUT).await.assert_page("logout");
    let logout = leaving.page().form_with("confirmLogout").clone();
    let dora = app.user("dora").unverified().action("VERIFY_EMAIL").await;
    let mut proving = app.browser();
    proving
        .authorize(&app.rp)
        .await
        .sign_in(&dora)
        .await
        .assert_page("verify-email");
    let email_code = mailed_code(&app, &dora).await;
    let mut visitor = app.browser();
    visitor.authorize(&app.rp).await.assert_page("login");
    let form = visitor.page().form_with("password").clone();
    let token = link.path_segments().expect("segments").next_back();
    let tokens = vec![
        (Kind::Link, token.expect("a token").to_owned()),
        (Kind::TypedCode, code),
        (Kind::Handle, handle),
        (Kind::LinkCookie, link_cookie),
        (Kind::AuthorizationCode, arrival.code().to_owned()),
        (Kind::RefreshToken, tokens.refresh.expect("a refresh token")),
        (Kind::AccessToken, tokens.access),
        (Kind::IdToken, tokens.id),
        (
            Kind::FormToken,
            form.hidden("flow").expect("a token").to_owned(),
        ),
        (Kind::FlowHandle, query_of(&form.action, "tab_id")),
        (Kind::BrowserCookie, cookie_named(&visitor, "flow").1),
        (Kind::SessionCookie, session),
        (Kind::EmailCode, email_code),
        (Kind::RememberCookie, remember),
        (Kind::DeviceCookie, device),
        (
            Kind::LogoutForm,
            logout.hidden("flow").expect("a token").to_owned(),
        ),
    ];
    Scene {
        invited: opened,
        visitor,
        verifier: arrival.asked.verifier.clone(),
        session: session_name,
        remember: remember_name,
        proving,
        leaving,
        link: link_cookie_name,
        tokens,
        app,
    }
}

impl Scene {
    fn token(&self, kind: Kind) -> &str {
        let mut found = self.tokens.iter().filter(|(known, _)| *known == kind);
        &found.next().expect("a token").1
    }

    fn page(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.app.issuer())).expect("an address")
    }

    /// Shows a token at a place; answers what came of it where that is more than a refusal.
    async fn show(&self, (place, shown): (&str, &str)) -> Option<String> {
        let app = &self.app;
        let marker = |browser: &Browser| {
            let page = browser.page.as_ref().and_then(|page| page.marker.clone());
            page.unwrap_or_else(|| format!("no page: {browser}"))
        };
        let beside = |browser: &Browser, refusals: &[&str]| {
            let marker = marker(browser);
            (!refusals.contains(&marker.as_str())).then_some(marker)
        };
        match place {
            "the path of a link" => {
                let mut browser = app.browser();
                browser
                    .open(self.page(&format!("/login-actions/link/{shown}")))
                    .await;
                beside(&browser, &["message"])
            }
            "the handle of a page" => {
                let mut browser = self.invited.copy();
                let mut page = self.page("/login-actions/link");
                page.query_pairs_mut().append_pair("h", shown);
                browser.open(page).await;
                beside(&browser, &["message"])
            }
            "the handle of a press" => {
                let mut browser = self.invited.copy();
                let pairs = [
                    ("h".to_owned(), shown.to_owned()),
                    ("open".into(), "".into()),
                ];
                browser
                    .post(&self.page("/login-actions/link"), &pairs)
                    .await;
                beside(&browser, &["message"])
            }
            "the cookie of a handle" => {
                let mut browser = self.invited.copy();
                let mut cookies = browser.cookies();
                cookies.insert(self.link.clone(), shown.to_owned());
                browser.set_cookies(cookies);
                browser.open(self.invited.page().url.clone()).await;
                beside(&browser, &["message"])
            }
            "the page for typed codes" => {
                // Five wrong ones would end the code, and nothing after them would be compared with it.
                app.database().execute("UPDATE links SET wrong_codes = 0");
                let mut browser = app.browser();
                let typed = [("username", "alice@people.example"), ("code", shown)];
                browser.open(self.page("/login-actions/link")).await;
                browser.fill_in(&typed).await;
                beside(&browser, &["link-code"])
            }
            "the code grant" => refused(&app.rp.redeem(shown, &self.verifier).await.body),
            "the refresh grant" => refused(&app.rp.refresh(shown).await.body),
            "the userinfo endpoint" => {
                let answer = app.rp.userinfo(shown).await;
                (answer.status != 401).then(|| answer.body.to_string())
            }
            "the form of the sign-in page" => {
                let mut browser = self.visitor.copy();
                let mut form = self.visitor.page().form_with("password").clone();
                for field in &mut form.fields {
                    if field.name == "flow" {
                        shown.clone_into(&mut field.value);
                    }
                }
                form.fill("username", "bob");
                form.fill("password", "the first passphrase of bob");
                browser.submit_form(form, Some("login")).await;
                browser.cookie("sid")
            }
            "the address of the sign-in page" => {
                let mut browser = self.visitor.copy();
                let mut page = self.page("/login-actions/authenticate");
                page.query_pairs_mut().append_pair("tab_id", shown);
                browser.open(page).await;
                beside(&browser, &["error"])
            }
            "the session cookie" => {
                let mut browser = app.browser();
                browser.set_cookies([(self.session.clone(), shown.to_owned())].into());
                browser.authorize_with(&app.rp, &[("prompt", "none")]).await;
                browser.got_a_code().then(|| "a code".to_owned())
            }
            "the page for an address" => {
                app.database().execute("UPDATE email_codes SET wrong = 0");
                // Each try is a step of the flow, so the form is fetched anew.
                let mut browser = self.proving.copy();
                browser.open(self.proving.page().url.clone()).await;
                browser.fill_in(&[("code", shown)]).await;
                beside(&browser, &["verify-email"])
            }
            "the remembering cookie" => {
                let mut browser = app.browser();
                browser.set_cookies([(self.remember.clone(), shown.to_owned())].into());
                browser.authorize_with(&app.rp, &[("prompt", "none")]).await;
                browser.got_a_code().then(|| "a code".to_owned())
            }
            "the hint of a logout" => {
                let mut browser = app.browser();
                let mut page = self.page("/protocol/openid-connect/logout");
                page.query_pairs_mut().append_pair("id_token_hint", shown);
                browser.open(page).await;
                beside(&browser, &["error"])
            }
            "the form of a logout" => {
                let mut form = self.leaving.page().form_with("confirmLogout").clone();
                for field in form.fields.iter_mut().filter(|field| field.name == "flow") {
                    shown.clone_into(&mut field.value);
                }
                let sent = app
                    .http
                    .post(app.here(form.action.as_str()))
                    .header("cookie", header_of(&self.leaving))
                    .header("origin", app.public_url())
                    .form(&form.pairs(Some("confirmLogout")));
                sent.send().await.expect("an answer");
                let mut browser = self.leaving.copy();
                browser.open_path(LOGOUT).await;
                beside(&browser, &["logout"])
            }
            other => panic!("{other}"),
        }
    }
}

fn header_of(browser: &Browser) -> String {
    let cookies = browser.cookies();
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

fn refused(body: &serde_json::Value) -> Option<String> {
    (body["error"] != "invalid_grant").then(|| body.to_string())
}

on_both!(a_token_of_one_kind_is_worth_nothing_in_the_place_of_another);
/// V032: each kind at each other's place is refused; then each does once what it is for.
async fn a_token_of_one_kind_is_worth_nothing_in_the_place_of_another(app: TestApp) {
    let scene = scene(app).await;
    for (takes, place) in PLACES {
        for (kind, token) in &scene.tokens {
            if *kind == takes {
                continue;
            }
            let came = scene.show((place, token)).await;
            assert_eq!(came, None, "{kind:?} at {place}");
        }
    }
    let app = &scene.app;
    for (kind, token) in &scene.tokens {
        let admin = app
            .http
            .get(app.here(&format!("{}/admin/realms", app.public_url())))
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer");
        assert!(
            admin.status().is_client_error(),
            "{kind:?} at the admin API"
        );
        let seen = app.rp.introspect(token).await;
        let own = [Kind::AccessToken, Kind::RefreshToken].contains(kind);
        assert_eq!(seen.body["active"], json!(own), "{kind:?} introspected");
        if !own {
            // To revoke what is no token of its client is answered by 200, and ends nothing (RFC 7009 section 2.2).
            app.rp.post("revoke", &[("token", token.as_str())]).await;
        }
    }
    each_does_once_what_it_is_for(scene).await;
}

async fn each_does_once_what_it_is_for(mut scene: Scene) {
    for again in [
        "UPDATE links SET wrong_codes = 0",
        "UPDATE email_codes SET wrong = 0",
    ] {
        scene.app.database().execute(again);
    }
    let app = &scene.app;
    let code = scene.token(Kind::EmailCode).to_owned();
    scene.proving.reload().await.assert_page("verify-email");
    scene
        .proving
        .fill_in(&[("code", &code)])
        .await
        .assert_redirect_to(&app.rp);
    scene
        .leaving
        .press("confirmLogout")
        .await
        .assert_page("message");
    // The session goes first: a code used twice would end it.
    let mut own = app.browser();
    let cookie = scene.token(Kind::SessionCookie).to_owned();
    own.set_cookies([(scene.session.clone(), cookie)].into());
    own.authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_redirect_to(&app.rp);
    let mut started_again = app.browser();
    let cookie = scene.token(Kind::RememberCookie).to_owned();
    started_again.set_cookies([(scene.remember.clone(), cookie)].into());
    started_again
        .authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_redirect_to(&app.rp);
    assert_eq!(
        app.rp.userinfo(scene.token(Kind::AccessToken)).await.status,
        200
    );
    let refreshed = app.rp.refresh(scene.token(Kind::RefreshToken)).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let code = scene.token(Kind::AuthorizationCode);
    let first = app.rp.redeem(code, &scene.verifier).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let second = app.rp.redeem(code, &scene.verifier).await;
    second.assert_error("invalid_grant");
    // The typed code and the link are of one link: whichever comes first, it is used once.
    let mut typed = app.browser();
    typed.open(scene.page("/login-actions/link")).await;
    let code = scene.token(Kind::TypedCode).to_owned();
    typed
        .fill_in(&[("username", "alice@people.example"), ("code", &code)])
        .await
        .assert_page("link");
    scene
        .invited
        .press("open")
        .await
        .assert_page("update-password");
    scene
        .invited
        .set_new_password(NEW)
        .await
        .assert_page("message");
    typed
        .press("open")
        .await
        .assert_page("message")
        .assert_text("It was used already");
    let mut form = scene.visitor.page().form_with("password").clone();
    form.fill("username", "bob");
    form.fill("password", "the first passphrase of bob");
    scene.visitor.submit_form(form.clone(), Some("login")).await;
    assert!(scene.visitor.got_a_code(), "{}", scene.visitor);
    // Sent once more it is judged by its password alone.
    form.fill("password", "not the passphrase of bob");
    let again = scene
        .visitor
        .copy()
        .send(
            Method::POST,
            &form.action,
            Some((
                crate::support::browser::FORM,
                crate::support::browser::encode(&form.pairs(Some("login"))),
            )),
        )
        .await;
    let to = again
        .location()
        .map(|to| to.to_string())
        .unwrap_or_default();
    assert!(!to.contains("code="), "a form is good for one step: {to}");
    let hint = scene.show(("the hint of a logout", scene.token(Kind::IdToken)));
    assert!(hint.await.is_some(), "a hint that is one is taken");
}
