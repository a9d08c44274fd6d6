//! `vestibule admin`: administrators made and let in again by whoever has the host (reliability H030).
//!
//! Nobody types a password here. The one that is made is shown once and good for one sign-in: its person is gated and
//! sets another.

use serde_json::json;

use super::output::{self, Format};
use super::{Failure, boot, runtime};
use crate::app::{self, FirstAdmin, FirstPassword, FirstSecret};
use crate::config::Config;
use crate::kernel::Entropy;
use crate::login::password::forget_tries;
use crate::oidc::engine::Engine;
use crate::oidc::provision::{self, MASTER, Tools};
use crate::password::{Password, PasswordHash, Salt};
use crate::realm::{self, Realm};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::user::rows::Conflict;
use crate::{role, user};

/// What can be done about administrators.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes an administrator in realm master and prints a one-time password.
    Create(Who),
    /// Gives an administrator a new one-time password and ends every session. Recorded as BREAKGLASS.
    Reset(Who),
}

/// Whom it is about.
#[derive(clap::Args)]
pub(super) struct Who {
    /// The user name.
    username: String,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(config: &Config, command: Command) -> Result<(), Failure> {
    boot::logging(config)?;
    match command {
        Command::Create(who) => create(config, &who),
        Command::Reset(who) => reset(config, &who),
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
        password: FirstPassword::OneTime,
    };
    let runtime = runtime()?;
    if let Some(FirstSecret::OneTime(password)) = runtime
        .block_on(app::bootstrap(&engine, first))
        .map_err(Failure::failed)?
    {
        return show(&engine, &username, &password, who.format);
    }
    let (password, hash) = runtime.block_on(one_time(&engine))?;
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
            set_one_time(tx, &master, &user, &hash, "admin create")?;
            Ok(Ok(()))
        })
        .map_err(Failure::failed)?;
    made?;
    show(&engine, &username, &password, who.format)
}

fn reset(config: &Config, who: &Who) -> Result<(), Failure> {
    // Looked for first, so that a mistyped path makes no new database.
    boot::existing_store(config)?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    let (password, hash) = runtime()?.block_on(one_time(&engine))?;
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
            set_one_time(tx, &master, &user, &hash, "admin reset")?;
            forget_tries(tx, &user)?;
            Ok(Ok(user))
        })
        .map_err(Failure::failed)?;
    let user = found?;
    if !user.enabled {
        warn(&format!(
            "{} is switched off and stays so: another administrator can switch them on, and `vestibule admin create` \
             makes one",
            user.username
        ));
    }
    show(&engine, &user.username, &password, who.format)
}

fn set_one_time(
    tx: &mut Tx<'_>,
    master: &Realm,
    user: &User,
    hash: &PasswordHash,
    command: &str,
) -> Result<(), StoreError> {
    let secret = (hash.as_str(), None, true);
    provision::set_password_by_admin(tx, &Entropy, master, &user.id, secret)?;
    let event = Event::new(&master.id, "BREAKGLASS")
        .user(&user.id)
        .detail("command", command);
    let now = tx.now()?;
    events::record(tx, &Entropy, now, event)
}

fn show(engine: &Engine, username: &str, password: &str, format: Format) -> Result<(), Failure> {
    let place = format!(
        "{}/login-actions/required-action?client_id=security-admin-console",
        engine.issuer(MASTER)
    );
    if format.json {
        return output::json(&json!({
            "username": username, "temporaryPassword": password, "signInAt": place,
        }));
    }
    output::lines(&[
        format!("user      {username}"),
        format!("password  {password}"),
        "The password is good for one sign-in, which asks for another one:".to_owned(),
        place,
    ])
}

#[expect(
    clippy::print_stderr,
    reason = "the command line's own words to the person at the terminal"
)]
fn warn(text: &str) {
    eprintln!("vestibule: {text}");
}
