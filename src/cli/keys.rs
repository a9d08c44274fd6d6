//! `vestibule keys`: signing keys by realm, the key of links, and the way into `rotate-master`.
//!
//! A key is published before it signs, so that no client meets a signature whose key it cannot have seen, and stays
//! published after it has signed its last token (reliability R-16).

use serde_json::json;

use super::output::{self, Format};
use super::{Failure, boot, rotate_master};
use crate::config::Config;
use crate::kernel::{Entropy, Timestamp};
use crate::oidc::issue::{
    Algorithm, KeyState, KeySummary, create_key, delete_key, list_keys, set_key_state,
};
use crate::oidc::provision::MASTER;
use crate::realm::{self, Realm};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::{link, mail};

/// Seconds between a key's publication and its first signature: what clients keep of a JWKS (`max-age=300`), and a
/// minute.
const PUBLISHED_FIRST: i64 = 360;

/// What can be done with keys.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Shows the signing keys.
    List {
        /// Of this realm only.
        #[arg(long)]
        realm: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Makes the next signing key of a realm; --activate lets it sign a few minutes later.
    Rotate(Rotate),
    /// Deletes a signing key that no longer signs: what it signed verifies no more.
    Remove {
        /// The realm.
        #[arg(long)]
        realm: String,
        /// The key's id.
        kid: String,
    },
    /// Makes a new key for the links from now on, of every realm. Those that were mailed go on working.
    RotateLinks {
        #[command(flatten)]
        format: Format,
    },
    /// Seals everything anew under a new master key. The server must be stopped.
    RotateMaster(rotate_master::Options),
}

/// Options of `keys rotate`.
#[derive(clap::Args)]
pub(super) struct Rotate {
    /// The realm.
    #[arg(long)]
    realm: String,
    /// The algorithm; the realm's default one if not said.
    #[arg(long)]
    algorithm: Option<String>,
    /// The published key signs from now on; the one before it only verifies.
    #[arg(long)]
    activate: bool,
    /// Does not wait for clients to have seen the new key: after a leak. Makes one where none is published.
    #[arg(long, requires = "activate")]
    now: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    boot::logging(config)?;
    match command {
        Command::List { realm, format } => list(config, realm.as_deref(), *format),
        Command::Rotate(options) => rotate(config, options),
        Command::Remove { realm, kid } => remove(config, realm, kid),
        Command::RotateLinks { format } => rotate_links(config, *format),
        Command::RotateMaster(options) => rotate_master::run(config, *options),
    }
}

fn as_json(key: &KeySummary) -> serde_json::Value {
    json!({
        "realm": key.realm,
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": key.state,
        "createdAt": key.created_at.millis(),
    })
}

fn list(config: &Config, realm: Option<&str>, format: Format) -> Result<(), Failure> {
    let store = boot::existing_store(config)?;
    let realm = realm.map(|name| boot::realm(&store, name)).transpose()?;
    let (keys, now) = store
        .read(|tx| {
            let keys = list_keys(tx, realm.as_ref().map(|realm| &realm.id))?;
            Ok::<_, StoreError>((keys, tx.now()?))
        })
        .map_err(Failure::failed)?;
    if format.json {
        return output::json(&keys.iter().map(as_json).collect::<Vec<_>>());
    }
    let rows: Vec<[String; 5]> = keys.into_iter().map(|key| row(key, now)).collect();
    output::rows(["realm", "algorithm", "state", "age", "key"], &rows)
}

fn row(key: KeySummary, now: Timestamp) -> [String; 5] {
    let seconds = now.seconds_since(key.created_at).max(0);
    let age = match seconds {
        0..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    [key.realm, key.algorithm, key.state, age, key.kid]
}

/// What a rotation came to.
enum Outcome {
    Published(String),
    Activated { kid: String, before: Vec<String> },
    Refused(String),
}

fn rotate(config: &Config, options: &Rotate) -> Result<(), Failure> {
    let store = boot::existing_store(config)?;
    let realm = boot::realm(&store, &options.realm)?;
    let wanted = options
        .algorithm
        .as_deref()
        .unwrap_or(&realm.settings.default_signature_algorithm);
    let algorithm = Algorithm::parse(wanted).ok_or_else(|| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|one| one.as_str()).collect();
        Failure::usage(format!(
            "{wanted:?} is no algorithm of this server; there are: {}",
            known.join(", ")
        ))
    })?;
    let keyring = boot::keyring(config, &store)?;
    let make =
        |tx: &mut Tx<'_>, state| create_key(tx, &realm.id, algorithm, state, (&keyring, &Entropy));
    let outcome = store
        .tx(|tx| {
            let keys: Vec<KeySummary> = list_keys(tx, Some(&realm.id))?
                .into_iter()
                .filter(|key| key.algorithm == algorithm.as_str())
                .collect();
            let next = keys
                .iter()
                .find(|key| key.state == KeyState::Next.as_str());
            let outcome = match (options.activate, next) {
                (false, Some(next)) => Outcome::Refused(format!(
                    "the key {} is published already: --activate lets it sign",
                    next.kid
                )),
                (false, None) => Outcome::Published(make(tx, KeyState::Next)?),
                (true, None) if !options.now => Outcome::Refused(
                    "no key is published that could sign next: run this without --activate first"
                        .to_owned(),
                ),
                (true, Some(next)) if !options.now && wait(next, tx.now()?) > 0 => {
                    Outcome::Refused(format!(
                        "clients may not have seen the key {} yet: try again in {} s, or after a leak with --now",
                        next.kid,
                        wait(next, tx.now()?)
                    ))
                }
                (true, next) => {
                    let kid = match next {
                        Some(next) => next.kid.clone(),
                        None => make(tx, KeyState::Next)?,
                    };
                    activate(tx, &realm, kid, &keys)?
                }
            };
            note(tx, &realm, &outcome)?;
            Ok::<_, StoreError>(outcome)
        })
        .map_err(Failure::failed)?;
    say(outcome, options.format)
}

/// A link names the version of its key, so a new one ends none; servers see it with the next link that they make.
fn rotate_links(config: &Config, format: Format) -> Result<(), Failure> {
    let store = boot::existing_store(config)?;
    let keyring = boot::keyring(config, &store)?;
    let tools = mail::Tools {
        keyring: &keyring,
        entropy: &Entropy,
    };
    let version = store
        .tx(|tx| {
            let version = link::keys::rotate(tx, tools)?;
            let now = tx.now()?;
            // The key is every realm's, and so is the event the operator's.
            if let Some(master) = realm::rows::by_name(tx, MASTER)? {
                let event = Event::new(&master.id, "KEY_ROTATED")
                    .detail("of", "links")
                    .detail("version", version);
                events::record(tx, &Entropy, now, event)?;
            }
            Ok::<_, StoreError>(version)
        })
        .map_err(Failure::failed)?;
    if format.json {
        return output::json(&json!({ "version": version }));
    }
    output::lines(&[
        format!("links are made under key {version} from now on"),
        "those that were mailed go on working, until they end by themselves".to_owned(),
    ])
}

/// Seconds until every client has seen the key.
fn wait(key: &KeySummary, now: Timestamp) -> i64 {
    PUBLISHED_FIRST.saturating_sub(now.seconds_since(key.created_at))
}

fn activate(
    tx: &mut Tx<'_>,
    realm: &Realm,
    kid: String,
    keys: &[KeySummary],
) -> Result<Outcome, StoreError> {
    let mut before = Vec::new();
    for key in keys
        .iter()
        .filter(|key| key.state == KeyState::Active.as_str())
    {
        set_key_state(tx, &realm.id, &key.kid, KeyState::Passive)?;
        before.push(key.kid.clone());
    }
    set_key_state(tx, &realm.id, &kid, KeyState::Active)?;
    Ok(Outcome::Activated { kid, before })
}

fn note(tx: &mut Tx<'_>, realm: &Realm, outcome: &Outcome) -> Result<(), StoreError> {
    let (kid, state) = match outcome {
        Outcome::Published(kid) => (kid, KeyState::Next),
        Outcome::Activated { kid, .. } => (kid, KeyState::Active),
        Outcome::Refused(_) => return Ok(()),
    };
    let event = Event::new(&realm.id, "KEY_ROTATED")
        .detail("kid", kid.as_str())
        .detail("state", state.as_str());
    let now = tx.now()?;
    events::record(tx, &Entropy, now, event)
}

fn say(outcome: Outcome, format: Format) -> Result<(), Failure> {
    match outcome {
        Outcome::Refused(why) => Err(Failure::failed(why)),
        Outcome::Published(kid) if format.json => output::json(
            &json!({ "kid": kid, "state": "next", "activateAfterSeconds": PUBLISHED_FIRST }),
        ),
        Outcome::Published(kid) => output::lines(&[
            format!("published the key {kid}; it signs nothing yet"),
            format!("in {PUBLISHED_FIRST} s run this again with --activate"),
        ]),
        Outcome::Activated { kid, before } if format.json => {
            output::json(&json!({ "kid": kid, "state": "active", "passive": before }))
        }
        Outcome::Activated { kid, before } => {
            let mut lines = vec![format!("the key {kid} signs from now on")];
            lines.extend(before.iter().map(|kid| {
                format!("the key {kid} only verifies; `keys remove` deletes it once its tokens have expired")
            }));
            output::lines(&lines)
        }
    }
}

fn remove(config: &Config, realm: &str, kid: &str) -> Result<(), Failure> {
    let store = boot::existing_store(config)?;
    let realm = boot::realm(&store, realm)?;
    store
        .tx(|tx| {
            let keys = list_keys(tx, Some(&realm.id))?;
            let Some(key) = keys.iter().find(|key| key.kid == kid) else {
                return Ok::<_, StoreError>(Err(Failure::usage(format!(
                    "the realm has no key {kid}: `vestibule keys list` shows those there are"
                ))));
            };
            if key.state == KeyState::Active.as_str() {
                return Ok(Err(Failure::failed(format!(
                    "the key {kid} signs: let another one sign first, by `keys rotate` with --activate"
                ))));
            }
            delete_key(tx, &realm.id, kid)?;
            let event = Event::new(&realm.id, "KEY_ROTATED")
                .detail("kid", kid)
                .detail("state", "removed");
            let now = tx.now()?;
            events::record(tx, &Entropy, now, event)?;
            Ok(Ok(()))
        })
        .map_err(Failure::failed)??;
    output::lines(&[format!("removed the key {kid}")])
}
