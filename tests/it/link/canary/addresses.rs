//! What else is secret in the life of the canary scan: what proves an address, what was renewed, and cookies.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::Life;
use crate::link::secrets::{IN_COOKIES, NOWHERE};
use crate::support::mailbox::Mailbox;

/// The newest of somebody's mails in which that is found; waits for one.
fn found_in<T>(mailbox: &Mailbox, to: &str, find: impl Fn(&str) -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        let mails = mailbox.to(to);
        let mut texts = mails.iter().filter_map(|mail| mail.text.as_deref());
        if let Some(found) = texts.find_map(&find) {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no mail to {to}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The code of a mail, which stands on a line of its own.
fn code_of(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("    "))?;
    Some(line.trim().to_owned())
}

/// Link and code of a mail, but for a link that is known.
fn link_of(text: &str, known: Option<&Url>) -> Option<(Url, String)> {
    let word = text
        .split_whitespace()
        .find(|word| word.contains("/login-actions/link/"))?;
    let link = Url::parse(word).ok()?;
    (Some(&link) != known).then_some((link, code_of(text)?))
}

impl Life<'_> {
    /// The code at the gate, what a browser keeps of somebody, and a link about the address.
    pub(super) async fn by_verification(&mut self) {
        let to = "vera@people.example";
        let vera = self.operator.person("vera").await;
        let password = "canary passphrase of vera";
        self.secrets.add("a password", password, NOWHERE);
        let body = json!({ "type": "password", "value": password, "temporary": false });
        self.admin(
            Method::PUT,
            &format!("/users/{vera}/reset-password"),
            Some(body),
        )
        .await;
        let body = json!({ "requiredActions": ["VERIFY_EMAIL"] });
        self.admin(Method::PUT, &format!("/users/{vera}"), Some(body))
            .await;
        let mut browser = self.sign_in("vera", password).await;
        browser.assert_page("verify-email");
        let code = found_in(self.mailbox, to, |text| {
            let about_a_link = text.contains("/login-actions/link/");
            code_of(text).filter(|_| !about_a_link)
        });
        let plain = code.replace('-', "");
        for spelled in [&code, &plain, &plain.to_lowercase()] {
            self.secrets.add("the code of an address", spelled, NOWHERE);
        }
        browser
            .fill_in(&[("code", "7KXQF-9XW2M")])
            .await
            .assert_page("verify-email");
        browser
            .fill_in(&[("code", &code)])
            .await
            .assert_redirect_to(&self.rp);
        let mut kept = self.browser();
        kept.authorize(&self.rp).await.assert_page("login");
        let mut form = kept.page().form_with("password").clone();
        form.fill("rememberMe", "on")
            .fill("username", "vera")
            .fill("password", password);
        kept.submit_form(form, Some("login"))
            .await
            .assert_redirect_to(&self.rp);
        let cookies = kept.cookies();
        for what in ["_flow", "_sid", "_remember", "_device"] {
            let value = kept.cookie(what).expect("a cookie");
            self.secrets
                .add(&format!("the cookie {what}"), &value, IN_COOKIES);
        }
        assert_eq!(cookies.len(), 4, "every cookie is searched for");
        let path = format!("/users/{vera}/send-verify-email");
        self.admin(Method::PUT, &path, None).await;
        let (link, code) = found_in(self.mailbox, to, |text| link_of(text, None));
        self.secrets
            .link("a link about an address", (&link, &code), NOWHERE);
        kept.open(link).await.assert_page("link");
        kept.press("open").await.assert_page("message");
    }

    /// A link that has expired, and the fresh one that its page mails.
    pub(super) async fn by_renewal(&mut self) {
        let to = "rita@people.example";
        let rita = self.operator.person("rita").await;
        // Long enough for the mail, which is not sent after its link's end.
        let path = format!("/users/{rita}/execute-actions-email?lifespan=8");
        self.admin(Method::PUT, &path, Some(json!(["UPDATE_PASSWORD"])))
            .await;
        let (old, code) = found_in(self.mailbox, to, |text| link_of(text, None));
        self.secrets.link("an expired link", (&old, &code), NOWHERE);
        let mut browser = self.browser();
        let began = Instant::now();
        while browser
            .page
            .as_ref()
            .and_then(|page| page.marker.as_deref())
            != Some("link-expired")
        {
            assert!(began.elapsed() < Duration::from_secs(60), "{browser}");
            tokio::time::sleep(Duration::from_millis(300)).await;
            browser.open(old.clone()).await;
        }
        browser.press("renew").await.assert_page("message");
        let (fresh, code) = found_in(self.mailbox, to, |text| link_of(text, Some(&old)));
        self.secrets
            .link("a renewed link", (&fresh, &code), NOWHERE);
        self.browser().open(fresh).await;
    }
}
