//! Where the data lies, and the cache beside it. Read by `store` and `session::cache` through the
//! composition root.

use super::secret::Secret;
use super::settings::{DATABASE_POOL, DATABASE_URL, REDIS_URL};
use super::sources::{Reported, Sources};
use std::path::PathBuf;

/// Connections to the database where none are configured: enough for two cores' worth of
/// requests, and ten nodes of them fit into PostgreSQL's default of 100.
const DEFAULT_POOL: usize = 10;

/// The database.
#[derive(Clone)]
pub struct Database {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Connections this node holds at most.
    pub pool: usize,
}

/// Which database, and where.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file, made if it is not there; relative to the working directory.
    Sqlite(PathBuf),
    /// The whole address, with the password in it.
    Postgres(Secret),
}

/// What nodes share beside the database.
#[derive(Clone)]
pub struct Cache {
    /// The address of Redis; `None` keeps the cache in this process.
    pub redis_url: Option<Secret>,
}

impl Database {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let url = sources.read(&DATABASE_URL, parse);
        let pool = sources.number(&DATABASE_POOL, 1000);
        Ok(Self {
            url: url?.unwrap_or_else(|| DatabaseUrl::Sqlite("data/vestibule.db".into())),
            pool: pool?.unwrap_or(DEFAULT_POOL),
        })
    }
}

impl Cache {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let redis_url = sources.read(&REDIS_URL, |text| match text.split_once("://") {
            Some((
                "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "redis+sentinel"
                | "rediss+sentinel",
                rest,
            )) if !rest.is_empty() => Ok(Secret::new(text)),
            _ => Err("it is not an address of Redis".to_owned()),
        })?;
        Ok(Self { redis_url })
    }
}

fn parse(text: &str) -> Result<DatabaseUrl, String> {
    let refused = |reason: &str| Err(reason.to_owned());
    match text.split_once("://") {
        Some((_, "")) => refused("nothing follows `://`"),
        Some(("sqlite", path)) if path.contains('?') => {
            refused("a SQLite address takes no options")
        }
        Some(("sqlite", path)) => Ok(DatabaseUrl::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => Ok(DatabaseUrl::Postgres(Secret::new(text))),
        _ => refused("this database is not supported"),
    }
}
