//! What an administrator may import is asked while the import runs: whoever is switched off, loses powers, or lacks a
//! power that a role has got meanwhile, imports no further (threats V137, V145).

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::import::jobs::{NewJob, Source};
use vestibule::import::upload::Upload;
use vestibule::import::{IfExists, Options};
use vestibule::kernel::ImportId;
use vestibule::{realm, role};

use super::api::{answer, id, operator, over, post, request, token};
use super::people;
use crate::gate::admin::call;
use crate::support::app::{REALM, TestApp, User};
use crate::support::database::on_both;

on_both!(an_import_ends_with_the_chunk_in_which_its_author_is_switched_off);
/// V145: the file switches its own author off in its first chunk, and the second one is not stored.
async fn an_import_ends_with_the_chunk_in_which_its_author_is_switched_off(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let token = token(&app, "t1", "clerk", &clerk.password).await;
    let admin = operator(&app).await;
    let rows: Vec<String> = (0..1500).map(|n| format!("person{n},true")).collect();
    let file = format!("username,enabled\nclerk,false\n{}\n", rows.join("\n"));
    let job = id(&post(&app, &token, "?ifExists=update", ("text/csv", file)).await);
    let ended = over(&app, &admin, &job).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(error.contains("another administrator"), "{ended}");
    let stored = app.count("SELECT count(*) AS value FROM users WHERE username LIKE 'person%'");
    assert!(0 < stored && stored < 1500, "{stored}: {ended}");
    assert_eq!(ended["accepted"], stored, "{ended}");
    let campaign = ended.get("campaign");
    assert_eq!(campaign, None, "nobody is mailed for it");
}

/// Uploads a file as that person, whose powers are what they are now, and does not let it be worked yet.
async fn uploaded(app: &TestApp, author: &User, (name, file): (&'static str, String)) {
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let author = author.id.clone();
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
        let graph = role::rows::graph(tx, &realm.id)?;
        let harmless = graph.iter().filter(|role| role.client.is_none());
        let options = Options {
            if_exists: IfExists::Update,
            overwrite_passwords: true,
            roles: Some(harmless.map(|role| role.id.clone()).collect()),
            ..Options::default()
        };
        let id = ImportId::new(name);
        let new = NewJob {
            id: &id,
            realm_id: &realm.id,
            source: Source::Upload,
            author: author.as_str(),
            options: &options,
            digest: None,
        };
        let mut upload = Upload::begin(tx, &new)?;
        upload.put(tx, (&keyring, &entropy), file.as_bytes())
    })
    .await;
}

/// Lets it be worked, and waits for its end.
async fn worked(app: &TestApp, name: &str) -> Value {
    app.database().execute(&format!(
        "UPDATE import_jobs SET state = 'queued' WHERE id = '{name}'"
    ));
    let admin = operator(app).await;
    over(app, &admin, name).await
}

on_both!(an_import_is_as_strong_as_its_author_is_now);
/// V137, V145: the powers of now decide, not those of the upload.
async fn an_import_is_as_strong_as_its_author_is_now(app: TestApp) {
    let admin = operator(&app).await;
    let clerk = |name: &'static str| {
        app.user(name)
            .client_role("realm-management", "manage-users")
    };
    let (fine, demoted, gone) = (
        clerk("fine").await,
        clerk("demoted").await,
        clerk("gone").await,
    );
    for (name, author) in [
        ("j-fine", &fine),
        ("j-demoted", &demoted),
        ("j-gone", &gone),
    ] {
        let file = people(20).replace("person", name);
        uploaded(&app, author, (name, file)).await;
    }
    app.delete(&gone).await;
    let id = demoted.id.clone();
    app.tx(move |tx| {
        for role in role::rows::of_user(tx, &id)? {
            role::rows::unassign(tx, &id, &role)?;
        }
        Ok(())
    })
    .await;
    for (name, state, accepted) in [
        ("j-fine", "done", 20),
        ("j-demoted", "failed", 0),
        ("j-gone", "failed", 0),
    ] {
        let ended = worked(&app, name).await;
        assert_eq!(
            (&ended["state"], &ended["accepted"]),
            (&json!(state), &json!(accepted)),
            "{name}: {ended}"
        );
    }

    // A role that was harmless at the upload has become one that manages the realm.
    for role in ["helper", "harmless"] {
        let body = json!({ "name": role });
        let made = call(&app, &admin, (Method::POST, "/t1/roles"), Some(&body)).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let holder = app.user("holder").role("helper").await;
    let file = "username,roles,password,temporary\nevil,helper,,\nplain,harmless,,\n\
                holder,,a password of the clerk,false\n";
    uploaded(&app, &fine, ("j-role", file.to_owned())).await;
    let clients = "/t1/clients?clientId=realm-management";
    let client = call(&app, &admin, (Method::GET, clients), None).await;
    let client = client.body[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/t1/clients/{client}/roles/realm-admin");
    let power = call(&app, &admin, (Method::GET, &path), None).await.body;
    let path = "/t1/roles/helper/composites";
    let body = json!([power]);
    let answered = call(&app, &admin, (Method::POST, path), Some(&body)).await;
    assert_eq!(answered.status, 204, "{}", answered.body);
    let ended = worked(&app, "j-role").await;
    assert_eq!(ended["state"], "done", "{ended}");
    let (_, rows) = answer(request(&app, &admin, Method::GET, "/j-role/rows")).await;
    let states: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["rejected", "accepted", "rejected"], "{rows}");
    let still = app.legacy.password_grant("holder", &holder.password).await;
    assert_eq!(still.status, 200, "{}", still.body);
}

on_both!(nobody_stops_the_import_of_a_superior);
/// V137: whoever made it stops it, and whoever has their powers.
async fn nobody_stops_the_import_of_a_superior(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let chief = app
        .user("chief")
        .client_role("realm-management", "realm-admin")
        .await;
    uploaded(&app, &chief, ("j-chief", people(3))).await;
    uploaded(&app, &clerk, ("j-clerk", people(3))).await;
    // Somebody works on them, and is busy with something else for a while.
    app.database()
        .execute("UPDATE import_jobs SET state = 'running', lease_until = 9000000000000000");
    let lesser = token(&app, "t1", "clerk", &clerk.password).await;
    let higher = token(&app, "t1", "chief", &chief.password).await;
    for (caller, job, status) in [
        (&lesser, "j-chief", 403),
        (&lesser, "j-clerk", 204),
        (&higher, "j-chief", 204),
    ] {
        let tail = format!("/{job}/cancel");
        let (found, body) = answer(request(&app, caller, Method::POST, &tail)).await;
        assert_eq!(found, status, "{job}: {body}");
    }
}
