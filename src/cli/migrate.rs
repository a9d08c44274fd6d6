//! `vestibule migrate`: schema and master key, so that nodes which start at once have nothing left to race for.

use serde_json::json;

use super::output::{self, Format};
use super::{Failure, boot};
use crate::config::Config;
use crate::kernel::Clock;
use crate::store::Store;

/// Options of `migrate`.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(config: &Config, options: &Options) -> Result<(), Failure> {
    boot::logging(config)?;
    let store = Store::connect(
        &boot::location(config)?,
        Clock::system(),
        config.database.pool,
    )
    .map_err(Failure::failed)?;
    let applied = store.migrate().map_err(Failure::failed)?;
    let path = &config.keys.master_key_file;
    let made = !path.exists();
    let keyring = boot::keyring(config, &store)?;
    let key_id = keyring.current.id().to_string();
    if options.format.json {
        return output::json(&json!({
            "database": store.kind(),
            "applied": applied,
            "masterKey": { "id": key_id, "file": path, "created": made },
        }));
    }
    let mut lines: Vec<String> = applied
        .iter()
        .map(|name| format!("applied {name}"))
        .collect();
    if lines.is_empty() {
        lines.push("the schema is up to date".to_owned());
    }
    lines.push(if made {
        format!(
            "made the master key {} in {}: back it up, and give it to every node",
            key_id,
            path.display()
        )
    } else {
        format!("the master key {} in {} fits", key_id, path.display())
    });
    output::lines(&lines)
}
