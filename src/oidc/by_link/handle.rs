//! The handle of an opened link: what stands in the address bar in the place of the token.
//!
//! The token lies sealed in a cookie of the handle's own name, so that it is in no history and in no `Referer` (threat
//! V051), and two links in one browser never mix (V058). Nothing is stored here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::engine::Engine;
use super::super::steps::Browser;
use crate::kernel::RealmId;
use crate::link::token::Presented;
use crate::store::StoreError;
use crate::web::cookie::Cookies;

/// The most links that a browser remembers at once: a browser that opens more forgets the oldest.
const MOST: usize = 8;

/// A handle that was just made.
pub(super) struct Made {
    /// The handle.
    pub(super) handle: String,
    /// The cookie that belongs to it, by name and value.
    pub(super) cookie: (String, String),
    /// The names of cookies that are to go.
    pub(super) forget: Vec<String>,
}

fn place(handle: &str, realm: &RealmId) -> String {
    format!("cookie/link/{handle}/{realm}")
}

fn cookie_name(handle: &str) -> String {
    format!("link_{handle}")
}

/// Makes a handle for a token.
pub(super) fn make(
    engine: &Engine,
    realm: &RealmId,
    (browser, cookies): (&Browser, &Cookies),
    token: &Presented,
) -> Result<Made, StoreError> {
    let handle = engine.entropy.short_id();
    let sealed = engine
        .keyring
        .seal(&token.to_bytes(), &place(&handle, realm), &|out| {
            engine.entropy.fill(out);
        })
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    let known = browser.links(cookies);
    let too_many = (known.len() + 1).saturating_sub(MOST);
    Ok(Made {
        cookie: (cookie_name(&handle), URL_SAFE_NO_PAD.encode(sealed)),
        forget: known
            .iter()
            .take(too_many)
            .map(|(handle, _)| cookie_name(handle))
            .collect(),
        handle,
    })
}

/// The token behind a handle, if this browser has its cookie.
pub(super) fn token(
    engine: &Engine,
    realm: &RealmId,
    (browser, cookies): (&Browser, &Cookies),
    handle: &str,
) -> Option<Presented> {
    let (_, value) = browser
        .links(cookies)
        .into_iter()
        .find(|(known, _)| known == handle)?;
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let bytes = engine.keyring.open(&sealed, &place(handle, realm)).ok()?;
    Presented::from_bytes(&bytes)
}
