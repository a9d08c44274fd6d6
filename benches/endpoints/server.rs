//! The server under test: the release binary as a child process with a directory of its own.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::http::{Connection, request};
use crate::process::{self, Memory};

/// The administrator that the first start makes.
pub const ADMIN: (&str, &str) = ("admin", "a passphrase for the benchmark");

/// How long the server may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long the server may take to end.
const ENDED_WITHIN: Duration = Duration::from_secs(20);
/// How long the server is left alone before its idle memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// A running server; dropping it ends it and removes its directory.
pub struct Server {
    child: Child,
    directory: TempDir,
    /// The public listener.
    pub address: SocketAddr,
    /// From the start of the process to the first 200 of `/health/ready`.
    pub ready_after: Duration,
    /// Memory before the first request.
    pub idle: Memory,
}

impl Server {
    /// Starts the binary on the database at `database_url`, or on a new SQLite file.
    pub async fn start(database_url: Option<&str>) -> Result<Self> {
        let binary = binary()?;
        let directory = tempfile::Builder::new()
            .prefix("vestibule-bench-")
            .tempdir()?;
        let path = directory.path();
        let (address, management) = free_addresses()?;
        let sqlite = format!("sqlite://{}", path.join("vestibule.db").display());
        let log = File::create(path.join("log"))?;
        let begun = Instant::now();
        let child = Command::new(&binary)
            .arg("serve")
            .current_dir(path)
            .env("VESTIBULE_DATABASE_URL", database_url.unwrap_or(&sqlite))
            .env("VESTIBULE_HTTP_ADDR", address.to_string())
            .env("VESTIBULE_MANAGEMENT_ADDR", management.to_string())
            .env("VESTIBULE_DRAIN_SECONDS", "0")
            .env(
                "VESTIBULE_PUBLIC_URL",
                format!("http://localhost:{}", address.port()),
            )
            .env("VESTIBULE_MASTER_KEY_FILE", path.join("master.key"))
            .env("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", ADMIN.0)
            .env("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", ADMIN.1)
            // Wrong passwords are limited per address; the flood names another one at each try.
            .env("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1/32")
            .env(
                "VESTIBULE_LOG",
                std::env::var("VESTIBULE_LOG").unwrap_or("warn".to_owned()),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let idle = Memory {
            resident_mib: 0.0,
            peak_mib: 0.0,
        };
        let mut server = Self {
            child,
            directory,
            address,
            ready_after: Duration::ZERO,
            idle,
        };
        server.wait_until_ready(begun, management).await?;
        tokio::time::sleep(SETTLE).await;
        server.idle = process::memory(server.pid())?;
        Ok(server)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn wait_until_ready(&mut self, begun: Instant, management: SocketAddr) -> Result<()> {
        let host = format!("localhost:{}", management.port());
        let ready = request("GET", &host, "/health/ready", &[], b"");
        let mut connection = Connection::new(management);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the server ended with {status} before it was ready:\n{}",
                    self.log()
                );
            }
            // Until it listens the connection is refused, and until it is ready this is a 503.
            if connection
                .send(&ready)
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                self.ready_after = begun.elapsed();
                return Ok(());
            }
            ensure!(
                begun.elapsed() < READY_WITHIN,
                "the server is not ready:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The end of what the server has logged.
    pub fn log(&self) -> String {
        let text = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        let tail = text
            .get(text.len().saturating_sub(2000)..)
            .unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Tells the server to stop and waits for it; how it ended is said where it is not well.
    pub fn stop(mut self) -> Result<()> {
        let status = self.terminate()?;
        if !status.success() {
            eprintln!(
                "after SIGTERM the server ended with {status}:\n{}",
                self.log()
            );
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL when that did not help in time.
    fn terminate(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status()?;
        let asked = Instant::now();
        while asked.elapsed() < ENDED_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("ending the server: {error:#}");
        }
    }
}

/// The release binary: `$VESTIBULE_BIN`, or what `cargo build --release` made.
fn binary() -> Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/vestibule");
    let path = std::env::var_os("VESTIBULE_BIN").map_or(built, PathBuf::from);
    path.canonicalize().with_context(|| {
        format!(
            "no binary at {}: run `cargo build --release` or set VESTIBULE_BIN",
            path.display()
        )
    })
}

/// Two free ports, for the public and the management listener.
fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let public = TcpListener::bind(("127.0.0.1", 0))?;
    let management = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((public.local_addr()?, management.local_addr()?))
}
