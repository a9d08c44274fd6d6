//! The token endpoint (RFC 6749 section 3.2): one path for every grant.
//!
//! Parse the form, authenticate the client, ask whether the grant is allowed, let the grant say for whom it asks,
//! ask the gate, mint, commit, sign, answer.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::client_auth::{self, Presented};
use super::context::{JSON, Peer, authorization};
use super::cors;
use super::engine::Engine;
use super::error::TokenError;
use super::form::{Fault, Form};
use super::grant::{self, Grant, Request};
use super::issue::{TokenAnswer, TokenSet, refresh};
use crate::client::Client;
use crate::login::password::{self, Proved};
use crate::password::{Password, PasswordHash, Salt};
use crate::store::{Store, StoreError, Tx};
use crate::user::name::name_key;

/// `POST …/protocol/openid-connect/token`.
pub async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let form = match form_of(&request, &body) {
        Ok(form) => form,
        Err(error) => return error.response(),
    };
    let peer = Peer::of(&request, &engine);
    let call = Call {
        engine: engine.clone().into_inner(),
        realm: realm.into_inner(),
        authorization: authorization(&request),
        origin: cors::origin(&request),
        form,
        peer,
    };
    let (answer, origin) = call.answer().await;
    let written = answer.and_then(|tokens| Ok(tokens.to_json()?));
    let mut response = match written {
        Ok(body) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, JSON))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .body(body),
        Err(error) => error.response(),
    };
    cors::allow(&mut response, origin.as_deref());
    response
}

/// The form of a POST; another content type is an empty form, as Keycloak has it.
pub(super) fn form_of(request: &HttpRequest, body: &[u8]) -> Result<Form, TokenError> {
    use actix_web::HttpMessage as _;
    let form = if request
        .content_type()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        Form::parse(body)
    } else {
        Form::default()
    };
    match form.fault() {
        Some(Fault::Twice) => Err(TokenError::Duplicate),
        Some(Fault::Nul) => Err(TokenError::Nul),
        None => Ok(form),
    }
}

/// Who asks: the realm and the authenticated client.
type Admitted = (Arc<RealmConfig>, Arc<Client>);

struct Call {
    engine: Arc<Engine>,
    realm: String,
    authorization: Option<String>,
    origin: Option<String>,
    form: Form,
    peer: Peer,
}

/// A refusal, and whether it was the client's authentication that failed.
type Answer = (Result<TokenAnswer, TokenError>, Option<String>);

impl Call {
    async fn answer(self) -> Answer {
        let grant = match Grant::parse(&self.form) {
            Ok(grant) => grant,
            Err(error) => return (Err(error), None),
        };
        let call = Arc::new(self);
        let result = if grant == Grant::Password {
            password_grant(&call).await
        } else {
            at_once(&call, grant).await
        };
        match result {
            Ok(answer) => answer,
            Err(error) => (Err(TokenError::from(error)), None),
        }
    }

    /// Who asks: the realm as it is, and the client.
    fn admit_now(
        &self,
        tx: &mut Tx<'_>,
        grant: Grant,
    ) -> Result<Result<Admitted, TokenError>, StoreError> {
        let Some(config) = self.engine.catalog.current(tx, &self.realm)? else {
            return Ok(Err(TokenError::NoRealm));
        };
        let admitted = self.admit(tx, &config, grant)?;
        Ok(admitted.map(|client| (config, client)))
    }

    /// The client that asks, and whether this grant is for it.
    fn admit(
        &self,
        tx: &mut Tx<'_>,
        config: &RealmConfig,
        grant: Grant,
    ) -> Result<Result<Arc<Client>, TokenError>, StoreError> {
        if !config.realm.enabled {
            return Ok(Err(TokenError::RealmDisabled));
        }
        let presented = match Presented::read(self.authorization.as_deref(), &self.form) {
            Ok(presented) => presented,
            Err(error) => return Ok(Err(error)),
        };
        let client = match presented.authenticate(tx, config, &self.engine.keyring)? {
            Ok(client) => client,
            Err(error) => return Ok(Err(error)),
        };
        Ok(grant.allowed(&client).map(|()| client))
    }

    fn request<'a>(
        &'a self,
        config: &'a RealmConfig,
        client: &'a Arc<Client>,
        grant: Grant,
    ) -> Request<'a> {
        Request {
            config,
            client,
            form: &self.form,
            ip_address: &self.peer.ip_address,
            keyring: &self.engine.keyring,
            entropy: &self.engine.entropy,
            grant,
            unverified: false,
        }
    }

    /// Counts a failed authentication; the answer becomes 429 when there were too many.
    fn counted(&self, store: &Store, error: TokenError) -> Result<TokenError, StoreError> {
        let sent = (self.authorization.as_deref(), &self.form);
        client_auth::counted(store, (&self.realm, &self.peer.network()), sent, error)
    }

    /// The origin that may read the answer, if the client has registered it.
    fn allowed_origin(&self, client: &Client) -> Option<String> {
        self.origin
            .clone()
            .filter(|origin| client.allowed_origins().contains(origin))
    }
}

type Minted = Result<(TokenSet, Option<String>), TokenError>;

/// Every grant that needs no hashing: one transaction, then the signatures.
async fn at_once(call: &Arc<Call>, grant: Grant) -> Result<Answer, StoreError> {
    let call = Arc::clone(call);
    let store = call.engine.store.clone();
    let work = Arc::clone(&call);
    // A service's own token only reads, so that it does not queue behind the writer.
    let read = if grant == Grant::ClientCredentials && !records_tokens(&call) {
        let work = Arc::clone(&work);
        store
            .look(move |store| store.read(|tx| in_transaction(&work, tx, grant)))
            .await?
    } else {
        None
    };
    let minted: Minted = match read {
        Some(minted) => minted,
        None => {
            let written = store.write(move |tx| in_transaction(&work, tx, grant));
            written.await?.unwrap_or(Err(TokenError::Server))
        }
    };
    match minted {
        Ok((tokens, origin)) => Ok((Ok(tokens.signed()?), origin)),
        Err(error) => {
            let counted = store.run(move |store| call.counted(store, error)).await?;
            Ok((Err(counted), None))
        }
    }
}

fn signed(call: &Call, store: &Store, minted: Minted) -> Result<Answer, StoreError> {
    match minted {
        Ok((tokens, origin)) => Ok((Ok(tokens.signed()?), origin)),
        Err(error) => Ok((Err(call.counted(store, error)?), None)),
    }
}

/// Whether the realm, as far as this node knows, records every token.
fn records_tokens(call: &Call) -> bool {
    let config = call.engine.catalog.cached(&call.realm);
    config.is_some_and(|config| config.realm.settings.events_enabled)
}

/// `None`: the realm records its tokens, which a read transaction cannot do.
fn in_transaction(
    call: &Call,
    tx: &mut Tx<'_>,
    grant: Grant,
) -> Result<Option<Minted>, StoreError> {
    // A node that has just started knows no realm, and another one may have changed what this one knew a moment ago.
    let recorded =
        |tx: &Tx<'_>, config: &RealmConfig| config.realm.settings.events_enabled && !tx.writable();
    // The configuration in memory is nearly always the current one. These two grants write nothing that depends on it
    // before the gate, which reads its version in passing; where that differs, they begin again with the current one.
    if matches!(grant, Grant::ClientCredentials | Grant::RefreshToken)
        && let Some(config) = call.engine.catalog.cached(&call.realm)
    {
        if recorded(tx, &config) {
            return Ok(None);
        }
        let minted = with_configuration(call, tx, grant, (&config, true))?;
        if minted.is_ok() || call.engine.catalog.is_current(tx, &config)? {
            return Ok(Some(minted));
        }
    }
    let Some(config) = call.engine.catalog.current(tx, &call.realm)? else {
        return Ok(Some(Err(TokenError::NoRealm)));
    };
    if recorded(tx, &config) {
        return Ok(None);
    }
    with_configuration(call, tx, grant, (&config, false)).map(Some)
}

fn with_configuration(
    call: &Call,
    tx: &mut Tx<'_>,
    grant: Grant,
    (config, unverified): (&RealmConfig, bool),
) -> Result<Minted, StoreError> {
    let client = match call.admit(tx, config, grant)? {
        Ok(client) => client,
        Err(error) => return Ok(Err(error)),
    };
    let request = Request {
        unverified,
        ..call.request(config, &client, grant)
    };
    let origin = call.allowed_origin(&client);
    let minted = match grant {
        Grant::ClientCredentials => match grant::client_credentials::claim(tx, &request)? {
            Ok(claimed) => grant::finish(tx, &request, claimed)?,
            Err(error) => Err(error),
        },
        Grant::AuthorizationCode => match grant::authorization_code::claim(tx, &request)? {
            Ok(claimed) => grant::finish(tx, &request, claimed)?,
            Err(error) => Err(error),
        },
        Grant::RefreshToken => match grant::refresh_token::claim(tx, &request)? {
            Ok(exchange) => {
                let minted = grant::finish(tx, &request, exchange.claimed)?;
                match (minted, exchange.spend) {
                    // The row count decides between two that came at once; the slower one is a replay.
                    (Ok(tokens), Some(stored)) => {
                        let now = tx.now()?;
                        if refresh::spend(tx, &stored.digest, now)? {
                            Ok(tokens)
                        } else {
                            Err(grant::refresh_token::replayed(tx, &request, &stored)?)
                        }
                    }
                    (minted, _) => minted,
                }
            }
            Err(error) => Err(error),
        },
        Grant::Password => Err(TokenError::UnsupportedGrant),
    };
    Ok(minted.map(|tokens| (tokens, origin)))
}

/// The password grant: counted in one transaction, hashed outside any, concluded in another.
async fn password_grant(call: &Arc<Call>) -> Result<Answer, StoreError> {
    let username = match call.form.get("username") {
        Some(username) => username.to_owned(),
        None => return Ok((Err(TokenError::Missing("username")), None)),
    };
    let engine = Arc::clone(&call.engine);
    let key = name_key(&username);
    let from = call.peer.network();
    let Some(_turn) = engine.turnstile.enter(&call.realm, &key, &from).await else {
        return Err(StoreError::Busy);
    };
    let begun = {
        let call = Arc::clone(call);
        engine
            .store
            .run(move |store| {
                let begun = store.tx(|tx| -> Result<_, StoreError> {
                    let (config, client) = match call.admit_now(tx, Grant::Password)? {
                        Ok(admitted) => admitted,
                        Err(error) => return Ok(Err(error)),
                    };
                    let origin = call.peer.origin(&client.client_id);
                    let begun = password::begin(tx, &config.realm, &username, &origin, None)?;
                    Ok(Ok(begun))
                })?;
                match begun {
                    Ok(attempt) => Ok::<_, StoreError>(Ok(attempt)),
                    Err(error) => Ok(Err(call.counted(store, error)?)),
                }
            })
            .await
    };
    let attempt = match begun? {
        Ok(attempt) => attempt,
        Err(error) => return Ok((Err(error), None)),
    };
    let typed = call.form.text("password");
    let checked = match check(&engine, typed, attempt.stored()).await {
        Ok(checked) => checked,
        Err(error) => {
            let store = engine.store.clone();
            store
                .run(move |store| store.tx(|tx| password::give_back(tx, &attempt)))
                .await?;
            return Ok((Err(error), None));
        }
    };
    let call = Arc::clone(call);
    engine
        .store
        .clone()
        .run(move |store| {
            let minted: Minted = store.tx(|tx| -> Result<Minted, StoreError> {
                let (config, client) = match call.admit_now(tx, Grant::Password)? {
                    Ok(admitted) => admitted,
                    Err(error) => return Ok(Err(error)),
                };
                let origin = call.peer.origin(&client.client_id);
                let with = (&config.realm, &origin, &call.engine.entropy);
                let rehashed = checked.rehashed.as_ref().map(PasswordHash::as_str);
                let proved: Proved =
                    match password::conclude(tx, with, attempt, checked.matches, rehashed)? {
                        Ok(proved) => proved,
                        Err(refusal) => return Ok(Err(grant::password::refusal(refusal))),
                    };
                let request = call.request(&config, &client, Grant::Password);
                let minted = match grant::password::claim(tx, &request, &proved)? {
                    Ok(claimed) => grant::finish(tx, &request, claimed)?,
                    Err(error) => Err(error),
                };
                Ok(minted.map(|tokens| (tokens, call.allowed_origin(&client))))
            })?;
            signed(&call, store, minted)
        })
        .await
}

/// What the hasher says about a typed password.
pub(super) struct Checked {
    pub(super) matches: bool,
    pub(super) rehashed: Option<PasswordHash>,
}

/// Verifies a typed password at the cost of one hash, whatever is stored, and hashes anew what is outdated.
pub(super) async fn check(
    engine: &Engine,
    typed: &str,
    stored: Option<&str>,
) -> Result<Checked, TokenError> {
    let busy = |busy: crate::password::Busy| TokenError::Busy(busy.retry_after.as_secs().max(1));
    let stored = stored.and_then(|text| PasswordHash::parse(text).ok());
    let verdict = engine
        .hasher
        .verify(Password::attempt(typed), stored.as_ref())
        .await
        .map_err(busy)?;
    let rehashed = if verdict.matches && verdict.outdated {
        let salt = Salt::new(|out: &mut [u8]| engine.entropy.fill(out));
        engine
            .hasher
            .hash(Password::attempt(typed), salt)
            .await
            .ok()
    } else {
        None
    };
    Ok(Checked {
        matches: verdict.matches,
        rehashed,
    })
}
