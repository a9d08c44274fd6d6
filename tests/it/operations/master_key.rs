//! `keys rotate-master`: what was sealed opens under the new key, and an interruption at any step is mended.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde_json::{Map, json};
use vestibule::client::{Client, ClientSettings};
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{ClientUuid, Clock, Entropy};
use vestibule::mail::{self, Message, OutboxId, Purpose};
use vestibule::oidc::issue::KeySet;
use vestibule::oidc::provision::{self, MASTER, Tools};
use vestibule::oidc::{reseal, secret_digest};
use vestibule::realm;
use vestibule::store::schema::outbox;
use vestibule::store::{Location, Store, StoreError};
use vestibule::web::texts::Locale;

use super::process::{Place, files};

fn key() -> MasterKey {
    MasterKey::generate(&|out: &mut [u8]| Entropy.fill(out))
}

#[test]
fn everything_sealed_opens_under_the_new_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("v.db"));
    let store = Store::open(&location, Clock::system(), 1).unwrap();
    let old = Keyring::new(key());
    let client = ClientUuid::new("c1");
    let (realm_id, mail) = store
        .tx(|tx| {
            let tools = Tools {
                keyring: &old,
                entropy: &Entropy,
            };
            let mut realm =
                provision::create_realm(tx, tools, (None, MASTER, true), Map::new())?.unwrap();
            let confidential = Client {
                id: client.clone(),
                realm_id: realm.id.clone(),
                client_id: "app".to_owned(),
                enabled: true,
                secret_digest: None,
                settings: ClientSettings::default(),
                default_scopes: Vec::new(),
                optional_scopes: Vec::new(),
                mappers: Vec::new(),
            };
            assert!(provision::create_client(
                tx,
                tools,
                &realm,
                &confidential,
                Some("s3cret")
            )?);
            let password =
                realm::smtp::seal(&old, &Entropy, (&realm.id, "password"), "smtp pass").unwrap();
            realm.settings.smtp_server = BTreeMap::from([
                ("host".to_owned(), json!("mail")),
                ("password".to_owned(), json!(password)),
            ]);
            realm::rows::update(tx, &realm)?;
            let user = provision::blank_user(tx, tools, &realm, "ann")?;
            provision::create_user(tx, &realm, &user, &[])?.unwrap();
            let now = tx.now()?;
            let notice = Message::notice(
                (&realm.id, &user.id),
                "ann@example.org",
                Purpose::PasswordChanged { when: now },
                Locale::from_tag("en").unwrap(),
                now,
            );
            let outbox = mail::Tools {
                keyring: &old,
                entropy: &Entropy,
            };
            let mail = mail::queue(tx, outbox, &notice)?;
            vestibule::link::keys::newest(tx, outbox)?;
            vestibule::link::keys::rotate(tx, outbox)?;
            Ok::<_, StoreError>((realm.id, mail))
        })
        .unwrap();
    let both = Keyring {
        current: key(),
        older: vec![old.current],
    };
    let tools = Tools {
        keyring: &both,
        entropy: &Entropy,
    };
    let count = store.tx(|tx| reseal::everything(tx, tools)).unwrap();
    assert_eq!(
        (count.client_secrets, count.smtp_passwords, count.mails),
        (1, 1, 1)
    );
    assert!(count.signing_keys >= 3);
    assert_eq!(count.link_keys, 2);

    let new = Keyring::new(both.current);
    let tools = Tools {
        keyring: &new,
        entropy: &Entropy,
    };
    store
        .read(|tx| {
            KeySet::load(tx, &realm_id, &new)?;
            let secret = provision::reveal_secret(tx, tools, &realm_id, &client)?;
            assert_eq!(secret.as_deref(), Some("s3cret"));
            let realm = realm::rows::by_name(tx, MASTER)?.unwrap();
            let stored = vestibule::client::rows::by_id(tx, &realm_id, &client)?.unwrap();
            assert_eq!(
                stored.secret_digest,
                Some(secret_digest(&new, client.as_str(), "s3cret"))
            );
            let opened =
                realm::smtp::open(&new, (&realm_id, "password"), &realm.settings.smtp_server)?;
            assert_eq!(opened.as_deref(), Some("smtp pass"));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let sealed = content(&folder.path().join("v.db"), &mail);
    let place = format!("outbox/content_sealed/{mail}/{realm_id}");
    let opened = new.open(&sealed, &place).unwrap();
    serde_json::from_slice::<mail::Content>(&opened).unwrap();
}

fn content(database: &std::path::Path, mail: &OutboxId) -> Vec<u8> {
    let mut connection = diesel::SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    outbox::table
        .filter(outbox::id.eq(mail.to_string()))
        .select(outbox::content_sealed)
        .first(&mut connection)
        .unwrap()
}

#[test]
fn an_interrupted_rotation_is_finished_by_the_next_run() {
    let place = Place::new();
    drop(place.serve());
    let keys = place.run(&["keys", "list", "--json"]).json();

    // Interrupted before the database was done: the new key waits beside the old one.
    let random = |out: &mut [u8]| Entropy.fill(out);
    let waiting = MasterKey::create(&place.path("master.key.next"), &random).unwrap();
    drop(place.serve());
    let rotated = place.run(&["keys", "rotate-master", "--json"]).json();
    assert_eq!(rotated["masterKey"]["id"], waiting.id().to_string());
    assert!(rotated["resealed"]["signingKeys"].as_u64().unwrap() >= 3);
    let kept = format!("master.key.old-{}", rotated["old"]["id"].as_str().unwrap());
    assert_eq!(
        files(&place.path(""), "master.key"),
        ["master.key", kept.as_str()]
    );
    drop(place.serve());

    // Interrupted after the database was done: the files are as they were before.
    std::fs::rename(place.path("master.key"), place.path("master.key.next")).unwrap();
    std::fs::rename(place.path(&kept), place.path("master.key")).unwrap();
    place.run(&["serve"]).refused(2, "keys rotate-master");
    let finished = place.run(&["keys", "rotate-master", "--json"]).json();
    assert_eq!(finished["masterKey"]["id"], waiting.id().to_string());
    assert_eq!(finished["resealed"], json!(null));

    let server = place.serve();
    assert_eq!(place.run(&["keys", "list", "--json"]).json(), keys);
    let jwks = server
        .get("/realms/master/protocol/openid-connect/certs")
        .json();
    assert_eq!(
        jwks["keys"].as_array().unwrap().len(),
        keys.as_array().unwrap().len()
    );

    // A key that never belonged here is refused as such.
    drop(server);
    std::fs::remove_file(place.path("master.key")).unwrap();
    MasterKey::create(&place.path("master.key"), &random).unwrap();
    place
        .run(&["serve"])
        .refused(2, "not the one the database was encrypted with");
}
