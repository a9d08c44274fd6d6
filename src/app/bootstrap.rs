//! The first start: realm `master` and its administrator (reliability H030).

use std::sync::Arc;

use serde_json::{Map, json};

use super::StartError;
use crate::link::{self, NewLink, Revealed};
use crate::mail;
use crate::oidc::engine::Engine;
use crate::oidc::provision::{self, MASTER, Tools};
use crate::password::{Password, Salt};
use crate::role;
use crate::store::StoreError;

/// The first administrator, as the operator wants him.
pub struct FirstAdmin {
    /// The user name.
    pub username: String,
    /// How he signs in for the first time.
    pub password: FirstPassword,
}

/// How the first administrator signs in for the first time.
pub enum FirstPassword {
    /// By a password that the operator has chosen.
    Chosen(String),
    /// By a one-time temporary one, which gates.
    OneTime,
    /// By a link, as everybody else who has no password yet.
    ByLink,
}

/// What the operator is shown once. Without `Debug`.
pub enum FirstSecret {
    /// The one-time password.
    OneTime(String),
    /// The link.
    Link(Box<Revealed>),
}

/// Makes realm `master` where there is none, with its administrator.
///
/// Answers the one-time password or the link that was made, to be shown once.
///
/// # Errors
/// The database fails, or the name or password cannot be used.
pub async fn bootstrap(
    engine: &Engine,
    admin: FirstAdmin,
) -> Result<Option<FirstSecret>, StartError> {
    let exists = engine
        .store
        .run(|store| {
            store.read(|tx| Ok::<_, StoreError>(crate::realm::rows::by_name(tx, MASTER)?.is_some()))
        })
        .await?;
    if exists {
        return Ok(None);
    }
    let (made, typed) = match admin.password {
        FirstPassword::Chosen(password) => (None, Some(password)),
        FirstPassword::OneTime => {
            let words = crate::password::suggest(|out: &mut [u8]| engine.entropy.fill(out));
            (Some(words.clone()), Some(words))
        }
        FirstPassword::ByLink => (None, None),
    };
    let hash = match typed {
        Some(password) => {
            let password = Password::parse(&password)
                .map_err(|error| StartError::Bootstrap(format!("its password: {error}")))?;
            let salt = Salt::new(|out: &mut [u8]| engine.entropy.fill(out));
            let hash = engine.hasher.hash(password, salt).await;
            Some(hash.map_err(|_| StartError::Bootstrap("the hasher is busy".into()))?)
        }
        None => None,
    };
    let issuer = engine.issuer(MASTER);
    let username = crate::user::name::parse_username(&admin.username)
        .map_err(|error| StartError::Bootstrap(format!("its name {error}")))?;
    let (keyring, entropy) = (Arc::clone(&engine.keyring), engine.entropy);
    let secret = engine
        .store
        .run(move |store| {
            store.tx(|tx| {
                let tools = Tools {
                    keyring: &keyring,
                    entropy: &entropy,
                };
                let settings = Map::from_iter([("displayName".to_owned(), json!("Vestibule"))]);
                let Some(master) =
                    provision::create_realm(tx, tools, (None, MASTER, true), settings)?
                else {
                    return Ok::<_, StoreError>(None);
                };
                let user = provision::blank_user(tx, tools, &master, &username)?;
                if provision::create_user(tx, &master, &user, &[])?.is_err() {
                    return Ok(None);
                }
                let graph = role::rows::graph(tx, &master.id)?;
                if let Some(role) = graph.named(None, "admin") {
                    role::rows::assign(tx, &user.id, &role.id)?;
                }
                let Some(hash) = hash else {
                    let tools = mail::Tools {
                        keyring: &keyring,
                        entropy: &entropy,
                    };
                    let (purpose, sender) =
                        (link::Purpose::PreRegistration, link::Sender::Administrator);
                    let new = NewLink::of(&master, &user.id, purpose, sender);
                    let revealed = link::reveal(tx, tools, &issuer, &new)?;
                    return Ok(revealed.ok().map(|link| FirstSecret::Link(Box::new(link))));
                };
                provision::set_password_by_admin(
                    tx,
                    &entropy,
                    &master,
                    &user.id,
                    (hash.as_str(), None, made.is_some()),
                )?;
                Ok(made.map(FirstSecret::OneTime))
            })
        })
        .await?;
    Ok(secret)
}
