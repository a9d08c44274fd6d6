//! `vestibule admin`: administrators made and let in again by whoever has the host (reliability H030).
//!
//! Nobody types a password here. The one that is made is shown once and good for one sign-in: its person is gated and
//! sets another. With `--print-link` there is no password at all until its person has opened the link and set one.

use serde_json::json;

use super::output::{self, Format};
use super::{Failure, boot, runtime};
use crate::action::{assign, everyone};
use crate::app::{self, FirstAdmin, FirstPassword, FirstSecret};
use crate::config::Config;
use crate::kernel::Entropy;
use crate::link::{self, NewLink, Purpose, Revealed, Sender};
use crate::login::password::forget_tries;
use crate::oidc::engine::Engine;
use crate::oidc::provision::{self, MASTER, Tools};
use crate::password::{Password, PasswordHash, Salt};
use crate::realm::{self, Realm};
use crate::store::dialect::{Lock, lock_user};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::rows::Conflict;
use crate::user::{User, credential};
use crate::{role, user};

/// What can be done about administrators.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes an administrator in realm master and prints a one-time password, or a link.
    Create(Who),
    /// Gives an administrator a new one-time password, or a link, and ends every session. Recorded as BREAKGLASS.
    Reset(Who),
    /// Ends every session, token, code and link of everybody in every realm: after a backup was restored, or a leak.
    /// Recorded as BREAKGLASS.
    RevokeEverything {
        /// Yes, everybody shall have to sign in again.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        format: Format,
    },
}

/// Whom it is about.
#[derive(clap::Args)]
pub(super) struct Who {
    /// The user name.
    username: String,
    /// Prints a link to set a password with, in the place of a one-time password.
    #[arg(long)]
    print_link: bool,
    #[command(flatten)]
    format: Format,
}

/// How an administrator is let in. Made before the transaction, because hashing takes its time.
enum Way {
    OneTime(String, PasswordHash),
    Link,
}

/// What is shown for it, once.
enum Shown {
    Password(String),
    Link(Box<Revealed>),
}

impl Way {
    async fn of(engine: &Engine, who: &Who) -> Result<Self, Failure> {
        if who.print_link {
            return Ok(Self::Link);
        }
        let (password, hash) = one_time(engine).await?;
        Ok(Self::OneTime(password, hash))
    }
}

pub(super) fn run(config: &Config, command: Command) -> Result<(), Failure> {
    boot::logging(config)?;
    match command {
        Command::Create(who) => create(config, &who),
        Command::Reset(who) => reset(config, &who),
        Command::RevokeEverything { yes, format } => revoke_everything(config, yes, format),
    }
}

/// A one-time password and its hash.
async fn one_time(engine: &Engine) -> Result<(String, PasswordHash), Failure> {
    let fill = |out: &mut [u8]| engine.entropy.fill(out);
    let text = crate::password::suggest(fill);
    let password = Password::parse(&text).map_err(Failure::failed)?;
    let hash = engine
        .hasher
        .hash(password, Salt::new(fill))
        .await
        .map_err(|_| Failure::failed("the hasher is busy"))?;
    Ok((text, hash))
}

// The database is spoken to outside the runtime: PostgreSQL's connections block, which an async thread must not.

fn create(config: &Config, who: &Who) -> Result<(), Failure> {
    let username = user::name::parse_username(&who.username)
        .map_err(|error| Failure::usage(format!("the user name {error}")))?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    // Where there is no realm master yet, this is its first administrator.
    let first = FirstAdmin {
        username: username.clone(),
        password: if who.print_link {
            FirstPassword::ByLink
        } else {
            FirstPassword::OneTime
        },
    };
    let runtime = runtime()?;
    let secret = runtime.block_on(app::bootstrap(&engine, first));
    match secret.map_err(Failure::failed)? {
        Some(FirstSecret::OneTime(password)) => {
            return show(&engine, &username, &Shown::Password(password), who.format);
        }
        Some(FirstSecret::Link(link)) => {
            return show(&engine, &username, &Shown::Link(link), who.format);
        }
        None => {}
    }
    let way = runtime.block_on(Way::of(&engine, who))?;
    let made = engine
        .store
        .tx(|tx| {
            let Some(master) = realm::rows::by_name(tx, MASTER)? else {
                return Ok::<_, StoreError>(Err(Failure::failed("there is no realm master")));
            };
            let tools = Tools {
                keyring: &engine.keyring,
                entropy: &Entropy,
            };
            let user = provision::blank_user(tx, tools, &master, &username)?;
            if let Err(Conflict::Username | Conflict::Email) =
                provision::create_user(tx, &master, &user, &[])?
            {
                return Ok(Err(Failure::failed(format!(
                    "there is a user {username:?} already: `vestibule admin reset` lets them in again"
                ))));
            }
            let graph = role::rows::graph(tx, &master.id)?;
            let Some(admin) = graph.named(None, "admin") else {
                return Ok(Err(Failure::failed("realm master has no role `admin`")));
            };
            role::rows::assign(tx, &user.id, &admin.id)?;
            let_in(tx, &engine, (&master, &user), (way, "admin create"))
        })
        .map_err(Failure::failed)?;
    show(&engine, &username, &made?, who.format)
}

fn reset(config: &Config, who: &Who) -> Result<(), Failure> {
    // Looked for first, so that a mistyped path makes no new database.
    boot::existing_store(config)?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    let way = runtime()?.block_on(Way::of(&engine, who))?;
    let found = engine
        .store
        .tx(|tx| {
            let nobody = || {
                Err(Failure::usage(format!(
                    "realm master has no user {:?}: `vestibule admin create` makes one",
                    who.username
                )))
            };
            let Some(master) = realm::rows::by_name(tx, MASTER)? else {
                return Ok::<_, StoreError>(nobody());
            };
            let found = user::rows::by_login(tx, &master.id, &who.username)?
                .filter(|user| user.service_client.is_none());
            let Some(user) = found else {
                return Ok(nobody());
            };
            if who.print_link && !user.enabled {
                return Ok(Err(Failure::failed(format!(
                    "{} is switched off, and a link lets nobody in who is: another administrator can switch them on, \
                     and `vestibule admin create` makes one",
                    user.username
                ))));
            }
            let shown = let_in(tx, &engine, (&master, &user), (way, "admin reset"))?;
            forget_tries(tx, &user)?;
            Ok(shown.map(|shown| (user, shown)))
        })
        .map_err(Failure::failed)?;
    let (user, shown) = found?;
    if !user.enabled {
        warn(&format!(
            "{} is switched off and stays so: another administrator can switch them on, and `vestibule admin create` \
             makes one",
            user.username
        ));
    }
    show(&engine, &user.username, &shown, who.format)
}

fn revoke_everything(config: &Config, yes: bool, format: Format) -> Result<(), Failure> {
    if !yes {
        return Err(Failure::usage(
            "this signs everybody out, in every realm: say --yes if that is what you want",
        ));
    }
    let store = boot::existing_store(config)?;
    let people = everyone::end_everything(&store, &Entropy).map_err(Failure::failed)?;
    store
        .tx(|tx| {
            let Some(master) = realm::rows::by_name(tx, MASTER)? else {
                return Ok::<_, StoreError>(());
            };
            let now = tx.now()?;
            let event = Event::new(&master.id, "BREAKGLASS")
                .detail("command", "admin revoke-everything")
                .detail("people", people);
            events::record(tx, &Entropy, now, event)
        })
        .map_err(Failure::failed)?;
    if format.json {
        return output::json(&json!({ "people": people }));
    }
    output::lines(&[format!(
        "ended every session, token and code of {people} people and service accounts; set again what was set since \
         the backup: forced resets, switched-off people, new passwords"
    )])
}

/// Lets an administrator in: by a password that is good once, or by none until their link has set one. Either way
/// everything that was theirs has ended.
fn let_in(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (master, user): (&Realm, &User),
    (way, command): (Way, &str),
) -> Result<Result<Shown, Failure>, StoreError> {
    let entropy = &engine.entropy;
    lock_user(tx, &user.id, Lock::Update)?;
    let shown = match way {
        Way::OneTime(password, hash) => {
            let secret = (hash.as_str(), None, true);
            provision::set_password_by_admin(tx, entropy, master, &user.id, secret)?;
            Shown::Password(password)
        }
        Way::Link => {
            if let Some(old) = credential::password(tx, &user.id)? {
                credential::delete(tx, &user.id, &old.id)?;
            }
            assign::end_everything(tx, &user.id, entropy)?;
            let (purpose, sender) = (Purpose::PreRegistration, Sender::Administrator);
            let new = NewLink::of(master, &user.id, purpose, sender);
            match link::reveal(tx, engine.mailer.tools(), &engine.issuer(MASTER), &new)? {
                Ok(link) => Shown::Link(Box::new(link)),
                Err(why) => return Ok(Err(Failure::failed(format!("no link was made: {why}")))),
            }
        }
    };
    let event = Event::new(&master.id, "BREAKGLASS")
        .user(&user.id)
        .detail("command", command);
    let now = tx.now()?;
    events::record(tx, entropy, now, event)?;
    Ok(Ok(shown))
}

fn show(engine: &Engine, username: &str, shown: &Shown, format: Format) -> Result<(), Failure> {
    let place = format!(
        "{}/login-actions/required-action?client_id=security-admin-console",
        engine.issuer(MASTER)
    );
    match shown {
        Shown::Password(password) if format.json => output::json(&json!({
            "username": username, "temporaryPassword": password, "signInAt": place,
        })),
        Shown::Password(password) => output::lines(&[
            format!("user      {username}"),
            format!("password  {password}"),
            "The password is good for one sign-in, which asks for another one:".to_owned(),
            place,
        ]),
        Shown::Link(link) if format.json => output::json(&json!({
            "username": username, "link": link.link, "expiresAt": link.expires_at.millis(),
        })),
        Shown::Link(link) => output::lines(&[
            format!("user  {username}"),
            "Open this link within seven days and set a password; it works once:".to_owned(),
            link.link.clone(),
        ]),
    }
}

fn warn(text: &str) {
    output::say(&format!("vestibule: {text}"));
}
