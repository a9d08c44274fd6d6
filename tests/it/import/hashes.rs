//! People of other systems sign in with the passwords they had there, and are upgraded when they do.

use std::collections::BTreeMap;

use vestibule::import::Options;

use super::import;
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

pub(super) const HARBOUR: &str = include_str!("files/harbour.json");
pub(super) const PASSWORDS: &str = include_str!("files/harbour-passwords.json");

pub(super) fn user(app: &TestApp, username: &str) -> User {
    let id = app.sql(&format!(
        "SELECT id AS value FROM users WHERE username = '{username}'"
    ));
    User {
        id: vestibule::kernel::UserId::new(id[0].clone()),
        realm: "t1".into(),
        username: username.to_owned(),
        email: String::new(),
        password: String::new(),
    }
}

on_both!(everybody_of_a_keycloak_export_signs_in);
/// A real export of Keycloak 26.7.3 with the passwords that open it; `credentials[].temporary` and the flags hold.
/// V149: whoever came without a password has none.
async fn everybody_of_a_keycloak_export_signs_in(app: TestApp) {
    let options = Options {
        create_missing: true,
        ..Options::default()
    };
    let report = import(&app, &options, HARBOUR).await;
    assert_eq!(
        (
            report.count("accepted"),
            report.count("skipped"),
            report.count("rejected")
        ),
        (15, 1, 0),
        "{:?}",
        report.said()
    );
    let passwords: BTreeMap<String, String> = serde_json::from_str(PASSWORDS).unwrap();
    assert_eq!(passwords.len(), 13);
    for (username, password) in &passwords {
        let flagged = username.ends_with("-flagged") || username == "temporary";
        let before = app.password_hash(&user(&app, username)).await.unwrap();
        let answer = app.legacy.password_grant(username, password).await;
        let said = answer.body["error_description"]
            .as_str()
            .unwrap_or_default();
        match username.as_str() {
            "disabled" => assert_eq!(
                (answer.status, said),
                (400, "Account disabled"),
                "{username}"
            ),
            _ if flagged => {
                assert_eq!(
                    (answer.status, said),
                    (400, "Account is not fully set up"),
                    "{username}"
                );
                assert_eq!(
                    app.waiting(&user(&app, username)).await,
                    ["UPDATE_PASSWORD"]
                );
            }
            _ => {
                assert_eq!(answer.status, 200, "{username} {}", answer.body);
                // The id, and so the `sub`, is the one that the export has.
                assert!(HARBOUR.contains(user(&app, username).id.as_str()));
            }
        }
        let wrong = app
            .legacy
            .password_grant(username, "another password")
            .await;
        assert_eq!(wrong.status, 400, "{username} {}", wrong.body);
        if username != "disabled" {
            let after = app.password_hash(&user(&app, username)).await.unwrap();
            assert!(after.starts_with("$argon2id$v=19$"), "{username}: {after}");
            // Keycloak's own Argon2id is stronger than what tests hash with, and stays.
            assert_eq!(
                before == after,
                before.starts_with("$argon2id$"),
                "{username}"
            );
            let again = app.legacy.password_grant(username, password).await;
            assert_eq!(again.status, answer.status, "{username} {}", again.body);
        }
    }
    let none = user(&app, "no-password");
    assert_eq!(app.password_hash(&none).await, None);
    for guess in ["", "!", "no-password"] {
        assert_eq!(
            app.legacy.password_grant("no-password", guess).await.status,
            400
        );
    }
    let groups = app.sql(
        "SELECT g.name AS value FROM groups g JOIN user_groups m ON m.group_id = g.id \
         JOIN users u ON u.id = m.user_id WHERE u.username = 'pbkdf2-plain'",
    );
    assert_eq!(groups, ["night watch"]);
    // The second factor is not carried over, and the report says so.
    let noted = report.said();
    assert!(
        noted
            .iter()
            .any(|row| row.contains("credential of type otp")),
        "{noted:?}"
    );
}

on_both!(hashes_of_many_systems_open_and_are_replaced);
/// V127: an expensive hash is refused by itself; V148: weak ones are named, and replaced at the first sign-in.
async fn hashes_of_many_systems_open_and_are_replaced(app: TestApp) {
    let hashes = [
        "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "{SSHA}qyU+IWVikOLGC5xZd/4NXCeBv1Rncml0",
        "pbkdf2_sha256$1000$saltsalt$qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq/J0=",
        "$scrypt$ln=10,r=8,p=1$c2l4dGVlbiBieXRlIHNsdA$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II",
    ];
    let mut text = String::from("username,passwordHash,temporary\n");
    for (number, hash) in hashes.iter().enumerate() {
        text.push_str(&format!("person{number},\"{hash}\",\n"));
    }
    text.push_str("weak,\"$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\",\n");
    text.push_str("gated,{SSHA}qyU+IWVikOLGC5xZd/4NXCeBv1Rncml0,true\n");
    let report = import(&app, &Options::default(), text).await;
    assert_eq!(
        (report.count("accepted"), report.count("rejected")),
        (5, 1),
        "{:?}",
        report.said()
    );
    let said = report.said();
    assert!(said[1].contains("one pass of SHA-1"), "{said:?}");
    assert!(said[4].contains("out of bounds"), "{said:?}");
    for number in 0..hashes.len() {
        let name = format!("person{number}");
        assert_eq!(
            app.legacy.password_grant(&name, "wrong horse").await.status,
            400
        );
        let answer = app.legacy.password_grant(&name, "correct horse").await;
        assert_eq!(answer.status, 200, "{name} {}", answer.body);
        let stored = app.password_hash(&user(&app, &name)).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
    }
    let gated = app.legacy.password_grant("gated", "correct horse").await;
    assert_eq!(
        gated.body["error_description"],
        "Account is not fully set up"
    );
}
