//! The same file once more, or a newer one, over people who have gone on here: what becomes of their passwords.

use vestibule::action::assign;
use vestibule::import::{IfExists, Options};

use super::hashes::{HARBOUR, PASSWORDS, user};
use super::{Report, import};
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

const OLD: &str = "the old passphrase of ada";
const OLD_HASH: &str = "{SSHA}H2I/9Rf+4/fwbaUhYqJOViH+DY1zYWx0c2FsdA==";
const OTHER: &str = "another passphrase of ada";
const OTHER_HASH: &str = "{SSHA}SMhDPCjW/Q9ZETwTQoQaPnh4TdhzYWx0cGVwcg==";
const OWN: &str = "seven seas and a tall lighthouse";

/// Ada out of a file with her old hash.
async fn ada(app: &TestApp) -> User {
    let file = format!("username,email,passwordHash\nada,ada@people.example,{OLD_HASH}\n");
    let made = import(app, &Options::default(), file).await;
    assert_eq!(made.count("accepted"), 1, "{:?}", made.said());
    let ada = User {
        email: "ada@people.example".to_owned(),
        password: OLD.to_owned(),
        ..user(app, "ada")
    };
    app.ledger.password(&ada.id, OTHER);
    app.ledger.password(&ada.id, OLD);
    ada
}

fn hash(hash: &str) -> String {
    format!("username,passwordHash\nada,{hash}\n")
}

/// An update by a dry run and then in earnest, which say the same.
async fn update(app: &TestApp, overwrite: bool, file: impl AsRef<[u8]>) -> Report {
    let options = Options {
        if_exists: IfExists::Update,
        overwrite_passwords: overwrite,
        ..Options::default()
    };
    let dry = Options {
        dry_run: true,
        ..options.clone()
    };
    let tried = import(app, &dry, &file).await;
    let done = import(app, &options, &file).await;
    assert_eq!(tried.said(), done.said(), "the dry run agrees");
    done
}

/// Shuts an account as `compromised` does.
async fn compromise(app: &TestApp, user: &User) {
    let (id, entropy) = (user.id.clone(), app.engine().entropy);
    app.tx(move |tx| assign::close(tx, &id, "admin", &entropy))
        .await;
}

/// Ada signs in with the old password, has to set one of her own, and does.
async fn set_own(app: &TestApp, ada: &User) {
    app.force_password_reset(ada).await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    browser
        .sign_in_with(ada, OLD)
        .await
        .assert_page("update-password");
    browser
        .set_new_password(OWN)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
}

async fn grant(app: &TestApp, password: &str) -> u16 {
    app.legacy.password_grant("ada", password).await.status
}

fn today(app: &TestApp) -> String {
    let now = app.store().clock().now();
    chrono::DateTime::from_timestamp(now.seconds(), 0)
        .expect("a time")
        .format("%Y-%m-%d")
        .to_string()
}

on_both!(the_same_hash_changes_nothing_and_a_newer_one_is_taken);
/// Also once the hash was replaced by Argon2id: whoever signed in stays signed in.
async fn the_same_hash_changes_nothing_and_a_newer_one_is_taken(app: TestApp) {
    let ada = ada(&app).await;
    let tokens = app.legacy.password_grant("ada", OLD).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let replaced = app.password_hash(&ada).await.expect("a hash");
    assert!(replaced.starts_with("$argon2id$"), "{replaced}");
    let same = update(&app, false, hash(OLD_HASH)).await;
    assert_eq!(same.said(), ["2 updated"], "no change and no note");
    assert_eq!(app.password_hash(&ada).await, Some(replaced));
    let refreshed = app.legacy.refresh(tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);

    let newer = update(&app, false, hash(OTHER_HASH)).await;
    let said = newer.said();
    assert!(
        said[0].starts_with("2 updated passwordHash is weak"),
        "{said:?}"
    );
    let dead = app.legacy.refresh(refreshed.text("refresh_token")).await;
    assert_eq!(dead.status, 400, "what was issued before has ended");
    assert_eq!(
        (grant(&app, OTHER).await, grant(&app, OLD).await),
        (200, 400)
    );
    // Whoever had no password gets the file's.
    app.user("bob").without_password().await;
    let file = format!("username,passwordHash\nbob,{OLD_HASH}\n");
    assert_eq!(update(&app, false, file).await.count("updated"), 1);
    assert_eq!(app.legacy.password_grant("bob", OLD).await.status, 200);
}

on_both!(no_file_brings_a_password_back_where_a_link_alone_sets_one);
/// V178, V040: a compromised account stays shut, whatever the file says of its password.
async fn no_file_brings_a_password_back_where_a_link_alone_sets_one(app: TestApp) {
    let mailbox = app.mailbox().await;
    let ada = ada(&app).await;
    let tokens = app.legacy.password_grant("ada", OLD).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    compromise(&app, &ada).await;
    let kept = "2 updated password kept: a new one must be set by link";
    for (file, said) in [
        (hash(OLD_HASH), "2 updated"),
        (hash(OTHER_HASH), kept),
        (
            format!("username,password,temporary\nada,{OTHER},false\n"),
            kept,
        ),
        (format!("username,password\nada,{OTHER}\n"), kept),
    ] {
        for overwrite in [false, true] {
            assert_eq!(
                update(&app, overwrite, &file).await.said(),
                [said],
                "{file}"
            );
            assert_eq!(app.waiting(&ada).await, ["UPDATE_PASSWORD"], "{file}");
        }
    }
    let proof = app.sql("SELECT reset_proof AS value FROM required_actions");
    assert_eq!(proof, ["mailbox"]);
    app.assert_no_tokens_for(&ada).await;
    assert!(mailbox.to(&ada.email).is_empty());
}

on_both!(a_file_lifts_no_forced_reset);
/// V178: a newer hash is taken, and its owner has to set a new password all the same.
async fn a_file_lifts_no_forced_reset(app: TestApp) {
    let ada = ada(&app).await;
    let tokens = app.legacy.password_grant("ada", OLD).await;
    app.force_password_reset(&ada).await;
    let named = update(&app, false, "username,firstName\nada,Ada\n").await;
    assert_eq!(named.said(), ["2 updated"]);
    for (file, overwrite) in [
        (hash(OTHER_HASH), false),
        (hash(OLD_HASH), true),
        (
            format!("username,password,temporary\nada,{OTHER},false\n"),
            false,
        ),
    ] {
        assert_eq!(update(&app, overwrite, &file).await.count("updated"), 1);
        assert_eq!(app.waiting(&ada).await, ["UPDATE_PASSWORD"], "{file}");
    }
    let said = app.legacy.password_grant("ada", OTHER).await;
    assert_eq!(
        said.text("error_description"),
        "Account is not fully set up"
    );
    app.assert_no_tokens_for(&ada).await;
    let dead = app.legacy.refresh(tokens.text("refresh_token")).await;
    assert_eq!(dead.status, 400);
}

on_both!(a_password_that_was_set_here_stays_unless_it_is_to_be_overwritten);
/// Set by its owner, and by an administrator; a temporary one of the file gates nobody who keeps their own.
async fn a_password_that_was_set_here_stays_unless_it_is_to_be_overwritten(app: TestApp) {
    let mailbox = app.mailbox().await;
    let ada = ada(&app).await;
    set_own(&app, &ada).await;
    let before = mailbox.to(&ada.email).len();
    let kept = format!("2 updated password kept: set here on {}", today(&app));
    for file in [
        hash(OLD_HASH),
        hash(OTHER_HASH),
        format!("username,password\nada,{OLD}\n"),
        format!("username,passwordHash,temporary\nada,{OLD_HASH},true\n"),
    ] {
        assert_eq!(update(&app, false, &file).await.said(), [&*kept], "{file}");
        assert!(app.waiting(&ada).await.is_empty(), "{file}");
    }
    assert_eq!((grant(&app, OLD).await, grant(&app, OWN).await), (400, 200));
    app.set_password(&ada, "what the desk has set", false).await;
    assert_eq!(update(&app, false, hash(OLD_HASH)).await.said(), [kept]);
    assert_eq!(grant(&app, "what the desk has set").await, 200);

    let told = async |subject: &str| {
        for _ in 0..200 {
            let mails = mailbox.to(&ada.email);
            if mails.iter().any(|mail| mail.subject.contains(subject)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nobody was told of {subject}");
    };
    let over = update(&app, true, hash(OLD_HASH)).await;
    let said = format!(
        "2 updated password replaces the one set here on {}",
        today(&app)
    );
    assert!(over.said()[0].starts_with(&said), "{:?}", over.said());
    told("A new password was set for you").await;
    assert_eq!(
        (
            grant(&app, OLD).await,
            grant(&app, "what the desk has set").await
        ),
        (200, 400)
    );
    // Now it is a file's again, and nobody is told of another one.
    let count = mailbox.to(&ada.email).len();
    assert!(count > before);
    assert_eq!(
        update(&app, true, hash(OTHER_HASH)).await.count("updated"),
        1
    );
    assert_eq!(grant(&app, OTHER).await, 200);
    app.set_password(&ada, OWN, false).await;
    let file = format!("username,password\nada,{OLD}\n");
    assert_eq!(update(&app, true, file).await.count("updated"), 1);
    told("temporary password").await;
    assert_eq!(mailbox.to(&ada.email).len(), count + 1);
    assert_eq!(app.waiting(&ada).await, ["UPDATE_PASSWORD"]);
    app.assert_no_tokens_for(&ada).await;
}

on_both!(a_temporary_password_of_a_file_is_renewed_by_it);
async fn a_temporary_password_of_a_file_is_renewed_by_it(app: TestApp) {
    let file = format!("username,email,password\nada,ada@people.example,{OLD}\n");
    assert_eq!(
        import(&app, &Options::default(), &file)
            .await
            .count("accepted"),
        1
    );
    let ada = user(&app, "ada");
    app.ledger.password(&ada.id, OLD);
    let ends =
        || app.count("SELECT expires_at AS value FROM credentials WHERE expires_at IS NOT NULL");
    let first = ends();
    app.advance(std::time::Duration::from_secs(3600));
    assert_eq!(update(&app, false, &file).await.said(), ["2 updated"]);
    assert!(ends() > first, "its two weeks begin anew");
    assert_eq!(app.waiting(&ada).await, ["UPDATE_PASSWORD"]);
    app.assert_no_tokens_for(&ada).await;
}

on_both!(files_of_every_format_lift_nothing);
/// The whole of a Keycloak export once more after everybody was shut out, and the same people as NDJSON and for Auth0.
async fn files_of_every_format_lift_nothing(app: TestApp) {
    let options = Options {
        create_missing: true,
        ..Options::default()
    };
    import(&app, &options, HARBOUR).await;
    let passwords: std::collections::BTreeMap<String, String> =
        serde_json::from_str(PASSWORDS).expect("passwords");
    let names: Vec<&String> = passwords.keys().collect();
    for name in &names {
        compromise(&app, &user(&app, name)).await;
    }
    let again = update(&app, true, HARBOUR).await;
    assert_eq!((again.count("updated"), again.count("rejected")), (15, 0));
    let list = |row: &dyn Fn(&str) -> serde_json::Value| -> Vec<String> {
        names.iter().map(|name| row(name).to_string()).collect()
    };
    let lines = list(&|name| {
        serde_json::json!({ "username": name, "requiredActions": [],
            "credentials": [{ "type": "password", "value": passwords[name], "temporary": false }] })
    });
    let ndjson = update(&app, true, lines.join("\n")).await;
    let auth0 = list(&|name| {
        serde_json::json!({ "username": name,
            "custom_password_hash": { "algorithm": "ldap", "hash": { "value": OTHER_HASH } } })
    });
    let auth0 = update(&app, true, format!("[{}]", auth0.join(","))).await;
    for report in [&ndjson, &auth0] {
        assert_eq!(report.count("updated"), names.len(), "{:?}", report.said());
        assert!(
            report
                .said()
                .iter()
                .all(|said| said.contains("must be set by link")),
            "{:?}",
            report.said()
        );
    }
    for (name, password) in &passwords {
        for password in [password.as_str(), OTHER] {
            let answer = app.legacy.password_grant(name, password).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        }
        assert!(
            app.waiting(&user(&app, name))
                .await
                .contains(&"UPDATE_PASSWORD".to_owned()),
            "{name}"
        );
    }
}
