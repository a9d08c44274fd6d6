//! Access tokens that stand for a password (XOAUTH2): fetched by `client_credentials` (RFC 6749 section 4.4), kept
//! until they expire, and never written down.

use std::time::{Duration, Instant};

use oauth2::basic::{BasicClient, BasicErrorResponse, BasicErrorResponseType as Code};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, RequestTokenError, Scope, TokenResponse as _,
    TokenUrl,
};
use tokio::sync::Mutex;

use crate::mail::transport::TokenSource;
use crate::web::outbound::{Outbound, OutboundError};

/// A token is not used in its last minute, so that it does not expire on its way, nor for longer than half its life
/// where it lives for less than two.
const SPARE: Duration = Duration::from_secs(60);
/// How long a token is kept whose issuer does not say how long it lives.
const UNTOLD: Duration = Duration::from_secs(120);
/// The longest token that a mail server can be told: a line of AUTH holds 12,288 bytes (RFC 4954), in base64.
const LONGEST: usize = 8 * 1024;

/// The token of one server's settings.
pub struct Tokens {
    outbound: Outbound,
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    text: String,
    until: Instant,
}

/// A token, and whether it was fetched just now.
pub struct Token {
    text: String,
    new: bool,
}

impl Token {
    /// The token.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it was fetched just now, so that a refusal is no matter of its age.
    pub fn is_new(&self) -> bool {
        self.new
    }
}

impl Tokens {
    /// None yet.
    pub fn new(outbound: Outbound) -> Self {
        Self {
            outbound,
            held: Mutex::new(None),
        }
    }

    /// The token that is held, or a new one; many who ask at once wait for one answer.
    ///
    /// # Errors
    /// There is none: a sentence for administrators.
    pub async fn get(&self, source: &TokenSource) -> Result<Token, String> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Token {
                text: token.text.clone(),
                new: false,
            });
        }
        let fetched = fetch(&self.outbound, source).await?;
        let text = fetched.text.clone();
        *held = Some(fetched);
        Ok(Token { text, new: true })
    }

    /// Does not use this token again.
    pub async fn forget(&self, token: &Token) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.text == token.text) {
            *held = None;
        }
    }
}

async fn fetch(outbound: &Outbound, source: &TokenSource) -> Result<Held, String> {
    let url = TokenUrl::new(source.url.clone())
        .map_err(|_| "smtpServer: authTokenUrl is not an address".to_owned())?;
    let client = BasicClient::new(ClientId::new(source.client_id.clone()))
        .set_client_secret(ClientSecret::new(source.client_secret.clone()))
        .set_token_uri(url)
        .set_auth_type(AuthType::RequestBody);
    let scope = source.scope.clone().map(Scope::new);
    let asked = Instant::now();
    let http = |request: HttpRequest| outbound.send(request);
    let answer = client
        .exchange_client_credentials()
        .add_scopes(scope)
        .request_async(&http)
        .await
        .map_err(|error| format!("no token from authTokenUrl: {}", why(&error)))?;
    let text = answer.access_token().secret();
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("no token from authTokenUrl: its answer holds none that can be sent".into());
    }
    let life = answer.expires_in().unwrap_or(UNTOLD);
    let used = life.saturating_sub(SPARE).max(life / 2);
    Ok(Held {
        text: text.clone(),
        until: asked + used,
    })
}

/// What went wrong, without a word of the answer but its error code.
fn why(error: &RequestTokenError<OutboundError, BasicErrorResponse>) -> String {
    match error {
        RequestTokenError::Request(error) => error.to_string(),
        RequestTokenError::ServerResponse(refused) => match refused.error() {
            Code::InvalidClient | Code::UnauthorizedClient => {
                "it refuses the client: look at authTokenClientId and authTokenClientSecret".into()
            }
            Code::InvalidScope => "it refuses the scope: look at authTokenScope".into(),
            Code::UnsupportedGrantType => "it does not give tokens by client_credentials".into(),
            Code::InvalidGrant | Code::InvalidRequest | Code::Extension(_) => "it refuses".into(),
        },
        RequestTokenError::Parse(_, _) | RequestTokenError::Other(_) => {
            "its answer is none of a token endpoint".into()
        }
    }
}
