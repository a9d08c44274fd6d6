//! Every sentence people read, in every language, compiled in.
//!
//! Pages and mails name a text by its key; nothing else in the tree holds a sentence.
//! A further language is one `.ftl` file and one line in [`LANGUAGES`]; a test holds every
//! file to the same keys and variables. Looking a text up cannot fail: a key that a language
//! lacks falls back to English and then to the key itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_langneg::{LanguageIdentifier, NegotiationStrategy, negotiate_languages};
use serde::Serialize;
use unic_langid::CharacterDirection;

/// One language: its tag and its file. The first is the one that others fall back to.
static LANGUAGES: [Language; 2] = [
    Language {
        tag: "en",
        source: include_str!("../../templates/texts/en.ftl"),
    },
    Language {
        tag: "de",
        source: include_str!("../../templates/texts/de.ftl"),
    },
];

/// How many language tags of one request are looked at, and how long each may be (RFC 5646
/// section 4.4.1 names 35 characters), so that negotiation is bounded whatever is sent.
const MAX_TAGS: usize = 16;
const MAX_TAG_LENGTH: usize = 35;

/// Keycloak's message names, which its API answers carry and its realm files name, and the
/// keys of ours that hold the same sentence. The number of Keycloak's `{0}` is `$count`.
const KEYCLOAK: [(&str, &str); 20] = [
    (
        "invalidPasswordMinLengthMessage",
        "invalid-password-min-length",
    ),
    (
        "invalidPasswordMaxLengthMessage",
        "invalid-password-max-length",
    ),
    (
        "invalidPasswordMinDigitsMessage",
        "invalid-password-min-digits",
    ),
    (
        "invalidPasswordMinLowerCaseCharsMessage",
        "invalid-password-min-lower-case-chars",
    ),
    (
        "invalidPasswordMinUpperCaseCharsMessage",
        "invalid-password-min-upper-case-chars",
    ),
    (
        "invalidPasswordMinSpecialCharsMessage",
        "invalid-password-min-special-chars",
    ),
    (
        "invalidPasswordNotUsernameMessage",
        "invalid-password-not-username",
    ),
    (
        "invalidPasswordNotEmailMessage",
        "invalid-password-not-email",
    ),
    (
        "invalidPasswordNotContainsUsernameMessage",
        "invalid-password-not-contains-username",
    ),
    (
        "invalidPasswordRegexPatternMessage",
        "invalid-password-regex-pattern",
    ),
    ("invalidPasswordHistoryMessage", "invalid-password-history"),
    (
        "invalidPasswordBlacklistedMessage",
        "invalid-password-blacklisted",
    ),
    ("profileScopeConsentText", "scope-profile"),
    ("emailScopeConsentText", "scope-email"),
    ("addressScopeConsentText", "scope-address"),
    ("phoneScopeConsentText", "scope-phone"),
    ("rolesScopeConsentText", "scope-roles"),
    ("offlineAccessScopeConsentText", "scope-offline-access"),
    ("organizationScopeConsentText", "scope-organization"),
    ("samlRoleListScopeConsentText", "scope-roles"),
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

/// What a text's variable stands for. A number also chooses the plural form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Number(i64),
    /// A name, an address or other words, put in as they are.
    Words(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(i64::from(number))
    }
}

impl From<&str> for Value {
    fn from(words: &str) -> Value {
        Value::Words(words.to_owned())
    }
}

impl From<String> for Value {
    fn from(words: String) -> Value {
        Value::Words(words)
    }
}

/// A sentence that is not yet in a language: what code hands to a page or a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// A text of ours.
    Keyed {
        /// Its key in the `.ftl` files.
        key: &'static str,
        /// Its variables.
        args: BTreeMap<&'static str, Value>,
    },
    /// Words somebody else wrote, such as a scope's description; shown as they are.
    Plain(String),
}

impl Text {
    /// The text with this key.
    #[must_use]
    pub fn key(key: &'static str) -> Text {
        Text::Keyed {
            key,
            args: BTreeMap::new(),
        }
    }

    /// The same with a variable filled in; a plain text has none and stays as it is.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Text {
        if let Text::Keyed { args, .. } = &mut self {
            args.insert(name, value.into());
        }
        self
    }

    /// Somebody else's words.
    #[must_use]
    pub fn plain(words: impl Into<String>) -> Text {
        Text::Plain(words.into())
    }

    /// The text that Keycloak calls `name` (`invalidPasswordMinLengthMessage`), also in the
    /// `${name}` form of its realm files; `None` where we have no such text.
    #[must_use]
    pub fn keycloak(name: &str) -> Option<Text> {
        let name = name
            .strip_prefix("${")
            .and_then(|n| n.strip_suffix('}'))
            .unwrap_or(name);
        KEYCLOAK
            .iter()
            .find(|(theirs, _)| *theirs == name)
            .map(|(_, ours)| Text::key(ours))
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
        let requested: Vec<LanguageIdentifier> = tags(ui_locales)
            .chain(tags(cookie_locale))
            .chain(weighted_tags(accept_language))
            .chain(tags(realm_default))
            .filter_map(|tag| tag.parse().ok())
            .collect();
        let available: Vec<LanguageIdentifier> = Locale::all()
            .filter_map(|locale| locale.tag().parse().ok())
            .collect();
        negotiate_languages(&requested, &available, None, NegotiationStrategy::Lookup)
            .first()
            .and_then(|found| Locale::from_tag(&found.to_string()))
            .unwrap_or(Locale::ENGLISH)
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

fn tags(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default()
        .split_ascii_whitespace()
        .take(MAX_TAGS)
        .filter(|tag| tag.len() <= MAX_TAG_LENGTH)
}

/// The tags of an `Accept-Language`, best first; those with weight 0 are refusals.
fn weighted_tags(header: Option<&str>) -> impl Iterator<Item = &str> {
    let mut weighted: Vec<(u16, &str)> = header
        .unwrap_or_default()
        .split(',')
        .take(MAX_TAGS)
        .map(|entry| {
            let (tag, parameter) = entry.split_once(';').unwrap_or((entry, "q=1"));
            (weight(parameter), tag.trim())
        })
        .filter(|(weight, tag)| *weight > 0 && tag.len() <= MAX_TAG_LENGTH)
        .collect();
    weighted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    weighted.into_iter().map(|(_, tag)| tag)
}

/// A `q` parameter in thousandths; one that cannot be read counts as absent, which is 1.
fn weight(parameter: &str) -> u16 {
    let q = parameter
        .trim()
        .strip_prefix("q=")
        .and_then(|q| q.trim().parse::<f32>().ok());
    match q {
        Some(q) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u16,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        for (theirs, ours) in KEYCLOAK {
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

    #[test]
    fn languages_are_negotiated_in_the_order_of_their_sources() {
        let texts = Texts::builtin();
        let negotiate =
            |ui, cookie, header, realm| texts.negotiate(ui, cookie, header, realm).tag();
        assert_eq!(negotiate(None, None, None, None), "en");
        assert_eq!(negotiate(None, None, None, Some("de")), "de");
        assert_eq!(negotiate(None, None, Some("en"), Some("de")), "en");
        assert_eq!(negotiate(None, Some("de"), Some("en"), None), "de");
        assert_eq!(negotiate(Some("en"), Some("de"), None, None), "en");
        assert_eq!(negotiate(Some("tlh de-AT en"), None, None, None), "de");
        assert_eq!(
            negotiate(None, None, Some("en;q=0.2, de-CH;q=0.8"), None),
            "de"
        );
        assert_eq!(negotiate(None, None, Some("de;q=0, *"), None), "en");
        assert_eq!(negotiate(Some("tlh"), None, Some("tlh, DE"), None), "de");
    }

    #[test]
    fn hostile_language_lists_end_in_english() {
        let texts = Texts::builtin();
        let long = "x,".repeat(1 << 20);
        let hostile = [
            "",
            ";",
            ",;q=,;;,",
            "\0",
            "de\u{202e}",
            "-",
            "../de",
            "q=NaN;q=NaN",
            &long,
        ];
        for list in hostile {
            let list = Some(list);
            assert_eq!(
                texts.negotiate(list, list, list, list),
                Locale::ENGLISH,
                "{list:.20?}"
            );
        }
    }
}
