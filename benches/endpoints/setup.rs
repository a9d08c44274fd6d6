//! The realm under test, made through the admin API: clients, people, and what requests to them
//! are made of.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::http::{Connection, post_form, request};
use crate::server::{ADMIN, Server};

/// Where the clients' sign-ins end; nothing listens there.
pub const REDIRECT_URI: &str = "http://127.0.0.1/cb";
/// The PKCE verifier of every sign-in (RFC 7636).
pub const CODE_VERIFIER: &str = "one-verifier-for-all-sign-ins-of-the-benchmark-0";

const REALM: &str = "bench";
const SECRET: &str = "a-long-secret-of-the-benchmark-0123456789";
/// Fewer people than connections, so that some sign in twice in the same instant.
const PEOPLE: usize = 32;
/// Tokens and sessions outlive any run.
const LIFESPAN_SECONDS: u32 = 7 * 86_400;

/// A client of the realm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Confidential, with a service account whose tokens are signed by ES256.
    ServiceEs256,
    /// Confidential, with a service account whose tokens are signed by RS256.
    ServiceRs256,
    /// Public: its refresh tokens rotate.
    Spa,
    /// Confidential: its refresh tokens do not rotate.
    Web,
}

impl Client {
    /// Its `client_id`.
    pub fn id(self) -> &'static str {
        match self {
            Self::ServiceEs256 => "svc-es256",
            Self::ServiceRs256 => "svc-rs256",
            Self::Spa => "spa",
            Self::Web => "web",
        }
    }

    /// The `ClientRepresentation` that makes it.
    fn representation(self) -> Value {
        let algorithm = if self == Self::ServiceRs256 {
            "RS256"
        } else {
            "ES256"
        };
        let service = matches!(self, Self::ServiceEs256 | Self::ServiceRs256);
        let mut client = json!({
            "clientId": self.id(),
            "enabled": true,
            "publicClient": self == Self::Spa,
            "serviceAccountsEnabled": service,
            "standardFlowEnabled": !service,
            "directAccessGrantsEnabled": false,
            "redirectUris": if service { vec![] } else { vec![REDIRECT_URI] },
            "attributes": {
                "access.token.signed.response.alg": algorithm,
                "id.token.signed.response.alg": algorithm,
            },
        });
        if self != Self::Spa
            && let Some(fields) = client.as_object_mut()
        {
            fields.insert("secret".to_owned(), json!(SECRET));
        }
        client
    }
}

/// Somebody who can sign in.
pub struct Person {
    /// `username`.
    pub name: String,
    /// The password, which is not a temporary one.
    pub password: String,
}

/// The realm, as the generator addresses it.
pub struct Target {
    /// The public listener.
    pub address: SocketAddr,
    /// The `Host` of every request.
    pub host: String,
    /// Scheme and host, as browsers send it in `Origin`.
    pub origin: String,
    /// Everybody who can sign in.
    pub people: Vec<Person>,
}

impl Target {
    /// The path of an endpoint under `{issuer}/protocol/openid-connect/`.
    pub fn oidc(endpoint: &str) -> String {
        format!("/realms/{REALM}/protocol/openid-connect/{endpoint}")
    }

    /// The path of the discovery document.
    pub fn discovery() -> String {
        format!("/realms/{REALM}/.well-known/openid-configuration")
    }

    /// Path and query of an authorization request of `client` (OpenID Connect Core 3.1.2.1).
    pub fn authorize(client: Client) -> String {
        let challenge = digest::digest(&digest::SHA256, CODE_VERIFIER.as_bytes());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", client.id())
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", REDIRECT_URI)
            .append_pair("scope", "openid profile email")
            .append_pair("state", "af0ifjsldkj")
            .append_pair("nonce", "n-0S6_WzA2Mj")
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256")
            .finish();
        format!("{}?{query}", Self::oidc("auth"))
    }

    /// A POST of `client` to an endpoint where it authenticates: by `client_secret_basic`, or as
    /// a public client by its `client_id`.
    pub fn post_as(&self, client: Client, endpoint: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let path = Self::oidc(endpoint);
        if client == Client::Spa {
            let mut all = vec![("client_id", client.id())];
            all.extend_from_slice(fields);
            return post_form(&self.host, &path, &[], &all);
        }
        // The identifiers and the secret hold no character that form encoding would change.
        let basic = format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{SECRET}", client.id()))
        );
        post_form(&self.host, &path, &[("Authorization", &basic)], fields)
    }
}

/// Makes the realm, its clients and its people.
pub async fn prepare(server: &Server) -> Result<Arc<Target>> {
    let host = format!("localhost:{}", server.address.port());
    let mut admin = Admin::sign_in(server.address, &host)
        .await
        .context("the administrator")?;
    let realm = json!({
        "realm": REALM,
        "enabled": true,
        "accessTokenLifespan": LIFESPAN_SECONDS,
        "ssoSessionIdleTimeout": LIFESPAN_SECONDS,
        "ssoSessionMaxLifespan": LIFESPAN_SECONDS,
    });
    admin.create("/admin/realms", &realm).await?;
    for client in [
        Client::ServiceEs256,
        Client::ServiceRs256,
        Client::Spa,
        Client::Web,
    ] {
        let path = format!("/admin/realms/{REALM}/clients");
        admin.create(&path, &client.representation()).await?;
    }
    let mut people = Vec::with_capacity(PEOPLE);
    // The administrator's token is a short one, so each half of the set-up takes its own.
    admin = Admin::sign_in(server.address, &host).await?;
    for number in 0..PEOPLE {
        let person = Person {
            name: format!("person-{number}"),
            password: format!("the passphrase of number {number}"),
        };
        let representation = json!({
            "username": person.name,
            "email": format!("{}@people.example", person.name),
            "emailVerified": true,
            "firstName": "Person",
            "lastName": format!("Number {number}"),
            "enabled": true,
            "credentials": [{"type": "password", "value": person.password, "temporary": false}],
        });
        admin
            .create(&format!("/admin/realms/{REALM}/users"), &representation)
            .await?;
        people.push(person);
    }
    let origin = format!("http://{host}");
    Ok(Arc::new(Target {
        address: server.address,
        host,
        origin,
        people,
    }))
}

/// The administrator's side of the admin API.
struct Admin<'h> {
    connection: Connection,
    host: &'h str,
    authorization: String,
}

impl<'h> Admin<'h> {
    async fn sign_in(address: SocketAddr, host: &'h str) -> Result<Self> {
        let mut connection = Connection::new(address);
        let path = "/realms/master/protocol/openid-connect/token";
        let fields = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMIN.0),
            ("password", ADMIN.1),
        ];
        let answer = connection
            .send(&post_form(host, path, &[], &fields))
            .await?;
        ensure!(
            answer.status == 200,
            "POST {path}: {} {}",
            answer.status,
            answer.excerpt()
        );
        let body = answer.json()?;
        let token = body.get("access_token").and_then(Value::as_str);
        let token = token.with_context(|| format!("POST {path}: no access_token"))?;
        Ok(Self {
            authorization: format!("Bearer {token}"),
            connection,
            host,
        })
    }

    /// POSTs a representation and expects 201.
    async fn create(&mut self, path: &str, representation: &Value) -> Result<()> {
        let headers = [
            ("Authorization", &*self.authorization),
            ("Content-Type", "application/json"),
        ];
        let body = serde_json::to_vec(representation)?;
        let bytes = request("POST", self.host, path, &headers, &body);
        let answer = self
            .connection
            .send(&bytes)
            .await
            .with_context(|| format!("POST {path}"))?;
        ensure!(
            answer.status == 201,
            "POST {path}: {} {}",
            answer.status,
            answer.excerpt()
        );
        Ok(())
    }
}
