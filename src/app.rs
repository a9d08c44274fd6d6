//! The composition root: the only file that knows every module.

mod bootstrap;
mod gauges;
mod health;
mod housekeeping;

pub use bootstrap::{FirstAdmin, FirstPassword, FirstSecret, bootstrap};
pub use housekeeping::round as clean;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use crate::admin::import_rights;
use crate::admin::users::cohort;
use crate::campaign;
use crate::config::{Proxies, limits};
use crate::import;
use crate::kernel::Entropy;
use crate::kernel::seal::Keyring;
use crate::link::Linker;
use crate::login::turnstile::Turnstile;
use crate::mail::{self, Mailer};
use crate::oidc::catalog::Catalog;
use crate::oidc::engine::Engine;
use crate::oidc::provision::MASTER;
use crate::oidc::routes;
use crate::password::{Hasher, HasherConfig};
use crate::store::{Store, StoreError};
use crate::web::pages::Pages;
use crate::web::request_log::{self, Edge};
use crate::web::texts::Texts;
use crate::web::tls::{Certificates, TlsError};
use crate::web::{headers, intake, wire};

/// What a server is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The master key.
    pub keyring: Keyring,
    /// The public URL without a slash at its end.
    pub public_url: String,
    /// Whose forwarding header is believed.
    pub proxies: Proxies,
    /// Argon2's parameters and permits.
    pub hasher: HasherConfig,
    /// How mail leaves.
    pub mail: mail::Options,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pages.
    #[error("the pages cannot be made: {0}")]
    Pages(#[from] crate::web::pages::PageError),
    /// The hasher's parameters.
    #[error("Argon2: {0}")]
    Hasher(#[from] crate::password::HasherConfigError),
    /// The mails.
    #[error("the mails cannot be made: {0}")]
    Mail(#[from] mail::RenderError),
    /// The public URL.
    #[error("the public URL is none: {0}")]
    PublicUrl(#[from] url::ParseError),
    /// A socket.
    #[error("a listener cannot be opened: {0}")]
    Listen(#[from] std::io::Error),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The first administrator.
    #[error("the first administrator cannot be made: {0}")]
    Bootstrap(String),
}

/// Puts the engine together.
///
/// # Errors
/// The parameters make no sense.
pub fn engine(parts: Parts) -> Result<Engine, StartError> {
    let texts = Arc::new(Texts::builtin());
    let keyring = Arc::new(parts.keyring);
    let public_url = url::Url::parse(&parts.public_url)?;
    let mailer = Mailer::new(
        parts.store.clone(),
        (Arc::clone(&keyring), Entropy),
        (
            Arc::clone(&texts),
            Arc::new(Linker::new(Arc::clone(&keyring), parts.public_url.clone())),
        ),
        &public_url,
        parts.mail,
    )?;
    Ok(Engine {
        mailer,
        store: parts.store,
        catalog: Catalog::new(Arc::clone(&keyring), parts.public_url.clone()),
        keyring,
        entropy: Entropy,
        hasher: Hasher::new(parts.hasher)?,
        turnstile: Turnstile::default(),
        pages: Pages::new(&texts)?,
        texts,
        public_url: parts.public_url,
        proxies: parts.proxies,
    })
}

/// What imports of people work with.
pub fn importer(engine: &Engine) -> import::run::Importer {
    import::run::Importer {
        store: engine.store.clone(),
        hasher: engine.hasher.clone(),
        entropy: engine.entropy,
        mailer: engine.mailer.clone(),
        rights: None,
    }
}

/// Sockets to listen on, already open, so that a free port can be asked for.
pub struct Listeners {
    /// The public one.
    pub http: Vec<TcpListener>,
    /// TLS on the public side.
    pub https: Option<(TcpListener, Arc<Certificates>)>,
    /// Health and metrics.
    pub management: Option<TcpListener>,
    /// Worker threads; `None` is one per core.
    pub workers: Option<usize>,
}

/// How long stopping may take altogether: what supervisors grant before they kill.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A running server.
pub struct Running {
    /// The engine.
    pub engine: web::Data<Engine>,
    public: ServerHandle,
    management: Option<ServerHandle>,
    draining: Arc<AtomicBool>,
    mail: mail::Running,
    imports: import::worker::Running,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    servers: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

/// Starts serving. Returns as soon as the sockets are served.
///
/// # Errors
/// A socket cannot be used.
pub fn serve(engine: Engine, listeners: Listeners) -> Result<Running, StartError> {
    let engine = web::Data::new(engine);
    let draining = Arc::new(AtomicBool::new(false));
    let mut tasks = vec![
        tokio::spawn(watch_configuration(engine.clone())),
        tokio::spawn(housekeeping::run(engine.clone())),
        tokio::spawn(gauges::run(engine.clone())),
        tokio::spawn(gauges::drain()),
        tokio::spawn(crate::oidc::forgotten::run(engine.clone())),
        tokio::spawn(cohort::work::run(engine.clone().into_inner())),
        tokio::spawn(cohort::tell::run(engine.clone().into_inner())),
        tokio::spawn(campaign::work::run(engine.clone().into_inner())),
    ];
    if let Some((_, certificates)) = &listeners.https {
        tasks.push(tokio::spawn(watch_certificates(Arc::clone(certificates))));
    }
    let public = public_server(&engine, listeners.http, listeners.https, listeners.workers)?;
    let public_handle = public.handle();
    let mut servers = vec![tokio::spawn(public)];
    let management = match listeners.management {
        Some(listener) => {
            let server = management_server(&engine, &draining, listener)?;
            let handle = server.handle();
            servers.push(tokio::spawn(server));
            Some(handle)
        }
        None => None,
    };
    let mail = engine.mailer.spawn();
    let importer = import::run::Importer {
        rights: Some(import_rights::of(engine.clone().into_inner())),
        ..importer(&engine)
    };
    let imports = import::worker::Running::start(importer, Arc::clone(&engine.keyring));
    Ok(Running {
        engine,
        public: public_handle,
        management,
        draining,
        mail,
        imports,
        tasks,
        servers,
    })
}

impl Running {
    /// Stops (reliability R-27): not ready and no further mail at once; serves on for `drain`, until balancers have
    /// noticed; then what is running is finished. After [`STOP_WITHIN`] the rest is given up.
    pub async fn stop(self, drain: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let tasks = self.tasks;
        let finish = async {
            let serving = async {
                tokio::time::sleep(drain).await;
                self.public.stop(true).await;
            };
            // Another node, or this one after its restart, sends and imports what is left meanwhile.
            tokio::join!(serving, self.mail.stop(), self.imports.stop());
            if let Some(management) = self.management {
                management.stop(false).await;
            }
            for server in self.servers {
                if let Ok(Err(error)) = server.await {
                    tracing::error!(error = %error, "a listener ended with an error");
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, finish).await.is_err() {
            tracing::warn!("not everything was finished in time; the rest is given up");
        }
        for task in tasks {
            task.abort();
        }
        // Connections are closed with the last thread, for which the process may not wait.
        let folded = self.engine.store.run(Store::fold).await;
        if let Err(error) = folded {
            tracing::warn!(error = %error, "the write-ahead log could not be written back; it lies beside the file");
        }
    }
}

fn public_server(
    engine: &web::Data<Engine>,
    http: Vec<TcpListener>,
    https: Option<(TcpListener, Arc<Certificates>)>,
    workers: Option<usize>,
) -> Result<actix_web::dev::Server, StartError> {
    let shared = engine.clone();
    let tls = engine.secure_cookies();
    let edge = web::Data::new(Edge {
        https: tls,
        quiet: false,
        fixed: routes::fixed(),
    });
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(edge.clone())
            .app_data(web::PayloadConfig::new(limits::FORM_BYTES))
            .app_data(web::JsonConfig::default().limit(limits::JSON_BYTES))
            .wrap(from_fn(intake::admit))
            .wrap(headers::everywhere(tls))
            .wrap(from_fn(request_log::log))
            .configure(routes::configure)
            .configure(crate::admin::routes)
            .default_service(web::to(not_found))
    })
    .client_request_timeout(limits::REQUEST_HEAD)
    .tls_handshake_timeout(limits::TLS_HANDSHAKE)
    .keep_alive(limits::KEEP_ALIVE)
    .shutdown_timeout(STOP_WITHIN.as_secs())
    .disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    for listener in http {
        wire::limit_unread(&listener)?;
        server = server.listen(listener)?;
    }
    if let Some((listener, certificates)) = https {
        wire::limit_unread(&listener)?;
        server = server.listen_rustls_0_23(listener, certificates.server_config()?)?;
    }
    Ok(server.run())
}

/// Where nothing is. A browser that was given no more than the server's name is led to the one page that every server
/// has.
async fn not_found(request: HttpRequest, engine: web::Data<Engine>) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT);
    let is_browser = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if request.path() != "/" || !looks || !is_browser {
        return intake::not_found();
    }
    let page = format!("{}/realms/{MASTER}/account/", engine.public_url);
    HttpResponse::Found()
        .insert_header((header::LOCATION, page))
        .insert_header((header::VARY, "accept"))
        .finish()
}

fn management_server(
    engine: &web::Data<Engine>,
    draining: &Arc<AtomicBool>,
    listener: TcpListener,
) -> std::io::Result<actix_web::dev::Server> {
    let shared = engine.clone();
    let draining = web::Data::from(Arc::clone(draining));
    let edge = web::Data::new(Edge {
        quiet: true,
        ..Edge::default()
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(draining.clone())
            .app_data(edge.clone())
            .wrap(from_fn(request_log::log))
            .route("/health/live", web::get().to(health::up))
            .route("/health/started", web::get().to(health::up))
            .route("/health/ready", web::get().to(health::ready))
            .route("/health", web::get().to(health::ready))
            .route("/metrics", web::get().to(metrics_text))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

async fn metrics_text(engine: web::Data<Engine>) -> HttpResponse {
    gauges::pool(&engine);
    let text = METRICS
        .get()
        .map(|handle| handle.render())
        .unwrap_or_default();
    HttpResponse::Ok()
        .insert_header(("Content-Type", "text/plain; version=0.0.4"))
        .body(text)
}

static METRICS: std::sync::OnceLock<metrics_exporter_prometheus::PrometheusHandle> =
    std::sync::OnceLock::new();

/// Installs the recorder of metrics; once per process.
pub fn install_metrics() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]);
    let recorder = match recorder {
        Ok(builder) => builder.build_recorder(),
        Err(error) => {
            tracing::warn!(error = %error, "no metrics");
            return;
        }
    };
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        let _ = METRICS.set(handle);
        metrics::gauge!("idp_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
}

/// Sees changes of configuration that other nodes have made, within a second.
async fn watch_configuration(engine: web::Data<Engine>) {
    let mut every = tokio::time::interval(Duration::from_millis(500));
    loop {
        every.tick().await;
        let shared = engine.clone();
        let refreshed = engine.store.run(move |_| shared.refresh_catalog()).await;
        if let Err(error) = refreshed {
            tracing::warn!(error = %error, "the configuration could not be compared");
        }
    }
}

/// Takes a renewed certificate into use within seconds.
async fn watch_certificates(certificates: Arc<Certificates>) {
    let mut every = tokio::time::interval(Duration::from_secs(2));
    loop {
        every.tick().await;
        let shared = Arc::clone(&certificates);
        match tokio::task::spawn_blocking(move || shared.refresh()).await {
            Ok(Ok(true)) => tracing::info!("the TLS certificate was read again"),
            Ok(Err(error)) => {
                tracing::error!(error = %error, "the changed TLS certificate cannot be used");
            }
            Ok(Ok(false)) | Err(_) => {}
        }
    }
}

/// The address that a listener got.
///
/// # Errors
/// The socket has none.
pub fn address(listener: &TcpListener) -> std::io::Result<SocketAddr> {
    listener.local_addr()
}
