//! What tests start from: realms with one client of each kind, and people in every state.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use vestibule::client::{Client, ClientSettings};
use vestibule::kernel::seal::Keyring;
use vestibule::kernel::{ClientUuid, Entropy};
use vestibule::oidc::provision::{self, Tools};
use vestibule::realm::Realm;
use vestibule::scope::{self, RealmDefault};
use vestibule::store::{StoreError, Tx};

/// The secret of every confidential client of the tests.
pub const SECRET: &str = "the-secret-of-a-test-client-0123456789";

/// A client of the tests: `client_id` and where it is answered.
pub struct Seed {
    pub client_id: &'static str,
    pub redirect_uri: &'static str,
    public: bool,
}

const fn confidential(client_id: &'static str, redirect_uri: &'static str) -> Seed {
    Seed {
        client_id,
        redirect_uri,
        public: false,
    }
}

/// The relying party of most tests: confidential.
pub const RP: Seed = confidential("rp", "https://rp.example/cb");
/// A native app: public, PKCE, any port of the loopback.
pub const NATIVE: Seed = Seed {
    client_id: "pub",
    redirect_uri: "http://127.0.0.1/cb",
    public: true,
};
/// An application of another origin.
pub const FOREIGN: Seed = confidential("foreign", "https://foreign.example/cb");
/// One that people have to agree to.
pub const CONSENTING: Seed = confidential("consenting", "https://consenting.example/cb");
/// One that may use the password grant.
pub const LEGACY: Seed = confidential("legacy", "https://legacy.example/cb");
/// One that acts for itself.
pub const SERVICE: Seed = confidential("svc", "https://svc.example/cb");

const ALL: [&Seed; 6] = [&RP, &NATIVE, &FOREIGN, &CONSENTING, &LEGACY, &SERVICE];

/// What provisioning works with.
pub fn tools<'a>(keyring: &'a Keyring, entropy: &'a Entropy) -> Tools<'a> {
    Tools { keyring, entropy }
}

/// A realm with all clients; the one that is there if it was made before.
pub fn realm(tx: &mut Tx<'_>, tools: Tools<'_>, name: &str) -> Result<Realm, StoreError> {
    if let Some(realm) = vestibule::realm::rows::by_name(tx, name)? {
        return Ok(realm);
    }
    let settings = Map::from_iter([
        ("displayName".to_owned(), json!(format!("Realm {name}"))),
        ("rememberMe".to_owned(), json!(true)),
        ("eventsEnabled".to_owned(), json!(true)),
    ]);
    let realm = provision::create_realm(tx, tools, (None, name, true), settings)?
        .expect("no realm of that name");
    let scopes = scope::rows::all(tx, &realm.id)?;
    for seed in ALL {
        let now = tx.now()?;
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
            client_id: seed.client_id.to_owned(),
            enabled: true,
            secret_digest: None,
            settings: settings_of(seed),
            default_scopes: of(RealmDefault::Default),
            optional_scopes: of(RealmDefault::Optional),
            mappers: Vec::new(),
        };
        let secret = (!seed.public).then_some(SECRET);
        assert!(
            provision::create_client(tx, tools, &realm, &client, secret)?,
            "{} is new",
            seed.client_id
        );
    }
    Ok(realm)
}

fn settings_of(seed: &Seed) -> ClientSettings {
    let origin = seed.redirect_uri.trim_end_matches("/cb");
    ClientSettings {
        name: Some(format!("The client {}", seed.client_id)),
        redirect_uris: vec![seed.redirect_uri.to_owned()],
        web_origins: vec![origin.to_owned()],
        public_client: seed.public,
        consent_required: seed.client_id == CONSENTING.client_id,
        direct_access_grants_enabled: seed.client_id == LEGACY.client_id,
        service_accounts_enabled: seed.client_id == SERVICE.client_id,
        attributes: BTreeMap::from([(
            "post.logout.redirect.uris".to_owned(),
            format!("{origin}/bye"),
        )]),
        ..ClientSettings::default()
    }
}
