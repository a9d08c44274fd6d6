//! Mail: an outbox in SQL, a sender on every node, templates in every language.
//!
//! Whoever has something to say calls [`queue`] inside the transaction in which it becomes true, so that neither
//! exists without the other, and [`Mailer::wake`] once that has committed. The sender of any node then hands it to
//! the realm's mail server. A mail has one recipient, a stored address.
//!
//! Invariant: no mail is sent twice unless a person said so, whatever dies when ([`outbox`]). Addresses and words of
//! mails are never logged: logs name a mail by its id and purpose.

mod address;
mod link;
mod message;
pub mod outbox;
pub mod pace;
pub mod pause;
mod render;
mod retry;
pub mod said;
mod sender;
mod smtp;
pub mod template;
pub mod transport;
pub mod verify_code;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use link::{LinkKind, LinkMail, Links, NotMe};
pub use message::{Content, LONGEST_NOTE, Message, NOTICE_LIFESPAN, Purpose};
pub use outbox::{OutboxId, Tools, queue};
pub use render::{RenderError, Words};
pub use sender::Running;
pub use smtp::{CONNECTIONS, Failure};
pub use transport::{DefaultTransport, Login, Proof, Security, Server};

use crate::config::limits::{SMTP_COMMAND, SMTP_DATA};
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId};
use crate::realm::Realm;
use crate::store::{Store, StoreError, Tx};
use crate::user::User;
use crate::web::outbound::Outbound;
use crate::web::texts::{Locale, Texts};
use render::{Draft, Renderer};
use smtp::{Manner, Patience, Pool};
use template::{Own, Person, Template, Templates};
use transport::{Defaults, Route};

/// How long things may take. The defaults are those of reliability H015 and R-05; tests have less patience.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Seconds that a node may hold a mail before it begins to send it.
    pub lease: i64,
    /// How long a server may take to connect, and to answer a command.
    pub command: Duration,
    /// How long a server may take to say what became of the content.
    pub content: Duration,
    /// How often the outbox is looked at without being woken.
    pub poll: Duration,
    /// Seconds between two tries at a server that cannot be used.
    pub probe: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: 60,
            command: SMTP_COMMAND,
            content: SMTP_DATA,
            poll: Duration::from_secs(1),
            probe: 60,
        }
    }
}

/// How mail leaves this installation.
#[derive(Clone, Default)]
pub struct Options {
    /// The server and sender of realms without an `smtpServer`.
    pub default: Option<DefaultTransport>,
    /// Whether the operator allows mail in the clear to other machines.
    pub insecure_plain: bool,
    /// A PEM file of certificates to trust beside the system's.
    pub tls_ca: Option<PathBuf>,
    /// Where servers may lie that realms name; fetches the tokens by which some are signed in to.
    pub outbound: Outbound,
    /// How long things may take.
    pub timing: Timing,
}

/// The mail of this node. Clones share it.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keyring: Arc<Keyring>,
    entropy: Entropy,
    renderer: Renderer,
    links: Arc<dyn Links>,
    host: String,
    options: Options,
    /// By the names of their servers.
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    /// The realms that mail was last made of; each is as good as its version.
    realms: Mutex<HashMap<RealmId, Arc<Home>>>,
    wake: Notify,
}

/// A realm, and the words of its own that its mails have.
struct Home {
    realm: Realm,
    templates: Templates,
}

impl Mailer {
    /// The mail of this node; nothing is sent before [`Mailer::spawn`]. `public_url` gives the host that mails name,
    /// `links` what mails of links say.
    ///
    /// # Errors
    /// Never in a binary whose tests have passed: the templates are compiled in.
    pub fn new(
        store: Store,
        (keyring, entropy): (Arc<Keyring>, Entropy),
        (texts, links): (Arc<Texts>, Arc<dyn Links>),
        public_url: &url::Url,
        options: Options,
    ) -> Result<Self, RenderError> {
        let host = match public_url.host() {
            Some(url::Host::Ipv6(ip)) => ip.to_string(),
            Some(host) => host.to_string(),
            None => "localhost".to_owned(),
        };
        let inner = Inner {
            renderer: Renderer::new(texts, &host)?,
            links,
            store,
            keyring,
            entropy,
            host,
            options,
            pools: Mutex::new(HashMap::new()),
            realms: Mutex::new(HashMap::new()),
            wake: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What [`queue`] and [`verify_code::issue`] need.
    pub fn tools(&self) -> Tools<'_> {
        Tools {
            keyring: &self.inner.keyring,
            entropy: &self.inner.entropy,
        }
    }

    /// Sends what has just been queued at once instead of within a second: to be called after the commit.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Starts sending; to be called on the runtime.
    #[must_use]
    pub fn spawn(&self) -> Running {
        Running::start(self.clone())
    }

    /// Whether the realm has a mail server at all, usable or not.
    pub fn is_configured(&self, realm: &Realm) -> bool {
        transport::is_configured(realm, self.inner.options.default.as_ref())
    }

    /// Connects to the realm's mail server, logs in and leaves: for `doctor` and whoever tries settings.
    ///
    /// # Errors
    /// What is wrong, as [`Failure::Server`].
    pub async fn probe(&self, realm: &Realm) -> Result<(), Failure> {
        let route = self
            .inner
            .route(realm)
            .map_err(|no| Failure::Server(no.trouble, no.reason))?;
        self.inner.pool(&route.server).probe().await
    }

    /// Mails a test message by the realm's settings now, past the outbox: for an administrator who waits to hear
    /// whether they work. The realm may carry settings that are not stored yet.
    ///
    /// # Errors
    /// Why it did not go out.
    pub async fn try_settings(
        &self,
        realm: &Realm,
        recipient: &str,
        locale: Locale,
    ) -> Result<(), Failure> {
        let inner = &self.inner;
        let route = inner
            .route(realm)
            .map_err(|no| Failure::Server(no.trouble, no.reason))?;
        let now = inner.store.clock().now();
        let mail = inner.renderer.mail(&Draft {
            id: &OutboxId::new(inner.entropy.uuid(now)),
            realm: realm.display_name(),
            sender: Some(&route.sender),
            recipient,
            content: &Content {
                purpose: Purpose::Test,
                note: None,
            },
            link: None,
            not_me: None,
            own: None,
            locale,
            expires_at: now,
            now,
        });
        let mail = mail.map_err(|error| Failure::Refused(error.to_string()))?;
        let pool = inner.pool(&route.server);
        let place = pool.place().await?;
        let permit = Box::new(|| Box::pin(std::future::ready(Ok(true))) as _);
        pool.deliver(place, &mail, permit).await
    }

    /// The words of a mail to a person, in those that the realm has for it, for a preview.
    ///
    /// # Errors
    /// The database fails, the realm's settings name no sender, or a template and its data disagree.
    pub fn preview(
        &self,
        tx: &mut Tx<'_>,
        realm: &Realm,
        (content, person): (&Content, &Person),
        locale: Locale,
    ) -> Result<Words, PreviewError> {
        self.inner.route(realm)?;
        let purpose = template::purpose_of(&content.purpose, None);
        let client = template::client_of(&content.purpose, None);
        let template = Templates::load(tx, realm)?.choose(purpose, client, locale);
        let own = (template.as_deref(), person);
        Ok(self.sample(realm, content, own, (locale, 0))?)
    }

    /// The words that a mail with this template would have, or with the built-in ones; good for so many seconds.
    ///
    /// # Errors
    /// A built-in template and its data disagree.
    pub fn sample(
        &self,
        realm: &Realm,
        content: &Content,
        (template, person): (Option<&Template>, &Person),
        (locale, lifespan): (Locale, i64),
    ) -> Result<Words, RenderError> {
        let now = self.inner.store.clock().now();
        let own = |template| Own {
            template,
            person: Some(person),
        };
        let not_me = content.purpose.may_be_a_thiefs().then(|| NotMe {
            link: String::new(),
            url: format!(
                "https://{}{}/login-actions/link/EXAMPLE",
                self.inner.host,
                realm.path()
            ),
            seconds: template::sample::LINK_SECONDS,
        });
        self.inner.renderer.words(&Draft {
            id: &OutboxId::new("preview"),
            realm: realm.display_name(),
            sender: None,
            recipient: "",
            content,
            link: None,
            not_me: not_me.as_ref(),
            own: template.map(own),
            locale,
            expires_at: now.plus_seconds(lifespan),
            now,
        })
    }

    /// The host that mails name, and that their `Message-ID`s end with.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The `Message-ID` of a mail, by which delivery reports name it.
    pub fn message_id(&self, id: &OutboxId) -> String {
        self.inner.renderer.message_id(id)
    }
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The realm's mail cannot leave.
    #[error(transparent)]
    NoRoute(#[from] transport::NoRoute),
    /// The mail cannot be made.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl Inner {
    fn route(&self, realm: &Realm) -> Result<Route, transport::NoRoute> {
        let defaults = Defaults {
            transport: self.options.default.as_ref(),
            insecure_plain: self.options.insecure_plain,
        };
        transport::route(realm, &self.keyring, defaults)
    }

    /// The connections to a server. Those of settings that nobody uses any more are closed.
    fn pool(&self, server: &Server) -> Arc<Pool> {
        let name = server.name();
        let mut pools = self.pools.lock();
        pools
            .retain(|known, pool| *known == name || Arc::strong_count(pool) > 1 || !pool.is_idle());
        let pool = pools.entry(name).or_insert_with(|| {
            let manner = Manner {
                host: self.host.clone(),
                extra_root: self.options.tls_ca.clone(),
                outbound: self.options.outbound.clone(),
                patience: Patience {
                    command: self.options.timing.command,
                    content: self.options.timing.content,
                },
            };
            Arc::new(Pool::new(server.clone(), manner))
        });
        Arc::clone(pool)
    }
}

/// The language in which a person is written to: the person's, the realm's, or English.
pub fn language_of(realm: &Realm, user: &User) -> Locale {
    let default = realm.settings.default_locale.as_deref();
    user.locale()
        .and_then(Locale::from_tag)
        .or_else(|| default.and_then(Locale::from_tag))
        .unwrap_or(Locale::ENGLISH)
}
