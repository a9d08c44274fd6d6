//! `vestibule mail`: single mails of which nobody knows whether they went out, from the host.

use std::time::Duration;

use serde_json::{Value, json};

use super::following::{LOOK, interrupts};
use super::output::{self, Format, say};
use super::{Failure, boot, runtime};
use crate::campaign::doubt;
use crate::config::Config;
use crate::kernel::RealmId;
use crate::mail::OutboxId;
use crate::mail::outbox::{self, Entry, State};
use crate::mail::pause;
use crate::oidc::engine::Engine;
use crate::realm::Realm;
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError, Tx};
use crate::user::audience::MailState;

/// How long the command waits for the mail server.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be done about mails.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// The mails in doubt: the mail server may have taken them, and nobody knows.
    InDoubt {
        /// The realm.
        #[arg(long)]
        realm: String,
        #[command(flatten)]
        format: Format,
    },
    /// Sends mails in doubt again, the same ones with the same links: who has got one already gets it twice.
    Resend {
        /// The realm.
        #[arg(long)]
        realm: String,
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    boot::logging_beside_a_bar(config)?;
    boot::existing_store(config)?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    match command {
        Command::InDoubt { realm, format } => {
            let realm = boot::realm(&engine.store, realm)?;
            in_doubt(&engine, &realm, *format)
        }
        Command::Resend { realm, ids, format } => {
            let realm = boot::realm(&engine.store, realm)?;
            resend(&engine, &realm, ids, *format)
        }
    }
}

fn show(engine: &Engine, mail: &Entry) -> Value {
    json!({
        "id": mail.id.as_str(),
        "messageId": engine.mailer.message_id(&mail.id),
        "email": mail.recipient,
        "purpose": mail.template,
        "state": MailState::word_of(mail.state.as_str()),
        "reason": mail.last_error,
        "campaign": mail.batch,
        "createdAt": mail.created_at.millis(),
    })
}

fn in_doubt(engine: &Engine, realm: &Realm, format: Format) -> Result<(), Failure> {
    let states = Some(MailState::InDoubt.stored());
    let found = engine
        .store
        .read(|tx| outbox::list(tx, &realm.id, (states, None), (None, i64::MAX)))
        .map_err(Failure::failed)?;
    if format.json {
        let list: Vec<Value> = found.iter().map(|mail| show(engine, mail)).collect();
        return output::json(&list);
    }
    let table: Vec<[String; 4]> = found
        .iter()
        .map(|mail| {
            [
                mail.id.as_str().to_owned(),
                chrono::DateTime::from_timestamp_micros(mail.created_at.micros())
                    .map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
                    .unwrap_or_default(),
                mail.template.clone(),
                mail.recipient.clone(),
            ]
        })
        .collect();
    output::rows(["MAIL", "MADE", "PURPOSE", "TO"], &table)
}

fn resend(engine: &Engine, realm: &Realm, ids: &[String], format: Format) -> Result<(), Failure> {
    let ids: Vec<OutboxId> = ids.iter().map(|id| OutboxId::new(id.as_str())).collect();
    let known = engine
        .store
        .read(|tx| all_of(tx, &realm.id, &ids))
        .map_err(Failure::failed)?;
    // Nothing is sent because of a word that was mistyped.
    if let Some(id) = ids
        .iter()
        .find(|id| known.iter().all(|mail| mail.id != **id))
    {
        return Err(Failure::usage(format!(
            "realm {} has no mail {:?}: `vestibule mail in-doubt --realm {}` shows those in doubt",
            realm.name,
            id.as_str(),
            realm.name
        )));
    }
    let mut again = Vec::new();
    let mut refused = 0_usize;
    for id in &ids {
        match resend_one(engine, realm, id).map_err(Failure::failed)? {
            Some(Ok(mail)) => again.push(mail.id),
            Some(Err(why)) => {
                refused = refused.saturating_add(1);
                say(&format!("{id} is not sent again: {why}"));
            }
            // Its person was deleted at this moment.
            None => refused = refused.saturating_add(1),
        }
    }
    let sent = runtime()?.block_on(send(engine, realm, &again))?;
    if format.json {
        let list: Vec<Value> = sent.iter().map(|mail| show(engine, mail)).collect();
        output::json(&list)?;
    } else {
        let lines: Vec<String> = sent
            .iter()
            .map(|mail| {
                let state = MailState::word_of(mail.state.as_str()).unwrap_or_default();
                let why = mail.last_error.as_deref().unwrap_or_default();
                format!("{} {state} {why}", mail.id).trim_end().to_owned()
            })
            .collect();
        output::lines(&lines)?;
    }
    let lost = sent.iter().filter(|mail| mail.state != State::Sent).count();
    match lost.saturating_add(refused) {
        0 => Ok(()),
        some => Err(Failure::failed(format!(
            "{some} of {} did not go out. What is queued is sent by a server that runs",
            ids.len()
        ))),
    }
}

fn resend_one(
    engine: &Engine,
    realm: &Realm,
    id: &OutboxId,
) -> Result<Option<doubt::Resent>, StoreError> {
    engine.store.tx(|tx| {
        let resent = doubt::resend(tx, &realm.id, id)?;
        if let Some(Ok(mail)) = &resent {
            let mut event = Event::new(&realm.id, "MAIL_RESEND")
                .detail("mail", mail.id.as_str())
                .detail("command", "host");
            if let Some(user) = &mail.user_id {
                event = event.user(user);
            }
            let now = tx.now()?;
            events::record(tx, &engine.entropy, now, event)?;
        }
        Ok(resent)
    })
}

/// Those of the mails that are there.
fn all_of(tx: &mut Tx<'_>, realm: &RealmId, ids: &[OutboxId]) -> Result<Vec<Entry>, StoreError> {
    let mut mails = Vec::new();
    for id in ids {
        mails.extend(outbox::by_id(tx, realm, id)?);
    }
    Ok(mails)
}

/// Helps to send them; answers where they stand once that is known, the mail server rests, or patience ends.
async fn send(engine: &Engine, realm: &Realm, ids: &[OutboxId]) -> Result<Vec<Entry>, Failure> {
    let mut interrupts = interrupts()?;
    let sender = engine.mailer.spawn();
    let began = tokio::time::Instant::now();
    let looked = loop {
        let (own, id) = (ids.to_vec(), realm.id.clone());
        let look = move |store: &Store| {
            store.read(|tx| {
                let mails = all_of(tx, &id, &own)?;
                Ok::<_, StoreError>((mails, pause::of_realm(tx, &id)?.is_some()))
            })
        };
        let (mails, rests) = match engine.store.run(look).await {
            Ok(looked) => looked,
            Err(error) => break Err(Failure::failed(error)),
        };
        let open = mails
            .iter()
            .any(|mail| matches!(mail.state, State::Queued | State::Leased | State::Sending));
        if !open || rests || began.elapsed() > PATIENCE {
            break Ok(mails);
        }
        tokio::select! {
            _ = interrupts.recv() => break Ok(mails),
            () = tokio::time::sleep(LOOK) => {}
        }
    };
    sender.stop().await;
    looked
}
