//! The words of mails with a link, in every language.

use std::fmt::Write as _;

use super::words::{HOSTILE, purposes, words, words_beside};
use super::*;
use crate::mail::link::LinkKind;

const ISSUER: &str = "https://id.rosewood.example/realms/rosewood";

const KINDS: [(LinkKind, i64); 7] = [
    (LinkKind::PreRegistration, 7 * 24 * 3600),
    (LinkKind::ForgottenPassword, 1800),
    (LinkKind::SetPassword, 43_200),
    (LinkKind::Actions, 43_200),
    (LinkKind::VerifyEmail, 3600),
    (LinkKind::UpdateEmail, 90),
    (LinkKind::ClosedAccount, 43_200),
];

fn example(kind: LinkKind, seconds: i64, app: Option<&str>) -> Purpose {
    Purpose::LinkExample {
        kind,
        subject: None,
        app: app.map(str::to_owned),
        client: None,
        issuer: ISSUER.to_owned(),
        seconds,
        username: None,
        old_password_ended: false,
    }
}

#[test]
fn every_mail_with_a_link_reads_well_in_every_language() {
    for locale in Locale::all() {
        let mut all = String::new();
        for (kind, seconds) in KINDS {
            for app in [None, Some("Timetable")] {
                let content = Content {
                    note: app.map(|_| "School starts on Monday.\n\nIris".to_owned()),
                    purpose: example(kind, seconds, app),
                };
                let words = words("Rosewood School", &content, locale);
                writeln!(all, "=== {}\n{}", words.subject, words.text).unwrap();
                assert!(
                    words
                        .text
                        .contains(&format!("{ISSUER}/login-actions/link/EXAMPLE"))
                );
                assert!(words.text.contains("EXAMP-1E000") && words.html.contains("EXAMP-1E000"));
                assert_eq!(words.html.matches("href=").count(), 1, "one way on");
                for left in ["src=", "url(", "<script", "mail-", "{$"] {
                    assert!(
                        !words.html.contains(left) && !words.text.contains(left),
                        "{left}"
                    );
                }
                assert!(!words.text.contains("\n\n\n"), "{}", words.text);
            }
        }
        insta::assert_snapshot!(format!("links-{}", locale.tag()), all);
    }
}

/// What tells of a change that a thief could have made says what to do against it at once; and nothing else does.
#[test]
fn a_notice_with_a_link_reads_well_in_every_language() {
    let not_me = NotMe {
        link: "id".to_owned(),
        url: format!("{ISSUER}/login-actions/link/EXAMPLE"),
        seconds: 7 * 24 * 3600,
    };
    for locale in Locale::all() {
        let mut all = String::new();
        for purpose in purposes() {
            if !purpose.may_be_a_thiefs() {
                continue;
            }
            let content = Content {
                note: None,
                purpose,
            };
            let without = words("Rosewood School", &content, locale);
            let words = words_beside("Rosewood School", (&content, Some(&not_me)), locale);
            writeln!(all, "=== {}\n{}", words.subject, words.text).unwrap();
            assert_eq!(words.subject, without.subject);
            assert_eq!(words.html.matches("href=").count(), 1, "one way on");
            assert_eq!(without.html.matches("href=").count(), 0);
            let address = not_me.url.replace('/', "&#x2F;");
            for (shown, address) in [(&words.text, &not_me.url), (&words.html, &address)] {
                assert_eq!(shown.matches(address.as_str()).count(), 1, "{shown}");
                assert_eq!(shown.matches("http").count(), 1, "{shown}");
                for left in ["src=", "url(", "<script", "mail-", "{$"] {
                    assert!(!shown.contains(left), "{left}");
                }
            }
            let asks = without.text.lines().rev().nth(3).unwrap();
            assert!(!words.text.lines().any(|line| line == asks), "{asks}");
            assert!(!words.text.contains("\n\n\n"), "{}", words.text);
        }
        assert_eq!(all.matches("===").count(), 4);
        insta::assert_snapshot!(format!("not-me-{}", locale.tag()), all);
    }
}

/// Whose password was ended is told so by the mail that sets a new one.
#[test]
fn a_mail_says_that_the_old_password_has_ended() {
    for (locale, said) in Locale::all().zip([
        "Your old password no longer works.",
        "Ihr altes Passwort gilt nicht mehr.",
    ]) {
        let of = |ended: bool| {
            let mut purpose = example(LinkKind::SetPassword, 43_200, None);
            if let Purpose::LinkExample {
                old_password_ended, ..
            } = &mut purpose
            {
                *old_password_ended = ended;
            }
            let content = Content {
                purpose,
                note: None,
            };
            words("Rosewood School", &content, locale)
        };
        let (ended, plain) = (of(true), of(false));
        assert!(ended.text.contains(said), "{}", ended.text);
        assert!(ended.html.contains(said), "{}", ended.html);
        assert!(!plain.text.contains(said), "{}", plain.text);
    }
}

/// Threat V054: whatever an administrator or an app calls itself is text.
#[test]
fn what_others_have_written_is_no_markup_and_no_second_link() {
    for hostile in HOSTILE {
        let content = Content {
            note: Some(hostile.to_owned()),
            purpose: Purpose::LinkExample {
                kind: LinkKind::PreRegistration,
                subject: Some(hostile.to_owned()),
                app: Some(hostile.to_owned()),
                client: None,
                issuer: ISSUER.to_owned(),
                seconds: 60,
                username: None,
                old_password_ended: false,
            },
        };
        let words = words(hostile, &content, Locale::ENGLISH);
        assert!(!words.html.contains("<script>") && !words.html.contains("<img"));
        assert_eq!(words.html.matches("href=").count(), 1);
        assert!(!words.subject.contains(['\r', '\n']));
        let links = words.text.matches("://").count();
        assert_eq!(
            links,
            words
                .text
                .matches("https://id.rosewood.example/realms/")
                .count()
        );
    }
}
