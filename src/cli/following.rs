//! Following a mailing from the host: helping to send it, showing how far it is, and saying what it came to.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use super::output::{self, Format, say};
use super::progress::Progress;
use crate::campaign::funnel::{self, Shown};
use crate::campaign::{orders, recipients, rows, work};
use crate::kernel::Timestamp;
use crate::mail::outbox::batch;
use crate::oidc::engine::Engine;
use crate::realm;
use crate::store::{Store, StoreError};

/// How often progress is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Why a mailing rests that somebody has stopped here.
const INTERRUPTED: &str = "interrupted";
/// So many whose mail did not arrive are listed.
const LISTED: i64 = 20;

/// Every Ctrl-C from now on, also those that come while something else is awaited.
pub(super) fn interrupts() -> Result<Signal, Failure> {
    signal(SignalKind::interrupt()).map_err(Failure::failed)
}

/// Why following a mailing ended.
enum End {
    /// There is nothing left to do, or not before its time.
    Over,
    /// It rests, by itself or by Ctrl-C.
    Rests,
    /// Every mail that is open was refused for now, and is tried again then.
    Retries(Timestamp),
}

/// Helps to send a mailing and shows how far it is, until it is over, rests, or has nothing but later tries before it.
/// Ctrl-C lets it rest.
pub(super) async fn follow(
    engine: &Arc<Engine>,
    id: &str,
    interrupts: &mut Signal,
) -> Result<Shown, Failure> {
    let sender = engine.mailer.spawn();
    let (shared, own) = (Arc::clone(engine), id.to_owned());
    let worker = tokio::spawn(async move { work::only(shared, own).await });
    let mut progress = Progress::new("mailed");
    let ended = watch(engine, id, (interrupts, &mut progress)).await;
    worker.abort();
    sender.stop().await;
    progress.end();
    let (shown, end) = ended?;
    match end {
        End::Over => Ok(shown),
        End::Retries(at) => {
            say(&format!(
                "{} mails were refused for now and are tried again by themselves, the first of them at {}. A server \
                 that runs sends them; where none does, start one, or come back with:\n\n  \
                 vestibule campaign resume {id}\n",
                shown.funnel.queued,
                clock(at)
            ));
            Ok(shown)
        }
        End::Rests => Err(Failure::failed(format!(
            "the mailing rests ({}): {} of {} are done. To go on, or to stop it for good:\n\n  \
             vestibule campaign resume {id}\n  vestibule campaign cancel {id}\n",
            shown.reason.as_deref().unwrap_or(INTERRUPTED),
            shown.funnel.settled(),
            shown.funnel.total
        ))),
    }
}

async fn watch(
    engine: &Arc<Engine>,
    id: &str,
    (interrupts, progress): (&mut Signal, &mut Progress),
) -> Result<(Shown, End), Failure> {
    // Why the mail server cannot be used, as it was said last.
    let mut trouble: Option<String> = None;
    loop {
        let stopped = tokio::select! {
            _ = interrupts.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        if stopped {
            let own = id.to_owned();
            let why = match &trouble {
                Some(server) => format!("{INTERRUPTED}; {server}"),
                None => INTERRUPTED.to_owned(),
            };
            let pause = move |store: &Store| store.tx(|tx| orders::pause(tx, &own, &why));
            engine.store.run(pause).await.map_err(Failure::failed)?;
        }
        let (shown, realm, retry) = look(engine, id).await?;
        let funnel = &shown.funnel;
        progress.show(funnel.sent, funnel.total.saturating_sub(funnel.skipped));
        if stopped {
            return Ok((shown, End::Rests));
        }
        if ["done", "reminding", "cancelled", "scheduled"].contains(&shown.state) {
            return Ok((shown, End::Over));
        }
        if let Some(at) = retry {
            return Ok((shown, End::Retries(at)));
        }
        // While the server rests the mailing waits with it; that is no reason to go away.
        let server = shown
            .reason
            .clone()
            .filter(|why| shown.state == "paused" && why.starts_with("mail-server"));
        if shown.state == "paused" && server.is_none() {
            return Ok((shown, End::Rests));
        }
        if server != trouble {
            match &server {
                Some(why) => progress.say(&paused(why, &realm), true),
                None => progress.say("the mail server takes mail again", false),
            }
            trouble = server;
        }
    }
}

/// What somebody has to know while the mail server cannot be used.
fn paused(why: &str, realm: &str) -> String {
    let why = why.trim_start_matches("mail-server: ");
    format!(
        "paused: {why}. One mail a minute tries the server, and the mailing goes on when it is taken. This tries it now; \
         Ctrl-C leaves the mailing for later:\n\n  vestibule doctor --realm {realm} --mail ADDRESS\n"
    )
}

/// A time as people and scripts read it.
fn clock(at: Timestamp) -> String {
    DateTime::from_timestamp(at.seconds(), 0).map_or_else(String::new, |at| {
        at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
    })
}

/// How a mailing stands, the name of its realm, and when the next try is where nothing else is left to do.
async fn look(
    engine: &Arc<Engine>,
    id: &str,
) -> Result<(Shown, String, Option<Timestamp>), Failure> {
    let own = id.to_owned();
    let look = move |store: &Store| {
        store.read(|tx| {
            let Some(campaign) = rows::by_id(tx, &own)? else {
                return Ok(None);
            };
            let realm = realm::rows::by_id(tx, &campaign.realm_id)?;
            let shown = funnel::show(tx, &campaign)?;
            let all_handed_over = shown.state == "running"
                && campaign.frozen
                && recipients::next(tx, &own, 1)?.is_empty();
            let retry = if all_handed_over {
                batch::next_retry(tx, &own)?
            } else {
                None
            };
            let name = realm.map_or_else(String::new, |realm| realm.name);
            Ok(Some((shown, name, retry)))
        })
    };
    let found: Result<_, StoreError> = engine.store.run(look).await;
    found
        .map_err(Failure::failed)?
        .ok_or_else(|| Failure::usage(format!("there is no campaign {id}")))
}

/// Says what a mailing came to. People who were not mailed, and mails that did not arrive, are listed and make the exit
/// code 1.
pub(super) fn report(store: &Store, shown: &Shown, format: Format) -> Result<(), Failure> {
    if format.json {
        output::json(shown)?;
    } else {
        output::lines(&summary(shown))?;
    }
    let funnel = &shown.funnel;
    for (state, count) in [
        (recipients::BOUNCED, funnel.bounced),
        (recipients::FAILED, funnel.failed),
        (recipients::IN_DOUBT, funnel.in_doubt),
        (recipients::SKIPPED, funnel.skipped),
    ] {
        let found = store
            .read(|tx| recipients::list(tx, &shown.id, &[state], ("", LISTED)))
            .map_err(Failure::failed)?;
        for row in found {
            let why = in_words(row.reason.as_deref().unwrap_or_default());
            say(&format!("{}: {state}: {why}", row.username));
        }
        if count > LISTED {
            say(&format!(
                "and {} more {state}",
                count.saturating_sub(LISTED)
            ));
        }
    }
    let lost = funnel
        .bounced
        .saturating_add(funnel.failed)
        .saturating_add(funnel.in_doubt);
    let passed_over = match (funnel.skipped, funnel.total) {
        (0, _) => None,
        (skipped, total) if skipped == total => Some("nobody was mailed".to_owned()),
        (skipped, total) => Some(format!("{skipped} of {total} people were not mailed")),
    };
    let id = &shown.id;
    let missing = (lost > 0).then(|| {
        format!(
            "{lost} mails did not arrive or may not have. To count them, or to send those in doubt again:\n\n  \
             vestibule campaign show {id}\n  vestibule campaign resend-in-doubt {id}\n"
        )
    });
    let said: Vec<String> = passed_over.into_iter().chain(missing).collect();
    if said.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(said.join("; ")))
    }
}

/// Why somebody was passed over, in words.
fn in_words(reason: &str) -> &str {
    match reason {
        "no-address" => "has no address",
        "disabled" => "is switched off",
        "has-password" => "has a password already",
        "signed-in" => "has signed in already",
        "deleted" => "was deleted",
        other => other,
    }
}

/// A mailing in lines.
pub(super) fn summary(shown: &Shown) -> Vec<String> {
    let funnel = &shown.funnel;
    let mut lines = vec![
        format!("campaign   {}", shown.id),
        format!("name       {}", shown.name),
        match &shown.reason {
            Some(reason) => format!("state      {} ({reason})", shown.state),
            None => format!("state      {}", shown.state),
        },
    ];
    lines.extend(
        [
            ("total", funnel.total),
            ("queued", funnel.queued),
            ("sent", funnel.sent),
            ("bounced", funnel.bounced),
            ("in doubt", funnel.in_doubt),
            ("skipped", funnel.skipped),
            ("failed", funnel.failed),
            ("opened", funnel.opened),
            ("password", funnel.password_set),
            ("signed in", funnel.signed_in),
        ]
        .map(|(name, count)| format!("{name:<10} {count}")),
    );
    lines
}
