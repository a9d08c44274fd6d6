//! The token oracle: everything a person ever held, tried on every path there is, must open nothing.
//!
//! The harness writes down each password, cookie, code and token as it appears. A path that is added
//! to the server is added here once, and every test of the gate then covers it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::json;
use vestibule::kernel::UserId;

use super::app::{TestApp, User};
use super::browser::Cookies;
use super::rp::{RelyingParty, Request, Tokens};

/// What the people of a test ever held.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Credentials>>);

/// What one person ever held, oldest first.
#[derive(Clone, Default)]
pub struct Credentials {
    pub passwords: Vec<String>,
    pub cookies: Vec<Cookies>,
    /// Each code with the request that it answered.
    pub codes: Vec<(String, Request)>,
    pub refresh: Vec<(RelyingParty, String)>,
    pub access: Vec<String>,
    pub id_tokens: Vec<String>,
}

impl Credentials {
    /// The same without a password: for the time after it became the right one.
    #[must_use]
    pub fn without_password(mut self, password: &str) -> Self {
        self.passwords.retain(|known| known != password);
        self
    }

    /// The same without cookies: for states in which a session rightly stands.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.cookies.clear();
        self
    }

    /// The same without codes: for what may still be redeemed.
    #[must_use]
    pub fn without_codes(mut self) -> Self {
        self.codes.clear();
        self
    }
}

impl Ledger {
    fn with(&self, user: &UserId, note: impl FnOnce(&mut Credentials)) {
        note(self.0.lock().entry(user.as_str().to_owned()).or_default());
    }

    /// A password that was set or typed.
    pub fn password(&self, user: &UserId, password: &str) {
        self.with(user, |held| {
            if !password.is_empty() && !held.passwords.iter().any(|known| known == password) {
                held.passwords.push(password.to_owned());
            }
        });
    }

    /// The cookies of a browser in which the person acted.
    pub fn cookies(&self, user: &UserId, cookies: Cookies) {
        self.with(user, |held| {
            if !held.cookies.contains(&cookies) {
                held.cookies.push(cookies);
            }
        });
    }

    /// A code and the request that it answered.
    pub fn code(&self, user: &UserId, code: &str, asked: &Request) {
        self.with(user, |held| {
            if !held.codes.iter().any(|(known, _)| known == code) {
                held.codes.push((code.to_owned(), asked.clone()));
            }
        });
    }

    /// Tokens of a client.
    pub fn tokens(&self, user: &UserId, rp: &RelyingParty, tokens: &Tokens) {
        self.with(user, |held| {
            held.access.push(tokens.access.clone());
            held.id_tokens.push(tokens.id.clone());
            if let Some(refresh) = &tokens.refresh {
                held.refresh.push((rp.clone(), refresh.clone()));
            }
        });
    }

    /// Everything that a person held until now.
    pub fn of(&self, user: &User) -> Credentials {
        let held = self.0.lock();
        held.get(user.id.as_str()).cloned().unwrap_or_default()
    }
}

impl TestApp {
    /// Tries every path with everything the person ever held; nothing may come out.
    pub async fn assert_no_tokens_for(&self, user: &User) {
        let held = self.ledger.of(user);
        self.assert_nothing_opens(user, &held).await;
    }

    /// Tries every path with these credentials; nothing may come out, and no row may be added from which
    /// something could.
    pub async fn assert_nothing_opens(&self, user: &User, held: &Credentials) {
        let before = self.token_rows(&user.id);
        let obtained = self.obtained(user, held).await;
        assert!(
            obtained.is_empty(),
            "{} obtained: {obtained:#?}",
            user.username
        );
        let after = self.token_rows(&user.id);
        assert!(
            after <= before,
            "{} rows that open something became {after}",
            before
        );
    }

    /// What the person gets out of these credentials, in words.
    pub async fn obtained(&self, user: &User, held: &Credentials) -> Vec<String> {
        let mut got = Vec::new();
        for access in &held.access {
            self.try_access_token(access, &mut got).await;
        }
        for (rp, refresh) in &held.refresh {
            let answer = rp.refresh(refresh).await;
            if answer.status != 400 || answer.text("error") != "invalid_grant" {
                got.push(format!("refresh at {}: {}", rp.client_id, answer.body));
            }
            if self.rp.introspect(refresh).await.body != json!({ "active": false }) {
                got.push("an active refresh token".to_owned());
            }
        }
        for (code, asked) in &held.codes {
            let answer = asked.rp.redeem(code, &asked.verifier).await;
            if answer.status != 400 || answer.text("error") != "invalid_grant" {
                got.push(format!("a code redeemed: {}", answer.body));
            }
        }
        for cookies in &held.cookies {
            self.try_cookies(user, (cookies, held.id_tokens.last()), &mut got)
                .await;
        }
        // The newest password comes last: a right one resets the count of wrong ones.
        for password in &held.passwords {
            let newest = held.passwords.last() == Some(password);
            self.try_password(user, (password, newest), &mut got).await;
        }
        got
    }

    async fn try_access_token(&self, access: &str, got: &mut Vec<String>) {
        let userinfo = self.rp.userinfo(access).await;
        if userinfo.status != 401 {
            got.push(format!("userinfo {}: {}", userinfo.status, userinfo.body));
        }
        for rp in [&self.rp, &self.foreign] {
            let seen = rp.introspect(access).await;
            if seen.body != json!({ "active": false }) {
                got.push(format!("introspection: {}", seen.body));
            }
        }
        for path in [
            "/realms/t1/account/",
            "/realms/t1/account/credentials",
            "/admin/realms/t1",
            "/admin/realms/t1/users",
            "/admin/serverinfo",
        ] {
            let answer = self
                .http
                .get(self.here(&format!("{}{path}", self.public_url())))
                .bearer_auth(access)
                .header("accept", "application/json")
                .send()
                .await
                .expect("an answer");
            if !answer.status().is_client_error() {
                got.push(format!("{path} answers {}", answer.status()));
            }
        }
    }

    async fn try_cookies(
        &self,
        user: &User,
        (cookies, hint): (&Cookies, Option<&String>),
        got: &mut Vec<String>,
    ) {
        let hint = hint.map_or("", String::as_str);
        for rp in [&self.rp, &self.foreign, &self.native] {
            let rp = rp.in_realm(&user.realm);
            for extra in [
                &[][..],
                &[("prompt", "none")],
                &[("prompt", "none"), ("id_token_hint", hint)],
                &[("response_mode", "form_post")],
                &[("max_age", "100000")],
            ] {
                let mut browser = self.browser();
                browser.set_cookies(cookies.clone());
                browser.authorize_with(&rp, extra).await;
                if browser.got_a_code() {
                    got.push(format!(
                        "a code by cookie at {} with {extra:?}",
                        rp.client_id
                    ));
                }
            }
        }
    }

    async fn try_password(
        &self,
        user: &User,
        (password, newest): (&str, bool),
        got: &mut Vec<String>,
    ) {
        // An old password is tried once at each door, so that the limit of wrong ones shuts none of them.
        let modes: &[&str] = match newest {
            true => &["query", "fragment", "form_post"],
            false => &["query"],
        };
        for mode in modes {
            let mut browser = self.browser();
            browser
                .authorize_with(&self.rp.in_realm(&user.realm), &[("response_mode", mode)])
                .await
                .sign_in_with(user, password)
                .await;
            if browser.got_a_code() {
                got.push(format!("a code by password with {mode}"));
            }
            if browser.cookie("sid").is_some() {
                got.push(format!("a session by password with {mode}"));
            }
            // From wherever that has led: another client, and no page.
            browser
                .authorize_with(&self.foreign.in_realm(&user.realm), &[("prompt", "none")])
                .await;
            if browser.got_a_code() {
                got.push(format!("a code at another client after {mode}"));
            }
        }
        let legacy = self.legacy.in_realm(&user.realm);
        let mut scopes = vec![legacy.clone()];
        if newest {
            scopes.push(legacy.with_scope("offline_access"));
        }
        for rp in scopes {
            let answer = rp.password_grant(&user.username, password).await;
            if answer.status == 200 || answer.body.get("access_token").is_some() {
                got.push(format!("the password grant: {}", answer.body));
            }
        }
    }
}
