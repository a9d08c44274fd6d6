//! Every sentence people read, in every language, compiled in.
//!
//! Pages and mails name a text by its key; nothing else in the tree holds a sentence.
//! A further language is one `.ftl` file and one line in [`LANGUAGES`]; a test holds every
//! file to the same keys and variables. Looking a text up cannot fail: a key that a language
//! lacks falls back to English and then to the key itself.

mod negotiate;
mod text;

use std::collections::HashMap;
use std::fmt;

use chrono::Datelike as _;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::CharacterDirection;

pub use text::{Text, Value};

use crate::kernel::Timestamp;

/// One language: its tag and its file. The first is the one that others fall back to.
static LANGUAGES: [Language; 2] = [
    Language {
        tag: "en",
        source: include_str!("../../../templates/texts/en.ftl"),
    },
    Language {
        tag: "de",
        source: include_str!("../../../templates/texts/de.ftl"),
    },
];

struct Language {
    tag: &'static str,
    source: &'static str,
}

/// A language this binary speaks. There is no other way to have one, so a page can always
/// be rendered in it.
#[derive(Clone, Copy)]
pub struct Locale(&'static Language);

impl Locale {
    /// The language spoken when nobody asks for another.
    pub const ENGLISH: Locale = Locale(&LANGUAGES[0]);

    /// Every language, English first.
    pub fn all() -> impl Iterator<Item = Locale> {
        LANGUAGES.iter().map(Locale)
    }

    /// The language with exactly this tag, for example `de`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Locale> {
        Self::all().find(|locale| locale.tag() == tag)
    }

    /// The BCP 47 tag, as in HTML's `lang`, the `locale` claim and the cookie.
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.0.tag
    }

    /// HTML's `dir` for this language: `ltr` or `rtl`.
    #[must_use]
    pub fn direction(self) -> &'static str {
        match bundle_language(self).character_direction() {
            CharacterDirection::RTL => "rtl",
            CharacterDirection::LTR | CharacterDirection::TTB => "ltr",
        }
    }
}

impl PartialEq for Locale {
    fn eq(&self, other: &Locale) -> bool {
        self.tag() == other.tag()
    }
}

impl Eq for Locale {}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({})", self.tag())
    }
}

/// All texts of all languages. Made once at start and shared.
pub struct Texts {
    bundles: HashMap<&'static str, FluentBundle<FluentResource>>,
}

impl Texts {
    /// The texts compiled into this binary.
    #[must_use]
    pub fn builtin() -> Texts {
        let bundles = Locale::all()
            .map(|locale| (locale.tag(), bundle(locale)))
            .collect();
        Texts { bundles }
    }

    /// Chooses the language of a page. The sources are asked in this order, each with its own
    /// order of preference, and the first language we speak wins; English when none does.
    ///
    /// - `ui_locales`: tags separated by spaces (OpenID Connect Core 3.1.2.1)
    /// - `cookie_locale`: the tag this browser chose earlier
    /// - `accept_language`: the request header (RFC 9110 section 12.5.4), weights honoured
    /// - `realm_default`: the tag the realm is set to
    #[must_use]
    pub fn negotiate(
        &self,
        ui_locales: Option<&str>,
        cookie_locale: Option<&str>,
        accept_language: Option<&str>,
        realm_default: Option<&str>,
    ) -> Locale {
        negotiate::negotiate(ui_locales, cookie_locale, accept_language, realm_default)
    }

    /// The text with this key in this language.
    #[must_use]
    pub fn text(&self, locale: Locale, key: &str, args: &[(&str, Value)]) -> String {
        let args = args
            .iter()
            .map(|(name, value)| (*name, fluent_value(value)))
            .collect();
        self.find(locale, key, &args)
            .or_else(|| self.find(Locale::ENGLISH, key, &args))
            .unwrap_or_else(|| key.to_owned())
    }

    /// The sentence in this language.
    #[must_use]
    pub fn say(&self, locale: Locale, text: &Text) -> String {
        match text {
            Text::Plain(words) => words.clone(),
            Text::Keyed { key, args } => {
                let args: Vec<_> = args.iter().map(|(name, v)| (*name, v.clone())).collect();
                self.text(locale, key, &args)
            }
        }
    }

    /// A time in words, in UTC, which is the same time for every reader.
    #[must_use]
    pub fn time(&self, locale: Locale, at: Timestamp) -> String {
        let Some(at) = chrono::DateTime::from_timestamp_micros(at.micros()) else {
            return String::new();
        };
        let text = Text::key("time")
            .with("day", at.day())
            .with("month", at.month())
            .with("year", at.format("%Y").to_string())
            .with("time", at.format("%H:%M").to_string());
        self.say(locale, &text)
    }

    fn find(&self, locale: Locale, key: &str, args: &FluentArgs<'_>) -> Option<String> {
        let bundle = self.bundles.get(locale.tag())?;
        let pattern = bundle.get_message(key)?.value()?;
        // A variable that the caller forgot shows as its name; there is nobody to tell here.
        Some(
            bundle
                .format_pattern(pattern, Some(args), &mut Vec::new())
                .into_owned(),
        )
    }
}

fn bundle(locale: Locale) -> FluentBundle<FluentResource> {
    let mut bundle = FluentBundle::new_concurrent(vec![bundle_language(locale)]);
    // Isolation marks would stand in every comparison, copied address and plain-text mail.
    // What they protect against is kept out of the values instead, see `fluent_value`.
    bundle.set_use_isolating(false);
    // A test holds every file to be without errors; what parses is used in any case.
    let resource = FluentResource::try_new(locale.0.source.to_owned())
        .unwrap_or_else(|(resource, _)| resource);
    bundle.add_resource_overriding(resource);
    bundle
}

fn bundle_language(locale: Locale) -> unic_langid::LanguageIdentifier {
    locale.tag().parse().unwrap_or_default()
}

/// A name chosen by a stranger may hold marks that reverse the words after it; they have no
/// place in a name and are left out, as are line breaks and other control characters.
fn fluent_value(value: &Value) -> FluentValue<'static> {
    match value {
        Value::Number(number) => FluentValue::from(*number),
        Value::Words(words) => FluentValue::from(
            words
                .chars()
                .filter(|c| !c.is_control() && !reorders(*c))
                .collect::<String>(),
        ),
    }
}

/// The explicit embeddings, overrides and isolates of the Unicode Bidirectional Algorithm.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The messages of a file with the variables each one uses.
    fn messages(source: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut messages = BTreeMap::new();
        let mut key = "";
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
                key = line.split(" =").next().unwrap();
                assert!(
                    messages.insert(key, BTreeSet::new()).is_none(),
                    "{key} is there twice"
                );
            }
            for variable in line.split('$').skip(1) {
                let end = variable.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
                messages.get_mut(key).unwrap().insert(&variable[..end]);
            }
        }
        messages
    }

    #[test]
    fn every_language_has_the_same_texts_with_the_same_variables() {
        let english = messages(Locale::ENGLISH.0.source);
        assert!(english.len() > 50);
        for locale in Locale::all() {
            assert_eq!(messages(locale.0.source), english, "{locale:?}");
            FluentResource::try_new(locale.0.source.to_owned()).expect("a file without errors");
            assert_eq!(bundle_language(locale).to_string(), locale.tag());
        }
    }

    #[test]
    fn every_keycloak_name_leads_to_a_text() {
        let english = messages(Locale::ENGLISH.0.source);
        for (theirs, ours) in text::KEYCLOAK {
            assert!(english.contains_key(ours), "{theirs}");
        }
        assert_eq!(
            Text::keycloak("${emailScopeConsentText}"),
            Some(Text::key("scope-email"))
        );
        assert_eq!(Text::keycloak("${myOwnText}"), None);
    }

    #[test]
    fn texts_speak_the_language_and_count() {
        let texts = Texts::builtin();
        let german = Locale::from_tag("de").unwrap();
        let say = |locale, text: Text| texts.say(locale, &text);
        assert_eq!(say(Locale::ENGLISH, Text::key("sign-in")), "Sign In");
        assert_eq!(say(german, Text::key("sign-in")), "Anmelden");
        let minutes = |n: u32| Text::key("minutes-left").with("minutes", n);
        assert!(say(Locale::ENGLISH, minutes(1)).contains("1 minute "));
        assert!(say(Locale::ENGLISH, minutes(5)).contains("5 minutes "));
        let short = Text::keycloak("invalidPasswordMinLengthMessage")
            .unwrap()
            .with("count", 8_u32);
        assert_eq!(
            say(Locale::ENGLISH, short),
            "Invalid password: minimum length 8."
        );
        assert_eq!(say(german, Text::plain("{ $as } it is")), "{ $as } it is");
        assert_eq!(say(german, Text::key("no-such-text")), "no-such-text");
    }

    #[test]
    fn a_name_cannot_turn_the_sentence_around() {
        let texts = Texts::builtin();
        let app = "Shop\u{202e}\u{2066}\n{ $x }".into();
        let sentence = texts.text(Locale::ENGLISH, "consent-title", &[("app", app)]);
        assert!(sentence.contains("Shop{ $x }"), "{sentence}");
    }
}
