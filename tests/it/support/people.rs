//! The people of a test, in whatever state it needs.

use std::future::IntoFuture;
use std::pin::Pin;

use vestibule::action::assign::{self, Setting};
use vestibule::kernel::{CredentialId, UserId};
use vestibule::oidc::provision;
use vestibule::password::{Password, PasswordHash, Salt};
use vestibule::user::credential::{self, StoredPassword};
use vestibule::{realm, role};

use super::app::TestApp;
use super::seed;

/// A person of a test.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub realm: String,
    pub username: String,
    pub email: String,
    /// The password at the start; empty where there is none.
    pub password: String,
}

/// A person to be made; `.await` makes it.
pub struct UserBuilder<'a> {
    app: &'a TestApp,
    user: User,
    temporary: bool,
    expired: bool,
    disabled: bool,
    unverified: bool,
    actions: Vec<String>,
    roles: Vec<(Option<String>, String)>,
}

impl<'a> UserBuilder<'a> {
    pub(super) fn new(app: &'a TestApp, realm: &str, username: &str) -> Self {
        let user = User {
            id: UserId::new(String::new()),
            realm: realm.to_owned(),
            username: username.to_owned(),
            email: format!("{username}@people.example"),
            password: format!("the first passphrase of {username}"),
        };
        Self {
            app,
            user,
            temporary: false,
            expired: false,
            disabled: false,
            unverified: false,
            actions: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// With this password.
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.user.password);
        self
    }

    /// With a temporary password, which gates.
    pub fn temporary_password(mut self, password: &str) -> Self {
        self.temporary = true;
        self.password(password)
    }

    /// With a temporary password that is past its time.
    pub fn expired_temporary_password(mut self, password: &str) -> Self {
        self.expired = true;
        self.temporary_password(password)
    }

    /// Without any password.
    pub fn without_password(self) -> Self {
        self.password("")
    }

    /// With a forced reset, set by an administrator.
    pub fn force_password_reset(self) -> Self {
        self.action("UPDATE_PASSWORD")
    }

    /// With a waiting action; any name is stored, known or not.
    pub fn action(mut self, action: &str) -> Self {
        self.actions.push(action.to_owned());
        self
    }

    /// Switched off.
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// With an address that was never proved.
    pub fn unverified(mut self) -> Self {
        self.unverified = true;
        self
    }

    /// With a role of the realm.
    pub fn role(mut self, role: &str) -> Self {
        self.roles.push((None, role.to_owned()));
        self
    }

    /// With a role of a client.
    pub fn client_role(mut self, client_id: &str, role: &str) -> Self {
        self.roles
            .push((Some(client_id.to_owned()), role.to_owned()));
        self
    }

    async fn make(self) -> User {
        let engine = self.app.engine();
        let hash = hash(self.app, &self.user.password).await;
        let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
        let (ledger, store) = (std::sync::Arc::clone(&self.app.ledger), self.app);
        let Self {
            mut user,
            temporary,
            expired,
            disabled,
            unverified,
            actions,
            roles,
            ..
        } = self;
        let wanted = user.clone();
        user.id = store
            .tx(move |tx| {
                let tools = seed::tools(&keyring, &entropy);
                let realm = realm::rows::by_name(tx, &wanted.realm)?.expect("the realm");
                let new = vestibule::user::User {
                    email: Some(wanted.email.clone()),
                    email_verified: !unverified,
                    first_name: Some("Test".to_owned()),
                    last_name: Some(wanted.username.clone()),
                    enabled: !disabled,
                    ..provision::blank_user(tx, tools, &realm, &wanted.username)?
                };
                assert!(
                    provision::create_user(tx, &realm, &new, &[])?.is_ok(),
                    "{} is new",
                    wanted.username
                );
                if let Some(hash) = &hash {
                    let with = (hash.as_str(), None, temporary);
                    provision::set_password_by_admin(tx, &entropy, &realm, &new.id, with)?;
                }
                if let (true, Some(hash)) = (expired, &hash) {
                    let now = tx.now()?;
                    let password = StoredPassword {
                        id: CredentialId::new(entropy.uuid(now)),
                        secret: hash.as_str().to_owned(),
                        label: None,
                        expires_at: Some(now.plus_seconds(-60)),
                        created_at: now.plus_seconds(-15 * 24 * 3600),
                        imported_digest: None,
                    };
                    credential::set_password(tx, &new.id, &password)?;
                }
                for action in &actions {
                    assign::set(tx, &new.id, action, &Setting::by("admin"))?;
                }
                let graph = role::rows::graph(tx, &realm.id)?;
                for (client, name) in &roles {
                    let client = match client {
                        Some(client_id) => Some(
                            vestibule::client::rows::by_client_id(tx, &realm.id, client_id)?
                                .expect("the client")
                                .id,
                        ),
                        None => None,
                    };
                    let role = graph.named(client.as_ref(), name).expect("the role");
                    role::rows::assign(tx, &new.id, &role.id)?;
                }
                Ok(new.id)
            })
            .await;
        ledger.password(&user.id, &user.password);
        user
    }
}

impl<'a> IntoFuture for UserBuilder<'a> {
    type Output = User;
    type IntoFuture = Pin<Box<dyn Future<Output = User> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// The hash of a password; none for none.
async fn hash(app: &TestApp, password: &str) -> Option<PasswordHash> {
    if password.is_empty() {
        return None;
    }
    let engine = app.engine();
    let entropy = engine.entropy;
    let password = Password::parse(password).expect("a password");
    let salt = Salt::new(|out: &mut [u8]| entropy.fill(out));
    Some(
        engine
            .hasher
            .hash(password, salt)
            .await
            .expect("the hasher is not busy"),
    )
}

impl TestApp {
    /// Sets a password as an administrator does; a temporary one gates.
    pub async fn set_password(&self, user: &User, password: &str, temporary: bool) {
        let hash = hash(self, password).await.expect("a password");
        let (id, name, entropy) = (user.id.clone(), user.realm.clone(), self.engine().entropy);
        self.tx(move |tx| {
            let realm = realm::rows::by_name(tx, &name)?.expect("the realm");
            let with = (hash.as_str(), None, temporary);
            provision::set_password_by_admin(tx, &entropy, &realm, &id, with)
        })
        .await;
        self.ledger.password(&user.id, password);
    }
}
