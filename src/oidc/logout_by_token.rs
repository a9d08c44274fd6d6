//! Signing out by a refresh token, as Keycloak's SDKs do: a client posts to the logout endpoint the refresh token that
//! it holds, and the session behind it ends for all its clients. An offline token ends its offline session alone.
//!
//! Called by `logout::post`. Ending is always allowed: a token that was exchanged, has ended or waits behind the gate
//! is as good as a fresh one, and one whose session is over is answered like the first time.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::client_auth::{self, Presented};
use super::context::{Peer, authorization};
use super::cors;
use super::engine::Engine;
use super::error::TokenError;
use super::form::Form;
use super::issue::refresh;
use super::logout;
use crate::session;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// A client's wish.
struct Call {
    realm: String,
    form: Form,
    authorization: Option<String>,
    origin: Option<String>,
    peer: Peer,
}

/// Answers a form with a `refresh_token`.
pub(super) async fn answer(
    request: &HttpRequest,
    realm: String,
    form: Form,
    engine: Arc<Engine>,
) -> HttpResponse {
    let call = Call {
        realm,
        form,
        authorization: authorization(request),
        origin: cors::origin(request),
        peer: Peer::of(request, &engine),
    };
    let store = engine.store.clone();
    let answer = store
        .run(
            move |store| match store.tx(|tx| call.log_out(tx, &engine))? {
                Ok(origin) => Ok::<_, StoreError>(Ok(origin)),
                Err(error) => {
                    let sent = (call.authorization.as_deref(), &call.form);
                    let at = (call.realm.as_str(), &*call.peer.network());
                    client_auth::counted(store, at, sent, error).map(Err)
                }
            },
        )
        .await;
    match answer {
        Ok(Ok(origin)) => {
            let mut response = HttpResponse::NoContent()
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish();
            cors::allow(&mut response, origin.as_deref());
            response
        }
        Ok(Err(error)) => error.response(),
        Err(error) => TokenError::from(error).response(),
    }
}

impl Call {
    /// Ends the session; answers the origin that may read so.
    fn log_out(
        &self,
        tx: &mut Tx<'_>,
        engine: &Engine,
    ) -> Result<Result<Option<String>, TokenError>, StoreError> {
        let Some(config) = engine.catalog.current(tx, &self.realm)? else {
            return Ok(Err(TokenError::NoRealm));
        };
        if !config.realm.enabled {
            return Ok(Err(TokenError::RealmDisabled));
        }
        let presented = match Presented::read(self.authorization.as_deref(), &self.form) {
            Ok(presented) => presented,
            Err(error) => return Ok(Err(error)),
        };
        let client = match presented.authenticate(tx, &config, &engine.keyring)? {
            Ok(client) => client,
            Err(error) => return Ok(Err(error)),
        };
        let token = self.form.text("refresh_token");
        let refusal = match refresh::origin(tx, (&config, &engine.keyring), token)? {
            None => "Invalid refresh token",
            Some((owner, _)) if owner.as_ref() != Some(&client.id) => {
                "Invalid refresh token. Token client and authorized client don't match"
            }
            Some((_, session)) => {
                if let Some(session) = session::rows::by_id(tx, &session)? {
                    let by = (Some(client.client_id.as_str()), &self.peer);
                    logout::end(tx, engine, &config, &session, by)?;
                }
                let allowed = client.allowed_origins();
                let origin = self.origin.clone();
                return Ok(Ok(origin.filter(|origin| allowed.contains(origin))));
            }
        };
        // Anybody can send nonsense in the name of a public client: kept where the realm records its tokens.
        if config.realm.settings.events_enabled {
            let now = tx.now()?;
            let event = Event::new(&config.realm.id, "LOGOUT_ERROR")
                .client(&client.client_id)
                .from(&self.peer.ip_address)
                .error("invalid_token")
                .detail("reason", refusal);
            events::record(tx, &engine.entropy, now, event)?;
        }
        Ok(Err(TokenError::InvalidGrant(refusal)))
    }
}
