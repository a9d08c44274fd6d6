//! The doctor's look at the database, the master key and the clock. It migrates nothing and makes no file.

use super::Finding;
use crate::cli::boot;
use crate::config::{Config, DatabaseUrl};
use crate::kernel::seal::MasterKey;
use crate::kernel::{Clock, Timestamp};
use crate::store::meta::{self, MASTER_KEY_FINGERPRINT};
use crate::store::{Store, StoreError, dialect};

const DATABASE: &str = "database";
const CLOCK: &str = "clock";
const KEY: &str = "master key";

/// Seconds by which a clock may differ before somebody should know (reliability R-14); beyond 30 the node is not ready.
const SKEW: i64 = 5;

/// 2026-01-01: a clock before this was never set.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// What the database says.
struct Seen {
    now: Timestamp,
    fingerprint: Option<String>,
    standbys: Option<String>,
}

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    if let DatabaseUrl::Sqlite(path) = &config.database.url
        && !path.exists()
    {
        return vec![Finding::warning(
            DATABASE,
            format!("{} is not there yet", path.display()),
            "`vestibule migrate` or the first `vestibule serve` makes it; if it should be there, mend \
             VESTIBULE_DATABASE_URL",
        )];
    }
    let location = match boot::location(config) {
        Ok(location) => location,
        Err(failure) => {
            return vec![Finding::wrong(
                DATABASE,
                failure.message,
                "mend VESTIBULE_DATABASE_URL",
            )];
        }
    };
    let pool = config.database.pool;
    // Connecting blocks, and a connection to PostgreSQL brings a runtime of its own.
    let looked = tokio::task::spawn_blocking(move || {
        let store = Store::connect(&location, Clock::system(), pool)?;
        let pending = store.pending_migrations()?;
        let seen = pending.is_empty().then(|| see(&store)).transpose()?;
        Ok::<_, StoreError>((store.kind(), pending, seen))
    });
    let unreachable = |cause: String| {
        vec![Finding::wrong(
            DATABASE,
            cause,
            "start the database, let this machine reach it, or mend VESTIBULE_DATABASE_URL",
        )]
    };
    let (kind, pending, seen) = match looked.await {
        Ok(Ok(looked)) => looked,
        Ok(Err(error @ StoreError::Schema(_))) => {
            return vec![Finding::wrong(
                DATABASE,
                error.to_string(),
                "install the version that the database was last used with, or a newer one",
            )];
        }
        Ok(Err(error)) => return unreachable(error.to_string()),
        Err(_) => return unreachable("the look at the database failed".to_owned()),
    };
    let Some(seen) = seen else {
        return vec![Finding::warning(
            DATABASE,
            format!("{kind} answers; its schema lacks {}", pending.join(", ")),
            "`vestibule migrate` or the next start of the server adds that",
        )];
    };
    let mut findings = vec![Finding::ok(
        DATABASE,
        format!("{kind} answers, and its schema is that of this version"),
    )];
    if seen.standbys.as_deref().is_some_and(str::is_empty) {
        findings.push(Finding::warning(
            DATABASE,
            "no standby is synchronous: one that is promoted after a crash may lack the last forced resets and \
             sign-outs",
            "where there are standbys, set synchronous_standby_names",
        ));
    }
    findings.push(clock(seen.now));
    findings.push(master_key(config, seen.fingerprint.as_deref()));
    findings
}

fn see(store: &Store) -> Result<Seen, StoreError> {
    store.read(|tx| {
        Ok(Seen {
            now: tx.now()?,
            fingerprint: meta::get(tx, MASTER_KEY_FINGERPRINT)?,
            standbys: dialect::synchronous_standbys(tx)?,
        })
    })
}

fn clock(database: Timestamp) -> Finding {
    let here = Clock::system().now();
    let apart = here.seconds_since(database);
    if here < EARLIEST {
        Finding::wrong(
            CLOCK,
            "it was never set",
            "set it, and keep it right by NTP",
        )
    } else if apart.abs() > SKEW {
        Finding::wrong(
            CLOCK,
            format!("it is {apart} s ahead of the database's (negative: behind)"),
            "keep both right by NTP; beyond 30 s this node takes no requests",
        )
    } else {
        Finding::ok(CLOCK, "it agrees with the database's")
    }
}

fn master_key(config: &Config, fingerprint: Option<&str>) -> Finding {
    let path = &config.keys.master_key_file;
    let checked = MasterKey::load(path).and_then(|key| {
        fingerprint.map_or(Ok(()), |known| key.check_fingerprint(known))?;
        Ok(key.id())
    });
    match checked {
        Ok(id) => Finding::ok(KEY, format!("{id} in {} fits", path.display())),
        Err(_) if fingerprint.is_none() && !path.exists() => Finding::warning(
            KEY,
            format!("{} is not there yet", path.display()),
            "`vestibule migrate` or the first `vestibule serve` makes it; back it up then",
        ),
        Err(error) => Finding::wrong(
            KEY,
            error.to_string(),
            "without the right key the server does not start, and nothing encrypted can be read",
        ),
    }
}
