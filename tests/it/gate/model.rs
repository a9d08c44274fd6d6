//! Random walks of a person, a thief with old passwords and an administrator, against what may never happen
//! (reliability PB-1, threat V108). A failure names its seed, and the seed repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, Cookies};
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;
use crate::support::rp::RelyingParty;

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

/// The cookie by which a browser's flows are found.
fn flow(browser: &Browser) -> String {
    browser.cookie("flow").unwrap_or_default()
}

fn shows(browser: &Browser, page: &str) -> bool {
    let shown = browser.page.as_ref();
    shown.and_then(|page| page.marker.as_deref()) == Some(page)
}

/// A tab that somebody left before the terms, with their password typed.
struct Parked {
    tab: Browser,
    rp: RelyingParty,
    person: String,
    /// The cookie by which its flow is found now.
    flow: String,
    /// Nobody has signed out at that browser since, and nobody else has signed in.
    fresh: bool,
}

/// A browser that two people share.
struct Shared {
    browser: Browser,
    owners: BTreeMap<String, String>,
    ended: BTreeSet<String>,
    older: Vec<Cookies>,
    parked: Vec<Parked>,
    /// Tabs that were left at the sign-in page.
    waiting: Vec<(Browser, RelyingParty)>,
    at: String,
}

impl Shared {
    fn pick(dice: &mut Dice, length: usize) -> usize {
        usize::try_from(dice.up_to(1000)).unwrap() % length
    }

    /// What was left goes with the browser's cookie, where a step has given it another one.
    fn carry(&mut self, before: &str) {
        let now = flow(&self.browser);
        for parked in &mut self.parked {
            if parked.flow == before && !before.is_empty() {
                parked.flow.clone_from(&now);
            }
        }
    }

    async fn sign_out(&mut self) {
        let leaving = sid(&self.browser);
        let path = "/realms/t1/protocol/openid-connect/logout";
        self.browser.open_path(path).await;
        if !shows(&self.browser, "logout") {
            return;
        }
        self.browser.press("confirmLogout").await;
        self.ended.insert(leaving);
        let here = flow(&self.browser);
        for parked in &mut self.parked {
            parked.fresh &= parked.flow != here;
        }
    }

    /// Whose the code is that the browser arrived with, and that it is one of these people's.
    async fn arrive(&mut self, rp: &RelyingParty, before: &str, allowed: &[Option<String>]) {
        let arrival = self.browser.assert_redirect_to(rp);
        let subject = arrival.exchange().await.assert_tokens().subject;
        let found = Some(subject.clone());
        assert!(allowed.contains(&found), "{subject}: {}", self.at);
        if sid(&self.browser) != before {
            let here = flow(&self.browser);
            for parked in &mut self.parked {
                parked.fresh &= parked.flow != here || parked.person == subject;
            }
        }
        self.owners.insert(sid(&self.browser), subject);
        self.older.push(self.browser.cookies());
    }

    fn owner(&self, session: &str) -> Option<String> {
        let owner = self.owners.get(session);
        owner.filter(|_| !self.ended.contains(session)).cloned()
    }

    async fn sign_in(&mut self, person: &User, rp: &RelyingParty, leave: bool) {
        let before = sid(&self.browser);
        self.browser.authorize(rp).await;
        let came_with = flow(&self.browser);
        let mut expected = self.owner(&before);
        if shows(&self.browser, "login") {
            self.browser.sign_in(person).await;
            self.carry(&came_with);
            expected = Some(person.id.as_str().to_owned());
            if shows(&self.browser, "terms") && leave {
                let fresh = self.browser.tab();
                self.parked.push(Parked {
                    tab: std::mem::replace(&mut self.browser, fresh),
                    rp: rp.clone(),
                    person: person.id.as_str().to_owned(),
                    flow: flow(&self.browser),
                    fresh: true,
                });
                return;
            }
        }
        if shows(&self.browser, "terms") {
            let came_with = flow(&self.browser);
            self.browser.press("accept").await;
            self.carry(&came_with);
        }
        self.arrive(rp, &before, &[expected]).await;
    }

    /// Leaves a tab at the sign-in page, where it shows one.
    async fn leave_at_login(&mut self, rp: &RelyingParty) {
        let mut tab = self.browser.tab();
        tab.authorize(rp).await;
        if shows(&tab, "login") {
            self.waiting.push((tab, rp.clone()));
        }
    }

    /// Types into such a tab, whoever has come and gone since; answers whether it led to the application.
    async fn type_into(&mut self, which: usize, person: &User) -> bool {
        let (tab, rp) = self.waiting.remove(which);
        let (before, came_with) = (sid(&self.browser), flow(&self.browser));
        self.browser = tab;
        self.browser.sign_in(person).await;
        self.carry(&came_with);
        if shows(&self.browser, "terms") {
            let came_with = flow(&self.browser);
            self.browser.press("accept").await;
            self.carry(&came_with);
        }
        let arrived = self.browser.got_a_code();
        if arrived {
            let typed = Some(person.id.as_str().to_owned());
            self.arrive(&rp, &before, &[typed]).await;
        }
        arrived
    }

    /// Opens a tab again that was left; nobody types anything.
    async fn return_to(&mut self, which: usize) {
        let Parked {
            tab,
            rp,
            person,
            fresh,
            ..
        } = self.parked.remove(which);
        let url = tab.page().url.clone();
        let before = sid(&self.browser);
        self.browser = tab;
        self.browser.open(url).await;
        if shows(&self.browser, "terms") {
            let came_with = flow(&self.browser);
            self.browser.press("accept").await;
            self.carry(&came_with);
        }
        if self.browser.got_a_code() {
            let allowed = [fresh.then_some(person), self.owner(&before)];
            self.arrive(&rp, &before, &allowed).await;
        }
    }
}

on_both!(nobody_at_a_shared_browser_becomes_somebody_else);
/// V108: two people take turns at one browser, sign out or do not, leave tabs before the terms and come back to them,
/// lose cookies and get older ones back, type into sign-in pages that were left. Whoever typed the password is who the
/// token is for; without one it is whose session the cookie is; a session that was signed out is nobody's, and so is a
/// tab that was left before somebody signed out or somebody else signed in. Three walks of 100 turns, or 250 with
/// `VESTIBULE_SOAK=1`.
async fn nobody_at_a_shared_browser_becomes_somebody_else(app: TestApp) {
    let (mut came_back, mut typed) = (0, 0);
    for seed in 1..=(if soak() { 250 } else { 3 }) {
        let mut dice = Dice::new(seed);
        let people = [
            app.user(&format!("alice-{seed}")).await,
            app.user(&format!("bob-{seed}")).await,
        ];
        let mut shared = Shared {
            browser: app.browser(),
            owners: BTreeMap::new(),
            ended: BTreeSet::new(),
            older: Vec::new(),
            parked: Vec::new(),
            waiting: Vec::new(),
            at: String::new(),
        };
        for turn in 0..100 {
            shared.at = format!("seed {seed}, turn {turn}");
            let person = &people[Shared::pick(&mut dice, 2)];
            match dice.up_to(16) {
                0 => {
                    let mut cookies = shared.browser.cookies();
                    cookies.retain(|_, _| dice.up_to(2) == 0);
                    shared.browser.set_cookies(cookies);
                }
                1 if !shared.older.is_empty() => {
                    let which = Shared::pick(&mut dice, shared.older.len());
                    shared.browser.set_cookies(shared.older[which].clone());
                }
                2 => shared.sign_out().await,
                3 | 4 if !shared.parked.is_empty() => {
                    came_back += 1;
                    let which = Shared::pick(&mut dice, shared.parked.len());
                    shared.return_to(which).await;
                }
                9 | 11 | 13 | 15 if !shared.waiting.is_empty() => {
                    let which = Shared::pick(&mut dice, shared.waiting.len());
                    typed += i32::from(shared.type_into(which, person).await);
                }
                10 | 12 | 14 => {
                    let rp = [&app.rp, &app.foreign][Shared::pick(&mut dice, 2)];
                    shared.leave_at_login(rp).await;
                }
                turn => {
                    if turn % 2 == 0 {
                        app.require(person, "TERMS_AND_CONDITIONS").await;
                    }
                    let rp = [&app.rp, &app.foreign][Shared::pick(&mut dice, 2)];
                    let leave = dice.up_to(2) == 0;
                    shared.sign_in(person, rp, leave).await;
                }
            }
        }
    }
    assert!(came_back > 3, "only {came_back} tabs were opened again");
    assert!(typed > 0, "nobody arrived by a tab that was left");
}
