//! The canary scan: one life of a server with everything secret in it, and then a look at everything it left behind.
//!
//! Links by answer, mail, campaign, forgotten password, import and command line; wrong and right codes and passwords;
//! an application's secret, codes and tokens; the login of the mail server. Then the log at its most talkative in both forms, every answer that went
//! over the wire, events, metrics and every column of every table are searched for each of them (threats V050, V171).

mod addresses;

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use super::login::{self, Login};
use super::secrets::{NOWHERE, Secrets, scan};
use super::site::{Operator, REALM, Site, client_with};
use super::tap::Tap;
use crate::operations::process::Place;
use crate::support::browser::Browser;
use crate::support::database::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::rp::{RelyingParty, Request};
use crate::support::seed;

/// A mail's link and code.
fn link_in(mailbox: &Mailbox, to: &str, newer_than: usize) -> (Url, String) {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "no mail to {to}");
        let mails = mailbox.to(to);
        if mails.len() > newer_than {
            let text = mails[0].text.clone().unwrap_or_default();
            let link = text
                .split_whitespace()
                .find(|word| word.contains("/login-actions/link/"))
                .expect("a link");
            let code = text
                .lines()
                .find_map(|line| line.strip_prefix("    "))
                .expect("a code");
            let link = Url::parse(link).expect("an address");
            return (link, code.trim().to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A life of the server, and what was secret in it.
struct Life<'a> {
    http: Client,
    public_url: String,
    tap: &'a Tap,
    operator: Operator,
    mailbox: &'a Mailbox,
    login: &'a Login,
    rp: RelyingParty,
    secrets: Secrets,
}

/// What an application gets by the administrator's API.
const CLIENT_ANSWERS: &str = "/clients";
const TOKEN_ANSWERS: &str = "/protocol/openid-connect/token HTTP";
const REVEALED: &str = "/pre-registration HTTP";

/// The realm's login at its mail server.
const MAILER: (&str, &str) = ("canary-mailer", "canary passphrase of the mailer");

impl Life<'_> {
    fn browser(&self) -> Browser {
        Browser::at(&self.http, (&self.public_url, &self.tap.address()))
    }

    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = format!("/{REALM}{path}");
        let reply = self.operator.call(method, &path, body).await;
        assert!(reply.status < 300, "{path}: {reply:?}");
        reply.body
    }

    /// A realm with mail, and an application with a secret.
    async fn begin(&mut self) {
        let (user, password) = MAILER;
        let proof = login::plain(user, password);
        self.secrets.add("the mailer's password", password, NOWHERE);
        self.secrets.add("the mailer's login", &proof, NOWHERE);
        self.operator
            .realm(json!({
                "resetPasswordAllowed": true,
                "rememberMe": true,
                "adminEventsEnabled": true,
                "attributes": { "preRegistrationSelfService": "true" },
                "smtpServer": {
                    "host": "127.0.0.1", "port": self.login.port().to_string(), "from": "no-reply@t1.example",
                    "auth": "true", "user": user, "password": password,
                },
            }))
            .await;
        let shown = self.admin(Method::GET, "", None).await;
        assert_eq!(shown["smtpServer"]["password"], "**********");
        let client = json!({
            "clientId": seed::RP.client_id, "secret": seed::SECRET, "redirectUris": [seed::RP.redirect_uri],
            "publicClient": false, "directAccessGrantsEnabled": true, "standardFlowEnabled": true,
        });
        self.admin(Method::POST, "/clients", Some(client)).await;
        self.secrets
            .add("the client's secret", seed::SECRET, CLIENT_ANSWERS);
        let list = self.admin(Method::GET, "/clients?clientId=rp", None).await;
        let id = list[0]["id"].as_str().expect("an id");
        let path = format!("/clients/{id}/client-secret");
        self.admin(Method::GET, &path, None).await;
        let renewed = self.admin(Method::POST, &path, None).await;
        let secret = renewed["value"].as_str().expect("a secret").to_owned();
        self.secrets
            .add("the client's new secret", &secret, CLIENT_ANSWERS);
        self.rp.secret = Some(secret);
    }

    /// Opens a link, tries a password that is none, and sets one.
    async fn redeem(&mut self, what: &str, link: &Url) -> Browser {
        let password = format!("canary passphrase set by {what}");
        let mismatch = format!("canary passphrase mistyped by {what}");
        for text in [&password, &mismatch] {
            self.secrets.add("a typed password", text, NOWHERE);
        }
        let mut browser = self.browser();
        browser.open(link.clone()).await.assert_page("link");
        browser.reload().await;
        browser.press("open").await.assert_page("update-password");
        browser
            .fill_in(&[("password-new", &mismatch), ("password-confirm", "another")])
            .await
            .assert_page("update-password");
        browser
            .set_new_password(&password)
            .await
            .assert_page("message");
        // And once more, when it is over.
        self.browser()
            .open(link.clone())
            .await
            .assert_page("message");
        browser
    }

    /// A wrong code, and the right one up to the link's button.
    async fn type_code(&mut self, address: &str, code: &str) {
        let wrong = "7KXQF-9XW2M";
        for (typed, page) in [(wrong, "link-code"), (code, "link")] {
            let mut browser = self.browser();
            browser
                .open_path(&format!("/realms/{REALM}/login-actions/link"))
                .await;
            browser
                .fill_in(&[("username", address), ("code", typed)])
                .await
                .assert_page(page);
        }
    }

    async fn by_answer(&mut self) {
        let ann = self.operator.person("ann").await;
        let revealed = self.operator.reveal(&ann).await;
        let known = (&revealed.url, revealed.code.as_str());
        self.secrets.link("an answered link", known, REVEALED);
        self.type_code("ann@people.example", &revealed.code).await;
        let browser = self.redeem("ann", &revealed.url).await;
        self.application(browser, "ann").await;
    }

    async fn by_mail(&mut self) {
        let ben = self.operator.person("ben").await;
        let path = format!("/users/{ben}/pre-registration");
        self.admin(Method::POST, &path, Some(json!({ "message": "Welcome" })))
            .await;
        let (link, code) = link_in(self.mailbox, "ben@people.example", 0);
        self.secrets.link("a mailed link", (&link, &code), NOWHERE);
        self.type_code("ben@people.example", &code).await;
        self.redeem("ben", &link).await;
        let path = format!("/users/{ben}/execute-actions-email?persist=true");
        self.admin(Method::PUT, &path, Some(json!(["UPDATE_PASSWORD"])))
            .await;
        let (link, code) = link_in(self.mailbox, "ben@people.example", 2);
        self.secrets.link("an unused link", (&link, &code), NOWHERE);
        self.browser().open(link.clone()).await.assert_page("link");
        // A forged one beside it.
        let token = link.path_segments().expect("segments").next_back();
        let bent = link
            .as_str()
            .replace(token.expect("a token"), &"Q".repeat(64));
        self.browser()
            .open(Url::parse(&bent).expect("an address"))
            .await
            .assert_page("message");
    }

    /// Cleo has set a password: the notice's link closes the account, and another mail's opens it.
    async fn by_notice(&mut self) {
        let to = "cleo@people.example";
        let notice = self.newest(to, 1);
        let (_, after) = notice
            .split_once("This was not me:")
            .expect("a link in the notice");
        let link = after.split_whitespace().next().expect("a link");
        let link = Url::parse(link).expect("an address");
        self.secrets.token("a notice's link", &link, NOWHERE);
        let mut browser = self.browser();
        browser.open(link.clone()).await.assert_page("link");
        browser.press("open").await.assert_page("message");
        self.browser().open(link).await.assert_page("message");
        let (link, code) = link_in(self.mailbox, to, 2);
        self.secrets
            .link("the link of a closed account", (&link, &code), NOWHERE);
        self.redeem("cleo again", &link).await;
    }

    /// The newest of more than so many mails.
    fn newest(&self, to: &str, than: usize) -> String {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "no mail to {to}");
            let mails = self.mailbox.to(to);
            if mails.len() > than {
                return mails[0].text.clone().unwrap_or_default();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    async fn by_wish(&mut self) {
        self.operator.person("cleo").await;
        let mut browser = self.browser();
        browser
            .open_path(&format!("/realms/{REALM}/login-actions/reset-credentials"))
            .await;
        browser
            .fill_in(&[("username", "cleo@people.example")])
            .await
            .assert_page("message");
        let (link, code) = link_in(self.mailbox, "cleo@people.example", 0);
        self.secrets.link("a wished link", (&link, &code), NOWHERE);
        self.redeem("cleo", &link).await;
    }

    async fn by_campaign(&mut self) {
        for name in ["mail-dora", "mail-emil"] {
            self.operator.person(name).await;
        }
        let body = |dry: bool| {
            json!({
                "name": "Canaries", "kind": "pre-registration", "audience": { "username": "mail-" }, "dryRun": dry,
            })
        };
        self.admin(Method::POST, "/campaigns", Some(body(true)))
            .await;
        let made = self
            .admin(Method::POST, "/campaigns", Some(body(false)))
            .await;
        let id = made["id"].as_str().expect("an id").to_owned();
        for name in ["mail-dora", "mail-emil"] {
            let (link, code) = link_in(self.mailbox, &format!("{name}@people.example"), 0);
            let what = format!("the campaign's link of {name}");
            self.secrets.link(&what, (&link, &code), NOWHERE);
            if name == "mail-dora" {
                self.redeem(name, &link).await;
            }
        }
        for path in ["", "/recipients?max=100"] {
            self.admin(Method::GET, &format!("/campaigns/{id}{path}"), None)
                .await;
        }
    }

    async fn by_import(&mut self) {
        let (plain, temporary) = (
            "canary passphrase of an imported person",
            "canary passphrase for the first day",
        );
        self.secrets.add("an imported password", plain, NOWHERE);
        self.secrets.add("a temporary password", temporary, NOWHERE);
        let rows = format!(
            "{{\"username\":\"fay\",\"email\":\"fay@people.example\",\"enabled\":true,\"credentials\":[{{\"type\":\
             \"password\",\"value\":\"{plain}\",\"temporary\":false}}]}}\n{{\"username\":\"gus\",\"email\":\
             \"gus@people.example\",\"enabled\":true,\"credentials\":[{{\"type\":\"password\",\"value\":\"{temporary}\",\
             \"temporary\":true}}]}}\n{{\"username\":\"no\",\"email\":\"{plain}\",\"password\":\"{plain}\"}}\n"
        );
        let path = format!("/{REALM}/user-imports");
        let kind = "application/x-ndjson";
        let taken = self.operator.send(Method::POST, &path, (kind, rows)).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        let id = taken.body["id"].as_str().expect("an id");
        let path = format!("/user-imports/{id}");
        let began = Instant::now();
        loop {
            let job = self.admin(Method::GET, &path, None).await;
            if job["state"] == "done" {
                assert_eq!(job["accepted"], 2, "{job}");
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.admin(Method::GET, &format!("{path}/rows"), None).await;
        let mut browser = self.sign_in("fay", plain).await;
        browser.assert_redirect_to(&self.rp);
        let mut browser = self.sign_in("gus", temporary).await;
        let chosen = "canary passphrase chosen by gus";
        self.secrets.add("a typed password", chosen, NOWHERE);
        browser.assert_page("update-password");
        browser
            .set_new_password(chosen)
            .await
            .assert_redirect_to(&self.rp);
        let other = "canary passphrase by the administrator";
        self.secrets.add("a temporary password", other, NOWHERE);
        let found = self
            .admin(Method::GET, "/users?username=fay&exact=true", None)
            .await;
        let path = format!(
            "/users/{}/reset-password",
            found[0]["id"].as_str().expect("an id")
        );
        let body = json!({ "type": "password", "value": other, "temporary": true });
        self.admin(Method::PUT, &path, Some(body)).await;
        self.sign_in("fay", other)
            .await
            .assert_page("update-password");
    }

    async fn sign_in(&mut self, name: &str, password: &str) -> Browser {
        let wrong = format!("canary passphrase that {name} never had");
        self.secrets.add("a wrong password", &wrong, NOWHERE);
        let mut browser = self.browser();
        browser.authorize(&self.rp).await.assert_page("login");
        for typed in [wrong.as_str(), password] {
            let mut form = browser.page().form_with("password").clone();
            form.fill("username", name);
            form.fill("password", typed);
            browser.submit_form(form, Some("login")).await;
        }
        browser
    }

    /// An application's code, used and unused, and its tokens.
    async fn application(&mut self, mut browser: Browser, name: &str) {
        let rp = self.rp.clone();
        let arrival = browser.authorize(&rp).await.assert_redirect_to(&rp);
        self.code(&format!("the used code of {name}"), arrival.code());
        let tokens = arrival.exchange().await.assert_tokens();
        let mut refresh = tokens.refresh.expect("a refresh token");
        self.secrets
            .add("an access token", &tokens.access, TOKEN_ANSWERS);
        for _ in 0..2 {
            self.secrets.add("a refresh token", &refresh, TOKEN_ANSWERS);
            let answer = rp.refresh(&refresh).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.text("refresh_token").clone_into(&mut refresh);
        }
        self.secrets.add("a refresh token", &refresh, TOKEN_ANSWERS);
        rp.introspect(&refresh).await;
        rp.userinfo(&tokens.access).await;
        let unused = browser.authorize(&rp).await.assert_redirect_to(&rp);
        self.code(&format!("the unused code of {name}"), unused.code());
        // Shown with the wrong verifier, so that an error speaks of it.
        let asked: &Request = &unused.asked;
        rp.redeem(unused.code(), &asked.state)
            .await
            .assert_error("invalid_grant");
        let password = format!("canary passphrase set by {name}");
        let granted = rp.password_grant(name, &password).await;
        let last = granted.text("refresh_token").to_owned();
        self.secrets.add("a refresh token", &last, TOKEN_ANSWERS);
    }

    fn code(&mut self, what: &str, code: &str) {
        // It stands in the address that the browser is sent to, and nowhere else.
        self.secrets.add(what, code, "in a location");
    }
}

fn nothing_secret_is_left_behind(kind: Kind, format: &str) {
    let settings = [("VESTIBULE_LOG", "trace"), ("VESTIBULE_LOG_FORMAT", format)];
    let Some(site) = Site::on(kind, &settings) else {
        return;
    };
    let mailbox = Mailbox::start();
    let login = Login::before(mailbox.port(), MAILER.0, MAILER.1);
    let place: &Place = &site.places[0];
    let server = place.serve();
    let port = Url::parse(&place.url()).expect("its URL").port();
    let tap = Tap::to(port.expect("a port"));
    let runtime = Runtime::new().expect("a runtime");
    // Over connections of their own, so that each answer is one.
    let http = client_with(|builder| builder.pool_max_idle_per_host(0));
    let public_url = site.public_url();
    let issuer = format!("{public_url}/realms/{REALM}");
    let known = (public_url.as_str(), tap.address());
    let mut secrets = Secrets::default();
    secrets.add(
        "the administrator's password",
        "an admin passphrase",
        NOWHERE,
    );
    let mut life = Life {
        rp: RelyingParty::new(&seed::RP, &issuer, (known.0, &known.1), &http),
        operator: Operator::at(&http, &known.1),
        public_url: public_url.clone(),
        secrets,
        mailbox: &mailbox,
        login: &login,
        http,
        tap: &tap,
    };
    runtime.block_on(async {
        life.begin().await;
        life.by_answer().await;
        life.by_mail().await;
        life.by_wish().await;
        life.by_notice().await;
        life.by_campaign().await;
        life.by_import().await;
        life.by_verification().await;
        life.by_renewal().await;
        life.operator.person("hal").await;
    });
    let printed = place.run(&[
        "user",
        "pre-register",
        "--realm",
        REALM,
        "-u",
        "hal",
        "--print-link",
        "--json",
    ]);
    let shown = printed.json();
    let text = |name: &str| shown[0][name].as_str().expect("a text").to_owned();
    let link = Url::parse(&text("link")).expect("an address");
    let by_command = (&link, text("code"));
    life.secrets
        .link("a printed link", (by_command.0, &by_command.1), NOWHERE);
    runtime.block_on(async {
        life.redeem("hal", &link).await;
        let events = life.admin(Method::GET, "/events?max=10000", None).await;
        let kinds = events.to_string();
        for kind in [
            "LINK_ISSUED",
            "LINK_REDEEMED",
            "ADMIN_LINK_REVEAL",
            "ACCOUNT_CLOSED_BY_OWNER",
            "LOGIN_ERROR",
        ] {
            assert!(kinds.contains(kind), "{kind} is no event");
        }
    });
    assert!(login.let_in() > 0, "nobody logged in at the mail server");
    // What is kept of a connection is kept at its end.
    std::thread::sleep(Duration::from_millis(300));
    let more = [("what the command said beside its answer", printed.err)];
    scan(&site, &server, (&tap, &life.secrets), &more);
}

#[test]
fn nothing_secret_is_left_behind_on_sqlite_in_a_log_of_text() {
    nothing_secret_is_left_behind(Kind::Sqlite, "text");
}

#[test]
fn nothing_secret_is_left_behind_on_sqlite_in_a_log_of_json() {
    nothing_secret_is_left_behind(Kind::Sqlite, "json");
}

#[test]
fn nothing_secret_is_left_behind_on_postgres_in_a_log_of_text() {
    nothing_secret_is_left_behind(Kind::Postgres, "text");
}

#[test]
fn nothing_secret_is_left_behind_on_postgres_in_a_log_of_json() {
    nothing_secret_is_left_behind(Kind::Postgres, "json");
}
