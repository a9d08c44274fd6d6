//! Bulk import: the engine on both databases, the API, the command, files that mean harm, and crashes.
//!
//! Rows of the threat list are named in the doc comments of their tests.

mod again;
mod api;
mod command;
mod crash;
mod hashes;
mod rights;
mod rules;
mod takeover;

use std::io::{Cursor, Read};
use std::sync::Arc;

use vestibule::app;
use vestibule::import::Options;
use vestibule::import::format::FileError;
use vestibule::import::jobs::{self, Job, NewJob};
use vestibule::import::run::{Ended, Importer, Progress, Source};
use vestibule::import::verdicts::{self, Verdict};
use vestibule::kernel::ImportId;
use vestibule::realm;

use crate::support::app::{REALM, TestApp};

/// A file in memory.
pub struct Bytes(pub Vec<u8>);

impl Source for Bytes {
    fn open(&self) -> Result<Box<dyn Read + Send>, FileError> {
        Ok(Box::new(Cursor::new(self.0.clone())))
    }
}

/// What an import came to.
pub struct Report {
    pub ended: Ended,
    pub rows: Vec<Verdict>,
}

impl Report {
    /// Line, state, field and reason of each row.
    pub fn said(&self) -> Vec<String> {
        self.rows
            .iter()
            .map(|row| {
                let problem = row.problem.as_ref();
                let field = problem.and_then(|problem| problem.field.clone());
                let reason = problem.map(|problem| problem.reason.clone());
                format!(
                    "{} {} {} {}",
                    row.line,
                    row.state.as_str(),
                    field.unwrap_or_default(),
                    reason.unwrap_or_default()
                )
                .trim()
                .to_owned()
            })
            .collect()
    }

    /// How many rows have that state.
    pub fn count(&self, state: &str) -> usize {
        self.rows
            .iter()
            .filter(|row| row.state.as_str() == state)
            .count()
    }
}

/// Stores a job for realm `t1`.
pub async fn job(app: &TestApp, options: &Options) -> Job {
    let options = options.clone();
    let id = ImportId::new(app.engine().entropy.random_uuid());
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
        let new = NewJob {
            id: &id,
            realm_id: &realm.id,
            source: jobs::Source::File,
            author: "test",
            options: &options,
            digest: None,
        };
        let now = tx.now()?;
        jobs::insert(tx, &new, now)?;
        Ok(jobs::in_realm(tx, &realm.id, &id)?.expect("the job"))
    })
    .await
}

/// Works a job until `watch` has enough.
pub async fn work(
    importer: &Importer,
    job: &Job,
    file: &[u8],
    watch: &(dyn Fn(Progress) -> bool + Sync),
) -> Ended {
    let held = importer
        .take(job.clone(), true)
        .await
        .expect("the database")
        .expect("the lease");
    importer
        .work(held, Arc::new(Bytes(file.to_vec())), watch)
        .await
        .expect("the import")
}

/// The verdicts of a job.
pub async fn verdicts_of(app: &TestApp, job: &Job) -> Vec<Verdict> {
    let id = job.id.clone();
    app.tx(move |tx| verdicts::list(tx, &id, None, 0, (0, 10_000_000)))
        .await
}

/// Imports a file into realm `t1` by the engine itself.
pub async fn import(app: &TestApp, options: &Options, file: impl AsRef<[u8]>) -> Report {
    let job = job(app, options).await;
    let importer = app::importer(app.engine());
    let ended = work(&importer, &job, file.as_ref(), &|_| true).await;
    Report {
        ended,
        rows: verdicts_of(app, &job).await,
    }
}

/// A CSV of so many people without passwords.
pub fn people(count: usize) -> String {
    let mut text =
        String::from("username,email,firstName,lastName,emailVerified,attribute.department\n");
    for number in 0..count {
        text.push_str(&format!(
            "person{number:07},person{number:07}@people.example,Given{number},Family{number},true,deck {}\n",
            number % 40
        ));
    }
    text
}
