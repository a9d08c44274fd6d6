//! `vestibule demo`: everything that is needed to see the gate at work, in one process.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::{Failure, boot, runtime, serve};
use crate::app::{self, FirstAdmin, FirstPassword, Listeners};
use crate::config::Config;
use crate::demo::app::AppSettings;
use crate::demo::mailbox::Mailbox;
use crate::demo::seed::{self, CLIENT, PEOPLE, REALM};
use crate::demo::{self, table};
use crate::store::{Location, Serving};

/// Options of `demo`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Starts over: everything under ./data/demo is deleted first.
    #[arg(long)]
    fresh: bool,
    /// The identity provider's port on this machine.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The example app's port on this machine.
    #[arg(long, default_value_t = 8081)]
    app_port: u16,
}

const FOLDER: &str = "data/demo";
const ADMIN_PASSWORD: &str = "demo admin passphrase";

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let folder = Path::new(FOLDER);
    let location = Location::Sqlite(folder.join("vestibule.db"));
    let serving = || Serving::take(&location).map_err(Failure::failed);
    if options.fresh && folder.exists() {
        // Not while another demo runs on it.
        let _alone = serving()?;
        std::fs::remove_dir_all(folder)
            .map_err(|error| Failure::failed(format!("{FOLDER} cannot be deleted: {error}")))?;
    }
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::failed(format!("{FOLDER} cannot be made: {error}")))?;
    let _serving = serving()?;
    let variables = [
        (
            "VESTIBULE_DATABASE_URL",
            format!("sqlite://{FOLDER}/vestibule.db"),
        ),
        ("VESTIBULE_MASTER_KEY_FILE", format!("{FOLDER}/master.key")),
        ("VESTIBULE_HTTP_ADDR", format!("127.0.0.1:{}", options.port)),
        (
            "VESTIBULE_PUBLIC_URL",
            format!("http://localhost:{}", options.port),
        ),
        (
            "VESTIBULE_LOG",
            std::env::var("VESTIBULE_LOG").unwrap_or_else(|_| "warn".to_owned()),
        ),
    ];
    let variables = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(None, variables)?;
    boot::logging(&config)?;
    app::install_metrics();
    runtime()?.block_on(play(config, options))
}

async fn play(config: Config, options: &Options) -> Result<(), Failure> {
    let open = |port: u16, what: &str, option: &str| {
        TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
            Failure::failed(format!(
                "port {port} for the {what} is not free ({error}): choose another with {option}"
            ))
        })
    };
    let http = open(options.port, "identity provider", "--port")?;
    let app = open(options.app_port, "example app", "--app-port")?;
    let mail = open(0, "mailbox", "--port")?;
    let smtp_port = app::address(&mail).map_err(Failure::failed)?.port();
    let mailbox = Mailbox::start(mail).map_err(Failure::failed)?;
    let public_url = config.public_url.base().to_owned();
    let app_url = format!("http://localhost:{}", options.app_port);

    let engine = boot::engine(&config, public_url.clone())?;
    let admin = FirstAdmin {
        username: "admin".to_owned(),
        password: FirstPassword::Chosen(ADMIN_PASSWORD.to_owned()),
    };
    app::bootstrap(&engine, admin)
        .await
        .map_err(Failure::failed)?;
    seed::seed(&engine, &app_url, smtp_port)
        .await
        .map_err(Failure::failed)?;
    let listeners = Listeners {
        http: vec![http],
        https: None,
        management: None,
        workers: None,
    };
    let running = app::serve(engine, listeners).map_err(Failure::failed)?;
    let settings = AppSettings {
        issuer: format!("{public_url}/realms/{REALM}"),
        client_id: CLIENT.to_owned(),
        client_secret: None,
        public_url: app_url.clone(),
        mailbox,
    };
    let server = demo::app::serve(app, settings).map_err(Failure::failed)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    welcome(&public_url, &app_url).map_err(Failure::failed)?;
    serve::stop_signal().await;
    handle.stop(true).await;
    running.stop(Duration::ZERO).await;
    serving.abort();
    Ok(())
}

/// The small table that says what to open, who to sign in as, and what will be seen.
fn welcome(public_url: &str, app_url: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n  Vestibule is running. Open the app and sign in as one of these people:\n\n    {app_url}\n"
    )?;
    let rows: Vec<[String; 3]> = PEOPLE
        .iter()
        .map(|person| {
            [
                person.username.to_owned(),
                person.password.unwrap_or("(none)").to_owned(),
                person.shows.to_owned(),
            ]
        })
        .collect();
    table::print(&mut out, ["sign in as", "password", "you will see"], &rows)?;
    let places = [
        ["the app".to_owned(), app_url.to_owned()],
        ["its mailbox".to_owned(), format!("{app_url}/mailbox")],
        ["issuer".to_owned(), format!("{public_url}/realms/{REALM}")],
        [
            "admin API".to_owned(),
            format!("{public_url}/admin/realms  (admin / {ADMIN_PASSWORD})"),
        ],
    ];
    writeln!(out)?;
    table::print(&mut out, ["what", "where"], &places)?;
    writeln!(
        out,
        "\n  Ctrl-C stops it. Started again, it knows people and passwords as you left them;\n  the mailbox is empty then, and Harbour asks to sign in. --fresh starts over."
    )?;
    out.flush()
}
