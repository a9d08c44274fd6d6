//! The judgement of a row by itself.

use std::hash::BuildHasher as _;

use super::*;
use crate::realm::RealmSettings;

fn rules(change: impl FnOnce(&mut RealmSettings), shared: Shared) -> Rules {
    let settings = serde_json::Value::Object(RealmSettings::default_json().unwrap());
    let mut settings: RealmSettings = serde_json::from_value(settings).unwrap();
    change(&mut settings);
    let realm = Realm {
        id: crate::kernel::RealmId::new("r"),
        name: "harbour".into(),
        enabled: true,
        not_before: Timestamp::from_micros(0),
        version: 1,
        settings,
    };
    let mut actions = RequiredActionConfig::fresh();
    for action in &mut actions {
        action.enabled = action.alias != "VERIFY_EMAIL";
    }
    Rules::new(realm, actions, &Options::default(), shared).unwrap()
}

fn draft(username: &str) -> Draft {
    Draft {
        username: Some(username.to_owned()),
        ..Draft::default()
    }
}

fn judge(draft: Draft) -> Result<Person, Problem> {
    rules(|_| {}, Shared::default()).judge(draft)
}

fn refusal(draft: Draft) -> (String, String) {
    let problem = judge(draft).err().expect("a refusal");
    (problem.field.unwrap_or_default(), problem.reason)
}

#[test]
fn an_address_stands_for_a_missing_name() {
    let person = judge(Draft {
        email: Some("Ada@Harbour.Example".into()),
        ..Draft::default()
    })
    .ok()
    .unwrap();
    assert_eq!(person.username, "ada@harbour.example");
    assert_eq!(person.email.as_deref(), Some("Ada@harbour.example"));
    assert_eq!(person.claims().count(), 1, "one name, not two");
    assert_eq!(refusal(Draft::default()).0, "username");
}

#[test]
fn every_field_is_named_when_it_is_refused() {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft("ada");
        change(&mut draft);
        refusal(draft).0
    };
    assert_eq!(
        with(&|d| d.email = Some("a@b.example\r\nBcc: x@y.example".into())),
        "email"
    );
    assert_eq!(with(&|d| d.username = Some("a\nb".into())), "username");
    assert_eq!(with(&|d| d.first_name = Some("<b>".into())), "firstName");
    assert_eq!(with(&|d| d.last_name = Some("x".repeat(256))), "lastName");
    assert_eq!(with(&|d| d.groups = vec!["/a//b".into()]), "groups");
    assert_eq!(with(&|d| d.roles = vec!["".into()]), "roles");
    assert_eq!(
        with(&|d| d.required_actions = vec!["NO_SUCH".into()]),
        "requiredActions"
    );
    assert_eq!(
        with(&|d| d.attribute("x", vec!["y".repeat(20_000)])),
        "attribute.x"
    );
    for id in ["a/b", "a b", "..", "ä", &"x".repeat(256)] {
        assert_eq!(with(&|d| d.id = Some(id.into())), "id", "{id}");
    }
    let hash = |text: &str| {
        let text = text.to_owned();
        with(&move |d| {
            d.secret = Secret::Hash {
                text: text.clone(),
                temporary: false,
            }
        })
    };
    assert_eq!(
        hash(
            "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
        ),
        "passwordHash"
    );
    assert_eq!(hash("plain text"), "passwordHash");
}

#[test]
fn actions_come_in_every_spelling_and_one_that_is_off_is_kept_and_said() {
    let person = judge(Draft {
        required_actions: vec![
            "update_password".into(),
            "UPDATE_PASSWORD".into(),
            "verifyEmail".into(),
        ],
        ..draft("ada")
    })
    .ok()
    .unwrap();
    assert_eq!(person.actions, ["UPDATE_PASSWORD", "VERIFY_EMAIL"]);
    assert!(
        person.notes[0]
            .reason
            .contains("VERIFY_EMAIL is switched off")
    );
}

/// V192.
#[test]
fn a_password_of_many_is_refused() {
    let mut shared = Shared::default();
    shared.digests.insert(shared.hasher.hash_one("Welcome1"));
    let rules = rules(|_| {}, shared);
    let with = |password: &str| Draft {
        secret: Secret::plain(password, None),
        ..draft("ada")
    };
    assert!(rules.judge(with("Welcome1")).is_err());
    assert!(rules.judge(with("of my own")).is_ok());
}

#[test]
fn the_realms_policy_judges_plain_passwords_where_it_has_one() {
    let strict = rules(
        |settings| settings.password_policy = Some("length(12)".into()),
        Shared::default(),
    );
    let with = |password: &str| Draft {
        secret: Secret::plain(password, None),
        ..draft("ada")
    };
    assert_eq!(
        strict.judge(with("short")).err().unwrap().field.as_deref(),
        Some("password")
    );
    assert!(
        judge(with("x")).is_ok(),
        "without a policy an import is not judged"
    );
}
