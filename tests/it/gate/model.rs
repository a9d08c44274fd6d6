//! Random walks of a person, a thief with old passwords and an administrator, against what may never happen
//! (reliability PB-1, threat V108). A failure names its seed, and the seed repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, Cookies};
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;

/// A browser before the page for a new password, and the seconds for which it has been.
struct AtGate {
    browser: Browser,
    seconds: u64,
}

/// What the walk knows must be so.
struct Walk<'a> {
    app: &'a TestApp,
    user: User,
    at: String,
    password: String,
    dead: Vec<String>,
    flagged: bool,
    enabled: bool,
    gates: Vec<AtGate>,
    browsers: Vec<Browser>,
    epochs: BTreeSet<String>,
    epoch: String,
    passwords: u32,
}

impl<'a> Walk<'a> {
    async fn begin(app: &'a TestApp, name: &str) -> Self {
        let user = app.user(name).await;
        let mut walk = Self {
            app,
            at: String::new(),
            password: user.password.clone(),
            user,
            dead: Vec::new(),
            flagged: false,
            enabled: true,
            gates: Vec::new(),
            browsers: Vec::new(),
            epochs: BTreeSet::new(),
            epoch: String::new(),
            passwords: 0,
        };
        walk.look().await;
        walk
    }

    /// The flag is as the walk knows it, and no epoch comes back.
    async fn look(&mut self) {
        let waiting = self.app.waiting(&self.user).await;
        let flagged = waiting.iter().any(|action| action == "UPDATE_PASSWORD");
        assert_eq!(flagged, self.flagged, "the flag: {}", self.at);
        let query = format!(
            "SELECT auth_epoch AS value FROM users WHERE id = '{}'",
            self.user.id
        );
        let epoch = self.app.sql(&query).remove(0);
        if epoch != self.epoch {
            assert!(
                self.epochs.insert(epoch.clone()),
                "an old epoch: {}",
                self.at
            );
            self.epoch = epoch;
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.app.advance(Duration::from_secs(seconds));
        for gate in &mut self.gates {
            gate.seconds += seconds;
        }
    }

    fn shut(&self) -> bool {
        self.flagged || !self.enabled
    }

    async fn sign_in(&mut self, password: &str) {
        let right = password == self.password;
        let mut browser = self.app.browser();
        browser.authorize(&self.app.rp).await.assert_page("login");
        browser.sign_in_with(&self.user, password).await;
        let marker = browser.page.as_ref().and_then(|page| page.marker.clone());
        if right && self.enabled && self.flagged {
            assert_eq!(marker.as_deref(), Some("update-password"), "{}", self.at);
            let seconds = 0;
            self.gates.push(AtGate { browser, seconds });
        } else if right && self.enabled {
            let arrival = browser.assert_redirect_to(&self.app.rp);
            arrival.exchange().await.assert_tokens();
            self.browsers.push(browser);
        } else {
            assert_eq!(marker.as_deref(), Some("login"), "{}: {browser}", self.at);
            assert!(!browser.got_a_code(), "{}", self.at);
            // So that the limit of wrong tries never shuts the door.
            self.pass(1900);
        }
    }

    /// Sends a new password from a page for it, wherever that page is by now.
    async fn submit(&mut self, which: u64, password: String) {
        let index = usize::try_from(which).unwrap() % self.gates.len().max(1);
        let Some(gate) = self.gates.get_mut(index) else {
            return;
        };
        let shown = gate
            .browser
            .page
            .as_ref()
            .and_then(|page| page.marker.clone());
        if shown.as_deref() != Some("update-password") {
            self.gates.remove(index);
            return;
        }
        let before = self.app.password_hash(&self.user).await;
        gate.browser.set_new_password(&password).await;
        let after = self.app.password_hash(&self.user).await;
        if !gate.browser.got_a_code() {
            assert_eq!(before, after, "{}", self.at);
            return;
        }
        let AtGate {
            mut browser,
            seconds,
        } = self.gates.remove(index);
        assert!(seconds <= 300, "after {seconds} s: {}", self.at);
        assert!(self.flagged && self.enabled, "{}", self.at);
        assert_ne!(before, after, "{}", self.at);
        assert!(
            password.len() > 12 && password != self.password,
            "{}",
            self.at
        );
        let arrival = browser.assert_redirect_to(&self.app.rp);
        arrival.exchange().await.assert_tokens();
        self.dead
            .push(std::mem::replace(&mut self.password, password));
        self.flagged = false;
        self.browsers.push(browser);
    }

    /// Every token and every session that there is, tried.
    async fn use_everything(&mut self) {
        let held = self.app.ledger.of(&self.user);
        for (rp, refresh) in &held.refresh {
            let answer = rp.refresh(refresh).await;
            assert!(!self.shut() || answer.status == 400, "{}", self.at);
        }
        for access in &held.access {
            let answer = self.app.rp.userinfo(access).await;
            assert!(!self.shut() || answer.status == 401, "{}", self.at);
        }
        let shut = self.shut();
        for browser in &mut self.browsers {
            browser
                .authorize_with(&self.app.foreign, &[("prompt", "none")])
                .await;
            assert!(!shut || !browser.got_a_code(), "{}", self.at);
        }
    }

    async fn step(&mut self, dice: &mut Dice) {
        let user = self.user.clone();
        let what = dice.up_to(16);
        match what {
            0..=2 => self.sign_in(&self.password.clone()).await,
            3 => {
                let which = usize::try_from(dice.up_to(100)).unwrap();
                let old = self.dead.get(which % self.dead.len().max(1)).cloned();
                let old = old.unwrap_or_else(|| "never a passphrase".to_owned());
                self.sign_in(&old).await;
            }
            4..=6 => {
                self.passwords += 1;
                let fresh = format!("a fresh passphrase {}", self.passwords);
                self.submit(dice.up_to(100), fresh).await;
            }
            7 => self.submit(dice.up_to(100), "short".to_owned()).await,
            8 => self.submit(dice.up_to(100), self.password.clone()).await,
            9 => {
                self.app.force_password_reset(&user).await;
                self.flagged = true;
            }
            10 if dice.up_to(2) == 0 => {
                self.app.waive(&user, "UPDATE_PASSWORD").await;
                self.flagged = false;
            }
            11 if dice.up_to(2) == 0 => {
                self.app.disable(&user).await;
                self.enabled = false;
            }
            12 if !self.enabled => {
                self.app
                    .change_user(&user, |user| user.enabled = true)
                    .await;
                self.enabled = true;
            }
            13 => self.pass(dice.up_to(600)),
            14 => {
                let which = usize::try_from(dice.up_to(100)).unwrap();
                let index = which % self.gates.len().max(1);
                let shut = self.shut();
                if let Some(gate) = self.gates.get_mut(index)
                    && gate.browser.page.is_some()
                {
                    gate.browser.reload().await;
                    assert!(!shut || !gate.browser.got_a_code(), "{}", self.at);
                }
            }
            15 if dice.up_to(3) == 0 => {
                self.passwords += 1;
                let temporary = format!("a temporary passphrase {}", self.passwords);
                self.app.set_password(&user, &temporary, true).await;
                self.dead
                    .push(std::mem::replace(&mut self.password, temporary));
                self.flagged = true;
            }
            _ => self.use_everything().await,
        }
        self.look().await;
    }
}

on_both!(no_walk_gets_a_token_past_the_gate);
/// PB-1: no code and no token while the flag is set or the person is switched off; the flag goes by a new password or
/// by an administrator and by nothing else; no submit succeeds more than 300 s after its gate was reached; an old
/// password is never good again; no epoch comes back. Three walks of 40 steps, or 200 of 120 with `VESTIBULE_SOAK=1`.
async fn no_walk_gets_a_token_past_the_gate(app: TestApp) {
    let (walks, steps) = if soak() { (200, 120) } else { (3, 40) };
    for seed in 1..=walks {
        let mut dice = Dice::new(seed);
        let mut walk = Walk::begin(&app, &format!("walker-{seed}")).await;
        for step in 0..steps {
            walk.at = format!("seed {seed}, step {step}");
            walk.step(&mut dice).await;
        }
        if walk.shut() {
            let user = walk.user.clone();
            app.assert_no_tokens_for(&user).await;
        }
        app.advance(Duration::from_secs(1900));
    }
}

/// The cookie that a session lies in.
fn sid(browser: &Browser) -> String {
    browser.cookie("sid").unwrap_or_default()
}

on_both!(nobody_at_a_shared_browser_becomes_somebody_else);
/// V108: two people take turns at one browser, sign out or do not, lose cookies and get older ones back. Whoever typed
/// the password is who the token is for; without one it is whose session the cookie is; a session that was signed out
/// is nobody's. Three walks of 40 turns, or 250 with `VESTIBULE_SOAK=1`.
async fn nobody_at_a_shared_browser_becomes_somebody_else(app: TestApp) {
    for seed in 1..=(if soak() { 250 } else { 3 }) {
        let mut dice = Dice::new(seed);
        let people = [
            app.user(&format!("alice-{seed}")).await,
            app.user(&format!("bob-{seed}")).await,
        ];
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        let mut ended: BTreeSet<String> = BTreeSet::new();
        let mut older: Vec<Cookies> = Vec::new();
        let mut browser = app.browser();
        for turn in 0..40 {
            let at = format!("seed {seed}, turn {turn}");
            match dice.up_to(7) {
                0 => {
                    let mut cookies = browser.cookies();
                    cookies.retain(|_, _| dice.up_to(2) == 0);
                    browser.set_cookies(cookies);
                }
                1 if !older.is_empty() => {
                    let which = usize::try_from(dice.up_to(100)).unwrap() % older.len();
                    browser.set_cookies(older[which].clone());
                }
                2 => {
                    let leaving = sid(&browser);
                    let path = "/realms/t1/protocol/openid-connect/logout";
                    browser.open_path(path).await;
                    let page = browser.page().marker.clone();
                    if page.as_deref() == Some("logout") {
                        browser.press("confirmLogout").await;
                        ended.insert(leaving);
                    }
                }
                _ => {
                    let rp = [&app.rp, &app.foreign][usize::try_from(dice.up_to(2)).unwrap()];
                    let before = sid(&browser);
                    browser.authorize(rp).await;
                    let expected = if browser.got_a_code() {
                        assert!(!ended.contains(&before), "a session that was ended: {at}");
                        owners.get(&before).cloned()
                    } else {
                        let person = &people[usize::try_from(dice.up_to(2)).unwrap()];
                        browser.assert_page("login").sign_in(person).await;
                        Some(person.id.as_str().to_owned())
                    };
                    let arrival = browser.assert_redirect_to(rp);
                    let subject = arrival.exchange().await.assert_tokens().subject;
                    assert_eq!(Some(&subject), expected.as_ref(), "{at}");
                    owners.insert(sid(&browser), subject);
                    older.push(browser.cookies());
                }
            }
        }
    }
}
