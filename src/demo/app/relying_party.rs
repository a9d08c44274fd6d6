//! The third-party app's half of OpenID Connect, all of it through the `openidconnect`
//! crate: discovery, authorization code with PKCE, state and nonce, verification of the ID
//! token, refresh, userinfo and RP-initiated logout.
//!
//! It knows the identity provider by issuer, client id and client secret alone and calls
//! nothing else of this project, so a token that a stranger's library would refuse is
//! refused here.

use std::{sync::Arc, time::Duration};

use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, LoginHint,
    LogoutRequest, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, RefreshToken, Scope,
    SignatureVerificationError, SubjectIdentifier, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreIdToken,
        CoreTokenResponse,
    },
};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    AppSettings,
    failure::{Failure, of_token, of_userinfo},
};
use crate::demo::causes::in_full;

const SCOPES: [&str; 2] = ["profile", "email"];

/// For every request to the identity provider.
const TIMEOUT: Duration = Duration::from_secs(15);

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

pub(super) struct RelyingParty {
    http: reqwest::Client,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect_uri: RedirectUrl,
    post_logout_redirect_uri: PostLogoutRedirectUrl,
    /// Discovered at first use; read again when a token is signed with an unknown key.
    provider: RwLock<Option<Arc<ProviderMetadataWithLogout>>>,
}

/// What an authorization request asked for, in words of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Asked {
    SignIn,
    /// `prompt=login`.
    Again,
    /// `prompt=none`.
    Silent,
}

/// What must be kept between an authorization request and its answer.
pub(super) struct Pending {
    pub asked: Asked,
    pub state: CsrfToken,
    nonce: Nonce,
    pkce_verifier: PkceCodeVerifier,
}

/// What the token endpoint gave, after everything in it was verified.
#[derive(Clone)]
pub(super) struct Tokens {
    pub id_token: CoreIdToken,
    pub access_token: AccessToken,
    pub refresh_token: Option<RefreshToken>,
    pub scopes: Vec<String>,
    pub expires_in: Option<Duration>,
    subject: SubjectIdentifier,
    nonce: Nonce,
}

/// Whatever claims userinfo has beside the standard ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct OtherClaims(Map<String, Value>);
impl openidconnect::AdditionalClaims for OtherClaims {}

impl RelyingParty {
    pub fn new(settings: &AppSettings) -> Result<Self, String> {
        let public_url = settings.public_url.trim_end_matches('/');
        let bad = |error: url::ParseError| error.to_string();
        // The library's advice: following a redirect here would let an identity provider
        // send this process to any address. Loopback needs no proxy.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build();
        Ok(Self {
            http: http.map_err(|error| in_full(&error))?,
            issuer: IssuerUrl::new(settings.issuer.clone()).map_err(bad)?,
            client_id: ClientId::new(settings.client_id.clone()),
            client_secret: settings.client_secret.clone().map(ClientSecret::new),
            redirect_uri: RedirectUrl::new(format!("{public_url}/callback")).map_err(bad)?,
            post_logout_redirect_uri: PostLogoutRedirectUrl::new(format!(
                "{public_url}/signed-out"
            ))
            .map_err(bad)?,
            provider: RwLock::default(),
        })
    }

    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// The address to send the browser to, and what to keep until it comes back.
    pub async fn authorize(
        &self,
        asked: Asked,
        login_hint: Option<String>,
    ) -> Result<(Url, Pending), Failure> {
        let client = self.client(&*self.provider().await?);
        let (challenge, pkce_verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge);
        request = match asked {
            Asked::SignIn => request,
            Asked::Again => request.add_prompt(CoreAuthPrompt::Login),
            Asked::Silent => request.add_prompt(CoreAuthPrompt::None),
        };
        if let Some(hint) = login_hint {
            request = request.set_login_hint(LoginHint::new(hint));
        }
        let (url, state, nonce) = request.url();
        Ok((
            url,
            Pending {
                asked,
                state,
                nonce,
                pkce_verifier,
            },
        ))
    }

    /// Redeems the code that came back for `pending`.
    pub async fn exchange(&self, pending: Pending, code: String) -> Result<Tokens, Failure> {
        let answer = self
            .client(&*self.provider().await?)
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| Failure::Unreachable(in_full(&error)))?
            .set_pkce_verifier(pending.pkce_verifier)
            .request_async(&self.http)
            .await
            .map_err(of_token)?;
        let id_token = answer
            .id_token()
            .ok_or_else(|| Failure::NotAccepted("the answer holds no ID token".to_owned()))?
            .clone();
        let subject = self
            .verify(&id_token, answer.access_token(), &pending.nonce, true)
            .await?;
        Ok(Tokens {
            id_token,
            access_token: answer.access_token().clone(),
            refresh_token: answer.refresh_token().cloned(),
            scopes: scopes(&answer, &[]),
            expires_in: answer.expires_in(),
            subject,
            nonce: pending.nonce,
        })
    }

    /// New tokens for `tokens`, whose refresh token is used up where the provider rotates.
    pub async fn refresh(&self, tokens: Tokens) -> Result<Tokens, Failure> {
        let refresh_token = tokens
            .refresh_token
            .as_ref()
            .ok_or_else(|| Failure::NotAccepted("there is no refresh token".to_owned()))?;
        let answer = self
            .client(&*self.provider().await?)
            .exchange_refresh_token(refresh_token)
            .map_err(|error| Failure::Unreachable(in_full(&error)))?
            .request_async(&self.http)
            .await
            .map_err(of_token)?;
        let mut fresh = Tokens {
            access_token: answer.access_token().clone(),
            scopes: scopes(&answer, &tokens.scopes),
            expires_in: answer.expires_in(),
            refresh_token: answer.refresh_token().cloned().or(tokens.refresh_token),
            ..tokens
        };
        // A refresh need not bring an ID token; one that it brings is about the same person
        // (OpenID Connect Core, section 12.2).
        if let Some(id_token) = answer.id_token() {
            let subject = self
                .verify(id_token, &fresh.access_token, &fresh.nonce, false)
                .await?;
            if subject != fresh.subject {
                return Err(Failure::NotAccepted(
                    "the new ID token is about someone else".into(),
                ));
            }
            fresh.id_token = id_token.clone();
        }
        Ok(fresh)
    }

    /// What the userinfo endpoint says now.
    pub async fn userinfo(&self, tokens: &Tokens) -> Result<Value, Failure> {
        let claims: UserInfoClaims<OtherClaims, CoreGenderClaim> = self
            .client(&*self.provider().await?)
            .user_info(tokens.access_token.clone(), Some(tokens.subject.clone()))
            .map_err(|error| Failure::Unreachable(in_full(&error)))?
            .request_async(&self.http)
            .await
            .map_err(of_userinfo)?;
        serde_json::to_value(claims).map_err(|error| Failure::NotAccepted(in_full(&error)))
    }

    /// Where the browser asks the identity provider to end its session, if it offers that.
    pub async fn end_session(
        &self,
        tokens: &Tokens,
        state: CsrfToken,
    ) -> Result<Option<Url>, Failure> {
        let provider = self.provider().await?;
        let endpoint = provider.additional_metadata().end_session_endpoint.clone();
        Ok(endpoint.map(|endpoint| {
            LogoutRequest::from(endpoint)
                .set_id_token_hint(&tokens.id_token)
                .set_client_id(self.client_id.clone())
                .set_post_logout_redirect_uri(self.post_logout_redirect_uri.clone())
                .set_state(state)
                .http_get_url()
        }))
    }

    fn client(&self, provider: &ProviderMetadataWithLogout) -> Client {
        CoreClient::from_provider_metadata(
            provider.clone(),
            self.client_id.clone(),
            self.client_secret.clone(),
        )
        .set_redirect_uri(self.redirect_uri.clone())
    }

    async fn provider(&self) -> Result<Arc<ProviderMetadataWithLogout>, Failure> {
        let known = self.provider.read().clone();
        match known {
            Some(provider) => Ok(provider),
            None => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Arc<ProviderMetadataWithLogout>, Failure> {
        let found = ProviderMetadataWithLogout::discover_async(self.issuer.clone(), &self.http)
            .await
            .map_err(|error| Failure::Unreachable(in_full(&error)))?;
        let found = Arc::new(found);
        *self.provider.write() = Some(found.clone());
        Ok(found)
    }

    /// Signature, issuer, audience, expiry, nonce and, where there is one, `at_hash`.
    async fn verify(
        &self,
        id_token: &CoreIdToken,
        access_token: &AccessToken,
        nonce: &Nonce,
        nonce_required: bool,
    ) -> Result<SubjectIdentifier, Failure> {
        let try_with = |provider: &ProviderMetadataWithLogout| {
            let client = self.client(provider);
            let verifier = client.id_token_verifier();
            let same_nonce = |found: Option<&Nonce>| match found {
                Some(found) if found.secret() == nonce.secret() => Ok(()),
                None if !nonce_required => Ok(()),
                Some(_) | None => Err("the nonce is not the one that was sent".to_owned()),
            };
            let claims = id_token.claims(&verifier, same_nonce)?;
            if let Some(expected) = claims.access_token_hash() {
                let unsigned = ClaimsVerificationError::SignatureVerification;
                let found = AccessTokenHash::from_token(
                    access_token,
                    id_token.signing_alg().map_err(unsigned)?,
                    id_token.signing_key(&verifier).map_err(unsigned)?,
                )
                .map_err(|error| ClaimsVerificationError::Other(in_full(&error)))?;
                if found != *expected {
                    let reason = "at_hash does not fit the access token";
                    return Err(ClaimsVerificationError::Other(reason.to_owned()));
                }
            }
            Ok(claims.subject().clone())
        };
        let verified = match try_with(&*self.provider().await?) {
            // The keys were rotated since they were read.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => try_with(&*self.discover().await?),
            verified => verified,
        };
        verified.map_err(|error| Failure::NotAccepted(in_full(&error)))
    }
}

/// The granted scopes; an answer that names none granted what it was asked for, which is
/// `before` in a refresh (RFC 6749, sections 5.1 and 6).
fn scopes(answer: &CoreTokenResponse, before: &[String]) -> Vec<String> {
    match answer.scopes() {
        Some(scopes) => scopes.iter().map(|scope| scope.to_string()).collect(),
        None if before.is_empty() => std::iter::once("openid")
            .chain(SCOPES)
            .map(str::to_owned)
            .collect(),
        None => before.to_vec(),
    }
}
