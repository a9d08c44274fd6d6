//! `kill -9` in the middle of writing: what was acknowledged is there, and nothing is half there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;
use vestibule::kernel::{Clock, Entropy};
use vestibule::store::{Location, Store, StoreError, meta};

use super::{at_once, write};

/// Tells the test that it is the process to be killed, and where the database lies.
const CHILD: &str = "VESTIBULE_TEST_CRASH_CHILD";

/// 20 kills, or 200 with `VESTIBULE_SOAK=1`.
fn kills() -> usize {
    if std::env::var("VESTIBULE_SOAK").is_ok_and(|value| value == "1") {
        200
    } else {
        20
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Ok(path) = std::env::var(CHILD) {
        write_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.db");
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills() {
        let [random] = Entropy.bytes::<1>();
        acknowledged.extend(kill_a_writer(
            &path,
            Duration::from_millis(u64::from(random)),
        ));
        // The next start brings the file in order, and works on it.
        let store = Store::open(&Location::Sqlite(path.clone()), Clock::system(), 1).unwrap();
        let there = whole_rows(&path, kill);
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "kill {kill}: {lost:?}");
        write(&store, |tx| meta::put(tx, "kills", &kill.to_string()));
    }
    assert!(
        acknowledged.len() > kills(),
        "too little was written to tell"
    );
}

/// Starts this test as the writer, kills it that long after its first row; answers the rows it acknowledged.
fn kill_a_writer(path: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::crash::what_was_acknowledged_survives_kill_9",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut rows = Vec::new();
    let mut line = String::new();
    let mut killed = false;
    // The pipe ends with the process; what was written into it before that is acknowledged.
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some(row) = line
            .strip_suffix('\n')
            .and_then(|line| line.strip_prefix("kept "))
        {
            rows.push(row.to_owned());
            if !killed {
                std::thread::sleep(after);
                child.kill().unwrap();
                killed = true;
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(killed, "the writer ended by itself");
    rows
}

/// Pairs of rows from four threads, each acknowledged in one line once its transaction is over.
fn write_until_killed(path: &Path) -> ! {
    let store = Store::open(&Location::Sqlite(path.into()), Clock::system(), 4).unwrap();
    at_once(4, |_| {
        loop {
            let row = Entropy.short_id();
            let written: Result<(), StoreError> = store.tx(|tx| {
                meta::put(tx, &row, "there")?;
                meta::put(tx, &format!("{row} too"), "there")
            });
            written.unwrap();
            // One write call, so that a line is whole or not there.
            let line = format!("kept {row}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            std::io::stdout().lock().flush().unwrap();
        }
    });
    unreachable!("the writers go on until they are killed")
}

/// The rows of a file that is sound, each with its second one.
fn whole_rows(path: &Path, kill: usize) -> BTreeSet<String> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let mut ask = |sql: &str| -> Vec<String> {
        let answers: Vec<Answer> = diesel::sql_query(sql).load(&mut conn).unwrap();
        answers.into_iter().map(|answer| answer.text).collect()
    };
    assert_eq!(
        ask("SELECT integrity_check AS text FROM pragma_integrity_check"),
        ["ok"],
        "kill {kill}"
    );
    let names: BTreeSet<String> = ask("SELECT name AS text FROM meta WHERE name <> 'kills'")
        .into_iter()
        .collect();
    for name in &names {
        let twin = name
            .strip_suffix(" too")
            .map_or_else(|| format!("{name} too"), str::to_owned);
        assert!(
            names.contains(&twin),
            "kill {kill}: {name} is half a transaction"
        );
    }
    names
}
