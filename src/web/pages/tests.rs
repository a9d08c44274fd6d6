//! Renders every page, in every language, in every shape it can take.
//!
//! With `VESTIBULE_GALLERY` naming a folder, the pages are also written there with their
//! stylesheet, to be looked at: `VESTIBULE_GALLERY=/tmp/gallery cargo test gallery`.

mod account;

use scraper::{Html, Selector};

use super::*;

/// What a stranger may put into any name of his own.
const HOSTILE: &str = "\"'><svg/onload=1></title>{{7*7}}{% include \"base.html\" %}${7*7}{ $x }";

/// A page of the gallery: its file name, and how to render it.
type Sample = (&'static str, Box<dyn Fn(&Pages, &Look<'_>) -> String>);

fn sample<P: Page + 'static>(name: &'static str, page: P) -> Sample {
    (
        name,
        Box::new(move |pages, look| pages.render(look, &page).expect(name)),
    )
}

fn app(name: &str) -> App {
    App {
        name: name.to_owned(),
        policy: Href::to("https://shop.example/privacy"),
        terms: Href::to("https://shop.example/terms"),
    }
}

/// Every page in every shape, with `words` wherever words come from outside.
fn gallery(words: &dyn Fn(&str) -> String) -> Vec<Sample> {
    let action = || words("/realms/demo/login-actions/required-action?execution=X&client_id=shop");
    let flow = || words("q3J0c2Fh");
    let login = |asking, error: Option<&'static str>, notice: Option<&'static str>| Login {
        action: action(),
        flow: flow(),
        asking,
        app: Some(app(&words("Example Shop"))),
        error: error.map(Text::key),
        notice: notice.map(Text::key),
        forgot_password: Href::to("/realms/demo/login-actions/reset-credentials"),
    };
    let anyone = |username: &str, remember_me| Asking::Anyone {
        username: words(username),
        remember_me,
    };
    let again = || Asking::Again {
        account: words("alice@example.org"),
    };
    let rules = || {
        vec![
            Text::key("rule-min-length").with("count", 15_u32),
            Text::key("rule-too-common"),
            Text::key("rule-too-little-left").with("count", 8_u32),
            Text::key("rule-same-as-old"),
        ]
    };
    let password = UpdatePassword {
        action: action(),
        flow: flow(),
        account: words("alice@example.org"),
        reason: Some(Text::key("update-password-reason")),
        first: false,
        rules: rules(),
        minutes_left: 5,
        suggestion: Some(words("copper lantern drifting maple")),
        new_errors: Vec::new(),
        confirm_error: None,
        hint: None,
    };
    let refused = UpdatePassword {
        reason: None,
        minutes_left: 0,
        new_errors: vec![
            Text::key("invalid-password-min-length").with("count", 15_u32),
            Text::key("invalid-password-too-common"),
        ],
        confirm_error: Some(Text::key("passwords-do-not-match")),
        hint: Some(Text::key("password-advice-add-words")),
        ..password.clone()
    };
    let first = UpdatePassword {
        first: true,
        reason: None,
        ..password.clone()
    };
    let bare = UpdatePassword {
        minutes_left: 1,
        rules: Vec::new(),
        suggestion: None,
        new_errors: vec![Text::key("password-missing")],
        ..password.clone()
    };
    let profile = UpdateProfile {
        action: action(),
        flow: flow(),
        reason: Some(Text::key("update-profile-reason")),
        first_name: Field {
            value: words("Alice"),
            error: None,
        },
        last_name: Field::default(),
        email: Email::Fixed {
            address: words("alice@example.org"),
        },
    };
    let profile_refused = UpdateProfile {
        reason: None,
        last_name: Field {
            value: String::new(),
            error: Some(Text::key("field-missing")),
        },
        email: Email::Asked(Field {
            value: words("alice@"),
            error: Some(Text::key("email-invalid")),
        }),
        ..profile.clone()
    };
    let verify = VerifyEmail {
        action: action(),
        flow: flow(),
        address: words("a•••e@example.org"),
        other: false,
        error: None,
        notice: None,
    };
    let verify_refused = VerifyEmail {
        error: Some(Text::key("code-wrong")),
        notice: Some(Text::key("code-sent-again")),
        other: true,
        ..verify.clone()
    };
    let ask_email = |error: Option<&'static str>| AskEmail {
        action: action(),
        flow: flow(),
        email: Field {
            value: words("alice@"),
            error: error.map(Text::key),
        },
    };
    let prose = "These are the terms of the example realm.\n\n".to_owned()
        + &"Whoever signs in here keeps the password to himself. ".repeat(9)
        + "\n\nThank you.\nThe people of the demo";
    let terms = |text: &str| Terms::new(action(), flow(), text);
    let consent = |scopes| Consent {
        action: action(),
        flow: flow(),
        app: app(&words("Example Shop")),
        scopes,
    };
    let scopes = || {
        vec![
            Text::key("scope-profile"),
            Text::key("scope-email"),
            Text::key("scope-offline-access"),
            Text::plain(words("Your orders")),
        ]
    };
    let logout = |account| Logout {
        action: action(),
        flow: flow(),
        account,
    };
    let message = |heading, body, link| Message {
        heading: Text::key(heading),
        body: Text::key(body),
        link,
    };
    let link = Link {
        text: Text::key("continue"),
        href: Href::to("https://shop.example/?a=b&c=\"'").unwrap(),
    };
    let error = |name: &str, back: &str| ErrorPage {
        message: Text::key("invalid-parameter").with("name", words(name)),
        back: Href::to(back),
        sign_in: None,
        request_id: words("0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071"),
    };
    let late = ErrorPage {
        message: Text::key("action-expired"),
        sign_in: Href::to("https://id.example/realms/shop/account/"),
        ..error("", "")
    };
    let open_link = |lead: &'static str, other: Option<&'static str>| OpenLink {
        action: action(),
        handle: words("q3J0c2Fh"),
        lead: Text::key(lead).with("address", words("alice@example.org")),
        button: Text::key("link-set-password"),
        account: words("alice"),
        app: Some(words("Example Shop")),
        other: other.map(|other| {
            Text::key(other)
                .with("other", words("bob"))
                .with("account", words("alice"))
        }),
    };
    let not_me = |consequence: &'static str| NotMe {
        action: action(),
        handle: words("q3J0c2Fh"),
        happened: Text::key("mail-password-changed-lead").with("when", words("21 November 2026")),
        consequence: Text::key(consequence)
            .with("address", words("a•••@example.org"))
            .with("realm", words("Demo")),
        account: words("alice"),
    };
    let renewed = |body: &'static str| Message {
        heading: Text::key("link-renewed-title"),
        body: Text::key(body).with("address", words("a•••@example.org")),
        link: None,
    };
    let expired = |address| LinkExpired {
        action: action(),
        handle: words("q3J0c2Fh"),
        address,
    };
    let link_code = |error: Option<&'static str>| LinkCode {
        action: action(),
        error: error.map(Text::key),
    };
    vec![
        sample("login", login(anyone("", Some(false)), None, None)),
        sample(
            "login-plain",
            Login {
                app: None,
                forgot_password: None,
                ..login(anyone("", None), None, None)
            },
        ),
        sample(
            "login-wrong",
            login(
                anyone("alice", Some(true)),
                Some("invalid-username-or-password"),
                None,
            ),
        ),
        sample(
            "login-expired",
            login(anyone("alice", None), None, Some("window-expired")),
        ),
        sample("login-again", login(again(), None, None)),
        sample(
            "login-again-wrong",
            login(again(), Some("invalid-username-or-password"), None),
        ),
        sample("update-password", password),
        sample("update-password-refused", refused),
        sample("update-password-bare", bare),
        sample("update-password-first", first),
        sample("verify-email", verify),
        sample("verify-email-refused", verify_refused),
        sample("verify-email-ask", ask_email(None)),
        sample("verify-email-ask-refused", ask_email(Some("email-invalid"))),
        sample("update-profile", profile),
        sample("update-profile-refused", profile_refused),
        sample("terms", terms(&words(&prose))),
        sample("terms-none", terms("")),
        sample("consent", consent(scopes())),
        sample("consent-nothing", consent(Vec::new())),
        sample("logout", logout(Some(words("alice")))),
        sample("logout-nobody", logout(None)),
        sample("message", message("signed-out-title", "signed-out", None)),
        sample(
            "message-link",
            message("all-done-title", "all-done", Some(link)),
        ),
        sample("error", error("redirect_uri", "")),
        sample("error-back", error("scope", "https://shop.example/")),
        sample("error-late", late),
        sample(
            "onwards",
            Onwards {
                href: Href::to("https://shop.example/?a=b").unwrap(),
            },
        ),
        sample(
            "form-post",
            FormPost {
                action: Href::to("https://shop.example/cb").unwrap(),
                app: words("Example Shop"),
                fields: vec![
                    ("code".to_owned(), words("SplxlOBe")),
                    ("state".to_owned(), words("af0ifjsldkj")),
                ],
                nonce: "bm9uY2U".to_owned(),
            },
        ),
        sample("link", open_link("link-lead-first-password", None)),
        sample(
            "link-other",
            open_link("link-lead-new-password", Some("link-other")),
        ),
        sample(
            "link-other-address",
            open_link("link-lead-address", Some("link-other-address")),
        ),
        sample(
            "link-other-actions",
            open_link("link-lead-actions", Some("link-other-actions")),
        ),
        sample("link-expired", expired(Some(words("a•••@example.org")))),
        sample("message-renewed", renewed("link-renewed")),
        sample("message-renewed-lately", renewed("link-renewed-lately")),
        sample("message-not-renewed", renewed("link-not-renewed")),
        sample("link-expired-ask", expired(None)),
        sample("link-not-me", not_me("link-not-me-mails")),
        sample("link-not-me-returns", not_me("link-not-me-returns")),
        sample("link-not-me-asks", not_me("link-not-me-asks")),
        sample("link-code", link_code(None)),
        sample("link-code-wrong", link_code(Some("link-code-wrong"))),
        sample(
            "forgot-password",
            ForgotPassword {
                action: action(),
                back: Href::to("/realms/demo/login-actions/authenticate"),
            },
        ),
    ]
    .into_iter()
    .chain(account::gallery(words))
    .collect()
}

fn brand(name: &str) -> Brand {
    Brand {
        name: name.to_owned(),
        logo: None,
        colour_stylesheet: Some("/realms/demo/resources/brand.css".to_owned()),
        public_url: String::new(),
    }
}

/// Every page of the gallery in every language: name, language, HTML.
fn rendered(words: &dyn Fn(&str) -> String, realm: &Brand) -> Vec<(&'static str, Locale, String)> {
    let pages = Pages::new(&Arc::new(Texts::builtin())).expect("templates that parse");
    let samples = gallery(words);
    let in_language = |locale: Locale| {
        let look = Look { locale, realm };
        let render = |(name, page): &Sample| (*name, locale, page(&pages, &look));
        samples.iter().map(render).collect::<Vec<_>>()
    };
    Locale::all().flat_map(in_language).collect()
}

fn select<'a>(html: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

#[test]
fn gallery_pages_say_who_they_are_in_whole_sentences() {
    for (name, locale, page) in rendered(&str::to_owned, &brand("Demo")) {
        let html = Html::parse_document(&page);
        let meta = select(&html, "meta[name=vestibule-page]");
        let content = meta[0].attr("content").unwrap();
        let known = name.starts_with(content) || ["onwards", "form-post"].contains(&name);
        assert!(known && meta.len() == 1, "{name} says it is {content}");
        assert_eq!(select(&html, "html")[0].attr("lang"), Some(locale.tag()));
        assert!(
            !page.contains("{ $") && !page.contains("{$"),
            "a variable is missing in {name}"
        );
        for text in html.root_element().text().map(str::trim) {
            let like_a_key = text.contains('-')
                && text
                    .split('-')
                    .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
            assert!(!like_a_key, "{name} shows the key {text}");
        }
        if let Ok(folder) = std::env::var("VESTIBULE_GALLERY") {
            let page = page
                .replace(stylesheet().0, "style.css")
                .replace(icon().0, "icon.svg");
            std::fs::write(format!("{folder}/{name}.{}.html", locale.tag()), page).unwrap();
            std::fs::write(format!("{folder}/style.css"), stylesheet().1).unwrap();
            std::fs::write(format!("{folder}/icon.svg"), icon().1).unwrap();
        }
    }
}

#[test]
fn every_sentence_that_a_template_chooses_exists() {
    let texts = Texts::builtin();
    for (name, template) in TEMPLATES {
        for call in template.split("t(key=\"").skip(1) {
            let key = call.split('"').next().unwrap();
            assert_ne!(texts.text(Locale::ENGLISH, key, &[]), key, "in {name}");
        }
    }
}

#[test]
fn hostile_words_stay_words() {
    let realm = Brand {
        logo: Some(HOSTILE.to_owned()),
        ..brand(HOSTILE)
    };
    for (name, _, page) in rendered(&|_| HOSTILE.to_owned(), &realm) {
        assert!(!page.contains("<svg/onload"), "{name} lets markup through");
        let page = page.replace(stylesheet().0, "").replace(icon().0, "");
        assert!(!page.contains("49"), "{name} evaluates");
        let html = Html::parse_document(&page);
        assert!(select(&html, "[onload]").is_empty(), "{name}");
        let titles = select(&html, "title");
        assert!(
            titles[0].text().collect::<String>().ends_with(HOSTILE),
            "{name}"
        );
        for field in select(&html, "input[name=flow]") {
            assert_eq!(field.attr("value"), Some(HOSTILE), "{name}");
        }
    }
}

#[test]
fn forms_work_without_scripts_and_by_keyboard_and_ear() {
    for (name, _, page) in rendered(&str::to_owned, &brand("Demo")) {
        let html = Html::parse_document(&page);
        let scripts = select(&html, "script");
        assert_eq!(scripts.len(), usize::from(name == "form-post"), "{name}");
        assert!(
            select(&html, "[style], style").is_empty(),
            "{name} has inline style"
        );
        let mut ids: Vec<_> = select(&html, "[id]")
            .iter()
            .filter_map(|e| e.attr("id"))
            .collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name} uses an id twice");
        for input in select(&html, "input:not([type=hidden]), button") {
            let Some(id) = input.attr("id") else { continue };
            assert_eq!(input.attr("name"), Some(id), "{name}");
            let labels = select(&html, &format!("label[for={id}]"));
            assert!(
                input.value().name() == "button" || labels.len() == 1,
                "{name}: {id}"
            );
            for described in input
                .attr("aria-describedby")
                .unwrap_or_default()
                .split(' ')
            {
                assert!(
                    described.is_empty() || ids.contains(&described),
                    "{name}: {described}"
                );
            }
        }
        for error in select(&html, "[id$=-error]") {
            let id = error.attr("id").unwrap();
            let tied = select(
                &html,
                &format!("input[aria-invalid=true][aria-describedby~={id}]"),
            );
            assert!(!tied.is_empty(), "{name}: no field knows of {id}");
        }
        for form in select(&html, "form") {
            assert_eq!(form.attr("method"), Some("post"), "{name}");
        }
    }
}

#[test]
fn the_sign_in_page_is_the_one_that_scripts_know() {
    let pages = rendered(&str::to_owned, &brand("Demo"));
    let english = |name| {
        let found = pages
            .iter()
            .find(|(page, locale, _)| *page == name && *locale == Locale::ENGLISH);
        found.unwrap().2.as_str()
    };
    let html = Html::parse_document(english("login"));
    for field in ["username", "password", "rememberMe", "flow"] {
        assert_eq!(
            select(&html, &format!("input#{field}[name={field}]")).len(),
            1,
            "{field}"
        );
    }
    let text = |of: &str| select(&html, of)[0].text().collect::<String>();
    assert_eq!(text("button#login[name=login]"), "Sign In");
    assert_eq!(text("label[for=username]"), "Username or email");
    assert_eq!(text("label[for=password]"), "Password");
    assert!(english("login-wrong").contains("Invalid username or password."));
    let again = english("login-again");
    assert!(again.contains("Please re-authenticate to continue"));
    assert!(!again.contains("id=\"username\"") && again.contains("alice@example.org"));
    assert!(english("error").contains("Invalid parameter: redirect_uri"));
    assert!(english("error").contains("We are sorry..."));
}
