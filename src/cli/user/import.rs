//! `vestibule user import`: the engine of the API, on a file of this host, with its progress on the terminal.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use crate::app;
use crate::cli::output::{self, Format as Output};
use crate::cli::{Failure, boot, runtime};
use crate::config::Config;
use crate::import::format::FileError;
use crate::import::jobs::{self, Job, NewJob};
use crate::import::run::{Ended, Importer, Progress, Source, Stop};
use crate::import::verdicts::{self, State, Verdict};
use crate::import::{Counts, Format, IfExists, Options};
use crate::kernel::ImportId;
use crate::realm::Realm;
use crate::store::{Store, StoreError};

/// How many verdicts are read at once.
const PORTION: i64 = 1000;
/// Without a terminal, a line whenever so many percent more are done.
const STEP: i64 = 10;

/// Options of `user import`.
#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The realm that the people come into.
    #[arg(long)]
    realm: String,
    /// The file.
    file: PathBuf,
    /// Its format; told from the file where absent.
    #[arg(long, value_parser = ["csv", "ndjson", "keycloak", "auth0"])]
    format: Option<String>,
    /// Judges every row and stores nobody.
    #[arg(long)]
    dry_run: bool,
    /// What becomes of people who are there already.
    #[arg(long, default_value = "fail", value_parser = ["skip", "update", "fail"])]
    if_exists: String,
    /// Everybody has to set a new password before anything else.
    #[arg(long)]
    require_password_reset: bool,
    /// People without a password get a link by mail to set one, once the file is through.
    #[arg(long)]
    pre_register: bool,
    /// Goes on with an import of this file that was stopped.
    #[arg(long)]
    resume: bool,
    /// Takes one plain password that more than three rows share.
    #[arg(long)]
    allow_shared_passwords: bool,
    /// With `--if-exists update`: a password of the file also replaces one that was set here, and its owner is told.
    #[arg(long)]
    overwrite_passwords: bool,
    /// Makes the groups and realm roles that rows name and that do not exist.
    #[arg(long)]
    create_missing: bool,
    #[command(flatten)]
    output: Output,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            format: self.format.as_deref().and_then(Format::parse),
            dry_run: self.dry_run,
            if_exists: IfExists::parse(&self.if_exists).unwrap_or_default(),
            require_password_reset: self.require_password_reset,
            pre_register: self.pre_register,
            allow_shared_passwords: self.allow_shared_passwords,
            overwrite_passwords: self.overwrite_passwords,
            create_missing: self.create_missing,
            // Whoever has the host may hand out every role.
            roles: None,
        }
    }
}

/// A file of this host.
struct OnDisk(PathBuf);

impl Source for OnDisk {
    fn open(&self) -> Result<Box<dyn Read + Send>, FileError> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.overwrite_passwords && arguments.if_exists != "update" {
        return Err(Failure::usage(
            "--overwrite-passwords has a meaning with --if-exists update alone",
        ));
    }
    boot::logging_beside_a_bar(config)?;
    let digest = digest(&arguments.file)
        .map_err(|error| Failure::usage(format!("{}: {error}", arguments.file.display())))?;
    boot::existing_store(config)?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    let realm = boot::realm(&engine.store, &arguments.realm)?;
    let importer = app::importer(&engine);
    let job = job(&importer, &realm, arguments, &digest)?;
    let id = job.id.clone();
    let ended = runtime()?.block_on(work(&importer, job, arguments))?;
    let campaign = engine
        .store
        .read(|tx| jobs::in_realm(tx, &realm.id, &id))
        .map_err(|error: StoreError| Failure::failed(error))?
        .and_then(|job| job.campaign);
    finish(&engine.store, arguments, (&id, campaign.as_deref()), ended)
}

/// SHA-256 of the file, by which `--resume` knows it again.
fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(URL_SAFE_NO_PAD.encode(context.finish()));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

/// A new job, or with `--resume` the one that was stopped.
fn job(
    importer: &Importer,
    realm: &Realm,
    arguments: &Arguments,
    digest: &str,
) -> Result<Job, Failure> {
    let options = arguments.options();
    let stopped = importer
        .store
        .read(|tx| jobs::unfinished(tx, &realm.id, digest))
        .map_err(|error: StoreError| Failure::failed(error))?;
    match (stopped, arguments.resume) {
        (Some(job), true) if job.options == options => return Ok(job),
        (Some(_), true) => {
            return Err(Failure::usage(
                "the import of this file was begun with other options: give the same ones, or begin anew without --resume",
            ));
        }
        (None, true) => {
            return Err(Failure::usage(format!(
                "no import of this file into realm {} was stopped: leave out --resume, or look whether the file has changed \
                 since",
                realm.name
            )));
        }
        (Some(job), false) if job.options == options && job.counts.done > 0 => say(&format!(
            "an earlier import of this file stopped after {} rows; --resume goes on there",
            job.counts.done
        )),
        (Some(_) | None, false) => {}
    }
    let id = ImportId::new(importer.entropy.random_uuid());
    let new = NewJob {
        id: &id,
        realm_id: &realm.id,
        source: jobs::Source::File,
        author: "command line",
        options: &options,
        digest: Some(digest),
    };
    importer
        .store
        .tx(|tx| {
            let now = tx.now()?;
            jobs::insert(tx, &new, now)?;
            jobs::in_realm(tx, &realm.id, &id)
        })
        .map_err(|error: StoreError| Failure::failed(error))?
        .ok_or_else(|| Failure::failed("the import could not be begun"))
}

async fn work(importer: &Importer, job: Job, arguments: &Arguments) -> Result<Ended, Failure> {
    let stopping = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopping);
    tokio::spawn(async move {
        if signalled().await {
            asked.store(true, Ordering::SeqCst);
        }
    });
    let held = importer
        .take(job, true)
        .await
        .map_err(Failure::failed)?
        .ok_or_else(|| Failure::failed("the import is over already"))?;
    let source = Arc::new(OnDisk(arguments.file.clone()));
    let shown = Shown::new(arguments.output.json);
    let ended = importer
        .work(held, source, &|progress| {
            shown.update(progress);
            !stopping.load(Ordering::SeqCst)
        })
        .await;
    shown.end();
    ended.map_err(|error| {
        Failure::failed(format!(
            "{error}. What is stored stays; go on with --resume"
        ))
    })
}

/// Waits for Ctrl-C or a polite request to end.
async fn signalled() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut end) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.is_ok();
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.is_ok(),
        _ = end.recv() => true,
    }
}

/// Progress on stderr: a bar where somebody watches, lines elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    said: AtomicI64,
}

impl Shown {
    fn new(quiet: bool) -> Self {
        let watched = std::io::stderr().is_terminal();
        let bar = watched.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template =
                "{wide_bar} {human_pos} of {human_len} rows  {rate} a second  {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.0}", state.per_sec());
                };
                bar.set_style(style.with_key("rate", rate));
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        // Without a terminal and with JSON on stdout, nobody reads along.
        let said = if quiet && !watched { 100 } else { 0 };
        Self {
            bar,
            said: AtomicI64::new(said),
        }
    }

    fn update(&self, progress: Progress) {
        let Counts { done, rejected, .. } = progress.counts;
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(progress.total).unwrap_or(0));
            bar.set_position(u64::try_from(done).unwrap_or(0));
            if rejected > 0 {
                bar.set_message(format!("{rejected} rejected"));
            }
            return;
        }
        let percent = done.saturating_mul(100) / progress.total.max(1);
        let before = self.said.load(Ordering::SeqCst);
        if percent >= before.saturating_add(STEP) {
            self.said.store(percent - percent % STEP, Ordering::SeqCst);
            say(&format!(
                "{done} of {} rows, {rejected} rejected",
                progress.total
            ));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says on stdout what came of it, and answers the exit code.
fn finish(
    store: &Store,
    arguments: &Arguments,
    (id, campaign): (&ImportId, Option<&str>),
    ended: Ended,
) -> Result<(), Failure> {
    let (state, counts, failure) = match ended {
        Ended::Done(progress) => {
            let refused = progress.counts.rejected;
            let failure = (refused > 0).then(|| {
                Failure::failed(format!(
                    "{refused} of {} rows were rejected",
                    progress.counts.done
                ))
            });
            ("done", progress.counts, failure)
        }
        Ended::Failed(why, counts) if counts.done == 0 => {
            let shown = arguments.file.display();
            return Err(Failure::usage(format!("{shown}: {why}")));
        }
        Ended::Failed(why, counts) => {
            let why = format!(
                "{}: {why}. The {} rows before it are stored; mend the file and import it again with --if-exists skip",
                arguments.file.display(),
                counts.done
            );
            ("failed", counts, Some(Failure::failed(why)))
        }
        Ended::Stopped(Stop::Asked, counts) => {
            let why = format!(
                "stopped after {} rows, which are stored. Go on with the same command and --resume",
                counts.done
            );
            ("stopped", counts, Some(Failure::failed(why)))
        }
        Ended::Stopped(Stop::Lost, counts) => {
            let why = "somebody cancelled this import, or resumed it elsewhere";
            ("stopped", counts, Some(Failure::failed(why)))
        }
    };
    let shown = if arguments.output.json {
        show_json(store, (id, campaign), state, counts)
    } else {
        show_lines(store, arguments, id, counts)
    };
    shown?;
    if let Some(campaign) = campaign {
        say(&format!(
            "campaign {campaign} mails those without a password as soon as a server runs; `vestibule campaign resume \
             {campaign}` helps, `vestibule campaign show {campaign}` counts"
        ));
    }
    failure.map_or(Ok(()), Err)
}

fn show_json(
    store: &Store,
    (id, campaign): (&ImportId, Option<&str>),
    state: &str,
    counts: Counts,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let counts = serde_json::to_value(counts).map_err(Failure::failed)?;
    let mut head = json!({ "id": id.as_str(), "state": state });
    if let (Some(head), Some(counts)) = (head.as_object_mut(), counts.as_object()) {
        head.extend(counts.clone());
        head.extend(campaign.map(|campaign| ("campaign".to_owned(), json!(campaign))));
    }
    // Row by row, so that a million of them need no memory.
    let head = head.to_string();
    let open = head.strip_suffix('}').unwrap_or(&head);
    write!(out, "{open},\"rows\":[").map_err(Failure::failed)?;
    let mut first = true;
    let mut put = |verdict: &Verdict| {
        let problem = verdict.problem.as_ref();
        let row = json!({
            "row": verdict.number,
            "line": verdict.line,
            "state": verdict.state.as_str(),
            "field": problem.and_then(|problem| problem.field.as_deref()),
            "reason": problem.map(|problem| problem.reason.as_str()),
        });
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(out, "{comma}{row}").map_err(Failure::failed)
    };
    each(store, id, State::Rejected, &mut put)?;
    writeln!(out, "]}}").map_err(Failure::failed)
}

fn show_lines(
    store: &Store,
    arguments: &Arguments,
    id: &ImportId,
    counts: Counts,
) -> Result<(), Failure> {
    let mut put = |verdict: &Verdict| {
        let text = verdict
            .problem
            .as_ref()
            .map_or_else(String::new, |problem| match &problem.field {
                Some(field) => format!("{field} {}", problem.reason),
                None => problem.reason.clone(),
            });
        output::lines(&[format!(
            "line {}: {}: {text}",
            verdict.line,
            verdict.state.as_str()
        )])
    };
    each(store, id, State::Rejected, &mut put)?;
    if counts.noted > 0 {
        for state in [State::Accepted, State::Updated] {
            each(store, id, state, &mut |verdict| {
                verdict.problem.as_ref().map_or(Ok(()), |_| put(verdict))
            })?;
        }
    }
    let Counts {
        done,
        accepted,
        updated,
        skipped,
        rejected,
        ..
    } = counts;
    let would = if arguments.dry_run {
        "dry run, nobody was stored: "
    } else {
        ""
    };
    output::text(&format!(
        "{would}{done} rows: {accepted} accepted, {updated} updated, {skipped} skipped, {rejected} rejected"
    ))
}

/// Every verdict of a state, in portions.
fn each(
    store: &Store,
    id: &ImportId,
    state: State,
    put: &mut dyn FnMut(&Verdict) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let portion = store
            .read(|tx| verdicts::list(tx, id, Some(state), after, (0, PORTION)))
            .map_err(|error: StoreError| Failure::failed(error))?;
        for verdict in &portion {
            put(verdict)?;
        }
        match portion.last() {
            Some(last) => after = last.number,
            None => return Ok(()),
        }
    }
}

fn say(text: &str) {
    output::say(&format!("vestibule: {text}"));
}
