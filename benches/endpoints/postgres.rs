//! A database on PostgreSQL for one run: on the server that `$VESTIBULE_BENCH_POSTGRES` names, or
//! on a throw-away one from Debian's package, with PostgreSQL's own default settings for
//! durability.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio_postgres::NoTls;
use url::Url;

/// An empty database; `close` drops it, and dropping this value ends a throw-away server.
pub struct Postgres {
    /// Where the server under test finds its database.
    pub url: String,
    name: String,
    server_url: String,
    _throw_away: Option<ThrowAway>,
}

impl Postgres {
    /// Makes an empty database.
    pub async fn open() -> Result<Self> {
        let (server_url, throw_away) = match std::env::var("VESTIBULE_BENCH_POSTGRES") {
            Ok(url) => (url, None),
            Err(_) => {
                let throw_away = ThrowAway::start()?;
                (throw_away.url.clone(), Some(throw_away))
            }
        };
        let name = format!("vestibule_bench_{}", std::process::id());
        let mut url = Url::parse(&server_url).context("VESTIBULE_BENCH_POSTGRES is not a URL")?;
        url.set_path(&name);
        execute(&server_url, &format!("CREATE DATABASE {name}")).await?;
        Ok(Self {
            url: url.into(),
            name,
            server_url,
            _throw_away: throw_away,
        })
    }

    /// Drops the database.
    pub async fn close(self) -> Result<()> {
        execute(
            &self.server_url,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await
    }
}

/// Runs one statement on a connection of its own.
async fn execute(url: &str, statement: &str) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .context("connecting to PostgreSQL (set VESTIBULE_BENCH_POSTGRES?)")?;
    let driver = tokio::spawn(connection);
    let outcome = client
        .batch_execute(statement)
        .await
        .with_context(|| statement.to_owned());
    drop(client);
    driver.await?.context("talking to PostgreSQL")?;
    outcome
}

/// A PostgreSQL server of our own, stopped and removed with this value.
struct ThrowAway {
    url: String,
    programs: PathBuf,
    directory: TempDir,
}

impl ThrowAway {
    /// Starts one on a free port of the loopback interface.
    fn start() -> Result<Self> {
        let programs = newest_programs()?;
        let directory = tempfile::Builder::new()
            .prefix("vestibule-bench-pg-")
            .tempdir()?;
        let path = directory.path().display().to_string();
        if is_root()? {
            // PostgreSQL refuses to run as root; Debian's package brings the user for it.
            run(Command::new("chown").args(["postgres", &path]))?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Self {
            url,
            programs,
            directory,
        };
        server.run("initdb", &format!("-D {path}/data -A trust -U postgres"))?;
        let settings =
            format!("-p {port} -k {path} -c listen_addresses=127.0.0.1 -c max_connections=200");
        server.run(
            "pg_ctl",
            &format!("start -w -D {path}/data -l {path}/log -o '{settings}'"),
        )?;
        Ok(server)
    }

    fn run(&self, program: &str, arguments: &str) -> Result<()> {
        let line = format!("{} {arguments}", self.programs.join(program).display());
        if is_root()? {
            run(Command::new("su").args(["postgres", "-c", &line]))
        } else {
            run(Command::new("sh").args(["-c", &line]))
        }
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        let data = self.directory.path().join("data");
        if let Err(error) = self.run(
            "pg_ctl",
            &format!("stop -m immediate -D {}", data.display()),
        ) {
            eprintln!("stopping PostgreSQL: {error:#}");
        }
    }
}

/// The programs of the newest PostgreSQL that Debian's package installed.
fn newest_programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|programs| programs.join("initdb").exists())
        .max_by_key(|programs| version_of(programs))
        .context("no PostgreSQL: set VESTIBULE_BENCH_POSTGRES or install Debian's `postgresql`")
}

/// The version in `/usr/lib/postgresql/<version>/bin`.
fn version_of(programs: &Path) -> u32 {
    let version = programs
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// Runs a command to its end; what it printed is shown only where it failed.
fn run(command: &mut Command) -> Result<()> {
    // `pg_ctl start` leaves a server behind that keeps its standard streams: a pipe to them would
    // never end, so they go to a file.
    let output = tempfile::tempfile()?;
    let status = command
        .current_dir("/")
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()
        .with_context(|| format!("{command:?}"))?;
    ensure!(
        status.success(),
        "{command:?} ended with {status}: {}",
        read_back(output)?
    );
    Ok(())
}

fn read_back(mut file: std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}
