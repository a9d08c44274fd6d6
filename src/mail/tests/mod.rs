//! Mail against servers that do as they are told, on both databases.

mod classes;
mod codes;
mod fence;
mod links;
mod misbehaviour;
mod places;
mod server;
mod tls;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::outbox::{Entry, State};
use super::*;
use crate::kernel::seal::MasterKey;
use crate::kernel::{Clock, RealmId, Timestamp, UserId};
use crate::realm::{self, RealmSettings};
use crate::store::{Location, PostgresOptions, StoreError, Tx};
use crate::user::{self, AuthEpoch, User};
use crate::web::texts::Locale;

/// A database of a test's own; the file goes with it.
pub(super) struct Database {
    pub store: Store,
    pub clock: Clock,
    _folder: tempfile::TempDir,
}

pub(super) fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let location = Location::Sqlite(folder.path().join("mail.db"));
    Database {
        store: Store::open(&location, clock.clone(), 4).unwrap(),
        clock,
        _folder: folder,
    }
}

/// Runs a test on SQLite, and on a fresh PostgreSQL database where `VESTIBULE_TEST_POSTGRES_URL` is set.
pub(super) fn on_both(test: impl Fn(&Database)) {
    test(&sqlite());
    let url = std::env::var("VESTIBULE_TEST_POSTGRES_URL").unwrap_or_default();
    if url.is_empty() {
        eprintln!("skipped on PostgreSQL: VESTIBULE_TEST_POSTGRES_URL is not set");
        return;
    }
    let name = format!("mail_{}", Entropy.random_uuid().replace('-', ""));
    administer(&url, &format!("CREATE DATABASE {name}"));
    let clock = Clock::system();
    let options = PostgresOptions::parse(&url).unwrap().with_database(&name);
    let database = Database {
        store: Store::open(&Location::Postgres(options), clock.clone(), 4).unwrap(),
        clock,
        _folder: tempfile::tempdir().unwrap(),
    };
    test(&database);
    drop(database);
    administer(&url, &format!("DROP DATABASE {name} WITH (FORCE)"));
}

fn administer(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        let _ = driver.await;
    });
}

/// Where no mail carries a link.
struct NoLinks;

impl Links for NoLinks {
    fn compose(
        &self,
        _: &mut Tx<'_>,
        _: &Realm,
        _: &str,
    ) -> Result<Result<LinkMail, String>, StoreError> {
        Ok(Err("there are no links here".to_owned()))
    }

    fn not_me(&self, _: &mut Tx<'_>, _: &Realm, _: &OutboxId) -> Result<Option<NotMe>, StoreError> {
        Ok(None)
    }

    fn handed_over(&self, _: &mut Tx<'_>, _: &str, _: &OutboxId) -> Result<(), StoreError> {
        unreachable!("nothing with a link is sent")
    }
}

/// Short leases and little patience.
pub(super) const HASTY: Timing = Timing {
    lease: 60,
    command: Duration::from_secs(2),
    content: Duration::from_secs(3),
    poll: Duration::from_millis(20),
    probe: 60,
};

/// A realm with a mailer, whose `smtpServer` is what the test says.
pub(super) struct Rig {
    pub store: Store,
    pub clock: Clock,
    pub mailer: Mailer,
    pub realm: Realm,
    pub options: Options,
}

impl Rig {
    pub fn new(database: &Database, smtp: serde_json::Value) -> Self {
        let options = Options {
            timing: HASTY,
            ..Options::default()
        };
        Self::with(database, smtp, options)
    }

    pub fn with(database: &Database, smtp: serde_json::Value, options: Options) -> Self {
        let store = database.store.clone();
        let fill = |out: &mut [u8]| Entropy.fill(out);
        let keyring = Arc::new(Keyring::new(MasterKey::generate(&fill)));
        let mut settings = RealmSettings::default_json().unwrap();
        settings.insert("displayName".into(), "Rosewood School".into());
        settings.insert("smtpServer".into(), smtp);
        let settings = serde_json::from_value(serde_json::Value::Object(settings)).unwrap();
        let realm = Realm {
            id: RealmId::new("realm-1"),
            name: "rosewood".into(),
            enabled: true,
            not_before: Timestamp::from_micros(0),
            version: 1,
            settings,
        };
        let now = database.clock.now();
        let made = store.tx(|tx| realm::rows::insert(tx, &realm, now));
        assert!(made.unwrap());
        Self {
            mailer: Self::mailer(&store, &keyring, options.clone()),
            clock: database.clock.clone(),
            store,
            realm,
            options,
        }
    }

    fn mailer(store: &Store, keyring: &Arc<Keyring>, options: Options) -> Mailer {
        let url = "https://id.rosewood.example".parse().unwrap();
        let texts = Arc::new(Texts::builtin());
        Mailer::new(
            store.clone(),
            (Arc::clone(keyring), Entropy),
            (texts, Arc::new(NoLinks)),
            &url,
            options,
        )
        .unwrap()
    }

    /// Another node on the same database.
    pub fn second_node(&self) -> Mailer {
        Self::mailer(
            &self.store,
            &self.mailer.inner.keyring,
            self.options.clone(),
        )
    }

    pub fn tx<R>(&self, f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, StoreError>) -> R {
        self.store.tx(f).unwrap()
    }

    /// Changes the realm's `smtpServer`.
    pub fn set_smtp(&self, smtp: serde_json::Value) {
        let mut realm = self.realm.clone();
        realm.settings.smtp_server = serde_json::from_value(smtp).unwrap();
        self.tx(|tx| realm::rows::update(tx, &realm));
    }

    pub fn message(&self, recipient: &str) -> Message {
        let now = self.clock.now();
        Message {
            realm_id: self.realm.id.clone(),
            user_id: None,
            recipient: recipient.into(),
            content: Content {
                purpose: Purpose::PasswordChanged { when: now },
                note: None,
            },
            locale: Locale::ENGLISH,
            bulk: false,
            expires_at: now.plus_seconds(NOTICE_LIFESPAN),
        }
    }

    pub fn queue(&self, message: &Message) -> OutboxId {
        let id = self.tx(|tx| queue(tx, self.mailer.tools(), message));
        self.mailer.wake();
        id
    }

    pub fn send_to(&self, recipient: &str) -> OutboxId {
        self.queue(&self.message(recipient))
    }

    pub fn entry(&self, id: &OutboxId) -> Entry {
        let read = self.store.read(|tx| outbox::by_id(tx, &self.realm.id, id));
        read.unwrap().unwrap()
    }

    /// Waits until the mail is as `done` says.
    pub async fn until(&self, id: &OutboxId, done: impl Fn(&Entry) -> bool) -> Entry {
        for _ in 0..6000 {
            let entry = self.entry(id);
            if done(&entry) {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let entry = self.entry(id);
        panic!(
            "{:?} after {} tries: {:?}",
            entry.state, entry.attempts, entry.last_error
        );
    }

    pub async fn until_state(&self, id: &OutboxId, state: State) -> Entry {
        self.until(id, |entry| entry.state == state).await
    }

    pub fn paused(&self) -> Option<pause::Pause> {
        self.store
            .read(|tx| pause::of_realm(tx, &self.realm.id))
            .unwrap()
    }

    pub async fn until_paused(&self) -> pause::Pause {
        for _ in 0..6000 {
            if let Some(pause) = self.paused() {
                return pause;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the realm's mail does not rest");
    }

    pub fn user(&self, name: &str, email: &str) -> User {
        let user = User {
            id: UserId::new(format!("user-{name}")),
            realm_id: self.realm.id.clone(),
            username: name.into(),
            email: Some(email.into()),
            email_verified: false,
            first_name: None,
            last_name: None,
            enabled: true,
            auth_epoch: AuthEpoch::new("epoch"),
            not_before: Timestamp::from_micros(0),
            locked_until: None,
            service_client: None,
            attributes: BTreeMap::default(),
            extra: serde_json::Map::new(),
            created_at: self.clock.now(),
        };
        let made = self.tx(|tx| user::rows::insert(tx, &user, true));
        assert_eq!(made, Ok(()));
        user
    }
}

/// Settings of Keycloak's kind for a server of ours.
pub(super) fn smtp(port: u16) -> serde_json::Value {
    json!({
        "host": "127.0.0.1",
        "port": port.to_string(),
        "from": "idp@rosewood.example",
        "fromDisplayName": "Rosewood Accounts",
        "auth": "false", "ssl": "false", "starttls": false,
    })
}
