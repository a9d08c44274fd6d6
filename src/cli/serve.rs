//! `vestibule serve`.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::{Failure, boot, output, runtime};
use crate::app::{self, FirstAdmin, FirstPassword, FirstSecret, Listeners};
use crate::config::Config;

use crate::link::Revealed;
use crate::oidc::engine::Engine;
use crate::web::tls::Certificates;

/// Options of `serve`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Shows the configuration that results from file and environment, secrets masked, and starts nothing.
    #[arg(long)]
    print_config: bool,
}

pub(super) fn run(config: Config, options: &Options) -> Result<(), Failure> {
    if options.print_config {
        return output::lines(&[config.masked().trim_end()]);
    }
    boot::logging(&config)?;
    app::install_metrics();
    let _serving = boot::serving(&config)?;
    // Opened before the runtime starts: PostgreSQL's connections block, which an async thread must not.
    let engine = boot::engine(&config, config.public_url.base().to_owned())?;
    runtime()?.block_on(serve(config, engine))
}

async fn serve(config: Config, engine: Engine) -> Result<(), Failure> {
    let http: Vec<TcpListener> = config
        .listeners
        .http
        .map(|address| open(address, "VESTIBULE_HTTP_ADDR"))
        .transpose()?
        .into_iter()
        .collect();
    let management = open(config.listeners.management, "VESTIBULE_MANAGEMENT_ADDR")?;
    let https = match &config.listeners.https {
        Some(https) => Some((
            open(https.addr, "VESTIBULE_HTTPS_ADDR")?,
            Certificates::load(&https.cert, &https.key).map_err(|error| {
                Failure::usage(format!(
                    "{error}: VESTIBULE_TLS_CERT and VESTIBULE_TLS_KEY name a certificate chain and its key, as PEM \
                     files that this user can read"
                ))
            })?,
        )),
        None => None,
    };
    for switch in config.insecure_switches() {
        tracing::warn!(switch, "a dangerous switch is on");
    }
    if config.cache.redis_url.is_some() {
        tracing::warn!(
            "VESTIBULE_REDIS_URL is set, and this version does not use it: each node keeps its own caches"
        );
    }
    let public_url = config.public_url.base().to_owned();
    let admin = match &config.bootstrap.admin {
        Some(admin) => FirstAdmin {
            username: admin.username.clone(),
            password: FirstPassword::Chosen(admin.password.expose().to_owned()),
        },
        None => FirstAdmin {
            username: "admin".to_owned(),
            password: FirstPassword::ByLink,
        },
    };
    let shown = admin.username.clone();
    let first = app::bootstrap(&engine, admin)
        .await
        .map_err(Failure::failed)?;
    if let Some(FirstSecret::Link(link)) = first {
        first_sign_in(&shown, &link);
    }
    let listeners = Listeners {
        http,
        https,
        management: Some(management),
        workers: config.listeners.workers,
    };
    let running = app::serve(engine, listeners).map_err(Failure::failed)?;
    tracing::info!(
        public_url,
        database = running.engine.store.kind(),
        "serving"
    );
    let stop = stop_signal().await;
    tracing::info!("stopping");
    // On a terminal a person waits, and no balancer has to notice.
    let drain = match stop {
        Stop::Terminate => config.listeners.drain,
        Stop::Interrupt => Duration::ZERO,
    };
    tokio::select! {
        () = running.stop(drain) => Ok(()),
        _ = stop_signal() => Err(Failure::failed("stopped at once, by a second signal")),
    }
}

fn open(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!(
            "{address}: {error}: end what listens there, or give {setting} another address"
        ))
    })
}

/// Shown once, on the terminal of who starts the server for the first time; never logged.
#[expect(
    clippy::print_stderr,
    reason = "a secret for the person at the terminal, which logs must not hold"
)]
fn first_sign_in(username: &str, link: &Revealed) {
    eprintln!(
        "\n  The first administrator was made, with the user name {username}. Open this link within seven days and \
         set a password; it works once:\n\n    {}\n\n  Should it expire, `vestibule admin reset` lets you in.\n",
        link.link
    );
}

/// Who wants the server to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A person at a terminal, by Ctrl-C.
    Interrupt,
    /// A supervisor, by SIGTERM.
    Terminate,
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn stop_signal() -> Stop {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Stop::Interrupt,
        () = terminate => Stop::Terminate,
    }
}
