//! Following a mailing from the host: helping to send it, showing how far it is, and saying what it came to.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use super::output::{self, Format, say};
use super::progress::Progress;
use crate::campaign::funnel::{self, Shown};
use crate::campaign::{orders, recipients, rows, work};
use crate::oidc::engine::Engine;
use crate::store::Store;

/// How often progress is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// So many whose mail did not arrive are listed.
const LISTED: i64 = 20;

/// Every Ctrl-C from now on, also those that come while something else is awaited.
pub(super) fn interrupts() -> Result<Signal, Failure> {
    signal(SignalKind::interrupt()).map_err(Failure::failed)
}

/// Helps to send a mailing and shows how far it is, until it is over or rests. Ctrl-C lets it rest.
pub(super) async fn follow(
    engine: &Arc<Engine>,
    id: &str,
    interrupts: &mut Signal,
) -> Result<Shown, Failure> {
    let sender = engine.mailer.spawn();
    let (shared, own) = (Arc::clone(engine), id.to_owned());
    let worker = tokio::spawn(async move { work::only(shared, own).await });
    let mut progress = Progress::new("mailed");
    let ended = loop {
        let stopped = tokio::select! {
            _ = interrupts.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        if stopped {
            let own = id.to_owned();
            let pause = move |store: &Store| store.tx(|tx| orders::pause(tx, &own, "interrupted"));
            if let Err(error) = engine.store.run(pause).await {
                break Err(Failure::failed(error));
            }
        }
        match show(engine, id).await {
            Ok(shown) => {
                progress.show(shown.funnel.settled(), shown.funnel.total);
                let over = ["done", "reminding", "cancelled", "scheduled"].contains(&shown.state);
                // While the server rests the mailing waits with it; that is no reason to go away.
                let rests = shown.state == "paused"
                    && !shown
                        .reason
                        .as_deref()
                        .unwrap_or_default()
                        .starts_with("mail-server");
                if over || rests || stopped {
                    break Ok((shown, stopped));
                }
            }
            Err(failure) => break Err(failure),
        }
    };
    worker.abort();
    sender.stop().await;
    progress.end();
    let (shown, stopped) = ended?;
    if stopped || shown.state == "paused" {
        return Err(Failure::failed(format!(
            "the mailing rests ({}): {} of {} are done. To go on, or to stop it for good:\n\n  \
             vestibule campaign resume {id}\n  vestibule campaign cancel {id}\n",
            shown.reason.as_deref().unwrap_or("interrupted"),
            shown.funnel.settled(),
            shown.funnel.total
        )));
    }
    Ok(shown)
}

async fn show(engine: &Arc<Engine>, id: &str) -> Result<Shown, Failure> {
    let own = id.to_owned();
    let look = move |store: &Store| {
        store.read(|tx| match rows::by_id(tx, &own)? {
            Some(campaign) => funnel::show(tx, &campaign).map(Some),
            None => Ok(None),
        })
    };
    let shown: Option<Shown> = engine.store.run(look).await.map_err(Failure::failed)?;
    shown.ok_or_else(|| Failure::usage(format!("there is no campaign {id}")))
}

/// Says what a mailing came to. Mails that did not arrive are listed and make the exit code 1.
pub(super) fn report(store: &Store, shown: &Shown, format: Format) -> Result<(), Failure> {
    if format.json {
        output::json(shown)?;
    } else {
        output::lines(&summary(shown))?;
    }
    let funnel = &shown.funnel;
    let lost = funnel
        .bounced
        .saturating_add(funnel.failed)
        .saturating_add(funnel.in_doubt);
    if lost == 0 {
        return Ok(());
    }
    for state in [
        recipients::BOUNCED,
        recipients::FAILED,
        recipients::IN_DOUBT,
    ] {
        let found = store
            .read(|tx| recipients::list(tx, &shown.id, &[state], ("", LISTED)))
            .map_err(Failure::failed)?;
        for row in found {
            let why = row.reason.unwrap_or_default();
            say(&format!("{}: {state}: {why}", row.username));
        }
    }
    Err(Failure::failed(format!(
        "{lost} mails did not arrive or may not have. To count them, or to send those in doubt again:\n\n  \
         vestibule campaign show {}\n  vestibule campaign resend-in-doubt {}\n",
        shown.id, shown.id
    )))
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
