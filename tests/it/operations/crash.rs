//! `kill -9` of the server: what it has answered is still so when it is back.

use serde_json::Value;

use super::process::{Place, Server};
use crate::support::database::soak;

const TOKEN: &str = "/realms/master/protocol/openid-connect/token";

fn granted(server: &Server<'_>, form: &str) -> Value {
    let answer = server.post(TOKEN, form);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The refresh grant: its status, error and next refresh token.
fn refresh(server: &Server<'_>, token: &Value) -> (u16, Value, Value) {
    let token = token.as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id=admin-cli&refresh_token={token}");
    let answer = server.post(TOKEN, &form);
    let body = answer.json();
    (
        answer.status,
        body["error"].clone(),
        body["refresh_token"].clone(),
    )
}

/// V081: a refresh token that was rotated stays spent over `kill -9` and a new start on the same SQLite file, however
/// soon after the answer the process died; its successor works; and the replay ends the family. Three kills, or
/// fifty with `VESTIBULE_SOAK=1`.
#[test]
fn a_rotated_refresh_token_stays_spent_over_kill_9() {
    let place = Place::new();
    let sign_in = "grant_type=password&client_id=admin-cli&scope=openid&username=admin&password=an+admin+passphrase";
    let mut server = place.serve();
    for round in 0..if soak() { 50 } else { 3 } {
        let first = granted(&server, sign_in)["refresh_token"].clone();
        let other = granted(&server, sign_in)["refresh_token"].clone();
        let (status, _, second) = refresh(&server, &first);
        assert_eq!(status, 200, "{round}");
        // The answer is out, and that is all the time it has.
        server.kill();

        server = place.serve();
        let (status, _, third) = refresh(&server, &second);
        assert_eq!(status, 200, "the successor is good, {round}");
        server.kill();

        server = place.serve();
        for spent in [&first, &second] {
            let (status, error, _) = refresh(&server, spent);
            assert_eq!((status, error), (400, "invalid_grant".into()), "{round}");
        }
        server.kill();

        server = place.serve();
        let (status, error, _) = refresh(&server, &third);
        assert_eq!(
            (status, error),
            (400, "invalid_grant".into()),
            "the replay has ended the family, and that was acknowledged too, {round}"
        );
        let (status, ..) = refresh(&server, &other);
        assert_eq!(
            status, 200,
            "another sign-in's family is untouched, {round}"
        );
    }
}
