//! Mailings from the command line: asked for, tried, sent, killed and carried on, with the real binary over real SMTP.

use std::time::Duration;

use serde_json::Value;
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{Clock, Entropy};
use vestibule::mail::outbox;
use vestibule::oidc::provision::{self, Tools};
use vestibule::realm;
use vestibule::store::{Location, Store, StoreError};

use crate::operations::process::Place;
use crate::support::mailbox::Mailbox;

/// A realm `shop` with so many people, whose mail goes to a mailbox.
pub(super) fn shop(count: usize) -> (Place, Mailbox) {
    let mailbox = Mailbox::start();
    let place = Place::new()
        .set(
            "VESTIBULE_SMTP_URL",
            format!("smtp://127.0.0.1:{}?tls=none", mailbox.port()),
        )
        .set("VESTIBULE_MAIL_FROM", "no-reply@shop.example");
    let made = place.run(&["admin", "create", "chief", "--json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let made = place.run(&["realm", "create", "shop"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let random = |out: &mut [u8]| Entropy.fill(out);
    let key = MasterKey::load_or_create(&place.path("master.key"), false, &random);
    let keyring = Keyring::new(key.expect("the key"));
    store(&place)
        .tx(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let tools = Tools {
                keyring: &keyring,
                entropy: &Entropy,
            };
            for number in 0..count {
                let name = format!("p{number:05}");
                let new = vestibule::user::User {
                    email: Some(address(number)),
                    enabled: true,
                    ..provision::blank_user(tx, tools, &shop, &name)?
                };
                assert!(provision::create_user(tx, &shop, &new, &[])?.is_ok());
            }
            Ok::<_, StoreError>(())
        })
        .expect("the people");
    (place, mailbox)
}

fn store(place: &Place) -> Store {
    Store::open(&Location::Sqlite(place.path("v.db")), Clock::system(), 1).expect("the store")
}

pub(super) fn address(number: usize) -> String {
    format!("p{number:05}@people.example")
}

#[test]
fn a_mailing_is_asked_for_tried_and_sent() {
    let (place, mailbox) = shop(25);
    let send = ["user", "send-password-reset", "--realm", "shop"];
    let with = |more: &[&str]| place.run(&[&send[..], more].concat());
    with(&[]).refused(2, "--all-users");
    with(&["--all-users"]).refused(2, "--yes");
    with(&["-u", "nobody@people.example"]).refused(2, "nobody who signs in as");
    with(&["-u", "p00001", "--rate", "fast"]).refused(2, "20/s");
    let preview = with(&["--all-users", "--dry-run", "--json"]).json();
    assert_eq!(preview["total"], 25);
    assert_eq!(preview["samples"].as_array().unwrap().len(), 3);
    assert!(mailbox.to(&address(1)).is_empty(), "nobody was mailed");

    let one = with(&["-u", &address(1), "--json"]).json();
    assert_eq!(
        (&one["state"], &one["funnel"]["sent"]),
        (&"done".into(), &1.into())
    );
    assert_eq!(mailbox.to(&address(1)).len(), 1);

    let message = place.path("message.txt");
    std::fs::write(&message, "We have moved.").unwrap();
    let file = message.to_str().unwrap();
    let all = with(&[
        "--all-users",
        "--never-signed-in",
        "--message",
        file,
        "--compromised",
        "--yes",
        "--json",
    ]);
    let all = all.json();
    assert_eq!(all["funnel"]["sent"], 25, "{all}");
    let mail = &mailbox.to(&address(7))[0];
    assert!(mail.text.as_ref().unwrap().contains("We have moved."));
    let waiting: i64 = store(&place)
        .read(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let audience = vestibule::user::audience::Audience {
                pending_action: Some("UPDATE_PASSWORD".into()),
                ..Default::default()
            };
            vestibule::user::search::count(tx, &shop.id, &audience)
        })
        .unwrap();
    assert_eq!(
        waiting, 25,
        "old passwords are dead before the first mail goes"
    );

    let list = place
        .run(&["campaign", "list", "--realm", "shop", "--json"])
        .json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    let id = list[0]["id"].as_str().unwrap();
    let shown = place.run(&["campaign", "show", id]);
    assert!(shown.out.contains("sent       25"), "{}", shown.out);
    place
        .run(&["campaign", "pause", id])
        .refused(1, "the campaign is done");
    place
        .run(&["campaign", "show", "nope"])
        .refused(2, "campaign list");
    place.run(&["doctor", "--mail", "me@people.example", "--realm", "shop"]);
    assert_eq!(mailbox.to("me@people.example").len(), 1);

    let links = place
        .run(&[
            "user",
            "pre-register",
            "--realm",
            "shop",
            "-u",
            "p00003",
            "--print-link",
            "--json",
        ])
        .json();
    let link = links[0]["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/realms/shop/login-actions/link/", place.url())));
}

/// The command killed in the middle, again and again: nobody twice outside the set in doubt, nobody lost. Servers that
/// are killed, and the long form, are in `kills`.
#[test]
fn a_killed_mailing_goes_on_and_mails_nobody_twice() {
    let (count, kills, rate) = (120, 3, "30/s");
    let (place, mailbox) = shop(count);
    let mut run = place.spawn(&[
        "user",
        "send-password-reset",
        "--realm",
        "shop",
        "--all-users",
        "--yes",
        "--rate",
        rate,
    ]);
    let mut id = String::new();
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(900 + 170 * (kill % 5)));
        run.kill().unwrap();
        run.wait().unwrap();
        let list = place
            .run(&["campaign", "list", "--realm", "shop", "--json"])
            .json();
        list[0]["id"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut id);
        assert!(!id.is_empty(), "killed before there was anything to kill");
        leases_end(&place);
        run = place.spawn(&["campaign", "resume", &id]);
    }
    run.wait().unwrap();
    leases_end(&place);
    let _ = place.run(&["campaign", "resume", &id]);
    let shown: Value = place.run(&["campaign", "show", &id, "--json"]).json();
    let funnel = &shown["funnel"];
    let (sent, doubt) = (
        funnel["sent"].as_u64().unwrap(),
        funnel["inDoubt"].as_u64().unwrap(),
    );
    assert_eq!(funnel["total"], count as u64, "{shown}");
    assert_eq!(sent + doubt, count as u64, "{shown}");
    assert!(doubt <= 8 * u64::from(kills as u32), "{shown}");
    let again = (0..count).filter(|number| mailbox.to(&address(*number)).len() > 1);
    assert_eq!(again.count(), 0, "nobody is mailed twice");
    let resent = place
        .run(&["campaign", "resend-in-doubt", &id, "--json"])
        .json();
    let sent = if doubt == 0 {
        &shown["funnel"]["sent"]
    } else {
        &resent["funnel"]["sent"]
    };
    assert_eq!(*sent, count as u64);
    let missed: Vec<usize> = (0..count)
        .filter(|number| mailbox.to(&address(*number)).is_empty())
        .collect();
    assert!(missed.is_empty(), "{missed:?} got nothing");
}

/// The leases of a killed process end, as if minutes had gone by.
fn leases_end(place: &Place) {
    let store = store(place);
    store
        .tx(|tx| {
            let later = tx.now()?.plus_seconds(3600);
            outbox::recover(tx, later)
        })
        .expect("what was held is taken back");
}
