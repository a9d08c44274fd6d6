//! The playground's realm: people in every state, and the third-party app's client.

use std::collections::BTreeMap;

use serde_json::{Map, json};

use crate::action::assign::{self, Setting};
use crate::action::kinds::update_password;
use crate::client::{Client, ClientSettings};
use crate::kernel::{ClientUuid, CredentialId};
use crate::oidc::engine::Engine;
use crate::oidc::provision::{self, Tools};
use crate::password::{Password, PasswordHash, Salt};
use crate::realm::{self, Realm};
use crate::scope::{self, RealmDefault};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::user::credential::{self, StoredPassword};

/// The realm's name.
pub const REALM: &str = "demo";
/// The third-party app's `client_id`.
pub const CLIENT: &str = "harbour";

/// A person of the playground.
pub struct Person {
    /// The user name.
    pub username: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    /// The password to sign in with; `None` where there is none.
    pub password: Option<&'static str>,
    state: State,
    /// What signing in shows.
    pub shows: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Normal,
    Temporary,
    TemporaryExpired,
    NoPassword,
}

/// Everybody.
pub const PEOPLE: [Person; 4] = [
    Person {
        username: "nora",
        first_name: "Nora",
        last_name: "Lindqvist",
        password: Some("quiet harbour at noon"),
        state: State::Normal,
        shows: "an ordinary sign-in, straight into the app",
    },
    Person {
        username: "theo",
        first_name: "Theo",
        last_name: "Marchetti",
        password: Some("temporary-42"),
        state: State::Temporary,
        shows: "the gate: a temporary password; no token before a new one is set",
    },
    Person {
        username: "ines",
        first_name: "Ines",
        last_name: "Okafor",
        password: Some("expired-42"),
        state: State::TemporaryExpired,
        shows: "a temporary password that has expired: dead, and the page says so",
    },
    Person {
        username: "paul",
        first_name: "Paul",
        last_name: "Nakamura",
        password: None,
        state: State::NoPassword,
        shows: "no password yet: choose “Forgot your password?” and open the mail",
    },
];

/// Makes the realm where there is none.
///
/// # Errors
/// The database fails.
pub async fn seed(engine: &Engine, app_url: &str, smtp_port: u16) -> Result<(), StoreError> {
    let mut hashes: Vec<Option<PasswordHash>> = Vec::new();
    let known = engine
        .store
        .run(|store| store.read(|tx| realm::rows::by_name(tx, REALM)))
        .await?;
    if let Some(realm) = known {
        return adjust(engine, realm, app_url, smtp_port).await;
    }
    for person in &PEOPLE {
        let password = person.password.and_then(|text| Password::parse(text).ok());
        hashes.push(match password {
            Some(password) => {
                let salt = Salt::new(|out: &mut [u8]| engine.entropy.fill(out));
                Some(
                    engine
                        .hasher
                        .hash(password, salt)
                        .await
                        .map_err(|_| StoreError::Busy)?,
                )
            }
            None => None,
        });
    }
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let app_url = app_url.to_owned();
    engine
        .store
        .run(move |store| {
            store.tx(|tx| {
                let tools = Tools {
                    keyring: &keyring,
                    entropy: &entropy,
                };
                let settings = settings(smtp_port);
                let Some(realm) =
                    provision::create_realm(tx, tools, (None, REALM, true), settings)?
                else {
                    return Ok(());
                };
                add_client(tx, tools, &realm, &app_url)?;
                for (person, hash) in PEOPLE.iter().zip(&hashes) {
                    add_person(tx, tools, &realm, (person, hash.as_ref()))?;
                }
                Ok(())
            })
        })
        .await
}

/// Ports may have moved since the last start: the client and the mail follow.
async fn adjust(
    engine: &Engine,
    realm: Realm,
    app_url: &str,
    smtp_port: u16,
) -> Result<(), StoreError> {
    let app_url = app_url.to_owned();
    engine
        .store
        .run(move |store| {
            store.tx(|tx| {
                let mut realm = realm;
                realm
                    .settings
                    .smtp_server
                    .insert("port".to_owned(), json!(smtp_port.to_string()));
                realm::rows::update(tx, &realm)?;
                if let Some(mut client) = crate::client::rows::by_client_id(tx, &realm.id, CLIENT)?
                {
                    client.settings = client_settings(&app_url);
                    crate::client::rows::update(tx, &client)?;
                }
                Ok(())
            })
        })
        .await
}

fn settings(smtp_port: u16) -> Map<String, serde_json::Value> {
    Map::from_iter([
        ("displayName".to_owned(), json!("Demo")),
        ("rememberMe".to_owned(), json!(true)),
        ("resetPasswordAllowed".to_owned(), json!(true)),
        (
            "attributes".to_owned(),
            json!({ "preRegistrationSelfService": "true" }),
        ),
        (
            "smtpServer".to_owned(),
            json!({ "host": "127.0.0.1", "port": smtp_port.to_string(), "from": "no-reply@demo.example", "fromDisplayName": "Demo" }),
        ),
    ])
}

fn client_settings(app_url: &str) -> ClientSettings {
    ClientSettings {
        name: Some("Harbour".to_owned()),
        description: Some("An example third-party app".to_owned()),
        root_url: Some(app_url.to_owned()),
        base_url: Some("/".to_owned()),
        redirect_uris: vec![format!("{app_url}/callback")],
        web_origins: vec![app_url.to_owned()],
        public_client: true,
        attributes: BTreeMap::from([
            (
                "post.logout.redirect.uris".to_owned(),
                format!("{app_url}/signed-out"),
            ),
            ("pkce.code.challenge.method".to_owned(), "S256".to_owned()),
            (
                "initiate.login.uri".to_owned(),
                format!("{app_url}/sign-in"),
            ),
        ]),
        ..ClientSettings::default()
    }
}

fn add_client(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    app_url: &str,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let scopes = scope::rows::all(tx, &realm.id)?;
    let of = |kind| {
        scopes
            .iter()
            .filter(move |scope| scope.realm_default == kind)
            .map(|scope| scope.id.clone())
            .collect()
    };
    let client = Client {
        id: ClientUuid::new(tools.entropy.uuid(now)),
        realm_id: realm.id.clone(),
        client_id: CLIENT.to_owned(),
        enabled: true,
        secret_digest: None,
        settings: client_settings(app_url),
        default_scopes: of(RealmDefault::Default),
        optional_scopes: of(RealmDefault::Optional),
        mappers: Vec::new(),
    };
    provision::create_client(tx, tools, realm, &client, None)?;
    Ok(())
}

fn add_person(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    (person, hash): (&Person, Option<&PasswordHash>),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let user = User {
        email: Some(format!("{}@demo.example", person.username)),
        email_verified: true,
        first_name: Some(person.first_name.to_owned()),
        last_name: Some(person.last_name.to_owned()),
        ..provision::blank_user(tx, tools, realm, person.username)?
    };
    if provision::create_user(tx, realm, &user, &[])?.is_err() {
        return Ok(());
    }
    let Some(hash) = hash else { return Ok(()) };
    let temporary = person.state != State::Normal && person.state != State::NoPassword;
    if person.state == State::TemporaryExpired {
        let password = StoredPassword {
            id: CredentialId::new(tools.entropy.uuid(now)),
            secret: hash.as_str().to_owned(),
            label: None,
            expires_at: Some(now.plus_seconds(-60)),
            created_at: now.plus_seconds(-15 * 24 * 3600),
            imported_digest: None,
        };
        credential::set_password(tx, &user.id, &password)?;
        return assign::set(
            tx,
            &user.id,
            update_password::NAME,
            &Setting::by("temporary-password"),
        );
    }
    provision::set_password_by_admin(
        tx,
        tools.entropy,
        realm,
        &user.id,
        (hash.as_str(), None, temporary),
    )
}
