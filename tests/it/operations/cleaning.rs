//! The cleaner deletes what has ended and nothing else.

use std::time::Duration;

use serde_json::{Map, json};
use vestibule::app;
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{Clock, Entropy, RealmId, SessionId};
use vestibule::mail::outbox::{self, Outcome, State};
use vestibule::mail::{Message, Purpose};
use vestibule::oidc::provision::{self, MASTER, Tools};
use vestibule::session::throttle::{self, PER_USER};
use vestibule::session::{self, Session, SessionKind};
use vestibule::store::events::{self, Event};
use vestibule::store::{Location, Store, StoreError, Tx};
use vestibule::user::User;
use vestibule::web::texts::Locale;

const DAY: u64 = 24 * 3600;

struct Stage {
    _folder: tempfile::TempDir,
    store: Store,
    clock: Clock,
    realm: RealmId,
    user: User,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let location = Location::Sqlite(folder.path().join("v.db"));
        let store = Store::open(&location, clock.clone(), 1).unwrap();
        let keyring = Keyring::new(MasterKey::generate(&|out: &mut [u8]| Entropy.fill(out)));
        let (realm, user) = store
            .tx(|tx| {
                let tools = Tools {
                    keyring: &keyring,
                    entropy: &Entropy,
                };
                let settings = Map::from_iter([("rememberMe".to_owned(), json!(true))]);
                let realm =
                    provision::create_realm(tx, tools, (None, MASTER, true), settings)?.unwrap();
                let user = provision::blank_user(tx, tools, &realm, "ann")?;
                provision::create_user(tx, &realm, &user, &[])?.unwrap();
                Ok::<_, StoreError>((realm.id, user))
            })
            .unwrap();
        Self {
            _folder: folder,
            store,
            clock,
            realm,
            user,
        }
    }

    fn session(&self, id: &str, kind: SessionKind, remember_me: bool) {
        let now = self.clock.now();
        let session = Session {
            id: SessionId::new(id),
            realm_id: self.realm.clone(),
            user_id: self.user.id.clone(),
            auth_epoch: self.user.auth_epoch.clone(),
            kind,
            amr: vec!["pwd".to_owned()],
            remember_me,
            auth_time: now,
            started_at: now,
            last_seen_at: now,
            ip_address: String::new(),
        };
        self.store
            .tx(|tx| session::rows::insert(tx, &session, None))
            .map_err(|error: StoreError| error)
            .unwrap();
    }

    fn sessions(&self) -> Vec<String> {
        let sessions = self
            .store
            .read(|tx| session::rows::of_user(tx, &self.user.id));
        let mut ids: Vec<String> = sessions
            .map_err(|error: StoreError| error)
            .unwrap()
            .into_iter()
            .map(|session| session.id.to_string())
            .collect();
        ids.sort();
        ids
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn sessions_go_when_the_realm_says_they_have_ended() {
    let stage = Stage::set();
    stage.session("browser", SessionKind::Online, false);
    stage.session("remembered", SessionKind::Online, true);
    stage.session("offline", SessionKind::Offline, false);
    app::clean(&stage.store).await.unwrap();
    assert_eq!(stage.sessions().len(), 3);
    // Thirty minutes idle and the hour for which what has ended is kept.
    stage.later(30 * 60 + 60 + 3590);
    app::clean(&stage.store).await.unwrap();
    assert_eq!(stage.sessions().len(), 3);
    stage.later(20);
    app::clean(&stage.store).await.unwrap();
    assert_eq!(stage.sessions(), ["offline", "remembered"]);
    stage.later(31 * DAY);
    app::clean(&stage.store).await.unwrap();
    assert!(stage.sessions().is_empty());
}

#[tokio::test]
async fn events_go_after_ninety_days_and_throttles_when_they_are_forgotten() {
    let stage = Stage::set();
    stage
        .store
        .tx(|tx| {
            let now = tx.now()?;
            for _ in 0..1100 {
                events::record(tx, &Entropy, now, Event::new(&stage.realm, "LOGIN"))?;
            }
            throttle::take(tx, "login/x", PER_USER, now)
        })
        .map_err(|error: StoreError| error)
        .unwrap();
    let count = || {
        let events = stage
            .store
            .read(|tx| events::list(tx, &stage.realm, &events::Wanted::default(), (0, 5000)));
        events.map_err(|error: StoreError| error).unwrap().len()
    };
    stage.later(2 * 3600);
    assert_eq!(app::clean(&stage.store).await.unwrap(), 1, "the throttle");
    stage.later(89 * DAY);
    assert_eq!(app::clean(&stage.store).await.unwrap(), 0);
    assert_eq!(count(), 1100);
    stage.later(DAY);
    assert_eq!(
        app::clean(&stage.store).await.unwrap(),
        1100,
        "in several batches"
    );
    assert_eq!(count(), 0);
}

#[tokio::test]
async fn mails_go_thirty_days_after_they_were_settled_and_those_in_doubt_stay() {
    let stage = Stage::set();
    let keyring = Keyring::new(MasterKey::generate(&|out: &mut [u8]| Entropy.fill(out)));
    let tools = outbox::Tools {
        keyring: &keyring,
        entropy: &Entropy,
    };
    let ids = stage
        .store
        .tx(|tx| {
            let now = tx.now()?;
            let mut ids = Vec::new();
            for _ in 0..3 {
                let about = (&stage.realm, &stage.user.id);
                let what = Purpose::PasswordChanged { when: now };
                let mail = Message::notice(about, "ann@example.org", what, Locale::ENGLISH, now);
                ids.push(outbox::queue(tx, tools, &mail)?);
            }
            for (claim, outcome) in outbox::lease(tx, &Entropy, (&stage.realm, 0), (2, 60))?
                .iter()
                .zip([Outcome::Sent, Outcome::InDoubt("silence".into())])
            {
                outbox::begin_sending(tx, claim, 60)?;
                outbox::settle(tx, &Entropy, claim, &outcome)?;
            }
            Ok::<_, StoreError>(ids)
        })
        .unwrap();
    let states = || {
        let look = |tx: &mut Tx<'_>| {
            ids.iter()
                .map(|id| Ok(outbox::by_id(tx, &stage.realm, id)?.map(|mail| mail.state)))
                .collect::<Result<Vec<_>, StoreError>>()
        };
        stage.store.read(look).unwrap()
    };
    let (sent, doubtful) = (Some(State::Sent), Some(State::InDoubt));
    app::clean(&stage.store).await.unwrap();
    assert_eq!(states(), [sent, doubtful, Some(State::Queued)]);
    // Nobody could send it while it was worth it.
    stage.later(4 * DAY);
    app::clean(&stage.store).await.unwrap();
    assert_eq!(states(), [sent, doubtful, Some(State::Failed)]);
    stage.later(26 * DAY - 10);
    assert_eq!(app::clean(&stage.store).await.unwrap(), 0);
    stage.later(20);
    assert_eq!(app::clean(&stage.store).await.unwrap(), 1);
    assert_eq!(states(), [None, doubtful, Some(State::Failed)]);
    stage.later(4 * DAY);
    app::clean(&stage.store).await.unwrap();
    assert_eq!(states(), [None, doubtful, None]);
}
