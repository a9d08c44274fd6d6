//! A real browser: Chromium driven over WebDriver, for what a page does and not only what it says.
//!
//! Called by the tests of pages, of the console and of the third-party apps. Each [`Chromium`] is
//! a process with a fresh profile; it ends when the value is dropped, also when a test panics.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::services;

/// How the browser is set up before its first page.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether pages may run scripts of their own. WebDriver's commands work either way.
    pub scripts: bool,
    /// Width of the page in CSS pixels.
    pub width: u32,
    /// Height of the page in CSS pixels.
    pub height: u32,
    /// Answers `prefers-color-scheme` with `dark`.
    pub dark: bool,
    /// The person's languages as in `Accept-Language`, for example `de,en`.
    pub language: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scripts: true,
            width: 1280,
            height: 900,
            dark: false,
            language: "en".into(),
        }
    }
}

/// One cookie of the site that is shown, HttpOnly ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserCookie {
    pub name: String,
    pub value: String,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`, as the browser understood it.
    pub same_site: Option<String>,
}

/// A running browser and the tab that commands go to.
pub struct Chromium {
    client: Client,
    options: Options,
    session: Url,
    // Removed after the browser has ended; fields are dropped after `drop` ran.
    _profile: TempDir,
}

impl Chromium {
    /// Starts a browser, or says why the test is skipped (`services.rs`).
    pub async fn start(options: Options) -> Option<Self> {
        let driver = services::chromedriver_url()?;
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&options, profile.path()))
            .connect(&driver)
            .await
            .expect("chromedriver starts a browser");
        // Ending the session is `drop`'s work; it does not need a runtime that still turns.
        client.persist().await.expect("a session that lasts");
        let id = client
            .session_id()
            .await
            .expect("an answer")
            .expect("a session");
        let session = Url::parse(&driver).expect("VESTIBULE_TEST_CHROMEDRIVER_URL is a URL");
        let session = session
            .join(&format!("/session/{id}"))
            .expect("a session URL");
        let browser = Self {
            client,
            options,
            session,
            _profile: profile,
        };
        browser
            .emulate((browser.options.width, browser.options.height))
            .await;
        Some(browser)
    }

    /// Opens an address and waits until it is loaded.
    pub async fn goto(&self, url: &str) {
        self.client
            .goto(url)
            .await
            .unwrap_or_else(|error| panic!("goto {url}: {error}"));
    }

    /// The address bar.
    pub async fn url(&self) -> Url {
        self.client.current_url().await.expect("an address")
    }

    /// What `<meta name="vestibule-page">` says; `None` on a page that is not ours.
    pub async fn page(&self) -> Option<String> {
        match self
            .client
            .find(Locator::Css("meta[name=vestibule-page]"))
            .await
        {
            // A page that goes away meanwhile is none.
            Ok(meta) => meta.attr("content").await.ok().flatten(),
            Err(error) if error.is_no_such_element() => None,
            Err(error) => panic!("page: {error}"),
        }
    }

    /// The text that a person sees.
    pub async fn text(&self) -> String {
        let body = self
            .client
            .find(Locator::Css("body"))
            .await
            .expect("a body");
        body.text().await.expect("text")
    }

    /// Types `value` into the field `name` in place of what was there.
    pub async fn fill(&self, name: &str, value: &str) {
        let field = self
            .find(&format!("[name=\"{name}\"]:not([type=hidden])"))
            .await;
        field
            .clear()
            .await
            .unwrap_or_else(|error| panic!("fill {name}: {error}"));
        field
            .send_keys(value)
            .await
            .unwrap_or_else(|error| panic!("fill {name}: {error}"));
    }

    /// Clicks on a control, given by its `name` or, with any of `.#[:> `, by a CSS selector. A
    /// page that this leads to is loaded when this returns.
    pub async fn press(&self, control: &str) {
        let selector = if control.contains(['.', '#', '[', ':', '>', ' ']) {
            control.to_owned()
        } else {
            format!("[name=\"{control}\"]:not([type=hidden])")
        };
        let element = self.find(&selector).await;
        element
            .clone()
            .click()
            .await
            .unwrap_or_else(|error| panic!("press {control}: {error}"));
        self.has_left(&element).await;
    }

    /// Clicks twice on what `selector` finds, 60 ms apart, as a hand does that is used to it.
    pub async fn press_twice(&self, selector: &str) {
        let element = self.find(selector).await;
        let button = MOUSE_BUTTON_LEFT;
        let duration = Duration::from_millis(60);
        let hand = MouseActions::new("hand".to_owned())
            .then(PointerAction::MoveToElement {
                element: element.clone(),
                duration: None,
                x: 0.0,
                y: 0.0,
            })
            .then(PointerAction::Down { button })
            .then(PointerAction::Up { button })
            .then(PointerAction::Pause { duration })
            .then(PointerAction::Down { button })
            .then(PointerAction::Up { button });
        self.client
            .perform_actions(hand)
            .await
            .unwrap_or_else(|error| panic!("press {selector} twice: {error}"));
        self.has_left(&element).await;
    }

    /// Waits until the page that a click leads to is there.
    async fn has_left(&self, element: &fantoccini::elements::Element) {
        // A click returns before the page that it leads to is there: wait until the control is of a page gone by.
        for _ in 0..60 {
            if element.tag_name().await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for _ in 0..200 {
            let state = self
                .client
                .execute("return document.readyState", Vec::new())
                .await;
            if state.is_ok_and(|state| state == "complete") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses keys where the focus is; `\u{E004}` is Tab and `\u{E007}` Enter, as in WebDriver.
    pub async fn keys(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("a focus");
        focused.send_keys(keys).await.expect("keys");
    }

    /// The `name` (else the `id`, else the tag) of what has the focus.
    pub async fn focused(&self) -> String {
        let focused = self.client.active_element().await.expect("a focus");
        for attribute in ["name", "id"] {
            if let Some(value) = focused.attr(attribute).await.expect("an attribute") {
                return value;
            }
        }
        focused.tag_name().await.expect("a tag")
    }

    /// The back button.
    pub async fn back(&self) {
        self.client.back().await.expect("back");
    }

    /// The reload button; a form that was sent is sent again.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("reload");
    }

    /// Gives the page another width and height in CSS pixels, as a phone does that is turned.
    pub async fn resize(&self, size: (u32, u32)) {
        self.emulate(size).await;
    }

    /// Saves what is visible as a PNG.
    pub async fn screenshot(&self, path: &Path) {
        let png = self.client.screenshot().await.expect("a screenshot");
        std::fs::write(path, png).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Runs a script of the test's own in the page and gives back what it returns.
    pub async fn execute(&self, script: &str) -> Value {
        self.client
            .execute(script, vec![])
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The tab that commands go to now.
    pub async fn tab(&self) -> WindowHandle {
        self.client.window().await.expect("a tab")
    }

    /// Opens a second tab of the same profile and sends the commands there from now on.
    pub async fn open_tab(&self) -> WindowHandle {
        let tab = self.client.new_window(true).await.expect("a tab").handle;
        self.switch_to(&tab).await;
        self.emulate((self.options.width, self.options.height))
            .await;
        tab
    }

    /// Sends the commands to another tab from now on.
    pub async fn switch_to(&self, tab: &WindowHandle) {
        self.client
            .switch_to_window(tab.clone())
            .await
            .expect("a tab to switch to");
    }

    /// The cookies that would go to the page that is shown.
    pub async fn cookies(&self) -> Vec<BrowserCookie> {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        cookies
            .iter()
            .map(|cookie| BrowserCookie {
                name: cookie.name().to_owned(),
                value: cookie.value().to_owned(),
                path: cookie.path().unwrap_or_default().to_owned(),
                secure: cookie.secure().unwrap_or_default(),
                http_only: cookie.http_only().unwrap_or_default(),
                same_site: cookie.same_site().map(|same_site| same_site.to_string()),
            })
            .collect()
    }

    /// Forgets the cookies of the site that is shown.
    pub async fn clear_cookies(&self) {
        self.client
            .delete_all_cookies()
            .await
            .expect("cookies deleted");
    }

    /// What the console said since the last call, as `LEVEL: message`.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        entries
            .iter()
            .map(|entry| format!("{}: {}", text(entry, "level"), text(entry, "message")))
            .collect()
    }

    /// What the browser refused because of the page's Content-Security-Policy since the last call.
    pub async fn csp_violations(&self) -> Vec<String> {
        let mut lines = self.console().await;
        lines.retain(|line| line.contains("Content Security Policy"));
        lines
    }

    /// The width and the scheme of colours of the tab. Set through the DevTools protocol because
    /// a window cannot be narrower than its frame.
    async fn emulate(&self, (width, height): (u32, u32)) {
        let metrics = json!({
            "width": width, "height": height,
            "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if self.options.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.command(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
        .await
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        let command = DriverCommand { path, body };
        self.client
            .issue_cmd(command)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn find(&self, selector: &str) -> fantoccini::elements::Element {
        let wait = self.client.wait().at_most(Duration::from_secs(30));
        let found: Result<_, CmdError> = wait.for_element(Locator::Css(selector)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{selector} on {}: {error}", self.url().await),
        }
    }
}

impl fmt::Debug for Chromium {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Chromium")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Drop for Chromium {
    /// Ends the session, and with it the browser, by one plain blocking request: the runtime of a
    /// test that is ending runs no more futures.
    fn drop(&mut self) {
        let host = self.session.host_str().unwrap_or_default();
        let port = self.session.port_or_known_default().unwrap_or_default();
        let Ok(mut connection) = TcpStream::connect((host, port)) else {
            return; // The driver has ended, and it takes its browsers along.
        };
        let path = self.session.path();
        let request =
            format!("DELETE {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        let timeout = connection.set_read_timeout(Some(Duration::from_secs(10)));
        let sent = timeout.and_then(|()| connection.write_all(request.as_bytes()));
        let ended = sent.and_then(|()| connection.read_to_end(&mut Vec::new()));
        if let Err(error) = ended {
            eprintln!("the browser of {path} may still run: {error}");
        }
    }
}

fn capabilities(options: &Options, profile: &Path) -> Capabilities {
    let language = &options.language;
    let mut preferences = json!({ "intl.accept_languages": language });
    if !options.scripts {
        preferences["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let capabilities = json!({
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                format!("--accept-lang={language}"),
                format!("--window-size={},{}", options.width, options.height),
                format!("--user-data-dir={}", profile.display()),
            ],
            "prefs": preferences,
        },
    });
    match capabilities {
        Value::Object(map) => map,
        other => unreachable!("an object was built, not {other}"),
    }
}

/// A command that chromedriver has beyond the WebDriver standard.
#[derive(Debug)]
struct DriverCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for DriverCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}
