//! Who asks for a new password in another person's name and reads no mail gets nowhere, whatever they press, change
//! and send.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;
use vestibule::link::{Purpose, Sender, State};

use super::forgotten::{PAGE, allow, looked_at};
use super::{NEW, mails, send_with, settled, states};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;
use crate::support::html::{Field, Form};

/// Where a code of a mail is typed.
const CODE: &str = "/realms/t1/login-actions/link";

/// An action's page without an application.
const ACTION: &str = "/realms/t1/login-actions/required-action?client_id=account";

/// Fields that other servers, or other steps of this one, would take.
const STRANGE: [(&str, &str); 8] = [
    ("password-new", NEW),
    ("password-confirm", NEW),
    ("username", "alice"),
    ("execution", "UPDATE_PASSWORD"),
    ("kc_action", "UPDATE_PASSWORD"),
    ("tryAnotherWay", "on"),
    ("authenticationExecution", "reset-credential-email"),
    ("open", "open"),
];

/// A stranger with an account of their own, in a browser without anybody's mail.
struct Crawler<'a> {
    app: &'a TestApp,
    own: &'a User,
    /// A link of the stranger's own, for a new password.
    link: Option<Url>,
    browser: Browser,
    dice: Dice,
    /// What hidden fields held on any page so far.
    seen: Vec<String>,
    pages: BTreeMap<String, usize>,
    trail: Vec<String>,
}

impl Crawler<'_> {
    /// From the application's sign-in to the page for a forgotten password, with alice's name in it; or from the page
    /// for typed codes, from an action's page without an application, or from the stranger's own link.
    async fn begin(&mut self) {
        if self.dice.up_to(3) == 0 {
            self.browser = self.app.browser();
        }
        match (self.dice.up_to(6), &self.link) {
            (0, _) => {
                self.browser.open_path(CODE).await;
                return self.look("typed code");
            }
            (1, _) => {
                self.browser.open_path(ACTION).await;
                return self.look("an action");
            }
            (2 | 3, Some(link)) => {
                self.browser.open(link.clone()).await;
                return self.look("the own link");
            }
            _ => {}
        }
        self.browser
            .authorize_with(&self.app.rp, &[("prompt", "login")])
            .await;
        self.look("sign-in");
        if self.dice.up_to(2) == 0 {
            self.browser.open_path(PAGE).await;
            self.look("forgotten");
            if self.marker() == "forgot-password" {
                self.browser.fill_in(&[("username", "alice")]).await;
                self.look("alice's name");
            }
        }
    }

    fn marker(&self) -> &str {
        let page = self.browser.page.as_ref();
        page.and_then(|page| page.marker.as_deref())
            .unwrap_or_default()
    }

    /// Looks at what is shown: never a page that only alice's mail may lead to. Who has a link comes to such pages by it,
    /// and reads their own name there.
    fn look(&mut self, did: &str) {
        let marker = self.marker().to_owned();
        self.trail.push(format!("{did} -> {marker}"));
        let status = self.browser.answer.status;
        let guarded = ["update-password", "link"].contains(&marker.as_str());
        let text = self.browser.page.as_ref().map(|page| page.text.as_str());
        let own = self.link.is_some() && !text.unwrap_or_default().contains("alice");
        assert!(
            (own || !guarded) && status < 500,
            "{status} {marker}: {:#?}",
            self.trail
        );
        if let Some(page) = &self.browser.page {
            let fields = page.forms.iter().flat_map(|form| &form.fields);
            let hidden = fields.filter(|field| field.kind == "hidden");
            self.seen.extend(hidden.map(|field| field.value.clone()));
        }
        *self.pages.entry(marker).or_default() += 1;
    }

    async fn step(&mut self) {
        let Some(page) = self.browser.page.clone() else {
            return self.begin().await;
        };
        let inside = format!("{}/", self.app.public_url());
        let here = |url: &Url| url.as_str().starts_with(&inside);
        match self.dice.up_to(12) {
            0 => self.begin().await,
            1 => {
                let past = self.browser.history.clone();
                let url = self.dice.one_of(&past).expect("a page before").clone();
                self.go(url).await;
            }
            2..=4 => {
                let links: Vec<Url> = page.links().into_iter().filter(here).collect();
                if let Some(link) = self.dice.one_of(&links).cloned() {
                    let link = self.bent(link);
                    self.go(link).await;
                }
            }
            5 => {
                self.browser = self.browser.tab();
                self.browser.open_path(PAGE).await;
                self.look("another tab");
            }
            6 => self.app.advance(std::time::Duration::from_secs(45)),
            _ => {
                let forms: Vec<Form> = page.forms.into_iter().filter(|f| here(&f.action)).collect();
                match self.dice.one_of(&forms).cloned() {
                    Some(form) => self.send(form).await,
                    None => self.begin().await,
                }
            }
        }
    }

    async fn go(&mut self, url: Url) {
        self.browser.open(url.clone()).await;
        self.look(url.as_str());
    }

    /// A URL, sometimes with another step or person in its query.
    fn bent(&mut self, mut url: Url) -> Url {
        if self.dice.up_to(4) == 0
            && let Some((name, value)) = self.dice.one_of(&STRANGE)
        {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    /// Sends a form by any of its buttons, with fields filled in, changed, left out and added.
    async fn send(&mut self, mut form: Form) {
        let buttons: Vec<_> = form.submits.iter().map(|one| one.name.clone()).collect();
        let button = self.dice.one_of(&buttons).cloned().flatten();
        for field in &mut form.fields {
            let value = self.value_for(field);
            field.value = value;
        }
        let mut pairs = form.pairs(button.as_deref());
        if self.dice.up_to(6) == 0 && !pairs.is_empty() {
            pairs.pop();
        }
        if self.dice.up_to(3) == 0
            && let Some((name, value)) = self.dice.one_of(&STRANGE)
        {
            pairs.push(((*name).to_owned(), (*value).to_owned()));
        }
        let action = self.bent(form.action);
        let did = format!("{} {action} {pairs:?}", form.method);
        if form.method == "get" {
            let mut action = action;
            action.query_pairs_mut().extend_pairs(&pairs);
            self.browser.open(action).await;
        } else {
            self.browser.post(&action, &pairs).await;
        }
        self.look(&did);
    }

    fn value_for(&mut self, field: &Field) -> String {
        let own = [self.own.username.as_str(), self.own.password.as_str()];
        let choices: &[&str] = match (field.kind.as_str(), field.name.as_str()) {
            ("hidden", _) => {
                return match self.dice.up_to(8) {
                    0 => self.dice.one_of(&self.seen).cloned().unwrap_or_default(),
                    1 => ["", "UPDATE_PASSWORD", "alice"][self.dice.up_to(3) as usize].to_owned(),
                    _ => field.value.clone(),
                };
            }
            ("checkbox" | "radio" | "select", _) => return field.value.clone(),
            (_, "username" | "email") => &["alice", "alice@people.example", own[0], "nobody"],
            (_, "password") => &[own[1], own[1], NEW],
            (_, "code") => &["AAAAA-AAAAA", "22222-22222", ""],
            _ => &[NEW, "alice"],
        };
        self.dice
            .one_of(choices)
            .map(|one| (*one).to_owned())
            .unwrap_or_default()
    }
}

on_both!(no_walk_without_the_mail_leads_to_a_new_password);
/// V001, V002: every link, button and hidden field of every page, in random order.
async fn no_walk_without_the_mail_leads_to_a_new_password(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let mallory = app.user("mallory").await;
    let before = app.password_hash(&alice).await;
    let what = (Purpose::Actions, Sender::Administrator);
    send_with(&app, &mallory, what, |new| {
        new.actions = vec!["UPDATE_PASSWORD".into()];
    })
    .await;
    let own = mails(&app, &mallory, 1).await.remove(0).url;
    let (seeds, steps) = if soak() { (5, 2500) } else { (3, 150) };
    let mut met = BTreeSet::new();
    for seed in 1..=seeds {
        let mut crawler = Crawler {
            app: &app,
            own: &mallory,
            // The last walk begins with a link that is not alice's.
            link: (seed == seeds).then(|| own.clone()),
            browser: app.browser(),
            dice: Dice::new(seed),
            seen: Vec::new(),
            pages: BTreeMap::new(),
            trail: vec![format!("seed {seed}")],
        };
        for _ in 0..steps {
            crawler.step().await;
            assert_eq!(app.token_rows(&alice.id), 0, "{:#?}", crawler.trail);
        }
        assert_eq!(
            app.password_hash(&alice).await,
            before,
            "{:#?}",
            crawler.trail
        );
        met.extend(crawler.pages.into_keys());
    }
    for page in [
        "login",
        "forgot-password",
        "message",
        "error",
        "link-code",
        "link",
        "update-password",
    ] {
        assert!(met.contains(page), "{page} was never met: {met:?}");
    }
    looked_at(&app).await;
    // There was something to be had: alice was mailed, and her mail leads where the crawler never came.
    mails(&app, &alice, 1).await;
    settled(&app, &alice).await;
    assert!(
        !states(&app, &alice).await.contains(&State::Committed),
        "nobody used a link"
    );
    app.advance(std::time::Duration::from_secs(3700));
    let count = mails(&app, &alice, 1).await.len();
    app.browser()
        .open_path(PAGE)
        .await
        .fill_in(&[("username", "alice")])
        .await
        .assert_page("message");
    looked_at(&app).await;
    let newest = mails(&app, &alice, count + 1).await.remove(0);
    settled(&app, &alice).await;
    let mut hers = app.browser();
    hers.open(newest.url).await.assert_page("link");
    hers.press("open").await.assert_page("update-password");
}

on_both!(of_two_links_asked_for_in_one_browser_each_changes_its_own_person);
/// V002: alice's name in one tab, bob's in another, bob's link in the first.
async fn of_two_links_asked_for_in_one_browser_each_changes_its_own_person(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    let before = (
        app.password_hash(&alice).await,
        app.password_hash(&bob).await,
    );
    let mut first = app.browser();
    let mut second = first.tab();
    for (tab, name) in [(&mut first, "alice"), (&mut second, "bob")] {
        tab.authorize(&app.rp).await.assert_page("login");
        tab.open_path(PAGE).await.assert_page("forgot-password");
        tab.fill_in(&[("username", name)])
            .await
            .assert_page("message");
    }
    looked_at(&app).await;
    let url = mails(&app, &bob, 1).await.remove(0).url;
    settled(&app, &bob).await;
    settled(&app, &alice).await;
    first.open(url).await.assert_page("link");
    first.press("open").await.assert_page("update-password");
    first.set_new_password(NEW).await;
    assert_eq!(app.password_hash(&alice).await, before.0, "alice's");
    assert_ne!(app.password_hash(&bob).await, before.1, "bob's");
    assert_eq!(app.token_rows(&alice.id), 0);
    assert!(!states(&app, &alice).await.contains(&State::Committed));
    assert_eq!(states(&app, &bob).await, [State::Committed]);
}
