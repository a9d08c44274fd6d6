//! `vestibule realm`.

use serde_json::{Map, json};

use super::output::{self, Format};
use super::{Failure, boot};
use crate::config::Config;
use crate::kernel::Entropy;
use crate::oidc::provision::{self, MASTER, Tools};
use crate::realm;
use crate::store::StoreError;

/// What can be done with realms.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes a realm with the roles, clients, scopes and keys that every realm has.
    Create {
        /// Its name, which stands in every URL: letters, digits, `-`, `_` and `.`.
        name: String,
        /// The name people see.
        #[arg(long)]
        display_name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    boot::logging(config)?;
    match command {
        Command::Create {
            name,
            display_name,
            format,
        } => create(config, name, display_name.as_deref(), *format),
    }
}

fn create(
    config: &Config,
    name: &str,
    display_name: Option<&str>,
    format: Format,
) -> Result<(), Failure> {
    if !realm::valid_name(name) {
        return Err(Failure::usage(format!(
            "{name:?} cannot be a realm's name: it stands in URLs, so it has letters, digits, `-`, `_` and `.` only"
        )));
    }
    let store = boot::existing_store(config)?;
    let keyring = boot::keyring(config, &store)?;
    let settings: Map<_, _> = display_name
        .map(|text| ("displayName".to_owned(), json!(text)))
        .into_iter()
        .collect();
    let made = store
        .tx(|tx| {
            // Without master nobody could administer the new realm.
            if realm::rows::by_name(tx, MASTER)?.is_none() {
                return Ok::<_, StoreError>(Err(Failure::failed(
                    "there is no administrator yet: start the server once, or run `vestibule admin create`",
                )));
            }
            let tools = Tools {
                keyring: &keyring,
                entropy: &Entropy,
            };
            let made = provision::create_realm(tx, tools, (None, name, true), settings)?;
            Ok(made.ok_or_else(|| Failure::failed(format!("there is a realm {name:?} already"))))
        })
        .map_err(Failure::failed)??;
    let issuer = format!("{}{}", config.public_url.base(), made.path());
    if format.json {
        output::json(&json!({ "id": made.id, "realm": made.name, "issuer": issuer }))
    } else {
        output::lines(&[
            format!("made the realm {}", made.name),
            format!("issuer {issuer}"),
        ])
    }
}
