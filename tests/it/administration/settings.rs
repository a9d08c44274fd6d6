//! Numbers among the settings: what cannot be is refused by name, and read strictly where it is stored all the same.

use reqwest::Method;
use serde_json::json;

use super::{World, call, operator};
use crate::support::app::TestApp;
use crate::support::database::on_both;

const REALM: &str = "/realms/t1";

on_both!(numbers_that_a_realm_cannot_have_are_refused_and_change_nothing);
async fn numbers_that_a_realm_cannot_have_are_refused_and_change_nothing(app: TestApp) {
    let admin = operator(&app).await;
    let before = call(&app, &admin, (&Method::GET, REALM), None).await;
    let attribute = |name: &str, value: &str| json!({ "attributes": { name: value } });
    for sent in [
        attribute("temporaryPasswordLifespan", "abc"),
        attribute("temporaryPasswordLifespan", "-5"),
        attribute("temporaryPasswordLifespan", "99999999999999999999"),
        attribute("preRegistrationLifespan", "0"),
        attribute("notMeLifespan", "7d"),
        json!({ "accessCodeLifespanUserAction": 0 }),
        json!({ "accessCodeLifespanLogin": 5 }),
        json!({ "accessCodeLifespan": 601 }),
        json!({ "accessTokenLifespan": 0 }),
        json!({ "accessTokenLifespan": -5 }),
        json!({ "ssoSessionIdleTimeout": -1 }),
        json!({ "ssoSessionMaxLifespanRememberMe": -1 }),
        json!({ "offlineSessionIdleTimeout": 4_000_000_000_u32 }),
        json!({ "actionTokenGeneratedByAdminLifespan": 0 }),
        json!({ "failureFactor": 0 }),
        json!({ "maxFailureWaitSeconds": -1 }),
        json!({ "notBefore": -1 }),
        json!({ "eventsExpiration": -1 }),
    ] {
        let answer = call(&app, &admin, (&Method::PUT, REALM), Some(&sent)).await;
        assert_eq!(answer.status, 400, "{sent}: {answer:?}");
        let says = answer.json()["errorMessage"].to_string();
        assert!(says.contains("must be a whole number"), "{sent}: {says}");
        let made = json!({ "realm": "t9", "enabled": true });
        let made = [made, sent]
            .iter()
            .flat_map(|part| part.as_object().unwrap().clone())
            .collect::<serde_json::Map<_, _>>();
        let made = call(&app, &admin, (&Method::POST, "/realms"), Some(&made.into())).await;
        assert_eq!(made.status, 400, "{made:?}");
    }
    let after = call(&app, &admin, (&Method::GET, REALM), None).await;
    assert_eq!(before, after);
}

on_both!(what_was_read_of_a_realm_can_be_written_back);
async fn what_was_read_of_a_realm_can_be_written_back(app: TestApp) {
    let admin = operator(&app).await;
    // What Keycloak writes for "off" and for "not set" stays.
    let off = json!({
        "ssoSessionIdleTimeoutRememberMe": 0, "ssoSessionMaxLifespanRememberMe": "0",
        "attributes": { "temporaryPasswordLifespan": "0", "notMeLifespan": "" },
    });
    let answer = call(&app, &admin, (&Method::PUT, REALM), Some(&off)).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    // What an older version has stored is read as the least, and can be written back as well.
    app.change_realm(|realm| {
        realm.settings.access_token_lifespan = -5;
        realm
            .settings
            .attributes
            .insert("preRegistrationLifespan".into(), "abc".into());
    })
    .await;
    for path in [REALM, "/realms/master"] {
        let read = call(&app, &admin, (&Method::GET, path), None).await.json();
        let answer = call(&app, &admin, (&Method::PUT, path), Some(&read)).await;
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
        let again = call(&app, &admin, (&Method::GET, path), None).await.json();
        assert_eq!(read, again);
    }
    let read = call(&app, &admin, (&Method::GET, REALM), None).await.json();
    assert_eq!(read["accessTokenLifespan"], 1);
    assert_eq!(read["attributes"]["preRegistrationLifespan"], "60");
    assert_eq!(read["attributes"]["temporaryPasswordLifespan"], "0");
}

on_both!(numbers_that_a_client_cannot_have_are_refused);
async fn numbers_that_a_client_cannot_have_are_refused(app: TestApp) {
    let admin = operator(&app).await;
    let world = World::build(&app, "t1").await;
    let path = format!("/realms/t1/clients/{}", world.thing("client"));
    for (lifespan, status) in [
        ("abc", 400),
        ("0", 400),
        ("-2", 400),
        ("99999999999999999999", 400),
        ("7", 204),
        ("-1", 204),
        ("", 204),
    ] {
        let sent = json!({ "attributes": { "access.token.lifespan": lifespan } });
        let answer = call(&app, &admin, (&Method::PUT, &path), Some(&sent)).await;
        assert_eq!(answer.status, status, "{lifespan:?}: {answer:?}");
        let client =
            json!({ "clientId": format!("of {lifespan}"), "attributes": sent["attributes"] });
        let made = (&Method::POST, "/realms/t1/clients");
        let made = call(&app, &admin, made, Some(&client)).await;
        assert_eq!(made.status == 201, status == 204, "{lifespan:?}: {made:?}");
    }
    let sent = json!({ "notBefore": -1 });
    let answer = call(&app, &admin, (&Method::PUT, &path), Some(&sent)).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let says = answer.json()["error_description"].to_string();
    assert!(says.contains("notBefore must be"), "{says}");
}

on_both!(a_filter_by_an_action_that_there_is_not_is_refused);
async fn a_filter_by_an_action_that_there_is_not_is_refused(app: TestApp) {
    let admin = operator(&app).await;
    for path in ["users", "users/count"] {
        let of = async |action: &str| {
            let path = format!("{REALM}/{path}?pendingAction={action}");
            call(&app, &admin, (&Method::GET, &path), None).await
        };
        assert_eq!(of("update_password").await.status, 200);
        let refused = of("NOPE").await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.text.contains("VERIFY_EMAIL"), "{refused:?}");
    }
}
