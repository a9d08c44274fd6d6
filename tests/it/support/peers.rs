//! Drives the third-party apps in other languages (`tests/peers`): each is a process that signs
//! in through a library we did not write, told by JSON lines what the browser did.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

/// The app as it is registered at the provider.
#[derive(Clone, Debug)]
pub struct PeerClient {
    pub issuer: String,
    pub client_id: String,
    /// None for a public client.
    pub client_secret: Option<String>,
    pub redirect_uri: String,
    /// Separated by spaces.
    pub scope: String,
}

/// What the library made of a token answer that it accepted.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerTokens {
    /// The claims of the verified ID token; null where an answer held none.
    pub claims: Value,
    pub userinfo: Value,
    /// `access_token`, `refresh_token`, `id_token`, `token_type`, `expires_in`, `scope`.
    pub token: Value,
}

/// Why the library or the provider refused: an OAuth error code or the library's own word.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PeerRefusal {
    pub error: String,
    pub error_description: Option<String>,
}

/// A running app. It ends when the value is dropped.
#[derive(Debug)]
pub struct Peer {
    // Lent to a blocking thread while an answer is awaited.
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the program that `services::node_peer` or `services::python_peer` names and answers
    /// with the authorization URL that a person's browser has to open.
    pub async fn start(program: &str, client: &PeerClient) -> Result<(Self, Url), PeerRefusal> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Self {
            process: Some(Process {
                child,
                stdin,
                stdout,
            }),
        };
        let settings = json!({
            "issuer": client.issuer,
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "redirect_uri": client.redirect_uri,
            "scope": client.scope,
        });
        let answer = peer.ask(settings).await?;
        let url = answer["authorization_url"]
            .as_str()
            .expect("an authorization_url");
        Ok((peer, Url::parse(url).expect("authorization_url is a URL")))
    }

    /// Hands over where the browser was sent back to; the app exchanges the code.
    pub async fn exchange(&mut self, callback: &Url) -> Result<PeerTokens, PeerRefusal> {
        let answer = self
            .ask(json!({ "callback_url": callback.as_str() }))
            .await?;
        Ok(serde_json::from_value(answer).expect("claims, userinfo and token"))
    }

    /// Lets the app use its refresh token, once.
    pub async fn refresh(&mut self) -> Result<PeerTokens, PeerRefusal> {
        let answer = self.ask(json!({ "refresh": true })).await?;
        Ok(serde_json::from_value(answer).expect("claims, userinfo and token"))
    }

    /// One line there, one line back, on a thread that may block: the provider that the app talks
    /// to may live on this one.
    async fn ask(&mut self, question: Value) -> Result<Value, PeerRefusal> {
        let mut process = self
            .process
            .take()
            .expect("an app that has not refused yet");
        let asking = tokio::task::spawn_blocking(move || {
            let mut answer = String::new();
            writeln!(process.stdin, "{question}").expect("the app listens");
            process
                .stdout
                .read_line(&mut answer)
                .expect("the app answers");
            (process, answer)
        });
        let (process, answer) = asking.await.expect("a thread that ends");
        self.process = Some(process);
        let answer: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("the app answered {answer:?}: {error}"));
        if answer.get("error").is_some() {
            return Err(serde_json::from_value(answer).expect("a refusal"));
        }
        Ok(answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and only the wait matters.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
