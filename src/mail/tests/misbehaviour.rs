//! Reliability R-05 as a table: each way in which a mail server misbehaves, by name, and what it means for a mail and
//! for its realm. `classes.rs` has the schedule, the connections and the pauses in depth.

use std::time::Duration;

use super::server::Answer::{self, Drop, Hang, Late, Say};
use super::server::{Script, Server as Fake};
use super::tls::Authority;
use super::*;
use crate::mail::pause::Trouble;

/// What becomes of the mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Tried again after about a minute; with these words in its row.
    Later(&'static str),
    /// Refused for good at once, and never tried again.
    Bounced(&'static str),
    /// It waits without having been tried; the realm's mail rests, for this kind of trouble and in these words.
    Rests(Trouble, &'static str),
    /// Nobody knows, and nobody sends it again by himself.
    InDoubt(&'static str),
    /// Taken.
    Sent,
}

use Fate::{Bounced, InDoubt, Later, Rests, Sent};

struct Row {
    name: &'static str,
    script: Script,
    /// `ssl` and `starttls`.
    tls: (bool, bool),
    fate: Fate,
}

/// Where in the conversation an answer is given.
#[derive(Clone, Copy)]
enum At {
    Greeting,
    Auth,
    Mail,
    Rcpt,
    Data,
    End,
}

fn plain(name: &'static str, at: At, answer: Answer, fate: Fate) -> Row {
    let mut script = Script::default();
    *match at {
        At::Greeting => &mut script.greeting,
        At::Auth => &mut script.auth,
        At::Mail => &mut script.mail,
        At::Rcpt => &mut script.rcpt,
        At::Data => &mut script.data,
        At::End => &mut script.end,
    } = answer;
    Row {
        name,
        script,
        tls: (false, false),
        fate,
    }
}

fn table(ca: &Authority, stranger: &Authority) -> Vec<Row> {
    let busy = |code| Rests(Trouble::Unreachable, code);
    let mut rows = vec![
        plain(
            "421 as greeting",
            At::Greeting,
            Say("421 4.3.2 too busy"),
            busy("421 4.3.2 too busy"),
        ),
        plain(
            "421 for the sender",
            At::Mail,
            Say("421 4.3.2 closing"),
            Later("421 4.3.2 closing"),
        ),
        plain(
            "421 for the content",
            At::End,
            Say("421 4.3.2 closing"),
            Later("421 4.3.2 closing"),
        ),
        plain(
            "450 for the recipient",
            At::Rcpt,
            Say("450 4.2.1 greylisted"),
            Later("450 4.2.1 greylisted"),
        ),
        plain(
            "451 for the content",
            At::End,
            Say("451 4.3.0 try again"),
            Later("451 4.3.0 try again"),
        ),
        plain(
            "452 for the recipient",
            At::Rcpt,
            Say("452 4.2.2 full"),
            Later("452 4.2.2 full"),
        ),
        plain(
            "550 for the recipient",
            At::Rcpt,
            Say("550 5.1.1 nobody"),
            Bounced("550 5.1.1 nobody"),
        ),
        plain(
            "552 for the content",
            At::End,
            Say("552 5.3.4 too big"),
            Bounced("552 5.3.4 too big"),
        ),
        plain(
            "553 for the recipient",
            At::Rcpt,
            Say("553 5.1.3 bad address"),
            Bounced("553 5.1.3 bad address"),
        ),
        plain(
            "535",
            At::Auth,
            Say("535 5.7.8 wrong password"),
            Rests(Trouble::Login, "535 5.7.8 wrong password"),
        ),
        plain(
            "banner hang",
            At::Greeting,
            Hang,
            busy("no greeting within 2 s"),
        ),
        plain(
            "354, then silence",
            At::End,
            Hang,
            InDoubt("no answer within 3 s"),
        ),
        plain(
            "close after the final dot",
            At::End,
            Drop,
            InDoubt("incomplete response"),
        ),
        plain(
            "close instead of 354",
            At::Data,
            Drop,
            Later("incomplete response"),
        ),
        // Three quarters of the time that the content has, and more than a command would have: as 90 s are to 120 s.
        plain("250 after 90 s", At::End, Late(2250, "250 taken"), Sent),
        plain(
            "no STARTTLS",
            At::Mail,
            Say("250 ok"),
            Rests(Trouble::Tls, "offers no STARTTLS"),
        ),
    ];
    if let Some(row) = rows.last_mut() {
        row.tls = (false, true);
    }
    for (name, implicit, says) in [
        (
            "TLS hang after STARTTLS",
            false,
            Rests(Trouble::Tls, "no TLS within 2 s"),
        ),
        (
            "TLS hang from the first byte",
            true,
            busy("no greeting within 2 s"),
        ),
    ] {
        rows.push(Row {
            name,
            script: Script {
                tls: Some(ca.server("127.0.0.1", false)),
                implicit,
                tls_hangs: true,
                ..Script::default()
            },
            tls: (implicit, !implicit),
            fate: says,
        });
    }
    for (name, tls, says) in [
        (
            "wrong certificate: another name",
            ca.server("other.example", false),
            "not valid for name",
        ),
        (
            "wrong certificate: expired",
            ca.server("127.0.0.1", true),
            "expired",
        ),
        (
            "wrong certificate: unknown authority",
            stranger.server("127.0.0.1", false),
            "invalid peer certificate",
        ),
    ] {
        rows.push(Row {
            name,
            script: Script {
                tls: Some(tls),
                ..Script::default()
            },
            tls: (false, true),
            fate: Rests(Trouble::Tls, says),
        });
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaviour_of_a_mail_server_has_its_meaning() {
    let (ca, stranger) = (Authority::new(), Authority::new());
    let rows = table(&ca, &stranger);
    assert_eq!(rows.len(), 21);
    // Each has a server, a realm and a database of its own, so that the slow ones are slow together.
    let runs = rows.into_iter().map(|row| {
        let options = Options {
            tls_ca: Some(ca.pem.path().to_owned()),
            timing: HASTY,
            ..Options::default()
        };
        tokio::spawn(judge(row, options))
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

async fn judge(row: Row, options: Options) {
    let name = row.name;
    let server = Fake::start(row.script).await;
    let mut settings = smtp(server.port);
    settings["ssl"] = row.tls.0.into();
    settings["starttls"] = row.tls.1.into();
    settings["auth"] = true.into();
    settings["user"] = "idp".into();
    settings["password"] = "p4ss".into();
    let database = sqlite();
    let rig = Rig::with(&database, settings, options);
    let running = rig.mailer.spawn();
    let id = rig.send_to("bob@people.example");
    let settled = |entry: &Entry| entry.attempts == 1 || rig.paused().is_some();
    let entry = rig.until(&id, settled).await;
    let said = entry.last_error.clone().unwrap_or_default();
    let wait = entry.not_before.seconds_since(rig.clock.now());
    if !matches!(row.fate, Rests(..)) {
        assert!(rig.paused().is_none(), "{name}: {:?}", rig.paused());
    }
    match row.fate {
        Sent => assert_eq!(entry.state, State::Sent, "{name}: {said}"),
        Later(words) => {
            assert_eq!(entry.state, State::Queued, "{name}");
            assert!(said.contains(words), "{name}: {said}");
            assert!((46..=72).contains(&wait), "{name}: {wait} s");
        }
        Bounced(words) => {
            assert_eq!(entry.state, State::Bounced, "{name}: {said}");
            assert!(said.contains(words), "{name}: {said}");
        }
        InDoubt(words) => {
            assert_eq!(entry.state, State::InDoubt, "{name}: {said}");
            assert!(said.contains(words), "{name}: {said}");
        }
        Rests(trouble, words) => {
            let pause = rig.paused().unwrap();
            assert_eq!(pause.kind, trouble.as_str(), "{name}: {}", pause.reason);
            assert!(pause.reason.contains(words), "{name}: {}", pause.reason);
            let entry = rig.until_state(&id, State::Queued).await;
            assert_eq!(entry.attempts, 0, "{name}");
            assert!(
                server
                    .commands()
                    .iter()
                    .all(|line| !line.starts_with("MAIL")),
                "{name}"
            );
            if trouble == Trouble::Tls {
                assert!(
                    server
                        .commands()
                        .iter()
                        .all(|line| !line.starts_with("AUTH")),
                    "{name}"
                );
            }
        }
    }
    // Two days later, with a server that works: what was bounced, sent or is in doubt stays as it is.
    server.change(|script| *script = Script::default());
    let mut plain = smtp(server.port);
    plain["auth"] = false.into();
    rig.set_smtp(plain);
    let before = server.mails().len();
    rig.clock.advance(Duration::from_secs(2 * 24 * 3600));
    rig.mailer.wake();
    match row.fate {
        Sent | Bounced(_) | InDoubt(_) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(rig.entry(&id).state, entry.state, "{name}");
            assert_eq!(server.mails().len(), before, "{name}");
        }
        Later(_) | Rests(..) => {
            rig.until_state(&id, State::Sent).await;
            assert_eq!(server.mails().len(), before + 1, "{name}");
        }
    }
    running.stop().await;
}

/// Reliability H015: what the product waits for, where nothing else is said.
#[test]
fn a_command_has_thirty_seconds_and_the_content_two_minutes() {
    let timing = Timing::default();
    assert_eq!(timing.command, Duration::from_secs(30));
    assert_eq!(timing.content, Duration::from_secs(120));
    let held = Duration::from_secs(timing.lease.unsigned_abs());
    assert!(
        held > timing.command,
        "a lease outlasts a connection's beginning"
    );
    assert_eq!(timing.probe, 60);
}
