//! Whose name is whose: user names and addresses are one set of names, by whatever door they come in.

use reqwest::Method;
use serde_json::{Value, json};

use crate::gate::admin::{call, of, operator};
use crate::import::import;
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;
use vestibule::import::{IfExists, Options};

async fn put(app: &TestApp, path: &str, body: Value) -> (u16, Value) {
    let token = operator(app).await;
    let answer = call(app, &token, (Method::PUT, path), Some(&body)).await;
    (answer.status, answer.body)
}

async fn post(app: &TestApp, body: Value) -> (u16, Value) {
    let token = operator(app).await;
    let answer = call(app, &token, (Method::POST, "/t1/users"), Some(&body)).await;
    (answer.status, answer.body)
}

async fn signs_in(app: &TestApp, name: &str, user: &User) -> bool {
    let answer = app.legacy.password_grant(name, &user.password).await;
    answer.status == 200
}

on_both!(nobody_gets_the_name_of_another_by_any_door);
/// V122: by the admin API's two ways and by an import, in either direction and in any spelling.
async fn nobody_gets_the_name_of_another_by_any_door(app: TestApp) {
    app.change_realm(|realm| realm.settings.edit_username_allowed = true)
        .await;
    let alice = app.user("alice").await;
    let mallory = app.user("mallory").await;
    let named = |name: &str| {
        app.count(&format!(
            "SELECT count(*) AS value FROM users WHERE username = '{name}'"
        ))
    };
    for address in [
        alice.email.clone(),
        alice.email.to_uppercase(),
        alice.email.replace("people", "\u{ff50}eople"),
    ] {
        let body = json!({ "username": address, "enabled": true });
        assert_eq!(post(&app, body.clone()).await.0, 409, "{address}");
        let changed = put(&app, &of(&mallory, ""), body).await;
        assert_eq!(changed.0, 409, "{address}: {}", changed.1);
        for if_exists in [IfExists::Fail, IfExists::Skip] {
            let options = Options {
                if_exists,
                ..Options::default()
            };
            let file = format!("username,email\n{address},someone@people.example\n");
            let report = import(&app, &options, file).await;
            assert_eq!(report.count("accepted"), 0, "{:?}", report.said());
        }
    }
    // The other way round: nobody's address is another's user name.
    let short = app.user("alice@short.example").await;
    for body in [
        json!({ "username": "eve", "email": "Alice@Short.example" }),
        json!({ "username": "eve", "email": alice.email }),
    ] {
        assert_eq!(post(&app, body).await.0, 409);
    }
    let changed = put(
        &app,
        &of(&mallory, ""),
        json!({ "email": "alice@SHORT.example" }),
    )
    .await;
    assert_eq!(changed.0, 409, "{}", changed.1);
    assert_eq!(named("eve"), 0);
    for (name, user) in [
        (alice.email.as_str(), &alice),
        ("alice@short.example", &short),
        (mallory.email.as_str(), &mallory),
    ] {
        assert!(signs_in(&app, name, user).await, "{name}");
    }
}

on_both!(an_address_is_its_persons_name_again_once_addresses_may_not_be_shared);
/// V122: `duplicateEmailsAllowed` on and off again. While somebody else has an address, or signs in by it, it does not
/// go off; once it does, everybody signs in by their own, and nobody takes it.
async fn an_address_is_its_persons_name_again_once_addresses_may_not_be_shared(app: TestApp) {
    let shared = |on: bool| json!({ "duplicateEmailsAllowed": on });
    assert_eq!(put(&app, "/t1", shared(true)).await.0, 204);
    let password = "the passphrase of them all";
    let credentials = json!([{ "type": "password", "value": password, "temporary": false }]);
    let person = |name: &str, email: &str| {
        json!({ "username": name, "email": email, "enabled": true, "emailVerified": true,
            "firstName": "Test", "lastName": "Person", "credentials": credentials })
    };
    for (name, email) in [
        ("alice", "alice@people.example"),
        ("twin", "Alice@people.example"),
        ("carol", "carol@people.example"),
        ("carol@people.example", "other@people.example"),
    ] {
        let made = post(&app, person(name, email)).await;
        assert_eq!(made.0, 201, "{name}: {}", made.1);
    }
    let refused = put(&app, "/t1", shared(false)).await;
    assert_eq!(refused.0, 409, "{}", refused.1);
    let said = refused.1["errorMessage"].as_str().unwrap_or_default();
    assert!(
        said.contains("2 addresses")
            && said.contains("alice@people.example")
            && said.contains("carol@people.example")
            && !said.contains("other@"),
        "{said}"
    );
    let id = |name: &str| {
        let query = format!("SELECT id AS value FROM users WHERE username = '{name}'");
        app.sql(&query).remove(0)
    };
    let moved = format!("/t1/users/{}", id("twin"));
    assert_eq!(
        put(&app, &moved, json!({ "email": "twin@people.example" }))
            .await
            .0,
        204
    );
    // Whoever was named like the address of somebody else goes.
    let token = operator(&app).await;
    let path = format!("/t1/users/{}", id("carol@people.example"));
    let gone = call(&app, &token, (Method::DELETE, &path), None).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let off = put(&app, "/t1", shared(false)).await;
    assert_eq!(off.0, 204, "{}", off.1);
    for name in ["alice", "twin", "carol"] {
        let address = format!("{name}@people.example");
        for login in [name, &address] {
            let answer = app.legacy.password_grant(login, password).await;
            assert_eq!(answer.status, 200, "{login}: {}", answer.body);
        }
        let taken = post(
            &app,
            json!({ "username": address, "email": "new@people.example" }),
        )
        .await;
        assert_eq!(taken.0, 409, "{name}: {}", taken.1);
    }
}

on_both!(one_mailbox_is_one_account_however_its_domain_is_written);
/// V156: the domain in Unicode and in ASCII. What was typed is what is stored, shown and written to; either form signs
/// in.
async fn one_mailbox_is_one_account_however_its_domain_is_written(app: TestApp) {
    let (unicode, ascii) = ("ada@bücher.example", "ada@xn--bcher-kva.example");
    let mailbox = app.mailbox().await;
    let alice = app.user("alice").await;
    for (kept, other) in [(unicode, ascii), (ascii, unicode)] {
        let changed = put(
            &app,
            &of(&alice, ""),
            json!({ "email": kept, "emailVerified": true }),
        )
        .await;
        assert_eq!(changed.0, 204, "{}", changed.1);
        let token = operator(&app).await;
        let read = call(&app, &token, (Method::GET, &of(&alice, "")), None).await;
        assert_eq!(read.body["email"], kept);
        for body in [
            json!({ "username": "ada", "email": other }),
            json!({ "username": "ada", "email": other.to_uppercase() }),
            json!({ "username": other }),
        ] {
            let twin = post(&app, body.clone()).await;
            assert_eq!(twin.0, 409, "{body}: {}", twin.1);
        }
        for login in [unicode, ascii, "ADA@BÜCHER.example"] {
            assert!(signs_in(&app, login, &alice).await, "{kept}: {login}");
        }
        let path = of(&alice, "/execute-actions-email");
        let mailed = put(&app, &path, json!(["UPDATE_PASSWORD"])).await;
        assert_eq!(mailed.0, 204, "{}", mailed.1);
        mailbox.expect(ascii).await;
    }
}
