//! Mailings by real server processes that are killed and frozen, against a mail server that writes everything down.
//!
//! With `VESTIBULE_SOAK=1` the long forms: twenty thousand people, thirty kills, and leases that end by themselves.
//! Without it leases end as if minutes had gone by.

mod dead;
mod frozen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vestibule::campaign::{Kind, Settings, State, funnel, orders, recipients, rows};
use vestibule::kernel::{Clock, Entropy};
use vestibule::mail::outbox;
use vestibule::realm;
use vestibule::store::{Location, PostgresOptions, Store, StoreError};

use crate::import::people;
use crate::operations::process::{Place, Server, empty_postgres};
use crate::support::sink::{Arrival, Door, Ledger};

const REALM: &str = "shop";

/// Nodes of one installation, each with its own door to the mail server, and people to write to.
struct Stage {
    places: Vec<Place>,
    doors: Vec<Door>,
    ledger: Arc<Ledger>,
    store: Store,
    /// The database, where it is PostgreSQL.
    url: Option<String>,
    /// Whether leases end by themselves, after minutes.
    patient: bool,
}

impl Stage {
    /// Two nodes on PostgreSQL, where there is one.
    fn on_postgres(people: usize, patient: bool) -> Option<Self> {
        let url = empty_postgres("mailing")?;
        let options = PostgresOptions::parse(&url).expect("a URL");
        let first = Place::new().set("VESTIBULE_DATABASE_URL", &url);
        let second = Place::new()
            .set("VESTIBULE_DATABASE_URL", &url)
            .set(
                "VESTIBULE_MASTER_KEY_FILE",
                first.path("master.key").display().to_string(),
            )
            .set("VESTIBULE_PUBLIC_URL", first.url());
        let location = Location::Postgres(options);
        let stage = Self::of(vec![first, second], &location, people, patient);
        Some(Self {
            url: Some(url),
            ..stage
        })
    }

    /// The one node that SQLite has.
    fn on_sqlite(people: usize, patient: bool) -> Self {
        let place = Place::new();
        let location = Location::Sqlite(place.path("v.db"));
        Self::of(vec![place], &location, people, patient)
    }

    fn of(places: Vec<Place>, location: &Location, count: usize, patient: bool) -> Self {
        let ledger = Arc::new(Ledger::default());
        let doors: Vec<Door> = places.iter().map(|_| ledger.door()).collect();
        let places: Vec<Place> = places
            .into_iter()
            .zip(&doors)
            .map(|(place, door)| {
                let server = format!("smtp://127.0.0.1:{}?tls=none", door.port());
                place
                    .set("VESTIBULE_SMTP_URL", server)
                    .set("VESTIBULE_MAIL_FROM", "no-reply@shop.example")
            })
            .collect();
        let file = places[0].path("people.csv");
        std::fs::write(&file, people(count)).unwrap();
        for arguments in [
            &["admin", "create", "chief"][..],
            &["realm", "create", REALM],
            &["user", "import", "--realm", REALM, file.to_str().unwrap()],
        ] {
            let ran = places[0].run(arguments);
            assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        }
        let store = Store::connect(location, Clock::system(), 2).expect("the store");
        Self {
            places,
            doors,
            ledger,
            store,
            url: None,
            patient,
        }
    }

    /// Starts a mailing to everybody; answers its id.
    fn start(&self, per_minute: i64) -> String {
        let settings = Settings {
            rate_per_minute: Some(per_minute),
            ..Settings::default()
        };
        let started = self.store.tx(|tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
            let what = ("Kills", Kind::PasswordReset, settings);
            orders::create(tx, &Entropy, &realm.id, what)
        });
        started.map_err(|error: StoreError| error).unwrap().id
    }

    /// Leases of who was killed or is frozen end: as if minutes had gone by, or by waiting for them.
    fn leases_end(&self) {
        if self.patient {
            return;
        }
        // A frozen node may hold rows until the database ends its transaction, after five seconds.
        wait_until(Duration::from_secs(60), "the end of the leases", || {
            let ended = self.store.tx(|tx| {
                let later = tx.now()?.plus_seconds(3600);
                outbox::recover(tx, later)
            });
            ended.map_err(|_: StoreError| ()).is_ok()
        });
    }

    /// Where the mails stand, by address.
    fn mails(&self, id: &str) -> BTreeMap<String, String> {
        let read = self.store.read(|tx| {
            let all = recipients::list(tx, id, &[], ("", i64::MAX))?;
            Ok(all
                .into_iter()
                .map(|one| (one.email.unwrap_or_default(), one.state))
                .collect())
        });
        read.map_err(|error: StoreError| error).unwrap()
    }

    /// Waits until everybody's mail is settled or in doubt.
    fn until_done(&self, id: &str, within: Duration) {
        let began = Instant::now();
        let mut looked = Instant::now();
        loop {
            let (state, open) = self
                .store
                .read(|tx| {
                    let campaign = rows::by_id(tx, id)?.expect("the mailing");
                    Ok::<_, StoreError>((campaign.state, outbox::batch::open(tx, id)?))
                })
                .unwrap();
            if state == State::Done && open == 0 {
                break;
            }
            assert!(
                began.elapsed() < within,
                "{state:?}, {open} open, {} came",
                self.ledger.count()
            );
            // What a killed node had sent to the database may be carried out after the first look.
            if looked.elapsed() > Duration::from_secs(3) {
                self.leases_end();
                looked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        // The mailing takes down what its last mails came to.
        std::thread::sleep(Duration::from_secs(1));
    }

    /// Everything that must hold once a mailing with kills is done; sends what is in doubt again. Answers how many
    /// that were.
    fn everybody_was_mailed(&self, id: &str, server: &Server<'_>, most_in_doubt: usize) -> usize {
        let mails = self.mails(id);
        let of = |wanted: &str| mails.values().filter(|state| *state == wanted).count();
        let (sent, doubt) = (of(recipients::SENT), of(recipients::IN_DOUBT));
        assert_eq!(sent + doubt, mails.len(), "sent or in doubt: {mails:?}");
        assert!(doubt <= most_in_doubt, "{doubt} in doubt");
        let doubtful: BTreeSet<String> = mails
            .iter()
            .filter(|(_, state)| *state == recipients::IN_DOUBT)
            .map(|(to, _)| to.clone())
            .collect();
        let before = by_address(&self.ledger.arrivals());
        for (to, came) in &before {
            assert_eq!(came.len(), 1, "{to} got {} mails", came.len());
        }
        for to in mails.keys().filter(|to| !before.contains_key(*to)) {
            assert!(doubtful.contains(to), "{to} got nothing and nobody says so");
        }
        let resent = self.store.tx(|tx| orders::resend_in_doubt(tx, id));
        assert_eq!(
            resent.map_err(|error: StoreError| error).unwrap(),
            Some(orders::Resent::Mails(doubt))
        );
        self.until_done(id, Duration::from_secs(300));
        let after = by_address(&self.ledger.arrivals());
        assert_eq!(after.len(), mails.len(), "everybody was mailed");
        for (to, came) in after.iter().filter(|(_, came)| came.len() > 1) {
            assert!(doubtful.contains(to), "{to} got {} mails", came.len());
            assert_eq!(came.len(), 2, "{to}");
            assert_eq!(came[0].message_id(), came[1].message_id(), "{to}");
            assert_eq!(came[0].link(), came[1].link(), "{to}");
        }
        for to in doubtful.iter().take(20) {
            assert_link_works(server, &after[to].last().unwrap().link());
        }
        let end = self.store.read(|tx| funnel::of(tx, id));
        let end = end.map_err(|error: StoreError| error).unwrap();
        let all = i64::try_from(mails.len()).unwrap();
        assert_eq!((end.total, end.sent), (all, all), "{end:?}");
        doubt
    }
}

fn by_address(arrivals: &[Arrival]) -> BTreeMap<String, Vec<Arrival>> {
    let mut all: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        all.entry(arrival.to.clone())
            .or_default()
            .push(arrival.clone());
    }
    all
}

/// The link leads to the page with the button.
#[track_caller]
fn assert_link_works(server: &Server<'_>, link: &str) {
    let first = server.get(link);
    assert_eq!(first.status, 303, "{first:?}");
    let place = first.header("location").expect("a place to go");
    let path = place
        .find("/realms/")
        .map_or(place, |start| &place[start..]);
    let cookie = first.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().unwrap_or_default();
    let page = server.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.body
            .contains("name=\"vestibule-page\" content=\"link\""),
        "{}",
        page.body
    );
}

/// The most mails that came within any time of that length.
fn most_within(arrivals: &[Arrival], window: Duration) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (place, arrival) in arrivals.iter().enumerate() {
        while arrival.at.duration_since(arrivals[first].at) >= window {
            first += 1;
        }
        most = most.max(place - first + 1);
    }
    most
}

/// Waits until that is so.
#[track_caller]
fn wait_until(within: Duration, what: &str, mut right: impl FnMut() -> bool) {
    let began = Instant::now();
    while !right() {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
