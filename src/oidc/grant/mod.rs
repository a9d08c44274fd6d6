//! The grants of the token endpoint. Each says for whom it asks; the gate and the mint do the rest, in one place.

pub mod authorization_code;
pub mod client_credentials;
pub mod password;
pub mod refresh_token;

use std::sync::Arc;

use super::catalog::RealmConfig;
use super::error::TokenError;
use super::form::Form;
use super::issue::{Grantee, Refresh, TokenSet, issue};
use super::scope::Scope;
use super::sso::{self, Opening};
use crate::action::gate::{Outstanding, Provenance, Subject, clear};
use crate::client::Client;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, Timestamp};
use crate::realm;
use crate::session::SessionKind;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// A parsed token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 4.3; off unless a client allows it.
    Password,
}

impl Grant {
    /// Reads `grant_type`.
    ///
    /// # Errors
    /// It is missing or unknown.
    pub fn parse(form: &Form) -> Result<Self, TokenError> {
        match form.get("grant_type") {
            None => Err(TokenError::NoGrantType),
            Some("authorization_code") => Ok(Self::AuthorizationCode),
            Some("refresh_token") => Ok(Self::RefreshToken),
            Some("client_credentials") => Ok(Self::ClientCredentials),
            Some("password") => Ok(Self::Password),
            Some(_) => Err(TokenError::UnsupportedGrant),
        }
    }

    /// Whether the client may use it.
    ///
    /// # Errors
    /// Keycloak's words for the refusal.
    pub fn allowed(self, client: &Client) -> Result<(), TokenError> {
        let settings = &client.settings;
        match self {
            Self::AuthorizationCode if !settings.standard_flow_enabled => Err(
                TokenError::GrantNotAllowed("Client not allowed to exchange code"),
            ),
            Self::ClientCredentials if settings.public_client => Err(TokenError::NoServiceAccount(
                "Public client not allowed to retrieve service account",
            )),
            Self::ClientCredentials if !settings.service_accounts_enabled => Err(
                TokenError::NoServiceAccount("Client not enabled to retrieve service account"),
            ),
            Self::Password if !settings.direct_access_grants_enabled => Err(
                TokenError::GrantNotAllowed("Client not allowed for direct access grants"),
            ),
            Self::Password if settings.consent_required => Err(TokenError::ConsentRequired),
            Self::AuthorizationCode
            | Self::RefreshToken
            | Self::ClientCredentials
            | Self::Password => Ok(()),
        }
    }

    /// Keycloak's letters for the grant in `jti`.
    pub fn letters(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "ac",
            Self::RefreshToken => "rt",
            Self::ClientCredentials => "cc",
            Self::Password => "ro",
        }
    }

    /// The names of its audit events: success and refusal.
    pub fn events(self) -> (&'static str, &'static str) {
        match self {
            Self::AuthorizationCode => ("CODE_TO_TOKEN", "CODE_TO_TOKEN_ERROR"),
            Self::RefreshToken => ("REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"),
            Self::ClientCredentials => ("CLIENT_LOGIN", "CLIENT_LOGIN_ERROR"),
            Self::Password => ("LOGIN", "LOGIN_ERROR"),
        }
    }
}

/// What was issued before the client's `notBefore` buys nothing.
const STALE: TokenError = TokenError::InvalidGrant("Stale token");

/// What every grant has at hand.
pub struct Request<'a> {
    /// The realm.
    pub config: &'a RealmConfig,
    /// The authenticated client.
    pub client: &'a Arc<Client>,
    /// The parameters.
    pub form: &'a Form,
    /// The client's address.
    pub ip_address: &'a str,
    /// The master key.
    pub keyring: &'a Keyring,
    /// Randomness.
    pub entropy: &'a Entropy,
    /// Which grant it is.
    pub grant: Grant,
    /// Whether the configuration comes from memory and was not compared with the database: the gate does that.
    pub unverified: bool,
}

/// What a grant has found out: for whom, with which scope. It never sees the proof or the mint.
pub struct Claimed<'a> {
    /// For whom.
    pub subject: Subject,
    /// With which scope.
    pub scope: Scope,
    /// The `nonce` to echo.
    pub nonce: Option<String>,
    /// The client's grant in the session, where one is gone on with.
    pub grant_id: Option<String>,
    /// What becomes of the refresh token.
    pub refresh: Refresh<'a>,
}

/// The same subject in a session that begins here, if the gate agrees to one; else the subject as it was, so that
/// the gate's answer is turned into words by [`finish`], in one place.
///
/// # Errors
/// The database fails.
fn in_new_session(
    tx: &mut Tx<'_>,
    request: &Request<'_>,
    subject: Subject,
    (auth_time, kind): (Timestamp, SessionKind),
) -> Result<Subject, StoreError> {
    let Ok(cleared) = clear(tx, &subject)? else {
        return Ok(subject);
    };
    let opening = Opening {
        amr: "pwd",
        auth_time,
        remember_me: false,
        kind,
        ip_address: request.ip_address,
        client_id: &request.client.client_id,
        browser: false,
    };
    let opened = sso::open(
        tx,
        &cleared,
        (&request.config.realm, request.entropy),
        &opening,
    )?;
    let provenance = Provenance::Session {
        session: opened.session.id,
        interactive: false,
    };
    Ok(Subject {
        provenance,
        ..subject
    })
}

/// Asks the gate and mints: the only way from a grant to tokens.
///
/// # Errors
/// The database fails.
pub fn finish(
    tx: &mut Tx<'_>,
    request: &Request<'_>,
    claimed: Claimed<'_>,
) -> Result<Result<TokenSet, TokenError>, StoreError> {
    let gate = clear(tx, &claimed.subject)?;
    if request.unverified {
        let config = request.config;
        let version = match &gate {
            Ok(cleared) => Some(cleared.realm_version()),
            Err(_) => realm::rows::version(tx, &config.realm.name)?.map(|(_, version)| version),
        };
        if version != Some(config.realm.version) {
            return Ok(Err(TokenError::Server));
        }
    }
    let cleared = match gate {
        Ok(cleared) => cleared,
        Err(outstanding) => return Ok(Err(blocked(tx, request, &claimed.subject, outstanding)?)),
    };
    if let Some(session) = cleared
        .session()
        .filter(|session| !session.is_live(&request.config.realm, cleared.now()))
    {
        crate::session::rows::delete(tx, &session.id)?;
        return Ok(Err(TokenError::InvalidGrant("Session not active")));
    }
    let user = cleared.user().id.clone();
    let now = cleared.now();
    let to = Grantee {
        config: request.config,
        client: request.client,
        grant: request.grant.letters(),
        scope: &claimed.scope,
        nonce: claimed.nonce.as_deref(),
        grant_id: claimed.grant_id.as_deref(),
        client_address: (request.grant == Grant::ClientCredentials).then_some(request.ip_address),
        refresh: claimed.refresh,
        keyring: request.keyring,
        entropy: request.entropy,
    };
    let tokens = issue(tx, cleared, to)?;
    if request.config.realm.settings.events_enabled && request.grant != Grant::Password {
        let event = Event::new(&request.config.realm.id, request.grant.events().0)
            .user(&user)
            .client(&request.client.client_id)
            .from(request.ip_address);
        events::record(tx, request.entropy, now, event)?;
    }
    Ok(Ok(tokens))
}

/// The refusal, recorded.
fn blocked(
    tx: &mut Tx<'_>,
    request: &Request<'_>,
    subject: &Subject,
    outstanding: Outstanding,
) -> Result<TokenError, StoreError> {
    let config = request.config;
    let (error, refusal) = match outstanding {
        Outstanding::Actions(waiting) => {
            metrics::counter!("idp_gate_blocked_total", "path" => request.grant.letters())
                .increment(1);
            let now = tx.now()?;
            let event = Event::new(&config.realm.id, "GATE_BLOCKED")
                .user(&subject.user)
                .client(&request.client.client_id)
                .from(request.ip_address)
                .detail("grant", request.form.get("grant_type").unwrap_or_default())
                .detail("required_actions", waiting.actions.clone());
            events::record(tx, request.entropy, now, event)?;
            return Ok(TokenError::NotFullySetUp {
                actions: waiting.actions,
                continue_uri: continue_uri(config, &request.client.client_id),
            });
        }
        Outstanding::RealmDisabled => return Ok(TokenError::RealmDisabled),
        Outstanding::Unknown => ("user_not_found", TokenError::InvalidGrant("User not found")),
        Outstanding::Disabled if request.grant == Grant::Password => {
            ("user_disabled", TokenError::AccountDisabled)
        }
        Outstanding::Disabled => ("user_disabled", TokenError::InvalidGrant("User disabled")),
        Outstanding::Locked if request.grant == Grant::Password => (
            "user_temporarily_disabled",
            TokenError::InvalidUserCredentials,
        ),
        Outstanding::Locked => (
            "user_temporarily_disabled",
            TokenError::InvalidGrant("User disabled"),
        ),
        Outstanding::Stale => ("invalid_token", TokenError::InvalidGrant("Stale token")),
        Outstanding::SessionEnded => (
            "user_session_not_found",
            TokenError::InvalidGrant("Session not active"),
        ),
    };
    if tx.writable() {
        let now = tx.now()?;
        let event = Event::new(&config.realm.id, request.grant.events().1)
            .user(&subject.user)
            .client(&request.client.client_id)
            .from(request.ip_address)
            .error(error);
        events::record(tx, request.entropy, now, event)?;
    }
    Ok(refusal)
}

/// Where a browser can do what the gate asks; holds no secret.
pub fn continue_uri(config: &RealmConfig, client_id: &str) -> String {
    let client: String = form_urlencoded::byte_serialize(client_id.as_bytes()).collect();
    format!(
        "{}/login-actions/required-action?client_id={client}",
        config.issuer
    )
}

/// Whether a moment has come.
pub(super) fn passed(moment: Timestamp, now: Timestamp) -> bool {
    moment <= now
}
