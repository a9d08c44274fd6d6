//! Which language a page is in: bounded reading of what browsers and clients ask for.

use fluent_langneg::{LanguageIdentifier, NegotiationStrategy, negotiate_languages};

use super::Locale;

/// How many language tags of one request are looked at, and how long each may be (RFC 5646
/// section 4.4.1 names 35 characters), so that negotiation is bounded whatever is sent.
const MAX_TAGS: usize = 16;
const MAX_TAG_LENGTH: usize = 35;

/// The first language we speak, in the order of the sources and of each one's preferences.
pub(super) fn negotiate(
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
    use super::*;

    #[test]
    fn languages_are_negotiated_in_the_order_of_their_sources() {
        let tag = |ui, cookie, header, realm| negotiate(ui, cookie, header, realm).tag();
        assert_eq!(tag(None, None, None, None), "en");
        assert_eq!(tag(None, None, None, Some("de")), "de");
        assert_eq!(tag(None, None, Some("en"), Some("de")), "en");
        assert_eq!(tag(None, Some("de"), Some("en"), None), "de");
        assert_eq!(tag(Some("en"), Some("de"), None, None), "en");
        assert_eq!(tag(Some("tlh de-AT en"), None, None, None), "de");
        let weighted = Some("en;q=0.2, de-CH;q=0.8");
        assert_eq!(tag(None, None, weighted, None), "de");
        assert_eq!(tag(None, None, Some("de;q=0, *"), None), "en");
        assert_eq!(tag(Some("tlh"), None, Some("tlh, DE"), None), "de");
    }

    #[test]
    fn hostile_language_lists_end_in_english() {
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
                negotiate(list, list, list, list),
                Locale::ENGLISH,
                "{list:.20?}"
            );
        }
    }
}
