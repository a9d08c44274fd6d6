//! What is measured: the scenarios, what each costs at least, and the workers that repeat them.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Deserialize;

use crate::browser::{self, Tokens};
use crate::http::{Connection, request};
use crate::load::Failure;
use crate::setup::{Client, Person, Target};

/// A scenario, by its name on the command line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The discovery document.
    Discovery,
    /// The realm's keys.
    Jwks,
    /// `client_credentials`, ES256.
    CcEs256,
    /// `client_credentials`, RS256.
    CcRs256,
    /// `refresh_token` of a public client: each worker carries its own chain of tokens.
    RefreshRotate,
    /// `refresh_token` of a confidential client, which keeps its token.
    RefreshKeep,
    /// Userinfo by an access token.
    Userinfo,
    /// Introspection of an access token.
    Introspect,
    /// A whole sign-in: page, password, redirects, code, tokens.
    Login,
    /// Wrong passwords at ten times capacity, and what the others feel of it.
    Flood,
}

/// The least that a scenario's unit takes: what no implementation can leave out.
#[derive(Default)]
pub struct Cost {
    /// HTTP exchanges.
    pub exchanges: f64,
    /// ES256 signatures.
    pub es256: f64,
    /// RS256 signatures.
    pub rs256: f64,
    /// Argon2id hashes.
    pub argon2: f64,
}

impl Scenario {
    /// The word on the command line and in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::CcEs256 => "cc-es256",
            Self::CcRs256 => "cc-rs256",
            Self::RefreshRotate => "refresh-rotate",
            Self::RefreshKeep => "refresh-keep",
            Self::Userinfo => "userinfo",
            Self::Introspect => "introspect",
            Self::Login => "login",
            Self::Flood => "flood",
        }
    }

    /// What one unit takes at least.
    pub fn cost(self) -> Cost {
        let exchange = Cost {
            exchanges: 1.0,
            ..Cost::default()
        };
        match self {
            Self::Discovery | Self::Jwks | Self::Userinfo | Self::Introspect => exchange,
            Self::CcEs256 => Cost {
                es256: 1.0,
                ..exchange
            },
            Self::CcRs256 => Cost {
                rs256: 1.0,
                ..exchange
            },
            // An access token and an ID token.
            Self::RefreshRotate | Self::RefreshKeep => Cost {
                es256: 2.0,
                ..exchange
            },
            // The page, the password, the redirect to the code, the exchange.
            Self::Login => Cost {
                exchanges: 4.0,
                es256: 2.0,
                argon2: 1.0,
                ..exchange
            },
            Self::Flood => Cost {
                exchanges: 1.0,
                argon2: 1.0,
                ..exchange
            },
        }
    }

    /// The worker number `index` of this scenario, ready to repeat it.
    ///
    /// # Errors
    /// A sign-in that the worker needs was refused.
    pub async fn worker(self, target: &Arc<Target>, index: usize) -> Result<Worker> {
        let mut connection = Connection::new(target.address);
        let person = index % target.people.len().max(1);
        let get = |path: &str| request("GET", &target.host, path, &[], b"");
        let service = [("grant_type", "client_credentials")];
        let task = match self {
            Self::Discovery => Task::Same(get(&Target::discovery())),
            Self::Jwks => Task::Same(get(&Target::oidc("certs"))),
            Self::CcEs256 => Task::Same(target.post_as(Client::ServiceEs256, "token", &service)),
            Self::CcRs256 => Task::Same(target.post_as(Client::ServiceRs256, "token", &service)),
            Self::RefreshRotate => {
                let tokens = tokens(&mut connection, target, Client::Spa, person).await?;
                Task::Refresh {
                    target: Arc::clone(target),
                    token: tokens.refresh_token,
                }
            }
            Self::RefreshKeep => {
                let tokens = tokens(&mut connection, target, Client::Web, person).await?;
                Task::Same(refresh(target, Client::Web, &tokens.refresh_token))
            }
            Self::Userinfo => {
                let tokens = tokens(&mut connection, target, Client::Spa, person).await?;
                let bearer = format!("Bearer {}", tokens.access_token);
                let path = Target::oidc("userinfo");
                Task::Same(request(
                    "GET",
                    &target.host,
                    &path,
                    &[("Authorization", &bearer)],
                    b"",
                ))
            }
            Self::Introspect => {
                let tokens = tokens(&mut connection, target, Client::Web, person).await?;
                let fields = [("token", &*tokens.access_token)];
                let bytes = target.post_as(Client::Web, "token/introspect", &fields);
                let answer = connection.send(&bytes).await?.json()?;
                let active = answer.get("active").and_then(serde_json::Value::as_bool);
                anyhow::ensure!(
                    active == Some(true),
                    "introspection of a new token: {answer}"
                );
                Task::Same(bytes)
            }
            Self::Login | Self::Flood => Task::SignIn {
                target: Arc::clone(target),
                person,
            },
        };
        Ok(Worker { connection, task })
    }
}

/// The tokens of a person's new session at a client.
async fn tokens(
    connection: &mut Connection,
    target: &Target,
    client: Client,
    person: usize,
) -> Result<Tokens> {
    let person = self::person(target, person)?;
    let tokens = browser::sign_in(connection, target, client, person).await;
    tokens.map_err(|failure| failure.into_error().context("signing in for the set-up"))
}

fn person(target: &Target, index: usize) -> Result<&Person> {
    target.people.get(index).context("no such person")
}

fn refresh(target: &Target, client: Client, token: &str) -> Vec<u8> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    target.post_as(client, "token", &fields)
}

/// One connection and what is repeated on it.
pub struct Worker {
    connection: Connection,
    task: Task,
}

enum Task {
    /// The same request again and again, answered by 200.
    Same(Vec<u8>),
    /// A refresh by the token that the refresh before it brought.
    Refresh { target: Arc<Target>, token: String },
    /// A sign-in with a new browser each time.
    SignIn { target: Arc<Target>, person: usize },
}

/// What the worker needs of the token endpoint's answer.
#[derive(Deserialize)]
struct Refreshed {
    refresh_token: String,
}

impl Worker {
    /// A worker that repeats one request.
    pub fn repeating(connection: Connection, request: Vec<u8>) -> Self {
        Self {
            connection,
            task: Task::Same(request),
        }
    }

    /// Does the scenario's unit once.
    pub async fn step(&mut self) -> Result<(), Failure> {
        match &mut self.task {
            Task::Same(request) => {
                let answer = self.connection.send(request).await?;
                match answer.status {
                    200 => Ok(()),
                    _ => Err(Failure::unexpected("the request", &answer)),
                }
            }
            Task::Refresh { target, token } => {
                let bytes = refresh(target, Client::Spa, token);
                let answer = self.connection.send(&bytes).await?;
                if answer.status != 200 {
                    return Err(Failure::unexpected("POST token (refresh_token)", &answer));
                }
                let refreshed: Refreshed =
                    serde_json::from_slice(answer.body).context("the answer to a refresh")?;
                if refreshed.refresh_token == *token {
                    return Err(Failure::from(anyhow::anyhow!(
                        "the refresh token did not rotate"
                    )));
                }
                *token = refreshed.refresh_token;
                Ok(())
            }
            Task::SignIn { target, person } => {
                let person = self::person(target, *person)?;
                browser::sign_in(&mut self.connection, target, Client::Spa, person).await?;
                Ok(())
            }
        }
    }
}
