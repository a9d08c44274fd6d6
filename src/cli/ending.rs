//! Ending the old passwords of an audience from the host, before the first of them is mailed a link.

use std::sync::Arc;

use actix_web::rt::SystemRunner;
use tokio::signal::unix::Signal;

use super::Failure;
use super::following::LOOK;
use super::mailing::Desk;
use super::progress::Progress;
use crate::admin::users::actions::{Manner, Plan};
use crate::admin::users::cohort::order::{Author, Order, Task, Tells};
use crate::admin::users::cohort::rows::{self, Job, State};
use crate::admin::users::cohort::work;
use crate::kernel::{Entropy, RealmId};
use crate::link;
use crate::mail::Failure as Refusal;
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError, Tx, dialect};
use crate::user::audience::Audience;
use crate::user::search;
use crate::user::waiting::ResetProof;

/// What `--compromised` means.
const REASON: &str = "compromised";

/// Tries the way out of the realm's mail before anything is ended: whoever is shut out needs a mail that can leave.
pub(super) fn try_mail(desk: &Desk, runtime: &SystemRunner) -> Result<(), Failure> {
    let (realm, server) = (&desk.realm, &desk.engine.public_url);
    let Err(failure) = runtime.block_on(desk.engine.mailer.probe(realm)) else {
        return Ok(());
    };
    let why = match failure {
        Refusal::Server(trouble, why) => format!("{trouble}: {why}"),
        Refusal::Later(why) | Refusal::Refused(why) | Refusal::Unknown(why) => why,
        Refusal::NotPermitted => "it was not asked".to_owned(),
    };
    let name = &realm.name;
    Err(Failure::failed(format!(
        "the mail server of realm {name} cannot be used ({why}), so no password was ended and nobody was mailed: \
         people would be shut out without a way back in. Mend the mail server; this tries it:\n\n  \
         vestibule doctor --realm {name} --mail ADDRESS\n\nTo end passwords without any mail:\n\n  \
         POST {server}/admin/realms/{name}/users/required-actions\n  \
         {{\"filter\": {{…}}, \"add\": [\"UPDATE_PASSWORD\"], \"compromised\": true}}\n"
    )))
}

/// Ends the old passwords and all sessions of an audience, and answers the job that has done so. Ctrl-C stops it
/// between two chunks, and then this fails: `again` is the command that would go on.
pub(super) fn end_passwords(
    desk: &Desk,
    (audience, again): (&Audience, &str),
    (runtime, interrupts): (&SystemRunner, &mut Signal),
) -> Result<String, Failure> {
    let job = order(desk, audience).map_err(Failure::failed)?;
    runtime.block_on(carry_out(desk, (&job, again), interrupts))?;
    Ok(job)
}

/// Stores the order. Nobody is told of it yet: the mailing that follows tells everybody.
fn order(desk: &Desk, audience: &Audience) -> Result<String, StoreError> {
    let (id, entropy) = (&desk.realm.id, &desk.engine.entropy);
    let plan = Plan {
        set: vec![link::UPDATE_PASSWORD.to_owned()],
        take: Vec::new(),
        manner: Manner {
            reset_proof: Some(ResetProof::Mailbox),
            revoke_sessions: true,
            reason: Some(REASON.to_owned()),
            ..Manner::default()
        },
    };
    desk.engine.store.tx(|tx| {
        let now = tx.now()?;
        let order = Order {
            task: Task::Change(plan),
            audience: Audience {
                made_until: Some(now),
                ..audience.clone()
            },
            author: Author::Host,
            beyond: Vec::new(),
            reason: Some(REASON.to_owned()),
            tells: Tells::FormerAddresses,
        };
        let total = search::count(tx, id, &order.audience)?;
        let job = Job::new(entropy, id, order, (total, 0), now);
        rows::insert(tx, &job)?;
        let event = job.order.event(id, "ADMIN_USERS_REQUIRED_ACTIONS", &job.id);
        events::record(tx, entropy, now, event)?;
        Ok(job.id)
    })
}

async fn carry_out(
    desk: &Desk,
    (id, again): (&str, &str),
    interrupts: &mut Signal,
) -> Result<(), Failure> {
    let (shared, own) = (Arc::clone(&desk.engine), id.to_owned());
    let worker = tokio::spawn(async move { work::only(shared, own).await });
    let mut progress = Progress::new("old passwords ended");
    let watched = watch(desk, id, (interrupts, &mut progress)).await;
    worker.abort();
    progress.end();
    let (job, stopped) = watched?;
    let how = match job.state {
        State::Done if !stopped => return Ok(()),
        _ if stopped => "stopped".to_owned(),
        state => format!("the job {id} is {}", state.as_str()),
    };
    let realm = &desk.realm.name;
    Err(Failure::failed(format!(
        "{how}: the old passwords of {} of {} people have ended, and nobody was mailed. To end the rest and mail \
         everybody:\n\n  {again}\n\nOr to let the old passwords work again:\n\n  \
         POST {}/admin/realms/{realm}/jobs/{id}/undo\n",
        job.done, job.total, desk.engine.public_url
    )))
}

/// Shows how far the job is until it is over. Answers how it stands, and whether somebody has stopped it.
async fn watch(
    desk: &Desk,
    id: &str,
    (interrupts, progress): (&mut Signal, &mut Progress),
) -> Result<(Job, bool), Failure> {
    loop {
        let stopped = tokio::select! {
            biased;
            _ = interrupts.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let (own, realm) = (id.to_owned(), desk.realm.id.clone());
        let entropy = desk.engine.entropy;
        let look = move |store: &Store| {
            if stopped {
                store.tx(|tx| cancel(tx, &entropy, (&realm, &own)))?;
            }
            store.read(|tx| rows::by_id(tx, &realm, &own))
        };
        let found: Option<Job> = desk.engine.store.run(look).await.map_err(Failure::failed)?;
        let Some(job) = found else {
            return Err(Failure::failed("the job is gone, and nobody was mailed"));
        };
        progress.show(job.done, job.total);
        let over = !matches!(job.state, State::Queued | State::Running);
        if stopped || over {
            return Ok((job, stopped));
        }
    }
}

/// Stops the job. Whoever works on it finds that out before the next chunk, so its count is final from here on.
fn cancel(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (realm, id): (&RealmId, &str),
) -> Result<(), StoreError> {
    // For as long as a chunk takes: a job that was not stopped would go on.
    dialect::wait_long(tx)?;
    if rows::cancel(tx, id)? {
        let event = Event::new(realm, "ADMIN_JOB_CANCEL")
            .detail("job", id)
            .detail("command", "host");
        let now = tx.now()?;
        events::record(tx, entropy, now, event)?;
    }
    Ok(())
}
