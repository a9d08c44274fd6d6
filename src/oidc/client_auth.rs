//! Client authentication: `client_secret_basic`, `client_secret_post`, and `none` for public clients
//! (RFC 6749 section 2.3, OpenID Connect Core section 9).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::catalog::RealmConfig;
use super::error::TokenError;
use super::form::Form;
use crate::client::Client;
use crate::kernel::seal::Keyring;
use crate::session::throttle::{self, PER_CLIENT, Turn};
use crate::store::{Store, StoreError, Tx};

/// What a request brought to authenticate its client with. No `Debug`: it holds the secret.
pub struct Presented {
    client_id: String,
    secret: Option<String>,
    by_header: bool,
}

impl Presented {
    /// Reads the Authorization header and the form.
    ///
    /// # Errors
    /// Two methods at once, a method that this server does not know, or a header that cannot be read.
    pub fn read(authorization: Option<&str>, form: &Form) -> Result<Self, TokenError> {
        if form.has("client_assertion") || form.has("client_assertion_type") {
            return Err(TokenError::InvalidClient(false));
        }
        let in_form = form.get("client_id").map(str::to_owned);
        let Some(authorization) = authorization else {
            let client_id = in_form.ok_or(TokenError::InvalidClient(false))?;
            let secret = form
                .has("client_secret")
                .then(|| form.text("client_secret").to_owned());
            return Ok(Self {
                client_id,
                secret,
                by_header: false,
            });
        };
        let (client_id, secret) = basic(authorization).ok_or(TokenError::InvalidClient(true))?;
        if form.has("client_secret") {
            return Err(TokenError::TwoMethods);
        }
        if in_form.is_some_and(|other| other != client_id) {
            return Err(TokenError::InvalidClient(true));
        }
        Ok(Self {
            client_id,
            secret: Some(secret),
            by_header: true,
        })
    }

    /// The `client_id` that the request names.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The client, if what was presented is right.
    ///
    /// # Errors
    /// The database fails.
    pub fn authenticate(
        &self,
        tx: &mut Tx<'_>,
        config: &RealmConfig,
        keyring: &Keyring,
    ) -> Result<Result<Arc<Client>, TokenError>, StoreError> {
        let refused = Ok(Err(TokenError::InvalidClient(self.by_header)));
        let client = config.client(tx, &self.client_id)?;
        let Some(client) = client.filter(|client| {
            client.enabled && !client.settings.bearer_only && client.speaks_openid()
        }) else {
            // The digest is made for nobody too, so that time does not tell which clients there are.
            let _ = secret_digest(keyring, "", self.secret.as_deref().unwrap_or_default());
            return refused;
        };
        match (&self.secret, client.settings.public_client) {
            // A public client has no secret that could be wrong; some libraries send an empty one.
            (_, true) => Ok(Ok(client)),
            (Some(secret), false) if !secret.is_empty() && secret.len() <= 4096 => {
                let digest = secret_digest(keyring, client.id.as_str(), secret);
                let stored = client.secret_digest.clone().unwrap_or_default();
                let same = aws_lc_rs::constant_time::verify_slices_are_equal(
                    digest.as_bytes(),
                    stored.as_bytes(),
                );
                if same.is_ok() && client.proves_itself_by_secret() {
                    Ok(Ok(client))
                } else {
                    refused
                }
            }
            _ => refused,
        }
    }
}

/// The keyed digest by which a client's secret is compared. The client is part of it.
pub fn secret_digest(keyring: &Keyring, client: &str, secret: &str) -> String {
    let mut data = Vec::with_capacity(client.len() + secret.len() + 1);
    data.extend_from_slice(client.as_bytes());
    data.push(0);
    data.extend_from_slice(secret.as_bytes());
    URL_SAFE_NO_PAD.encode(keyring.digest("client-secret", &data))
}

/// Counts a failed authentication of the client that a request names, by header or form; the answer becomes 429 when
/// there were too many. Other errors stay what they are.
///
/// # Errors
/// The database fails.
pub fn counted(
    store: &Store,
    (realm, network): (&str, &str),
    (authorization, form): (Option<&str>, &Form),
    error: TokenError,
) -> Result<TokenError, StoreError> {
    let TokenError::InvalidClient(_) = error else {
        return Ok(error);
    };
    let client_id = Presented::read(authorization, form).map_or_else(
        |_| String::new(),
        |presented| presented.client_id().to_owned(),
    );
    let too_many: Option<TokenError> =
        store.tx(|tx| note_failure(tx, realm, &client_id, network))?;
    Ok(too_many.unwrap_or(error))
}

/// Counts a failed authentication of a client from a network.
///
/// # Errors
/// The database fails.
fn note_failure(
    tx: &mut Tx<'_>,
    realm: &str,
    client_id: &str,
    network: &str,
) -> Result<Option<TokenError>, StoreError> {
    let now = tx.now()?;
    let name = format!(
        "client/{realm}/{}/{network}",
        client_id.chars().take(64).collect::<String>()
    );
    Ok(match throttle::take(tx, &name, PER_CLIENT, now)? {
        Turn::Taken => None,
        Turn::Shut(until) => Some(TokenError::TooMany(until.seconds_since(now).max(1))),
    })
}

/// `Basic` credentials, form-decoded as RFC 6749 section 2.3.1 has it.
fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 8192 {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("x={text}");
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    // A plus sign in a secret that was never form-encoded is a plus sign.
    let plain = |text: &str| {
        if text.contains('%') {
            decode(text)
        } else {
            Some(text.to_owned())
        }
    };
    // No client has a name with U+0000, and PostgreSQL cannot even be asked for it.
    let client_id = plain(client_id).filter(|client_id| !client_id.contains('\0'))?;
    Some((client_id, plain(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_make_no_sense_are_no_credentials() {
        for header in [
            "",
            "Basic",
            "Basic !!!",
            "Bearer abc",
            "Basic YQ==",
            "basic \u{fffd}",
            "Basic YQBiOmM=",
            "Basic YSUwMGI6Yw==",
        ] {
            assert!(basic(header).is_none(), "{header}");
        }
        assert_eq!(basic("Basic YTpi"), Some(("a".into(), "b".into())));
        let encoded = STANDARD.encode("my%3Aapp:p%2Bq");
        assert_eq!(
            basic(&format!("basic {encoded}")),
            Some(("my:app".into(), "p+q".into()))
        );
    }
}
