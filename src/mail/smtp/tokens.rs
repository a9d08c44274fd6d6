//! Access tokens that stand for a password (XOAUTH2): fetched by `client_credentials` (RFC 6749 section 4.4), kept
//! until they expire, and never written down.

use std::time::{Duration, Instant};

use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType as Code, BasicTokenResponse};
use oauth2::http::{Request, header};
use oauth2::{HttpRequest, TokenResponse as _};
use tokio::sync::Mutex;

use crate::mail::transport::TokenSource;
use crate::web::outbound::Outbound;

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
    until: Instant,
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
                until: token.until,
                new: false,
            });
        }
        let fetched = fetch(&self.outbound, source).await?;
        let token = Token {
            text: fetched.text.clone(),
            until: fetched.until,
            new: true,
        };
        *held = Some(fetched);
        Ok(token)
    }

    /// Does not use this token again; one that was fetched meanwhile stays.
    pub async fn forget(&self, used: &Token) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.until == used.until) {
            *held = None;
        }
    }
}

async fn fetch(outbound: &Outbound, source: &TokenSource) -> Result<Held, String> {
    let request =
        request(source).map_err(|_| "smtpServer: authTokenUrl is not an address".to_owned())?;
    let asked = Instant::now();
    let no = |why: &str| format!("no token from authTokenUrl: {why}");
    let sent = outbound.send(request).await;
    let answer = sent.map_err(|error| no(&error.to_string()))?;
    let foreign = || no("its answer is none of a token endpoint");
    if !answer.status().is_success() {
        let refused: BasicErrorResponse =
            serde_json::from_slice(answer.body()).map_err(|_| foreign())?;
        return Err(no(why(refused.error())));
    }
    let answer: BasicTokenResponse =
        serde_json::from_slice(answer.body()).map_err(|_| foreign())?;
    let text = answer.access_token().secret();
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(no("its answer holds none that can be sent"));
    }
    let life = answer.expires_in().unwrap_or(UNTOLD);
    let used = life.saturating_sub(SPARE).max(life / 2);
    Ok(Held {
        text: text.clone(),
        until: asked + used,
    })
}

fn request(source: &TokenSource) -> Result<HttpRequest, oauth2::http::Error> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &source.client_id)
        .append_pair("client_secret", &source.client_secret);
    if let Some(scope) = &source.scope {
        form.append_pair("scope", scope);
    }
    Request::post(&source.url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .body(form.finish().into_bytes())
}

/// What an endpoint's refusal means, by its code: nothing else of an answer is shown to anybody.
fn why(code: &Code) -> &'static str {
    match code {
        Code::InvalidClient | Code::UnauthorizedClient => {
            "it refuses the client: look at authTokenClientId and authTokenClientSecret"
        }
        Code::InvalidScope => "it refuses the scope: look at authTokenScope",
        Code::UnsupportedGrantType => "it does not give tokens by client_credentials",
        Code::InvalidGrant | Code::InvalidRequest | Code::Extension(_) => "it refuses",
    }
}
