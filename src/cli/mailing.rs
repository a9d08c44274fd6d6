//! `vestibule user send-password-reset` and `user pre-register`: mailings from the host.
//!
//! They make a campaign as the admin API does, and help to send it; a server that runs beside them does its part. So
//! whatever ends this process, the campaign is in the database and can go on.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::following::{LOOK, follow, interrupts, report};
use super::output::{self, Format, say};
use super::progress::Progress;
use super::{Failure, boot, runtime};
use crate::admin::users::actions::{Manner, Plan};
use crate::admin::users::cohort::{self, order};
use crate::campaign::samples::{self, Sample};
use crate::campaign::{Kind, Settings, orders};
use crate::config::Config;
use crate::kernel::UserId;
use crate::link::{self, NewLink, Purpose, Sender};
use crate::mail::LONGEST_NOTE;
use crate::oidc::engine::Engine;
use crate::realm::Realm;
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError};
use crate::user::audience::Audience;
use crate::user::waiting::ResetProof;
use crate::user::{self, search};

/// Mails set-password links.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["user", "all_users"]))]
pub(super) struct SendPasswordReset {
    /// The realm.
    #[arg(long)]
    realm: String,
    /// One person, by address or user name: try it on yourself first.
    #[arg(short, long, value_name = "EMAIL")]
    user: Option<String>,
    /// Everybody of the realm.
    #[arg(long)]
    all_users: bool,
    /// Only who has never signed in.
    #[arg(long)]
    never_signed_in: bool,
    /// Old passwords die at once and sessions end: only the mailed link sets a new one.
    #[arg(long)]
    compromised: bool,
    #[command(flatten)]
    manner: MailingManner,
}

/// Mails links to people who have no password yet, or prints them.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["user", "all_without_password"]))]
pub(super) struct PreRegister {
    /// The realm.
    #[arg(long)]
    realm: String,
    /// One person, by address or user name.
    #[arg(short, long, value_name = "EMAIL")]
    user: Option<String>,
    /// Everybody who has no password.
    #[arg(long)]
    all_without_password: bool,
    /// Prints the links instead of mailing them: each is as good as the account that it opens.
    #[arg(long)]
    print_link: bool,
    #[command(flatten)]
    manner: MailingManner,
}

/// How a mailing is meant.
#[derive(clap::Args)]
struct MailingManner {
    /// A file with words of your own, plain text, shown in each mail.
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// The most mails in a second, as `20/s`.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<i64>,
    /// Only counts and shows one mail.
    #[arg(long)]
    dry_run: bool,
    /// Asks nothing: for scripts.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

fn rate(text: &str) -> Result<i64, String> {
    text.trim_end_matches("/s")
        .parse()
        .ok()
        .filter(|rate| *rate > 0)
        .ok_or_else(|| "a rate is a number of mails in a second, as 20/s".to_owned())
}

pub(super) fn send_password_reset(
    config: &Config,
    arguments: &SendPasswordReset,
) -> Result<(), Failure> {
    let desk = Desk::open(config, &arguments.realm)?;
    let mut audience = desk.audience(arguments.user.as_deref())?;
    audience.never_signed_in = arguments.never_signed_in.then_some(true);
    let settings = arguments.manner.settings(audience)?;
    let plan = arguments.compromised.then(|| Plan {
        set: vec![link::UPDATE_PASSWORD.to_owned()],
        take: Vec::new(),
        manner: Manner {
            reset_proof: Some(ResetProof::Mailbox),
            revoke_sessions: true,
            reason: Some("compromised".to_owned()),
            ..Manner::default()
        },
    });
    let many = arguments.all_users;
    desk.mail(
        Kind::PasswordReset,
        settings,
        (many, plan),
        &arguments.manner,
    )
}

pub(super) fn pre_register(config: &Config, arguments: &PreRegister) -> Result<(), Failure> {
    let desk = Desk::open(config, &arguments.realm)?;
    let mut audience = desk.audience(arguments.user.as_deref())?;
    audience.has_password = arguments.all_without_password.then_some(false);
    if arguments.print_link {
        return desk.print_links(&audience, arguments.manner.format);
    }
    let settings = arguments.manner.settings(audience)?;
    let many = arguments.all_without_password;
    desk.mail(
        Kind::PreRegistration,
        settings,
        (many, None),
        &arguments.manner,
    )
}

impl MailingManner {
    fn settings(&self, audience: Audience) -> Result<Settings, Failure> {
        let message = match &self.message {
            None => None,
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failure::usage(format!("{} cannot be read: {error}", file.display()))
                })?;
                if text.len() > LONGEST_NOTE {
                    return Err(Failure::usage("the message is longer than 10 KiB"));
                }
                Some(text)
            }
        };
        Ok(Settings {
            audience,
            message,
            rate_per_second: self.rate,
            ..Settings::default()
        })
    }
}

/// A realm and what is needed to write to its people.
struct Desk {
    engine: Arc<Engine>,
    realm: Realm,
}

// The database is spoken to outside the runtime wherever nothing is awaited: PostgreSQL's connections block.

impl Desk {
    fn open(config: &Config, realm: &str) -> Result<Self, Failure> {
        boot::logging_beside_a_bar(config)?;
        boot::existing_store(config)?;
        let engine = boot::engine(config, config.public_url.base().to_owned())?;
        let realm = boot::realm(&engine.store, realm)?;
        Ok(Self {
            engine: Arc::new(engine),
            realm,
        })
    }

    /// One person, or everybody.
    fn audience(&self, login: Option<&str>) -> Result<Audience, Failure> {
        let Some(login) = login else {
            return Ok(Audience::default());
        };
        let id = self.realm.id.clone();
        let found = self
            .engine
            .store
            .read(|tx| user::rows::by_login(tx, &id, login))
            .map_err(Failure::failed)?
            .filter(|user| user.service_client.is_none());
        found.map_or_else(
            || {
                Err(Failure::usage(format!(
                    "realm {} has nobody who signs in as {login:?}",
                    self.realm.name
                )))
            },
            |user| Ok(Audience::one(&user.id)),
        )
    }

    fn mail(
        &self,
        kind: Kind,
        settings: Settings,
        (many, plan): (bool, Option<Plan>),
        manner: &MailingManner,
    ) -> Result<(), Failure> {
        if !self.engine.mailer.is_configured(&self.realm) {
            return Err(Failure::usage(format!(
                "realm {} has no smtpServer, and VESTIBULE_SMTP_URL is not set: no mail can leave",
                self.realm.name
            )));
        }
        let (total, samples) = self.preview(kind, &settings)?;
        if manner.dry_run {
            return show_preview(total, &samples, manner.format);
        }
        if total == 0 {
            return Err(Failure::failed("there is nobody to mail"));
        }
        if many && !manner.yes {
            ask(total, samples.first())?;
        }
        let runtime = runtime()?;
        if let Some(plan) = plan {
            self.order(&settings.audience, plan, &runtime)?;
        }
        let store = &self.engine.store;
        let name = format!("{} from the command line", kind.as_str());
        let id = self.realm.id.clone();
        let campaign = store
            .tx(|tx| {
                let made = orders::create(tx, &self.engine.entropy, &id, (&name, kind, settings))?;
                let now = tx.now()?;
                let event = Event::new(&id, "ADMIN_CAMPAIGN_CREATE")
                    .detail("campaign", made.id.as_str())
                    .detail("command", "host");
                events::record(tx, &self.engine.entropy, now, event)?;
                Ok::<_, StoreError>(made.id)
            })
            .map_err(Failure::failed)?;
        let shown = runtime.block_on(follow(&self.engine, &campaign))?;
        report(&self.engine.store, &shown, manner.format)
    }

    fn preview(&self, kind: Kind, settings: &Settings) -> Result<(i64, Vec<Sample>), Failure> {
        let issuer = self.engine.issuer(&self.realm.name);
        let realm = &self.realm;
        self.engine
            .store
            .read(|tx| {
                let total = search::count(tx, &realm.id, &settings.audience)?;
                let samples =
                    samples::render(tx, &self.engine.mailer, (realm, &issuer), (kind, settings))?;
                Ok::<_, samples::SampleError>((total, samples))
            })
            .map_err(Failure::failed)
    }

    /// Sets actions on an audience before it is written to, so that nobody signs in with an old password meanwhile.
    fn order(
        &self,
        audience: &Audience,
        plan: Plan,
        runtime: &actix_web::rt::SystemRunner,
    ) -> Result<(), Failure> {
        let (id, entropy) = (self.realm.id.clone(), self.engine.entropy);
        let reason = plan.manner.reason.clone();
        let job = self
            .engine
            .store
            .tx(|tx| {
                let mut audience = audience.clone();
                let now = tx.now()?;
                audience.made_until = Some(now);
                let order = order::Order {
                    task: order::Task::Change(plan),
                    audience,
                    author: order::Author::Host,
                    beyond: Vec::new(),
                    reason,
                };
                let total = search::count(tx, &id, &order.audience)?;
                let job = cohort::rows::Job::new(&entropy, &id, order, (total, 0), now);
                cohort::rows::insert(tx, &job)?;
                let event = job
                    .order
                    .event(&id, "ADMIN_USERS_REQUIRED_ACTIONS", &job.id);
                events::record(tx, &entropy, now, event)?;
                Ok::<_, StoreError>(job.id)
            })
            .map_err(Failure::failed)?;
        runtime.block_on(self.carry_out(job))
    }

    async fn carry_out(&self, job: String) -> Result<(), Failure> {
        let mut interrupts = interrupts()?;
        let mut progress = Progress::new("old passwords ended");
        loop {
            cohort::work::once(&self.engine)
                .await
                .map_err(Failure::failed)?;
            let (id, realm) = (job.clone(), self.realm.id.clone());
            let look = move |store: &Store| store.read(|tx| cohort::rows::by_id(tx, &realm, &id));
            let found = self.engine.store.run(look).await.map_err(Failure::failed)?;
            let Some(job) = found else {
                return Err(Failure::failed("the job is gone"));
            };
            progress.show(job.done, job.total);
            match job.state {
                cohort::rows::State::Done => break,
                cohort::rows::State::Failed | cohort::rows::State::Cancelled => {
                    return Err(Failure::failed(format!(
                        "the job {} is {}: nobody was mailed",
                        job.id,
                        job.state.as_str()
                    )));
                }
                cohort::rows::State::Queued | cohort::rows::State::Running => tokio::select! {
                    _ = interrupts.recv() => {
                        progress.end();
                        return Err(Failure::failed(format!(
                            "stopped: {} of {} old passwords have ended, and nobody was mailed. The same command does the \
                             rest and mails",
                            job.done, job.total
                        )));
                    }
                    () = tokio::time::sleep(LOOK) => {}
                },
            }
        }
        progress.end();
        Ok(())
    }

    /// Makes links and prints them. Each is audited.
    fn print_links(&self, audience: &Audience, format: Format) -> Result<(), Failure> {
        let (engine, realm) = (&self.engine, &self.realm);
        let issuer = engine.issuer(&realm.name);
        let mut shown = Vec::new();
        let mut refused = 0_usize;
        let mut place = String::new();
        loop {
            let ids: Vec<UserId> = engine
                .store
                .read(|tx| search::ids(tx, &realm.id, audience, (&place, 100)))
                .map_err(Failure::failed)?;
            let Some(last) = ids.last() else { break };
            last.as_str().clone_into(&mut place);
            for id in &ids {
                let new = NewLink::of(realm, id, Purpose::PreRegistration, Sender::Administrator);
                let made = engine
                    .store
                    .tx(|tx| {
                        let made = link::reveal(tx, engine.mailer.tools(), &issuer, &new)?;
                        let now = tx.now()?;
                        if made.is_ok() {
                            let event = Event::new(&realm.id, "ADMIN_LINK_REVEAL")
                                .user(id)
                                .detail("command", "host");
                            events::record(tx, &engine.entropy, now, event)?;
                        }
                        let user = user::rows::by_id(tx, id)?;
                        Ok::<_, StoreError>((made, user))
                    })
                    .map_err(Failure::failed)?;
                let name = made.1.map(|user| user.username).unwrap_or_default();
                match made.0 {
                    Ok(link) => shown.push((name, link)),
                    Err(why) => {
                        refused = refused.saturating_add(1);
                        say(&format!("{name}: {why}"));
                    }
                }
            }
        }
        if format.json {
            let list: Vec<serde_json::Value> = shown
                .iter()
                .map(|(name, link)| {
                    json!({ "username": name, "link": link.link, "code": link.code,
                        "expiresAt": link.expires_at.millis() })
                })
                .collect();
            output::json(&list)?;
        } else {
            let rows: Vec<String> = shown
                .iter()
                .map(|(name, link)| format!("{name}  {}  {}", link.link, link.code))
                .collect();
            output::lines(&rows)?;
        }
        match refused {
            0 => Ok(()),
            some => Err(Failure::failed(format!("{some} got no link"))),
        }
    }
}

fn show_preview(total: i64, samples: &[Sample], format: Format) -> Result<(), Failure> {
    if format.json {
        return output::json(&json!({ "total": total, "samples": samples }));
    }
    let mut text = format!("{total} people would be mailed.");
    if let Some(sample) = samples.first() {
        text.push('\n');
        text.push_str(&sample_text(sample));
    }
    output::text(&text)
}

fn sample_text(sample: &Sample) -> String {
    format!(
        "\nTo: {} ({})\nSubject: {}\n\n{}",
        sample.email, sample.locale, sample.subject, sample.text
    )
}

/// Shows what would happen and asks. Without a terminal there is nobody to ask.
fn ask(total: i64, sample: Option<&Sample>) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "{total} people would be mailed, and there is no terminal to ask at: --dry-run shows a mail, --yes sends"
        )));
    }
    say(&format!("{total} people will be mailed."));
    if let Some(sample) = sample {
        say(&sample_text(sample));
    }
    say(
        "People should know that this mail is coming. `-u` tries it on one person, such as yourself.",
    );
    let mut err = std::io::stderr().lock();
    write!(err, "Mail {total} people? [y/N] ")
        .and_then(|()| err.flush())
        .map_err(Failure::failed)?;
    drop(err);
    let mut answer = String::new();
    let read = std::io::stdin()
        .read_line(&mut answer)
        .map_err(Failure::failed)?;
    if read == 0 {
        // Ctrl-D leaves the cursor after the question.
        say("");
    }
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("nobody was mailed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_mails_in_a_second() {
        assert_eq!(rate("20/s"), Ok(20));
        assert_eq!(rate("5"), Ok(5));
        for wrong in ["0/s", "-1", "fast", "20/m", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
