//! The token endpoint (RFC 6749 section 3.2): one path for every grant.
//!
//! Parse the form, authenticate the client, ask whether the grant is allowed, let the grant say for whom it asks,
//! ask the gate, mint, commit, sign, answer.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::client_auth::{self, Presented};
use super::context::{Peer, authorization};
use super::cors;
use super::engine::Engine;
use super::error::TokenError;
use super::form::Form;
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
    let mut response = match answer {
        Ok(tokens) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .json(tokens),
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
    if form.duplicate().is_some() {
        Err(TokenError::Duplicate)
    } else {
        Ok(form)
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

    /// Who asks: realm, client, and whether this grant is for it.
    fn admit(
        &self,
        tx: &mut Tx<'_>,
        grant: Grant,
    ) -> Result<Result<Admitted, TokenError>, StoreError> {
        let Some(config) = self.engine.catalog.current(tx, &self.realm)? else {
            return Ok(Err(TokenError::NoRealm));
        };
        if !config.realm.enabled {
            return Ok(Err(TokenError::RealmDisabled));
        }
        let presented = match Presented::read(self.authorization.as_deref(), &self.form) {
            Ok(presented) => presented,
            Err(error) => return Ok(Err(error)),
        };
        let client = match presented.authenticate(tx, &config, &self.engine.keyring)? {
            Ok(client) => client,
            Err(error) => return Ok(Err(error)),
        };
        Ok(grant.allowed(&client).map(|()| (config, client)))
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
        }
    }

    /// Counts a failed authentication; the answer becomes 429 when there were too many.
    fn counted(&self, store: &Store, error: TokenError) -> Result<TokenError, StoreError> {
        let TokenError::InvalidClient(_) = error else {
            return Ok(error);
        };
        let client_id = Presented::read(self.authorization.as_deref(), &self.form).map_or_else(
            |_| String::new(),
            |presented| presented.client_id().to_owned(),
        );
        let too_many: Option<TokenError> = store
            .tx(|tx| client_auth::note_failure(tx, &self.realm, &client_id, &self.peer.network))?;
        Ok(too_many.unwrap_or(error))
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
    if grant == Grant::ClientCredentials && !records_tokens(&call) {
        let reading = Arc::clone(&call);
        let minted: Minted = store.look(move |store| service(&reading, store)).await?;
        return match minted {
            Ok((tokens, origin)) => Ok((Ok(tokens.signed()?), origin)),
            Err(error) => {
                let counted = store.run(move |store| call.counted(store, error)).await?;
                Ok((Err(counted), None))
            }
        };
    }
    store
        .run(move |store| {
            let minted: Minted = store.tx(|tx| in_transaction(&call, tx, grant))?;
            signed(&call, store, minted)
        })
        .await
}

fn signed(call: &Call, store: &Store, minted: Minted) -> Result<Answer, StoreError> {
    match minted {
        Ok((tokens, origin)) => Ok((Ok(tokens.signed()?), origin)),
        Err(error) => Ok((Err(call.counted(store, error)?), None)),
    }
}

/// Whether the realm records every token.
fn records_tokens(call: &Call) -> bool {
    let config = call.engine.catalog.cached(&call.realm);
    config.is_some_and(|config| config.realm.settings.events_enabled)
}

/// A service's own token: read only, so that it does not queue behind the writer.
fn service(call: &Call, store: &Store) -> Result<Minted, StoreError> {
    store.read(|tx| in_transaction(call, tx, Grant::ClientCredentials))
}

fn in_transaction(call: &Call, tx: &mut Tx<'_>, grant: Grant) -> Result<Minted, StoreError> {
    let (config, client) = match call.admit(tx, grant)? {
        Ok(admitted) => admitted,
        Err(error) => return Ok(Err(error)),
    };
    let request = call.request(&config, &client, grant);
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
    let Some(_turn) = engine.turnstile.enter(&call.realm, &key).await else {
        return Err(StoreError::Busy);
    };
    let begun = {
        let call = Arc::clone(call);
        engine
            .store
            .run(move |store| {
                let begun = store.tx(|tx| -> Result<_, StoreError> {
                    let (config, client) = match call.admit(tx, Grant::Password)? {
                        Ok(admitted) => admitted,
                        Err(error) => return Ok(Err(error)),
                    };
                    let origin = call.peer.origin(&client.client_id);
                    Ok(Ok(password::begin(tx, &config.realm, &username, &origin)?))
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
                let (config, client) = match call.admit(tx, Grant::Password)? {
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
