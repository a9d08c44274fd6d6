//! Mailings from the command line: asked for, tried, sent, killed and carried on, with the real binary over real SMTP.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;
use vestibule::demo::mailbox::Received;
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{Clock, Entropy};
use vestibule::link;
use vestibule::mail::{outbox, pause};
use vestibule::oidc::provision::{self, Tools};
use vestibule::realm;
use vestibule::store::{Location, Store, StoreError};
use vestibule::user::audience::Audience;
use vestibule::user::former::Standing;
use vestibule::user::search;

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

/// On how many people of the shop a new password waits.
pub(super) fn waiting(place: &Place) -> i64 {
    let audience = Audience {
        pending_action: Some("UPDATE_PASSWORD".into()),
        ..Audience::default()
    };
    store(place)
        .read(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            search::count(tx, &shop.id, &audience)
        })
        .expect("a count")
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
    assert_eq!(
        waiting(&place),
        25,
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

/// Each link of the shop's people with its state.
fn links(place: &Place) -> Vec<(String, link::State)> {
    store(place)
        .read(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let now = tx.now()?;
            let mut links = Vec::new();
            for user in search::list(tx, &shop.id, &Audience::default(), (0, None))? {
                let own = link::of_user(tx, &user.id)?;
                links.extend(
                    own.iter()
                        .map(|link| (link.id.as_str().to_owned(), link.state(&user, now))),
                );
            }
            Ok::<_, StoreError>(links)
        })
        .expect("the links")
}

#[test]
fn a_dry_run_of_printed_links_makes_none_and_ends_none() {
    let (place, mailbox) = shop(3);
    let ask = [
        "user",
        "pre-register",
        "--realm",
        "shop",
        "--all-without-password",
    ];
    let with = |more: &[&str]| place.run(&[&ask[..], more].concat());
    assert_eq!(with(&["--yes", "--json"]).json()["funnel"]["sent"], 3);
    let before = links(&place);
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|(_, state)| *state == link::State::Sent));

    let dry = with(&["--print-link", "--dry-run", "--json"]);
    assert_eq!(dry.json(), serde_json::json!({ "total": 3 }));
    let dry = with(&["--print-link", "--dry-run"]);
    assert!(dry.out.contains("3 people would get a link"), "{}", dry.out);
    assert!(!dry.out.contains("login-actions"), "{}", dry.out);
    assert_eq!(links(&place), before, "no link was made, and none ended");
    // Who would get none is said as it would be.
    let chief = ["user", "pre-register", "--realm", "master", "-u", "chief"];
    let none = place.run(&[&chief[..], &["--print-link", "--dry-run"]].concat());
    none.refused(1, "1 get no link");

    let message = place.path("message.txt");
    std::fs::write(&message, "Hello").unwrap();
    for idle in [
        &["--message", message.to_str().unwrap()][..],
        &["--rate", "20/s"],
    ] {
        let refused = with(&[&["--print-link"], idle].concat());
        refused.refused(2, &format!("{} has no effect beside --print-link", idle[0]));
    }
    assert_eq!(links(&place), before);
    assert_eq!(mailbox.to(&address(1)).len(), 1);
}

/// The link's mail says that the old password has ended, so no notice does; only an address that was replaced lately,
/// which gets no link, is told by one.
#[test]
fn who_is_mailed_a_link_gets_no_notice_beside_it() {
    let (place, mailbox) = shop(3);
    let file = "username,email,password,temporary\n\
                ada,ada@people.example,four seas and a lighthouse,false\n";
    std::fs::write(place.path("ada.csv"), file).unwrap();
    let imported = place.run(&["user", "import", "--realm", "shop", "ada.csv"]);
    assert_eq!(imported.code, 0, "{}", imported.err);
    store(&place)
        .tx(|tx| {
            let shop = realm::rows::by_name(tx, "shop")?.expect("the realm");
            let ada = vestibule::user::rows::by_login(tx, &shop.id, "ada")?.expect("ada");
            let before = ("before@people.example", Standing::Shuts);
            vestibule::user::former::keep(tx, "former", &ada.id, before)
        })
        .expect("the former address");
    let end = [
        "user",
        "send-password-reset",
        "--realm",
        "shop",
        "--all-users",
        "--compromised",
    ];
    let dry = place
        .run(&[&end[..], &["--dry-run", "--json"]].concat())
        .json();
    let ended = "Your old password no longer works.";
    let samples = dry["samples"].as_array().expect("samples");
    let of_ada = samples.iter().find(|sample| sample["username"] == "ada");
    let text = of_ada.expect("ada")["text"].as_str().expect("a text");
    assert!(text.contains(ended), "{text}");

    let sent = place.run(&[&end[..], &["--yes", "--rate", "20/s", "--json"]].concat());
    assert_eq!(sent.json()["funnel"]["sent"], 4);
    assert_eq!(waiting(&place), 4);
    let _server = place.serve();
    let began = Instant::now();
    while mailbox.to("before@people.example").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "no notice came");
        std::thread::sleep(Duration::from_millis(50));
    }
    let notice = &mailbox.to("before@people.example")[0];
    assert!(
        notice.subject.contains("A new password is needed"),
        "{}",
        notice.subject
    );
    let words = |mail: &Received| mail.text.clone().expect("a text");
    let to_ada = mailbox.to("ada@people.example");
    assert_eq!(to_ada.len(), 1, "one mail");
    assert!(words(&to_ada[0]).contains(ended), "{}", words(&to_ada[0]));
    assert!(words(&to_ada[0]).contains("/login-actions/link/"));
    for number in 0..3 {
        let mails = mailbox.to(&address(number));
        assert_eq!(mails.len(), 1, "{number}");
        assert!(!words(&mails[0]).contains(ended), "there was no password");
    }
}

/// Killed while the mail server was away, with no server running beside; then the mail server is back.
#[test]
fn a_mailing_goes_on_as_soon_as_the_mail_server_is_back() {
    let (place, mailbox) = shop(4);
    let at = |port: u16| format!("smtp://127.0.0.1:{port}?tls=none");
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let place = place.set("VESTIBULE_SMTP_URL", at(nobody.port()));
    let mut run = place.spawn(&[
        "user",
        "send-password-reset",
        "--realm",
        "shop",
        "--all-users",
        "--yes",
    ]);
    let began = Instant::now();
    while store(&place).read(pause::all).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never rested");
        std::thread::sleep(Duration::from_millis(50));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    leases_end(&place);
    let list = place
        .run(&["campaign", "list", "--realm", "shop", "--json"])
        .json();
    let id = list[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list[0]["state"], "paused", "{list}");

    let place = place.set("VESTIBULE_SMTP_URL", at(mailbox.port()));
    let began = Instant::now();
    let done = place.run(&["campaign", "resume", &id, "--json"]).json();
    assert_eq!(
        (&done["state"], &done["funnel"]["sent"]),
        (&"done".into(), &4.into())
    );
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "the server is tried at once"
    );
    for number in 0..4 {
        assert_eq!(mailbox.to(&address(number)).len(), 1, "{number}");
    }
    place
        .run(&["campaign", "resume", &id])
        .refused(1, "the campaign is done");
    let cancelled = place.run(&["campaign", "cancel", &id, "--revoke-links"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.err);
    place
        .run(&["campaign", "resend-in-doubt", &id])
        .refused(1, "the campaign is cancelled");
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
