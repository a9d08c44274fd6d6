//! `vestibule user send-password-reset` and `user pre-register`: mailings from the host.
//!
//! They make a campaign as the admin API does, and help to send it; a server that runs beside them does its part. So
//! whatever ends this process, the campaign is in the database and can go on.

use std::path::PathBuf;
use std::sync::Arc;

use super::following::{follow, interrupts, report};
use super::output::Format;
use super::{Failure, asking, boot, ending, print_links, runtime};
use crate::admin::users::cohort;
use crate::campaign::samples::{self, Sample};
use crate::campaign::{Kind, Settings, orders};
use crate::config::Config;
use crate::mail::LONGEST_NOTE;
use crate::oidc::engine::Engine;
use crate::realm::Realm;
use crate::store::StoreError;
use crate::store::events::{self, Event};
use crate::user::audience::Audience;
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
    /// Only counts, and shows one mail where mails would go.
    #[arg(long)]
    dry_run: bool,
    /// Asks nothing before many are mailed or get a link: for scripts.
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
    let mut settings = arguments.manner.settings(audience)?;
    settings.ends_passwords = arguments.compromised;
    let again = arguments.again();
    desk.mail(
        Kind::PasswordReset,
        settings,
        (arguments.all_users, &again),
        &arguments.manner,
    )
}

impl SendPasswordReset {
    /// The same command once more, as it is typed.
    fn again(&self) -> String {
        let mut words = ["vestibule", "user", "send-password-reset", "--realm"]
            .map(str::to_owned)
            .to_vec();
        words.push(quoted(&self.realm));
        if let Some(user) = &self.user {
            words.extend(["--user".to_owned(), quoted(user)]);
        }
        if let Some(file) = &self.manner.message {
            words.extend(["--message".to_owned(), quoted(&file.display().to_string())]);
        }
        if let Some(rate) = self.manner.rate {
            words.extend(["--rate".to_owned(), format!("{rate}/s")]);
        }
        for (word, given) in [
            ("--all-users", self.all_users),
            ("--never-signed-in", self.never_signed_in),
            ("--compromised", self.compromised),
            ("--yes", self.manner.yes),
        ] {
            if given {
                words.push(word.to_owned());
            }
        }
        words.join(" ")
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./@:+,=".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

pub(super) fn pre_register(config: &Config, arguments: &PreRegister) -> Result<(), Failure> {
    if arguments.print_link {
        arguments.manner.refuse_what_mails()?;
    }
    let desk = Desk::open(config, &arguments.realm)?;
    let mut audience = desk.audience(arguments.user.as_deref())?;
    audience.has_password = arguments.all_without_password.then_some(false);
    if arguments.print_link {
        let format = arguments.manner.format;
        return if arguments.manner.dry_run {
            print_links::count(&desk, &audience, format)
        } else {
            if arguments.all_without_password && !arguments.manner.yes {
                asking::before_links(print_links::eligible(&desk, &audience)?)?;
            }
            print_links::print(&desk, &audience, format)
        };
    }
    let settings = arguments.manner.settings(audience)?;
    let many = arguments.all_without_password;
    desk.mail(
        Kind::PreRegistration,
        settings,
        (many, ""),
        &arguments.manner,
    )
}

impl MailingManner {
    /// Refuses what has a meaning for mails alone, beside an option that mails nobody.
    fn refuse_what_mails(&self) -> Result<(), Failure> {
        for (option, given) in [
            ("--message", self.message.is_some()),
            ("--rate", self.rate.is_some()),
        ] {
            if given {
                return Err(Failure::usage(format!(
                    "{option} has no effect beside --print-link, which mails nobody: leave one of them out"
                )));
            }
        }
        Ok(())
    }

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
pub(super) struct Desk {
    pub(super) engine: Arc<Engine>,
    pub(super) realm: Realm,
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
        (many, again): (bool, &str),
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
            return asking::show_preview(total, &samples, manner.format);
        }
        if total == 0 {
            return Err(Failure::failed("there is nobody to mail"));
        }
        let runtime = runtime()?;
        if settings.ends_passwords {
            ending::try_mail(self, &runtime)?;
        }
        if many && !manner.yes {
            let unreachable = settings
                .ends_passwords
                .then(|| self.without_address(&settings.audience))
                .transpose()?;
            asking::before_mails(total, unreachable, samples.first())?;
        }
        // One listener from here on, so that no Ctrl-C falls between two parts of the work.
        let mut interrupts = runtime.block_on(async { interrupts() })?;
        let ended = if settings.ends_passwords {
            let of = (&settings.audience, again);
            Some(ending::end_passwords(
                self,
                of,
                (&runtime, &mut interrupts),
            )?)
        } else {
            None
        };
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
                if let Some(job) = &ended {
                    cohort::rows::begin_telling(tx, job)?;
                }
                Ok::<_, StoreError>(made.id)
            })
            .map_err(Failure::failed)?;
        let sent = async {
            let teller = tokio::spawn(cohort::tell::run(Arc::clone(&self.engine)));
            let shown = follow(&self.engine, &campaign, &mut interrupts).await;
            teller.abort();
            shown
        };
        let shown = runtime.block_on(sent)?;
        report(&self.engine.store, &shown, manner.format)
    }

    /// How many of them have no address.
    fn without_address(&self, audience: &Audience) -> Result<i64, Failure> {
        let audience = Audience {
            has_address: Some(false),
            ..audience.clone()
        };
        let id = &self.realm.id;
        let counted = self
            .engine
            .store
            .read(|tx| search::count(tx, id, &audience));
        counted.map_err(|error: StoreError| Failure::failed(error))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_said_as_a_shell_takes_it() {
        let arguments = SendPasswordReset {
            realm: "shop".to_owned(),
            user: None,
            all_users: true,
            never_signed_in: false,
            compromised: true,
            manner: MailingManner {
                message: Some(PathBuf::from("it's new.txt")),
                rate: Some(20),
                dry_run: false,
                yes: true,
                format: Format { json: false },
            },
        };
        assert_eq!(
            arguments.again(),
            r"vestibule user send-password-reset --realm shop --message 'it'\''s new.txt' --rate 20/s --all-users --compromised --yes"
        );
    }

    #[test]
    fn a_rate_is_a_number_of_mails_in_a_second() {
        assert_eq!(rate("20/s"), Ok(20));
        assert_eq!(rate("5"), Ok(5));
        for wrong in ["0/s", "-1", "fast", "20/m", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
