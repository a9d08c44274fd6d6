//! The real binary in a folder of its own: run to its end, or as a server.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vestibule::kernel::Entropy;

use crate::support::services;

/// A folder with a database, a master key and a log, and the settings that point there.
pub struct Place {
    folder: TempDir,
    port: u16,
    management: u16,
    settings: Vec<(String, String)>,
}

/// What a command came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The JSON on stdout of a command that succeeded.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// Checks exit code and that stderr says this.
    #[track_caller]
    pub fn refused(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(says), "{says:?} in {}", self.err);
    }
}

impl Place {
    pub fn new() -> Self {
        // Below the range from which the kernel hands out ports by itself, so that none is gone by the time it is used.
        let free = || {
            loop {
                let port = 15_000 + u16::from_be_bytes(Entropy.bytes()) % 15_000;
                if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                    return port;
                }
            }
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: free(),
            management: free(),
            settings: Vec::new(),
        }
    }

    /// With one more setting.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Where health and metrics are.
    pub fn management_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.management)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        let folder = self.folder.path().display();
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("VESTIBULE_DATABASE_URL", format!("sqlite://{folder}/v.db"))
            .env("VESTIBULE_MASTER_KEY_FILE", format!("{folder}/master.key"))
            .env("VESTIBULE_HTTP_ADDR", format!("127.0.0.1:{}", self.port))
            .env("VESTIBULE_PUBLIC_URL", self.url())
            .env(
                "VESTIBULE_MANAGEMENT_ADDR",
                format!("127.0.0.1:{}", self.management),
            )
            .env("VESTIBULE_DRAIN_SECONDS", "2")
            .env("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", "an admin passphrase")
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().unwrap();
        Ran {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Starts a command that somebody else ends.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let quiet = || Stdio::null();
        self.command(arguments)
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .unwrap()
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Server<'_> {
        let log = self.path("log");
        let file = std::fs::File::create(&log).unwrap();
        let child = self
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut server = Server {
            place: self,
            child: Some(child),
        };
        let began = Instant::now();
        while server.ready() != Some(200) {
            let ended = server.child.as_mut().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(&log).unwrap();
            assert!(ended.is_none(), "ended: {ended:?} {}", log());
            assert!(began.elapsed() < Duration::from_secs(60), "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

/// A running server; killed when it goes out of scope.
pub struct Server<'a> {
    place: &'a Place,
    child: Option<Child>,
}

impl Server<'_> {
    /// The status of the readiness check; `None` where nobody answers.
    pub fn ready(&self) -> Option<u16> {
        let request = "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        Some(try_exchange(self.place.management, request.as_bytes())?.status)
    }

    /// A GET of the management port.
    pub fn management(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        try_exchange(self.place.management, request.as_bytes()).unwrap()
    }

    /// A GET of the public port.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send(&format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    }

    /// A form to the public port.
    #[track_caller]
    pub fn post(&self, target: &str, form: &str) -> Answer {
        self.send(&format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ))
    }

    /// These bytes on a connection of their own.
    #[track_caller]
    pub fn send(&self, request: &str) -> Answer {
        try_exchange(self.place.port, request.as_bytes()).expect("an answer")
    }

    /// An open connection to the public port.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.place.port)).unwrap()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("log")).unwrap()
    }

    fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The memory of the process that is in the machine's, in bytes.
    pub fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// The processor time that the process has used so far.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in brackets may hold spaces; user and system time are the 14th and 15th field, in hundredths.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| fields.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// How many files and connections the process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id()))
            .unwrap()
            .count()
    }

    /// Ends the process without a word, as a crash does.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end; answers the exit code and how long it took.
    pub fn ended(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code(), began.elapsed())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value, if it came.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn try_exchange(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(request);
    receive(&mut stream)
}

/// Reads until the server closes. `None` where it closes without a word.
pub fn receive(stream: &mut TcpStream) -> Option<Answer> {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // A reset after the answer takes nothing from it.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// The URL of an empty database on the tests' server.
pub fn empty_postgres(prefix: &str) -> Option<String> {
    let server = services::postgres_url()?;
    let name = format!("{prefix}_{}", Entropy.random_uuid().replace('-', ""));
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let statement = format!("CREATE DATABASE {name}");
        client.batch_execute(&statement).await.unwrap();
    });
    Some(url.into())
}

/// The names of the files in a folder that start like this.
pub fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}
