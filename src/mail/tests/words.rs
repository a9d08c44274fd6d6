//! What people read: every mail in every language, and what nobody can smuggle into one.

use std::fmt::Write as _;

use super::server::{Received, Script, Server as Fake};
use super::*;
use crate::user::waiting::ResetProof;

/// Saturday, 21 November 2026, 08:57 UTC.
const WHEN: Timestamp = Timestamp::from_seconds(1_795_251_420);

pub(super) fn purposes() -> Vec<Purpose> {
    let waived = |action: &str| Purpose::ActionWaived {
        action: action.into(),
        when: WHEN,
    };
    vec![
        Purpose::VerifyEmailCode {
            code: "7K3QF-9XW2M".into(),
        },
        Purpose::PasswordChanged { when: WHEN },
        Purpose::PasswordSet { when: WHEN },
        Purpose::TemporaryPasswordSet {
            when: WHEN,
            works_until: Some(WHEN.plus_seconds(14 * 24 * 3600)),
        },
        Purpose::PasswordResetRequired {
            when: WHEN,
            proof: ResetProof::Password,
            has_password: true,
        },
        Purpose::PasswordResetRequired {
            when: WHEN,
            proof: ResetProof::Password,
            has_password: false,
        },
        Purpose::PasswordResetRequired {
            when: WHEN,
            proof: ResetProof::Mailbox,
            has_password: true,
        },
        waived("UPDATE_PASSWORD"),
        waived("VERIFY_EMAIL"),
        waived("UPDATE_PROFILE"),
        waived("TERMS_AND_CONDITIONS"),
        waived("CONFIGURE_TOTP"),
        Purpose::WindowExtended {
            minutes: 30,
            when: WHEN,
        },
        Purpose::EmailChanged { when: WHEN },
        Purpose::AccountClosed { when: WHEN },
        Purpose::Test,
    ]
}

pub(super) fn words(realm: &str, content: &Content, locale: Locale) -> Words {
    words_beside(realm, (content, None), locale)
}

pub(super) fn words_beside(
    realm: &str,
    (content, not_me): (&Content, Option<&NotMe>),
    locale: Locale,
) -> Words {
    let renderer = Renderer::new(Arc::new(Texts::builtin()), "id.rosewood.example").unwrap();
    let sender = transport::Sender {
        from: "idp@rosewood.example".parse().unwrap(),
        reply_to: None,
        envelope_from: "idp@rosewood.example".parse().unwrap(),
    };
    let draft = Draft {
        id: &OutboxId::new("id"),
        realm,
        sender: Some(&sender),
        recipient: "bob@people.example",
        content,
        link: None,
        not_me,
        own: None,
        locale,
        expires_at: WHEN.plus_seconds(598),
        now: WHEN,
    };
    renderer.words(&draft).unwrap()
}

#[test]
fn every_mail_reads_well_in_every_language() {
    for locale in Locale::all() {
        let mut all = String::new();
        for purpose in purposes() {
            let content = Content {
                note: matches!(purpose, Purpose::TemporaryPasswordSet { .. })
                    .then(|| "You asked for this by phone.\n\nSee you on Monday,\nIris".into()),
                purpose,
            };
            let words = words("Rosewood School", &content, locale);
            writeln!(all, "=== {}\n{}", words.subject, words.text).unwrap();
            for line in words.text.lines().filter(|line| !line.is_empty()) {
                let line = line.trim_start_matches("| ").trim();
                let shown = line == "--" || line == "|" || words.html.contains(&escaped(line));
                assert!(shown, "{locale:?}: {line} is only in the text");
            }
            for (left, what) in [
                ("src=", "an image"),
                ("http", "a link"),
                ("url(", "a resource"),
                ("<script", "a script"),
                ("mail-", "a key"),
                ("{$", "a variable"),
            ] {
                assert!(
                    !words.html.contains(left) && !words.text.contains(left),
                    "{what}"
                );
            }
            assert!(!words.text.contains("\n\n\n"), "{}", words.text);
        }
        insta::assert_snapshot!(format!("mails-{}", locale.tag()), all);
    }
}

/// As Tera escapes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
        .replace('/', "&#x2F;")
}

pub(super) const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% include \"base.html\" %}{ $realm }",
    "Bob\r\nBcc: eve@evil.example\r\n\r\nhello",
    "a\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\nDATA",
    "a\n.\nQUIT",
    "a\r.\rQUIT",
    "\u{2028}.\u{2029}\u{85}.\u{b}",
    "%0d%0aBcc: eve@evil.example",
    "\"quoted\" <eve@evil.example>, other@evil.example",
    "=?utf-8?Q?=0D=0ABcc:_eve@evil.example?=",
    "https://id.rosewood.example.evil.example/",
    "\u{202e}elpmaxe\u{2066}\u{200b}\u{feff}",
    "-oQ/tmp",
];

/// Every CR is followed by LF and every LF follows a CR, no line is a lone dot, and all bytes are ASCII.
fn assert_clean(mail: &Received) {
    let wire = &mail.wire;
    assert!(wire.is_ascii());
    for (at, byte) in wire.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(wire.get(at + 1), Some(&b'\n'), "a bare CR"),
            b'\n' => assert_eq!(wire[at - 1], b'\r', "a bare LF"),
            _ => {}
        }
    }
    for line in wire.split(|byte| *byte == b'\n') {
        assert!(!line.starts_with(b"."), "a line that begins with a dot");
        assert!(line.len() <= 999, "a line longer than 998");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_notes_are_words_of_one_mail_to_one_person() {
    for hostile in HOSTILE {
        let server = Fake::start(Script::default()).await;
        let database = sqlite();
        let mut settings = smtp(server.port);
        settings["fromDisplayName"] = hostile.into();
        settings["replyTo"] = "help@rosewood.example".into();
        settings["replyToDisplayName"] = hostile.into();
        let rig = Rig::new(&database, settings);
        let mut realm = rig.realm.clone();
        realm.settings.display_name = Some(hostile.into());
        realm.settings.smtp_server = serde_json::from_value(rig_smtp(&rig)).unwrap();
        rig.tx(|tx| realm::rows::update(tx, &realm));
        let running = rig.mailer.spawn();
        let mut message = rig.message("bob@people.example");
        message.content = Content {
            purpose: Purpose::ActionWaived {
                action: hostile.into(),
                when: WHEN,
            },
            note: Some(format!("{hostile}\n.\n{hostile}")),
        };
        let id = rig.queue(&message);
        rig.until_state(&id, State::Sent).await;
        let seen = server.mails();
        assert_eq!(seen.len(), 1, "{hostile:?}");
        let mail = &seen[0];
        assert_eq!(mail.to, ["RCPT TO:<bob@people.example>"]);
        assert_eq!(mail.from, "MAIL FROM:<idp@rosewood.example>");
        assert_clean(mail);
        assert_eq!(mail.header("To").unwrap(), "bob@people.example");
        assert_eq!(mail.header("Bcc"), None);
        assert!(
            mail.header("From")
                .unwrap()
                .ends_with("<idp@rosewood.example>")
        );
        let parts = mail.parts();
        let (text, html) = (&parts[0], &parts[1]);
        for part in [text, html] {
            assert!(!part.contains("49"), "a template was run: {part}");
            assert!(!part.contains("://"), "a link: {part}");
            assert!(!part.chars().any(|c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')));
        }
        assert!(!html.contains("<script") && !html.contains("<img"));
        assert_eq!(html.matches("</title>").count(), 1);
        running.stop().await;
    }
}

/// V054: whatever a mail is about, a realm's name and an administrator's words are words in it.
#[test]
fn hostile_names_and_notes_are_words_in_every_mail() {
    for purpose in purposes() {
        let name = purpose.name();
        let content = |note: String| Content {
            purpose: purpose.clone(),
            note: Some(note),
        };
        let usual = words("Rosewood School", &content("Iris".into()), Locale::ENGLISH);
        let note = content(HOSTILE.join("\n.\n"));
        let hostile = words(&HOSTILE.join(" "), &note, Locale::ENGLISH);
        assert!(!hostile.subject.contains(['\r', '\n']), "{name}");
        for (part, usual) in [
            (&hostile.subject, &usual.subject),
            (&hostile.text, &usual.text),
        ] {
            let (now, ever) = (part.matches("49").count(), usual.matches("49").count());
            assert_eq!(now, ever, "{name}: a template was run: {part}");
        }
        for part in [&hostile.text, &hostile.html] {
            assert!(!part.contains("://"), "{name}: a link: {part}");
        }
        // No tag but those that are always there, and the lines of the note.
        for tag in ["<script", "<img", "<a ", "</title>", "<meta", "<style"] {
            let (now, ever) = (
                hostile.html.matches(tag).count(),
                usual.html.matches(tag).count(),
            );
            assert_eq!(now, ever, "{name}: {tag} in {}", hostile.html);
        }
    }
}

fn rig_smtp(rig: &Rig) -> serde_json::Value {
    serde_json::to_value(&rig.realm.settings.smtp_server).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_of_any_length_is_cut_and_every_byte_of_a_long_mail_is_clean() {
    let server = Fake::start(Script::default()).await;
    let database = sqlite();
    let rig = Rig::new(&database, smtp(server.port));
    let running = rig.mailer.spawn();
    let mut message = rig.message("bob@people.example");
    message.content.note = Some("ä.\r\n.\n".repeat(10_000));
    let id = rig.queue(&message);
    rig.until_state(&id, State::Sent).await;
    let mails = server.mails();
    assert_clean(&mails[0]);
    let text = &mails[0].parts()[0];
    assert!(text.len() < LONGEST_NOTE * 3 && text.contains('…'));
    assert!(text.split("\r\n").all(|line| line != "."));
    running.stop().await;
}

#[test]
fn a_realms_name_is_escaped_and_the_lifetime_is_told_truthfully() {
    let content = Content {
        purpose: Purpose::VerifyEmailCode {
            code: "7K3QF-9XW2M".into(),
        },
        note: None,
    };
    let words = words("Tom & <Jerry>", &content, Locale::ENGLISH);
    assert!(words.html.contains("Tom &amp; &lt;Jerry&gt;"));
    assert!(
        words.text.contains("10 minutes"),
        "598 seconds are ten minutes"
    );
    assert!(words.text.contains("Tom & <Jerry>"));
    assert!(
        !words.subject.contains("7K3QF"),
        "subjects are shown on locked screens"
    );
}
