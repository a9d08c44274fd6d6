//! What each misbehaviour of a server means for a mail and for its realm (reliability R-05).

use std::time::Duration;

use super::server::Answer::{self, Drop, Hang, Say};
use super::server::{Script, Server as Fake};
use super::*;

async fn served(script: Script) -> (Database, Fake, Rig, Running) {
    let server = Fake::start(script).await;
    let database = sqlite();
    let rig = Rig::new(&database, smtp(server.port));
    let running = rig.mailer.spawn();
    (database, server, rig, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_to_its_one_recipient_and_is_woken_at_once() {
    let (_database, server, rig, running) = served(Script::default()).await;
    let id = rig.send_to("bob@people.example");
    let entry = rig.until_state(&id, State::Sent).await;
    assert_eq!((entry.attempts, entry.last_error), (1, None));
    assert!(entry.settled_at.is_some());
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "MAIL FROM:<idp@rosewood.example>");
    assert_eq!(mails[0].to, ["RCPT TO:<bob@people.example>"]);
    let header = |name| mails[0].header(name);
    assert_eq!(header("To").unwrap(), "bob@people.example");
    assert_eq!(
        header("From").unwrap(),
        "\"Rosewood Accounts\" <idp@rosewood.example>"
    );
    assert_eq!(
        header("Subject").unwrap(),
        "Rosewood School: Your password was changed"
    );
    assert_eq!(header("Message-ID").unwrap(), rig.mailer.message_id(&id));
    assert_eq!(header("Auto-Submitted").unwrap(), "auto-generated");
    assert!(header("Date").unwrap().ends_with("+0000"));
    assert!(
        header("Content-Type")
            .unwrap()
            .starts_with("multipart/alternative")
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_now_is_tried_again_by_the_schedule_and_then_given_up() {
    for at in ["mail", "rcpt", "data", "end"] {
        let mut script = Script::default();
        let busy = Say("451 4.7.1 greylisted, come back");
        match at {
            "mail" => script.mail = busy,
            "rcpt" => script.rcpt = busy,
            "data" => script.data = busy,
            _ => script.end = busy,
        }
        let (_database, server, rig, running) = served(script).await;
        let id = rig.send_to("bob@people.example");
        for (tries, minutes) in [1, 5, 15, 60, 360, 360, 360].into_iter().enumerate() {
            let tries = i64::try_from(tries).unwrap() + 1;
            let entry = rig
                .until(&id, |entry| {
                    entry.attempts == tries && entry.state == State::Queued
                })
                .await;
            assert!(
                entry.last_error.unwrap().contains("451 4.7.1 greylisted"),
                "{at}"
            );
            let wait = entry.not_before.seconds_since(rig.clock.now());
            let range = minutes * 60 * 79 / 100 - 5..=minutes * 60 * 120 / 100;
            assert!(
                range.contains(&wait),
                "{at}: {wait} s instead of {minutes} min"
            );
            rig.clock
                .advance(Duration::from_secs(u64::try_from(wait).unwrap() + 2));
        }
        let entry = rig.until_state(&id, State::Failed).await;
        assert_eq!(entry.attempts, 8);
        assert!(rig.paused().is_none());
        assert!(server.seen.lock().connections <= 8);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_bounces_at_once() {
    let cases: [(&str, Answer); 4] = [
        ("rcpt", Say("550 5.1.1 no such person")),
        ("rcpt", Say("553 5.1.3 bad address")),
        ("data", Say("554 5.7.1 no")),
        ("end", Say("552 5.3.4 too big")),
    ];
    for (at, answer) in cases {
        let mut script = Script::default();
        match at {
            "rcpt" => script.rcpt = answer,
            "data" => script.data = answer,
            _ => script.end = answer,
        }
        let (_database, server, rig, running) = served(script).await;
        let id = rig.send_to("bob@people.example");
        let entry = rig.until_state(&id, State::Bounced).await;
        assert_eq!(entry.attempts, 1);
        // The connection is as good as before.
        server.change(|script| *script = Script::default());
        let next = rig.send_to("eve@people.example");
        rig.until_state(&next, State::Sent).await;
        assert_eq!(server.seen.lock().connections, 1, "{at}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_the_content_leaves_it_in_doubt_and_never_sent_again() {
    for end in [Drop, Hang, Say("354 what?"), Say("nonsense")] {
        let (_database, server, rig, running) = served(Script {
            end,
            ..Script::default()
        })
        .await;
        let id = rig.send_to("bob@people.example");
        rig.until_state(&id, State::InDoubt).await;
        server.change(|script| script.end = Say("250 taken"));
        rig.clock.advance(Duration::from_secs(48 * 3600));
        rig.mailer.wake();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(rig.entry(&id).state, State::InDoubt);
        assert_eq!(server.mails().len(), 1);
        // A person says so: the same mail again.
        assert!(rig.tx(|tx| outbox::resend_in_doubt(tx, &rig.realm.id, &id)));
        assert!(!rig.tx(|tx| outbox::resend_in_doubt(tx, &rig.realm.id, &id)));
        rig.mailer.wake();
        rig.until_state(&id, State::Sent).await;
        let mails = server.mails();
        assert_eq!(mails.len(), 2);
        assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
        assert_eq!(mails[0].parts(), mails[1].parts());
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_before_the_content_is_tried_again() {
    for (at, answer) in [
        ("rcpt", Drop),
        ("rcpt", Hang),
        ("data", Drop),
        ("data", Hang),
        ("mail", Say("354 what?")),
    ] {
        let mut script = Script::default();
        match at {
            "mail" => script.mail = answer,
            "rcpt" => script.rcpt = answer,
            _ => script.data = answer,
        }
        let (_database, server, rig, running) = served(script).await;
        let id = rig.send_to("bob@people.example");
        rig.until(&id, |entry| {
            entry.attempts == 1 && entry.state == State::Queued
        })
        .await;
        server.change(|script| *script = Script::default());
        rig.clock.advance(Duration::from_secs(90));
        rig.until_state(&id, State::Sent).await;
        assert_eq!(server.mails().len(), 1, "{at}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_rests_the_realm_and_one_probe_a_minute_ends_it() {
    let login = |script: &mut Script| script.auth = Say("535 5.7.8 wrong password");
    let hang = |script: &mut Script| script.greeting = Hang;
    let full = |script: &mut Script| script.greeting = Say("421 4.3.2 too busy");
    let sender = |script: &mut Script| script.mail = Say("550 5.7.1 not your sender");
    let demand = |script: &mut Script| script.mail = Say("530 5.7.0 log in first");
    type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Script));
    let cases: [Case<'_>; 5] = [
        ("login", "535 5.7.8 wrong password", &login),
        ("unreachable", "no greeting", &hang),
        ("unreachable", "421 4.3.2 too busy", &full),
        ("sender", "550 5.7.1 not your sender", &sender),
        ("login", "530 5.7.0 log in first", &demand),
    ];
    for (kind, reason, breaks) in cases {
        let mut script = Script::default();
        breaks(&mut script);
        let (_database, server, rig, running) = served(script).await;
        let mut settings = smtp(server.port);
        settings["auth"] = "true".into();
        settings["user"] = "idp".into();
        settings["password"] = realm::smtp::seal(
            &rig.mailer.inner.keyring,
            &Entropy,
            (&rig.realm.id, "password"),
            "p4ss",
        )
        .unwrap()
        .into();
        rig.set_smtp(settings);
        let first = rig.send_to("bob@people.example");
        let pause = rig.until_paused().await;
        assert_eq!(pause.kind, kind);
        assert!(pause.reason.contains(reason), "{}", pause.reason);
        let second = rig.send_to("eve@people.example");
        tokio::time::sleep(Duration::from_millis(120)).await;
        let connections = server.seen.lock().connections;
        let entry = rig.until_state(&second, State::Queued).await;
        assert_eq!(entry.attempts, 0);
        // A minute later one of them goes ahead, in vain; the pause keeps its beginning.
        rig.clock.advance(Duration::from_secs(61));
        rig.mailer.wake();
        let before = pause.probe_at;
        for _ in 0..500 {
            if rig.paused().unwrap().probe_at > before.plus_seconds(60) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(server.seen.lock().connections <= connections + 1, "{kind}");
        assert_eq!(rig.paused().unwrap().since, pause.since);
        server.change(|script| *script = Script::default());
        rig.clock.advance(Duration::from_secs(62));
        rig.until_state(&first, State::Sent).await;
        rig.until_state(&second, State::Sent).await;
        assert!(rig.paused().is_none(), "{kind}");
        assert_eq!(rig.entry(&first).attempts, 1);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_unusable_settings_say_what_to_do() {
    let database = sqlite();
    let rig = Rig::new(&database, json!({}));
    assert!(!rig.mailer.is_configured(&rig.realm));
    let running = rig.mailer.spawn();
    let id = rig.send_to("bob@people.example");
    let pause = rig.until_paused().await;
    assert_eq!(pause.kind, "configuration");
    assert!(pause.reason.contains("VESTIBULE_SMTP_URL"));
    let server = Fake::start(Script::default()).await;
    rig.set_smtp(smtp(server.port));
    rig.clock.advance(Duration::from_secs(61));
    rig.until_state(&id, State::Sent).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_fails_and_holds_up_nobody() {
    let (_database, server, rig, running) = served(Script::default()).await;
    let bad = rig.send_to("bob@people.example>\r\nRCPT TO:<eve@evil.example");
    let good = rig.send_to("bob@people.example");
    rig.until_state(&good, State::Sent).await;
    let entry = rig.until_state(&bad, State::Failed).await;
    assert!(!entry.last_error.unwrap().contains("evil"));
    // An address beyond ASCII needs a server that takes such.
    let foreign = rig.send_to("jürgen@people.example");
    rig.until_state(&foreign, State::Bounced).await;
    server.change(|script| script.offers = &["8BITMIME", "SMTPUTF8"]);
    server.seen.lock().commands.clear();
    rig.clock.advance(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.mails().len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_has_expired_is_given_up_unsent() {
    let (_database, server, rig, running) = served(Script::default()).await;
    let mut message = rig.message("bob@people.example");
    message.expires_at = rig.clock.now();
    let id = rig.queue(&message);
    let entry = rig.until_state(&id, State::Failed).await;
    assert_eq!(entry.attempts, 0);
    assert!(entry.last_error.unwrap().contains("expired"));
    assert!(server.mails().is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_mails_share_four_connections_and_stopping_finishes_those_under_way() {
    let (_database, server, rig, running) = served(Script::default()).await;
    let ids: Vec<OutboxId> = (0..60)
        .map(|n| rig.send_to(&format!("person{n}@people.example")))
        .collect();
    for id in &ids {
        rig.until_state(id, State::Sent).await;
    }
    let most_open = server.seen.lock().most_open;
    assert!(most_open <= CONNECTIONS, "{most_open} connections");
    assert_eq!(server.mails().len(), 60);
    let late: Vec<OutboxId> = (0..40)
        .map(|n| rig.send_to(&format!("late{n}@people.example")))
        .collect();
    running.stop().await;
    let states: Vec<State> = late.iter().map(|id| rig.entry(id).state).collect();
    assert!(
        states
            .iter()
            .all(|state| matches!(state, State::Sent | State::Queued)),
        "{states:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_realms_hanging_server_holds_up_no_other_realm() {
    let (_database, _server, rig, running) = served(Script {
        greeting: Hang,
        ..Script::default()
    })
    .await;
    let well = Fake::start(Script::default()).await;
    let mut other = rig.realm.clone();
    other.id = RealmId::new("realm-2");
    other.name = "other".into();
    other.settings.smtp_server = serde_json::from_value(smtp(well.port)).unwrap();
    let now = rig.clock.now();
    rig.tx(|tx| realm::rows::insert(tx, &other, now));
    for n in 0..20 {
        rig.send_to(&format!("person{n}@people.example"));
    }
    let mut message = rig.message("bob@people.example");
    message.realm_id = other.id.clone();
    let queued = std::time::Instant::now();
    rig.queue(&message);
    while well.mails().is_empty() {
        assert!(
            queued.elapsed() < HASTY.command,
            "it waited for the other realm"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_tries_settings_hears_at_once_what_the_server_says() {
    let server = Fake::start(Script::default()).await;
    let database = sqlite();
    let rig = Rig::new(&database, json!({}));
    let mut realm = rig.realm.clone();
    let tried = rig
        .mailer
        .try_settings(&realm, "iris@people.example", Locale::ENGLISH);
    assert!(matches!(
        tried.await,
        Err(Failure::Server(pause::Trouble::Configuration, _))
    ));
    realm.settings.smtp_server = serde_json::from_value(smtp(server.port)).unwrap();
    let tried = rig
        .mailer
        .try_settings(&realm, "iris@people.example", Locale::ENGLISH);
    assert_eq!(tried.await, Ok(()));
    assert_eq!(server.mails()[0].to, ["RCPT TO:<iris@people.example>"]);
    server.change(|script| script.rcpt = Say("550 5.1.1 who?"));
    let tried = rig
        .mailer
        .try_settings(&realm, "iris@people.example", Locale::ENGLISH);
    assert_eq!(tried.await, Err(Failure::Refused("550 5.1.1 who?".into())));
}
