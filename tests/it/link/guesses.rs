//! Ten thousand live links and a million codes typed at random (threat V182).

use std::time::Duration;

use vestibule::link::{self, Link, NewLink, Purpose, Sender, keys, token};
use vestibule::oidc::provision;
use vestibule::realm;

use crate::support::app::{REALM, TestApp};
use crate::support::browser::Browser;
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;
use crate::support::seed;

/// How many people are made in one transaction.
const BATCH: usize = 500;

/// With one more in a minute the place of the tries would be shut (`PER_ADDRESS`).
const IN_A_MINUTE: usize = 29;

/// Wrong codes that end a code.
const EACH: usize = 5;

fn address(number: usize) -> String {
    format!("person{number:05}@people.example")
}

/// People with a live link each, whose codes nobody knows.
async fn people_with_links(app: &TestApp, count: usize) {
    let (keyring, entropy) = (
        std::sync::Arc::clone(&app.engine().keyring),
        app.engine().entropy,
    );
    for start in (0..count).step_by(BATCH) {
        let keyring = std::sync::Arc::clone(&keyring);
        app.tx(move |tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            let tools = seed::tools(&keyring, &entropy);
            let mail = vestibule::mail::Tools {
                keyring: &keyring,
                entropy: &entropy,
            };
            for number in start..count.min(start + BATCH) {
                let new = vestibule::user::User {
                    email: Some(address(number)),
                    enabled: true,
                    ..provision::blank_user(tx, tools, &realm, &format!("person{number:05}"))?
                };
                assert!(provision::create_user(tx, &realm, &new, &[])?.is_ok());
                let to = (Purpose::PreRegistration, Sender::Administrator);
                let new = NewLink::of(&realm, &new.id, to.0, to.1);
                link::create(tx, mail, &new)?.expect("a link");
            }
            Ok(())
        })
        .await;
    }
}

/// Ten characters that a code could have.
fn guess(dice: &mut Dice) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..10)
        .map(|_| char::from(LETTERS[usize::try_from(dice.up_to(32)).expect("a place")]))
        .collect()
}

async fn typed(app: &TestApp, address: String, code: String) -> Browser {
    let mut browser = app.browser();
    let page = format!("{}/login-actions/link", app.issuer());
    let page = url::Url::parse(&page).expect("an address");
    let pairs = [("username".to_owned(), address), ("code".to_owned(), code)];
    browser.post(&page, &pairs).await;
    browser
}

/// Every link that could be used now, with the key that its code is made with.
async fn live(app: &TestApp) -> Vec<(Link, vestibule::kernel::seal::DerivedKey)> {
    let ids = app.sql("SELECT id AS value FROM links ORDER BY id");
    let keyring = std::sync::Arc::clone(&app.engine().keyring);
    app.tx(move |tx| {
        let mut found = Vec::new();
        for id in &ids {
            let link = link::by_id(tx, &link::LinkId::new(id.as_str()))?.expect("the link");
            let user = vestibule::user::rows::by_id(tx, &link.user_id)?.expect("its user");
            let now = tx.now()?;
            if link.state(&user, now).is_live() {
                let key = keys::by_version(tx, &keyring, link.key_version)?;
                found.push((link, key));
            }
        }
        Ok(found)
    })
    .await
}

on_both!(no_random_code_opens_any_link_and_every_link_lives_on);
/// V182. Three times, each as far as it goes:
///
/// - over HTTP, with all limits: five codes for each link, which are all that will ever be judged for it (40 links; with
///   `VESTIBULE_SOAK=1` 10,000, so 50,000 codes in 29 hours of the tests' clock, because one place has 29 a minute);
/// - in SQL without the limit of places: as many again, after which every code is still dead and every link alive;
/// - the comparison itself, without any limit: a million codes (20,000 in short), each with a link of its own turn.
///
/// At 50 bits, the million finds one of ten thousand with a probability of about one to a billion.
async fn no_random_code_opens_any_link_and_every_link_lives_on(app: TestApp) {
    let (count, compared) = if soak() {
        (10_000, 1_000_000)
    } else {
        (40, 20_000)
    };
    people_with_links(&app, count).await;
    let mut dice = Dice::new(182);
    let tries: Vec<(String, String)> = (0..count * EACH)
        .map(|number| (address(number / EACH), guess(&mut dice)))
        .collect();
    for minute in tries.chunks(IN_A_MINUTE) {
        for (address, code) in minute {
            let mut browser = typed(&app, address.clone(), code.clone()).await;
            browser.assert_page("link-code");
        }
        app.advance(Duration::from_secs(61));
    }
    let judged = app.count("SELECT sum(wrong_codes) AS value FROM links");
    assert_eq!(judged, i64::try_from(count * EACH).expect("a count"));

    let keyring = std::sync::Arc::clone(&app.engine().keyring);
    for some in tries.chunks(1000) {
        let (some, keyring) = (some.to_vec(), std::sync::Arc::clone(&keyring));
        app.tx(move |tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            for (address, code) in &some {
                let typed = (address.as_str(), code.as_str());
                let found = link::code::token_for(tx, &keyring, &realm.id, typed)?;
                assert!(found.is_none(), "{code} opens the link of {address}");
            }
            Ok(())
        })
        .await;
    }
    let judged_now = app.count("SELECT sum(wrong_codes) AS value FROM links");
    assert_eq!(judged_now, judged, "nothing more was judged");

    let links = live(&app).await;
    assert_eq!(links.len(), count, "every link is alive");
    for number in 0..compared {
        let (link, key) = &links[number % links.len()];
        let code = guess(&mut dice);
        assert!(!token::is_code(key, link, &code), "{code} is a code");
    }
    // The code is over, and its right one is answered as a wrong one; the link itself works.
    for (link, key) in links.iter().step_by(count.div_ceil(20)) {
        let address = link.address.clone().expect("an address");
        let mut browser = typed(&app, address, token::code(key, link)).await;
        browser.assert_page("link-code");
        app.advance(Duration::from_secs(61));
        let token = token::token(key, link);
        let page = format!("{}/login-actions/link/{token}", app.issuer());
        let page = url::Url::parse(&page).expect("an address");
        app.browser().open(page).await.assert_page("link");
    }
    eprintln!(
        "V182 {}: {} codes over HTTP and as many in SQL for {count} links, {compared} compared: no hit, every link alive",
        app.store().kind(),
        tries.len(),
    );
}
