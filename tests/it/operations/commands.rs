//! The commands, beside a running server and without one.

use super::process::{Answer, Place, Server, files};
use crate::protocol::rotation::PUBLISHED_FIRST;

const TOKEN: &str = "/realms/master/protocol/openid-connect/token";

fn password_grant(username: &str, password: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([
        ("grant_type", "password"),
        ("client_id", "admin-cli"),
        ("username", username),
        ("password", password),
    ]);
    form.finish()
}

/// Waits until a fact is there: a node looks for other versions twice a second.
#[track_caller]
fn eventually(fact: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !fact() {
        let waited = began.elapsed();
        assert!(waited < std::time::Duration::from_secs(60), "never came");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn wrong_configuration_exits_2_and_names_the_nearest_key() {
    let place = Place::new();
    let file = place.path("bad.toml");
    std::fs::write(&file, "databse_url = 'x'\n").unwrap();
    place
        .run(&["serve", "--config", file.to_str().unwrap()])
        .refused(2, "database_url");
    place.run(&["keys", "lst"]).refused(2, "list");
    place
        .run(&["keys", "list"])
        .refused(1, "there is no database");
    assert!(files(place.path("").as_path(), "v.db").is_empty());
    place.run(&["realm", "create", "a/b"]).refused(2, "a/b");
}

#[test]
fn migrate_makes_schema_and_key_once_however_many_run() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| place.run(&["migrate", "--json"])))
            .collect();
        let ids: Vec<_> = runs
            .into_iter()
            .map(|run| run.join().unwrap().json()["masterKey"]["id"].clone())
            .collect();
        assert!(
            ids[0].is_string() && ids.iter().all(|id| *id == ids[0]),
            "{ids:?}"
        );
    });
    let again = place.run(&["migrate", "--json"]).json();
    assert_eq!(again["applied"], serde_json::json!([]));
    assert_eq!(again["masterKey"]["created"], false);
    place
        .run(&["realm", "create", "lone"])
        .refused(1, "no administrator yet");
}

#[test]
fn commands_share_the_file_with_a_server_and_a_second_server_does_not() {
    let place = Place::new();
    let server = place.serve();

    place.run(&["serve"]).refused(1, "another vestibule serves");
    place
        .run(&["keys", "rotate-master"])
        .refused(1, "another vestibule serves");

    let made = place
        .run(&[
            "realm",
            "create",
            "shop",
            "--display-name",
            "The Shop",
            "--json",
        ])
        .json();
    assert_eq!(made["issuer"], format!("{}/realms/shop", place.url()));
    place.run(&["realm", "create", "shop"]).refused(1, "shop");
    let discovery = server.get("/realms/shop/.well-known/openid-configuration");
    assert_eq!(discovery.json()["issuer"], made["issuer"]);

    let keys = place.run(&["keys", "list", "--json"]).json();
    let of_shop = place
        .run(&["keys", "list", "--realm", "shop", "--json"])
        .json();
    assert!(keys.as_array().unwrap().len() > of_shop.as_array().unwrap().len());
    assert!(
        of_shop
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["state"] == "active")
    );
    place
        .run(&["keys", "list", "--realm", "shpo"])
        .refused(2, "shop");
}

#[test]
fn a_signing_key_is_published_before_it_signs() {
    let place = Place::new();
    let server = place.serve();
    let rotate = |more: &[&str]| {
        let arguments = [&["keys", "rotate", "--realm", "master", "--json"], more].concat();
        place.run(&arguments)
    };
    let published = |kid: &str| {
        let jwks = server
            .get("/realms/master/protocol/openid-connect/certs")
            .json();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().any(|key| key["kid"] == kid)
    };
    let signed_by = || {
        let form = password_grant("admin", "an admin passphrase");
        let answer = server.post(TOKEN, &form).json();
        let token = answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned();
        let header = token.split('.').next().unwrap();
        let header =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
        let header: serde_json::Value = serde_json::from_slice(&header.unwrap()).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    };
    let before = signed_by();

    rotate(&["--activate"]).refused(1, "no key is published");
    rotate(&["--algorithm", "none"]).refused(2, "RS256");
    let next = rotate(&[]).json();
    assert_eq!(next["activateAfterSeconds"], PUBLISHED_FIRST);
    let kid = next["kid"].as_str().unwrap().to_owned();
    eventually(|| published(&kid));
    assert!(published(&before));
    assert_eq!(signed_by(), before);
    rotate(&[]).refused(1, &kid);
    rotate(&["--activate"]).refused(1, "may not have seen");
    place
        .run(&["keys", "remove", "--realm", "master", &before])
        .refused(1, "signs");

    let activated = rotate(&["--activate", "--now"]).json();
    assert_eq!(activated["kid"], kid);
    assert_eq!(activated["passive"], serde_json::json!([before]));
    assert_eq!(signed_by(), kid, "the next token");
    assert!(published(&before));

    let removed = place.run(&["keys", "remove", "--realm", "master", &before]);
    assert_eq!(removed.code, 0, "{}", removed.err);
    eventually(|| !published(&before));
}

#[test]
fn a_made_or_reset_administrator_is_gated_until_a_password_is_set() {
    let place = Place::new();
    let server = place.serve();
    let grant = |name: &str, password: &str| server.post(TOKEN, &password_grant(name, password));

    let made = place.run(&["admin", "create", "boss", "--json"]).json();
    let answer = grant("boss", made["temporaryPassword"].as_str().unwrap());
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["required_actions"][0], "UPDATE_PASSWORD");
    let there = place.run(&["admin", "create", "boss"]);
    there.refused(1, "admin reset");
    assert!(there.out.is_empty(), "no password is shown for nothing");

    let tokens = grant("admin", "an admin passphrase").json();
    for _ in 0..6 {
        grant("admin", "a wrong passphrase");
    }
    let reset = place.run(&["admin", "reset", "admin", "--json"]).json();
    let answer = grant("admin", reset["temporaryPassword"].as_str().unwrap());
    assert_eq!(
        answer.json()["required_actions"][0],
        "UPDATE_PASSWORD",
        "the lock is gone too: {answer:?}"
    );
    assert_eq!(
        grant("admin", "an admin passphrase").json()["error_description"],
        "Invalid user credentials"
    );
    let refreshed = server.post(
        TOKEN,
        &format!(
            "grant_type=refresh_token&client_id=admin-cli&refresh_token={}",
            tokens["refresh_token"].as_str().unwrap()
        ),
    );
    assert_eq!(refreshed.json()["error"], "invalid_grant");
    place
        .run(&["admin", "reset", "nobody"])
        .refused(2, "admin create");
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let place = Place::new()
        .set(
            "VESTIBULE_SMTP_URL",
            "smtp://mailer:hunter2@127.0.0.1:2525?tls=none",
        )
        .set("VESTIBULE_MAIL_FROM", "idp@example.org");
    for command in ["serve", "doctor"] {
        let ran = place.run(&[command, "--print-config"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("drain_seconds = 2"), "{}", ran.out);
        assert!(ran.out.contains("smtp_url = \"smtp://***"), "{}", ran.out);
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
        assert!(!ran.out.contains("an admin passphrase"), "{}", ran.out);
        let again: toml::Table = ran.out.parse().expect("a configuration file");
        assert_eq!(again["mail_from"].as_str(), Some("idp@example.org"));
    }
    assert!(!place.path("v.db").exists(), "nothing was started");
}

#[test]
fn the_first_start_prints_a_link_for_its_administrator_once() {
    let place = Place::new()
        .set("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", "")
        .set("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", "");
    let server = place.serve();
    let log = server.log();
    let link = log
        .split_whitespace()
        .find(|word| word.contains("/login-actions/link/"))
        .expect("a link");
    let shown = opened(&place, &server, link);
    assert_eq!(shown.status, 200, "{shown:?}");
    assert!(shown.body.contains("content=\"link\"") && shown.body.contains("admin"));
    // Its person is nobody until a password is set.
    let answer = server.post(TOKEN, &password_grant("admin", ""));
    assert!(answer.status >= 400, "{answer:?}");
    drop(server);
    assert!(!place.serve().log().contains("/login-actions/link/"));
}

/// What a link's page says after its token has left the address bar.
fn opened(place: &Place, server: &Server<'_>, link: &str) -> Answer {
    let target = link.strip_prefix(&place.url()).expect("the public URL");
    let answer = server.get(target);
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = answer.header("location").expect("a page").to_owned();
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("its value");
    let page = page.strip_prefix(&place.url()).expect("the public URL");
    server.send(&format!(
        "GET {page} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    ))
}

#[test]
fn an_administrator_is_let_in_by_a_link_and_by_nothing_else() {
    let place = Place::new();
    let server = place.serve();
    let grant = |name: &str, password: &str| server.post(TOKEN, &password_grant(name, password));
    let made = place
        .run(&["admin", "create", "boss", "--print-link", "--json"])
        .json();
    assert!(made.get("temporaryPassword").is_none(), "{made}");
    let shown = opened(&place, &server, made["link"].as_str().unwrap());
    assert!(shown.body.contains("content=\"link\"") && shown.body.contains("boss"));

    let tokens = grant("admin", "an admin passphrase").json();
    let reset = place.run(&["admin", "reset", "admin", "--print-link"]);
    assert_eq!(reset.code, 0, "{}", reset.err);
    let link = reset.out.lines().find(|line| line.starts_with("http"));
    let shown = opened(&place, &server, link.expect("a link"));
    assert!(shown.body.contains("content=\"link\""), "{shown:?}");
    let old = grant("admin", "an admin passphrase");
    assert_eq!(old.json()["error_description"], "Invalid user credentials");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id=admin-cli&refresh_token={refresh}");
    assert_eq!(server.post(TOKEN, &form).json()["error"], "invalid_grant");
    place
        .run(&["admin", "reset", "nobody", "--print-link"])
        .refused(2, "admin create");
}

#[test]
fn the_key_of_links_is_rotated_and_no_link_ends() {
    let place = Place::new();
    place
        .run(&["keys", "rotate-links"])
        .refused(1, "there is no database");
    let server = place.serve();
    let link = |name: &str| {
        let made = place.run(&["admin", "create", name, "--print-link", "--json"]);
        made.json()["link"].as_str().unwrap().to_owned()
    };
    let before = link("before");
    let first = place.run(&["keys", "rotate-links", "--json"]).json();
    let second = place.run(&["keys", "rotate-links", "--json"]).json();
    assert_eq!(
        second["version"].as_i64(),
        first["version"].as_i64().map(|version| version + 1)
    );
    let after = link("after");
    for (name, link) in [("before", before), ("after", after)] {
        let shown = opened(&place, &server, &link);
        assert!(shown.body.contains("content=\"link\""), "{name}: {shown:?}");
        assert!(shown.body.contains(name), "{name}: {shown:?}");
    }
    let said = place.run(&["keys", "rotate-links"]);
    assert!(said.out.contains("go on working"), "{}", said.out);
}
