//! The words of mails with a link, in every language.

use std::fmt::Write as _;

use super::words::{HOSTILE, words};
use super::*;
use crate::mail::link::LinkKind;

const ISSUER: &str = "https://id.rosewood.example/realms/rosewood";

const KINDS: [(LinkKind, i64); 6] = [
    (LinkKind::PreRegistration, 7 * 24 * 3600),
    (LinkKind::ForgottenPassword, 1800),
    (LinkKind::SetPassword, 43_200),
    (LinkKind::Actions, 43_200),
    (LinkKind::VerifyEmail, 3600),
    (LinkKind::UpdateEmail, 90),
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
