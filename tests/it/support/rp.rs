//! A relying party: the `openidconnect` crate, which knows nothing of this server. What it refuses
//! would be refused by an application that somebody else has written.

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, TokenResponse as _,
};
use serde_json::Value;
use url::Url;

use super::answer::check_refusal;
use super::seed::{SECRET, Seed};

/// An application.
#[derive(Clone)]
pub struct RelyingParty {
    pub client_id: String,
    /// The secret; `None` for a public client.
    pub secret: Option<String>,
    pub redirect_uri: String,
    pub issuer: String,
    /// What it asks for beside `openid`.
    pub scopes: Vec<String>,
    public_url: String,
    address: String,
    http: reqwest::Client,
}

/// An authorization request on its way, with what only the application knows.
#[derive(Clone)]
pub struct Request {
    pub url: Url,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
    pub rp: RelyingParty,
}

/// Tokens that the library has verified.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub id: String,
    pub subject: String,
    pub client_id: String,
}

/// An answer of an endpoint that speaks JSON.
#[derive(Clone, Debug)]
pub struct JsonAnswer {
    pub status: u16,
    pub body: Value,
}

impl JsonAnswer {
    /// Reads an answer; whatever refuses is checked as every refusal is.
    pub async fn read(answer: reqwest::Response) -> Self {
        let status = answer.status().as_u16();
        let body = answer.json().await.unwrap_or(Value::Null);
        check_refusal(status, &body);
        Self { status, body }
    }

    /// A text of the answer; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// That it is this OAuth error, with status 400.
    #[track_caller]
    pub fn assert_error(&self, error: &str) -> &Self {
        assert_eq!(
            (self.status, self.text("error")),
            (400, error),
            "{}",
            self.body
        );
        self
    }
}

impl RelyingParty {
    pub fn new(
        seed: &Seed,
        issuer: &str,
        (public_url, address): (&str, &str),
        http: &reqwest::Client,
    ) -> Self {
        let native = seed.redirect_uri.starts_with("http://127.0.0.1/");
        let redirect_uri = match native {
            true => seed.redirect_uri.replace("127.0.0.1", "127.0.0.1:49152"),
            false => seed.redirect_uri.to_owned(),
        };
        Self {
            client_id: seed.client_id.to_owned(),
            secret: (!native).then(|| SECRET.to_owned()),
            redirect_uri,
            issuer: issuer.to_owned(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            public_url: public_url.to_owned(),
            address: address.to_owned(),
            http: http.clone(),
        }
    }

    /// The same application in another realm.
    pub fn in_realm(&self, realm: &str) -> Self {
        Self {
            issuer: format!("{}/realms/{realm}", self.public_url),
            ..self.clone()
        }
    }

    /// The same application asking for one scope more.
    pub fn with_scope(&self, scope: &str) -> Self {
        let mut asking = self.clone();
        asking.scopes.push(scope.to_owned());
        asking
    }

    /// An endpoint below `protocol/openid-connect`, at this application's node.
    pub fn endpoint(&self, name: &str) -> String {
        let url = format!("{}/protocol/openid-connect/{name}", self.issuer);
        self.here(&url)
    }

    fn here(&self, url: &str) -> String {
        match url.strip_prefix(&self.public_url) {
            Some(rest) => format!("{}{rest}", self.address),
            None => url.to_owned(),
        }
    }

    async fn metadata(&self) -> CoreProviderMetadata {
        let issuer = IssuerUrl::new(self.issuer.clone()).expect("an issuer");
        CoreProviderMetadata::discover_async(issuer, &|request| self.send(request))
            .await
            .expect("metadata that a stranger accepts")
    }

    /// The library's requests, sent to this application's node.
    async fn send(
        &self,
        request: openidconnect::HttpRequest,
    ) -> Result<openidconnect::HttpResponse, reqwest::Error> {
        let (parts, body) = request.into_parts();
        let answer = self
            .http
            .request(parts.method, self.here(&parts.uri.to_string()))
            .headers(parts.headers)
            .body(body)
            .send()
            .await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = openidconnect::HttpResponse::new(answer.bytes().await?.to_vec());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A fresh authorization request, as the library makes it from discovery.
    pub async fn request(&self, extra: &[(&str, &str)]) -> Request {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = CoreClient::from_provider_metadata(
            self.metadata().await,
            ClientId::new(self.client_id.clone()),
            self.secret.clone().map(ClientSecret::new),
        )
        .set_redirect_uri(RedirectUrl::new(self.redirect_uri.clone()).expect("a redirect URI"));
        let mut asking = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in &self.scopes {
            asking = asking.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in extra {
            asking = asking.add_extra_param(*name, *value);
        }
        let (url, state, nonce) = asking.url();
        Request {
            url,
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            rp: self.clone(),
        }
    }

    /// Exchanges a code by the library, which verifies the ID token; an error is what the server said.
    pub async fn exchange(&self, code: &str, asked: &Request) -> Result<Tokens, JsonAnswer> {
        let client = CoreClient::from_provider_metadata(
            self.metadata().await,
            ClientId::new(self.client_id.clone()),
            self.secret.clone().map(ClientSecret::new),
        )
        .set_redirect_uri(RedirectUrl::new(self.redirect_uri.clone()).expect("a redirect URI"));
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .expect("a token endpoint")
            .set_pkce_verifier(PkceCodeVerifier::new(asked.verifier.clone()))
            .request_async(&|request| self.send(request))
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(RequestTokenError::ServerResponse(error)) => {
                let body = serde_json::to_value(&error).expect("the error as JSON");
                return Err(JsonAnswer { status: 400, body });
            }
            Err(error) => panic!("a stranger cannot read the token answer: {error:?}"),
        };
        let verifier = client.id_token_verifier();
        let id_token = answer.id_token().expect("an ID token");
        let claims = id_token
            .claims(&verifier, &Nonce::new(asked.nonce.clone()))
            .expect("an ID token that a stranger accepts");
        let hash = AccessTokenHash::from_token(
            answer.access_token(),
            id_token.signing_alg().expect("its algorithm"),
            id_token.signing_key(&verifier).expect("its key"),
        )
        .expect("at_hash");
        assert_eq!(claims.access_token_hash(), Some(&hash), "at_hash");
        Ok(Tokens {
            access: answer.access_token().secret().clone(),
            refresh: answer.refresh_token().map(|token| token.secret().clone()),
            id: id_token.to_string(),
            subject: claims.subject().to_string(),
            client_id: self.client_id.clone(),
        })
    }

    /// Posts a form as this client, with its secret where it has one.
    pub async fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> JsonAnswer {
        let mut form: Vec<(&str, &str)> = form.to_vec();
        form.push(("client_id", &self.client_id));
        if let Some(secret) = &self.secret {
            form.push(("client_secret", secret));
        }
        self.answer(self.http.post(self.endpoint(endpoint)).form(&form))
            .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> JsonAnswer {
        let answer = request.send().await.expect("an answer");
        JsonAnswer::read(answer).await
    }

    /// The token endpoint, without the library.
    pub async fn token(&self, form: &[(&str, &str)]) -> JsonAnswer {
        self.post("token", form).await
    }

    /// Redeems a code without the library.
    pub async fn redeem(&self, code: &str, verifier: &str) -> JsonAnswer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ])
        .await
    }

    /// The refresh grant.
    pub async fn refresh(&self, token: &str) -> JsonAnswer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    /// The password grant.
    pub async fn password_grant(&self, username: &str, password: &str) -> JsonAnswer {
        let scope = format!("openid {}", self.scopes.join(" "));
        self.token(&[
            ("grant_type", "password"),
            ("username", username),
            ("password", password),
            ("scope", &scope),
        ])
        .await
    }

    /// The userinfo endpoint.
    pub async fn userinfo(&self, access: &str) -> JsonAnswer {
        self.answer(self.http.get(self.endpoint("userinfo")).bearer_auth(access))
            .await
    }

    /// The introspection endpoint.
    pub async fn introspect(&self, token: &str) -> JsonAnswer {
        self.post("token/introspect", &[("token", token)]).await
    }
}
