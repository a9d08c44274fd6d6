//! A token, a code, a handle or a cookie of a link that differs in anything is none.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::Url;
use vestibule::link::State;

use super::redeem::{at_the_gate, invited};
use super::{NEW, mails, states};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// Each bit of the bytes turned over, one at a time.
fn flipped(bytes: &[u8]) -> Vec<Vec<u8>> {
    (0..bytes.len() * 8)
        .map(|bit| {
            let mut other = bytes.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            other
        })
        .collect()
}

/// The same text in other ways that somebody's mail program or decoder might think the same.
fn respelled(text: &str) -> Vec<String> {
    let swapped = |letter: char| {
        if letter.is_ascii_lowercase() {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        }
    };
    let mut others = vec![
        text.to_ascii_lowercase(),
        text.to_ascii_uppercase(),
        text.chars().map(swapped).collect(),
        text.replace('-', "+").replace('_', "/"),
        format!("{text}="),
        format!("{text}=="),
        format!("{text}A"),
        format!("A{text}"),
        format!("{text}.{text}"),
        format!("{text} "),
        format!(" {text}"),
        format!("{text}%20"),
        format!("{text}\u{200b}"),
        text.chars().rev().collect(),
    ];
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    for (at, letter) in &letters {
        let mut other = text.to_owned();
        other.replace_range(*at..=*at, &swapped(*letter).to_string());
        others.push(other);
        others.push(text[..*at].to_owned());
        others.push(text[*at..].to_owned());
    }
    others.retain(|other| other != text);
    others
}

/// An address with another last segment.
fn with_segment(link: &Url, segment: &str) -> Url {
    let mut other = link.clone();
    other
        .path_segments_mut()
        .expect("segments")
        .pop()
        .push(segment);
    other
}

on_both!(a_changed_token_opens_nothing);
/// V044 through HTTP: bit flips, other spellings, truncation, extra bytes, other encodings. Each is answered, and none
/// as a link; and the token itself works on.
async fn a_changed_token_opens_nothing(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let token = link.path_segments().expect("segments").next_back();
    let token = token.expect("a token").to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64url");
    let mut changed: BTreeSet<String> = flipped(&bytes)
        .iter()
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
        .collect();
    changed.extend(respelled(&token));
    changed.insert(STANDARD.encode(&bytes));
    changed.insert(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    changed.insert(URL_SAFE_NO_PAD.encode([bytes.as_slice(), &[0]].concat()));
    changed.insert(URL_SAFE_NO_PAD.encode([&[0], bytes.as_slice()].concat()));
    changed.insert(URL_SAFE_NO_PAD.encode([bytes.as_slice(), &bytes].concat()));
    changed.remove(&token);
    changed.remove("");
    assert!(changed.len() > 500, "{}", changed.len());
    let before = app.dump();
    let mut seen = BTreeSet::new();
    for other in &changed {
        let mut browser = app.browser();
        browser.open(with_segment(&link, other)).await;
        if browser.answer.status == 404 {
            assert_eq!(browser.answer.header("location"), "", "{other}");
            continue;
        }
        browser
            .assert_page("message")
            .assert_text("There is no such link");
        seen.insert(browser.answer.body.clone());
    }
    assert_eq!(seen.len(), 1, "one answer for all: {seen:#?}");
    assert_eq!(app.dump(), before, "nothing was written");
    at_the_gate(&app, &link).await;
    assert_eq!(states(&app, &alice).await, [State::Opened]);
}

on_both!(a_changed_handle_or_cookie_opens_nothing);
/// V044 for what stands in the address bar and for its sealed cookie.
async fn a_changed_handle_or_cookie_opens_nothing(app: TestApp) {
    let (alice, link) = invited(&app, "alice").await;
    let mut browser = app.browser();
    browser.open(link).await.assert_page("link");
    let page = browser.page().url.clone();
    let (_, handle) = page.query_pairs().next().expect("a handle");
    let handle = handle.into_owned();
    for other in respelled(&handle) {
        if other.is_empty() {
            continue; // No handle at all is the page for typed codes.
        }
        let mut again = browser.copy();
        let mut address = page.clone();
        address.query_pairs_mut().clear().append_pair("h", &other);
        again.open(address).await.assert_page("message");
    }
    let cookies = browser.cookies();
    let of_link = |name: &str| name.contains("link_");
    let (name, sealed) = cookies.iter().find(|(name, _)| of_link(name)).expect("it");
    let bytes = URL_SAFE_NO_PAD.decode(sealed).expect("base64url");
    let mut changed: BTreeSet<String> = flipped(&bytes)
        .iter()
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
        .collect();
    let spelled = |text: &String| text.chars().all(|letter| letter.is_ascii_graphic());
    changed.extend(respelled(sealed).into_iter().filter(spelled));
    changed.remove(sealed);
    for other in changed {
        let mut again = browser.copy();
        let mut bent = cookies.clone();
        bent.insert(name.clone(), other.clone());
        again.set_cookies(bent);
        let answer = again.send(reqwest::Method::GET, &page, None).await;
        assert!(answer.body.contains("content=\"message\""), "{other}");
    }
    // Another handle's cookie under this handle's name is no better: it is sealed for its own.
    browser.reload().await.assert_page("link");
    browser.press("open").await.assert_page("update-password");
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
}

on_both!(a_cookie_is_good_under_its_own_handle_alone);
/// V044: bob's sealed cookie under alice's handle, and both ways in two realms, is nothing.
async fn a_cookie_is_good_under_its_own_handle_alone(app: TestApp) {
    let (_, of_alice) = invited(&app, "alice").await;
    let (_, of_bob) = invited(&app, "bob").await;
    let mut alice = app.browser();
    alice.open(of_alice).await.assert_page("link");
    let mut bob = app.browser();
    bob.open(of_bob).await.assert_page("link");
    let link_of = |browser: &crate::support::browser::Browser| {
        let cookies = browser.cookies();
        let mut found = cookies
            .into_iter()
            .filter(|(name, _)| name.contains("link_"));
        found.next().expect("a cookie")
    };
    let ((name, _), (_, sealed)) = (link_of(&alice), link_of(&bob));
    let mut swapped = alice.copy();
    swapped.set_cookies([(name, sealed)].into());
    swapped
        .open(alice.page().url.clone())
        .await
        .assert_page("message");
    alice
        .reload()
        .await
        .assert_page("link")
        .assert_text("alice");
}

on_both!(a_changed_code_opens_nothing_and_a_kindly_read_one_does);
/// V044 for typed codes: another character anywhere, one less and one more are wrong; case, spaces and dashes, and the
/// letters that look like digits are read as they were meant, as the page promises.
async fn a_changed_code_opens_nothing_and_a_kindly_read_one_does(app: TestApp) {
    let (alice, _) = invited(&app, "alice").await;
    let code = mails(&app, &alice, 1).await.remove(0).code;
    let plain = code.replace('-', "");
    let mut wrong = vec![
        plain[1..].to_owned(),
        plain[..9].to_owned(),
        format!("{plain}0"),
        format!("0{plain}"),
        format!("{plain}{plain}"),
        plain.chars().rev().collect(),
        String::new(),
        "-".to_owned(),
        format!("{plain}\u{0}"),
        plain.replace(|letter: char| letter.is_ascii_alphabetic(), "U"),
    ];
    for at in 0..plain.len() {
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZU".chars().step_by(5) {
            let mut changed = plain.clone();
            changed.replace_range(at..=at, &other.to_string());
            wrong.push(changed);
        }
    }
    wrong.retain(|other| *other != plain);
    let right = [
        code.clone(),
        plain.clone(),
        plain.to_lowercase(),
        format!("  {code} "),
        plain.chars().flat_map(|letter| [letter, ' ']).collect(),
        plain.replace('0', "o").replace('1', "l"),
        plain.replace('0', "O").replace('1', "I"),
    ];
    let tries = wrong
        .iter()
        .map(|typed| (typed, "link-code"))
        .chain(right.iter().map(|typed| (typed, "link")));
    for (number, (typed, page)) in tries.enumerate() {
        if number % 4 == 0 {
            // So that neither the tries of one link nor those of one place run out.
            app.database().execute("UPDATE links SET wrong_codes = 0");
            app.advance(Duration::from_secs(61));
        }
        let mut browser = app.browser();
        browser.open_path("/realms/t1/login-actions/link").await;
        browser
            .fill_in(&[("username", &alice.email), ("code", typed)])
            .await;
        assert_eq!(
            browser.page().marker.as_deref(),
            Some(page),
            "{typed:?}: {browser}"
        );
    }
    assert_eq!(states(&app, &alice).await, [State::Sent]);
}
