//! `/user-imports`: files over HTTP, worked by the server.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use vestibule::import::Options;
use vestibule::import::jobs::{NewJob, Source};
use vestibule::import::upload::Upload;

use super::people;
use crate::support::app::TestApp;
use crate::support::database::{ADMIN, Kind, on_both};

pub(super) async fn token(app: &TestApp, realm: &str, username: &str, password: &str) -> String {
    let mut client = app.legacy.in_realm(realm);
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    let answer = client.password_grant(username, password).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

pub(super) async fn operator(app: &TestApp) -> String {
    token(app, "master", ADMIN.0, ADMIN.1).await
}

pub(super) fn request(app: &TestApp, token: &str, method: Method, tail: &str) -> RequestBuilder {
    let url = app.here(&format!(
        "{}/admin/realms/t1/user-imports{tail}",
        app.public_url()
    ));
    app.http.request(method, url).bearer_auth(token)
}

pub(super) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

pub(super) async fn post(
    app: &TestApp,
    token: &str,
    query: &str,
    (kind, body): (&str, impl Into<reqwest::Body>),
) -> (u16, Value) {
    let request = request(app, token, Method::POST, query);
    answer(request.header("Content-Type", kind).body(body)).await
}

/// Waits until the job is over.
pub(super) async fn over(app: &TestApp, token: &str, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let (status, job) = answer(request(app, token, Method::GET, &format!("/{id}"))).await;
        assert_eq!(status, 200, "{job}");
        if ["done", "failed", "cancelled"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) fn id(answer: &(u16, Value)) -> String {
    assert_eq!(answer.0, 202, "{}", answer.1);
    answer.1["id"].as_str().expect("an id").to_owned()
}

const CSV: &str = "username,email,password\nada,ada@harbour.example,a canary passphrase\nbob,not an address,\n\"=cmd\",,\n";

on_both!(a_file_is_taken_worked_and_reported);
async fn a_file_is_taken_worked_and_reported(app: TestApp) {
    let admin = operator(&app).await;
    let dry = id(&post(&app, &admin, "?dryRun=true", ("text/csv", CSV)).await);
    let tried = over(&app, &admin, &dry).await;
    assert_eq!(
        (&tried["state"], &tried["dryRun"]),
        (&"done".into(), &true.into()),
        "{tried}"
    );
    assert_eq!(
        app.count("SELECT count(*) AS value FROM users WHERE username = 'ada'"),
        0
    );
    let real = id(&post(&app, &admin, "", ("text/csv; charset=utf-8", CSV)).await);
    let done = over(&app, &admin, &real).await;
    for (field, count) in [
        ("total", 3),
        ("accepted", 2),
        ("rejected", 1),
        ("updated", 0),
        ("skipped", 0),
    ] {
        assert_eq!(done[field], count, "{field} {done}");
        assert_eq!(tried[field], count, "{field} {tried}");
    }
    let rows = format!("/{real}/rows?state=rejected");
    let (_, rejected) = answer(request(&app, &admin, Method::GET, &rows)).await;
    let only = serde_json::json!([{
        "row": 2, "line": 3, "state": "rejected", "field": "email", "reason": "is not a valid e-mail address",
    }]);
    assert_eq!(rejected, only);
    let page = format!("/{real}/rows?first=1&max=1");
    let (_, page) = answer(request(&app, &admin, Method::GET, &page)).await;
    assert_eq!(
        (page.as_array().unwrap().len(), &page[0]["row"]),
        (1, &2.into())
    );
    let (_, all) = answer(request(
        &app,
        &admin,
        Method::GET,
        &format!("/{real}/rows?max=-1"),
    ))
    .await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    // V147: the export is safe in a spreadsheet, and holds no password.
    let csv = request(&app, &admin, Method::GET, &format!("/{real}/rows?max=-1"))
        .header("Accept", "text/csv")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        csv.starts_with("row,line,state,userId,field,reason\r\n1,2,accepted,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    assert!(!csv.contains("canary"));
    let (_, list) = answer(request(&app, &admin, Method::GET, "")).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(
        app.count("SELECT count(*) AS value FROM import_pieces"),
        0,
        "the file goes with the job"
    );
    assert_eq!(
        app.count("SELECT count(*) AS value FROM events WHERE kind = 'USERS_IMPORTED'"),
        2
    );
}

on_both!(no_password_of_a_file_lies_open_in_a_table);
async fn no_password_of_a_file_lies_open_in_a_table(app: TestApp) {
    let admin = operator(&app).await;
    // Kept from the worker, so that it can be looked at: a job that arrives stays as it is until it is queued.
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    app.tx(move |tx| {
        let realm = vestibule::realm::rows::by_name(tx, "t1")?.expect("realm t1");
        let id = vestibule::kernel::ImportId::new("waiting");
        let new = NewJob {
            id: &id,
            realm_id: &realm.id,
            source: Source::Upload,
            author: "test",
            options: &Options::default(),
            digest: None,
        };
        let mut upload = Upload::begin(tx, &new)?;
        upload.put(tx, (&keyring, &entropy), CSV.as_bytes())
    })
    .await;
    let hex = match app.kind() {
        Kind::Sqlite => "hex(content_sealed)",
        Kind::Postgres => "upper(encode(content_sealed, 'hex'))",
    };
    let pieces = app.sql(&format!("SELECT {hex} AS value FROM import_pieces"));
    let canary: String = b"canary".iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(pieces.len(), 1);
    assert!(!pieces[0].contains(&canary));
    let made = id(&post(&app, &admin, "", ("text/csv", CSV)).await);
    over(&app, &admin, &made).await;
    let columns = app.sql(
        "SELECT options || coalesce(error, '') || coalesce(digest, '') AS value FROM import_jobs",
    );
    let rows =
        app.sql("SELECT coalesce(reason, '') || coalesce(field, '') AS value FROM import_rows");
    assert!(
        columns
            .iter()
            .chain(&rows)
            .all(|text| !text.contains("canary"))
    );
    // A file that stopped coming is nobody's job.
    assert_eq!(
        answer(request(&app, &admin, Method::GET, "/waiting"))
            .await
            .0,
        404
    );
}

on_both!(the_same_key_is_the_same_import);
async fn the_same_key_is_the_same_import(app: TestApp) {
    let admin = operator(&app).await;
    let with = |query: &str, body: &'static str, key: &str| {
        request(&app, &admin, Method::POST, query)
            .header("Content-Type", "text/csv")
            .header("Idempotency-Key", key)
            .body(body)
    };
    let first = id(&answer(with("", CSV, "monday")).await);
    let again = id(&answer(with("", CSV, "monday")).await);
    assert_eq!(first, again);
    over(&app, &admin, &first).await;
    assert_eq!(id(&answer(with("", CSV, "monday")).await), first);
    assert_eq!(answer(with("", "username\nx\n", "monday")).await.0, 409);
    assert_eq!(answer(with("?ifExists=skip", CSV, "monday")).await.0, 409);
    assert_eq!(answer(with("", CSV, "two words")).await.0, 400);
    assert_eq!(app.count("SELECT count(*) AS value FROM import_jobs"), 1);
    let other = id(&answer(with("?ifExists=skip", CSV, "tuesday")).await);
    assert_ne!(first, other);
    assert_eq!(over(&app, &admin, &other).await["skipped"], 2);
}

on_both!(what_cannot_be_an_import_is_refused_before_it_is_read);
async fn what_cannot_be_an_import_is_refused_before_it_is_read(app: TestApp) {
    let admin = operator(&app).await;
    assert_eq!(post(&app, "no token", "", ("text/csv", CSV)).await.0, 401);
    let nobody = app.user("nobody").await;
    let powerless = token(&app, "t1", "nobody", &nobody.password).await;
    assert_eq!(post(&app, &powerless, "", ("text/csv", CSV)).await.0, 403);
    assert_eq!(post(&app, &admin, "", ("image/png", CSV)).await.0, 415);
    assert_eq!(post(&app, &admin, "", ("text/csv", "")).await.0, 400);
    // A slip is no import.
    for slip in [
        "ifExists=perhaps",
        "dryRun=1",
        "dryRun=maybe",
        "dry_run=true",
    ] {
        let refused = post(&app, &admin, &format!("?{slip}"), ("text/csv", CSV)).await;
        assert_eq!(refused.0, 400, "{slip}: {}", refused.1);
    }
    assert_eq!(
        post(&app, &admin, "?format=xml", ("text/csv", CSV)).await.0,
        400
    );
    assert_eq!(
        answer(request(&app, &admin, Method::GET, "/nowhere"))
            .await
            .0,
        404
    );
    assert_eq!(app.count("SELECT count(*) AS value FROM import_jobs"), 0);
    let broken = id(&post(&app, &admin, "", ("text/csv", "usrname\nx\n")).await);
    let job = over(&app, &admin, &broken).await;
    assert_eq!(job["state"], "failed");
    assert!(
        job["error"].as_str().unwrap().contains("is it `username`?"),
        "{job}"
    );
}

on_both!(whoever_manages_people_gains_nothing_by_an_import);
/// V136, V137: no role that the caller lacks is handed out, and nobody above the caller is changed.
async fn whoever_manages_people_gains_nothing_by_an_import(app: TestApp) {
    let clerk = app
        .user("clerk")
        .client_role("realm-management", "manage-users")
        .await;
    let boss = app
        .user("boss")
        .client_role("realm-management", "realm-admin")
        .await;
    let plain = app.user("plain").await;
    let clerk = token(&app, "t1", "clerk", &clerk.password).await;
    let text = "username,roles,password,temporary\n\
                evil,realm-management:realm-admin,,\n\
                evil2,realm-management:manage-realm,,\n\
                fine,realm-management:view-users,,\n\
                boss,,a password of the clerk,false\n\
                plain,,a password of the clerk,false\n";
    let query = "?ifExists=update&overwritePasswords=true";
    let job = id(&post(&app, &clerk, query, ("text/csv", text)).await);
    let done = over(&app, &clerk, &job).await;
    let (_, rows) = answer(request(&app, &clerk, Method::GET, &format!("/{job}/rows"))).await;
    // `view-users` is a power that the clerk does not have either.
    let states: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        ["rejected", "rejected", "rejected", "rejected", "updated"],
        "{done} {rows}"
    );
    assert_eq!(
        app.legacy
            .password_grant("boss", &boss.password)
            .await
            .status,
        200
    );
    assert_eq!(
        app.legacy
            .password_grant("plain", &plain.password)
            .await
            .status,
        400
    );
    assert_eq!(
        post(&app, &clerk, "?createMissing=true", ("text/csv", text))
            .await
            .0,
        403
    );
    // Without an update there is nothing to overwrite.
    let query = "?ifExists=skip&overwritePasswords=true";
    assert_eq!(post(&app, &clerk, query, ("text/csv", text)).await.0, 400);
}

on_both!(a_large_packed_file_goes_through_and_one_can_be_cancelled);
async fn a_large_packed_file_goes_through_and_one_can_be_cancelled(app: TestApp) {
    use std::io::Write as _;
    let admin = operator(&app).await;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(people(6000).as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let job = id(&post(&app, &admin, "", ("application/gzip", packed)).await);
    let done = over(&app, &admin, &job).await;
    assert_eq!(
        (&done["accepted"], &done["rejected"]),
        (&6000.into(), &0.into()),
        "{done}"
    );
    // More than one piece.
    let second = people(20_000).replace("person", "other");
    let job = id(&post(&app, &admin, "", ("text/csv", second)).await);
    let cancel = request(&app, &admin, Method::POST, &format!("/{job}/cancel"));
    let (status, _) = answer(cancel).await;
    assert_eq!(status, 204);
    let gone = over(&app, &admin, &job).await;
    assert_eq!(gone["state"], "cancelled");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let stored = app.count("SELECT count(*) AS value FROM users WHERE username LIKE 'other%'");
    let (_, after) = answer(request(&app, &admin, Method::GET, &format!("/{job}"))).await;
    assert_eq!(
        after["accepted"], stored,
        "every stored person has a verdict that is counted"
    );
    assert!(stored < 20_000);
}

on_both!(groups_are_made_listed_joined_and_left);
/// In Keycloak's shapes, as recorded.
async fn groups_are_made_listed_joined_and_left(app: TestApp) {
    let admin = operator(&app).await;
    let ada = app.user("ada").await;
    let call = |method: Method, path: &str, body: Option<Value>| {
        let url = app.here(&format!("{}/admin/realms/t1{path}", app.public_url()));
        let request = app.http.request(method, url).bearer_auth(&admin);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    };
    let named = |name: &str| Some(serde_json::json!({ "name": name }));
    let made = call(Method::POST, "/groups", named("staff"))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let place = made.headers()["Location"].to_str().unwrap().to_owned();
    let staff = place.rsplit('/').next().unwrap().to_owned();
    let again = answer(call(Method::POST, "/groups", named("staff"))).await;
    assert_eq!(
        again,
        (
            409,
            serde_json::json!({ "errorMessage": "Top level group named 'staff' already exists." })
        )
    );
    let none = answer(call(Method::POST, "/groups", named(" "))).await;
    assert_eq!(
        none,
        (
            400,
            serde_json::json!({ "errorMessage": "Group name is missing" })
        )
    );
    let child = call(
        Method::POST,
        &format!("/groups/{staff}/children"),
        named("child"),
    );
    assert_eq!(answer(child).await.0, 201);
    let (_, list) = answer(call(Method::GET, "/groups", None)).await;
    assert_eq!(
        (&list[0]["path"], &list[0]["subGroupCount"]),
        (&"/staff".into(), &1.into()),
        "{list}"
    );
    let own = format!("/users/{}/groups", ada.id);
    for _ in 0..2 {
        assert_eq!(
            answer(call(Method::PUT, &format!("{own}/{staff}"), None))
                .await
                .0,
            204
        );
    }
    let (_, groups) = answer(call(Method::GET, &own, None)).await;
    assert_eq!(
        groups,
        serde_json::json!([{ "id": staff, "name": "staff", "path": "/staff", "subGroups": [] }])
    );
    let (_, count) = answer(call(Method::GET, &format!("{own}/count"), None)).await;
    assert_eq!(count, serde_json::json!({ "count": 1 }));
    let unknown = answer(call(Method::PUT, &format!("{own}/nope"), None)).await;
    assert_eq!(
        unknown,
        (404, serde_json::json!({ "error": "Group not found" }))
    );
    assert_eq!(
        answer(call(Method::DELETE, &format!("{own}/{staff}"), None))
            .await
            .0,
        204
    );
    let (_, groups) = answer(call(Method::GET, &own, None)).await;
    assert_eq!(groups, serde_json::json!([]));
}
