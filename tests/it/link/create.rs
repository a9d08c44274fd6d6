//! Links are made, mailed, replaced, renewed and taken back.

use std::time::Duration;

use vestibule::link::{self, NewLink, Purpose, Refused, Renewed, Sender, State};
use vestibule::realm;

use super::forgotten::allow;
use super::{look, mail_begins, mails, send, send_with, settled, states};
use crate::support::app::{REALM, TestApp, User};
use crate::support::database::on_both;

const HOUR: u64 = 3600;

async fn renew(app: &TestApp, id: &link::LinkId) -> Renewed {
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let id = id.clone();
    let renewed = app
        .tx(move |tx| {
            let tools = vestibule::mail::Tools {
                keyring: &keyring,
                entropy: &entropy,
            };
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            link::renew(tx, tools, (&realm, &id))
        })
        .await;
    app.engine().mailer.wake();
    renewed
}

on_both!(a_link_is_mailed_lives_from_then_on_and_is_stored_nowhere);
/// The life begins when the mail is handed over. V050: what is stored is of no use.
async fn a_link_is_mailed_lives_from_then_on_and_is_stored_nowhere(app: TestApp) {
    let alice = app.user("alice").without_password().await;
    let made = send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    let (link, state) = look(&app, &made.id).await;
    assert_eq!((state, link.expires_at()), (State::Created, None));
    assert_eq!(link.actions, ["UPDATE_PASSWORD"]);
    app.advance(Duration::from_secs(20 * HOUR));
    mail_begins(&app, &alice).await;
    let mail = mails(&app, &alice, 1).await.remove(0);
    settled(&app, &alice).await;
    let (link, state) = look(&app, &made.id).await;
    assert_eq!(state, State::Sent);
    let sent = link.sent_at.expect("a time");
    assert!(sent.seconds_since(link.created_at) >= 20 * 3600);
    assert_eq!(
        link.expires_at().expect("a time").seconds_since(sent),
        7 * 24 * 3600
    );
    assert!(mail.text.contains("good for 7 days"), "{}", mail.text);
    assert!(
        mail.url
            .as_str()
            .starts_with(&format!("{}/login-actions/link/", app.issuer()))
    );
    assert!(mail.html.contains("127.0.0.1"), "the host is shown");
    let token = mail
        .url
        .path_segments()
        .expect("segments")
        .next_back()
        .expect("a token");
    let stored = app.dump();
    for secret in [token, &mail.code, &mail.code.replace('-', "")] {
        assert!(!stored.contains(secret), "{secret} is stored");
    }
    app.advance(Duration::from_secs(7 * 24 * HOUR));
    assert_eq!(look(&app, &made.id).await.1, State::Expired);
    assert_eq!(app.events(&alice, "LINK_ISSUED"), 1);
}

on_both!(what_an_administrator_sends_takes_the_place_of_older_links_and_a_stranger_ends_none);
/// V039 and V186.
async fn what_an_administrator_sends_takes_the_place_of_older_links_and_a_stranger_ends_none(
    app: TestApp,
) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let campaign = send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    mails(&app, &alice, 1).await;
    settled(&app, &alice).await;
    let before = look(&app, &campaign.id).await.0;
    let forgot = send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let mailed = mails(&app, &alice, 2).await;
    settled(&app, &alice).await;
    assert_ne!(mailed[0].url, mailed[1].url);
    assert_eq!(look(&app, &campaign.id).await.1, State::Sent);
    assert_eq!(
        look(&app, &campaign.id).await.0.good_until,
        before.good_until
    );
    // The same wish again mails the same link, whose end stays where it was.
    let end = look(&app, &forgot.id).await.0.good_until;
    app.advance(Duration::from_secs(600));
    let again = send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    assert_eq!(again.id, forgot.id);
    let mailed = mails(&app, &alice, 3).await;
    settled(&app, &alice).await;
    assert_eq!(mailed[0].url, mailed[1].url);
    assert!(
        mailed[0].text.contains("good for 19 minutes")
            || mailed[0].text.contains("good for 20 minutes")
    );
    assert_eq!(look(&app, &forgot.id).await.0.good_until, end);
    // Actions that set no password replace nothing; those that do replace every kind that does.
    send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| {
            new.actions = vec!["TERMS_AND_CONDITIONS".into()];
        },
    )
    .await;
    assert_eq!(states(&app, &alice).await[..2], [State::Sent, State::Sent]);
    send_with(
        &app,
        &alice,
        (Purpose::Actions, Sender::Administrator),
        |new| {
            new.actions = vec!["TERMS_AND_CONDITIONS".into(), "UPDATE_PASSWORD".into()];
        },
    )
    .await;
    mails(&app, &alice, 5).await;
    settled(&app, &alice).await;
    assert_eq!(
        states(&app, &alice).await,
        [
            State::Superseded,
            State::Superseded,
            State::Sent,
            State::Sent
        ]
    );
}

/// Mails a link once something has happened to its person, and expects that it is called back.
async fn is_called_back(app: &TestApp, user: &User, why: &str) {
    assert_eq!(states(app, user).await, [State::Revoked]);
    mail_begins(app, user).await;
    let row = app.sql(&format!(
        "SELECT state || ': ' || coalesce(last_error, '') AS value FROM outbox WHERE template = 'link' AND user_id = '{}'",
        user.id
    ));
    assert_eq!(row, [format!("cancelled: {why}")]);
}

on_both!(a_stored_password_ends_a_link_and_calls_its_mail_back);
async fn a_stored_password_ends_a_link_and_calls_its_mail_back(app: TestApp) {
    let alice = app.user("alice").without_password().await;
    send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    app.set_password(&alice, "set by somebody else", true).await;
    is_called_back(
        &app,
        &alice,
        "its user has another password or address by now",
    )
    .await;
}

on_both!(another_address_ends_a_link_and_calls_its_mail_back);
/// V038, by whatever way the address was changed.
async fn another_address_ends_a_link_and_calls_its_mail_back(app: TestApp) {
    let alice = app.user("alice").without_password().await;
    send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    app.change_user(&alice, |user| {
        user.email = Some("new@people.example".into())
    })
    .await;
    is_called_back(
        &app,
        &alice,
        "its user has another password or address by now",
    )
    .await;
}

on_both!(switching_a_person_off_ends_a_link_for_good);
async fn switching_a_person_off_ends_a_link_for_good(app: TestApp) {
    let alice = app.user("alice").without_password().await;
    send(
        &app,
        &alice,
        Purpose::PreRegistration,
        Sender::Administrator,
    )
    .await;
    app.disable(&alice).await;
    is_called_back(&app, &alice, "its user was switched off").await;
    app.change_user(&alice, |user| user.enabled = true).await;
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
}

on_both!(a_flag_and_a_wrong_password_end_no_link);
async fn a_flag_and_a_wrong_password_end_no_link(app: TestApp) {
    let alice = app.user("alice").await;
    app.mailbox().await;
    send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    mails(&app, &alice, 1).await;
    settled(&app, &alice).await;
    app.force_password_reset(&alice).await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, "not the password")
        .await
        .assert_page("login");
    assert_eq!(states(&app, &alice).await, [State::Sent]);
}

on_both!(who_gets_no_link_is_said);
async fn who_gets_no_link_is_said(app: TestApp) {
    let engine = app.engine();
    let with_password = app.user("alice").await;
    let disabled = app.user("bob").without_password().disabled().await;
    let homeless = app.user("carol").without_password().await;
    app.change_user(&homeless, |user| user.email = None).await;
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let issuer = app.issuer();
    let ids = [with_password.id, disabled.id, homeless.id.clone()];
    app.tx(move |tx| {
        let tools = vestibule::mail::Tools {
            keyring: &keyring,
            entropy: &entropy,
        };
        let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
        let [alice, bob, carol] = &ids;
        let new = |id| NewLink::of(&realm, id, Purpose::PreRegistration, Sender::Administrator);
        let nobody = vestibule::kernel::UserId::new("nobody");
        for (id, refused) in [
            (bob, Refused::Disabled),
            (carol, Refused::NoAddress),
            (&nobody, Refused::NoUser),
        ] {
            assert_eq!(link::create(tx, tools, &new(id))?.unwrap_err(), refused);
        }
        let revealed = link::reveal(tx, tools, &issuer, &new(alice))?;
        assert_eq!(revealed.err(), Some(Refused::HasPassword));
        // Who has no address gets one handed out.
        let revealed = link::reveal(tx, tools, &issuer, &new(carol))?.expect("a link");
        assert!(
            revealed
                .link
                .starts_with(&format!("{issuer}/login-actions/link/"))
        );
        let now = tx.now()?;
        assert_eq!(revealed.expires_at.seconds_since(now), 7 * 24 * 3600 - 1);
        Ok(())
    })
    .await;
    assert_eq!(states(&app, &homeless).await, [State::Sent]);
}

on_both!(an_expired_link_is_renewed_three_times_ten_minutes_apart);
async fn an_expired_link_is_renewed_three_times_ten_minutes_apart(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let made = send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    mails(&app, &alice, 1).await;
    settled(&app, &alice).await;
    assert_eq!(renew(&app, &made.id).await, Renewed::Never, "it lives");
    app.advance(Duration::from_secs(1801));
    assert_eq!(renew(&app, &made.id).await, Renewed::Mailed);
    assert_eq!(renew(&app, &made.id).await, Renewed::TooSoon);
    for count in [3, 4] {
        app.advance(Duration::from_secs(601));
        assert_eq!(renew(&app, &made.id).await, Renewed::Mailed);
        mails(&app, &alice, count).await;
        settled(&app, &alice).await;
    }
    app.advance(Duration::from_secs(HOUR));
    assert_eq!(renew(&app, &made.id).await, Renewed::Never);
    assert_eq!(states(&app, &alice).await, [State::Expired; 4]);
}

on_both!(a_forgotten_passwords_link_is_renewed_where_one_could_be_asked_for);
/// A realm that lets nobody ask for a link any more renews none of those either; an administrator's is another matter.
async fn a_forgotten_passwords_link_is_renewed_where_one_could_be_asked_for(app: TestApp) {
    allow(&app).await;
    let alice = app.user("alice").await;
    let asked = send(&app, &alice, Purpose::ForgottenPassword, Sender::Person).await;
    let sent = send(&app, &alice, Purpose::VerifyEmail, Sender::Administrator).await;
    mails(&app, &alice, 2).await;
    settled(&app, &alice).await;
    app.change_realm(|realm| realm.settings.reset_password_allowed = false)
        .await;
    app.advance(Duration::from_secs(13 * HOUR));
    assert_eq!(renew(&app, &asked.id).await, Renewed::Never);
    assert_eq!(renew(&app, &sent.id).await, Renewed::Mailed);
    allow(&app).await;
    assert_eq!(renew(&app, &asked.id).await, Renewed::Mailed);
}

on_both!(what_was_taken_back_is_not_renewed);
/// V049: the links of a cancelled campaign are dead, and stay so.
async fn what_was_taken_back_is_not_renewed(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let made = send_with(
        &app,
        &alice,
        (Purpose::PreRegistration, Sender::Administrator),
        |new| {
            new.campaign = Some("spring".into());
            new.bulk = true;
        },
    )
    .await;
    mails(&app, &alice, 1).await;
    settled(&app, &alice).await;
    let revoked = app
        .tx(|tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            link::revoke_campaign(tx, (&realm.id, "spring"), &[])
        })
        .await;
    assert_eq!(revoked, 1);
    app.advance(Duration::from_secs(8 * 24 * HOUR));
    assert_eq!(states(&app, &alice).await, [State::Revoked]);
    assert_eq!(renew(&app, &made.id).await, Renewed::Never);
}
