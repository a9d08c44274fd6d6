//! `vestibule demo` as a process of its own, on free ports, in a folder of its own.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::chromium::{Chromium, Options};

/// The example app, the identity provider and their folder.
pub struct Playground {
    child: Child,
    /// Where the app is.
    pub app: String,
    /// The issuer.
    pub issuer: String,
    _folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Playground {
    /// Starts it and waits until it prints what to open.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, app_port) = (free_port(), free_port());
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args([
                "demo",
                "--port",
                &port.to_string(),
                "--app-port",
                &app_port.to_string(),
            ])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the demo starts");
        let started = Instant::now();
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for line in lines.by_ref() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the demo says nothing"
            );
            if line.expect("a line").contains("Ctrl-C stops it") {
                break;
            }
        }
        // Whatever it prints later is read, so that it never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            app: format!("http://localhost:{app_port}"),
            issuer: format!("http://localhost:{port}/realms/demo"),
            _folder: folder,
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A person at a browser.
pub struct Visitor {
    /// The browser.
    pub browser: Chromium,
    name: &'static str,
    shots: u32,
    presses: Cell<u32>,
}

impl Visitor {
    /// Opens a browser; `None` where there is none.
    pub async fn at(name: &'static str, options: Options) -> Option<Self> {
        Some(Self {
            browser: Chromium::start(options).await?,
            name,
            shots: 0,
            presses: Cell::new(0),
        })
    }

    /// Keeps a picture under target/screenshots, to be looked at.
    pub async fn picture(&mut self, what: &str) {
        self.shots += 1;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let file = folder.join(format!("{}-{:02}-{what}.png", self.name, self.shots));
        self.browser.screenshot(&file).await;
    }

    /// The page's name, as `<meta name="vestibule-page">` has it.
    pub async fn is_at(&self, page: &str) {
        let found = self.browser.page().await;
        assert_eq!(
            found.as_deref(),
            Some(page),
            "at {}",
            self.browser.url().await
        );
    }

    /// From the app to the sign-in page.
    pub async fn asks_to_sign_in(&self, playground: &Playground) {
        self.browser
            .goto(&format!("{}/sign-in", playground.app))
            .await;
        self.is_at("login").await;
    }

    /// Presses a button.
    pub async fn press(&self, control: &str) {
        self.presses.set(self.presses.get() + 1);
        self.browser.press(control).await;
    }

    /// How many buttons were pressed so far.
    pub fn presses(&self) -> u32 {
        self.presses.get()
    }

    /// Types name and password.
    pub async fn signs_in(&self, username: &str, password: &str) {
        self.browser.fill("username", username).await;
        self.browser.fill("password", password).await;
        self.press("login").await;
    }

    /// Types a new password, twice.
    pub async fn sets(&self, password: &str) {
        self.browser.fill("password-new", password).await;
        self.browser.fill("password-confirm", password).await;
        self.press("button[type=submit]").await;
    }

    /// Whether the app shows that it accepted tokens.
    pub async fn has_arrived(&self, playground: &Playground, name: &str) {
        self.has_arrived_at(&playground.app, name).await;
    }

    /// The same, of an app at another address.
    pub async fn has_arrived_at(&self, app: &str, name: &str) {
        let url = self.browser.url().await;
        assert!(
            url.as_str().starts_with(app),
            "at {url}: {}",
            self.browser.text().await
        );
        let text = self.browser.text().await;
        assert!(text.contains(name), "{text}");
        assert_eq!(self.browser.csp_violations().await, Vec::<String>::new());
    }
}
