//! Stopped, killed, frozen, cut off: an import goes on from its marker, and every row is there once.
//!
//! `VESTIBULE_SOAK=1` makes the long form: 50 kills, a million rows, and the figures on stderr.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use vestibule::app;
use vestibule::import::Options;
use vestibule::import::run::{Ended, Stop};
use vestibule::kernel::Entropy;

use super::{job, people, verdicts_of, work};
use crate::operations::process::{Place, empty_postgres};
use crate::support::app::TestApp;
use crate::support::database::{on_both, on_postgres};

fn soak() -> bool {
    std::env::var("VESTIBULE_SOAK").is_ok_and(|value| value == "1")
}

fn stored(app: &TestApp) -> i64 {
    app.count("SELECT count(*) AS value FROM users WHERE username LIKE 'person%'")
}

on_both!(a_stopped_import_goes_on_where_it_stood);
async fn a_stopped_import_goes_on_where_it_stood(app: TestApp) {
    let mut text = people(3500);
    // A duplicate of a row before the stop, and one of a row before the stop that was refused.
    text.push_str("PERSON0000001,,,,,\nbad,,,,,\n");
    let text = text.replacen(
        "person0000005,person0000005@people.example",
        "bad,no address",
        1,
    );
    let job = job(&app, &Options::default()).await;
    let importer = app::importer(app.engine());
    let looks = AtomicI64::new(0);
    let ended = work(&importer, &job, text.as_bytes(), &|_| {
        looks.fetch_add(1, Ordering::SeqCst) < 2
    })
    .await;
    assert!(
        matches!(ended, Ended::Stopped(Stop::Asked, counts) if counts.done == 2000),
        "{ended:?}"
    );
    assert_eq!(stored(&app), 1999);
    let ended = work(&importer, &job, text.as_bytes(), &|_| true).await;
    assert!(
        matches!(ended, Ended::Done(progress) if progress.counts.accepted == 3500 && progress.counts.rejected == 2),
        "{ended:?}"
    );
    let rows = verdicts_of(&app, &job).await;
    assert_eq!(rows.len(), 3502);
    assert!(
        rows.iter()
            .zip(1..)
            .all(|(row, number)| row.number == number)
    );
    assert_eq!(
        rows[3500].problem.as_ref().unwrap().reason,
        "is that of the row at line 3, which was taken"
    );
    assert_eq!(rows[3501].problem, None, "a refused row takes no name");
}

on_both!(a_worker_whose_lease_was_taken_writes_nothing);
/// Fencing: one that slept finds its token worth nothing.
async fn a_worker_whose_lease_was_taken_writes_nothing(app: TestApp) {
    let text = people(3000);
    let job = job(&app, &Options::default()).await;
    let importer = app::importer(app.engine());
    let slept = importer.take(job.clone(), true).await.unwrap().unwrap();
    let looks = AtomicI64::new(0);
    work(&importer, &job, text.as_bytes(), &|_| {
        looks.fetch_add(1, Ordering::SeqCst) < 1
    })
    .await;
    let held = importer.take(job.clone(), true).await.unwrap().unwrap();
    let file = std::sync::Arc::new(super::Bytes(text.clone().into_bytes()));
    let ended = importer.work(slept, file.clone(), &|_| true).await.unwrap();
    assert!(matches!(ended, Ended::Stopped(Stop::Lost, _)), "{ended:?}");
    assert_eq!(stored(&app), 1000);
    let ended = importer.work(held, file, &|_| true).await.unwrap();
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    assert_eq!(stored(&app), 3000);
    assert!(
        importer.take(job, true).await.unwrap().is_none(),
        "a job that is over is nobody's"
    );
}

on_both!(an_import_that_ends_before_its_campaign_starts_it_once);
/// A worker that has stored the last chunk is no longer heard of; its ghost tries to end the job afterwards.
async fn an_import_that_ends_before_its_campaign_starts_it_once(app: TestApp) {
    let text = people(1500);
    let options = Options {
        pre_register: true,
        ..Options::default()
    };
    let job = job(&app, &options).await;
    let importer = app::importer(app.engine());
    let ended = work(&importer, &job, text.as_bytes(), &|progress| {
        if progress.counts.done == progress.total {
            app.database()
                .execute("UPDATE import_jobs SET lease_token = 'another worker'");
        }
        true
    })
    .await;
    assert!(matches!(ended, Ended::Stopped(Stop::Lost, _)), "{ended:?}");
    assert_eq!(stored(&app), 1500);
    let campaigns = "SELECT count(*) AS value FROM campaigns";
    assert_eq!(app.count(campaigns), 0, "not yet: the job has not ended");
    for _ in 0..2 {
        let Some(held) = importer.take(job.clone(), true).await.unwrap() else {
            continue;
        };
        let file = std::sync::Arc::new(super::Bytes(text.clone().into_bytes()));
        let ended = importer.work(held, file, &|_| true).await.unwrap();
        assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    }
    assert_eq!(app.count(campaigns), 1);
    let named = "SELECT count(*) AS value FROM import_jobs j JOIN campaigns c ON c.id = j.campaign_id WHERE j.state = 'done'";
    assert_eq!(app.count(named), 1);
}

on_postgres!(cut_connections_are_found_out_about_by_the_marker);
/// R-02, short: connections end at any moment, also between COMMIT and its answer.
async fn cut_connections_are_found_out_about_by_the_marker(app: TestApp) {
    let rows = if soak() { 100_000 } else { 12_000 };
    let text = people(rows);
    let job = job(&app, &Options::default()).await;
    let importer = app::importer(app.engine());
    let knife = app.database().connect().await;
    let cutting = tokio::spawn(async move {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..if soak() { 50 } else { 6 } {
            let [pause] = Entropy.bytes::<1>();
            tokio::time::sleep(Duration::from_millis(100 + u64::from(pause))).await;
            let _ = knife.query(cut, &[]).await;
        }
    });
    let mut ended = None;
    for _ in 0..20 {
        let taken = importer.take(job.clone(), true).await;
        let Ok(Some(held)) = taken else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let file = std::sync::Arc::new(super::Bytes(text.clone().into_bytes()));
        match importer.work(held, file, &|_| true).await {
            Ok(Ended::Done(progress)) => {
                ended = Some(progress);
                break;
            }
            other => eprintln!("goes on after {other:?}"),
        }
    }
    cutting.abort();
    let _ = cutting.await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let progress = ended.expect("the import is done in the end");
    assert_eq!(progress.counts.accepted, i64::try_from(rows).unwrap());
    assert_eq!(stored(&app), i64::try_from(rows).unwrap());
    assert_eq!(verdicts_of(&app, &job).await.len(), rows);
}

/// Runs the command, kills it after a while; answers its exit code if it came to an end before.
fn run_and_kill(place: &Place, arguments: &[&str], after: Option<Duration>) -> (Option<i32>, u64) {
    let mut command = place.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let mut peak = 0;
    loop {
        peak = peak.max(resident(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak);
        }
        if after.is_some_and(|after| began.elapsed() > after) {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The most memory that a process has had, in KiB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}

fn sqlite_rows(path: &Path, query: &str) -> i64 {
    use diesel::prelude::*;
    #[derive(diesel::QueryableByName)]
    struct One {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        value: i64,
    }
    let mut connection = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::sql_query(query)
        .get_result::<One>(&mut connection)
        .unwrap()
        .value
}

fn realm(place: &Place) {
    assert_eq!(place.run(&["admin", "create", "admin"]).code, 0);
    assert_eq!(place.run(&["realm", "create", "shop"]).code, 0);
}

/// killed with `kill -9` at random moments and resumed, every row is there once.
#[test]
fn killed_and_resumed_every_row_is_there_once() {
    let (rows, kills) = if soak() { (100_000, 50) } else { (8_000, 4) };
    let place = Place::new();
    realm(&place);
    let file = place.path("people.csv");
    std::fs::write(&file, people(rows)).unwrap();
    let fresh = ["user", "import", "--realm", "shop", file.to_str().unwrap()];
    let resume = [&fresh[..], &["--resume"]].concat();
    let database = place.path("v.db");
    let mut killed = 0;
    let mut done = 0;
    while killed < kills {
        let [one, two] = Entropy.bytes::<2>();
        let after = Duration::from_millis(150 + u64::from(one) * 4 + u64::from(two) / 8);
        let begun = sqlite_rows(&database, "SELECT count(*) AS value FROM import_jobs") > 0;
        let arguments = if begun { &resume[..] } else { &fresh[..] };
        let (code, _) = run_and_kill(&place, arguments, Some(after));
        let people = sqlite_rows(
            &database,
            "SELECT count(*) AS value FROM users WHERE username LIKE 'person%'",
        );
        let marker = sqlite_rows(
            &database,
            "SELECT coalesce(max(done), 0) AS value FROM import_jobs",
        );
        assert_eq!(people, marker, "nothing but whole chunks");
        assert!(marker >= done, "what was committed stays");
        done = marker;
        if code.is_some() {
            break;
        }
        killed += 1;
    }
    if done < i64::try_from(rows).unwrap() {
        let begun = sqlite_rows(&database, "SELECT count(*) AS value FROM import_jobs") > 0;
        let ran = place.run(if begun { &resume } else { &fresh });
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    let count = |query: &str| sqlite_rows(&database, query);
    let rows = i64::try_from(rows).unwrap();
    assert_eq!(
        count("SELECT count(*) AS value FROM users WHERE username LIKE 'person%'"),
        rows
    );
    assert_eq!(
        count(
            "SELECT count(DISTINCT row_number) AS value FROM import_rows WHERE state = 'accepted'"
        ),
        rows
    );
    assert_eq!(
        count("SELECT count(*) AS value FROM import_jobs WHERE state = 'done'"),
        1
    );
    let half = "SELECT count(*) AS value FROM users u WHERE username LIKE 'person%' AND (NOT EXISTS \
                (SELECT 1 FROM user_roles r WHERE r.user_id = u.id) OR 2 <> (SELECT count(*) FROM login_names n WHERE n.user_id = u.id))";
    assert_eq!(count(half), 0, "nobody is half there");
    eprintln!("{rows} rows, killed {killed} times");
}

/// The figures of the contract: rows a second, and memory that does not grow with the file.
#[test]
fn memory_is_flat_and_speed_is_told() {
    let sizes: &[usize] = if soak() {
        &[100_000, 1_000_000]
    } else {
        &[5_000]
    };
    for rows in sizes {
        let mut databases = vec![None];
        databases.extend(empty_postgres("import").map(Some));
        for postgres in databases {
            let place = match &postgres {
                None => Place::new(),
                Some(url) => Place::new().set("VESTIBULE_DATABASE_URL", url),
            };
            realm(&place);
            let file = place.path("people.csv");
            std::fs::write(&file, people(*rows)).unwrap();
            let began = Instant::now();
            let arguments = ["user", "import", "--realm", "shop", file.to_str().unwrap()];
            let (code, peak) = run_and_kill(&place, &arguments, None);
            let seconds = began.elapsed().as_secs_f64();
            assert_eq!(code, Some(0));
            let name = if postgres.is_some() {
                "PostgreSQL"
            } else {
                "SQLite"
            };
            eprintln!(
                "{name}: {rows} rows in {seconds:.1} s, {:.0} rows a second, {} MiB at most",
                *rows as f64 / seconds,
                peak / 1024
            );
            assert!(*rows > 100_000 || peak < 150 * 1024, "{peak} KiB");
        }
    }
}
