//! A whole server for one test: port 0, a database of its own, a clock that can be moved.
//!
//! It runs in-process on threads of its own and is spoken to by HTTP alone; people are made and
//! facts are read through the store, so that a test does not need the admin API to say what it
//! is about. What the people of a test ever held is written down for the token oracle.

use std::net::TcpListener;
use std::sync::{Arc, Once};
use std::time::Duration;

use actix_web::web;
use parking_lot::Mutex;
use vestibule::action::assign::{self, Setting};
use vestibule::app::{self, Listeners};
use vestibule::kernel::{Clock, UserId};
use vestibule::oidc::engine::Engine;
use vestibule::realm::{self, Realm};
use vestibule::store::{Store, StoreError, Tx};

use super::browser::Browser;
use super::database::{self, Database, Kind, apart};
use super::mailbox::Mailbox;
use super::oracle::Ledger;
pub use super::people::User;
use super::people::UserBuilder;
use super::rp::RelyingParty;
use super::seed;

/// The realm of most tests.
pub const REALM: &str = "t1";

/// A running server and everything a test says about it.
pub struct TestApp {
    /// A confidential client.
    pub rp: RelyingParty,
    /// A public client on the loopback, with PKCE.
    pub native: RelyingParty,
    /// A confidential client of another origin.
    pub foreign: RelyingParty,
    /// A client that people have to agree to.
    pub consenting: RelyingParty,
    /// A client with the password grant.
    pub legacy: RelyingParty,
    /// A client that acts for itself.
    pub service: RelyingParty,
    /// Sends requests; follows no redirect and keeps no cookie.
    pub http: reqwest::Client,
    /// What the people of this test ever held.
    pub ledger: Arc<Ledger>,
    // The node goes before the database does.
    node: Arc<Node>,
    stage: Arc<Stage>,
}

/// What all nodes of a test share.
struct Stage {
    clock: Clock,
    public_url: String,
    mailbox: Mutex<Option<Arc<Mailbox>>>,
    database: Database,
}

/// One server.
struct Node {
    address: String,
    engine: Option<web::Data<Engine>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Node {
    /// Off the test's runtime: a connection of PostgreSQL must not go inside one.
    fn drop(&mut self) {
        let (stop, thread, engine) = (self.stop.take(), self.thread.take(), self.engine.take());
        apart(move || {
            if let Some(stop) = stop {
                let _ = stop.send(());
            }
            if let Some(thread) = thread {
                let _ = thread.join();
            }
            drop(engine);
        });
    }
}

impl TestApp {
    /// A server on SQLite.
    pub async fn start() -> Self {
        Self::on(Kind::Sqlite).await
    }

    /// A server on either database.
    pub async fn on(kind: Kind) -> Self {
        install_tls();
        let (stage, node) = apart(|| {
            let database = Database::fresh(kind);
            let (listener, address) = listen();
            let clock = Clock::system();
            let node = Node::start(&database, &clock, (listener, &address), &address);
            let stage = Stage {
                clock,
                public_url: address,
                mailbox: Mutex::new(None),
                database,
            };
            (Arc::new(stage), Arc::new(node))
        });
        Self::of(stage, node, Arc::new(Ledger::default()))
    }

    /// Another server on the same database, with the same public URL, key and clock, on a port of its own.
    /// SQLite has one node, and so the answer is none.
    pub async fn second_node(&self) -> Option<Self> {
        if self.stage.database.kind == Kind::Sqlite {
            return None;
        }
        let stage = Arc::clone(&self.stage);
        let node = apart(|| {
            let (listener, address) = listen();
            Node::start(
                &stage.database,
                &stage.clock,
                (listener, &address),
                &stage.public_url,
            )
        });
        Some(Self::of(stage, Arc::new(node), Arc::clone(&self.ledger)))
    }

    fn of(stage: Arc<Stage>, node: Arc<Node>, ledger: Arc<Ledger>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A connection that lies idle would hold up the server's end.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let to = |seed: &seed::Seed| {
            let issuer = format!("{}/realms/{REALM}", stage.public_url);
            RelyingParty::new(seed, &issuer, (&stage.public_url, &node.address), &http)
        };
        Self {
            rp: to(&seed::RP),
            native: to(&seed::NATIVE),
            foreign: to(&seed::FOREIGN),
            consenting: to(&seed::CONSENTING),
            legacy: to(&seed::LEGACY),
            service: to(&seed::SERVICE),
            http,
            ledger,
            node,
            stage,
        }
    }

    /// The public URL, without a slash at its end.
    pub fn public_url(&self) -> &str {
        &self.stage.public_url
    }

    /// The issuer of realm `t1`.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", self.public_url())
    }

    /// Where this node is reached: a URL of the public name, at this node.
    pub fn here(&self, url: &str) -> String {
        match url.strip_prefix(self.public_url()) {
            Some(rest) => format!("{}{rest}", self.node.address),
            None => url.to_owned(),
        }
    }

    /// This node's address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.node.address
    }

    /// A browser that has never been here.
    pub fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// The engine of this node.
    pub fn engine(&self) -> &Engine {
        self.node.engine.as_ref().expect("a running node")
    }

    /// The store of this node.
    pub fn store(&self) -> &Store {
        &self.engine().store
    }

    /// Which database this is.
    pub fn kind(&self) -> Kind {
        self.stage.database.kind
    }

    /// The database behind the server, for raw SQL.
    pub fn database(&self) -> &Database {
        &self.stage.database
    }

    /// Moves time forward, on all nodes.
    pub fn advance(&self, by: Duration) {
        self.stage.clock.advance(by);
    }

    /// A transaction of the store.
    pub async fn tx<R: Send + 'static>(
        &self,
        work: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, StoreError> + Send + 'static,
    ) -> R {
        self.store()
            .run(move |store| store.tx(work))
            .await
            .expect("the transaction")
    }

    /// Begins to make a person of realm `t1`; await it.
    pub fn user(&self, username: &str) -> UserBuilder<'_> {
        UserBuilder::new(self, REALM, username)
    }

    /// Begins to make a person of a realm; await it.
    pub fn user_of(&self, realm: &str, username: &str) -> UserBuilder<'_> {
        UserBuilder::new(self, realm, username)
    }

    /// Makes a realm with the clients that every test realm has.
    pub async fn make_realm(&self, name: &'static str) {
        let (keyring, entropy) = (Arc::clone(&self.engine().keyring), self.engine().entropy);
        self.tx(move |tx| {
            seed::realm(tx, seed::tools(&keyring, &entropy), name)?;
            Ok(())
        })
        .await;
    }

    /// Changes realm `t1`.
    pub async fn change_realm(&self, change: impl FnOnce(&mut Realm) + Send + 'static) {
        self.tx(move |tx| {
            let mut realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            change(&mut realm);
            realm::rows::update(tx, &realm)?;
            realm::rows::touch(tx, &realm.id)
        })
        .await;
    }

    /// A mailbox, to which realm `t1` sends from now on.
    pub async fn mailbox(&self) -> Arc<Mailbox> {
        let mailbox = Arc::clone(
            self.stage
                .mailbox
                .lock()
                .get_or_insert_with(|| Arc::new(Mailbox::start())),
        );
        let port = mailbox.port().to_string();
        self.change_realm(move |realm| {
            for (name, value) in [
                ("host", "127.0.0.1"),
                ("port", port.as_str()),
                ("from", "no-reply@t1.example"),
            ] {
                realm.settings.smtp_server.insert(name.into(), value.into());
            }
        })
        .await;
        mailbox
    }

    /// Sets an action on a person, as an administrator does.
    pub async fn require(&self, user: &User, action: &'static str) {
        let id = user.id.clone();
        self.tx(move |tx| assign::set(tx, &id, action, &Setting::by("admin")))
            .await;
    }

    /// Sets the forced reset on a person.
    pub async fn force_password_reset(&self, user: &User) {
        self.require(user, "UPDATE_PASSWORD").await;
    }

    /// Takes an action from a person without its completion.
    pub async fn waive(&self, user: &User, action: &'static str) {
        let (id, entropy) = (user.id.clone(), self.engine().entropy);
        self.tx(move |tx| assign::waive(tx, &id, action, &entropy))
            .await;
    }

    /// Changes a person's row.
    pub async fn change_user(
        &self,
        user: &User,
        change: impl FnOnce(&mut vestibule::user::User) + Send + 'static,
    ) {
        let id = user.id.clone();
        self.tx(move |tx| {
            use vestibule::store::dialect::{Lock, lock_user};
            lock_user(tx, &id, Lock::Update)?;
            let mut user = vestibule::user::rows::by_id(tx, &id)?.expect("the user");
            change(&mut user);
            let changed = vestibule::user::rows::update(tx, &user, true)?;
            assert!(changed.is_ok(), "names are free");
            Ok(())
        })
        .await;
    }

    /// Switches a person off, which ends everything of theirs.
    pub async fn disable(&self, user: &User) {
        self.change_user(user, |user| user.enabled = false).await;
        let (id, entropy) = (user.id.clone(), self.engine().entropy);
        self.tx(move |tx| assign::end_everything(tx, &id, &entropy))
            .await;
    }

    /// Locks a person for an hour.
    pub async fn lock(&self, user: &User) {
        let until = self.stage.clock.now().plus_seconds(3600);
        self.change_user(user, move |user| user.locked_until = Some(until))
            .await;
    }

    /// Deletes a person.
    pub async fn delete(&self, user: &User) {
        let id = user.id.clone();
        self.tx(move |tx| vestibule::user::rows::delete(tx, &id))
            .await;
    }

    /// The stored hash of a person's password.
    pub async fn password_hash(&self, user: &User) -> Option<String> {
        let id = user.id.clone();
        self.tx(move |tx| vestibule::user::credential::password(tx, &id))
            .await
            .map(|password| password.secret)
    }

    /// The names of the actions that wait on a person.
    pub async fn waiting(&self, user: &User) -> Vec<String> {
        let id = user.id.clone();
        let rows = self
            .tx(move |tx| vestibule::user::waiting::of_user(tx, &id))
            .await;
        rows.into_iter().map(|row| row.action).collect()
    }

    /// The first column of a query's rows, as text.
    pub fn sql(&self, query: &str) -> Vec<String> {
        self.stage.database.rows(query)
    }

    /// Everything that the database holds, as text; bytes in hexadecimal digits.
    pub fn dump(&self) -> String {
        let contents = self.stage.database.contents();
        let mut dump = String::new();
        for (_, values) in contents {
            dump.push_str(&values.join("\n"));
            dump.push('\n');
        }
        dump
    }

    /// A count by a query such as `SELECT count(*) AS value FROM codes`.
    pub fn count(&self, query: &str) -> i64 {
        let rows = self.sql(query);
        rows[0].parse().expect("a number")
    }

    /// How many audit events of a kind tell of a person.
    pub fn events(&self, user: &User, kind: &str) -> i64 {
        self.count(&format!(
            "SELECT count(*) AS value FROM events WHERE user_id = '{}' AND kind = '{kind}'",
            user.id
        ))
    }

    /// The rows from which a person could get anything: codes, refresh tokens, sessions.
    pub fn token_rows(&self, user: &UserId) -> i64 {
        ["codes", "refresh_tokens", "sessions"]
            .iter()
            .map(|table| {
                self.count(&format!(
                    "SELECT count(*) AS value FROM {table} WHERE user_id = '{user}'"
                ))
            })
            .sum()
    }
}

impl Node {
    fn start(
        database: &Database,
        clock: &Clock,
        (listener, address): (TcpListener, &str),
        public_url: &str,
    ) -> Self {
        let engine = database::engine(database.open(clock), &database.key_file, public_url);
        let (hand_over, handed_over) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let system = actix_web::rt::System::with_tokio_rt(|| {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .expect("a runtime for the server")
            });
            system.block_on(async move {
                let listeners = Listeners {
                    http: vec![listener],
                    https: None,
                    management: None,
                    workers: Some(2),
                };
                let running = app::serve(engine, listeners).expect("the server starts");
                let _ = hand_over.send(running.engine.clone());
                let _ = stopped.await;
                running.stop(Duration::ZERO).await;
            });
        });
        Self {
            address: address.to_owned(),
            engine: Some(handed_over.recv().expect("the server started")),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, format!("http://{address}"))
}

/// Two TLS libraries' providers in one process panic unless one is chosen.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}
