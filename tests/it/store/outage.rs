//! A PostgreSQL server that goes away and comes back, played by a forwarder in front of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vestibule::kernel::Clock;
use vestibule::store::{Location, PostgresOptions, Store, StoreError, meta};

use super::{drop_postgres_database, new_postgres_database, read, write};
use crate::support::services;

/// Forwards connections to the server until it is told to be down.
struct Forwarder {
    address: SocketAddr,
    down: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Forwarder {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let forwarder = Self {
            address: listener.local_addr().unwrap(),
            down: Arc::default(),
            open: Arc::default(),
        };
        let (down, open) = (Arc::clone(&forwarder.down), Arc::clone(&forwarder.open));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if down.load(Ordering::SeqCst) {
                    continue; // Closed at once, as by a machine whose service is gone.
                }
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || pump(from, to));
                }
                open.lock().unwrap().extend([client, server]);
            }
        });
        forwarder
    }

    fn go_down(&self) {
        self.down.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn come_back(&self) {
        self.down.store(false, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn after_an_outage_the_next_transaction_works() {
    let Some(name) = new_postgres_database() else {
        return;
    };
    let url = services::postgres_url().unwrap();
    let server = tokio_postgres::Config::from_str(&url).unwrap();
    let forwarder = Forwarder::to(SocketAddr::from(([127, 0, 0, 1], server.get_ports()[0])));
    let (login, _) = url.split_once('@').unwrap();
    let through = format!("{login}@{}/{name}", forwarder.address);
    let options = PostgresOptions::parse(&through).unwrap();
    let store = Store::open(&Location::Postgres(options), Clock::system(), 4).unwrap();

    for round in 0..5 {
        let during = format!("during {round}");
        write(&store, |tx| meta::put(tx, "before", &round.to_string()));
        // The connection is cut in the middle of a transaction, which is lost and says so.
        let cut = store.tx(|tx| {
            meta::put(tx, &during, "1")?;
            forwarder.go_down();
            Ok::<_, StoreError>(())
        });
        assert!(matches!(cut, Err(StoreError::Commit(_))), "{cut:?}");
        let asked = Instant::now();
        let refused = store.read(|tx| meta::get(tx, "before"));
        assert!(
            matches!(refused, Err(StoreError::Connect(_))),
            "{refused:?}"
        );
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{:?}",
            asked.elapsed()
        );
        forwarder.come_back();
        let before = read(&store, |tx| meta::get(tx, "before"));
        assert_eq!(before, Some(round.to_string()));
        assert_eq!(read(&store, |tx| meta::get(tx, &during)), None);
    }
    drop(store);
    drop_postgres_database(&name);
}

/// A machine that takes connections and never answers, as one that hangs does.
#[test]
fn a_server_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:p@{}/d", silent.local_addr().unwrap());
    let asked = Instant::now();
    let refused = Store::open(
        &Location::Postgres(PostgresOptions::parse(&url).unwrap()),
        Clock::system(),
        1,
    );
    match refused.map(|_| ()) {
        Err(StoreError::Connect(message)) => assert!(message.contains("no answer"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(
        asked.elapsed() < Duration::from_secs(40),
        "{:?}",
        asked.elapsed()
    );
}
