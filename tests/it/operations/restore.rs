//! A restored backup brings nobody's session back (V184, R-21).

use serde_json::Value;

use super::process::{Answer, Place, Server};

const TOKEN: &str = "/realms/master/protocol/openid-connect/token";

fn sign_in(server: &Server<'_>) -> Value {
    let form = "grant_type=password&client_id=admin-cli&scope=openid&username=admin\
                &password=an+admin+passphrase";
    let answer = server.post(TOKEN, form);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn refresh(server: &Server<'_>, tokens: &Value) -> u16 {
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id=admin-cli&refresh_token={token}");
    server.post(TOKEN, &form).status
}

fn manage(server: &Server<'_>, tokens: &Value) -> Answer {
    let token = tokens["access_token"].as_str().unwrap();
    server.send(&format!(
        "GET /admin/realms/master HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    ))
}

fn stop(server: Server<'_>) {
    server.signal("INT");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn what_a_backup_revives_is_ended_before_it_is_served() {
    let place = Place::new();
    let server = place.serve();
    let (first, second) = (sign_in(&server), sign_in(&server));
    stop(server);
    let (database, backup) = (place.path("v.db"), place.path("backup.db"));
    std::fs::copy(&database, &backup).unwrap();

    // Everything from before ends, and there is something newer.
    place.run(&["admin", "reset", "admin"]);
    let server = place.serve();
    assert_eq!(refresh(&server, &first), 400);
    stop(server);

    // The backup alone brings it back: that is what has to be ended.
    std::fs::copy(&backup, &database).unwrap();
    let server = place.serve();
    assert_eq!(manage(&server, &first).status, 200);
    assert_eq!(refresh(&server, &first), 200);
    stop(server);

    std::fs::copy(&backup, &database).unwrap();
    place
        .run(&["admin", "revoke-everything"])
        .refused(2, "--yes");
    let told = place.run(&["admin", "revoke-everything", "--yes", "--json"]);
    assert!(told.json()["people"].as_u64().unwrap() >= 1);
    let server = place.serve();
    for tokens in [&first, &second] {
        assert_eq!(refresh(&server, tokens), 400);
        assert_eq!(manage(&server, tokens).status, 401);
    }
    // Whoever signs in now is let in; a second later at the latest, for tokens tell their time in seconds.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(manage(&server, &sign_in(&server)).status, 200);
    stop(server);
}
