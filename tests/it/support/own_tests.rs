//! Tests of the test support itself, so that a broken helper is not taken for a broken product.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use url::Url;

use super::chromium::{Chromium, Options};
use super::html::Page;
use super::peers::{Peer, PeerClient};
use super::services;

const PAGE: &str = r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<meta name="vestibule-page" content="login"><link rel="icon" href="data:,">
<style>body { width: 100% } .night { display: none }
@media (prefers-color-scheme: dark) { .night { display: inline } }</style></head>
<body><main><h1>Sign in</h1>
<form id="sign-in" method="post" action="/signed-in">
<input type="hidden" name="flow" value="f1">
<label for="username">Username</label>
<input id="username" name="username" value="old" required autocomplete="username" aria-describedby="hint">
<p id="hint">Your <b>staff</b> name</p>
<label>Password <input type="password" name="password"></label>
<label><input type="checkbox" name="rememberMe"> Stay</label>
<select name="locale" aria-label="Language"><option value="en">English<option value="de" selected>Deutsch</select>
<button name="login" value="yes">Go</button> <button type="button">Show</button>
</form>
<button form="sign-in" name="cancel">Cancel</button>
<p><span class="night">Night.</span> <span id="script">No script.</span> LANGUAGES</p>
<a href="/second">Second</a>
</main><script src="/script.js"></script><script>document.title = "inline"</script></body></html>"##;

/// The page above at `/`, its script, and at `/signed-in` an echo of what the form sent.
fn serve() -> Url {
    async fn page(request: HttpRequest) -> HttpResponse {
        let languages = request
            .headers()
            .get("Accept-Language")
            .and_then(|value| value.to_str().ok());
        HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((
                "Content-Security-Policy",
                "default-src 'self'; style-src 'unsafe-inline'; img-src data:",
            ))
            .insert_header(("Set-Cookie", "seen=1; Path=/; HttpOnly; SameSite=Lax"))
            .body(PAGE.replace("LANGUAGES", languages.unwrap_or_default()))
    }
    async fn script() -> HttpResponse {
        HttpResponse::Ok()
            .content_type("text/javascript")
            .body("document.getElementById('script').textContent = 'Script.'")
    }
    async fn echo(body: String) -> HttpResponse {
        HttpResponse::Ok()
            .content_type("text/html")
            .body(format!("<title>Echo</title><body>{body}</body>"))
    }
    let server = HttpServer::new(|| {
        App::new()
            .route("/", web::get().to(page))
            .route("/script.js", web::get().to(script))
            .route("/signed-in", web::post().to(echo))
    });
    let server = server
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    Url::parse(&format!("http://{address}/")).expect("a URL")
}

#[actix_web::test]
async fn chromium_fills_and_sends_a_form_as_a_person_does() {
    let Some(browser) = Chromium::start(Options::default()).await else {
        return;
    };
    let home = serve();
    browser.goto(home.as_str()).await;
    assert_eq!(browser.page().await.as_deref(), Some("login"));
    assert_eq!(browser.url().await, home);
    assert!(browser.text().await.contains("Script."));
    let violations = browser.csp_violations().await;
    assert!(
        violations.iter().any(|line| line.contains("inline")),
        "{violations:?}"
    );
    assert!(browser.csp_violations().await.is_empty());

    browser.fill("username", "alice").await;
    browser.keys("\u{E004}").await;
    assert_eq!(browser.focused().await, "password");
    browser.fill("password", "p w").await;
    browser
        .press("#username ~ label input[type=checkbox]")
        .await;
    browser.press("login").await;
    assert_eq!(browser.url().await.path(), "/signed-in");
    assert_eq!(browser.page().await, None);
    let sent = "flow=f1&username=alice&password=p+w&rememberMe=on&locale=de&login=yes";
    assert_eq!(browser.text().await, sent);
    browser.reload().await;
    assert_eq!(browser.text().await, sent);

    browser.back().await;
    assert_eq!(browser.url().await, home);
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].http_only && cookies[0].same_site.as_deref() == Some("Lax"));
    browser.clear_cookies().await;
    assert!(browser.cookies().await.is_empty());

    let first = browser.tab().await;
    let second = browser.open_tab().await;
    browser.goto(home.as_str()).await;
    assert_eq!(browser.cookies().await.len(), 1, "the tabs share a profile");
    assert_eq!(browser.tab().await, second);
    browser.switch_to(&first).await;
    assert_eq!(browser.tab().await, first);
}

#[actix_web::test]
async fn chromium_obeys_its_options() {
    let options = Options {
        scripts: false,
        width: 320,
        height: 600,
        dark: true,
        language: "de,en".into(),
    };
    let Some(browser) = Chromium::start(options).await else {
        return;
    };
    browser.goto(serve().as_str()).await;
    let text = browser.text().await;
    assert!(text.contains("No script."), "{text}");
    assert!(text.contains("Night."), "{text}");
    assert!(text.contains("de,en"), "{text}");
    assert_eq!(
        browser.execute("return [innerWidth, innerHeight]").await,
        json!([320, 600])
    );
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("page.png");
    browser.screenshot(&picture).await;
    assert!(
        std::fs::read(picture)
            .expect("a picture")
            .starts_with(b"\x89PNG")
    );
}

#[test]
fn a_page_is_read_as_a_browser_reads_it() {
    let url = Url::parse("https://idp.example/realms/r/auth?x=1").expect("a URL");
    let page = Page::parse(&url, PAGE);
    assert_eq!(page.marker.as_deref(), Some("login"));
    assert_eq!(
        (page.title.as_str(), page.lang.as_deref()),
        ("Sign in", Some("en"))
    );
    assert!(page.text.contains("No script. LANGUAGES") && !page.text.contains("document"));
    assert_eq!(page.texts("h1"), ["Sign in"]);
    assert_eq!(page.links(), [url.join("/second").expect("a URL")]);

    let mut form = page.only_form().clone();
    assert_eq!(
        page.form_with("cancel").action.as_str(),
        "https://idp.example/signed-in"
    );
    assert_eq!(
        (form.id.as_deref(), form.method.as_str()),
        (Some("sign-in"), "post")
    );
    assert_eq!(form.hidden("flow"), Some("f1"));
    assert_eq!(form.hidden("username"), None);
    let username = form.field("username").expect("a field");
    assert_eq!(username.label.as_deref(), Some("Username"));
    assert_eq!(username.description.as_deref(), Some("Your staff name"));
    assert_eq!(username.autocomplete.as_deref(), Some("username"));
    assert_eq!(username.id.as_deref(), Some("username"));
    assert!(username.required);
    let password = form.field("password").expect("a field");
    assert_eq!(
        (password.kind.as_str(), password.label.as_deref()),
        ("password", Some("Password"))
    );
    let labels: Vec<_> = form
        .submits
        .iter()
        .map(|button| button.label.as_str())
        .collect();
    assert_eq!(labels, ["Go", "Cancel"]);

    form.fill("username", "bob")
        .fill("password", "secret")
        .fill("locale", "en");
    let sent = |pairs: Vec<(String, String)>| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    };
    assert_eq!(
        sent(form.pairs(None)),
        "flow=f1&username=bob&password=secret&locale=en&login=yes"
    );
    form.fill("rememberMe", "on");
    assert_eq!(
        sent(form.pairs(Some("cancel"))),
        "flow=f1&username=bob&password=secret&rememberMe=on&locale=en&cancel="
    );
    assert_eq!(page.accessibility_faults(), Vec::<String>::new());
}

#[test]
fn what_a_screen_reader_would_miss_is_found() {
    let url = Url::parse("https://idp.example/").expect("a URL");
    let source = r#"<html><head></head><body><h1 id="a">x</h1><h1 id="a">y</h1><img src="x">
        <form><input name="bare"><label for="gone">z</label><button></button></form>
        <a href="/" tabindex="3"></a></body></html>"#;
    let faults = Page::parse(&url, source).accessibility_faults();
    for part in [
        "no language",
        "no title",
        "2 first-level",
        "main region",
        "used twice",
        "for=\"gone\"",
        "field \"bare\" has no label",
        "<button></button> says nothing",
        "no text instead",
        "Tab key",
    ] {
        assert!(
            faults.iter().any(|fault| fault.contains(part)),
            "{part} is missing in {faults:#?}"
        );
    }
}

#[actix_web::test]
async fn an_app_in_another_language_says_what_it_refuses() {
    for program in [services::node_peer(), services::python_peer()]
        .into_iter()
        .flatten()
    {
        // A port that was free a moment ago: nobody listens there.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let issuer = format!(
            "http://{}/realms/demo",
            listener.local_addr().expect("an address")
        );
        drop(listener);
        let client = PeerClient {
            issuer,
            client_id: "app".into(),
            client_secret: None,
            redirect_uri: "http://127.0.0.1/callback".into(),
            scope: "openid".into(),
        };
        let refusal = Peer::start(&program, &client)
            .await
            .expect_err("a provider that is not there");
        let reason = format!("{} {:?}", refusal.error, refusal.error_description);
        assert!(
            reason.contains("ECONNREFUSED") || reason.contains("Connection refused"),
            "{reason}"
        );
    }
}
