//! `vestibule campaign`: running and past mailings, from the host.

use std::sync::Arc;

use super::following::{follow, interrupts, report, summary};
use super::output::{self, Format};
use super::{Failure, boot, runtime};
use crate::campaign::funnel::{self, Shown};
use crate::campaign::orders::{self, Ordered, Resent};
use crate::campaign::{State, rows};
use crate::config::Config;
use crate::oidc::engine::Engine;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// What can be done about mailings.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// The realm's mailings, the newest first.
    List {
        /// The realm.
        #[arg(long)]
        realm: String,
        #[command(flatten)]
        format: Format,
    },
    /// One mailing and how far its people have come.
    Show(Which),
    /// Lets it rest: nothing that was not begun is sent.
    Pause(Which),
    /// Lets it go on, and helps to send it.
    Resume {
        #[command(flatten)]
        which: Which,
        /// Leaves the sending to a server that runs.
        #[arg(long)]
        no_wait: bool,
    },
    /// Stops it for good.
    Cancel {
        #[command(flatten)]
        which: Which,
        /// Ends the links that nobody has used, too.
        #[arg(long)]
        revoke_links: bool,
    },
    /// Sends the mails again of which nobody knows whether they went out: some people may get theirs twice, with the
    /// same link.
    ResendInDoubt(Which),
}

/// Which mailing.
#[derive(clap::Args)]
pub(super) struct Which {
    /// Its id.
    id: String,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    boot::logging_beside_a_bar(config)?;
    boot::existing_store(config)?;
    let engine = Arc::new(boot::engine(config, config.public_url.base().to_owned())?);
    match command {
        Command::List { realm, format } => list(&engine, realm, *format),
        Command::Show(which) => show(&engine, which),
        Command::Pause(which) => {
            let ordered = |tx: &mut Tx<'_>| orders::pause(tx, &which.id, "administrator");
            order(&engine, which, ("CAMPAIGN_PAUSE", ordered)).and_then(carried_out)?;
            show(&engine, which)
        }
        Command::Resume { which, no_wait } => resume(&engine, which, *no_wait),
        Command::Cancel {
            which,
            revoke_links,
        } => {
            let ordered = |tx: &mut Tx<'_>| orders::cancel(tx, &which.id, *revoke_links);
            order(&engine, which, ("CAMPAIGN_CANCEL", ordered)).and_then(carried_out)?;
            show(&engine, which)
        }
        Command::ResendInDoubt(which) => {
            let resent = engine
                .store
                .tx(|tx| {
                    let resent = orders::resend_in_doubt(tx, &which.id)?;
                    if matches!(resent, Some(Resent::Mails(_))) {
                        audit(tx, &engine, (&which.id, "CAMPAIGN_RESEND"))?;
                    }
                    Ok::<_, StoreError>(resent)
                })
                .map_err(Failure::failed)?;
            match resent {
                None => Err(unknown(which)),
                Some(Resent::Cancelled) => Err(Failure::failed(
                    "the campaign is cancelled, and nothing of it is sent any more: mail these people by a new one",
                )),
                Some(Resent::Mails(0)) => show(&engine, which),
                Some(Resent::Mails(_)) => send(&engine, which),
            }
        }
    }
}

fn unknown(which: &Which) -> Failure {
    Failure::usage(format!(
        "there is no campaign {:?}: `vestibule campaign list --realm R` shows those there are",
        which.id
    ))
}

fn list(engine: &Engine, realm: &str, format: Format) -> Result<(), Failure> {
    let realm = boot::realm(&engine.store, realm)?;
    let shown: Vec<Shown> = engine
        .store
        .read(|tx| {
            rows::list(tx, &realm.id, (0, Some(100)))?
                .iter()
                .map(|campaign| funnel::show(tx, campaign))
                .collect::<Result<_, StoreError>>()
        })
        .map_err(Failure::failed)?;
    if format.json {
        return output::json(&shown);
    }
    let table: Vec<[String; 5]> = shown
        .iter()
        .map(|one| {
            [
                one.id.clone(),
                one.state.to_owned(),
                format!("{} of {}", one.funnel.sent, one.funnel.total),
                one.funnel.signed_in.to_string(),
                one.name.clone(),
            ]
        })
        .collect();
    output::rows(["CAMPAIGN", "STATE", "SENT", "SIGNED IN", "NAME"], &table)
}

fn look(engine: &Engine, which: &Which) -> Result<Shown, Failure> {
    let found = engine
        .store
        .read(|tx| match rows::by_id(tx, &which.id)? {
            Some(campaign) => funnel::show(tx, &campaign).map(Some),
            None => Ok::<_, StoreError>(None),
        })
        .map_err(Failure::failed)?;
    found.ok_or_else(|| unknown(which))
}

fn show(engine: &Engine, which: &Which) -> Result<(), Failure> {
    let shown = look(engine, which)?;
    if which.format.json {
        output::json(&shown)
    } else {
        output::lines(&summary(&shown))
    }
}

/// Gives an order, which is audited if it is carried out.
fn order(
    engine: &Engine,
    which: &Which,
    (kind, ordered): (
        &'static str,
        impl FnOnce(&mut Tx<'_>) -> Result<Option<Ordered>, StoreError>,
    ),
) -> Result<Ordered, Failure> {
    let outcome = engine
        .store
        .tx(|tx| {
            let outcome = ordered(tx)?;
            if outcome == Some(Ordered::Done) {
                audit(tx, engine, (&which.id, kind))?;
            }
            Ok::<_, StoreError>(outcome)
        })
        .map_err(Failure::failed)?;
    outcome.ok_or_else(|| unknown(which))
}

fn audit(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (id, kind): (&str, &'static str),
) -> Result<(), StoreError> {
    let Some(campaign) = rows::by_id(tx, id)? else {
        return Ok(());
    };
    let event = Event::new(&campaign.realm_id, kind)
        .detail("campaign", campaign.id.as_str())
        .detail("command", "host");
    let now = tx.now()?;
    events::record(tx, &engine.entropy, now, event)
}

fn carried_out(ordered: Ordered) -> Result<(), Failure> {
    match ordered {
        Ordered::Done => Ok(()),
        Ordered::NotNow(state) => Err(Failure::failed(format!(
            "the campaign is {}",
            state.as_str()
        ))),
    }
}

/// A mailing that runs, but whose process is gone, only needs somebody to send it.
fn resume(engine: &Arc<Engine>, which: &Which, no_wait: bool) -> Result<(), Failure> {
    let ordered = |tx: &mut Tx<'_>| orders::resume(tx, &which.id);
    match order(engine, which, ("CAMPAIGN_RESUME", ordered))? {
        Ordered::NotNow(State::Running) => {}
        ordered => carried_out(ordered)?,
    }
    if no_wait {
        return show(engine, which);
    }
    send(engine, which)
}

fn send(engine: &Arc<Engine>, which: &Which) -> Result<(), Failure> {
    let sent = async { follow(engine, &which.id, &mut interrupts()?).await };
    let shown = runtime()?.block_on(sent)?;
    report(&engine.store, &shown, which.format)
}
