//! Templates by themselves: what is proved when they are stored, and what comes of them.

mod html;
mod syntax;

use std::sync::Arc;

use proptest::prelude::*;

use super::syntax as language;
use super::value::PURPOSES;
use super::*;
use crate::kernel::Timestamp;
use crate::mail::link::NotMe;
use crate::mail::message::Content;
use crate::mail::outbox::OutboxId;
use crate::mail::render::{Draft, Renderer};
use crate::web::texts::Texts;

const LINK_TEXT: &str = "{{ link }} {{ message }}";
const LINK_HTML: &str = "<a href=\"{{ link }}\">{{ button }}</a> {{ message }}";

/// What a template may take: 50 ms (F-11), and more where the compiler was not asked for speed.
const LIMIT_MS: u128 = if cfg!(debug_assertions) { 500 } else { 50 };

/// The lines of a table: what stands before and behind the arrow.
fn cases(table: &str) -> Vec<(&str, &str)> {
    table
        .lines()
        .filter_map(|line| line.split_once(" ⇒ "))
        .collect()
}

fn source(subject: &str, text: &str, html: &str) -> Source {
    Source {
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: html.to_owned(),
    }
}

fn refused(purpose: &str, (subject, text, html): (&str, &str, &str)) -> String {
    match Template::compile(purpose, &source(subject, text, html)) {
        Ok(_) => panic!("{purpose} {subject} {text:.100} {html:.100}"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn what_a_mail_is_there_for_cannot_be_missing() {
    let (text, html) = (LINK_TEXT, LINK_HTML);
    for (parts, says) in [
        (
            ("x", "{{ message }}", html),
            "text, line 1: {{ link }} is missing",
        ),
        (
            ("x", text, "{{ link }}"),
            "html, line 1: the link is missing",
        ),
        (
            ("x", "{{ link }}", html),
            "text, line 1: {{ message }} is missing",
        ),
        (
            ("x", text, "<a href='{{ link }}'>x</a>"),
            "html, line 1: {{ message }}",
        ),
        (
            (
                "x",
                "\n{% if app %}{{ link }}{% endif %}{{ message }}",
                html,
            ),
            "text, line 2: {{ link }} is missing",
        ),
        (
            ("{{ link }}", text, html),
            "subject, line 1: a subject cannot show link",
        ),
        (
            ("{{ code }}", text, html),
            "subject, line 1: a subject cannot show code",
        ),
        (("{{ message }}", text, html), "cannot show message"),
        (
            ("a\nBcc: eve@evil.example", text, html),
            "subject, line 1: a subject is one",
        ),
        (
            ("a\rBcc: eve@evil.example", text, html),
            "subject, line 1: a control character",
        ),
        (("", text, html), "subject, line 1: it is empty"),
        (("x", " \n ", html), "text, line 1: it is empty"),
        (("x", "\n\u{1}", html), "text, line 2: a control character"),
        (("x", text, "\0"), "html, line 1: a control character"),
    ] {
        let said = refused("pre-registration", parts);
        assert!(said.starts_with(says) || said.contains(says), "{said}");
    }
    let said = refused("verify-email-code", ("x", "{{ realm }}", "{{ code }}"));
    assert!(
        said.starts_with("text, line 1: {{ code }} is missing"),
        "{said}"
    );
    let said = refused("verify-email-code", ("x", "{{ code }}", "x"));
    assert!(
        said.starts_with("html, line 1: {{ code }} is missing"),
        "{said}"
    );
    let said = refused("window-extended", ("x", "{{ link }}", "x"));
    assert!(said.contains("no value `link`"), "{said}");
    for (bad, part) in [
        (("x", "x", LINK_HTML), "text"),
        (("x", LINK_TEXT, "x"), "html"),
    ] {
        let said = refused("password-changed", bad);
        assert!(
            said.starts_with(&format!("{part}, line 1: {{{{ link }}}} is missing")),
            "{said}"
        );
    }
    for none in ["test", "link", "link-example", "", "nonsense"] {
        let said = refused(none, ("x", text, html));
        assert!(said.contains("pre-registration"), "{said}");
    }
}

#[test]
fn giant_templates_and_giant_mails_are_refused() {
    let (text, html) = (LINK_TEXT, LINK_HTML);
    let giant = format!("{text}{}", "x".repeat(LONGEST));
    let said = refused("pre-registration", ("x", &giant, html));
    assert!(said.contains("longer than 65536 bytes"), "{said}");
    let said = refused("pre-registration", ("x", text, &giant));
    assert!(said.starts_with("html, line 1: it is longer"), "{said}");
    let said = refused("pre-registration", (&"x".repeat(256), text, html));
    assert!(said.starts_with("subject, line 1: it is longer"), "{said}");
    let many = format!("{text}{}", "{{ message }}".repeat(1000));
    let said = refused("pre-registration", ("x", &many, html));
    assert!(said.contains("show them less often"), "{said}");
    // The longest that is taken, of the longest message there can be.
    let filler = "x".repeat(LONGEST - LINK_HTML.len());
    let longest = source("x", text, &format!("{LINK_HTML}{filler}"));
    let template = Template::compile("pre-registration", &longest).unwrap();
    let mut values = values("https://id.example/x");
    values.replace(Value::Message, "'".repeat(10 * 1024));
    let words = template.render(&values).unwrap();
    assert!(words.html.len() > LONGEST + 60 * 1024 - 100);
}

/// Values of one line, all there, as hostile as they may be.
fn values(link: &str) -> Values {
    let mut values = Values::default();
    for name in [
        "realm",
        "title",
        "lead",
        "message_title",
        "origin",
        "host",
        "name",
        "app",
    ] {
        let value = Value::named(name, Class::Link).unwrap();
        values.set(value, format!("<{name} & \"'/> ßİ"));
    }
    values.set(Value::Lang, "en");
    values.set(Value::Dir, "ltr");
    values.set(Value::Link, link);
    values.set(Value::Button, "Go on");
    values.set(Value::Code, "7K3QF-9XW2M");
    values.set_lines(
        Value::Message,
        vec!["a <b>".into(), String::new(), "c".into()],
    );
    values
}

#[test]
fn words_are_escaped_in_html_and_plain_in_text() {
    let template = Template::compile(
        "set-password",
        &source(
            "{{ app | upper }}{% if username %}!{% endif %}",
            "Hello {{ name -}} ,\n{% if message %}{{ message_title }}\n{{ message }}\n{% endif %}{{ link }}",
            "<p>{{ name }}</p>{# never #}<p>{{ message }}</p><a href=\"{{ link }}\">{{ button }}</a>",
        ),
    );
    let words = template
        .unwrap()
        .render(&values("https://id.example/a"))
        .unwrap();
    assert_eq!(words.subject, "<APP & \"'/> SSİ");
    assert_eq!(
        words.text,
        "Hello <name & \"'/> ßİ,\n<message_title & \"'/> ßİ\n| a <b>\n| \n| c\nhttps://id.example/a"
    );
    assert_eq!(
        words.html,
        "<p>&lt;name &amp; &quot;&#x27;&#x2F;&gt; ßİ</p><p>a &lt;b&gt;<br>\n<br>\nc</p>\
         <a href=\"https:&#x2F;&#x2F;id.example&#x2F;a\">Go on</a>"
    );
}

fn place(client: Option<&str>, locale: Option<&str>) -> Place {
    Place {
        purpose: "set-password".to_owned(),
        client: client.map(ClientUuid::new),
        locale: locale.map(str::to_owned),
    }
}

#[test]
fn the_most_special_template_is_chosen_and_a_broken_one_stands_for_the_built_in_words() {
    let (english, german) = (Locale::ENGLISH, Locale::from_tag("de").unwrap());
    let (shop, other) = (ClientUuid::new("shop"), ClientUuid::new("other"));
    let named = |name: &str| {
        let template = Template::compile("set-password", &source(name, LINK_TEXT, LINK_HTML));
        Some(Arc::new(template.unwrap()))
    };
    let mut all = Templates::default();
    let subject = |all: &Templates, client: Option<&ClientUuid>, locale| {
        let chosen = all.choose("set-password", client, locale);
        chosen.map(|chosen| chosen.render(&values("x")).unwrap().subject)
    };
    assert_eq!(subject(&all, Some(&shop), german), None);
    for (client, locale, name) in [
        (None, None, "realm"),
        (None, Some("de"), "language"),
        (Some("shop"), None, "client"),
        (Some("shop"), Some("de"), "both"),
    ] {
        all.0.insert(place(client, locale), named(name));
        assert_eq!(subject(&all, Some(&shop), german).as_deref(), Some(name));
    }
    for (client, locale, name) in [
        (Some(&shop), english, "client"),
        (Some(&other), german, "language"),
        (Some(&other), english, "realm"),
        (None, german, "language"),
        (None, english, "realm"),
    ] {
        assert_eq!(subject(&all, client, locale).as_deref(), Some(name));
    }
    assert!(
        all.choose("pre-registration", Some(&shop), german)
            .is_none()
    );
    all.0.insert(place(Some("shop"), Some("de")), None);
    assert_eq!(subject(&all, Some(&shop), german), None);
}

fn sample(purpose: &str) -> Content {
    let about = sample::About {
        issuer: "https://id.rosewood.example/realms/school",
        client: Some((ClientUuid::new("shop"), "Library")),
        message: Some("Hello\nthere".to_owned()),
        now: Timestamp::from_seconds(1_795_251_420),
    };
    sample::content(purpose, about).unwrap()
}

fn in_own_words(template: &Template, content: &Content) -> Words {
    let renderer = Renderer::new(Arc::new(Texts::builtin()), "id.rosewood.example").unwrap();
    let person = sample::person();
    let now = Timestamp::from_seconds(1_795_251_420);
    let not_me = NotMe {
        link: String::new(),
        url: "https://id.rosewood.example/realms/rosewood/login-actions/link/NOT-ME".to_owned(),
        seconds: sample::LINK_SECONDS,
    };
    let draft = Draft {
        id: &OutboxId::new("id"),
        realm: "Rosewood School",
        sender: None,
        recipient: "",
        content,
        link: None,
        not_me: content.purpose.may_be_a_thiefs().then_some(&not_me),
        own: Some(Own {
            template,
            person: Some(&person),
        }),
        locale: Locale::ENGLISH,
        expires_at: now.plus_seconds(600),
        now,
    };
    renderer.words(&draft).unwrap()
}

/// Everything that the documentation promises is there, for each mail.
#[test]
fn every_value_of_every_mail_says_something() {
    for purpose in &PURPOSES {
        let names = Value::named("?", purpose.class).unwrap_err();
        // The words of an administrator come with links alone, and so does their heading.
        let names = names
            .split(", ")
            .filter(|name| purpose.class == Class::Link || !name.starts_with("message"));
        let (mut text, mut lines) = (String::new(), 0);
        for name in names {
            text.push_str(&format!("{name}={{{{ {name} }}}}\n"));
            lines += 1;
        }
        let html = "<a href=\"{{ link }}\">{{ button }}</a>{{ message }}";
        let html = match purpose.class {
            Class::Link => html,
            Class::Code => "{{ code }}",
            Class::Notice => "{{ lead }}",
            Class::Warning => "<a href=\"{{ link }}\">{{ button }}</a>{{ lead }}",
        };
        let template = Template::compile(purpose.name, &source("{{ title }}", &text, html));
        let template = template.unwrap_or_else(|fault| panic!("{}: {fault}", purpose.name));
        assert!(template.is_about_the_person());
        let words = in_own_words(&template, &sample(purpose.name));
        for line in words.text.lines() {
            assert!(!line.ends_with('='), "{}: {line}", purpose.name);
        }
        assert!(words.text.lines().count() >= lines, "{}", words.text);
        assert_eq!(
            words.subject.starts_with("[TEST] "),
            purpose.class == Class::Link,
            "{}",
            words.subject
        );
    }
}

#[test]
fn a_mailings_own_subject_goes_before_the_templates() {
    let parts = source("Ours", LINK_TEXT, LINK_HTML);
    let template = Template::compile("pre-registration", &parts).unwrap();
    let mut content = sample("pre-registration");
    assert_eq!(in_own_words(&template, &content).subject, "[TEST] Ours");
    if let Matter::LinkExample { subject, .. } = &mut content.purpose {
        *subject = Some("Come on Monday".to_owned());
    }
    let words = in_own_words(&template, &content);
    assert_eq!(words.subject, "[TEST] Rosewood School: Come on Monday");
    assert!(words.text.contains("| Hello\n| there"), "{}", words.text);
}

#[test]
fn a_template_that_makes_no_mail_leaves_the_built_in_words() {
    let parts = source("{% if not realm %}x{% endif %}", LINK_TEXT, LINK_HTML);
    let template = Template::compile("pre-registration", &parts).unwrap();
    let words = in_own_words(&template, &sample("pre-registration"));
    assert_eq!(words.subject, "[TEST] Rosewood School: Set your password");
    assert!(
        words.text.contains("An account has been prepared"),
        "{}",
        words.text
    );
}

/// What a parser of HTML that is not ours finds in it.
fn fetches_nothing(html: &str) -> bool {
    let page = scraper::Html::parse_document(html);
    let all = scraper::Selector::parse("*").unwrap();
    page.select(&all).all(|element| {
        let element = element.value();
        let quiet = ![
            "script", "img", "link", "iframe", "object", "form", "base", "svg",
        ]
        .contains(&element.name());
        let fetches = ["src", "srcset", "background", "http-equiv"];
        quiet
            && element.attrs().all(|(name, value)| {
                !name.starts_with("on") && !fetches.contains(&name) && !value.contains("url(")
            })
    })
}

/// A piece of a template, right or wrong.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "{{ link }}", "{{link}}", "{{- realm -}}", "{{ app | upper }}", "{{ name|lower|trim }}",
            "{{ title | capitalize }}", "{% if app %}", "{%- if not username or realm -%}", "{% else %}",
            "{% elif first_name and app %}", "{%- endif -%}", "{% endif %}", "{# x #}", "{#- x -#}", " \n ", "a b",
            "<b>", "</b>", "{", "}}", "%}", "<a href=\"{{ link }}\">", "</a>",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "{{ get_env(name=\"CARGO_MANIFEST_DIR\") }}", "{{ __tera_context }}", "{{ code | safe }}", "{% raw %}",
            "{% include \"link.txt\" %}", "{% set a = link %}", "{{ self }}", "{{", "{%", "{#", "<", "\"", "é🙂",
            "<style>", "</style>", "<title>", "{{ code }}", "{{ message }}", "<p style=\"", "\">", "<img src=\"x\">",
            "url(x)", "<p onclick=\"x()\">", "{{ when }}", "<!--", "-->",
        ]).prop_map(str::to_owned),
        1 => "[a-z{}%#|<>\"'=/ -]{0,8}",
    ]
}

proptest! {
    /// What is taken means the same to Tera, with its escaping and without.
    #[test]
    fn what_is_taken_means_the_same_to_tera(parts in prop::collection::vec(fragment(), 0..12)) {
        // Tera takes no white space away after a comment with which a template begins.
        let source = format!(".{}", parts.concat());
        let Ok(nodes) = language::pieces(&source, Class::Link).and_then(language::tree) else {
            return Ok(());
        };
        if shows(&nodes, Value::Message) {
            return Ok(()); // Its lines are marked, which Tera has no word for.
        }
        let values = values("https://id.example/a?b=c");
        let mut context = tera::Context::new();
        let names = Value::named("?", Class::Link).unwrap_err();
        for name in names.split(", ") {
            let value = Value::named(name, Class::Link).unwrap();
            context.insert(name, &values.lines(value).join("\n"));
        }
        for (form, escapes) in [(Form::Text, false), (Form::Html, true)] {
            let mut ours = String::new();
            write(&nodes, &values, form, &mut ours).unwrap();
            let theirs = tera::Tera::one_off(&source, &context, escapes);
            prop_assert_eq!(&ours, &theirs.unwrap(), "{}", source);
        }
    }

    /// Whatever is stored: no panic, no link or code in a subject, none in a mail that has none, no environment.
    #[test]
    fn no_text_breaks_the_proof_or_reveals_anything(
        parts in prop::collection::vec(fragment(), 0..16),
        subject in prop::collection::vec(fragment(), 0..3),
    ) {
        let body = parts.concat();
        let subject = subject.concat();
        let values = values("https://id.example/TOKEN");
        for purpose in &PURPOSES {
            let (text, html) = match purpose.class {
                Class::Link => (LINK_TEXT, LINK_HTML),
                Class::Code => ("{{ code }}", "{{ code }}"),
                Class::Notice => ("x", "x"),
                Class::Warning => (LINK_TEXT, LINK_HTML),
            };
            for (subject, body) in [(subject.as_str(), ""), ("x", body.as_str())] {
                let parts = source(subject, &format!("{text}{body}"), &format!("{html}{body}"));
                let Ok(template) = Template::compile(purpose.name, &parts) else {
                    continue;
                };
                let Ok(words) = template.render(&values) else {
                    continue;
                };
                let all = [&words.subject, &words.text, &words.html].map(String::as_str).concat();
                prop_assert!(!words.subject.contains("TOKEN") && !words.subject.contains("7K3QF"));
                let has_link = matches!(purpose.class, Class::Link | Class::Warning);
                prop_assert!(has_link || !all.contains("TOKEN"), "{}", all);
                let has_code = matches!(purpose.class, Class::Link | Class::Code);
                prop_assert!(has_code || !all.contains("7K3QF"), "{}", all);
                prop_assert!(!all.contains(env!("CARGO_MANIFEST_DIR")));
                prop_assert!(fetches_nothing(&words.html), "{}", words.html);
            }
        }
    }
}
