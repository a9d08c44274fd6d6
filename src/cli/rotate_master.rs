//! `vestibule keys rotate-master`: everything sealed anew under a new master key.
//!
//! Three steps, each of which can be the last one before a crash; running the command again goes on from there:
//!
//! 1. The new key is written to `<file>.next`, beside the old one, and is on the disk.
//! 2. One transaction seals everything anew and stores the new key's fingerprint.
//! 3. The old key's file is kept as `<file>.old-<id>`, and the new one takes its place.
//!
//! Until 2 has committed the old key is the right one; from then on the new one is, and `serve` says so where 3 is
//! missing. No server may run meanwhile: it would go on sealing under the old key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::output::{self, Format};
use super::{Failure, boot};
use crate::config::Config;
use crate::kernel::Entropy;
use crate::kernel::seal::{Keyring, MasterKey};
use crate::oidc::provision::{MASTER, Tools};
use crate::oidc::reseal::{self, Resealed};
use crate::realm;
use crate::store::events::{self, Event};
use crate::store::meta::{self, MASTER_KEY_FINGERPRINT};
use crate::store::{Store, StoreError, dialect};

/// Options of `keys rotate-master`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    format: Format,
}

/// Where the new key waits until the database is done.
pub(super) fn next_file(path: &Path) -> PathBuf {
    beside(path, "next")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn run(config: &Config, options: Options) -> Result<(), Failure> {
    let _serving = boot::serving(config)?;
    let store = boot::existing_store(config)?;
    refuse_beside_servers(&store)?;
    let path = &config.keys.master_key_file;
    let next = next_file(path);
    let known = store
        .read(|tx| meta::get(tx, MASTER_KEY_FINGERPRINT))
        .map_err(|error: StoreError| Failure::failed(error))?;
    let Some(known) = known else {
        return Err(Failure::failed(
            "the database holds nothing encrypted yet: there is no master key to rotate",
        ));
    };
    let random = |out: &mut [u8]| Entropy.fill(out);
    let new = MasterKey::load_or_create(&next, true, &random).map_err(Failure::failed)?;
    let new_id = new.id().to_string();
    let old = MasterKey::load(path).map_err(Failure::usage)?;
    let old_id = old.id().to_string();
    // `None`: an earlier run got as far as the commit, and only the files are left to do.
    let resealed = if new.fingerprint() == known {
        None
    } else {
        old.check_fingerprint(&known).map_err(Failure::usage)?;
        Some(seal_anew(&store, old, new)?)
    };
    let kept = beside(path, &format!("old-{old_id}"));
    replace(path, &next, &kept).map_err(|cause| {
        Failure::failed(format!(
            "the database is sealed under the new key, and its file {} cannot take the place of {}: {cause}. \
             Run this again once that is mended",
            next.display(),
            path.display()
        ))
    })?;
    if options.format.json {
        return output::json(&json!({
            "masterKey": { "id": new_id, "file": path },
            "old": { "id": old_id, "file": kept },
            "resealed": resealed,
        }));
    }
    let done = match resealed {
        None => "finished the rotation that was interrupted".to_owned(),
        Some(count) => format!(
            "sealed anew: {} signing keys, {} client secrets, {} passwords of mail servers, {} mails",
            count.signing_keys, count.client_secrets, count.smtp_passwords, count.mails
        ),
    };
    output::lines(&[
        done,
        format!(
            "{} holds the new master key {new_id}: give it to every node, and back it up",
            path.display()
        ),
        format!(
            "{} holds the old one {old_id}: backups of the database from before need it",
            kept.display()
        ),
    ])
}

/// On PostgreSQL the nodes are seen by their connections; on SQLite the lock has told already.
fn refuse_beside_servers(store: &Store) -> Result<(), Failure> {
    let mut others = 0;
    // A connection that is just being closed, of this process or of a node that was stopped, is counted for a moment.
    for _ in 0..25 {
        others = store
            .read(dialect::other_connections)
            .map_err(|error: StoreError| Failure::failed(error))?;
        if others == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(Failure::failed(format!(
        "{others} connections of vestibule are open on this database: stop every node first"
    )))
}

fn seal_anew(store: &Store, old: MasterKey, new: MasterKey) -> Result<Resealed, Failure> {
    let fingerprint = new.fingerprint();
    let key_id = new.id().to_string();
    let keyring = Keyring {
        current: new,
        older: vec![old],
    };
    let tools = Tools {
        keyring: &keyring,
        entropy: &Entropy,
    };
    store
        .tx(|tx| {
            let resealed = reseal::everything(tx, tools)?;
            meta::put(tx, MASTER_KEY_FINGERPRINT, &fingerprint)?;
            if let Some(master) = realm::rows::by_name(tx, MASTER)? {
                let event = Event::new(&master.id, "KEY_ROTATED")
                    .detail("key", "master")
                    .detail("id", key_id.as_str());
                let now = tx.now()?;
                events::record(tx, &Entropy, now, event)?;
            }
            Ok(resealed)
        })
        .map_err(|error: StoreError| Failure::failed(error))
}

/// Keeps the old file under another name, then puts the new one in its place in one step.
fn replace(path: &Path, next: &Path, kept: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(path, kept) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(next, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}
