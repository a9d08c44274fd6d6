//! Every mail as a person sees it, in every language: pictures under target/screenshots, to be looked at.

use std::path::PathBuf;
use std::sync::Arc;

use vestibule::kernel::Timestamp;
use vestibule::mail::{Content, LinkKind, Message, Purpose, Tools};
use vestibule::user::waiting::ResetProof;
use vestibule::web::texts::Locale;

use crate::support::app::{REALM, TestApp};
use crate::support::chromium::{Chromium, Options};

/// Saturday, 21 November 2026, 08:57 UTC.
const WHEN: Timestamp = Timestamp::from_seconds(1_795_251_420);

/// Every kind of mail there is; the compiler tells of a new one.
fn purposes() -> Vec<Purpose> {
    let mut all = vec![
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
        Purpose::ActionWaived {
            action: "UPDATE_PASSWORD".into(),
            when: WHEN,
        },
        Purpose::WindowExtended {
            minutes: 30,
            when: WHEN,
        },
        Purpose::EmailChanged { when: WHEN },
        Purpose::AccountClosed { when: WHEN },
        Purpose::Test,
    ];
    let links = [
        LinkKind::PreRegistration,
        LinkKind::ForgottenPassword,
        LinkKind::SetPassword,
        LinkKind::Actions,
        LinkKind::VerifyEmail,
        LinkKind::UpdateEmail,
        LinkKind::ClosedAccount,
    ];
    all.extend(links.map(|kind| Purpose::LinkExample {
        kind,
        subject: None,
        app: Some("Rosewood Library".into()),
        client: None,
        issuer: "https://id.rosewood.example/realms/school".into(),
        seconds: 7 * 24 * 3600,
        username: Some("iris.meadow".into()),
        old_password_ended: false,
    }));
    all.push(Purpose::LinkExample {
        kind: LinkKind::SetPassword,
        subject: None,
        app: None,
        client: None,
        issuer: "https://id.rosewood.example/realms/school".into(),
        seconds: 12 * 3600,
        username: Some("iris.meadow".into()),
        old_password_ended: true,
    });
    for purpose in &all {
        match purpose {
            Purpose::VerifyEmailCode { .. }
            | Purpose::PasswordChanged { .. }
            | Purpose::PasswordSet { .. }
            | Purpose::TemporaryPasswordSet { .. }
            | Purpose::PasswordResetRequired { .. }
            | Purpose::ActionWaived { .. }
            | Purpose::WindowExtended { .. }
            | Purpose::EmailChanged { .. }
            | Purpose::AccountClosed { .. }
            | Purpose::Link { .. }
            | Purpose::LinkExample { .. }
            | Purpose::Test => {}
        }
    }
    all
}

/// Sends every mail in every language by real SMTP; answers each one's name with its HTML and subject.
async fn sent(app: &TestApp) -> Vec<(String, String, String)> {
    let mailbox = app.mailbox().await;
    let mut mails = Vec::new();
    for locale in Locale::all() {
        for (place, purpose) in purposes().into_iter().enumerate() {
            let note = matches!(purpose, Purpose::TemporaryPasswordSet { .. });
            let name = format!("{}-{place}-{}", purpose.name(), locale.tag());
            let recipient = format!("{name}@people.example");
            let (address, keyring) = (recipient.clone(), Arc::clone(&app.engine().keyring));
            let entropy = app.engine().entropy;
            app.tx(move |tx| {
                let realm = vestibule::realm::rows::by_name(tx, REALM)?.expect("realm t1");
                let now = tx.now()?;
                let message = Message {
                    realm_id: realm.id,
                    user_id: None,
                    recipient: address,
                    content: Content {
                        note: note.then(|| {
                            "You asked for this by phone.\n\nSee you on Monday,\nIris".into()
                        }),
                        purpose,
                    },
                    locale,
                    bulk: false,
                    expires_at: now.plus_seconds(598),
                };
                let tools = Tools {
                    keyring: &keyring,
                    entropy: &entropy,
                };
                vestibule::mail::queue(tx, tools, &message)
            })
            .await;
            let mail = mailbox.expect(&recipient).await;
            let html = mail.html.clone().expect("an HTML part");
            mails.push((name, html, mail.subject.clone()));
        }
    }
    mails
}

#[actix_web::test]
async fn every_mail_fits_a_phone_and_a_desk_in_every_language() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    let kept = tempfile::tempdir().expect("a folder");
    let app = TestApp::start().await;
    app.change_realm(|realm| realm.settings.display_name = Some("Rosewood School".into()))
        .await;
    let mut mails = None;
    for (width, dark) in [(360, true), (800, false)] {
        let options = Options {
            scripts: false,
            width,
            height: 640,
            dark,
            ..Options::default()
        };
        let Some(browser) = Chromium::start(options).await else {
            return;
        };
        if mails.is_none() {
            mails = Some(sent(&app).await);
        }
        for (name, html, subject) in mails.iter().flatten() {
            let file = kept.path().join("mail.html");
            std::fs::write(&file, html).expect("a file");
            browser.goto(&format!("file://{}", file.display())).await;
            let title = browser
                .execute("return document.querySelector('h1').innerText")
                .await;
            let title = title.as_str().expect("a title");
            assert!(subject.contains(title), "{subject}: {title}");
            let too_wide = browser
                .execute("return document.documentElement.scrollWidth - window.innerWidth")
                .await;
            assert!(
                too_wide.as_i64() <= Some(0),
                "{name} is {too_wide} px too wide"
            );
            let picture = format!("mail-{name}-{width}.png");
            browser.screenshot(&folder.join(picture)).await;
        }
    }
}
