//! Two nodes on one PostgreSQL: the one that works an uploaded import is killed, and the other one goes on.

use std::time::{Duration, Instant};

use serde_json::Value;
use vestibule::import::verdicts;
use vestibule::kernel::{Clock, ImportId};
use vestibule::realm;
use vestibule::store::{Location, PostgresOptions, Store, StoreError};
use vestibule::user::audience::Audience;
use vestibule::user::search;

use super::people;
use crate::operations::process::{Place, Server, empty_postgres};

const ROWS: i64 = 30_000;

/// An administrator at one of the nodes. The token is good at both.
struct Admin(String);

impl Admin {
    fn at(server: &Server<'_>) -> Self {
        let form =
            "grant_type=password&client_id=admin-cli&username=admin&password=an+admin+passphrase";
        let answer = server
            .post("/realms/master/protocol/openid-connect/token", form)
            .json();
        Self(answer["access_token"].as_str().expect("a token").to_owned())
    }

    /// A call of the admin API, its path below `/admin/realms/shop`.
    fn call(&self, server: &Server<'_>, head: &str, body: &str) -> Value {
        let (method, path) = head.split_once(' ').expect("a method and a path");
        let answer = server.send(&format!(
            "{method} /admin/realms/shop{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nContent-Type: text/csv\r\nContent-Length: {}\r\n\r\n{body}",
            self.0,
            body.len()
        ));
        assert!((200..300).contains(&answer.status), "{answer:?}");
        answer.json()
    }
}

#[test]
fn an_uploaded_import_whose_node_is_killed_is_finished_by_the_other_one() {
    let Some(url) = empty_postgres("takeover") else {
        return;
    };
    let first = Place::new().set("VESTIBULE_DATABASE_URL", &url);
    let second = Place::new()
        .set("VESTIBULE_DATABASE_URL", &url)
        .set(
            "VESTIBULE_MASTER_KEY_FILE",
            first.path("master.key").display().to_string(),
        )
        .set("VESTIBULE_PUBLIC_URL", first.url());
    // Alone, so that the job is its own.
    let one = first.serve();
    assert_eq!(first.run(&["realm", "create", "shop"]).code, 0);
    let file = people(usize::try_from(ROWS).unwrap());
    let admin = Admin::at(&one);
    let job = admin.call(&one, "POST /user-imports", &file);
    let id = ImportId::new(job["id"].as_str().unwrap());
    let path = format!("GET /user-imports/{id}");
    let done = |server: &Server<'_>| admin.call(server, &path, "")["done"].as_i64().unwrap();
    while done(&one) == 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let two = second.serve();
    let before = done(&two);
    one.kill();
    let killed = Instant::now();
    assert!(
        (1..ROWS).contains(&before),
        "killed in the middle, not after {before} rows"
    );
    let mut taken_over = None;
    let mut signed_in = Instant::now();
    let mut admin = Admin::at(&two);
    let end = loop {
        // Access tokens live for a minute.
        if signed_in.elapsed() > Duration::from_secs(30) {
            (signed_in, admin) = (Instant::now(), Admin::at(&two));
        }
        let now = admin.call(&two, &path, "");
        if now["done"].as_i64().unwrap() > before + 2_000 {
            taken_over.get_or_insert(killed.elapsed());
        }
        if now["state"] == "done" {
            break now;
        }
        assert!(killed.elapsed() < Duration::from_secs(300), "{now}");
        std::thread::sleep(Duration::from_millis(100));
    };
    eprintln!("killed after {before} rows; the other node had gone on after {taken_over:?}");
    for (field, count) in [("total", ROWS), ("accepted", ROWS), ("rejected", 0)] {
        assert_eq!(end[field], count, "{field} {end}");
    }
    let options = PostgresOptions::parse(&url).unwrap();
    let store = Store::connect(&Location::Postgres(options), Clock::system(), 1).unwrap();
    let (stored, rows) = store
        .read(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let stored = search::count(tx, &shop.id, &Audience::default())?;
            let rows = verdicts::list(tx, &id, None, 0, (0, i64::MAX))?;
            Ok::<_, StoreError>((stored, rows))
        })
        .unwrap();
    assert_eq!(stored, ROWS);
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    assert_eq!(
        numbers,
        (1..=ROWS).collect::<Vec<i64>>(),
        "every row has one verdict"
    );
}
