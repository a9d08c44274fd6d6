//! Bulk import of people: files of four formats, read with flat memory, judged row by row, stored in chunks.
//!
//! One engine for the command line and the API, for the dry run and the real one. A job is a row of `import_jobs`; a
//! chunk of people is committed together with the job's marker and one verdict for each row, so that after a crash,
//! on whatever node, the job goes on where the marker stands (reliability ). Whoever works a job holds a
//! lease, and its token is compared in every chunk's transaction, so that a worker which slept cannot write.
//!
//! Called by the command line ([`run::Importer`]), the admin API ([`upload`], [`jobs`], [`verdicts`]) and the server's
//! worker ([`worker`]).

mod auth0;
pub mod check;
pub mod cleaner;
mod commit;
pub mod draft;
pub mod format;
mod invite;
pub mod jobs;
mod keycloak;
pub mod lease;
mod passwords;
mod plan;
mod produce;
pub mod run;
mod scan;
mod seen;
pub mod upload;
pub mod verdicts;
pub mod worker;
mod write;

use serde::{Deserialize, Serialize};

pub use format::Format;

use crate::kernel::RoleId;

/// What becomes of a row about somebody who is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// The row is rejected.
    #[default]
    Fail,
    /// The row is passed over.
    Skip,
    /// The person is changed to what the row says.
    Update,
}

impl IfExists {
    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "fail" => Some(Self::Fail),
            "skip" => Some(Self::Skip),
            "update" => Some(Self::Update),
            _ => None,
        }
    }

    /// Whether passwords are overwritten that were set here, where that is asked for.
    ///
    /// # Errors
    /// Nobody who is there already is changed at all.
    pub fn overwriting(self, asked: bool) -> Result<bool, &'static str> {
        if asked && self != Self::Update {
            return Err("overwritePasswords has a meaning with ifExists=update alone");
        }
        Ok(asked)
    }
}

/// How an import is meant. A job that is resumed goes by what it was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The format; guessed from the file where absent.
    pub format: Option<Format>,
    /// Judge everything, store nobody.
    pub dry_run: bool,
    /// What becomes of people who are there already.
    pub if_exists: IfExists,
    /// Everybody has to set a new password before anything else.
    pub require_password_reset: bool,
    /// People without a password get a link by mail once the file is through.
    pub pre_register: bool,
    /// One plain password may be that of more than three rows.
    pub allow_shared_passwords: bool,
    /// A file's password also replaces one that was set here, and its owner is told. Never where only a mailed link
    /// may set a new one.
    pub overwrite_passwords: bool,
    /// Groups and roles that do not exist are made.
    pub create_missing: bool,
    /// The roles that whoever started the import may hand out; absent on the host's command line, which may all.
    pub roles: Option<Vec<RoleId>>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Rows that have their verdict.
    pub done: i64,
    /// People made.
    pub accepted: i64,
    /// People changed.
    pub updated: i64,
    /// Rows passed over.
    pub skipped: i64,
    /// Rows refused.
    pub rejected: i64,
    /// Rows among the accepted and updated ones of which the report says something.
    pub noted: i64,
}
